//! The traps of `mach_vm`, for the caller's own task.

use crate::calls::{memory_error, put_result};
use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Machine, Protection, UserAddr};
use crate::task::regions::Place;
use abi::code::*;
use abi::task::*;
use abi::{KernReturn, PortName};

impl Kernel {
    /// `mach_vm_allocate`: gives the caller's task zeroed memory, and writes its address to `address`, which holds the
    /// wanted address before.
    ///
    /// # Errors
    /// Those of `require_self`, of `chosen_place`, of [`find_room`](crate::task::Tasks::find_room) and of
    /// [`vm_allocate`](crate::task::Tasks::vm_allocate); `KERN_MEMORY_ERROR` if `address` cannot be read or written.
    pub(super) fn vm_allocate_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        address: UserAddr,
        size: u64,
        flags: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        let space = caller.address_space;
        let wanted = UserAddr(machine.read_u64(space, address).map_err(memory_error)?);
        let place = chosen_place(wanted, flags)?;
        if size == 0 {
            return put_result(machine, caller, address, &0u64.to_le_bytes());
        }
        self.pay_for_regions(caller);
        // The address is written before the memory is allocated, because writing it may fail.
        let (start, end) = self.tasks.find_room(caller.task, place, size)?;
        put_result(machine, caller, address, &start.to_le_bytes())?;
        match place {
            Place::Over(_) => self.tasks.vm_replace(machine, caller.task, start, end),
            _ => {
                let protection = Protection::READ | Protection::WRITE;
                self.tasks.vm_allocate(machine, caller.task, Some(UserAddr(start)), end - start, protection).map(|_| ())
            }
        }
    }

    /// `mach_vm_deallocate`: removes memory of the caller's task.
    ///
    /// # Errors
    /// Those of `require_self` and of [`vm_deallocate`](crate::task::Tasks::vm_deallocate).
    pub(super) fn vm_deallocate_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        address: UserAddr,
        size: u64,
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        self.pay_for_regions(caller);
        self.tasks.vm_deallocate(machine, caller.task, address, size)
    }

    /// `mach_vm_protect`: changes the protection of memory of the caller's task.
    ///
    /// # Errors
    /// Those of `require_self` and of [`vm_protect`](crate::task::Tasks::vm_protect); `KERN_NOT_SUPPORTED` with
    /// `set_maximum`, which would limit the protection that later calls may ask for: regions have no such limit.
    #[expect(clippy::too_many_arguments, reason = "the trap has these arguments")]
    pub(super) fn vm_protect_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        address: UserAddr,
        size: u64,
        set_maximum: u32,
        protection: u32,
    ) -> Result<(), KernReturn> {
        self.require_self(caller, target)?;
        if set_maximum != 0 {
            return Err(KERN_NOT_SUPPORTED);
        }
        self.pay_for_regions(caller);
        self.tasks.vm_protect(machine, caller.task, address, size, protection)
    }

    /// Puts records for regions that an operation may add on the budget of the caller, if it has room for them.
    fn pay_for_regions(&mut self, caller: Context) {
        let Kernel { tasks, ipc, .. } = self;
        let budget = ipc.space(caller.space).budget();
        tasks[caller.task].regions.pay(|bytes| ipc.charge(budget, bytes));
    }
}

/// Returns the place for memory that the flags of `mach_vm_allocate` ask for.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for flags that no user may give; `KERN_NOT_SUPPORTED` for those without a meaning in Tally.
fn chosen_place(wanted: UserAddr, flags: u32) -> Result<Place, KernReturn> {
    let known = VM_FLAGS_ANYWHERE | VM_FLAGS_OVERWRITE | VM_FLAGS_ALIAS_MASK;
    if flags & !(known | VM_FLAGS_NOT_SUPPORTED) != 0 {
        return Err(KERN_INVALID_ARGUMENT);
    }
    if flags & VM_FLAGS_NOT_SUPPORTED != 0 {
        return Err(KERN_NOT_SUPPORTED);
    }
    Ok(if flags & VM_FLAGS_ANYWHERE != 0 {
        Place::Anywhere
    } else if flags & VM_FLAGS_OVERWRITE != 0 {
        Place::Over(wanted)
    } else {
        Place::At(wanted)
    })
}
