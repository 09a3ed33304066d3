//! A new image takes the place of a program (importance 6.7, 10.7).

use crate::support::fixture;
use voucher::importance::Source;

// covers importance E114
#[test]
fn the_boost_of_a_voucher_lasts_until_the_old_image_is_gone() {
    let mut f = fixture();
    let voucher = f.boost("A", "B");
    let exec = f.world.begin_exec("B", "B2");
    f.world.check();
    assert_eq!((f.a("B2"), f.p("B2")), (1, 31));
    let inherit = f.world.importance.inherit(exec.inherit.unwrap()).unwrap();
    let ends = (inherit.from(), inherit.to(), inherit.is_donating());
    assert_eq!(ends, (Source::Task(f.world.element("B2")), f.world.element("B"), true));
    assert_eq!((f.a("B"), f.x("B"), f.p("B")), (1, (1, 0), 31), "the new image boosts the old one");
    assert_eq!(f.user_refs("B", voucher), 1);
    f.world.end_exec(exec);
    f.world.check();
    assert_eq!((f.a("B2"), f.x("B2"), f.p("B2")), (0, (0, 0), 4));
    assert_eq!((f.inherits(), f.world.vouchers.registry.len(), f.refs("A"), f.refs("B2")), (0, 0, 1, 1));
}

// covers importance E115
#[test]
fn a_watch_port_stays_bound_to_the_new_image() {
    let mut f = fixture();
    f.port("svc", "S", true);
    f.world.set_temp_owner("svc");
    f.send("A", "svc", 2);
    f.launch("W", &["svc"]);
    let element = f.world.element("W");
    assert_eq!((f.a("W"), f.p("W")), (2, 31));
    let exec = f.world.begin_exec("W", "W2");
    f.world.check();
    assert_eq!((f.world.element("W2"), f.a("W2"), f.p("W2")), (element, 2, 31));
    f.world.end_exec(exec);
    f.world.check();
    let bound = f.world.kernel.port_of(f.world.port_number("svc")).unwrap().boosts.bound();
    assert_eq!((bound, f.world.element("W2")), (Some(element), element));
    assert_eq!((f.a("W2"), f.p("W2"), f.refs("W2"), f.c("svc")), (2, 31, 2, 2));
}

/// DV-5: XNU leaves the boosts of the ports that die with the old image on the new one.
// covers importance E116
#[test]
fn the_boosts_of_the_old_images_ports_go_with_it() {
    let mut f = fixture();
    f.send("A", "pB", 1);
    let exec = f.world.begin_exec("B", "B2");
    f.world.check();
    assert_eq!(f.world.messages.len(), 1);
    f.world.end_exec(exec);
    f.world.check();
    assert_eq!((f.a("B2"), f.p("B2"), f.refs("B2")), (0, 4, 1));
    assert_eq!((f.world.messages.len(), f.is_alive("pB"), f.refs("A")), (0, false, 1));
}

/// DV-6: XNU can leave the new image of a task without boosts marked as boosted.
// covers importance E117
#[test]
fn what_the_old_image_sent_stays_raised() {
    let mut f = fixture();
    f.send("A", "pB", 1);
    let element = f.world.element("A");
    let exec = f.world.begin_exec("A", "A2");
    f.world.check();
    assert_eq!((f.world.element("A2"), f.c("pB"), f.a("B"), f.p("B")), (element, 1, 1, 31));
    f.world.end_exec(exec);
    f.world.check();
    assert_eq!((f.world.element("A2"), f.c("pB"), f.a("B"), f.p("B")), (element, 1, 1, 31));
    assert_eq!((f.a("A2"), f.boosted("A2"), f.p("A2"), f.donates("A2")), (0, false, 47, true));
    assert_eq!(f.boosts(), ["+B", "+A"], "B was boosted all the time, and the old image for a while");
    let voucher = f.voucher("B", "pB");
    assert_eq!(f.inherit(voucher).from(), Source::Task(element));
    assert_eq!((f.a("B"), f.p("B")), (1, 31));
}

/// Errata 7: XNU leaves the mark as the old image's policy wanted it.
#[test]
fn the_new_image_of_a_napping_application_donates() {
    let mut f = fixture();
    f.send("A", "pB", 1);
    f.nap("A", true);
    assert_eq!((f.c("pB"), f.p("A"), f.p("B")), (0, 4, 4));
    let exec = f.world.begin_exec("A", "A2");
    f.world.check();
    f.world.end_exec(exec);
    f.world.check();
    assert_eq!((f.c("pB"), f.p("A2"), f.p("B"), f.donates("A2")), (1, 47, 31, true));
}
