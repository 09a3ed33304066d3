//! Donation is live: what a task donates follows its policy (importance 10.3).

use super::*;
use crate::unix::call;
use abi::policy::*;
use abi::trap::unix::SETPRIORITY;

/// Returns a world with A and B, B's port with one raised message of A, and A's name for it.
fn waited_for() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    assert_eq!(w.boosts(b), WAITED_FOR);
    (w, a, b, port, to_b)
}

/// Returns the same after B has received the message, and the voucher.
fn at_work() -> (World, Actor, Actor, PortName, PortName) {
    let (mut w, a, b, port, _) = waited_for();
    let voucher = w.take(b, port).voucher;
    assert_eq!(w.boosts(b), AT_WORK);
    (w, a, b, port, voucher)
}

// covers importance E34 E35
#[test]
fn a_message_follows_the_nap_of_its_sender() {
    let (mut w, a, b, port, _) = waited_for();
    w.set_nap(a, true);
    assert_eq!((w.is_donor(a), w.boosts(a).2, w.boosts(b), w.on_port(b, port)), (false, 4, IDLE, 0));
    assert_eq!(w.element_refs(a), 2, "the message is still linked");
    w.set_nap(a, false);
    assert_eq!((w.is_donor(a), w.boosts(a).2, w.boosts(b), w.on_port(b, port)), (true, 47, WAITED_FOR, 1));
    assert_eq!((w.transitions(a), w.transitions(b)), (2, 2));
}

// covers importance E36 E37
#[test]
fn an_inherit_follows_the_nap_of_its_donor() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    (0..3).for_each(|_| w.ping(a, to_b));
    let voucher = (0..3).map(|_| w.take(b, port).voucher).last().unwrap();
    w.set_nap(a, true);
    assert_eq!((counts_of(w.inherits(b)[0]), w.boosts(b)), ((3, 0, 3, 1, false), IDLE));
    assert_eq!(w.refs(b, voucher), 3, "the voucher is still held");
    w.set_nap(a, false);
    assert_eq!((counts_of(w.inherits(b)[0]), w.boosts(b)), ((3, 0, 3, 1, true), (3, (3, 0), 31)));
    assert_eq!(w.transitions(b), 2);
}

// covers importance E38 E39 E40
#[test]
fn what_a_napping_application_sends_boosts_when_it_wakes_up() {
    for drop_before in [false, true] {
        let mut w = World::new();
        let (a, b) = (w.app(), w.adaptive());
        let (port, to_b) = w.donation_path(a, b);
        w.set_nap(a, true);
        w.ping(a, to_b);
        assert_eq!((w.element_refs(a), w.on_port(b, port)), (2, 0));
        let receipt = w.take(b, port);
        assert!(receipt.raised, "the header tells of the inherit");
        assert_eq!(counts_of(w.inherits(b)[0]), (1, 0, 1, 1, false));
        assert_eq!((w.boosts(b), w.transitions(b)), (IDLE, 0));
        if drop_before {
            w.deallocate(b, receipt.voucher).unwrap();
        }
        w.set_nap(a, false);
        let after = if drop_before { IDLE } else { AT_WORK };
        assert_eq!((w.boosts(b), w.inherits(b).len()), (after, usize::from(!drop_before)));
    }
}

// covers importance E41 E42 E43 E44
#[test]
fn only_one_role_ends_the_donation_of_an_application() {
    use Role::*;
    let rows =
        [(Background, 46, true), (Throttle, 4, true), (Unspecified, 31, true), (NonUi, 31, true), (DarwinBg, 4, false)];
    for (role, priority, donates) in rows {
        let (mut w, a, b, ..) = waited_for();
        w.set_role(a, role);
        let expected = if donates { WAITED_FOR } else { IDLE };
        assert_eq!((w.boosts(a).2, w.is_donor(a), w.boosts(b)), (priority, donates, expected), "{role:?}");
    }
}

// covers importance E45 E46
#[test]
fn a_background_set_by_another_task_ends_donation_and_ones_own_does_not() {
    let (mut w, a, b, ..) = waited_for();
    let background = |w: &mut World, by: Actor, on: bool| {
        let pid = u64::from(w.kernel.tasks[a.task].credentials.pid);
        let value = if on { PRIO_DARWIN_BG } else { 0 };
        call(w, by, SETPRIORITY, &[PRIO_DARWIN_PROCESS.into(), pid, value.into()]).unwrap();
        (w.boosts(a).2, w.is_donor(a), w.boosts(b))
    };
    assert_eq!(background(&mut w, a, true), (4, true, WAITED_FOR));
    assert_eq!(background(&mut w, a, false), (47, true, WAITED_FOR));
    let init = w.init;
    assert_eq!(background(&mut w, init, true), (4, false, IDLE));
    assert_eq!(background(&mut w, init, false), (47, true, WAITED_FOR));
}

// covers importance E47 E48
#[test]
fn a_message_of_a_task_that_has_ended_does_not_boost() {
    let (mut w, a, b, port, _) = waited_for();
    let (element, elements) = (w.element_id(a), w.importance_objects().0);
    w.end_task(a);
    assert_eq!((w.on_port(b, port), w.boosts(b)), (0, IDLE));
    let refs = |w: &World| w.kernel.ipc.importance().element(element).map(|element| element.refs());
    assert_eq!(refs(&w), Some(1));
    let receipt = w.take(b, port);
    assert!(receipt.raised);
    let inherit = w.inherits(b)[0];
    assert_eq!((inherit.from(), inherit.depth().word()), (voucher::importance::Source::Task(element), 1));
    assert_eq!((counts_of(inherit), w.boosts(b).2), ((1, 0, 1, 1, false), 4));
    w.deallocate(b, receipt.voucher).unwrap();
    assert_eq!((refs(&w), w.importance_objects()), (None, (elements - 1, 0)));
}

// covers importance E49
#[test]
fn the_end_of_a_donor_ends_the_boost_of_its_voucher() {
    let (mut w, a, b, _, voucher) = at_work();
    w.end_task(a);
    assert_eq!((counts_of(w.inherits(b)[0]), w.boosts(b)), ((1, 0, 1, 1, false), IDLE));
    w.deallocate(b, voucher).unwrap();
    assert_eq!((w.boosts(b), w.inherits(b).len()), (IDLE, 0));
}

// covers importance E53
#[test]
fn a_task_that_makes_itself_a_donor_raises_what_it_has_sent() {
    let mut w = World::new();
    let (b, c) = (w.adaptive(), w.adaptive());
    let (_, to_c) = w.donation_path(b, c);
    w.ping(b, to_c);
    assert_eq!(w.boosts(c), IDLE);
    w.mark_donor(b);
    assert_eq!((w.boosts(c), w.boosts(b).2, w.is_donor(b)), (WAITED_FOR, 4, true));
}
