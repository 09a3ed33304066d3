//! [`Slab`]: objects named by an index.

use crate::{Chunks, NoMemory, failpoints};

/// Objects by index. Adding, finding and removing cost the same whatever the number of objects; no object ever moves. An
/// index is used again when its object is gone, the last one freed first: for objects whose users count their
/// references. Where a stale name must be noticed, an [`Arena`](crate::Arena) is the right thing.
///
/// `N` is the number of objects allocated together, a power of two.
#[derive(Debug)]
pub struct Slab<T, const N: usize = 64> {
    slots: Chunks<Slot<T>, N>,
    /// Head of the list through the free slots.
    free: Option<u32>,
    len: usize,
    /// How many free slots are spoken for.
    promised: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Slot::Free { next: None }
    }
}

impl<T, const N: usize> Slab<T, N> {
    /// A slab without objects. Allocates nothing.
    pub const fn new() -> Self {
        Slab { slots: Chunks::new(), free: None, len: 0, promised: 0 }
    }

    /// How many objects there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many objects there is memory for.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// How many [promises](Slab::promise) are open.
    pub const fn promised(&self) -> usize {
        self.promised
    }

    /// Makes room for one [`insert_reserved`](Slab::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the slab is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.len + self.promised < self.slots.len() { Ok(()) } else { self.add_chunk() }
    }

    #[cold]
    fn add_chunk(&mut self) -> Result<(), NoMemory> {
        let first = self.slots.len();
        // The last index is never used: tables use it to say "none".
        if first + N > u32::MAX as usize {
            return Err(NoMemory);
        }
        self.slots.grow()?;
        for index in (first..first + N).rev() {
            self.slots[index] = Slot::Free { next: self.free };
            self.free = Some(index as u32);
        }
        Ok(())
    }

    /// Keeps room for an object that may come later, whatever is added before it. Ends with
    /// [`insert_promised`](Slab::insert_promised) or [`forget_promise`](Slab::forget_promise).
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; nothing is promised.
    #[inline]
    pub fn promise(&mut self) -> Result<(), NoMemory> {
        self.reserve()?;
        self.promised += 1;
        Ok(())
    }

    /// Adds the object that `make` returns for its index, for which room was [promised](Slab::promise).
    #[inline]
    pub fn insert_promised(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        self.forget_promise();
        self.insert_reserved(make)
    }

    /// Gives up room that was [promised](Slab::promise).
    #[inline]
    pub fn forget_promise(&mut self) {
        assert!(self.promised > 0, "there is no promise to forget");
        self.promised -= 1;
    }

    /// Adds the object that `make` returns for its index. [`reserve`](Slab::reserve) was called after the last addition.
    #[inline]
    pub fn insert_reserved(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        let index = self.free.expect("room was reserved");
        let slot = &mut self.slots[index as usize];
        let Slot::Free { next } = *slot else { panic!("slot {index} is on the free list but in use") };
        *slot = Slot::Used(make(index));
        self.free = next;
        self.len += 1;
        index
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the object is dropped and the slab is unchanged.
    #[inline]
    pub fn insert(&mut self, object: T) -> Result<u32, NoMemory> {
        self.reserve()?;
        Ok(self.insert_reserved(|_| object))
    }

    /// Removes an object and returns it; `None` if there is none.
    #[inline]
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        if matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let Slot::Used(object) = core::mem::replace(slot, Slot::Free { next: self.free }) else { return None };
        self.free = Some(index);
        self.len -= 1;
        Some(object)
    }

    /// The object at an index.
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        match self.slots.get(index as usize) {
            Some(Slot::Used(object)) => Some(object),
            _ => None,
        }
    }

    /// The object at an index.
    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(Slot::Used(object)) => Some(object),
            _ => None,
        }
    }

    /// All objects with their indexes. For checks and printouts: it visits every slot there ever was.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Used(object) => Some((index as u32, object)),
            Slot::Free { .. } => None,
        })
    }
}

impl<T, const N: usize> Default for Slab<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// For indexes that are known to be in use: a free one is a broken invariant and panics.
impl<T, const N: usize> core::ops::Index<u32> for Slab<T, N> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        match self.get(index) {
            Some(object) => object,
            None => unused(index),
        }
    }
}

impl<T, const N: usize> core::ops::IndexMut<u32> for Slab<T, N> {
    #[inline(always)]
    fn index_mut(&mut self, index: u32) -> &mut T {
        match self.get_mut(index) {
            Some(object) => object,
            None => unused(index),
        }
    }
}

#[cold]
#[inline(never)]
fn unused(index: u32) -> ! {
    panic!("slot {index} is used after its object was removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_freed_last_is_used_first() {
        let mut slab = Slab::<&str, 2>::new();
        let indexes: Vec<u32> = ["a", "b", "c"].map(|object| slab.insert(object).unwrap()).to_vec();
        assert_eq!((indexes, slab.len(), slab.capacity()), (vec![0, 1, 2], 3, 4));
        assert_eq!(
            (slab.remove(0), slab.remove(0), slab.remove(1), slab.remove(9)),
            (Some("a"), None, Some("b"), None)
        );
        assert_eq!((slab.get(1), slab[2], slab.get(9)), (None, "c", None));
        assert_eq!((slab.insert("d").unwrap(), slab.insert("e").unwrap()), (1, 0));
        slab[1] = "f";
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &"e"), (1, &"f"), (2, &"c")]);
    }

    #[test]
    fn room_that_was_promised_is_there_whatever_else_is_added() {
        let mut slab = Slab::<u8, 2>::new();
        slab.promise().unwrap();
        slab.promise().unwrap();
        slab.insert(1).unwrap();
        slab.insert(2).unwrap();
        assert_eq!((slab.capacity(), slab.promised()), (4, 2));
        failpoints::arm(Some(0));
        slab.insert_promised(|index| index as u8);
        slab.forget_promise();
        assert_eq!((slab.insert(4), failpoints::disarm()), (Err(NoMemory), 1));
        assert_eq!((slab.len(), slab.promised()), (3, 0));
    }

    #[test]
    fn a_failed_allocation_promises_nothing() {
        let mut slab = Slab::<u8, 2>::new();
        failpoints::arm(Some(0));
        assert_eq!(slab.promise(), Err(NoMemory));
        assert_eq!((slab.promised(), slab.is_empty(), failpoints::disarm()), (0, true, 1));
    }

    #[test]
    #[should_panic(expected = "slot 0 is used after its object was removed")]
    fn using_a_free_index_panics_with_its_number() {
        let mut slab = Slab::<u8, 2>::new();
        let index = slab.insert(1).unwrap();
        slab.remove(index);
        let _ = slab[index];
    }
}
