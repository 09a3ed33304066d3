//! Boosts along chains of daemons (importance 10.5).

use super::*;
use crate::message::MachMsg;
use ::voucher::importance::Source;
use kernel::limits::BOOST_VISITS_LEAST;

/// Returns a world with A, B and C, B's port with A's name for it, and C's port with B's name for it.
fn chain() -> (World, [Actor; 3], (PortName, PortName), (PortName, PortName)) {
    let mut w = World::new();
    let (a, b, c) = (w.app(), w.adaptive(), w.adaptive());
    let (to_b, to_c) = (w.donation_path(a, b), w.donation_path(b, c));
    (w, [a, b, c], to_b, to_c)
}

/// Lets A send to B, and B to C with B's voucher, taken with a disposition. Returns B's and C's vouchers.
fn forwarded(disposition: Disposition) -> (World, [Actor; 3], PortName, PortName) {
    let (mut w, [a, b, c], (port_b, to_b), (port_c, to_c)) = chain();
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    w.send(b, &Msg::copy_send(to_c).voucher(v1, disposition)).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (AT_WORK, WAITED_FOR));
    let voucher = w.take(c, port_c).voucher;
    (w, [a, b, c], v1, voucher)
}

// covers importance E67 E68 E69
#[test]
fn a_daemon_that_drops_its_voucher_ends_what_it_forwarded() {
    let (mut w, [a, b, c], v1, voucher) = forwarded(Disposition::COPY_SEND);
    assert_eq!((w.boosts(b), w.boosts(c)), (AT_WORK, AT_WORK));
    assert_eq!(counts_of(w.inherits(b)[0]), (1, 0, 1, 2, true));
    assert_eq!((counts_of(w.inherits(c)[0]), w.inherits(c)[0].depth().word()), ((1, 0, 1, 1, true), 2));
    w.deallocate(b, v1).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
    assert_eq!(counts_of(w.inherits(b)[0]), (0, 0, 0, 1, false));
    assert_eq!(counts_of(w.inherits(c)[0]), (1, 0, 1, 1, false));
    w.deallocate(c, voucher).unwrap();
    assert_eq!((w.importance_objects().1, w.element_refs(a)), (0, 1));
}

// covers importance E70
#[test]
fn the_end_of_a_chain_is_dropped_alone() {
    let (mut w, [_, b, c], _, voucher) = forwarded(Disposition::COPY_SEND);
    w.deallocate(c, voucher).unwrap();
    assert_eq!((w.boosts(c), w.boosts(b)), (IDLE, AT_WORK));
    assert_eq!(counts_of(w.inherits(b)[0]), (1, 0, 1, 1, true));
}

// covers importance E71
#[test]
fn a_boosted_daemon_donates_without_a_voucher_too() {
    let (mut w, [a, b, c], (port_b, to_b), (port_c, to_c)) = chain();
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    w.ping(b, to_c);
    w.take(c, port_c);
    assert_eq!((w.boosts(b), w.boosts(c), w.inherits(c)[0].depth().word()), (AT_WORK, AT_WORK, 1));
    assert_eq!(w.inherits(c)[0].from(), Source::Task(w.element_id(b)));
    w.deallocate(b, v1).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
}

/// The whole of E72 but the order in which both lose their boost, which the engine's tests show.
#[test]
fn a_daemon_that_moves_its_voucher_on_loses_the_boost_with_it() {
    let (w, [_, b, c], _, _) = forwarded(Disposition::MOVE_SEND);
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
    assert_eq!(counts_of(w.inherits(c)[0]), (1, 0, 1, 1, false));
}

// covers importance E77
#[test]
fn importance_that_was_given_to_another_task_is_not_forwarded() {
    let (mut w, [a, b, c], (port_b, to_b), (port_c, _)) = chain();
    let s = w.standard();
    let s_to_c = w.give_send(c, port_c, s);
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    let at_s = w.transfer(b, v1, Disposition::COPY_SEND, s);
    w.send(s, &Msg::copy_send(s_to_c).voucher(at_s, Disposition::COPY_SEND)).unwrap();
    assert_eq!((w.on_port(c, port_c), w.element_refs(s)), (1, 2));
    w.take(c, port_c);
    assert_eq!((w.inherits(c)[0].from(), w.inherits(c)[0].depth().word()), (Source::Task(w.element_id(s)), 1));
    w.end_task(a);
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, AT_WORK));
}

// covers importance E79
#[test]
fn a_copy_of_the_voucher_in_other_hands_keeps_the_boost() {
    let (mut w, [a, b, _], (port_b, to_b), _) = chain();
    let d = w.adaptive();
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    let at_d = w.transfer(b, v1, Disposition::COPY_SEND, d);
    w.deallocate(b, v1).unwrap();
    assert_eq!(w.boosts(b), AT_WORK);
    w.deallocate(d, at_d).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

// covers importance E80
#[test]
fn a_queued_message_of_a_daemon_follows_its_boost() {
    let (mut w, [a, b, c], (port_b, to_b), (_, to_c)) = chain();
    w.ping(b, to_c);
    assert_eq!(w.boosts(c), IDLE);
    w.ping(a, to_b);
    assert_eq!((w.boosts(b), w.boosts(c)), (WAITED_FOR, WAITED_FOR));
    w.take_plain(b, port_b);
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
}

// covers importance E81
#[test]
fn the_end_of_a_daemon_ends_what_it_forwarded() {
    let (mut w, [a, b, c], _, voucher) = forwarded(Disposition::COPY_SEND);
    w.end_task(b);
    assert_eq!((w.boosts(c), w.inherits(c)[0].is_donating(), w.element_refs(a)), (IDLE, false, 2));
    let of_a = Source::Task(w.element_id(a));
    let first = w.kernel.ipc.importance().inherits().find(|(_, inherit)| inherit.from() == of_a).unwrap().1;
    assert_eq!(counts_of(first), (0, 0, 0, 1, false), "its voucher is dead");
    w.deallocate(c, voucher).unwrap();
    assert_eq!((w.element_refs(a), w.importance_objects().1), (1, 0));
}

// covers importance E82
#[test]
fn the_end_of_a_daemon_ends_its_queued_messages_boosts() {
    let (mut w, [a, b, c], (_, to_b), (_, to_c)) = chain();
    w.ping(a, to_b);
    w.ping(b, to_c);
    assert_eq!(w.boosts(c), WAITED_FOR);
    w.end_task(b);
    assert_eq!((w.element_refs(a), w.boosts(c)), (1, IDLE));
}

// covers importance E90
#[test]
fn a_daemon_does_not_inherit_from_itself() {
    let (mut w, [a, b, _], (port_b, to_b), _) = chain();
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    w.insert_right(b, port_b, port_b, Disposition::MAKE_SEND).unwrap();
    w.ping(b, port_b);
    assert_eq!(w.boosts(b).0, 2);
    w.deallocate(b, v1).unwrap();
    assert_eq!(w.boosts(b), WAITED_FOR);
    let receipt = w.take(b, port_b);
    assert!(!receipt.raised);
    assert_eq!((w.boosts(b), w.inherits(b).len()), (IDLE, 0));
}

// covers importance E91
#[test]
fn a_daemon_that_sends_itself_its_voucher_gets_the_same_voucher() {
    let (mut w, [a, b, _], (port_b, to_b), _) = chain();
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    w.insert_right(b, port_b, port_b, Disposition::MAKE_SEND).unwrap();
    w.send(b, &Msg::copy_send(port_b).voucher(v1, Disposition::COPY_SEND)).unwrap();
    assert_eq!((w.take(b, port_b).voucher, w.refs(b, v1)), (v1, 2));
    assert_eq!((counts_of(w.inherits(b)[0]), w.boosts(b)), ((2, 0, 2, 1, true), (2, (2, 0), 31)));
    w.deallocate(b, v1).unwrap();
    assert_eq!(w.boosts(b).0, 2);
    w.deallocate(b, v1).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

// covers importance E92
#[test]
fn a_ring_of_raised_messages_keeps_itself_boosted() {
    let (mut w, [a, b, c], (port_b, to_b), (_, to_c)) = chain();
    let c_to_b = w.give_send(b, port_b, c);
    w.ping(a, to_b);
    w.ping(b, to_c);
    w.ping(c, c_to_b);
    w.end_task(a);
    assert_eq!((w.boosts(b), w.boosts(c)), (WAITED_FOR, WAITED_FOR));
    (0..2).for_each(|_| w.take_plain(b, port_b));
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
}

// covers importance E75 E76
#[test]
fn two_vouchers_forwarded_by_one_daemon_share_an_inherit() {
    let (mut w, [a, b, c], (port_b, to_b), (port_c, to_c)) = chain();
    let x = w.app();
    let x_to_b = w.give_send(b, port_b, x);
    w.ping(a, to_b);
    w.ping(x, x_to_b);
    let vouchers = [(); 2].map(|()| w.take(b, port_b).voucher);
    for voucher in vouchers {
        w.send(b, &Msg::copy_send(to_c).voucher(voucher, Disposition::COPY_SEND)).unwrap();
    }
    let taken = [(); 2].map(|()| w.take(c, port_c).voucher);
    assert_eq!(taken[0], taken[1]);
    let [inherit] = w.inherits(c)[..] else { panic!("one inherit") };
    assert_eq!((counts_of(inherit), inherit.depth().word()), ((2, 0, 2, 1, true), 2));
    let of_a = Source::Task(w.element_id(a));
    let first = w.kernel.ipc.importance().inherits().find(|(_, inherit)| inherit.from() == of_a).unwrap().0;
    assert_eq!(inherit.from(), Source::Inherit(first));
    w.end_task(a);
    assert_eq!((w.boosts(b).0, w.boosts(c)), (1, (2, (2, 0), 31)));
    w.deallocate(b, vouchers[0]).unwrap();
    assert_eq!((w.boosts(b).0, w.boosts(c).0), (1, 2));
    w.deallocate(b, vouchers[1]).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
}

// covers importance E78
#[test]
fn an_unboosted_daemon_forwards_nothing_that_was_given_to_another() {
    let (mut w, [a, b, c], (port_b, to_b), (port_c, _)) = chain();
    let d = w.adaptive();
    let d_to_c = w.give_send(c, port_c, d);
    w.ping(a, to_b);
    let v1 = w.take(b, port_b).voucher;
    let at_d = w.transfer(b, v1, Disposition::COPY_SEND, d);
    w.send(d, &Msg::copy_send(d_to_c).voucher(at_d, Disposition::COPY_SEND)).unwrap();
    assert_eq!((w.element_refs(d), w.on_port(c, port_c)), (2, 0));
    assert!(w.take(c, port_c).raised);
    let inherit = w.inherits(c)[0];
    assert_eq!(inherit.from(), Source::Task(w.element_id(d)));
    assert_eq!((counts_of(inherit), w.boosts(c)), ((1, 0, 1, 1, false), IDLE));
}

// covers importance E87 E88 E89
#[test]
fn a_ring_of_vouchers_keeps_itself_boosted_until_one_is_dropped() {
    let (mut w, [a, b, c], v1, at_c) = forwarded(Disposition::COPY_SEND);
    let (port_b, c_to_b) = w.donation_path(c, b);
    w.send(c, &Msg::copy_send(c_to_b).voucher(at_c, Disposition::COPY_SEND)).unwrap();
    let v3 = w.take(b, port_b).voucher;
    assert_eq!((w.boosts(b).0, w.boosts(c).0), (2, 1));
    assert_eq!(w.inherits(b).iter().map(|i| i.depth().word()).max(), Some(3));
    w.deallocate(b, v1).unwrap();
    w.end_task(a);
    assert_eq!((w.boosts(b).0, w.boosts(b).2, w.boosts(c).0, w.boosts(c).2), (1, 31, 1, 31));
    w.deallocate(c, at_c).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, IDLE));
    w.deallocate(b, v3).unwrap();
    assert_eq!(w.importance_objects().1, 0);
}

// covers importance E93
#[test]
fn a_daemon_that_donates_anyway_passes_no_events_on() {
    let (mut w, [a, b, c], (port_b, to_b), (_, to_c)) = chain();
    w.mark_donor(b);
    assert!(w.is_donor(b));
    w.ping(b, to_c);
    w.ping(a, to_b);
    assert_eq!((w.boosts(b), w.boosts(c)), (WAITED_FOR, WAITED_FOR));
    w.take_plain(b, port_b);
    assert_eq!((w.boosts(b), w.boosts(c), w.transitions(c)), (IDLE, WAITED_FOR, 1));
}

/// More messages than one step visits.
const MANY: usize = 200;

/// A boost runs round a ring of daemons, several steps for each of them, when its end begins to follow.
#[test]
fn a_boost_that_is_short_lived_leaves_no_endless_work_in_a_ring() {
    for head_start in 1..=4 {
        let mut w = World::new();
        w.checked = false;
        let (a, s) = (w.app(), w.standard());
        let ring = [w.adaptive(), w.adaptive(), w.adaptive()];
        w.set_nap(a, true);
        for (n, &from) in ring.iter().enumerate() {
            let (port, to_s) = w.donation_path(from, s);
            w.set_qlimit(s, port, MACH_PORT_QLIMIT_MAX).unwrap();
            (0..MANY).for_each(|_| w.ping(from, to_s));
            let (_, to_next) = w.donation_path(from, ring[(n + 1) % ring.len()]);
            w.ping(from, to_next);
        }
        let (_, to_first) = w.donation_path(a, ring[0]);
        w.ping(a, to_first);
        w.hold_background();
        w.start_nap(a, false);
        (0..head_start).for_each(|_| w.background_turn());
        assert!(w.is_donor(ring[0]));
        w.start_nap(a, true);
        let turns = (0..100).take_while(|_| w.kernel.step.has_background_work().then(|| w.background_turn()).is_some());
        assert!(turns.count() < 100, "what has begun ends");
        let boosted = ring.iter().filter(|&&daemon| w.is_donor(daemon)).count();
        assert!(boosted == 0 || boosted == ring.len(), "{boosted} after {head_start} turns");
    }
}

/// The boosts that follow from a message share a step with the move of its rights.
#[test]
fn a_message_with_many_rights_leaves_most_of_a_long_change_for_later() {
    for (rights, is_cut) in [(0, false), (20, true)] {
        let mut w = World::new();
        w.checked = false;
        let (a, b, s) = (w.app(), w.adaptive(), w.standard());
        let (port, to_s) = w.donation_path(b, s);
        w.set_qlimit(s, port, MACH_PORT_QLIMIT_MAX).unwrap();
        (0..4 * BOOST_VISITS_LEAST).for_each(|_| w.ping(b, to_s));
        let (_, to_b) = w.donation_path(a, b);
        let own = w.port(a);
        let bytes =
            (0..rights).fold(Msg::copy_send(to_b), |message, _| message.port(own, Disposition::MAKE_SEND)).encode();
        w.put(a, w.buffer(a) - a.memory, &bytes);
        w.hold_background();
        let options = MsgOption::SEND_MSG;
        w.start_mach_msg(a, &MachMsg { options, send_size: bytes.len() as u32, ..MachMsg::default() });
        assert_eq!((w.is_donor(b), w.kernel.step.has_background_work()), (true, is_cut), "with {rights} rights");
        w.settle();
        assert!(!w.kernel.step.has_background_work());
    }
}
