//! [`Lane`]: a queue with a list of its own, and what threads do with it (dispatch 5.2–5.7).

use super::held;
use super::root::{ReadySlot, Root};
use super::state::{Entry, Kind, LaneState, Left, Next, Push, Successor, Wakeup};
use super::{CurrentQueue, Effects, Item, Queue};
use crate::continuation::Continuation;
use crate::main_queue::Bound;
use crate::process::process;
use crate::qos::{Qos, QueuePriority};
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::thread::{self, Context, enter_base};
use abi::PortName;
use alloc::boxed::Box;
use alloc::string::String;

/// A queue with a list of its own: serial or concurrent, the main queue, or that of a source or a channel.
pub(crate) struct Lane {
    /// The number by which events and debuggers call it.
    pub number: u64,
    /// Events are recorded, and the queue's work is told.
    pub is_recorded: bool,
    /// What the queue was given.
    pub word: QueuePriority,
    /// Where the queue goes when it has work.
    pub target: Target,
    /// How many items that are no barriers run at once; 1 if it is serial.
    pub width: u32,
    /// The name, for people.
    pub label: String,
    /// During callouts the target is the current queue in place of this one (dispatch 6.6).
    pub is_hidden: bool,
    /// The lock word for overrides: the name of the thread that drains or holds the queue, or 0.
    pub owner: AtomicU32,
    /// Overrides of owners that were decided on under the lock and have not been made yet.
    raises: AtomicU32,
    /// Where the queue is in the ready lists of the pool.
    pub ready: ReadySlot,
    state: Mutex<LaneState<Item>>,
}

/// Where a queue goes when it has work.
pub(crate) enum Target {
    /// To the pool.
    Root(Root),
    /// To another queue.
    Lane(Arc<Lane>),
    /// To the main thread.
    Main(Box<Bound>),
}

/// What the lock of a queue guards.
pub(crate) type Guard<'a> = MutexGuard<'a, LaneState<Item>>;

impl Lane {
    /// Returns a queue without items. It is to be [shared](Lane::share).
    pub(crate) fn new(word: QueuePriority, target: Target, width: u32, label: String, active: bool) -> Lane {
        let state = Mutex::new(LaneState::new(&word, width, active));
        let process = process();
        process.queues.counts.lanes.add();
        Lane {
            number: process.inspect.lanes.number(),
            is_recorded: process.inspect.notes.is_on(),
            word,
            target,
            width,
            label,
            is_hidden: false,
            owner: AtomicU32::new(0),
            raises: AtomicU32::new(0),
            ready: ReadySlot::default(),
            state,
        }
    }

    /// Makes the queue known, and returns what others share of it.
    pub(crate) fn share(self) -> Arc<Lane> {
        let lane = Arc::new(self);
        let process = process();
        process.inspect.lanes.add(lane.number, &lane);
        process.inspect.notes.queue(process.kernel, lane.number, &lane.label);
        lane
    }

    /// Takes the lock.
    pub(crate) fn lock(&self) -> Guard<'_> {
        self.state.lock()
    }

    /// Appends a client's work. A part of each submission, for the way onto the end of a busy queue is short; all other
    /// ways are calls.
    #[inline(always)]
    pub(crate) fn push(self: &Arc<Lane>, continuation: Continuation, barrier: bool, class: Qos) {
        match self.state.try_lock() {
            Some(mut state) if state.is_behind(class) => state.append_behind(Item::Work(continuation), barrier, class),
            Some(state) => self.push_under(continuation, barrier, class, state),
            None => self.push_contended(continuation, barrier, class),
        }
    }

    #[inline(never)]
    fn push_contended(self: &Arc<Lane>, continuation: Continuation, barrier: bool, class: Qos) {
        self.push_under(continuation, barrier, class, self.lock());
    }

    #[inline(never)]
    fn push_under(self: &Arc<Lane>, continuation: Continuation, barrier: bool, class: Qos, mut state: Guard<'_>) {
        let kind = Kind::of_work(barrier);
        let mut effects = Effects::default();
        let push = state.push(Entry { item: Item::Work(continuation), kind, class });
        self.follow_push(push, &mut effects);
        drop(state);
        effects.apply();
    }

    /// Appends an item; the caller applies the effects after it has dropped all locks.
    pub(crate) fn push_with(self: &Arc<Lane>, entry: Entry<Item>, effects: &mut Effects) {
        let mut state = self.lock();
        let push = state.push(entry);
        self.follow_push(push, effects);
        drop(state);
    }

    fn follow_push(self: &Arc<Lane>, push: Push<Item>, effects: &mut Effects) {
        match push {
            Push::Kept(wakeup) => self.follow(wakeup, effects),
            Push::Forward(entry) => self.forward(entry, effects),
        }
    }

    /// Does what a wake-up asks for. The lock of this queue is held, so that a change of the highest class reaches the
    /// target in the order of the changes.
    pub(crate) fn follow(self: &Arc<Lane>, wakeup: Wakeup, effects: &mut Effects) {
        match wakeup {
            Wakeup::None => {}
            Wakeup::Enqueue(class) => {
                self.target.push(Entry { item: Item::Lane(self.clone()), kind: Kind::Shared, class }, effects);
            }
            Wakeup::Raise { class, owner } => {
                if let Some(owner) = owner {
                    effects.raise(owner, class, self);
                }
                self.raise_ahead(class, effects);
            }
        }
    }

    /// Raises what is ahead of this queue: its entry in the pool, or its target.
    fn raise_ahead(self: &Arc<Lane>, class: Qos, effects: &mut Effects) {
        if self.ready.is_used() && process().queues.pool.raise(&self.ready, class, effects) {
            return;
        }
        match &self.target {
            Target::Root(_) => {}
            Target::Lane(target) => {
                let mut state = target.lock();
                let wakeup = state.raise(class);
                target.follow(wakeup, effects);
            }
            Target::Main(bound) => bound.raise(class, effects),
        }
    }

    /// Hands an item that has its unit of width to the target.
    fn forward(self: &Arc<Lane>, entry: Entry<Item>, effects: &mut Effects) {
        let class = if entry.class == Qos::Unspecified { self.target.requested() } else { entry.class };
        let item = Item::Redirected(Box::new((self.clone(), entry.item)));
        self.target.push(Entry { item, kind: Kind::Shared, class }, effects);
    }

    /// Notes that the owner is to be overridden. The lock is held, and the caller [does it](Lane::override_owner) after it
    /// has given the lock back.
    pub(super) fn will_override(&self) {
        self.raises.fetch_add(1, Ordering::Relaxed);
    }

    /// Overrides a thread that owned the queue when that was decided. The kernel does nothing if the thread does not own
    /// it; but the thread may have left the queue since and own it again, for whose sake it was not overridden. It
    /// learns of this when it leaves: either the override is still to be made then, or it has been noted.
    pub(super) fn override_owner(&self, owner: PortName, class: Qos) {
        process().kernel.override_thread(owner, class, &self.owner);
        let mut state = self.lock();
        state.note_override();
        self.raises.fetch_sub(1, Ordering::Relaxed);
    }

    /// Makes the lock word name the owner. The lock is held.
    pub(crate) fn show_owner(&self, state: &LaneState<Item>) {
        self.owner.store(state.owner().map_or(0, |owner| owner.0), Ordering::Relaxed);
    }

    /// Runs the items, if the calling thread gets the queue (dispatch 5.5).
    #[inline(never)]
    pub(crate) fn drain(self: Arc<Lane>) {
        let Some(lent) = self.take() else {
            return;
        };
        held::lend(lent);
        let base = enter_base(&self.word());
        let current = CurrentQueue::new(self.as_current(), self.number);
        thread::with(|context| {
            while let Some(item) = self.next() {
                item.run(context);
            }
        });
        drop(current);
        drop(base);
    }

    fn take(&self) -> Option<Qos> {
        let thread = held::name();
        let mut state = self.lock();
        let lent = state.take(thread);
        self.show_owner(&state);
        lent
    }

    /// Makes the calling thread, the main thread, the owner of the main queue; returns how many items it has.
    pub(crate) fn take_snapshot(&self) -> Option<usize> {
        let thread = held::name();
        let mut state = self.lock();
        state.take(thread)?;
        self.show_owner(&state);
        Some(state.len())
    }

    /// Runs this many items and leaves the queue.
    pub(crate) fn run_snapshot(self: &Arc<Lane>, count: usize) {
        for _ in 0..count {
            match self.decide(self.lock()) {
                Some(item) => thread::with(|context| item.run(context)),
                None => return,
            }
        }
        let mut effects = Effects::default();
        let mut state = self.lock();
        let left = state.leave();
        let overridden = self.left(left, &state, &mut effects);
        drop(state);
        held::note_override(overridden);
        effects.apply();
    }

    /// Returns the current queue during callouts: this one, or its target if it is hidden.
    pub(crate) fn as_current(self: &Arc<Lane>) -> Queue {
        match &self.target {
            Target::Lane(target) if self.is_hidden => Queue::of(target.clone()),
            Target::Root(root) if self.is_hidden => Queue::root(*root),
            _ => Queue::of(self.clone()),
        }
    }

    /// Returns the next item that the calling thread runs itself, `None` when it has left the queue.
    #[inline(always)]
    fn next(self: &Arc<Lane>) -> Option<Item> {
        let mut state = self.lock();
        match state.take_head() {
            Some(item) => Some(item),
            None => self.decide(state),
        }
    }

    /// Does what the owner has to do between two items. Returns the next one that the calling thread runs itself, `None`
    /// when it has left the queue.
    #[inline(never)]
    fn decide<'a>(self: &'a Arc<Lane>, mut state: Guard<'a>) -> Option<Item> {
        loop {
            let mut effects = Effects::default();
            let overridden = match state.next() {
                Next::Run(item) => return Some(item),
                Next::Forward(entry) => {
                    self.forward(entry, &mut effects);
                    None
                }
                Next::Admit(waiter) => {
                    effects.admit(waiter);
                    None
                }
                Next::Stop(left) => Some(self.left(left, &state, &mut effects)),
            };
            drop(state);
            effects.apply();
            if let Some(overridden) = overridden {
                held::note_override(overridden);
                return None;
            }
            state = self.lock();
        }
    }

    /// Lets the successor in after the owner has left; returns true if the owner was overridden, or may be before it has
    /// read this. The lock is held.
    pub(crate) fn left(self: &Arc<Lane>, left: Left<Item>, state: &LaneState<Item>, effects: &mut Effects) -> bool {
        let overridden = left.overridden || self.raises.load(Ordering::Relaxed) > 0;
        self.show_owner(state);
        self.succeed(left.successor, state, effects);
        overridden
    }

    /// Lets a successor in. The lock is held.
    pub(crate) fn succeed(
        self: &Arc<Lane>,
        successor: Successor<Item>,
        state: &LaneState<Item>,
        effects: &mut Effects,
    ) {
        match successor {
            Successor::Wakeup(wakeup) => self.follow(wakeup, effects),
            Successor::Waiter { waiter, over } => {
                self.show_owner(state);
                if let (Some(class), Some(owner)) = (over, state.owner()) {
                    effects.raise(owner, class, self);
                }
                effects.admit(waiter);
            }
            Successor::Waiters(waiters, wakeup) => {
                waiters.into_iter().for_each(|waiter| effects.admit(waiter));
                self.follow(wakeup, effects);
            }
        }
    }

    /// Runs an item of a queue that runs together with others, and gives its unit of width back.
    #[inline(never)]
    #[expect(clippy::boxed_local, reason = "the box is opened here, and not in the loop that drains a queue")]
    pub(crate) fn run_shared(redirected: Box<(Arc<Lane>, Item)>, context: &Context) {
        let (lane, item) = *redirected;
        let base = enter_base(&lane.word());
        let current = CurrentQueue::new(lane.as_current(), lane.number);
        item.run(context);
        drop(current);
        drop(base);
        lane.complete();
    }

    /// Gives a unit of width back.
    pub(crate) fn complete(self: &Arc<Lane>) {
        self.change(|state| state.complete());
    }

    /// Makes a change under the lock, and lets in whoever can start because of it.
    pub(crate) fn change(self: &Arc<Lane>, change: impl FnOnce(&mut LaneState<Item>) -> Successor<Item>) {
        let mut effects = Effects::default();
        let mut state = self.lock();
        let successor = change(&mut state);
        self.succeed(successor, &state, &mut effects);
        drop(state);
        effects.apply();
    }

    /// Lends a class to whatever is ahead of the end of the queue, for a thread that waits for one of its items.
    pub(crate) fn raise(self: &Arc<Lane>, class: Qos) {
        let mut effects = Effects::default();
        let mut state = self.lock();
        let wakeup = state.raise(class);
        self.follow(wakeup, &mut effects);
        drop(state);
        effects.apply();
    }

    /// Returns what binds the queue to the main thread, if it is the main queue and still bound.
    pub(crate) fn bound(&self) -> Option<&Bound> {
        match &self.target {
            Target::Main(bound) if !bound.is_released() => Some(bound),
            _ => None,
        }
    }

    /// Returns what the queue was given; the main queue has its thread's class.
    pub(crate) fn word(&self) -> QueuePriority {
        match &self.target {
            Target::Main(bound) => bound.word(),
            _ => self.word,
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if self.state.lock().is_suspended() {
            super::client_crash("a queue was released that is suspended or inactive");
        }
        let process = process();
        process.inspect.lanes.remove(self.number);
        process.queues.counts.lanes.remove();
    }
}

impl Target {
    /// Appends an item to the target.
    fn push(&self, entry: Entry<Item>, effects: &mut Effects) {
        match self {
            Target::Root(root) => process().queues.pool.push(*root, entry.item, entry.class, effects),
            Target::Lane(target) => target.push_with(entry, effects),
            Target::Main(bound) => bound.push(entry, effects),
        }
    }

    /// Returns the class of the target, none if it has no class of its own.
    fn requested(&self) -> Qos {
        match self {
            Target::Root(root) => QueuePriority::root(root.class).requested.class(),
            Target::Lane(lane) => lane.word().requested.class(),
            Target::Main(_) => Qos::Unspecified,
        }
    }

    /// Returns true if items of a concurrent queue may run together on this target.
    pub(crate) fn is_concurrent(&self) -> bool {
        match self {
            Target::Root(_) => true,
            Target::Lane(lane) => lane.width > 1,
            Target::Main(_) => false,
        }
    }
}
