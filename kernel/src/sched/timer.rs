//! Deadlines of threads: a binary heap that knows where each thread's entry is.
//!
//! A thread has at most one deadline of each [`TimerKind`]. Room for both is made when the thread is created, so setting
//! one never fails.

use crate::ids::ThreadId;
use crate::machine::{Nanos, NoMemory};
use crate::sched::thread::{Thread, Threads};
use store::Chunks;

/// What happens at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// The thread's wait times out.
    Wait = 0,
    /// The thread's depression ends (importance 8.6).
    Depress = 1,
}

/// How many kinds there are.
pub const TIMER_KINDS: usize = 2;

/// Where a thread's entries are in the heap.
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

/// All deadlines, the earliest at hand.
#[derive(Debug, Default)]
pub struct Timers {
    heap: Chunks<Option<Entry>, 64>,
    len: usize,
    /// Entries that live threads have a right to.
    reserved: usize,
    set_so_far: u64,
}

impl Timers {
    /// Makes room for one more thread.
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

    /// Gives back the room of a thread that has no deadlines any more.
    pub fn release_for_thread(&mut self) {
        self.reserved -= TIMER_KINDS;
    }

    /// The earliest deadline, or never.
    #[inline]
    pub fn earliest(&self) -> Nanos {
        if self.len == 0 { Nanos::MAX } else { self.entry(0).deadline }
    }

    /// Sets a thread's deadline of one kind; it had none of that kind. Never needs no entry.
    pub fn set(&mut self, threads: &mut Threads, thread: ThreadId, kind: TimerKind, deadline: Nanos) {
        assert!(threads[thread].timers[kind as usize].is_none(), "{thread:?} has a {kind:?} deadline already");
        if deadline == Nanos::MAX {
            return;
        }
        self.set_so_far += 1;
        let at = self.len;
        self.len += 1;
        self.heap[at] = Some(Entry { deadline, order: self.set_so_far, thread, kind });
        threads[thread].timers[kind as usize] = Some(at as u32);
        self.sift_up(threads, at);
    }

    /// Removes a thread's deadline of one kind, if it has one.
    #[inline]
    pub fn cancel(&mut self, threads: &mut Threads, thread: ThreadId, kind: TimerKind) {
        if let Some(at) = threads[thread].timers[kind as usize].take() {
            self.remove_at(threads, at as usize);
        }
    }

    /// Removes the earliest deadline if it is over.
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

    /// Fills the hole at `at` with the last entry.
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

    /// Panics unless heap and threads agree.
    pub fn check(&self, threads: &Threads) {
        for at in 0..self.len {
            let entry = self.entry(at);
            assert!(at == 0 || !entry.is_before(self.entry((at - 1) / 2)), "the timer heap is out of order at {at}");
            let place = threads[entry.thread].timers[entry.kind as usize];
            assert_eq!(place, Some(at as u32), "{:?} is mistaken about its {:?} deadline", entry.thread, entry.kind);
        }
        let known: usize = threads.iter().map(|(_, thread): (_, &Thread)| thread.timers.iter().flatten().count()).sum();
        assert_eq!(known, self.len, "threads know of as many deadlines as there are");
        assert_eq!(self.reserved, threads.len() * TIMER_KINDS, "every thread has room for its deadlines");
    }
}
