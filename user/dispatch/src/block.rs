//! [`Block`]: a closure with a context of its own, which can be waited for and cancelled (dispatch 4.5).

use crate::continuation::Continuation;
use crate::group::Group;
use crate::inspect::Held;
use crate::process::process;
use crate::qos::{Priority, Qos, QueuePriority};
use crate::queue::state::Kind;
use crate::queue::{Queue, client_crash, held, lend_to, raise_to};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex};
use crate::thread::{self, QosScope};
use crate::voucher::{self, Capture, Voucher};
use abi::PortName;
use alloc::boxed::Box;
use core::time::Duration;

bitflags::bitflags! {
    /// How a block gets its class and its voucher (dispatch 4.5).
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct BlockFlags: u32 {
        /// On a concurrent queue it runs alone.
        const BARRIER = 0x1;
        /// It has no voucher and no class.
        const DETACHED = 0x2;
        /// It gets the class and the voucher of the thread that creates it.
        const ASSIGN_CURRENT = 0x4;
        /// It has no class.
        const NO_QOS_CLASS = 0x8;
        /// The queue's class beats its own.
        const INHERIT_QOS_CLASS = 0x10;
        /// Its class beats the queue's.
        const ENFORCE_QOS_CLASS = 0x20;
        /// It captures no voucher.
        const NO_VOUCHER = 0x40;
        /// Accepted, without effect.
        const IF_LAST_RESET_QUEUE_QOS_OVERRIDE = 0x80;
    }
}

/// A closure with a context of its own. Copies denote the same block.
#[derive(Clone)]
pub struct Block(Arc<Shared>);

pub(crate) struct Shared {
    /// The number by which debuggers find it; 0 if it was given no voucher.
    number: u64,
    flags: BlockFlags,
    /// The class that was assigned, [`Priority::NONE`] for "none"; `None` if each submission captures one.
    priority: Option<Priority>,
    /// The voucher that was assigned; `None` if each submission captures one.
    voucher: Option<Capture>,
    work: Box<dyn Fn() + Send + Sync>,
    /// Not empty until the block has run.
    group: Group,
    is_cancelled: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often the block has begun or was dropped as cancelled.
    performed: u32,
    is_done: bool,
    /// A thread waits, or has waited with success.
    is_waited_for: bool,
    /// A waiter has lent its class to the queue already.
    has_lent: bool,
    /// Where the block was submitted last.
    queue: Option<Queue>,
    /// The thread that runs it.
    runner: Option<PortName>,
}

impl Block {
    /// Returns a block. `None` if there are unknown flags.
    pub fn new(flags: u32, work: impl Fn() + Send + Sync + 'static) -> Option<Block> {
        Block::make(BlockFlags::from_bits(flags)?, None, None, work)
    }

    /// Returns a block with a class, which is not capped. No class is the same as `NO_QOS_CLASS`. `None` if there are
    /// unknown flags or the relative priority is out of range.
    pub fn with_class(flags: u32, class: Qos, relative: i32, work: impl Fn() + Send + Sync + 'static) -> Option<Block> {
        Block::make(BlockFlags::from_bits(flags)?, Some(Priority::new(class, relative)?), None, work)
    }

    /// Returns a block with a voucher, or with none. `None` if there are unknown flags.
    pub fn with_voucher(
        flags: u32,
        voucher: Option<Arc<Voucher>>,
        work: impl Fn() + Send + Sync + 'static,
    ) -> Option<Block> {
        let flags = BlockFlags::from_bits(flags)? - BlockFlags::NO_VOUCHER;
        Block::make(flags, None, Some(Capture::from(voucher)), work)
    }

    /// Returns a block with a voucher and a class. `None` as for [`with_class`](Block::with_class).
    pub fn with_voucher_and_class(
        flags: u32,
        voucher: Option<Arc<Voucher>>,
        class: Qos,
        relative: i32,
        work: impl Fn() + Send + Sync + 'static,
    ) -> Option<Block> {
        let flags = BlockFlags::from_bits(flags)? - BlockFlags::NO_VOUCHER - BlockFlags::NO_QOS_CLASS;
        Block::make(flags, Some(Priority::new(class, relative)?), Some(Capture::from(voucher)), work)
    }

    /// What is given wins over what the flags say about the same attribute.
    fn make(
        flags: BlockFlags,
        priority: Option<Priority>,
        voucher: Option<Capture>,
        work: impl Fn() + Send + Sync + 'static,
    ) -> Option<Block> {
        let priority = priority.or_else(|| {
            let has_none = flags.intersects(BlockFlags::DETACHED | BlockFlags::NO_QOS_CLASS);
            let assigned = flags.contains(BlockFlags::ASSIGN_CURRENT).then(thread::propagated);
            if has_none { Some(Priority::NONE) } else { assigned }
        });
        let voucher = voucher.or_else(|| {
            if flags.contains(BlockFlags::NO_VOUCHER) {
                Some(Capture::Keep)
            } else if flags.contains(BlockFlags::DETACHED) {
                Some(Capture::Clear)
            } else {
                flags.contains(BlockFlags::ASSIGN_CURRENT).then(|| Capture::from(voucher::copy()))
            }
        });
        let group = Group::new();
        group.enter();
        let (is_cancelled, state) = (AtomicBool::new(false), Mutex::default());
        let holds = matches!(voucher, Some(Capture::Set(_)));
        let blocks = &process().inspect.blocks;
        let number = if holds { blocks.number() } else { 0 };
        let work = Box::new(work);
        let shared = Arc::new(Shared { number, flags, priority, voucher, work, group, is_cancelled, state });
        if holds {
            blocks.add(number, &shared);
        }
        Some(Block(shared))
    }

    /// Runs the block on the calling thread, whose context is back afterwards. An assigned class raises the thread, but
    /// does not lower it (dispatch C-8).
    pub fn invoke(&self) {
        let scope = self.adopt_synchronously();
        self.0.perform();
        drop(scope);
    }

    fn adopt_synchronously(&self) -> Option<QosScope> {
        let raises = self.0.enforces() || !self.0.flags.contains(BlockFlags::INHERIT_QOS_CLASS);
        let priority = self.0.priority.filter(|_| raises).unwrap_or(Priority::NONE);
        raise_to(priority, self.0.voucher.clone().unwrap_or_default())
    }

    /// Keeps the block from starting from now on. What runs already goes on.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::Release);
    }

    /// Returns true if the block was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Acquire)
    }

    /// Waits until the block has run, or for a time; returns false if the time passed. The thread lends its whole class
    /// to the queue of the block, or to the thread that runs it (dispatch C-12). To wait twice, or for a block that
    /// runs more than once, is fatal.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        let (queue, runner) = self.begin_wait();
        let class = thread::requested().without_flags().class();
        let resource = Arc::as_ptr(&self.0) as usize as u64;
        match (runner, queue) {
            (Some(runner), _) => process().kernel.override_start(runner, class, resource),
            (None, Some(queue)) => lend_to(&queue),
            (None, None) => {}
        }
        let is_done = self.0.group.wait(timeout);
        if let Some(runner) = runner {
            process().kernel.override_end(runner, resource);
        }
        let mut state = self.0.state.lock();
        state.is_waited_for = is_done;
        let ran_often = state.performed > 1;
        drop(state);
        if ran_often {
            client_crash("a block that is waited for ran more than once");
        }
        is_done
    }

    /// Returns what the waiter lends its class to: the queue, only the first time, and the running thread.
    fn begin_wait(&self) -> (Option<Queue>, Option<PortName>) {
        let mut state = self.0.state.lock();
        let is_wrong = state.is_waited_for || state.performed > 1;
        state.is_waited_for = true;
        let lends = !core::mem::replace(&mut state.has_lent, true);
        let found = (state.queue.clone().filter(|_| lends), state.runner);
        drop(state);
        if is_wrong {
            client_crash("a block is waited for twice, or ran more than once");
        }
        found
    }

    /// Runs a closure on a queue once the block has run, with the context of this call.
    pub fn notify(&self, queue: &Queue, work: impl FnOnce() + Send + 'static) {
        self.0.group.notify(queue, work);
    }

    /// Returns true if the block has run, or was dropped as cancelled.
    pub fn is_done(&self) -> bool {
        self.0.state.lock().is_done
    }

    /// Returns the block as an item for a queue with this word, and the class with which it is pushed.
    fn submitted(&self, word: &QueuePriority) -> (Continuation, Qos) {
        let priority = self.0.priority.unwrap_or_else(thread::propagated);
        let voucher = match &self.0.voucher {
            // What the worker has left over is not for this block (dispatch C-9).
            Some(Capture::Keep) => Capture::Clear,
            Some(assigned) => assigned.clone(),
            None => Capture::from(voucher::copy()),
        };
        let (priority, class) = word.store(priority, self.0.enforces());
        let shared = self.0.clone();
        (Continuation::new(priority, voucher, move || shared.perform()), class)
    }

    /// Returns the block as an item of a source: what was not assigned is not captured (dispatch C-2, C-3). It runs if
    /// `begins` says so.
    pub(crate) fn for_source(
        &self,
        word: &QueuePriority,
        begins: impl FnOnce() -> bool + Send + 'static,
    ) -> (Continuation, Qos) {
        let voucher = match &self.0.voucher {
            Some(Capture::Set(voucher)) => Capture::Set(voucher.clone()),
            _ => Capture::Clear,
        };
        // A source without a class of its own has that of its handler (dispatch C-14).
        let word = if word.inherited { QueuePriority::NONE } else { *word };
        let (priority, class) = word.store(self.0.priority.unwrap_or(Priority::NONE), self.0.enforces());
        let shared = self.0.clone();
        let work = move || {
            if begins() && !shared.is_cancelled.load(Ordering::Acquire) {
                (shared.work)();
            }
        };
        (Continuation::new(priority, voucher, work), class)
    }
}

impl Shared {
    /// Returns what the block holds as long as it exists (dispatch 2.11 H6).
    pub(crate) fn held(&self) -> Held<'_> {
        let voucher = match &self.voucher {
            Some(Capture::Set(voucher)) => Some(&**voucher),
            _ => None,
        };
        Held { work: 0, priority: self.priority.unwrap_or(Priority::NONE).without_flags().0, voucher }
    }

    fn enforces(&self) -> bool {
        self.flags.contains(BlockFlags::ENFORCE_QOS_CLASS)
    }

    fn note_queue(&self, queue: &Queue) {
        let former = self.state.lock().queue.replace(queue.clone());
        drop(former);
    }

    /// Calls the closure, unless the block was cancelled, and counts it as done.
    fn perform(&self) {
        let runner = held::name();
        let is_first = {
            let mut state = self.state.lock();
            state.performed += 1;
            state.runner = Some(runner);
            state.performed == 1
        };
        if !self.is_cancelled.load(Ordering::Acquire) {
            (self.work)();
        }
        {
            let mut state = self.state.lock();
            (state.runner, state.is_done) = (None, true);
        }
        if is_first {
            self.group.leave();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.number != 0 {
            process().inspect.blocks.remove(self.number);
        }
        if self.state.lock().performed == 0 {
            self.group.leave();
        }
    }
}

/// Runs a closure now; `DETACHED` takes the voucher away meanwhile, and classes have no effect (dispatch C-10). Unknown
/// flags are fatal.
pub fn block_perform<R>(flags: u32, work: impl FnOnce() -> R) -> R {
    let Some(flags) = BlockFlags::from_bits(flags) else {
        client_crash("`block_perform` with unknown flags");
    };
    let detached = flags.contains(BlockFlags::DETACHED) && !flags.contains(BlockFlags::NO_VOUCHER);
    let scope = detached.then(|| QosScope::new(Priority::NONE, Capture::Clear));
    let result = work();
    drop(scope);
    result
}

impl Queue {
    /// Runs a block on the queue later. What the block was not given at its creation is captured now.
    pub fn run_block(&self, block: &Block) {
        let (continuation, class) = block.submitted(&self.word());
        block.0.note_queue(self);
        self.push(continuation, block.kind(), class);
    }

    /// Runs a block on the queue after some time, in the context of this call.
    pub fn block_after(&self, delay: Duration, block: &Block) {
        let (continuation, class) = block.submitted(&self.word());
        block.0.note_queue(self);
        crate::timer::later(self, delay, continuation, class);
    }

    /// Runs a block on the queue now, as [`Queue::sync`] does. Its class and voucher are adopted before the wait for
    /// the queue, and what the thread had is back afterwards.
    pub fn sync_block(&self, block: &Block) {
        let scope = block.adopt_synchronously();
        if block.kind() == Kind::Barrier {
            self.barrier_sync(|| block.0.perform());
        } else {
            self.sync(|| block.0.perform());
        }
        drop(scope);
    }
}

impl Block {
    fn kind(&self) -> Kind {
        if self.0.flags.contains(BlockFlags::BARRIER) { Kind::Barrier } else { Kind::Shared }
    }
}
