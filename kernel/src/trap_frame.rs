//! The trap frame: a thread's saved registers.
//!
//! The entry code stores registers straight into the current thread's [`TrapFrame`], and the exit code loads them from
//! there. There is no other copy: a thread's trap is completed by writing its outcome here. The layout is shared with
//! the assembly in `arch/x86_64/entry.rs`, which takes every offset from this structure by `offset_of!`.

use abi::code::{Errno, KernReturn};
use bitflags::bitflags;

/// The value of [`TrapFrame::cause`] when the thread entered the kernel by `syscall`, not by an interrupt or exception.
pub const CAUSE_TRAP: u64 = 0x100;

/// The flags that a thread starts with: interrupts enabled, and the bit that is always set.
const INITIAL_RFLAGS: u64 = 0x202;
const CARRY: u64 = 1;

/// The registers of a thread that is not running.
///
/// During a trap those registers are still in the processor that the kernel neither reads nor writes: rbx, r12 to r15
/// and the state that [`Extended`] names. They are stored when another thread runs. While a thread runs, its frame says
/// `CAUSE_TRAP`.
///
/// The fields from `r15` to `ss` are in the order in which pushes fill them from the end: on an interrupt the processor
/// pushes `ss` to `rip`, the entry code the rest. The end of `ss` is aligned to 16 bytes, because the processor aligns
/// the stack before it pushes.
#[derive(Clone, Debug, Default)]
#[repr(C, align(16))]
pub struct TrapFrame {
    /// General registers.
    pub r15: u64,
    /// General register.
    pub r14: u64,
    /// General register.
    pub r13: u64,
    /// General register.
    pub r12: u64,
    /// General register.
    pub r11: u64,
    /// Fourth argument of a trap.
    pub r10: u64,
    /// Sixth argument of a trap.
    pub r9: u64,
    /// Fifth argument of a trap.
    pub r8: u64,
    /// Frame pointer.
    pub rbp: u64,
    /// First argument of a trap.
    pub rdi: u64,
    /// Second argument of a trap.
    pub rsi: u64,
    /// Third argument of a trap; second result.
    pub rdx: u64,
    /// General register; a trap destroys it.
    pub rcx: u64,
    /// General register.
    pub rbx: u64,
    /// Trap number; result.
    pub rax: u64,
    /// The vector of the interrupt or exception, or [`CAUSE_TRAP`].
    pub cause: u64,
    /// The error code of an exception, or 0.
    pub error: u64,
    /// The address of the instruction at which the thread continues.
    pub rip: u64,
    /// Code segment. Not stored on a trap: user code has one.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// User stack.
    pub rsp: u64,
    /// Stack segment. Not stored on a trap.
    pub ss: u64,
    /// Thread-local base in `fs`.
    pub fs_base: u64,
    /// Thread-local base in `gs`.
    pub gs_base: u64,
    /// The saved FPU state.
    pub fpu: FpuState,
    /// What the thread needs besides general registers.
    pub extended: Extended,
}

const _: () =
    assert!(core::mem::offset_of!(TrapFrame, fs_base) % 16 == 0, "the processor aligns the stack it pushes to");

bitflags! {
    /// State that most threads lack: a switch between two threads without it is shorter.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Extended: u8 {
        /// FPU state other than the initial one.
        const FPU = 1;
        /// Thread-local bases other than 0.
        const BASES = 2;
    }
}

/// FPU state: floating-point and vector registers as `fxsave` stores them. Up to date only while the thread does not
/// run; if the thread is in a trap, the control words alone are.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub struct FpuState(pub [u8; 512]);

impl FpuState {
    /// Where the control word of the floating-point unit is.
    pub const CONTROL_WORD: usize = 0;
    /// Where the control and status register of the vector unit is.
    pub const MXCSR: usize = 24;

    /// The state of a new thread: all registers zero, all exceptions masked, as the System V ABI demands.
    pub const INITIAL: FpuState = {
        let mut bytes = [0; 512];
        [bytes[FpuState::CONTROL_WORD], bytes[FpuState::CONTROL_WORD + 1]] = 0x037Fu16.to_le_bytes();
        [bytes[FpuState::MXCSR], bytes[FpuState::MXCSR + 1]] = 0x1F80u16.to_le_bytes();
        FpuState(bytes)
    };
}

impl Default for FpuState {
    fn default() -> Self {
        FpuState::INITIAL
    }
}

impl TrapFrame {
    /// Returns the frame of a thread that will start at `entry` with the stack pointer `stack` and one argument.
    pub fn starting_at(entry: u64, stack: u64, argument: u64) -> TrapFrame {
        TrapFrame {
            rip: entry,
            rsp: stack,
            rdi: argument,
            rflags: INITIAL_RFLAGS,
            cause: CAUSE_TRAP,
            ..TrapFrame::default()
        }
    }

    /// Returns true if the thread entered the kernel by a trap, not by an interrupt or exception.
    #[inline(always)]
    pub fn is_in_trap(&self) -> bool {
        self.cause == CAUSE_TRAP
    }

    /// Sets the base of thread-local memory.
    pub fn set_thread_base(&mut self, base: u64) {
        (self.fs_base, self.gs_base) = (base, base);
        self.extended.set(Extended::BASES, base != 0);
    }

    /// Returns the trap number. The upper half of `rax` is ignored (mach-ipc 7.1).
    pub fn trap_number(&self) -> u32 {
        self.rax as u32
    }

    /// Returns the arguments that were passed in registers.
    pub fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Sets the return code of a Mach trap, sign-extended.
    pub fn set_code(&mut self, code: KernReturn) {
        self.rax = i64::from(code.0) as u64;
    }

    /// Sets a result that is not a return code.
    pub fn set_value(&mut self, value: u64) {
        self.rax = value;
    }

    /// Sets the result of a Unix trap: a value with the carry flag clear, or an error number with the flag set.
    pub fn set_unix(&mut self, result: Result<u64, Errno>) {
        match result {
            Ok(value) => {
                self.rax = value;
                self.rflags &= !CARRY;
            }
            Err(errno) => {
                self.rax = u64::from(errno.0);
                self.rflags |= CARRY;
            }
        }
    }
}
