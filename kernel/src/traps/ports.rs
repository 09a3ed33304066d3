//! The traps of `mach_port`, for the caller's own task (mach-ipc 2, 7.2), and those that return the caller's own ports.

use super::{Caller, memory_error};
use crate::ipc::copyin::Dead;
use crate::ipc::port::PortId;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::kobject::KernelObject;
use crate::machine::{Machine, UserAddr};
use abi::code::*;
use abi::port::*;
use abi::{KernReturn, PortName};
use zerocopy::{FromZeros, IntoBytes};

/// What `mach_port_request_notification` asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotificationRequest {
    pub name: PortName,
    pub message_id: i32,
    pub sync: u32,
}

impl Kernel {
    /// The target of a trap must be the caller's own task; others are reached by message (mach-ipc 2.0).
    pub(super) fn require_self(&mut self, by: Caller, target: PortName) -> Result<(), KernReturn> {
        match self.object_named(by.task, target) {
            Some(KernelObject::Task(task)) if task == by.task => Ok(()),
            _ => Err(MACH_SEND_INVALID_DEST),
        }
    }

    /// Writes a result. What was done stays done if that fails (mach-ipc 2.0).
    pub(crate) fn put_result(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        to: UserAddr,
        bytes: &[u8],
    ) -> Result<(), KernReturn> {
        m.copy_out(by.address_space, to, bytes).map_err(memory_error)
    }

    pub(super) fn mach_reply_port(&mut self, by: Caller) -> PortName {
        self.port_allocate(by.task, MACH_PORT_RIGHT_RECEIVE).unwrap_or(MACH_PORT_NULL)
    }

    pub(super) fn thread_self(&mut self, m: &mut dyn Machine, by: Caller) -> PortName {
        match self.thread_control_port(by.thread) {
            Ok(port) => self.name_kernel_port(m, by.task, port),
            Err(_) => MACH_PORT_NULL,
        }
    }

    pub(super) fn task_self(&mut self, m: &mut dyn Machine, by: Caller) -> PortName {
        let port: PortId = self.tasks[by.task].control_port;
        self.name_kernel_port(m, by.task, port)
    }

    pub(super) fn host_self(&mut self, m: &mut dyn Machine, by: Caller) -> PortName {
        self.name_kernel_port(m, by.task, self.host_port)
    }

    pub(super) fn allocate_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        right: u32,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let name = self.port_allocate(by.task, right)?;
        self.put_result(m, by, result, name.as_bytes())
    }

    pub(super) fn deallocate_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_deallocate(m, by.task, name)
    }

    pub(super) fn mod_refs_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        right: u32,
        delta: i32,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_mod_refs(m, by.task, name, right, delta)
    }

    pub(super) fn insert_right_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        poly: PortName,
        disposition: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let disposition = u8::try_from(disposition).map_or(Disposition::NONE, Disposition);
        self.port_insert_right(m, by.task, name, poly, disposition)
    }

    pub(super) fn insert_member_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_insert_member(m, by.task, name, set)
    }

    pub(super) fn extract_member_trap(
        &mut self,
        by: Caller,
        target: PortName,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_extract_member(by.task, name, set)
    }

    pub(super) fn move_member_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        member: PortName,
        after: PortName,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_move_member(m, by.task, member, after)
    }

    pub(super) fn construct_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        options: UserAddr,
        context: u64,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let mut read = PortOptions::new_zeroed();
        m.copy_in(by.address_space, options, read.as_mut_bytes()).map_err(memory_error)?;
        let name = self.port_construct(by.task, &read, context)?;
        self.put_result(m, by, result, name.as_bytes())
    }

    pub(super) fn destruct_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        send_delta: i32,
        guard: u64,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_destruct(m, by.task, name, send_delta, guard)
    }

    #[expect(clippy::too_many_arguments, reason = "the trap has so many")]
    pub(super) fn get_attributes_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        flavor: u32,
        info: UserAddr,
        count: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let mut room = 0u32;
        m.copy_in(by.address_space, count, room.as_mut_bytes()).map_err(memory_error)?;
        let words = self.port_get_attributes(by.task, name, flavor, room)?;
        self.put_result(m, by, info, words.as_slice().as_bytes())?;
        self.put_result(m, by, count, (words.len() as u32).as_bytes())
    }

    pub(super) fn guard_trap(
        &mut self,
        by: Caller,
        target: PortName,
        name: PortName,
        guard: u64,
        strict: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_guard(by.task, name, guard, strict != 0, false)
    }

    pub(super) fn unguard_trap(
        &mut self,
        by: Caller,
        target: PortName,
        name: PortName,
        guard: u64,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.port_unguard(by.task, name, guard)
    }

    pub(super) fn type_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        name: PortName,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let kind = self.port_type(by.task, name)?;
        self.put_result(m, by, result, kind.bits().as_bytes())
    }

    /// The seventh argument, where the previous right's name goes, is on the user's stack.
    pub(super) fn request_notification_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        request: NotificationRequest,
        notify: PortName,
        disposition: u32,
    ) -> Result<(), KernReturn> {
        let space = by.address_space;
        let stack = UserAddr(self.threads[by.thread].frame.rsp);
        let result = UserAddr(m.read_u64(space, stack.plus(8)).map_err(|_| KERN_INVALID_ARGUMENT)?);
        self.require_self(by, target)?;
        let right = match notify {
            MACH_PORT_NULL => Carried::Null,
            MACH_PORT_DEAD => return Err(KERN_INVALID_CAPABILITY),
            notify => {
                let disposition = u8::try_from(disposition).map_or(Disposition::NONE, Disposition);
                if disposition.converted() != Disposition::PORT_SEND_ONCE {
                    return Err(MACH_SEND_INVALID_DEST);
                }
                self.copy_in(m, by.task, notify, disposition, Dead::Accepted)?
            }
        };
        let NotificationRequest { name, message_id, sync } = request;
        let previous = self.port_request_notification(m, by.task, name, message_id, sync, right)?;
        let previous = previous.map_or(Carried::Null, |right| Carried::Right(Right::SendOnce(right)));
        let name = self.copy_out_carried(m, by.task, previous, &mut 0);
        self.put_result(m, by, result, name.as_bytes())
    }
}
