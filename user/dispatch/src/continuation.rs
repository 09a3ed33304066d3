//! [`Continuation`]: a client's work with the context in which it runs (dispatch 4.1–4.4).

use crate::group::Entered;
use crate::inspect::Held;
use crate::notes::{Note, word_of};
use crate::process::{Process, process};
use crate::qos::{ItemPriority, ItemWord, Qos, QueuePriority};
use crate::queue::{Queue, held};
use crate::thread::{self, Context};
use crate::voucher::Capture;
use abi::port::MACH_PORT_NULL;
use alloc::boxed::Box;

/// One captured unit of work, in one allocation.
pub(crate) struct Continuation(Box<dyn Work>);

/// What a worker does with a continuation.
trait Work: Send {
    /// Takes on the item's context on the thread whose own this is, the calling one, and calls the closure.
    fn run(self: Box<Self>, context: &Context);

    /// Returns what it holds until it runs.
    fn held(&self) -> Held<'_>;

    /// Tells that it was submitted to a queue.
    fn submitted(&mut self, queue: u64);
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

/// The client's part of an item.
trait Callout: Send {
    /// Calls the closure.
    fn call(self);

    /// Returns what is told of the item; `None` if events are not recorded.
    fn note(&self) -> Option<&Note>;

    /// Returns the same, to be changed.
    fn note_mut(&mut self) -> Option<&mut Note>;
}

/// A closure of which nothing is told.
struct Plain<F>(F);

impl<F: FnOnce() + Send> Callout for Plain<F> {
    #[inline]
    fn call(self) {
        (self.0)();
    }

    fn note(&self) -> Option<&Note> {
        None
    }

    fn note_mut(&mut self) -> Option<&mut Note> {
        None
    }
}

/// A closure while events are recorded.
struct Recorded {
    note: Note,
    work: Box<dyn FnOnce() + Send>,
}

impl Callout for Recorded {
    fn call(self) {
        let Recorded { mut note, work } = self;
        note.begins();
        work();
        drop(note);
    }

    fn note(&self) -> Option<&Note> {
        Some(&self.note)
    }

    fn note_mut(&mut self) -> Option<&mut Note> {
        Some(&mut self.note)
    }
}

impl Continuation {
    /// Returns work with a given context.
    pub(crate) fn new(priority: ItemPriority, voucher: Capture, work: impl FnOnce() + Send + 'static) -> Continuation {
        Continuation::make(Captured { priority: priority.into(), voucher, process: process() }, None, work)
    }

    fn make(captured: Captured, group: Option<Entered>, work: impl FnOnce() + Send + 'static) -> Continuation {
        if captured.process.inspect.notes.is_on() {
            return captured.with(group, Recorded { note: Note::NONE, work: Box::new(work) });
        }
        captured.with(group, Plain(work))
    }

    /// Returns work with the calling thread's context, as it is stored for a queue with this word, and the class with
    /// which it is pushed there (dispatch 1.8, 4.2). Done before another thread can see it (dispatch C-1).
    pub(crate) fn capture(
        word: &QueuePriority,
        enforce: bool,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        let (captured, class) = thread::with(|context| Captured::from(context, word, enforce));
        (Continuation::make(captured, None, work), class)
    }

    /// Returns the same while events are not recorded; the caller has the calling thread's context at hand.
    #[inline(always)]
    pub(crate) fn capture_plain(
        context: &Context,
        word: &QueuePriority,
        enforce: bool,
        work: impl FnOnce() + Send + 'static,
    ) -> (Continuation, Qos) {
        let (captured, class) = Captured::from(context, word, enforce);
        (captured.with(None, Plain(work)), class)
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

    /// Tells that it was submitted to a queue, if events are recorded and that was not told.
    #[cold]
    pub(crate) fn note_queue(&mut self, queue: &Queue) {
        self.0.submitted(queue.number());
    }

    /// Returns what it holds until it runs.
    pub(crate) fn held(&self) -> Held<'_> {
        self.0.held()
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

    /// Returns the item.
    #[inline]
    fn with(self, group: Option<Entered>, work: impl Callout + 'static) -> Continuation {
        let Captured { priority, voucher, process } = self;
        process.queues.counts.continuations.add();
        Continuation(Box::new(Node { priority, voucher, group, counted: Counted(process), work }))
    }
}

impl<F: Callout> Work for Node<F> {
    fn run(self: Box<Self>, context: &Context) {
        // The memory is free before the callout, and the closure has died with all that it captured before the group is
        // left (dispatch 4.3).
        let Node { priority, voucher, group, counted, work } = unbox(self);
        held::adopt(context, priority, voucher);
        work.call();
        drop(group);
        drop(counted);
    }

    fn held(&self) -> Held<'_> {
        let voucher = match &self.voucher {
            Capture::Set(voucher) => Some(&**voucher),
            Capture::Keep | Capture::Clear => None,
        };
        Held { work: self.work.note().map_or(0, Note::work), priority: word_of(self.priority.priority()), voucher }
    }

    fn submitted(&mut self, queue: u64) {
        if self.work.note().is_none_or(|note| note.work() != 0) {
            return;
        }
        let Held { priority, voucher, .. } = self.held();
        let voucher = voucher.map_or(MACH_PORT_NULL, |voucher| voucher.shown_name());
        if let Some(note) = self.work.note_mut() {
            note.submitted(queue, priority, voucher);
        }
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
