//! Hostile programs that let others wait: for a destruction at a low priority, and for messages that come back to senders
//! whose time is over.

use super::scheduling::set_own_qos;
use super::tests;
use crate::check;
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::{Gate, Thread};
use crate::time::{MILLISECOND, now, sleep};
use abi::PortName;
use abi::message::*;
use abi::port::*;
use abi::qos::Qos;
use alloc::vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

tests! { "hostile_walks":
    an_urgent_thread_does_not_wait_for_the_destruction_of_a_background_thread,
    messages_of_senders_whose_time_is_over_come_back_at_the_senders_priority,
}

/// Nanoseconds for which a thread of middling priority works at most; the rest of a test is over long before.
const WORK: u64 = 8_000 * MILLISECOND;
/// Messages whose destruction takes many slices.
const MESSAGES: u32 = 2_000;

static PORT: AtomicU32 = AtomicU32::new(0);
static STARTED: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicBool = AtomicBool::new(false);

/// Closed until the threads have their priorities.
static GATE: Gate = Gate::new();
/// The same for the thread that destroys.
static DESTRUCTION: Gate = Gate::new();

/// Ends the receive right of the port.
fn destroy(_: u64) {
    DESTRUCTION.pass();
    STARTED.store(true, Ordering::SeqCst);
    let port = PortName(PORT.load(Ordering::SeqCst));
    port::mod_refs(port, MACH_PORT_RIGHT_RECEIVE, -1).expect("the receive right is the task's");
}

/// Waits for the notification that the port is dead.
fn wait_for_death(notify: u64) {
    GATE.pass();
    let message = Message::receive(PortName(notify as u32)).expect("a notification");
    check::equal("the notification", message.message_id(), MACH_NOTIFY_DEAD_NAME);
    TOLD.store(true, Ordering::SeqCst);
}

/// The background thread destroys a port with many messages; this thread does not let it run. The urgent thread waits for
/// the dead-name notification.
fn an_urgent_thread_does_not_wait_for_the_destruction_of_a_background_thread() {
    let (port, notify) = (port_with_send().into_name(), Port::new());
    // On a small machine the messages leave no room for them.
    let urgent = Thread::start(wait_for_death, notify.name().0.into()).expect("a thread");
    urgent.set_qos(Qos::UserInteractive);
    let background = Thread::start(destroy, 0).expect("a thread");
    background.set_qos(Qos::Background);
    let once = Disposition::MAKE_SEND_ONCE;
    port::request_notification(port, MACH_NOTIFY_DEAD_NAME, 0, notify.name(), once).expect("the port is alive");
    for _ in 0..MESSAGES {
        if Message::to(port, Disposition::MAKE_SEND_ONCE).send_within(0).is_err() {
            break;
        }
    }
    PORT.store(port.0, Ordering::SeqCst);
    GATE.open();
    sleep(5);
    DESTRUCTION.open();
    while !STARTED.load(Ordering::SeqCst) {
        sleep(1);
    }
    let end = now() + WORK;
    while !TOLD.load(Ordering::SeqCst) && now() < end {
        crate::spin();
    }
    check::that("the urgent thread was told while others worked", TOLD.load(Ordering::SeqCst));
    urgent.join();
    background.join();
    port::deallocate(port).expect("a dead name");
}

/// Rights in each message.
const RIGHTS: usize = 100;
const SENDERS: usize = 8;
/// Milliseconds that a sender waits for room.
const PATIENCE: u32 = 50;

/// Sends many rights to the port, whose queue is full.
fn patient_sender(own: u64) {
    GATE.pass();
    let mut words = vec![0u32; 7 + 3 * RIGHTS];
    words[0] = msgh_bits(Disposition::COPY_SEND, Disposition::NONE, Disposition::NONE, HeaderFlags::COMPLEX);
    words[2] = PORT.load(Ordering::SeqCst);
    words[6] = RIGHTS as u32;
    for descriptor in words[7..].chunks_exact_mut(3) {
        (descriptor[0], descriptor[2]) = (own as u32, u32::from(Disposition::MAKE_SEND_ONCE.0) << 16);
    }
    let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
    let call = Call { options, send_size: (4 * words.len()) as u32, timeout: PATIENCE, ..Call::default() };
    let code = mach_msg_at(words.as_ptr() as u64, &call);
    check::equal("the send", code, abi::code::MACH_SEND_TIMED_OUT);
    for descriptor in words[7..].chunks_exact(3) {
        let name = PortName(descriptor[0]);
        check::equal("a right that came back", port::port_type(name), Ok(PortType::SEND_ONCE));
    }
}

/// This thread is more urgent and does not let the senders run. The timer ends their waits, and gives nothing back.
fn messages_of_senders_whose_time_is_over_come_back_at_the_senders_priority() {
    let (full, own) = (port_with_send(), Port::new());
    while Message::copy_send(full.name()).send_within(0).is_ok() {}
    PORT.store(full.name().0, Ordering::SeqCst);
    let before = task::counts().names;
    let senders = [0; SENDERS].map(|_| {
        let sender = Thread::start(patient_sender, own.name().0.into()).expect("a thread");
        sender.set_qos(Qos::Utility);
        sender
    });
    set_own_qos(Qos::UserInteractive);
    GATE.open();
    sleep(u64::from(PATIENCE) / 5);
    let names = task::counts().names;
    let end = now() + 4 * u64::from(PATIENCE) * MILLISECOND;
    while now() < end {
        crate::spin();
    }
    check::equal("names, when the time of all senders is over", task::counts().names, names);
    senders.into_iter().for_each(Thread::join);
    let more = task::counts().names - before;
    check::that("all messages are back", more >= (SENDERS * RIGHTS) as u64);
    drop(full);
}
