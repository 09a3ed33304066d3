//! Small configurations in all orders of their threads, one after another.
//!
//! A change of the thread is *forced* where the running thread waits, yields or ends, and *free* elsewhere. With a bound
//! on the free changes the number of orders grows with a power of the number of steps, and not exponentially, and most
//! faults need few changes. Without a bound these are all orders, but that a thread which yields lets another one run.

use super::{Run, join};
use dispatch::group::Group;
use dispatch::once::Once;
use dispatch::qos::Qos;
use dispatch::queue::Queue;
use dispatch::semaphore::Semaphore;
use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{Config, Runner};
use std::time::Duration;

/// No bound on the free changes.
const ANY: usize = usize::MAX;

const SECOND: Duration = Duration::from_secs(1);

/// What a barrier puts in place of the number of readers.
const READS_NONE: usize = 1000;

/// The most orders of a test. A configuration that has more is too large to be tested so.
const MOST_ORDERS: usize = 100_000;

/// Goes through all orders, the last decision first.
struct All {
    most_changes: usize,
    /// The decisions of this order, and of the ones before it as far as this one is still to follow them.
    decisions: Vec<Decision>,
    orders: usize,
    step: usize,
    changes: usize,
}

struct Decision {
    threads: Vec<TaskId>,
    /// The place of the thread that runs.
    chosen: usize,
}

impl All {
    fn with_changes(most_changes: usize) -> All {
        All { most_changes, decisions: Vec::new(), orders: 0, step: 0, changes: 0 }
    }

    /// Returns the threads that may run next. The running one is the first if it can go on.
    fn choices(&self, runnable: &[&Task], running: Option<TaskId>, yields: bool) -> (Vec<TaskId>, bool) {
        let mut threads: Vec<_> = runnable.iter().map(|task| task.id()).collect();
        let Some(place) = threads.iter().position(|&thread| Some(thread) == running) else {
            return (threads, false);
        };
        if yields {
            if threads.len() > 1 {
                threads.remove(place);
            }
            return (threads, false);
        }
        threads.swap(0, place);
        if self.changes >= self.most_changes {
            threads.truncate(1);
        }
        (threads, true)
    }
}

impl Scheduler for All {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.orders > 0 {
            while self.decisions.last().is_some_and(|last| last.chosen + 1 == last.threads.len()) {
                self.decisions.pop();
            }
            self.decisions.last_mut()?.chosen += 1;
        }
        self.orders += 1;
        assert!(self.orders <= MOST_ORDERS, "the configuration has too many orders");
        (self.step, self.changes) = (0, 0);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], running: Option<TaskId>, yields: bool) -> Option<TaskId> {
        let (threads, is_free) = self.choices(runnable, running, yields);
        match self.decisions.get(self.step) {
            Some(made) => assert_eq!(made.threads, threads, "a run depends on nothing but the order of its threads"),
            None => self.decisions.push(Decision { threads, chosen: 0 }),
        }
        let Decision { threads, chosen } = &self.decisions[self.step];
        self.changes += usize::from(is_free && *chosen > 0);
        self.step += 1;
        Some(threads[*chosen])
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("nothing is random where all orders are tried")
    }
}

/// Runs a test in all orders with at most so many free changes.
fn in_all_orders(most_changes: usize, test: impl Fn() + Send + Sync + 'static) {
    let orders = Runner::new(All::with_changes(most_changes), Config::new()).run(test);
    println!("{orders} orders");
    assert!(orders > 1, "there is something to decide");
}

/// The same for a test that uses queues, after which all is over: see [`Run::check`].
fn with_queues(most_changes: usize, test: impl Fn(&Run) + Send + Sync + 'static) {
    in_all_orders(most_changes, move || Run::check_patiently(&test));
}

/// Starts a bare thread of the process that the calling thread has entered.
fn spawn(body: impl FnOnce() + Send + 'static) -> shuttle::thread::JoinHandle<()> {
    let process = dispatch::process::process();
    shuttle::thread::spawn(move || {
        process.enter();
        body();
    })
}

#[test]
fn a_signal_meets_a_wait_for_a_semaphore() {
    in_all_orders(ANY, || {
        Run::enter();
        let semaphore = Arc::new(Semaphore::new(0));
        let waited = semaphore.clone();
        let waits = spawn(move || assert!(waited.wait(None)));
        semaphore.signal();
        join([waits]);
    });
}

#[test]
fn two_signals_meet_two_waits_for_a_semaphore() {
    in_all_orders(3, || {
        Run::enter();
        let semaphore = Arc::new(Semaphore::new(0));
        let waits = [(); 2].map(|()| {
            let waited = semaphore.clone();
            spawn(move || assert!(waited.wait(None)))
        });
        semaphore.signal();
        semaphore.signal();
        join(waits);
    });
}

#[test]
fn the_last_leave_meets_a_wait_for_a_group() {
    in_all_orders(ANY, || {
        Run::enter();
        let group = Group::new();
        group.enter();
        let waited = group.clone();
        let waits = spawn(move || assert!(waited.wait(None)));
        group.leave();
        join([waits]);
    });
}

#[test]
fn two_threads_call_a_once() {
    in_all_orders(4, || {
        Run::enter();
        let (once, calls) = (Arc::new(Once::new()), Arc::new(AtomicUsize::new(0)));
        let call = |once: &Once, calls: &AtomicUsize| {
            once.call(|| {
                calls.fetch_add(1, Ordering::SeqCst);
            });
            assert_eq!(calls.load(Ordering::SeqCst), 1);
        };
        let (other_once, other_calls) = (once.clone(), calls.clone());
        let other = spawn(move || call(&other_once, &other_calls));
        call(&once, &calls);
        join([other]);
    });
}

/// Either the wait got what was signalled, or it is still there.
#[test]
fn a_signal_meets_the_end_of_a_wait_for_a_semaphore() {
    in_all_orders(4, || {
        let run = Run::enter();
        let semaphore = Arc::new(Semaphore::new(0));
        let (waited, taken) = (semaphore.clone(), Arc::new(AtomicUsize::new(0)));
        let took = taken.clone();
        let waits = spawn(move || took.store(waited.wait(Some(SECOND)).into(), Ordering::SeqCst));
        semaphore.signal();
        run.kernel.tick();
        join([waits]);
        assert_eq!(semaphore.wait(Some(Duration::ZERO)), taken.load(Ordering::SeqCst) == 0);
    });
}

#[test]
fn a_push_meets_a_worker_that_parks_or_ends() {
    with_queues(2, |run| {
        let queue = Queue::new("q");
        queue.run_async(run.item());
        queue.run_async(run.item());
    });
}

#[test]
fn an_override_meets_two_holds_of_a_queue() {
    with_queues(2, |run| {
        let queue = Queue::new("q");
        let (held, item) = (queue.clone(), run.item());
        let holds = run.spawn(Qos::Background, move || {
            for _ in 0..2 {
                held.sync(shuttle::thread::yield_now);
            }
        });
        let pushes = run.spawn(Qos::UserInitiated, move || queue.run_async(item));
        join([holds, pushes]);
    });
}

#[test]
fn a_suspension_meets_a_push_and_a_drain() {
    with_queues(2, |run| {
        let queue = Queue::new("q");
        let (pushed, items) = (queue.clone(), [run.item(), run.item()]);
        let pushes = run.spawn(Qos::Utility, move || items.into_iter().for_each(|item| pushed.run_async(item)));
        queue.suspend();
        queue.resume();
        join([pushes]);
    });
}

#[test]
fn a_barrier_meets_a_reader_and_a_thread_that_waits() {
    with_queues(1, |run| {
        let queue = Queue::concurrent("q");
        let inside = Arc::new(AtomicUsize::new(0));
        let (entered, readers, read) = (queue.clone(), inside.clone(), run.item());
        let (barrier, alone) = (run.item(), inside.clone());
        let waits = run.spawn(Qos::Utility, move || {
            entered.sync(|| {
                readers.fetch_add(1, Ordering::SeqCst);
                readers.fetch_sub(1, Ordering::SeqCst);
            });
        });
        let readers = inside.clone();
        queue.run_async(move || {
            readers.fetch_add(1, Ordering::SeqCst);
            readers.fetch_sub(1, Ordering::SeqCst);
            read();
        });
        queue.barrier_async(move || {
            assert_eq!(alone.swap(READS_NONE, Ordering::SeqCst), 0, "nobody reads when a barrier begins");
            assert_eq!(alone.swap(0, Ordering::SeqCst), READS_NONE, "nor before it ends");
            barrier();
        });
        join([waits]);
    });
}

#[test]
fn two_threads_and_an_item_meet_on_a_serial_queue() {
    with_queues(1, |run| {
        let queue = Queue::new("q");
        let inside = Arc::new(AtomicUsize::new(0));
        let alone = |inside: &AtomicUsize| {
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "alone on the queue");
            inside.fetch_sub(1, Ordering::SeqCst);
        };
        let (entered, counted) = (queue.clone(), inside.clone());
        let waits = run.spawn(Qos::Background, move || entered.sync(|| alone(&counted)));
        let (counted, item) = (inside.clone(), run.item());
        queue.run_async(move || {
            alone(&counted);
            item();
        });
        queue.sync(|| alone(&inside));
        join([waits]);
    });
}

#[test]
fn the_last_leave_meets_a_notification() {
    with_queues(2, |run| {
        let (queue, group) = (Queue::new("q"), Group::new());
        group.enter();
        let (notified, item) = (group.clone(), run.item());
        let leaves = run.spawn(Qos::Utility, move || group.leave());
        notified.notify(&queue, item);
        join([leaves]);
    });
}
