//! Messages to task control ports about the task itself (mach-ipc 5.5).

use super::{Answer, KernelObject, Reply};
use crate::ids::MessageId;
use crate::ids::PortId;
use crate::ids::TaskId;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use abi::KernReturn;
use abi::code::*;
use abi::mig::task::*;
use abi::port::Disposition;
use abi::task::*;

impl Kernel {
    /// Makes a call on a task. A task has no voucher: the calls about it do nothing (vouchers 4.10).
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` and `MIG_TYPE_ERROR`; `KERN_INVALID_ARGUMENT`, or
    /// `KERN_FAILURE` for the special ports of a task that has ended, or `KERN_INVALID_TASK` for its voucher, if
    /// `object` is not a task that may be controlled; those of the call.
    pub(super) fn serve_task(&mut self, object: KernelObject, id: i32, message: MessageId) -> Answer {
        match id {
            TERMINATE => {
                self.ipc.request_is_empty(message)?;
                let task = self.task_behind(object).ok_or(KERN_INVALID_ARGUMENT)?;
                self.end_task(task, ExitStatus::TERMINATED);
                Ok(Reply::none())
            }
            GET_SPECIAL_PORT => {
                let [which] = self.ipc.request_arguments(message, 0)?;
                let task = self.task_for_special_port(object)?;
                self.get_special_port(task, which)
            }
            SET_SPECIAL_PORT => {
                let [which] = self.ipc.request_arguments(message, 1)?;
                self.ipc.check_send_rights(message)?;
                let task = self.task_for_special_port(object)?;
                self.set_special_port(task, which, message)
            }
            GET_MACH_VOUCHER => {
                let [_which] = self.ipc.request_arguments(message, 0)?;
                self.task_behind(object).ok_or(KERN_INVALID_TASK)?;
                Ok(Reply::Port(Carried::Null, Disposition::PORT_SEND))
            }
            SET_MACH_VOUCHER => {
                self.ipc.request_is_send_rights(message, 1)?;
                self.task_behind(object).ok_or(KERN_INVALID_TASK)?;
                Ok(Reply::none())
            }
            SWAP_MACH_VOUCHER => {
                self.ipc.request_is_send_rights(message, 2)?;
                Err(KERN_NOT_SUPPORTED)
            }
            POLICY_SET | POLICY_GET => self.serve_task_policy(object, id, message),
            _ => Err(MIG_BAD_ID),
        }
    }

    fn task_for_special_port(&self, object: KernelObject) -> Result<TaskId, KernReturn> {
        match object {
            KernelObject::Task(_) => self.task_behind(object).ok_or(KERN_FAILURE),
            _ => Err(KERN_INVALID_ARGUMENT),
        }
    }

    /// `task_get_special_port`: answers with a send right to one of a task's special ports.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for an unknown port; `KERN_RESOURCE_SHORTAGE` if the name port cannot be made.
    fn get_special_port(&mut self, task: TaskId, which: u32) -> Answer {
        let port = match which {
            TASK_KERNEL_PORT => self.tasks[task].control_port,
            TASK_HOST_PORT => self.ipc.host_port(),
            TASK_NAME_PORT => self.task_name_port(task)?,
            TASK_BOOTSTRAP_PORT => return Ok(Reply::Port(self.copy_bootstrap(task), Disposition::PORT_SEND)),
            TASK_DEBUG_CONTROL_PORT => return Ok(Reply::Port(self.copy_debug_port(task), Disposition::PORT_SEND)),
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        Ok(Reply::right(Right::Send(self.ipc.make_send(port))))
    }

    /// Returns the name port of a task, by which it can be identified but not controlled. The first call for a task
    /// makes the port.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if the port cannot be made.
    fn task_name_port(&mut self, task: TaskId) -> Result<PortId, KernReturn> {
        if let Some(port) = self.tasks[task].name_port {
            return Ok(port);
        }
        let made = self
            .ipc
            .new_kernel_port(&mut self.step, KernelObject::TaskName(task))
            .map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.tasks[task].name_port = Some(made);
        Ok(made)
    }

    /// `task_set_special_port`: replaces a task's bootstrap port or port for debuggers by the right in the message.
    ///
    /// # Errors
    /// `KERN_NO_ACCESS` for the control and host ports; `KERN_INVALID_ARGUMENT` for other ports; `KERN_INVALID_RIGHT` for
    /// a port whose receive right is immovable, and the right is destroyed.
    fn set_special_port(&mut self, task: TaskId, which: u32, message: MessageId) -> Answer {
        match which {
            TASK_KERNEL_PORT | TASK_HOST_PORT => return Err(KERN_NO_ACCESS),
            TASK_BOOTSTRAP_PORT | TASK_DEBUG_CONTROL_PORT => {}
            _ => return Err(KERN_INVALID_ARGUMENT),
        }
        let port = self.ipc.take_request_right(message);
        if port.port().and_then(|port| self.ipc.live_port(port)).is_some_and(|port| port.guard().immovable) {
            self.ipc.destroy_carried(&mut self.step, port);
            return Err(KERN_INVALID_RIGHT);
        }
        let record = &mut self.tasks[task];
        let place = if which == TASK_BOOTSTRAP_PORT { &mut record.bootstrap } else { &mut record.debug_port };
        let old = core::mem::replace(place, port);
        self.ipc.destroy_carried(&mut self.step, old);
        Ok(Reply::none())
    }
}
