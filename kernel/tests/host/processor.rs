//! The processor of a [`World`], which runs whom the test says.

use crate::world::World;
use kernel::invariants::check_all;
use kernel::kernel::{Event, Kernel, Next, ThreadId};
use kernel::machine::Machine;
use kernel::sched::Schedule;
use kernel::thread::State;

impl World {
    /// Makes the processor run a certain thread, whatever the scheduler thinks: it gets the highest priority until
    /// [`let_go`](World::let_go).
    pub fn run(&mut self, thread: ThreadId) -> Schedule {
        let Kernel { sched, threads, .. } = &mut self.kernel;
        let before = threads[thread].schedule;
        if before.yielding || before.depressed {
            threads[thread].schedule.yielding = false;
            sched.set_depressed(threads, thread, false);
        }
        sched.set_base(threads, thread, 127, false);
        let chosen = sched.choose(threads, 0, self.machine.now());
        assert_eq!(chosen, Some(thread), "a ready thread of the highest priority is chosen");
        before
    }

    /// Gives a thread that [`run`](World::run) chose its own priority again.
    pub fn let_go(&mut self, thread: ThreadId, before: Schedule) {
        let Kernel { sched, threads, .. } = &mut self.kernel;
        if threads.contains(thread) {
            sched.set_base(threads, thread, before.base, before.timeshare);
            sched.set_depressed(threads, thread, before.depressed);
            threads[thread].schedule.quantum_left = before.quantum_left;
        }
    }

    /// Lets the scheduler agree that a thread runs, if no other has a higher priority, so that a trap which changes nothing
    /// ends on the short way, as it does on the machine.
    pub fn settle_choice(&mut self, thread: ThreadId) {
        if self.kernel.anything_to_reap() {
            return;
        }
        let Kernel { sched, threads, .. } = &mut self.kernel;
        let priority = threads[thread].schedule.priority;
        let goes_first = |other: &State, level| matches!(other, State::Ready) && level > priority;
        if !threads.iter().any(|(_, other)| goes_first(&other.state, other.schedule.priority)) {
            let chosen = sched.choose(threads, 0, self.machine.now());
            assert_eq!(chosen, Some(thread), "an equal does not take the processor from it");
        }
    }

    /// One event on the processor.
    pub fn event(&mut self, event: Event) -> Next {
        let next = self.kernel.handle(&mut self.machine, 0, event);
        if self.checked {
            check_all(&self.kernel);
        }
        next
    }
}
