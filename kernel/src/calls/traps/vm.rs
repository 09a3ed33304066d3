//! The traps of `mach_vm`, for the caller's own task.

use crate::calls::{memory_error, put_result};
use crate::ids::Context;
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use crate::outcome::Outcome;
use crate::task::regions::operation::Begun;
use crate::task::regions::{Operation, Place};
use abi::code::*;
use abi::task::*;
use abi::{KernReturn, PortName};

impl Kernel {
    /// `mach_vm_allocate`: gives the caller's task zeroed memory, and writes its address to `address`, which holds the
    /// wanted address before.
    ///
    /// # Errors
    /// Those of `require_self`, of `chosen_place`, of [`find_room`](crate::task::Tasks::find_room) and of
    /// [`begin_allocate`](crate::task::Tasks::begin_allocate); `KERN_MEMORY_ERROR` if `address` cannot be read or written.
    pub(super) fn vm_allocate_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        address: UserAddr,
        size: u64,
        flags: u32,
    ) -> Outcome {
        self.change_memory(machine, caller, |kernel, machine| {
            kernel.require_self(caller, target)?;
            let wanted = UserAddr(machine.read_u64(caller.address_space, address).map_err(memory_error)?);
            let place = chosen_place(wanted, flags)?;
            if size == 0 {
                put_result(machine, caller, address, &0u64.to_le_bytes())?;
                return Ok(None);
            }
            kernel.pay_for_regions(caller);
            // The address is written before the memory is allocated, because writing it may fail.
            let range = kernel.tasks.find_room(caller.task, place, size)?;
            put_result(machine, caller, address, &range.0.to_le_bytes())?;
            kernel.tasks.begin_allocate(caller.task, place, range)
        })
    }

    /// `mach_vm_deallocate`: removes memory of the caller's task.
    ///
    /// # Errors
    /// Those of `require_self` and of [`begin_deallocate`](crate::task::Tasks::begin_deallocate).
    pub(super) fn vm_deallocate_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        target: PortName,
        address: UserAddr,
        size: u64,
    ) -> Outcome {
        self.change_memory(machine, caller, |kernel, _| {
            kernel.require_self(caller, target)?;
            kernel.pay_for_regions(caller);
            kernel.tasks.begin_deallocate(caller.task, address, size)
        })
    }

    /// `mach_vm_protect`: changes the protection of memory of the caller's task.
    ///
    /// # Errors
    /// Those of `require_self` and of [`begin_protect`](crate::task::Tasks::begin_protect); `KERN_NOT_SUPPORTED` with
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
    ) -> Outcome {
        self.change_memory(machine, caller, |kernel, _| {
            kernel.require_self(caller, target)?;
            if set_maximum != 0 {
                return Err(KERN_NOT_SUPPORTED);
            }
            kernel.pay_for_regions(caller);
            kernel.tasks.begin_protect(caller.task, address, size, protection)
        })
    }

    /// Puts records for regions that an operation may add on the budget of the caller, if it has room for them.
    fn pay_for_regions(&mut self, caller: Context) {
        let Kernel { tasks, ipc, .. } = self;
        let budget = ipc.space(caller.space).budget();
        tasks[caller.task].regions.pay(|bytes| ipc.charge(budget, bytes));
    }

    /// Does a piece of the operation that the caller's task has not finished, or begins the caller's own with `begin` and
    /// does its first piece. Until the operation of the caller is finished its trap is made again. An operation of another
    /// thread is finished first, at the priority of the caller, and whoever finishes it writes its outcome.
    fn change_memory(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        begin: impl FnOnce(&mut Kernel, &mut dyn Machine) -> Begun,
    ) -> Outcome {
        let operation = match self.tasks.memory_operation(caller.task) {
            Some(operation) => operation,
            None => match begin(self, machine) {
                Ok(Some(todo)) => Operation { thread: caller.thread, todo },
                Ok(None) => return Ok(()).into(),
                Err(code) => return Err(code).into(),
            },
        };
        match self.tasks.advance_memory(machine, caller.task, operation) {
            Some(code) if operation.thread == caller.thread => return Outcome::Code(code),
            Some(code) if self.sched.contains(operation.thread) => {
                self.sched.finish_again(operation.thread, Outcome::Code(code));
            }
            _ => {}
        }
        self.sched.make_again(&mut self.step, caller.thread);
        Outcome::Pending
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
