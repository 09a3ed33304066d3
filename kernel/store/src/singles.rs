//! [`Singles`]: objects named by index and generation, each allocated by itself.

use crate::compact::{Compaction, EFFORT_MOVE, EFFORT_OBJECT, EFFORT_VACANT};
use crate::slots::{Mark, shrink};
use crate::vacancies::{NONE, Vacancies};
use crate::{Id, NoMemory, Table, failpoints, try_with_capacity};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Index, IndexMut};

/// Objects by [`Id`], as in an [`Arena`](crate::Arena), each in memory of its own: for large objects that are looked up
/// often. The memory of an object goes back to the heap with it; that of a few is kept for the next ones.
pub struct Singles<T, Tag = T> {
    /// The objects by the index of their ids. One array, because a look-up must be short. It moves when it grows, unless
    /// it [has its final size](Singles::set_places).
    objects: Vec<Option<Boxed<T, Tag>>>,
    /// The number of places for which `objects` always has room.
    least: usize,
    /// Memory for the next objects: each has room for one.
    spare: Vec<Vec<Single<T, Tag>>>,
    /// The places without an object.
    vacancies: Vacancies,
    len: usize,
    /// Objects whose memory went back to the heap since [`compact`](Singles::compact) asked last.
    given_back: u32,
    /// The round of compaction in which the places from `looked_at` on have been looked at.
    round: u32,
    looked_at: u32,
}

/// An object in memory of its own, as an array, because that is what a vector with room for one becomes.
type Boxed<T, Tag> = Box<[Single<T, Tag>; 1]>;

struct Single<T, Tag> {
    id: Id<Tag>,
    object: T,
}

/// The memory that is kept for the next objects: at most this number of bytes,
const SPARE_BYTES: usize = 16 << 10;
/// and at most for this number of objects.
const SPARE_MAX: usize = 64;

/// Places that one call of [`Singles::trim`] gives up.
const TRIMMED: usize = 64;

impl<T, Tag> Singles<T, Tag> {
    /// The bytes that are allocated for each object by itself.
    pub const MEMORY: usize = size_of::<Single<T, Tag>>();

    /// The bytes for each object of what is known of all. That may double when it grows.
    pub const SHARE: usize = 2 * (Vacancies::SIZE + size_of::<usize>());

    /// The number of objects for which memory is kept.
    const SPARE: usize = {
        let fits = SPARE_BYTES / size_of::<Single<T, Tag>>();
        if fits > SPARE_MAX { SPARE_MAX } else { fits }
    };

    /// Returns a table without objects. Allocates nothing.
    pub const fn new() -> Self {
        Singles {
            objects: Vec::new(),
            least: 0,
            spare: Vec::new(),
            vacancies: Vacancies::new(),
            len: 0,
            given_back: 0,
            round: 0,
            looked_at: 0,
        }
    }

    /// Returns the number of objects.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no objects.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for the addresses of so many objects, which is never given back. A table that has no more places than
    /// that moves nothing when it grows.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the table is unchanged.
    pub fn set_places(&mut self, places: usize) -> Result<(), NoMemory> {
        let more = places.saturating_sub(self.objects.len());
        self.objects.try_reserve_exact(more).map_err(|_| NoMemory)?;
        self.least = places;
        Ok(())
    }

    /// Makes room for one [`insert_reserved`](Singles::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the table is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if !self.vacancies.is_empty() && !self.spare.is_empty() { Ok(()) } else { self.grow() }
    }

    #[cold]
    fn grow(&mut self) -> Result<(), NoMemory> {
        if self.vacancies.is_empty() {
            self.add_place()?;
        }
        if self.spare.is_empty() {
            let memory = try_with_capacity(1)?;
            if self.spare.capacity() == 0 {
                self.spare = try_with_capacity(Self::SPARE)?;
            }
            self.spare.push(memory);
        }
        Ok(())
    }

    fn add_place(&mut self) -> Result<(), NoMemory> {
        let at = self.objects.len();
        // No object has the index `u32::MAX`: tables use that number for "none".
        if at >= NONE as usize {
            return Err(NoMemory);
        }
        self.objects.try_reserve(1).map_err(|_| NoMemory)?;
        self.vacancies.reserve(at as u32)?;
        self.objects.push(None);
        self.vacancies.add(at as u32);
        Ok(())
    }

    /// Adds the object that `make` returns for its future id.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; `make` is not called and the table is unchanged.
    #[inline]
    pub fn insert_with(&mut self, make: impl FnOnce(Id<Tag>) -> T) -> Result<Id<Tag>, NoMemory> {
        self.reserve()?;
        Ok(self.insert_reserved(make))
    }

    /// Adds the object that `make` returns for its future id. [`reserve`](Singles::reserve) must have succeeded since the
    /// last addition.
    #[inline]
    pub fn insert_reserved(&mut self, make: impl FnOnce(Id<Tag>) -> T) -> Id<Tag> {
        let mut memory = self.spare.pop().expect("room was reserved");
        // The compiler then knows where the object goes, and that it is alone.
        assert!(memory.is_empty(), "spare memory has no object");
        let (at, generation) = self.vacancies.pop();
        let id = Id::new(at, generation);
        memory.push(Single { id, object: make(id) });
        let single = memory.into_boxed_slice().try_into().ok().expect("there is one object");
        // There was none, so that nothing needs to be dropped.
        core::mem::forget(self.objects[at as usize].replace(single));
        // There are fewer objects than places, whose numbers have 32 bits.
        self.len = self.len.wrapping_add(1);
        id
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the object is dropped and the table is unchanged.
    #[inline]
    pub fn insert(&mut self, object: T) -> Result<Id<Tag>, NoMemory> {
        self.insert_with(|_| object)
    }

    /// Takes an object off the table, with its memory.
    #[inline(always)]
    fn take(&mut self, id: Id<Tag>) -> Option<Vec<Single<T, Tag>>> {
        let place = self.objects.get_mut(id.index() as usize)?;
        if !matches!(place, Some(single) if single[0].id == id) {
            return None;
        }
        let single: Box<[Single<T, Tag>]> = place.take()?;
        // The object has been counted.
        self.len = self.len.wrapping_sub(1);
        match Mark::generation(id).checked_add(1) {
            Some(next) => self.vacancies.push(id.index(), next),
            None => self.vacancies.use_up(id.index()),
        }
        Some(single.into_vec())
    }

    /// Keeps memory for the next object, or gives it back.
    #[inline(always)]
    fn keep(&mut self, memory: Vec<Single<T, Tag>>) {
        if self.spare.len() < self.spare.capacity() {
            self.spare.push(memory);
        } else {
            self.given_back = self.given_back.saturating_add(1);
        }
    }

    /// Removes an object after `end` has used it for the last time. Returns the result of that, or `None` if the object
    /// is gone already.
    #[inline(always)]
    pub fn remove_after<R>(&mut self, id: Id<Tag>, end: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut memory = self.take(id)?;
        let result = memory.first_mut().map(|single| end(&mut single.object));
        memory.clear();
        self.keep(memory);
        result
    }

    /// Removes an object and returns it, or returns `None` if it is gone already.
    #[inline]
    pub fn remove(&mut self, id: Id<Tag>) -> Option<T> {
        let mut memory = self.take(id)?;
        let single = memory.pop();
        self.keep(memory);
        single.map(|single| single.object)
    }

    /// Removes an object and drops it in place. Returns true if the object was there.
    #[inline(always)]
    pub fn discard(&mut self, id: Id<Tag>) -> bool {
        let Some(mut memory) = self.take(id) else { return false };
        memory.clear();
        self.keep(memory);
        true
    }

    /// Gives back memory that is not in use, up to a bound, and returns true if there is more. Room that was
    /// [reserved](Singles::reserve) is lost.
    pub fn trim(&mut self) -> bool {
        self.spare = Vec::new();
        for _ in 0..TRIMMED {
            let Some(None) = self.objects.last() else {
                if self.objects.capacity() > self.least {
                    shrink(&mut self.objects);
                }
                self.vacancies.trim();
                return false;
            };
            if !self.vacancies.remove_last(self.places() - 1) {
                return false;
            }
            self.objects.pop();
        }
        true
    }

    /// Returns the number of objects whose memory has gone back to the heap and that [`compact`](Singles::compact) does
    /// not know of.
    #[inline(always)]
    pub const fn given_back(&self) -> u32 {
        self.given_back
    }

    /// Goes on with a round of compaction: moves objects to lower memory, if the heap has some. `look` is given the
    /// objects in turn, so that what they own may move as well. If there is no memory, objects stay where they are.
    pub fn compact(&mut self, compaction: &mut Compaction, mut look: impl FnMut(&mut Compaction, &mut T)) {
        compaction.changed = compaction.changed.saturating_add(core::mem::take(&mut self.given_back));
        if self.round != compaction.round {
            (self.round, self.looked_at) = (compaction.round, self.places());
        }
        self.looked_at = self.looked_at.min(self.places());
        let mut lower: Option<Vec<Single<T, Tag>>> = None;
        while self.looked_at > 0 && compaction.effort > 0 {
            self.looked_at -= 1;
            let place = &mut self.objects[self.looked_at as usize];
            let Some(mut single) = place.take() else {
                compaction.spend(EFFORT_VACANT);
                continue;
            };
            compaction.spend(EFFORT_OBJECT);
            look(compaction, &mut single[0].object);
            let memory = match lower.take() {
                Some(memory) => Ok(memory),
                None => try_with_capacity(1),
            };
            if let Ok(mut memory) = memory {
                if memory.as_ptr().addr() < single.as_ptr().addr() {
                    let higher: Box<[Single<T, Tag>]> = single;
                    memory.append(&mut higher.into_vec());
                    single = memory.into_boxed_slice().try_into().ok().expect("there is one object");
                    compaction.changed += 1;
                    compaction.spend(EFFORT_MOVE);
                } else {
                    lower = Some(memory);
                }
            }
            *place = Some(single);
        }
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub fn get(&self, id: Id<Tag>) -> Option<&T> {
        match self.objects.get(id.index() as usize) {
            Some(Some(single)) if single[0].id == id => Some(&single[0].object),
            _ => None,
        }
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub fn get_mut(&mut self, id: Id<Tag>) -> Option<&mut T> {
        match self.objects.get_mut(id.index() as usize) {
            Some(Some(single)) if single[0].id == id => Some(&mut single[0].object),
            _ => None,
        }
    }

    /// Returns two different objects, in the order of the arguments, or `None` if one of them is gone or both ids are
    /// the same.
    #[inline(always)]
    pub fn pair_mut(&mut self, a: Id<Tag>, b: Id<Tag>) -> Option<(&mut T, &mut T)> {
        match self.objects.get_disjoint_mut([a.index() as usize, b.index() as usize]) {
            Ok([Some(first), Some(second)]) if first[0].id == a && second[0].id == b => {
                Some((&mut first[0].object, &mut second[0].object))
            }
            _ => None,
        }
    }

    /// Returns the object that is at an index now, with its id.
    #[inline(always)]
    pub fn at(&self, index: u32) -> Option<(Id<Tag>, &T)> {
        match self.objects.get(index as usize) {
            Some(Some(single)) => Some((single[0].id, &single[0].object)),
            _ => None,
        }
    }

    /// Returns the object that is at an index now.
    #[inline(always)]
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.objects.get_mut(index as usize) {
            Some(Some(single)) => Some(&mut single[0].object),
            _ => None,
        }
    }

    /// Returns true if the object still exists.
    pub fn contains(&self, id: Id<Tag>) -> bool {
        self.get(id).is_some()
    }

    /// Returns the number of places: all objects are at indexes below it.
    pub fn places(&self) -> u32 {
        self.objects.len() as u32
    }

    /// Returns all objects with their ids, by index. For checks and printouts: it visits every place.
    pub fn iter(&self) -> impl Iterator<Item = (Id<Tag>, &T)> {
        self.objects.iter().flatten().map(|single| (single[0].id, &single[0].object))
    }
}

impl<T, Tag> Table<Tag> for Singles<T, Tag> {
    type Object = T;

    fn places(&self) -> u32 {
        Singles::places(self)
    }

    fn at(&self, index: u32) -> Option<(Id<Tag>, &T)> {
        Singles::at(self, index)
    }
}

impl<T: fmt::Debug, Tag> fmt::Debug for Singles<T, Tag> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T, Tag> Default for Singles<T, Tag> {
    fn default() -> Self {
        Self::new()
    }
}

/// For ids that must be alive: a dead one is a broken invariant and panics.
impl<T, Tag> Index<Id<Tag>> for Singles<T, Tag> {
    type Output = T;

    #[inline(always)]
    fn index(&self, id: Id<Tag>) -> &T {
        match self.get(id) {
            Some(object) => object,
            None => crate::arena::stale(id),
        }
    }
}

impl<T, Tag> IndexMut<Id<Tag>> for Singles<T, Tag> {
    #[inline(always)]
    fn index_mut(&mut self, id: Id<Tag>) -> &mut T {
        match self.get_mut(id) {
            Some(object) => object,
            None => crate::arena::stale(id),
        }
    }
}

#[cfg(test)]
mod tests;
