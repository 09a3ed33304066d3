//! [`Registry`]: all objects of a kind, by their numbers.

use super::ShownThread;
use crate::qos::Qos;
use crate::queue::{Queue, QueueFlags};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, Weak};
use abi::PortName;
use alloc::collections::BTreeMap;

/// The living objects of a kind. It keeps none of them alive.
///
/// Its lock is held for a step in the map, and never while another one is taken.
pub(crate) struct Registry<T> {
    next: AtomicU64,
    objects: Mutex<BTreeMap<u64, Weak<T>>>,
}

impl<T> Registry<T> {
    /// Returns an empty registry whose first number is this.
    pub(crate) const fn starting_at(first: u64) -> Registry<T> {
        Registry { next: AtomicU64::new(first), objects: Mutex::new(BTreeMap::new()) }
    }

    /// Returns a number that no other object has had.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds an object under its number. It takes itself out when it is dropped.
    pub(crate) fn add(&self, number: u64, object: &Arc<T>) {
        self.objects.lock().insert(number, Arc::downgrade(object));
    }

    /// Takes an object out.
    pub(crate) fn remove(&self, number: u64) {
        self.objects.lock().remove(&number);
    }

    /// Returns the first object that is alive from a number on.
    pub(crate) fn from(&self, number: u64) -> Option<(u64, Arc<T>)> {
        self.objects.lock().range(number..).find_map(|(&number, object)| Some((number, object.upgrade()?)))
    }
}

impl Registry<ShownThread> {
    /// Returns the number of the thread with a name, 0 if it is not known.
    pub(super) fn number_of(&self, name: PortName) -> u64 {
        let threads = self.objects.lock();
        let found = threads.values().filter_map(Weak::upgrade).find(|thread| thread.name() == name);
        found.map_or(0, |thread| thread.number())
    }
}

/// Gives up a reference to an object that was found. If it was the last one, a worker drops the object: it may contain
/// closures of the program, which the receiver thread must not run.
pub(super) fn give_up<T: Send + Sync + 'static>(object: Arc<T>) {
    if let Some(last) = Arc::into_inner(object) {
        Queue::global(Qos::DEFAULT, QueueFlags::empty()).run_async(move || drop(last));
    }
}
