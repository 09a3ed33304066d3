//! The border between user code and the kernel.
//!
//! Registers go straight into the running thread's [`TrapFrame`], and come from the frame of whichever thread runs
//! next. The kernel's stack is empty while user code runs: no thread ever resumes inside the kernel.
//!
//! A trap leaves those registers in the processor that functions keep anyway (rbx and r12 to r15): most traps go back
//! to the thread that made them. They follow into the frame when another thread runs next, unless the thread has
//! ended. Until then the frame is incomplete; the core only reads arguments from it and writes results to it. Only
//! `mach_msg` stores them at once: most of its calls lead to another thread, and [`switch`] then needs no way back
//! through the functions that keep them.
//!
//! The kernel itself is interrupted by faults at user memory ([`super::user_memory`]), by interrupts while the
//! processor idles, and by exceptions that end in a panic. Those use the stack on which they come.

use super::interrupts::{handle_interrupt, handle_kernel_interrupt};
use super::per_cpu::PerCpu;
use super::system::{Exit, handle_any_trap, handle_plain_call, handle_trap, handle_yield};
use abi::trap::mach::{MACH_MSG, SWTCH, SWTCH_PRI};
use core::arch::{asm, naked_asm};
use core::mem::offset_of;
use kernel::trap_frame::{CAUSE_TRAP, TrapFrame};

/// The registers that are pushed when the kernel itself is interrupted: laid out as the first part of a [`TrapFrame`].
#[derive(Debug)]
#[repr(C)]
pub struct Registers {
    /// From r15 to rax, in the order of [`TrapFrame`].
    pub general: [u64; 15],
    /// The vector.
    pub cause: u64,
    /// The processor's error code, or 0.
    pub error: u64,
    /// Where the kernel was.
    pub rip: u64,
    /// Code segment.
    pub cs: u64,
    /// Flags.
    pub rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    /// Stack segment.
    pub ss: u64,
}

impl Registers {
    /// Names of the general registers.
    pub const NAMES: [&'static str; 15] =
        ["r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8", "rbp", "rdi", "rsi", "rdx", "rcx", "rbx", "rax"];

    /// Returns true if user code was interrupted.
    pub fn are_users(&self) -> bool {
        self.cs & 3 != 0
    }

    /// Returns the frame pointer.
    pub fn rbp(&self) -> u64 {
        self.general[8]
    }
}

const _: () = {
    // The entry code takes an `Exit` from the two registers of a function's result.
    assert!(offset_of!(Exit, left) == 0 && offset_of!(Exit, next) == 8 && size_of::<Exit>() == 16);
    assert!(offset_of!(TrapFrame, r15) == 0 && offset_of!(TrapFrame, rbp) == 8 * 8);
    assert!(offset_of!(TrapFrame, r12) == 3 * 8 && offset_of!(TrapFrame, rbx) == 13 * 8);
    assert!(offset_of!(TrapFrame, cause) == offset_of!(Registers, cause));
    assert!(offset_of!(TrapFrame, ss) == offset_of!(Registers, ss));
    assert!(offset_of!(TrapFrame, fs_base) == size_of::<Registers>());
};

/// Pushes the general registers, so that they come to lie as in a [`TrapFrame`].
macro_rules! push_general {
    () => {
        "push rax; push rbx; push rcx; push rdx; push rsi; push rdi; push rbp; push r8
         push r9; push r10; push r11; push r12; push r13; push r14; push r15"
    };
}

/// The reverse.
macro_rules! pop_general {
    () => {
        "pop r15; pop r14; pop r13; pop r12; pop r11; pop r10; pop r9; pop r8
         pop rbp; pop rdi; pop rsi; pop rdx; pop rcx; pop rbx; pop rax"
    };
}

/// Stores the registers that stay in the processor during a trap, in the frame to which a register points.
macro_rules! store_kept {
    ($frame:literal) => {
        concat!(
            "mov [",
            $frame,
            " + {kept} + 0 * 8], r15; mov [",
            $frame,
            " + {kept} + 1 * 8], r14
             mov [",
            $frame,
            " + {kept} + 2 * 8], r13; mov [",
            $frame,
            " + {kept} + 3 * 8], r12
             mov [",
            $frame,
            " + {kept} + 13 * 8], rbx"
        )
    };
}

/// The reverse, from the frame at rsp.
macro_rules! load_kept {
    () => {
        "mov r15, [rsp + {kept} + 0 * 8]; mov r14, [rsp + {kept} + 1 * 8]
         mov r13, [rsp + {kept} + 2 * 8]; mov r12, [rsp + {kept} + 3 * 8]; mov rbx, [rsp + {kept} + 13 * 8]"
    };
}

/// The first register of a frame, from which [`store_kept`] and [`load_kept`] count.
const KEPT: usize = offset_of!(TrapFrame, r15);

/// Makes the thread whose frame is at rdx the running one, and rsp the address of its frame.
macro_rules! take_frame {
    () => {
        "mov gs:[{frame}], rdx
         mov rsp, rdx
         add rdx, {end}
         mov gs:[{interrupt_stack}], rdx"
    };
}

/// Returns to a thread that is in a trap, whose frame is at rsp. rax, rbx and r12 to r15 are its own already.
macro_rules! return_from_trap {
    () => {
        "mov rbp, [rsp + {rbp}]
         mov r9, [rsp + {r9}]
         mov r8, [rsp + {r8}]
         mov r10, [rsp + {r10}]
         mov rdx, [rsp + {rdx}]
         mov rsi, [rsp + {rsi}]
         mov rdi, [rsp + {rdi}]
         mov r11, [rsp + {rflags}]
         mov rcx, [rsp + {rip}]
         mov rsp, [rsp + {user_stack}]
         swapgs
         sysretq"
    };
}

/// Clears the flags that `syscall` clears by itself: see `segments::set_up`. It needs a stack with room for a word.
macro_rules! clear_flags {
    () => {
        "push 2; popfq"
    };
}

/// Assembly that names the fields of a [`TrapFrame`]; `rsp` is the name of a register, so that field is `user_stack`.
macro_rules! frame_asm {
    ($($line:expr),+; $($operand:tt)+) => {
        naked_asm!(
            $($line,)+
            rip = const offset_of!(TrapFrame, rip),
            rflags = const offset_of!(TrapFrame, rflags),
            user_stack = const offset_of!(TrapFrame, rsp),
            rax = const offset_of!(TrapFrame, rax),
            rdx = const offset_of!(TrapFrame, rdx),
            rdi = const offset_of!(TrapFrame, rdi),
            rsi = const offset_of!(TrapFrame, rsi),
            rbp = const offset_of!(TrapFrame, rbp),
            r8 = const offset_of!(TrapFrame, r8),
            r9 = const offset_of!(TrapFrame, r9),
            r10 = const offset_of!(TrapFrame, r10),
            $($operand)+
        )
    };
}

/// Where `syscall` leads: rcx = user's rip, r11 = user's rflags, still the user's stack; interrupts are off.
///
/// The number decides the way. `mach_msg` has its arguments in the registers of a function's already, but for one. The
/// long way, by [`handle_trap`], finds number and arguments in the frame.
#[unsafe(naked)]
pub extern "C" fn trap_entry() -> ! {
    frame_asm!(
        "swapgs",
        "mov gs:[{user_rsp}], rsp",
        "mov rsp, gs:[{frame}]",
        "mov [rsp + {rip}], rcx",
        "mov rcx, gs:[{user_rsp}]",
        "mov [rsp + {user_stack}], rcx",
        "mov [rsp + {rflags}], r11",
        "mov [rsp + {rax}], rax",
        "mov [rsp + {rdi}], rdi",
        "mov [rsp + {rsi}], rsi",
        "mov [rsp + {rdx}], rdx",
        "mov [rsp + {r10}], r10",
        "mov [rsp + {r8}], r8",
        "mov [rsp + {r9}], r9",
        "mov [rsp + {rbp}], rbp",
        "cmp eax, {mach_msg}",
        "jne {other_trap}",
        store_kept!("rsp"),
        "mov rsp, gs:[{stack}]",
        // Backtraces end here.
        "xor ebp, ebp",
        "mov rcx, r10",
        "call {handle_plain_call}",
        "call {handle_trap}",
        "jmp {leave_trap}";
        kept = const KEPT,
        mach_msg = const MACH_MSG,
        user_rsp = const PerCpu::USER_RSP,
        frame = const PerCpu::FRAME,
        stack = const PerCpu::STACK,
        other_trap = sym other_trap,
        handle_plain_call = sym handle_plain_call,
        handle_trap = sym handle_trap,
        leave_trap = sym leave_trap,
    )
}

const _: () = assert!(SWTCH == SWTCH_PRI + 1, "one comparison finds both yields");

/// The part of [`trap_entry`] for all numbers, in eax, but that of `mach_msg`. Yields have a way of their own too.
#[unsafe(naked)]
extern "C" fn other_trap() -> ! {
    naked_asm!(
        "mov rsp, gs:[{stack}]",
        "xor ebp, ebp",
        "lea edi, [rax - {swtch_pri}]",
        "cmp edi, 1",
        "jbe 2f",
        "mov edi, eax",
        "call {handle_any_trap}",
        "jmp {leave_trap}",
        "2:",
        "call {handle_yield}",
        "jmp {leave_trap}",
        swtch_pri = const SWTCH_PRI,
        stack = const PerCpu::STACK,
        handle_yield = sym handle_yield,
        handle_any_trap = sym handle_any_trap,
        leave_trap = sym leave_trap,
    )
}

/// Leaves the kernel after a trap, as the [`Exit`] in rax (left) and rdx (next) says. If the thread that made the trap
/// goes on, its result is in the frame, or else in rax.
#[unsafe(naked)]
extern "C" fn leave_trap() -> ! {
    frame_asm!(
        "test rdx, rdx",
        "jz 3f",
        "cmp rax, rdx",
        "je 2f",
        "test rax, rax",
        "jz {resume}",
        store_kept!("rax"),
        "jmp {resume}",
        "2:",
        "mov rax, [rdx + {rax}]",
        "3:",
        "mov rsp, gs:[{frame}]",
        return_from_trap!();
        kept = const KEPT,
        frame = const PerCpu::FRAME,
        resume = sym resume,
    )
}

/// Runs the thread whose frame is at rdx, which is in a trap. Not a function to be called: see [`switch`].
#[unsafe(naked)]
extern "C" fn resume_in_trap() -> ! {
    frame_asm!(
        take_frame!(),
        load_kept!(),
        "mov rax, [rsp + {rax}]",
        return_from_trap!();
        kept = const KEPT,
        frame = const PerCpu::FRAME,
        interrupt_stack = const PerCpu::INTERRUPT_STACK,
        end = const size_of::<Registers>(),
    )
}

/// Runs the thread whose frame is at rdx. Not a function to be called: see [`run`].
///
/// A thread that entered by a trap leaves by `sysretq`. Its rip is canonical, as `sysretq` demands: the last page of
/// the user's half is never mapped (`kernel::machine::USER_END`), and no call sets a rip beyond.
///
/// While a thread runs its frame says that it entered by a trap, so that traps need not say so. Interrupts say
/// otherwise, and this code takes that back.
#[unsafe(naked)]
extern "C" fn resume() -> ! {
    frame_asm!(
        take_frame!(),
        "cmp qword ptr [rsp + {cause}], {trap}",
        "jne 2f",
        load_kept!(),
        "mov rax, [rsp + {rax}]",
        return_from_trap!(),
        "2:",
        "mov qword ptr [rsp + {cause}], {trap}",
        pop_general!(),
        // Cause and error code.
        "add rsp, 16",
        "swapgs",
        "iretq";
        kept = const KEPT,
        cause = const offset_of!(TrapFrame, cause),
        trap = const CAUSE_TRAP,
        frame = const PerCpu::FRAME,
        interrupt_stack = const PerCpu::INTERRUPT_STACK,
        end = const size_of::<Registers>(),
    )
}

/// Where exceptions and interrupts lead, with the vector and an error code pushed. From user code the stack is the
/// running thread's frame (`PerCpu::INTERRUPT_STACK`), from the kernel the kernel's.
#[unsafe(naked)]
extern "C" fn interrupt_entry() -> ! {
    naked_asm!(
        push_general!(),
        // From user code the frame is full now: a further push would hit what lies before it.
        "mov rdi, rsp",
        "test byte ptr [rsp + {cs}], 3",
        "jz 2f",
        "swapgs",
        "mov rsp, gs:[{stack}]",
        clear_flags!(),
        "xor ebp, ebp",
        "call {handle_interrupt}",
        "mov rdx, rax",
        "jmp {resume}",
        "2:",
        clear_flags!(),
        "call {handle_kernel_interrupt}",
        pop_general!(),
        "add rsp, 16",
        "iretq",
        cs = const offset_of!(Registers, cs),
        stack = const PerCpu::STACK,
        handle_interrupt = sym handle_interrupt,
        handle_kernel_interrupt = sym handle_kernel_interrupt,
        resume = sym resume,
    )
}

/// The handler of a vector for which the processor pushes no error code.
#[unsafe(naked)]
pub extern "C" fn vector<const VECTOR: u8>() -> ! {
    naked_asm!("push 0", "push {vector}", "jmp {entry}", vector = const VECTOR, entry = sym interrupt_entry)
}

/// The handler of a vector for which it pushes one.
#[unsafe(naked)]
pub extern "C" fn vector_with_error<const VECTOR: u8>() -> ! {
    naked_asm!("push {vector}", "jmp {entry}", vector = const VECTOR, entry = sym interrupt_entry)
}

/// The handler of a vector that has a stack of its own and ends in a panic. It does not touch `gs`, whose state is not
/// known here. The processor pushes `ERROR_CODES` error codes, one or none.
#[unsafe(naked)]
pub extern "C" fn fatal_vector<const VECTOR: u8, const ERROR_CODES: u8>() -> ! {
    naked_asm!(
        ".if {error_codes} == 0",
        "push 0",
        ".endif",
        "push {vector}",
        push_general!(),
        "mov rdi, rsp",
        clear_flags!(),
        "call {handle}",
        "ud2",
        vector = const VECTOR,
        error_codes = const ERROR_CODES,
        handle = sym handle_kernel_interrupt,
    )
}

/// Runs a thread. The contents of the kernel's stack are lost.
///
/// # Safety
/// `frame` is the frame of a thread whose address space is active, and stays where it is until the thread enters the
/// kernel.
pub unsafe fn run(frame: *mut TrapFrame) -> ! {
    // SAFETY: As the caller says; the per-processor block is set up.
    unsafe { asm!("jmp {resume}", resume = sym resume, in("rdx") frame, options(noreturn)) }
}

/// Leaves the call of `mach_msg` that is being handled, and runs another thread, which is in a trap. The contents of
/// the kernel's stack are lost.
///
/// # Safety
/// As for [`run`].
#[inline(always)]
pub unsafe fn switch(frame: *mut TrapFrame) -> ! {
    // SAFETY: As the caller says.
    unsafe { asm!("jmp {resume}", resume = sym resume_in_trap, in("rdx") frame, options(noreturn)) }
}
