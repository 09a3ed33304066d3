//! What others have built: chains of ports in transit, messages whose senders have no time left, and what dead tasks and
//! ports leave.

use super::child::Child;
use super::threads::{self, Threads};
use super::{Row, measured};
use crate::check;
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::thread::Thread;
use crate::time::sleep;
use abi::PortName;
use abi::code::*;
use abi::debug::LongestStep;
use abi::message::*;
use abi::port::*;
use abi::qos::Qos;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("send 120 nested rights to a chain of 2,000", to_the_end_of_a_chain),
    ("a reply to the end of a chain of 2,000", reply_to_the_end_of_a_chain),
    ("10 timed-out sends with 128 rights each", timed_out_senders),
    ("an aborted send with 128 rights", aborted_sender),
    ("end of a port with 4,000 messages", port_with_messages),
    ("end of a task with 3,000 rights to replies", task_with_rights),
    ("end of a chain of 2,000 ports", end_of_a_chain),
    ("the most urgent message behind 4,000", urgent_message),
];

const CHAIN: usize = 2_000;

/// Sends a port to a new one, that to the next, and so on, as far as memory allows. Returns the last, which stays.
pub(crate) fn nest(first: PortName) -> PortName {
    nest_in(first, CHAIN)
}

/// The same, in a chain of `most` ports at most.
pub(super) fn nest_in(first: PortName, most: usize) -> PortName {
    let spare = [0; 64].map(|_| port_with_send());
    let mut last = first;
    for length in 1..most {
        let next = port_with_send().into_name();
        if Message::copy_send(next).port(last, Disposition::MOVE_RECEIVE).send_within(0).is_err() {
            assert!(length > 100, "a chain of {length} ports is too short");
            break;
        }
        if last != first {
            port::deallocate(last).expect("its send right is there");
        }
        last = next;
    }
    drop(spare);
    last
}

/// Returns a message to a port with descriptors of these names, as words.
pub(crate) fn packet(to: PortName, names: &[PortName], disposition: Disposition) -> Vec<u32> {
    let mut words = vec![0u32; 7 + 3 * names.len() + 32];
    words[0] = msgh_bits(Disposition::COPY_SEND, Disposition::NONE, Disposition::NONE, HeaderFlags::COMPLEX);
    words[2] = to.0;
    words[6] = names.len() as u32;
    for (descriptor, name) in words[7..].chunks_exact_mut(3).zip(names) {
        (descriptor[0], descriptor[2]) = (name.0, u32::from(disposition.0) << 16);
    }
    words
}

/// Returns the size of a message with this number of descriptors.
pub(super) fn size_with(rights: usize) -> u32 {
    (28 + 12 * rights) as u32
}

/// Sends a message made by [`packet`] with this number of descriptors.
pub(crate) fn send(words: &[u32], rights: usize, timeout: u32) -> abi::KernReturn {
    let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT;
    let call = Call { options, send_size: size_with(rights), timeout, ..Call::default() };
    mach_msg_at(words.as_ptr() as u64, &call)
}

fn to_the_end_of_a_chain() -> LongestStep {
    let first = port_with_send().into_name();
    nest(first);
    let nested: Vec<PortName> = (0..120)
        .map(|_| {
            let (inner, outer) = (port_with_send().into_name(), port_with_send().into_name());
            Message::copy_send(outer).port(inner, Disposition::MOVE_RECEIVE).send().expect("there is room");
            outer
        })
        .collect();
    let words = packet(first, &nested, Disposition::MOVE_RECEIVE);
    measured(|| check::equal("the send", send(&words, nested.len(), 0), MACH_MSG_SUCCESS))
}

fn reply_to_the_end_of_a_chain() -> LongestStep {
    let carrier = port_with_send();
    let first = port_with_send().into_name();
    Message::copy_send(carrier.name()).port(first, Disposition::MAKE_SEND_ONCE).send().expect("there is room");
    nest(first);
    let once = Message::receive(carrier.name()).expect("a right").take_port(0).expect("a right").name;
    measured(|| Message::to(once, Disposition::MOVE_SEND_ONCE).send().expect("the port is alive"))
}

/// Names that a thread of a row sends to, and whose rights it sends.
static TO: AtomicU64 = AtomicU64::new(0);
const RIGHTS: usize = 128;
/// Milliseconds that such a thread waits for room.
const PATIENCE: u32 = 300;

/// Sends many rights to the port in `TO`, whose queue is full.
fn patient_sender(own: u64) {
    let names = vec![PortName(own as u32); RIGHTS];
    let words = packet(PortName(TO.load(Ordering::Relaxed) as u32), &names, Disposition::MAKE_SEND_ONCE);
    let _ = send(&words, RIGHTS, PATIENCE);
}

/// Starts threads that wait for room, in a full queue.
fn patient_senders(count: usize) -> (Port, Threads) {
    let (full, own) = (port_with_send(), port_with_send().into_name());
    while Message::copy_send(full.name()).send_within(0).is_ok() {}
    TO.store(u64::from(full.name().0), Ordering::Relaxed);
    let threads = (0..count).map(|_| threads::start(patient_sender, own)).collect();
    sleep(20);
    (full, threads)
}

fn timed_out_senders() -> LongestStep {
    let (full, threads) = patient_senders(10);
    let longest = measured(|| sleep(u64::from(PATIENCE) + 100));
    threads.into_iter().for_each(Thread::join);
    drop(full);
    longest
}

fn aborted_sender() -> LongestStep {
    let (full, threads) = patient_senders(1);
    let longest = measured(|| {
        threads.iter().for_each(|thread| thread.abort().expect("it waits"));
        sleep(20);
    });
    drop((full, threads));
    longest
}

/// Fills a queue with messages to send-once rights, which no limit keeps out. Returns their number.
pub(super) fn fill_queue(port: PortName) -> usize {
    let mut count = 0;
    while count < 4_000 && Message::to(port, Disposition::MAKE_SEND_ONCE).send_within(0).is_ok() {
        count += 1;
    }
    count
}

fn port_with_messages() -> LongestStep {
    let port = Port::new();
    fill_queue(port.name());
    measured(|| drop(port))
}

fn task_with_rights() -> LongestStep {
    let child = Child::start("rights");
    measured(|| child.end())
}

fn end_of_a_chain() -> LongestStep {
    let last = nest(port_with_send().into_name());
    measured(|| port::mod_refs(last, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is the task's"))
}

/// The priority of an urgent message.
pub(super) const URGENT: u32 = 1 << (7 + Qos::UserInteractive as u32) | 0xFF;

/// Sends an urgent message to a port, and then does what the call says.
pub(super) fn send_urgent(to: PortName, call: Call) -> KernReturn {
    let options = call.options | MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
    Message::to(to, Disposition::MAKE_SEND_ONCE).call(&Call { options, send_size: 24, priority: URGENT, ..call })
}

fn urgent_message() -> LongestStep {
    let port = Port::new();
    fill_queue(port.name());
    measured(|| check::equal("the send", send_urgent(port.name(), Call::default()), MACH_MSG_SUCCESS))
}
