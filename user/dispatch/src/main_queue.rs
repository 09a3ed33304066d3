//! The main queue: its items run on the main thread (dispatch 5.8).
//!
//! The main thread calls [`drain`] from its loop and [`wait`] when there is nothing else to do, or gives itself up with
//! [`dispatch_main`].

use crate::process::process;
use crate::qos::{Base, Priority, Qos, QueuePriority};
use crate::queue::root::Root;
use crate::queue::state::{Entry, Wakeup};
use crate::queue::{CurrentQueue, Effects, Item, Lane, Queue, Target, client_crash, held};
use crate::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread::{self, QosScope};
use crate::timer::Deadline;
use crate::voucher::{self, Capture};
use abi::PortName;
use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

/// What binds the main queue to the main thread.
#[derive(Default)]
pub(crate) struct Bound {
    /// The name of the main thread, 0 as long as it is not known.
    thread: AtomicU32,
    /// The priority of the main thread.
    priority: AtomicU32,
    /// 1 if the queue has work.
    signal: AtomicU32,
    /// The queue is an ordinary one by now (dispatch L-27).
    is_released: AtomicBool,
    /// The explicit overrides of the main thread for this queue.
    overrides: Mutex<Overrides>,
}

#[derive(Clone, Copy, Default)]
struct Overrides {
    /// The highest class since the queue was drained.
    wanted: Qos,
    /// The class with which the thread is overridden now.
    given: Qos,
}

/// The root of the main queue once the main thread has given itself up.
const ROOT: Root = Root { class: Qos::DEFAULT, overcommit: true };
/// The resource for which the main thread is overridden.
const RESOURCE: u64 = 0x6D61_696E;

/// Returns the main queue.
pub(crate) fn queue() -> Queue {
    let make = || {
        let target = Target::Main(Box::default());
        Queue::of(Lane::new(QueuePriority::NONE, target, 1, String::from("main"), true).share())
    };
    process().queues.main.get_or_init(make).clone()
}

/// Calls a function with the main queue and what binds it.
fn with<R>(f: impl FnOnce(&Arc<Lane>, &Bound) -> R) -> R {
    let queue = queue();
    let Some(lane) = queue.lane() else {
        unreachable!("the main queue is no root");
    };
    let Target::Main(bound) = &lane.target else {
        unreachable!("the main queue is bound to the main thread");
    };
    f(lane, bound)
}

/// Makes the calling thread the main thread. Its class is that of the main queue.
pub fn bind() {
    with(|_, bound| bound.thread.store(held::name().0, Ordering::Release));
    class_changed();
}

/// Notes that the calling thread has chosen another class. If it is the main thread, the main queue has that class from
/// now on, and overrides are looked at again (dispatch L-26).
pub(crate) fn class_changed() {
    if process().queues.main.get().is_none() {
        return;
    }
    with(|lane, bound| {
        if !bound.is_main_thread() {
            return;
        }
        let priority = thread::requested().without_flags();
        let mut state = lane.lock();
        bound.priority.store(priority.0, Ordering::Release);
        state.set_requested(priority.class());
        drop(state);
        bound.settle();
    });
}

impl Bound {
    /// Returns true if the queue is an ordinary one.
    pub(crate) fn is_released(&self) -> bool {
        self.is_released.load(Ordering::Acquire)
    }

    /// Returns true if the calling thread is the main thread.
    pub(crate) fn is_main_thread(&self) -> bool {
        self.thread.load(Ordering::Acquire) == held::name().0
    }

    fn priority(&self) -> Priority {
        Priority(self.priority.load(Ordering::Acquire))
    }

    /// Returns what the main queue says about the priority of its items: it has its thread's class.
    pub(crate) fn word(&self) -> QueuePriority {
        QueuePriority::of(self.priority())
    }

    /// Sees to it that the main thread finds its queue, or puts that onto its root.
    pub(crate) fn push(&self, entry: Entry<Item>, effects: &mut Effects) {
        if self.is_released() {
            return process().queues.pool.push(ROOT, entry.item, entry.class, effects);
        }
        self.signal.store(1, Ordering::Release);
        effects.wake_main();
        effects.raise_main(entry.class);
    }

    /// Lends a class to the main thread, as long as its queue is not drained.
    pub(crate) fn raise(&self, class: Qos, effects: &mut Effects) {
        if !self.is_released() {
            effects.raise_main(class);
        }
    }

    /// Overrides the main thread as much as its own class makes necessary. No lock of a queue is held.
    fn settle(&self) {
        let thread = PortName(self.thread.load(Ordering::Acquire));
        if thread.0 == 0 {
            return;
        }
        let kernel = process().kernel;
        let mut overrides = self.overrides.lock();
        let needed = if overrides.wanted > self.priority().class() { overrides.wanted } else { Qos::Unspecified };
        if needed == overrides.given {
            return;
        }
        // The new one begins before the old one ends.
        if needed > Qos::Unspecified {
            kernel.override_start(thread, needed, RESOURCE + needed as u64);
        }
        if overrides.given > Qos::Unspecified {
            kernel.override_end(thread, RESOURCE + overrides.given as u64);
        }
        overrides.given = needed;
    }
}

/// Wakes the main thread.
pub(crate) fn wake() {
    with(|_, bound| process().kernel.wake(&bound.signal, true));
}

/// Lends a class to the main thread until its queue is drained (dispatch L-26).
pub(crate) fn raise(class: Qos) {
    with(|lane, bound| {
        {
            // If the queue has been drained meanwhile, nothing is left for which to lend it.
            let state = lane.lock();
            let has_work = !state.is_idle();
            let mut overrides = bound.overrides.lock();
            overrides.wanted = if has_work { overrides.wanted.max(class) } else { overrides.wanted };
            drop(overrides);
            drop(state);
        }
        bound.settle();
    });
}

/// Runs what is in the main queue now, each item with its own voucher; then the main thread has its class and its
/// voucher back (dispatch L-24). Returns false if there was nothing.
///
/// The first call makes the calling thread the main thread. A call from another thread is fatal.
pub fn drain() -> bool {
    with(|lane, bound| {
        if bound.thread.load(Ordering::Acquire) == 0 {
            bind();
        }
        if !bound.is_main_thread() {
            client_crash("the main queue is drained by another thread than the main thread");
        }
        bound.signal.store(0, Ordering::Release);
        let Some(count) = lane.take_snapshot() else {
            return false;
        };
        let requested = thread::requested();
        let restores = QosScope::new(requested, Capture::from(voucher::copy()));
        let base = thread::base();
        thread::set_base(Base::NONE.enter(&QueuePriority::of(requested.without_flags())));
        let current = CurrentQueue::new(queue(), queue().number());
        lane.run_snapshot(count);
        drop(current);
        thread::set_base(base);
        drop(restores);
        // Those that it had as the owner of the queue, and of the queues whose target that is.
        held::end_override_outside();
        {
            let state = lane.lock();
            bound.overrides.lock().wanted = state.max_qos();
        }
        bound.settle();
        true
    })
}

/// Waits until the main queue has work, or for a time. Returns false if the time passed.
pub fn wait(timeout: Option<Duration>) -> bool {
    with(|_, bound| {
        let deadline = Deadline::after(timeout);
        while bound.signal.load(Ordering::Acquire) == 0 {
            let Some(remaining) = deadline.remaining() else {
                return false;
            };
            process().kernel.wait(&bound.signal, 0, remaining.microseconds());
        }
        true
    })
}

/// Drains the main queue once more and gives the main thread up: the main queue is an ordinary serial queue from then
/// on, with the class that it had (dispatch L-27).
pub fn dispatch_main() -> ! {
    drain();
    with(|lane, bound| {
        let mut effects = Effects::default();
        {
            let mut state = lane.lock();
            bound.is_released.store(true, Ordering::Release);
            bound.overrides.lock().wanted = Qos::Unspecified;
            // What was pushed since waits for a thread that does not come any more.
            let wakeup = state.release();
            if let Wakeup::Enqueue(class) = wakeup {
                process().queues.pool.push(ROOT, Item::Lane(lane.clone()), class, &mut effects);
            }
        }
        effects.apply();
        bound.settle();
        thread::clear_for_park();
        loop {
            process().kernel.wait(&bound.signal, bound.signal.load(Ordering::Relaxed), None);
        }
    })
}
