//! [`Held`]: what a thread knows about the queues that it drains or holds (dispatch 1.5, L-8, L-10).

use super::Queue;
use crate::qos::{ItemWord, Override, Priority, Qos};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::thread::{self, Context};
use crate::voucher::Capture;
use abi::PortName;
use core::cell::Cell;

/// The part of a thread's context that belongs to queues.
pub(crate) struct Held {
    /// The thread's own name, or 0 until it is asked for: a lock word that always names this thread.
    name: AtomicU32,
    /// The thread is one of the pool: it has a next root item.
    is_worker: Cell<bool>,
    /// The class of the list from which the thread, a worker, has the item that it runs.
    runs: Cell<Option<Qos>>,
    /// The queue whose item runs.
    current: Cell<Option<Queue>>,
    /// The kernel may have an override for the thread, which the thread has to end.
    overridden: Cell<bool>,
    /// The least priority, without flags, at which the thread need not raise itself to what its queues lend it.
    enough: Cell<u32>,
    /// The class to which the thread has raised itself.
    raised: Cell<Qos>,
    /// How many queues the thread holds synchronously.
    holds: Cell<u32>,
}

impl Held {
    /// Returns what a thread outside of all queues has.
    pub(crate) const fn new() -> Held {
        Held {
            name: AtomicU32::new(0),
            is_worker: Cell::new(false),
            runs: Cell::new(None),
            current: Cell::new(None),
            overridden: Cell::new(false),
            enough: Cell::new(0),
            raised: Cell::new(Qos::Unspecified),
            holds: Cell::new(0),
        }
    }

    /// Returns the queue whose item runs.
    pub(crate) fn current(&self) -> Option<Queue> {
        let current = self.current.take();
        self.current.set(current.clone());
        current
    }
}

/// Returns the name of the calling thread.
pub(crate) fn name() -> PortName {
    thread::with(own_name)
}

/// Returns the name of the calling thread, whose context this is.
pub(crate) fn own_name(context: &Context) -> PortName {
    match context.held.name.load(Ordering::Relaxed) {
        0 => {
            let name = context.process().kernel.thread_self();
            context.held.name.store(name.0, Ordering::Relaxed);
            context.begin_to_show(name);
            name
        }
        name => PortName(name),
    }
}

/// Makes the calling thread a worker of the pool.
pub(crate) fn become_worker() {
    thread::with(|context| {
        context.held.is_worker.set(true);
        own_name(context);
        context.shown.worker();
    });
}

/// Notes from the list of which class the calling worker has its item, `None` after the item.
pub(crate) fn note_run(class: Option<Qos>) {
    thread::with(|context| context.held.runs.set(class));
}

/// Returns the class of the list from which the calling thread has its item, if it is a worker that runs one.
pub(crate) fn runs() -> Option<Qos> {
    thread::with(|context| context.held.runs.get())
}

/// Notes that a queue which the thread drains lends it a class (dispatch L-8).
pub(crate) fn lend(class: Qos) {
    thread::with(|context| {
        let mut base = context.base();
        if base.over < Override::Class(class) {
            base.over = Override::Class(class);
            context.set_base(base);
            context.held.enough.set(Priority::of(class).0 & Priority::CLASSES);
        }
        settle_in(context);
    });
}

/// Takes on the context of an item, which is about to run. If the item's class is lower than what the queues lend the
/// thread, the thread raises itself to that. Most items are like the one before them, and are done with at once.
#[inline(always)]
pub(crate) fn adopt(context: &Context, priority: ItemWord, voucher: Capture) {
    if !matches!(voucher, Capture::Clear) || !context.is_settled(priority) {
        adopt_another(context, priority, voucher);
    }
}

#[inline(never)]
fn adopt_another(context: &Context, priority: ItemWord, voucher: Capture) {
    let previous = context.adopt(priority, voucher);
    settle_in(context);
    drop(previous);
}

/// The kernel is asked only if the thread requests less. Most items are of the highest class of their queue, so that it
/// would gain nothing.
#[inline]
fn settle_in(context: &Context) {
    if context.requested().without_flags().0 < context.held.enough.get() {
        raise(context);
    }
}

#[cold]
fn raise(context: &Context) {
    let Override::Class(class) = context.base().over else {
        return;
    };
    if context.held.raised.get() >= class {
        return;
    }
    context.held.raised.set(class);
    context.held.overridden.set(true);
    let name = own_name(context);
    context.process().kernel.override_thread(name, class, &context.held.name);
}

/// Notes that the calling thread begins to hold a queue synchronously.
pub(crate) fn hold() {
    thread::with(|context| context.held.holds.set(context.held.holds.get() + 1));
}

/// Notes that the calling thread has left a queue that it held synchronously, for which it may have been overridden. A
/// worker keeps the override up to its next root item; another thread loses it when it holds no queue any more
/// (dispatch L-19).
pub(crate) fn release(overridden: bool) {
    thread::with(|context| {
        let held = &context.held;
        held.holds.set(held.holds.get() - 1);
        held.overridden.set(held.overridden.get() || overridden);
    });
    end_override_outside();
}

/// Ends the overrides of the calling thread if it is none of the pool and holds no queue.
pub(crate) fn end_override_outside() {
    if thread::with(|context| context.held.holds.get() == 0 && !context.held.is_worker.get()) {
        end_override();
    }
}

/// Notes that the calling thread was overridden for the sake of a queue that it has drained.
pub(crate) fn note_override(overridden: bool) {
    if overridden {
        thread::with(|context| context.held.overridden.set(true));
    }
}

/// Ends the overrides of the calling thread, if there may be any (dispatch L-10).
pub(crate) fn end_override() {
    thread::with(|context| {
        context.held.enough.set(0);
        context.held.raised.set(Qos::Unspecified);
        if context.held.overridden.replace(false) {
            context.process().kernel.reset_override();
        }
    });
}

/// Ends the overrides of the calling thread before it waits for work. One that came late, after the thread had left the
/// queue and got it again, was not noted.
pub(crate) fn end_all_overrides() {
    thread::with(|context| context.held.overridden.set(true));
    end_override();
}

/// Makes a queue the current one of the thread until it is dropped.
pub(crate) struct CurrentQueue {
    former: Option<Queue>,
    /// The number of the queue that the thread was shown to run.
    shown: u64,
}

impl CurrentQueue {
    /// Makes a queue the current one, for the items of the queue with a number.
    pub(crate) fn new(queue: Queue, number: u64) -> CurrentQueue {
        thread::with(|context| {
            let shown = context.shown.queue(number);
            CurrentQueue { former: context.held.current.replace(Some(queue)), shown }
        })
    }
}

impl Drop for CurrentQueue {
    fn drop(&mut self) {
        let former = self.former.take();
        let shown = self.shown;
        drop(thread::with(|context| {
            context.shown.queue(shown);
            context.held.current.replace(former)
        }));
    }
}
