//! [`LinearIndex`]: the chains of a hash table whose entries live elsewhere.

use crate::{Arena, Chunks, NoMemory, Slab, failpoints, steps};
use core::fmt;

const NONE: u32 = u32::MAX;

/// An entry's place in a [`LinearIndex`]: the hash of its key, and who comes after it.
#[derive(Clone, Copy)]
pub struct Chain {
    hash: u32,
    next: u32,
}

impl Chain {
    /// The hash under which the entry was inserted.
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

/// An object that can be an entry of a [`LinearIndex`], of one at a time.
pub trait Chained {
    /// Its place.
    fn chain(&self) -> &Chain;
    /// Its place.
    fn chain_mut(&mut self) -> &mut Chain;
}

/// Where the entries of a [`LinearIndex`] are, by number.
pub trait Entries {
    /// What they are.
    type Entry: Chained;
    /// The entry with this number, which exists.
    fn entry(&self, number: u32) -> &Self::Entry;
    /// The entry with this number, which exists.
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

/// A hash table that grows by one bucket at a time (linear hashing) through entries that live in a [`Slab`] or an
/// [`Arena`]: an insertion looks at the entries of a few buckets, never at the whole table, so it takes no longer because
/// of what others have inserted. There are about two buckets for each entry, and each knows the hash of its first entry:
/// nearly always a search for what is not there looks at the bucket alone.
///
/// Nothing is given back to the heap before the index is dropped. `N` is the number of buckets allocated together, a power
/// of two.
pub struct LinearIndex<const N: usize = 64> {
    /// Heads of the chains; the first `buckets` are in use.
    heads: Chunks<Head, N>,
    buckets: usize,
    /// How many entries there are buckets for: half as many as heads.
    room: usize,
    /// The bits of a hash that choose a bucket: the number of buckets, rounded up to a power of two, minus one.
    mask: u32,
    len: usize,
}

/// A bucket: where its chain begins.
#[derive(Clone, Copy)]
struct Head {
    first: u32,
    /// The hash of the first entry, but for the bit [`MORE`], which says whether others follow.
    tag: u32,
}

const MORE: u32 = 1 << 31;

/// How many buckets there are at most: so many that the bit [`MORE`] of a hash never chooses one.
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

    /// The first entry, unless it is clear that no entry of the chain has this hash.
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

/// How many buckets an insertion adds at most. One entry needs two, so this catches up when memory was short.
const SPLITS: usize = 4;

impl<const N: usize> LinearIndex<N> {
    /// An empty index. Allocates nothing.
    pub const fn new() -> Self {
        LinearIndex { heads: Chunks::new(), buckets: 0, room: 0, mask: 0, len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes of memory the index itself has.
    pub fn bytes(&self) -> usize {
        self.heads.len() * size_of::<Head>()
    }

    /// Where a hash belongs: by its low bits, with one bit more in those buckets that were split already.
    #[inline(always)]
    fn bucket_of(&self, hash: u32) -> usize {
        let bucket = (hash & self.mask) as usize;
        if bucket < self.buckets { bucket } else { (hash & self.mask >> 1) as usize }
    }

    /// The number of the entry with this hash that `is_it` accepts.
    #[inline]
    pub fn find<E: Entries>(&self, entries: &E, hash: u32, is_it: impl Fn(&E::Entry) -> bool) -> Option<u32> {
        steps::count();
        // Without buckets there is either no head or an empty one.
        let mut next = self.heads.get(self.bucket_of(hash))?.first_for(hash);
        while next != NONE {
            steps::count();
            let entry = entries.entry(next);
            if entry.chain().hash == hash && is_it(entry) {
                return Some(next);
            }
            next = entry.chain().next;
        }
        None
    }

    /// Makes room for one [`insert`](LinearIndex::insert).
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the index is unchanged.
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

    /// Adds an entry that exists already. [`reserve`](LinearIndex::reserve) has succeeded since the index was made; if it
    /// was not called for this entry, chains may be a little longer for a while.
    #[inline]
    pub fn insert<E: Entries>(&mut self, entries: &mut E, number: u32, hash: u32) {
        self.prepare(entries);
        *entries.entry_mut(number).chain_mut() = self.push(number, hash);
    }

    /// Makes the buckets ready for one [`push`](LinearIndex::push). [`reserve`](LinearIndex::reserve) has succeeded since
    /// the index was made.
    #[inline]
    pub fn prepare<E: Entries>(&mut self, entries: &mut E) {
        if self.buckets < 2 * (self.len + 1) {
            self.grow(entries);
        }
    }

    /// Adds the entry that is going to have this number and the returned place. [`prepare`](LinearIndex::prepare) was
    /// called after the last addition.
    #[inline]
    pub fn push(&mut self, number: u32, hash: u32) -> Chain {
        self.len += 1;
        self.put_first(number, hash)
    }

    /// Puts an entry in front of its chain and returns its place.
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

    /// Adds a bucket and moves to it what belongs there, all from one other bucket.
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

    /// Takes an entry out that is in this index.
    #[inline]
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
        self.len -= 1;
    }

    /// Takes a number out of a chain where it is not the first.
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

    /// The numbers of the entries in one chain after the other. For checks.
    pub fn iter<'a, E: Entries>(&'a self, entries: &'a E) -> impl Iterator<Item = u32> + 'a {
        self.chains(entries).flatten()
    }

    /// The chains. For checks.
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
mod tests {
    use super::*;

    #[derive(Default)]
    struct Word {
        key: u32,
        chain: Chain,
    }

    impl Chained for Word {
        fn chain(&self) -> &Chain {
            &self.chain
        }
        fn chain_mut(&mut self) -> &mut Chain {
            &mut self.chain
        }
    }

    #[test]
    fn it_goes_on_with_longer_chains_where_no_room_was_reserved() {
        let mut words = Slab::<Word>::new();
        let mut index = LinearIndex::<64>::new();
        index.reserve().unwrap();
        for key in 0..1000u32 {
            let number = words.insert(Word { key, ..Word::default() }).unwrap();
            index.insert(&mut words, number, key.wrapping_mul(0x9E37_79B9));
        }
        assert_eq!((index.len(), index.buckets, index.bytes()), (1000, 64, 512));
        for key in (0..1000).step_by(2) {
            let hash = u32::wrapping_mul(key, 0x9E37_79B9);
            let number = index.find(&words, hash, |word| word.key == key).unwrap();
            index.remove(&mut words, number);
            words.remove(number);
            assert_eq!(index.find(&words, hash, |word| word.key == key), None);
        }
        let mut left: Vec<u32> = index.iter(&words).map(|number| words[number].key).collect();
        left.sort_unstable();
        assert_eq!(left, (0..500).map(|half| 2 * half + 1).collect::<Vec<_>>());
    }

    /// An index over words with these hashes, each its own key and all in one bucket.
    fn chained(hashes: &[u32]) -> (Slab<Word>, LinearIndex) {
        let (mut words, mut index) = (Slab::new(), LinearIndex::new());
        for &key in hashes {
            index.reserve().unwrap();
            let number = words.insert(Word { key, ..Word::default() }).unwrap();
            index.insert(&mut words, number, key);
        }
        (words, index)
    }

    fn find(index: &LinearIndex, words: &Slab<Word>, hash: u32) -> (Option<u32>, u64) {
        steps::take();
        (index.find(words, hash, |word| word.key == hash), steps::take())
    }

    #[test]
    fn what_is_not_there_costs_a_look_at_the_bucket_unless_several_share_it() {
        const HASHES: [u32; 3] = [0x100, 0x200, 0x300];
        for left in 0..3 {
            for first_gone in (0..3).filter(|&number| number != left) {
                let (mut words, mut index) = chained(&HASHES);
                assert_eq!(find(&index, &words, 0x400), (None, 4));
                for number in [first_gone, 3 - left - first_gone] {
                    index.remove(&mut words, number);
                    words.remove(number);
                }
                assert_eq!(find(&index, &words, 0x400), (None, 1), "only {left} is left");
                assert_eq!(find(&index, &words, HASHES[left as usize]), (Some(left), 2));
                index.remove(&mut words, left);
                assert_eq!(find(&index, &words, HASHES[left as usize]), (None, 1));
            }
        }
    }

    #[test]
    fn the_bit_of_a_hash_that_a_bucket_does_not_know_counts_as_well() {
        let (words, index) = chained(&[0x100]);
        assert_eq!(find(&index, &words, 0x100 | MORE), (None, 2));
        let (words, index) = chained(&[0x100, 0x100 | MORE]);
        assert_eq!((find(&index, &words, 0x100).0, find(&index, &words, 0x100 | MORE).0), (Some(0), Some(1)));
    }

    #[test]
    fn entries_in_an_arena_are_found_as_well() {
        let mut words = Arena::<Word>::new();
        let mut index = LinearIndex::<128>::new();
        index.reserve().unwrap();
        let a = words.insert(Word { key: 1, ..Word::default() }).unwrap();
        let b = words.insert(Word { key: 2, ..Word::default() }).unwrap();
        // The same hash: only the keys tell them apart.
        index.insert(&mut words, a.index(), 7);
        index.insert(&mut words, b.index(), 7);
        let find = |index: &LinearIndex<128>, words: &Arena<Word>, key| index.find(words, 7, |word| word.key == key);
        assert_eq!((find(&index, &words, 1), find(&index, &words, 2)), (Some(a.index()), Some(b.index())));
        index.remove(&mut words, a.index());
        assert_eq!((find(&index, &words, 1), find(&index, &words, 2)), (None, Some(b.index())));
    }
}
