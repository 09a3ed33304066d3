//! [`Chunks`]: an array that grows without moving its elements.

use crate::slots::shrink;
use crate::{NoMemory, try_with_capacity};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Index, IndexMut};

/// An array that grows by `N` elements at a time. Only its directory of chunks ever moves.
///
/// `N` must be a power of two.
#[derive(Debug)]
pub struct Chunks<T, const N: usize> {
    chunks: Vec<Box<[T; N]>>,
}

impl<T, const N: usize> Chunks<T, N> {
    const SHIFT: u32 = {
        assert!(N.is_power_of_two());
        N.trailing_zeros()
    };

    /// Returns an empty array. Allocates nothing.
    pub const fn new() -> Self {
        Chunks { chunks: Vec::new() }
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.chunks.len() << Self::SHIFT
    }

    /// Returns true if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds `N` elements, each of which `make` returns for its index.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the array is unchanged.
    pub fn grow_with(&mut self, make: impl FnMut(usize) -> T) -> Result<(), NoMemory> {
        let first = self.len();
        let mut elements = try_with_capacity(N)?;
        elements.extend((first..first + N).map(make));
        let chunk = elements.into_boxed_slice().try_into().map_err(|_| NoMemory)?;
        self.chunks.try_reserve(1).map_err(|_| NoMemory)?;
        self.chunks.push(chunk);
        Ok(())
    }

    /// Adds `N` default elements.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the array is unchanged.
    pub fn grow(&mut self) -> Result<(), NoMemory>
    where
        T: Default,
    {
        self.grow_with(|_| T::default())
    }

    /// Removes the last `N` elements, if there are any, and gives their memory back.
    pub fn shrink(&mut self) {
        self.chunks.pop();
        if self.chunks.is_empty() {
            self.chunks = Vec::new();
        }
    }

    /// Makes the directory of chunks as small as that of an array which has only grown.
    pub fn trim(&mut self) {
        shrink(&mut self.chunks);
    }

    /// Returns the number of chunks for which the directory has room.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.chunks.capacity()
    }

    /// Returns the element at `index`, or `None` beyond the end.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index >> Self::SHIFT).map(|chunk| &chunk[index & (N - 1)])
    }

    /// Returns the element at `index`, or `None` beyond the end.
    #[inline(always)]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index >> Self::SHIFT).map(|chunk| &mut chunk[index & (N - 1)])
    }

    /// Returns the elements at two different indexes, or `None` if one is beyond the end or both are equal.
    #[inline(always)]
    pub fn pair_mut(&mut self, a: usize, b: usize) -> Option<(&mut T, &mut T)> {
        let (chunk_a, chunk_b) = (a >> Self::SHIFT, b >> Self::SHIFT);
        let (offset_a, offset_b) = (a & (N - 1), b & (N - 1));
        if chunk_a == chunk_b {
            let [a, b] = self.chunks.get_mut(chunk_a)?.get_disjoint_mut([offset_a, offset_b]).ok()?;
            Some((a, b))
        } else {
            let [a, b] = self.chunks.get_disjoint_mut([chunk_a, chunk_b]).ok()?;
            Some((&mut a[offset_a], &mut b[offset_b]))
        }
    }

    /// Returns all elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T, const N: usize> Default for Chunks<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Index<usize> for Chunks<T, N> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index >> Self::SHIFT][index & (N - 1)]
    }
}

impl<T, const N: usize> IndexMut<usize> for Chunks<T, N> {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index >> Self::SHIFT][index & (N - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failpoints;

    const N: usize = 4;

    #[test]
    fn growing_moves_no_element() {
        let mut array = Chunks::<u64, N>::new();
        assert!(array.is_empty() && array.get(0).is_none());
        array.grow().unwrap();
        array[3] = 7;
        let before = &raw const array[3];
        for _ in 0..100 {
            array.grow().unwrap();
        }
        assert_eq!((array.len(), array[3], &raw const array[3]), (101 * N, 7, before));
        assert_eq!(array.iter().sum::<u64>(), 7);
        assert!(array.get(101 * N).is_none());
    }

    #[test]
    fn each_new_element_is_made_for_its_index() {
        let mut array = Chunks::<usize, N>::new();
        array.grow_with(|index| 10 * index).unwrap();
        array.grow_with(|index| 10 * index).unwrap();
        assert!(array.iter().copied().eq((0..2 * N).map(|index| 10 * index)));
    }

    #[test]
    fn the_last_elements_can_be_given_back() {
        let mut array = Chunks::<usize, N>::new();
        array.shrink();
        (0..3).for_each(|_| array.grow_with(|index| index).unwrap());
        array.shrink();
        assert_eq!((array.len(), array.get(2 * N), array[2 * N - 1]), (2 * N, None, 2 * N - 1));
        array.grow_with(|index| 10 * index).unwrap();
        assert_eq!(array[2 * N], 20 * N);
    }

    #[test]
    fn two_different_elements_can_be_changed_at_once() {
        let mut array = Chunks::<usize, N>::new();
        array.grow_with(|index| index).unwrap();
        array.grow_with(|index| index).unwrap();
        for (a, b) in [(1, 2), (2, 1), (1, N), (N + 1, 0)] {
            let pair = array.pair_mut(a, b).map(|(a, b)| (*a, *b));
            assert_eq!(pair, Some((a, b)));
        }
        for (a, b) in [(1, 1), (1, 2 * N), (2 * N, 1), (2 * N, 2 * N + 1)] {
            assert_eq!(array.pair_mut(a, b), None, "{a} {b}");
        }
    }

    #[test]
    fn a_failed_allocation_changes_nothing() {
        const SECOND_ALLOCATION: u64 = 1;
        let mut array = Chunks::<u64, N>::new();
        failpoints::arm(Some(SECOND_ALLOCATION));
        array.grow().unwrap();
        assert_eq!(array.grow(), Err(NoMemory));
        assert_eq!(array.len(), N);
        assert_eq!(failpoints::disarm(), 2);
    }
}
