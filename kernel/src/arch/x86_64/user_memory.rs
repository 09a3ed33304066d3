//! Copies between the kernel and the user memory of the active address space.
//!
//! The user's side of a copy need not be mapped as the copy needs it. Then an instruction faults that is in the fixup
//! table: a range of instructions, and where the page-fault handler makes the kernel go on ([`fixup`]). There the copy
//! reports the fault.

use core::arch::asm;
use kernel::machine::{Fault, UserAddr};

/// An entry of the fixup table.
#[derive(Debug)]
#[repr(C)]
struct Fixup {
    /// The first instruction that may fault.
    start: u64,
    /// Behind the last one.
    end: u64,
    /// Where the kernel goes on.
    target: u64,
}

unsafe extern "C" {
    /// The beginning and the end of the section `fixups`, set by the linker because the name is that of a symbol.
    static __start_fixups: Fixup;
    static __stop_fixups: Fixup;
}

/// Returns where the kernel goes on after the instruction at `rip` could not access user memory; `None` if no
/// instruction there may fault.
pub fn fixup(rip: u64) -> Option<u64> {
    let start = &raw const __start_fixups;
    // SAFETY: Both symbols belong to one section, which consists of entries that `copy_user` puts there.
    let table = unsafe {
        let entries = (&raw const __stop_fixups).offset_from_unsigned(start);
        core::slice::from_raw_parts(start, entries)
    };
    table.iter().find(|entry| (entry.start..entry.end).contains(&rip)).map(|entry| entry.target)
}

/// Copies with a routine that has an entry in the fixup table: eight bytes at a time, then the rest. `$before` and
/// `$after` are the instructions that the processor needs before and after the kernel touches user memory.
macro_rules! copy_user {
    ($to:expr, $from:expr, $size:expr, $before:literal, $after:literal) => {
        asm!(
            $before,
            "2:",
            "rep movsq",
            "test {size:l}, 7",
            "jz 3f",
            "mov ecx, {size:e}",
            "and ecx, 7",
            "rep movsb",
            "3:",
            $after,
            ".pushsection fixups, \"aR\"",
            ".quad 2b, 3b, {fault}",
            ".popsection",
            size = in(reg) $size,
            inout("rcx") $size / 8 => _,
            inout("rdi") $to => _,
            inout("rsi") $from => _,
            fault = label {
                // SAFETY: The processor has the instruction if it has the one of `$before`.
                unsafe { asm!($after, options(nomem, nostack)) };
                return Err(Fault);
            },
            options(nostack),
        )
    };
}

/// Copies `size` bytes on a processor with SMAP: the kernel has access to user memory only in between.
///
/// # Safety
/// One of the two ranges is user memory or unmapped and ends before the page behind the user's half does; the other is
/// the kernel's, and may be read or written as the copy does. The processor has SMAP.
#[inline(always)]
unsafe fn copy_with_smap(to: u64, from: u64, size: usize) -> Result<(), Fault> {
    // SAFETY: As the caller says; a fault of the user's side ends in the block `fault`. The direction flag is clear in
    // the kernel.
    unsafe { copy_user!(to, from, size, "stac", "clac") };
    Ok(())
}

/// Copies `size` bytes on a processor without SMAP.
///
/// # Safety
/// As for [`copy_with_smap`], but the processor has no SMAP.
#[cold]
#[inline(never)]
unsafe fn copy_without_smap(to: u64, from: u64, size: usize) -> Result<(), Fault> {
    // SAFETY: As for `copy_with_smap`.
    unsafe { copy_user!(to, from, size, "", "") };
    Ok(())
}

/// Access to user memory.
#[derive(Clone, Copy, Debug)]
pub struct UserMemory {
    smap: bool,
}

impl UserMemory {
    /// Returns access to user memory on a processor with or without SMAP.
    pub fn new(smap: bool) -> UserMemory {
        UserMemory { smap }
    }

    /// Copies from user memory.
    ///
    /// # Errors
    /// [`Fault`]; `to` then holds anything that was there or in user memory.
    #[inline(always)]
    pub fn copy_in(self, from: UserAddr, to: &mut [u8]) -> Result<(), Fault> {
        check(from, to.len())?;
        // SAFETY: `check` has seen the source, and the target is borrowed.
        unsafe { self.copy(to.as_mut_ptr() as u64, from.0, to.len()) }
    }

    /// Copies to user memory.
    ///
    /// # Errors
    /// [`Fault`]; bytes before the one that faulted may have been written.
    #[inline(always)]
    pub fn copy_out(self, to: UserAddr, from: &[u8]) -> Result<(), Fault> {
        check(to, from.len())?;
        // SAFETY: `check` has seen the target, where no memory of the kernel is, and the source is borrowed.
        unsafe { self.copy(to.0, from.as_ptr() as u64, from.len()) }
    }

    /// # Safety
    /// As for [`copy_with_smap`].
    #[inline(always)]
    unsafe fn copy(self, to: u64, from: u64, size: usize) -> Result<(), Fault> {
        if self.smap {
            // SAFETY: As the caller says.
            unsafe { copy_with_smap(to, from, size) }
        } else {
            // SAFETY: As the caller says.
            unsafe { copy_without_smap(to, from, size) }
        }
    }
}

#[inline(always)]
fn check(at: UserAddr, size: usize) -> Result<(), Fault> {
    if at.ends_before_guard(size as u64) { Ok(()) } else { Err(Fault) }
}
