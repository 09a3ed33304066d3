//! Threads' first instructions and last ones.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU32;

/// What lies at the top of a new thread's stack.
#[repr(C, align(16))]
struct Start {
    function: fn(u64),
    argument: u64,
    /// 0 until the function has returned.
    done: AtomicU32,
    _padding: [u32; 3],
}

/// Prepares a stack of `size` bytes at `bottom` for a thread that calls `function`. Returns where the thread begins, its
/// stack pointer, its argument, and the address of the word that becomes 1 when the function has returned; those who
/// wait on that word are woken then, and the thread does not use the stack any more.
///
/// `bottom` is memory that the caller has allocated for this and gives up.
pub fn start_thread(bottom: u64, size: u64, function: fn(u64), argument: u64) -> (u64, u64, u64, &'static AtomicU32) {
    let at = bottom + size - size_of::<Start>() as u64;
    let start = core::ptr::with_exposed_provenance_mut::<Start>(at as usize);
    // SAFETY: The memory is the caller's, large enough, aligned to a page, and nobody else's.
    let done = unsafe {
        start.write(Start { function, argument, done: AtomicU32::new(0), _padding: [0; 3] });
        &(*start).done
    };
    // SAFETY: The reference is used only while the stack is there: see `thread::Thread`.
    (enter as *const () as u64, at, at, done)
}

/// The first instructions of a thread: rdi is the address of its [`Start`], and so is the stack pointer.
#[unsafe(naked)]
extern "C" fn enter() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "mov rbx, rdi",
        "call {call}",
        // From here on the stack may be gone at any moment: registers only.
        "lea rsi, [rbx + {done}]",
        "mov dword ptr [rsi], 1",
        "mov edi, {wake_all}",
        "xor edx, edx",
        "mov eax, {ulock_wake}",
        "syscall",
        "mov eax, {thread_exit}",
        "syscall",
        "ud2",
        call = sym call,
        done = const core::mem::offset_of!(Start, done),
        wake_all = const abi::trap::unix::UL_COMPARE_AND_WAIT | abi::trap::unix::ULF_WAKE_ALL,
        ulock_wake = const abi::trap::unix::ULOCK_WAKE,
        thread_exit = const abi::trap::tally::THREAD_EXIT,
    )
}

extern "C" fn call(start: &Start) {
    (start.function)(start.argument);
}
