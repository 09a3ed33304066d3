//! [`Arena`]: objects named by index and generation.

use crate::{Chunks, NoMemory, failpoints};
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::num::NonZeroU64;
use core::ops::{Index, IndexMut};

/// Names an object of an [`Arena<T>`]. Never reused: when the object is gone, its id denotes nothing for ever (after 2³²
/// objects at the same index it would, and the arena retires the index before that).
///
/// It is one word, generation above index, because ids are copied and compared far more often than they are made.
pub struct Id<T> {
    word: NonZeroU64,
    kind: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    const FIRST_GENERATION: u32 = 1;

    fn new(index: u32, generation: u32) -> Id<T> {
        let word = u64::from(generation) << 32 | u64::from(index);
        Id { word: NonZeroU64::new(word).expect("generations start at 1"), kind: PhantomData }
    }

    /// The index alone: small, and unique among the living.
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.word.get() as u32
    }

    fn generation(self) -> u32 {
        (self.word.get() >> 32) as u32
    }

    /// The id as one number, never 0: for places that hold any kind of id.
    pub const fn to_bits(self) -> u64 {
        self.word.get()
    }

    /// The id that [`to_bits`](Id::to_bits) made a number of; `None` for numbers that are no id. Any other number gives
    /// an id, which may denote nothing.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(word) if bits >> 32 != 0 => Some(Id { word, kind: PhantomData }),
            _ => None,
        }
    }

    /// The id of the next object in the same place, unless the generations are used up.
    fn successor(self) -> Option<Id<T>> {
        Some(Id::new(self.index(), self.generation().checked_add(1)?))
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Id<T> {}

impl<T> PartialEq for Id<T> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.word == other.word
    }
}

impl<T> Eq for Id<T> {}

impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.word.get());
    }
}

impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.index(), self.generation()).cmp(&(other.index(), other.generation()))
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = core::any::type_name::<T>();
        write!(f, "{}#{}.{}", name.rsplit(':').next().unwrap_or(name), self.index(), self.generation())
    }
}

/// Objects by [`Id`]. Adding, finding and removing cost the same whatever the number of objects; no object ever moves.
///
/// `N` is the number of objects allocated together, a power of two. `K` is the type that the ids name: the objects' own, or
/// a tag, so that a module can hold ids of objects whose type it does not see.
pub struct Arena<T, const N: usize = 64, K = T> {
    slots: Chunks<Slot<T, K>, N>,
    /// Head of the list through the free slots.
    free: Option<u32>,
    len: usize,
}

struct Slot<T, K> {
    /// The id of the object that is here or will be here next.
    id: Id<K>,
    content: Content<T>,
}

#[derive(Debug)]
enum Content<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T, K> Default for Slot<T, K> {
    fn default() -> Self {
        Slot { id: Id::new(0, Id::<K>::FIRST_GENERATION), content: Content::Free { next: None } }
    }
}

impl<T: fmt::Debug, const N: usize, K> fmt::Debug for Arena<T, N, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, const N: usize, K> Arena<T, N, K> {
    /// An arena without objects. Allocates nothing.
    pub const fn new() -> Self {
        Arena { slots: Chunks::new(), free: None, len: 0 }
    }

    /// How many objects there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for one [`insert_reserved`](Arena::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the arena is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.free.is_none() { self.add_chunk() } else { Ok(()) }
    }

    #[cold]
    fn add_chunk(&mut self) -> Result<(), NoMemory> {
        let first = self.slots.len();
        // The last index is never used: ids must stay below the range of a name's index.
        if first + N > u32::MAX as usize {
            return Err(NoMemory);
        }
        self.slots.grow()?;
        for index in (first..first + N).rev() {
            let index = index as u32;
            let id = Id::new(index, Id::<K>::FIRST_GENERATION);
            self.slots[index as usize] = Slot { id, content: Content::Free { next: self.free } };
            self.free = Some(index);
        }
        Ok(())
    }

    /// Adds the object that `make` returns for its future id.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; `make` is not called and the arena is unchanged.
    #[inline]
    pub fn insert_with(&mut self, make: impl FnOnce(Id<K>) -> T) -> Result<Id<K>, NoMemory> {
        self.reserve()?;
        Ok(self.insert_reserved(make))
    }

    /// Adds the object that `make` returns for its future id. [`reserve`](Arena::reserve) was called after the last
    /// addition.
    #[inline]
    pub fn insert_reserved(&mut self, make: impl FnOnce(Id<K>) -> T) -> Id<K> {
        let index = self.free.expect("room was reserved");
        let slot = &mut self.slots[index as usize];
        let Content::Free { next } = slot.content else { panic!("slot {index} is on the free list but in use") };
        let id = slot.id;
        slot.content = Content::Used(make(id));
        self.free = next;
        self.len += 1;
        id
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the object is dropped and the arena is unchanged.
    #[inline]
    pub fn insert(&mut self, object: T) -> Result<Id<K>, NoMemory> {
        self.insert_with(|_| object)
    }

    /// Removes an object and returns it; `None` if it is gone already.
    #[inline]
    pub fn remove(&mut self, id: Id<K>) -> Option<T> {
        match self.replace(id)? {
            Content::Used(object) => Some(object),
            Content::Free { .. } => None,
        }
    }

    /// Removes an object and drops it where it is; whether there was one.
    #[inline]
    pub fn discard(&mut self, id: Id<K>) -> bool {
        self.replace(id).is_some()
    }

    /// Frees the slot of an object that is there and returns what was in it.
    #[inline(always)]
    fn replace(&mut self, id: Id<K>) -> Option<Content<T>> {
        let slot = self.slots.get_mut(id.index() as usize)?;
        if slot.id != id || matches!(slot.content, Content::Free { .. }) {
            return None;
        }
        let next = match id.successor() {
            Some(next_id) => {
                slot.id = next_id;
                self.free.replace(id.index())
            }
            // A slot whose generations are used up is never handed out again.
            None => None,
        };
        self.len -= 1;
        Some(core::mem::replace(&mut slot.content, Content::Free { next }))
    }

    /// The object, if it still exists.
    #[inline(always)]
    pub fn get(&self, id: Id<K>) -> Option<&T> {
        match self.slots.get(id.index() as usize) {
            Some(Slot { id: here, content: Content::Used(object) }) if *here == id => Some(object),
            _ => None,
        }
    }

    /// The object, if it still exists.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<K>) -> Option<&mut T> {
        match self.slots.get_mut(id.index() as usize) {
            Some(Slot { id: here, content: Content::Used(object) }) if *here == id => Some(object),
            _ => None,
        }
    }

    /// The object that is at an index now, with its id.
    #[inline(always)]
    pub fn at(&self, index: u32) -> Option<(Id<K>, &T)> {
        match self.slots.get(index as usize) {
            Some(Slot { id, content: Content::Used(object) }) => Some((*id, object)),
            _ => None,
        }
    }

    /// The object that is at an index now.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(Slot { content: Content::Used(object), .. }) => Some(object),
            _ => None,
        }
    }

    /// Whether the object still exists.
    pub fn contains(&self, id: Id<K>) -> bool {
        self.get(id).is_some()
    }

    /// All objects with their ids, by index. For checks and printouts: it visits every slot there ever was.
    pub fn iter(&self) -> impl Iterator<Item = (Id<K>, &T)> {
        self.slots.iter().filter_map(|slot| match &slot.content {
            Content::Used(object) => Some((slot.id, object)),
            Content::Free { .. } => None,
        })
    }
}

impl<T, const N: usize, K> Default for Arena<T, N, K> {
    fn default() -> Self {
        Self::new()
    }
}

/// For ids that are known to be alive: a dead one is a broken invariant and panics.
impl<T, const N: usize, K> Index<Id<K>> for Arena<T, N, K> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: Id<K>) -> &T {
        match self.get(id) {
            Some(object) => object,
            None => stale(id),
        }
    }
}

impl<T, const N: usize, K> IndexMut<Id<K>> for Arena<T, N, K> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<K>) -> &mut T {
        match self.get_mut(id) {
            Some(object) => object,
            None => stale(id),
        }
    }
}

#[cold]
#[inline(never)]
fn stale<K>(id: Id<K>) -> ! {
    panic!("{id:?} is used after its object was removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_denotes_nothing_after_its_object_is_gone() {
        let mut arena = Arena::<&str, 2>::new();
        let a = arena.insert("a").unwrap();
        let b = arena.insert("b").unwrap();
        let c = arena.insert("c").unwrap();
        assert_eq!((arena[a], arena[b], arena[c], arena.len()), ("a", "b", "c", 3));
        assert_eq!(arena.remove(b), Some("b"));
        assert_eq!(arena.remove(b), None);
        assert!(!arena.discard(b));
        assert_eq!((arena.get(b), arena.contains(b)), (None, false));
        let d = arena.insert("d").unwrap();
        assert_eq!(d.index(), b.index(), "a freed slot is used again soon");
        assert_ne!(d, b);
        assert_eq!(arena.get(b), None);
        assert_eq!(arena.iter().map(|(_, o)| *o).collect::<Vec<_>>(), ["a", "d", "c"]);
        arena[d] = "e";
        assert_eq!(arena.get_mut(d), Some(&mut "e"));
    }

    #[test]
    fn an_object_knows_its_id_from_the_start() {
        let mut arena = Arena::<Option<u32>, 4>::new();
        let id = arena.insert_with(|id| Some(id.index())).unwrap();
        assert_eq!(arena[id], Some(id.index()));
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_is_retired() {
        let mut arena = Arena::<u8, 2>::new();
        let id = arena.insert(1).unwrap();
        let last = Id::new(id.index(), u32::MAX);
        arena.slots[id.index() as usize].id = last;
        assert_eq!(arena.remove(last), Some(1));
        for _ in 0..4 {
            assert_ne!(arena.insert(2).unwrap().index(), id.index());
        }
        assert_eq!(arena.get(last), None);
        assert_eq!(arena.remove(last), None);
    }

    #[test]
    fn a_failed_allocation_changes_nothing() {
        let mut arena = Arena::<u8, 2>::new();
        failpoints::arm(Some(0));
        assert_eq!(arena.insert(1), Err(NoMemory));
        assert_eq!((arena.len(), failpoints::disarm()), (0, 1));
        assert!(arena.insert(1).is_ok());
    }

    #[test]
    #[should_panic(expected = "u8#0.1 is used after its object was removed")]
    fn using_a_dead_id_where_it_must_live_panics_with_its_name() {
        let mut arena = Arena::<u8, 2>::new();
        let id = arena.insert(1).unwrap();
        arena.remove(id);
        let _ = arena[id];
    }

    #[test]
    fn an_optional_id_takes_no_more_room_than_an_id() {
        assert_eq!((size_of::<Id<u8>>(), size_of::<Option<Id<u8>>>()), (8, 8));
    }

    #[test]
    fn an_id_can_be_kept_as_a_number() {
        let mut arena = Arena::<u8, 2>::new();
        let id = arena.insert(1).unwrap();
        assert_eq!((Id::from_bits(id.to_bits()), arena.at(id.index())), (Some(id), Some((id, &1))));
        arena.remove(id);
        assert_eq!((arena.at(id.index()), arena.at(9)), (None, None));
        assert_eq!((Id::<u8>::from_bits(0), Id::<u8>::from_bits(u64::from(u32::MAX))), (None, None));
    }
}
