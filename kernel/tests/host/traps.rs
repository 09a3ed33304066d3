//! What is particular to traps: their targets, the rights that they take, and numbers without a handler.

use crate::calls::in_both_forms;
use crate::world::{Actor, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;

const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;

/// A name that no test makes.
const FREE: PortName = PortName(0x7777_0003);

/// A dead name with two references.
fn dead_name(w: &mut World, a: Actor) -> PortName {
    let name = w.allocate(a, DEAD_NAME).unwrap();
    w.mod_refs(a, name, DEAD_NAME, 1).unwrap();
    name
}

#[test]
fn a_notify_right_that_cannot_be_taken_gives_the_reason() {
    let mut w = World::new();
    let a = w.task();
    let (p, q) = (w.port(a), w.port(a));
    let set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let refused = [
        (FREE, D::MAKE_SEND_ONCE, KERN_INVALID_NAME),
        (FREE, D::MOVE_SEND_ONCE, KERN_INVALID_NAME),
        (set, D::MAKE_SEND_ONCE, KERN_INVALID_RIGHT),
        (q, D::MOVE_SEND_ONCE, KERN_INVALID_RIGHT),
    ];
    for (notify, disposition, code) in refused {
        for id in [MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_PORT_DESTROYED] {
            assert_eq!(w.request(a, p, id, 0, (notify, disposition)), Err(code), "{id}: {notify:?} {disposition:?}");
        }
    }
    let status = w.status(a, p);
    assert_eq!((status.mps_nsrequest, status.mps_pdrequest, status.mps_sorights), (0, 0, 0));
    assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE.bits()));
}

#[test]
fn a_dead_name_that_is_to_be_notified_is_refused_and_loses_a_reference() {
    let mut w = World::new();
    let a = w.task();
    let (p, dead) = (w.port(a), dead_name(&mut w, a));
    for left in [Ok(1), Err(KERN_INVALID_NAME)] {
        let refused = w.request(a, p, MACH_NOTIFY_DEAD_NAME, 0, (dead, D::MOVE_SEND_ONCE));
        assert_eq!(refused, Err(KERN_INVALID_CAPABILITY));
        assert_eq!(w.get_refs(a, dead, DEAD_NAME), left);
    }
}

#[test]
fn a_dead_name_that_is_to_be_inserted_is_refused_and_loses_a_reference_if_it_moves() {
    in_both_forms(|mut w| {
        let a = w.task();
        let dead = dead_name(&mut w, a);
        for (disposition, left) in [(D::COPY_SEND, 2), (D::MOVE_SEND, 1)] {
            assert_eq!(w.insert_right(a, FREE, dead, disposition), Err(KERN_INVALID_CAPABILITY));
            assert_eq!(w.get_refs(a, dead, DEAD_NAME), Ok(left), "{disposition:?}");
        }
    });
}

#[test]
fn a_previous_right_whose_port_died_comes_back_as_dead() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, first, second) = (w.port(a), w.port(a), w.port(a));
        w.request(a, p, MACH_NOTIFY_DEAD_NAME, 0, (first, D::MAKE_SEND_ONCE)).unwrap();
        w.mod_refs(a, first, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        let previous = w.request(a, p, MACH_NOTIFY_DEAD_NAME, 0, (second, D::MAKE_SEND_ONCE));
        assert_eq!(previous, Ok(MACH_PORT_DEAD));
        w.mod_refs(a, p, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        assert_eq!(w.notification(a, second, MACH_NOTIFY_PORT_DELETED), p.0);
    });
}
