//! Names, types and user references (mach-ipc 9.1).

use crate::calls::{CHOSEN_NAME, CHOSEN_NAME_REUSED, Form, SEND_RECEIVE, UNUSED_NAME, in_both_forms};
use crate::message::Msg;
use crate::world::{Actor, World};
use abi::code::*;
use abi::message::MACH_NOTIFY_SEND_ONCE;
use abi::mig::mach_port as mig;
use abi::port::Disposition as D;
use abi::port::*;
use abi::{KernReturn, PortName};

/// Values right before and right behind the known dispositions.
const BEFORE_DISPOSITIONS: D = D(D::MOVE_RECEIVE.0 - 1);
const BEHIND_DISPOSITIONS: D = D(D::MAKE_SEND_ONCE.0 + 1);

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const SEND_ONCE: u32 = MACH_PORT_RIGHT_SEND_ONCE;
const PORT_SET: u32 = MACH_PORT_RIGHT_PORT_SET;
const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;
const LABELH: u32 = MACH_PORT_RIGHT_LABELH;
const UNKNOWN_RIGHT: u32 = LABELH + 1;
const UREFS_MAX: i32 = MACH_PORT_UREFS_MAX as i32;

/// Free names behind the end of a small name table.
const FAR_NAME: PortName = PortName::new(0x400, 3);
const FARTHER_NAME: PortName = PortName::new(0x500, 15);

/// Runs a scenario with two kinds of name that have one send reference: one that also has the receive right, and one
/// without it. The last argument is the type of the name when the send right is gone.
fn with_send(scenario: impl Fn(&mut World, Actor, PortName, Result<PortType, KernReturn>)) {
    in_both_forms(|mut w| {
        let (a, owner) = (w.task(), w.task());
        let own = w.port_with_send(a);
        let (_, alone) = w.connect(a, owner);
        scenario(&mut w, a, own, Ok(PortType::RECEIVE));
        scenario(&mut w, a, alone, Err(KERN_INVALID_NAME));
    });
}

/// Makes a send-once right of `port`, by a message from a task to itself.
fn make_once(w: &mut World, a: Actor, port: PortName) -> PortName {
    w.transfer(a, port, D::MAKE_SEND_ONCE, a)
}

// covers mach-ipc N01
#[test]
fn a_new_receive_right_has_a_well_formed_name_and_an_empty_status() {
    in_both_forms(|mut w| {
        let a = w.task();
        let name = w.allocate(a, RECEIVE).unwrap();
        assert!(name.is_well_formed() && name.index() >= 1);
        assert_eq!(w.port_type(a, name), Ok(PortType::RECEIVE));
        let empty = PortStatus { mps_qlimit: MACH_PORT_QLIMIT_DEFAULT, ..PortStatus::default() };
        assert_eq!(w.status(a, name), empty);
    });
}

// covers mach-ipc N02
#[test]
fn only_receive_rights_sets_and_dead_names_can_be_allocated() {
    in_both_forms(|mut w| {
        let a = w.task();
        let before = w.names(a);
        for right in [SEND, SEND_ONCE, LABELH, UNKNOWN_RIGHT, u32::MAX] {
            assert_eq!(w.allocate(a, right), Err(KERN_INVALID_VALUE));
        }
        assert_eq!(w.names(a), before);
    });
}

// covers mach-ipc N03 N04
#[test]
fn send_rights_made_under_one_name_are_counted_as_references() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        w.insert_right(a, p, p, D::MAKE_SEND).unwrap();
        w.insert_right(a, p, p, D::MAKE_SEND).unwrap();
        assert_eq!(w.port_type(a, p), Ok(SEND_RECEIVE));
        assert_eq!(w.get_refs(a, p, SEND), Ok(2));
        assert_eq!(w.get_srights(a, p), Ok(1));
        assert_eq!(w.status(a, p).mps_mscount, 2);

        assert_eq!(w.deallocate(a, p), Ok(()));
        assert_eq!(w.deallocate(a, p), Ok(()));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
        assert_eq!(w.status(a, p).mps_mscount, 2);
        assert_eq!(w.deallocate(a, p), Err(KERN_INVALID_RIGHT));
    });
}

// covers mach-ipc N05
#[test]
fn a_freed_index_is_reused_with_another_generation() {
    let mut w = World::new();
    let a = w.task();
    let mut seen = vec![w.port(a)];
    for _ in 0..15 {
        let old = *seen.last().unwrap();
        w.mod_refs(a, old, RECEIVE, -1).unwrap();
        assert_eq!(w.port_type(a, old), Err(KERN_INVALID_NAME));
        let new = std::iter::repeat_with(|| w.port(a)).find(|name| name.index() == old.index()).unwrap();
        assert!(!seen.contains(&new), "{new:?} was used within the last 15 generations: {seen:?}");
        seen.push(new);
    }
}

/// mach-ipc 1.3: an index is not reused with any of its last 15 generations. A chosen generation counts too.
#[test]
fn a_freed_chosen_name_is_not_reused_for_15_generations() {
    let mut w = World::new();
    let a = w.task();
    for chosen in [PortName::new(40, 3), PortName::new(41, 0xF3)] {
        w.mig(a, a.self_port, mig::ALLOCATE_NAME, &[DEAD_NAME, chosen.0]).unwrap();
        w.deallocate(a, chosen).unwrap();
        let mut seen = vec![chosen];
        for _ in 0..40 {
            let next = w.allocate(a, DEAD_NAME).unwrap();
            assert_eq!(next.index(), chosen.index(), "a freed index is reused first");
            assert!(!seen.iter().rev().take(15).any(|&name| name == next), "{next:?} after {seen:?}");
            seen.push(next);
            w.deallocate(a, next).unwrap();
        }
    }
}

// covers mach-ipc N06 N07
#[test]
fn a_reference_count_at_the_maximum_sticks_until_all_are_dropped() {
    with_send(|w, a, name, without| {
        w.mod_refs(a, name, SEND, UREFS_MAX - 1).unwrap();
        assert_eq!(w.get_refs(a, name, SEND), Ok(UREFS_MAX as u32));
        assert_eq!(w.mod_refs(a, name, SEND, 1), Ok(()));
        assert_eq!(w.get_refs(a, name, SEND), Ok(UREFS_MAX as u32));
        assert_eq!(w.deallocate(a, name), Ok(()));
        assert_eq!(w.get_refs(a, name, SEND), Ok(UREFS_MAX as u32));
        assert_eq!(w.mod_refs(a, name, SEND, -1), Ok(()));
        assert_eq!(w.get_refs(a, name, SEND), Ok(UREFS_MAX as u32));
        let rights = w.counts().send_rights;
        assert_eq!(w.mod_refs(a, name, SEND, -UREFS_MAX), Ok(()));
        assert_eq!(w.port_type(a, name), without);
        assert_eq!(w.counts().send_rights, rights - 1);
    });
}

/// mach-ipc 1.4, rule 3, for dead names.
#[test]
fn references_to_a_dead_name_stick_at_the_maximum_too() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (d, p) = (w.allocate(a, DEAD_NAME).unwrap(), w.port(a));
        w.mod_refs(a, d, DEAD_NAME, UREFS_MAX - 1).unwrap();
        assert_eq!(w.mod_refs(a, d, DEAD_NAME, -1), Ok(()));
        assert_eq!(w.deallocate(a, d), Ok(()));
        assert_eq!(w.send(a, &Msg::to(p, D::MAKE_SEND).port(d, D::MOVE_SEND)), Ok(()));
        assert_eq!({ w.poll(a, p).unwrap().descriptor(0).name }, MACH_PORT_DEAD);
        assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(UREFS_MAX as u32));
        assert_eq!(w.mod_refs(a, d, DEAD_NAME, -UREFS_MAX), Ok(()));
        assert_eq!(w.port_type(a, d), Err(KERN_INVALID_NAME));
    });
}

/// mach-ipc 1.4, rule 3: the right is sent although the sender's count does not change.
#[test]
fn moving_a_send_right_leaves_a_count_at_the_maximum_unchanged() {
    with_send(|w, a, name, without| {
        w.mod_refs(a, name, SEND, UREFS_MAX - 1).unwrap();
        let (mailbox, b) = (w.port(a), w.init);
        w.send(a, &Msg::to(mailbox, D::MAKE_SEND).port(name, D::MOVE_SEND)).unwrap();
        assert_eq!({ w.poll(a, mailbox).unwrap().descriptor(0).name }, name);
        assert_eq!(w.get_refs(a, name, SEND), Ok(UREFS_MAX as u32));
        let elsewhere = w.transfer(a, name, D::MOVE_SEND, b);
        assert_eq!((w.port_type(b, elsewhere), w.get_refs(a, name, SEND)), (Ok(PortType::SEND), Ok(UREFS_MAX as u32)));
        w.mod_refs(a, name, SEND, -UREFS_MAX).unwrap();
        assert_eq!(w.port_type(a, name), without);
        w.deallocate(b, elsewhere).unwrap();
    });
}

// covers mach-ipc N08
#[test]
fn a_reference_delta_out_of_range_is_refused() {
    with_send(|w, a, name, _| {
        w.mod_refs(a, name, SEND, 1).unwrap();
        for delta in [-3, UREFS_MAX + 1, -UREFS_MAX - 1] {
            assert_eq!(w.mod_refs(a, name, SEND, delta), Err(KERN_INVALID_VALUE));
        }
        assert_eq!(w.get_refs(a, name, SEND), Ok(2));
    });
}

// covers mach-ipc N09
#[test]
fn send_once_rights_never_share_a_name() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let p = w.port(a);
    let first = w.transfer(a, p, D::MAKE_SEND_ONCE, b);
    let second = w.transfer(a, p, D::MAKE_SEND_ONCE, b);
    assert_ne!(first, second);
    for name in [first, second] {
        assert_eq!(w.port_type(b, name), Ok(PortType::SEND_ONCE));
        assert_eq!(w.get_refs(b, name, SEND_ONCE), Ok(1));
    }
    assert_eq!(w.status(a, p).mps_sorights, 2);
}

/// Sends the rights of a port to another task in this order; checks that all arrive under one name.
fn rights_of_one_port_arrive_under_one_name(order: [D; 3]) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let p = w.port_with_send(a);
    let (mailbox, send_right) = w.connect(a, b);
    for disposition in order {
        w.send(a, &Msg::copy_send(send_right).port(p, disposition)).unwrap();
    }
    let names: Vec<_> = (0..3).map(|_| w.poll(b, mailbox).unwrap().descriptor(0).name).collect();
    assert!(names[0].is_valid() && names.iter().all(|&name| name == names[0]), "{names:?}");
    assert_eq!(w.port_type(b, names[0]), Ok(SEND_RECEIVE));
    assert_eq!(w.get_refs(b, names[0], SEND), Ok(2));
    assert_eq!(w.port_type(a, p), Err(KERN_INVALID_NAME));
}

// covers mach-ipc N10
#[test]
fn send_rights_join_a_receive_right_that_arrived_before() {
    rights_of_one_port_arrive_under_one_name([D::MOVE_RECEIVE, D::COPY_SEND, D::MOVE_SEND]);
}

// covers mach-ipc N11
#[test]
fn a_receive_right_shares_the_name_of_earlier_and_later_send_rights() {
    rights_of_one_port_arrive_under_one_name([D::COPY_SEND, D::MOVE_RECEIVE, D::MOVE_SEND]);
}

// covers mach-ipc N12
#[test]
fn a_receive_right_joins_send_rights_that_arrived_before() {
    rights_of_one_port_arrive_under_one_name([D::COPY_SEND, D::MOVE_SEND, D::MOVE_RECEIVE]);
}

// covers mach-ipc N13
#[test]
fn a_send_right_of_a_dead_port_is_a_dead_name_with_its_references() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let p = w.port(a);
        let at_b = w.transfer(a, p, D::MAKE_SEND, b);
        w.mod_refs(b, at_b, SEND, 2).unwrap();
        w.mod_refs(a, p, RECEIVE, -1).unwrap();
        assert_eq!(w.port_type(b, at_b), Ok(PortType::DEAD_NAME));
        assert_eq!(w.get_refs(b, at_b, DEAD_NAME), Ok(3));
        assert_eq!(w.get_refs(b, at_b, SEND), Ok(0));
        assert_eq!(w.mod_refs(b, at_b, SEND, -1), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.deallocate(b, at_b), Ok(()));
        assert_eq!(w.get_refs(b, at_b, DEAD_NAME), Ok(2));
    });
}

// covers mach-ipc N14
#[test]
fn a_send_once_right_of_a_dead_port_is_a_dead_name_with_one_reference() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let p = w.port(a);
        let once = w.transfer(a, p, D::MAKE_SEND_ONCE, b);
        w.mod_refs(a, p, RECEIVE, -1).unwrap();
        assert_eq!(w.get_refs(b, once, DEAD_NAME), Ok(1));
        assert_eq!(w.mod_refs(b, once, SEND_ONCE, -1), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.deallocate(b, once), Ok(()));
        assert_eq!(w.port_type(b, once), Err(KERN_INVALID_NAME));
    });
}

// covers mach-ipc N15
#[test]
fn null_and_dead_names_can_always_be_deallocated() {
    in_both_forms(|mut w| {
        let a = w.task();
        assert_eq!(w.port_type(a, MACH_PORT_NULL), Err(KERN_INVALID_NAME));
        assert_eq!(w.port_type(a, MACH_PORT_DEAD), Ok(PortType::DEAD_NAME));
        assert_eq!(w.deallocate(a, MACH_PORT_NULL), Ok(()));
        assert_eq!(w.deallocate(a, MACH_PORT_DEAD), Ok(()));
        assert_eq!(w.destroy(a, MACH_PORT_DEAD), Ok(()));
    });
}

// covers mach-ipc N16
#[test]
fn null_and_dead_names_count_as_one_send_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        assert_eq!(w.mod_refs(a, MACH_PORT_NULL, SEND, -1), Ok(()));
        assert_eq!(w.mod_refs(a, MACH_PORT_DEAD, SEND_ONCE, 7), Ok(()));
        assert_eq!(w.mod_refs(a, MACH_PORT_NULL, RECEIVE, -1), Err(KERN_INVALID_NAME));
        assert_eq!(w.get_refs(a, MACH_PORT_DEAD, SEND), Ok(1));
    });
}

// covers mach-ipc N17
#[test]
fn mod_refs_on_a_receive_right_refuses_other_kinds_of_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        for right in [SEND, SEND_ONCE, PORT_SET, DEAD_NAME, LABELH] {
            assert_eq!(w.mod_refs(a, p, right, -1), Err(KERN_INVALID_RIGHT));
        }
        for right in [UNKNOWN_RIGHT, UNKNOWN_RIGHT + 1] {
            assert_eq!(w.mod_refs(a, p, right, -1), Err(KERN_INVALID_VALUE));
        }
    });
}

// covers mach-ipc N18
#[test]
fn mod_refs_on_a_port_set_refuses_other_kinds_of_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let s = w.allocate(a, PORT_SET).unwrap();
        for right in [SEND, SEND_ONCE, RECEIVE, DEAD_NAME, LABELH] {
            assert_eq!(w.mod_refs(a, s, right, -1), Err(KERN_INVALID_RIGHT));
        }
        assert_eq!(w.mod_refs(a, s, UNKNOWN_RIGHT, -1), Err(KERN_INVALID_VALUE));
    });
}

// covers mach-ipc N19
#[test]
fn receive_rights_and_sets_have_exactly_one_reference() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, s) = (w.port(a), w.allocate(a, PORT_SET).unwrap());
        assert_eq!(w.mod_refs(a, p, RECEIVE, 1), Err(KERN_INVALID_VALUE));
        assert_eq!(w.mod_refs(a, p, RECEIVE, 0), Ok(()));
        assert_eq!(w.mod_refs(a, s, PORT_SET, -2), Err(KERN_INVALID_VALUE));
        assert_eq!(w.mod_refs(a, s, PORT_SET, 0), Ok(()));
        assert_eq!((w.port_type(a, p), w.port_type(a, s)), (Ok(PortType::RECEIVE), Ok(PortType::PORT_SET)));
    });
}

// covers mach-ipc N20
#[test]
fn a_set_whose_members_died_can_be_deallocated() {
    in_both_forms(|mut w| {
        let a = w.task();
        let s = w.allocate(a, PORT_SET).unwrap();
        let members: Vec<_> = (0..4).map(|_| w.port(a)).collect();
        for &p in &members {
            w.insert_member(a, p, s).unwrap();
        }
        for &p in &members {
            w.mod_refs(a, p, RECEIVE, -1).unwrap();
        }
        assert_eq!(w.deallocate(a, s), Ok(()));
        assert_eq!(w.port_type(a, s), Err(KERN_INVALID_NAME));
    });
}

// covers mach-ipc N21
#[test]
fn dropping_a_send_once_right_notifies_its_port() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        let once = make_once(&mut w, a, p);
        assert_eq!(w.mod_refs(a, once, SEND_ONCE, 1), Err(KERN_INVALID_VALUE));
        assert_eq!(w.mod_refs(a, once, SEND_ONCE, -1), Ok(()));
        w.notification(a, p, MACH_NOTIFY_SEND_ONCE);
        assert_eq!(w.status(a, p).mps_sorights, 0);
    });
}

// covers mach-ipc N22
#[test]
fn a_dead_name_can_be_allocated_counted_and_destroyed() {
    in_both_forms(|mut w| {
        let a = w.task();
        let d = w.allocate(a, DEAD_NAME).unwrap();
        assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(1));
        assert_eq!(w.mod_refs(a, d, DEAD_NAME, 4), Ok(()));
        assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(5));
        assert_eq!(w.destroy(a, d), Ok(()));
        assert_eq!(w.port_type(a, d), Err(KERN_INVALID_NAME));
    });
}

// covers mach-ipc N23
#[test]
fn a_send_right_cannot_be_inserted_under_a_second_or_malformed_name() {
    let mut w = World::new();
    let a = w.task();
    let (p, p2) = (w.port_with_send(a), w.port(a));
    assert_eq!(w.insert_right(a, PortName::new(0, 123), p, D::MAKE_SEND), Err(KERN_FAILURE));
    assert_eq!(w.insert_right(a, PortName::new(0, 122), p, D::MAKE_SEND), Err(KERN_INVALID_VALUE));
    assert_eq!(w.insert_right(a, p, p2, D::MAKE_SEND), Err(KERN_RIGHT_EXISTS));
    assert_eq!((w.get_refs(a, p, SEND), w.get_srights(a, p)), (Ok(1), Ok(1)));
    assert_eq!(w.get_srights(a, p2), Ok(0));
}

// covers mach-ipc N24
#[test]
fn a_send_once_right_takes_a_free_chosen_name_or_is_destroyed() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    let chosen = CHOSEN_NAME;
    assert_eq!(w.insert_right(a, chosen, p, D::MAKE_SEND_ONCE), Ok(()));
    assert_eq!(w.port_type(a, chosen), Ok(PortType::SEND_ONCE));
    assert_eq!(w.insert_right(a, chosen, p, D::MAKE_SEND_ONCE), Err(KERN_NAME_EXISTS));
    w.notification(a, p, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(w.insert_right(a, CHOSEN_NAME_REUSED, p, D::MAKE_SEND_ONCE), Err(KERN_FAILURE));
    w.notification(a, p, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(w.status(a, p).mps_sorights, 1);
}

// covers mach-ipc N25
#[test]
fn copying_a_send_right_from_a_dead_name_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let d = w.allocate(a, DEAD_NAME).unwrap();
    assert_eq!(w.insert_right(a, d, d, D::COPY_SEND), Err(KERN_INVALID_CAPABILITY));
}

// covers mach-ipc N26
#[test]
fn making_a_send_right_from_a_port_set_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let s = w.allocate(a, PORT_SET).unwrap();
    assert_eq!(w.insert_right(a, s, s, D::MAKE_SEND), Err(KERN_INVALID_RIGHT));
}

/// mach-ipc 2.6: `insert_right` with the same name twice.
#[test]
fn copying_a_send_right_to_its_own_name_adds_a_reference() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (own, bare, (_, alone)) = (w.port_with_send(a), w.port(a), w.connect(a, b));
    let once = make_once(&mut w, a, bare);
    for name in [own, alone] {
        assert_eq!(w.insert_right(a, name, name, D::COPY_SEND), Ok(()));
        assert_eq!(w.get_refs(a, name, SEND), Ok(2));
    }
    assert_eq!((w.get_srights(a, own), w.status(a, own).mps_mscount), (Ok(1), 1));
    for name in [bare, once] {
        assert_eq!(w.insert_right(a, name, name, D::COPY_SEND), Err(KERN_INVALID_RIGHT));
    }
    for name in [alone, once] {
        assert_eq!(w.insert_right(a, name, name, D::MAKE_SEND), Err(KERN_INVALID_RIGHT));
    }
    assert_eq!(w.insert_right(a, UNUSED_NAME, UNUSED_NAME, D::MAKE_SEND), Err(KERN_INVALID_NAME));
}

/// mach-ipc 2.6: a right can move to another name, even to one beyond the end of the name table.
#[test]
fn insert_right_can_move_a_right_to_another_name() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let (bare, (_, alone)) = (w.port(a), w.connect(a, b));
        let once = make_once(&mut w, a, bare);
        let moves = [(alone, D::MOVE_SEND), (once, D::MOVE_SEND_ONCE), (bare, D::MOVE_RECEIVE)];
        for (chosen, (old, disposition)) in [CHOSEN_NAME, FAR_NAME, FARTHER_NAME].into_iter().zip(moves) {
            let kind = w.port_type(a, old);
            assert_eq!(w.insert_right(a, chosen, old, disposition), Ok(()), "{disposition:?}");
            assert_eq!((w.port_type(a, chosen), w.port_type(a, old)), (kind, Err(KERN_INVALID_NAME)));
        }
        w.send(a, &Msg::to(FAR_NAME, D::MOVE_SEND_ONCE).id(26)).unwrap();
        assert_eq!(w.poll(a, FARTHER_NAME).unwrap().header.msgh_id, 26);
    });
}

/// mach-ipc 2.6: the first rows of its table. A trap looks up the null and dead names, and finds no right.
#[test]
fn inserting_a_null_or_dead_right_is_refused() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, free) = (w.port(a), CHOSEN_NAME);
        let by_trap = w.form == Form::Trap;
        for name in [MACH_PORT_NULL, MACH_PORT_DEAD] {
            assert_eq!(w.insert_right(a, name, p, D::MAKE_SEND_ONCE), Err(KERN_INVALID_VALUE));
            w.notification(a, p, MACH_NOTIFY_SEND_ONCE);
            let no_right = if by_trap { KERN_INVALID_NAME } else { KERN_INVALID_CAPABILITY };
            for disposition in [D::MAKE_SEND, D::COPY_SEND, D::MOVE_SEND_ONCE, D::MOVE_RECEIVE] {
                assert_eq!(w.insert_right(a, free, name, disposition), Err(no_right));
            }
            let no_kind = if by_trap { KERN_INVALID_NAME } else { KERN_INVALID_VALUE };
            for disposition in [D::NONE, BEFORE_DISPOSITIONS, BEHIND_DISPOSITIONS] {
                assert_eq!(w.insert_right(a, free, name, disposition), Err(no_kind));
            }
        }
        assert_eq!(w.port_type(a, free), Err(KERN_INVALID_NAME));
        assert_eq!(w.status(a, p).mps_sorights, 0);
    });
}
