//! Threads that wait for the same thing, ordered by priority.
//!
//! A [`WaitQueue`] keeps its threads from the highest scheduled priority to the lowest, first come first served among
//! equals (mach-ipc 3.8, 3.9). Equal priorities form a band; the first thread of each band is also linked to the first of
//! the next, so entering takes at most one step per priority that waits, never one per thread, and leaving is immediate.

use crate::ids::ThreadId;
use crate::sched::thread::{Thread, Threads};

/// A thread's place in a [`WaitQueue`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitLink {
    previous: Option<ThreadId>,
    next: Option<ThreadId>,
    /// First threads of the neighbouring bands; only the first thread of a band has them.
    previous_band: Option<ThreadId>,
    next_band: Option<ThreadId>,
    /// Last thread of the band; only the first thread has it.
    band_tail: Option<ThreadId>,
    /// The priority it was queued at.
    priority: u8,
}

impl WaitLink {
    /// The place of a thread that waits alone.
    #[inline]
    pub fn alone(thread: ThreadId, priority: u8) -> WaitLink {
        WaitLink { band_tail: Some(thread), priority, ..WaitLink::default() }
    }

    /// Returns true if no other thread is in the queue of the thread whose place this is.
    #[inline(always)]
    pub fn is_alone(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }

    /// The priority at which the thread queues.
    pub fn priority(&self) -> u8 {
        self.priority
    }
}

/// Threads that wait for the same thing.
#[derive(Debug, Default)]
pub struct WaitQueue {
    head: Option<ThreadId>,
}

impl WaitQueue {
    /// Whether nobody waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The thread to serve first.
    #[inline]
    pub const fn first(&self) -> Option<ThreadId> {
        self.head
    }

    /// The thread after `thread`, which is in this queue.
    pub fn after(&self, threads: &Threads, thread: ThreadId) -> Option<ThreadId> {
        threads[thread].wait_link.next
    }

    /// Adds a thread behind all that have its priority or a higher one, and returns it.
    #[inline(always)]
    pub fn insert<'t>(&mut self, threads: &'t mut Threads, id: ThreadId, priority: u8) -> &'t mut Thread {
        if self.head.is_some() {
            self.insert_among_others(threads, id, priority);
            return &mut threads[id];
        }
        let thread = &mut threads[id];
        // A thread that leads a band, and is in no queue, waited alone last time: its link is as it should be.
        if thread.wait_link.band_tail == Some(id) {
            thread.wait_link.priority = priority;
        } else {
            thread.wait_link = WaitLink::alone(id, priority);
        }
        self.head = Some(id);
        thread
    }

    fn insert_among_others(&mut self, threads: &mut Threads, thread: ThreadId, priority: u8) {
        // `above` is the last band with a higher or equal priority.
        let (mut above, mut below) = (None, self.head);
        while let Some(band) = below {
            if threads[band].wait_link.priority < priority {
                break;
            }
            above = Some(band);
            below = threads[band].wait_link.next_band;
        }
        let mut link = WaitLink { priority, ..WaitLink::default() };
        match above {
            Some(band) if threads[band].wait_link.priority == priority => {
                link.previous = threads[band].wait_link.band_tail.replace(thread);
                link.next = below;
            }
            _ => {
                link.previous = above.and_then(|band| threads[band].wait_link.band_tail);
                link.next = below;
                (link.previous_band, link.next_band) = (above, below);
                link.band_tail = Some(thread);
                if let Some(band) = above {
                    threads[band].wait_link.next_band = Some(thread);
                }
                if let Some(band) = below {
                    threads[band].wait_link.previous_band = Some(thread);
                }
            }
        }
        match link.previous {
            Some(previous) => threads[previous].wait_link.next = Some(thread),
            None => self.head = Some(thread),
        }
        if let Some(next) = link.next {
            threads[next].wait_link.previous = Some(thread);
        }
        threads[thread].wait_link = link;
    }

    /// Takes out a thread that is in this queue.
    #[inline]
    pub fn remove(&mut self, threads: &mut Threads, thread: ThreadId) {
        let alone = threads[thread].wait_link.is_alone();
        self.remove_knowing(threads, thread, alone);
    }

    /// The same, if it is known already whether the thread's place [is alone](WaitLink::is_alone).
    #[inline(always)]
    pub fn remove_knowing(&mut self, threads: &mut Threads, thread: ThreadId, alone: bool) {
        if alone {
            self.head = None;
        } else {
            self.remove_from_others(threads, thread);
        }
    }

    fn remove_from_others(&mut self, threads: &mut Threads, thread: ThreadId) {
        let link = core::mem::take(&mut threads[thread].wait_link);
        if let Some(tail) = link.band_tail {
            self.remove_band_leader(threads, thread, link, tail);
        } else if link.next.is_none_or(|next| threads[next].wait_link.band_tail.is_some()) {
            // The last of its band: the leader must know the new last one.
            let previous = link.previous.expect("a thread that leads no band has one before it");
            let mut leader = previous;
            if threads[previous].wait_link.band_tail.is_none() {
                leader = match link.next {
                    Some(next) => threads[next].wait_link.previous_band,
                    None => self.last_band(threads),
                }
                .expect("every thread is in a band");
            }
            threads[leader].wait_link.band_tail = Some(previous);
        }
        match link.previous {
            Some(previous) => threads[previous].wait_link.next = link.next,
            None => self.head = link.next,
        }
        if let Some(next) = link.next {
            threads[next].wait_link.previous = link.previous;
        }
    }

    /// Passes the lead of a band on, or takes the band out with its only thread.
    fn remove_band_leader(&mut self, threads: &mut Threads, thread: ThreadId, link: WaitLink, tail: ThreadId) {
        let heir = if tail == thread { None } else { link.next };
        if let Some(heir) = heir {
            let heir = &mut threads[heir].wait_link;
            (heir.previous_band, heir.next_band, heir.band_tail) = (link.previous_band, link.next_band, Some(tail));
        }
        if let Some(band) = link.previous_band {
            threads[band].wait_link.next_band = heir.or(link.next_band);
        }
        if let Some(band) = link.next_band {
            threads[band].wait_link.previous_band = heir.or(link.previous_band);
        }
    }

    fn last_band(&self, threads: &Threads) -> Option<ThreadId> {
        core::iter::successors(self.head, |&band| threads[band].wait_link.next_band).last()
    }

    /// The threads from first to last.
    pub fn iter<'a>(&self, threads: &'a Threads) -> impl Iterator<Item = ThreadId> + use<'a> {
        core::iter::successors(self.head, move |&thread| threads[thread].wait_link.next)
    }

    /// Panics unless the order is right; returns how many wait.
    pub fn check(&self, threads: &Threads) -> usize {
        let mut count = 0;
        let mut before: Option<(ThreadId, u8)> = None;
        let mut bands = core::iter::successors(self.head, |&band| threads[band].wait_link.next_band);
        let mut leader = None;
        for thread in self.iter(threads) {
            let link = &threads[thread].wait_link;
            assert_eq!(link.previous, before.map(|(thread, _)| thread), "{thread:?} has another one before it");
            let starts_band = before.is_none_or(|(_, priority)| priority > link.priority);
            assert!(starts_band || before.is_some_and(|(_, p)| p == link.priority), "{thread:?} waits out of order");
            assert_eq!(link.band_tail.is_some(), starts_band, "{thread:?} leads a band if it is the first of it");
            if starts_band {
                leader = bands.next();
                assert_eq!(leader, Some(thread), "the bands are linked");
            }
            let next_priority = link.next.map(|next| threads[next].wait_link.priority);
            if next_priority != Some(link.priority) {
                let tail = leader.and_then(|leader| threads[leader].wait_link.band_tail);
                assert_eq!(tail, Some(thread), "the leader knows the last of its band");
            }
            before = Some((thread, link.priority));
            count += 1;
        }
        count
    }
}
