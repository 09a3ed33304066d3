//! The messages of a donor as mach-ipc tells of them (mach-ipc 9.9).

use super::*;
use abi::code::*;
use voucher::Key;

/// Returns a world with a donor A, an adaptive daemon B, and B's port with one message of A.
fn donated() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b)), (1, WAITED_FOR));
    (w, a, b, port, to_b)
}

/// Returns the boosts of a port as `mach_port_get_attributes` shows them: `mpie_boost_cnt`.
fn boosts_shown(w: &mut World, actor: Actor, port: PortName) -> u32 {
    w.get_attributes(actor, port, MACH_PORT_INFO_EXT, 17).unwrap()[10]
}

// covers mach-ipc V14 V15
#[test]
fn a_boost_shows_on_the_port_until_the_message_is_received() {
    let (mut w, _, b, port, _) = donated();
    w.take_plain(b, port);
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b)), (0, IDLE));
}

// covers mach-ipc V16
#[test]
fn a_boost_goes_on_in_the_voucher_of_its_receiver() {
    let (mut w, _, b, port, _) = donated();
    let receipt = w.take(b, port);
    assert_eq!((receipt.raised, receipt.disposition), (true, Disposition::PORT_SEND));
    let id = w.voucher_of(b, receipt.voucher).expect("a voucher came");
    assert!(w.kernel.vouchers.system().registry.handle(id, Key::IMPORTANCE).is_some());
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b)), (0, AT_WORK));
    w.deallocate(b, receipt.voucher).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

// covers mach-ipc V17
#[test]
fn a_message_sent_without_importance_shows_none() {
    let (mut w, a, b, port, to_b) = donated();
    w.take_plain(b, port);
    w.try_send_with(a, &Msg::copy_send(to_b), MsgOption::SEND_NOIMPORTANCE).unwrap();
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b)), (0, IDLE));
    assert!(!w.take(b, port).raised);
}

// covers mach-ipc V18
#[test]
fn a_refused_message_leaves_the_boosts_of_the_port() {
    let (mut w, a, b, port, to_b) = donated();
    (1..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| w.ping(a, to_b));
    let before = (boosts_shown(&mut w, b, port), w.boosts(b), w.element_refs(a));
    assert_eq!(before.0, MACH_PORT_QLIMIT_DEFAULT);
    assert_eq!(w.try_send(a, &Msg::copy_send(to_b)), Err(MACH_SEND_TIMED_OUT));
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b), w.element_refs(a)), before);
}

// covers mach-ipc V19
#[test]
fn a_message_that_does_not_fit_takes_its_boost_along() {
    let (mut w, a, b, port, _) = donated();
    assert_eq!(w.poll_with(b, port, MsgOption::RCV_VOUCHER, 20).err(), Some(MACH_RCV_TOO_LARGE));
    assert_eq!((boosts_shown(&mut w, b, port), w.boosts(b), w.element_refs(a)), (0, IDLE, 1));
    assert_eq!(w.poll(b, port).err(), Some(MACH_RCV_TIMED_OUT), "the message is gone");
}

/// All invariants are checked after the call, and none of the counts is below 0.
// covers mach-ipc V20
#[test]
fn a_port_that_is_destroyed_takes_the_boosts_of_its_messages_along() {
    let (mut w, a, b, port, _) = donated();
    w.destroy(b, port).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a), w.element_refs(b)), (IDLE, 1, 1));
    let (again, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    assert_eq!((boosts_shown(&mut w, b, again), w.boosts(b)), (1, WAITED_FOR), "counting goes on from 0");
}

// covers mach-ipc V21
#[test]
fn the_boosts_of_a_travelling_port_are_those_of_the_next_receiver() {
    let (mut w, _, b, port, _) = donated();
    let c = w.adaptive();
    let (port_c, to_c) = w.donation_path(b, c);
    w.send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    assert!(boosts_shown(&mut w, c, port_c) >= 1);
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, WAITED_FOR));
}
