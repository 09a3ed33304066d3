//! Tasks that end, and applications whose boosts end later (importance 6.6, 6.8).

use crate::support::fixture;
use voucher::importance::{LivePolicy, PolicyChange, SendMode, SendRequest};

#[test]
fn a_boost_of_a_task_that_has_ended_starts_no_timer() {
    let mut f = fixture();
    let voucher = f.boost("A", "X");
    // S keeps a copy of the voucher, and with it the inherit.
    let body_vouchers = vec![voucher];
    let send = crate::world::Send { body_vouchers, mode: SendMode::NoImportance, ..Default::default() };
    assert_eq!(f.send_as("X", "pS", send), Some(0));
    f.receive_plain("S", "pS");
    f.exit("X");
    assert_eq!((f.user_refs("S", voucher), f.inherit(voucher).is_donating()), (1, true));
    f.nap("A", true);
    assert!(!f.inherit(voucher).is_donating());
    assert_eq!((f.world.importance.delayed().count(), f.world.importance.delayed_drop_deadline()), (0, None));
    f.release("S", voucher);
    assert_eq!((f.inherits(), f.refs("A")), (0, 1));
}

#[test]
fn a_boost_of_a_task_that_has_ended_is_no_transition() {
    let mut f = fixture();
    f.port("svc", "S", true);
    f.world.set_temp_owner("svc");
    f.launch("W", &["svc"]);
    let element = f.world.element("W");
    f.exit("W");
    f.send("A", "svc", 1);
    let left = f.world.importance.element(element).expect("the port refers to it");
    assert_eq!((left.assertions(), left.transitions(), left.is_boosted()), (1, 0, false));
    assert_eq!(f.boosts(), Vec::<String>::new());
}

#[test]
fn the_policy_of_a_task_that_is_being_terminated_stays_as_it_is() {
    let mut f = fixture();
    let (a, b, port) = (f.world.element("A"), f.world.element("B"), f.world.port_number("pB"));
    let (importance, kernel) = (&mut f.world.importance, &mut f.world.kernel);
    let request = SendRequest { port, sender: Some(a), voucher: None, mode: SendMode::Normal };
    let link = importance.send(kernel, &request).unwrap();
    importance.begin_termination(b);
    assert_eq!(importance.next_change(), None::<PolicyChange>, "a change that waited is not reported");
    importance.begin_termination(a);
    importance.set_live_policy(kernel, a, LivePolicy::default());
    assert!(importance.element(a).expect("it is alive").is_donor(), "the mark is not refreshed");
    importance.clean(kernel, link);
    let element = importance.element(b).expect("it is alive");
    assert_eq!((element.assertions(), element.is_boosted()), (0, true));
    assert_eq!(importance.next_change(), None);
}

/// The turns of all that were added up to the deadline have come when the timer fires, even if it fires late.
#[test]
fn an_application_that_is_added_at_the_deadline_does_not_wait_for_another() {
    for (added_at, queued) in [(1100, 0), (1101, 1)] {
        let mut f = fixture();
        for (app, donor) in [("A", "X"), ("Y", "Z")] {
            f.nap(app, true);
            f.boost(donor, app);
        }
        f.nap("X", true);
        f.world.advance(added_at, true);
        f.nap("Z", true);
        assert_eq!(f.world.importance.delayed().count(), 2);
        f.world.fire_due_timer();
        f.world.check();
        assert_eq!((f.boosted("A"), f.world.importance.delayed().count()), (false, queued), "{added_at} ms");
        assert_eq!(f.boosted("Y"), queued == 1);
        f.advance(1100);
        assert_eq!((f.boosted("Y"), f.world.importance.delayed_drop_deadline()), (false, None));
    }
}
