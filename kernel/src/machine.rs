//! What the core needs of the hardware: the [`Machine`] trait.
//!
//! The image implements it in `arch/x86_64`, the host tests by a fake one with memory in a map and a clock they turn by
//! hand. Nothing else in the core touches hardware or a user's memory.

use crate::rate::Stamp;
use abi::task::PAGE_SIZE;
use bitflags::bitflags;
use core::fmt;
pub use store::NoMemory;

/// Time in nanoseconds since boot. `u64::MAX` means never.
pub type Nanos = u64;

/// A processor's number.
pub type Cpu = usize;

/// The first address that is never a user's: the last page of the lower half stays unmapped, so that the address after
/// any instruction a user can execute is canonical.
pub const USER_END: u64 = 0x0000_7FFF_FFFF_F000;

/// The end of the page behind [`USER_END`], where the addresses that are not canonical begin. The page is never mapped.
pub const GUARD_END: u64 = USER_END + PAGE_SIZE;

/// The first address that may be mapped: null pointers, and what is near them, always fault.
pub const USER_START: u64 = 0x1_0000;

/// A user's claim to an address. It cannot be dereferenced; only [`Machine`] can copy from and to it, and checks it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct UserAddr(pub u64);

impl UserAddr {
    /// This address plus `bytes`; beyond the end of the address space it is an address no user has.
    pub const fn plus(self, bytes: u64) -> UserAddr {
        UserAddr(self.0.saturating_add(bytes))
    }

    /// Whether `size` bytes from here on lie in the part of the address space that users may have. They need not be
    /// mapped. No bytes lie anywhere.
    pub const fn holds(self, size: u64) -> bool {
        size == 0 || self.0 < USER_END && size <= USER_END - self.0
    }

    /// Returns true if `size` bytes from here on end before [`GUARD_END`]: an access to them succeeds or is a page fault of
    /// the user's half. For up to a page that takes one comparison.
    #[inline(always)]
    pub const fn ends_before_guard(self, size: u64) -> bool {
        self.0 < USER_END && size <= PAGE_SIZE || self.holds(size)
    }

    /// Whether this is the first address of a page.
    pub const fn is_page_aligned(self) -> bool {
        self.0.is_multiple_of(PAGE_SIZE)
    }
}

/// A user address was not mapped as needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// An address space of the machine, by a number that means something to the machine alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AddressSpace(pub u64);

bitflags! {
    /// What user code may do with a page. The bits are those of `vm_prot_t`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Read it.
        const READ = abi::task::VM_PROT_READ;
        /// Write it.
        const WRITE = abi::task::VM_PROT_WRITE;
        /// Run it.
        const EXECUTE = abi::task::VM_PROT_EXECUTE;
    }
}

/// The hardware, as the core sees it. All calls happen with interrupts off and the kernel's lock held.
///
/// Sizes are bytes, `pages` are pages of 4096 bytes, addresses given to `map`, `unmap`, `protect` and `load` are page
/// aligned and inside the user part: the core checks that, so these may assert it.
pub trait Machine {
    /// The time. Never goes back.
    fn now(&mut self) -> Nanos;

    /// Returns this moment's stamp, of which the clock in `Config` makes the time.
    fn stamp(&mut self) -> Stamp;

    /// Sees to it that processor `cpu` raises `Event::Timer` soon after `deadline`; at
    /// once if that is over. Replaces the deadline set before.
    fn set_timer(&mut self, cpu: Cpu, deadline: Nanos);

    /// Copies from a user's memory.
    ///
    /// # Errors
    /// [`Fault`] if any byte is not readable by the user; `to` then holds anything.
    fn copy_in(&mut self, space: AddressSpace, from: UserAddr, to: &mut [u8]) -> Result<(), Fault>;

    /// Copies to a user's memory.
    ///
    /// # Errors
    /// [`Fault`] if any byte is not writable by the user; bytes before it may have been written.
    fn copy_out(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) -> Result<(), Fault>;

    /// Reads one aligned or unaligned word of a user's memory.
    ///
    /// # Errors
    /// [`Fault`] if any byte is not readable by the user.
    fn read_u64(&mut self, space: AddressSpace, from: UserAddr) -> Result<u64, Fault> {
        let mut bytes = [0; 8];
        self.copy_in(space, from, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Makes an address space without user memory.
    ///
    /// # Errors
    /// [`NoMemory`].
    fn create_address_space(&mut self) -> Result<AddressSpace, NoMemory>;

    /// Ends an address space. Its user memory has been unmapped, and no thread will run in it.
    fn destroy_address_space(&mut self, space: AddressSpace);

    /// Puts zeroed memory at a range where there is none.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing is mapped then.
    fn map(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) -> Result<(), NoMemory>;

    /// Takes away the memory of a range that is mapped completely.
    fn unmap(&mut self, space: AddressSpace, at: UserAddr, pages: u64);

    /// Changes what a range that is mapped completely allows.
    fn protect(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection);

    /// Writes to mapped memory whatever its protection: how a program's image gets where it belongs.
    fn load(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]);

    /// How many page frames are free.
    fn free_frames(&self) -> u64;

    /// How many processors run.
    fn cpu_count(&self) -> u32;

    /// Writes to the console.
    fn console_write(&mut self, bytes: &[u8]);

    /// Writes a line about what happened to the kernel's log, which is not the console.
    fn log(&mut self, line: fmt::Arguments<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_leave_the_user_part_or_wrap_are_refused() {
        assert!(UserAddr(USER_END - 8).holds(8));
        assert!(!UserAddr(USER_END - 8).holds(9));
        assert!(!UserAddr(USER_END).holds(1));
        assert!(!UserAddr(0x8000_0000_0000_0000).holds(1), "not canonical");
        assert!(!UserAddr(u64::MAX - 3).holds(4), "wraps to zero");
        assert!(!UserAddr(u64::MAX).holds(u64::MAX), "wraps far");
        assert!(UserAddr(0).holds(0) && UserAddr(u64::MAX).holds(0), "no bytes lie anywhere");
        assert_eq!(UserAddr(u64::MAX - 1).plus(16), UserAddr(u64::MAX));
    }

    #[test]
    fn accesses_end_before_the_addresses_that_are_not_canonical() {
        let starts = [0, 1, USER_END / 2, USER_END, GUARD_END, 1 << 63, u64::MAX];
        let near =
            starts.into_iter().flat_map(|start| (0..5).map(move |n| u64::wrapping_add(start, n).wrapping_sub(2)));
        let sizes = [0, 1, 2, 8, PAGE_SIZE - 1, PAGE_SIZE, PAGE_SIZE + 1, USER_END, GUARD_END, u64::MAX];
        for (start, size) in near.flat_map(|start| sizes.map(|size| (start, size))) {
            let allowed = UserAddr(start).ends_before_guard(size);
            let end = u128::from(start) + u128::from(size);
            assert!(!allowed || size == 0 || end <= u128::from(GUARD_END), "{size} bytes from {start:#x}");
            assert!(allowed || !UserAddr(start).holds(size), "{size} bytes from {start:#x} are a user's");
        }
        assert!(!UserAddr(USER_END).ends_before_guard(1), "a range of the guard alone is refused");
    }
}
