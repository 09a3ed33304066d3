//! Receive rights that move, and their owners (importance 10.6).

use crate::support::{Fixture, fixture};
use crate::world::{Holder, Kind, Mode, Send};
use voucher::importance::SendMode;

const QUIET: SendMode = SendMode::NoImportance;
const TIMED_OUT: u32 = 0x1000_0004;

/// S holds a port for a daemon that is not launched yet, with messages waiting.
fn waiting_service(messages: usize) -> Fixture {
    let mut f = fixture();
    f.port("svc", "S", true);
    f.world.set_temp_owner("svc");
    f.send("A", "svc", messages);
    f
}

fn holder(f: &Fixture, port: &str) -> Holder {
    f.world.kernel.port_of(f.world.port_number(port)).expect("it is alive").holder
}

// covers importance E98
#[test]
fn a_watched_port_boosts_its_daemon_from_birth_to_the_last_voucher() {
    let mut f = waiting_service(2);
    f.launch("W", &["svc"]);
    assert_eq!((f.a("W"), f.boosted("W"), f.refs("W")), (2, true, 2));
    f.port("rp", "W", false);
    f.move_rights("S", "rp", &["svc"], QUIET);
    assert_eq!((f.c("svc"), f.c("rp"), f.a("W"), f.refs("W")), (2, 2, 2, 1));
    f.receive("W", "rp");
    assert_eq!((f.c("svc"), f.c("rp"), f.a("W")), (2, 0, 2));
    let number = f.world.port_number("svc");
    assert!(!f.world.kernel.port_of(number).expect("it is alive").boosts.is_temp_owner());
    let voucher = f.voucher("W", "svc");
    assert_eq!((f.voucher("W", "svc"), f.a("W"), f.x("W")), (voucher, 2, (2, 0)));
    f.release("W", voucher);
    f.release("W", voucher);
    assert_eq!((f.a("W"), f.refs("W"), f.boosts()), (0, 1, vec!["+W".to_owned(), "-W".to_owned()]));
}

// covers importance E101
#[test]
fn two_watched_ports_count_together() {
    let mut f = waiting_service(1);
    f.port("svc2", "S", true);
    f.world.set_temp_owner("svc2");
    f.send("A", "svc2", 2);
    f.launch("W", &["svc", "svc2"]);
    assert_eq!((f.a("W"), f.refs("W")), (3, 3));
}

#[test]
fn a_relaunched_daemon_takes_the_boosts_of_the_one_that_ended() {
    let mut f = waiting_service(2);
    f.launch("W", &["svc"]);
    let first = f.world.element("W");
    f.exit("W");
    assert_eq!(f.world.importance.element(first).expect("the port refers to it").assertions(), 2);
    f.launch("V", &["svc"]);
    assert_eq!((f.a("V"), f.boosted("V")), (2, true));
    assert!(f.world.importance.element(first).is_none());
}

// covers importance E103 E104
#[test]
fn a_travelling_port_carries_its_boosts() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.send("A", "r", 2);
    f.move_rights("B", "pC", &["r"], SendMode::Normal);
    assert_eq!((f.a("B"), f.c("pC"), f.a("C")), (0, 2, 2));
    let mut g = fixture();
    g.port("r", "B", true);
    g.send("A", "r", 2);
    g.move_rights("B", "pC", &["r"], SendMode::Normal);
    g.send("A", "r", 1);
    assert_eq!((g.c("r"), g.c("pC"), g.a("C")), (3, 3, 3));
    f.receive("C", "pC");
    assert_eq!((f.c("pC"), f.a("C")), (0, 2));
    f.voucher("C", "r");
    assert_eq!((f.a("C"), f.x("C"), f.c("r")), (2, (1, 0), 1));
}

// covers importance E105
#[test]
fn nested_travelling_ports_count_for_all_that_they_travel_towards() {
    let mut f = fixture();
    f.port("r1", "B", true);
    f.port("r2", "B", true);
    f.send("A", "r1", 1);
    f.move_rights("B", "r2", &["r1"], QUIET);
    f.move_rights("B", "pC", &["r2"], QUIET);
    f.send("A", "r1", 1);
    assert_eq!((f.c("r1"), f.c("r2"), f.c("pC"), f.a("C")), (2, 2, 2, 2));
    f.receive("C", "pC");
    assert_eq!((f.c("pC"), f.a("C")), (0, 2));
    f.receive("C", "r2");
    assert_eq!((f.c("r2"), f.c("r1"), f.a("C")), (0, 2, 2));
}

#[test]
fn the_death_of_a_port_takes_the_boosts_of_all_that_travel_towards_it() {
    let mut f = fixture();
    f.port("r1", "B", true);
    f.port("r2", "B", true);
    f.send("A", "r1", 1);
    f.move_rights("B", "r2", &["r1"], QUIET);
    f.move_rights("B", "pC", &["r2"], QUIET);
    f.send("A", "r1", 1);
    f.send("A", "pC", 1);
    assert_eq!(f.a("C"), 3);
    f.world.destroy_port("pC");
    f.world.check();
    assert_eq!((f.a("C"), f.refs("A"), f.is_alive("r1"), f.is_alive("r2")), (0, 1, false, false));
}

#[test]
fn a_message_that_carries_its_own_destination_takes_its_boosts_along() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.send("A", "r", 1);
    f.move_rights("B", "r", &["r"], SendMode::Normal);
    assert_eq!((f.a("B"), f.is_alive("r"), f.refs("A")), (0, false, 1));
}

// covers importance E108
#[test]
fn a_port_that_travels_within_its_task_counts_twice_on_the_way_and_once_for_the_task() {
    let mut f = fixture();
    f.port("r1", "B", true);
    f.port("r2", "B", true);
    f.send("A", "r1", 1);
    f.send("A", "r2", 1);
    f.move_rights("B", "r2", &["r1"], SendMode::Normal);
    assert_eq!((f.c("r2"), f.a("B")), (3, 3));
}

/// DV-2: XNU leaves the counts with the destination.
#[test]
fn a_refused_message_gives_a_right_back_with_its_boosts() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.send("A", "r", 2);
    f.send("A", "pC", 5);
    f.fill("pC");
    f.boosts();
    let rights = vec![f.world.port_number("r")];
    assert_eq!(f.send_as("B", "pC", Send { rights, ..Send::default() }), Some(TIMED_OUT));
    assert_eq!((f.a("B"), f.boosted("B"), f.a("C"), f.c("pC"), f.refs("B")), (2, true, 5, 5, 1));
    assert_eq!(holder(&f, "r"), Holder::Task(f.world.kernel.task_number("B").expect("it is alive")));
}

/// DV-2 for a port with a temporary owner: it comes back without one, and counts for its holder.
#[test]
fn a_refused_message_gives_a_watched_port_back_to_its_holder() {
    let mut f = waiting_service(1);
    f.launch("W", &["svc"]);
    f.fill("pB");
    let rights = vec![f.world.port_number("svc")];
    assert_eq!(f.send_as("S", "pB", Send { rights, ..Send::default() }), Some(TIMED_OUT));
    assert_eq!((f.a("W"), f.a("B"), f.c("svc"), f.refs("W")), (0, 0, 1, 1));
}

/// DV-3: XNU leaves the counts on the way.
#[test]
fn a_right_that_is_destroyed_on_its_way_takes_its_boosts_along() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.send("A", "r", 2);
    f.move_rights("B", "pC", &["r"], QUIET);
    assert_eq!((f.a("C"), f.c("pC")), (2, 2));
    f.world.receive("C", "pC", true, Mode::LargeDestroy);
    f.world.check();
    assert_eq!((f.a("C"), f.c("pC"), f.is_alive("r"), f.refs("A")), (0, 0, false, 1));
}

/// DV-1: XNU takes the counts from the task that destroys the port, although they were nobody's.
#[test]
fn a_port_whose_boosts_are_nobodys_takes_none_from_its_holder() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.port("q", "C", true);
    f.send("A", "r", 1);
    f.send("A", "pC", 2);
    f.world.set_temp_owner("q");
    f.move_rights("B", "q", &["r"], QUIET);
    assert_eq!((f.c("q"), f.a("C")), (1, 2));
    f.world.destroy_port("q");
    f.world.check();
    assert_eq!((f.a("C"), f.is_alive("r")), (2, false));
}

/// DV-1: XNU takes the counts from the sender a second time.
#[test]
fn a_right_that_is_sent_to_a_dying_port_is_counted_off_once() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.send("A", "r", 1);
    f.send("A", "pB", 2);
    f.world.destroy_port("pC");
    let rights = vec![f.world.port_number("r")];
    let send = Send { rights, dest_died_after_copyin: true, ..Send::default() };
    assert_eq!(f.send_as("B", "pC", send), Some(0));
    assert_eq!((f.a("B"), f.is_alive("r"), f.refs("A")), (2, false, 3));
}

/// DV-4: XNU never counts again when a right arrives.
#[test]
fn a_right_that_travelled_to_a_port_with_a_temporary_owner_counts_where_it_arrives() {
    let mut f = fixture();
    f.port("r", "B", true);
    f.port("q", "C", true);
    f.world.set_temp_owner("q");
    f.send("A", "r", 1);
    f.move_rights("B", "q", &["r"], QUIET);
    assert_eq!((f.a("B"), f.a("C"), f.c("q")), (0, 0, 1));
    f.receive("C", "q");
    assert_eq!((f.a("C"), f.c("q"), f.boosted("C")), (1, 0, true));
}

#[test]
fn a_port_that_a_request_saves_from_death_travels_with_its_boosts() {
    let mut f = fixture();
    f.port("n", "S", false);
    f.send("A", "pB", 2);
    f.world.request_port_destroyed("pB", "n");
    f.exit("B");
    assert_eq!((f.c("pB"), f.c("n"), f.a("S")), (2, 2, 0));
    f.receive_plain("S", "n");
    f.world.set_temp_owner("pB");
    f.launch("W", &["pB"]);
    assert_eq!((f.c("pB"), f.c("n"), f.a("W")), (2, 0, 2));
}

#[test]
fn a_port_that_is_saved_from_death_counts_for_nobody_until_it_travels() {
    let mut f = waiting_service(2);
    f.launch("W", &["svc"]);
    f.send("A", "pB", 1);
    for port in ["svc", "pB"] {
        let number = f.world.port_number(port);
        let port = f.world.kernel.port_mut(number).expect("it is alive");
        let holder = std::mem::replace(&mut port.holder, Holder::Limbo);
        let place = f.world.kernel.place(holder);
        f.world.importance.right_redirected(&mut f.world.kernel, number, place);
    }
    let ports = f.world.kernel.live_ports();
    f.world.importance.check(&mut f.world.kernel, &ports);
    assert_eq!((f.a("W"), f.refs("W"), f.c("svc"), f.a("B"), f.c("pB")), (0, 1, 2, 0, 1));
}

/// A failed exec leaves the old image as it was.
#[test]
fn an_exec_that_fails_ends_the_boost_of_the_new_image() {
    let mut f = fixture();
    f.boost("A", "B");
    let (old, new) = (f.world.element("B"), f.world.element("C"));
    let (importance, kernel) = (&mut f.world.importance, &mut f.world.kernel);
    let exec = importance.begin_exec(kernel, old, new).unwrap();
    assert_eq!(importance.element(new).expect("it is alive").assertions(), 1);
    importance.end_exec(kernel, exec);
    f.world.check();
    assert_eq!((f.a("C"), f.x("C"), f.a("B"), f.refs("B"), f.inherits()), (0, (0, 0), 1, 2, 1));
}

#[test]
fn only_an_adaptive_daemon_is_bound_to_watch_ports() {
    let mut f = waiting_service(2);
    f.world.spawn("P", Kind::App, 1, Kind::App.marks(), &["svc"]);
    f.world.check();
    assert_eq!((f.a("P"), f.refs("P")), (0, 1));
    // A port without a temporary owner is passed over.
    f.launch("W", &["pB"]);
    assert_eq!((f.a("W"), f.refs("W")), (0, 1));
}

#[test]
fn a_request_for_room_boosts_a_port_that_accepts_donation_once() {
    for (donation, boosts) in [(true, 1), (false, 0)] {
        let mut f = fixture();
        f.port("q", "B", donation);
        f.fill("q");
        for task in ["A", "X"] {
            f.world.request_send_possible(task, "q");
            let send = Send { notify: true, ..Send::default() };
            assert_eq!(f.send_as(task, "q", send), Some(TIMED_OUT));
            assert_eq!((f.c("q"), f.a("B")), (boosts, boosts));
        }
    }
}

/// A mark that the old image gave itself ends with it, and the policy decides about the new one.
#[test]
fn an_exec_forgets_a_mark_against_the_policy() {
    let mut f = fixture();
    f.nap("A", true);
    f.world.mark_donor("A");
    assert_eq!((f.donates("A"), f.tr("A")), (true, 2));
    f.world.exec("A", "A2");
    f.world.check();
    assert_eq!((f.donates("A2"), f.tr("A2")), (true, 3));
}

#[test]
fn a_mark_against_the_policy_lasts_until_the_policy_changes_its_mind() {
    let mut f = fixture();
    f.nap("A", true);
    f.world.mark_donor("A");
    f.world.set_policy("A", |task| task.external_background = true);
    assert!(f.donates("A"), "the policy wanted no donor before, and wants none now");
    f.world.set_policy("A", |task| (task.external_background, task.napped) = (false, false));
    f.nap("A", true);
    assert!(!f.donates("A"));
}

#[test]
fn a_forked_daemon_is_what_its_parent_is_at_that_moment() {
    let mut f = fixture();
    f.boost("A", "B");
    f.world.fork("B", "K");
    f.world.fork("C", "L");
    f.world.fork("A", "M");
    f.world.check();
    assert_eq!((f.donates("K"), f.a("K"), f.marks("K").receiver, f.a("B")), (true, 0, false, 1));
    assert!(f.element("L").is_never_donor());
    assert_eq!(f.marks("M"), voucher::importance::Marks { donor: true, ..Kind::App.marks() });
}
