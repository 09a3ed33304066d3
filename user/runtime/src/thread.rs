//! Threads, and waiting on a word of memory.

use crate::message::call_object;
use crate::port;
use crate::sync::Mutex;
use crate::sys::stack::{Body, Prepared, STACK_SIZE, StackHandle, prepare};
use crate::sys::{trap, unix_trap};
use crate::task;
use crate::time::{now, wait_until, yield_now};
use abi::code::*;
use abi::mig::thread_act;
use abi::port::{MACH_PORT_RIGHT_SEND, PortType};
use abi::qos::{Priority, Qos};
use abi::trap::tally::{THREAD_CREATE, THREAD_CREATE_CLASS, THREAD_CREATE_SUSPENDED, THREAD_SET_QOS};
use abi::trap::unix::{THREAD_SELFID, UL_COMPARE_AND_WAIT, ULF_WAKE_ALL, ULOCK_WAIT, ULOCK_WAKE};
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

/// A thread of this task that calls a function without a result: for tests and small programs. If the value is dropped,
/// the thread runs on, and its stack and its name remain.
#[derive(Debug)]
pub struct Thread {
    name: PortName,
    stack: StackHandle,
}

/// Creates a thread of this task.
fn create(stack_size: u64, body: Body, flags: u32, detached: bool) -> Result<Thread, KernReturn> {
    if !matches!(body, Body::Bare(..)) {
        crate::local::attach_first();
    }
    let (Prepared { entry, pointer }, stack) = prepare(stack_size, body, detached)?;
    match create_raw(entry, pointer, pointer, flags) {
        Ok(name) => Ok(Thread { name, stack }),
        Err(code) => {
            stack.cancel();
            Err(code)
        }
    }
}

impl Thread {
    /// Starts a thread that calls `function`.
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn start(function: fn(u64), argument: u64) -> Result<Thread, KernReturn> {
        create(STACK_SIZE, Body::Function(function, argument), 0, false)
    }

    /// Starts a thread that calls `function` and has no [thread-local memory](crate::local::attach): it must not use
    /// locks, the heap or thread-locals. The kernel switches to such a thread a little faster.
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn bare(function: fn(u64), argument: u64) -> Result<Thread, KernReturn> {
        create(STACK_SIZE, Body::Bare(function, argument), 0, false)
    }

    /// Creates a thread that calls `function` when it is [resumed](Thread::resume).
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn suspended(function: fn(u64), argument: u64) -> Result<Thread, KernReturn> {
        create(STACK_SIZE, Body::Function(function, argument), THREAD_CREATE_SUSPENDED, false)
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
        self.stack.join();
        port::deallocate(self.name).expect("the name is there");
    }
}

/// The properties of a thread to be started.
#[derive(Clone, Copy, Debug)]
pub struct Builder {
    stack_size: u64,
    class: Qos,
}

impl Default for Builder {
    fn default() -> Self {
        Builder::new()
    }
}

impl Builder {
    /// Returns the properties of a thread without a class, with a stack of 64 KiB.
    pub const fn new() -> Builder {
        Builder { stack_size: STACK_SIZE, class: Qos::Unspecified }
    }

    /// Sets the bytes of the stack.
    pub const fn stack_size(self, stack_size: u64) -> Builder {
        Builder { stack_size, ..self }
    }

    /// Sets the class that the thread requests from its start.
    pub const fn class(self, class: Qos) -> Builder {
        Builder { class, ..self }
    }

    fn create(self, body: Box<dyn FnOnce() + Send>, detached: bool) -> Result<Thread, KernReturn> {
        let class = Priority::of(self.class).to_pthread() & THREAD_CREATE_CLASS;
        create(self.stack_size, Body::Closure(body), class, detached)
    }

    /// Starts a thread that calls `body`.
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn spawn<T: Send + 'static>(
        self,
        body: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, KernReturn> {
        let result = Arc::new(Mutex::new(None));
        let place = result.clone();
        let thread = self.create(Box::new(move || *place.lock() = Some(body())), false)?;
        Ok(JoinHandle { thread: Some(thread), result })
    }

    /// Starts a thread that calls `body` and gives everything back when it ends, its name included. The name is that of a
    /// living thread as long as the caller knows that `body` has not returned.
    ///
    /// # Errors
    /// Those of `mach_vm_allocate` and `thread_create`.
    pub fn detach(self, body: Box<dyn FnOnce() + Send>) -> Result<PortName, KernReturn> {
        self.create(body, true).map(|thread| thread.name)
    }
}

/// Starts a thread without a class that calls `body`: see [`Builder`].
///
/// # Errors
/// Those of `mach_vm_allocate` and `thread_create`.
pub fn spawn<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>, KernReturn> {
    Builder::new().spawn(body)
}

/// A thread with a result. If the handle is dropped, the thread runs on, and gives everything back when it ends.
#[derive(Debug)]
pub struct JoinHandle<T> {
    /// The thread, until it has been joined.
    thread: Option<Thread>,
    result: Arc<Mutex<Option<T>>>,
}

impl<T> JoinHandle<T> {
    /// Returns the name of the thread's port. It is valid as long as this handle.
    pub fn name(&self) -> PortName {
        self.thread.as_ref().expect("only join takes the thread").name
    }

    /// Returns true if the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| thread.stack.has_ended())
    }

    /// Waits until the thread has ended and its thread-locals are destroyed, and returns its result.
    pub fn join(mut self) -> T {
        self.thread.take().expect("only join takes the thread").join();
        self.result.lock().take().expect("the thread has ended with a result")
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.stack.detach();
            port::deallocate(thread.name).expect("the name is there");
        }
    }
}

/// Sets the QoS of a thread of this task as soon as it waits in [`wait_on_word`].
pub fn set_qos_of(thread: PortName, qos: Qos) {
    while set_priority_of(thread, Priority::of(qos)) == Err(KERN_FAILURE) {
        if !yield_now() {
            core::hint::spin_loop();
        }
    }
}

/// Nanoseconds for which a thread lets its helper run before it looks again whether that has ended.
const HELPER_TIME: u64 = 20_000;

/// Sets the QoS of the calling thread, also to [`Qos::Unspecified`], with which the thread has the priority of its task.
/// Another thread does it while this one waits, because no thread leaves the classes by itself.
///
/// # Errors
/// Those of [`Thread::bare`].
pub fn set_own_qos(qos: Qos) -> Result<(), KernReturn> {
    fn set(argument: u64) {
        set_qos_of(PortName((argument >> 32) as u32), Qos::from_number(argument as u32));
    }
    let name = task::thread_self();
    let helper = Thread::bare(set, u64::from(name.0) << 32 | u64::from(qos as u32))?;
    let helper_name = helper.name();
    port::mod_refs(helper_name, MACH_PORT_RIGHT_SEND, 1).expect("the name is there");
    helper.join();
    // Its function has returned, but it may have to wait for this thread before it ends, and would be counted until then.
    while port::port_type(helper_name) == Ok(PortType::SEND) {
        let _ = wait_until(now() + HELPER_TIME);
    }
    [helper_name, name].into_iter().for_each(|name| port::deallocate(name).expect("the name is there"));
    Ok(())
}

/// Sets the class and relative priority that a thread of this task requests, which waits in [`wait_on_word`]:
/// `thread_set_qos`.
///
/// # Errors
/// Those of the call: `KERN_FAILURE` if the thread does not wait so.
pub fn set_priority_of(thread: PortName, priority: Priority) -> Result<(), KernReturn> {
    let priority = u64::from(priority.to_pthread());
    KernReturn(trap(THREAD_SET_QOS, [u64::from(thread.0), priority, 0, 0, 0, 0]) as i32).ok()
}

/// Returns the number of the calling thread, which no other thread of the system has: `thread_selfid`.
pub fn number() -> u64 {
    unix_trap(THREAD_SELFID, [0; 4]).expect("every thread has a number")
}

/// Creates a thread in this task: `thread_create`. It has no [thread-local memory](crate::local::attach).
///
/// # Errors
/// Those of the call.
pub fn create_raw(entry: u64, stack: u64, argument: u64, flags: u32) -> Result<PortName, KernReturn> {
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
