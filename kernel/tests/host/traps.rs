//! Calls made by traps: the rights that they take, and numbers without a trap.

use crate::calls::{UNUSED_NAME, in_both_forms};
use crate::world::{Actor, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach::{MISSING, MissingAnswer};
use abi::trap::{CLASS_MACH, CLASS_MACHINE, CLASS_SHIFT, CLASS_TALLY};

const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;

/// Allocates a dead name with two references.
fn dead_name(w: &mut World, a: Actor) -> PortName {
    let name = w.allocate(a, DEAD_NAME).unwrap();
    w.mod_refs(a, name, DEAD_NAME, 1).unwrap();
    name
}

#[test]
fn an_invalid_notify_right_is_refused_with_its_own_code() {
    let mut w = World::new();
    let a = w.task();
    let (p, q) = (w.port(a), w.port(a));
    let set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let refused = [
        (UNUSED_NAME, D::MAKE_SEND_ONCE, KERN_INVALID_NAME),
        (UNUSED_NAME, D::MOVE_SEND_ONCE, KERN_INVALID_NAME),
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
    assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
}

#[test]
fn a_dead_notify_right_is_refused_and_loses_a_reference() {
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
fn a_dead_name_cannot_be_inserted_and_a_move_takes_a_reference() {
    in_both_forms(|mut w| {
        let a = w.task();
        let dead = dead_name(&mut w, a);
        for (disposition, left) in [(D::COPY_SEND, 2), (D::MOVE_SEND, 1)] {
            assert_eq!(w.insert_right(a, UNUSED_NAME, dead, disposition), Err(KERN_INVALID_CAPABILITY));
            assert_eq!(w.get_refs(a, dead, DEAD_NAME), Ok(left), "{disposition:?}");
        }
    });
}

#[test]
fn a_previous_right_whose_port_died_is_returned_as_dead() {
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

/// The end of the numbers in XNU's trap table.
const MACH_TRAPS_END: u32 = 128;

/// Returns true if XNU's table has no trap with this number.
fn is_empty_slot(number: u32) -> bool {
    let empty =
        [0..=9, 17..=17, 30..=30, 54..=57, 63..=69, 71..=71, 73..=75, 78..=87, 97..=99, 101..=MACH_TRAPS_END - 1];
    empty.iter().any(|numbers| numbers.contains(&number))
}

#[test]
fn an_xnu_trap_that_tally_lacks_returns_an_error() {
    let mut w = World::new();
    let a = w.task();
    let before = (w.names(a), w.counts());
    for missing in MISSING {
        let answer = match missing.answer {
            MissingAnswer::NotSupported => Ret::Done(KERN_NOT_SUPPORTED.0 as u64),
            MissingAnswer::CallByMessage => Ret::Done(MACH_SEND_INVALID_DEST.0 as u64),
            MissingAnswer::NullName => Ret::Done(MACH_PORT_NULL.0.into()),
        };
        assert_eq!(w.trap(a, missing.number, &[a.self_port.0.into()]), answer, "{}", missing.name);
    }
    assert_eq!((w.names(a), w.counts()), before);
}

#[test]
fn an_unknown_trap_number_ends_the_task_and_is_logged() {
    const UNKNOWN_NUMBER: u32 = 100;
    let classes = [0, CLASS_MACHINE, 4 << CLASS_SHIFT, CLASS_TALLY, 6 << CLASS_SHIFT, 0xFF << CLASS_SHIFT];
    let mach = (0..MACH_TRAPS_END).filter(|&number| is_empty_slot(number)).map(|number| CLASS_MACH | number);
    let beyond = [CLASS_MACH | MACH_TRAPS_END, CLASS_MACH | 0xFF_FFFF];
    for number in mach.chain(beyond).chain(classes.map(|class| class | UNKNOWN_NUMBER)) {
        let mut w = World::new();
        let a = w.task();
        let rip = w.kernel.sched[a.thread].frame().rip;
        assert_eq!(w.trap(a, number, &[]), Ret::Ended, "{number:#x}");
        let line = w.machine.log.last().expect("the log has a line");
        for part in [format!("{number:#x}"), format!("{rip:#x}")] {
            assert!(line.contains(&part), "{line:?} contains {part}");
        }
    }
}

#[test]
fn every_number_of_the_xnu_table_is_a_trap_missing_or_empty() {
    for number in 0..MACH_TRAPS_END {
        let mut w = World::new();
        let a = w.task();
        let missing = MISSING.iter().any(|missing| missing.number == CLASS_MACH | number);
        let ended = w.trap(a, CLASS_MACH | number, &[]) == Ret::Ended;
        assert_eq!(ended, is_empty_slot(number), "{number}");
        assert!(!(missing && ended), "{number}");
    }
}
