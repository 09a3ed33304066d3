//! User references and types of names: get_refs, mod_refs, type (mach-ipc 2.5, 2.11).

use crate::ids::SpaceId;
use crate::ipc::Ipc;
use crate::ipc::entry::{EntryRight, add_urefs};
use crate::ipc::port::Port;
use crate::ipc::right::SendRight;
use crate::sched::Scheduling;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::*;

impl Ipc {
    /// `mach_port_get_refs`: returns the number of user references that a name has to a right of the kind `right`.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for an unknown kind; `KERN_INVALID_NAME` if the name does not exist.
    pub fn port_get_refs(&mut self, space: SpaceId, name: PortName, right: u32) -> Result<u32, KernReturn> {
        check_right(right)?;
        if !name.is_valid() {
            return if is_send_kind(right) { Ok(1) } else { Err(KERN_INVALID_NAME) };
        }
        Ok(match (right, self.named(space, name)?.right) {
            (MACH_PORT_RIGHT_SEND, right) => u32::from(right.send_urefs()),
            (MACH_PORT_RIGHT_DEAD_NAME, EntryRight::DeadName { urefs }) => u32::from(urefs),
            (MACH_PORT_RIGHT_RECEIVE, EntryRight::Receive { .. })
            | (MACH_PORT_RIGHT_SEND_ONCE, EntryRight::SendOnce { .. })
            | (MACH_PORT_RIGHT_PORT_SET, EntryRight::PortSet { .. }) => 1,
            _ => 0,
        })
    }

    /// `mach_port_mod_refs`: adds `delta` to the user references that a name has to a right of the kind `right`.
    /// Without references the right ends, and the name is freed if it denotes no other right (mach-ipc 2.5).
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` for an unknown kind or a `delta` that the count does not allow; `KERN_INVALID_NAME` if the
    /// name does not exist; `KERN_INVALID_RIGHT` if it has no right of this kind, or its receive right is guarded;
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out for the send right that stays when the receive right ends. Nothing
    /// has changed then.
    pub fn port_mod_refs(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        right: u32,
        delta: i32,
    ) -> Result<(), KernReturn> {
        check_right(right)?;
        if !name.is_valid() {
            return if is_send_kind(right) { Ok(()) } else { Err(KERN_INVALID_NAME) };
        }
        match (right, self.named(space, name)?.right) {
            (MACH_PORT_RIGHT_SEND, EntryRight::Send { .. } | EntryRight::Receive { send_urefs: 1.., .. }) => {
                self.change_send_references(sched, step, space, name, delta)
            }
            (MACH_PORT_RIGHT_RECEIVE, EntryRight::Receive { port, .. }) => {
                if !is_last(delta)? {
                    return Ok(());
                }
                if self.ports[port].guard.guarded {
                    return Err(KERN_INVALID_RIGHT);
                }
                self.spaces[space].reserve_send_name().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
                self.end_receive_right(sched, step, space, name);
                Ok(())
            }
            (MACH_PORT_RIGHT_SEND_ONCE, EntryRight::SendOnce { .. })
            | (MACH_PORT_RIGHT_PORT_SET, EntryRight::PortSet { .. }) => {
                if is_last(delta)? {
                    self.destroy_name(sched, step, space, name);
                }
                Ok(())
            }
            (MACH_PORT_RIGHT_DEAD_NAME, EntryRight::DeadName { urefs }) => {
                match changed_references(urefs, delta)? {
                    0 => self.spaces[space].remove(name),
                    urefs => self.spaces[space].change(name, EntryRight::DeadName { urefs }),
                }
                Ok(())
            }
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// Adds `delta` to the user references of a send right. Without references the right ends, and the name is freed
    /// unless it denotes the receive right as well (mach-ipc 2.4). The name may also denote a receive right alone, if
    /// `delta` is 0.
    ///
    /// # Errors
    /// `KERN_INVALID_VALUE` if the name has fewer references; nothing has changed.
    pub(super) fn change_send_references(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        delta: i32,
    ) -> Result<(), KernReturn> {
        let entry = self.spaces[space].get_mut(name).expect("the name was looked up");
        match &mut entry.right {
            EntryRight::Send { urefs, .. } => match changed_references(*urefs, delta)? {
                0 => self.destroy_name(sched, step, space, name),
                changed => *urefs = changed,
            },
            EntryRight::Receive { port, send_urefs } => {
                let port = *port;
                let changed = changed_references(*send_urefs, delta)?;
                let had_right = *send_urefs > 0;
                *send_urefs = changed;
                if changed == 0 && had_right {
                    self.destroy_send(step, SendRight::counted(port));
                }
            }
            other => panic!("{other:?} has no send right"),
        }
        Ok(())
    }

    /// Drops one of several user references to a send right, and returns true. If the name denotes something else, or has
    /// as many references as can be counted, returns false; nothing has changed then.
    #[inline(always)]
    pub(crate) fn drop_spare_reference(&mut self, space: SpaceId, name: PortName) -> bool {
        match self.spaces[space].get_mut(name).map(|entry| &mut entry.right) {
            Some(EntryRight::Send { port, urefs: urefs @ 2.. })
                if *urefs < MACH_PORT_UREFS_MAX && self.ports.get(*port).is_some_and(Port::is_alive) =>
            {
                *urefs -= 1;
                true
            }
            _ => false,
        }
    }

    /// `mach_port_type`: returns the rights that a name denotes, and a flag if it has a request for a notification.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist.
    pub fn port_type(&mut self, space: SpaceId, name: PortName) -> Result<PortType, KernReturn> {
        match name {
            MACH_PORT_NULL => Err(KERN_INVALID_NAME),
            MACH_PORT_DEAD => Ok(PortType::DEAD_NAME),
            name => {
                let entry = self.named(space, name)?;
                let requested = if entry.request.is_some() { PortType::DNREQUEST } else { PortType::empty() };
                Ok(entry.right.port_type() | requested)
            }
        }
    }
}

fn check_right(right: u32) -> Result<(), KernReturn> {
    if right < MACH_PORT_RIGHT_NUMBER { Ok(()) } else { Err(KERN_INVALID_VALUE) }
}

/// Returns true for send and send-once rights. `MACH_PORT_NULL` and `MACH_PORT_DEAD` count as one reference to these.
fn is_send_kind(right: u32) -> bool {
    matches!(right, MACH_PORT_RIGHT_SEND | MACH_PORT_RIGHT_SEND_ONCE)
}

/// Returns true if a delta takes the only reference of a right that has one.
///
/// # Errors
/// `KERN_INVALID_VALUE` if the delta is not 0 or −1.
fn is_last(delta: i32) -> Result<bool, KernReturn> {
    match delta {
        0 => Ok(false),
        -1 => Ok(true),
        _ => Err(KERN_INVALID_VALUE),
    }
}

/// Returns a count of user references after a change (mach-ipc 1.4). A count that reaches the maximum stays there,
/// because the true number is unknown then, unless all references are taken.
///
/// # Errors
/// `KERN_INVALID_VALUE` if the delta is larger than the maximum, or takes more references than there are.
fn changed_references(urefs: u16, delta: i32) -> Result<u16, KernReturn> {
    const MAX: u32 = MACH_PORT_UREFS_MAX as u32;
    let magnitude = delta.unsigned_abs();
    if magnitude > MAX || (delta < 0 && magnitude > u32::from(urefs)) {
        return Err(KERN_INVALID_VALUE);
    }
    if delta >= 0 {
        return Ok(add_urefs(urefs, magnitude));
    }
    if urefs == MACH_PORT_UREFS_MAX && magnitude != MAX {
        return Ok(urefs);
    }
    Ok(urefs - magnitude as u16)
}
