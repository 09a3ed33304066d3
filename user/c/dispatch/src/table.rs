//! [`Table`]: objects by their handles.
//!
//! A handle is an odd number, and no address of an object in C is odd. It contains the number of the slot and how often
//! the slot has been used before, so that a handle that was released is not mistaken for a later one.

use alloc::vec::Vec;

/// Objects with counts of references.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

struct Slot<T> {
    /// How often the slot has been used, at least 1.
    generation: u32,
    references: usize,
    value: Option<T>,
}

/// The bits of a slot's number, above the lowest bit.
const INDEX_BITS: u32 = 31;
const INDEX_MASK: usize = (1 << INDEX_BITS) - 1;

/// Returns the handle of a slot.
const fn encode(generation: u32, index: usize) -> usize {
    (generation as usize) << (INDEX_BITS + 1) | index << 1 | 1
}

/// Returns the handle with a number that is in no table, for an object that always exists.
pub(crate) const fn fixed(number: usize) -> usize {
    encode(0, number)
}

/// Returns the number of a handle that [`fixed`] has made.
pub(crate) fn number_of_fixed(handle: usize) -> Option<usize> {
    (handle & 1 == 1 && handle >> (INDEX_BITS + 1) == 0).then_some(handle >> 1)
}

impl<T: Clone> Table<T> {
    /// Returns an empty table.
    pub(crate) const fn new() -> Table<T> {
        Table { slots: Vec::new(), free: Vec::new() }
    }

    /// Adds an object with one reference, and returns its handle.
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, references: 0, value: None });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        slot.generation = slot.generation.checked_add(1).unwrap_or(1);
        (slot.references, slot.value) = (1, Some(value));
        encode(slot.generation, index)
    }

    fn slot(&mut self, handle: usize) -> Option<&mut Slot<T>> {
        let slot = self.slots.get_mut(handle >> 1 & INDEX_MASK)?;
        let is_this = handle & 1 == 1 && handle >> (INDEX_BITS + 1) == slot.generation as usize;
        (is_this && slot.value.is_some()).then_some(slot)
    }

    /// Returns an object; `None` if there is no such handle.
    pub(crate) fn get(&mut self, handle: usize) -> Option<T> {
        self.slot(handle)?.value.clone()
    }

    /// Adds a reference; `None` if there is no such handle.
    pub(crate) fn retain(&mut self, handle: usize) -> Option<()> {
        self.slot(handle)?.references += 1;
        Some(())
    }

    /// Gives up a reference; `None` if there is no such handle. With the last one the object leaves the table and is
    /// returned: the caller drops it outside of all locks (dispatch R-4).
    pub(crate) fn release(&mut self, handle: usize) -> Option<Option<T>> {
        let slot = self.slot(handle)?;
        slot.references -= 1;
        if slot.references > 0 {
            return Some(None);
        }
        let value = slot.value.take();
        self.free.push(handle >> 1 & INDEX_MASK);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_until_its_last_reference_is_released() {
        let mut table = Table::new();
        let handle = table.insert('a');
        assert_eq!(table.retain(handle), Some(()));
        assert_eq!(table.release(handle), Some(None));
        assert_eq!(table.get(handle), Some('a'));
        assert_eq!(table.release(handle), Some(Some('a')));
        assert_eq!((table.get(handle), table.retain(handle), table.release(handle)), (None, None, None));
    }

    #[test]
    fn a_released_handle_is_not_that_of_a_later_object() {
        let mut table = Table::new();
        let first = table.insert('a');
        table.release(first);
        let second = table.insert('b');
        assert_ne!(first, second);
        assert_eq!((table.get(first), table.get(second)), (None, Some('b')));
    }

    #[test]
    fn numbers_that_are_no_handles_are_found_out() {
        let mut table = Table::new();
        let handle = table.insert('a');
        assert_eq!(number_of_fixed(handle), None);
        for wrong in [0, 1, handle - 1, handle + 2, handle ^ 1 << 40, usize::MAX, fixed(0), fixed(7)] {
            assert_eq!(table.get(wrong), None, "{wrong:#x}");
        }
        for number in [0, 7] {
            assert_eq!(number_of_fixed(fixed(number)), Some(number));
        }
        assert_eq!((number_of_fixed(0), number_of_fixed(0x40_0000)), (None, None));
    }
}
