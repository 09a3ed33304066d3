//! [`Release`]: giving up references to values, with the manager's answers in between (vouchers 1.7, 1.11).

use crate::value::Released;
use crate::vector::Vector;
use crate::voucher::{PortBinding, VoucherId};
use crate::{Key, Registry};

/// The question whether a manager gives up a value: may it forget the `sync` made references? Yes if and only if it has
/// handed out no more than these; then it has to forget the value itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReleaseValue {
    /// Whose value.
    pub key: Key,
    /// Which value.
    pub handle: u64,
    /// How many made references are offered.
    pub sync: u64,
}

/// References to values that are being given up. Managers may have to be asked: the driver asks what
/// [`next`](Release::next) returns and says the answer in [`answer`](Release::answer), until there is nothing to ask.
///
/// The registry is not borrowed between the two, and other calls may run. A release that is not carried through leaks
/// its references.
#[derive(Debug)]
#[must_use]
pub struct Release {
    /// What is still to be given up; the lowest slot is next.
    left: Vector,
    /// How many made references the manager of the lowest slot is being offered.
    offered: Option<u64>,
}

impl Release {
    #[inline]
    pub(crate) const fn new(left: Vector) -> Self {
        Release { left, offered: None }
    }

    /// Whether there is nothing left to give up.
    #[inline]
    pub(crate) const fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// The next question to a manager; the same again until it is answered. `None` if everything is given up.
    #[inline]
    pub fn next(&mut self, registry: &mut Registry) -> Option<ReleaseValue> {
        while let Some(slot) = self.left.first() {
            let table = registry.table(slot);
            let index = self.left.get(slot);
            if self.offered.is_none() {
                self.offered = table.drop_reference(index);
            }
            if let Some(sync) = self.offered {
                return Some(ReleaseValue { key: Key::of_slot(slot), handle: table.value(index).handle(), sync });
            }
            self.left.clear_first();
        }
        None
    }

    /// The manager's answer to the question that [`next`](Release::next) returned: whether it has given the value up.
    ///
    /// # Panics
    /// If there was no question.
    #[inline]
    pub fn answer(&mut self, registry: &mut Registry, accepted: bool) {
        let sync = self.offered.take().expect("there was a question");
        let slot = self.left.first().expect("there was a question");
        let released = registry.table(slot).released(self.left.get(slot), sync, accepted);
        if let Released::Again(sync) = released {
            self.offered = Some(sync);
            return;
        }
        self.left.clear_first();
        if released == Released::Freed {
            registry.drop_control_reference(slot);
        }
    }
}

/// A voucher whose last reference went.
#[derive(Debug)]
#[must_use]
pub struct DeadVoucher {
    /// What its id was.
    pub id: VoucherId,
    /// The port that stood for it. It has no send rights left, and is to be destroyed first.
    pub port: Option<PortBinding>,
    /// Its values, to be given up.
    pub values: Release,
}
