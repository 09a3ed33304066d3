//! Messages to thread ports (mach-ipc 7.4).

use super::{Answer, KernelObject, Reply};
use crate::ipc::message::MessageId;
use crate::ipc::port::PortId;
use crate::kernel::Kernel;
use crate::machine::{Machine, NoMemory};
use crate::thread::ThreadId;
use abi::code::*;
use abi::mig::thread_act::*;

impl Kernel {
    pub(super) fn serve_thread(
        &mut self,
        m: &mut dyn Machine,
        object: KernelObject,
        id: i32,
        message: MessageId,
    ) -> Answer {
        if !matches!(id, TERMINATE | SUSPEND | RESUME | ABORT) {
            return Err(MIG_BAD_ID);
        }
        self.request_is_empty(message)?;
        let thread = match object {
            KernelObject::Thread(thread) if self.threads.contains(thread) => thread,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        match id {
            TERMINATE => self.doom_thread(thread),
            SUSPEND => self.suspend_thread(thread)?,
            RESUME => self.resume_thread(thread)?,
            _ => self.abort_thread(m, thread),
        }
        Ok(Reply::none())
    }

    /// A thread's control port.
    ///
    /// # Errors
    /// [`NoMemory`] if it must be made and there is none.
    pub(crate) fn thread_control_port(&mut self, thread: ThreadId) -> Result<PortId, NoMemory> {
        if let Some(port) = self.threads[thread].control_port {
            return Ok(port);
        }
        let made = self.new_kernel_port(KernelObject::Thread(thread))?;
        self.threads[thread].control_port = Some(made);
        Ok(made)
    }
}
