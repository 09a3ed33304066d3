//! The decisions of a queue, one by one (dispatch 5.2–5.7).

use super::*;
use crate::qos::Priority;
use std::vec;

const A: PortName = PortName(0x103);
const B: PortName = PortName(0x203);
const NO_CLASS: Qos = Qos::Unspecified;

type State = LaneState<&'static str>;

fn serial() -> State {
    State::new(&QueuePriority::NONE, 1, true)
}

fn concurrent(width: u32) -> State {
    State::new(&QueuePriority::NONE, width, true)
}

fn entry(item: &'static str, kind: Kind, class: Qos) -> Entry<&'static str> {
    Entry { item, kind, class }
}

fn push(state: &mut State, item: &'static str, class: Qos) -> Push<&'static str> {
    state.push(entry(item, Kind::Shared, class))
}

fn kept(wakeup: Wakeup) -> Push<&'static str> {
    Push::Kept(wakeup)
}

fn idle() -> Left<&'static str> {
    Left { overridden: false, successor: Successor::NONE }
}

#[test]
fn the_first_item_puts_the_queue_on_its_target_and_the_next_ones_do_not() {
    let mut state = serial();
    assert_eq!(push(&mut state, "one", Qos::Utility), kept(Wakeup::Enqueue(Qos::Utility)));
    assert_eq!(push(&mut state, "two", Qos::Background), kept(Wakeup::None));
    assert_eq!(state.max_qos(), Qos::Utility);
}

#[test]
fn nothing_follows_from_what_goes_behind_other_items() {
    let words =
        [QueuePriority::NONE, QueuePriority::of(Priority::of(Qos::Utility)), QueuePriority::fallback(Qos::Utility)];
    let classes = || Qos::CLASSES.into_iter().chain([NO_CLASS]);
    let mut behind = 0;
    for (word, suspended) in words.iter().flat_map(|word| [(word, false), (word, true)]) {
        for (first, second) in classes().flat_map(|first| classes().map(move |second| (first, second))) {
            let mut state = State::new(word, 1, !suspended);
            assert!(!state.is_behind(second), "nothing is there");
            let _ = push(&mut state, "one", first);
            if state.is_behind(second) {
                behind += 1;
                assert_eq!(push(&mut state, "two", second), kept(Wakeup::None), "{word:?} {first:?} {second:?}");
            }
        }
    }
    assert!(behind > 0);
}

#[test]
fn the_owner_takes_heads_without_a_decision_as_long_as_no_thread_waits() {
    let mut state = serial();
    for item in ["one", "two"] {
        let _ = push(&mut state, item, NO_CLASS);
    }
    let _ = state.push(entry("waiter", Kind::Waiter(B), NO_CLASS));
    assert_eq!(state.take(A), Some(NO_CLASS));
    assert_eq!(state.take_head(), None, "a thread waits");
    assert_eq!((state.next(), state.next()), (Next::Run("one"), Next::Run("two")));
    assert!(matches!(state.next(), Next::Stop(Left { successor: Successor::Waiter { waiter: "waiter", .. }, .. })));
    let _ = (push(&mut state, "three", NO_CLASS), state.leave());
    assert_eq!(state.take(A), Some(NO_CLASS));
    state.suspend();
    assert_eq!(state.take_head(), None, "it is suspended");
    let _ = state.resume();
    assert_eq!((state.take_head(), state.take_head()), (Some("three"), None));
}

#[test]
fn a_higher_class_raises_the_target_of_a_waiting_queue() {
    let mut state = serial();
    let _ = push(&mut state, "one", Qos::Background);
    let raise = Wakeup::Raise { class: Qos::UserInitiated, owner: None };
    assert_eq!(push(&mut state, "two", Qos::UserInitiated), kept(raise));
    assert_eq!(push(&mut state, "three", Qos::UserInitiated), kept(Wakeup::None), "it has that class already");
}

#[test]
fn a_higher_class_raises_the_owner_who_learns_of_it_at_the_end() {
    let mut state = serial();
    let _ = push(&mut state, "one", Qos::Background);
    assert_eq!(state.take(A), Some(Qos::Background));
    assert_eq!(state.next(), Next::Run("one"));
    let raise = Wakeup::Raise { class: Qos::Utility, owner: Some(A) };
    assert_eq!(push(&mut state, "two", Qos::Utility), kept(raise));
    assert_eq!(state.next(), Next::Run("two"));
    assert_eq!(state.next(), Next::Stop(Left { overridden: true, ..idle() }));
    assert!(state.is_idle());
    assert_eq!(state.max_qos(), NO_CLASS);
}

#[test]
fn a_class_up_to_the_queues_own_is_no_override() {
    let mut state = State::new(&QueuePriority::of(Priority::of(Qos::Utility)), 1, true);
    assert_eq!(push(&mut state, "one", NO_CLASS), kept(Wakeup::Enqueue(Qos::Utility)));
    assert_eq!(push(&mut state, "two", Qos::Utility), kept(Wakeup::None));
    let raise = Wakeup::Raise { class: Qos::UserInitiated, owner: None };
    assert_eq!(push(&mut state, "three", Qos::UserInitiated), kept(raise));
}

#[test]
fn an_item_without_a_class_is_pushed_with_the_fallback() {
    let mut state = State::new(&QueuePriority::fallback(Qos::DEFAULT), 1, true);
    assert_eq!(push(&mut state, "one", NO_CLASS), kept(Wakeup::Enqueue(Qos::DEFAULT)));
    let mut state = State::new(&QueuePriority::fallback(Qos::DEFAULT), 1, true);
    assert_eq!(push(&mut state, "one", Qos::Background), kept(Wakeup::Enqueue(Qos::Background)));
}

#[test]
fn an_item_that_is_pushed_during_the_last_one_is_found_by_the_drain() {
    let mut state = serial();
    let _ = push(&mut state, "one", NO_CLASS);
    assert_eq!(state.take(A), Some(NO_CLASS));
    assert_eq!(state.next(), Next::Run("one"));
    assert_eq!(push(&mut state, "two", NO_CLASS), kept(Wakeup::None));
    assert_eq!(state.next(), Next::Run("two"));
}

#[test]
fn a_suspended_queue_keeps_items_and_class_for_the_resume() {
    let mut state = serial();
    state.suspend();
    assert_eq!(push(&mut state, "one", Qos::Background), kept(Wakeup::None));
    assert_eq!(push(&mut state, "two", Qos::UserInitiated), kept(Wakeup::None));
    assert_eq!(state.resume(), Ok(Successor::Wakeup(Wakeup::Enqueue(Qos::UserInitiated))));
    assert_eq!(state.resume(), Err(OverResumed));
}

#[test]
fn a_suspension_stops_a_drain_between_two_items() {
    let mut state = serial();
    let _ = (push(&mut state, "one", Qos::Utility), push(&mut state, "two", Qos::Utility));
    assert_eq!(state.take(A), Some(Qos::Utility));
    assert_eq!(state.next(), Next::Run("one"));
    state.suspend();
    assert_eq!(state.next(), Next::Stop(idle()));
    assert_eq!((state.owner(), state.max_qos()), (None, Qos::Utility));
    assert_eq!(state.resume(), Ok(Successor::Wakeup(Wakeup::Enqueue(Qos::Utility))));
}

#[test]
fn a_worker_that_meets_a_suspended_queue_leaves_it_to_the_resume() {
    let mut state = serial();
    let _ = push(&mut state, "one", Qos::Utility);
    state.suspend();
    assert_eq!(state.take(A), None);
    assert_eq!(state.resume(), Ok(Successor::Wakeup(Wakeup::Enqueue(Qos::Utility))));
}

#[test]
fn a_resume_before_the_worker_came_changes_nothing_but_the_class() {
    let mut state = serial();
    let _ = push(&mut state, "one", Qos::Utility);
    state.suspend();
    let _ = push(&mut state, "two", Qos::UserInitiated);
    let raise = Wakeup::Raise { class: Qos::UserInitiated, owner: None };
    assert_eq!(state.resume(), Ok(Successor::Wakeup(raise)));
    assert_eq!(state.take(A), Some(Qos::UserInitiated));
}

#[test]
fn an_inactive_queue_begins_with_its_activation_once() {
    let mut state = State::new(&QueuePriority::NONE, 1, false);
    assert_eq!(push(&mut state, "one", Qos::Utility), kept(Wakeup::None));
    assert_eq!(state.enter(A, true), Enter::Busy);
    assert_eq!(state.activate(), Successor::Wakeup(Wakeup::Enqueue(Qos::Utility)));
    assert_eq!(state.activate(), Successor::NONE);
}

#[test]
fn a_thread_enters_an_idle_queue_and_nobody_else_does() {
    let mut state = serial();
    assert_eq!(state.enter(A, true), Enter::Entered);
    assert_eq!(state.enter(B, true), Enter::Busy);
    assert_eq!(state.enter(A, true), Enter::Deadlock);
    let raise = Wakeup::Raise { class: Qos::Utility, owner: Some(A) };
    assert_eq!(push(&mut state, "one", Qos::Utility), kept(raise));
    let successor = Successor::Wakeup(Wakeup::Enqueue(Qos::Utility));
    assert_eq!(state.leave(), Left { overridden: true, successor });
}

#[test]
fn a_queue_is_handed_from_waiter_to_waiter_with_the_highest_class() {
    let mut state = serial();
    assert_eq!(state.enter(A, true), Enter::Entered);
    let _ = state.push(entry("waiter", Kind::Waiter(B), Qos::Background));
    let _ = state.push(entry("urgent", Kind::Waiter(A), Qos::UserInteractive));
    let waiter = Successor::Waiter { waiter: "waiter", over: Some(Qos::UserInteractive) };
    assert_eq!(state.leave(), Left { overridden: true, successor: waiter });
    assert_eq!(state.owner(), Some(B));
    let urgent = Successor::Waiter { waiter: "urgent", over: None };
    assert_eq!(state.leave(), Left { overridden: true, successor: urgent });
    assert_eq!(state.leave(), idle());
    assert!(state.is_idle());
}

#[test]
fn a_drain_that_meets_a_waiter_hands_the_queue_over() {
    let mut state = serial();
    let _ = push(&mut state, "one", NO_CLASS);
    let _ = state.push(entry("waiter", Kind::SharedWaiter(B), NO_CLASS));
    assert_eq!(state.take(A), Some(NO_CLASS));
    assert_eq!(state.next(), Next::Run("one"));
    let successor = Successor::Waiter { waiter: "waiter", over: None };
    assert_eq!(state.next(), Next::Stop(Left { overridden: false, successor }));
}

#[test]
fn items_of_a_concurrent_queue_go_straight_on_while_nothing_waits() {
    let mut state = concurrent(2);
    let forward = |item| Push::Forward(entry(item, Kind::Shared, NO_CLASS));
    assert_eq!(push(&mut state, "one", NO_CLASS), forward("one"));
    assert_eq!(push(&mut state, "two", NO_CLASS), forward("two"));
    assert_eq!(push(&mut state, "three", NO_CLASS), kept(Wakeup::None), "the width is used up");
    assert_eq!(state.complete(), Successor::Wakeup(Wakeup::Enqueue(NO_CLASS)));
    assert_eq!(push(&mut state, "four", NO_CLASS), kept(Wakeup::None), "the third is first");
    assert_eq!(state.take(A), Some(NO_CLASS));
    assert_eq!(state.next(), Next::Forward(entry("three", Kind::Shared, NO_CLASS)));
    assert_eq!(state.next(), Next::Stop(idle()));
    assert_eq!(state.complete(), Successor::Wakeup(Wakeup::Enqueue(NO_CLASS)));
}

#[test]
fn a_barrier_waits_for_what_is_in_flight_and_keeps_others_from_starting() {
    let mut state = concurrent(8);
    let _ = (push(&mut state, "one", NO_CLASS), push(&mut state, "two", NO_CLASS));
    assert_eq!(state.push(entry("barrier", Kind::Barrier, NO_CLASS)), kept(Wakeup::None));
    assert_eq!(push(&mut state, "late", NO_CLASS), kept(Wakeup::None));
    assert_eq!(state.complete(), Successor::NONE);
    assert_eq!(state.complete(), Successor::Wakeup(Wakeup::Enqueue(NO_CLASS)));
    assert_eq!(state.take(A), Some(NO_CLASS));
    assert_eq!(state.next(), Next::Run("barrier"));
    assert_eq!(push(&mut state, "later", NO_CLASS), kept(Wakeup::None), "the barrier runs");
    assert_eq!(state.next(), Next::Forward(entry("late", Kind::Shared, NO_CLASS)));
}

#[test]
fn waiters_of_a_concurrent_queue_go_in_together_up_to_the_next_barrier() {
    let mut state = concurrent(8);
    assert_eq!(state.enter(A, true), Enter::Entered);
    assert_eq!(state.enter(B, false), Enter::Busy);
    let _ = state.push(entry("one", Kind::SharedWaiter(B), Qos::Utility));
    let _ = state.push(entry("two", Kind::SharedWaiter(B), Qos::Utility));
    let _ = state.push(entry("alone", Kind::Waiter(B), Qos::Utility));
    let successor = Successor::Waiters(vec!["one", "two"], Wakeup::None);
    assert_eq!(state.leave(), Left { overridden: true, successor });
    assert_eq!(state.complete(), Successor::NONE);
    assert_eq!(state.complete(), Successor::Waiter { waiter: "alone", over: None });
}

#[test]
fn what_follows_admitted_waiters_starts_with_them() {
    let mut state = concurrent(8);
    assert_eq!(state.enter(A, true), Enter::Entered);
    let _ = state.push(entry("waiter", Kind::SharedWaiter(B), NO_CLASS));
    let _ = push(&mut state, "item", Qos::Utility);
    let successor = Successor::Waiters(vec!["waiter"], Wakeup::Enqueue(Qos::Utility));
    assert_eq!(state.leave(), Left { overridden: true, successor });
}

#[test]
fn an_idle_queue_has_no_class_to_raise() {
    let mut state = serial();
    assert_eq!(state.raise(Qos::UserInteractive), Wakeup::None);
    assert_eq!(state.max_qos(), NO_CLASS);
    let mut state = concurrent(8);
    let _ = push(&mut state, "in flight", Qos::Utility);
    assert_eq!(state.raise(Qos::UserInteractive), Wakeup::None, "it has its own class where it is");
    assert_eq!(state.max_qos(), NO_CLASS);
}
