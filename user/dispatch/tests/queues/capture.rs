//! What items capture, and what their callouts see (dispatch 1.10, 10.B).

use crate::world::*;
use dispatch::apply::apply;
use dispatch::block::{Block, BlockFlags};
use dispatch::group::Group;
use dispatch::main_queue;
use dispatch::once::Once;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sys::Kernel;
use dispatch::timer_source::TimerSource;
use dispatch::{thread, voucher};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

// covers dispatch AE-11
#[test]
fn work_of_the_main_thread_runs_at_user_initiated_with_its_voucher() {
    let world = World::new();
    let (queue, x) = (Queue::new("q"), world.voucher());
    let probe = world.seen(UI, Some(&x), |item| queue.run_async(item));
    assert_eq!(probe.requested, Priority(0x10ff));
    assert_voucher(&probe, Some(&x));
}

// covers dispatch AE-12
#[test]
fn background_work_runs_in_the_background_on_a_queue_without_a_class() {
    let world = World::new();
    let queue = Queue::new("q");
    assert!(queue.is_idle());
    assert_eq!(world.seen(BG, None, |item| queue.run_async(item)).requested, BG);
}

// covers dispatch AE-13
#[test]
fn work_of_a_thread_without_a_class_runs_at_default() {
    let world = World::new();
    let queue = Queue::new("q");
    assert_eq!(world.seen(NONE, None, |item| queue.run_async(item)).requested, Priority(0x08ff));
}

// covers dispatch AE-14
#[test]
fn a_global_queue_drops_the_class_and_keeps_the_voucher() {
    let world = World::new();
    let (queue, x) = (Queue::global(Qos::Utility, QueueFlags::empty()), world.voucher());
    let probe = world.seen(IN, Some(&x), |item| queue.run_async(item));
    assert_eq!(probe.requested, UT);
    assert_voucher(&probe, Some(&x));
}

// covers dispatch AE-15
#[test]
fn a_queue_with_a_class_drops_that_of_its_items() {
    let world = World::new();
    let queue = Queue::builder("q").class(Qos::Utility).build();
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let inner = queue.clone();
    world.on(IN, None, || {
        queue.run_async(move || {
            assert_eq!(inner.max_qos(), Qos::Utility);
            probe();
        });
    });
    let probe = receive(&receiver);
    assert_eq!((probe.requested, probe.effective), (UT, Qos::Utility));
}

// covers dispatch AE-16
#[test]
fn enforced_work_beats_a_lower_class_of_the_queue() {
    let world = World::new();
    let queue = Queue::builder("q").class(Qos::Utility).build();
    let (sender, receiver) = channel();
    for (class, expected) in [(IN, Qos::UserInitiated), (BG, Qos::Utility)] {
        let (probe, inner) = (world.prober(&sender), queue.clone());
        world.on(class, None, || {
            queue.run_async_enforced(move || {
                assert_eq!(inner.max_qos(), expected, "the queue is overridden to that");
                probe();
            });
        });
        let probe = receive(&receiver);
        assert_eq!((probe.requested, probe.effective), (Priority::of(expected), expected));
        world.quiesce();
    }
}

// covers dispatch AE-17
#[test]
fn a_floor_raises_lower_work_and_leaves_higher_work_alone() {
    let world = World::new();
    let queue = Queue::builder("q").floor(Qos::Utility).build();
    assert_eq!(world.seen(IN, None, |item| queue.run_async(item)).requested, IN);
    assert_eq!(world.seen(BG, None, |item| queue.run_async(item)).requested, UT);
}

// covers dispatch AE-18
#[test]
fn a_leaf_without_a_class_opens_what_its_target_closed() {
    let world = World::new();
    let target = Queue::builder("target").class(Qos::Utility).build();
    let leaf = Queue::builder("leaf").target(&target).build();
    let (sender, receiver) = channel();
    let inner = target.clone();
    let probe = world.prober(&sender);
    world.on(IN, None, || {
        leaf.run_async(move || {
            assert_eq!(inner.max_qos(), Qos::UserInitiated);
            probe();
        });
    });
    assert_eq!(receive(&receiver).requested, IN);
    world.quiesce();
    assert_eq!(world.seen(BG, None, |item| leaf.run_async(item)).requested, UT);
}

// covers dispatch AE-19
#[test]
fn the_class_of_the_target_is_a_floor_for_the_leaf() {
    let world = World::new();
    let target = Queue::builder("target").class(Qos::UserInitiated).build();
    let leaf = Queue::builder("leaf").class(Qos::Utility).target(&target).build();
    assert_eq!(world.seen(BG, None, |item| leaf.run_async(item)).requested, IN);
}

// covers dispatch AE-20
#[test]
fn nested_work_keeps_class_and_voucher_in_every_hop() {
    let world = World::new();
    let (x, queues) = (world.voucher(), ["q1", "q2", "q3"].map(Queue::new));
    let (sender, receiver) = channel();
    let probes = [(); 3].map(|()| world.prober(&sender));
    world.on(UI, Some(&x), || {
        let [first, second, third] = probes;
        let [q1, q2, q3] = queues;
        q1.run_async(move || {
            first();
            q2.run_async(move || {
                second();
                q3.run_async(third);
            });
        });
    });
    for _ in 0..3 {
        let probe = receive(&receiver);
        assert_eq!(probe.requested, IN);
        assert_voucher(&probe, Some(&x));
    }
}

// covers dispatch AE-21
#[test]
fn the_main_queue_runs_at_its_threads_class_with_the_items_voucher() {
    let world = World::new();
    let (x, own) = (world.voucher(), world.another_voucher());
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let after = world.on(UI, Some(&own), || {
        main_queue::bind();
        world.on(BG, Some(&x), || Queue::main().run_async(probe));
        assert!(main_queue::wait(None) && main_queue::drain());
        assert!(!main_queue::drain(), "nothing is left");
        world.probe()
    });
    let during = receive(&receiver);
    assert_eq!((during.requested, during.thread), (UI, after.thread));
    assert_voucher(&during, Some(&x));
    assert_eq!(after.requested, UI);
    assert_voucher(&after, Some(&own));
}

#[test]
fn an_item_like_the_last_one_is_adopted_again_if_the_thread_has_changed() {
    let world = World::new();
    let (queue, x) = (Queue::new("q"), world.voucher());
    let (sender, receiver) = channel();
    queue.suspend();
    world.on(IN, None, || {
        queue.run_async(world.prober(&sender));
        queue.run_async(|| thread::set_qos_class_self(Qos::Background, 0).expect("the class is valid"));
        queue.run_async(world.prober(&sender));
        queue.run_async(move || voucher::replace(Some(x)));
        queue.run_async(world.prober(&sender));
    });
    queue.resume();
    for _ in 0..3 {
        let seen = receive(&receiver);
        assert_eq!(seen.requested, IN);
        assert_voucher(&seen, None);
    }
}

// covers dispatch AE-22
#[test]
fn delayed_work_keeps_the_context_of_the_call() {
    let world = World::new();
    let queue = Queue::new("q");
    let x = world.voucher();
    let weak = Arc::downgrade(&x);
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    world.on(IN, Some(&x), || {
        queue.after(Duration::from_millis(50), probe);
        thread::set_qos_class_self(Qos::Background, 0).expect("the class is valid");
        voucher::replace(None);
    });
    let address = Arc::as_ptr(&x);
    drop(x);
    world.mock.advance(49_000_000);
    assert!(weak.strong_count() == 1 && receiver.try_recv().is_err(), "only the timer has it");
    world.mock.advance(1_000_000);
    let seen = receive(&receiver);
    assert_eq!(seen.requested, IN);
    assert!(seen.has_kernel_voucher);
    assert_eq!(seen.voucher.as_ref().map(Arc::as_ptr), Some(address));
    drop(seen);
    await_death(&weak);
}

// covers dispatch AE-23
#[test]
fn a_notification_runs_in_the_context_of_its_registration() {
    let world = World::new();
    let (queue, group, x) = (Queue::new("q"), Group::new(), world.voucher());
    group.enter();
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    world.on(IN, Some(&x), || group.notify(&queue, probe));
    world.on(BG, None, || group.leave());
    let seen = receive(&receiver);
    assert_eq!(seen.requested, IN);
    assert_voucher(&seen, Some(&x));
}

// covers dispatch AE-24
#[test]
fn work_of_a_group_keeps_its_context_and_is_over_before_the_notification() {
    /// Sends when it is dropped, which is when the closure that owns it has returned.
    struct AtEnd(Sender<&'static str>);
    impl Drop for AtEnd {
        fn drop(&mut self) {
            self.0.send("work").expect("the test waits");
        }
    }

    let world = World::new();
    let (queue, other, group, x) = (Queue::new("q"), Queue::new("other"), Group::new(), world.voucher());
    let (probes, probed) = channel();
    let (order, ordered) = channel();
    let (probe, door) = (world.prober(&probes), Door::new());
    let (end, inside) = (AtEnd(order.clone()), door.clone());
    world.on(IN, Some(&x), || {
        group.run_async(&queue, move || {
            let _end = end;
            probe();
            inside.pass();
        });
        group.notify(&other, move || order.send("notification").expect("the test waits"));
    });
    let seen = receive(&probed);
    assert_eq!(seen.requested, IN);
    assert_voucher(&seen, Some(&x));
    assert!(other.is_idle() && !group.is_empty(), "the notification is not on its queue yet");
    door.open();
    assert_eq!([receive(&ordered), receive(&ordered)], ["work", "notification"]);
    assert!(group.wait(None));
}

// covers dispatch AE-25
#[test]
fn all_iterations_of_apply_have_the_callers_whole_class_and_voucher() {
    const ITERATIONS: usize = 8;
    let world = World::new();
    let x = world.voucher();
    let (sender, receiver) = channel();
    let (probe, door) = (world.prober(&sender), Door::new());
    world.on(UI, Some(&x), || {
        let opener = door.clone();
        let open = world.spawn(NONE, None, move || {
            // Both processors are at work: the caller and a helper.
            opener.await_visitors(2);
            opener.open();
        });
        apply(ITERATIONS, move |_| {
            door.pass();
            probe();
        });
        open.join().expect("the door is open");
    });
    let seen: Vec<_> = (0..ITERATIONS).map(|_| receive(&receiver)).collect();
    for probe in &seen {
        assert_eq!(probe.requested, UI);
        assert_voucher(probe, Some(&x));
    }
    let threads: std::collections::BTreeSet<_> = seen.iter().map(|probe| probe.thread).collect();
    assert_eq!(threads.len(), 2, "the caller and one helper");
    assert!(receiver.try_recv().is_err(), "each iteration ran once");
}

// covers dispatch AE-26
#[test]
fn synchronous_work_on_an_idle_queue_runs_in_the_callers_context() {
    let world = World::new();
    let (queue, x) = (Queue::builder("q").class(Qos::Utility).build(), world.voucher());
    world.on(IN, Some(&x), || {
        let before = (world.mock.thread_self(), world.mock.calls());
        let seen = queue.sync(|| world.probe());
        assert_eq!((seen.thread, seen.requested), (before.0, IN));
        assert_voucher(&seen, Some(&x));
        assert_eq!(world.mock.calls(), before.1, "no call sets the thread's priority or voucher");
    });
    assert!(queue.is_idle());
}

// covers dispatch AE-27
#[test]
fn synchronous_work_on_the_main_queue_runs_on_the_main_thread_with_the_callers_voucher() {
    let world = World::new();
    let x = world.another_voucher();
    let references = Arc::strong_count(&x);
    let (main, seen) = world.on(UI, None, || {
        main_queue::bind();
        let (mock, own) = (world.mock, x.clone());
        let caller = world.spawn(IN, Some(own), move || Queue::main().sync(|| Probe::of(mock)));
        main_queue::wait(None);
        assert!(main_queue::drain());
        (mock.thread_self(), caller.join().expect("it does not panic"))
    });
    assert_eq!((seen.thread, seen.requested), (main, UI));
    assert_voucher(&seen, Some(&x));
    drop(seen);
    assert_eq!(Arc::strong_count(&x), references, "no reference is lost");
}

// covers dispatch AE-28
#[test]
fn async_and_wait_raises_the_caller_to_the_class_of_the_queue_meanwhile() {
    let world = World::new();
    let queue = Queue::builder("q").class(Qos::Utility).build();
    world.on(BG, None, || {
        let seen = queue.async_and_wait(|| world.probe());
        assert_eq!((seen.thread, seen.requested, seen.in_kernel), (world.mock.thread_self(), UT, UT));
        assert_eq!(world.probe().requested, BG);
    });
}

// covers dispatch AE-29
#[test]
fn an_item_without_a_context_has_nothing_of_the_item_before() {
    let world = World::new();
    let (queue, x, door) = (Queue::new("q"), world.voucher(), Door::new());
    let (sender, receiver) = channel();
    let (first, second, inside) = (world.prober(&sender), world.prober(&sender), door.clone());
    world.on(IN, Some(&x), || {
        queue.run_async(move || {
            first();
            inside.pass();
        });
    });
    world.on(NONE, None, || queue.run_async(second));
    door.open();
    let (first, second) = (receive(&receiver), receive(&receiver));
    assert_eq!((first.requested, first.thread), (IN, second.thread));
    assert_voucher(&first, Some(&x));
    assert_eq!(second.requested, DEF);
    assert_voucher(&second, None);
}

// covers dispatch AE-30
#[test]
fn a_worker_keeps_the_last_voucher_until_it_is_idle() {
    const ROUNDS: usize = 200;
    let world = World::new();
    let queue = Queue::new("q");
    for _ in 0..ROUNDS {
        let x = world.voucher();
        let worker = world.seen(IN, Some(&x), |item| queue.run_async(item)).thread;
        loop {
            // A worker is among the parked ones before it gives its voucher up.
            let has_voucher = world.mock.thread(worker).has_voucher();
            let is_idle = world.process.debug_counts().parked == 1;
            assert!(has_voucher || is_idle, "the voucher stays as long as the worker may get an item");
            if is_idle {
                break;
            }
        }
        let weak = Arc::downgrade(&x);
        drop(x);
        await_death(&weak);
        assert!(!world.mock.thread(worker).has_voucher());
    }
}

// covers dispatch AE-31
#[test]
fn the_handler_of_a_timer_has_neither_class_nor_voucher() {
    let world = World::new();
    let (queue, x) = (Queue::new("q"), world.voucher());
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let source = world.on(IN, Some(&x), || {
        let source = TimerSource::new(&queue, move |_| probe());
        source.set(Duration::from_millis(10), None);
        source.activate();
        source
    });
    assert!(receiver.try_recv().is_err(), "it is not time yet");
    world.mock.advance(10_000_000);
    let seen = receive(&receiver);
    assert_eq!(seen.requested, DEF);
    assert_voucher(&seen, None);
    drop(source);
}

// covers dispatch AE-32
#[test]
fn a_block_as_a_handler_keeps_what_it_was_assigned_at_every_firing() {
    const INTERVAL: Duration = Duration::from_millis(10);
    let world = World::new();
    let (queue, x) = (Queue::new("q"), world.voucher());
    let weak = Arc::downgrade(&x);
    let (sender, receiver) = channel();
    let probe = world.prober(&sender);
    let source = world.on(IN, Some(&x), || {
        let block = Block::new(BlockFlags::ASSIGN_CURRENT.bits(), probe).expect("the flags are valid");
        let source = TimerSource::with_block(&queue, &block);
        source.set(INTERVAL, Some(INTERVAL));
        source.activate();
        source
    });
    for _ in 0..3 {
        world.mock.advance(INTERVAL.as_nanos() as u64);
        let seen = receive(&receiver);
        assert_eq!(seen.requested, IN);
        assert_voucher(&seen, Some(&x));
    }
    drop(x);
    world.quiesce();
    assert!(weak.strong_count() > 0, "the source has it");
    drop(source);
    await_death(&weak);
}

// covers dispatch AE-34
#[test]
fn the_initialiser_of_a_once_runs_in_the_callers_context() {
    let world = World::new();
    let (once, x) = (Once::new(), world.voucher());
    world.on(DEF, Some(&x), || {
        let mut seen = None;
        once.call(|| seen = Some(world.probe()));
        let seen = seen.expect("it has run");
        assert_eq!(seen.requested, DEF);
        assert_voucher(&seen, Some(&x));
        once.call(|| panic!("it runs once"));
    });
}
