//! [`ValueVector`]: the values of a voucher.

use crate::key::KEY_COUNT;
use crate::value::DEFAULT_INDEX;

/// The values of a voucher: for each slot the index of a value, or [`DEFAULT_INDEX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ValueVector {
    indexes: [u32; KEY_COUNT],
    /// The slots with a value, one bit each, so that the other slots cost no time.
    slots: u8,
}

impl ValueVector {
    /// The vector without values. No voucher has it.
    pub const EMPTY: ValueVector = ValueVector { indexes: [DEFAULT_INDEX; KEY_COUNT], slots: 0 };

    /// Returns the vector with these parts.
    #[inline]
    pub const fn from_parts(indexes: [u32; KEY_COUNT], slots: u8) -> Self {
        ValueVector { indexes, slots }
    }

    /// Returns the indexes.
    #[inline]
    pub const fn indexes(&self) -> &[u32; KEY_COUNT] {
        &self.indexes
    }

    /// Returns the slots with a value, one bit each.
    #[inline]
    pub const fn slots(&self) -> u8 {
        self.slots
    }

    /// Returns true if no slot has a value.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// Returns the index in a slot.
    #[inline]
    pub const fn get(&self, slot: usize) -> u32 {
        self.indexes[slot]
    }

    /// Puts an index into a slot and returns the old one.
    #[inline]
    pub const fn replace(&mut self, slot: usize, index: u32) -> u32 {
        let old = core::mem::replace(&mut self.indexes[slot], index);
        let bit = 1 << slot;
        self.slots = if index == DEFAULT_INDEX { self.slots & !bit } else { self.slots | bit };
        old
    }

    /// Returns the lowest slot with a value.
    #[inline]
    pub const fn first(&self) -> Option<usize> {
        if self.slots == 0 { None } else { Some(self.slots.trailing_zeros() as usize & (KEY_COUNT - 1)) }
    }

    /// Clears the lowest slot with a value.
    #[inline]
    pub const fn clear_first(&mut self) {
        if let Some(slot) = self.first() {
            self.replace(slot, DEFAULT_INDEX);
        }
    }
}

/// Returns the slots of a bit set in ascending order.
#[inline]
pub(crate) fn slots_in(mut set: u8) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let slot = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (slot < KEY_COUNT).then_some(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_set_gives_its_slots_in_ascending_order() {
        let slots = |set| slots_in(set).collect::<Vec<_>>();
        assert_eq!((slots(0), slots(0b1000_0101), slots(0xFF).len()), (vec![], vec![0, 2, 7], KEY_COUNT));
    }

    #[test]
    fn a_vector_keeps_track_of_its_slots_with_values() {
        let mut vector = ValueVector::EMPTY;
        assert_eq!((vector.is_empty(), vector.first()), (true, None));
        assert_eq!((vector.replace(6, 3), vector.replace(2, 4), vector.replace(6, 5)), (0, 0, 3));
        assert_eq!((vector.slots(), vector.first(), vector.get(6)), (0b100_0100, Some(2), 5));
        vector.clear_first();
        assert_eq!((vector.first(), vector.get(2)), (Some(6), 0));
        assert_eq!(vector.replace(6, DEFAULT_INDEX), 5);
        assert_eq!(vector, ValueVector::EMPTY);
        vector.clear_first();
        assert_eq!(vector, ValueVector::from_parts([0; KEY_COUNT], 0));
    }
}
