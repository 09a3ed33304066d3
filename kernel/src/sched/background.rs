//! The background work as the scheduler sees it.
//!
//! Work whose cause has ended, most of it what dead tasks leave, is done as by a thread: it has a level, and threads of
//! higher levels go before it. So nobody's trap does it, and neither does it wait for a machine that has nothing else to do.
//! Its level is that of the most urgent of its causes and of the threads that wait for it (`work.rs`). Threads of the same
//! level have three quarters of the time, in turns that are short, because they have not asked for the work.
//!
//! A thread that does work which its own trap has left is raised to the level of the most urgent thread that waits for it
//! ([`Schedule::floor`](super::schedule::Schedule)).

use super::Scheduling;
use super::schedule::PRIORITY_IDLE;
use crate::ids::ThreadId;
use crate::limits::BACKGROUND_TURN;
use crate::machine::{Cpu, Nanos, Stamp};
use crate::policy::MAXPRI_USER;
use crate::step::Step;
use store::NodeList;

/// How much more time threads of the same level have than the work.
const THREADS_SHARE: Nanos = 3;

/// The background work.
#[derive(Debug, Default)]
pub(super) struct Background {
    /// How long the present turn has taken.
    ran: Nanos,
    /// When the next turn begins, if there are threads of the same level.
    next_turn: Nanos,
    /// The number of threads that are raised.
    pub(super) raised: usize,
}

impl Background {
    /// Returns true if the work goes before threads of the same level now.
    pub(super) fn has_turn(&self, now: Nanos) -> bool {
        self.next_turn <= now
    }

    /// Returns when the next turn begins.
    pub(super) fn next_turn(&self) -> Nanos {
        self.next_turn
    }
}

impl Scheduling {
    /// Makes work background work, at this level at least, but not above the highest priority that a program can get.
    pub(super) fn give_to_background(&mut self, step: &mut Step, work: NodeList, level: u8) {
        if !work.is_empty() {
            step.add_background(work);
            self.raise_background(step, level.min(MAXPRI_USER));
        }
    }

    /// Raises the background work to a level, if it is below that. There must be background work, or some of it that is
    /// being done.
    pub fn raise_background(&mut self, step: &mut Step, level: u8) {
        // Above threads that yield, which take turns without looking for other work at their level.
        let level = level.max(PRIORITY_IDLE + 1);
        if self.ready.work_level() < Some(level.into()) {
            self.ready.place_work(Some(level.into()));
            step.choose_again();
        }
    }

    /// Takes note that a slice of the background work has been done, in the time of `cpu` that nobody was charged with.
    pub fn background_ran(&mut self, step: &mut Step, cpu: Cpu, now: Stamp) {
        let now_time = self.clock.time_of(now);
        let Background { ran, next_turn, .. } = &mut self.background;
        *ran += now_time.saturating_sub(self.clock.time_of(self.processors[cpu].since));
        if *ran >= BACKGROUND_TURN {
            *next_turn = now_time.saturating_add(core::mem::take(ran).saturating_mul(THREADS_SHARE));
        }
        self.processors[cpu].since = now;
        if !step.has_background_work() {
            self.ready.place_work(None);
        }
    }

    /// Raises a thread that has work in its continuation to a level, if it is below that.
    pub(super) fn raise_floor(&mut self, step: &mut Step, thread: ThreadId, level: u8) {
        let schedule = &mut self.threads[thread].schedule;
        if level > schedule.level() {
            self.background.raised += usize::from(schedule.floor == 0);
            schedule.floor = level;
            self.move_to_level(step, thread);
        }
    }

    /// Takes note that a thread has no work in its continuation any more. Returns true if it was raised because of that
    /// work.
    #[inline]
    pub fn drop_floor(&mut self, step: &mut Step, thread: ThreadId) -> bool {
        let raised = self.threads[thread].schedule.floor > 0;
        if raised {
            self.threads[thread].schedule.floor = 0;
            self.background.raised -= 1;
            self.move_to_level(step, thread);
        }
        raised
    }

    /// Returns true if any thread is raised because of work.
    #[inline(always)]
    pub fn has_raised(&self) -> bool {
        self.background.raised > 0
    }
}
