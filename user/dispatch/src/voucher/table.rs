//! [`Vouchers`]: the voucher objects of a task by the names of their kernel vouchers, and the default voucher
//! (dispatch 2.5, 2.7).

use super::{OwnedSend, Voucher};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, Weak};
use abi::PortName;
use alloc::collections::BTreeMap;

/// The voucher objects of a task.
#[derive(Default)]
pub struct Vouchers {
    /// The objects by the name that they put into messages. An entry keeps no object alive: the last reference of an
    /// object may just be going, and then the look-up fails.
    table: Mutex<BTreeMap<u32, Weak<Voucher>>>,
    /// What goes with messages of threads without a voucher.
    pub(super) default: Mutex<Defaults>,
    live: AtomicUsize,
}

/// The default voucher (dispatch R1, R6).
#[derive(Default)]
pub(super) struct Defaults {
    /// "The task itself pays", made by the first use.
    pub own: Option<Arc<OwnedSend>>,
    /// What has replaced it.
    pub replacement: Option<Arc<OwnedSend>>,
}

impl Vouchers {
    /// Returns the number of objects that are alive.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::Acquire)
    }

    /// Returns the object with this name, if one is alive.
    pub(super) fn find(&self, name: PortName) -> Option<Arc<Voucher>> {
        self.table.lock().get(&name.0).and_then(Weak::upgrade)
    }

    /// Enters an object under a name, unless another is there that lives: then that one is returned, and the caller
    /// drops its own. No object is dropped in here, under the lock (dispatch R-4).
    pub(super) fn enter(&self, name: PortName, voucher: &Arc<Voucher>) -> Option<Arc<Voucher>> {
        let mut table = self.table.lock();
        let present = table.get(&name.0).and_then(Weak::upgrade);
        if present.is_none() {
            table.insert(name.0, Arc::downgrade(voucher));
        }
        present
    }

    /// Removes the entry of an object that is being dropped. Another one may have taken its place already (dispatch
    /// V-8).
    pub(super) fn leave(&self, name: PortName, voucher: *const Voucher) {
        let mut table = self.table.lock();
        if table.get(&name.0).is_some_and(|entry| core::ptr::eq(entry.as_ptr(), voucher)) {
            table.remove(&name.0);
        }
    }

    /// Counts a new object.
    pub(super) fn born(&self) {
        self.live.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts an object that is gone.
    pub(super) fn died(&self) {
        self.live.fetch_sub(1, Ordering::AcqRel);
    }

    /// Returns the number of names in the table, for tests.
    #[cfg(all(not(target_os = "none"), any(test, feature = "mock")))]
    pub fn entries(&self) -> usize {
        self.table.lock().len()
    }
}
