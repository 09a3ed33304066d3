//! Ports about which much is known: members of many sets, ports that threads serve, names with requests, and messages
//! with many such rights.

use super::child::Child;
use super::memory::end_of;
use super::rights::receiver;
use super::threads::{self, Threads};
use super::walks::{packet, send};
use super::{Row, measured};
use crate::check;
use crate::message::{Call, Message, mach_msg, port_with_send};
use crate::port::{self, Port};
use crate::time::sleep;
use abi::PortName;
use abi::code::*;
use abi::debug::LongestStep;
use abi::message::*;
use abi::port::*;
use alloc::vec::Vec;

pub(super) const ROWS: &[Row] = &[
    ("send 128 receive rights, 40 from sets", || send_received(from_sets())),
    ("send 55 receive rights that threads serve", || send_received(served_ports(55))),
    ("send 92 receive rights with requests", || send_received(with_requests(92))),
    ("requests of 76 rights to as many servers", requests_to_served),
    ("requests of 14 rights to a member of 64 sets", requests_to_member),
    ("end of a task with members of 64 sets each", || end_of("members of 64")),
    ("end of a task whose ports have many messages", || end_of("messages of 64")),
    ("end of a port with replies to a member of 64", end_with_replies),
    ("126 receivers on the last of 64 sets refuse", refusing_on_the_last),
];

/// Sets that a port may be a member of.
const SETS: usize = 64;

fn new_sets() -> Vec<PortName> {
    (0..SETS).map(|_| port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room")).collect()
}

/// Makes a port a member of sets, as far as there is memory. Returns true if there is enough.
fn join(port: PortName, sets: &[PortName]) -> bool {
    sets.iter().all(|&set| port::insert_member(port, set).is_ok())
}

fn member_of_64() -> Port {
    let port = Port::new();
    assert!(join(port.name(), &new_sets()));
    port
}

/// Returns receive rights of new ports.
pub(super) fn receive_rights(count: usize) -> Vec<PortName> {
    (0..count).map(|_| Port::new().into_name()).collect()
}

/// Returns receive rights, some of them of members of a set.
fn from_sets() -> Vec<PortName> {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room");
    let ports = receive_rights(128);
    ports[..40].iter().for_each(|&port| assert!(join(port, &[set])));
    ports
}

/// Returns receive rights of ports that have a thread each that serves them.
pub(super) fn served_ports(count: usize) -> Vec<PortName> {
    let ports: Vec<_> = (0..count).map(|_| port_with_send().into_name()).collect();
    for &port in &ports {
        let thread = threads::start(threads::wait_for_ever, port);
        port::bind_servicer(port, thread.name()).expect("the thread serves nothing else");
    }
    sleep(20);
    ports
}

/// Asks for a notification about a name, by a right to `notify`.
fn request(name: PortName, notify: PortName) {
    let id = MACH_NOTIFY_DEAD_NAME;
    port::request_notification(name, id, 0, notify, Disposition::MAKE_SEND_ONCE).expect("there is room");
}

/// Returns receive rights whose names have requests.
pub(super) fn with_requests(count: usize) -> Vec<PortName> {
    let notify = Port::new().into_name();
    let ports: Vec<_> = (0..count).map(|_| port_with_send().into_name()).collect();
    for &port in &ports {
        request(port, notify);
        port::mod_refs(port, MACH_PORT_RIGHT_SEND, -1).expect("it is there");
    }
    ports
}

/// Sends rights to a port.
pub(super) fn send_to(to: PortName, names: &[PortName], disposition: Disposition) -> LongestStep {
    let words = packet(to, names, disposition);
    measured(|| check::equal("the send", send(&words, names.len(), 0), MACH_MSG_SUCCESS))
}

/// Sends rights to a thread that waits for them at a port.
pub(super) fn send_to_waiter_at(to: Port, names: &[PortName], disposition: Disposition) -> LongestStep {
    let _thread = threads::start(receiver, to.name());
    sleep(10);
    send_to(to.name(), names, disposition)
}

/// Sends rights to a thread that waits for them.
fn send_to_waiter(names: &[PortName], disposition: Disposition) -> LongestStep {
    send_to_waiter_at(port_with_send(), names, disposition)
}

/// Sends rights with requests to a daemon that the message boosts, and lets it run.
pub(super) fn send_to_daemon(daemon: Child, to: PortName) -> LongestStep {
    let names = with_requests(92);
    let words = packet(to, &names, Disposition::MOVE_RECEIVE);
    let longest = measured(|| {
        check::equal("the send", send(&words, names.len(), 0), MACH_MSG_SUCCESS);
        sleep(10);
    });
    daemon.end();
    longest
}

fn send_received(names: Vec<PortName>) -> LongestStep {
    send_to_waiter(&names, Disposition::MOVE_RECEIVE)
}

/// Sends send-once rights whose names have requests, to each of these ports one.
fn send_with_requests(notify: impl Iterator<Item = PortName>) -> LongestStep {
    let port = port_with_send().into_name();
    let once = |(number, notify): (u32, PortName)| {
        let name = PortName((1000 + number) << 8 | 3);
        port::insert_right(name, port, Disposition::MAKE_SEND_ONCE).expect("the name is free");
        request(name, notify);
        name
    };
    let names: Vec<_> = (0..).zip(notify).map(once).collect();
    send_to_waiter(&names, Disposition::MOVE_SEND_ONCE)
}

fn requests_to_served() -> LongestStep {
    send_with_requests(served_ports(76).into_iter())
}

fn requests_to_member() -> LongestStep {
    let notify = member_of_64().into_name();
    send_with_requests((0..14).map(|_| notify))
}

/// Returns a port with many messages, whose replies are promised to a member of 64 sets.
pub(super) fn member_with_replies() -> Port {
    let (port, reply) = (port_with_send(), member_of_64());
    port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    for _ in 0..600 {
        let mut request = Message::copy_send(port.name()).reply_to(reply.name(), Disposition::MAKE_SEND_ONCE);
        request.send_within(0).expect("there is room");
    }
    // The member is needed until they have come.
    let _ = reply.into_name();
    port
}

fn end_with_replies() -> LongestStep {
    let port = member_with_replies();
    measured(|| drop(port))
}

/// Asks for a message that fits a small buffer, and leaves a larger one in the queue.
fn refuser(name: u64) {
    let options = MsgOption::RCV_MSG | MsgOption::RCV_LARGE;
    let call = Call { options, receive_size: 64, receive_name: PortName(name as u32), ..Call::default() };
    let mut words = [0u32; 16];
    let _ = mach_msg(words.as_mut_ptr() as u64, &call);
}

fn refusing_on_the_last() -> LongestStep {
    let (port, sets) = (port_with_send(), new_sets());
    assert!(join(port.name(), &sets));
    let mut kept = Threads::new();
    threads::fill_with(&mut kept, refuser, sets[SETS - 1]);
    sleep(10);
    measured(|| Message::copy_send(port.name()).words(&[0; 16]).send_within(0).expect("there is room"))
}

/// Holds what `kind` says. Returns false if that is something else.
pub(super) fn hold(kind: &str) -> bool {
    match kind {
        "members of 64" => {
            let sets = new_sets();
            while let Ok(port) = port::allocate(MACH_PORT_RIGHT_RECEIVE)
                && join(port, &sets)
            {}
        }
        "messages of 64" => {
            let ports = receive_rights(64);
            let mut sent =
                ports.iter().cycle().map(|&port| Message::to(port, Disposition::MAKE_SEND_ONCE).send_within(0));
            while sent.next().is_some_and(|sent| sent.is_ok()) {}
        }
        _ => return false,
    }
    true
}
