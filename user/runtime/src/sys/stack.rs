//! The first and the last instructions of threads, and their stacks.
//!
//! A thread cannot unmap the stack on which it runs. So a stack belongs to the handle of its thread, which frees it when
//! the thread has ended; or, if there is no handle, the thread puts it onto the list [`EXITED`] by its last instructions,
//! and the next thread that starts or ends takes it from there.

use crate::sync::Mutex;
use crate::task;
use abi::KernReturn;
use abi::task::PAGE_SIZE;
use alloc::boxed::Box;
use core::arch::naked_asm;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

/// The bytes of a stack, unless its creator wishes others.
pub(crate) const STACK_SIZE: u64 = 64 << 10;

/// Bytes below each stack that cannot be accessed, so that a thread with a full stack faults.
const GUARD: u64 = PAGE_SIZE;

/// The number of stacks of [`STACK_SIZE`] that are kept for later threads.
const KEPT: usize = 4;

/// What a thread does.
pub(crate) enum Body {
    /// Calls a function with an argument, and has no thread-local memory.
    Bare(fn(u64), u64),
    /// Calls a function with an argument.
    Function(fn(u64), u64),
    /// Calls a closure, and drops it.
    Closure(Box<dyn FnOnce() + Send>),
}

/// A thread that has a handle and has not ended.
const RUNNING: u32 = 0;
/// A thread that has a handle and has ended: it uses registers alone, and the handle frees its stack.
const ENDED: u32 = 1;
/// A thread without a handle.
const DETACHED: u32 = 2;

/// The record at the top of a thread's stack.
#[repr(C, align(16))]
struct Start {
    body: Option<Body>,
    stack: Stack,
    /// Whether the thread has a handle, and whether it has ended.
    state: AtomicU32,
    /// References to the thread's name that nobody gives up but the thread.
    names: u32,
    /// The next record in the list of exited threads.
    next: *mut Start,
}

/// The memory of a stack.
#[derive(Clone, Copy, Debug)]
struct Stack {
    /// The lowest address, that of the guard.
    bottom: u64,
    /// The bytes, the guard included.
    size: u64,
}

/// The stacks of threads that had no handle and have ended, linked by the records in them.
static EXITED: AtomicPtr<Start> = AtomicPtr::new(ptr::null_mut());

/// Stacks for later threads.
static CACHE: Mutex<heapless::Vec<Stack, KEPT>> = Mutex::new(heapless::Vec::new());

impl Stack {
    /// Returns a stack with room for `size` bytes.
    fn new(size: u64) -> Result<Stack, KernReturn> {
        let size = size.next_multiple_of(PAGE_SIZE) + GUARD;
        if size == STACK_SIZE + GUARD
            && let Some(stack) = CACHE.lock().pop()
        {
            return Ok(stack);
        }
        let bottom = task::allocate(size)?;
        let stack = Stack { bottom, size };
        task::protect(bottom, GUARD, 0).inspect_err(|_| stack.unmap())?;
        Ok(stack)
    }

    /// Keeps a stack that nobody uses for a later thread, or unmaps it.
    fn free(self) {
        if self.size != STACK_SIZE + GUARD || CACHE.lock().push(self).is_err() {
            self.unmap();
        }
    }

    fn unmap(self) {
        task::deallocate(self.bottom, self.size).expect("the stack is there");
    }
}

/// Frees the stacks of threads without handles that have ended.
fn free_exited() {
    if EXITED.load(Ordering::Relaxed).is_null() {
        return;
    }
    let mut first = EXITED.swap(ptr::null_mut(), Ordering::Acquire);
    while !first.is_null() {
        // SAFETY: The thread that has put the record there uses it no more, and only this thread has taken it out.
        let (stack, next) = unsafe { ((*first).stack, (*first).next) };
        stack.free();
        first = next;
    }
}

/// A thread that has been prepared: its entry point, stack pointer and argument are the fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prepared {
    pub(crate) entry: u64,
    pub(crate) pointer: u64,
}

/// The right to the stack of a thread that has a handle.
#[derive(Debug)]
pub(crate) struct StackHandle(*mut Start);

// SAFETY: A handle may be used by any thread: the state of the thread, which is atomic, says who owns the record.
unsafe impl Send for StackHandle {}
// SAFETY: By a shared handle a thread only looks at the state.
unsafe impl Sync for StackHandle {}

/// Prepares a stack with room for `size` bytes for a thread that does `body`.
///
/// # Errors
/// Those of `mach_vm_allocate`.
pub(crate) fn prepare(size: u64, body: Body, detached: bool) -> Result<(Prepared, StackHandle), KernReturn> {
    free_exited();
    let stack = Stack::new(size.max(PAGE_SIZE))?;
    let at = stack.bottom + stack.size - size_of::<Start>() as u64;
    let start = ptr::with_exposed_provenance_mut::<Start>(at as usize);
    let (state, names) = if detached { (DETACHED, 1) } else { (RUNNING, 0) };
    let record = Start { body: Some(body), stack, state: AtomicU32::new(state), names, next: ptr::null_mut() };
    // SAFETY: The memory belongs to this stack alone. It is large enough and aligned, because the stack ends with a page.
    unsafe { start.write(record) };
    Ok((Prepared { entry: enter as *const () as u64, pointer: at }, StackHandle(start)))
}

impl StackHandle {
    /// Frees the stack of a thread that could not be created.
    pub(crate) fn cancel(self) {
        // SAFETY: No thread uses the record.
        let stack = unsafe {
            drop((*self.0).body.take());
            (*self.0).stack
        };
        stack.free();
    }

    /// Waits until the thread has ended, and frees its stack.
    pub(crate) fn join(self) {
        // SAFETY: The record exists as long as its handle.
        let (state, stack) = unsafe { (&(*self.0).state, (*self.0).stack) };
        while state.load(Ordering::Acquire) == RUNNING {
            let _ = crate::thread::wait_on_word(state, RUNNING, 0);
        }
        stack.free();
    }

    /// Leaves the thread to itself.
    pub(crate) fn detach(self) {
        // SAFETY: The record exists as long as its handle.
        let (state, stack) = unsafe { (&(*self.0).state, (*self.0).stack) };
        if state.swap(DETACHED, Ordering::AcqRel) == ENDED {
            stack.free();
        }
    }

    /// Returns true if the thread has ended.
    pub(crate) fn has_ended(&self) -> bool {
        // SAFETY: The record exists as long as its handle.
        unsafe { (*self.0).state.load(Ordering::Acquire) == ENDED }
    }
}

/// The first instructions of a thread: rdi is the address of its [`Start`], and so is the stack pointer.
#[unsafe(naked)]
extern "C" fn enter() -> ! {
    naked_asm!(
        "xor ebp, ebp",
        "mov rbx, rdi",
        "call {call}",
        // From here on the thread uses registers alone.
        "mov eax, {ended}",
        "xchg [rbx + {state}], eax",
        "test eax, eax",
        "jnz 2f",
        // The handle may free the stack now.
        "lea rsi, [rbx + {state}]",
        "mov edi, {wake_all}",
        "xor edx, edx",
        "mov eax, {ulock_wake}",
        "syscall",
        "jmp 4f",
        // There is no handle: others may free the stack as soon as it is in the list.
        "2:",
        "lea rcx, [rip + {exited}]",
        "mov rax, [rcx]",
        "3:",
        "mov [rbx + {next}], rax",
        "lock cmpxchg [rcx], rbx",
        "jne 3b",
        "4:",
        "mov eax, {thread_exit}",
        "syscall",
        "ud2",
        call = sym call,
        exited = sym EXITED,
        ended = const ENDED,
        state = const core::mem::offset_of!(Start, state),
        next = const core::mem::offset_of!(Start, next),
        wake_all = const abi::trap::unix::UL_COMPARE_AND_WAIT | abi::trap::unix::ULF_WAKE_ALL,
        ulock_wake = const abi::trap::unix::ULOCK_WAKE,
        thread_exit = const abi::trap::tally::THREAD_EXIT,
    )
}

extern "C" fn call(start: &mut Start) {
    match start.body.take() {
        Some(Body::Bare(function, argument)) => function(argument),
        Some(Body::Function(function, argument)) => with_block(start.names, || function(argument)),
        Some(Body::Closure(body)) => with_block(start.names, body),
        None => unreachable!("a thread starts once"),
    }
}

/// Calls `body` with thread-local memory, then frees the stacks of others. Gives up `names` references to the thread's name
/// besides its own.
fn with_block(names: u32, body: impl FnOnce()) {
    super::local::with_block(names, || {
        body();
        free_exited();
    });
}
