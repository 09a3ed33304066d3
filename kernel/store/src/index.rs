//! [`LinearIndex`]: the buckets and chains of a hash table whose entries are stored elsewhere.

use crate::{Arena, Chunks, NoMemory, Singles, Slab, failpoints, steps};
use core::fmt;

const NONE: u32 = u32::MAX;

/// An entry's place in a [`LinearIndex`]: the hash of its key, and the next entry of its chain.
#[derive(Clone, Copy)]
pub struct Chain {
    hash: u32,
    next: u32,
}

impl Chain {
    /// Returns the hash under which the entry was inserted.
    pub const fn hash(&self) -> u32 {
        self.hash
    }
}

impl Default for Chain {
    fn default() -> Self {
        Chain { hash: 0, next: NONE }
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:08x}>", self.hash)
    }
}

/// An object that can be an entry of a [`LinearIndex`], of one at a time. The macro [`chained!`](crate::chained)
/// implements it.
pub trait Chained {
    /// Returns the object's place in the index.
    fn chain(&self) -> &Chain;
    /// Returns the object's place in the index.
    fn chain_mut(&mut self) -> &mut Chain;
}

/// Implements [`Chained`] for a type: names the field with the [`Chain`].
///
/// ```
/// use store::{Chain, LinearIndex, Slab, chained};
///
/// struct Word {
///     text: &'static str,
///     chain: Chain,
/// }
/// chained!(Word: chain);
///
/// let hash = |text: &str| text.bytes().map(u32::from).sum();
/// let (mut words, mut index) = (Slab::<Word>::new(), LinearIndex::<64>::new());
/// for text in ["new", "old"] {
///     index.reserve()?;
///     let number = words.insert(Word { text, chain: Chain::default() })?;
///     index.insert(&mut words, number, hash(text));
/// }
/// assert_eq!(index.find(&words, hash("old"), |word| word.text == "old"), Some(1));
/// # Ok::<(), store::NoMemory>(())
/// ```
#[macro_export]
macro_rules! chained {
    ($object:ty: $field:ident) => {
        impl $crate::Chained for $object {
            #[inline(always)]
            fn chain(&self) -> &$crate::Chain {
                &self.$field
            }

            #[inline(always)]
            fn chain_mut(&mut self) -> &mut $crate::Chain {
                &mut self.$field
            }
        }
    };
}

/// The storage of the entries of a [`LinearIndex`], by number.
pub trait Entries {
    /// The type of the entries.
    type Entry: Chained;
    /// Returns the entry with this number, which must exist.
    fn entry(&self, number: u32) -> &Self::Entry;
    /// Returns the entry with this number, which must exist.
    fn entry_mut(&mut self, number: u32) -> &mut Self::Entry;
}

impl<T: Chained, const N: usize> Entries for Slab<T, N> {
    type Entry = T;

    #[inline(always)]
    fn entry(&self, number: u32) -> &T {
        &self[number]
    }

    #[inline(always)]
    fn entry_mut(&mut self, number: u32) -> &mut T {
        &mut self[number]
    }
}

impl<T: Chained, const N: usize, Tag> Entries for Arena<T, N, Tag> {
    type Entry = T;

    #[inline(always)]
    fn entry(&self, number: u32) -> &T {
        self.at(number).expect("the entry exists").1
    }

    #[inline(always)]
    fn entry_mut(&mut self, number: u32) -> &mut T {
        self.at_mut(number).expect("the entry exists")
    }
}

impl<T: Chained, Tag> Entries for Singles<T, Tag> {
    type Entry = T;

    #[inline(always)]
    fn entry(&self, number: u32) -> &T {
        self.at(number).expect("the entry exists").1
    }

    #[inline(always)]
    fn entry_mut(&mut self, number: u32) -> &mut T {
        self.at_mut(number).expect("the entry exists")
    }
}

/// A hash table that grows by one bucket at a time (linear hashing), with its entries in a [`Slab`], an [`Arena`] or [`Singles`]. An
/// insertion visits the entries of a few buckets and never the whole table, so its time does not depend on the number
/// of entries. There are about two buckets for each entry, and each bucket stores the hash of its first entry, so that
/// nearly every search for an absent key probes the bucket alone.
///
/// It also gets smaller by a few buckets at a time. `N` is the number of buckets allocated together, a power of two; those
/// allocated first stay until the index is [trimmed](LinearIndex::trim) without entries.
pub struct LinearIndex<const N: usize = 64> {
    /// The heads of the chains; the first `buckets` are in use.
    heads: Chunks<Head, N>,
    buckets: usize,
    /// The number of entries for which buckets are allocated: half the number of heads.
    room: usize,
    /// The bits of a hash that select a bucket: the number of buckets, rounded up to a power of two, minus one.
    mask: u32,
    len: usize,
}

/// A bucket: the head of its chain.
#[derive(Clone, Copy)]
struct Head {
    first: u32,
    /// The hash of the first entry, with the bit [`MORE`] replaced: it is set if other entries follow.
    tag: u32,
}

const MORE: u32 = 1 << 31;

/// The largest number of buckets: the bit [`MORE`] of a hash then never selects one.
const BUCKETS_MAX: usize = MORE as usize;

impl Head {
    #[inline(always)]
    fn new(first: u32, hash: u32, more: bool) -> Head {
        Head { first, tag: if more { hash | MORE } else { hash & !MORE } }
    }

    #[inline(always)]
    fn has_more(self) -> bool {
        self.tag & MORE != 0
    }

    /// Returns the first entry, or [`NONE`] if the tag shows that no entry of the chain has this hash.
    #[inline(always)]
    fn first_for(self, hash: u32) -> u32 {
        if self.has_more() || self.tag == hash & !MORE { self.first } else { NONE }
    }
}

impl Default for Head {
    fn default() -> Self {
        Head { first: NONE, tag: 0 }
    }
}

impl<const N: usize> fmt::Debug for LinearIndex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} entries in {} buckets]", self.len, self.buckets)
    }
}

impl<const N: usize> Default for LinearIndex<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The largest number of buckets that one insertion adds. An entry needs two, so insertions catch up after a shortage
/// of memory.
const SPLITS: usize = 4;

/// The largest number of buckets that one removal takes away.
const MERGES: usize = 3;

/// Buckets, or allocations of several, that one call of [`LinearIndex::trim`] takes away.
const TRIMMED: usize = 16;

impl<const N: usize> LinearIndex<N> {
    /// Returns an empty index. Allocates nothing.
    pub const fn new() -> Self {
        LinearIndex { heads: Chunks::new(), buckets: 0, room: 0, mask: 0, len: 0 }
    }

    /// Returns the number of entries.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the size of the memory allocated for the buckets, in bytes.
    pub fn bytes(&self) -> usize {
        self.heads.len() * size_of::<Head>()
    }

    /// Returns the bucket of a hash: its low bits, with one bit more for buckets that were split already.
    #[inline(always)]
    fn bucket_of(&self, hash: u32) -> usize {
        let bucket = (hash & self.mask) as usize;
        if bucket < self.buckets { bucket } else { (hash & self.mask >> 1) as usize }
    }

    /// Returns the number of the entry with this hash that `matches` accepts.
    #[inline]
    pub fn find<E: Entries>(&self, entries: &E, hash: u32, matches: impl Fn(&E::Entry) -> bool) -> Option<u32> {
        steps::count();
        // While no bucket is in use, the head of bucket 0 is missing or empty.
        let mut next = self.heads.get(self.bucket_of(hash))?.first_for(hash);
        while next != NONE {
            steps::count();
            let entry = entries.entry(next);
            if entry.chain().hash == hash && matches(entry) {
                return Some(next);
            }
            next = entry.chain().next;
        }
        None
    }

    /// Makes room for one [`insert`](LinearIndex::insert).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the index is unchanged.
    #[inline]
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.len < self.room { Ok(()) } else { self.add_room() }
    }

    #[cold]
    fn add_room(&mut self) -> Result<(), NoMemory> {
        self.heads.grow()?;
        self.room = self.heads.len() / 2;
        Ok(())
    }

    /// Adds an entry that exists already. [`reserve`](LinearIndex::reserve) must have succeeded once since the index
    /// was made. An insertion without a `reserve` of its own makes chains a little longer until buckets are added.
    #[inline]
    pub fn insert<E: Entries>(&mut self, entries: &mut E, number: u32, hash: u32) {
        self.prepare(entries);
        *entries.entry_mut(number).chain_mut() = self.push(number, hash);
    }

    /// Splits buckets as needed for one [`push`](LinearIndex::push). [`reserve`](LinearIndex::reserve) must have
    /// succeeded once since the index was made.
    #[inline]
    pub fn prepare<E: Entries>(&mut self, entries: &mut E) {
        if self.buckets < 2 * (self.len + 1) {
            self.grow(entries);
        }
    }

    /// Adds an entry that does not exist yet, and returns the place that it must be given.
    /// [`prepare`](LinearIndex::prepare) must have been called since the last addition.
    #[inline]
    pub fn push(&mut self, number: u32, hash: u32) -> Chain {
        self.len += 1;
        self.put_first(number, hash)
    }

    /// Makes an entry the first of its chain and returns its place.
    #[inline(always)]
    fn put_first(&mut self, number: u32, hash: u32) -> Chain {
        let bucket = self.bucket_of(hash);
        let head = &mut self.heads[bucket];
        let next = head.first;
        *head = Head::new(number, hash, next != NONE);
        Chain { hash, next }
    }

    #[cold]
    fn grow<E: Entries>(&mut self, entries: &mut E) {
        for _ in 0..SPLITS {
            if self.buckets < 2 * (self.len + 1) && self.buckets < self.heads.len().min(BUCKETS_MAX) {
                self.split(entries);
            }
        }
    }

    /// Adds a bucket and moves the entries to it that belong there, all of them from one other bucket.
    fn split<E: Entries>(&mut self, entries: &mut E) {
        self.buckets += 1;
        if self.buckets == 1 {
            return;
        }
        let new = self.buckets - 1;
        if new > self.mask as usize {
            self.mask = self.mask << 1 | 1;
        }
        let old = new & (self.mask >> 1) as usize;
        steps::count();
        let head = core::mem::take(&mut self.heads[old]);
        if head.first == NONE {
            return;
        }
        if !head.has_more() {
            let bucket = self.bucket_of(head.tag);
            self.heads[bucket] = head;
            return;
        }
        let mut next = head.first;
        while next != NONE {
            steps::count();
            let number = next;
            let chain = *entries.entry(number).chain();
            next = chain.next;
            *entries.entry_mut(number).chain_mut() = self.put_first(number, chain.hash);
        }
    }

    /// Removes an entry, which must be in this index.
    #[inline(always)]
    pub fn remove<E: Entries>(&mut self, entries: &mut E, number: u32) {
        let Chain { hash, next: after } = *entries.entry(number).chain();
        let bucket = self.bucket_of(hash);
        let head = &mut self.heads[bucket];
        if head.first != number {
            Self::unlink(entries, head, number, after);
        } else if after == NONE {
            *head = Head::default();
        } else {
            let chain = entries.entry(after).chain();
            *head = Head::new(after, chain.hash, chain.next != NONE);
        }
        // The entry has been counted.
        self.len = self.len.wrapping_sub(1);
        if self.has_superfluous_buckets() {
            self.shrink(entries);
        }
    }

    /// Returns true if there are more buckets than the entries and the next additions need.
    #[inline(always)]
    fn has_superfluous_buckets(&self) -> bool {
        // Entries have numbers of 32 bits, so that nothing wraps: a removal need not ask.
        self.buckets > self.len.wrapping_mul(2).wrapping_add(N / 2)
    }

    /// Gives back buckets that an index which has only grown to its entries would not have, up to a bound, and returns
    /// true if there are more. Room that was [reserved](LinearIndex::reserve) is lost.
    pub fn trim<E: Entries>(&mut self, entries: &mut E) -> bool {
        for _ in 0..TRIMMED {
            if self.buckets > 2 * self.len && self.buckets > 1 {
                self.merge(entries);
            } else if self.is_empty() && !self.heads.is_empty() && self.heads.len() == N {
                *self = LinearIndex::new();
            } else if self.heads.len() > N && self.heads.len() - N >= 2 * self.len {
                self.heads.shrink();
                self.room = self.heads.len() / 2;
            } else {
                self.heads.trim();
                return false;
            }
        }
        true
    }

    /// Merges as many buckets as one removal makes superfluous, and one more, and gives back their memory.
    #[cold]
    fn shrink<E: Entries>(&mut self, entries: &mut E) {
        for _ in 0..MERGES {
            if self.buckets > 1 && self.has_superfluous_buckets() {
                self.merge(entries);
            }
        }
        // The buckets of half a chunk are kept for the next additions.
        if self.heads.len() > N && self.heads.len() - N >= self.buckets + N / 2 {
            self.heads.shrink();
            self.room = self.heads.len() / 2;
        }
    }

    /// Removes the last bucket and moves its entries to the one that it was split from.
    fn merge<E: Entries>(&mut self, entries: &mut E) {
        self.buckets -= 1;
        let last = self.buckets;
        if last - 1 <= (self.mask >> 1) as usize {
            self.mask >>= 1;
        }
        steps::count();
        let mut next = core::mem::take(&mut self.heads[last]).first;
        while next != NONE {
            steps::count();
            let number = next;
            let chain = *entries.entry(number).chain();
            next = chain.next;
            *entries.entry_mut(number).chain_mut() = self.put_first(number, chain.hash);
        }
    }

    /// Removes an entry that is not the first of its chain.
    fn unlink<E: Entries>(entries: &mut E, head: &mut Head, number: u32, after: u32) {
        let mut before = head.first;
        loop {
            steps::count();
            assert!(before != NONE, "the entry is in the index");
            let chain = entries.entry_mut(before).chain_mut();
            if chain.next == number {
                chain.next = after;
                break;
            }
            before = chain.next;
        }
        if before == head.first && after == NONE {
            head.tag &= !MORE;
        }
    }

    /// Returns the numbers of all entries, chain by chain. For checks.
    pub fn iter<'a, E: Entries>(&'a self, entries: &'a E) -> impl Iterator<Item = u32> + 'a {
        self.chains(entries).flatten()
    }

    /// Returns the chains, each with the numbers of its entries. For checks.
    pub fn chains<'a, E: Entries>(
        &'a self,
        entries: &'a E,
    ) -> impl Iterator<Item = impl Iterator<Item = u32> + 'a> + 'a {
        let some = |number: u32| (number != NONE).then_some(number);
        (0..self.buckets).map(move |bucket| {
            core::iter::successors(some(self.heads[bucket].first), move |&number| {
                some(entries.entry(number).chain().next)
            })
        })
    }
}

#[cfg(test)]
mod tests;
