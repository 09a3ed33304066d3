//! The calls of `mach_port`.

use crate::message::call_object;
use crate::sys::{trap, trap_with_stack};
use abi::code::*;
use abi::mig::mach_port as mig;
use abi::port::*;
use abi::trap::mach::*;
use abi::trap::tally::PORT_BIND_SERVICER;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicU32, Ordering};
use zerocopy::{FromZeros, IntoBytes};

fn code(result: u64) -> Result<(), KernReturn> {
    KernReturn(result as i32).ok()
}

static SELF: AtomicU32 = AtomicU32::new(0);

/// Returns the name of the task's own port. The trap is made once, because each time it adds a reference to the name.
pub fn task_self() -> PortName {
    let known = SELF.load(Ordering::Relaxed);
    if known != 0 {
        return PortName(known);
    }
    let name = trap(TASK_SELF, [0; 6]) as u32;
    SELF.store(name, Ordering::Relaxed);
    PortName(name)
}

fn own() -> u64 {
    u64::from(task_self().0)
}

/// A receive right, which is destroyed when the value is dropped.
#[derive(Debug)]
pub struct Port(PortName);

impl Port {
    /// Allocates a receive right.
    pub fn new() -> Port {
        Port(allocate(MACH_PORT_RIGHT_RECEIVE).expect("there is room for a port"))
    }

    /// Allocates a receive right by the trap `mach_reply_port`.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE`.
    pub fn reply() -> Result<Port, KernReturn> {
        let name = PortName(trap(MACH_REPLY_PORT, [0; 6]) as u32);
        if name.is_valid() { Ok(Port(name)) } else { Err(KERN_RESOURCE_SHORTAGE) }
    }

    /// Returns the receive right with this name.
    pub fn of(name: PortName) -> Port {
        Port(name)
    }

    /// Returns the name.
    pub fn name(&self) -> PortName {
        self.0
    }

    /// Returns the name and leaves the right in the task.
    pub fn into_name(self) -> PortName {
        let name = self.0;
        core::mem::forget(self);
        name
    }
}

impl Default for Port {
    fn default() -> Self {
        Port::new()
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The right may have been moved into a message or destroyed already.
        let _ = mod_refs(self.0, MACH_PORT_RIGHT_RECEIVE, -1);
    }
}

/// Calls `mach_port_allocate`.
///
/// # Errors
/// Those of the call, here and in the functions below.
pub fn allocate(right: u32) -> Result<PortName, KernReturn> {
    let mut name = PortName(0);
    let at = (&raw mut name) as u64;
    code(trap(MACH_PORT_ALLOCATE, [own(), u64::from(right), at, 0, 0, 0]))?;
    Ok(name)
}

/// Calls `mach_port_deallocate`.
pub fn deallocate(name: PortName) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_DEALLOCATE, [own(), u64::from(name.0), 0, 0, 0, 0]))
}

/// Calls `mach_port_mod_refs`.
pub fn mod_refs(name: PortName, right: u32, delta: i32) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_MOD_REFS, [own(), u64::from(name.0), u64::from(right), delta as u64, 0, 0]))
}

/// Gives back a right that a message brought under this name and with this disposition. Null and dead names and
/// dispositions that no receiver sees bring no right.
pub fn destroy_right(name: PortName, disposition: Disposition) {
    // If the port has died since, the name is a dead name, which `mach_port_deallocate` takes too. An error means that
    // this program has given the right up before.
    let _ = match disposition {
        _ if !name.is_valid() => Ok(()),
        Disposition::PORT_SEND | Disposition::PORT_SEND_ONCE => deallocate(name),
        Disposition::PORT_RECEIVE => mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1),
        _ => Ok(()),
    };
}

/// Calls `mach_port_insert_right`.
pub fn insert_right(name: PortName, right: PortName, disposition: Disposition) -> Result<(), KernReturn> {
    let arguments = [own(), u64::from(name.0), u64::from(right.0), u64::from(disposition.0), 0, 0];
    code(trap(MACH_PORT_INSERT_RIGHT, arguments))
}

/// Calls `mach_port_extract_right`: gets a right that another task has under a name, by its control port.
pub fn extract_right(task: PortName, name: PortName, disposition: Disposition) -> Result<PortName, KernReturn> {
    let mut reply = call_object(task, mig::EXTRACT_RIGHT, &[name.0, disposition.0.into()])?;
    reply.take_port(0).map(|right| right.name).ok_or(KERN_FAILURE)
}

/// Calls `mach_port_insert_member`.
pub fn insert_member(name: PortName, set: PortName) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_INSERT_MEMBER, [own(), u64::from(name.0), u64::from(set.0), 0, 0, 0]))
}

/// Calls `mach_port_extract_member`.
pub fn extract_member(name: PortName, set: PortName) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_EXTRACT_MEMBER, [own(), u64::from(name.0), u64::from(set.0), 0, 0, 0]))
}

/// Calls `mach_port_move_member`.
pub fn move_member(name: PortName, set: PortName) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_MOVE_MEMBER, [own(), u64::from(name.0), u64::from(set.0), 0, 0, 0]))
}

/// Makes a special reply port of the calling thread, with a send right under the same name.
///
/// # Errors
/// `KERN_RESOURCE_SHORTAGE`.
pub fn special_reply() -> Result<Port, KernReturn> {
    match PortName(trap(THREAD_GET_SPECIAL_REPLY_PORT, [0; 6]) as u32) {
        MACH_PORT_NULL => Err(KERN_RESOURCE_SHORTAGE),
        name => Ok(Port(name)),
    }
}

/// Lets a thread of this task serve a port or set, or for the null name none: `port_bind_servicer`.
///
/// # Errors
/// Those of the call.
pub fn bind_servicer(name: PortName, thread: PortName) -> Result<(), KernReturn> {
    code(trap(PORT_BIND_SERVICER, [u64::from(name.0), u64::from(thread.0), 0, 0, 0, 0]))
}

/// Calls `mach_port_type`.
pub fn port_type(name: PortName) -> Result<PortType, KernReturn> {
    let mut word = 0u32;
    code(trap(MACH_PORT_TYPE, [own(), u64::from(name.0), (&raw mut word) as u64, 0, 0, 0]))?;
    Ok(PortType::from_bits_retain(word))
}

/// Calls `mach_port_construct`.
pub fn construct(options: PortOptions, context: u64) -> Result<PortName, KernReturn> {
    let mut name = PortName(0);
    let arguments = [own(), (&raw const options) as u64, context, (&raw mut name) as u64, 0, 0];
    code(trap(MACH_PORT_CONSTRUCT, arguments))?;
    Ok(name)
}

/// Calls `mach_port_destruct`.
pub fn destruct(name: PortName, delta: i32, guard: u64) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_DESTRUCT, [own(), u64::from(name.0), delta as u64, guard, 0, 0]))
}

/// Calls `mach_port_guard`.
pub fn guard(name: PortName, guard: u64, strict: bool) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_GUARD, [own(), u64::from(name.0), guard, u64::from(strict), 0, 0]))
}

/// Calls `mach_port_unguard`.
pub fn unguard(name: PortName, guard: u64) -> Result<(), KernReturn> {
    code(trap(MACH_PORT_UNGUARD, [own(), u64::from(name.0), guard, 0, 0, 0]))
}

/// Calls `mach_port_get_attributes` for the receive status.
pub fn status(name: PortName) -> Result<PortStatus, KernReturn> {
    let mut status = PortStatus::new_zeroed();
    let mut count = (size_of::<PortStatus>() / 4) as u32;
    let info = status.as_mut_bytes().as_mut_ptr() as u64;
    let flavor = u64::from(MACH_PORT_RECEIVE_STATUS);
    code(trap(MACH_PORT_GET_ATTRIBUTES, [own(), u64::from(name.0), flavor, info, (&raw mut count) as u64, 0]))?;
    Ok(status)
}

/// Calls `mach_port_request_notification` and returns the name of the right that was registered before.
pub fn request_notification(
    name: PortName,
    id: i32,
    sync: u32,
    notify: PortName,
    disposition: Disposition,
) -> Result<PortName, KernReturn> {
    let mut previous = PortName(0);
    let arguments =
        [own(), u64::from(name.0), id as u64, u64::from(sync), u64::from(notify.0), u64::from(disposition.0)];
    code(trap_with_stack(MACH_PORT_REQUEST_NOTIFICATION, arguments, [(&raw mut previous) as u64, 0]))?;
    Ok(previous)
}

/// Calls `mach_port_get_refs`.
pub fn get_refs(name: PortName, right: u32) -> Result<u32, KernReturn> {
    Ok(call_object(task_self(), mig::GET_REFS, &[name.0, right])?.word(3))
}

/// Calls `mach_port_destroy`.
pub fn destroy(name: PortName) -> Result<(), KernReturn> {
    call_object(task_self(), mig::DESTROY, &[name.0]).map(|_| ())
}

/// Calls `mach_port_set_attributes` so that messages to the port can boost its receiver.
pub fn accept_donation(name: PortName) -> Result<(), KernReturn> {
    call_object(task_self(), mig::SET_ATTRIBUTES, &[name.0, MACH_PORT_IMPORTANCE_RECEIVER, 0]).map(|_| ())
}

/// Calls `mach_port_set_attributes` so that boosts of the port do not count for this task (importance 3.2).
pub fn disown_boosts(name: PortName) -> Result<(), KernReturn> {
    call_object(task_self(), mig::SET_ATTRIBUTES, &[name.0, MACH_PORT_TEMPOWNER, 0]).map(|_| ())
}

/// Calls `mach_port_set_attributes` with a queue limit.
pub fn set_queue_limit(name: PortName, limit: u32) -> Result<(), KernReturn> {
    call_object(task_self(), mig::SET_ATTRIBUTES, &[name.0, MACH_PORT_LIMITS_INFO, 1, limit]).map(|_| ())
}
