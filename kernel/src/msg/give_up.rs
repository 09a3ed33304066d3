//! Waits that end by a timeout or an abort (mach-ipc 3.8, 3.9).

use crate::ids::ThreadId;
use crate::kernel::Kernel;
use crate::outcome::Outcome;
use crate::sched::thread::{Continuation, GiveBack, Rest, Wait, WaitEnd};
use abi::code::*;

impl Kernel {
    /// Ends the wait of a waiting thread and writes the return code for the reason into its registers. A blocked sender
    /// takes its message back itself, when it is chosen.
    pub(crate) fn give_up_wait(&mut self, thread: ThreadId, why: WaitEnd) {
        let timed_out = why == WaitEnd::TimedOut;
        let wait = *self.sched[thread].wait().expect("the thread waits");
        self.ipc.end_wait(&mut self.sched, &mut self.step, thread);
        if let Wait::Receive(receive) = &wait {
            self.ipc.receive_ended(&mut self.step, receive.object);
        }
        let outcome = match wait {
            Wait::Receive(_) if timed_out => Outcome::undelivered(MACH_RCV_TIMED_OUT),
            Wait::Receive(_) => Outcome::undelivered(MACH_RCV_INTERRUPTED),
            Wait::Send(send) => {
                let reason = if timed_out { MACH_SEND_TIMED_OUT } else { MACH_SEND_INTERRUPTED };
                self.sched.set_continuation(thread, Continuation::rest(Rest::GiveBack(GiveBack::of(&send, reason))));
                Outcome::Pending
            }
            Wait::Clock if timed_out => Outcome::Code(KERN_SUCCESS),
            Wait::Clock => Outcome::Code(KERN_ABORTED),
            Wait::Word(_) if timed_out => Outcome::Unix(Err(ETIMEDOUT)),
            Wait::Word(_) | Wait::Input { .. } | Wait::Output { .. } => Outcome::Unix(Err(EINTR)),
        };
        self.sched.finish(thread, outcome);
    }

    /// Aborts the wait of a thread, if it waits, and its depression.
    pub(crate) fn abort_thread(&mut self, thread: ThreadId) {
        if self.sched[thread].is_waiting() {
            self.give_up_wait(thread, WaitEnd::Aborted);
        }
        self.sched.end_depression(&mut self.step, thread);
    }
}
