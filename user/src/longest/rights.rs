//! Messages with many rights, and what else can be long where they are sent or handed over.

use super::child::Child;
use super::sets::{receive_rights, send_to, send_to_daemon, send_to_waiter_at, with_requests};
use super::threads::{self, Threads};
use super::walks::{URGENT, nest_in, packet, send, size_with};
use super::{Row, boosts, measured, program};
use crate::check;
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::time::sleep;
use abi::PortName;
use abi::code::*;
use abi::debug::LongestStep;
use abi::message::*;
use abi::port::*;
use abi::qos::{AppType, Qos, Role};
use alloc::vec;
use core::sync::atomic::{AtomicU64, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("raise a limit from 0, 60 sends and receives", raise_from_zero),
    ("join a set, 60 blocked sends of 128 rights", join_with_senders),
    ("send 92 rights with requests, receive 128", send_and_receive),
    ("send 92 urgent rights behind 4,200 messages", urgent_rights),
    ("send 77 nested rights to a chain of 4,000", nested_rights),
    ("send 115 rights, one with 90 receivers", with_receivers),
    ("send 92 rights to a daemon with messages", || boosts::in_application(TO_DAEMON)),
    ("send 55 receive rights with boosts", || boosts::in_application(BOOSTED)),
];

/// The kind of an application that sends rights with boosts.
pub(super) const BOOSTED: &str = "donor of boosted rights";

/// The kind of an application that sends many rights to a daemon, and of that daemon.
pub(super) const TO_DAEMON: &str = "donor of rights to a daemon";
pub(super) const DAEMON: &str = "daemon with messages";

/// Rights that a message may have.
const RIGHTS: usize = 128;
/// Threads that send, and threads that receive.
const THREADS: usize = 60;
/// Bytes of a buffer for such a message with its trailer.
const BUFFER: usize = 2_048;

/// Receives a message with as many rights as there may be from the port or set in the argument.
pub(super) fn receiver(name: u64) {
    let mut buffer = vec![0u32; BUFFER / size_of::<u32>()];
    let (receive_size, receive_name) = (BUFFER as u32, PortName(name as u32));
    let call = Call { options: MsgOption::RCV_MSG, receive_size, receive_name, ..Call::default() };
    let _ = mach_msg_at(buffer.as_mut_ptr() as u64, &call);
}

/// The port to which threads send.
static TO: AtomicU64 = AtomicU64::new(0);

/// Sends as many rights to the port in the argument as a message may have, and waits for room.
fn sender(own: u64) {
    let names = vec![PortName(own as u32); RIGHTS];
    let words = packet(PortName(TO.load(Ordering::Relaxed) as u32), &names, Disposition::MAKE_SEND);
    let call = Call { options: MsgOption::SEND_MSG, send_size: size_with(RIGHTS), ..Call::default() };
    let _ = mach_msg_at(words.as_ptr() as u64, &call);
}

/// Starts threads that are blocked sending to a port, and then as many that wait for messages of another name.
fn blocked_at(to: PortName, receivers: PortName) -> Threads {
    let own = port_with_send().into_name();
    TO.store(u64::from(to.0), Ordering::Relaxed);
    let mut kept: Threads = (0..THREADS).map(|_| threads::start(sender, own)).collect();
    sleep(50);
    kept.extend((0..THREADS).map(|_| threads::start(receiver, receivers)));
    sleep(50);
    kept
}

fn raise_from_zero() -> LongestStep {
    let to = port_with_send();
    port::set_queue_limit(to.name(), 0).expect("the limit is allowed");
    let _kept = blocked_at(to.name(), to.name());
    measured(|| port::set_queue_limit(to.name(), 1).expect("the limit is allowed"))
}

fn join_with_senders() -> LongestStep {
    let (to, set) = (port_with_send(), port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room"));
    port::set_queue_limit(to.name(), 1).expect("the limit is allowed");
    Message::copy_send(to.name()).send_within(0).expect("there is room");
    let _kept = blocked_at(to.name(), set);
    measured(|| port::insert_member(to.name(), set).expect("there is room"))
}

/// Sends rights to a thread that waits, and receives other ones in the same call.
fn send_and_receive() -> LongestStep {
    let (to, own) = (port_with_send(), port_with_send());
    let queued = packet(own.name(), &receive_rights(RIGHTS), Disposition::MOVE_RECEIVE);
    check::equal("the first send", send(&queued, RIGHTS, 0), MACH_MSG_SUCCESS);
    let _thread = threads::start(receiver, to.name());
    sleep(1);
    let names = with_requests(92);
    let mut words = packet(to.name(), &names, Disposition::MOVE_RECEIVE);
    words.resize(BUFFER, 0);
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let (receive_size, receive_name) = (BUFFER as u32, own.name());
    let call = Call { options, send_size: size_with(names.len()), receive_size, receive_name, ..Call::default() };
    measured(|| check::equal("the call", mach_msg_at(words.as_mut_ptr() as u64, &call), MACH_MSG_SUCCESS))
}

/// Sends an urgent message with rights by a send-once right, which no limit keeps out.
fn urgent_rights() -> LongestStep {
    let port = Port::new();
    for _ in 0..4_200 {
        Message::to(port.name(), Disposition::MAKE_SEND_ONCE).send_within(0).expect("there is room");
    }
    let names = with_requests(92);
    let mut words = packet(port.name(), &names, Disposition::MOVE_RECEIVE);
    words[0] = msgh_bits(Disposition::MAKE_SEND_ONCE, Disposition::NONE, Disposition::NONE, HeaderFlags::COMPLEX);
    let options = MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
    let call = Call { options, send_size: size_with(names.len()), priority: URGENT, ..Call::default() };
    measured(|| check::equal("the send", mach_msg_at(words.as_ptr() as u64, &call), MACH_MSG_SUCCESS))
}

/// Sends the receive rights of ports that have other ones in their queues, and whose names have requests.
fn nested_rights() -> LongestStep {
    let names = with_requests(77);
    for &name in &names {
        let inner = port_with_send().into_name();
        Message::to(name, Disposition::MAKE_SEND_ONCE)
            .port(inner, Disposition::MOVE_RECEIVE)
            .send()
            .expect("there is room");
    }
    let first = port_with_send().into_name();
    nest_in(first, 4_000);
    send_to(first, &names, Disposition::MOVE_RECEIVE)
}

/// Sends receive rights to a thread that waits. At one of the ports threads wait.
fn with_receivers() -> LongestStep {
    let (names, to) = (receive_rights(115), port_with_send());
    let _kept: Threads = (0..90).map(|_| threads::start(receiver, names[0])).collect();
    send_to_waiter_at(to, &names, Disposition::MOVE_RECEIVE)
}

/// Sends the receive rights of ports with a boost each to a thread that waits.
pub(super) fn boosted() -> LongestStep {
    let (names, to) = (receive_rights(55), port_with_send());
    for &name in &names {
        port::accept_donation(name).expect("the port is the task's");
        Message::to(name, Disposition::MAKE_SEND_ONCE).send().expect("there is room");
    }
    port::accept_donation(to.name()).expect("the port is the task's");
    send_to_waiter_at(to, &names, Disposition::MOVE_RECEIVE)
}

/// Sends rights with requests to a daemon that waits for them, and whose messages become those of a donor then.
pub(super) fn to_daemon() -> LongestStep {
    let daemon = program(DAEMON).policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    let daemon = Child::start_as(daemon.half());
    sleep(10);
    let port = daemon.port();
    send_to_daemon(daemon, port)
}

/// Has messages that boost others when this task is boosted, and receives a message with many rights. Returns the port.
pub(super) fn hold_messages(kept: &mut Threads) -> Port {
    let port = port_with_send();
    port::accept_donation(port.name()).expect("the port is the task's");
    for _ in 0..8 {
        let target = boosts::foreign_port();
        for _ in 0..40 {
            Message::copy_send(target).send_within(0).expect("there is room");
        }
    }
    kept.push(threads::start(receiver, port.name()));
    sleep(10);
    port
}
