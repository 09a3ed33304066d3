//! Events that tell of work.

use crate::world::{Door, UT, World, eventually};
use abi::event::note::*;
use abi::port::MACH_PORT_NULL;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::group::Group;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sys::Kernel;
use dispatch::sys::mock::{Mock, TaskNote};
use dispatch::voucher;
use std::time::Duration;

/// Waits until so many notes of a kind were told, and returns them.
#[track_caller]
fn notes(mock: &Mock, kind: u64, count: usize) -> Vec<TaskNote> {
    let told = || mock.notes().into_iter().filter(|told| told.note == kind).collect::<Vec<_>>();
    eventually("it was told", || told().len() >= count);
    let told = told();
    assert_eq!(told.len(), count, "{told:?}");
    told
}

#[test]
fn each_stage_of_work_is_told_with_its_voucher() {
    let world = World::new();
    let mock = world.mock.record_notes();
    mock.enter();
    mock.start_at(UT);
    let queue = Queue::new("a label that is too long");
    let [named] = notes(mock, QUEUE_NAMED, 1)[..] else { unreachable!() };
    let [number, words @ ..] = named.arguments;
    assert_eq!(words.map(u64::to_le_bytes).concat(), b"a label that is ");
    assert_eq!((number, named.voucher), (abi::debugger::GLOBAL_QUEUES + 1, MACH_PORT_NULL));

    let own = world.voucher();
    let name = own.kernel_name();
    voucher::replace(Some(own));
    let door = Door::new();
    let inside = door.clone();
    queue.run_async(move || inside.pass());
    queue.run_async(|| {});
    door.await_visitors(1);
    let submitted = notes(mock, WORK_SUBMITTED, 2);
    let priority = u64::from(UT.0);
    assert_eq!(
        submitted.iter().map(|told| told.arguments).collect::<Vec<_>>(),
        [[1, number, priority], [2, number, priority]]
    );
    assert!(submitted.iter().all(|told| told.voucher == name && told.thread == mock.thread_number()), "{submitted:?}");
    let [begun] = notes(mock, WORK_BEGUN, 1)[..] else { unreachable!() };
    assert_eq!((begun.arguments, begun.voucher), ([1, number, priority], name));
    assert_ne!(begun.thread, mock.thread_number());
    assert_eq!(notes(mock, WORK_DONE, 0), []);
    door.open();
    let done = notes(mock, WORK_DONE, 2);
    assert_eq!(done.iter().map(|told| told.arguments).collect::<Vec<_>>(), [[1, number, 0], [2, number, 0]]);
    assert!(done.iter().all(|told| told.thread == begun.thread));
}

#[test]
fn work_that_waits_for_a_time_or_a_group_is_told_when_it_gets_its_voucher() {
    let mock = Mock::new().record_notes();
    mock.enter();
    let (queue, group) = (Queue::new("later"), Group::new());
    let activity = Activity::create("test", Parent::None, ActivityFlags::empty());
    voucher::replace(Some(activity.voucher().clone()));
    group.enter();
    group.notify(&queue, || {});
    queue.after(Duration::from_secs(1), || {});
    assert_eq!(notes(mock, WORK_SUBMITTED, 2).len(), 2);
    assert_eq!(notes(mock, WORK_BEGUN, 0), []);
    group.leave();
    notes(mock, WORK_DONE, 1);
    mock.advance(2_000_000_000);
    assert_eq!(notes(mock, WORK_DONE, 2)[1].arguments[0], 2);
    assert_eq!(notes(mock, WORK_SUBMITTED, 2).len(), 2, "not told again");
}

#[test]
fn global_queues_are_named_once() {
    let mock = Mock::new().record_notes();
    mock.enter();
    let queue = Queue::global(Qos::UserInitiated, QueueFlags::OVERCOMMIT);
    (0..3).for_each(|_| queue.run_async(|| {}));
    notes(mock, WORK_DONE, 3);
    let [named] = notes(mock, QUEUE_NAMED, 1)[..] else { unreachable!() };
    assert_eq!(named.arguments[0], abi::debugger::global_queue(Qos::UserInitiated, true));
    assert_eq!(&named.arguments[1].to_le_bytes(), b"global I");
}

#[test]
fn nothing_is_told_if_events_are_not_recorded_when_the_library_is_set_up() {
    let mock = Mock::new();
    let process = mock.enter();
    mock.record_notes();
    mock.start_at(Priority::of(Qos::Utility));
    let queue = Queue::new("quiet");
    queue.run_async(|| {});
    eventually("it has run", || queue.is_idle() && process.debug_counts().continuations == 0);
    assert_eq!(mock.notes(), []);
}
