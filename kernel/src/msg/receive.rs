//! The receive phase of `mach_msg` (mach-ipc 3.9).

use crate::ids::{Context, Receivable};
use crate::kernel::Kernel;
use crate::machine::{Machine, Nanos};
use crate::outcome::Outcome;
use crate::sched::thread::{ReceiveArgs, ReceiveWait, Wait};
use abi::code::*;
use abi::message::MsgOption;

pub(super) const NANOS_PER_MILLI: Nanos = 1_000_000;

/// Returns the time `timeout` milliseconds from now, or `None` for a timeout of 0, with which the call does not wait.
pub(crate) fn deadline_after(timeout: u32, now: impl FnOnce() -> Nanos) -> Option<Nanos> {
    if timeout == 0 { None } else { Some(now().saturating_add(Nanos::from(timeout) * NANOS_PER_MILLI)) }
}

impl Kernel {
    /// Receives a message for the running thread `caller`. Without a message the thread blocks, or gets
    /// `MACH_RCV_TIMED_OUT` if its timeout is 0.
    #[inline]
    pub(crate) fn receive(&mut self, machine: &mut dyn Machine, caller: Context, args: &ReceiveArgs) -> Outcome {
        let Some(object) = self.ipc.receivable(caller.space, args.name) else {
            return Outcome::undelivered(MACH_RCV_INVALID_NAME);
        };
        let outcome = self.receive_from(machine, caller, args, object);
        if outcome != Outcome::Pending {
            self.ipc.receive_ended(&mut self.step, object);
        }
        outcome
    }

    /// Receives a message from a port or set.
    #[inline]
    fn receive_from(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        args: &ReceiveArgs,
        object: Receivable,
    ) -> Outcome {
        let wait = ReceiveWait { object, buffer: args.buffer, size: args.size, options: args.options };
        let ready = match object {
            Receivable::Port(port) => Some(port),
            Receivable::Set(set) => self.ipc.next_ready_member(&mut self.step, set),
        };
        if let Some(port) = ready
            && let Some(head) = self.ipc.port(port).first_message()
        {
            if args.options.contains(MsgOption::RCV_LARGE) && !self.fits(head, &wait) {
                return Outcome::undelivered(self.report_too_large(machine, caller, &wait, head, port));
            }
            let message = self.dequeue(machine, port).expect("the queue has a message");
            return self.deliver(machine, caller, &wait, message, port);
        }
        let deadline = if args.options.contains(MsgOption::RCV_TIMEOUT) {
            deadline_after(args.timeout, || machine.now())
        } else {
            Some(Nanos::MAX)
        };
        match deadline {
            Some(deadline) => {
                let wait = Wait::Receive(wait);
                self.ipc.block(&mut self.sched, &mut self.step, caller.thread, wait, deadline);
                Outcome::Pending
            }
            None => Outcome::undelivered(MACH_RCV_TIMED_OUT),
        }
    }
}
