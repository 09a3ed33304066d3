//! Ports and names.

use super::memory::end_of;
use super::{Row, measured};
use crate::message::port_with_send;
use crate::port::{self, Port};
use abi::PortName;
use abi::debug::LongestStep;
use abi::message::MACH_NOTIFY_DEAD_NAME;
use abi::port::*;

pub(super) const ROWS: &[Row] = &[
    ("mach_port_allocate until the table is full", allocate),
    ("requests on one port until they are too many", requests),
    ("end of a port with as many requests", end_with_requests),
    ("mach_port_destruct of a set of ports", end_of_set),
    ("end of a task with 65,535 names", || end_of("names")),
    ("end of a task with all the ports it may have", || end_of("ports")),
    ("end of a task with all the sets it may have", || end_of("sets")),
    ("end of a task with a set of ports", || end_of("members")),
];

fn allocate() -> LongestStep {
    measured(|| while port::allocate(MACH_PORT_RIGHT_DEAD_NAME).is_ok() {})
}

/// Makes as many send-once names of a port, each with a request, as the limits allow.
fn request_many() -> (Port, Port) {
    let (port, notify) = (port_with_send(), Port::new());
    for number in 16..60_000 {
        let name = PortName(number << 8 | 3);
        if port::insert_right(name, port.name(), Disposition::MAKE_SEND_ONCE).is_err() {
            continue;
        }
        let id = MACH_NOTIFY_DEAD_NAME;
        if port::request_notification(name, id, 0, notify.name(), Disposition::MAKE_SEND_ONCE).is_err() {
            break;
        }
    }
    (port, notify)
}

fn requests() -> LongestStep {
    measured(|| {
        request_many().0.into_name();
    })
}

fn end_with_requests() -> LongestStep {
    let (port, notify) = request_many();
    let longest = measured(|| drop(port));
    drop(notify);
    longest
}

fn end_of_set() -> LongestStep {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room");
    for _ in 0..8_000 {
        let Ok(port) = port::allocate(MACH_PORT_RIGHT_RECEIVE) else { break };
        if port::insert_member(port, set).is_err() {
            break;
        }
    }
    measured(|| port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set is there"))
}
