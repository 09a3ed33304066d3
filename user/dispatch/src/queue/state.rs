//! [`LaneState`]: what a queue decides under its lock, as functions of its state alone (dispatch 5.2–5.7).
//!
//! A method changes the state and returns what is left to do. The caller does that after it has dropped the lock, but
//! for entries on the target queue, whose lock it may take meanwhile (dispatch R-5). Nothing of a client is called or
//! dropped in here.

use crate::qos::{Qos, QueuePriority};
use abi::PortName;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How many items that are no barriers a concurrent queue lets run at once (dispatch 5.1).
pub(crate) const CONCURRENT_WIDTH: u32 = 4094;

/// A queue that was made inactive has this many suspensions more until it is activated.
const INACTIVE: u32 = 1 << 31;

/// An item in the list of a queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry<I> {
    /// The item.
    pub item: I,
    /// How it runs.
    pub kind: Kind,
    /// The class with which it was pushed; for a waiter the full class of the thread.
    pub class: Qos,
}

/// How an item of a queue runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Together with others, if the queue is concurrent.
    Shared,
    /// Alone.
    Barrier,
    /// On a thread that waits for its turn, together with others.
    SharedWaiter(PortName),
    /// On a thread that waits for its turn and owns the queue then.
    Waiter(PortName),
}

impl Kind {
    /// Returns how a client's work runs.
    #[inline(always)]
    pub(crate) const fn of_work(barrier: bool) -> Kind {
        if barrier { Kind::Barrier } else { Kind::Shared }
    }

    const fn is_waiter(self) -> bool {
        matches!(self, Kind::Waiter(_) | Kind::SharedWaiter(_))
    }

    const fn is_barrier(self) -> bool {
        matches!(self, Kind::Barrier | Kind::Waiter(_))
    }
}

/// What follows from a change of the list or of the highest class.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Wakeup {
    /// Nothing.
    None,
    /// The queue goes onto its target with this class.
    Enqueue(Qos),
    /// The highest class rose to this: it is lent to the owner, if there is one, and to the target.
    Raise {
        /// The class.
        class: Qos,
        /// The thread that drains or holds the queue.
        owner: Option<PortName>,
    },
}

/// What becomes of an item that is pushed.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Push<I> {
    /// It is in the list.
    Kept(Wakeup),
    /// It has its unit of width and goes straight to the target.
    Forward(Entry<I>),
}

/// What a thread does that wants to enter the queue at once.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Enter {
    /// It is inside.
    Entered,
    /// It has to wait for its turn.
    Busy,
    /// It would wait for itself.
    Deadlock,
}

/// What the thread does next that drains the queue.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<I> {
    /// It runs this item itself, alone.
    Run(I),
    /// It hands this item to the target; a unit of width is taken.
    Forward(Entry<I>),
    /// It wakes this waiter, which has a unit of width.
    Admit(I),
    /// It owns the queue no more.
    Stop(Left<I>),
}

/// What is to be done about a queue that a thread has left.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Left<I> {
    /// The thread was overridden for the sake of the queue.
    pub overridden: bool,
    /// Who has the queue next.
    pub successor: Successor<I>,
}

/// Who has a queue next that has no owner.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Successor<I> {
    /// As this says.
    Wakeup(Wakeup),
    /// This waiter, which owns it already.
    Waiter {
        /// The waiter.
        waiter: I,
        /// The class to which its thread is overridden as long as it holds the queue.
        over: Option<Qos>,
    },
    /// These waiters, each with a unit of width, and for what is behind them as this says.
    Waiters(Vec<I>, Wakeup),
}

impl<I> Successor<I> {
    const NONE: Successor<I> = Successor::Wakeup(Wakeup::None);
}

/// A resume without a suspend.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OverResumed;

/// The state of a queue under its lock.
#[derive(Debug)]
pub(crate) struct LaneState<I> {
    items: VecDeque<Entry<I>>,
    /// How many of them are threads that wait.
    waiters: usize,
    /// The class of the queue, none if it has no class of its own.
    requested: Qos,
    /// The class of pushes without one.
    fallback: Qos,
    /// How many items that are no barriers may run at once; 1 if the queue is serial.
    width: u32,
    /// How many of them do.
    in_flight: u32,
    /// How many resumes the queue waits for, and [`INACTIVE`] as long as it waits for its activation.
    suspensions: u32,
    /// The thread that drains the queue or holds it.
    owner: Option<PortName>,
    /// The queue is on its target, or a thread has just taken it from there.
    enqueued: bool,
    /// The highest class since the queue was idle.
    max_qos: Qos,
    /// The owner was overridden.
    received_override: bool,
}

impl<I> LaneState<I> {
    /// Returns the state of an empty queue.
    pub(crate) fn new(word: &QueuePriority, width: u32, active: bool) -> LaneState<I> {
        LaneState {
            items: VecDeque::new(),
            waiters: 0,
            requested: word.requested.class(),
            fallback: word.fallback,
            width,
            in_flight: 0,
            suspensions: if active { 0 } else { INACTIVE },
            owner: None,
            enqueued: false,
            max_qos: Qos::Unspecified,
            received_override: false,
        }
    }

    /// Returns the highest class since the queue was idle.
    pub(crate) fn max_qos(&self) -> Qos {
        self.max_qos
    }

    /// Returns the thread that drains or holds the queue.
    pub(crate) fn owner(&self) -> Option<PortName> {
        self.owner
    }

    /// Returns true if the queue waits for a resume or for its activation.
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspensions > 0
    }

    /// Returns the number of items in the list.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns the item at a place of the list.
    pub(crate) fn item(&self, place: usize) -> Option<&I> {
        self.items.get(place).map(|entry| &entry.item)
    }

    /// Returns true if the queue is on its target.
    pub(crate) fn is_enqueued(&self) -> bool {
        self.enqueued
    }

    /// Returns true if an item runs, or a thread holds the queue.
    pub(crate) fn is_running(&self) -> bool {
        self.owner.is_some() || self.in_flight > 0
    }

    /// Replaces the class of the queue: the main queue has that of its thread.
    pub(crate) fn set_requested(&mut self, class: Qos) {
        self.requested = class;
    }

    /// Returns true if nothing is in the list, runs or holds the queue.
    pub(crate) fn is_idle(&self) -> bool {
        self.items.is_empty() && self.owner.is_none() && self.in_flight == 0
    }

    /// Appends an item, or lets it start at once on a concurrent queue that keeps nobody waiting (dispatch 5.3).
    pub(crate) fn push(&mut self, entry: Entry<I>) -> Push<I> {
        if entry.kind == Kind::Shared && self.admits_another() {
            self.in_flight += 1;
            return Push::Forward(entry);
        }
        Push::Kept(self.append(entry))
    }

    /// Returns true if an item that is pushed with this class goes to the end of the list, and nothing follows from it.
    /// There is room for it.
    #[inline(always)]
    pub(crate) fn is_behind(&self, class: Qos) -> bool {
        let waits = !self.items.is_empty() && self.items.len() < self.items.capacity();
        // Until the highest class is known, even an item without a class may change it.
        waits && class.max(Qos::CLASSES[0]) <= self.max_qos
    }

    /// Appends an item that [is behind](LaneState::is_behind) others.
    #[inline(always)]
    pub(crate) fn append_behind(&mut self, item: I, barrier: bool, class: Qos) {
        self.items.push_back(Entry { item, kind: Kind::of_work(barrier), class });
    }

    /// Appends an item.
    fn append(&mut self, entry: Entry<I>) -> Wakeup {
        let class = if entry.class > self.requested { entry.class } else { Qos::Unspecified };
        let first = self.items.is_empty();
        self.waiters += usize::from(entry.kind.is_waiter());
        self.items.push_back(entry);
        if first || self.max_qos == Qos::Unspecified || self.max_qos < class {
            return self.wakeup(class);
        }
        Wakeup::None
    }

    /// Returns true if one more item that is no barrier may start before all others.
    fn admits_another(&self) -> bool {
        let free = self.in_flight < self.width && self.owner.is_none() && !self.is_suspended();
        self.width > 1 && free && self.items.is_empty()
    }

    /// Raises the highest class, and puts the queue onto its target or lends the class to whoever is ahead
    /// (dispatch 5.4).
    fn wakeup(&mut self, class: Qos) -> Wakeup {
        let class = if class == Qos::Unspecified { self.fallback } else { class }.max(self.requested);
        let rose = class > self.max_qos;
        self.max_qos = self.max_qos.max(class);
        if self.is_suspended() {
            return Wakeup::None;
        }
        if self.owner.is_none() && !self.enqueued {
            return self.enqueue();
        }
        if rose { self.raised() } else { Wakeup::None }
    }

    /// Puts the queue onto its target if there is work that can start. If there is not, what is in flight looks again
    /// when it ends.
    fn enqueue(&mut self) -> Wakeup {
        if !self.head_fits() {
            return Wakeup::None;
        }
        self.enqueued = true;
        Wakeup::Enqueue(self.max_qos)
    }

    /// Returns true if there is a head and enough width for it.
    fn head_fits(&self) -> bool {
        self.items.front().is_some_and(|head| {
            if self.runs_alone(head.kind) { self.in_flight == 0 } else { self.in_flight < self.width }
        })
    }

    fn runs_alone(&self, kind: Kind) -> bool {
        self.width == 1 || kind.is_barrier()
    }

    fn raised(&mut self) -> Wakeup {
        self.note_override();
        Wakeup::Raise { class: self.max_qos, owner: self.owner }
    }

    /// Notes that the owner, if there is one, may just have been overridden.
    pub(crate) fn note_override(&mut self) {
        self.received_override |= self.owner.is_some();
    }

    /// Raises the highest class for something that waits behind the queue's items (dispatch 5.4, L-6). An idle queue
    /// has nothing to raise.
    pub(crate) fn raise(&mut self, class: Qos) -> Wakeup {
        let has_work = !self.items.is_empty() || self.owner.is_some();
        if has_work && class > self.max_qos { self.wakeup(class) } else { Wakeup::None }
    }

    /// Makes a thread the owner that has taken the queue from its target, and returns the highest class. `None` if
    /// there is nothing to drain: the queue was suspended meanwhile.
    pub(crate) fn take(&mut self, thread: PortName) -> Option<Qos> {
        assert!(self.owner.is_none(), "a queue with an owner is on its target");
        self.enqueued = false;
        if self.is_suspended() || self.items.is_empty() {
            return None;
        }
        self.owner = Some(thread);
        Some(self.max_qos)
    }

    /// Takes the head of a serial queue that keeps no thread waiting, if the owner runs it next. `None` says nothing.
    #[inline(always)]
    pub(crate) fn take_head(&mut self) -> Option<I> {
        if self.width > 1 || self.waiters > 0 || self.is_suspended() {
            return None;
        }
        self.items.pop_front().map(|head| head.item)
    }

    /// Says what the owner does between two items (dispatch 5.5).
    pub(crate) fn next(&mut self) -> Next<I> {
        let starts = !self.is_suspended() && self.head_fits();
        let Some(kind) = self.items.front().map(|head| head.kind).filter(|_| starts) else {
            return Next::Stop(self.leave());
        };
        let alone = self.runs_alone(kind);
        let waits = kind.is_waiter();
        if alone && waits {
            return Next::Stop(self.leave());
        }
        self.in_flight += u32::from(!alone);
        match self.pop() {
            Some(entry) if alone => Next::Run(entry.item),
            Some(entry) if waits => Next::Admit(entry.item),
            Some(entry) => Next::Forward(entry),
            None => unreachable!("the list has a head"),
        }
    }

    fn pop(&mut self) -> Option<Entry<I>> {
        let head = self.items.pop_front()?;
        self.waiters -= usize::from(head.kind.is_waiter());
        Some(head)
    }

    /// Ends the ownership of the calling thread, and finds out who is next (dispatch L-9, L-16, L-20).
    pub(crate) fn leave(&mut self) -> Left<I> {
        self.owner = None;
        let overridden = core::mem::take(&mut self.received_override);
        Left { overridden, successor: self.succeed() }
    }

    /// Finds the next owner: a waiter at the head, or a worker.
    fn succeed(&mut self) -> Successor<I> {
        if self.items.is_empty() {
            // Only what is in flight may still need the class, and that was pushed with its own.
            self.max_qos = Qos::Unspecified;
            return Successor::NONE;
        }
        if self.is_suspended() || !self.head_fits() {
            return Successor::NONE;
        }
        match self.items.front().map(|head| head.kind) {
            Some(Kind::Waiter(thread)) => self.hand_over(thread),
            Some(Kind::SharedWaiter(thread)) if self.width == 1 => self.hand_over(thread),
            Some(Kind::SharedWaiter(_)) => self.admit_waiters(),
            _ => Successor::Wakeup(self.enqueue()),
        }
    }

    /// Makes the waiter at the head the owner. It gets the class of what is behind it for as long (dispatch L-19).
    fn hand_over(&mut self, thread: PortName) -> Successor<I> {
        let Some(Entry { item, class, .. }) = self.pop() else {
            return Successor::NONE;
        };
        self.owner = Some(thread);
        self.received_override = self.max_qos > class;
        Successor::Waiter { waiter: item, over: self.received_override.then_some(self.max_qos) }
    }

    /// Lets all waiters at the head in that may run together.
    fn admit_waiters(&mut self) -> Successor<I> {
        let mut admitted = Vec::new();
        while self.in_flight < self.width
            && self.items.front().is_some_and(|head| matches!(head.kind, Kind::SharedWaiter(_)))
        {
            self.in_flight += 1;
            admitted.extend(self.pop().map(|entry| entry.item));
        }
        if self.items.is_empty() {
            self.max_qos = Qos::Unspecified;
        }
        let wakeup = self.enqueue();
        Successor::Waiters(admitted, wakeup)
    }

    /// Returns a unit of width, and finds out whether what waited for it can start.
    pub(crate) fn complete(&mut self) -> Successor<I> {
        assert!(self.in_flight > 0, "only what runs can end");
        self.in_flight -= 1;
        if self.owner.is_some() || self.enqueued || self.items.is_empty() {
            return Successor::NONE;
        }
        self.succeed()
    }

    /// Lets a thread in at once if nothing is before it (dispatch 5.6).
    pub(crate) fn enter(&mut self, thread: PortName, barrier: bool) -> Enter {
        if self.owner == Some(thread) {
            return Enter::Deadlock;
        }
        let shared = !barrier && self.width > 1;
        if shared && self.admits_another() {
            self.in_flight += 1;
            return Enter::Entered;
        }
        if shared || !self.is_idle() || self.is_suspended() {
            return Enter::Busy;
        }
        self.owner = Some(thread);
        Enter::Entered
    }

    /// Returns how the queue goes onto a new target, after its thread has given it up.
    pub(crate) fn release(&mut self) -> Wakeup {
        if core::mem::take(&mut self.enqueued) { self.enqueue() } else { Wakeup::None }
    }

    /// Keeps further items from starting until as many resumes (dispatch 5.7).
    pub(crate) fn suspend(&mut self) {
        self.suspensions += 1;
    }

    /// Ends one suspend.
    ///
    /// # Errors
    /// [`OverResumed`] if there is none.
    pub(crate) fn resume(&mut self) -> Result<Successor<I>, OverResumed> {
        if self.suspensions & !INACTIVE == 0 {
            return Err(OverResumed);
        }
        self.suspensions -= 1;
        Ok(self.resumed())
    }

    /// Lets an inactive queue begin; does nothing to an active one.
    pub(crate) fn activate(&mut self) -> Successor<I> {
        if self.suspensions & INACTIVE == 0 {
            return Successor::NONE;
        }
        self.suspensions -= INACTIVE;
        self.resumed()
    }

    /// Goes on with the class that was pushed meanwhile, if nothing suspends the queue any more.
    fn resumed(&mut self) -> Successor<I> {
        if self.is_suspended() {
            return Successor::NONE;
        }
        if self.owner.is_none() && !self.enqueued {
            return self.succeed();
        }
        // What was pushed while it was suspended has not been lent to anyone.
        let lends = self.max_qos > Qos::Unspecified && !self.items.is_empty();
        Successor::Wakeup(if lends { self.raised() } else { Wakeup::None })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
