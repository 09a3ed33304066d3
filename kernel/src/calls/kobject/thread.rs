//! Messages to thread control ports (mach-ipc 7.4).

use super::{Answer, KernelObject, Reply};
use crate::ids::MessageId;
use crate::kernel::Kernel;
use crate::machine::Machine;
use abi::code::*;
use abi::mig::thread_act::*;

impl Kernel {
    /// Makes a call on a thread.
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` if the message has arguments; `KERN_INVALID_ARGUMENT` if
    /// `object` is not a thread or the thread has ended; those of the call.
    pub(super) fn serve_thread(
        &mut self,
        machine: &mut dyn Machine,
        object: KernelObject,
        id: i32,
        message: MessageId,
    ) -> Answer {
        if !matches!(id, TERMINATE | SUSPEND | RESUME | ABORT) {
            return Err(MIG_BAD_ID);
        }
        self.ipc.request_is_empty(message)?;
        let thread = match object {
            KernelObject::Thread(thread) if self.sched.contains(thread) => thread,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        match id {
            TERMINATE => self.terminate_thread(thread),
            SUSPEND => self.sched.suspend(&mut self.step, thread)?,
            RESUME => self.sched.resume(&mut self.step, thread)?,
            _ => self.abort_thread(machine, thread),
        }
        Ok(Reply::none())
    }
}
