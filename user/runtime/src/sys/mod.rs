//! Trap stubs, the start of programs and threads, and instructions for tests: all the `unsafe` code.

mod entry;
#[cfg(target_os = "none")]
pub(crate) mod heap;
mod lend;
pub mod local;
pub mod machine;
#[cfg(target_os = "none")]
pub(crate) mod mutex;
pub mod registers;
#[cfg(all(target_os = "none", feature = "start"))]
mod relocate;
pub(crate) mod stack;

pub use entry::Arguments;
pub use lend::{Lent, lend};

use core::arch::asm;

/// Makes a trap with up to six arguments and returns its result, sign-extended as the kernel left it.
///
/// Addresses are passed as numbers. The kernel writes only to an address in an argument, so the caller passes addresses
/// of memory that it may write and to which it has no other reference.
#[inline(always)]
pub fn trap(number: u32, arguments: [u64; 6]) -> u64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: The kernel keeps all registers but rax, rcx, r11 and the vector registers, which this target does not use
    // for values, and touches memory as described above. Without `nomem` the compiler assumes that it does.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, inlateout("rdx") c => _, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Makes a trap with up to eight arguments; the last two go onto the stack, above the place of a return address.
#[inline(always)]
pub fn trap_with_stack(number: u32, arguments: [u64; 6], more: [u64; 2]) -> u64 {
    trap_for_two(number, arguments, more)[0]
}

/// Makes a trap with up to eight arguments and returns both results, in rax and in rdx.
#[inline(always)]
pub fn trap_for_two(number: u32, arguments: [u64; 6], more: [u64; 2]) -> [u64; 2] {
    let [a, b, c, d, e, f] = arguments;
    let [g, h] = more;
    let (result, second);
    // SAFETY: As for `trap`; the stack pointer is back where it was.
    unsafe {
        asm!(
            "push {h}",
            "push {g}",
            "push 0",
            "syscall",
            "lea rsp, [rsp + 24]",
            g = in(reg) g, h = in(reg) h,
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, inlateout("rdx") c => second, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    [result, second]
}

/// Makes a Unix trap with up to six arguments. With the carry flag set the result is an error number.
#[inline(always)]
pub fn unix_trap<const COUNT: usize>(number: u32, arguments: [u64; COUNT]) -> Result<u64, u64> {
    let mut six = [0; 6];
    six[..COUNT].copy_from_slice(&arguments);
    let [a, b, c, d, e, f] = six;
    let (result, failed): (u64, u8);
    // SAFETY: As for `trap`.
    unsafe {
        asm!(
            "syscall",
            "setc {failed}",
            failed = lateout(reg_byte) failed,
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, inlateout("rdx") c => _, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    if failed != 0 { Err(result) } else { Ok(result) }
}

/// Ends the task.
pub fn exit(status: i32) -> ! {
    let _ = unix_trap(abi::trap::unix::EXIT, [status as u64, 0, 0, 0]);
    unreachable!("a task that has ended does not go on")
}
