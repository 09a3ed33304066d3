//! Membership in port sets: insert_member, extract_member, move_member (mach-ipc 2.10).

use super::valid;
use crate::ids::{PortId, SetId, SpaceId};
use crate::ipc::Ipc;
use crate::ipc::space::EntryRight;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL};

impl Ipc {
    /// `mach_port_insert_member`: a port joins a set and stays in the others. Returns the port: the caller hands its
    /// messages to those who wait for the set.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_ALREADY_IN_SET`, `KERN_RESOURCE_SHORTAGE`. Nothing has changed
    /// then.
    pub(crate) fn port_insert_member(
        &mut self,
        space: SpaceId,
        name: PortName,
        set: PortName,
    ) -> Result<PortId, KernReturn> {
        let (port, set) = self.port_and_set(space, name, set)?;
        self.join_set(port, set)?;
        Ok(port)
    }

    /// `mach_port_extract_member`: a port leaves one set.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_NOT_IN_SET`. Nothing has changed then.
    pub fn port_extract_member(&mut self, space: SpaceId, name: PortName, set: PortName) -> Result<(), KernReturn> {
        let (port, set) = self.port_and_set(space, name, set)?;
        self.leave_set(port, set)
    }

    /// `mach_port_move_member`: a port leaves all sets and joins one, or none. If it joined one, returns the port: the
    /// caller hands its messages to those who wait for the set.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_NOT_IN_SET` if it was to leave and is in none,
    /// `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
    pub(crate) fn port_move_member(
        &mut self,
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
            return if self.leave_all_sets(port, None) { Ok(None) } else { Err(KERN_NOT_IN_SET) };
        }
        let (port, set) = self.port_and_set(space, name, after)?;
        let joined = match self.join_set(port, set) {
            Ok(()) => Some(port),
            Err(KERN_ALREADY_IN_SET) => None,
            Err(code) => return Err(code),
        };
        self.leave_all_sets(port, Some(set));
        Ok(joined)
    }

    /// Both lookups: each name must exist before either's type matters.
    fn port_and_set(&mut self, space: SpaceId, name: PortName, set: PortName) -> Result<(PortId, SetId), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        valid(set, KERN_INVALID_RIGHT)?;
        self.named(space, name)?;
        self.named(space, set)?;
        Ok((self.member(space, name)?, self.named_set(space, set)?))
    }

    /// A port that can be a member; a dead name is just a wrong right here.
    fn member(&mut self, space: SpaceId, name: PortName) -> Result<PortId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::Receive { port, .. } => Ok(port),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }
}
