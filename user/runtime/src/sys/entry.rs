//! The entry point of programs, and their arguments.

use core::ffi::{CStr, c_char};

/// The arguments of a program.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    next: *const *const c_char,
    left: usize,
}

impl Arguments {
    /// Returns the arguments in the block on top of the first stack: their number, then their addresses.
    ///
    /// # Safety
    /// `block` is the address of the block that the kernel made, and the block is unchanged.
    #[cfg(all(target_os = "none", feature = "start"))]
    unsafe fn of_block(block: *const u64) -> Arguments {
        // SAFETY: As the caller says.
        let count = unsafe { *block };
        Arguments { next: block.wrapping_add(1).cast(), left: count as usize }
    }

    /// Returns the bytes of the remaining arguments, each with its zero byte. The kernel puts them one behind the
    /// other.
    pub fn strings(&self) -> &'static [u8] {
        let Some(last) = self.left.checked_sub(1) else { return &[] };
        // SAFETY: The block holds as many addresses as it says, each of a string that ends with a zero byte. The
        // strings lie one behind the other in the order of their addresses (docs/abi.md), and no code changes them.
        unsafe {
            let (first, last) = (*self.next, *self.next.add(last));
            let end = last.add(CStr::from_ptr(last).count_bytes() + 1);
            core::slice::from_raw_parts(first.cast(), end.offset_from_unsigned(first))
        }
    }
}

impl Iterator for Arguments {
    type Item = &'static str;

    /// Returns the next argument. An argument that is not UTF-8 is returned as an empty string.
    fn next(&mut self) -> Option<&'static str> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: The block holds as many addresses as it says, each of a string that ends with a zero byte, and no
        // code changes them.
        let text = unsafe { CStr::from_ptr(*self.next) };
        self.next = self.next.wrapping_add(1);
        Some(text.to_str().unwrap_or(""))
    }
}

/// Makes `main`, a function from [`Arguments`] to the exit status, the main function of a program.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[cfg(target_os = "none")]
        // SAFETY: A binary has one program, and only the runtime refers to this name.
        #[unsafe(no_mangle)]
        extern "Rust" fn tally_main(arguments: $crate::sys::Arguments) -> i32 {
            $main(arguments)
        }

        #[cfg(not(target_os = "none"))]
        fn main() -> std::process::ExitCode {
            let _: fn($crate::sys::Arguments) -> i32 = $main;
            eprintln!("this is a program for Tally, use ./run-qemu.sh");
            std::process::ExitCode::from(64)
        }
    };
}

#[cfg(all(target_os = "none", feature = "start"))]
mod start {
    use super::Arguments;
    use core::arch::naked_asm;

    unsafe extern "Rust" {
        fn tally_main(arguments: Arguments) -> i32;
    }

    /// The first instruction: the stack pointer is at the block with the arguments.
    // SAFETY: The linker refers to this name, and a binary has one such function.
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    extern "C" fn _start() -> ! {
        naked_asm!(
            // The time stamp at the first instruction, for the benchmark of booting.
            "rdtsc",
            "shl rdx, 32",
            "lea r12, [rdx + rax]",
            "mov rbx, rsp",
            "xor ebp, ebp",
            "and rsp, -16",
            // 0 in a program that is not position-independent.
            ".weak _DYNAMIC",
            ".hidden _DYNAMIC",
            "lea rsi, [rip + _DYNAMIC]",
            "mov rdi, rbx",
            "call {relocate}",
            "mov rdi, rbx",
            "mov rsi, r12",
            "mov edx, eax",
            "call {start}",
            relocate = sym crate::sys::relocate::relocate,
            start = sym start,
        )
    }

    /// The exit status of a program that cannot be relocated: it does not start.
    const NOT_STARTED: i32 = 127;

    extern "C" fn start(block: *const u64, time_stamp: u64, unknown_relocations: u32) -> ! {
        if unknown_relocations != 0 {
            crate::write_console(b"this program has relocations that its runtime does not know\n");
            crate::sys::exit(NOT_STARTED);
        }
        crate::sys::machine::note_start(time_stamp);
        // SAFETY: `_start` passes the address of the block; the binary defines `tally_main` by `program!`.
        let status = unsafe { tally_main(Arguments::of_block(block)) };
        crate::sys::exit(status)
    }
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::check::report(info);
    crate::sys::exit(crate::PANICKED)
}
