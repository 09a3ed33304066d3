//! [`LinearMap`]: a hash table that never stops to rebuild itself.

use crate::{Chunks, NoMemory, failpoints};
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A hash table that grows by one bucket at a time (linear hashing): an insertion rehashes the entries of at most one
/// bucket, never the whole table, so it takes no longer because others have inserted much.
///
/// Buckets are chains through a slab of entries. Nothing is given back to the heap before the map is dropped.
pub struct LinearMap<K, V, S> {
    hasher: S,
    /// Heads of the chains; the first `buckets` are in use.
    heads: Chunks<Option<u32>, 64>,
    buckets: usize,
    entries: Chunks<Entry<K, V>, 64>,
    free: Option<u32>,
    len: usize,
}

struct Entry<K, V> {
    next: Option<u32>,
    pair: Option<(K, V)>,
}

impl<K, V> Default for Entry<K, V> {
    fn default() -> Self {
        Entry { next: None, pair: None }
    }
}

impl<K, V, S> fmt::Debug for LinearMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} entries in {} buckets]", self.len, self.buckets)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> LinearMap<K, V, S> {
    /// An empty map. Allocates nothing.
    pub const fn new(hasher: S) -> Self {
        LinearMap { hasher, heads: Chunks::new(), buckets: 0, entries: Chunks::new(), free: None, len: 0 }
    }

    /// How many entries there are.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where a key belongs: by the low bits of its hash, with one bit more in those buckets that were split already.
    fn bucket_of(&self, key: &K) -> usize {
        let hash = self.hasher.hash_one(key) as usize;
        let mask = self.buckets.next_power_of_two() - 1;
        let bucket = hash & mask;
        if bucket < self.buckets { bucket } else { hash & (mask >> 1) }
    }

    /// The index of the key's entry.
    fn find(&self, key: &K) -> Option<u32> {
        if self.buckets == 0 {
            return None;
        }
        let mut next = self.heads[self.bucket_of(key)];
        while let Some(index) = next {
            let entry = &self.entries[index as usize];
            if entry.pair.as_ref().is_some_and(|(k, _)| k == key) {
                return Some(index);
            }
            next = entry.next;
        }
        None
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).and_then(|index| self.entries[index as usize].pair.as_ref()).map(|(_, value)| value)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).and_then(|index| self.entries[index as usize].pair.as_mut()).map(|(_, value)| value)
    }

    /// Makes room for one [`insert_reserved`](LinearMap::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the map is unchanged.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        failpoints::check()?;
        if self.free.is_none() {
            let first = self.entries.len();
            self.entries.grow()?;
            for index in (first..self.entries.len()).rev() {
                self.entries[index].next = self.free;
                self.free = Some(index as u32);
            }
        }
        if self.buckets == self.heads.len() {
            self.heads.grow()?;
        }
        Ok(())
    }

    /// Gives a key a value. The key must not be in the map.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none; the map is unchanged.
    pub fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory> {
        self.reserve()?;
        self.insert_reserved(key, value);
        Ok(())
    }

    /// Gives a key a value. The key must not be in the map, and [`reserve`](LinearMap::reserve) was called after the
    /// last addition.
    pub fn insert_reserved(&mut self, key: K, value: V) {
        debug_assert!(self.find(&key).is_none(), "the key is in the map");
        if self.len >= self.buckets {
            self.split();
        }
        let index = self.free.expect("room was reserved");
        let bucket = self.bucket_of(&key);
        let entry = &mut self.entries[index as usize];
        self.free = entry.next;
        *entry = Entry { next: self.heads[bucket], pair: Some((key, value)) };
        self.heads[bucket] = Some(index);
        self.len += 1;
    }

    /// Adds a bucket and moves to it what belongs there, all from one other bucket.
    fn split(&mut self) {
        self.buckets += 1;
        if self.buckets == 1 {
            return;
        }
        let new = self.buckets - 1;
        let old = new & ((new + 1).next_power_of_two() / 2 - 1);
        let mut next = self.heads[old].take();
        while let Some(index) = next {
            next = self.entries[index as usize].next;
            let key = &self.entries[index as usize].pair.as_ref().expect("a chained entry has a key").0;
            let bucket = self.bucket_of(key);
            self.entries[index as usize].next = self.heads[bucket];
            self.heads[bucket] = Some(index);
        }
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let found = self.find(key)?;
        let after = self.entries[found as usize].next;
        let bucket = self.bucket_of(key);
        if self.heads[bucket] == Some(found) {
            self.heads[bucket] = after;
        } else {
            let mut before = self.heads[bucket]?;
            while self.entries[before as usize].next != Some(found) {
                before = self.entries[before as usize].next?;
            }
            self.entries[before as usize].next = after;
        }
        let entry = &mut self.entries[found as usize];
        entry.next = self.free;
        self.free = Some(found);
        self.len -= 1;
        entry.pair.take().map(|(_, value)| value)
    }

    /// All entries, in no particular order. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().filter_map(|entry| entry.pair.as_ref().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::hash::{BuildHasherDefault, DefaultHasher};

    type Map<K, V> = LinearMap<K, V, BuildHasherDefault<DefaultHasher>>;

    #[test]
    fn it_holds_what_a_standard_map_holds_through_random_changes() {
        let mut map = Map::new(BuildHasherDefault::default());
        let mut model = HashMap::new();
        let mut seed = 1u64;
        for step in 0..20_000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = seed >> 54;
            match seed >> 20 & 3 {
                0 => assert_eq!(map.remove(&key), model.remove(&key)),
                1 => assert_eq!(map.get(&key), model.get(&key)),
                _ if model.contains_key(&key) => {
                    *map.get_mut(&key).unwrap() = *model.entry(key).insert_entry(step).get()
                }
                _ => {
                    map.insert(key, step).unwrap();
                    model.insert(key, step);
                }
            }
            assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
        }
        assert_eq!(map.iter().map(|(k, v)| (*k, *v)).collect::<HashMap<_, _>>(), model);
    }

    #[test]
    fn chains_stay_short_however_much_it_holds() {
        let mut map = Map::new(BuildHasherDefault::default());
        for key in 0..100_000u64 {
            map.insert(key, ()).unwrap();
        }
        let longest = (0..map.buckets)
            .map(|b| std::iter::successors(map.heads[b], |&i| map.entries[i as usize].next).count())
            .max();
        assert!(longest < Some(16), "{longest:?}");
    }

    #[test]
    fn a_failed_allocation_changes_nothing() {
        let mut map = Map::new(BuildHasherDefault::default());
        for at in 0..3 {
            failpoints::arm(Some(at));
            assert_eq!(map.insert(1, 1), Err(NoMemory));
            assert_eq!((map.get(&1), map.len()), (None, 0));
        }
        failpoints::disarm();
        map.insert(1, 1).unwrap();
        assert_eq!(map.get(&1), Some(&1));
    }
}
