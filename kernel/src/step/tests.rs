//! Tests of the check of [`Step`].

use super::*;
use store::Id;

const SET: u64 = 1 << 32;

/// Returns a step with one place for a piece of work and one for a policy change.
fn step() -> Step {
    let mut step = Step::default();
    step.reserve_work(1).unwrap();
    step.reserve_policy_change().unwrap();
    step.check(1, 1);
    step
}

fn work() -> Work {
    Work::Set(Id::from_bits(SET).expect("a valid id"))
}

#[test]
#[should_panic(expected = "every object has its places on the work list")]
fn the_check_finds_a_place_for_work_that_was_not_released() {
    step().check(0, 1);
}

#[test]
#[should_panic(
    expected = "every task and thread has its place for a policy change, and every port and set that needs one"
)]
fn the_check_finds_a_place_for_a_policy_change_that_was_not_released() {
    step().check(1, 0);
}

#[test]
#[should_panic(expected = "only background work is left between steps")]
fn the_check_finds_work_that_was_not_done() {
    let mut step = step();
    step.later(work());
    step.check(1, 1);
}

#[test]
fn background_work_may_be_left_and_is_no_reason_for_a_full_exit() {
    let mut step = step();
    step.later(work());
    let list = step.take_work();
    step.settled();
    step.add_background(list);
    assert!(step.is_quiet() && step.has_background_work());
    step.check(1, 1);
    step.resume_background();
    assert!(!step.is_quiet());
    assert_eq!(step.next_work(), Some(work()));
    step.settled();
    assert!(step.is_quiet());
}
