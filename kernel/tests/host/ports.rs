//! Calls on ports: construct and destruct, attributes, inserting and extracting rights (mach-ipc 9.2).

use crate::calls::{CHOSEN_NAME, CHOSEN_NAME_REUSED, SEND_RECEIVE, UNUSED_NAME, in_both_forms};
use crate::message::Msg;
use crate::world::{Actor, World};
use abi::code::*;
use abi::message::*;
use abi::mig::mach_port as mig;
use abi::port::Disposition as D;
use abi::port::PortStatusFlags as Flags;
use abi::port::*;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::limits::Limits;

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;
const PORT_SET: u32 = MACH_PORT_RIGHT_PORT_SET;
/// The results of `mach_port_type` for a dead name and for a free one.
const DEAD: Result<PortType, KernReturn> = Ok(PortType::DEAD_NAME);
pub const FREE: Result<PortType, KernReturn> = Err(KERN_INVALID_NAME);
/// A disposition behind the last one.
const UNKNOWN_DISPOSITION: D = D(D::MAKE_SEND_ONCE.0 + 1);

/// Returns options of `mach_port_construct` with only these flags.
pub fn options(flags: ConstructFlags) -> PortOptions {
    PortOptions { flags: flags.bits(), ..PortOptions::default() }
}

/// Creates a task A and a port of A with one send right and a no-senders request; returns also the notify port.
fn with_no_senders_request(w: &mut World) -> (Actor, PortName, PortName) {
    let a = w.task();
    let (p, n) = (w.port_with_send(a), w.port(a));
    w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    w.expect_empty(a, n);
    (a, p, n)
}

/// Tries to send a receive right from a task to itself.
pub fn send_receive_right(w: &mut World, a: Actor, p: PortName) -> Result<(), KernReturn> {
    let mailbox = w.port(a);
    let sent = w.send(a, &Msg::to(mailbox, D::MAKE_SEND).port(p, D::MOVE_RECEIVE));
    assert_eq!(w.poll(a, mailbox).is_ok(), sent.is_ok());
    sent
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
        assert_eq!(w.construct(a, limited(MACH_PORT_QLIMIT_MAX + 1), 0), Err(KERN_INVALID_VALUE));
        assert_eq!((w.names(a), w.counts().ports), (names, ports));
        let p = w.construct(a, limited(MACH_PORT_QLIMIT_MAX), 0).unwrap();
        assert_eq!(w.status(a, p).mps_qlimit, MACH_PORT_QLIMIT_MAX);
    });
}

/// mach-ipc 2.3: options, the status that they lead to, and the context that can be read.
#[test]
fn construct_applies_its_flags() {
    const NO_EFFECT: u32 = 0xFFFF_F000 | ConstructFlags::FILTER_MSG.bits();
    let guard = ConstructFlags::CONTEXT_AS_GUARD;
    let immovable = guard | ConstructFlags::IMMOVABLE_RECEIVE;
    let receivers = ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::DENAP_RECEIVER;
    let rows = [
        (ConstructFlags::TEMPOWNER, Flags::TEMPOWNER | Flags::IMP_DONATION, 9),
        (ConstructFlags::IMPORTANCE_RECEIVER, Flags::IMP_DONATION, 9),
        (ConstructFlags::DENAP_RECEIVER, Flags::IMP_DONATION, 9),
        (ConstructFlags::TEMPOWNER | receivers, Flags::TEMPOWNER | Flags::IMP_DONATION, 9),
        (guard, Flags::GUARDED, 9),
        (guard | ConstructFlags::STRICT, Flags::GUARDED | Flags::STRICT_GUARD, 0),
        (immovable, Flags::GUARDED | Flags::GUARD_IMMOVABLE_RECEIVE, 9),
        (ConstructFlags::STRICT | ConstructFlags::IMMOVABLE_RECEIVE, Flags::empty(), 9),
        (ConstructFlags::from_bits_retain(NO_EFFECT), Flags::empty(), 9),
    ];
    in_both_forms(|mut w| {
        let a = w.task();
        for (flags, status, context) in rows {
            let p = w.construct(a, options(flags), 9).unwrap();
            assert_eq!((w.status_flags(a, p), w.get_context(a, p)), (status, Ok(context)), "{flags:?}");
            let movable = if flags == immovable { Err(MACH_SEND_INVALID_RIGHT) } else { Ok(()) };
            assert_eq!(send_receive_right(&mut w, a, p), movable, "{flags:?}");
        }
    });
}

/// mach-ipc 2.3.
#[test]
fn construct_refuses_flags_of_services_that_tally_lacks() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (names, ports) = (w.names(a), w.counts().ports);
        let (tracking, service) = (ConstructFlags::TG_BLOCK_TRACKING, ConstructFlags::SERVICE_PORT);
        let connection = ConstructFlags::CONNECTION_PORT;
        let rows = [
            (tracking, KERN_DENIED),
            (service, KERN_DENIED),
            (connection, KERN_INVALID_ARGUMENT),
            (tracking | service, KERN_INVALID_ARGUMENT),
            (tracking | service | connection, KERN_INVALID_ARGUMENT),
        ];
        for (flags, code) in rows {
            assert_eq!(w.construct(a, options(flags), 0), Err(code), "{flags:?}");
        }
        assert_eq!((w.names(a), w.counts().ports), (names, ports));
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
    const MAX: u32 = MACH_PORT_QLIMIT_MAX;
    for (limit, result, now) in [(0, Ok(()), 0), (MAX, Ok(()), MAX), (MAX + 1, Err(KERN_INVALID_VALUE), MAX)] {
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
    const NAMES_MAX: u32 = 64;
    let mut w = World::with_limits(Limits { names_per_task: NAMES_MAX, ..Limits::default() });
    let a = w.task();
    let allocate_name = |w: &mut World, right, name: PortName| {
        w.mig(a, a.self_port, mig::ALLOCATE_NAME, &[right, name.0]).map(|results| assert_eq!(results, []))
    };
    for (right, name, kind) in [
        (RECEIVE, CHOSEN_NAME, PortType::RECEIVE),
        (PORT_SET, PortName::new(51, 3), PortType::PORT_SET),
        (DEAD_NAME, PortName::new(52, 15), PortType::DEAD_NAME),
    ] {
        assert_eq!(allocate_name(&mut w, right, name), Ok(()));
        assert_eq!(w.port_type(a, name), Ok(kind));
    }
    let before = w.names(a);
    let refused = [
        (SEND, PortName::new(53, 3), KERN_INVALID_VALUE),
        (RECEIVE, MACH_PORT_NULL, KERN_INVALID_VALUE),
        (RECEIVE, MACH_PORT_DEAD, KERN_INVALID_VALUE),
        (RECEIVE, PortName::new(NAMES_MAX, 3), KERN_NO_SPACE),
        (RECEIVE, PortName::new(NAMES_MAX, 0), KERN_NO_SPACE),
        (RECEIVE, PortName::new(53, 2), KERN_INVALID_VALUE),
        (RECEIVE, PortName::new(0, 3), KERN_FAILURE),
        (RECEIVE, CHOSEN_NAME_REUSED, KERN_FAILURE),
        (RECEIVE, CHOSEN_NAME, KERN_NAME_EXISTS),
    ];
    for (right, name, code) in refused {
        assert_eq!(allocate_name(&mut w, right, name), Err(code), "{name:?}");
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
        assert_eq!(w.status_flags(a, p), Flags::IMP_DONATION);
    }
    assert_eq!(w.set_attributes(a, denap, MACH_PORT_DENAP_RECEIVER, &[]), Ok(()));
    assert_eq!(w.status_flags(a, denap), Flags::IMP_DONATION);
}

// covers mach-ipc P12
#[test]
fn a_port_with_a_temporary_owner_is_an_importance_receiver() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    assert_eq!(w.set_attributes(a, p, MACH_PORT_TEMPOWNER, &[]), Ok(()));
    assert_eq!(w.status_flags(a, p), Flags::TEMPOWNER | Flags::IMP_DONATION);
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

// covers mach-ipc P17
#[test]
fn mach_port_kobject_reveals_the_kind_but_not_the_address() {
    let mut w = World::new();
    let a = w.task();
    let (host, thread) = (w.trap(a, mach::HOST_SELF, &[]).name(), w.thread_self(a));
    let (own, send) = (w.port(a), w.port_with_send(a));
    let kobject = |w: &mut World, name: PortName| w.mig(a, a.self_port, mig::KOBJECT, &[name.0]);
    let voucher = w.make_voucher(a, &[crate::vouchers::current_task()]).unwrap();
    let objects = [(host, ikot::HOST), (thread, ikot::THREAD_CONTROL), (voucher, ikot::VOUCHER)];
    let kinds = [(a.self_port, ikot::TASK_CONTROL)].into_iter().chain(objects);
    for (name, kind) in kinds.chain([(own, ikot::NONE), (send, ikot::NONE)]) {
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
    assert_eq!(w.extract_right(a, p, UNKNOWN_DISPOSITION), Err(KERN_INVALID_VALUE));
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
    const UNMAPPED: u64 = 0x10;
    let args = [u64::from(a.self_port.0), u64::from(RECEIVE), UNMAPPED];
    assert_eq!(w.call(a, mach::MACH_PORT_ALLOCATE, &args), Err(KERN_MEMORY_ERROR));
    let new: Vec<_> = w.names(a).into_iter().filter(|name| !before.contains(name)).collect();
    assert!(matches!(new[..], [(_, PortType::RECEIVE)]), "one more port: {new:?}");
}
