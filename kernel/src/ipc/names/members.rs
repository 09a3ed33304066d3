//! Members of port sets: insert_member, extract_member, move_member (mach-ipc 2.10).

use super::valid;
use crate::ids::{PortId, SetId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::entry::EntryRight;
use crate::step::Step;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL};

impl Ipc {
    /// `mach_port_insert_member`: adds a port to a set; it stays in its other sets. Returns the port: the caller hands
    /// its messages to threads that wait on the set.
    ///
    /// # Errors
    /// Those of `port_and_set`; `KERN_ALREADY_IN_SET` if the port is a member; `KERN_RESOURCE_SHORTAGE` if it is in too
    /// many sets, or memory or the budget is used up. Nothing has changed then.
    pub(crate) fn port_insert_member(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        set: PortName,
    ) -> Result<PortId, KernReturn> {
        let (port, set) = self.port_and_set(space, name, set)?;
        self.join_set(step, port, set)?;
        Ok(port)
    }

    /// `mach_port_extract_member`: removes a port from a set.
    ///
    /// # Errors
    /// Those of `port_and_set`; `KERN_NOT_IN_SET` if the port is not a member. Nothing has changed then.
    pub fn port_extract_member(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        let (port, set) = self.port_and_set(space, name, set)?;
        self.leave_set(step, port, set)
    }

    /// `mach_port_move_member`: removes a port from all sets and adds it to the set `after`, unless that is
    /// `MACH_PORT_NULL`. If it was not in that set before, returns the port: the caller hands its messages to threads
    /// that wait on the set.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` if `after` is `MACH_PORT_DEAD`; those of `port_and_set`;
    /// `KERN_NOT_IN_SET` if `after` is `MACH_PORT_NULL` and the port is in no set; `KERN_RESOURCE_SHORTAGE` if the port
    /// is in too many sets, or memory or the budget is used up. Nothing has changed then.
    pub(crate) fn port_move_member(
        &mut self,
        step: &mut Step,
        space: SpaceId,
        name: PortName,
        after: PortName,
    ) -> Result<Option<PortId>, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        if after == MACH_PORT_DEAD {
            return Err(KERN_INVALID_RIGHT);
        }
        if after == MACH_PORT_NULL {
            let port = self.member(space, name)?;
            return if self.leave_all_sets(step, port, None) { Ok(None) } else { Err(KERN_NOT_IN_SET) };
        }
        let (port, set) = self.port_and_set(space, name, after)?;
        let joined = match self.join_set(step, port, set) {
            Ok(()) => Some(port),
            Err(KERN_ALREADY_IN_SET) => None,
            Err(code) => return Err(code),
        };
        self.leave_all_sets(step, port, Some(set));
        Ok(joined)
    }

    /// Returns the port and the set that two names denote.
    ///
    /// # Errors
    /// In this order: `KERN_INVALID_RIGHT` if one of them is `MACH_PORT_NULL` or `MACH_PORT_DEAD`; `KERN_INVALID_NAME`
    /// if one does not exist; `KERN_INVALID_RIGHT` if the first is not a receive right or the second not a set.
    fn port_and_set(&mut self, space: SpaceId, name: PortName, set: PortName) -> Result<(PortId, SetId), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        valid(set, KERN_INVALID_RIGHT)?;
        self.named(space, name)?;
        self.named(space, set)?;
        Ok((self.member(space, name)?, self.named_set(space, set)?))
    }

    /// Returns the port whose receive right a name denotes.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist; `KERN_INVALID_RIGHT` if it denotes another right or is a dead
    /// name.
    fn member(&mut self, space: SpaceId, name: PortName) -> Result<PortId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::Receive { port, .. } => Ok(port),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }
}
