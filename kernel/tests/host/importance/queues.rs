//! Full queues, dead ports, destroyed messages (importance 10.2).

use super::*;
use crate::world::Ret;
use abi::code::*;
use abi::message::MACH_NOTIFY_SEND_POSSIBLE;

/// The default limit of a queue.
const LIMIT: u64 = MACH_PORT_QLIMIT_DEFAULT as u64;

/// Returns a world with A and B, B's port with `raised` messages of A, and A's name for it.
fn queued(raised: u64) -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    (0..raised).for_each(|_| w.ping(a, to_b));
    (w, a, b, port, to_b)
}

/// Returns the same with a sixth message of A, which is blocked.
fn blocked() -> (World, Actor, Actor, PortName, PortName) {
    let (mut w, a, b, port, to_b) = queued(LIMIT);
    assert_eq!(w.send_with(a, &Msg::copy_send(to_b), MsgOption::empty(), 0), Ret::Blocked);
    (w, a, b, port, to_b)
}

// covers importance E20
#[test]
fn a_send_that_finds_no_room_leaves_no_boost() {
    let (mut w, a, b, port, to_b) = queued(LIMIT);
    assert_eq!(w.try_send(a, &Msg::copy_send(to_b)), Err(MACH_SEND_TIMED_OUT));
    assert_eq!((w.on_port(b, port), w.boosts(b), w.element_refs(a)), (5, (5, (0, 0), 31), 6));
}

// covers importance E21 E22
#[test]
fn a_blocked_sender_boosts_already() {
    let (mut w, a, b, port, _) = blocked();
    assert_eq!((w.on_port(b, port), w.boosts(b)), (6, (6, (0, 0), 31)));
    assert_eq!((w.state(a), w.status(b, port).mps_msgcount), (Ret::Blocked, 5));
    w.take(b, port);
    assert_eq!((w.on_port(b, port), w.boosts(b)), (5, (6, (1, 0), 31)));
    assert_eq!((w.state(a).code(), w.status(b, port).mps_msgcount), (MACH_MSG_SUCCESS, 5), "the sixth is queued");
}

// covers importance E23
#[test]
fn an_interrupted_sender_takes_its_boost_back() {
    let (mut w, a, b, port, to_b) = queued(LIMIT);
    let (waker, control) = (w.thread(a), w.thread_self(a));
    assert_eq!(w.send_with(a, &Msg::copy_send(to_b), MsgOption::empty(), 0), Ret::Blocked);
    w.thread_abort(waker, control);
    assert_eq!(w.state(a).code(), MACH_SEND_INTERRUPTED);
    assert_eq!((w.on_port(b, port), w.boosts(b)), (5, (5, (0, 0), 31)));
}

// covers importance E24
#[test]
fn the_death_of_the_port_ends_the_boost_of_a_blocked_sender() {
    let (mut w, a, b, port, _) = blocked();
    w.destroy(b, port).unwrap();
    assert_eq!((w.state(a).code(), w.boosts(b), w.element_refs(a)), (MACH_MSG_SUCCESS, IDLE, 1));
}

// covers importance E25
#[test]
fn the_death_of_a_port_ends_its_boosts() {
    let (mut w, a, b, port, _) = queued(3);
    assert_eq!(w.boosts(b).0, 3);
    w.destroy(b, port).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a), w.counts().messages), (IDLE, 1, 0));
}

/// Errata 7: the send succeeds only if the port dies after the copy-in, here while its sender waits for room.
// covers importance E26
#[test]
fn a_message_to_a_dead_port_carries_nothing() {
    let (mut w, a, b, port, to_b) = queued(0);
    w.destroy(b, port).unwrap();
    let before = w.counts();
    assert_eq!(w.send(a, &Msg::copy_send(to_b)), Err(MACH_SEND_INVALID_DEST));
    assert_eq!((w.element_refs(a), w.boosts(a), w.boosts(b)), (1, IDLE_APP, IDLE));
    assert_eq!(w.counts(), before, "nothing else");
    let (port, to_b) = w.donation_path(a, b);
    w.set_qlimit(b, port, 0).unwrap();
    assert_eq!(w.send_with(a, &Msg::copy_send(to_b), MsgOption::empty(), 0), Ret::Blocked);
    w.destroy(b, port).unwrap();
    assert_eq!(w.state(a).code(), MACH_MSG_SUCCESS);
    assert_eq!((w.element_refs(a), w.boosts(a), w.boosts(b)), (1, IDLE_APP, IDLE));
    assert_eq!((w.inherits(b).len(), w.counts().messages), (0, 0));
}

// covers importance E27 E28
#[test]
fn a_message_that_is_too_large_keeps_its_boost_only_if_it_stays() {
    let (mut w, a, b, port, _) = queued(1);
    let small = w.poll_with(b, port, MsgOption::RCV_LARGE, 20).err();
    assert_eq!((small, w.on_port(b, port), w.boosts(b)), (Some(MACH_RCV_TOO_LARGE), 1, WAITED_FOR));
    let small = w.poll_with(b, port, MsgOption::RCV_VOUCHER, 20).err();
    assert_eq!((small, w.on_port(b, port), w.boosts(b)), (Some(MACH_RCV_TOO_LARGE), 0, IDLE));
    assert_eq!(w.element_refs(a), 1);
}

// covers importance E29 E30
#[test]
fn a_donor_that_waits_to_be_told_of_room_boosts_once() {
    let (mut w, a, b, port, to_b) = queued(LIMIT);
    let x = w.app();
    let x_to_b = w.give_send(b, port, x);
    for (sender, to) in [(a, to_b), (x, x_to_b)] {
        let notify = w.port(sender);
        w.request(sender, to, MACH_NOTIFY_SEND_POSSIBLE, 0, (notify, Disposition::MAKE_SEND_ONCE)).unwrap();
        let sent = w.try_send_with(sender, &Msg::copy_send(to), MsgOption::SEND_NOTIFY);
        assert_eq!((sent, w.on_port(b, port), w.boosts(b)), (Err(MACH_SEND_TIMED_OUT), 6, (6, (0, 0), 31)));
        if sender == x {
            w.take(b, port);
            assert_eq!((w.on_port(b, port), w.boosts(b)), (4, (5, (1, 0), 31)));
            assert_eq!(w.notifications(x, notify), [MACH_NOTIFY_SEND_POSSIBLE]);
        }
    }
}

#[test]
fn an_immediate_request_boosts_only_if_it_is_the_first() {
    let (mut w, _, b, port, _) = queued(LIMIT);
    for app_type in [AppType::DaemonBackground, AppType::DaemonStandard] {
        let s = w.task_of(app_type, Role::Unspecified);
        let to_b = w.give_send(b, port, s);
        let notify = w.port(s);
        w.request(s, to_b, MACH_NOTIFY_SEND_POSSIBLE, 1, (notify, Disposition::MAKE_SEND_ONCE)).unwrap();
        assert_eq!(w.on_port(b, port), LIMIT, "{app_type:?}");
    }
}

/// An immediate request has the same effect, and a task that is no donor adds nothing.
#[test]
fn an_immediate_request_on_a_full_queue_boosts() {
    for (app_type, boosts) in [(AppType::DaemonStandard, 6), (AppType::DaemonBackground, 5)] {
        let (mut w, _, b, port, _) = queued(LIMIT);
        let s = w.task_of(app_type, Role::Unspecified);
        let to_b = w.give_send(b, port, s);
        let notify = w.port(s);
        w.request(s, to_b, MACH_NOTIFY_SEND_POSSIBLE, 1, (notify, Disposition::MAKE_SEND_ONCE)).unwrap();
        assert_eq!((w.on_port(b, port), w.boosts(b).0), (boosts, boosts));
        w.take_plain(b, port);
        assert_eq!((w.on_port(b, port), w.boosts(b).0), (4, 4));
        assert_eq!(w.notifications(s, notify), [MACH_NOTIFY_SEND_POSSIBLE]);
    }
}

// covers importance E31
#[test]
fn a_receive_without_room_for_names_ends_the_boost() {
    let mut w = World::with_limits(kernel::limits::Limits { names_per_task: 64, ..Default::default() });
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    let reply = w.port(a);
    w.send(a, &Msg::copy_send(to_b).reply_to(reply, Disposition::MAKE_SEND_ONCE)).unwrap();
    w.fill_names(b);
    let code = w.poll_with(b, port, MsgOption::RCV_VOUCHER, BUFFER_SIZE).err();
    assert_eq!(code, Some(MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE)));
    assert_eq!((w.boosts(b), w.inherits(b).len(), w.element_refs(a)), (IDLE, 0, 1));
}

// covers importance E32 E33
#[test]
fn the_end_of_a_receiver_ends_what_it_had() {
    let (mut w, a, b, _, _) = queued(1);
    let (_, other) = w.donation_path(a, b);
    (0..2).for_each(|_| w.ping(a, other));
    assert_eq!((w.boosts(b).0, w.element_refs(a)), (3, 4));
    let elements = w.importance_objects().0;
    w.end_task(b);
    assert_eq!((w.element_refs(a), w.boosts(a), w.importance_objects()), (1, IDLE_APP, (elements - 1, 0)));
}
