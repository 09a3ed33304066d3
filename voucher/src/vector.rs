//! [`Vector`]: what a voucher says.

use crate::key::KEYS;
use crate::value::DEFAULT;

/// For each slot the index of a value element, or [`DEFAULT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Vector {
    indexes: [u32; KEYS],
    /// The slots that have a value, one bit each: so that nothing has to be done for the others.
    slots: u8,
}

impl Vector {
    /// The vector that says nothing. No voucher has it.
    pub const EMPTY: Vector = Vector { indexes: [DEFAULT; KEYS], slots: 0 };

    /// The vector with these parts.
    #[inline]
    pub const fn from_parts(indexes: [u32; KEYS], slots: u8) -> Self {
        Vector { indexes, slots }
    }

    /// The indexes alone.
    #[inline]
    pub const fn indexes(&self) -> &[u32; KEYS] {
        &self.indexes
    }

    /// The slots that have a value, one bit each.
    #[inline]
    pub const fn slots(&self) -> u8 {
        self.slots
    }

    /// Whether no slot has a value.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.slots == 0
    }

    /// The index in a slot.
    #[inline]
    pub const fn get(&self, slot: usize) -> u32 {
        self.indexes[slot]
    }

    /// Puts an index in a slot and returns the one that was there.
    #[inline]
    pub const fn replace(&mut self, slot: usize, index: u32) -> u32 {
        let old = core::mem::replace(&mut self.indexes[slot], index);
        let bit = 1 << slot;
        self.slots = if index == DEFAULT { self.slots & !bit } else { self.slots | bit };
        old
    }

    /// The lowest slot that has a value.
    #[inline]
    pub const fn first(&self) -> Option<usize> {
        if self.slots == 0 { None } else { Some(self.slots.trailing_zeros() as usize & (KEYS - 1)) }
    }

    /// Clears the lowest slot that has a value.
    #[inline]
    pub const fn clear_first(&mut self) {
        if let Some(slot) = self.first() {
            self.replace(slot, DEFAULT);
        }
    }
}

/// The slots in a set with one bit for each, ascending.
#[inline]
pub(crate) fn slots_in(mut set: u8) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let slot = set.trailing_zeros() as usize;
        set &= set.wrapping_sub(1);
        (slot < KEYS).then_some(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_slots_is_gone_through_upwards() {
        let slots = |set| slots_in(set).collect::<Vec<_>>();
        assert_eq!((slots(0), slots(0b1000_0101), slots(0xFF).len()), (vec![], vec![0, 2, 7], KEYS));
    }

    #[test]
    fn the_slots_with_values_are_known() {
        let mut vector = Vector::EMPTY;
        assert_eq!((vector.is_empty(), vector.first()), (true, None));
        assert_eq!((vector.replace(6, 3), vector.replace(2, 4), vector.replace(6, 5)), (0, 0, 3));
        assert_eq!((vector.slots(), vector.first(), vector.get(6)), (0b100_0100, Some(2), 5));
        vector.clear_first();
        assert_eq!((vector.first(), vector.get(2)), (Some(6), 0));
        assert_eq!(vector.replace(6, DEFAULT), 5);
        assert_eq!(vector, Vector::EMPTY);
        vector.clear_first();
        assert_eq!(vector, Vector::from_parts([0; KEYS], 0));
    }
}
