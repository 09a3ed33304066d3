//! Rules of queues, workers, groups, timers and waits beside the acceptance examples (dispatch 5, 9.4).

use crate::world::*;
use dispatch::apply::apply;
use dispatch::block::{Block, BlockFlags, block_perform};
use dispatch::group::Group;
use dispatch::main_queue;
use dispatch::once::Once;
use dispatch::qos::{Priority, Qos, QueuePriority};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::semaphore::Semaphore;
use dispatch::sys::Kernel;
use dispatch::timer_source::TimerSource;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

#[test]
fn items_of_a_serial_queue_run_in_order() {
    let world = World::new();
    let queue = Queue::new("q");
    let (sender, receiver) = channel();
    for number in 0..1000 {
        let sender = sender.clone();
        queue.run_async(move || sender.send(number).expect("the test waits"));
    }
    assert!((0..1000).all(|number| receive(&receiver) == number));
    world.quiesce();
    assert_eq!(world.process.debug_counts().continuations, 0);
}

#[test]
fn queues_without_a_class_copy_the_word_of_a_root_only() {
    let _world = World::new();
    let utility = Queue::global(Qos::Utility, QueueFlags::empty());
    let inherited = Queue::builder("q").target(&utility).build();
    assert_eq!(inherited.word().requested, UT);
    assert!(inherited.word().inherited);
    assert_eq!(Queue::builder("q").target(&inherited).build().word(), QueuePriority::NONE);
    let plain = Queue::new("q").word();
    assert_eq!((plain.requested, plain.fallback, plain.overcommit), (NONE, Qos::DEFAULT, true));
    assert!(!Queue::concurrent("q").word().overcommit);
    let fallback = Queue::builder("q").floor(Qos::Utility).fallback(Qos::Background).build();
    assert_eq!(fallback.word().fallback, Qos::Unspecified, "it is not above the class");
}

#[test]
fn global_queues_are_found_by_their_numbers() {
    let _world = World::new();
    let global = |class| Some(Queue::global(class, QueueFlags::empty()));
    assert_eq!(Queue::find_global(2, 0), global(Qos::UserInitiated));
    assert_eq!(Queue::find_global(0x21, 4), global(Qos::UserInteractive));
    assert_eq!(Queue::find_global(0, 2), Some(Queue::global(Qos::DEFAULT, QueueFlags::OVERCOMMIT)));
    assert_ne!(Queue::find_global(0, 2), global(Qos::DEFAULT));
    assert_eq!(Queue::find_global(3, 0), None);
    assert_eq!(Queue::find_global(0, 6), None);
}

#[test]
fn the_current_queue_is_the_innermost_one() {
    let _world = World::new();
    assert_eq!(Queue::current(), None);
    let (outer, inner) = (Queue::new("outer"), Queue::new("inner"));
    let (sender, receiver) = channel();
    let (queue, expected) = (outer.clone(), inner.clone());
    outer.run_async(move || {
        let inside = inner.sync(Queue::current);
        sender.send((Queue::current(), inside)).expect("the test waits");
    });
    assert_eq!(receive(&receiver), (Some(queue), Some(expected)));
}

#[test]
fn a_synchronous_call_keeps_other_work_out_of_all_targets() {
    let world = World::new();
    let target = Queue::new("target");
    let (one, other) = ([(); 2].map(|()| Queue::builder("leaf").target(&target).build())).into();
    let (sender, receiver) = channel();
    one.sync(|| {
        other.run_async(move || sender.send(()).expect("the test waits"));
        assert_eq!(target.waiting(), 1, "the other leaf waits");
    });
    receive(&receiver);
    world.quiesce();
    assert!(one.is_idle() && target.is_idle());
}

fn receiver_is_empty<T>(receiver: &std::sync::mpsc::Receiver<T>) -> bool {
    receiver.try_recv().is_err()
}

#[test]
fn synchronous_readers_of_a_concurrent_queue_run_together() {
    let world = World::new();
    let (queue, door) = (Queue::concurrent("q"), Door::new());
    let readers = [(); 2].map(|()| {
        let (queue, door) = (queue.clone(), door.clone());
        world.spawn(UT, None, move || queue.sync(|| door.pass()))
    });
    door.await_visitors(2);
    door.open();
    readers.into_iter().for_each(|reader| reader.join().expect("it does not panic"));
    assert!(queue.is_idle());
}

#[test]
#[should_panic(expected = "a thread enters a queue that it holds already")]
fn to_wait_for_oneself_is_fatal() {
    let _world = World::new();
    let queue = Queue::new("q");
    queue.sync(|| queue.sync(|| ()));
}

#[test]
#[should_panic(expected = "a queue was resumed too often")]
fn to_resume_without_a_suspend_is_fatal() {
    let _world = World::new();
    Queue::new("q").resume();
}

#[test]
#[should_panic(expected = "a queue was released that is suspended or inactive")]
fn to_release_an_inactive_queue_is_fatal() {
    let _world = World::new();
    drop(Queue::builder("q").inactive().build());
}

#[test]
#[should_panic(expected = "a group was left more often than it was entered")]
fn to_leave_an_empty_group_is_fatal() {
    let _world = World::new();
    Group::new().leave();
}

#[test]
#[should_panic(expected = "a thread waits for its own `Once`")]
fn a_once_within_itself_is_fatal() {
    let _world = World::new();
    let once = Once::new();
    once.call(|| once.call(|| ()));
}

#[test]
#[should_panic(expected = "`block_perform` with unknown flags")]
fn to_perform_with_unknown_flags_is_fatal() {
    let _world = World::new();
    block_perform(0x100, || ());
}

#[test]
#[should_panic(expected = "the main thread waits for its own queue")]
fn the_main_thread_must_not_wait_for_its_own_queue() {
    let _world = World::new();
    main_queue::bind();
    Queue::main().sync(|| ());
}

#[test]
fn a_thread_that_waits_for_a_once_lends_its_class() {
    let world = World::new();
    let (once, door, mock) = (Arc::new(Once::new()), Door::new(), world.mock);
    let (sender, receiver) = channel();
    let (inner, inside) = (once.clone(), door.clone());
    let runner = world.spawn(BG, None, move || {
        inner.call(|| {
            sender.send(mock.thread_self()).expect("the test waits");
            inside.pass();
        });
        mock.this_thread().effective()
    });
    let thread = receive(&receiver);
    let waiter = world.spawn(UI, None, move || once.call(|| panic!("it runs once")));
    eventually("the class is lent", || world.effective(thread) == Qos::UserInteractive);
    door.open();
    assert_eq!(runner.join().expect("it does not panic"), Qos::Background, "it is over");
    waiter.join().expect("it does not panic");
}

#[test]
fn workers_are_as_many_as_processors_and_more_for_overcommit_roots() {
    let world = World::new();
    let (door, global) = (Door::new(), Queue::global(Qos::Utility, QueueFlags::empty()));
    for _ in 0..5 {
        let door = door.clone();
        global.run_async(move || door.pass());
    }
    door.await_visitors(2);
    assert_eq!(world.process.debug_counts().workers, 2, "one for each processor");
    for _ in 0..3 {
        let door = door.clone();
        Queue::new("q").run_async(move || door.pass());
    }
    door.await_visitors(5);
    assert_eq!(world.process.debug_counts().workers, 5);
    door.open();
    world.quiesce();
}

#[test]
fn an_item_that_waits_leaves_the_processor_to_another_one() {
    let world = World::new();
    world.mock.set_processors(1);
    let global = Queue::global(Qos::Utility, QueueFlags::empty());
    let semaphore = Arc::new(Semaphore::new(0));
    let (waited, (sender, receiver)) = (semaphore.clone(), channel());
    global.run_async(move || sender.send(waited.wait(None)).expect("the test waits"));
    global.run_async(move || {
        semaphore.signal();
    });
    assert!(receive(&receiver));
    world.quiesce();
}

#[test]
fn a_lower_class_does_not_keep_a_higher_one_from_a_worker() {
    let world = World::new();
    let door = Door::new();
    for (class, visitors) in [(Qos::Background, 2), (Qos::Utility, 4)] {
        for _ in 0..2 {
            let door = door.clone();
            Queue::global(class, QueueFlags::empty()).run_async(move || door.pass());
        }
        door.await_visitors(visitors);
    }
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    Queue::global(Qos::Utility, QueueFlags::empty()).run_async(probe);
    assert!(receiver_is_empty(&receiver), "two of the class run already");
    door.open();
    receive(&receiver);
}

#[test]
fn an_idle_worker_ends_after_five_seconds() {
    let world = World::new();
    let thread = world.seen(UT, None, |item| Queue::new("q").run_async(item)).thread;
    world.quiesce();
    eventually("it waits", || world.mock.thread(thread).waits);
    world.mock.advance(4_999_999_000);
    let again = world.seen(UT, None, |item| Queue::new("q").run_async(item)).thread;
    assert_eq!(again, thread, "it has waited");
    world.quiesce();
    eventually("it waits", || world.mock.thread(thread).waits);
    eventually("it ends", || {
        world.mock.advance(5_000_000_000);
        world.process.debug_counts().workers == 0
    });
    assert_ne!(world.seen(UT, None, |item| Queue::new("q").run_async(item)).thread, thread);
}

#[test]
fn the_worker_that_parked_last_is_woken_first_with_its_class() {
    let world = World::new();
    let (first, second) = (Door::new(), Door::new());
    let (sender, receiver) = channel();
    for door in [&first, &second] {
        let (inside, probe) = (door.clone(), world.prober(&sender));
        world.on(UT, None, || {
            Queue::new("q").run_async(move || {
                probe();
                inside.pass();
            });
        });
        door.await_visitors(1);
    }
    let (early, late) = (receive(&receiver).thread, receive(&receiver).thread);
    first.open();
    eventually("one is parked", || world.process.debug_counts().parked == 1);
    second.open();
    world.quiesce();
    eventually("both wait", || [early, late].iter().all(|&thread| world.mock.thread(thread).waits));
    let calls = world.mock.thread(late).set_self_calls;
    let seen = world.seen(IN, None, |item| Queue::new("q").run_async(item));
    assert_eq!((seen.thread, seen.requested), (late, IN));
    world.quiesce();
    assert_eq!(world.mock.thread(late).set_self_calls, calls, "whoever woke it set its class");
}

#[test]
fn an_idle_program_makes_no_calls() {
    let world = World::new();
    let thread = world.seen(IN, Some(&world.voucher()), |item| Queue::new("q").run_async(item)).thread;
    world.quiesce();
    eventually("it waits", || world.mock.thread(thread).waits);
    let calls = world.mock.thread(thread).set_self_calls;
    world.mock.advance(1_000_000);
    world.mock.advance(1_000_000);
    let record = world.mock.thread(thread);
    assert_eq!((record.set_self_calls, record.has_voucher()), (calls, false));
    assert_eq!(world.process.debug_counts().timers, 0);
}

#[test]
fn timers_fire_in_the_order_of_their_times_and_not_early() {
    let world = World::new();
    let queue = Queue::new("q");
    let (sender, receiver) = channel();
    for (number, milliseconds) in [(2, 20), (1, 10), (3, 30)] {
        let sender = sender.clone();
        queue.after(Duration::from_millis(milliseconds), move || sender.send(number).expect("the test waits"));
    }
    for number in 1..=3 {
        world.mock.advance(9_999_999);
        assert!(receiver_is_empty(&receiver));
        world.mock.advance(1);
        assert_eq!(receive(&receiver), number);
    }
    queue.after(Duration::ZERO, move || sender.send(0).expect("the test waits"));
    assert_eq!(receive(&receiver), 0, "a time that is over is a plain submission");
    assert_eq!(world.process.debug_counts().timers, 0);
}

#[test]
fn a_timer_that_fires_while_its_handler_runs_calls_it_once_for_all() {
    const INTERVAL: Duration = Duration::from_millis(10);
    let world = World::new();
    let (sender, receiver) = channel();
    let source = TimerSource::new(&Queue::new("q"), move |times| sender.send(times).expect("the test waits"));
    source.set(INTERVAL, Some(INTERVAL));
    source.activate();
    source.suspend();
    world.mock.advance(35_000_000);
    eventually("the next time is set", || world.process.debug_counts().continuations == 1);
    source.resume();
    assert_eq!(receive(&receiver), 3);
    world.mock.advance(5_000_000);
    assert_eq!(receive(&receiver), 1, "the times stay where they were");
    let (cancelled, after) = channel();
    source.cancel_then(move || cancelled.send(()).expect("the test waits"));
    receive(&after);
    world.mock.advance(50_000_000);
    world.quiesce();
    assert!(receiver_is_empty(&receiver));
}

#[test]
fn a_wait_with_a_time_ends_when_it_is_over() {
    let world = World::new();
    let (group, semaphore) = (Group::new(), Semaphore::new(0));
    group.enter();
    let (mock, waited) = (world.mock, group.clone());
    let limit = Some(Duration::from_millis(10));
    let waiter = world.spawn(UT, None, move || (waited.wait(limit), semaphore.wait(limit)));
    eventually("both waits are over", || {
        mock.advance(5_000_000);
        waiter.is_finished()
    });
    assert_eq!(waiter.join().expect("it does not panic"), (false, false));
    group.leave();
    assert!(group.wait(limit));
}

#[test]
fn a_semaphore_lets_as_many_in_as_its_value() {
    let world = World::new();
    let semaphore = Arc::new(Semaphore::new(1));
    assert!(semaphore.wait(None));
    let waited = semaphore.clone();
    let waiter = world.spawn(UT, None, move || waited.wait(None));
    semaphore.signal();
    assert!(waiter.join().expect("it does not panic"));
    assert!(!semaphore.wait(Some(Duration::ZERO)));
}

#[test]
fn apply_calls_each_iteration_once_and_in_order_on_a_serial_queue() {
    let _world = World::new();
    let (sender, receiver) = channel();
    Queue::new("q").apply(5, move |number| sender.send(number).expect("the test waits"));
    assert!((0..5).all(|number| receive(&receiver) == number));
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    apply(100, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    assert_eq!(calls.load(Ordering::SeqCst), 100);
    apply(0, |_| panic!("there is no iteration"));
}

#[test]
fn a_block_is_a_barrier_if_it_says_so() {
    let world = World::new();
    world.mock.set_processors(4);
    let (queue, door) = (Queue::concurrent("q"), Door::new());
    let inside = door.clone();
    queue.run_async(move || inside.pass());
    door.await_visitors(1);
    let block = Block::new(BlockFlags::BARRIER.bits(), || ()).expect("the flags are valid");
    queue.run_block(&block);
    let (sender, receiver) = channel();
    queue.run_async(move || sender.send(()).expect("the test waits"));
    assert!(receiver_is_empty(&receiver) && !block.is_done());
    door.open();
    receive(&receiver);
    assert!(block.is_done(), "it was before the later item");
}

#[test]
fn the_main_queue_is_an_ordinary_one_once_the_main_thread_gives_itself_up() {
    let world = World::new();
    let (sender, receiver) = channel();
    let (early, late) = (world.prober(&sender), world.prober(&sender));
    let mock = world.mock;
    let (begun, main) = channel();
    // The thread never ends.
    drop(world.spawn(UT, None, move || {
        main_queue::bind();
        Queue::main().run_async(early);
        begun.send(mock.thread_self()).expect("the test waits");
        main_queue::dispatch_main()
    }));
    let main = receive(&main);
    let early = receive(&receiver);
    assert_eq!((early.thread, early.requested), (main, UT));
    eventually("the main thread waits", || world.mock.thread(main).waits);
    world.on(IN, None, || Queue::main().run_async(late));
    let late = receive(&receiver);
    assert_ne!(late.thread, main);
    assert_eq!(late.requested, Priority::of(Qos::Utility), "it keeps its class");
    assert_eq!(world.on(IN, None, || Queue::main().sync(|| 7)), 7);
}
