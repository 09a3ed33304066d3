//! Allocation failures on demand, for tests.
//!
//! Every operation of this crate that may allocate asks [`check`] first, whether it needs memory this time or not, so a
//! test that counts the checks of a scenario and then fails each of them in turn visits every failure there can be.
//! Without the feature `failpoints` the check is nothing.

use crate::NoMemory;

#[cfg(any(test, feature = "failpoints"))]
mod armed {
    use std::cell::Cell;

    std::thread_local! {
        static CHECKS: Cell<u64> = const { Cell::new(0) };
        static FAIL_AT: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// Starts counting this thread's checks from 0 and makes the one with number `at` fail, if given.
    pub fn arm(at: Option<u64>) {
        CHECKS.set(0);
        FAIL_AT.set(at);
    }

    /// Stops failing and tells how many checks there were since [`arm`].
    pub fn disarm() -> u64 {
        FAIL_AT.set(None);
        CHECKS.get()
    }

    pub(super) fn fails() -> bool {
        let number = CHECKS.get();
        CHECKS.set(number + 1);
        FAIL_AT.get() == Some(number)
    }
}

#[cfg(any(test, feature = "failpoints"))]
pub use armed::{arm, disarm};

/// Whether an allocation may go on.
///
/// # Errors
/// [`NoMemory`] if a test asked for a failure here.
#[inline(always)]
pub fn check() -> Result<(), NoMemory> {
    #[cfg(any(test, feature = "failpoints"))]
    if armed::fails() {
        return Err(NoMemory);
    }
    Ok(())
}
