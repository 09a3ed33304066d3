//! Locks of threads.
//!
//! The word of a lock is 0, or the name of the owner's port, in which the two low bits, set in all names, are flags. A lock
//! that nobody else wants is taken and given back by one instruction each, without a trap. A thread that must wait *lends*
//! the owner its class: it starts an explicit override with the word's address as the resource, and ends it when it has
//! been woken. So an owner that was preempted by threads in between gets to the end of its work. If the waiter's own class
//! rises meanwhile, because a third thread waits for what it holds, the waiter passes that on when it looks again.

use super::local::current;
use crate::policy::{end_override, start_override};
use crate::task::thread_info;
use crate::thread::{wait_on_word, wake_word};
use crate::time;
use abi::PortName;
use abi::policy::LOCK_FLAGS;
use abi::qos::{Priority, Qos};
use core::cell::UnsafeCell;
use core::fmt;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A thread waits for the lock, or may do so.
const CONTENDED: u32 = 1;
/// A thread that waits has raised the class of the owner.
const LENT: u32 = 2;

/// Microseconds after which a waiting thread looks whether its own class has risen.
const LOOK_AGAIN: u32 = 10_000;

/// The word of a lock.
struct Lock(AtomicU32);

impl Lock {
    #[inline(always)]
    fn lock(&self) {
        let own = current().lock_id();
        if self.0.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed).is_err() {
            self.wait(own);
        }
    }

    #[inline(always)]
    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, current().lock_id(), Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    #[inline(always)]
    fn unlock(&self) {
        let before = self.0.swap(0, Ordering::Release);
        if before & LOCK_FLAGS != 0 {
            self.wake(before);
        }
    }

    /// Takes the lock when its owner gives it back.
    #[cold]
    #[inline(never)]
    fn wait(&self, own: u32) {
        let mut loan = Loan { resource: self.0.as_ptr() as u64, to: None };
        loop {
            let word = self.0.load(Ordering::Relaxed);
            let owner = word & !LOCK_FLAGS;
            if owner == 0 {
                // Other threads may still wait.
                let taken = self.0.compare_exchange(0, own | CONTENDED, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_ok() {
                    break;
                }
                continue;
            }
            assert!(owner != own, "a thread waits for a lock that it holds");
            let lent = if loan.raise(PortName(owner | LOCK_FLAGS)) { LENT } else { word & LENT };
            let expected = owner | CONTENDED | lent;
            if word == expected || self.0.compare_exchange(word, expected, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            {
                let _ = wait_on_word(&self.0, expected, LOOK_AGAIN);
            }
        }
        loan.end();
    }

    /// Wakes the first thread that waits for the lock, whose word was `before`.
    #[cold]
    #[inline(never)]
    fn wake(&self, before: u32) {
        let _ = wake_word(&self.0, false);
        if before & LENT != 0 {
            // The woken thread has the class that it has lent, and does not preempt this one. When it runs, it ends the
            // loan.
            time::yield_now();
        }
    }
}

/// What a waiting thread has lent.
struct Loan {
    resource: u64,
    to: Option<(PortName, Qos)>,
}

impl Loan {
    /// Raises the owner of a lock to the class of the calling thread, if that is higher. Returns true if the owner has
    /// something of this thread.
    fn raise(&mut self, owner: PortName) -> bool {
        let own = own_class();
        match self.to {
            Some((to, lent)) if to == owner && own <= lent => return true,
            _ => {}
        }
        // A thread without a class cannot be raised.
        let others = class_of(owner);
        let useful = others != Qos::Unspecified && others < own;
        let started = useful && start_override(owner, Priority::of(own), self.resource).is_ok();
        // A loan to a former owner, or of a lower class.
        self.end();
        self.to = started.then_some((owner, own));
        started
    }

    /// Takes back what has been lent. The owner may have ended since.
    fn end(&mut self) {
        if let Some((owner, _)) = self.to.take() {
            let _ = end_override(owner, self.resource);
        }
    }
}

/// Returns the class in effect of a thread of this task; none if it has none or has ended.
fn class_of(thread: PortName) -> Qos {
    thread_info(thread).map_or(Qos::Unspecified, |info| Priority::from_pthread(info.effective).qos)
}

/// Returns the class that the calling thread can lend. A thread without a class counts as one of the default class.
fn own_class() -> Qos {
    match class_of(PortName(current().lock_id() | LOCK_FLAGS)) {
        Qos::Unspecified => Qos::Legacy,
        class => class,
    }
}

/// A lock around a value.
///
/// A thread that waits for it lends the owner its class, so a high one does not wait for what lower threads do in between.
/// Locking it twice in one thread panics. In a thread made by [`create_raw`](crate::thread::create_raw) see
/// [`attach`](crate::local::attach).
pub struct Mutex<T: ?Sized> {
    lock: Lock,
    value: UnsafeCell<T>,
}

// SAFETY: One thread at a time has access to the value, and each that has it may move the value away.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: The lock is part of the value's place, and nobody waits for it if it can be moved.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// Returns a free lock.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex { lock: Lock(AtomicU32::new(0)), value: UnsafeCell::new(value) }
    }

    /// Returns the value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits until the lock is free, and takes it.
    #[inline(always)]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock.lock();
        MutexGuard { mutex: self, not_send: PhantomData }
    }

    /// Takes the lock if it is free.
    #[inline(always)]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.try_lock().then(|| MutexGuard { mutex: self, not_send: PhantomData })
    }

    /// Returns the value, which nobody else can use now.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

/// A lock that the running thread holds. Dropping it gives the lock back.
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    /// The thread that has taken a lock gives it back.
    not_send: PhantomData<*const ()>,
}

// SAFETY: A shared guard gives shared access to the value.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: The thread holds the lock as long as the guard lives.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: As above, and the guard is borrowed exclusively.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.mutex.lock.unlock();
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// A value that is made once. Threads that need it while another one makes it lend that one their class.
pub struct OnceLock<T> {
    made: AtomicBool,
    making: Lock,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: Threads share the value, and the one that takes it out or drops it may be another than the one that made it.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: As for `Mutex`.
unsafe impl<T: Send> Send for OnceLock<T> {}

impl<T> OnceLock<T> {
    /// Returns a place without a value.
    pub const fn new() -> OnceLock<T> {
        let (made, making) = (AtomicBool::new(false), Lock(AtomicU32::new(0)));
        OnceLock { made, making, value: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Returns the value, if it has been made.
    #[inline(always)]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: The value is written before `made` is set, and not again.
        self.made.load(Ordering::Acquire).then(|| unsafe { (*self.value.get()).assume_init_ref() })
    }

    /// Returns the value, and makes it before if it has not been made.
    ///
    /// # Panics
    /// If `make` needs this very value.
    #[inline(always)]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.make(make),
        }
    }

    /// Stores the value, if there is none.
    ///
    /// # Errors
    /// The value, if there is one already.
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("a value is made once"));
        value.map_or(Ok(()), Err)
    }

    #[cold]
    fn make(&self, make: impl FnOnce() -> T) -> &T {
        self.making.lock();
        if !self.made.load(Ordering::Relaxed) {
            let value = make();
            // SAFETY: The thread has the lock, and nobody reads the value before `made` is set.
            unsafe { (*self.value.get()).write(value) };
            self.made.store(true, Ordering::Release);
        }
        self.making.unlock();
        self.get().expect("it has just been made")
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        if *self.made.get_mut() {
            // SAFETY: The value has been written, and is not used again.
            unsafe { self.value.get_mut().assume_init_drop() };
        }
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

impl<T> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnceLock").finish_non_exhaustive()
    }
}
