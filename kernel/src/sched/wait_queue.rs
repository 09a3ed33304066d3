//! Threads that wait for the same thing, ordered by priority.
//!
//! A [`WaitQueue`] is a list through its threads, from the highest priority to the lowest, first come first served
//! among equals (mach-ipc 3.8, 3.9). The threads of one priority are a band, which the threads at its two ends know:
//!
//! ```text
//! head ─────► A ◄──► B ◄──► C ◄──► D ◄──► E ◄──► F
//!             └──────┘      └─────────────┘      │
//! band         A..B              C..E          F..F
//! priority      47                31             4
//! ```
//!
//! Example: G comes with priority 31. The first band, A..B, has a higher priority, so the search goes on behind its
//! last thread, at C. The band C..E has the same priority, the one behind it a lower one. G therefore goes between E
//! and F, and C and G are now the ends of the band C..G. Then E leaves: no end, so its two neighbours are linked. Then
//! C leaves: its neighbours are linked, and D and G are the ends of D..G.
//!
//! Entering takes one step per band, and there is at most one band per priority; leaving takes a constant number of
//! steps. A program that lets many threads wait therefore does not slow down the traps of others. No step allocates
//! memory.
//!
//! A thread can be in two queues at once: in one with the others that wait for the same thing, and in one with the others
//! that push the same thread ([`Place`]).

use crate::ids::ThreadId;
use crate::sched::thread::{Thread, Threads};
use core::marker::PhantomData;

/// A thread's place in a [`WaitQueue`].
///
/// Outside a queue it is empty, or still that of the only thread in a queue, because most waits begin and end alone:
/// [`WaitQueue::insert`] then has nothing to write but the priority.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitLink {
    previous: Option<ThreadId>,
    next: Option<ThreadId>,
    /// The thread's band, if the thread is at an end of it.
    band: Option<Band>,
    /// The priority at which the thread was added.
    priority: u8,
}

/// The threads of one priority in a [`WaitQueue`]. A band of one thread has that thread at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Band {
    first: ThreadId,
    last: ThreadId,
}

impl WaitLink {
    /// Returns true if the thread, which is in a queue, is the only one in it.
    #[inline(always)]
    pub fn is_alone(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }

    /// Returns the priority at which the thread was added to its queue.
    pub fn priority(&self) -> u8 {
        self.priority
    }
}

/// The kinds of queues, of which a thread can be in one each.
pub trait Place {
    /// Returns a thread's place in its queue of this kind.
    fn link(thread: &Thread) -> &WaitLink;
    /// Returns a thread's place in its queue of this kind.
    fn link_mut(thread: &mut Thread) -> &mut WaitLink;
}

/// The queues of threads that wait for the same thing.
#[derive(Debug, Default)]
pub struct Waiting;

/// The queues of threads that push the thread which serves the same port (importance 7.6).
#[derive(Debug, Default)]
pub struct Pushing;

impl Place for Waiting {
    #[inline(always)]
    fn link(thread: &Thread) -> &WaitLink {
        &thread.wait_link
    }

    #[inline(always)]
    fn link_mut(thread: &mut Thread) -> &mut WaitLink {
        &mut thread.wait_link
    }
}

impl Place for Pushing {
    fn link(thread: &Thread) -> &WaitLink {
        &thread.push_link
    }

    fn link_mut(thread: &mut Thread) -> &mut WaitLink {
        &mut thread.push_link
    }
}

/// Threads that wait for the same thing, or another kind of queue.
#[derive(Debug, Default)]
pub struct WaitQueue<P = Waiting> {
    head: Option<ThreadId>,
    kind: PhantomData<P>,
}

impl<P: Place> WaitQueue<P> {
    /// Returns true if no thread waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Returns the thread to serve first.
    #[inline]
    pub const fn first(&self) -> Option<ThreadId> {
        self.head
    }

    /// Adds a thread behind all threads of its priority or a higher one. The thread must not be in a queue.
    #[inline(always)]
    pub fn insert(&mut self, threads: &mut Threads, thread: ThreadId, priority: u8) {
        if self.is_empty() {
            self.insert_alone(&mut threads[thread], priority);
        } else {
            self.insert_among_others(threads, thread, priority);
        }
    }

    /// Adds a thread to this queue, which is empty. The thread must not be in a queue.
    #[inline(always)]
    pub fn insert_alone(&mut self, thread: &mut Thread, priority: u8) {
        let id = thread.context.thread;
        let link = P::link_mut(thread);
        if link.band.is_some() {
            link.priority = priority;
        } else {
            let band = Some(Band { first: id, last: id });
            *link = WaitLink { previous: None, next: None, band, priority };
        }
        self.head = Some(id);
    }

    fn insert_among_others(&mut self, threads: &mut Threads, thread: ThreadId, priority: u8) {
        let above = self.last_band_from(threads, priority);
        let previous = above.map(|band| band.last);
        let next = match previous {
            Some(previous) => P::link_mut(&mut threads[previous]).next.replace(thread),
            None => self.head.replace(thread),
        };
        if let Some(next) = next {
            P::link_mut(&mut threads[next]).previous = Some(thread);
        }
        *P::link_mut(&mut threads[thread]) = WaitLink { previous, next, band: None, priority };
        match above {
            Some(Band { first, last }) if P::link(&threads[first]).priority == priority => {
                P::link_mut(&mut threads[last]).band = None;
                set_band::<P>(threads, first, thread);
            }
            _ => set_band::<P>(threads, thread, thread),
        }
    }

    /// Returns the last band whose priority is `priority` or higher.
    fn last_band_from(&self, threads: &Threads, priority: u8) -> Option<Band> {
        let mut found = None;
        let mut next = self.head;
        while let Some(first) = next
            && P::link(&threads[first]).priority >= priority
        {
            let band = P::link(&threads[first]).band.expect("a band starts behind the last thread of another");
            next = P::link(&threads[band.last]).next;
            found = Some(band);
        }
        found
    }

    /// Removes a thread that is in this queue.
    #[inline]
    pub fn remove(&mut self, threads: &mut Threads, thread: ThreadId) {
        let alone = P::link(&threads[thread]).is_alone();
        self.remove_knowing(threads, thread, alone);
    }

    /// Removes a thread that is in this queue, and [alone](WaitLink::is_alone) or not: for callers that know it
    /// already.
    #[inline(always)]
    pub fn remove_knowing(&mut self, threads: &mut Threads, thread: ThreadId, alone: bool) {
        if alone {
            self.head = None;
        } else {
            self.remove_from_others(threads, thread);
        }
    }

    fn remove_from_others(&mut self, threads: &mut Threads, thread: ThreadId) {
        let WaitLink { previous, next, band, .. } = core::mem::take(P::link_mut(&mut threads[thread]));
        match previous {
            Some(previous) => P::link_mut(&mut threads[previous]).next = next,
            None => self.head = next,
        }
        if let Some(next) = next {
            P::link_mut(&mut threads[next]).previous = previous;
        }
        match band {
            Some(Band { first, last }) if first == last => {}
            Some(Band { first, last }) if first == thread => {
                set_band::<P>(threads, next.expect("the band goes on behind its first thread"), last);
            }
            Some(Band { first, .. }) => {
                set_band::<P>(threads, first, previous.expect("the band began before its last thread"));
            }
            None => {}
        }
    }

    /// Returns the threads from the first to the last.
    pub fn iter<'a>(&self, threads: &'a Threads) -> impl Iterator<Item = ThreadId> + use<'a, P> {
        core::iter::successors(self.head, move |&thread| P::link(&threads[thread]).next)
    }

    /// Panics unless order, links and bands are right; returns the number of threads.
    pub fn check(&self, threads: &Threads) -> usize {
        let mut count = 0;
        let mut previous: Option<ThreadId> = None;
        let mut first = None;
        for thread in self.iter(threads) {
            let link = P::link(&threads[thread]);
            assert_eq!(link.previous, previous, "{thread:?} is linked with the thread before it");
            let before = previous.map(|previous| P::link(&threads[previous]).priority);
            assert!(before.is_none_or(|before| before >= link.priority), "{thread:?} waits out of order");
            let after = link.next.map(|next| P::link(&threads[next]).priority);
            let (is_first, is_last) = (before != Some(link.priority), after != Some(link.priority));
            if is_first {
                first = Some(thread);
            }
            assert_eq!(link.band.is_some(), is_first || is_last, "{thread:?} knows its band if it is at an end of it");
            if let Some(band) = link.band {
                assert_eq!(first, Some(band.first), "{thread:?} knows the first thread of its band");
                assert_eq!(
                    P::link(&threads[band.last]).band,
                    link.band,
                    "{thread:?} knows the last thread of its band"
                );
                assert!(!is_last || band.last == thread, "{thread:?} is the last thread of its band");
            }
            previous = Some(thread);
            count += 1;
        }
        count
    }
}

/// Makes `first` and `last` the ends of a band.
fn set_band<P: Place>(threads: &mut Threads, first: ThreadId, last: ThreadId) {
    let band = Some(Band { first, last });
    P::link_mut(&mut threads[first]).band = band;
    P::link_mut(&mut threads[last]).band = band;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::tag;
    use crate::machine::{AddressSpace, Stamp};
    use crate::policy::{Power, ThreadPolicy};
    use crate::rate::{Clock, Rate};
    use crate::sched::{Belongings, Scheduling, ThreadList};
    use crate::step::Step;
    use crate::trap_frame::TrapFrame;
    use abi::qos::Qos;
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};
    use store::Id;

    const THREADS: usize = 24;
    const PRIORITIES: [u8; 5] = [0, 4, 31, 47, 127];
    const SEEDS: u64 = 200;
    const STEPS: usize = 300;
    const ID_BITS: u64 = 1 << 32;

    /// Returns a scheduler and the ids of its `THREADS` threads.
    fn threads() -> (Scheduling, Vec<ThreadId>) {
        let clock = Clock::new(Stamp(0), Rate::measured(1, 1));
        let mut sched = Scheduling::new(clock, 0);
        let (mut step, mut siblings) = (Step::default(), ThreadList::default());
        let task = Id::<tag::Task>::from_bits(ID_BITS).expect("a valid id");
        let space = Id::<tag::Space>::from_bits(ID_BITS).expect("a valid id");
        let coalition = sched.test_coalition();
        let belongings = Belongings { task, space, address_space: AddressSpace(0), coalition };
        let mut create = |_| {
            let (frame, policy) = (TrapFrame::default(), ThreadPolicy::default());
            sched
                .create(&mut step, &mut siblings, belongings, frame, policy, (0, Power::of(Qos::Unspecified)))
                .expect("there is memory")
        };
        let ids = (0..THREADS).map(&mut create).collect();
        (sched, ids)
    }

    #[test]
    fn a_thread_enters_behind_its_equals_and_its_superiors() {
        let (mut sched, ids) = threads();
        let threads = &mut sched.threads;
        let [a, b, c, d, e, f, g] = ids[..7] else { panic!("there are enough threads") };
        let mut queue = WaitQueue::<Waiting>::default();
        for (thread, priority) in [(f, 4), (c, 31), (a, 47), (d, 31), (b, 47), (e, 31), (g, 31)] {
            queue.insert(threads, thread, priority);
        }
        assert_eq!(queue.iter(threads).collect::<Vec<_>>(), [a, b, c, d, e, g, f]);
        queue.remove(threads, e);
        queue.remove(threads, c);
        assert_eq!(queue.iter(threads).collect::<Vec<_>>(), [a, b, d, g, f]);
        assert_eq!(threads[g].wait_link.band, Some(Band { first: d, last: g }));
        assert_eq!(queue.check(threads), 5);
    }

    #[test]
    fn a_thread_in_a_queue_knows_whether_it_is_the_only_one() {
        let (mut sched, ids) = threads();
        let threads = &mut sched.threads;
        let mut queue = WaitQueue::<Waiting>::default();
        for (thread, priority) in [(ids[0], 31), (ids[1], 4), (ids[2], 47)] {
            queue.insert(threads, thread, priority);
            let alone =
                ids[..3].iter().filter(|&&id| threads[id].wait_link.band.is_some() && threads[id].waits_alone());
            assert_eq!(alone.count(), usize::from(thread == ids[0]));
        }
        queue.remove(threads, ids[0]);
        assert!(!threads[ids[1]].waits_alone() && !threads[ids[2]].waits_alone());
        queue.remove(threads, ids[2]);
        assert!(threads[ids[1]].waits_alone());
        assert_eq!(queue.check(threads), 1);
    }

    /// Random entries and exits, compared with a vector that is sorted after each of them.
    #[test]
    fn any_sequence_of_entries_and_exits_keeps_the_order() {
        for seed in 0..SEEDS {
            let (mut sched, ids) = threads();
            let threads = &mut sched.threads;
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            let mut below = |limit: usize| random.next_u32() as usize % limit;
            let mut queue = WaitQueue::<Waiting>::default();
            let mut model: Vec<(u8, ThreadId)> = Vec::new();
            for _ in 0..STEPS {
                let thread = ids[below(THREADS)];
                match model.iter().position(|&(_, other)| other == thread) {
                    Some(at) => {
                        queue.remove(threads, thread);
                        model.remove(at);
                    }
                    None => {
                        let priority = PRIORITIES[below(PRIORITIES.len())];
                        queue.insert(threads, thread, priority);
                        model.push((priority, thread));
                        model.sort_by_key(|&(priority, _)| core::cmp::Reverse(priority));
                    }
                }
                assert_eq!(queue.check(threads), model.len(), "seed {seed}");
                assert!(queue.iter(threads).eq(model.iter().map(|&(_, thread)| thread)), "seed {seed}");
            }
        }
    }
}
