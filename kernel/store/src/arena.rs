//! [`Arena`]: objects named by index and generation.

use crate::slots::Slots;
use crate::{Id, NoMemory, failpoints};
use core::fmt;
use core::ops::{Index, IndexMut};

/// Objects by [`Id`]. Adding, finding and removing an object take constant time, and no object ever moves.
///
/// `N` is the number of objects allocated together, a power of two. Memory that was allocated together goes back to the
/// heap when none of its objects is left, but for as much as the next additions may need.
///
/// # Tags
///
/// The ids of an `Arena<T>` are of type `Id<T>`. With a tag of its own, code can name and store ids without knowing the
/// type of the objects:
///
/// ```
/// mod ids {
///     use store::Id;
///
///     /// The tag of tasks.
///     pub enum TaskTag {}
///     pub type TaskId = Id<TaskTag>;
/// }
///
/// struct Task {
///     parent: Option<ids::TaskId>,
/// }
///
/// let mut tasks: store::Arena<Task, 64, ids::TaskTag> = store::Arena::new();
/// let parent = tasks.insert(Task { parent: None })?;
/// let child = tasks.insert(Task { parent: Some(parent) })?;
/// assert_eq!(tasks[child].parent, Some(parent));
/// # Ok::<(), store::NoMemory>(())
/// ```
pub struct Arena<T, const N: usize = 64, Tag = T> {
    slots: Slots<T, Id<Tag>, N>,
}

impl<T, const N: usize, Tag> Arena<T, N, Tag> {
    /// The bytes that the arena allocates for each object.
    pub const OBJECT_SIZE: usize = Slots::<T, Id<Tag>, N>::SLOT_SIZE;

    /// Returns an arena without objects. Allocates nothing.
    pub const fn new() -> Self {
        Arena { slots: Slots::new() }
    }

    /// Returns the number of objects.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns true if there are no objects.
    pub const fn is_empty(&self) -> bool {
        self.slots.len() == 0
    }

    /// Makes room for one [`insert_reserved`](Arena::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the arena is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.slots.has_room() { Ok(()) } else { self.slots.grow() }
    }

    /// Gives back memory that is not in use, up to a bound, and returns true if there is more. Room that was
    /// [reserved](Arena::reserve) is lost.
    pub fn trim(&mut self) -> bool {
        self.slots.trim()
    }

    /// Adds the object that `make` returns for its future id.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; `make` is not called and the arena is unchanged.
    #[inline]
    pub fn insert_with(&mut self, make: impl FnOnce(Id<Tag>) -> T) -> Result<Id<Tag>, NoMemory> {
        self.reserve()?;
        Ok(self.insert_reserved(make))
    }

    /// Adds the object that `make` returns for its future id. [`reserve`](Arena::reserve) must have succeeded since the
    /// last addition.
    #[inline]
    pub fn insert_reserved(&mut self, make: impl FnOnce(Id<Tag>) -> T) -> Id<Tag> {
        self.slots.insert(|_, id| make(id)).1
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the object is dropped and the arena is unchanged.
    #[inline]
    pub fn insert(&mut self, object: T) -> Result<Id<Tag>, NoMemory> {
        self.insert_with(|_| object)
    }

    /// Removes an object and returns it, or returns `None` if it is gone already.
    #[inline]
    pub fn remove(&mut self, id: Id<Tag>) -> Option<T> {
        self.slots.remove(id.index(), id)
    }

    /// Removes an object and drops it in place. Returns true if the object was there.
    #[inline]
    pub fn discard(&mut self, id: Id<Tag>) -> bool {
        self.slots.vacate(id.index(), id).is_some()
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub fn get(&self, id: Id<Tag>) -> Option<&T> {
        self.slots.get(id.index(), id)
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<Tag>) -> Option<&mut T> {
        self.slots.get_mut(id.index(), id)
    }

    /// Returns two different objects, in the order of the arguments, or `None` if one of them is gone or both ids are
    /// the same.
    ///
    /// ```
    /// # use store::Arena;
    /// let mut accounts = Arena::<u32>::new();
    /// let (from, to) = (accounts.insert(10)?, accounts.insert(0)?);
    /// let (payer, payee) = accounts.pair_mut(from, to).expect("both accounts exist");
    /// *payer -= 3;
    /// *payee += 3;
    /// assert_eq!((accounts[from], accounts[to]), (7, 3));
    /// assert!(accounts.pair_mut(from, from).is_none());
    /// # Ok::<(), store::NoMemory>(())
    /// ```
    #[inline(always)]
    pub fn pair_mut(&mut self, a: Id<Tag>, b: Id<Tag>) -> Option<(&mut T, &mut T)> {
        self.slots.pair_mut((a.index(), a), (b.index(), b))
    }

    /// Returns the object that is at an index now, with its id.
    #[inline(always)]
    pub fn at(&self, index: u32) -> Option<(Id<Tag>, &T)> {
        self.slots.at(index)
    }

    /// Returns the object that is at an index now.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.at_mut(index)
    }

    /// Returns true if the object still exists.
    pub fn contains(&self, id: Id<Tag>) -> bool {
        self.get(id).is_some()
    }

    /// Returns the number of places: all objects are at indexes below it.
    pub fn places(&self) -> u32 {
        self.slots.places() as u32
    }

    /// Returns all objects with their ids, by index. For checks and printouts: it visits every slot there ever was.
    pub fn iter(&self) -> impl Iterator<Item = (Id<Tag>, &T)> {
        self.slots.iter().map(|(_, id, object)| (id, object))
    }
}

/// A table of objects with ids, for functions that list the objects of any: [`Arena`] or [`Singles`](crate::Singles).
pub trait Table<Tag> {
    /// The type of the objects.
    type Object;
    /// Returns the number of places: all objects are at indexes below it.
    fn places(&self) -> u32;
    /// Returns the object that is at an index now, with its id.
    fn at(&self, index: u32) -> Option<(Id<Tag>, &Self::Object)>;
}

impl<T, const N: usize, Tag> Table<Tag> for Arena<T, N, Tag> {
    type Object = T;

    fn places(&self) -> u32 {
        Arena::places(self)
    }

    fn at(&self, index: u32) -> Option<(Id<Tag>, &T)> {
        Arena::at(self, index)
    }
}

impl<T: fmt::Debug, const N: usize, Tag> fmt::Debug for Arena<T, N, Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, const N: usize, Tag> Default for Arena<T, N, Tag> {
    fn default() -> Self {
        Self::new()
    }
}

/// For ids that must be alive: a dead one is a broken invariant and panics.
impl<T, const N: usize, Tag> Index<Id<Tag>> for Arena<T, N, Tag> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: Id<Tag>) -> &T {
        match self.get(id) {
            Some(object) => object,
            None => stale(id),
        }
    }
}

impl<T, const N: usize, Tag> IndexMut<Id<Tag>> for Arena<T, N, Tag> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<Tag>) -> &mut T {
        match self.get_mut(id) {
            Some(object) => object,
            None => stale(id),
        }
    }
}

#[cold]
#[inline(never)]
pub(crate) fn stale<Tag>(id: Id<Tag>) -> ! {
    panic!("{id:?} is used after its object was removed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_refers_to_nothing_after_its_object_is_removed() {
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
        assert_eq!(d.index(), b.index(), "a freed slot is reused first");
        assert_ne!(d, b);
        assert_eq!(arena.get(b), None);
        assert_eq!(arena.get_mut(b), None);
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
        arena.slots.set_mark(id.index(), last);
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
    fn indexing_with_a_dead_id_panics_and_names_the_id() {
        let mut arena = Arena::<u8, 2>::new();
        let id = arena.insert(1).unwrap();
        arena.remove(id);
        let _ = arena[id];
    }

    #[test]
    fn two_different_objects_can_be_changed_at_once() {
        let mut arena = Arena::<u32, 2>::new();
        let ids = [0, 1, 2, 3].map(|value| arena.insert(value).unwrap());
        for (i, j) in [(0, 1), (1, 0), (0, 2), (3, 0)] {
            let (a, b) = arena.pair_mut(ids[i], ids[j]).unwrap();
            assert_eq!((*a, *b), (i as u32, j as u32));
        }
        assert_eq!(arena.pair_mut(ids[1], ids[1]), None);
        arena.remove(ids[2]);
        let reused = arena.insert(4).unwrap();
        assert_eq!(reused.index(), ids[2].index());
        assert_eq!(arena.pair_mut(ids[0], ids[2]), None, "a dead id does not find the new object");
        assert_eq!(arena.pair_mut(ids[2], ids[0]), None);
        assert_eq!(arena.pair_mut(reused, ids[0]), Some((&mut 4, &mut 0)));
    }

    #[test]
    fn an_id_can_be_kept_as_a_number() {
        let mut arena = Arena::<u8, 2>::new();
        let id = arena.insert(1).unwrap();
        assert_eq!((Id::from_bits(id.to_bits()), arena.at(id.index())), (Some(id), Some((id, &1))));
        arena.remove(id);
        assert_eq!((arena.at(id.index()), arena.at(9)), (None, None));
    }

    #[test]
    #[should_panic(expected = "Tag#0.1 is used after its object was removed")]
    fn ids_bear_the_tag_of_their_arena() {
        enum Tag {}
        let mut arena = Arena::<u8, 2, Tag>::new();
        let id: Id<Tag> = arena.insert(1).unwrap();
        assert_eq!((arena[id], arena.at(0)), (1, Some((id, &1))));
        arena.remove(id);
        let _ = arena[id];
    }
}
