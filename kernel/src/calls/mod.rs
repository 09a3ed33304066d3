//! The calls that programs make: traps, messages to kernel objects, and starting programs.

pub(crate) mod kobject;
pub(crate) mod spawn;
mod stack;
pub(crate) mod traps;

use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Fault, Machine, UserAddr};
use crate::vouchers::Client;
use abi::KernReturn;
use abi::code::KERN_MEMORY_ERROR;
use voucher::CallingTask;

/// Returns the return code for an argument or result in user memory that cannot be accessed (mach-ipc 2.0).
pub(crate) fn memory_error(_: Fault) -> KernReturn {
    KERN_MEMORY_ERROR
}

/// Writes a result into the caller's memory.
///
/// # Errors
/// `KERN_MEMORY_ERROR` if it cannot be written. The call's effects stay (mach-ipc 2.0).
pub(crate) fn put_result(
    machine: &mut dyn Machine,
    caller: Context,
    to: UserAddr,
    bytes: &[u8],
) -> Result<(), KernReturn> {
    machine.copy_out(caller.address_space, to, bytes).map_err(memory_error)
}

impl Kernel {
    /// Returns the task of a thread as vouchers know it.
    pub(crate) fn client(&self, thread: Context) -> Client {
        let task = &self.tasks[thread.task];
        Client {
            task: CallingTask {
                task: task.credentials.pid.into(),
                bank: task.bank,
                importance: self.ipc.element_of(thread.space),
            },
            space: thread.space,
        }
    }
}
