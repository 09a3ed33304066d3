//! Counters at their ends: what follows on the greatest number (`docs/design/counters.md`).

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER_SIZE, RESULT, Ret, World};
use abi::code::*;
use abi::message::{MACH_NOTIFY_NO_SENDERS, MsgOption};
use abi::mig::{REPLY_ID_OFFSET, mach_port as mig};
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::unix::UL_COMPARE_AND_WAIT;
use abi::trap::{SWITCH_OPTION_DEPRESS, SWITCH_OPTION_WAIT, mach, unix};
use kernel::limits::Limits;
use kernel::machine::Nanos;

const MICROSECOND: Nanos = 1000;
const MILLISECOND: Nanos = 1_000_000;

/// Runs a test with and without the fast path.
fn with_and_without_shortcuts(test: impl Fn(World)) {
    [true, false].into_iter().for_each(|shortcuts| test(World::with_limits(Limits { shortcuts, ..Limits::default() })));
}

#[test]
fn zero_follows_the_greatest_sequence_number() {
    with_and_without_shortcuts(|mut w| {
        let (a, b) = (w.task(), w.task());
        let (port, send) = w.connect(b, a);
        w.mig(a, a.self_port, mig::SET_SEQNO, &[port.0, u32::MAX - 1]).unwrap();
        for number in [u32::MAX - 1, u32::MAX, 0, 1] {
            w.send(b, &Msg::copy_send(send)).unwrap();
            assert_eq!({ w.poll(a, port).unwrap().trailer().msgh_seqno }, number);
        }
        // A receiver that waits gets its message at once.
        w.mig(a, a.self_port, mig::SET_SEQNO, &[port.0, u32::MAX]).unwrap();
        for number in [0, 1] {
            assert_eq!(w.receive(a, port, MsgOption::empty()), Ret::Blocked);
            w.send(b, &Msg::copy_send(send)).unwrap();
            assert_eq!(w.status(a, port).mps_seqno, number);
        }
    });
}

#[test]
fn zero_follows_the_greatest_make_send_count_and_no_senders_tells_it() {
    let mut w = World::new();
    let a = w.task();
    let (port, notify) = (w.port(a), w.port(a));
    w.mig(a, a.self_port, mig::SET_MSCOUNT, &[port.0, u32::MAX]).unwrap();
    for count in [0, 1] {
        w.insert_right(a, port, port, D::MAKE_SEND).unwrap();
        assert_eq!(w.status(a, port).mps_mscount, count);
    }
    w.request(a, port, MACH_NOTIFY_NO_SENDERS, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    w.mod_refs(a, port, MACH_PORT_RIGHT_SEND, -2).unwrap();
    let told = w.poll(a, notify).unwrap();
    assert_eq!((told.header.msgh_id, told.words()[2]), (MACH_NOTIFY_NO_SENDERS, 1));
}

#[test]
fn user_references_stop_at_their_maximum_and_stay_there() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let maximum = u32::from(MACH_PORT_UREFS_MAX);
    w.mod_refs(a, port, MACH_PORT_RIGHT_SEND, i32::from(MACH_PORT_UREFS_MAX) - 2).unwrap();
    for expected in [maximum - 1, maximum, maximum] {
        assert_eq!(w.get_refs(a, port, MACH_PORT_RIGHT_SEND), Ok(expected));
        w.insert_right(a, port, port, D::MAKE_SEND).unwrap();
    }
    assert_eq!(w.get_srights(a, port), Ok(1), "one name is one right, however often it is referred to");
}

#[test]
fn the_id_of_a_reply_goes_around() {
    let mut w = World::new();
    let a = w.task();
    let reply = w.port(a);
    let request = Msg::copy_send(a.self_port).id(i32::MAX).reply_to(reply, D::MAKE_SEND_ONCE);
    w.send(a, &request).unwrap();
    assert_eq!(w.poll(a, reply).unwrap().header.msgh_id, i32::MIN + (REPLY_ID_OFFSET - 1));
}

#[test]
fn the_longest_times_of_all_calls_are_waited_for() {
    const LONGEST: u64 = u32::MAX as u64;
    let mut w = World::new();
    let a = w.task();
    let port = w.port(a);
    w.put(a, RESULT, &7u32.to_le_bytes());
    let word = w.result(a);
    let receive = MachMsg {
        options: MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT,
        receive_size: BUFFER_SIZE,
        receive_name: port,
        timeout: u32::MAX,
        ..MachMsg::default()
    };
    type Begin<'a> = &'a dyn Fn(&mut World, Actor) -> Ret;
    let calls: [(Begin<'_>, Nanos); 4] = [
        (&|w, a| w.mach_msg(a, &receive), LONGEST * MILLISECOND),
        (&|w, a| w.trap(a, unix::ULOCK_WAIT, &[UL_COMPARE_AND_WAIT.into(), word, 7, LONGEST]), LONGEST * MICROSECOND),
        (&|w, a| w.trap(a, mach::THREAD_SWITCH, &[0, SWITCH_OPTION_WAIT.into(), LONGEST]), LONGEST * MILLISECOND),
        (&|w, a| w.trap(a, mach::MACH_WAIT_UNTIL, &[u64::MAX - 1]), Nanos::MAX),
    ];
    for (begin, time) in calls {
        assert_eq!(begin(&mut w, a), Ret::Blocked);
        if time == Nanos::MAX {
            w.advance(LONGEST * MILLISECOND);
            assert_eq!(w.state(a), Ret::Blocked, "the time does not come");
        } else {
            w.advance(time - 1);
            assert_eq!(w.state(a), Ret::Blocked);
            w.advance(1);
            assert_ne!(w.state(a), Ret::Blocked);
        }
    }
}

#[test]
fn the_last_times_never_come() {
    for until in [u64::MAX - 1, u64::MAX] {
        let mut w = World::new();
        let a = w.task();
        assert_eq!(w.trap(a, mach::MACH_WAIT_UNTIL, &[until]), Ret::Blocked);
        w.advance(1 << 60);
        assert_eq!(w.state(a), Ret::Blocked, "{until:#x}");
    }
}

#[test]
fn the_longest_depression_ends() {
    let mut w = World::new();
    let a = w.task();
    let depress = [0, SWITCH_OPTION_DEPRESS.into(), u32::MAX.into()];
    assert_eq!(w.trap(a, mach::THREAD_SWITCH, &depress).code(), KERN_SUCCESS);
    let level = |w: &World| w.kernel.sched[a.thread].schedule().priority;
    assert_eq!(level(&w), 0);
    w.advance(u64::from(u32::MAX) * MILLISECOND - 1);
    assert_eq!(level(&w), 0);
    w.advance(1);
    assert_ne!(level(&w), 0);
}
