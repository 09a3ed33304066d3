//! Instructions for tests and benchmarks: the time stamp counter, and instructions that end a task.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

static STARTED: AtomicU64 = AtomicU64::new(0);

/// Stores the time stamp of the program's first instruction.
#[cfg(all(target_os = "none", feature = "start"))]
pub(super) fn note_start(time_stamp: u64) {
    STARTED.store(time_stamp, Ordering::Relaxed);
}

/// Returns the time stamp of the program's first instruction.
pub fn started() -> u64 {
    STARTED.load(Ordering::Relaxed)
}

/// Returns the time stamp counter. In QEMU with `-icount shift=0` it counts instructions.
#[inline(always)]
pub fn time_stamp() -> u64 {
    // SAFETY: Every 64-bit processor has the instruction, and the kernel allows it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Reads a byte at any address.
pub fn read(address: u64) -> u8 {
    let value;
    // SAFETY: Reading changes nothing; if the address cannot be read the task ends.
    unsafe { asm!("mov {}, byte ptr [{}]", out(reg_byte) value, in(reg) address, options(readonly, nostack)) };
    value
}

/// Writes a byte at any address.
///
/// Callers pass addresses at which the program has no object: in memory that they have allocated for this, or outside
/// its memory, to see that the task ends.
pub fn write(address: u64, value: u8) {
    // SAFETY: No object of the program is at the address.
    unsafe { asm!("mov byte ptr [{}], {}", in(reg) address, in(reg_byte) value, options(nostack)) };
}

/// Jumps to an address without code, or to code that the caller has made and that does not return.
pub fn jump(address: u64) -> ! {
    // SAFETY: No code of this program runs afterwards.
    unsafe { asm!("jmp {}", in(reg) address, options(noreturn)) }
}

/// Makes a trap with the stack pointer `stack`, then executes an undefined instruction.
pub fn trap_with_stack_pointer(number: u32, stack: u64) -> ! {
    // SAFETY: No code of this program runs afterwards: the trap or the next instruction ends the task.
    unsafe {
        asm!(
            "mov rsp, {stack}",
            "syscall",
            "ud2",
            stack = in(reg) stack, in("rax") u64::from(number),
            options(noreturn),
        )
    }
}

macro_rules! bad_instructions {
    ($($(#[$doc:meta])* $name:ident: $($line:literal),+;)+) => {
        $(
            $(#[$doc])*
            pub fn $name() {
                // SAFETY: The processor refuses each of these in user mode, so the task ends. If it does not, the
                // instructions have changed only the registers below.
                unsafe { asm!($($line),+, out("rax") _, out("rcx") _, out("rdx") _, options(nostack)) };
            }
        )+
    };
}

bad_instructions! {
    /// An instruction that does not exist.
    undefined: "ud2";
    /// A breakpoint.
    breakpoint: "int3";
    /// A division by zero.
    divide_by_zero: "xor edx, edx", "xor ecx, ecx", "mov eax, 1", "div ecx";
    /// A single step.
    single_step: "pushfq", "or qword ptr [rsp], 0x100", "popfq", "nop", "nop";
    /// Turning interrupts off.
    disable_interrupts: "cli";
    /// Stopping the processor.
    halt: "hlt";
    /// Reading a control register.
    read_control_register: "mov rax, cr3";
    /// Writing a model-specific register.
    write_model_register: "mov ecx, 0xC0000082", "xor eax, eax", "xor edx, edx", "wrmsr";
    /// Output to a device.
    write_port: "mov edx, 0xF4", "mov eax, 0x10", "out dx, eax";
    /// An interrupt gate that only the kernel may use.
    software_interrupt: "int 0x20";
    /// An interrupt that is a system call elsewhere.
    old_system_call: "int 0x80";
    /// The return from a system call, which only the kernel may execute.
    system_return: "mov rcx, 0x400000", "mov r11, 0x202", "sysretq";
    /// Swapping the base that the kernel uses.
    swap_base: "swapgs";
    /// Loading a segment that does not exist.
    bad_segment: "mov eax, 0x1234", "mov fs, ax";
    /// Pushing without a stack.
    push_without_stack: "mov rax, rsp", "mov rsp, 0x1000", "push 0", "mov rsp, rax";
    /// An instruction that does not exist, with the flags for direction, nested task, alignment check and
    /// identification set.
    undefined_with_flags: "pushfq", "or dword ptr [rsp], 0x244400", "popfq", "ud2";
    /// A breakpoint behind an instruction that inhibits interrupts.
    breakpoint_in_shadow: "mov eax, ss", "mov ss, eax", "int3";
    /// A single step over a trap without effect.
    single_step_over_trap: "mov eax, 0x5000007", "pushfq", "or qword ptr [rsp], 0x100", "popfq", "syscall", "nop";
    /// A single step over the same trap behind an instruction that inhibits interrupts.
    single_step_over_trap_in_shadow:
        "mov edx, ss", "pushfq", "or qword ptr [rsp], 0x100", "mov eax, 0x5000007", "popfq",
        "mov ss, edx", "syscall", "nop";
    /// Loading the null selector as stack segment.
    null_stack_segment: "xor eax, eax", "mov ss, eax";
    /// Loading the kernel's stack segment.
    kernel_stack_segment: "mov eax, 0x10", "mov ss, eax";
    /// Loading the kernel's data segment.
    kernel_data_segment: "mov eax, 0x10", "mov ds, eax";
    /// Loading a segment of a local descriptor table, which does not exist.
    local_segment: "mov eax, 7", "mov es, eax";
    /// Jumping into the kernel's code segment.
    kernel_code_segment:
        "lea rax, [rip + 2f]", "mov rcx, 8 << 32", "or rax, rcx", "push rax", "jmp fword ptr [rsp]", "2:";
    /// Jumping into the data segment.
    data_as_code_segment:
        "lea rax, [rip + 2f]", "mov ecx, ss", "shl rcx, 32", "or rax, rcx", "push rax", "jmp fword ptr [rsp]", "2:";
    /// Returning from an interrupt to an outer task.
    return_to_outer_task: "pushfq", "or qword ptr [rsp], 0x4000", "popfq", "iretq";
    /// Turning interrupts off after trying to set the privilege level for that.
    disable_interrupts_with_privilege: "pushfq", "or qword ptr [rsp], 0x3000", "popfq", "cli";
    /// Reading the address of the interrupt descriptor table.
    interrupt_table: "sidt [rsp - 64]";
    /// Reading the task register.
    task_register: "str eax";
    /// Loading the task register.
    load_task_register: "mov eax, 0x28", "ltr ax";
    /// Setting a watchpoint.
    debug_register: "xor eax, eax", "mov dr7, rax";
    /// Reading a performance counter.
    performance_counter: "xor ecx, ecx", "rdpmc";
    /// Invalidating the translation of a page.
    invalidate_page: "invlpg [rsp]";
    /// Clearing the flag by which the kernel notices the use of vector registers.
    clear_task_switched: "clts";
    /// Setting the thread-local base without a trap.
    write_base: "xor eax, eax", "wrfsbase rax";
    /// Using vector registers that are wider than the kernel saves.
    wide_vector_register: "vxorps ymm0, ymm0, ymm0";
    /// Setting the flag for access to user memory from the kernel.
    set_access_flag: "stac";
    /// Jumping to an address that is not canonical.
    jump_not_canonical: "mov rax, 0x8000000000000000", "jmp rax";
    /// Reading an address that is not canonical.
    read_not_canonical: "mov rax, 0x8000000000000000", "mov rax, [rax]";
}

/// Makes a trap without effect with `flags` set besides the usual ones, and returns the flags after it.
pub fn flags_after_trap(number: u32, flags: u64) -> u64 {
    let after;
    // SAFETY: The flags are put back; those that callers pass (direction, alignment check, nested task) change nothing
    // that the instructions between do. The trap takes no addresses.
    unsafe {
        asm!(
            "pushfq",
            "pushfq",
            "or qword ptr [rsp], {flags}",
            "popfq",
            "syscall",
            "pushfq",
            "pop {after}",
            "popfq",
            flags = in(reg) flags, after = lateout(reg) after,
            inlateout("rax") u64::from(number) => _, lateout("rcx") _, lateout("r11") _,
        );
    }
    after
}

/// Fills rbx, rbp and r12 to r15 with the successors of `seed` and makes a trap. Returns true if they are unchanged
/// after it.
pub fn registers_survive_trap(number: u32, seed: u64) -> bool {
    let same: u64;
    // SAFETY: rbx and rbp are put back; the trap takes no addresses.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "lea rbx, [rsi + 1]",
            "lea rbp, [rsi + 2]",
            "lea r12, [rsi + 3]",
            "lea r13, [rsi + 4]",
            "lea r14, [rsi + 5]",
            "lea r15, [rsi + 6]",
            "syscall",
            "sub rbx, rsi",
            "sub rbp, rsi",
            "sub r12, rsi",
            "sub r13, rsi",
            "sub r14, rsi",
            "sub r15, rsi",
            // 1 to 6 in six bits each.
            "shl rbp, 6",
            "shl r12, 12",
            "shl r13, 18",
            "shl r14, 24",
            "shl r15, 30",
            "or rbx, rbp",
            "or r12, r13",
            "or r14, r15",
            "or rbx, r12",
            "or rbx, r14",
            "mov rdi, rbx",
            "pop rbp",
            "pop rbx",
            in("rsi") seed,
            inlateout("rax") u64::from(number) => _, lateout("rcx") _, lateout("r11") _, lateout("rdi") same,
            out("r12") _, out("r13") _, out("r14") _, out("r15") _,
        );
    }
    same == 1 | 2 << 6 | 3 << 12 | 4 << 18 | 5 << 24 | 6 << 30
}

/// Loads `value` into a vector register and spins for `rounds`. Returns true if the register still holds the value.
pub fn vector_survives(value: u64, rounds: u64) -> bool {
    let after: u64;
    // SAFETY: This target's compiler keeps no values in vector registers; the processor has them.
    unsafe {
        asm!(
            "movq xmm7, {value}",
            "2: dec {rounds}",
            "jnz 2b",
            "movq {after}, xmm7",
            value = in(reg) value, rounds = inout(reg) rounds => _, after = lateout(reg) after,
        );
    }
    after == value
}

/// Returns the content of a vector register.
pub fn vector_register() -> u64 {
    let value;
    // SAFETY: Reads a register.
    unsafe { asm!("movq {}, xmm7", out(reg) value, options(nomem, nostack)) };
    value
}

/// Sets MXCSR, makes a trap, and returns MXCSR after it. Restores the old value.
pub fn mxcsr_after_trap(number: u32, value: u32) -> u32 {
    let mut old = 0u32;
    let mut after = 0u32;
    // SAFETY: The two variables are writable; callers change the rounding mode only, which nothing here depends on.
    unsafe {
        asm!(
            "stmxcsr [{old}]",
            "ldmxcsr [{value}]",
            "syscall",
            "stmxcsr [{after}]",
            "ldmxcsr [{old}]",
            old = in(reg) &raw mut old, value = in(reg) &raw const value, after = in(reg) &raw mut after,
            inlateout("rax") u64::from(number) => _, out("rcx") _, out("r11") _,
        );
    }
    after
}

/// Returns the word at `offset` in thread-local memory, read through `fs` and through `gs`.
pub fn thread_local(offset: u64) -> [u64; 2] {
    let (fs, gs);
    // SAFETY: Reading changes nothing.
    unsafe {
        asm!(
            "mov {fs}, fs:[{offset}]",
            "mov {gs}, gs:[{offset}]",
            fs = out(reg) fs, gs = lateout(reg) gs, offset = in(reg) offset,
            options(readonly, nostack),
        );
    }
    [fs, gs]
}

/// Loads the null selector into `fs` and `gs`, which makes their bases 0 until the kernel loads them anew.
pub fn load_null_selectors() {
    // SAFETY: The program reads thread-local memory by `thread_local` alone.
    unsafe { asm!("mov fs, {0:x}", "mov gs, {0:x}", in(reg) 0, options(nomem, nostack, preserves_flags)) };
}

/// Jumps to code at `address` that makes a trap and does not return.
pub fn jump_to_trap(address: u64, number: u32) -> ! {
    // SAFETY: No code of this program runs afterwards.
    unsafe { asm!("jmp {}", in(reg) address, in("rax") u64::from(number), options(noreturn)) }
}
