//! Counts of table probes, for tests and benchmarks that show that costs stay flat. Without the feature `steps`
//! counting compiles to nothing.

#[cfg(any(test, feature = "steps"))]
std::thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one step of this thread: a visit to a bucket or to an entry.
#[inline(always)]
pub fn count() {
    #[cfg(any(test, feature = "steps"))]
    STEPS.set(STEPS.get() + 1);
}

/// Returns the number of steps of this thread since the last call.
#[cfg(any(test, feature = "steps"))]
pub fn take() -> u64 {
    STEPS.replace(0)
}
