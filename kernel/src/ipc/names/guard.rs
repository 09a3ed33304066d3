//! Guards and contexts of ports (mach-ipc 2.9). The guard is the port's context value.

use super::valid;
use crate::ids::SpaceId;
use crate::ipc::Ipc;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;

impl Ipc {
    /// `mach_port_guard` and `mach_port_guard_with_flags`: makes `guard` the context and the guard of a port.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name does not exist or is a dead name;
    /// `KERN_INVALID_RIGHT` if it has no receive right; `KERN_INVALID_ARGUMENT` if the port has a context other than 0.
    /// Nothing has changed then.
    pub fn port_guard(
        &mut self,
        space: SpaceId,
        name: PortName,
        guard: u64,
        strict: bool,
        immovable: bool,
    ) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_NAME)?;
        let port = self.named_receive_right(space, name)?;
        let port = &mut self.ports[port];
        if port.context != 0 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        port.context = guard;
        port.guard.guarded = true;
        port.guard.strict = strict;
        port.guard.immovable |= immovable;
        Ok(())
    }

    /// `mach_port_unguard`: removes guard and context of a port. An immovable receive right stays immovable.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` and `KERN_INVALID_RIGHT` as for [`port_guard`](Ipc::port_guard); `KERN_INVALID_ARGUMENT` if
    /// `guard` is not the guard. Nothing has changed then.
    pub fn port_unguard(&mut self, space: SpaceId, name: PortName, guard: u64) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_NAME)?;
        let port = self.named_receive_right(space, name)?;
        let port = &mut self.ports[port];
        if !port.guard.guarded || port.context != guard {
            return Err(KERN_INVALID_ARGUMENT);
        }
        port.context = 0;
        port.guard.guarded = false;
        port.guard.strict = false;
        Ok(())
    }

    /// `mach_port_swap_guard`: replaces the guard of a port.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` and `KERN_INVALID_RIGHT` as for [`port_guard`](Ipc::port_guard); `KERN_INVALID_ARGUMENT` if
    /// `old` is not the guard or the guard is strict. Nothing has changed then.
    pub fn port_swap_guard(&mut self, space: SpaceId, name: PortName, old: u64, new: u64) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_NAME)?;
        let port = self.named_receive_right(space, name)?;
        let port = &mut self.ports[port];
        if !port.guard.guarded || port.guard.strict || port.context != old {
            return Err(KERN_INVALID_ARGUMENT);
        }
        port.context = new;
        Ok(())
    }

    /// `mach_port_get_context`: returns the context of a port, or 0 if it is a strict guard.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` for `MACH_PORT_NULL` and `MACH_PORT_DEAD`, or if the name has no receive right;
    /// `KERN_INVALID_NAME` if it does not exist or is a dead name.
    pub fn port_get_context(&mut self, space: SpaceId, name: PortName) -> Result<u64, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        let port = &self.ports[port];
        Ok(if port.guard.strict { 0 } else { port.context })
    }

    /// `mach_port_set_context`: sets the context of a port.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` and `KERN_INVALID_NAME` as for [`port_get_context`](Ipc::port_get_context);
    /// `KERN_INVALID_ARGUMENT` if the context is a strict guard. Nothing has changed then.
    pub fn port_set_context(&mut self, space: SpaceId, name: PortName, context: u64) -> Result<(), KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        let port = &mut self.ports[port];
        if port.guard.strict {
            return Err(KERN_INVALID_ARGUMENT);
        }
        port.context = context;
        Ok(())
    }
}
