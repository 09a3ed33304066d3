//! [`Vacancies`]: the places of a table that have no object.

use crate::NoMemory;
use crate::chunks::Chunks;
use crate::slots::{GENERATION_OF_PLACES, shrink};
use alloc::vec::Vec;

/// The places of a table that have no object, in a list, with a record for each place.
///
/// The records of the first places are one array, which is the fastest to get at and doubles when it grows. All others are
/// in chunks, so that growth moves few records however long the table is.
pub(crate) struct Vacancies {
    near: Vec<Vacancy>,
    /// The records from place [`NEAR`] on.
    far: Chunks<Vacancy, CHUNK>,
    /// The place that is used next.
    first: u32,
    /// New places begin with this generation.
    generation: u32,
}

/// The record of a place. Of a place with an object it is stale.
#[derive(Clone, Copy)]
struct Vacancy {
    /// The generation of the next object; 0 in a place whose generations are used up, which is on no list.
    generation: u32,
    /// Stale in the first of the list: taking the one before it does not change it, which saves an access to memory.
    previous: u32,
    next: u32,
}

impl Default for Vacancy {
    fn default() -> Vacancy {
        Vacancy { generation: 0, previous: NONE, next: NONE }
    }
}

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

/// Places whose records are one array.
const NEAR: usize = 4096;

/// Records of other places that are allocated together.
const CHUNK: usize = 64;

impl Vacancies {
    /// The bytes of a record.
    pub(crate) const SIZE: usize = size_of::<Vacancy>();

    /// Returns the vacancies of a table without places. Allocates nothing.
    pub(crate) const fn new() -> Vacancies {
        Vacancies { near: Vec::new(), far: Chunks::new(), first: NONE, generation: 1 }
    }

    /// Returns true if every place has an object.
    #[inline(always)]
    pub(crate) const fn is_empty(&self) -> bool {
        self.first == NONE
    }

    /// Makes room for the record of a place, the first that has none.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed.
    pub(crate) fn reserve(&mut self, at: u32) -> Result<(), NoMemory> {
        let at = at as usize;
        if at < NEAR {
            self.near.try_reserve(1).map_err(|_| NoMemory)
        } else if at - NEAR < self.far.len() {
            Ok(())
        } else {
            self.far.grow()
        }
    }

    /// Adds a place, for whose record there is [room](Vacancies::reserve).
    pub(crate) fn add(&mut self, at: u32) {
        if (at as usize) < NEAR {
            self.near.push(Vacancy::default());
        }
        self.push(at, self.generation);
    }

    /// Makes a place the one that is used next, with this generation.
    #[inline(always)]
    pub(crate) fn push(&mut self, at: u32, generation: u32) {
        let next = core::mem::replace(&mut self.first, at);
        self.change(at, |vacancy| (vacancy.generation, vacancy.next) = (generation, next));
        if next != NONE {
            self.change(next, |vacancy| vacancy.previous = at);
        }
    }

    /// Takes the place that is used next, with its generation. There must be one.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> (u32, u32) {
        let at = self.first;
        let (generation, next) = match self.near.get(at as usize) {
            Some(vacancy) => (vacancy.generation, vacancy.next),
            None => self.far_vacancy(at),
        };
        self.first = next;
        (at, generation)
    }

    /// Notes that the generations of a place are used up. It is on no list any more: used again, it would revive old ids.
    pub(crate) fn use_up(&mut self, at: u32) {
        *self.vacancy_mut(at) = Vacancy::default();
    }

    /// Gives up a place without an object, the last of all, and returns true. If it must stay, returns false.
    pub(crate) fn remove_last(&mut self, at: u32) -> bool {
        let Vacancy { generation, previous, next } = *self.vacancy_mut(at);
        // The place of ids that are used up stays, so that they never come again. One that was used very often stays,
        // because all new places would begin with its generation.
        if generation == 0 || generation > GENERATION_OF_PLACES {
            return false;
        }
        if self.first == at {
            self.first = next;
        } else {
            self.vacancy_mut(previous).next = next;
        }
        if next != NONE {
            self.vacancy_mut(next).previous = previous;
        }
        self.generation = self.generation.max(generation);
        let at = at as usize;
        if at < NEAR {
            self.near.pop();
        } else if at.is_multiple_of(CHUNK) {
            self.far.shrink();
        }
        true
    }

    /// Makes the arrays of records as small as those that have only grown.
    pub(crate) fn trim(&mut self) {
        shrink(&mut self.near);
        self.far.trim();
    }

    /// Changes the record of a place. Most are in the array, and the others are apart, so that they cost those nothing.
    #[inline(always)]
    fn change(&mut self, at: u32, change: impl FnOnce(&mut Vacancy)) {
        match self.near.get_mut(at as usize) {
            Some(vacancy) => change(vacancy),
            None => self.change_far(at, change),
        }
    }

    #[cold]
    #[inline(never)]
    fn change_far(&mut self, at: u32, change: impl FnOnce(&mut Vacancy)) {
        change(&mut self.far[at as usize - NEAR]);
    }

    /// Returns the generation of a place and what follows it in the list.
    #[cold]
    #[inline(never)]
    fn far_vacancy(&self, at: u32) -> (u32, u32) {
        let vacancy = &self.far[at as usize - NEAR];
        (vacancy.generation, vacancy.next)
    }

    fn vacancy_mut(&mut self, at: u32) -> &mut Vacancy {
        match self.near.get_mut(at as usize) {
            Some(vacancy) => vacancy,
            None => &mut self.far[at as usize - NEAR],
        }
    }
}

#[cfg(test)]
impl Vacancies {
    /// Returns the generation of new places.
    pub(crate) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Returns the number of records for which there is memory.
    pub(crate) fn capacity(&self) -> usize {
        self.near.capacity() + self.far.len() + self.far.capacity()
    }
}
