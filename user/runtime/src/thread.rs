//! Threads, and waiting on a word of memory.

use crate::message::call_object;
use crate::port;
use crate::sys::{start_thread, trap, unix_trap};
use crate::task;
use crate::time::yield_now;
use abi::code::*;
use abi::mig::thread_act;
use abi::qos::{Priority, Qos};
use abi::trap::tally::{THREAD_CREATE, THREAD_CREATE_SUSPENDED, THREAD_SET_QOS};
use abi::trap::unix::{UL_COMPARE_AND_WAIT, ULF_WAKE_ALL, ULOCK_WAIT, ULOCK_WAKE};
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicU32, Ordering};

const STACK_SIZE: u64 = 64 << 10;

/// A thread of this task.
#[derive(Debug)]
pub struct Thread {
    name: PortName,
    stack: u64,
    done: &'static AtomicU32,
}

impl Thread {
    /// Starts a thread that calls `function`.
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn start(function: fn(u64), argument: u64) -> Result<Thread, KernReturn> {
        Thread::create(function, argument, 0)
    }

    /// Creates a thread that calls `function` when it is [resumed](Thread::resume).
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn suspended(function: fn(u64), argument: u64) -> Result<Thread, KernReturn> {
        Thread::create(function, argument, THREAD_CREATE_SUSPENDED)
    }

    fn create(function: fn(u64), argument: u64, flags: u32) -> Result<Thread, KernReturn> {
        let stack = task::allocate(STACK_SIZE)?;
        let (entry, pointer, start, done) = start_thread(stack, STACK_SIZE, function, argument);
        let name = create_raw(entry, pointer, start, flags);
        if name.is_err() {
            task::deallocate(stack, STACK_SIZE)?;
        }
        Ok(Thread { name: name?, stack, done })
    }

    /// Returns the name of the thread's port.
    pub fn name(&self) -> PortName {
        self.name
    }

    /// Resumes the thread.
    ///
    /// # Errors
    /// Those of `thread_resume`.
    pub fn resume(&self) -> Result<(), KernReturn> {
        call_object(self.name, thread_act::RESUME, &[]).map(|_| ())
    }

    /// Suspends the thread.
    ///
    /// # Errors
    /// Those of `thread_suspend`.
    pub fn suspend(&self) -> Result<(), KernReturn> {
        call_object(self.name, thread_act::SUSPEND, &[]).map(|_| ())
    }

    /// Aborts the wait of the thread, if it waits.
    ///
    /// # Errors
    /// Those of `thread_abort`.
    pub fn abort(&self) -> Result<(), KernReturn> {
        call_object(self.name, thread_act::ABORT, &[]).map(|_| ())
    }

    /// Sets the QoS of the thread as soon as it waits in [`wait_on_word`].
    pub fn set_qos(&self, qos: Qos) {
        set_qos_of(self.name, qos);
    }

    /// Waits until the thread's function has returned, and frees its stack.
    pub fn join(self) {
        while self.done.load(Ordering::Acquire) == 0 {
            let _ = wait_on_word(self.done, 0, 0);
        }
        // A thread that has set this word uses registers alone.
        task::deallocate(self.stack, STACK_SIZE).expect("the stack is there");
        port::deallocate(self.name).expect("the name is there");
    }
}

/// Sets the QoS of a thread of this task as soon as it waits in [`wait_on_word`].
pub fn set_qos_of(thread: PortName, qos: Qos) {
    let priority = u64::from(Priority::of(qos).to_pthread());
    while KernReturn(trap(THREAD_SET_QOS, [u64::from(thread.0), priority, 0, 0, 0, 0]) as i32) == KERN_FAILURE {
        if !yield_now() {
            core::hint::spin_loop();
        }
    }
}

/// Creates a thread in this task: `thread_create`. It has no [thread-local memory](crate::local::attach).
///
/// # Errors
/// Those of the call.
pub fn create_raw(entry: u64, stack: u64, argument: u64, flags: u32) -> Result<PortName, KernReturn> {
    // The caller has thread-local memory already, unless it is the only thread.
    #[cfg(target_os = "none")]
    crate::sys::local::attach_first();
    let mut name = PortName(0);
    let own = u64::from(port::task_self().0);
    let arguments = [own, entry, stack, argument, u64::from(flags), (&raw mut name) as u64];
    KernReturn(trap(THREAD_CREATE, arguments) as i32).ok()?;
    Ok(name)
}

/// Waits until the word is woken, for at most `microseconds` (0: without a limit). Returns at once if the word does not
/// hold `value`.
///
/// # Errors
/// The error number of `ulock_wait`.
pub fn wait_on_word(word: &AtomicU32, value: u32, microseconds: u32) -> Result<u64, u64> {
    let arguments = [u64::from(UL_COMPARE_AND_WAIT), word.as_ptr() as u64, u64::from(value), u64::from(microseconds)];
    unix_trap(ULOCK_WAIT, arguments)
}

/// Wakes one thread that waits on the word, or all of them.
///
/// # Errors
/// The error number of `ulock_wake`.
pub fn wake_word(word: &AtomicU32, all: bool) -> Result<u64, u64> {
    let operation = UL_COMPARE_AND_WAIT | if all { ULF_WAKE_ALL } else { 0 };
    unix_trap(ULOCK_WAKE, [u64::from(operation), word.as_ptr() as u64, 0, 0])
}

/// A gate at which threads wait until it is opened.
#[derive(Debug, Default)]
pub struct Gate(AtomicU32);

impl Gate {
    /// Returns a closed gate.
    pub const fn new() -> Gate {
        Gate(AtomicU32::new(0))
    }

    /// Waits until the gate is open.
    pub fn pass(&self) {
        while self.0.load(Ordering::Acquire) == 0 {
            let _ = wait_on_word(&self.0, 0, 0);
        }
    }

    /// Closes the gate for threads that come from now on.
    pub fn close(&self) {
        self.0.store(0, Ordering::Release);
    }

    /// Opens the gate for all threads.
    pub fn open(&self) {
        self.0.store(1, Ordering::Release);
        let _ = wake_word(&self.0, true);
    }
}
