//! The registers of a thread besides the general ones, and instructions that change them.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU64, Ordering};

/// Returns the selectors in `ds`, `es`, `fs` and `gs`.
pub fn selectors() -> [u16; 4] {
    let (ds, es, fs, gs);
    // SAFETY: Reads registers.
    unsafe {
        asm!(
            "mov {0:x}, ds", "mov {1:x}, es", "mov {2:x}, fs", "mov {3:x}, gs",
            out(reg) ds, out(reg) es, out(reg) fs, out(reg) gs,
            options(nomem, nostack, preserves_flags),
        );
    }
    [ds, es, fs, gs]
}

/// Loads the selector of the stack into `ds`, `es`, `fs` and `gs`, and returns it.
pub fn load_selectors() -> u16 {
    let selector;
    // SAFETY: The data segment covers all memory, as the null selector does. The bases become 0: see
    // `machine::load_null_selectors`.
    unsafe {
        asm!(
            "mov {0:e}, ss", "mov ds, {0:x}", "mov es, {0:x}", "mov fs, {0:x}", "mov gs, {0:x}",
            out(reg) selector,
            options(nomem, nostack, preserves_flags),
        );
    }
    selector
}

/// Vector and floating-point registers, as `fxsave` stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct VectorState([u8; 512]);

impl VectorState {
    /// The part with the registers, behind the control words.
    const REGISTERS: core::ops::Range<usize> = 32..416;
    /// The part with the mask of the bits that MXCSR has.
    const MASK: core::ops::Range<usize> = 28..32;

    /// Returns the state of a fresh thread.
    pub fn fresh() -> VectorState {
        let mut state = VectorState([0; 512]);
        state.0[..2].copy_from_slice(&0x037Fu16.to_le_bytes());
        state.0[24..28].copy_from_slice(&0x1F80u32.to_le_bytes());
        state
    }

    /// Returns a state with `byte` in every byte of the registers, and with other rounding modes than a fresh thread has.
    pub fn filled(byte: u8) -> VectorState {
        let mut state = VectorState::fresh();
        // Control word and tags: rounds down, all registers in use.
        state.0[..5].copy_from_slice(&[0x7F, 0x07, 0, 0, 0xFF]);
        state.0[24..28].copy_from_slice(&0x3F80u32.to_le_bytes());
        state.0[VectorState::REGISTERS].fill(byte);
        for register in 0..8 {
            // The floating-point registers have 10 bytes.
            state.0[32 + 16 * register + 10..48 + 16 * register].fill(0);
        }
        state
    }

    /// Returns the current state.
    pub fn current() -> VectorState {
        let mut state = VectorState([0; 512]);
        // SAFETY: The instruction writes 512 bytes, which the structure has, at an address with its alignment.
        unsafe { asm!("fxsave64 [{}]", in(reg) &raw mut state, options(nostack)) };
        state.0[VectorState::MASK].fill(0);
        state.0[VectorState::REGISTERS.end..].fill(0);
        state
    }

    /// Loads the registers.
    pub fn load(&self) {
        // SAFETY: This target's compiler keeps no values in these registers; the values are valid ones.
        unsafe { asm!("fxrstor64 [{}]", in(reg) &raw const *self, options(nostack, readonly)) };
    }

    /// Loads the registers and spins for `rounds`. Returns true if they are unchanged.
    pub fn survives(&self, rounds: u64) -> bool {
        self.load();
        // SAFETY: Changes a register that is an operand.
        unsafe { asm!("2: dec {0}", "jnz 2b", inout(reg) rounds => _, options(nomem, nostack)) };
        VectorState::current() == *self
    }

    /// Returns true if each byte of the registers is that of `other` or 0, and the control words are equal.
    pub fn is_of_or_zero(&self, other: &VectorState) -> bool {
        let registers = VectorState::REGISTERS;
        let mut own = self.0[registers.clone()].iter().zip(&other.0[registers]);
        let control = |state: &VectorState| ([state.0[0], state.0[1]], [state.0[24], state.0[25]]);
        own.all(|(own, other)| own == other || *own == 0) && control(self) == control(other)
    }
}

/// Uses a vector register.
#[inline(always)]
pub fn use_vector_register() {
    // SAFETY: This target's compiler keeps no values in these registers.
    unsafe { asm!("pxor xmm0, xmm0", options(nomem, nostack, preserves_flags)) };
}

/// Divides by zero in the floating-point unit, with that exception unmasked: the next instruction there that waits raises
/// it.
pub fn leave_exception_pending() {
    let control = 0x037Bu16;
    // SAFETY: As for `VectorState::load`; the instructions leave nothing on the unit's stack that anybody needs.
    unsafe {
        asm!("fninit", "fldcw [{}]", "fld1", "fldz", "fdivp st(1), st", in(reg) &raw const control, options(nostack));
    }
}

/// Waits for the floating-point unit, which raises an exception that is pending.
pub fn wait_for_pending_exception() {
    // SAFETY: If there is an exception the task ends.
    unsafe { asm!("fwait", options(nomem, nostack)) };
}

/// Forgets an exception that is pending.
pub fn forget_pending_exception() {
    // SAFETY: As for `VectorState::load`.
    unsafe { asm!("fninit", options(nomem, nostack)) };
}

/// Loads these flags and returns those that are set then. Restores the old ones.
pub fn flags_after_loading(flags: u64) -> u64 {
    let after;
    // SAFETY: Callers pass flags that a program cannot change.
    unsafe { asm!("pushfq", "push {0}", "popfq", "pushfq", "pop {1}", "popfq", in(reg) flags, out(reg) after) };
    after
}

/// Spins for `rounds` with these flags set besides the usual ones, and returns the flags after it.
pub fn flags_after_spinning(flags: u64, rounds: u64) -> u64 {
    let after;
    // SAFETY: The flags are restored; those that callers pass do not affect the instructions between.
    unsafe {
        asm!(
            "pushfq",
            "pushfq",
            "or qword ptr [rsp], {flags}",
            "popfq",
            "2: dec {rounds}",
            "jnz 2b",
            "pushfq",
            "pop {after}",
            "popfq",
            flags = in(reg) flags, rounds = inout(reg) rounds => _, after = lateout(reg) after,
        );
    }
    after
}

/// Spins for `rounds` with the stack pointer `stack`. Returns true if the stack pointer is unchanged.
pub fn stack_pointer_survives(stack: u64, rounds: u64) -> bool {
    let after: u64;
    // SAFETY: The instructions between do not use the stack, and the pointer is restored.
    unsafe {
        asm!(
            "mov {saved}, rsp",
            "mov rsp, {stack}",
            "2: dec {rounds}",
            "jnz 2b",
            "mov {rounds}, rsp",
            "mov rsp, {saved}",
            stack = in(reg) stack, saved = out(reg) _, rounds = inout(reg) rounds => after,
        );
    }
    after == stack
}

/// Makes a trap with the stack pointer `stack`, as [`super::trap`] does. Arguments behind the sixth are on that stack.
pub fn trap_on_stack(number: u32, arguments: [u64; 6], stack: u64) -> u64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: As for `trap`; the kernel keeps r12, from which the stack pointer is restored.
    unsafe {
        asm!(
            "mov r12, rsp",
            "mov rsp, r13",
            "syscall",
            "mov rsp, r12",
            in("r13") stack, out("r12") _,
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, inlateout("rdx") c => _, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Makes a trap with these flags set besides the usual ones, as [`super::trap`] does. Returns its result and the flags
/// after it.
pub fn trap_with_flags(number: u32, arguments: [u64; 6], flags: u64) -> [u64; 2] {
    let [a, b, c, d, e, f] = arguments;
    let (result, after);
    // SAFETY: As for `trap`; the flags are restored.
    unsafe {
        asm!(
            "pushfq",
            "pushfq",
            "or qword ptr [rsp], r12",
            "popfq",
            "syscall",
            "pushfq",
            "pop r12",
            "popfq",
            inlateout("r12") flags => after,
            inlateout("rax") u64::from(number) => result,
            in("rdi") a, in("rsi") b, inlateout("rdx") c => _, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    [result, after]
}

/// The general registers that a trap leaves as they are: rdi, rsi, rdx, r10, r8, r9, rbx, rbp, r12 to r15.
pub type KeptRegisters = [u64; 12];

/// Makes a trap with these values in the registers, and returns its result and the values after it. As for
/// [`super::trap`], for which the first six are the arguments.
pub fn trap_with_registers(number: u32, registers: KeptRegisters) -> (u64, KeptRegisters) {
    let mut after = registers;
    // SAFETY: As for `trap`; the function keeps the registers that functions keep.
    let result = unsafe { trap_and_store(number, &mut after) };
    (result, after)
}

/// # Safety
/// As for [`super::trap`].
#[unsafe(naked)]
unsafe extern "C" fn trap_and_store(number: u32, registers: &mut KeptRegisters) -> u64 {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "push rsi",
        "mov eax, edi",
        "mov rdi, [rsi]",
        "mov rdx, [rsi + 16]",
        "mov r10, [rsi + 24]",
        "mov r8, [rsi + 32]",
        "mov r9, [rsi + 40]",
        "mov rbx, [rsi + 48]",
        "mov rbp, [rsi + 56]",
        "mov r12, [rsi + 64]",
        "mov r13, [rsi + 72]",
        "mov r14, [rsi + 80]",
        "mov r15, [rsi + 88]",
        "mov rsi, [rsi + 8]",
        "syscall",
        "mov rcx, rsi",
        "pop rsi",
        "mov [rsi], rdi",
        "mov [rsi + 8], rcx",
        "mov [rsi + 16], rdx",
        "mov [rsi + 24], r10",
        "mov [rsi + 32], r8",
        "mov [rsi + 40], r9",
        "mov [rsi + 48], rbx",
        "mov [rsi + 56], rbp",
        "mov [rsi + 64], r12",
        "mov [rsi + 72], r13",
        "mov [rsi + 80], r14",
        "mov [rsi + 88], r15",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}

/// What a thread that starts at [`FreshThread::ENTRY`] tells about itself.
#[derive(Debug)]
#[repr(C)]
pub struct FreshThread {
    /// The bits that are set in any of the general registers that are 0 in a fresh thread.
    registers: AtomicU64,
    stack: AtomicU64,
    flags: AtomicU64,
    /// 1 as soon as the other fields are valid.
    done: AtomicU64,
}

impl Default for FreshThread {
    fn default() -> Self {
        FreshThread::new()
    }
}

impl FreshThread {
    /// Returns a record without values.
    pub const fn new() -> FreshThread {
        let [registers, stack, flags, done] = [const { AtomicU64::new(0) }; 4];
        FreshThread { registers, stack, flags, done }
    }

    /// The entry point of the thread, whose argument is the address of the record. The thread ends itself and uses no
    /// stack.
    pub const ENTRY: extern "C" fn() -> ! = enter_fresh;

    /// Returns the bits of the registers, the stack pointer and the flags. None before the thread has stored them.
    pub fn seen(&self) -> Option<[u64; 3]> {
        let all = [&self.registers, &self.stack, &self.flags];
        (self.done.load(Ordering::Acquire) != 0).then(|| all.map(|value| value.load(Ordering::Relaxed)))
    }
}

#[unsafe(naked)]
extern "C" fn enter_fresh() -> ! {
    naked_asm!(
        "mov [rdi + 8], rsp",
        "lea rsp, [rdi + 24]",
        "pushfq",
        "or rax, rbx",
        "or rax, rdx",
        "or rax, rsi",
        "or rax, rbp",
        "or rax, r8",
        "or rax, r9",
        "or rax, r10",
        "or rax, r12",
        "or rax, r13",
        "or rax, r14",
        "or rax, r15",
        "mov [rdi], rax",
        "mov qword ptr [rdi + 24], 1",
        "mov eax, {thread_exit}",
        "syscall",
        "ud2",
        thread_exit = const abi::trap::tally::THREAD_EXIT,
    )
}
