//! Where a program begins.

use core::ffi::{CStr, c_char};

/// The arguments of a program.
#[derive(Clone, Copy, Debug)]
pub struct Arguments {
    next: *const *const c_char,
    left: usize,
}

impl Arguments {
    /// The arguments in the block on top of the first stack: their number, then their addresses.
    ///
    /// # Safety
    /// `block` is where the kernel put that block, which nothing has changed.
    #[cfg(target_os = "none")]
    unsafe fn of_block(block: *const u64) -> Arguments {
        // SAFETY: As the caller says.
        let count = unsafe { *block };
        Arguments { next: block.wrapping_add(1).cast(), left: count as usize }
    }

    /// Returns the bytes of the arguments that are left, each with its zero byte, whatever they hold: the kernel puts
    /// them one behind the other.
    pub fn strings(&self) -> &'static [u8] {
        let Some(last) = self.left.checked_sub(1) else { return &[] };
        // SAFETY: There are as many addresses as the block says, each of a string that ends with zero. The strings lie one
        // behind the other in the order of their addresses (docs/abi.md), and nothing ever changes them.
        unsafe {
            let (first, last) = (*self.next, *self.next.add(last));
            let end = last.add(CStr::from_ptr(last).count_bytes() + 1);
            core::slice::from_raw_parts(first.cast(), end.offset_from_unsigned(first))
        }
    }
}

impl Iterator for Arguments {
    type Item = &'static str;

    /// The next argument. One that is no text is empty.
    fn next(&mut self) -> Option<&'static str> {
        self.left = self.left.checked_sub(1)?;
        // SAFETY: There are as many addresses as the block says, each of a string that ends with zero, and nothing ever
        // changes them.
        let text = unsafe { CStr::from_ptr(*self.next) };
        self.next = self.next.wrapping_add(1);
        Some(text.to_str().unwrap_or(""))
    }
}

/// Makes `main`, a function from [`Arguments`] to the exit status, the beginning of a program.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        #[cfg(target_os = "none")]
        // SAFETY: There is one program in a binary, and only the runtime looks for this name.
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

#[cfg(target_os = "none")]
mod start {
    use super::Arguments;
    use core::arch::naked_asm;
    use core::panic::PanicInfo;

    unsafe extern "Rust" {
        fn tally_main(arguments: Arguments) -> i32;
    }

    /// The first instruction: the stack pointer is at the block with the arguments.
    // SAFETY: The linker looks for this name, and there is one such function.
    #[unsafe(no_mangle)]
    #[unsafe(naked)]
    extern "C" fn _start() -> ! {
        naked_asm!(
            // The processor's count of instructions so far, for who wants to know how long it took.
            "rdtsc",
            "shl rdx, 32",
            "lea rsi, [rdx + rax]",
            "mov rdi, rsp",
            "xor ebp, ebp",
            "and rsp, -16",
            "call {start}",
            start = sym start,
        )
    }

    extern "C" fn start(block: *const u64, time_stamp: u64) -> ! {
        crate::sys::machine::note_start(time_stamp);
        // SAFETY: `_start` passes the place of the block; the binary defines `tally_main` by `program!`.
        let status = unsafe { tally_main(Arguments::of_block(block)) };
        crate::sys::exit(status)
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        crate::check::report(info);
        crate::sys::exit(crate::PANICKED)
    }
}
