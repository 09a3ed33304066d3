//! Small configurations of queues and workers in many orders of their threads.
//!
//! `cargo test -p dispatch --features shuttle --test orders` runs them; `SHUTTLE_ORDERS` is the number of orders of each
//! test in this file.

mod all;
mod kernel;

use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::group::Group;
use dispatch::qos::Qos;
use dispatch::queue::{Queue, QueueFlags};
use dispatch::semaphore::Semaphore;
use dispatch::voucher;
use kernel::Small;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::sync::{Arc, Mutex};
use std::time::Duration;

/// Runs a test in many orders, half of them random, half of them with few changes of the thread.
fn in_many_orders(test: impl Fn(&Run) + Send + Sync + 'static) {
    let orders = std::env::var("SHUTTLE_ORDERS").ok().and_then(|number| number.parse().ok()).unwrap_or(500);
    let test = std::sync::Arc::new(test);
    let again = test.clone();
    shuttle::check_random(move || Run::check(&*test), orders);
    shuttle::check_pct(move || Run::check(&*again), orders, 4);
}

/// One run of a test.
struct Run {
    kernel: &'static Small,
    process: &'static dispatch::process::Process,
    ran: Arc<AtomicUsize>,
    /// How many items were submitted.
    submitted: AtomicUsize,
}

impl Run {
    /// Runs the test and checks that all is over afterwards: all items ran, no queue, voucher or worker is left.
    fn check(test: &dyn Fn(&Run)) {
        let run = Run::enter();
        run.kernel.hurry();
        run.test(test);
    }

    /// The same, but waits with a time end only when all else is done.
    fn check_patiently(test: &dyn Fn(&Run)) {
        Run::enter().test(test);
    }

    /// Returns a run in a new process, which the calling thread has entered.
    fn enter() -> Run {
        let (kernel, process) = Small::enter();
        Run { kernel, process, ran: Arc::new(AtomicUsize::new(0)), submitted: AtomicUsize::new(0) }
    }

    fn test(&self, test: &dyn Fn(&Run)) {
        let Run { kernel, process, .. } = self;
        test(self);
        let is_over = || {
            let counts = process.debug_counts();
            counts.continuations == 0 && counts.queues == 0 && counts.timers == 0
        };
        while !is_over() || kernel.started() > 0 {
            kernel.tick();
            shuttle::thread::yield_now();
        }
        assert_eq!(self.ran.load(Ordering::SeqCst), self.submitted.load(Ordering::SeqCst), "each item ran once");
        assert_eq!(process.debug_counts().vouchers, 0);
    }

    /// Returns an item that counts itself.
    fn item(&self) -> impl FnOnce() + Send + 'static {
        self.submitted.fetch_add(1, Ordering::SeqCst);
        let ran = self.ran.clone();
        move || {
            ran.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn spawn(&self, class: Qos, body: impl FnOnce() + Send + 'static) -> shuttle::thread::JoinHandle<()> {
        self.kernel.spawn(self.process, class, body)
    }
}

fn join(threads: impl IntoIterator<Item = shuttle::thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
}

#[test]
fn pushes_meet_workers_that_park_and_end() {
    in_many_orders(|run| {
        let order = Arc::new(Mutex::new(Vec::new()));
        let queue = Queue::new("q");
        let threads = [0, 10].map(|first| {
            let items: Vec<_> = (first..first + 2).map(|number| (number, run.item())).collect();
            let (queue, order) = (queue.clone(), order.clone());
            run.spawn(Qos::Utility, move || {
                for (number, item) in items {
                    let order = order.clone();
                    queue.run_async(move || {
                        order.lock().expect("no panic").push(number);
                        item();
                    });
                }
            })
        });
        join(threads);
        drop(queue);
        while order.lock().expect("no panic").len() < 4 {
            shuttle::thread::yield_now();
        }
        let order = order.lock().expect("no panic");
        let of = |first| order.iter().copied().filter(|number| number / 10 == first).collect::<Vec<usize>>();
        assert_eq!((of(0), of(1)), (vec![0, 1], vec![10, 11]), "each thread's items are in order");
    });
}

#[test]
fn an_override_meets_the_end_of_a_drain() {
    in_many_orders(|run| {
        let target = Queue::new("target");
        let queue = Queue::builder("q").target(&target).build();
        drop(target);
        let threads = [Qos::Background, Qos::UserInitiated, Qos::Utility].map(|class| {
            let (queue, item, kernel) = (queue.clone(), run.item(), run.kernel);
            run.spawn(class, move || {
                queue.run_async(move || {
                    assert!(kernel.effective() >= class, "an item runs at least at its class");
                    item();
                });
            })
        });
        join(threads);
    });
}

#[test]
fn a_suspension_meets_a_wake_up() {
    in_many_orders(|run| {
        let queue = Queue::new("q");
        let (pushed, suspended) = (queue.clone(), queue.clone());
        let items = [run.item(), run.item()];
        let is_suspended = Arc::new(AtomicUsize::new(0));
        let (seen, set) = (is_suspended.clone(), is_suspended);
        let pushes = run.spawn(Qos::Background, move || {
            for item in items {
                let seen = seen.clone();
                pushed.run_async(move || {
                    assert_ne!(
                        seen.load(Ordering::SeqCst),
                        2,
                        "nothing starts after the drain has seen the suspension"
                    );
                    item();
                });
            }
        });
        let suspends = run.spawn(Qos::UserInitiated, move || {
            // The queue is entered, so that nothing of it runs; what is suspended does not start before the resume.
            suspended.sync(|| suspended.suspend());
            set.store(2, Ordering::SeqCst);
            shuttle::thread::yield_now();
            set.store(0, Ordering::SeqCst);
            suspended.resume();
        });
        join([pushes, suspends]);
    });
}

#[test]
fn threads_wait_for_their_turn_beside_items() {
    in_many_orders(|run| {
        let target = Queue::new("target");
        let leaf = Queue::builder("leaf").target(&target).build();
        let inside = Arc::new(AtomicUsize::new(0));
        let alone = move |inside: &AtomicUsize| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "alone on the target");
            shuttle::thread::yield_now();
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        let threads = [(leaf.clone(), Qos::Background), (target, Qos::UserInitiated)].map(|(queue, class)| {
            let (item, inside) = (run.item(), inside.clone());
            let counted = inside.clone();
            run.spawn(class, move || {
                queue.run_async(move || {
                    alone(&counted);
                    item();
                });
                queue.sync(|| alone(&inside));
            })
        });
        join(threads);
    });
}

#[test]
fn barriers_meet_readers() {
    in_many_orders(|run| {
        let queue = Queue::concurrent("q");
        let readers = Arc::new(AtomicUsize::new(0));
        let threads = [false, true].map(|waits| {
            let (queue, readers) = (queue.clone(), readers.clone());
            let (read, write) = (run.item(), run.item());
            run.spawn(Qos::Utility, move || {
                let (one, other) = (readers.clone(), readers.clone());
                queue.run_async(move || {
                    one.fetch_add(1, Ordering::SeqCst);
                    shuttle::thread::yield_now();
                    one.fetch_sub(1, Ordering::SeqCst);
                    read();
                });
                let alone = move || assert_eq!(other.load(Ordering::SeqCst), 0, "nobody reads during a barrier");
                if waits {
                    queue.barrier_sync(alone);
                    write();
                } else {
                    queue.barrier_async(move || {
                        alone();
                        write();
                    });
                }
            })
        });
        join(threads);
    });
}

#[test]
fn the_last_handle_goes_while_items_run() {
    in_many_orders(|run| {
        let target = Queue::concurrent("target");
        let queue = Queue::builder("q").target(&target).build();
        let (one, two) = (run.item(), run.item());
        let inner = queue.clone();
        let thread = run.spawn(Qos::Utility, move || {
            inner.run_async(one);
            drop(inner);
        });
        target.run_async(two);
        drop((queue, target));
        join([thread]);
    });
}

#[test]
fn a_worker_ends_with_a_voucher_adopted() {
    in_many_orders(|run| {
        let queue = Queue::new("q");
        let item = run.item();
        let thread = run.spawn(Qos::Utility, move || {
            let activity = Activity::create("test", Parent::None, ActivityFlags::empty());
            let identity = activity.identity();
            activity.apply(|| {
                queue.run_async(move || {
                    assert_eq!(voucher::copy().map(|voucher| voucher.identity()), Some(identity));
                    item();
                });
            });
        });
        join([thread]);
        while run.process.debug_counts().vouchers > 0 {
            shuttle::thread::yield_now();
        }
    });
}

#[test]
fn a_group_empties_while_notifications_are_registered() {
    in_many_orders(|run| {
        let (queue, group) = (Queue::new("q"), Group::new());
        let (work, notification) = (run.item(), run.item());
        group.run_async(&queue, work);
        let waited = group.clone();
        let thread = run.spawn(Qos::Utility, move || waited.notify(&queue, notification));
        assert!(group.wait(None));
        join([thread]);
    });
}

#[test]
fn deadlines_meet_the_end_of_the_timers_thread() {
    in_many_orders(|run| {
        let queue = Queue::new("q");
        let threads = [1, 2].map(|seconds| {
            let (queue, item) = (queue.clone(), run.item());
            run.spawn(Qos::Utility, move || queue.after(Duration::from_secs(seconds), item))
        });
        join(threads);
    });
}

#[test]
fn a_signal_meets_a_wait_for_the_semaphore() {
    in_many_orders(|run| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waits = [(); 2].map(|()| {
            let semaphore = semaphore.clone();
            run.spawn(Qos::Utility, move || assert!(semaphore.wait(None)))
        });
        semaphore.signal();
        semaphore.signal();
        join(waits);
    });
}

#[test]
fn a_group_that_is_entered_again_has_been_empty() {
    in_many_orders(|run| {
        let group = Group::new();
        group.enter();
        let waited = group.clone();
        let waits = run.spawn(Qos::Utility, move || assert!(waited.wait(None)));
        while run.kernel.waiting() == 0 {
            shuttle::thread::yield_now();
        }
        group.leave();
        group.enter();
        join([waits]);
        group.leave();
    });
}

#[test]
fn an_override_that_comes_late_ends_with_the_next_hold() {
    in_many_orders(|run| {
        let queue = Queue::new("q");
        let (held, item) = (queue.clone(), run.item());
        // Its thread is seen to have no override when it ends.
        let holds = run.spawn(Qos::Background, move || {
            for _ in 0..2 {
                held.sync(shuttle::thread::yield_now);
            }
        });
        let pushes = run.spawn(Qos::UserInitiated, move || queue.run_async(item));
        join([holds, pushes]);
    });
}

/// Each processor has a worker that waits for an item of the same global queue.
#[test]
fn a_worker_that_waits_is_replaced() {
    in_many_orders(|run| {
        let queue = Queue::global(Qos::Utility, QueueFlags::empty());
        let semaphore = Arc::new(Semaphore::new(0));
        for signals in [false, false, true, true] {
            let (semaphore, item) = (semaphore.clone(), run.item());
            queue.run_async(move || {
                if signals {
                    semaphore.signal();
                } else {
                    assert!(semaphore.wait(None));
                }
                item();
            });
        }
    });
}
