//! [`Semaphore`]: a counting semaphore. Its waiters lend no class (dispatch L-23).

use crate::pool;
use crate::process::process;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::timer::Deadline;
use core::time::Duration;

/// A counting semaphore.
#[derive(Debug, Default)]
pub struct Semaphore {
    value: AtomicU32,
    waiting: AtomicU32,
}

impl Semaphore {
    /// Returns a semaphore with a value.
    pub const fn new(value: u32) -> Semaphore {
        Semaphore { value: AtomicU32::new(value), waiting: AtomicU32::new(0) }
    }

    /// Raises the value by one and wakes one waiter. Returns true if there was one.
    pub fn signal(&self) -> bool {
        self.value.fetch_add(1, Ordering::SeqCst);
        // A waiter counts itself before it looks at the value for the last time.
        let is_awaited = self.waiting.load(Ordering::SeqCst) > 0;
        if is_awaited {
            process().kernel.wake(&self.value, false);
        }
        is_awaited
    }

    /// Lowers the value by one. Waits as long as it is 0, or for a time; returns false if the time passed.
    pub fn wait(&self, timeout: Option<Duration>) -> bool {
        if self.take() {
            return true;
        }
        let deadline = Deadline::after(timeout);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let taken = loop {
            if self.take() {
                break true;
            }
            let Some(remaining) = deadline.remaining() else {
                break false;
            };
            pool::waiting(|| process().kernel.wait(&self.value, 0, remaining.microseconds()));
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        taken
    }

    fn take(&self) -> bool {
        self.value.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |value| value.checked_sub(1)).is_ok()
    }
}
