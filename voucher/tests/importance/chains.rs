//! Chains, rings and diamonds of donation (importance 10.5).

use crate::support::{Fixture, fixture};
use crate::world::{Kind, Mode, Send};
use voucher::VoucherId;
use voucher::importance::{Depth, Marks, SendMode, Source};

/// Boosts a chain of tasks, each of which forwards the voucher that it got, and returns the vouchers.
fn chain(f: &mut Fixture, tasks: &[&str]) -> Vec<VoucherId> {
    let mut vouchers = vec![f.boost(tasks[0], tasks[1])];
    for pair in tasks[1..].windows(2) {
        let last = *vouchers.last().expect("there is a first");
        vouchers.push(f.boost_with(pair[0], pair[1], last));
    }
    vouchers
}

// covers importance E69
#[test]
fn a_chain_is_freed_when_its_last_voucher_is_gone() {
    let mut f = fixture();
    let vouchers = chain(&mut f, &["A", "B", "C"]);
    assert_eq!((f.inherit(vouchers[0]).refs(), f.inherit(vouchers[1]).refs()), (2, 1));
    f.release("B", vouchers[0]);
    assert_eq!((f.a("B"), f.a("C"), f.inherits()), (0, 0, 2));
    assert_eq!((f.inherit_x(vouchers[1]), f.inherit(vouchers[1]).is_donating()), ((1, 0), false));
    assert_eq!(f.boosts(), ["+B", "+C", "-C", "-B"]);
    f.release("C", vouchers[1]);
    assert_eq!((f.inherits(), f.refs("A")), (0, 1));
}

// covers importance E72
#[test]
fn a_daemon_that_moves_its_voucher_on_loses_its_boost_after_the_next_one() {
    let mut f = fixture();
    let v1 = f.boost("A", "B");
    let send = Send { voucher: Some(v1), move_voucher: true, ..Send::default() };
    assert_eq!(f.send_as("B", "pC", send), Some(0));
    assert_eq!((f.a("B"), f.p("B"), f.a("C"), f.p("C"), f.user_refs("B", v1)), (1, 31, 1, 31, 0));
    f.boosts();
    let voucher = f.voucher("C", "pC");
    assert_eq!(f.boosts(), ["-C", "-B"]);
    assert_eq!((f.a("B"), f.p("B"), f.a("C"), f.p("C")), (0, 4, 0, 4));
    assert_eq!((f.user_refs("C", voucher), f.inherit_x(voucher)), (1, (1, 0)));
    assert!(!f.inherit(voucher).is_donating());
}

// covers importance E73 E74
#[test]
fn a_chain_is_unboosted_downstream_first_and_boosted_upstream_first() {
    let mut f = fixture();
    let vouchers = chain(&mut f, &["A", "B", "C", "D", "E"]);
    let priorities = |f: &Fixture| ["B", "C", "D", "E"].map(|task| f.p(task));
    assert_eq!((f.boosts(), priorities(&f)), (["+B", "+C", "+D", "+E"].map(String::from).to_vec(), [31; 4]));
    f.nap("A", true);
    assert_eq!((f.boosts(), priorities(&f)), (["-E", "-D", "-C", "-B"].map(String::from).to_vec(), [4; 4]));
    assert!(vouchers.iter().all(|&voucher| f.inherit_x(voucher) == (1, 0)));
    f.nap("A", false);
    assert_eq!((f.boosts(), priorities(&f)), (["+B", "+C", "+D", "+E"].map(String::from).to_vec(), [31; 4]));
    assert!(["B", "C", "D", "E"].iter().all(|task| f.tr(task) == 2));
}

// covers importance E86
#[test]
fn a_chain_beyond_the_largest_depth_begins_again_at_its_last_task() {
    let mut f = fixture();
    let names: Vec<String> = (1..=35).map(|number| format!("T{number}")).collect();
    names.iter().for_each(|name| f.start(name, Kind::Adaptive));
    let tasks: Vec<&str> = std::iter::once("A").chain(names.iter().map(String::as_str)).collect();
    let vouchers = chain(&mut f, &tasks);
    let depths: Vec<u32> = vouchers.iter().map(|&voucher| f.inherit(voucher).depth().word()).collect();
    let expected: Vec<u32> = (1..=Depth::MAX).chain([0x8000_0001, 0x8000_0002, 0x8000_0003]).collect();
    assert_eq!(depths, expected);
    assert_eq!(f.inherit(vouchers[32]).from(), Source::Task(f.world.element("T32")));
    assert!(names.iter().all(|name| (f.a(name), f.p(name)) == (1, 31)));
    f.boosts();
    f.nap("A", true);
    let unboosted: Vec<String> = names.iter().rev().map(|name| format!("-{name}")).collect();
    assert_eq!(f.boosts(), unboosted);
    assert!(names.iter().all(|name| (f.a(name), f.p(name)) == (0, 4)));
}

// covers importance E75
#[test]
fn two_inherits_of_one_task_share_one_downstream() {
    let mut f = fixture();
    let (v1, v2) = (f.boost("A", "B"), f.boost("X", "B"));
    let first = f.boost_with("B", "C", v1);
    let second = f.boost_with("B", "C", v2);
    assert_eq!((first, f.user_refs("C", first)), (second, 2));
    let inherit = f.inherit(first);
    assert_eq!((inherit.made(), inherit.depth().length()), (2, 2));
    assert_eq!(Some(inherit.from()), f.importance(v1));
    assert_eq!((f.inherit_x(first), f.a("C"), f.inherits()), ((2, 0), 2, 3));
    // The end of the first origin changes nothing, because the task between is still boosted.
    f.exit("A");
    assert_eq!((f.a("B"), f.a("C"), f.boosted("C")), (1, 2, true));
    f.release("B", v1);
    assert_eq!((f.a("B"), f.a("C")), (1, 2));
    f.release("B", v2);
    assert_eq!((f.a("B"), f.a("C")), (0, 0));
}

// covers importance E87
#[test]
fn a_ring_keeps_itself_boosted_until_one_of_its_vouchers_is_released() {
    let mut f = fixture();
    let vouchers = chain(&mut f, &["A", "B", "C", "B"]);
    assert_eq!((f.a("B"), f.a("C")), (2, 1));
    let third = f.inherit(vouchers[2]);
    assert_eq!((Some(third.from()), third.to()), (f.importance(vouchers[1]), f.world.element("B")));
    assert_eq!(third.depth().length(), 3);
    f.release("B", vouchers[0]);
    f.exit("A");
    assert_eq!((f.a("B"), f.a("C"), f.boosted("B"), f.boosted("C")), (1, 1, true, true));
    f.release("C", vouchers[1]);
    assert_eq!((f.a("B"), f.a("C"), f.inherit(vouchers[2]).is_donating()), (0, 0, false));
    f.release("B", vouchers[2]);
    assert_eq!(f.inherits(), 0);
}

#[test]
fn a_ring_of_messages_ends_when_one_is_consumed() {
    let mut f = fixture();
    f.send("A", "pB", 1);
    f.send("B", "pC", 1);
    f.send("C", "pB", 1);
    f.exit("A");
    assert_eq!((f.a("B"), f.a("C")), (1, 1));
    f.receive_plain("B", "pB");
    f.receive_plain("B", "pB");
    assert_eq!((f.a("B"), f.a("C"), f.c("pB"), f.c("pC")), (0, 0, 0, 0));
}

/// A daemon's message to itself waits until something boosts the daemon. A moment is enough, here that of a message which
/// is refused; from then on the daemon boosts itself (importance 6.5 has no exception for this).
#[test]
fn a_refused_message_can_light_a_ring() {
    let mut f = fixture();
    f.send("B", "pB", 1);
    assert_eq!((f.a("B"), f.c("pB")), (0, 0));
    f.fill("pB");
    assert_eq!(f.send_as("A", "pB", Send::default()), Some(0x1000_0004));
    assert_eq!((f.a("B"), f.c("pB"), f.refs("A")), (1, 1, 1));
    f.receive_plain("B", "pB");
    assert_eq!((f.a("B"), f.boosts()), (0, vec!["+B".to_owned(), "-B".to_owned()]));
}

/// The ring leads over a port whose receive right is in the refused message. The right returns after the message has lost its
/// boost, and meanwhile its boosts count for the receiver.
#[test]
fn a_refused_message_can_light_a_ring_over_a_right_that_it_carries() {
    let mut f = fixture();
    f.port("q", "B", true);
    f.send("B", "q", 1);
    f.fill("pB");
    let rights = vec![f.world.port_number("q")];
    let send = Send { rights, mode: SendMode::Static, ..Send::default() };
    assert_eq!(f.send_as("B", "pB", send), Some(0x1000_0004));
    assert_eq!((f.a("B"), f.c("pB"), f.c("q")), (1, 0, 1));
    f.receive_plain("B", "q");
    assert_eq!((f.a("B"), f.boosts()), (0, vec!["+B".to_owned(), "-B".to_owned()]));
}

/// An application to which the refused message's receiver has sent a message is boosted for a moment, through others: its
/// policy follows with the delayed drop (importance 6.6). A boost lifts App Nap, so that it is a donor until then.
#[test]
fn a_refused_message_boosts_an_application_until_the_delayed_drop() {
    for napping in [false, true] {
        let mut f = fixture();
        f.nap("A", napping);
        f.send("A", "pC", 1);
        f.send("B", "pA", 1);
        f.fill("pB");
        let before = (f.a("A"), f.a("B"), f.a("C"), f.refs("A"), f.c("pA"), f.c("pB"), f.c("pC"));
        let donated = u64::from(!napping);
        assert_eq!(before, (0, 0, donated, 2, 0, 0, donated));
        assert_eq!(f.send_as("X", "pB", Send::default()), Some(0x1000_0004));
        // One reference is that of the queue.
        let waiting = (f.a("A"), f.a("B"), f.a("C"), f.refs("A"), f.c("pA"), f.c("pB"), f.c("pC"));
        assert_eq!(waiting, (0, 0, 1, 3, 0, 0, 1), "napping: {napping}");
        assert_eq!((f.boosted("A"), f.donates("A"), f.boosted("B"), f.boosted("C")), (true, true, false, true));
        f.advance(1099);
        assert!(f.boosted("A"));
        f.advance(1);
        let after = (f.a("A"), f.a("B"), f.a("C"), f.refs("A"), f.c("pA"), f.c("pB"), f.c("pC"));
        assert_eq!((after, f.boosted("A"), f.donates("A")), (before, false, !napping));
    }
}

#[test]
fn a_ring_ends_with_the_exit_of_a_member() {
    for member in ["B", "C", "D"] {
        let mut f = fixture();
        chain(&mut f, &["A", "B", "C", "D", "B"]);
        f.exit("A");
        // The voucher of A's boost is B's, and goes on until B drops it; the ring feeds itself.
        assert_eq!(f.a("B") + f.a("C") + f.a("D"), 3);
        f.exit(member);
        for other in ["B", "C", "D"].into_iter().filter(|&other| other != member) {
            assert_eq!((f.a(other), f.boosted(other)), (0, false), "{other} after the exit of {member}");
        }
    }
}

// covers importance E91
#[test]
fn a_task_that_sends_itself_its_inherit_gets_the_same_voucher() {
    let mut f = fixture();
    let voucher = f.boost("A", "B");
    f.forward("B", "pB", voucher);
    let linked = f.world.messages.values().next().expect("it is queued").link.expect("it is linked");
    assert_eq!(f.world.importance.link(linked).expect("it is linked").source(), f.importance(voucher));
    assert_eq!((f.voucher("B", "pB"), f.user_refs("B", voucher)), (voucher, 2));
    assert_eq!((f.inherit_x(voucher), f.inherit(voucher).made(), f.a("B")), ((2, 0), 2, 2));
    f.release("B", voucher);
    assert_eq!((f.inherit_x(voucher), f.inherit(voucher).made(), f.a("B")), ((2, 0), 2, 2));
    f.release("B", voucher);
    assert_eq!(f.a("B"), 0);
}

/// The boosts of an inherit were all given back by hand. A message of the boosted task to itself revives it; whether it
/// donates again depends on the task that it comes from, and not on the boost of the message.
#[test]
fn a_revived_inherit_follows_the_task_that_it_comes_from() {
    for napped in [false, true] {
        let mut f = fixture();
        let both = Marks { receiver: true, denap: true, ..Marks::default() };
        f.world.spawn("R", Kind::Other, 0, both, &[]);
        f.port("pR", "R", true);
        let voucher = f.boost("A", "R");
        f.send("X", "pR", 1);
        assert_eq!(f.drop_external("R", voucher, 1), Ok(0));
        f.nap("A", napped);
        f.forward("R", "pR", voucher);
        assert_eq!(f.a("R"), 2, "by the messages of X and of its own");
        f.receive_plain("R", "pR");
        assert_eq!(f.a("R"), 1, "its own message boosts it");
        assert_eq!(f.voucher("R", "pR"), voucher);
        assert_eq!((f.inherit(voucher).is_donating(), f.a("R")), (!napped, u64::from(!napped)));
    }
}

// covers importance E93
#[test]
fn a_receiver_that_is_a_donor_anyway_passes_no_change_on() {
    let mut f = fixture();
    f.world.mark_donor("B");
    f.send("B", "pC", 1);
    assert_eq!((f.boosts(), f.a("C")), (vec!["+C".to_owned()], 1));
    f.send("A", "pB", 1);
    assert_eq!((f.boosts(), f.a("C")), (vec!["+B".to_owned()], 1));
    f.receive_plain("B", "pB");
    assert_eq!((f.boosts(), f.a("C")), (vec!["-B".to_owned()], 1));
}

// covers importance E94
#[test]
fn the_end_of_a_diamond_is_unboosted_once_and_first() {
    let mut f = fixture();
    let (vb, vc) = (f.boost("A", "B"), f.boost("A", "C"));
    let through_b = f.boost_with("B", "D", vb);
    let through_c = f.boost_with("C", "D", vc);
    assert_ne!(through_b, through_c);
    let depths = [through_b, through_c].map(|voucher| f.inherit(voucher).depth().length());
    assert_eq!((f.a("D"), depths), (2, [2, 2]));
    f.boosts();
    f.nap("A", true);
    assert_eq!(f.boosts(), ["-D", "-C", "-B"]);
}

/// The work of a change is proportional to what hangs on the tasks that it reaches, however long the chain is.
#[test]
fn a_change_costs_the_same_for_each_hop() {
    let visits = |hops: usize| {
        let mut f = fixture();
        let names: Vec<String> = (1..=hops).map(|number| format!("T{number}")).collect();
        for name in &names {
            f.world.spawn(name, Kind::Adaptive, 0, Kind::Adaptive.marks(), &[]);
            f.port(&format!("p{name}"), name, true);
        }
        let mut last = "A".to_owned();
        let mut voucher = None;
        for name in &names {
            let port = format!("p{name}");
            let send = Send { voucher, ..Default::default() };
            assert_eq!(f.world.send(&last, &port, send).1, Some(0));
            voucher = f.world.receive(name, &port, true, Mode::Plain).voucher;
            last.clone_from(name);
        }
        let before = f.world.importance.visits();
        f.world.set_policy("A", |task| task.napped = true);
        let visits = f.world.importance.visits() - before;
        f.world.check();
        assert!(names.iter().all(|name| f.a(name) == 0));
        visits
    };
    // Each task is visited, and the one inherit that hangs on it.
    assert_eq!([10, 1000].map(visits), [2 * 10 + 1, 2 * 1000 + 1]);
}
