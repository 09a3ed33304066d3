//! The scheduler: which thread a processor runs (importance 8.6, mandatory part).
//!
//! 128 levels, first come first served on each, the highest that is not empty runs. A thread has the processor for a
//! quantum of 10 ms. When it is preempted it goes back to the head of its level with the rest of its quantum; when the
//! quantum is over, to the tail.
//!
//! The functions here move threads between [`State::Ready`] and [`State::Running`]; nothing else does.

use crate::limits::CPUS_MAX;
use crate::machine::{Cpu, Nanos};
use crate::rate::{Clock, Stamp};
use crate::thread::{RunQueue, State, Thread, ThreadId, Threads};
use store::List;

/// Number of priority levels.
pub const LEVELS: usize = 128;

/// The lowest level a thread can have, that of one that yields.
pub const PRIORITY_IDLE: u8 = 0;

/// Up to this base priority a timeshare thread has [`BACKGROUND_QUANTUM`].
const PRIORITY_THROTTLE_MAX: u8 = 4;

/// How long a thread runs before others of its priority do.
pub const QUANTUM: Nanos = 10_000_000;

/// The same for a timeshare thread of the background (base priority 4 and less).
pub const BACKGROUND_QUANTUM: Nanos = 2_500_000;

/// A preempted thread with less than this left has used its quantum up.
const QUANTUM_REST_MIN: Nanos = 250_000;

/// What the scheduler knows of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The priority the thread's policy gives it.
    pub base: u8,
    /// The level it runs at: its base, or 0 while it yields or is depressed.
    pub priority: u8,
    /// What is left of its quantum.
    pub quantum_left: Nanos,
    /// Timeshare threads of the background have a short quantum; threads of fixed priority never do.
    pub timeshare: bool,
    /// It gave the processor away and runs at level 0 until it is chosen again.
    pub yielding: bool,
    /// It runs at level 0 until its depress deadline.
    pub depressed: bool,
}

impl Schedule {
    /// A fresh timeshare thread's.
    pub fn with_base(base: u8) -> Schedule {
        let mut schedule =
            Schedule { base, priority: base, quantum_left: 0, timeshare: true, yielding: false, depressed: false };
        schedule.quantum_left = schedule.quantum();
        schedule
    }

    /// How long its quantum is.
    pub fn quantum(&self) -> Nanos {
        if self.timeshare && self.base <= PRIORITY_THROTTLE_MAX { BACKGROUND_QUANTUM } else { QUANTUM }
    }

    /// The level that base, yield and depression make.
    fn level(&self) -> u8 {
        if self.yielding || self.depressed { PRIORITY_IDLE } else { self.base }
    }
}

/// Levels at which threads are ready. In words of the machine: shifting a `u128` takes three times the instructions.
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
    fn highest(&self) -> Option<usize> {
        match (self.high.checked_ilog2(), self.low.checked_ilog2()) {
            (Some(bit), _) => Some(64 + bit as usize),
            (None, bit) => bit.map(|bit| bit as usize),
        }
    }
}

/// When a thread's time began to count.
#[derive(Clone, Copy, Debug)]
enum Since {
    Time(Nanos),
    /// On a direct switch: most threads that it leads to are gone before somebody asks.
    Stamp(Stamp),
}

/// One processor.
#[derive(Debug)]
struct Processor {
    /// The thread whose registers the processor holds, or held when it entered the kernel.
    current: Option<ThreadId>,
    /// When the current thread's time began to count.
    since: Since,
    /// The current thread has not used a whole quantum since it was chosen: equals do not preempt it.
    first_slice: bool,
    /// The deadline the processor's timer is set to.
    timer: Option<Nanos>,
    /// The timer comes within that time from any moment since it was set; the longest time if it is not set.
    timer_within: Nanos,
}

impl Processor {
    const fn new() -> Processor {
        let (current, since, first_slice) = (None, Since::Time(0), false);
        Processor { current, since, first_slice, timer: None, timer_within: Nanos::MAX }
    }
}

/// The run queue and the processors.
#[derive(Debug)]
pub struct Scheduler {
    levels: [List<Thread, RunQueue>; LEVELS],
    occupied: LevelSet,
    processors: [Processor; CPUS_MAX],
    clock: Clock,
    /// Something has happened since the last choice that may make it come out differently.
    changed: bool,
}

impl Scheduler {
    /// Returns a scheduler without threads. `clock` makes times of the machine's stamps.
    pub fn new(clock: Clock) -> Scheduler {
        Scheduler {
            levels: [const { List::new() }; LEVELS],
            occupied: LevelSet::default(),
            processors: [const { Processor::new() }; CPUS_MAX],
            clock,
            changed: true,
        }
    }

    /// When the current thread's time began to count.
    #[inline]
    fn since(&self, cpu: Cpu) -> Nanos {
        match self.processors[cpu].since {
            Since::Time(time) => time,
            Since::Stamp(stamp) => self.clock.time_of(stamp),
        }
    }

    /// The thread that runs on `cpu`, or that entered the kernel there.
    #[inline(always)]
    pub fn current(&self, cpu: Cpu) -> Option<ThreadId> {
        self.processors[cpu].current
    }

    /// The highest level at which a thread is ready.
    #[inline(always)]
    fn highest_ready(&self) -> Option<usize> {
        self.occupied.highest()
    }

    /// Makes sure that the step which is going on, or the next one, does not end on the short way: something is to be
    /// destroyed, or a thread's state has changed in a way that the scheduler does not see.
    pub fn reconsider(&mut self) {
        self.changed = true;
    }

    /// Whether the processor's thread simply goes on: nothing has happened since it was chosen.
    #[inline(always)]
    pub fn is_settled(&self) -> bool {
        !self.changed
    }

    /// Whether any thread is ready.
    pub fn anyone_ready(&self) -> bool {
        self.occupied.highest().is_some()
    }

    #[inline]
    fn enqueue(&mut self, threads: &mut Threads, id: ThreadId, at_head: bool) {
        let thread = &mut threads[id];
        thread.state = State::Ready;
        let level = usize::from(thread.schedule.priority);
        let queue = &mut self.levels[level];
        if at_head {
            queue.push_front(threads, id)
        } else {
            queue.push_back(threads, id)
        }
        self.occupied.add(level);
        self.changed = true;
    }

    /// Takes a thread off the level at which it is queued.
    #[inline]
    fn dequeue(&mut self, threads: &mut Threads, thread: ThreadId, level: usize) {
        self.levels[level].remove(threads, thread);
        if self.levels[level].is_empty() {
            self.occupied.remove(level);
        }
    }

    /// Makes a thread that was neither ready nor running ready: it waits behind its equals, with a fresh quantum.
    #[inline]
    pub fn make_ready(&mut self, threads: &mut Threads, thread: ThreadId) {
        let schedule = &mut threads[thread].schedule;
        schedule.quantum_left = schedule.quantum();
        self.enqueue(threads, thread, false);
    }

    /// Takes a ready thread off the run queue, or a running one off its processor, and gives it another state.
    #[inline]
    pub fn withdraw(&mut self, threads: &mut Threads, thread: ThreadId, state: State) {
        let before = core::mem::replace(&mut threads[thread].state, state);
        match before {
            State::Ready => self.dequeue(threads, thread, usize::from(threads[thread].schedule.priority)),
            State::Running(cpu) => self.processors[cpu].current = None,
            State::Suspended | State::Waiting(_) => {}
        }
        self.changed = true;
    }

    /// Takes what the current thread of `cpu` has run off its quantum, and returns the thread.
    #[inline]
    fn charge<'t>(&mut self, threads: &'t mut Threads, cpu: Cpu, now: Nanos) -> Option<(ThreadId, &'t mut Schedule)> {
        let id = self.processors[cpu].current?;
        let schedule = &mut threads[id].schedule;
        schedule.quantum_left = schedule.quantum_left.saturating_sub(now - self.since(cpu));
        self.processors[cpu].since = Since::Time(now);
        Some((id, schedule))
    }

    /// Puts the current thread of `cpu` back among the ready ones, as preempted: at the head with the rest of its
    /// quantum, or at the tail if nearly nothing is left.
    fn preempt(&mut self, threads: &mut Threads, cpu: Cpu, now: Nanos) {
        let Some((thread, schedule)) = self.charge(threads, cpu, now) else { return };
        let used_up = schedule.quantum_left < QUANTUM_REST_MIN;
        if used_up {
            schedule.quantum_left += schedule.quantum();
        }
        self.processors[cpu].current = None;
        self.enqueue(threads, thread, !used_up);
    }

    /// The quantum of the current thread of `cpu` may be over: then it starts another one behind the threads of its own
    /// or a higher level, if there are any.
    pub fn tick(&mut self, threads: &mut Threads, cpu: Cpu, now: Nanos) {
        (self.processors[cpu].timer, self.processors[cpu].timer_within) = (None, Nanos::MAX);
        self.changed = true;
        let Some((thread, schedule)) = self.charge(threads, cpu, now) else { return };
        if schedule.quantum_left > 0 {
            return;
        }
        schedule.quantum_left = schedule.quantum();
        let priority = usize::from(schedule.priority);
        self.processors[cpu].first_slice = false;
        if self.highest_ready() >= Some(priority) {
            self.processors[cpu].current = None;
            self.enqueue(threads, thread, false);
        }
    }

    /// Chooses what `cpu` runs now: the current thread, unless one of a higher level is ready, or one of the same level
    /// and the current one has had its first slice. `None`: nobody can run.
    #[inline]
    pub fn choose(&mut self, threads: &mut Threads, cpu: Cpu, now: Nanos) -> Option<ThreadId> {
        let ready = self.highest_ready();
        if let Some(thread) = self.processors[cpu].current {
            let priority = usize::from(threads[thread].schedule.priority);
            let preempted =
                ready.is_some_and(|level| level > priority || (level == priority && !self.processors[cpu].first_slice));
            if !preempted {
                self.changed = false;
                return Some(thread);
            }
        }
        let Some(level) = ready else {
            self.changed = false;
            return None;
        };
        let thread = self.levels[level].front().expect("an occupied level has a thread");
        self.dequeue(threads, thread, level);
        // Only now: an equal that is preempted goes to the head of the level from which the other one comes.
        self.preempt(threads, cpu, now);
        self.changed = false;
        let chosen = &mut threads[thread];
        chosen.state = State::Running(cpu);
        if chosen.schedule.yielding {
            chosen.schedule.yielding = false;
            chosen.schedule.priority = chosen.schedule.level();
        }
        let processor = &mut self.processors[cpu];
        (processor.current, processor.since, processor.first_slice) = (Some(thread), Since::Time(now), true);
        Some(thread)
    }

    /// Whether a thread that becomes ready runs as soon as the processor's thread waits.
    #[inline(always)]
    pub fn would_run_next(&self, schedule: &Schedule) -> bool {
        self.highest_ready().is_none_or(|level| level < usize::from(schedule.priority))
    }

    /// Returns true if the timer of `cpu` comes no later than the end of a quantum that begins now. If it comes earlier
    /// that does no harm.
    #[inline(always)]
    pub fn timer_ends_quantum(&self, cpu: Cpu, schedule: &Schedule) -> bool {
        self.processors[cpu].timer_within <= schedule.quantum()
    }

    /// A running thread starts to wait. Another one [takes over](Scheduler::take_over) its processor at once.
    #[inline(always)]
    pub fn hand_over(&mut self, from: &mut Thread, waiting: State) -> Cpu {
        let State::Running(cpu) = from.state else { panic!("a thread hands over a processor that it has not") };
        from.state = waiting;
        cpu
    }

    /// The second half of a direct switch: `next` runs, whose wait has just ended, who would be chosen, and whose quantum
    /// the timer ends. The two halves are what `withdraw`, `make_ready` and `choose` come to.
    #[inline(always)]
    pub fn take_over(&mut self, cpu: Cpu, id: ThreadId, next: &mut Thread, now: Stamp) {
        next.state = State::Running(cpu);
        next.schedule.quantum_left = next.schedule.quantum();
        let processor = &mut self.processors[cpu];
        (processor.current, processor.since, processor.first_slice) = (Some(id), Since::Stamp(now), true);
    }

    /// The current thread of `cpu` gives the processor away: it is ready at level 0 until it is chosen again.
    pub fn give_way(&mut self, threads: &mut Threads, cpu: Cpu, now: Nanos) {
        let (thread, schedule) = self.charge(threads, cpu, now).expect("only a running thread gives way");
        schedule.yielding = true;
        schedule.priority = PRIORITY_IDLE;
        self.processors[cpu].current = None;
        self.enqueue(threads, thread, false);
    }

    /// Gives a thread a new base priority or scheduling mode, and moves it to its new level: to the tail if it is ready.
    /// The next choice takes the change into account.
    pub fn set_base(&mut self, threads: &mut Threads, thread: ThreadId, base: u8, timeshare: bool) {
        let schedule = &mut threads[thread].schedule;
        (schedule.base, schedule.timeshare) = (base, timeshare);
        schedule.quantum_left = schedule.quantum_left.min(schedule.quantum());
        self.move_to_level(threads, thread);
    }

    /// Starts or ends a thread's depression.
    pub fn set_depressed(&mut self, threads: &mut Threads, thread: ThreadId, depressed: bool) {
        threads[thread].schedule.depressed = depressed;
        self.changed = true;
        self.move_to_level(threads, thread);
    }

    fn move_to_level(&mut self, threads: &mut Threads, thread: ThreadId) {
        let Thread { schedule, state, .. } = &mut threads[thread];
        let level = schedule.level();
        let before = core::mem::replace(&mut schedule.priority, level);
        if level == before {
            return;
        }
        let ready = matches!(state, State::Ready);
        if ready {
            self.dequeue(threads, thread, usize::from(before));
        }
        self.changed = true;
        if ready {
            self.enqueue(threads, thread, false);
        }
    }

    /// When `cpu` must next enter the kernel by itself: at the end of its thread's quantum or at the earliest deadline,
    /// unless its timer is set early enough already.
    #[inline]
    pub fn timer_to_set(&mut self, threads: &Threads, cpu: Cpu, earliest: Nanos) -> Option<Nanos> {
        let since = self.since(cpu);
        let processor = &mut self.processors[cpu];
        let wanted = match processor.current {
            Some(thread) => earliest.min(since + threads[thread].schedule.quantum_left),
            None => earliest,
        };
        if wanted == Nanos::MAX || processor.timer.is_some_and(|set| set <= wanted) {
            return None;
        }
        // The current thread's time began before now, so that is no less than what is left.
        processor.timer_within = wanted.saturating_sub(since);
        processor.timer = Some(wanted);
        Some(wanted)
    }

    /// Panics unless queue, bitmap and threads agree.
    pub fn check(&self, threads: &Threads) {
        let mut ready = 0;
        for (level, queue) in self.levels.iter().enumerate() {
            assert_eq!(self.occupied.contains(level), !queue.is_empty(), "the bitmap is wrong about level {level}");
            for thread in queue.iter(threads) {
                assert!(matches!(threads[thread].state, State::Ready), "{thread:?} is queued but not ready");
                assert_eq!(usize::from(threads[thread].schedule.priority), level, "{thread:?} is on the wrong level");
                ready += 1;
            }
        }
        let mut running = 0;
        for (id, thread) in threads.iter() {
            match thread.state {
                State::Ready => ready -= 1,
                State::Running(cpu) => {
                    assert_eq!(self.processors[cpu].current, Some(id), "{id:?} thinks it runs");
                    running += 1;
                }
                _ => {}
            }
            assert_eq!(thread.schedule.priority, thread.schedule.level(), "{id:?} has the level it should have");
        }
        assert_eq!(ready, 0, "every ready thread is queued once");
        let current = self.processors.iter().filter(|processor| processor.current.is_some()).count();
        assert_eq!(running, current, "every processor's thread knows that it runs");
    }
}
