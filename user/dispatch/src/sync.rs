//! What threads share, and what each has of its own: the one file of this crate that says where locks, atomics and
//! thread-locals come from.
//!
//! On the target they are those of the runtime, whose waiters lend the owner of a lock their class. On the host they are
//! those of the standard library. With the feature `shuttle` they are those of the crate shuttle, which runs a test in many
//! orders of its threads.

pub use sources::*;

/// The atomics of statics. On the host all tests share a static, in several threads at the same time. An atomic of shuttle
/// belongs to one run of one test, and must not be used by two threads of the host.
pub use core::sync::atomic as static_atomic;

#[cfg(not(feature = "shuttle"))]
mod sources {
    pub use alloc::sync::{Arc, Weak};
    pub use core::sync::atomic;
    pub use runtime::local::LocalKey;
    pub use runtime::sync::{Mutex, MutexGuard, OnceLock};
    pub use runtime::thread_local;
}

#[cfg(feature = "shuttle")]
mod sources {
    pub use shuttle::sync::{Arc, MutexGuard, Weak, atomic};
    pub use shuttle::thread::LocalKey;
    pub use shuttle::thread_local;
    use std::sync::PoisonError;

    /// A lock around a value. A panic of its owner does not spoil it.
    #[derive(Debug, Default)]
    pub struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        /// Returns a free lock.
        pub const fn new(value: T) -> Mutex<T> {
            Mutex(shuttle::sync::Mutex::new(value))
        }

        /// Returns the value.
        pub fn into_inner(self) -> T {
            self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
        }

        /// Waits until the lock is free, and takes it.
        pub fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Takes the lock if it is free.
        pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }

        /// Returns the value, which nobody else can use now.
        pub fn get_mut(&mut self) -> &mut T {
            self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// A value that is made once.
    #[derive(Debug)]
    pub struct OnceLock<T> {
        making: Mutex<()>,
        value: std::sync::OnceLock<T>,
    }

    impl<T> Default for OnceLock<T> {
        fn default() -> OnceLock<T> {
            OnceLock::new()
        }
    }

    impl<T> OnceLock<T> {
        /// Returns a place without a value.
        pub const fn new() -> OnceLock<T> {
            OnceLock { making: Mutex::new(()), value: std::sync::OnceLock::new() }
        }

        /// Returns the value, if it has been made.
        pub fn get(&self) -> Option<&T> {
            self.value.get()
        }

        /// Returns the value, and makes it before if it has not been made.
        pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
            if self.get().is_none() {
                // The lock of the standard library, which shuttle does not see, is never contended behind this one.
                let _making = self.making.lock();
                self.value.get_or_init(make);
            }
            self.get().expect("it has just been made")
        }

        /// Stores the value, if there is none.
        ///
        /// # Errors
        /// The value, if there is one already.
        pub fn set(&self, value: T) -> Result<(), T> {
            let _making = self.making.lock();
            self.value.set(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::atomic::{AtomicUsize, Ordering};
    use super::*;

    const THREADS: usize = 3;
    const ROUNDS: usize = 4;

    #[cfg(feature = "shuttle")]
    fn in_many_orders(test: impl Fn() + Send + Sync + 'static) {
        shuttle::check_random(test, 200);
    }

    #[cfg(not(feature = "shuttle"))]
    fn in_many_orders(test: impl Fn() + Send + Sync + 'static) {
        test();
    }

    #[cfg(feature = "shuttle")]
    use shuttle::thread;
    #[cfg(not(feature = "shuttle"))]
    use std::thread;

    #[test]
    fn a_lock_admits_one_thread_at_a_time() {
        in_many_orders(|| {
            let shared = Arc::new((Mutex::new(0), AtomicUsize::new(0)));
            let add = |shared: Arc<(Mutex<usize>, AtomicUsize)>| {
                for _ in 0..ROUNDS {
                    let mut count = shared.0.lock();
                    assert_eq!(shared.1.fetch_add(1, Ordering::SeqCst), 0, "alone");
                    *count += 1;
                    shared.1.fetch_sub(1, Ordering::SeqCst);
                }
            };
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    let shared = shared.clone();
                    thread::spawn(move || add(shared))
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it has not panicked"));
            assert_eq!(*shared.0.lock(), THREADS * ROUNDS);
        });
    }

    #[test]
    fn a_value_is_made_once_and_each_thread_has_its_own_locals() {
        crate::sync::thread_local! {
            static OWN: core::cell::Cell<usize> = const { core::cell::Cell::new(0) };
        }
        in_many_orders(|| {
            let shared = Arc::new((OnceLock::<usize>::new(), AtomicUsize::new(0)));
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let shared = shared.clone();
                    thread::spawn(move || {
                        OWN.with(|own| own.set(own.get() + number));
                        let made = *shared.0.get_or_init(|| shared.1.fetch_add(1, Ordering::SeqCst) + 7);
                        assert_eq!(made, 7);
                        OWN.with(|own| assert_eq!(own.get(), number));
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("it has not panicked"));
            assert_eq!(shared.0.set(9), Err(9));
            assert_eq!((shared.0.get(), shared.1.load(Ordering::SeqCst)), (Some(&7), 1));
        });
    }
}
