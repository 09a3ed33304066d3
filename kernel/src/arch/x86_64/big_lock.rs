//! The kernel's one lock.

use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;

/// Guards the kernel's state: one processor at a time is in the kernel, and not twice.
///
/// There is one processor, interrupts are off in the kernel, and the faults that it handles itself (`user_memory`) do not
/// come here. So nothing ever waits, and the lock is a check. With several processors [`with`](BigLock::with) is the
/// place to wait for each other, by an atomic exchange; nothing else would change.
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
    /// Returns a lock that guards nothing yet.
    pub const fn new() -> BigLock<T> {
        BigLock { state: Cell::new(State::Empty), value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Gives the lock what it guards, once.
    pub fn set(&self, value: T) {
        assert_eq!(self.state.get(), State::Empty, "there is one kernel");
        // SAFETY: Nothing refers to the value before `with` finds the state `Free`.
        unsafe { (*self.value.get()).write(value) };
        self.state.set(State::Free);
    }

    /// Calls `f` with what the lock guards.
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
