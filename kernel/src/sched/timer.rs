//! Deadlines of threads: a binary heap, in which each thread knows the places of its entries.
//!
//! A thread has at most one deadline of each [`TimerKind`]. Room for all of them is reserved when the thread is
//! created, so that a thread can always block.

use crate::ids::ThreadId;
use crate::machine::{Nanos, NoMemory};
use crate::sched::thread::{Thread, Threads};
use store::Chunks;

/// The event at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The thread's wait times out.
    Wait = 0,
    /// The thread's depression ends (importance 8.6).
    Depress = 1,
}

/// The number of kinds.
pub const TIMER_KINDS: usize = 2;

/// The places of a thread's entries in the heap, by kind.
pub type TimerSlots = [Option<u32>; TIMER_KINDS];

#[derive(Clone, Copy, Debug)]
struct Entry {
    deadline: Nanos,
    /// Equal deadlines expire in the order in which they were set.
    order: u64,
    thread: ThreadId,
    kind: TimerKind,
}

impl Entry {
    fn is_before(&self, other: &Entry) -> bool {
        (self.deadline, self.order) < (other.deadline, other.order)
    }
}

/// The deadlines of all threads.
#[derive(Debug, Default)]
pub struct Timers {
    /// The first `len` elements are entries, the others empty. The children of element n are 2n + 1 and 2n + 2.
    heap: Chunks<Option<Entry>, 64>,
    len: usize,
    /// The number of entries reserved for threads.
    reserved: usize,
    /// The order of the last entry that was made. It does not end: see `docs/design/counters.md`.
    last_order: u64,
}

impl Timers {
    /// Reserves the entries of one more thread.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn reserve_for_thread(&mut self) -> Result<(), NoMemory> {
        while self.heap.len() < self.reserved + TIMER_KINDS {
            self.heap.grow()?;
        }
        self.reserved += TIMER_KINDS;
        Ok(())
    }

    /// Gives back the reserved entries of a thread without deadlines.
    pub fn release_for_thread(&mut self) {
        self.reserved -= TIMER_KINDS;
        // Half of what is allocated together is kept for the next threads.
        if self.heap.len() >= self.reserved + 64 + 32 {
            self.heap.shrink();
        }
    }

    /// Gives back entries that are not reserved any more, up to a bound, and returns true if there are more.
    pub fn trim(&mut self) -> bool {
        if self.heap.len() >= self.reserved + 64 {
            self.heap.shrink();
            return true;
        }
        self.heap.trim();
        false
    }

    /// Returns the earliest deadline, or `Nanos::MAX` if no timer is armed.
    #[inline]
    pub fn earliest(&self) -> Nanos {
        if self.len == 0 { Nanos::MAX } else { self.entry(0).deadline }
    }

    /// Arms the `kind` timer of `thread`, which must not be armed. A deadline of `Nanos::MAX` is not stored, because it
    /// never comes.
    pub fn set(&mut self, threads: &mut Threads, thread: ThreadId, kind: TimerKind, deadline: Nanos) {
        assert!(threads[thread].timers[kind as usize].is_none(), "the {kind:?} timer of {thread:?} is armed already");
        if deadline == Nanos::MAX {
            return;
        }
        self.last_order += 1;
        let at = self.len;
        self.len += 1;
        self.heap[at] = Some(Entry { deadline, order: self.last_order, thread, kind });
        threads[thread].timers[kind as usize] = Some(at as u32);
        self.sift_up(threads, at);
    }

    /// Disarms the `kind` timer of `thread`, if it is armed.
    #[inline]
    pub fn cancel(&mut self, threads: &mut Threads, thread: ThreadId, kind: TimerKind) {
        if let Some(at) = threads[thread].timers[kind as usize].take() {
            self.remove_at(threads, at as usize);
        }
    }

    /// Returns the deadline in a place of the heap, which a thread's [`TimerSlots`] name.
    pub fn deadline_at(&self, slot: u32) -> Nanos {
        self.entry(slot as usize).deadline
    }

    /// Removes the earliest entry if its deadline has passed, and returns its thread and kind.
    pub fn pop_due(&mut self, threads: &mut Threads, now: Nanos) -> Option<(ThreadId, TimerKind)> {
        if self.earliest() > now {
            return None;
        }
        let Entry { thread, kind, .. } = *self.entry(0);
        threads[thread].timers[kind as usize] = None;
        self.remove_at(threads, 0);
        Some((thread, kind))
    }

    fn entry(&self, at: usize) -> &Entry {
        self.heap[at].as_ref().expect("the heap has entries up to its length")
    }

    /// Removes the entry at `at` by putting the last entry in its place. The caller has noted the removal at the
    /// thread.
    fn remove_at(&mut self, threads: &mut Threads, at: usize) {
        self.len -= 1;
        let last = self.heap[self.len].take();
        if at == self.len {
            return;
        }
        self.heap[at] = last;
        self.note_place(threads, at);
        let at = self.sift_up(threads, at);
        self.sift_down(threads, at);
    }

    fn note_place(&self, threads: &mut Threads, at: usize) {
        let Entry { thread, kind, .. } = *self.entry(at);
        threads[thread].timers[kind as usize] = Some(at as u32);
    }

    fn swap(&mut self, threads: &mut Threads, a: usize, b: usize) {
        let entry = self.heap[a].take();
        self.heap[a] = self.heap[b].take();
        self.heap[b] = entry;
        self.note_place(threads, a);
        self.note_place(threads, b);
    }

    fn sift_up(&mut self, threads: &mut Threads, mut at: usize) -> usize {
        while at > 0 {
            let parent = (at - 1) / 2;
            if !self.entry(at).is_before(self.entry(parent)) {
                break;
            }
            self.swap(threads, at, parent);
            at = parent;
        }
        at
    }

    fn sift_down(&mut self, threads: &mut Threads, mut at: usize) {
        loop {
            let mut first = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.len && self.entry(child).is_before(self.entry(first)) {
                    first = child;
                }
            }
            if first == at {
                return;
            }
            self.swap(threads, at, first);
            at = first;
        }
    }

    /// Panics unless the heap is in order and the threads know the places of their entries.
    pub fn check(&self, threads: &Threads) {
        for at in 0..self.len {
            let entry = self.entry(at);
            assert!(at == 0 || !entry.is_before(self.entry((at - 1) / 2)), "the heap is out of order at {at}");
            let place = threads[entry.thread].timers[entry.kind as usize];
            assert_eq!(place, Some(at as u32), "{:?} has a wrong place for its {:?} timer", entry.thread, entry.kind);
        }
        let known: usize = threads.iter().map(|(_, thread): (_, &Thread)| thread.timers.iter().flatten().count()).sum();
        assert_eq!(known, self.len, "every entry is known to its thread");
        assert_eq!(self.reserved, threads.len() * TIMER_KINDS, "every thread has reserved entries");
    }
}
