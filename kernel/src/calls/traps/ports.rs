//! The traps of `mach_port`, for the caller's own task (mach-ipc 2, 7.2), and those that return the caller's own ports.

use super::name;
use crate::calls::{memory_error, put_result};
use crate::ids::{Context, PortId};
use crate::ipc::copy_in::Dead;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::{Cpu, Machine, UserAddr};
use crate::outcome::Outcome;
use abi::code::*;
use abi::port::*;
use abi::trap::mach as number;
use abi::{KernReturn, PortName};
use zerocopy::{FromZeros, IntoBytes};

impl Kernel {
    /// `mach_reply_port`: makes a port and returns its name, or null if that fails.
    pub(super) fn mach_reply_port(&mut self, caller: Context) -> PortName {
        let made = self.ipc.port_allocate(&mut self.step, caller.space, MACH_PORT_RIGHT_RECEIVE);
        made.unwrap_or(MACH_PORT_NULL)
    }

    /// `thread_get_special_reply_port`: makes a special reply port for the caller and returns its name, or null if that
    /// fails.
    pub(super) fn thread_special_reply_port(&mut self, caller: Context) -> PortName {
        let Kernel { ipc, sched, step, .. } = self;
        ipc.special_reply_port(sched, step, caller.space, caller.thread).unwrap_or(MACH_PORT_NULL)
    }

    /// `port_bind_servicer`: lets a thread of the caller's task serve a port or set, or for the null name no thread.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if `thread` is not a thread of the caller's task; those of `Ipc::port_bind_servicer`.
    pub(super) fn port_bind_servicer(
        &mut self,
        caller: Context,
        name: PortName,
        thread: PortName,
    ) -> Result<(), KernReturn> {
        let servicer = match thread {
            MACH_PORT_NULL => None,
            thread => Some(self.sibling_named(caller, thread).ok_or(KERN_INVALID_ARGUMENT)?),
        };
        let Kernel { ipc, sched, step, .. } = self;
        ipc.port_bind_servicer(sched, step, caller.space, name, servicer)
    }

    /// `thread_self`: returns a name for the thread's control port, or null if that fails.
    pub(super) fn thread_self(&mut self, caller: Context) -> PortName {
        match self.thread_control_port(caller.thread) {
            Ok(port) => {
                let name = self.name_own_port(caller, port);
                self.sched.note_own_name(caller.thread, name);
                name
            }
            Err(_) => MACH_PORT_NULL,
        }
    }

    /// `thread_self` of a thread whose task still has the name that the last such trap returned.
    #[inline(never)]
    pub(super) fn known_thread_self(&mut self, cpu: Cpu) -> Option<u64> {
        let thread = &self.sched[self.sched.current(cpu)?];
        let (space, name) = (thread.context().space, thread.own_name());
        let named = self.ipc.name_kernel_port_again(space, name, thread.control_port()?);
        named.then_some(u64::from(name.0))
    }

    /// `mach_port_deallocate` of the caller's task, for a voucher that has other user references. It is only tried with
    /// the name that a call gave directly last: most other names have only one reference. Returns the result, or `None` if
    /// another way is needed; nothing has changed then.
    #[inline(always)]
    pub fn drop_spare_reference(&mut self, cpu: Cpu) -> Option<u64> {
        let thread = &self.sched[self.sched.current(cpu)?];
        let dropped = name(thread.frame().arguments()[1]);
        if dropped != self.vouchers.last_given() || !self.step.is_quiet() {
            return None;
        }
        self.drop_spare_reference_to(cpu, dropped)
    }

    #[inline(never)]
    fn drop_spare_reference_to(&mut self, cpu: Cpu, dropped: PortName) -> Option<u64> {
        let thread = &self.sched[self.sched.current(cpu)?];
        let (caller, [target, ..]) = (thread.context(), thread.frame().arguments());
        self.require_self(caller, name(target)).ok()?;
        self.ipc.drop_spare_reference(caller.space, dropped).then_some(0)
    }

    /// `task_self`: returns a name for the task's control port, or null if that fails.
    pub(super) fn task_self(&mut self, caller: Context) -> PortName {
        self.name_own_port(caller, self.tasks[caller.task].control_port)
    }

    /// `host_self`: returns a name for the host port, or null if that fails.
    pub(super) fn host_self(&mut self, caller: Context) -> PortName {
        self.name_own_port(caller, self.ipc.host_port())
    }

    /// `task_for_pid`: writes a name for the control port of the live task with a pid to `result`.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the target is not the caller's task; `KERN_FAILURE` if the caller is not user 0, there is
    /// no such task, or there is no room for the name; `KERN_MEMORY_ERROR` if the name cannot be written.
    pub(super) fn task_for_pid(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        pid: u32,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target).map_err(|_| KERN_INVALID_ARGUMENT)?;
        let privileged = self.tasks[caller.task].credentials.uid == 0;
        let task = self.tasks.with_pid(pid).filter(|_| privileged).ok_or(KERN_FAILURE)?;
        let port = self.tasks[task].control_port;
        let Kernel { ipc, sched, step, .. } = self;
        let name = ipc.name_kernel_port(step, caller.space, port);
        if name == MACH_PORT_NULL {
            return Err(KERN_FAILURE);
        }
        put_result(machine, caller, result, name.as_bytes()).inspect_err(|_| {
            // The caller may have had the name before, and keeps its own references.
            ipc.port_deallocate(sched, step, caller.space, name).expect("the name was given just now");
        })
    }

    fn name_own_port(&mut self, caller: Context, port: PortId) -> PortName {
        self.ipc.name_kernel_port(&mut self.step, caller.space, port)
    }

    /// Handles the `mach_port` traps of class 1. Their first argument is the target task.
    #[inline]
    pub(super) fn mach_port_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        trap: u32,
        arguments: [u64; 6],
    ) -> Outcome {
        let [target, rest @ ..] = arguments;
        let target = name(target);
        let result = match trap {
            number::MACH_PORT_DEALLOCATE | number::MACH_PORT_MOD_REFS | number::MACH_PORT_DESTRUCT => {
                self.references_trap(caller, trap, target, rest)
            }
            number::MACH_PORT_ALLOCATE
            | number::MACH_PORT_CONSTRUCT
            | number::MACH_PORT_GET_ATTRIBUTES
            | number::MACH_PORT_TYPE => self.result_trap(machine, caller, trap, target, rest),
            number::MACH_PORT_MOVE_MEMBER
            | number::MACH_PORT_INSERT_MEMBER
            | number::MACH_PORT_EXTRACT_MEMBER
            | number::MACH_PORT_INSERT_RIGHT
            | number::MACH_PORT_GUARD
            | number::MACH_PORT_UNGUARD => self.name_trap(machine, caller, trap, target, rest),
            number::MACH_PORT_REQUEST_NOTIFICATION => self.request_notification_trap(machine, caller, target, rest),
            _ => return self.missing_trap(machine, caller, trap),
        };
        result.into()
    }

    /// Handles the traps that change the user references of a name.
    fn references_trap(
        &mut self,
        caller: Context,
        trap: u32,
        target: PortName,
        [a, b, c, ..]: [u64; 5],
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        let (Kernel { ipc, sched, step, .. }, space) = (self, caller.space);
        match trap {
            number::MACH_PORT_DEALLOCATE => ipc.port_deallocate(sched, step, space, name(a)),
            number::MACH_PORT_MOD_REFS => ipc.port_mod_refs(sched, step, space, name(a), b as u32, c as i32),
            _ => ipc.port_destruct(sched, step, space, name(a), b as i32, c),
        }
    }

    /// Handles the traps that write a result into user memory.
    fn result_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        trap: u32,
        target: PortName,
        [a, b, c, d, _]: [u64; 5],
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        let (Kernel { ipc, step, .. }, space) = (self, caller.space);
        let (result, to) = match trap {
            number::MACH_PORT_ALLOCATE => (ipc.port_allocate(step, space, a as u32)?.0, b),
            number::MACH_PORT_TYPE => (ipc.port_type(space, name(a))?.bits(), b),
            number::MACH_PORT_CONSTRUCT => {
                let mut options = PortOptions::new_zeroed();
                machine.copy_in(caller.address_space, UserAddr(a), options.as_mut_bytes()).map_err(memory_error)?;
                (ipc.port_construct(step, space, &options, b)?.0, c)
            }
            _ => {
                let mut room = 0u32;
                machine.copy_in(caller.address_space, UserAddr(d), room.as_mut_bytes()).map_err(memory_error)?;
                let words = ipc.port_get_attributes(space, name(a), b as u32, room)?;
                put_result(machine, caller, UserAddr(c), words.as_slice().as_bytes())?;
                (words.len() as u32, d)
            }
        };
        put_result(machine, caller, UserAddr(to), result.as_bytes())
    }

    /// Handles the other traps that work on a name.
    fn name_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        trap: u32,
        target: PortName,
        [a, b, c, ..]: [u64; 5],
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        let space = caller.space;
        match trap {
            number::MACH_PORT_MOVE_MEMBER => self.move_member(machine, space, name(a), name(b)),
            number::MACH_PORT_INSERT_MEMBER => self.insert_member(machine, space, name(a), name(b)),
            number::MACH_PORT_EXTRACT_MEMBER => self.ipc.port_extract_member(&mut self.step, space, name(a), name(b)),
            number::MACH_PORT_INSERT_RIGHT => {
                let disposition = u8::try_from(c as u32).map_or(Disposition::NONE, Disposition);
                let Kernel { ipc, sched, step, .. } = self;
                ipc.port_insert_right(sched, step, space, name(a), name(b), disposition)
            }
            number::MACH_PORT_GUARD => self.ipc.port_guard(space, name(a), b, c as u32 != 0, false),
            _ => self.ipc.port_unguard(space, name(a), b),
        }
    }

    /// `mach_port_request_notification`. The seventh argument is the address for the name of the previous right.
    fn request_notification_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        [by_name, message_id, sync, notify, disposition]: [u64; 5],
    ) -> Result<(), KernReturn> {
        let result = UserAddr(self.stack_argument(machine, caller, 7)?);
        self.require_self(caller, target)?;
        let (Kernel { ipc, sched, step, .. }, space) = (self, caller.space);
        let right = match name(notify) {
            MACH_PORT_NULL => Carried::Null,
            MACH_PORT_DEAD => return Err(KERN_INVALID_CAPABILITY),
            notify => {
                let disposition = u8::try_from(disposition as u32).map_or(Disposition::NONE, Disposition);
                if disposition.converted() != Disposition::PORT_SEND_ONCE {
                    return Err(MACH_SEND_INVALID_DEST);
                }
                ipc.copy_in(sched, step, space, notify, disposition, Dead::Accepted)?
            }
        };
        let previous =
            ipc.port_request_notification(step, space, name(by_name), message_id as i32, sync as u32, right)?;
        let previous = previous.map_or(Carried::Null, |right| Carried::Right(Right::SendOnce(right)));
        let name = ipc.copy_out_carried(step, space, previous, &mut 0);
        put_result(machine, caller, result, name.as_bytes())
    }
}
