//! The kernel's one lock.

use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;

/// Guards the kernel's state: one processor at a time is in the kernel, and not twice.
///
/// There is one processor, interrupts are off in the kernel, and the faults that it handles itself (`user_memory`) do
/// not come here. So there is no waiting, and the lock is a check. Several processors would wait for each other in
/// [`with`](BigLock::with), by an atomic exchange.
#[derive(Debug)]
pub struct BigLock<T> {
    state: Cell<State>,
    value: UnsafeCell<MaybeUninit<T>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    Free,
    Taken,
}

// SAFETY: One processor uses the lock.
unsafe impl<T: Send> Sync for BigLock<T> {}
const _: () = assert!(kernel::limits::CPUS_MAX == 1, "several processors have to wait for each other");

impl<T> BigLock<T> {
    /// Returns a lock without a value.
    pub const fn new() -> BigLock<T> {
        BigLock { state: Cell::new(State::Empty), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Sets the value, once.
    pub fn set(&self, value: T) {
        assert_eq!(self.state.get(), State::Empty, "there is one kernel");
        // SAFETY: No reference to the value exists before `with` finds the state `Free`.
        unsafe { (*self.value.get()).write(value) };
        self.state.set(State::Free);
    }

    /// Returns the value in the middle of a panic, if it has been set. It may be in any state.
    ///
    /// # Safety
    /// The caller does not return to what uses the value.
    pub unsafe fn in_emergency(&self) -> Option<&T> {
        // SAFETY: `set` has written the value. Whoever had a reference to it never runs again.
        (self.state.get() != State::Empty).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Calls `f` with the value.
    #[inline(always)]
    pub fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        assert!(self.state.get() == State::Free, "the kernel is entered twice, or before it is there");
        self.state.set(State::Taken);
        // SAFETY: `set` has written the value, and until the state is `Free` again no other call gets here.
        let result = f(unsafe { (*self.value.get()).assume_init_mut() });
        self.state.set(State::Free);
        result
    }
}
