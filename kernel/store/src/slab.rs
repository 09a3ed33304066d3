//! [`Slab`]: objects named by an index.

use crate::slots::Slots;
use crate::{NoMemory, failpoints};
use core::fmt;
use core::ops::{Index, IndexMut};

/// Objects by index. Adding, finding and removing an object take constant time, and no object ever moves. An index is
/// reused when its object is gone, the one freed last first as long as its memory is there: for objects whose users count
/// their references. Where a stale name must be noticed, use an [`Arena`](crate::Arena).
///
/// `N` is the number of objects allocated together, a power of two. Their memory goes back to the heap when none of them
/// is left, but for as much as the next additions may need.
pub struct Slab<T, const N: usize = 64> {
    slots: Slots<T, (), N>,
}

impl<T, const N: usize> Slab<T, N> {
    /// Returns a slab without objects. Allocates nothing.
    pub const fn new() -> Self {
        Slab { slots: Slots::new() }
    }

    /// Returns the number of objects.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns true if there are no objects.
    pub const fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Returns the number of objects for which memory is allocated.
    pub fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    /// Returns the number of places: all indexes are below it.
    pub fn places(&self) -> usize {
        self.slots.places()
    }

    /// Returns the number of open [promises](Slab::promise).
    pub const fn promised(&self) -> usize {
        self.slots.promised
    }

    /// Makes room for one [`insert_reserved`](Slab::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the slab is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.slots.unpromised() > 0 { Ok(()) } else { self.slots.grow() }
    }

    /// Keeps room for an object that may come later, regardless of what is added before it. The promise ends with
    /// [`insert_promised`](Slab::insert_promised) or [`cancel_promise`](Slab::cancel_promise).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing is promised.
    #[inline]
    pub fn promise(&mut self) -> Result<(), NoMemory> {
        self.reserve()?;
        self.slots.promised += 1;
        Ok(())
    }

    /// Adds the object that `make` returns for its index, for which room was [promised](Slab::promise).
    #[inline]
    pub fn insert_promised(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        self.cancel_promise();
        self.insert_reserved(make)
    }

    /// Gives up room that was [promised](Slab::promise).
    #[inline]
    pub fn cancel_promise(&mut self) {
        assert!(self.slots.promised > 0, "there is no promise to cancel");
        self.slots.promised -= 1;
    }

    /// Gives back memory that is not in use, up to a bound, and returns true if there is more. Room that was
    /// [reserved](Slab::reserve) is lost, unless it was promised.
    pub fn trim(&mut self) -> bool {
        self.slots.trim()
    }

    /// Adds the object that `make` returns for its index. [`reserve`](Slab::reserve) must have succeeded since the last
    /// addition.
    #[inline]
    pub fn insert_reserved(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        self.slots.insert(|index, ()| make(index)).0
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the object is dropped and the slab is unchanged.
    #[inline]
    pub fn insert(&mut self, object: T) -> Result<u32, NoMemory> {
        self.reserve()?;
        Ok(self.insert_reserved(|_| object))
    }

    /// Removes an object and returns it, or returns `None` if the index is free.
    #[inline]
    pub fn remove(&mut self, index: u32) -> Option<T> {
        self.slots.remove(index, ())
    }

    /// Returns the object at an index, or `None` if the index is free.
    #[inline(always)]
    pub fn get(&self, index: u32) -> Option<&T> {
        self.slots.get(index, ())
    }

    /// Returns the object at an index, or `None` if the index is free.
    #[inline(always)]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index, ())
    }

    /// Returns all objects with their indexes. For checks and printouts: it visits every slot there ever was.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().map(|(index, (), object)| (index, object))
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Slab<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, const N: usize> Default for Slab<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// For indexes that must be in use: a free one is a broken invariant and panics.
impl<T, const N: usize> Index<u32> for Slab<T, N> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: u32) -> &T {
        match self.get(index) {
            Some(object) => object,
            None => unused(index),
        }
    }
}

impl<T, const N: usize> IndexMut<u32> for Slab<T, N> {
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
    fn the_index_freed_last_is_reused_first() {
        let mut slab = Slab::<&str, 2>::new();
        let indexes: Vec<u32> = ["a", "b", "c"].map(|object| slab.insert(object).unwrap()).to_vec();
        assert_eq!((indexes, slab.len(), slab.capacity()), (vec![0, 1, 2], 3, 4));
        assert_eq!(
            (slab.remove(0), slab.remove(0), slab.remove(1), slab.remove(9)),
            (Some("a"), None, Some("b"), None)
        );
        assert_eq!((slab.get(1), slab[2], slab.get(9)), (None, "c", None));
        let indexes = ["d", "e", "f"].map(|object| slab.insert(object).unwrap());
        assert_eq!(indexes, [1, 0, 3]);
        slab[1] = "g";
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(0, &"e"), (1, &"g"), (2, &"c"), (3, &"f")]);
    }

    #[test]
    fn promised_room_is_kept_when_other_objects_are_added() {
        let mut slab = Slab::<u8, 2>::new();
        slab.promise().unwrap();
        slab.promise().unwrap();
        slab.insert(1).unwrap();
        slab.insert(2).unwrap();
        assert_eq!((slab.capacity(), slab.promised()), (4, 2));
        failpoints::arm(Some(0));
        slab.insert_promised(|index| index as u8);
        slab.cancel_promise();
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
    fn indexing_with_a_free_index_panics_and_names_the_index() {
        let mut slab = Slab::<u8, 2>::new();
        let index = slab.insert(1).unwrap();
        slab.remove(index);
        let _ = slab[index];
    }
}
