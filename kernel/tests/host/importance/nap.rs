//! Boosts lift App Nap (importance 10.4).

use super::*;
use crate::vouchers::routines;
use crate::world::Ret;
use abi::code::*;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_IMPORTANCE;
use kernel::machine::Machine;
use voucher::importance::DROP_SLICE;
use voucher::managers::importance::MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL;

/// One millisecond.
const MS: u64 = 1_000_000;

/// Returns a world with a napping application, a donor of this kind, the application's port and the donor's name for it.
fn napping(app_type: AppType, role: Role) -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, donor) = (w.app(), w.task_of(app_type, role));
    let (port, to_a) = w.donation_path(donor, a);
    w.set_nap(a, true);
    assert_eq!((w.boosts(a), w.is_donor(a)), ((0, (0, 0), 4), false));
    (w, a, donor, port, to_a)
}

// covers importance E54 E55
#[test]
fn a_boost_lifts_the_nap_until_the_application_drops_it() {
    let (mut w, a, s, port, to_a) = napping(AppType::DaemonStandard, Role::Unspecified);
    w.ping(s, to_a);
    assert_eq!((w.boosts(a), w.is_donor(a), w.transitions(a)), ((1, (0, 0), 47), true, 3));
    assert!(w.element(a).is_boosted());
    let voucher = w.take(a, port).voucher;
    w.deallocate(a, voucher).unwrap();
    assert_eq!((w.boosts(a), w.is_donor(a)), ((0, (0, 0), 4), false));
    assert_eq!(w.kernel.ipc.importance().delayed().count(), 0);
}

/// Returns a world with an application whose boost has ended through the nap of its donor, and that donor.
fn to_be_dropped() -> (World, Actor, Actor) {
    let (mut w, a, x, port, to_a) = napping(AppType::AppDefault, Role::Foreground);
    w.ping(x, to_a);
    w.take(a, port);
    w.set_nap(x, true);
    (w, a, x)
}

// covers importance E56 E57
#[test]
fn a_boost_that_ends_through_others_is_dropped_later() {
    let (mut w, a, _) = to_be_dropped();
    assert_eq!((w.boosts(a), w.is_donor(a), w.element(a).is_boosted()), ((0, (0, 0), 47), true, true));
    assert_eq!(w.kernel.ipc.importance().delayed().collect::<Vec<_>>(), [w.element_id(a)], "it is queued");
    w.advance(1099 * MS);
    assert_eq!(w.boosts(a).2, 47);
    w.advance(MS);
    assert_eq!((w.boosts(a).2, w.is_donor(a)), (4, false));
    assert!(!w.element(a).is_boosted());
}

/// The time of a boost's end is that of the step, though no timer has fired since the clock went on.
#[test]
fn the_delay_begins_with_the_trap_that_ends_the_boost() {
    let (mut w, a, x, port, to_a) = napping(AppType::AppDefault, Role::Foreground);
    w.ping(x, to_a);
    w.take(a, port);
    w.machine.advance(300 * MS);
    w.end_task(x);
    assert_eq!(w.boosts(a), (0, (0, 0), 47));
    w.advance(1099 * MS);
    assert_eq!(w.boosts(a).2, 47);
    w.advance(MS);
    assert_eq!(w.boosts(a).2, 4);
}

// covers importance E58
#[test]
fn a_new_boost_before_the_delayed_drop_changes_nothing() {
    let (mut w, a, x, port, to_a) = napping(AppType::AppDefault, Role::Foreground);
    w.ping(x, to_a);
    w.take(a, port);
    w.set_nap(x, true);
    w.advance(500 * MS);
    w.set_nap(x, false);
    w.advance(2000 * MS);
    assert_eq!((w.boosts(a), w.transitions(a)), ((1, (1, 0), 47), 3));
}

// covers importance E59
#[test]
fn all_applications_share_one_deadline() {
    let (mut w, a, x, port, to_a) = napping(AppType::AppDefault, Role::Foreground);
    let (y, z) = (w.app(), w.app());
    let (port_y, to_y) = w.donation_path(z, y);
    w.set_nap(y, true);
    w.ping(x, to_a);
    w.ping(z, to_y);
    w.take(a, port);
    w.take(y, port_y);
    w.set_nap(x, true);
    w.advance(1000 * MS);
    w.set_nap(z, true);
    assert_eq!((w.boosts(a).2, w.boosts(y).2), (47, 47));
    w.advance(100 * MS);
    assert_eq!((w.boosts(a).2, w.boosts(y).2), (4, 4));
}

impl World {
    /// Gives boosts of a voucher back early and returns the number of those left.
    fn drop_external(&mut self, actor: Actor, voucher: PortName, boosts: u32) -> Result<u32, KernReturn> {
        let command = (MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL);
        let left = routines::command(self, actor, voucher, command, &boosts.to_le_bytes(), 4)?;
        Ok(u32::from_le_bytes(left.try_into().unwrap()))
    }
}

// covers importance E60 E62
#[test]
fn an_application_gives_boosts_back_early() {
    let (mut w, a, s, port, to_a) = napping(AppType::DaemonStandard, Role::Unspecified);
    (0..3).for_each(|_| w.ping(s, to_a));
    let voucher = (0..3).map(|_| w.take(a, port).voucher).last().unwrap();
    assert_eq!(w.drop_external(a, voucher, 0), Ok(3));
    assert_eq!(w.drop_external(a, voucher, 4), Err(KERN_FAILURE));
    assert_eq!(w.drop_external(a, voucher, 1), Ok(2));
    assert_eq!(w.boosts(a), (2, (3, 1), 47));
    assert_eq!(w.drop_external(a, voucher, 2), Ok(0));
    assert_eq!((w.boosts(a), w.inherits(a)[0].is_donating()), ((0, (0, 0), 47), false));
    w.advance(500 * MS);
    w.ping(s, to_a);
    assert_eq!(w.take(a, port).voucher, voucher);
    assert_eq!(counts_of(w.inherits(a)[0]), (4, 3, 4, 1, true));
    w.advance(600 * MS);
    assert_eq!(w.boosts(a), (1, (4, 3), 47), "the firing finds a boost");
    assert_eq!(w.drop_external(a, voucher, 1), Ok(0));
    w.advance(1100 * MS);
    assert_eq!((w.boosts(a), w.refs(a, voucher)), ((0, (0, 0), 4), 4));
}

/// A new boost leaves the application in the queue, and the firing finds it without boosts once more.
// covers importance E66a
#[test]
fn the_delayed_drop_counts_from_the_first_end_of_the_boosts() {
    let (mut w, a, s, port, to_a) = napping(AppType::DaemonStandard, Role::Unspecified);
    (0..4).for_each(|_| w.ping(s, to_a));
    let voucher = (0..4).map(|_| w.take(a, port).voucher).last().unwrap();
    assert_eq!(w.drop_external(a, voucher, 1), Ok(3));
    assert_eq!(w.boosts(a), (3, (4, 1), 47));
    assert_eq!(w.drop_external(a, voucher, 3), Ok(0));
    w.advance(400 * MS);
    w.ping(s, to_a);
    assert_eq!(w.take(a, port).voucher, voucher);
    assert_eq!(w.boosts(a), (1, (5, 4), 47));
    w.advance(200 * MS);
    w.mod_refs(a, voucher, MACH_PORT_RIGHT_SEND, -5).unwrap();
    assert_eq!(w.boosts(a), (0, (0, 0), 47));
    w.advance(499 * MS);
    assert_eq!(w.boosts(a).2, 47);
    w.advance(MS);
    assert_eq!((w.boosts(a).2, w.is_donor(a), w.inherits(a).len()), (4, false, 0));
}

// covers importance E63
#[test]
fn an_adaptive_daemon_gives_nothing_back_early() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    let voucher = w.take(b, port).voucher;
    assert_eq!(w.drop_external(b, voucher, 1), Err(KERN_INVALID_TASK));
    assert_eq!(w.drop_external(b, voucher, 0), Ok(1));
    let own = crate::vouchers::it(
        MACH_VOUCHER_ATTR_KEY_IMPORTANCE,
        abi::voucher::MACH_VOUCHER_ATTR_IMPORTANCE_SELF,
        MACH_PORT_NULL,
        b"",
    );
    let own = w.make_voucher(a, &[own]).unwrap();
    assert_eq!(w.drop_external(a, own, 0), Err(KERN_INVALID_ARGUMENT));
}

// covers importance E64 E65
#[test]
fn a_boosted_application_donates_again() {
    let (mut w, a, s, port, to_a) = napping(AppType::DaemonStandard, Role::Unspecified);
    let b = w.adaptive();
    let (port_b, to_b) = w.donation_path(a, b);
    w.ping(a, to_b);
    assert_eq!((w.boosts(b), w.on_port(b, port_b)), (IDLE, 0));
    w.ping(s, to_a);
    assert_eq!((w.boosts(a).2, w.boosts(b), w.on_port(b, port_b)), (47, WAITED_FOR, 1));
    let voucher = w.take(a, port).voucher;
    w.deallocate(a, voucher).unwrap();
    assert_eq!((w.boosts(a).2, w.boosts(b), w.on_port(b, port_b)), (4, IDLE, 0));
}

/// The boosts of any number of applications can end at the same time. One interrupt takes care of some of them only.
#[test]
fn one_interrupt_drops_the_boosts_of_a_bounded_number_of_applications() {
    let mut w = World::new();
    w.checked = false;
    let donor = w.app();
    let apps: Vec<Actor> = (0..2 * DROP_SLICE + 1).map(|_| w.app()).collect();
    for &app in &apps {
        let (port, to_app) = w.donation_path(donor, app);
        w.set_nap(app, true);
        w.ping(donor, to_app);
        w.take(app, port);
    }
    w.checked = true;
    w.set_nap(donor, true);
    let boosted = |w: &World| apps.iter().filter(|&&app| w.boosts(app).2 == IDLE_APP.2).count();
    assert_eq!(boosted(&w), apps.len());
    w.machine.advance(1100 * MS);
    for left in [DROP_SLICE + 1, 1, 0] {
        let due = w.machine.now();
        assert!(w.kernel.sched.earliest_deadline() <= due, "the timer fires at once");
        let _ = w.event(Event::Timer);
        let assertions = |app: &&Actor| w.kernel.ipc.importance().element(w.element_id(**app)).unwrap().is_boosted();
        assert_eq!(apps.iter().filter(assertions).count(), left);
    }
    assert_eq!(boosted(&w), 0, "the policies of all of them have followed");
    assert_eq!(w.kernel.ipc.importance().delayed_drop_deadline(), None);
}

/// Both in one step would be too long, if both are all that they can be. What is due first comes first.
#[test]
fn a_wait_that_is_over_and_boosts_that_end_have_a_tick_each() {
    for earlier in [0, 1] {
        let (mut w, a, x) = to_be_dropped();
        let due = w.kernel.ipc.importance().delayed_drop_deadline().unwrap();
        w.start_trap(x, abi::trap::mach::MACH_WAIT_UNTIL, &[due - earlier]);
        let boosted = w.boosts(a).2;
        let missing = due - w.machine.now();
        w.machine.advance(missing);
        let _ = w.event(Event::Timer);
        let first = (w.boosts(a).2 == boosted, w.state(x) == Ret::Blocked);
        assert_eq!(first, if earlier > 0 { (true, false) } else { (false, true) });
        assert!(w.kernel.sched.earliest_deadline() <= due, "the timer fires at once");
        let _ = w.event(Event::Timer);
        assert_eq!((w.boosts(a).2, w.state(x).code()), (4, KERN_SUCCESS));
        // The console, for which the tick of the boosts leaves no time, has had the second tick or has the third.
        let _ = w.event(Event::Timer);
        assert!(w.kernel.sched.earliest_deadline() > due);
    }
}
