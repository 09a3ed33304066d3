//! Changes that are too long for one step of the kernel: they pause and go on later, and everything can happen meanwhile.

use crate::support::{Fixture, fixture};
use crate::world::Kind;

/// Visits of one step.
const VISITS: u64 = 4;
/// Messages to each of two daemons.
const MESSAGES: usize = 20;

impl Fixture {
    /// Goes on with what was cut short, step by step, and returns the number of steps.
    fn finish(&mut self) -> usize {
        let mut steps = 0;
        while self.world.end_step() {
            let before = self.world.importance.visits();
            self.world.go_on();
            let visits = self.world.importance.visits() - before;
            assert!(visits <= VISITS + 4, "{visits} visits in one step");
            self.world.check();
            steps += 1;
            assert!(steps < 1000, "a change ends");
        }
        steps
    }

    /// Changes the nap of a task, as far as one step goes.
    fn begin_nap(&mut self, task: &str, on: bool) {
        self.world.end_step();
        let before = self.world.importance.visits();
        self.nap(task, on);
        let visits = self.world.importance.visits() - before;
        assert!(visits <= VISITS + 4, "{visits} visits in one step");
    }
}

/// Returns a fixture whose application A has sent messages to B and C by turns.
fn with_messages() -> Fixture {
    let mut f = fixture();
    f.world.importance.allow(VISITS);
    for _ in 0..MESSAGES {
        f.send("A", "pB", 1);
        f.send("A", "pC", 1);
    }
    f.world.end_step();
    f.boosts();
    f
}

#[test]
fn a_long_change_goes_on_where_it_was_cut_short() {
    let mut f = with_messages();
    f.begin_nap("A", true);
    assert!(f.a("B") > 0 && f.a("B") < MESSAGES as u64, "some of the messages have followed");
    assert_eq!((f.boosted("B"), f.boosted("C")), (true, true));
    assert!(f.finish() > MESSAGES / VISITS as usize / 2);
    assert_eq!((f.a("B"), f.a("C"), f.boosts().len()), (0, 0, 2));
    f.begin_nap("A", false);
    f.finish();
    assert_eq!((f.a("B"), f.a("C")), (MESSAGES as u64, MESSAGES as u64));
}

#[test]
fn a_change_that_is_taken_back_half_way_leaves_everything_as_it_was() {
    let mut f = with_messages();
    for on in [true, false, true, false] {
        f.begin_nap("A", on);
    }
    f.finish();
    assert_eq!((f.a("B"), f.a("C")), (MESSAGES as u64, MESSAGES as u64));
    f.begin_nap("A", true);
    f.finish();
    assert_eq!((f.a("B"), f.a("C")), (0, 0));
}

#[test]
fn messages_come_and_go_while_a_change_is_under_way() {
    let mut f = with_messages();
    f.begin_nap("A", true);
    // The first messages have followed; those that are received next are before and at the place where it goes on.
    for _ in 0..VISITS {
        f.receive_plain("B", "pB");
        f.receive_plain("C", "pC");
    }
    let kept = f.voucher("B", "pB");
    f.send("A", "pB", 1);
    f.finish();
    assert_eq!((f.a("B"), f.a("C"), f.inherit(kept).is_donating()), (0, 0, false));
    f.begin_nap("A", false);
    f.finish();
    let left = MESSAGES as u64 - VISITS;
    assert_eq!((f.a("B"), f.a("C"), f.inherit(kept).is_donating()), (left + 1, left, true));
}

#[test]
fn inherits_follow_after_the_messages_and_may_end_before() {
    let mut f = fixture();
    f.world.importance.allow(VISITS);
    let names: Vec<String> = (0..12).map(|number| format!("T{number}")).collect();
    let mut kept = Vec::new();
    for name in &names {
        f.start(name, Kind::Adaptive);
        kept.push(f.boost("A", name));
    }
    f.begin_nap("A", true);
    assert!(names.iter().any(|name| f.a(name) == 1), "not all have followed");
    // Those at the place where it goes on end.
    for number in 2..6 {
        f.release(&names[number], kept[number]);
    }
    f.finish();
    assert!(names.iter().all(|name| (f.a(name), f.p(name)) == (0, 4)));
}

#[test]
fn a_task_may_end_while_its_change_is_under_way() {
    let mut f = with_messages();
    f.begin_nap("A", true);
    f.exit("A");
    for _ in 0..MESSAGES {
        f.receive_plain("B", "pB");
        f.receive_plain("C", "pC");
    }
    f.finish();
    assert_eq!((f.a("B"), f.a("C")), (0, 0));
}

/// Each task of a ring has a list of messages that takes several steps, and a boost runs round the ring when it ends: both
/// changes have something left to do. One has its turn after the other, so that neither runs behind the other for ever.
#[test]
fn a_boost_and_its_end_do_not_chase_each_other_in_a_ring() {
    for head_start in 1..20 {
        let mut f = fixture();
        f.world.importance.allow(VISITS);
        f.port("q", "B", true);
        for (from, to) in [("B", "pC"), ("C", "pD"), ("D", "pB")] {
            f.send(from, "pS", 2 * VISITS as usize);
            f.send(from, to, 1);
        }
        f.world.end_step();
        f.send("A", "q", 1);
        for _ in 0..head_start {
            f.world.end_step();
            f.world.go_on();
        }
        f.receive_plain("B", "q");
        f.finish();
        let (lit, boosts) = (f.boosted("B"), f.a("B") + f.a("C") + f.a("D"));
        assert_eq!(boosts, if lit { 3 } else { 0 }, "after {head_start} steps");
    }
}
