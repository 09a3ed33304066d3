//! The run queue: ready threads by level, first come first served on each (importance 8.6).

use crate::ids::{ThreadId, tag};
use crate::machine::Nanos;
use crate::sched::thread::{AtLevel, State, Threads};
use store::List;

/// Number of priority levels.
pub const LEVELS: usize = 128;

/// The lowest level: that of threads that have yielded or are depressed.
pub const PRIORITY_IDLE: u8 = 0;

/// The highest base priority of timeshare threads with a [`BACKGROUND_QUANTUM`].
const PRIORITY_THROTTLE_MAX: u8 = 4;

/// The time that a thread runs before others of its level get their turn.
pub const QUANTUM: Nanos = 10_000_000;

/// The quantum of timeshare threads of the background: of base priority 4 or less.
pub const BACKGROUND_QUANTUM: Nanos = 2_500_000;

/// The scheduling parameters of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The base priority, from the thread's policy.
    pub base: u8,
    /// The level that the thread is scheduled at: its base priority, or 0 while it yields or is depressed.
    pub priority: u8,
    /// The rest of its quantum.
    pub quantum_left: Nanos,
    /// The length of a whole quantum, which follows from the base priority and `timeshare`.
    pub quantum: Nanos,
    /// The thread takes part in time sharing. In the background it then has a shorter quantum than a thread of fixed
    /// priority.
    pub timeshare: bool,
    /// The thread has given up the processor: it is at level 0 until it is chosen again, or for a [`QUANTUM`].
    pub yielding: bool,
    /// When the thread yielded last.
    pub yielded_at: Nanos,
    /// The thread is at level 0 until its depress deadline.
    pub depressed: bool,
    /// The least level of the thread while it does work in the kernel that others wait for; 0 if there is none.
    pub floor: u8,
}

impl Schedule {
    /// Returns the schedule of a new timeshare thread.
    pub fn with_base(base: u8) -> Schedule {
        let quantum = Schedule::quantum_for(base, true);
        let (timeshare, yielding, depressed) = (true, false, false);
        let (priority, yielded_at) = (base, 0);
        Schedule {
            base,
            priority,
            quantum_left: quantum,
            quantum,
            timeshare,
            yielding,
            yielded_at,
            depressed,
            floor: 0,
        }
    }

    /// Sets the base priority and whether the thread takes part in time sharing. Its level stays as it is.
    pub(super) fn set_base(&mut self, base: u8, timeshare: bool) {
        (self.base, self.timeshare, self.quantum) = (base, timeshare, Schedule::quantum_for(base, timeshare));
        self.quantum_left = self.quantum_left.min(self.quantum);
    }

    /// Returns the length of the quantum that follows from base priority and time sharing.
    pub(super) fn quantum_for(base: u8, timeshare: bool) -> Nanos {
        if timeshare && base <= PRIORITY_THROTTLE_MAX { BACKGROUND_QUANTUM } else { QUANTUM }
    }

    /// Returns the level that follows from base priority, yield, depression and floor.
    pub(super) fn level(&self) -> u8 {
        let own = if self.yielding || self.depressed { PRIORITY_IDLE } else { self.base };
        own.max(self.floor)
    }
}

/// The set of levels at which threads are ready, one bit each. It is two words because shifting a `u128` takes three
/// times the instructions.
#[derive(Debug, Default)]
struct LevelSet {
    low: u64,
    high: u64,
}

impl LevelSet {
    #[inline(always)]
    fn half(&mut self, level: usize) -> &mut u64 {
        if level < LEVELS / 2 { &mut self.low } else { &mut self.high }
    }

    #[inline(always)]
    fn add(&mut self, level: usize) {
        *self.half(level) |= 1 << (level % 64);
    }

    #[inline(always)]
    fn remove(&mut self, level: usize) {
        *self.half(level) &= !(1 << (level % 64));
    }

    fn contains(&self, level: usize) -> bool {
        let half = if level < LEVELS / 2 { self.low } else { self.high };
        half >> (level % 64) & 1 == 1
    }

    #[inline(always)]
    fn is_empty(&self) -> bool {
        self.low | self.high == 0
    }

    #[inline(always)]
    fn highest(&self) -> Option<usize> {
        match (self.high.checked_ilog2(), self.low.checked_ilog2()) {
            (Some(bit), _) => Some(64 + bit as usize),
            (None, bit) => bit.map(|bit| bit as usize),
        }
    }
}

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
    levels: [List<tag::Thread, AtLevel>; LEVELS],
    occupied: LevelSet,
    /// The level of the background work; [`LEVELS`] if there is none.
    work_level: usize,
    /// The last thread of level 0 that was [passed](RunQueue::pass): none up to it yields. It is there so that nobody
    /// looks at a thread twice.
    passed: Option<ThreadId>,
}

impl Default for RunQueue {
    fn default() -> Self {
        let levels = [const { List::new() }; LEVELS];
        RunQueue { levels, occupied: LevelSet::default(), work_level: LEVELS, passed: None }
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

    /// Returns the thread that is chosen next at a level.
    pub(super) fn first(&self, level: usize) -> Option<ThreadId> {
        self.levels[level].front()
    }

    /// Adds a thread at the level of its priority and makes it ready.
    #[inline]
    pub(super) fn add(&mut self, threads: &mut Threads, id: ThreadId, end: End) {
        let thread = &mut threads[id];
        thread.state = State::Ready;
        let level = usize::from(thread.schedule.priority);
        let queue = &mut self.levels[level];
        match end {
            End::Head => queue.push_front(threads, id),
            End::Tail => queue.push_back(threads, id),
        }
        self.occupied.add(level);
    }

    /// Removes the first thread of a level that has one, and adds a thread at the end of a level, whose priority and
    /// state the caller sets. The caller tells if the first thread [was passed](RunQueue::forget_passed).
    #[inline(always)]
    pub(super) fn replace_first(&mut self, threads: &mut Threads, from: usize, thread: ThreadId, to: usize) {
        if from == to {
            return self.levels[to].replace_front(threads, thread);
        }
        self.levels[from].pop_front(threads);
        self.levels[to].push_back(threads, thread);
        self.note_removal(from);
        self.occupied.add(to);
    }

    /// Removes a thread from the level at which it is queued. The caller gives it another state.
    #[inline]
    pub(super) fn remove(&mut self, threads: &mut Threads, thread: ThreadId, level: usize) {
        if self.passed == Some(thread) {
            self.passed = self.levels[level].before(threads, thread);
        }
        self.levels[level].remove(threads, thread);
        self.note_removal(level);
    }

    /// Takes note that a thread has left a level.
    #[inline(always)]
    fn note_removal(&mut self, level: usize) {
        if self.levels[level].is_empty() && level != self.work_level {
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
            && self.levels[before].is_empty()
        {
            self.occupied.remove(before);
        }
        self.work_level = level.unwrap_or(LEVELS);
        if let Some(level) = level {
            self.occupied.add(level);
        }
    }

    /// Returns true if a thread is ready at a level.
    pub(super) fn is_occupied(&self, level: usize) -> bool {
        !self.levels[level].is_empty()
    }

    /// Returns the first thread of level 0 behind those that were passed. Threads that yield are there in the order in
    /// which they did so.
    pub(super) fn first_not_passed(&self, threads: &Threads) -> Option<ThreadId> {
        let idle = &self.levels[usize::from(PRIORITY_IDLE)];
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
        for (level, queue) in self.levels.iter().enumerate() {
            let occupied = !queue.is_empty() || level == self.work_level;
            assert_eq!(self.occupied.contains(level), occupied, "the bitmap is wrong about level {level}");
            for thread in queue.iter(threads) {
                assert!(matches!(threads[thread].state, State::Ready), "{thread:?} is queued but not ready");
                assert_eq!(usize::from(threads[thread].schedule.priority), level, "{thread:?} is on the wrong level");
                ready += 1;
            }
        }
        if let Some(passed) = self.passed {
            let mut idle = self.levels[usize::from(PRIORITY_IDLE)].iter(threads);
            let yields = |thread| threads[thread].schedule.yielding;
            assert!(idle.by_ref().take_while(|&thread| thread != passed).all(|thread| !yields(thread)));
            assert!(!yields(passed) && threads[passed].schedule.priority == PRIORITY_IDLE, "{passed:?} is passed");
        }
        ready
    }
}
