//! [`Slots`]: numbered places for objects, the common base of [`Arena`](crate::Arena) and [`Slab`](crate::Slab).

use crate::{Chunks, NoMemory};

/// Places for objects, by index, with a list through the free ones. Adding, finding and removing an object take
/// constant time, and no object ever moves.
///
/// Each slot has a [`Mark`], and an object is found only by its index and its mark.
pub(crate) struct Slots<T, M, const N: usize> {
    slots: Chunks<Slot<T, M>, N>,
    /// The head of the list through the free slots.
    free: Option<u32>,
    len: usize,
}

/// The part of an object's name that changes when its slot is reused.
pub(crate) trait Mark: Copy + PartialEq {
    /// Returns the mark of the first object in a slot.
    fn first(index: u32) -> Self;
    /// Returns the mark of the next object in the same slot, or `None` if the slot must not be reused.
    fn next(self) -> Option<Self>;
}

/// Objects without a mark: an index alone is the name, and is reused.
impl Mark for () {
    #[inline(always)]
    fn first(_: u32) {}

    #[inline(always)]
    fn next(self) -> Option<()> {
        Some(())
    }
}

struct Slot<T, M> {
    /// The mark of the object in this slot, or of the next one if the slot is free.
    mark: M,
    content: Content<T>,
}

/// An object, or a link of the free list.
pub(crate) enum Content<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T, M, const N: usize> Slots<T, M, N> {
    pub(crate) const fn new() -> Self {
        Slots { slots: Chunks::new(), free: None, len: 0 }
    }

    /// Returns the number of objects.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of slots, used and free.
    pub(crate) fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Returns true if [`insert`](Slots::insert) would find a free slot.
    #[inline(always)]
    pub(crate) const fn has_room(&self) -> bool {
        self.free.is_some()
    }
}

impl<T, M: Mark, const N: usize> Slots<T, M, N> {
    /// Adds a chunk of free slots.
    #[cold]
    pub(crate) fn grow(&mut self) -> Result<(), NoMemory> {
        let first = self.slots.len();
        let end = first + N;
        // No object has the index `u32::MAX`: tables use that number for "none".
        if end > u32::MAX as usize {
            return Err(NoMemory);
        }
        let after_chunk = self.free;
        self.slots.grow_with(|index| {
            let next = if index + 1 < end { Some(index as u32 + 1) } else { after_chunk };
            Slot { mark: M::first(index as u32), content: Content::Free { next } }
        })?;
        self.free = Some(first as u32);
        Ok(())
    }

    /// Adds the object that `make` returns for its index and mark. There must be [room](Slots::has_room).
    #[inline(always)]
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32, M) -> T) -> (u32, M) {
        let index = self.free.expect("room was reserved");
        let slot = &mut self.slots[index as usize];
        let Content::Free { next } = slot.content else { panic!("slot {index} is on the free list but in use") };
        let mark = slot.mark;
        slot.content = Content::Used(make(index, mark));
        self.free = next;
        self.len += 1;
        (index, mark)
    }

    /// Frees the slot of an object and returns the object, or returns `None` if the object is gone already.
    #[inline(always)]
    pub(crate) fn remove(&mut self, index: u32, mark: M) -> Option<T> {
        match self.vacate(index, mark)? {
            Content::Used(object) => Some(object),
            Content::Free { .. } => None,
        }
    }

    /// Frees the slot of an object and returns its content, which is then [`Content::Used`]. A caller that only drops
    /// the content saves a copy of the object.
    #[inline(always)]
    pub(crate) fn vacate(&mut self, index: u32, mark: M) -> Option<Content<T>> {
        let slot = self.slots.get_mut(index as usize)?;
        if slot.mark != mark || matches!(slot.content, Content::Free { .. }) {
            return None;
        }
        let next = match mark.next() {
            Some(next_mark) => {
                slot.mark = next_mark;
                self.free.replace(index)
            }
            // A slot that must not be reused is on no list.
            None => None,
        };
        self.len -= 1;
        Some(core::mem::replace(&mut slot.content, Content::Free { next }))
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32, mark: M) -> Option<&T> {
        match self.slots.get(index as usize) {
            Some(slot) => slot.object(mark),
            None => None,
        }
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, index: u32, mark: M) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(slot) => slot.object_mut(mark),
            None => None,
        }
    }

    /// Returns two different objects, or `None` if one is gone or both are the same.
    #[inline(always)]
    pub(crate) fn pair_mut(&mut self, a: (u32, M), b: (u32, M)) -> Option<(&mut T, &mut T)> {
        let (slot_a, slot_b) = self.slots.pair_mut(a.0 as usize, b.0 as usize)?;
        Some((slot_a.object_mut(a.1)?, slot_b.object_mut(b.1)?))
    }

    /// Returns the object at an index, with its mark.
    #[inline(always)]
    pub(crate) fn at(&self, index: u32) -> Option<(M, &T)> {
        match self.slots.get(index as usize) {
            Some(Slot { mark, content: Content::Used(object) }) => Some((*mark, object)),
            _ => None,
        }
    }

    /// Returns the object at an index.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(Slot { content: Content::Used(object), .. }) => Some(object),
            _ => None,
        }
    }

    /// Returns the objects in the order of their indexes, each with its index and mark.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, M, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.content {
            Content::Used(object) => Some((index as u32, slot.mark, object)),
            Content::Free { .. } => None,
        })
    }

    /// Lets a test pretend that the slot of an object was reused many times.
    #[cfg(test)]
    pub(crate) fn set_mark(&mut self, index: u32, mark: M) {
        self.slots[index as usize].mark = mark;
    }
}

impl<T, M: Mark> Slot<T, M> {
    /// Returns the object in this slot if it has the mark.
    #[inline(always)]
    fn object(&self, mark: M) -> Option<&T> {
        match &self.content {
            Content::Used(object) if self.mark == mark => Some(object),
            _ => None,
        }
    }

    /// Returns the object in this slot if it has the mark.
    #[inline(always)]
    fn object_mut(&mut self, mark: M) -> Option<&mut T> {
        match &mut self.content {
            Content::Used(object) if self.mark == mark => Some(object),
            _ => None,
        }
    }
}
