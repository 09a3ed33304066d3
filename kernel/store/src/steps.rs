//! How many places in tables were looked at, for tests and benchmarks that show that costs stay flat. Without the
//! feature `steps` counting is nothing.

#[cfg(any(test, feature = "steps"))]
std::thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one step of this thread: a bucket or an entry is looked at.
#[inline(always)]
pub fn count() {
    #[cfg(any(test, feature = "steps"))]
    STEPS.set(STEPS.get() + 1);
}

/// How many steps this thread has made since the last call.
#[cfg(any(test, feature = "steps"))]
pub fn take() -> u64 {
    STEPS.replace(0)
}
