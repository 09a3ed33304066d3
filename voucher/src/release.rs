//! [`Release`]: releases references to values, with the answers of managers in between (vouchers 1.7, 1.11).

use crate::value::ReleaseOutcome;
use crate::vector::ValueVector;
use crate::voucher::{PortBinding, VoucherId};
use crate::{Key, Registry};

/// The request to a manager to release a value with its `sync` made references. The manager accepts if and only if it
/// has handed out exactly that many, and then forgets the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseRequest {
    /// The key of the value.
    pub key: Key,
    /// The handle of the value.
    pub handle: u64,
    /// The number of made references that are offered.
    pub sync: u64,
}

/// References to values that are being released. For each request that [`next`](Release::next) returns, the driver asks
/// the manager and passes the answer to [`answer`](Release::answer), until there are no more requests.
///
/// The registry is not borrowed between the two, and other calls may run. A release that is dropped before it is
/// finished leaks its references.
#[derive(Debug)]
#[must_use]
pub struct Release {
    /// The references that are left to release; the lowest slot is next.
    left: ValueVector,
    /// The number of made references that the manager of the lowest slot is offered.
    offered: Option<u64>,
}

impl Release {
    #[inline]
    pub(crate) const fn new(left: ValueVector) -> Self {
        Release { left, offered: None }
    }

    /// Returns true if everything is released.
    #[inline]
    pub(crate) const fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Returns the next request to a manager, again until it is answered, or `None` if everything is released.
    #[inline]
    pub fn next(&mut self, registry: &mut Registry) -> Option<ReleaseRequest> {
        while let Some(slot) = self.left.first() {
            let table = registry.table(slot);
            let index = self.left.get(slot);
            if self.offered.is_none() {
                self.offered = table.drop_reference(index);
            }
            if let Some(sync) = self.offered {
                return Some(ReleaseRequest { key: Key::of_slot(slot), handle: table.value(index).handle(), sync });
            }
            self.left.clear_first();
        }
        None
    }

    /// Answers the request that [`next`](Release::next) returned: `accepted` if the manager has released the value.
    ///
    /// # Panics
    /// If there was no request.
    #[inline]
    pub fn answer(&mut self, registry: &mut Registry, accepted: bool) {
        let sync = self.offered.take().expect("there was a request");
        let slot = self.left.first().expect("there was a request");
        match registry.table(slot).finish_release(self.left.get(slot), sync, accepted) {
            ReleaseOutcome::OfferAgain(sync) => {
                self.offered = Some(sync);
                return;
            }
            ReleaseOutcome::Freed => {
                registry.drop_control_reference(slot);
            }
            ReleaseOutcome::Kept => {}
        }
        self.left.clear_first();
    }
}

/// A voucher without references.
#[derive(Debug)]
#[must_use]
pub struct DeadVoucher {
    /// The id of the voucher, which now refers to nothing.
    pub id: VoucherId,
    /// The port of the voucher. It has no send rights, and must be destroyed first.
    pub port: Option<PortBinding>,
    /// The values of the voucher, which must be released.
    pub values: Release,
}
