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
    /// What is given up.
    vector: Vector,
    /// The slots that are still to be done, one bit each; the lowest is next.
    slots: u8,
    /// How many made references the manager of the next slot is being offered.
    offered: Option<u64>,
}

impl Release {
    #[inline]
    pub(crate) fn new(vector: Vector) -> Self {
        let mut slots = 0;
        for (slot, &index) in vector.iter().enumerate() {
            slots |= u8::from(index != DEFAULT) << slot;
        }
        Release { vector, slots, offered: None }
    }

    /// Nothing to give up.
    pub(crate) const fn nothing() -> Self {
        Release { vector: EMPTY, slots: 0, offered: None }
    }

    /// Whether there is nothing left to give up.
    #[inline]
    pub(crate) const fn is_done(&self) -> bool {
        self.slots == 0
    }

    /// Adds the element of one slot; nothing else is left to be given up.
    #[inline]
    pub(crate) fn set(&mut self, slot: usize, index: u32) {
        assert!(self.is_done() && self.offered.is_none(), "one thing is given up after the other");
        self.vector[slot] = index;
        self.slots = u8::from(index != DEFAULT) << slot;
    }

    /// The next question to a manager; the same again until it is answered. `None` if everything is given up.
    #[inline]
    pub fn next(&mut self, registry: &mut Registry) -> Option<ReleaseValue> {
        while self.slots != 0 {
            let slot = self.next_slot();
            let table = registry.table(slot);
            let index = self.vector[slot];
            if self.offered.is_none() {
                self.offered = table.drop_reference(index);
            }
            if let Some(sync) = self.offered {
                return Some(ReleaseValue { key: Key::of_slot(slot), handle: table.value(index).handle(), sync });
            }
            self.slots &= self.slots - 1;
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
        let slot = self.next_slot();
        let released = registry.table(slot).released(self.vector[slot], sync, accepted);
        if let Released::Again(sync) = released {
            self.offered = Some(sync);
            return;
        }
        self.slots &= self.slots - 1;
        if released == Released::Freed {
            registry.drop_control_reference(slot);
        }
    }

    #[inline]
    const fn next_slot(&self) -> usize {
        self.slots.trailing_zeros() as usize & (KEYS - 1)
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
