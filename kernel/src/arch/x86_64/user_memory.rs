//! Copies between the kernel and the user memory of the active address space.
//!
//! An address that is not mapped as needed makes the copying instruction fault; the page fault handler then goes on at
//! the routine's `…_fault` label ([`landing`]), and the copy reports it.

use core::arch::{asm, global_asm};
use kernel::machine::{Fault, UserAddr};

// copy_user: rdi = to, rsi = from, rdx = bytes; returns 0, or 1 after a fault. Eight bytes at a time, then the rest.
// load_user: rdi = from; returns the word in rax and 0 in rdx, or 1 in rdx after a fault.
global_asm!(
    ".global copy_user, copy_user_end, copy_user_fault, load_user, load_user_end, load_user_fault",
    "copy_user:",
    "    mov rcx, rdx",
    "    shr rcx, 3",
    "    rep movsq",
    "    mov ecx, edx",
    "    and ecx, 7",
    "    rep movsb",
    "copy_user_end:",
    "    xor eax, eax",
    "    ret",
    "copy_user_fault:",
    "    mov eax, 1",
    "    ret",
    "load_user:",
    "    mov rax, [rdi]",
    "load_user_end:",
    "    xor edx, edx",
    "    ret",
    "load_user_fault:",
    "    xor eax, eax",
    "    mov edx, 1",
    "    ret",
);

unsafe extern "C" {
    fn copy_user(to: u64, from: u64, size: u64) -> u64;
    fn load_user(from: u64) -> LoadResult;
    static copy_user_end: u8;
    static copy_user_fault: u8;
    static load_user_end: u8;
    static load_user_fault: u8;
}

/// Two words come back in registers.
#[repr(C)]
struct LoadResult {
    value: u64,
    fault: u64,
}

/// Where the kernel goes on after the instruction at `rip` could not access user memory; `None` if no instruction there
/// has any business with user memory.
pub fn landing(rip: u64) -> Option<u64> {
    let routines = [
        (copy_user as *const () as u64, (&raw const copy_user_end) as u64, (&raw const copy_user_fault) as u64),
        (load_user as *const () as u64, (&raw const load_user_end) as u64, (&raw const load_user_fault) as u64),
    ];
    routines.iter().find(|(start, end, _)| (*start..*end).contains(&rip)).map(|(_, _, fault)| *fault)
}

/// The way into user memory.
#[derive(Clone, Copy, Debug)]
pub struct UserMemory {
    smap: bool,
}

impl UserMemory {
    /// `smap`: whether the processor keeps the kernel from user memory unless told otherwise.
    pub fn new(smap: bool) -> UserMemory {
        UserMemory { smap }
    }

    /// Copies from user memory.
    ///
    /// # Errors
    /// [`Fault`]; `to` then holds anything that was there or in user memory.
    #[inline]
    pub fn copy_in(self, from: UserAddr, to: &mut [u8]) -> Result<(), Fault> {
        check(from, to.len())?;
        // SAFETY: The source is in the user's half, the target is borrowed.
        let fault = self.with_access(|| unsafe { copy_user(to.as_mut_ptr() as u64, from.0, to.len() as u64) });
        if fault == 0 { Ok(()) } else { Err(Fault) }
    }

    /// Copies to user memory.
    ///
    /// # Errors
    /// [`Fault`]; bytes before the one that faulted may have been written.
    #[inline]
    pub fn copy_out(self, to: UserAddr, from: &[u8]) -> Result<(), Fault> {
        check(to, from.len())?;
        // SAFETY: The target is in the user's half, where no memory of the kernel is, and the source is borrowed.
        let fault = self.with_access(|| unsafe { copy_user(to.0, from.as_ptr() as u64, from.len() as u64) });
        if fault == 0 { Ok(()) } else { Err(Fault) }
    }

    /// Reads a word.
    ///
    /// # Errors
    /// [`Fault`].
    #[inline]
    pub fn read_u64(self, from: UserAddr) -> Result<u64, Fault> {
        check(from, 8)?;
        // SAFETY: The source is in the user's half.
        let LoadResult { value, fault } = self.with_access(|| unsafe { load_user(from.0) });
        if fault == 0 { Ok(value) } else { Err(Fault) }
    }

    #[inline]
    fn with_access<R>(self, access: impl FnOnce() -> R) -> R {
        if !self.smap {
            return access();
        }
        // SAFETY: The processor has the instructions if it has SMAP. Between them only the two routines run.
        unsafe { asm!("stac", options(nostack)) };
        let result = access();
        // SAFETY: As above.
        unsafe { asm!("clac", options(nostack)) };
        result
    }
}

fn check(at: UserAddr, size: usize) -> Result<(), Fault> {
    if at.holds(size as u64) { Ok(()) } else { Err(Fault) }
}
