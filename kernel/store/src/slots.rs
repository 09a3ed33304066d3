//! [`Slots`]: numbered places for objects, the common base of [`Arena`](crate::Arena), [`Slab`](crate::Slab) and
//! [`Nodes`](crate::Nodes).

use crate::{NoMemory, try_with_capacity};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Places for objects, by index, `N` of them in a chunk that is allocated together. Adding, finding and removing an object
/// take constant time, and no object ever moves.
///
/// Each slot has a [`Mark`], and an object is found only by its index and its mark.
///
/// A chunk that loses its last object goes back to the heap if many slots stay free elsewhere; so two additions and
/// removals in turn do not each allocate and free one. [`trim`](Slots::trim) gives back what is left. Later chunks in the
/// same place go on with the marks.
pub(crate) struct Slots<T, M, const N: usize> {
    /// The places for chunks, by the upper bits of an index.
    places: Vec<Place<T, M, N>>,
    /// The chunks with free slots.
    room: Ends,
    /// The places without a chunk.
    vacant: Ends,
    /// Slots of new places begin with this generation.
    generation: u32,
    len: usize,
    /// The number of slots, without those that are not reused.
    capacity: usize,
    /// The number of free slots that are kept for later.
    pub(crate) promised: usize,
    /// The chunks that the present trimming has looked at.
    looked_at: usize,
}

type Chunk<T, M, const N: usize> = Box<[Slot<T, M>; N]>;

/// No slot and no chunk.
const NONE: u32 = u32::MAX;

/// Chunks that one call of [`Slots::trim`] looks at, and places that it gives up.
const TRIMMED: usize = 8;

/// A chunk goes back at once if this number of chunks' slots are free.
const SPARE: usize = 3;

/// A chunk with a generation above this one does not go back: a later chunk in its place would begin with the highest
/// generation of all slots, and those that were used less would lose what they have left. So it takes two thousand million
/// uses of one slot to keep a chunk, whose slots are used as before; and then as many again to use up that one slot.
const GENERATION_OF_CHUNKS: u32 = 1 << 31;

/// A place with a generation above this one is not given up: all new places would begin with that.
pub(crate) const GENERATION_OF_PLACES: u32 = 1 << 24;

/// The fewest entries that a directory has room for once it has any.
const DIRECTORY_MIN: usize = 4;

/// Makes a directory as small as one that has only grown, so that what was there before cannot be told from its size.
pub(crate) fn shrink<T>(vec: &mut Vec<T>) {
    let room = if vec.is_empty() { 0 } else { vec.len().next_power_of_two().max(DIRECTORY_MIN) };
    if room == 0 {
        *vec = Vec::new();
    } else if room < vec.capacity() {
        let mut smaller = Vec::new();
        // It does not matter if there is no memory for it now.
        if smaller.try_reserve_exact(room).is_ok() {
            smaller.append(vec);
            *vec = smaller;
        }
    }
}

/// A place for a chunk.
struct Place<T, M, const N: usize> {
    chunk: Option<Chunk<T, M, N>>,
    /// The number of objects, with the slots that are not reused.
    used: u32,
    /// The head of the list through the free slots of the chunk.
    free: u32,
    /// Its neighbours among the chunks with free slots, or among the places without a chunk.
    previous: u32,
    next: u32,
    /// Without a chunk: the generation with which the slots of the next one begin.
    generation: u32,
}

impl<T, M, const N: usize> Place<T, M, N> {
    /// Returns a place for a chunk whose slots begin with this generation.
    fn vacant(generation: u32) -> Self {
        Place { chunk: None, used: 0, free: NONE, previous: NONE, next: NONE, generation }
    }
}

/// The ends of a list through places.
#[derive(Clone, Copy)]
struct Ends {
    first: u32,
    last: u32,
}

impl Ends {
    const EMPTY: Ends = Ends { first: NONE, last: NONE };

    fn push_front<T, M, const N: usize>(&mut self, places: &mut [Place<T, M, N>], at: u32) {
        let next = core::mem::replace(&mut self.first, at);
        let place = &mut places[at as usize];
        (place.previous, place.next) = (NONE, next);
        match next {
            NONE => self.last = at,
            _ => places[next as usize].previous = at,
        }
    }

    fn push_back<T, M, const N: usize>(&mut self, places: &mut [Place<T, M, N>], at: u32) {
        let previous = core::mem::replace(&mut self.last, at);
        let place = &mut places[at as usize];
        (place.previous, place.next) = (previous, NONE);
        match previous {
            NONE => self.first = at,
            _ => places[previous as usize].next = at,
        }
    }

    fn remove<T, M, const N: usize>(&mut self, places: &mut [Place<T, M, N>], at: u32) {
        let Place { previous, next, .. } = places[at as usize];
        match previous {
            NONE => self.first = next,
            _ => places[previous as usize].next = next,
        }
        match next {
            NONE => self.last = previous,
            _ => places[next as usize].previous = previous,
        }
    }
}

/// The part of an object's name that changes when its slot is reused.
pub(crate) trait Mark: Copy + PartialEq {
    /// Returns the mark of the first object in a slot whose generations begin here.
    fn starting(index: u32, generation: u32) -> Self;
    /// Returns the mark of the next object in the same slot, or `None` if the slot must not be reused.
    fn next(self) -> Option<Self>;
    /// Returns the generation of a mark.
    fn generation(self) -> u32;
}

/// Objects without a mark: an index alone is the name, and is reused.
impl Mark for () {
    #[inline(always)]
    fn starting(_: u32, _: u32) {}

    #[inline(always)]
    fn next(self) -> Option<()> {
        Some(())
    }

    #[inline(always)]
    fn generation(self) -> u32 {
        0
    }
}

struct Slot<T, M> {
    /// The mark of the object in this slot, or of the next one if the slot is free.
    mark: M,
    content: Content<T>,
}

/// An object, or a link of the free list of its chunk.
pub(crate) enum Content<T> {
    Free { next: u32 },
    Used(T),
}

impl<T, M, const N: usize> Slots<T, M, N> {
    const SHIFT: u32 = {
        assert!(N.is_power_of_two());
        N.trailing_zeros()
    };

    /// The bytes of a chunk for each slot, with its part of what is known of the chunk.
    pub(crate) const SLOT_SIZE: usize = size_of::<Slot<T, M>>() + size_of::<Place<T, M, N>>().div_ceil(N);

    pub(crate) const fn new() -> Self {
        let (room, vacant) = (Ends::EMPTY, Ends::EMPTY);
        Slots { places: Vec::new(), room, vacant, generation: 1, len: 0, capacity: 0, promised: 0, looked_at: 0 }
    }

    /// Returns the number of objects.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the number of places: all indexes are below it.
    pub(crate) fn places(&self) -> usize {
        self.places.len() * N
    }

    /// Returns the number of objects for which there are slots.
    pub(crate) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns true if [`insert`](Slots::insert) would find a free slot.
    #[inline(always)]
    pub(crate) const fn has_room(&self) -> bool {
        self.room.first != NONE
    }

    /// Returns the number of free slots that are not promised.
    #[inline(always)]
    pub(crate) const fn unpromised(&self) -> usize {
        self.capacity - self.len - self.promised
    }

    #[inline(always)]
    fn slot(&self, index: u32) -> Option<&Slot<T, M>> {
        match self.places.get(index as usize >> Self::SHIFT) {
            Some(Place { chunk: Some(chunk), .. }) => Some(&chunk[index as usize & (N - 1)]),
            _ => None,
        }
    }

    #[inline(always)]
    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T, M>> {
        match self.places.get_mut(index as usize >> Self::SHIFT) {
            Some(Place { chunk: Some(chunk), .. }) => Some(&mut chunk[index as usize & (N - 1)]),
            _ => None,
        }
    }
}

impl<T, M: Mark, const N: usize> Slots<T, M, N> {
    /// Adds a chunk of free slots.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; nothing has changed.
    #[cold]
    pub(crate) fn grow(&mut self) -> Result<(), NoMemory> {
        let mut slots = try_with_capacity(N)?;
        if self.vacant.first == NONE {
            self.add_place()?;
        }
        let at = self.vacant.first;
        let generation = self.places[at as usize].generation;
        let first = at << Self::SHIFT;
        slots.extend((first..first + N as u32).map(|index| {
            let next = if index as usize & (N - 1) == N - 1 { NONE } else { index + 1 };
            Slot { mark: M::starting(index, generation), content: Content::Free { next } }
        }));
        // A vector of N elements with room for exactly those: this moves nothing.
        let chunk = slots.into_boxed_slice().try_into().map_err(|_| NoMemory)?;
        self.vacant.remove(&mut self.places, at);
        self.places[at as usize] = Place { chunk: Some(chunk), free: first, ..Place::vacant(0) };
        self.room.push_front(&mut self.places, at);
        self.capacity += N;
        Ok(())
    }

    /// Adds a place for a chunk.
    fn add_place(&mut self) -> Result<(), NoMemory> {
        let at = self.places.len();
        // No object has the index `u32::MAX`: tables use that number for "none".
        if (at + 1) * N > u32::MAX as usize {
            return Err(NoMemory);
        }
        self.places.try_reserve(1).map_err(|_| NoMemory)?;
        self.places.push(Place::vacant(self.generation));
        self.vacant.push_front(&mut self.places, at as u32);
        Ok(())
    }

    /// Adds the object that `make` returns for its index and mark. There must be [room](Slots::has_room).
    #[inline(always)]
    pub(crate) fn insert(&mut self, make: impl FnOnce(u32, M) -> T) -> (u32, M) {
        let at = self.room.first;
        assert!(at != NONE, "room was reserved");
        let place = &mut self.places[at as usize];
        let index = place.free;
        let Some(chunk) = &mut place.chunk else { panic!("a chunk with free slots is there") };
        let slot = &mut chunk[index as usize & (N - 1)];
        let Content::Free { next } = slot.content else { panic!("slot {index} is on the free list but in use") };
        let mark = slot.mark;
        // Indexes have 32 bits, so that the counts cannot wrap.
        place.used = place.used.wrapping_add(1);
        place.free = next;
        slot.content = Content::Used(make(index, mark));
        self.len = self.len.wrapping_add(1);
        if next == NONE {
            self.room.remove(&mut self.places, at);
        }
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
        let at = index as usize >> Self::SHIFT;
        let place = self.places.get_mut(at)?;
        let chunk = place.chunk.as_mut()?;
        let slot = &mut chunk[index as usize & (N - 1)];
        if slot.mark != mark || matches!(slot.content, Content::Free { .. }) {
            return None;
        }
        // The object has been counted, here and below.
        self.len = self.len.wrapping_sub(1);
        let Some(next_mark) = mark.next() else {
            // A slot that must not be reused is on no list, and its chunk stays.
            self.capacity -= 1;
            return Some(core::mem::replace(&mut slot.content, Content::Free { next: NONE }));
        };
        let next = core::mem::replace(&mut place.free, index);
        place.used = place.used.wrapping_sub(1);
        let is_empty = place.used == 0;
        slot.mark = next_mark;
        let content = core::mem::replace(&mut slot.content, Content::Free { next });
        if next == NONE {
            self.room.push_front(&mut self.places, at as u32);
        }
        if is_empty && self.unpromised() >= SPARE * N {
            self.room.remove(&mut self.places, at as u32);
            self.give_back(at as u32);
        }
        Some(content)
    }

    /// Gives back an empty chunk that is on no list, or puts it last on the list of those with free slots if it stays
    /// because of its [generations](GENERATION_OF_CHUNKS).
    #[inline(never)]
    fn give_back(&mut self, at: u32) {
        let chunk = self.places[at as usize].chunk.take().expect("an empty chunk is there");
        let generation = chunk.iter().map(|slot| slot.mark.generation()).max().unwrap_or(0);
        if generation > GENERATION_OF_CHUNKS {
            self.places[at as usize].chunk = Some(chunk);
            return self.room.push_back(&mut self.places, at);
        }
        self.places[at as usize] = Place::vacant(generation);
        self.vacant.push_front(&mut self.places, at);
        self.capacity -= N;
        // One more than is added by this, so that the directory gets shorter in the end.
        let _ = self.drop_place() && self.drop_place();
    }

    /// Gives back the last place, if no chunk is there. Returns true if it did.
    fn drop_place(&mut self) -> bool {
        let Some(Place { chunk: None, generation, .. }) = self.places.last() else { return false };
        if *generation > GENERATION_OF_PLACES {
            return false;
        }
        self.generation = self.generation.max(*generation);
        let at = self.places.len() - 1;
        self.vacant.remove(&mut self.places, at as u32);
        self.places.pop();
        true
    }

    /// Looks at some of the chunks with free slots, and gives back those without objects that are more than what is
    /// promised and `spare` slots besides. The others that it has looked at come last from then on.
    pub(crate) fn give_back_some(&mut self, spare: usize) {
        for _ in 0..TRIMMED {
            let first = self.room.first;
            if first == NONE || self.unpromised() < N + spare {
                return;
            }
            self.room.remove(&mut self.places, first);
            if self.places[first as usize].used == 0 {
                self.give_back(first);
            } else {
                self.room.push_back(&mut self.places, first);
            }
        }
    }

    /// Gives back memory that is not in use, up to a bound. Room that was reserved is lost, unless it was promised.
    /// Returns true if there may be more.
    pub(crate) fn trim(&mut self) -> bool {
        let before = self.capacity;
        self.give_back_some(0);
        let dropped = (0..TRIMMED).take_while(|_| self.drop_place()).count();
        self.looked_at += TRIMMED;
        let more = before != self.capacity || dropped == TRIMMED || self.looked_at < self.places.len();
        if !more {
            self.looked_at = 0;
            shrink(&mut self.places);
        }
        more
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32, mark: M) -> Option<&T> {
        match self.slot(index) {
            Some(slot) => slot.object(mark),
            None => None,
        }
    }

    /// Returns the object, or `None` if it is gone.
    #[inline(always)]
    pub(crate) fn get_mut(&mut self, index: u32, mark: M) -> Option<&mut T> {
        match self.slot_mut(index) {
            Some(slot) => slot.object_mut(mark),
            None => None,
        }
    }

    /// Returns two different objects, or `None` if one is gone or both are the same.
    #[inline(always)]
    pub(crate) fn pair_mut(&mut self, a: (u32, M), b: (u32, M)) -> Option<(&mut T, &mut T)> {
        let (chunk_a, chunk_b) = (a.0 as usize >> Self::SHIFT, b.0 as usize >> Self::SHIFT);
        let (offset_a, offset_b) = (a.0 as usize & (N - 1), b.0 as usize & (N - 1));
        let (slot_a, slot_b) = if chunk_a == chunk_b {
            let chunk = self.places.get_mut(chunk_a)?.chunk.as_mut()?;
            let [slot_a, slot_b] = chunk.get_disjoint_mut([offset_a, offset_b]).ok()?;
            (slot_a, slot_b)
        } else {
            let [place_a, place_b] = self.places.get_disjoint_mut([chunk_a, chunk_b]).ok()?;
            (&mut place_a.chunk.as_mut()?[offset_a], &mut place_b.chunk.as_mut()?[offset_b])
        };
        Some((slot_a.object_mut(a.1)?, slot_b.object_mut(b.1)?))
    }

    /// Returns the object at an index, with its mark.
    #[inline(always)]
    pub(crate) fn at(&self, index: u32) -> Option<(M, &T)> {
        match self.slot(index) {
            Some(Slot { mark, content: Content::Used(object) }) => Some((*mark, object)),
            _ => None,
        }
    }

    /// Returns the object at an index.
    #[inline(always)]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slot_mut(index) {
            Some(Slot { content: Content::Used(object), .. }) => Some(object),
            _ => None,
        }
    }

    /// Returns the objects in the order of their indexes, each with its index and mark.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, M, &T)> {
        let chunks = self.places.iter().enumerate().filter_map(|(at, place)| Some((at * N, place.chunk.as_ref()?)));
        let slots = chunks.flat_map(|(first, chunk)| (first..).zip(chunk.iter()));
        slots.filter_map(|(index, slot)| match &slot.content {
            Content::Used(object) => Some((index as u32, slot.mark, object)),
            Content::Free { .. } => None,
        })
    }

    /// Lets a test pretend that the slot of an object was reused many times.
    #[cfg(test)]
    pub(crate) fn set_mark(&mut self, index: u32, mark: M) {
        self.slot_mut(index).expect("the slot is there").mark = mark;
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

#[cfg(test)]
mod tests;
