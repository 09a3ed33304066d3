//! Everything in the processor that belongs to a thread besides the general registers, and instructions that play with it.

use core::arch::{asm, naked_asm};
use core::sync::atomic::{AtomicU64, Ordering};

/// The selectors in `ds`, `es`, `fs` and `gs`.
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

/// Loads the selector of the stack into all of them and returns it.
pub fn load_selectors() -> u16 {
    let selector;
    // SAFETY: A program's data segment, like none at all, means all of its memory. The bases become 0: see
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
    /// The part in which the registers are; control words and the like are before it, nothing behind.
    const REGISTERS: core::ops::Range<usize> = 32..416;
    /// The part that says which bits of MXCSR there are.
    const MASK: core::ops::Range<usize> = 28..32;

    /// What a fresh thread finds.
    pub fn fresh() -> VectorState {
        let mut state = VectorState([0; 512]);
        state.0[..2].copy_from_slice(&0x037Fu16.to_le_bytes());
        state.0[24..28].copy_from_slice(&0x1F80u32.to_le_bytes());
        state
    }

    /// All registers full of `byte`, not a number, with rounding modes that are not those of a fresh thread.
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

    /// What the registers hold now.
    pub fn current() -> VectorState {
        let mut state = VectorState([0; 512]);
        // SAFETY: The instruction writes that many bytes to memory that is aligned as it wants.
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

    /// Loads the registers, spins for `rounds`, and tells whether they are still the same.
    pub fn survives(&self, rounds: u64) -> bool {
        self.load();
        // SAFETY: Counts.
        unsafe { asm!("2: dec {0}", "jnz 2b", inout(reg) rounds => _, options(nomem, nostack)) };
        VectorState::current() == *self
    }

    /// Whether each byte of the registers is that of `other` or 0, and the control words are the same.
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

/// Loads these flags and returns those that are set then; the old ones are put back.
pub fn flags_after_loading(flags: u64) -> u64 {
    let after;
    // SAFETY: Callers pass flags that a program cannot change.
    unsafe { asm!("pushfq", "push {0}", "popfq", "pushfq", "pop {1}", "popfq", in(reg) flags, out(reg) after) };
    after
}

/// Spins for `rounds` with these flags set besides the usual ones, and returns the flags afterwards.
pub fn flags_after_spinning(flags: u64, rounds: u64) -> u64 {
    let after;
    // SAFETY: The flags are put back; those that callers pass change nothing that the instructions between do.
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

/// Spins for `rounds` with the stack pointer `stack`, and tells whether it is the same then.
pub fn stack_pointer_survives(stack: u64, rounds: u64) -> bool {
    let after: u64;
    // SAFETY: Nothing between uses the stack, and the pointer is put back.
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

/// Makes a trap with the stack pointer `stack`. As for [`super::trap`]; arguments behind the sixth are in memory there.
pub fn trap_on_stack(number: u32, arguments: [u64; 6], stack: u64) -> u64 {
    let [a, b, c, d, e, f] = arguments;
    let result;
    // SAFETY: As for `trap`; the kernel keeps r12, from which the stack pointer is put back.
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

/// Makes a trap with these flags set besides the usual ones, and returns its result and the flags afterwards. As for
/// [`super::trap`].
pub fn trap_with_flags(number: u32, arguments: [u64; 6], flags: u64) -> [u64; 2] {
    let [a, b, c, d, e, f] = arguments;
    let (result, after);
    // SAFETY: As for `trap`; the flags are put back.
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
    /// The bits that are set in any general register of which the ABI says that it is 0.
    registers: AtomicU64,
    stack: AtomicU64,
    flags: AtomicU64,
    /// 1 as soon as all of this is there.
    done: AtomicU64,
}

impl Default for FreshThread {
    fn default() -> Self {
        FreshThread::new()
    }
}

impl FreshThread {
    /// Nothing is known yet.
    pub const fn new() -> FreshThread {
        let [registers, stack, flags, done] = [const { AtomicU64::new(0) }; 4];
        FreshThread { registers, stack, flags, done }
    }

    /// Where the thread starts, with the address of the structure as its argument. It ends itself and uses no stack.
    pub const ENTRY: extern "C" fn() -> ! = enter_fresh;

    /// The registers together, the stack pointer and the flags, once they are known.
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
