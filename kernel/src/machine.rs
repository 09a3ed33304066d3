//! The hardware as the core needs it: the [`Machine`] trait.
//!
//! The kernel image implements it in `arch/x86_64`. The host tests implement it by a fake machine, whose memory is a
//! map and whose clock the test sets. The core reaches hardware and user memory through this trait alone.

use abi::task::PAGE_SIZE;
use bitflags::bitflags;
use core::fmt;
pub use store::NoMemory;

/// Time in nanoseconds since boot; 64 bits of them last for 584 years. As a deadline, `Nanos::MAX` means that there is
/// none; a time that does not fit is that.
pub type Nanos = u64;

/// A moment by a counter that never stops. It costs little to take, and becomes a time only where a time is needed: see
/// [`Clock`](crate::rate::Clock).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub u64);

impl Stamp {
    /// Returns the ticks of the counter since an earlier stamp.
    #[inline(always)]
    pub const fn since(self, earlier: Stamp) -> u64 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// A processor's number.
pub type Cpu = usize;

/// The end of user space. The last page of the lower half is not part of it and stays unmapped, so that the address
/// after any instruction that a user can execute is canonical: `sysret` to another address would fault in the kernel.
pub const USER_END: u64 = 0x0000_7FFF_FFFF_F000;

/// The end of the unmapped page behind [`USER_END`]. The addresses from here on are not canonical.
pub const GUARD_END: u64 = USER_END + PAGE_SIZE;

/// The first address that may be mapped. The 64 KiB below it stay unmapped, so that accesses through null pointers
/// fault.
pub const USER_START: u64 = 0x1_0000;

/// An address that a user claims to have. It cannot be dereferenced: only [`Machine`] copies from and to it, and checks
/// it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct UserAddr(pub u64);

impl UserAddr {
    /// Returns this address plus `bytes`. A sum that does not fit 64 bits saturates, so that it is outside user space.
    pub const fn plus(self, bytes: u64) -> UserAddr {
        UserAddr(self.0.saturating_add(bytes))
    }

    /// Returns true if the `size` bytes from here on are within user space, mapped or not. An empty range always is.
    pub const fn contains_range(self, size: u64) -> bool {
        size == 0 || self.0 < USER_END && size <= USER_END - self.0
    }

    /// Returns true if the `size` bytes from here on end before [`GUARD_END`], so that an access to them succeeds or is
    /// a page fault in the lower half. For up to a page that takes one comparison.
    #[inline(always)]
    pub const fn ends_before_guard(self, size: u64) -> bool {
        self.0 < USER_END && size <= PAGE_SIZE || self.contains_range(size)
    }

    /// Returns true if this is the first address of a page.
    pub const fn is_page_aligned(self) -> bool {
        self.0.is_multiple_of(PAGE_SIZE)
    }
}

/// The error of an access to user memory that is not mapped, or not for this kind of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// An address space of the machine. The core does not interpret the number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct AddressSpace(pub u64);

bitflags! {
    /// The accesses to a page that user code may make. The bits are those of `vm_prot_t`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Reading.
        const READ = abi::task::VM_PROT_READ;
        /// Writing.
        const WRITE = abi::task::VM_PROT_WRITE;
        /// Executing.
        const EXECUTE = abi::task::VM_PROT_EXECUTE;
    }
}

/// The hardware, as the core sees it. All calls are made with interrupts off and the kernel's lock held.
///
/// Sizes are in bytes, `pages` are pages of 4096 bytes. The core checks that the ranges given to `map`, `unmap`,
/// `protect` and `load` are within user space, and page aligned for the first three, so an implementation may assert
/// it.
pub trait Machine {
    /// Returns the time. Each value is at least the one before.
    fn now(&mut self) -> Nanos;

    /// Returns the stamp of this moment, of which the clock in `Config` makes the time.
    fn stamp(&mut self) -> Stamp;

    /// Makes processor `cpu` raise `Event::Timer` soon after `deadline`, or at once if that has passed. Replaces the
    /// deadline set before.
    fn set_timer(&mut self, cpu: Cpu, deadline: Nanos);

    /// Copies from user memory.
    ///
    /// # Errors
    /// [`Fault`] if any byte is not readable by the user; the contents of `to` are then unspecified.
    fn copy_in(&mut self, space: AddressSpace, from: UserAddr, to: &mut [u8]) -> Result<(), Fault>;

    /// Copies to user memory.
    ///
    /// # Errors
    /// [`Fault`] if any byte is not writable by the user; bytes before it may have been written.
    fn copy_out(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]) -> Result<(), Fault>;

    /// Reads one word of user memory, which need not be aligned.
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

    /// Destroys an address space. The caller has unmapped its user memory, and no thread of it will run.
    fn destroy_address_space(&mut self, space: AddressSpace);

    /// Maps zeroed memory at a range that is completely unmapped.
    ///
    /// # Errors
    /// [`NoMemory`]; the range is still unmapped.
    fn map(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection) -> Result<(), NoMemory>;

    /// Unmaps and frees the memory of a range that is completely mapped.
    fn unmap(&mut self, space: AddressSpace, at: UserAddr, pages: u64);

    /// Changes the protection of a range that is completely mapped.
    fn protect(&mut self, space: AddressSpace, at: UserAddr, pages: u64, protection: Protection);

    /// Writes to mapped memory, whatever its protection: a program's code is loaded into pages that are not writable.
    fn load(&mut self, space: AddressSpace, to: UserAddr, from: &[u8]);

    /// Returns the number of free page frames.
    fn free_frames(&self) -> u64;

    /// Returns the number of free bytes in the kernel's heap.
    fn free_heap(&self) -> u64;

    /// Returns the size in bytes of the largest allocation from the kernel's heap that would succeed.
    fn largest_allocation(&self) -> u64;

    /// Returns the time of a clock that is independent of [`now`](Machine::now), in nanoseconds since some moment, if the
    /// machine has one.
    fn other_clock(&mut self) -> Option<Nanos>;

    /// Returns the number of processors in operation.
    fn cpu_count(&self) -> u32;

    /// Takes bytes that were typed at the console and have not been taken. Returns their number, 0 if there are none.
    /// When new ones come the processor raises `Event::Timer`.
    fn console_read(&mut self, buffer: &mut [u8]) -> usize;

    /// Writes to the console, at most [`CONSOLE_WRITE_MAX`](crate::limits::CONSOLE_WRITE_MAX) bytes. Returns true if it
    /// took them all, and false if it took none because there is no room for all of them. When there is room again the
    /// processor raises `Event::Timer`.
    fn console_write(&mut self, bytes: &[u8]) -> bool;

    /// Writes to the trace device, if there is one.
    fn trace_write(&mut self, bytes: &[u8]);

    /// Writes a line to the kernel's log, which is apart from the console.
    fn log(&mut self, line: fmt::Arguments<'_>);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_leave_user_space_or_wrap_are_refused() {
        assert!(UserAddr(USER_END - 8).contains_range(8));
        assert!(!UserAddr(USER_END - 8).contains_range(9));
        assert!(!UserAddr(USER_END).contains_range(1));
        assert!(!UserAddr(0x8000_0000_0000_0000).contains_range(1), "not canonical");
        assert!(!UserAddr(u64::MAX - 3).contains_range(4), "wraps to zero");
        assert!(!UserAddr(u64::MAX).contains_range(u64::MAX), "wraps far");
        assert!(UserAddr(0).contains_range(0) && UserAddr(u64::MAX).contains_range(0), "an empty range is valid");
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
            assert!(allowed || !UserAddr(start).contains_range(size), "{size} bytes from {start:#x} are in user space");
        }
        assert!(!UserAddr(USER_END).ends_before_guard(1), "a range within the guard page is refused");
    }
}
