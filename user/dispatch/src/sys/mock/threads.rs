//! What the mock knows of threads.

use super::World;
use crate::qos::{Priority, Qos};
use crate::sys::SetSelf;
use abi::PortName;
use alloc::collections::BTreeMap;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::vec::Vec;

/// What the kernel knows of a thread.
#[derive(Clone, Debug, Default)]
pub struct ThreadRecord {
    /// The priority that it has requested.
    pub requested: Priority,
    /// The class to which it is raised because it owns a lock.
    pub dispatch_override: Qos,
    /// The classes to which it is raised for resources, and how many times for each.
    pub overrides: BTreeMap<u64, (u32, Qos)>,
    /// The number of calls by which it has set its priority or voucher.
    pub set_self_calls: u32,
    /// What the last of these calls set.
    pub last_change: Option<SetSelf>,
    /// It waits for a word to change.
    pub waits: bool,
    /// The class at which it ran when it last let another thread go on.
    pub woke_at: Qos,
    pub(super) voucher: Option<u32>,
    pub(super) special_reply: Option<PortName>,
}

impl ThreadRecord {
    /// Returns the class at which it runs, before its task's limits.
    pub fn effective(&self) -> Qos {
        let explicit = self.overrides.values().map(|&(_, class)| class).max().unwrap_or_default();
        self.requested.class().max(self.dispatch_override).max(explicit)
    }

    /// Returns true if it has a voucher in the kernel.
    pub fn has_voucher(&self) -> bool {
        self.voucher.is_some()
    }
}

std::thread_local! {
    static NAME: Cell<u32> = const { Cell::new(0) };
    static WORLDS: RefCell<Worlds> = const { RefCell::new(Worlds(Vec::new())) };
}

/// The worlds that know the calling thread. They forget it when it ends.
struct Worlds(Vec<Weak<World>>);

impl Drop for Worlds {
    fn drop(&mut self) {
        let name = PortName(NAME.get());
        for world in self.0.iter().filter_map(Weak::upgrade) {
            world.lock().end_thread(name);
            world.changed.notify_all();
        }
    }
}

/// Returns a name that no other thread has.
pub(super) fn new_name() -> PortName {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    PortName(NEXT.fetch_add(1, Ordering::Relaxed) << 8 | 3)
}

/// Gives the calling thread its name, before it is asked for.
pub(super) fn set_name(name: PortName) {
    NAME.set(name.0);
}

/// Returns the name of the calling thread, which the world knows from then on.
pub(super) fn name_in(world: &Arc<World>) -> PortName {
    if NAME.get() == 0 {
        set_name(new_name());
    }
    // A thread that is ending has no list any more, and is not entered again.
    let _ = WORLDS.try_with(|worlds| {
        let list = &mut worlds.borrow_mut().0;
        if !list.iter().any(|known| known.as_ptr() == Arc::as_ptr(world)) {
            list.push(Arc::downgrade(world));
        }
    });
    PortName(NAME.get())
}
