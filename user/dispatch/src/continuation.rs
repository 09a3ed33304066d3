//! [`Continuation`]: a client's work with the context in which it runs (dispatch 4.1–4.4).

use crate::group::Entered;
use crate::process::{Process, process};
use crate::qos::{ItemPriority, ItemWord, Qos, QueuePriority};
use crate::queue::held;
use crate::thread::{self, Context};
use crate::voucher::Capture;
use alloc::boxed::Box;

/// One captured unit of work, in one allocation.
pub(crate) struct Continuation(Box<dyn Work>);

/// What a worker does with a continuation.
trait Work: Send {
    /// Takes on the item's context on the thread whose own this is, the calling one, and calls the closure.
    fn run(self: Box<Self>, context: &Context);
}

struct Node<F> {
    /// What the item does to the thread's priority.
    priority: ItemWord,
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
        Continuation::make(Captured { priority: priority.into(), voucher, process: process() }, None, work)
    }

    #[inline]
    fn make(captured: Captured, group: Option<Entered>, work: impl FnOnce() + Send + 'static) -> Continuation {
        let Captured { priority, voucher, process } = captured;
        process.queues.counts.continuations.add();
        Continuation(Box::new(Node { priority, voucher, group, counted: Counted(process), work }))
    }

    /// Returns work with the calling thread's context, as it is stored for a queue with this word, and the class with
    /// which it is pushed there (dispatch 1.8, 4.2). Done before another thread can see it (dispatch C-1).
    pub(crate) fn capture(
        word: &QueuePriority,
        enforce: bool,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        thread::with(|context| Continuation::capture_from(context, word, enforce, work))
    }

    /// Returns the same; the caller has the calling thread's context at hand.
    #[inline(always)]
    pub(crate) fn capture_from(
        context: &Context,
        word: &QueuePriority,
        enforce: bool,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        let (captured, class) = Captured::from(context, word, enforce);
        (Continuation::make(captured, None, work), class)
    }

    /// Returns the same, as one thing of a group.
    pub(crate) fn capture_in_group(
        word: &QueuePriority,
        group: Entered,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        let (captured, class) = thread::with(|context| Captured::from(context, word, false));
        (Continuation::make(captured, Some(group), work), class)
    }

    /// Runs it on the calling thread, whose context this is. Nothing of that is restored afterwards (dispatch C-4).
    #[inline]
    pub(crate) fn run(self, context: &Context) {
        self.0.run(context);
    }
}

/// What an item captures from the calling thread.
struct Captured {
    priority: ItemWord,
    voucher: Capture,
    process: &'static Process,
}

impl Captured {
    /// Returns what the calling thread has, as it is stored for a queue with this word, and the class of the push.
    #[inline(always)]
    fn from(context: &Context, word: &QueuePriority, enforce: bool) -> (Captured, Qos) {
        let (priority, class) = word.store(context.requested().propagated(), enforce);
        let voucher = Capture::from(context.voucher());
        (Captured { priority: priority.into(), voucher, process: context.process() }, class)
    }
}

impl<F: FnOnce() + Send> Work for Node<F> {
    fn run(self: Box<Self>, context: &Context) {
        // The memory is free before the callout, and the closure has died with all that it captured before the group is
        // left (dispatch 4.3).
        let Node { priority, voucher, group, counted, work } = unbox(self);
        held::adopt(context, priority, voucher);
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

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.queues.counts.continuations.remove();
    }
}
