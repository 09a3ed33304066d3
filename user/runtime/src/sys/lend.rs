//! [`lend`]: a closure that borrows from its thread and runs on another one, while its own thread waits.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::mem::transmute;
use core::sync::atomic::{AtomicBool, Ordering};

/// A closure that another thread has lent. It is given back when this is dropped.
pub struct Lent {
    work: *mut (dyn FnMut() + Send),
    is_back: Arc<AtomicBool>,
    /// Tells the owner that it can look again.
    signal: Option<Box<dyn FnOnce() + Send>>,
}

// SAFETY: The closure may be called by another thread, since it is `Send`, and nobody else touches it meanwhile: its
// owner waits in `lend`, and there is one `Lent` for it.
unsafe impl Send for Lent {}

impl Lent {
    /// Calls the closure and gives it back.
    pub fn run(self) {
        // SAFETY: `lend` does not return before this is dropped, so that the closure and all that it borrows are alive.
        // No other reference to it is used: `lend` has made the pointer from its only one.
        unsafe { (*self.work)() }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.is_back.store(true, Ordering::Release);
        // From here on the owner may go on; `self.work` is not used any more.
        if let Some(signal) = self.signal.take() {
            signal();
        }
    }
}

/// Lends a closure to whatever `submit` gives it to, and returns when it has been given back: called or dropped.
///
/// Meanwhile it calls `wait`, which should sleep until `signal` was called, but may return early.
pub fn lend(
    work: &mut (dyn FnMut() + Send),
    signal: impl FnOnce() + Send + 'static,
    submit: impl FnOnce(Lent),
    wait: impl FnMut(),
) {
    /// Waits even if `submit` unwinds, because another thread may have the closure by then.
    struct Waits<F: FnMut()> {
        is_back: Arc<AtomicBool>,
        wait: F,
    }

    impl<F: FnMut()> Drop for Waits<F> {
        fn drop(&mut self) {
            while !self.is_back.load(Ordering::Acquire) {
                (self.wait)();
            }
        }
    }

    let is_back = Arc::new(AtomicBool::new(false));
    let waits = Waits { is_back: is_back.clone(), wait };
    // SAFETY: Only the lifetime changes. The pointer is used by `Lent` alone, and this function does not return, nor
    // unwind, before that is dropped: `waits` sees to it. A `Lent` that is leaked keeps it waiting for ever.
    let work = unsafe { transmute::<*mut (dyn FnMut() + Send + '_), *mut (dyn FnMut() + Send + 'static)>(work) };
    submit(Lent { work, is_back, signal: Some(Box::new(signal)) });
    drop(waits);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn a_closure_runs_on_another_thread_with_what_it_borrows() {
        let mut seen = None;
        let (sender, receiver) = channel::<Lent>();
        let other = thread::spawn(move || receiver.recv().expect("it is lent").run());
        let expected = other.thread().id();
        let owner = thread::current();
        let mut work = || seen = Some(thread::current().id());
        lend(&mut work, move || owner.unpark(), |lent| sender.send(lent).expect("it waits"), thread::park);
        assert_eq!(seen, Some(expected));
        other.join().expect("it does not panic");
    }

    #[test]
    fn a_closure_that_is_not_called_is_given_back() {
        let mut calls = 0;
        let owner = thread::current();
        lend(&mut || calls += 1, move || owner.unpark(), drop, thread::park);
        assert_eq!(calls, 0);
    }
}
