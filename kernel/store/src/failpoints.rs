//! Allocation failures on demand, for tests.
//!
//! Every operation of this crate that may allocate calls [`check`] first, even if it needs no memory this time. A test
//! can therefore visit every possible failure of a scenario: it counts the checks, then lets each of them fail in turn.
//! Without the feature `failpoints` the check compiles to nothing.

use crate::NoMemory;

#[cfg(any(test, feature = "failpoints"))]
mod armed {
    use std::cell::Cell;

    std::thread_local! {
        static CHECKS: Cell<u64> = const { Cell::new(0) };
        static FAIL_AT: Cell<Option<u64>> = const { Cell::new(None) };
        static FAIL_ON: Cell<bool> = const { Cell::new(false) };
    }

    /// Starts counting this thread's checks from 0, and lets the check with number `at` fail, if given.
    pub fn arm(at: Option<u64>) {
        CHECKS.set(0);
        FAIL_AT.set(at);
        FAIL_ON.set(false);
    }

    /// Like [`arm`], but lets all checks after the one with number `at` fail too.
    pub fn arm_from(at: u64) {
        arm(Some(at));
        FAIL_ON.set(true);
    }

    /// Ends the failures and returns the number of checks since [`arm`].
    pub fn disarm() -> u64 {
        FAIL_AT.set(None);
        CHECKS.get()
    }

    /// Counts a check and returns true if it must fail.
    pub(super) fn fails() -> bool {
        let number = CHECKS.get();
        CHECKS.set(number + 1);
        FAIL_AT.get().is_some_and(|at| number == at || number > at && FAIL_ON.get())
    }
}

#[cfg(any(test, feature = "failpoints"))]
pub use armed::{arm, arm_from, disarm};

/// Allows an allocation.
///
/// # Errors
/// [`NoMemory`] if a test asked for this failure.
#[inline(always)]
pub fn check() -> Result<(), NoMemory> {
    #[cfg(any(test, feature = "failpoints"))]
    if armed::fails() {
        return Err(NoMemory);
    }
    Ok(())
}
