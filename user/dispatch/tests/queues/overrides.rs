//! Overrides of running and waiting queues (dispatch 10.C).

use crate::world::*;
use abi::PortName;
use dispatch::block::Block;
use dispatch::group::Group;
use dispatch::main_queue;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sys::Kernel;
use dispatch::thread;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

/// An item that runs until it is told to end.
struct Running {
    door: Door,
    thread: PortName,
}

impl Running {
    /// Submits an item from a thread of a class, and waits until it runs.
    fn start(world: &World, class: Priority, queue: &Queue) -> Running {
        let (door, (sender, receiver)) = (Door::new(), channel());
        let (probe, inside) = (world.prober(&sender), door.clone());
        world.on(class, None, || {
            queue.run_async(move || {
                probe();
                inside.pass();
            });
        });
        Running { thread: receive(&receiver).thread, door }
    }

    fn end(&self) {
        self.door.open();
    }
}

// covers dispatch AE-35 AE-36
#[test]
fn an_urgent_item_overrides_the_running_one_until_the_next_root_item() {
    let world = World::new();
    let queue = Queue::new("q");
    let first = Running::start(&world, BG, &queue);
    let (sender, receiver) = channel();
    let second = world.prober(&sender);
    assert_eq!(world.effective(first.thread), Qos::Background);
    world.on(IN, None, || queue.run_async(second));
    // At once: the override was made by the submission.
    assert_eq!(world.effective(first.thread), Qos::UserInitiated);
    assert_eq!(world.mock.thread(first.thread).requested, BG);
    assert!(receiver.try_recv().is_err(), "the first one is not over");
    first.end();
    let second = receive(&receiver);
    assert_eq!((second.requested, second.thread), (IN, first.thread));

    world.quiesce();
    let global = Queue::global(Qos::Background, QueueFlags::empty());
    let third = world.seen(BG, None, |item| global.run_async(item));
    assert_eq!((third.thread, third.requested, third.effective), (first.thread, BG, Qos::Background));
}

// covers dispatch AE-36
#[test]
fn a_worker_that_goes_on_with_a_root_item_resets_its_override_before() {
    let world = World::new();
    world.process.set_worker_limit(1);
    let (queue, global) = (Queue::new("q"), Queue::global(Qos::Background, QueueFlags::empty()));
    let first = Running::start(&world, BG, &queue);
    let (sender, receiver) = channel();
    let (second, third) = (world.prober(&sender), world.prober(&sender));
    world.on(BG, None, || global.run_async(third));
    world.on(IN, None, || queue.run_async(second));
    first.end();
    assert_eq!(receive(&receiver).requested, IN);
    let third = receive(&receiver);
    assert_eq!((third.thread, third.requested, third.effective), (first.thread, BG, Qos::Background));
}

// covers dispatch AE-37
#[test]
fn an_override_of_a_leaf_reaches_its_target() {
    let world = World::new();
    let target = Queue::new("target");
    let leaf = Queue::builder("leaf").target(&target).build();
    let first = Running::start(&world, BG, &leaf);
    world.on(IN, None, || leaf.run_async(|| ()));
    assert_eq!((leaf.max_qos(), target.max_qos()), (Qos::UserInitiated, Qos::UserInitiated));
    assert_eq!(world.effective(first.thread), Qos::UserInitiated);
    first.end();
    world.quiesce();
    assert_eq!((leaf.max_qos(), target.max_qos()), (Qos::Unspecified, Qos::Unspecified));
}

// covers dispatch AE-38
#[test]
fn an_urgent_item_moves_a_waiting_queue_to_an_urgent_worker() {
    let world = World::new();
    let global = Queue::global(Qos::Background, QueueFlags::empty());
    let blocked = [(); 2].map(|()| Running::start(&world, BG, &global));
    let queue = Queue::builder("q").overcommit(false).build();
    let (sender, receiver) = channel();
    let (first, second) = (world.prober(&sender), world.prober(&sender));
    world.on(BG, None, || queue.run_async(first));
    assert_eq!(world.process.debug_counts().workers, blocked.len(), "as many as processors");
    world.on(IN, None, || queue.run_async(second));
    let (first, second) = (receive(&receiver), receive(&receiver));
    assert_eq!((first.requested, first.effective), (BG, Qos::UserInitiated), "in order, but urgently");
    assert_eq!((second.requested, second.thread), (IN, first.thread));
    blocked.iter().for_each(Running::end);
}

// covers dispatch AE-39
#[test]
fn a_dropped_class_overrides_nothing() {
    let world = World::new();
    let queue = Queue::builder("q").class(Qos::Utility).build();
    let first = Running::start(&world, BG, &queue);
    world.on(IN, None, || queue.run_async(|| ()));
    assert_eq!(world.effective(first.thread), Qos::Utility);
    assert_eq!(queue.max_qos(), Qos::Utility);
    first.end();
}

// covers dispatch AE-40
#[test]
fn a_suspended_queue_overrides_nobody_and_is_resumed_at_its_highest_class() {
    let world = World::new();
    let queue = Queue::new("q");
    queue.suspend();
    let (sender, receiver) = channel();
    let (first, second) = (world.prober(&sender), world.prober(&sender));
    world.on(BG, None, || queue.run_async(first));
    world.on(IN, None, || queue.run_async(second));
    assert_eq!(world.process.debug_counts().workers, 0, "no thread was asked for");
    assert_eq!(queue.max_qos(), Qos::UserInitiated);
    queue.resume();
    let first = receive(&receiver);
    assert_eq!((first.requested, first.effective), (BG, Qos::UserInitiated));
    assert_eq!(receive(&receiver).requested, IN);
}

// covers dispatch AE-40
#[test]
fn a_queue_that_was_suspended_while_it_runs_overrides_its_thread_only_when_resumed() {
    let world = World::new();
    let queue = Queue::new("q");
    let first = Running::start(&world, BG, &queue);
    queue.suspend();
    world.on(IN, None, || queue.run_async(|| ()));
    assert_eq!(world.effective(first.thread), Qos::Background);
    queue.resume();
    assert_eq!(world.effective(first.thread), Qos::UserInitiated);
    first.end();
}

// covers dispatch AE-41
#[test]
fn an_empty_queue_forgets_the_class_of_its_past() {
    let world = World::new();
    let queue = Queue::new("q");
    assert_eq!(world.seen(IN, None, |item| queue.run_async(item)).requested, IN);
    world.quiesce();
    assert_eq!(queue.max_qos(), Qos::Unspecified);
    let (sender, receiver) = channel();
    let (probe, inner) = (world.prober(&sender), queue.clone());
    world.on(BG, None, || {
        queue.run_async(move || {
            assert_eq!(inner.max_qos(), Qos::Background);
            probe();
        });
    });
    assert_eq!(receive(&receiver).effective, Qos::Background);
}

// covers dispatch AE-42
#[test]
fn a_thread_that_waits_for_its_turn_lends_its_whole_class() {
    let world = World::new();
    let (queue, door) = (Queue::new("q"), Door::new());
    let first = Running::start(&world, BG, &queue);
    // Another item is ahead of the waiter.
    let (sender, receiver) = channel();
    let (probe, inside) = (world.prober(&sender), door.clone());
    world.on(BG, None, || {
        queue.run_async(move || {
            inside.pass();
            probe();
        });
    });
    let (inner, mock) = (queue.clone(), world.mock);
    let waiter = world.spawn(UI, None, move || {
        let thread = mock.thread_self();
        (thread, inner.sync(|| Probe::of(mock)))
    });
    eventually("the waiter has lent its class", || world.effective(first.thread) == Qos::UserInteractive);
    first.end();
    door.await_visitors(1);
    assert_eq!(world.effective(first.thread), Qos::UserInteractive, "the waiter's turn has not come");
    door.open();
    let second = receive(&receiver);
    assert_eq!((second.thread, second.requested), (first.thread, BG));
    assert_eq!(second.effective, Qos::UserInteractive, "up to the end of the last item before the waiter's");
    let (thread, seen) = waiter.join().expect("it does not panic");
    assert_eq!((seen.thread, seen.requested, seen.effective), (thread, UI, Qos::UserInteractive));
    assert_ne!(seen.thread, first.thread);
    // Nobody else waits, so that the waiter is whom the drainer has let go on.
    assert_eq!(world.mock.thread(first.thread).woke_at, Qos::UserInteractive, "until the waiter runs");
    world.quiesce();
    assert_eq!(world.effective(first.thread), Qos::Background, "and no longer than the drainer has work");
}

// covers dispatch AE-43
#[test]
fn a_waiter_that_holds_the_queue_has_the_class_of_the_next_until_it_leaves() {
    let world = World::new();
    let queue = Queue::new("q");
    let first = Running::start(&world, BG, &queue);
    let (inner, mock, door) = (queue.clone(), world.mock, Door::new());
    let inside = door.clone();
    let background = world.spawn(BG, None, move || {
        let seen = inner.sync(|| {
            inside.pass();
            Probe::of(mock)
        });
        (seen, Probe::of(mock))
    });
    // The one is in the list before the other comes.
    eventually("a waiter is there", || queue.waiting() == 1);
    let inner = queue.clone();
    let interactive = world.spawn(UI, None, move || inner.sync(|| ()));
    eventually("both are there", || queue.waiting() == 2);
    first.end();
    door.await_visitors(1);
    door.open();
    let (seen, after) = background.join().expect("it does not panic");
    assert_eq!((seen.requested, seen.effective), (BG, Qos::UserInteractive));
    assert_eq!(after.effective, Qos::Background, "the override ends with the hold");
    interactive.join().expect("it does not panic");
}

// covers dispatch AE-44
#[test]
fn a_waiter_for_the_main_queue_overrides_the_main_thread_until_it_is_drained() {
    let world = World::new();
    world.on(UT, None, || {
        main_queue::bind();
        let (mock, main) = (world.mock, world.mock.thread_self());
        let caller = world
            .spawn(IN, None, move || Queue::main().sync(|| (mock.thread(main).overrides.len(), mock.effective(main))));
        eventually("the main thread is overridden", || world.effective(main) == Qos::UserInitiated);
        let record = mock.thread(main);
        assert_eq!((record.requested, record.dispatch_override), (UT, Qos::Unspecified), "explicitly");
        assert!(main_queue::drain());
        assert_eq!(caller.join().expect("it does not panic"), (1, Qos::UserInitiated));
        assert!(mock.thread(main).overrides.is_empty());
        assert_eq!(world.effective(main), Qos::Utility);
    });
}

#[test]
fn the_override_of_the_main_thread_follows_its_own_class() {
    let world = World::new();
    world.on(UT, None, || {
        main_queue::bind();
        let main = world.mock.thread_self();
        let queue = Queue::main();
        world.on(IN, None, || queue.run_async_enforced(|| ()));
        let overrides = || world.mock.thread(main).overrides.len();
        assert_eq!((overrides(), world.effective(main)), (1, Qos::UserInitiated));
        thread::set_qos_class_self(Qos::UserInteractive, 0).expect("the class is valid");
        assert_eq!(overrides(), 0, "it is above the item by itself");
        thread::set_qos_class_self(Qos::Background, 0).expect("the class is valid");
        assert_eq!((overrides(), world.effective(main)), (1, Qos::UserInitiated));
        assert!(main_queue::drain());
        assert_eq!((overrides(), world.effective(main)), (0, Qos::Background));
    });
}

// covers dispatch AE-45
#[test]
fn a_barrier_runs_alone_after_what_runs_and_before_what_comes_later() {
    let world = World::new();
    world.mock.set_processors(8);
    let queue = Queue::concurrent("q");
    let (running, most, log) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(vec![])));
    let item = |name: &'static str, door: &Door| {
        let (running, most, log, door) = (running.clone(), most.clone(), log.clone(), door.clone());
        move || {
            let others = running.fetch_add(1, Ordering::SeqCst);
            most.fetch_max(others + 1, Ordering::SeqCst);
            log.lock().expect("no panic").push((name, others));
            door.pass();
            running.fetch_sub(1, Ordering::SeqCst);
        }
    };
    let (early, barrier, late) = (Door::new(), Door::new(), Door::new());
    world.on(DEF, None, || {
        (0..3).for_each(|_| queue.run_async(item("early", &early)));
        queue.barrier_async(item("barrier", &barrier));
        (0..3).for_each(|_| queue.run_async(item("late", &late)));
    });
    early.await_visitors(3);
    assert_eq!(log.lock().expect("no panic").len(), 3, "the barrier waits");
    early.open();
    barrier.await_visitors(1);
    assert_eq!(log.lock().expect("no panic")[3..], [("barrier", 0)], "alone");
    barrier.open();
    late.await_visitors(3);
    late.open();
    world.quiesce();
    assert!(queue.is_idle());
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

// covers dispatch AE-46
#[test]
fn a_thread_that_waits_for_a_block_lends_its_class_to_the_queue_or_to_the_runner() {
    let world = World::new();
    let queue = Queue::new("q");
    let first = Running::start(&world, BG, &queue);
    let block = Block::new(0, || ()).expect("the flags are valid");
    world.on(BG, None, || queue.run_block(&block));
    let waited = block.clone();
    let waiter = world.spawn(UI, None, move || assert!(waited.wait(None)));
    eventually("the queue is overridden", || queue.max_qos() == Qos::UserInteractive);
    assert_eq!(world.effective(first.thread), Qos::UserInteractive);
    first.end();
    waiter.join().expect("it does not panic");

    world.quiesce();
    let (door, (sender, receiver)) = (Door::new(), channel());
    let (probe, inside) = (world.prober(&sender), door.clone());
    let body = move || {
        probe();
        inside.pass();
    };
    let block = Block::new(0, body).expect("the flags are valid");
    world.on(BG, None, || queue.run_block(&block));
    let runner = receive(&receiver).thread;
    let waited = block.clone();
    let waiter = world.spawn(UI, None, move || assert!(waited.wait(None)));
    eventually("the thread is overridden", || world.effective(runner) == Qos::UserInteractive);
    assert_eq!(world.mock.thread(runner).overrides.len(), 1);
    door.open();
    waiter.join().expect("it does not panic");
    assert!(world.mock.thread(runner).overrides.is_empty(), "the explicit override is gone");
}

// covers dispatch AE-47
#[test]
fn a_wait_for_a_group_overrides_nobody() {
    let world = World::new();
    let (queue, group) = (Queue::new("q"), Group::new());
    group.enter();
    let first = Running::start(&world, BG, &queue);
    let (waited, mock, (sender, receiver)) = (group.clone(), world.mock, channel());
    let waiter = world.spawn(UI, None, move || {
        sender.send(mock.thread_self()).expect("the test waits");
        waited.wait(None)
    });
    let thread = receive(&receiver);
    eventually("the thread waits", || world.mock.thread(thread).waits);
    assert_eq!((world.effective(first.thread), queue.max_qos()), (Qos::Background, Qos::Background));
    group.leave();
    assert!(waiter.join().expect("it does not panic"));
    first.end();
}

// covers dispatch AE-48
#[test]
fn a_queue_that_is_suspended_with_items_keeps_its_class_for_the_resume() {
    let world = World::new();
    let queue = Queue::new("q");
    let (sender, receiver) = channel();
    let (second, inner, door) = (world.prober(&sender), queue.clone(), Door::new());
    let inside = door.clone();
    world.on(BG, None, || {
        queue.run_async(move || {
            inside.pass();
            inner.suspend();
        });
        queue.run_async(second);
    });
    world.on(IN, None, || queue.run_async(|| ()));
    door.open();
    eventually("the worker has left", || {
        let counts = world.process.debug_counts();
        counts.parked == counts.workers
    });
    assert!(receiver.try_recv().is_err());
    assert_eq!((queue.waiting(), queue.max_qos()), (2, Qos::UserInitiated));
    queue.resume();
    let second = receive(&receiver);
    assert_eq!((second.requested, second.effective), (BG, Qos::UserInitiated));
    world.quiesce();
    assert_eq!(queue.max_qos(), Qos::Unspecified);
}
