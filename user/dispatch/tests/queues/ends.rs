//! What ends: overrides of the main thread, sources, and times without a next one.

use crate::world::{Door, IN, UT, World, eventually, receive};
use dispatch::block::{Block, BlockFlags};
use dispatch::main_queue;
use dispatch::qos::Qos;
use dispatch::queue::Queue;
use dispatch::sys::Kernel;
use dispatch::timer_source::TimerSource;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(10);

#[test]
fn the_main_thread_loses_what_it_was_lent_while_it_drained_its_queue() {
    let world = World::new();
    world.on(UT, None, || {
        main_queue::bind();
        let (mock, main, door) = (world.mock, world.mock.thread_self(), Door::new());
        let inside = door.clone();
        Queue::main().run_async(move || {
            inside.pass();
            assert_eq!(mock.thread(main).dispatch_override, Qos::UserInitiated, "it owns the queue");
        });
        let pusher = world.spawn(IN, None, move || {
            door.await_visitors(1);
            Queue::main().run_async_enforced(|| ());
            door.open();
        });
        while !Queue::main().is_idle() {
            assert!(main_queue::drain());
            assert_eq!(mock.thread(main).dispatch_override, Qos::Unspecified);
        }
        pusher.join().expect("it does not panic");
        assert_eq!(world.effective(main), Qos::Utility);
    });
}

#[test]
fn the_main_thread_loses_what_a_queue_on_its_own_has_lent_it() {
    let world = World::new();
    world.on(UT, None, || {
        main_queue::bind();
        let (mock, main) = (world.mock, world.mock.thread_self());
        let leaf = Queue::builder("leaf").target(&Queue::main()).build();
        let (sender, receiver) = channel();
        // The first item requests less than the queue lends the thread for the second one.
        let inner = leaf.clone();
        leaf.run_async(move || sender.send(mock.effective(main)).expect("the test waits"));
        world.on(IN, None, || inner.run_async_enforced(|| ()));
        assert!(main_queue::drain());
        assert_eq!(receive(&receiver), Qos::UserInitiated);
        assert_eq!((mock.thread(main).requested, world.effective(main)), (UT, Qos::Utility));
    });
}

#[test]
fn a_timer_whose_next_time_never_comes_fires_once() {
    let world = World::new();
    let (sender, receiver) = channel();
    let source = TimerSource::new(&Queue::new("q"), move |times| sender.send(times).expect("the test waits"));
    source.set(INTERVAL, Some(Duration::MAX));
    source.activate();
    world.mock.advance(INTERVAL.as_nanos() as u64);
    assert_eq!(receive(&receiver), 1);
    eventually("the timer waits for ever", || world.process.debug_counts().timers == 1);
    world.mock.advance(INTERVAL.as_nanos() as u64);
    let (cancelled, after) = channel();
    source.cancel_then(move || cancelled.send(()).expect("the test waits"));
    receive(&after);
    assert!(receiver.try_recv().is_err(), "it has not fired again");
}

#[test]
fn a_source_that_is_set_again_and_again_waits_for_one_time_only() {
    const SETTINGS: u32 = 1000;
    let world = World::new();
    let timers = || world.process.debug_counts().timers;
    let (sender, receiver) = channel();
    let source = TimerSource::new(&Queue::new("q"), move |times| sender.send(times).expect("the test waits"));
    source.activate();
    for setting in 1..=SETTINGS {
        source.set(Duration::from_secs(3600) * setting, (setting % 2 == 0).then_some(INTERVAL));
        assert!(timers() <= 1, "an earlier setting is kept");
    }
    source.set(INTERVAL, Some(INTERVAL));
    for _ in 0..3 {
        world.mock.advance(INTERVAL.as_nanos() as u64);
        assert_eq!(receive(&receiver), 1, "the last setting counts");
        assert_eq!(timers(), 1);
    }
    source.cancel();
    assert_eq!(timers(), 0, "a cancelled source keeps nothing");
    source.set(INTERVAL, None);
    assert_eq!(timers(), 0, "it cannot be set either");
    world.quiesce();
}

#[test]
fn a_cancelled_block_is_called_by_no_source() {
    let world = World::new();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let block = Block::new(BlockFlags::empty().bits(), move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let block = block.expect("the flags are valid");
    let source = TimerSource::with_block(&Queue::new("q"), &block);
    source.set(INTERVAL, Some(INTERVAL));
    source.activate();
    world.mock.advance(INTERVAL.as_nanos() as u64);
    eventually("it is called", || calls.load(Ordering::SeqCst) == 1);
    block.cancel();
    source.suspend();
    world.mock.advance(INTERVAL.as_nanos() as u64);
    eventually("it fires", || world.process.debug_counts().continuations == 1);
    source.resume();
    world.quiesce();
    assert_eq!(calls.load(Ordering::SeqCst), 1);
}

#[test]
fn a_source_that_never_began_gives_up_its_handler() {
    let world = World::new();
    let held = Arc::new(());
    let weak = Arc::downgrade(&held);
    let source = TimerSource::new(&Queue::new("q"), move |_| assert_eq!(Arc::strong_count(&held), 1));
    source.set(INTERVAL, None);
    drop(source);
    eventually("the handler is gone", || weak.strong_count() == 0);
    world.quiesce();
    eventually("the queues are gone", || world.process.debug_counts().queues == 0);
}

#[test]
#[should_panic(expected = "a source was released that is suspended")]
fn to_release_a_suspended_source_is_fatal() {
    let _world = World::new();
    let source = TimerSource::new(&Queue::new("q"), |_| ());
    source.activate();
    source.suspend();
    drop(source);
}
