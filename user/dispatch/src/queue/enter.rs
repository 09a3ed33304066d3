//! Entering a queue synchronously (dispatch 5.6).
//!
//! The thread takes the queue itself, then the target, and so on up to the pool. Where another thread is first it waits
//! in that queue's list; whoever leaves the queue hands it over.

use super::held;
use super::lane::{Lane, Target};
use super::state::{Enter, Entry, Kind, Left, Push};
use super::{CurrentQueue, Effects, Item, Queue, client_crash};
use crate::continuation::Continuation;
use crate::main_queue::Bound;
use crate::pool;
use crate::process::process;
use crate::qos::{ItemPriority, Priority};
use crate::sync::Arc;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::thread::{self, QosScope};
use crate::voucher::{self, Capture};
use runtime::sys::{Lent, lend};

/// A thread that waits for its turn in a queue.
pub(crate) struct Waiter {
    /// 1 from the moment on when the thread is in.
    admitted: AtomicU32,
}

impl Waiter {
    fn new() -> Waiter {
        Waiter { admitted: AtomicU32::new(0) }
    }

    /// Lets the thread go on.
    pub(crate) fn admit(&self) {
        self.admitted.store(1, Ordering::Release);
        process().kernel.wake(&self.admitted, false);
    }

    fn wait(&self) {
        while self.admitted.load(Ordering::Acquire) == 0 {
            pool::waiting(|| process().kernel.wait(&self.admitted, 0, None));
        }
    }
}

impl Queue {
    /// Runs a closure while the calling thread holds the queue and all its targets.
    pub(super) fn run_inside<R: Send>(&self, barrier: bool, work: impl FnOnce() -> R + Send) -> R {
        let Some(lane) = self.lane() else {
            return work();
        };
        if let Some(bound) = chain(lane).find_map(|lane| lane.bound()) {
            return self.run_on_main_thread(bound, barrier, work);
        }
        let entered = Entered::new(lane, barrier);
        let current = CurrentQueue::new(lane.as_current(), lane.number);
        let result = work();
        drop(current);
        drop(entered);
        result
    }

    /// Runs a closure on the main thread, with the whole class and the voucher of the calling one, which waits.
    fn run_on_main_thread<R: Send>(&self, bound: &Bound, barrier: bool, work: impl FnOnce() -> R + Send) -> R {
        if bound.is_main_thread() {
            client_crash("the main thread waits for its own queue");
        }
        let (mut work, mut result) = (Some(work), None);
        let mut call = || result = work.take().map(|work| work());
        let done = Arc::new(AtomicU32::new(0));
        let signalled = done.clone();
        let signal = move || {
            signalled.store(1, Ordering::Release);
            process().kernel.wake(&signalled, false);
        };
        let submit = |lent: Lent| {
            let requested = thread::requested();
            let voucher = Capture::from(voucher::copy());
            let continuation = Continuation::new(ItemPriority::enforced(requested), voucher, || lent.run());
            let kind = if barrier { Kind::Barrier } else { Kind::Shared };
            self.push(continuation, kind, requested.class());
        };
        lend(&mut call, signal, submit, || {
            pool::waiting(|| process().kernel.wait(&done, 0, None));
        });
        result.expect("the main thread has called it")
    }
}

/// The calling thread holds a queue and all its targets until this is dropped.
struct Entered<'a> {
    lane: &'a Arc<Lane>,
    barrier: bool,
}

impl Entered<'_> {
    fn new(lane: &Arc<Lane>, barrier: bool) -> Entered<'_> {
        let mut alone = barrier;
        for lane in chain(lane) {
            lane.enter(alone);
            alone = false;
        }
        Entered { lane, barrier }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut alone = self.barrier;
        for lane in chain(self.lane) {
            lane.leave(alone);
            alone = false;
        }
    }
}

/// Returns a queue and all its targets that are no roots.
fn chain(lane: &Arc<Lane>) -> impl Iterator<Item = &Arc<Lane>> {
    core::iter::successors(Some(lane), |lane| match &lane.target {
        Target::Lane(target) => Some(target),
        Target::Root(_) | Target::Main(_) => None,
    })
}

impl Lane {
    /// Makes the calling thread the owner, or one of those that are in at the same time. Waits for its turn.
    fn enter(self: &Arc<Lane>, alone: bool) {
        let thread = held::name();
        held::hold();
        let mut state = self.lock();
        match state.enter(thread, alone) {
            Enter::Entered => return self.show_owner(&state),
            Enter::Busy => {}
            Enter::Deadlock => {
                drop(state);
                client_crash("a thread enters a queue that it holds already")
            }
        }
        let waiter = Arc::new(Waiter::new());
        let kind = if alone { Kind::Waiter(thread) } else { Kind::SharedWaiter(thread) };
        let item = Item::Waiter(waiter.clone());
        let mut effects = Effects::default();
        match state.push(Entry { item, kind, class: thread::requested().class() }) {
            Push::Kept(wakeup) => self.follow(wakeup, &mut effects),
            Push::Forward(_) => unreachable!("a waiter is not forwarded"),
        }
        drop(state);
        effects.apply();
        waiter.wait();
    }

    /// Ends what [`enter`](Lane::enter) began, and lets the next one in.
    fn leave(self: &Arc<Lane>, alone: bool) {
        let mut effects = Effects::default();
        let mut state = self.lock();
        let left = if alone || self.width == 1 {
            state.leave()
        } else {
            Left { overridden: false, successor: state.complete() }
        };
        let overridden = self.left(left, &state, &mut effects);
        drop(state);
        held::release(overridden);
        effects.apply();
    }
}

/// Raises the calling thread to the classes of a queue and all its targets until the scope ends; never lowers it
/// (dispatch L-22).
pub(super) fn raise_to_queues(queue: &Queue) -> Option<QosScope> {
    let own = queue.word().requested;
    let lanes = queue.lane().into_iter().flat_map(chain);
    let highest = lanes.map(|lane| lane.word().requested).fold(own, Ord::max);
    raise_to(highest, Capture::Keep)
}

/// Changes the voucher of the calling thread as asked, and raises the thread to a priority if it requests a lower one,
/// until the scope ends (dispatch C-8). A thread without a class is left alone.
pub(crate) fn raise_to(priority: Priority, voucher: Capture) -> Option<QosScope> {
    let requested = thread::requested().without_flags();
    let raises = requested.has_class() && requested < priority;
    let priority = if raises { priority } else { Priority::NONE };
    (raises || !matches!(voucher, Capture::Keep)).then(|| QosScope::new(priority, voucher))
}

/// Lends the calling thread's class to a queue, for what the thread waits for.
pub(crate) fn lend_to(queue: &Queue) {
    if let Some(lane) = queue.lane() {
        lane.raise(thread::requested().class());
    }
}
