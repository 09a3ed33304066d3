//! [`Once`]: work that is done once (dispatch 4.2).

use crate::pool;
use crate::process::process;
use crate::queue::held;
use crate::sync::atomic::{AtomicU32, Ordering};

/// The states of the word; any other value is the name of the thread that runs the closure.
const NEW: u32 = 0;
const DONE: u32 = u32::MAX;

/// Runs a closure once, in the context of the first caller. It is a word that is 0 at first, so that programs in C can have
/// one.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Once(AtomicU32);

impl Once {
    /// Returns one whose closure has not run.
    pub const fn new() -> Once {
        Once(AtomicU32::new(NEW))
    }

    /// Calls the closure if no call did that before. Returns when it has returned, whoever called it; a thread that
    /// waits lends its class to the one that runs it (dispatch L-23). A call from within the closure is fatal.
    pub fn call(&self, work: impl FnOnce()) {
        if self.0.load(Ordering::Acquire) == DONE {
            return;
        }
        let name = held::name();
        match self.0.compare_exchange(NEW, name.0, Ordering::Acquire, Ordering::Acquire) {
            Ok(_) => {
                held::hold();
                work();
                self.0.store(DONE, Ordering::Release);
                process().kernel.wake(&self.0, true);
                // Waiters may have overridden this thread, which they do not note.
                held::release(true);
            }
            Err(DONE) => {}
            Err(owner) if owner == name.0 => crate::queue::client_crash("a thread waits for its own `Once`"),
            Err(owner) => self.wait(owner),
        }
    }

    fn wait(&self, owner: u32) {
        let class = crate::thread::requested().class();
        process().kernel.override_thread(abi::PortName(owner), class, &self.0);
        while self.0.load(Ordering::Acquire) != DONE {
            pool::waiting(|| process().kernel.wait(&self.0, owner, None));
        }
    }
}
