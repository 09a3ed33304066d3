//! Queues (dispatch 5).
//!
//! | file | content |
//! |---|---|
//! | `state.rs` | `LaneState`: what a queue decides under its lock, as pure functions |
//! | `lane.rs` | `Lane`: a queue with a list, and how threads drain it |
//! | `enter.rs` | entering a queue synchronously, and waiting for one's turn |
//! | `root.rs` | root queues and what waits for a worker |
//! | `held.rs` | what a thread knows about the queues that it drains or holds |
//! | `effects.rs` | what is done after all locks are dropped |
//! | `builder.rs` | [`Builder`]: what a new queue gets |
//!
//! Locks are taken from a queue to its target, then the pool's (dispatch R-5). Kernel calls that concern other threads
//! are collected in `Effects` meanwhile and made after the last lock is dropped; no closure and no voucher is dropped
//! under a lock (dispatch R-4).

mod builder;
mod effects;
mod enter;
pub(crate) mod held;
mod lane;
pub(crate) mod root;
pub(crate) mod state;

pub use builder::Builder;
pub(crate) use effects::Effects;
pub(crate) use enter::{Waiter, lend_to, raise_to};
pub(crate) use held::{CurrentQueue, Held};
pub(crate) use lane::{Lane, Target};

use crate::continuation::Continuation;
use crate::main_queue;
use crate::pool::Pool;
use crate::process::process;
use crate::qos::{self, Qos, QueuePriority};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, OnceLock};
use crate::thread::{self, Context};
use crate::timer::Timers;
use alloc::boxed::Box;
use core::time::Duration;
use root::{ReadySlot, Root};
use state::Kind;

/// A queue. Copies denote the same one.
#[derive(Clone)]
pub struct Queue(Inner);

#[derive(Clone)]
enum Inner {
    Root(Root),
    Lane(Arc<Lane>),
}

bitflags::bitflags! {
    /// Which of the global queues of a class is meant (dispatch Q-9).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct QueueFlags: u64 {
        /// Each item gets a thread, whatever else runs.
        const OVERCOMMIT = 2;
        /// The same as without flags.
        const COOPERATIVE = 4;
    }
}

impl Queue {
    /// Returns a new serial queue: its items run one after another. It has no class, so that items keep theirs.
    pub fn new(label: &str) -> Queue {
        Queue::builder(label).build()
    }

    /// Returns a new concurrent queue: its items start in order and run together, but for barriers.
    pub fn concurrent(label: &str) -> Queue {
        Queue::builder(label).concurrent().build()
    }

    /// Returns what makes a queue with further attributes.
    pub fn builder(label: &str) -> Builder {
        Builder::new(label)
    }

    /// Returns the global queue of a class, whose items run on any worker. Without a class it is the default one.
    pub fn global(class: Qos, flags: QueueFlags) -> Queue {
        let class = if class == Qos::Unspecified { Qos::DEFAULT } else { class };
        Queue::root(Root { class, overcommit: flags.contains(QueueFlags::OVERCOMMIT) })
    }

    /// Returns the global queue for a legacy identifier or `qos_class_t`, and flags. `None` if there is no such queue
    /// (dispatch Q-9).
    pub fn find_global(identifier: i64, flags: u64) -> Option<Queue> {
        let (class, overcommit) = qos::global_queue(identifier, flags)?;
        Some(Queue::root(Root { class, overcommit }))
    }

    /// Returns the main queue, whose items run on the main thread (dispatch 5.8).
    pub fn main() -> Queue {
        main_queue::queue()
    }

    /// Returns the queue whose item the calling thread runs, if it runs one.
    pub fn current() -> Option<Queue> {
        thread::with(|context| context.held.current())
    }

    pub(crate) const fn root(root: Root) -> Queue {
        Queue(Inner::Root(root))
    }

    pub(crate) const fn of(lane: Arc<Lane>) -> Queue {
        Queue(Inner::Lane(lane))
    }

    /// Returns the queue's list, `None` if it is a global queue.
    pub(crate) fn lane(&self) -> Option<&Arc<Lane>> {
        match &self.0 {
            Inner::Root(_) => None,
            Inner::Lane(lane) => Some(lane),
        }
    }

    /// Returns the number of the queue, by which events and debuggers call it.
    pub(crate) fn number(&self) -> u64 {
        match &self.0 {
            Inner::Root(root) => root.number(),
            Inner::Lane(lane) => lane.number,
        }
    }

    /// Returns the name of the queue.
    pub fn label(&self) -> &str {
        match &self.0 {
            Inner::Root(_) => "global",
            Inner::Lane(lane) => &lane.label,
        }
    }

    /// Returns what the queue says about the priority of its items.
    pub fn word(&self) -> QueuePriority {
        match &self.0 {
            Inner::Root(root) => root.word(),
            Inner::Lane(lane) => lane.word(),
        }
    }

    /// Returns the highest class of what was pushed since the queue was idle; no class for a global queue.
    pub fn max_qos(&self) -> Qos {
        self.lane().map_or(Qos::Unspecified, |lane| lane.lock().max_qos())
    }

    /// Returns how many items and threads wait in the list of the queue; 0 for a global queue.
    pub fn waiting(&self) -> usize {
        self.lane().map_or(0, |lane| lane.lock().len())
    }

    /// Returns true if nothing waits or runs on the queue; a global queue is never idle.
    pub fn is_idle(&self) -> bool {
        self.lane().is_some_and(|lane| lane.lock().is_idle())
    }

    /// Runs a closure on the queue later, in the calling thread's context: its class, at most user-initiated, and its
    /// voucher (dispatch 4.2). A queue that has a class drops that of the thread.
    #[inline]
    pub fn run_async(&self, work: impl FnOnce() + Send + 'static) {
        self.submit(work, false, Kind::Shared);
    }

    /// Like [`run_async`](Queue::run_async), but the thread's class beats the queue's.
    pub fn run_async_enforced(&self, work: impl FnOnce() + Send + 'static) {
        self.submit(work, true, Kind::Shared);
    }

    /// Like [`run_async`](Queue::run_async), but on a concurrent queue it runs alone: after everything submitted
    /// before, and before everything submitted later.
    pub fn barrier_async(&self, work: impl FnOnce() + Send + 'static) {
        self.submit(work, false, Kind::Barrier);
    }

    #[inline]
    fn submit(&self, work: impl FnOnce() + Send + 'static, enforce: bool, kind: Kind) {
        thread::with(|context| match &self.0 {
            Inner::Lane(lane) if !lane.is_recorded => {
                let (continuation, class) = Continuation::capture_plain(context, &lane.word(), enforce, work);
                lane.push(continuation, kind == Kind::Barrier, class);
            }
            _ => self.submit_slowly(work, enforce, kind),
        });
    }

    /// Submits to a root queue, or while events are recorded.
    #[inline(never)]
    fn submit_slowly(&self, work: impl FnOnce() + Send + 'static, enforce: bool, kind: Kind) {
        let (continuation, class) = Continuation::capture(&self.word(), enforce, work);
        self.push(continuation, kind, class);
    }

    /// Appends an item, with the class with which it is pushed (dispatch 5.3).
    pub(crate) fn push(&self, mut continuation: Continuation, kind: Kind, class: Qos) {
        match &self.0 {
            Inner::Lane(lane) => {
                if lane.is_recorded {
                    continuation.note_queue(self);
                }
                lane.push(continuation, kind == Kind::Barrier, class);
            }
            Inner::Root(root) => {
                continuation.note_queue(self);
                root.push(continuation, class);
            }
        }
    }

    /// Runs a closure on the queue after some time, in the context of this call.
    pub fn after(&self, delay: Duration, work: impl FnOnce() + Send + 'static) {
        crate::timer::after(self, delay, work);
    }

    /// Runs a closure on the queue now and returns its result: the calling thread waits for its turn, lends its class
    /// to what is ahead, and runs the closure itself, in its own context (dispatch 5.6).
    ///
    /// On the main queue, and on queues that run there, the main thread runs it, with the class and the voucher of the
    /// calling thread. A thread that already holds the queue would wait for itself: that is fatal.
    pub fn sync<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.run_inside(false, work)
    }

    /// Like [`sync`](Queue::sync), but on a concurrent queue it runs alone.
    pub fn barrier_sync<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.run_inside(true, work)
    }

    /// Like [`sync`](Queue::sync), but the closure runs at least at the class of each queue on the way to the workers
    /// (dispatch L-22).
    pub fn async_and_wait<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        self.sync(|| {
            let _scope = enter::raise_to_queues(self);
            work()
        })
    }

    /// Keeps further items from starting. What runs now goes on. Each call needs a [`resume`](Queue::resume).
    pub fn suspend(&self) {
        if let Some(lane) = self.lane() {
            lane.lock().suspend();
        }
    }

    /// Returns true if the queue waits for a resume or for its activation.
    pub(crate) fn is_suspended(&self) -> bool {
        self.lane().is_some_and(|lane| lane.lock().is_suspended())
    }

    /// Ends one [`suspend`](Queue::suspend). More calls than that are fatal.
    pub fn resume(&self) {
        let Some(lane) = self.lane() else {
            return;
        };
        lane.change(|state| state.resume().unwrap_or_else(|_| client_crash("a queue was resumed too often")));
    }

    /// Lets a queue begin that was made inactive; does nothing to another.
    pub fn activate(&self) {
        if let Some(lane) = self.lane() {
            lane.change(|state| state.activate());
        }
    }
}

impl PartialEq for Queue {
    fn eq(&self, other: &Queue) -> bool {
        match (&self.0, &other.0) {
            (Inner::Root(one), Inner::Root(other)) => one == other,
            (Inner::Lane(one), Inner::Lane(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Queue {}

impl core::fmt::Debug for Queue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.0 {
            Inner::Root(root) => root.fmt(f),
            Inner::Lane(lane) => write!(f, "Queue({:?})", lane.label),
        }
    }
}

/// What can be in the list of a queue.
pub(crate) enum Item {
    /// A client's work.
    Work(Continuation),
    /// Another queue, whose items run.
    Lane(Arc<Lane>),
    /// An item of a concurrent queue that already has its unit of width there.
    Redirected(Box<(Arc<Lane>, Item)>),
    /// A thread that waits for its turn.
    Waiter(Arc<Waiter>),
}

impl Item {
    /// Runs the item on the calling thread, whose context this is.
    #[inline(always)]
    pub(crate) fn run(self, context: &Context) {
        match self {
            Item::Work(continuation) => continuation.run(context),
            Item::Lane(lane) => lane.drain(),
            Item::Redirected(redirected) => Lane::run_shared(redirected, context),
            Item::Waiter(_) => unreachable!("a waiter runs on its own thread"),
        }
    }

    /// Returns where the pool notes that it has the queue which this item is.
    fn slot(&self) -> Option<&ReadySlot> {
        match self {
            Item::Lane(lane) => Some(&lane.ready),
            Item::Redirected(redirected) => redirected.1.slot(),
            Item::Work(_) | Item::Waiter(_) => None,
        }
    }
}

/// What a task has for its queues.
#[derive(Default)]
pub(crate) struct Queues {
    /// The workers.
    pub pool: Pool,
    /// The main queue.
    pub main: OnceLock<Queue>,
    /// What happens later.
    pub timers: Timers,
    /// Numbers of objects, for tests of leaks.
    pub counts: Counts,
}

/// Numbers of objects that are alive (dispatch R-7).
#[derive(Default)]
pub(crate) struct Counts {
    /// Items of clients.
    pub continuations: Counter,
    /// Queues with lists.
    pub lanes: Counter,
}

/// A number of objects.
#[derive(Default)]
pub(crate) struct Counter(AtomicUsize);

impl Counter {
    /// Counts one more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one less.
    pub(crate) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns the number.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Ends the program because it breaks a rule of the interface (dispatch R-13).
pub(crate) fn client_crash(reason: &str) -> ! {
    process().kernel.crash(reason)
}
