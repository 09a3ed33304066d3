//! Messages to thread control ports (mach-ipc 7.4, vouchers 4.11).

use super::{Answer, KernelObject, Reply};
use crate::ids::{Context, MessageId, ThreadId, VoucherId};
use crate::kernel::Kernel;
use crate::machine::{Machine, NoMemory};
use abi::KernReturn;
use abi::code::*;
use abi::mig::thread_act::*;
use abi::port::{Disposition, MACH_PORT_NULL};

impl Kernel {
    /// Makes a call on a thread.
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` and `MIG_TYPE_ERROR` if the message has other arguments;
    /// `KERN_INVALID_ARGUMENT` if `object` is not a thread or the thread has ended; those of the call.
    pub(super) fn serve_thread(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        object: KernelObject,
        id: i32,
        message: MessageId,
    ) -> Answer {
        match id {
            TERMINATE | SUSPEND | RESUME | ABORT => self.ipc.request_is_empty(message)?,
            GET_MACH_VOUCHER => {
                let [_which] = self.ipc.request_arguments(message, 0)?;
            }
            SET_MACH_VOUCHER => self.ipc.request_is_send_rights(message, 1)?,
            SWAP_MACH_VOUCHER => {
                self.ipc.request_is_send_rights(message, 2)?;
                // The rights in the message end with it, each once (vouchers 8, V6).
                return Err(KERN_NOT_SUPPORTED);
            }
            _ => return Err(MIG_BAD_ID),
        }
        let thread = match object {
            KernelObject::Thread(thread) if self.sched.get(thread).is_some_and(|thread| !thread.is_ending()) => thread,
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        match id {
            TERMINATE => self.terminate_thread(thread),
            SUSPEND => self.sched.suspend(&mut self.step, thread)?,
            RESUME => self.sched.resume(&mut self.step, thread)?,
            GET_MACH_VOUCHER => return self.get_thread_voucher(thread),
            SET_MACH_VOUCHER => {
                let voucher = self.ipc.request_voucher(message);
                self.set_thread_voucher(machine, caller, thread, voucher)?;
            }
            _ => self.abort_thread(thread),
        }
        Ok(Reply::none())
    }

    /// `thread_get_mach_voucher`: answers with a send right to the voucher that a thread has adopted, or null.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out.
    fn get_thread_voucher(&mut self, thread: ThreadId) -> Answer {
        let Kernel { ipc, sched, step, vouchers, .. } = self;
        let right = match sched[thread].voucher() {
            Some(voucher) => {
                let budget = ipc.space(sched[thread].context().space).budget();
                let copied = vouchers.retain(voucher).and_then(|()| vouchers.send_right(ipc, step, budget, voucher));
                Some(copied.map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)?)
            }
            None => None,
        };
        Ok(Reply::Port(right.into(), Disposition::PORT_SEND))
    }

    /// `thread_set_mach_voucher`: lets a thread adopt a voucher, or none, without a name (vouchers 4.12).
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the thread is not the caller and has started; `KERN_RESOURCE_SHORTAGE` if the
    /// voucher has too many references. The thread keeps its voucher then.
    fn set_thread_voucher(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        thread: ThreadId,
        voucher: Option<VoucherId>,
    ) -> Result<(), KernReturn> {
        if thread != caller.thread && self.sched[thread].has_started() {
            return Err(KERN_INVALID_ARGUMENT);
        }
        if let Some(voucher) = voucher {
            self.vouchers.retain(voucher).map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)?;
        }
        self.adopt_voucher(machine, thread, voucher, MACH_PORT_NULL);
        Ok(())
    }
}
