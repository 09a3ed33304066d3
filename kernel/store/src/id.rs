//! [`Id`]: the name of an object in an [`Arena`](crate::Arena), index and generation in one word.

use crate::slots::Mark;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::num::NonZeroU64;

/// The name of an object in an [`Arena`](crate::Arena). An id is never reused: once its object is removed, it refers to
/// no object again.
///
/// `Tag` is a type that keeps ids of different arenas apart; it is never stored. It is the type of the objects, unless
/// the arena says otherwise: see [`Arena`](crate::Arena#tags).
///
/// An id is one word, generation above index, because ids are copied and compared far more often than they are made.
pub struct Id<Tag> {
    word: NonZeroU64,
    tag: PhantomData<fn() -> Tag>,
}

impl<Tag> Id<Tag> {
    pub(crate) fn new(index: u32, generation: u32) -> Id<Tag> {
        let word = u64::from(generation) << 32 | u64::from(index);
        Id { word: NonZeroU64::new(word).expect("generations start at 1"), tag: PhantomData }
    }

    /// Returns the index of the object's slot: a small number that no other live object of the arena has.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.word.get() as u32
    }

    fn generation(self) -> u32 {
        (self.word.get() >> 32) as u32
    }

    /// Returns the id as a number other than 0, for places that hold ids of any kind.
    pub const fn to_bits(self) -> u64 {
        self.word.get()
    }

    /// Returns the id that [`to_bits`](Id::to_bits) turned into this number, or `None` for a number that cannot be an
    /// id. Other numbers give ids as well, which may refer to no object.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(word) if bits >> 32 != 0 => Some(Id { word, tag: PhantomData }),
            _ => None,
        }
    }
}

/// An id marks its own slot. The slot is retired when its generations are used up: reused again, it would revive old
/// ids.
impl<Tag> Mark for Id<Tag> {
    #[inline(always)]
    fn starting(index: u32, generation: u32) -> Id<Tag> {
        Id::new(index, generation)
    }

    #[inline(always)]
    fn next(self) -> Option<Id<Tag>> {
        Some(Id::new(self.index(), Id::generation(self).checked_add(1)?))
    }

    #[inline(always)]
    fn generation(self) -> u32 {
        Id::generation(self)
    }
}

impl<Tag> Clone for Id<Tag> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Tag> Copy for Id<Tag> {}

impl<Tag> PartialEq for Id<Tag> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl<Tag> Eq for Id<Tag> {}

impl<Tag> Hash for Id<Tag> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.word.get());
    }
}

impl<Tag> PartialOrd for Id<Tag> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Tag> Ord for Id<Tag> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index(), self.generation()).cmp(&(other.index(), other.generation()))
    }
}

impl<Tag> fmt::Debug for Id<Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = core::any::type_name::<Tag>();
        write!(f, "{}#{}.{}", path.rsplit(':').next().unwrap_or(path), self.index(), self.generation())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_id_takes_no_more_room_than_an_id() {
        assert_eq!((size_of::<Id<u8>>(), size_of::<Option<Id<u8>>>()), (8, 8));
    }

    #[test]
    fn a_number_without_a_generation_is_no_id() {
        const LARGEST_INDEX: u64 = u32::MAX as u64;
        assert_eq!((Id::<u8>::from_bits(0), Id::<u8>::from_bits(LARGEST_INDEX)), (None, None));
        assert_eq!(Id::<u8>::from_bits(LARGEST_INDEX + 1), Some(Id::new(0, 1)));
    }
}
