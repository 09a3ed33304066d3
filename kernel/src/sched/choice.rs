//! The choice of the thread that a processor runs (importance 8.6, mandatory part).
//!
//! There are 128 levels. The first thread of the highest level that is not empty runs, for a quantum of 10 ms. A thread
//! that is preempted goes back to the head of its level with the rest of its quantum, a thread whose quantum has ended
//! to the tail with a new one. At each level the coalitions take turns (`turn.rs`).

use super::Scheduling;
use super::run_queue::End;
use super::schedule::{PRIORITY_IDLE, QUANTUM, Schedule};
use super::thread::{State, Thread};
use super::timer::TimerKind;
use crate::ids::ThreadId;
use crate::machine::{Cpu, Nanos, Stamp};
use crate::outcome::Outcome;
use crate::step::Step;
use crate::trace::Event;
use abi::event::kind;

/// The least rest of a quantum. A preempted thread with less is treated as if its quantum had ended.
const QUANTUM_REST_MIN: Nanos = 250_000;

/// The number of threads that one timer interrupt looks at to find those that have yielded for long enough.
const YIELDS_PER_TICK: usize = 64;

/// One processor.
#[derive(Debug)]
pub(super) struct Processor {
    /// The thread whose registers the processor holds, or held when it entered the kernel.
    pub(super) current: Option<ThreadId>,
    /// The moment from which on the processor's time has not been charged to a thread. It is a stamp, because most
    /// threads block before a time is needed.
    pub(super) since: Stamp,
    /// The current thread has not used a whole quantum since it was chosen, so that equals do not preempt it.
    first_slice: bool,
    /// The deadline that the processor's timer is set to; the longest time if it is not set.
    timer: Nanos,
    /// An upper bound of the time until the timer comes, since it was set; `Nanos::MAX` if it is not set.
    timer_within: Nanos,
}

impl Processor {
    pub(super) const fn new() -> Processor {
        let (current, since, first_slice) = (None, Stamp(0), false);
        Processor { current, since, first_slice, timer: Nanos::MAX, timer_within: Nanos::MAX }
    }
}

impl Scheduling {
    /// Returns the thread that runs on `cpu`, or that entered the kernel there.
    #[inline(always)]
    pub fn current(&self, cpu: Cpu) -> Option<ThreadId> {
        self.processors[cpu].current
    }

    /// Returns true if any thread is ready.
    #[inline(always)]
    pub fn anyone_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Makes a thread ready at one end of its level.
    #[inline]
    fn enqueue(&mut self, step: &mut Step, thread: ThreadId, end: End) {
        self.ready.add(&mut self.threads, thread, end);
        step.choose_again();
    }

    /// Makes a thread that was neither ready nor running ready: behind its equals, with a new quantum.
    #[inline]
    pub(super) fn make_ready(&mut self, step: &mut Step, thread: ThreadId) {
        let schedule = &mut self.threads[thread].schedule;
        schedule.quantum_left = schedule.quantum;
        self.enqueue(step, thread, End::Tail);
    }

    /// Takes a thread off the run queue if it is ready, or off its processor if it is running, and gives it another
    /// state.
    #[inline]
    pub(super) fn withdraw(&mut self, step: &mut Step, thread: ThreadId, state: State) {
        let before = core::mem::replace(&mut self.threads[thread].state, state);
        match before {
            State::Ready => {
                let level = usize::from(self.threads[thread].schedule.priority);
                self.ready.remove(&mut self.threads, thread, level);
            }
            State::Running(cpu) => self.processors[cpu].current = None,
            State::Suspended | State::Waiting(_) => {}
        }
        step.choose_again();
    }

    /// Charges the time of `cpu` since the last charge to the thread that has the processor, or had it in this step: it
    /// is processor time of that thread, and goes off its quantum if it still has the processor. Without such a thread
    /// the time is nobody's.
    #[inline(always)]
    pub fn charge(&mut self, cpu: Cpu, thread: Option<ThreadId>, now: Stamp) {
        let Scheduling { processors, threads, clock, ready, .. } = self;
        let Processor { since, current, .. } = &mut processors[cpu];
        let before = core::mem::replace(since, now);
        let Some((id, thread)) = thread.and_then(|id| Some((id, threads.get_mut(id)?))) else { return };
        thread.run_time.add(now.since(before));
        let contested = ready.is_contested(usize::from(thread.schedule.priority));
        if *current == Some(id) || contested {
            // The difference of two times, so that a quantum whose timer has come has ended.
            let ran = clock.time_of(now).saturating_sub(clock.time_of(before));
            thread.schedule.quantum_left = thread.schedule.quantum_left.saturating_sub(ran);
            if contested {
                if *current == Some(id) {
                    ready.enter_turn(thread, usize::from(thread.schedule.priority));
                }
                ready.charge_turn(thread, ran);
            }
        }
    }

    /// Charges the current thread of `cpu`, and returns it, if there is one.
    #[inline]
    fn charge_current(&mut self, cpu: Cpu, now: Stamp) -> Option<(ThreadId, &mut Schedule)> {
        let id = self.processors[cpu].current?;
        self.charge(cpu, Some(id), now);
        Some((id, &mut self.threads[id].schedule))
    }

    /// Takes the processor for the background work, if its level is higher than that of the current thread and of all
    /// ready ones, or the same and it is its turn. Returns true if it has the processor.
    #[inline]
    pub fn choose_background(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) -> bool {
        self.ready.work_level().is_some_and(|level| self.take_for_background(step, cpu, level, now))
    }

    fn take_for_background(&mut self, step: &mut Step, cpu: Cpu, level: usize, now: Stamp) -> bool {
        let own = self.processors[cpu].current.map(|thread| usize::from(self.threads[thread].schedule.priority));
        let has_equals = own == Some(level) || self.ready.is_occupied(level);
        let waits = has_equals && !self.background.has_turn(self.clock.time_of(now));
        if waits || own.max(self.ready.highest()) > Some(level) {
            return false;
        }
        self.preempt(step, cpu, now);
        self.processors[cpu].since = now;
        true
    }

    /// Preempts the current thread of `cpu`, if there is one.
    fn preempt(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) {
        if let Some((thread, _)) = self.charge_current(cpu, now) {
            self.put_back(step, cpu, thread);
        }
    }

    /// Makes the current thread of `cpu`, which has been charged, ready at the head of its level with the rest of its
    /// quantum, or at the tail if the rest is too short.
    fn put_back(&mut self, step: &mut Step, cpu: Cpu, thread: ThreadId) {
        let schedule = &mut self.threads[thread].schedule;
        let used_up = schedule.quantum_left < QUANTUM_REST_MIN;
        if used_up {
            schedule.quantum_left += schedule.quantum;
        }
        self.processors[cpu].current = None;
        self.enqueue(step, thread, if used_up { End::Tail } else { End::Head });
    }

    /// Charges the current thread of `cpu`, whose timer has come. If its quantum has ended, the thread gets a new one,
    /// and goes behind the other threads of its level if a thread of this level or a higher one is ready.
    pub fn tick(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) {
        (self.processors[cpu].timer, self.processors[cpu].timer_within) = (Nanos::MAX, Nanos::MAX);
        step.choose_again();
        self.end_yields(step, self.clock.time_of(now));
        let Some((thread, schedule)) = self.charge_current(cpu, now) else { return };
        let (priority, used_up) = (usize::from(schedule.priority), schedule.quantum_left == 0);
        if used_up {
            schedule.quantum_left = schedule.quantum;
            self.processors[cpu].first_slice = false;
        }
        if self.left_in_turn(cpu) == Some(0) {
            self.ready.end_turn(priority);
            if !used_up {
                return self.put_back(step, cpu, thread);
            }
        }
        if !used_up {
            return;
        }
        if self.ready.highest() >= Some(priority) {
            self.processors[cpu].current = None;
            self.enqueue(step, thread, End::Tail);
        }
    }

    /// Lets the threads that have yielded for a quantum go back to their levels, so that a thread of a lower level that
    /// spins does not keep them from running (errata 5).
    ///
    /// A yield needs no timer of its own for this: whenever a thread runs, the timer comes at the end of its quantum or
    /// earlier, which is at most a quantum after the yield of any other. What is not due then is looked for at its time.
    fn end_yields(&mut self, step: &mut Step, now: Nanos) {
        for _ in 0..YIELDS_PER_TICK {
            let Some(thread) = self.ready.first_not_passed(&self.threads) else {
                self.yield_deadline = Nanos::MAX;
                return;
            };
            let schedule = &mut self.threads[thread].schedule;
            let end = schedule.yielded_at.saturating_add(QUANTUM);
            if schedule.yielding && end > now {
                self.yield_deadline = end;
                return;
            }
            schedule.yielding = false;
            if schedule.level() == PRIORITY_IDLE {
                self.ready.pass(thread);
            } else {
                self.move_to_level(step, thread);
            }
        }
        self.yield_deadline = now;
    }

    /// Chooses the thread that `cpu` runs now. The current thread goes on, unless a thread of a higher level is ready,
    /// or one of the same level and the current one has used its first quantum. Returns `None` if no thread can run.
    #[inline]
    pub fn choose(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) -> Option<ThreadId> {
        let ready = self.ready.highest();
        if let Some(thread) = self.processors[cpu].current {
            let priority = usize::from(self.threads[thread].schedule.priority);
            let preempted =
                ready.is_some_and(|level| level > priority || (level == priority && !self.processors[cpu].first_slice));
            if !preempted {
                return Some(thread);
            }
        }
        let level = ready?;
        let contested = self.ready.is_contested_anywhere();
        let heir = if contested { self.ready.pop_heir(&mut self.threads, level) } else { None };
        let in_turn = heir.or_else(|| self.ready.pop_in_turn(&mut self.threads, level));
        let thread = in_turn.or_else(|| self.ready.pop_of_others(&mut self.threads, level));
        let thread = thread.expect("an occupied level has a thread");
        // Not earlier: a preempted thread goes to the head of its level, from which the chosen one may come.
        if let Some(preempted) = self.processors[cpu].current {
            let threads = &self.threads;
            step.trace.record(move || {
                Event::new(kind::THREAD_PREEMPTED, [preempted, thread].map(|thread| threads[thread].number))
            });
        }
        self.preempt(step, cpu, now);
        let chosen = &*self.start(cpu, thread, now);
        step.trace.record(move || Event::new(kind::THREAD_CHOSEN, [chosen.number, chosen.schedule.priority.into()]));
        Some(thread)
    }

    /// Lets a thread that was taken off the run queue run on a processor without a current thread.
    #[inline(always)]
    fn start(&mut self, cpu: Cpu, thread: ThreadId, now: Stamp) -> &mut Thread {
        let chosen = &mut self.threads[thread];
        chosen.state = State::Running(cpu);
        if chosen.schedule.yielding {
            chosen.schedule.yielding = false;
            chosen.schedule.priority = chosen.schedule.level();
        } else {
            self.ready.enter_turn(chosen, usize::from(chosen.schedule.priority));
            self.ready.forget_passed(thread);
        }
        let processor = &mut self.processors[cpu];
        (processor.current, processor.since, processor.first_slice) = (Some(thread), now, true);
        chosen
    }

    /// Returns true if a waiting thread, if it became ready, would be chosen when the current thread blocks, because all
    /// ready ones are of lower levels.
    #[inline(always)]
    pub fn would_run_next(&self, thread: &Thread) -> bool {
        self.ready.is_empty() || self.ready.highest() < Some(usize::from(thread.schedule.priority))
    }

    /// Returns true if a waiting thread, if the current thread of `cpu` made it ready and blocked, would be chosen because it
    /// goes on in the turn of that one, although there are ready threads of the same level. The current thread is charged.
    #[inline(never)]
    pub fn lets_go_on(&mut self, cpu: Cpu, thread: ThreadId, now: Stamp) -> bool {
        let Processor { current: Some(current), first_slice: true, .. } = self.processors[cpu] else { return false };
        let level = usize::from(self.threads[thread].schedule.priority);
        let work_goes_first =
            self.ready.work_level() == Some(level) && self.background.has_turn(self.clock.time_of(now));
        if self.ready.highest() != Some(level) || work_goes_first {
            return false;
        }
        self.charge(cpu, Some(current), now);
        self.ready.lets_go_on(&self.threads[current], &self.threads[thread])
    }

    /// Lets a thread that a running one has just woken go on in the turn of that one when it blocks.
    #[inline(always)]
    pub fn hand_on(&mut self, to: ThreadId) {
        if self.ready.is_contested_anywhere() {
            self.hand_on_in_turn(to);
        }
    }

    #[inline(never)]
    fn hand_on_in_turn(&mut self, to: ThreadId) {
        for by in self.processors.iter().filter_map(|processor| processor.current) {
            self.ready.hand_on(&self.threads[by], &self.threads[to]);
        }
    }

    /// Returns the time that is left for the current thread of `cpu` in its turn, if others wait for theirs.
    #[inline(always)]
    fn left_in_turn(&self, cpu: Cpu) -> Option<Nanos> {
        self.ready.left_in_turn(&self.threads[self.processors[cpu].current?])
    }

    /// Returns true if the timer of `cpu` comes at the end of a quantum that begins now, or earlier, which does no
    /// harm.
    #[inline(always)]
    pub fn timer_ends_quantum(&self, cpu: Cpu, schedule: &Schedule) -> bool {
        self.processors[cpu].timer_within <= schedule.quantum
    }

    /// Ends the current thread's time on `cpu`, and begins that of the thread to which the caller switches. Returns the
    /// ticks that are to be charged to the thread that leaves.
    #[inline(always)]
    pub fn begin_switch(&mut self, cpu: Cpu, now: Stamp) -> u64 {
        now.since(core::mem::replace(&mut self.processors[cpu].since, now))
    }

    /// Gives the processor of a thread that blocks to `next`, whose wait has just ended. The caller has checked that
    /// `next` [would be chosen](Scheduling::would_run_next) and that the timer
    /// [comes early enough](Scheduling::timer_ends_quantum), and has [begun](Scheduling::begin_switch) the time of
    /// `next`. The effect is that of `withdraw`, `make_ready` and `choose`.
    #[inline(always)]
    pub(super) fn switch(&mut self, cpu: Cpu, next: ThreadId) -> &mut Thread {
        let processor = &mut self.processors[cpu];
        let thread = &mut self.threads[next];
        thread.state = State::Running(cpu);
        thread.schedule.quantum_left = thread.schedule.quantum;
        (processor.current, processor.first_slice) = (Some(next), true);
        thread
    }

    /// Lets the current thread of `cpu` yield with the result 1 and runs the thread that is chosen then: what
    /// [`yield_now`](Scheduling::yield_now) and [`choose`](Scheduling::choose) come to, and the setting of the timer.
    /// Returns `None`, and changes nothing, if no other thread is ready, or if the one that is chosen has something
    /// left to do in the kernel, or if the timer must be set.
    #[inline]
    pub fn yield_directly(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) -> Option<&mut Thread> {
        let level = self.ready.highest()?;
        // Where coalitions wait for their turns, time has to be charged.
        if self.ready.is_contested_anywhere() {
            return None;
        }
        let next = self.ready.first_in_turn(level)?;
        let chosen = &self.threads[next];
        let time = self.clock.time_of(now);
        let quantum_ends = time + chosen.schedule.quantum_left;
        if chosen.continuation.is_some() || self.processors[cpu].timer > quantum_ends {
            return None;
        }
        let thread = self.processors[cpu].current?;
        self.ready.replace_first(&mut self.threads, level, thread, PRIORITY_IDLE.into());
        let ran = now.since(self.processors[cpu].since);
        let yielding = &mut self.threads[thread];
        yielding.run_time.add(ran);
        if yielding.bill.is_open() {
            step.switched_with_bill(thread);
        }
        let schedule = &mut yielding.schedule;
        schedule.quantum_left = schedule.quantum_left.saturating_sub(self.clock.rate().nanos(ran));
        (yielding.schedule.yielding, yielding.schedule.yielded_at) = (true, time);
        yielding.schedule.priority = PRIORITY_IDLE;
        yielding.state = State::Ready;
        yielding.finish(Outcome::Value(1));
        Some(self.start(cpu, next, now))
    }

    /// Lets the running thread `thread` yield: makes it ready at level 0 until it is chosen again, for at most a quantum.
    pub fn yield_now(&mut self, step: &mut Step, thread: ThreadId, now: Stamp) {
        let State::Running(cpu) = self.threads[thread].state else { panic!("{thread:?} yields but does not run") };
        let time = self.clock.time_of(now);
        let (thread, schedule) = self.charge_current(cpu, now).expect("the processor has a thread");
        (schedule.yielding, schedule.yielded_at) = (true, time);
        schedule.priority = PRIORITY_IDLE;
        self.processors[cpu].current = None;
        self.enqueue(step, thread, End::Tail);
    }

    /// Sets the base priority and the scheduling mode of a thread, and moves it to its new level: to the tail if it is
    /// ready. Its place in a wait queue does not change: see [`requeue`](Scheduling::requeue).
    pub fn set_base(&mut self, step: &mut Step, thread: ThreadId, base: u8, timeshare: bool) {
        let Thread { schedule, number, .. } = &mut self.threads[thread];
        if step.trace.is_on() {
            record_base(step, *number, schedule.base, base);
        }
        schedule.set_base(base, timeshare);
        self.move_to_level(step, thread);
    }

    /// Depresses a thread: it is at level 0 until a point in time.
    pub fn depress(&mut self, step: &mut Step, thread: ThreadId, until: Nanos) {
        self.end_depression(step, thread);
        self.timers.set(&mut self.threads, thread, TimerKind::Depress, until);
        self.set_depressed(step, thread, true);
    }

    /// Ends a thread's depression, if it is depressed.
    pub fn end_depression(&mut self, step: &mut Step, thread: ThreadId) {
        if self.threads[thread].schedule.depressed {
            self.timers.cancel(&mut self.threads, thread, TimerKind::Depress);
            self.set_depressed(step, thread, false);
        }
    }

    /// Starts or ends a thread's depression, whatever its deadline.
    pub fn set_depressed(&mut self, step: &mut Step, thread: ThreadId, depressed: bool) {
        self.threads[thread].schedule.depressed = depressed;
        step.choose_again();
        self.move_to_level(step, thread);
    }

    /// Makes a thread's schedule what tests want it to be, with the level that follows.
    pub fn force_schedule(&mut self, step: &mut Step, thread: ThreadId, schedule: Schedule) {
        let priority = self.threads[thread].schedule.priority;
        self.threads[thread].schedule = Schedule { priority, ..schedule };
        step.choose_again();
        self.move_to_level(step, thread);
    }

    /// Updates the level of a thread, and moves a ready one to the tail of its new level.
    pub(super) fn move_to_level(&mut self, step: &mut Step, thread: ThreadId) {
        let Thread { schedule, state, .. } = &mut self.threads[thread];
        let level = schedule.level();
        let before = core::mem::replace(&mut schedule.priority, level);
        if level == before {
            return;
        }
        let ready = matches!(state, State::Ready);
        if ready {
            self.ready.remove(&mut self.threads, thread, usize::from(before));
        }
        step.choose_again();
        if ready {
            self.enqueue(step, thread, End::Tail);
        }
    }

    /// Returns the time to which the timer of `cpu` has to be set: the end of the current thread's quantum or the
    /// earliest deadline. Returns `None` if it is set early enough.
    #[inline]
    pub fn timer_to_set(&mut self, cpu: Cpu) -> Option<Nanos> {
        let earliest = self.earliest_deadline();
        let since = self.clock.time_of(self.processors[cpu].since);
        let processor = &mut self.processors[cpu];
        let mut wanted = earliest;
        if let Some(thread) = processor.current.map(|thread| &self.threads[thread]) {
            let left = self.ready.left_in_turn(thread).unwrap_or(Nanos::MAX).min(thread.schedule.quantum_left);
            wanted = wanted.min(since.saturating_add(left));
            if self.ready.work_level() == Some(thread.schedule.priority.into()) {
                wanted = wanted.min(self.background.next_turn());
            }
        }
        if processor.timer <= wanted {
            return None;
        }
        let wanted = wanted.min(self.yield_deadline);
        // The current thread's time began before now, so this is an upper bound.
        processor.timer_within = wanted.saturating_sub(since);
        processor.timer = wanted;
        Some(wanted)
    }

    /// Panics unless run queue, processors and threads agree.
    pub(super) fn check_choice(&self) {
        let mut ready = self.ready.check(&self.threads);
        let (mut running, mut raised) = (0, 0);
        for (id, thread) in self.threads.iter() {
            match thread.state {
                State::Ready => ready -= 1,
                State::Running(cpu) => {
                    assert_eq!(self.processors[cpu].current, Some(id), "{id:?} is the current thread of its processor");
                    running += 1;
                }
                State::Suspended | State::Waiting(_) => {}
            }
            let schedule = &thread.schedule;
            assert_eq!(schedule.priority, schedule.level(), "the level of {id:?}");
            assert!(schedule.floor == 0 || thread.continuation.is_some(), "{id:?} is raised without work");
            raised += usize::from(schedule.floor > 0);
            let quantum = Schedule::quantum_for(schedule.base, schedule.timeshare);
            assert_eq!(schedule.quantum, quantum, "the quantum of {id:?}");
        }
        assert_eq!(ready, 0, "every ready thread is queued once");
        assert_eq!(raised, self.background.raised, "threads that are raised because of work");
        let current = self.processors.iter().filter(|processor| processor.current.is_some()).count();
        assert_eq!(running, current, "the current threads of processors are running");
    }
}

/// Records the change of a thread's base priority, if it is one.
#[cold]
fn record_base(step: &mut Step, thread: u64, before: u8, after: u8) {
    if before != after {
        step.trace.record(|| Event::new(kind::PRIORITY_CHANGED, [thread, before.into(), after.into()]));
    }
}
