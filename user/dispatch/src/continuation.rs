//! [`Continuation`]: a client's work with the context in which it runs (dispatch 4.1–4.4).

use crate::group::Entered;
use crate::process::Process;
use crate::qos::{ItemPriority, Qos, QueuePriority};
use crate::queue::{Counter, held};
use crate::thread;
use crate::voucher::Capture;
use alloc::boxed::Box;

/// One captured unit of work, in one allocation.
pub(crate) struct Continuation(Box<dyn Work>);

/// What a worker does with a continuation.
trait Work: Send {
    /// Takes on the context and calls the closure.
    fn run(self: Box<Self>);
}

struct Node<F> {
    /// What the item does to the thread's priority.
    priority: ItemPriority,
    /// What it does to the thread's voucher; moved there, and not copied (dispatch R-8).
    voucher: Capture,
    /// The group that the item leaves when it has run, or when it is dropped.
    group: Option<Entered>,
    counted: Counted,
    work: F,
}

impl Continuation {
    /// Returns work with a given context.
    pub(crate) fn new(priority: ItemPriority, voucher: Capture, work: impl FnOnce() + Send + 'static) -> Continuation {
        Continuation::in_group(priority, voucher, None, work)
    }

    /// Returns work that leaves a group afterwards.
    pub(crate) fn in_group(
        priority: ItemPriority,
        voucher: Capture,
        group: Option<Entered>,
        work: impl FnOnce() + Send + 'static,
    ) -> Continuation {
        let counted = Counted::new();
        Continuation(Box::new(Node { priority, voucher, group, counted, work }))
    }

    /// Returns work with the calling thread's context, as it is stored for a queue with this word, and the class with
    /// which it is pushed there (dispatch 1.8, 4.2). Done before another thread can see it (dispatch C-1).
    #[inline]
    pub(crate) fn capture(
        word: &QueuePriority,
        enforce: bool,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        let (priority, class, voucher) = captured(word, enforce);
        (Continuation::new(priority, voucher, work), class)
    }

    /// Runs it on the calling thread. Nothing of the context is restored afterwards (dispatch C-4).
    #[inline]
    pub(crate) fn run(self) {
        self.0.run();
    }
}

/// Returns what an item captures from the calling thread.
#[inline]
pub(crate) fn captured(word: &QueuePriority, enforce: bool) -> (ItemPriority, Qos, Capture) {
    thread::with(|context| {
        let (priority, class) = word.store(context.requested().propagated(), enforce);
        (priority, class, Capture::from(context.voucher()))
    })
}

impl<F: FnOnce() + Send> Work for Node<F> {
    fn run(self: Box<Self>) {
        // The memory is free before the callout, and the closure has died with all that it captured before the group is
        // left (dispatch 4.3).
        let Node { priority, voucher, group, counted, work } = unbox(self);
        thread::adopt(priority, false, voucher);
        held::settle();
        work();
        drop(group);
        drop(counted);
    }
}

#[expect(clippy::boxed_local, reason = "the memory is given back here")]
fn unbox<T>(boxed: Box<T>) -> T {
    *boxed
}

/// The share of a continuation in the count of all.
struct Counted(&'static Process);

impl Counted {
    fn new() -> Counted {
        let process = crate::process::process();
        process.queues.counts.continuations.add();
        Counted(process)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let count: &Counter = &self.0.queues.counts.continuations;
        count.remove();
    }
}
