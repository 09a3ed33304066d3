//! [`Chunks`]: an array that grows without moving.

use crate::{NoMemory, try_boxed_array};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// An array of default elements that grows by `N` at a time. Only the directory of chunks ever moves.
///
/// `N` must be a power of two.
#[derive(Debug)]
pub struct Chunks<T, const N: usize> {
    chunks: Vec<Box<[T; N]>>,
}

impl<T: Default, const N: usize> Chunks<T, N> {
    const SHIFT: u32 = {
        assert!(N.is_power_of_two());
        N.trailing_zeros()
    };

    /// An array without elements. Allocates nothing.
    pub const fn new() -> Self {
        Chunks { chunks: Vec::new() }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.chunks.len() * N
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Adds `N` default elements.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the array is unchanged.
    pub fn grow(&mut self) -> Result<(), NoMemory> {
        let chunk = try_boxed_array()?;
        self.chunks.try_reserve(1).map_err(|_| NoMemory)?;
        self.chunks.push(chunk);
        Ok(())
    }

    /// The element at `index`, if there are so many.
    #[inline(always)]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index >> Self::SHIFT).map(|chunk| &chunk[index & (N - 1)])
    }

    /// The element at `index`, if there are so many.
    #[inline(always)]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index >> Self::SHIFT).map(|chunk| &mut chunk[index & (N - 1)])
    }

    /// All elements in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl<T: Default, const N: usize> Default for Chunks<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Default, const N: usize> core::ops::Index<usize> for Chunks<T, N> {
    type Output = T;

    #[inline(always)]
    fn index(&self, index: usize) -> &T {
        &self.chunks[index >> Self::SHIFT][index & (N - 1)]
    }
}

impl<T: Default, const N: usize> core::ops::IndexMut<usize> for Chunks<T, N> {
    #[inline(always)]
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.chunks[index >> Self::SHIFT][index & (N - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failpoints;

    #[test]
    fn growing_moves_no_element() {
        let mut array = Chunks::<u64, 4>::new();
        assert!(array.is_empty() && array.get(0).is_none());
        array.grow().unwrap();
        array[3] = 7;
        let before = &raw const array[3];
        for _ in 0..100 {
            array.grow().unwrap();
        }
        assert_eq!((array.len(), array[3], &raw const array[3]), (404, 7, before));
        assert_eq!(array.iter().sum::<u64>(), 7);
        assert!(array.get(404).is_none());
    }

    #[test]
    fn a_failed_allocation_changes_nothing() {
        let mut array = Chunks::<u64, 4>::new();
        failpoints::arm(Some(1));
        array.grow().unwrap();
        assert_eq!(array.grow(), Err(NoMemory));
        assert_eq!(array.len(), 4);
        assert_eq!(failpoints::disarm(), 2);
    }
}
