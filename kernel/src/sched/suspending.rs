//! Suspending and resuming threads.

use super::Scheduling;
use super::thread::{Continuation, State};
use crate::ids::ThreadId;
use crate::step::Step;
use abi::KernReturn;
use abi::code::KERN_FAILURE;

impl Scheduling {
    /// Raises the suspend count of a thread. A ready thread stops at once, a running one when its processor leaves the
    /// kernel. A waiting thread goes on waiting, and stops when its wait ends.
    ///
    /// # Errors
    /// `KERN_FAILURE` if the count would overflow; nothing has changed.
    pub fn suspend(&mut self, step: &mut Step, thread: ThreadId) -> Result<(), KernReturn> {
        let state = &mut self.threads[thread];
        state.suspend_count = state.suspend_count.checked_add(1).ok_or(KERN_FAILURE)?;
        step.look_at_caller();
        if matches!(state.state, State::Ready) {
            self.stop(step, thread);
        }
        Ok(())
    }

    /// Stops a running thread if it was suspended. Called when its processor leaves the kernel.
    pub fn stop_if_suspended(&mut self, step: &mut Step, thread: ThreadId) {
        if self.threads[thread].suspend_count > 0 && self.threads[thread].is_running() {
            self.withdraw(step, thread, State::Suspended);
        }
    }

    /// Stops a ready thread. The work in its continuation becomes background work, because it must not wait until the
    /// thread is resumed.
    fn stop(&mut self, step: &mut Step, thread: ThreadId) {
        self.withdraw(step, thread, State::Suspended);
        let stopped = &mut self.threads[thread];
        if let Some(continuation) = stopped.continuation.take() {
            stopped.continuation = Continuation::rest(continuation.rest);
            let level = stopped.schedule.base.max(stopped.schedule.floor);
            self.drop_floor(step, thread);
            self.give_to_background(step, continuation.work, level);
        }
    }

    /// Stops a thread for ever, because it is about to end: at once if it is ready, or when its wait ends. A running thread
    /// ends when its processor leaves the kernel.
    pub fn stop_for_ever(&mut self, step: &mut Step, thread: ThreadId) {
        if self.end_when_leaving(step, thread) {
            return;
        }
        let stopped = &mut self.threads[thread];
        stopped.ending = true;
        // It may be suspended as often as is possible. It cannot be resumed.
        stopped.suspend_count = stopped.suspend_count.saturating_add(1);
        if matches!(stopped.state, State::Ready) {
            self.stop(step, thread);
        }
    }

    /// Lowers the suspend count of a thread. At 0 a stopped thread becomes ready.
    ///
    /// # Errors
    /// `KERN_FAILURE` if the thread is not suspended; nothing has changed.
    pub fn resume(&mut self, step: &mut Step, thread: ThreadId) -> Result<(), KernReturn> {
        let state = &mut self.threads[thread];
        state.suspend_count = state.suspend_count.checked_sub(1).ok_or(KERN_FAILURE)?;
        state.started |= state.suspend_count == 0;
        if state.suspend_count == 0 && matches!(state.state, State::Suspended) {
            self.make_ready(step, thread);
        }
        Ok(())
    }
}
