//! [`Release`]: giving up references to values, with the manager's answers in between (vouchers 1.7, 1.11).

use crate::key::KEYS;
use crate::value::{DEFAULT, Released};
use crate::voucher::{EMPTY, PortBinding, Vector, VoucherId};
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
    /// What is given up; slots below `slot` are done.
    vector: Vector,
    slot: u8,
    /// How many made references the manager of `slot` is being offered.
    offered: Option<u64>,
}

impl Release {
    pub(crate) const fn new(vector: Vector) -> Self {
        Release { vector, slot: 0, offered: None }
    }

    /// Nothing to give up.
    pub(crate) const fn nothing() -> Self {
        Release { vector: EMPTY, slot: KEYS as u8, offered: None }
    }

    /// The element in one slot.
    #[inline]
    pub(crate) fn one(slot: usize, index: u32) -> Self {
        let mut release = Release::nothing();
        if index != DEFAULT {
            release.vector[slot] = index;
            release.slot = slot as u8;
        }
        release
    }

    /// The next question to a manager; the same again until it is answered. `None` if everything is given up.
    #[inline]
    pub fn next(&mut self, registry: &mut Registry) -> Option<ReleaseValue> {
        while (self.slot as usize) < KEYS {
            let (slot, index) = (self.slot as usize, self.vector[self.slot as usize]);
            if index != DEFAULT {
                if self.offered.is_none() {
                    self.offered = registry.table(slot).drop_reference(index);
                }
                if let Some(sync) = self.offered {
                    let handle = registry.table(slot).value(index).handle();
                    return Some(ReleaseValue { key: Key::of_slot(slot), handle, sync });
                }
            }
            self.slot += 1;
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
        let slot = self.slot as usize;
        match registry.table(slot).released(self.vector[slot], sync, accepted) {
            Released::Again(sync) => self.offered = Some(sync),
            Released::Stays => self.slot += 1,
            Released::Freed => {
                self.slot += 1;
                registry.drop_control_reference(slot);
            }
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
