//! The traps of `mach_vm`, for the caller's own task.

use super::{Caller, memory_error};
use crate::kernel::Kernel;
use crate::machine::{Machine, Protection, UserAddr};
use abi::code::*;
use abi::task::VM_FLAGS_ANYWHERE;
use abi::{KernReturn, PortName};

impl Kernel {
    pub(super) fn vm_allocate_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        address: UserAddr,
        size: u64,
        flags: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        let space = by.address_space;
        let wanted = UserAddr(m.read_u64(space, address).map_err(memory_error)?);
        let fixed = if flags & VM_FLAGS_ANYWHERE == 0 { Some(wanted) } else { None };
        // The caller is told first where its memory will be, so that it cannot have memory that it does not know of.
        let (start, _) = self.find_room(by.task, fixed, size)?;
        self.put_result(m, by, address, &start.to_le_bytes())?;
        let at = fixed.unwrap_or(UserAddr(start));
        self.vm_allocate(m, by.task, Some(at), size, Protection::READ | Protection::WRITE).map(|_| ())
    }

    pub(super) fn vm_deallocate_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        address: UserAddr,
        size: u64,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        self.vm_deallocate(m, by.task, address, size)
    }

    /// `set_maximum` limits what later calls may ask for; Tally's regions have no such limit to set.
    #[expect(clippy::too_many_arguments, reason = "the trap has so many")]
    pub(super) fn vm_protect_trap(
        &mut self,
        m: &mut dyn Machine,
        by: Caller,
        target: PortName,
        address: UserAddr,
        size: u64,
        set_maximum: u32,
        protection: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(by, target)?;
        if set_maximum != 0 {
            return Err(KERN_NOT_SUPPORTED);
        }
        self.vm_protect(m, by.task, address, size, protection)
    }
}
