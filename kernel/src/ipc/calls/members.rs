//! Membership in port sets: insert_member, extract_member, move_member (mach-ipc 2.10).

use super::valid;
use crate::ipc::names::Holding;
use crate::ipc::port::PortId;
use crate::ipc::port_set::SetId;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL};

impl Kernel {
    /// `mach_port_insert_member`: a port joins a set and stays in the others.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_ALREADY_IN_SET`, `KERN_RESOURCE_SHORTAGE`. Nothing has changed
    /// then.
    pub(crate) fn port_insert_member(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        let (port, set) = self.port_and_set(task, name, set)?;
        self.join_set(m, port, set)
    }

    /// `mach_port_extract_member`: a port leaves one set.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_NOT_IN_SET`. Nothing has changed then.
    pub(crate) fn port_extract_member(
        &mut self,
        task: TaskId,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        let (port, set) = self.port_and_set(task, name, set)?;
        self.leave_set(port, set)
    }

    /// `mach_port_move_member`: a port leaves all sets and joins one, or none.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`, `KERN_NOT_IN_SET` if it was to leave and is in none,
    /// `KERN_RESOURCE_SHORTAGE`. Nothing has changed then.
    pub(crate) fn port_move_member(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        name: PortName,
        after: PortName,
    ) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        if after == MACH_PORT_DEAD {
            return Err(KERN_INVALID_RIGHT);
        }
        if after == MACH_PORT_NULL {
            let port = self.member(task, name)?;
            return if self.leave_all_sets(port, None) { Ok(()) } else { Err(KERN_NOT_IN_SET) };
        }
        let (port, set) = self.port_and_set(task, name, after)?;
        match self.join_set(m, port, set) {
            Ok(()) | Err(KERN_ALREADY_IN_SET) => {
                self.leave_all_sets(port, Some(set));
                Ok(())
            }
            Err(code) => Err(code),
        }
    }

    /// Both lookups: each name must exist before either's type matters.
    fn port_and_set(&mut self, task: TaskId, name: PortName, set: PortName) -> Result<(PortId, SetId), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        valid(set, KERN_INVALID_RIGHT)?;
        self.named(task, name)?;
        self.named(task, set)?;
        Ok((self.member(task, name)?, self.named_set(task, set)?))
    }

    /// A port that can be a member; a dead name is just a wrong right here.
    fn member(&mut self, task: TaskId, name: PortName) -> Result<PortId, KernReturn> {
        match self.named(task, name)?.holding {
            Holding::Receive { port, .. } => Ok(port),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }
}
