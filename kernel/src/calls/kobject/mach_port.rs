//! Messages to task ports that are `mach_port` calls (mach-ipc 2.1, 7.3).

use super::request::long;
use super::{Answer, KernelObject, Reply};
use crate::ids::{MessageId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::mig::mach_port::*;
use abi::port::{Disposition, MPG_IMMOVABLE_RECEIVE, MPG_STRICT, PortOptions};

/// The space that a call works on, or its error if the port is not that of a task which may be controlled. The shape of a
/// request is checked first (mach-ipc 5.2).
type Target = Result<SpaceId, KernReturn>;

impl Kernel {
    /// Makes a `mach_port` call on the space of a task.
    ///
    /// # Errors
    /// `MIG_BAD_ID` for an unknown call; `MIG_BAD_ARGUMENTS` and `MIG_TYPE_ERROR`; `KERN_INVALID_TASK` or
    /// `KERN_INVALID_ARGUMENT`, by the call, if `object` is not a task that may be controlled; those of the call.
    pub(super) fn serve_mach_port(
        &mut self,
        machine: &mut dyn Machine,
        object: KernelObject,
        id: i32,
        message: MessageId,
    ) -> Answer {
        if !is_call(id) {
            return Err(MIG_BAD_ID);
        }
        let space: Target = self.task_behind(object).map(|task| self.tasks[task].space).ok_or(match id {
            // These calls check the task themselves and have another error for it (mach-ipc 2.0).
            GET_ATTRIBUTES | GET_CONTEXT | KOBJECT => KERN_INVALID_ARGUMENT,
            _ => KERN_INVALID_TASK,
        });
        let Kernel { ipc, sched, step, .. } = self;
        match id {
            TYPE..=MOD_REFS => ipc.serve_names(sched, step, space, id, message),
            MOVE_MEMBER | INSERT_MEMBER | EXTRACT_MEMBER => self.serve_members(machine, space, id, message),
            REQUEST_NOTIFICATION | INSERT_RIGHT | EXTRACT_RIGHT => ipc.serve_rights(sched, step, space, id, message),
            CONSTRUCT | DESTRUCT => ipc.serve_construction(sched, step, space, id, message),
            GUARD | UNGUARD | GUARD_WITH_FLAGS | SWAP_GUARD | GET_CONTEXT | SET_CONTEXT => {
                ipc.serve_guards(space, id, message)
            }
            SPECIAL_REPLY_PORT_RESET_LINK => {
                let [_name] = self.ipc.request_arguments(message, 0)?;
                space?;
                Err(KERN_NOT_SUPPORTED)
            }
            SET_ATTRIBUTES => self.serve_set_attributes(space, message),
            _ => ipc.serve_attributes(space, id, message),
        }
    }

    fn serve_members(&mut self, machine: &mut dyn Machine, space: Target, id: i32, message: MessageId) -> Answer {
        let [member, set] = self.ipc.request_arguments(message, 0)?.map(PortName);
        match id {
            MOVE_MEMBER => self.move_member(machine, space?, member, set)?,
            INSERT_MEMBER => self.insert_member(machine, space?, member, set)?,
            _ => self.ipc.port_extract_member(&mut self.step, space?, member, set)?,
        }
        Ok(Reply::none())
    }

    fn serve_set_attributes(&mut self, space: Target, message: MessageId) -> Answer {
        let words = self.ipc.request_words(message, 0)?;
        let [name, flavor, count, ref values @ ..] = words[..] else { return Err(MIG_BAD_ARGUMENTS) };
        if count as usize != values.len() {
            return Err(MIG_BAD_ARGUMENTS);
        }
        self.ipc.port_set_attributes(&mut self.step, space?, PortName(name), flavor, values)?;
        Ok(Reply::none())
    }
}

impl Ipc {
    fn serve_names(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: Target,
        id: i32,
        message: MessageId,
    ) -> Answer {
        match id {
            RENAME => {
                let [_old, _new] = self.request_arguments(message, 0)?;
                space?;
                return Err(KERN_NOT_SUPPORTED);
            }
            ALLOCATE => {
                let [right] = self.request_arguments(message, 0)?;
                return Ok(Reply::word(self.port_allocate(step, space?, right)?.0));
            }
            ALLOCATE_NAME => {
                let [right, name] = self.request_arguments(message, 0)?;
                self.port_allocate_name(step, space?, right, PortName(name))?;
            }
            TYPE => {
                let [name] = self.request_arguments(message, 0)?;
                return Ok(Reply::word(self.port_type(space?, PortName(name))?.bits()));
            }
            DESTROY => {
                let [name] = self.request_arguments(message, 0)?;
                self.port_destroy(sched, step, space?, PortName(name))?;
            }
            DEALLOCATE => {
                let [name] = self.request_arguments(message, 0)?;
                self.port_deallocate(sched, step, space?, PortName(name))?;
            }
            GET_REFS => {
                let [name, right] = self.request_arguments(message, 0)?;
                return Ok(Reply::word(self.port_get_refs(space?, PortName(name), right)?));
            }
            _ => {
                let [name, right, delta] = self.request_arguments(message, 0)?;
                self.port_mod_refs(sched, step, space?, PortName(name), right, delta as i32)?;
            }
        }
        Ok(Reply::none())
    }

    fn serve_rights(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: Target,
        id: i32,
        message: MessageId,
    ) -> Answer {
        match id {
            REQUEST_NOTIFICATION => {
                let [name, notification, sync] = self.request_arguments(message, 1)?;
                if self.request_right_kind(message) != Disposition::PORT_SEND_ONCE {
                    return Err(MIG_TYPE_ERROR);
                }
                let space = space?;
                let notify = self.take_request_right(message);
                let previous =
                    self.port_request_notification(step, space, PortName(name), notification as i32, sync, notify)?;
                let previous = previous.map_or(Carried::Null, |right| Carried::Right(Right::SendOnce(right)));
                Ok(Reply::Port(previous, Disposition::PORT_SEND_ONCE))
            }
            INSERT_RIGHT => {
                let [name] = self.request_arguments(message, 1)?;
                let space = space?;
                if self.request_right_kind(message) == Disposition::NONE {
                    return Err(KERN_INVALID_VALUE);
                }
                let right = self.take_request_right(message);
                self.port_insert_carried(step, space, PortName(name), right)?;
                Ok(Reply::none())
            }
            _ => {
                let [name, disposition] = self.request_arguments(message, 0)?;
                let space = space?;
                let disposition = Disposition(u8::try_from(disposition).map_err(|_| KERN_INVALID_VALUE)?);
                let right = self.port_extract_right(sched, step, space, PortName(name), disposition)?;
                Ok(Reply::Port(right, disposition.converted()))
            }
        }
    }

    fn serve_construction(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: Target,
        id: i32,
        message: MessageId,
    ) -> Answer {
        if id == CONSTRUCT {
            let [flags, mpl_qlimit, _, _, _, _, low, high] = self.request_arguments(message, 0)?;
            let options = PortOptions { flags, mpl_qlimit, ..PortOptions::default() };
            return Ok(Reply::word(self.port_construct(step, space?, &options, long(low, high))?.0));
        }
        let [name, delta, low, high] = self.request_arguments(message, 0)?;
        self.port_destruct(sched, step, space?, PortName(name), delta as i32, long(low, high))?;
        Ok(Reply::none())
    }

    fn serve_guards(&mut self, space: Target, id: i32, message: MessageId) -> Answer {
        match id {
            GET_CONTEXT => {
                let [name] = self.request_arguments(message, 0)?;
                let context = self.port_get_context(space?, PortName(name))?;
                return Ok(Reply::words(&[context as u32, (context >> 32) as u32]));
            }
            SET_CONTEXT => {
                let [name, low, high] = self.request_arguments(message, 0)?;
                self.port_set_context(space?, PortName(name), long(low, high))?;
            }
            GUARD => {
                let [name, low, high, strict] = self.request_arguments(message, 0)?;
                self.port_guard(space?, PortName(name), long(low, high), strict != 0, false)?;
            }
            GUARD_WITH_FLAGS => {
                let [name, low, high, flags_low, flags_high] = self.request_arguments(message, 0)?;
                let flags = long(flags_low, flags_high);
                let (strict, immovable) = (flags & MPG_STRICT != 0, flags & MPG_IMMOVABLE_RECEIVE != 0);
                self.port_guard(space?, PortName(name), long(low, high), strict, immovable)?;
            }
            UNGUARD => {
                let [name, low, high] = self.request_arguments(message, 0)?;
                self.port_unguard(space?, PortName(name), long(low, high))?;
            }
            _ => {
                let [name, old_low, old_high, low, high] = self.request_arguments(message, 0)?;
                self.port_swap_guard(space?, PortName(name), long(old_low, old_high), long(low, high))?;
            }
        }
        Ok(Reply::none())
    }

    fn serve_attributes(&mut self, space: Target, id: i32, message: MessageId) -> Answer {
        match id {
            GET_ATTRIBUTES => {
                let [name, flavor, count] = self.request_arguments(message, 0)?;
                let words = self.port_get_attributes(space?, PortName(name), flavor, count)?;
                let mut reply = heapless::Vec::from_array([words.len() as u32]);
                reply.extend(words);
                return Ok(Reply::Words(reply));
            }
            SET_MSCOUNT => {
                let [name, count] = self.request_arguments(message, 0)?;
                self.port_set_mscount(space?, PortName(name), count)?;
            }
            SET_SEQNO => {
                let [name, seqno] = self.request_arguments(message, 0)?;
                self.port_set_seqno(space?, PortName(name), seqno)?;
            }
            GET_SRIGHTS => {
                let [name] = self.request_arguments(message, 0)?;
                return Ok(Reply::word(self.port_get_srights(space?, PortName(name))?));
            }
            KOBJECT => {
                let [name] = self.request_arguments(message, 0)?;
                // The words of the object's address are 0: addresses of the kernel stay secret (mach-ipc 8.1 S9).
                return Ok(Reply::words(&[self.port_kobject(space?, PortName(name))?, 0, 0]));
            }
            _ => return Err(MIG_BAD_ID),
        }
        Ok(Reply::none())
    }
}

/// Returns true if this is the id of a `mach_port` call.
const fn is_call(id: i32) -> bool {
    matches!(
        id,
        TYPE..=MOD_REFS
            | SET_MSCOUNT
            | MOVE_MEMBER..=SET_ATTRIBUTES
            | GET_SRIGHTS
            | INSERT_MEMBER..=UNGUARD
            | SPECIAL_REPLY_PORT_RESET_LINK..=SWAP_GUARD
    )
}
