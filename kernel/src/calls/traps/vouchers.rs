//! The traps for vouchers and activity ids (vouchers 4.2, 4.3, 4.13).

use super::name;
use crate::calls::{memory_error, put_result};
use crate::ids::{Context, KernelObject};
use crate::kernel::Kernel;
use crate::machine::{Machine, UserAddr};
use abi::code::*;
use abi::port::MACH_PORT_NULL;
use abi::trap::mach as number;
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE;
use abi::{KernReturn, PortName};
use alloc::vec::Vec;
use zerocopy::IntoBytes;

/// The size of the longest array of recipes that needs no allocation (vouchers 0.3).
const SHORT: usize = 256;

/// The kernel's copy of an array of recipes. Its size is that which was checked, whatever the program does meanwhile.
struct RecipeBuffer {
    size: usize,
    /// The bytes, if there are at most [`SHORT`].
    short: [u8; SHORT],
    /// The bytes, if there are more.
    long: Vec<u8>,
}

impl RecipeBuffer {
    /// Returns a buffer of `size` zero bytes.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out.
    fn new(size: usize) -> Result<RecipeBuffer, KernReturn> {
        let mut long = Vec::new();
        if size > SHORT {
            long = store::try_vec(0, size).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        }
        Ok(RecipeBuffer { size, short: [0; SHORT], long })
    }

    fn bytes(&mut self) -> &mut [u8] {
        if self.size > SHORT { &mut self.long } else { &mut self.short[..self.size] }
    }
}

/// Refuses an array of recipes that is longer than any.
///
/// # Errors
/// `MIG_ARRAY_TOO_LARGE`.
fn check_size(size: usize) -> Result<(), KernReturn> {
    if size > MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE { Err(MIG_ARRAY_TOO_LARGE) } else { Ok(()) }
}

impl Kernel {
    /// Handles the traps for vouchers and activity ids.
    #[inline(never)]
    pub(super) fn voucher_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        trap: u32,
        [a, b, c, d, ..]: [u64; 6],
    ) -> Result<(), KernReturn> {
        match trap {
            number::MACH_GENERATE_ACTIVITY_ID => self.generate_activity_id(machine, caller, b as i32, UserAddr(c)),
            number::HOST_CREATE_MACH_VOUCHER => {
                self.create_voucher_trap(machine, caller, name(a), UserAddr(b), c as i32, UserAddr(d))
            }
            _ => self.extract_recipe_trap(machine, caller, name(a), b as u32, UserAddr(c), UserAddr(d)),
        }
    }

    /// `mach_generate_activity_id`: reserves consecutive ids and writes the first to `result`.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the count is not 1 to 16; `KERN_ABORTED`, which has the number of `EFAULT`, if the id
    /// cannot be written, and the ids stay reserved (quirk Q13).
    fn generate_activity_id(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        count: i32,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        let first = self.vouchers.generate_activity_ids(count)?;
        machine.copy_out(caller.address_space, result, first.as_bytes()).map_err(|_| KERN_ABORTED)
    }

    /// `host_create_mach_voucher_trap`: creates a voucher from the `size` bytes of recipes at `recipes` and writes a
    /// name for it to `result`, or null if no attribute is present or the caller's space cannot take the right (quirk
    /// Q26).
    ///
    /// # Errors
    /// `MACH_SEND_INVALID_DEST` if `host` is not the host; `KERN_INVALID_ARGUMENT` for a negative size;
    /// `MIG_ARRAY_TOO_LARGE` for a size above 5,120; `KERN_RESOURCE_SHORTAGE` if memory or the budget is used up;
    /// `KERN_MEMORY_ERROR` if the recipes cannot be read or the name cannot be written; those of the recipes. Nothing
    /// has changed then.
    fn create_voucher_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        host: PortName,
        recipes: UserAddr,
        size: i32,
        result: UserAddr,
    ) -> Result<(), KernReturn> {
        if self.object_named(caller, host) != Some(KernelObject::Host) {
            return Err(MACH_SEND_INVALID_DEST);
        }
        let size = usize::try_from(size).map_err(|_| KERN_INVALID_ARGUMENT)?;
        check_size(size)?;
        let mut buffer = RecipeBuffer::new(size)?;
        machine.copy_in(caller.address_space, recipes, buffer.bytes()).map_err(memory_error)?;
        let client = self.client(caller);
        let Kernel { ipc, sched, step, vouchers, .. } = self;
        let created = vouchers.create(ipc, step, &client, buffer.bytes())?;
        let name = ipc.copy_out_carried(step, caller.space, created.into(), &mut 0);
        put_result(machine, caller, result, name.as_bytes()).inspect_err(|_| {
            // The caller could not find the name again (quirk Q12).
            if name != MACH_PORT_NULL {
                let released = ipc.port_deallocate(sched, step, caller.space, name);
                released.expect("the name has just been given a reference");
            }
        })
    }

    /// `mach_voucher_extract_attr_recipe_trap`: replaces the recipe at `recipe`, whose room is in the word at `size`, by
    /// the recipe of a voucher's attribute, and the word by the recipe's size.
    ///
    /// # Errors
    /// `KERN_MEMORY_ERROR` if memory cannot be accessed; `MIG_ARRAY_TOO_LARGE` for more room than 5,120 bytes;
    /// `MACH_SEND_INVALID_DEST` if the name is not a voucher; `KERN_RESOURCE_SHORTAGE` if memory runs out; those of
    /// [`extract_recipe`](crate::vouchers::Vouchers::extract_recipe). Nothing has been written then, unless the word
    /// for the size alone is not writable.
    fn extract_recipe_trap(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        voucher: PortName,
        key: u32,
        recipe: UserAddr,
        size: UserAddr,
    ) -> Result<(), KernReturn> {
        let mut room = 0u32;
        machine.copy_in(caller.address_space, size, room.as_mut_bytes()).map_err(memory_error)?;
        check_size(room as usize)?;
        let voucher = self.ipc.voucher_named(caller.space, voucher).ok_or(MACH_SEND_INVALID_DEST)?;
        let mut buffer = RecipeBuffer::new(room as usize)?;
        machine.copy_in(caller.address_space, recipe, buffer.bytes()).map_err(memory_error)?;
        let client = self.client(caller);
        let used = self.vouchers.extract_recipe(&mut self.ipc, &client, Some(voucher), key, buffer.bytes())?;
        if used > 0 {
            put_result(machine, caller, recipe, &buffer.bytes()[..used])?;
        }
        put_result(machine, caller, size, (used as u32).as_bytes())
    }
}
