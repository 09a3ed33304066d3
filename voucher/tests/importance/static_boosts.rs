//! Static boosts: messages of the kernel that boost whoever sends them (importance 4.1, 10.3).

use crate::support::{Fixture, fixture};
use crate::world::Send;
use voucher::importance::{SendMode, Source};

/// Returns the fixture after the kernel has sent such a message on A's behalf.
fn with_a_static_message() -> Fixture {
    let mut f = fixture();
    f.send_as("A", "pB", Send { mode: SendMode::Static, ..Send::default() });
    f
}

// covers importance E50 E51
#[test]
fn a_static_boost_outlives_the_sender_and_is_inherited_from_oneself() {
    let mut f = with_a_static_message();
    let link = f.world.messages.values().next().and_then(|message| message.link).expect("it has a link");
    let link = f.world.importance.link(link).expect("it has a link");
    assert_eq!((link.source(), link.is_raised(), f.refs("A")), (None, true, 1), "raised, and linked to nobody");
    assert_eq!((f.a("B"), f.p("B")), (1, 31));
    f.exit("A");
    assert_eq!((f.a("B"), f.p("B"), f.c("pB")), (1, 31, 1));
    let voucher = f.voucher("B", "pB");
    let (inherit, element) = (f.inherit(voucher), f.world.element("B"));
    let ends = (inherit.from(), inherit.to(), inherit.depth().word());
    assert_eq!((ends, inherit.is_donating()), ((Source::Task(element), element, 1), true));
    assert_eq!((f.a("B"), f.refs("B"), f.inherit_x(voucher), f.p("B")), (1, 3, (1, 0), 31));
    f.release("B", voucher);
    assert_eq!((f.a("B"), f.p("B"), f.refs("B"), f.inherits()), (0, 4, 1, 0));
}

// covers importance E52
#[test]
fn a_static_boost_ends_with_a_receive_without_a_voucher() {
    let mut f = with_a_static_message();
    assert_eq!((f.a("B"), f.p("B")), (1, 31));
    f.receive_plain("B", "pB");
    assert_eq!((f.a("B"), f.p("B"), f.refs("B"), f.inherits()), (0, 4, 1, 0));
}

/// DV-10: the inherit of an application from itself is switched off with its mark as a donor, and a static boost that
/// comes after that switches it on again.
#[test]
fn a_static_boost_of_an_application_that_has_ceased_to_donate_counts() {
    let mut f = fixture();
    let send = || Send { mode: SendMode::Static, ..Send::default() };
    f.send_as("S", "pA", send());
    let voucher = f.voucher("A", "pA");
    f.world.set_policy("A", |task| task.external_background = true);
    f.world.check();
    assert_eq!((f.inherit(voucher).is_donating(), f.a("A")), (false, 0));
    f.send_as("S", "pA", send());
    assert_eq!(f.voucher("A", "pA"), voucher);
    assert_eq!((f.inherit(voucher).is_donating(), f.a("A"), f.inherit_x(voucher)), (true, 2, (2, 0)));
    f.release("A", voucher);
    f.release("A", voucher);
    assert_eq!((f.a("A"), f.inherits()), (0, 0));
}
