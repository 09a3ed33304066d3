//! Calls on ports: making and ending them, attributes, guards, rights put in and taken out (mach-ipc 9.2).

use crate::calls::{CHOSEN_NAME, SEND_RECEIVE, UNUSED_NAME, halves, in_both_forms};
use crate::message::Msg;
use crate::world::{Actor, World};
use abi::code::*;
use abi::message::*;
use abi::mig::mach_port as mig;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::limits::Limits;

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;
const PORT_SET: u32 = MACH_PORT_RIGHT_PORT_SET;
/// A guard whose halves differ.
const LONG: u64 = 0x1122_3344_5566_7788;
const DEAD: Result<PortType, KernReturn> = Ok(PortType::DEAD_NAME);
/// A disposition behind the last one.
const NO_DISPOSITION: D = D(D::MAKE_SEND_ONCE.0 + 1);

const FREE: Result<PortType, KernReturn> = Err(KERN_INVALID_NAME);

fn options(flags: ConstructFlags) -> PortOptions {
    PortOptions { flags: flags.bits(), ..PortOptions::default() }
}

/// A's port with one send right, and where A will hear that its senders are gone.
fn with_no_senders_request(w: &mut World) -> (Actor, PortName, PortName) {
    let a = w.task();
    let (p, n) = (w.port_with_send(a), w.port(a));
    w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    w.expect_empty(a, n);
    (a, p, n)
}

/// Tries to send away a receive right, to a mailbox of one's own.
fn send_receive_right(w: &mut World, a: Actor, p: PortName) -> Result<(), KernReturn> {
    let mailbox = w.port(a);
    let sent = w.send(a, &Msg::to(mailbox, D::MAKE_SEND).port(p, D::MOVE_RECEIVE));
    assert_eq!(w.poll(a, mailbox).is_ok(), sent.is_ok());
    sent
}

fn guard_with_flags(w: &mut World, a: Actor, p: PortName, guard: u64, flags: u64) -> Result<(), KernReturn> {
    let ([low, high], [flags_low, flags_high]) = (halves(guard), halves(flags));
    w.mig(a, a.self_port, mig::GUARD_WITH_FLAGS, &[p.0, low, high, flags_low, flags_high]).map(|_| ())
}

fn swap_guard(w: &mut World, a: Actor, p: PortName, old: u64, new: u64) -> Result<(), KernReturn> {
    let ([old_low, old_high], [low, high]) = (halves(old), halves(new));
    w.mig(a, a.self_port, mig::SWAP_GUARD, &[p.0, old_low, old_high, low, high]).map(|_| ())
}

// covers mach-ipc P01
#[test]
fn construct_can_insert_a_send_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.construct(a, options(ConstructFlags::INSERT_SEND_RIGHT), 0).unwrap();
        assert_eq!(w.port_type(a, p), Ok(SEND_RECEIVE));
        assert_eq!(w.get_refs(a, p, SEND), Ok(1));
        let status = w.status(a, p);
        assert_eq!((status.mps_mscount, status.mps_srights), (1, 1));
    });
}

// covers mach-ipc P02
#[test]
fn construct_refuses_a_queue_limit_above_the_maximum() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (names, ports) = (w.names(a), w.counts().ports);
        let limited = |mpl_qlimit| PortOptions { mpl_qlimit, ..options(ConstructFlags::QLIMIT) };
        assert_eq!(w.construct(a, limited(1025), 0), Err(KERN_INVALID_VALUE));
        assert_eq!((w.names(a), w.counts().ports), (names, ports));
        let p = w.construct(a, limited(1024), 0).unwrap();
        assert_eq!(w.status(a, p).mps_qlimit, 1024);
    });
}

/// mach-ipc 2.3.
#[test]
fn construct_applies_its_flags() {
    in_both_forms(|mut w| {
        let a = w.task();
        let rows = [
            (0x04, 0x09, 9),
            (0x08, 0x08, 9),
            (0x40, 0x08, 9),
            (0x4C, 0x09, 9),
            (0x01, 0x02, 9),
            (0x21, 0x06, 0),
            (0x81, 0x42, 9),
            (0x20 | 0x80, 0, 9),
            (0xFFFF_F100, 0, 9),
        ];
        for (flags, status, context) in rows {
            let p = w.construct(a, PortOptions { flags, ..PortOptions::default() }, 9).unwrap();
            assert_eq!((w.status(a, p).mps_flags, w.get_context(a, p)), (status, Ok(context)), "{flags:x}");
            let movable = if flags == 0x81 { Err(MACH_SEND_INVALID_RIGHT) } else { Ok(()) };
            assert_eq!(send_receive_right(&mut w, a, p), movable, "{flags:x}");
        }
    });
}

/// mach-ipc 2.3: services that Tally does not have.
#[test]
fn construct_refuses_flags_of_services_that_tally_lacks() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (names, ports) = (w.names(a), w.counts().ports);
        let rows = [
            (0x200, KERN_DENIED),
            (0x400, KERN_DENIED),
            (0x800, KERN_INVALID_ARGUMENT),
            (0x600, KERN_INVALID_ARGUMENT),
            (0xE00, KERN_INVALID_ARGUMENT),
        ];
        for (flags, code) in rows {
            let options = PortOptions { flags, ..PortOptions::default() };
            assert_eq!(w.construct(a, options, 0), Err(code), "{flags:x}");
        }
        assert_eq!((w.names(a), w.counts().ports), (names, ports));
    });
}

// covers mach-ipc P03
#[test]
fn a_strict_guard_hides_the_context_and_must_be_presented() {
    in_both_forms(|mut w| {
        let a = w.task();
        let flags = ConstructFlags::CONTEXT_AS_GUARD | ConstructFlags::STRICT;
        let p = w.construct(a, options(flags), 0x1234).unwrap();
        assert_eq!(w.get_context(a, p), Ok(0));
        assert_eq!(w.set_context(a, p, 5), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.destruct(a, p, 0, 1), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
        assert_eq!(w.destruct(a, p, 0, 0x1234), Ok(()));
        assert_eq!(w.port_type(a, p), FREE);
    });
}

// covers mach-ipc P04
#[test]
fn destruct_drops_the_send_right_before_the_port_dies() {
    in_both_forms(|mut w| {
        let (a, p, n) = with_no_senders_request(&mut w);
        assert_eq!(w.destruct(a, p, -1, 0), Ok(()));
        assert_eq!(w.port_type(a, p), FREE);
        assert_eq!(w.notification(a, n, MACH_NOTIFY_NO_SENDERS), 1);
        w.expect_empty(a, n);
    });
}

// covers mach-ipc P05
#[test]
fn the_death_of_a_port_destroys_its_no_senders_request() {
    in_both_forms(|mut w| {
        let (a, p, n) = with_no_senders_request(&mut w);
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Ok(()));
        assert_eq!((w.port_type(a, p), w.get_refs(a, p, DEAD_NAME)), (DEAD, Ok(1)));
        w.notification(a, n, MACH_NOTIFY_SEND_ONCE);
        w.expect_empty(a, n);
    });
}

/// mach-ipc 2.4.
#[test]
fn destroying_a_name_drops_its_send_right_before_the_port_dies() {
    in_both_forms(|mut w| {
        let (a, p, n) = with_no_senders_request(&mut w);
        assert_eq!(w.destroy(a, p), Ok(()));
        assert_eq!(w.port_type(a, p), FREE);
        assert_eq!(w.notification(a, n, MACH_NOTIFY_NO_SENDERS), 1);
        w.expect_empty(a, n);
    });
}

// covers mach-ipc P06
#[test]
fn destruct_refuses_a_delta_out_of_range() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port_with_send(a);
        let before = w.status(a, p);
        for delta in [-2, 1] {
            assert_eq!(w.destruct(a, p, delta, 0), Err(KERN_INVALID_VALUE));
        }
        assert_eq!((w.port_type(a, p), w.get_refs(a, p, SEND)), (Ok(SEND_RECEIVE), Ok(1)));
        assert_eq!(w.status(a, p), before);
    });
}

// covers mach-ipc P07
#[test]
fn destruct_refuses_a_delta_without_a_send_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        assert_eq!(w.destruct(a, p, -1, 0), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
    });
}

// covers mach-ipc P08
#[test]
fn get_attributes_needs_room_and_a_readable_flavor() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port_with_send(a);
        assert_eq!(w.get_attributes(a, p, MACH_PORT_RECEIVE_STATUS, 9), Err(KERN_FAILURE));
        let status = w.get_attributes(a, p, MACH_PORT_RECEIVE_STATUS, 10).unwrap();
        assert_eq!(status, [0, 0, 1, 5, 0, 0, 1, 0, 0, 0]);
        assert_eq!(w.get_attributes(a, p, MACH_PORT_INFO_EXT, 16), Err(KERN_FAILURE));
        let extended = w.get_attributes(a, p, MACH_PORT_INFO_EXT, 17).unwrap();
        assert_eq!((&extended[..10], &extended[10..]), (&status[..], &[0; 7][..]));
        assert_eq!(w.get_attributes(a, p, MACH_PORT_TEMPOWNER, 0), Err(KERN_INVALID_ARGUMENT));
    });
}

// covers mach-ipc P09
#[test]
fn only_the_receiver_may_read_attributes() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let (_, send_only) = w.connect(a, b);
        let status = |w: &mut World, name| w.get_attributes(a, name, MACH_PORT_RECEIVE_STATUS, 10);
        assert_eq!(status(&mut w, send_only), Err(KERN_INVALID_RIGHT));
        let allocated = w.allocate(a, DEAD_NAME).unwrap();
        let died = w.port_with_send(a);
        w.mod_refs(a, died, RECEIVE, -1).unwrap();
        for dead in [allocated, died] {
            assert_eq!(status(&mut w, dead), Err(KERN_INVALID_NAME));
        }
    });
}

// covers mach-ipc P10
#[test]
fn a_queue_limit_above_the_maximum_is_refused() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    for (limit, result, now) in [(0, Ok(()), 0), (1024, Ok(()), 1024), (1025, Err(KERN_INVALID_VALUE), 1024)] {
        assert_eq!(w.set_attributes(a, p, MACH_PORT_LIMITS_INFO, &[limit]), result);
        assert_eq!(w.get_attributes(a, p, MACH_PORT_LIMITS_INFO, 1), Ok(vec![now]));
    }
    assert_eq!(w.set_attributes(a, p, MACH_PORT_LIMITS_INFO, &[]), Err(KERN_FAILURE));
}

/// mach-ipc 2.7, 2.11.
#[test]
fn only_the_receiver_may_set_make_send_count_and_sequence_number() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let p = w.port(a);
    let (_, send_only) = w.connect(a, b);
    for id in [mig::SET_MSCOUNT, mig::SET_SEQNO] {
        let wrong = [(MACH_PORT_NULL, KERN_INVALID_RIGHT), (UNUSED_NAME, KERN_INVALID_NAME)];
        for (name, code) in wrong.into_iter().chain([(send_only, KERN_INVALID_RIGHT)]) {
            assert_eq!(w.mig(a, a.self_port, id, &[name.0, 41]), Err(code));
        }
        assert_eq!(w.mig(a, a.self_port, id, &[p.0, 41]), Ok(vec![]));
    }
    assert_eq!((w.status(a, p).mps_mscount, w.status(a, p).mps_seqno), (41, 41));
    w.send(a, &Msg::to(p, D::MAKE_SEND)).unwrap();
    assert_eq!({ w.poll(a, p).unwrap().trailer().msgh_seqno }, 41);
    assert_eq!((w.status(a, p).mps_mscount, w.status(a, p).mps_seqno), (42, 42));
}

/// mach-ipc 2.2.
#[test]
fn a_name_can_be_chosen_if_it_is_free_and_well_formed() {
    let mut w = World::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let a = w.task();
    let allocate_name = |w: &mut World, right, name| {
        w.mig(a, a.self_port, mig::ALLOCATE_NAME, &[right, name]).map(|results| assert_eq!(results, []))
    };
    for (right, name, kind) in [
        (RECEIVE, 0x3203, PortType::RECEIVE),
        (PORT_SET, 0x3303, PortType::PORT_SET),
        (DEAD_NAME, 0x340F, PortType::DEAD_NAME),
    ] {
        assert_eq!(allocate_name(&mut w, right, name), Ok(()));
        assert_eq!(w.port_type(a, PortName(name)), Ok(kind));
    }
    let before = w.names(a);
    let refused = [
        (SEND, 0x3503, KERN_INVALID_VALUE),
        (RECEIVE, 0, KERN_INVALID_VALUE),
        (RECEIVE, u32::MAX, KERN_INVALID_VALUE),
        (RECEIVE, 64 << 8 | 3, KERN_NO_SPACE),
        (RECEIVE, 64 << 8, KERN_NO_SPACE),
        (RECEIVE, 0x3502, KERN_INVALID_VALUE),
        (RECEIVE, 0x0003, KERN_FAILURE),
        (RECEIVE, 0x3207, KERN_FAILURE),
        (RECEIVE, 0x3203, KERN_NAME_EXISTS),
    ];
    for (right, name, code) in refused {
        assert_eq!(allocate_name(&mut w, right, name), Err(code), "{name:x}");
    }
    assert_eq!(w.names(a), before);
}

// covers mach-ipc P11
#[test]
fn a_port_may_be_made_an_importance_receiver_repeatedly() {
    let mut w = World::new();
    let a = w.task();
    let (p, denap) = (w.port(a), w.port(a));
    for _ in 0..2 {
        assert_eq!(w.set_attributes(a, p, MACH_PORT_IMPORTANCE_RECEIVER, &[]), Ok(()));
        assert_eq!(w.status(a, p).mps_flags, 0x08);
    }
    assert_eq!(w.set_attributes(a, denap, MACH_PORT_DENAP_RECEIVER, &[]), Ok(()));
    assert_eq!(w.status(a, denap).mps_flags, 0x08);
}

// covers mach-ipc P12
#[test]
fn a_port_with_a_temporary_owner_is_an_importance_receiver() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    assert_eq!(w.set_attributes(a, p, MACH_PORT_TEMPOWNER, &[]), Ok(()));
    assert_eq!(w.status(a, p).mps_flags, 0x09);
}

// covers mach-ipc P14
#[test]
fn a_port_with_a_context_cannot_be_guarded() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        w.set_context(a, p, 7).unwrap();
        assert_eq!(w.guard(a, p, 1, false), Err(KERN_INVALID_ARGUMENT));
        assert_eq!((w.get_context(a, p), w.status(a, p).mps_flags), (Ok(7), 0));
    });
}

// covers mach-ipc P15
#[test]
fn an_immovable_receive_right_stays_immovable_after_unguard() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        assert_eq!(guard_with_flags(&mut w, a, p, 0x11, MPG_IMMOVABLE_RECEIVE), Ok(()));
        assert_eq!(w.status(a, p).mps_flags, 0x42);
        assert_eq!(swap_guard(&mut w, a, p, 0x11, 0xDE18), Ok(()));
        assert_eq!(w.unguard(a, p, 0xDE18), Ok(()));
        assert_eq!(send_receive_right(&mut w, a, p), Err(MACH_SEND_INVALID_RIGHT));
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
    });
}

#[test]
fn a_guard_must_be_presented_to_swap_or_remove_it() {
    in_both_forms(|mut w| {
        let a = w.task();
        let p = w.port(a);
        assert_eq!(w.unguard(a, p, 0), Err(KERN_INVALID_ARGUMENT), "not guarded");
        assert_eq!(w.guard(a, p, LONG, false), Ok(()));
        assert_eq!((w.get_context(a, p), w.status(a, p).mps_flags), (Ok(LONG), 0x02));
        assert_eq!(w.destroy(a, p), Err(KERN_INVALID_RIGHT));
        assert_eq!(w.unguard(a, p, LONG as u32 as u64), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(swap_guard(&mut w, a, p, LONG - 1, LONG), Err(KERN_INVALID_ARGUMENT));
        assert_eq!(swap_guard(&mut w, a, p, LONG, LONG + 1), Ok(()));
        assert_eq!(w.get_context(a, p), Ok(LONG + 1));
        assert_eq!(w.set_context(a, p, 0x33), Ok(()), "a guard that is not strict changes unknown");
        assert_eq!(w.unguard(a, p, 0x33), Ok(()));
        assert_eq!((w.get_context(a, p), w.status(a, p).mps_flags), (Ok(0), 0));
        assert_eq!(guard_with_flags(&mut w, a, p, LONG, MPG_STRICT), Ok(()));
        assert_eq!(w.status(a, p).mps_flags, 0x06);
        assert_eq!(swap_guard(&mut w, a, p, LONG, 1), Err(KERN_INVALID_ARGUMENT), "a strict guard is not swapped");
        assert_eq!(w.unguard(a, p, LONG), Ok(()));
        assert_eq!(w.guard(a, p, 0x44, true), Ok(()));
        assert_eq!(w.status(a, p).mps_flags, 0x06);
        assert_eq!(w.unguard(a, p, 0x44), Ok(()));
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Ok(()));
    });
}

/// mach-ipc 2.4.
#[test]
fn a_context_protects_from_destruction_only_as_a_guard() {
    let mut w = World::new();
    let a = w.task();
    let (context, guarded_by_none) = (w.port(a), w.port(a));
    w.set_context(a, context, 7).unwrap();
    w.guard(a, guarded_by_none, 0, false).unwrap();
    for name in [context, guarded_by_none] {
        assert_eq!(w.destroy(a, name), Ok(()));
    }
}

// covers mach-ipc P16
#[test]
fn rename_and_reset_link_are_not_supported() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    assert_eq!(w.mig(a, a.self_port, mig::RENAME, &[p.0, CHOSEN_NAME.0]), Err(KERN_NOT_SUPPORTED));
    assert_eq!(w.mig(a, a.self_port, mig::SPECIAL_REPLY_PORT_RESET_LINK, &[p.0]), Err(KERN_NOT_SUPPORTED));
    assert_eq!((w.port_type(a, p), w.port_type(a, CHOSEN_NAME)), (Ok(PortType::RECEIVE), FREE));
}

/// The parts of mach-ipc P17 that need no voucher.
#[test]
fn mach_port_kobject_reveals_the_kind_but_not_the_address() {
    let mut w = World::new();
    let a = w.task();
    let (host, thread) = (w.trap(a, mach::HOST_SELF, &[]).name(), w.thread_self(a));
    let (own, send) = (w.port(a), w.port_with_send(a));
    let kobject = |w: &mut World, name: PortName| w.mig(a, a.self_port, mig::KOBJECT, &[name.0]);
    for (name, kind) in [(a.self_port, 2), (host, 3), (thread, 1), (own, 0), (send, 0)] {
        assert_eq!(kobject(&mut w, name), Ok(vec![kind, 0, 0]));
    }
    let (dead, set) = (w.allocate(a, DEAD_NAME).unwrap(), w.allocate(a, PORT_SET).unwrap());
    assert_eq!(kobject(&mut w, dead), Err(KERN_INVALID_NAME));
    assert_eq!(kobject(&mut w, set), Err(KERN_INVALID_RIGHT));
}

// covers mach-ipc P18
#[test]
fn the_names_of_another_task_are_reached_only_by_message() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let b_task = w.task_port(a, b);
    let before = [a, b].map(|actor| w.names(actor));
    let args = [u64::from(b_task.0), u64::from(RECEIVE), w.result(a)];
    assert_eq!(w.call(a, mach::MACH_PORT_ALLOCATE, &args), Err(MACH_SEND_INVALID_DEST));
    assert_eq!([a, b].map(|actor| w.names(actor)), before);
    let name = PortName(w.mig(a, b_task, mig::ALLOCATE, &[RECEIVE]).unwrap()[0]);
    assert_eq!(w.port_type(b, name), Ok(PortType::RECEIVE));
    assert_eq!(w.names(a), before[0]);
}

// covers mach-ipc P19
#[test]
fn extract_right_returns_the_right_that_its_disposition_names() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    let before = w.names(a);
    let (once, kind) = w.extract_right(a, p, D::MAKE_SEND_ONCE).unwrap();
    assert!(before.iter().all(|&(name, _)| name != once), "{once:?} is a new name");
    assert_eq!((w.port_type(a, once), kind), (Ok(PortType::SEND_ONCE), D::PORT_SEND_ONCE));
    w.send(a, &Msg::to(once, D::MOVE_SEND_ONCE).id(19)).unwrap();
    assert_eq!(w.poll(a, p).unwrap().header.msgh_id, 19);
    assert_eq!(w.extract_right(a, p, NO_DISPOSITION), Err(KERN_INVALID_VALUE));
    assert_eq!(w.extract_right(a, MACH_PORT_NULL, D::COPY_SEND), Err(KERN_INVALID_RIGHT));
    assert_eq!(w.names(a), before);
}

// covers mach-ipc P20
#[test]
fn extract_right_from_a_dead_name_returns_dead() {
    let mut w = World::new();
    let a = w.task();
    let d = w.allocate(a, DEAD_NAME).unwrap();
    w.mod_refs(a, d, DEAD_NAME, 1).unwrap();
    assert_eq!(w.extract_right(a, d, D::MOVE_SEND), Ok((MACH_PORT_DEAD, D::PORT_SEND)));
    assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(1));
}

// covers mach-ipc P21
#[test]
fn a_receive_right_inserted_under_a_second_name_is_destroyed() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let (n, m) = (w.port_with_send(a), CHOSEN_NAME);
        let at_b = w.give_send(a, n, b);
        assert_eq!(w.insert_right(a, m, n, D::MOVE_RECEIVE), Err(KERN_RIGHT_EXISTS));
        assert_eq!(w.port_type(b, at_b), DEAD, "the port is destroyed");
        assert_eq!((w.port_type(a, n), w.port_type(a, m)), (DEAD, FREE));
    });
}

// covers mach-ipc P22
#[test]
fn allocate_keeps_a_port_whose_name_cannot_be_written() {
    let mut w = World::new();
    let a = w.task();
    let before = w.names(a);
    let args = [u64::from(a.self_port.0), u64::from(RECEIVE), 0x10];
    assert_eq!(w.call(a, mach::MACH_PORT_ALLOCATE, &args), Err(KERN_MEMORY_ERROR));
    let new: Vec<_> = w.names(a).into_iter().filter(|name| !before.contains(name)).collect();
    assert!(matches!(new[..], [(_, PortType::RECEIVE)]), "one more port: {new:?}");
}
