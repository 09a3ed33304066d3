//! Guards and contexts of ports (mach-ipc 2.9). The guard is the port's context value.

use super::valid;
use crate::ids::SpaceId;
use crate::ipc::Ipc;
use abi::KernReturn;
use abi::PortName;
use abi::code::*;

impl Ipc {
    /// `mach_port_guard` and `mach_port_guard_with_flags`: the context becomes a guard.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, `KERN_INVALID_RIGHT`; `KERN_INVALID_ARGUMENT` if the port has a context.
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

    /// `mach_port_unguard`. An immovable receive right stays immovable.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, `KERN_INVALID_RIGHT`; `KERN_INVALID_ARGUMENT` if that is not the guard.
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

    /// `mach_port_swap_guard`.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME`, `KERN_INVALID_RIGHT`; `KERN_INVALID_ARGUMENT` if `old` is not the guard or it is strict.
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

    /// `mach_port_get_context`: 0 if a strict guard hides it.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`.
    pub fn port_get_context(&mut self, space: SpaceId, name: PortName) -> Result<u64, KernReturn> {
        valid(name, KERN_INVALID_RIGHT)?;
        let port = self.named_receive_right(space, name)?;
        let port = &self.ports[port];
        Ok(if port.guard.strict { 0 } else { port.context })
    }

    /// `mach_port_set_context`.
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT`, `KERN_INVALID_NAME`; `KERN_INVALID_ARGUMENT` if a strict guard protects it.
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
