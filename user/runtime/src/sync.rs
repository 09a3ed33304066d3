//! Locks, and values that are made once.
//!
//! A thread that waits for a lock lends its class to the owner, so that the owner gets to the end of its work although
//! threads of classes in between are ready. This does not help an owner without a class, whose priority is that of its task.
//! The owner keeps what was lent until the waiting thread has run.
//!
//! On the host they are those of the standard library.

#[cfg(target_os = "none")]
pub use crate::sys::mutex::{Mutex, MutexGuard, OnceLock};
#[cfg(not(target_os = "none"))]
pub use host::Mutex;
#[cfg(not(target_os = "none"))]
pub use std::sync::{MutexGuard, OnceLock};

#[cfg(not(target_os = "none"))]
mod host {
    use std::sync::{MutexGuard, PoisonError, TryLockError};

    /// A lock around a value. A panic of its owner does not spoil it.
    #[derive(Debug, Default)]
    pub struct Mutex<T: ?Sized>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Returns a free lock.
        pub const fn new(value: T) -> Mutex<T> {
            Mutex(std::sync::Mutex::new(value))
        }

        /// Returns the value.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl<T: ?Sized> Mutex<T> {
        /// Waits until the lock is free, and takes it.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Takes the lock if it is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            match self.0.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        }

        /// Returns the value, which nobody else can use now.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
