//! The processor of a [`World`]. It runs the thread that the test chooses.

use crate::world::World;
use kernel::ids::ThreadId;
use kernel::inspect::invariants::check_all;
use kernel::kernel::{Event, Kernel, Next};
use kernel::machine::Machine;
use kernel::sched::schedule::Schedule;
use kernel::sched::thread::{State, Thread};

impl World {
    /// Makes the processor run `thread`: gives it the highest priority until
    /// [`restore_schedule`](World::restore_schedule), and returns its own schedule.
    pub fn run(&mut self, thread: ThreadId) -> Schedule {
        let Kernel { sched, step, .. } = &mut self.kernel;
        let before = *sched[thread].schedule();
        let forced = Schedule { base: 127, timeshare: false, floor: before.floor, ..Schedule::with_base(127) };
        sched.force_schedule(step, thread, forced);
        let chosen = sched.choose(step, 0, self.machine.stamp());
        assert_eq!(chosen, Some(thread), "a ready thread of the highest priority is chosen");
        before
    }

    /// Gives a thread that [`run`](World::run) chose its own schedule again.
    pub fn restore_schedule(&mut self, thread: ThreadId, before: Schedule) {
        let Kernel { sched, step, .. } = &mut self.kernel;
        if sched.contains(thread) {
            let floor = sched[thread].schedule().floor;
            sched.force_schedule(step, thread, Schedule { yielding: false, floor, ..before });
            self.refresh_push(thread);
        }
    }

    /// Lets a thread whose base priority was forced push with that, if it pushes.
    pub fn refresh_push(&mut self, thread: ThreadId) {
        let Kernel { ipc, sched, step, .. } = &mut self.kernel;
        if sched[thread].push().port().is_some() {
            ipc.refresh_push(sched, step, thread);
            self.kernel.apply_policy_changes();
        }
    }

    /// Lets the scheduler choose `thread` itself unless another thread has a higher priority. A trap that changes
    /// nothing then takes the fast exit, as on the hardware.
    pub fn settle_choice(&mut self, thread: ThreadId) {
        if self.kernel.step.has_background_work() {
            return;
        }
        let Kernel { sched, step, .. } = &mut self.kernel;
        let priority = sched[thread].schedule().priority;
        let goes_first = |other: &Thread| matches!(other.state(), State::Ready) && other.schedule().priority > priority;
        if !sched.iter().any(|(_, other)| goes_first(other)) {
            let chosen = sched.choose(step, 0, self.machine.stamp());
            step.settled();
            assert_eq!(chosen, Some(thread), "a thread of equal priority does not preempt it");
        }
    }

    /// Lets background work wait until [`background_turn`](World::background_turn) or [`settle`](World::settle) does it: a
    /// thread of init's that is always ready goes before it.
    pub fn hold_background(&mut self) {
        self.set_base(self.init.thread, 126, true);
    }

    /// Does a slice of the background work.
    pub fn background_turn(&mut self) {
        self.kernel.background_turn(&mut self.machine, 0);
        if self.checked {
            check_all(&self.kernel);
        }
    }

    /// Handles one event, and checks all invariants afterwards if the world is `checked`.
    pub fn event(&mut self, event: Event) -> Next {
        let next = self.kernel.handle(&mut self.machine, 0, event);
        if self.checked {
            check_all(&self.kernel);
        }
        next
    }
}
