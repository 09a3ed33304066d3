//! The run queue: ready threads by level (importance 8.6). At each level the coalitions take turns (`turn.rs`), and
//! within a coalition the threads are served first come first served.
//!
//! At level 0 are threads that yield or are depressed. They are served first come first served, whatever their coalition.

use super::coalition::Coalitions;
use super::level_set::{IDLE, LEVELS, LevelSet};
use super::schedule::PRIORITY_IDLE;
use super::turn::{Level, Turn};
use crate::ids::{CoalitionId, ThreadId, tag};
use crate::sched::thread::{AtLevel, State, Thread, Threads};
use store::List;

/// The end of its level at which a thread is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The front, for a thread that was preempted within its quantum.
    Head,
    /// The back, for all others.
    Tail,
}

/// Ready threads by level, and the place of the background work among them.
#[derive(Debug)]
pub struct RunQueue {
    pub(super) levels: [Level; LEVELS],
    occupied: LevelSet,
    /// The level of the background work; [`LEVELS`] if there is none.
    work_level: usize,
    /// The last thread of level 0 that was [passed](RunQueue::pass): none up to it yields. It is there so that nobody
    /// looks at a thread twice.
    passed: Option<ThreadId>,
    /// The number of levels at which coalitions wait for their turns. Mostly there is none, and then nobody looks further.
    pub(super) contested: usize,
    pub(super) coalitions: Coalitions,
}

impl Default for RunQueue {
    fn default() -> Self {
        let levels = [const { Level::EMPTY }; LEVELS];
        let coalitions = Coalitions::default();
        RunQueue { levels, occupied: LevelSet::default(), work_level: LEVELS, passed: None, contested: 0, coalitions }
    }
}

impl RunQueue {
    /// Returns true if no thread is ready and there is no background work.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.occupied.is_empty()
    }

    /// Returns the highest level at which a thread is ready, or that of the background work.
    #[inline(always)]
    pub(super) fn highest(&self) -> Option<usize> {
        self.occupied.highest()
    }

    /// Returns the first thread of the coalition that has the turn at a level.
    #[inline(always)]
    pub(super) fn first_in_turn(&self, level: usize) -> Option<ThreadId> {
        self.levels[level].threads.front()
    }

    /// Adds a thread at the level of its priority and makes it ready.
    #[inline]
    pub(super) fn add(&mut self, threads: &mut Threads, id: ThreadId, end: End) {
        let thread = &mut threads[id];
        thread.state = State::Ready;
        let level = usize::from(thread.schedule.priority);
        let Level { threads: queue, turn, .. } = &mut self.levels[level];
        if turn.holder != Some(thread.coalition) {
            return self.add_outside_turn(threads, id, end);
        }
        add_at(queue, threads, id, end);
        self.occupied.add(level);
    }

    #[inline(never)]
    fn add_outside_turn(&mut self, threads: &mut Threads, id: ThreadId, end: End) {
        let queue = self.queue_outside_turn(&threads[id]);
        add_at(queue, threads, id, end);
        self.occupied.add(threads[id].schedule.priority.into());
    }

    /// Removes the first thread of the turn at a level, if there is one, and returns it. The caller gives it another state.
    #[inline]
    pub(super) fn pop_in_turn(&mut self, threads: &mut Threads, level: usize) -> Option<ThreadId> {
        let thread = self.levels[level].threads.pop_front(threads)?;
        if self.passed == Some(thread) {
            self.passed = None;
        }
        self.note_removal(level);
        Some(thread)
    }

    /// Removes the heir of the turn at a level, if it is ready, and returns it. The caller gives it another state.
    #[inline(never)]
    pub(super) fn pop_heir(&mut self, threads: &mut Threads, level: usize) -> Option<ThreadId> {
        let Turn { heir, left, .. } = self.levels[level].turn;
        let is_ready =
            |thread: &Thread| matches!(thread.state, State::Ready) && usize::from(thread.schedule.priority) == level;
        let heir = heir.filter(|&heir| left > 0 && threads.get(heir).is_some_and(is_ready))?;
        self.remove(threads, heir, level);
        Some(heir)
    }

    /// Removes the first thread of the next turn at a level, and returns it. The caller gives it another state.
    #[inline(never)]
    pub(super) fn pop_of_others(&mut self, threads: &mut Threads, level: usize) -> Option<ThreadId> {
        let thread = self.coalitions.place(self.levels[level].others.front()?, level).threads.front()?;
        self.remove(threads, thread, level);
        Some(thread)
    }

    /// Removes the first thread of the turn at a level, and adds a thread at the end of a level that is the same or level
    /// 0, whose priority and state the caller sets. The caller tells if the first thread
    /// [was passed](RunQueue::forget_passed).
    #[inline(always)]
    pub(super) fn replace_first(&mut self, threads: &mut Threads, from: usize, thread: ThreadId, to: usize) {
        if from == to {
            return self.levels[to].threads.replace_front(threads, thread);
        }
        self.levels[from].threads.pop_front(threads);
        self.levels[to].threads.push_back(threads, thread);
        self.note_removal(from);
        self.occupied.add(to);
    }

    /// Removes a thread from the level at which it is queued. The caller gives it another state.
    #[inline]
    pub(super) fn remove(&mut self, threads: &mut Threads, thread: ThreadId, level: usize) {
        if self.passed == Some(thread) {
            self.passed = self.levels[level].threads.before(threads, thread);
        }
        let coalition = threads[thread].coalition;
        if self.levels[level].turn.holder == Some(coalition) || level == IDLE {
            self.levels[level].threads.remove(threads, thread);
        } else {
            self.remove_from_other(threads, thread, level, coalition);
        }
        self.note_removal(level);
    }

    #[inline(never)]
    fn remove_from_other(&mut self, threads: &mut Threads, thread: ThreadId, level: usize, coalition: CoalitionId) {
        let queue = self.coalitions.queue(coalition, level);
        queue.remove(threads, thread);
        if queue.is_empty() {
            self.end_await(level, coalition);
        }
    }

    /// Takes note that a thread has left a level.
    #[inline(always)]
    fn note_removal(&mut self, level: usize) {
        if !self.is_occupied(level) && level != self.work_level {
            self.occupied.remove(level);
        }
    }

    /// Returns the level of the background work, if there is any.
    #[inline(always)]
    pub(super) fn work_level(&self) -> Option<usize> {
        (self.work_level < LEVELS).then_some(self.work_level)
    }

    /// Puts the background work at a level, or nowhere if there is none any more.
    pub(super) fn place_work(&mut self, level: Option<usize>) {
        if let Some(before) = self.work_level()
            && !self.is_occupied(before)
        {
            self.occupied.remove(before);
        }
        self.work_level = level.unwrap_or(LEVELS);
        if let Some(level) = level {
            self.occupied.add(level);
        }
    }

    /// Returns true if a thread is ready at a level.
    #[inline(always)]
    pub(super) fn is_occupied(&self, level: usize) -> bool {
        !self.levels[level].threads.is_empty() || self.is_contested(level)
    }

    /// Returns the first thread of level 0 behind those that were passed. Threads that yield are there in the order in
    /// which they did so.
    pub(super) fn first_not_passed(&self, threads: &Threads) -> Option<ThreadId> {
        let idle = &self.levels[IDLE].threads;
        self.passed.map_or(idle.front(), |passed| idle.after(threads, passed))
    }

    /// Notes that the first thread that was not passed does not yield.
    pub(super) fn pass(&mut self, thread: ThreadId) {
        self.passed = Some(thread);
    }

    /// Takes note that a thread that does not yield has left the front of its level: it may have been passed.
    #[inline(always)]
    pub(super) fn forget_passed(&mut self, thread: ThreadId) {
        if self.passed == Some(thread) {
            self.passed = None;
        }
    }

    /// Panics unless queue, bitmap and threads agree; returns the number of queued threads.
    pub(super) fn check(&self, threads: &Threads) -> usize {
        let mut ready = 0;
        for (number, level) in self.levels.iter().enumerate() {
            let occupied = self.is_occupied(number) || number == self.work_level;
            assert_eq!(self.occupied.contains(number), occupied, "the bitmap is wrong about level {number}");
            let holder = level.turn.holder.filter(|_| number != IDLE);
            ready += check_queue(threads, &level.threads, number, holder);
            assert!(
                holder.is_some() || number == IDLE || level.threads.is_empty(),
                "level {number} has a turn of nobody"
            );
            ready += self.check_others(threads, number, level);
        }
        let contested = self.levels.iter().filter(|level| !level.others.is_empty()).count();
        assert_eq!(self.contested, contested, "the levels at which coalitions wait");
        if let Some(passed) = self.passed {
            let mut idle = self.levels[IDLE].threads.iter(threads);
            let yields = |thread| threads[thread].schedule.yielding;
            assert!(idle.by_ref().take_while(|&thread| thread != passed).all(|thread| !yields(thread)));
            assert!(!yields(passed) && threads[passed].schedule.priority == PRIORITY_IDLE, "{passed:?} is passed");
        }
        ready
    }
}

/// Adds a thread at an end of a queue.
#[inline(always)]
fn add_at(queue: &mut List<tag::Thread, AtLevel>, threads: &mut Threads, id: ThreadId, end: End) {
    match end {
        End::Head => queue.push_front(threads, id),
        End::Tail => queue.push_back(threads, id),
    }
}

/// Panics unless the threads of a queue are ready at a level and of a coalition; returns their number.
pub(super) fn check_queue(
    threads: &Threads,
    queue: &List<tag::Thread, AtLevel>,
    level: usize,
    coalition: Option<CoalitionId>,
) -> usize {
    for id in queue.iter(threads) {
        let thread = &threads[id];
        assert!(matches!(thread.state, State::Ready), "{id:?} is queued but not ready");
        assert_eq!(usize::from(thread.schedule.priority), level, "{id:?} is on the wrong level");
        assert!(coalition.is_none_or(|coalition| coalition == thread.coalition), "{id:?} waits with another coalition");
    }
    queue.len()
}
