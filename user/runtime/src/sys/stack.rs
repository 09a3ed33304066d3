//! The first and the last instructions of threads.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU32;

/// The record at the top of a new thread's stack.
#[repr(C, align(16))]
struct Start {
    function: fn(u64),
    argument: u64,
    /// 0 until the function has returned.
    done: AtomicU32,
    _padding: [u32; 3],
}

/// Prepares a stack of `size` bytes at `bottom` for a thread that calls `function`. Returns the thread's entry point,
/// its stack pointer, its argument, and a word that becomes 1 when the function has returned. From then on the thread
/// does not use the stack, and it wakes the threads that wait on the word.
///
/// `bottom` is the address of memory that the caller has allocated for this stack.
pub fn start_thread(bottom: u64, size: u64, function: fn(u64), argument: u64) -> (u64, u64, u64, &'static AtomicU32) {
    let at = bottom + size - size_of::<Start>() as u64;
    let start = core::ptr::with_exposed_provenance_mut::<Start>(at as usize);
    // SAFETY: The caller has allocated the memory for this stack alone. It is large enough and aligned to a page.
    let done = unsafe {
        start.write(Start { function, argument, done: AtomicU32::new(0), _padding: [0; 3] });
        &(*start).done
    };
    // SAFETY: `thread::Thread`, which has the reference, frees the stack last.
    (enter as *const () as u64, at, at, done)
}

/// The first instructions of a thread: rdi is the address of its [`Start`], and so is the stack pointer.
#[unsafe(naked)]
extern "C" fn enter() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "mov rbx, rdi",
        "call {call}",
        // From here on another thread may free the stack: use registers alone.
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
    let run = || (start.function)(start.argument);
    #[cfg(target_os = "none")]
    super::local::with_block(run);
    #[cfg(not(target_os = "none"))]
    run();
}
