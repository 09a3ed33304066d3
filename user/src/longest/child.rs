//! Tasks that hold much, until they are ended.

use super::{boosts, holes, program, rate, rights, sets, starts, threads};
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::time::sleep;
use abi::PortName;
use abi::message::MACH_NOTIFY_DEAD_NAME;
use abi::port::*;
use alloc::vec::Vec;

/// Ports, names, requests and messages that others hold.
const HELD: u32 = 10_000;

/// The bytes of the memory that a task gives up at its end: nearly all that it may have.
pub(super) const MEMORY: u64 = 60 << 20;

/// The kind of a server that belongs to its client's program.
pub(super) const SERVE: &str = "serve";
/// The kind of a server that is a program of its own.
pub(super) const SERVE_ELSEWHERE: &str = "serve others";

/// Kernel memory of a task that serves or leaves holes while others are measured, in bytes.
const HELPER_BYTES: u64 = 5 << 19;
/// What all that is held takes. A task that holds something gets so much, or the part of what is free that leaves enough for
/// the rows: on a machine of 1 GiB it is all.
const HELD_BYTES: u64 = 12 << 20;
const HELD_PART: u64 = 6;
/// The pages of all of these.
const HELPER_PAGES: u64 = 256;

/// Gives a task the share of its kind. Tasks that hold something until the end leave room for the others. A program of its
/// own has turns of its own.
fn share(spawn: Spawn, kind: &str) -> Spawn {
    let spawn = if kind == SERVE_ELSEWHERE || rate::is_hostile(kind) { spawn.own_coalition() } else { spawn };
    let bytes = match kind.split(' ').next() {
        Some("hold") => HELD_BYTES.min(task::free_heap() / HELD_PART),
        Some("holes" | SERVE) => HELPER_BYTES,
        _ => return spawn.most(),
    };
    spawn.kernel_bytes(bytes).pages(HELPER_PAGES)
}

/// A task that holds what its kind says.
#[derive(Debug)]
pub(super) struct Child {
    task: PortName,
    exit: Port,
    /// The right that the task has sent, or null.
    port: PortName,
}

impl Child {
    /// Starts a task and waits until it holds everything.
    pub(super) fn start(kind: &str) -> Child {
        Child::start_as(share(program(kind), kind))
    }

    /// Starts a task of any policy and share, and waits likewise.
    pub(super) fn start_as(child: Spawn) -> Child {
        let (meeting, exit) = (port_with_send(), Port::new());
        let child = child.bootstrap(meeting.name()).exit_port(exit.name());
        let task = child.start().expect("a child");
        let ready = Message::receive(meeting.name()).expect("the child is ready");
        let port = if ready.is_complex() { ready.descriptor(0).name } else { MACH_PORT_NULL };
        Child { task, exit, port }
    }

    /// Returns the right that the task has sent.
    pub(super) fn port(&self) -> PortName {
        self.port
    }

    /// Ends the task, and waits until everything is gone.
    pub(super) fn end(self) {
        task::terminate(self.task).expect("it has not ended");
        task::wait_for_exit(self.exit.name()).expect("it ends");
        port::deallocate(self.task).expect("its name is there");
    }
}

/// Holds what `kind` says, tells the parent, and waits to be ended.
pub(super) fn run(kind: &str) {
    let (parent, silent) = (task::bootstrap_port(), Port::new());
    let (mut kept, mut acts, mut given) = (Vec::new(), None, None);
    // What follows uses up the budget; a message needs some of it.
    let spare = [0; 16].map(|_| Port::new());
    match kind {
        "hold ports" => hold_ports(),
        "hold messages" => hold_messages(),
        "memory" => {
            task::allocate(MEMORY).expect("there is memory");
        }
        "pages" => {
            for page in 0..1000 {
                task::allocate_at(0x5000_0000_0000 + page * 0x40_0000, 4096, 0).expect("there is memory");
            }
        }
        "names" => while port::allocate(MACH_PORT_RIGHT_DEAD_NAME).is_ok() {},
        "ports" => while port::allocate(MACH_PORT_RIGHT_RECEIVE).is_ok() {},
        "sets" => while port::allocate(MACH_PORT_RIGHT_PORT_SET).is_ok() {},
        "members" => {
            let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room");
            while let Ok(port) = port::allocate(MACH_PORT_RIGHT_RECEIVE) {
                if port::insert_member(port, set).is_err() {
                    break;
                }
            }
        }
        "rights" => {
            let port = port_with_send();
            for _ in 0..3_000 {
                let sent = Message::copy_send(port.name()).port(parent, Disposition::COPY_SEND);
                let made = sent.reply_to(port.name(), Disposition::MAKE_SEND_ONCE).send();
                made.expect("there is room");
                // Its rights keep their names: a message does not end them when it is dropped.
                Message::receive(port.name()).expect("a message");
            }
            port.into_name();
        }
        "threads" => threads::fill(&mut kept, threads::wait_for_ever),
        "busy threads" => {
            let requests = port_with_send().into_name();
            port::set_queue_limit(requests, MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
            threads::fill_with(&mut kept, threads::hold_and_wait, requests);
            sleep(50);
        }
        starts::STARTERS => starts::hold(&mut kept),
        SERVE | SERVE_ELSEWHERE => {}
        rights::DAEMON => given = Some(rights::hold_messages(&mut kept)),
        holes if holes::leave(holes) => {}
        members if sets::hold(members) || boosts::hold(members) => {}
        hostile => acts = Some(hostile),
    }
    drop(spare);
    let given = given.as_ref().unwrap_or(&silent).name();
    Message::copy_send(parent).port(given, Disposition::MAKE_SEND).send().expect("the parent listens");
    if let Some(hostile) = acts {
        assert!(rate::run(hostile), "there is no task of the kind {hostile}");
    }
    rate::serve(&silent);
}

/// Holds ports, with a request for a notification on each.
fn hold_ports() {
    let notify = port_with_send().into_name();
    for _ in 0..HELD {
        let Ok(port) = port::allocate(MACH_PORT_RIGHT_RECEIVE) else { return };
        let made = port::insert_right(port, port, Disposition::MAKE_SEND);
        let id = MACH_NOTIFY_DEAD_NAME;
        if made.and_then(|()| port::request_notification(port, id, 0, notify, Disposition::MAKE_SEND_ONCE)).is_err() {
            return;
        }
    }
}

/// Holds messages in many queues.
fn hold_messages() {
    let ports = [0; HELD.div_ceil(MACH_PORT_QLIMIT_MAX) as usize].map(|_| port_with_send().into_name());
    for port in ports {
        port::set_queue_limit(port, MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    for port in ports {
        while Message::copy_send(port).send_within(0).is_ok() {}
    }
}
