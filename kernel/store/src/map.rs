//! [`LinearMap`]: a hash table without the pause of a rehash.

use crate::{Chain, Chained, LinearIndex, NoMemory, Slab};
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A hash table from keys to values that grows by one bucket at a time: a [`LinearIndex`] with entries of its own. The
/// time of an insertion does not depend on the number of entries.
///
/// The map gives memory back as its entries are removed, but for the first buckets.
pub struct LinearMap<K, V, S> {
    hasher: S,
    index: LinearIndex,
    entries: Slab<Entry<K, V>>,
}

struct Entry<K, V> {
    key: K,
    value: V,
    chain: Chain,
}

impl<K, V> Chained for Entry<K, V> {
    #[inline(always)]
    fn chain(&self) -> &Chain {
        &self.chain
    }

    #[inline(always)]
    fn chain_mut(&mut self) -> &mut Chain {
        &mut self.chain
    }
}

impl<K, V, S> fmt::Debug for LinearMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.fmt(f)
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> LinearMap<K, V, S> {
    /// Returns an empty map. Allocates nothing.
    pub const fn new(hasher: S) -> Self {
        LinearMap { hasher, index: LinearIndex::new(), entries: Slab::new() }
    }

    /// Returns the number of entries.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are no entries.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of the key's entry.
    #[inline]
    fn find(&self, key: &K) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        self.index.find(&self.entries, self.hasher.hash_one(key) as u32, |entry| entry.key == *key)
    }

    /// Returns the value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.find(key).map(|number| &self.entries[number].value)
    }

    /// Returns the value of a key.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.find(key).map(|number| &mut self.entries[number].value)
    }

    /// Returns the value of a key, which is added with the value that `make` returns if it is not in the map.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the map is unchanged.
    pub fn get_or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> Result<&mut V, NoMemory> {
        let number = match self.find(&key) {
            Some(number) => number,
            None => {
                self.reserve()?;
                self.add(key, make())
            }
        };
        Ok(&mut self.entries[number].value)
    }

    /// Changes the value of a key, and removes the key if `change` returns true. Returns true if the key was in the map.
    pub fn change_or_remove(&mut self, key: &K, change: impl FnOnce(&mut V) -> bool) -> bool {
        let Some(number) = self.find(key) else { return false };
        if change(&mut self.entries[number].value) {
            self.remove_at(number);
        }
        true
    }

    /// Makes room for one [`insert_reserved`](LinearMap::insert_reserved).
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the map is unchanged.
    pub fn reserve(&mut self) -> Result<(), NoMemory> {
        self.entries.reserve()?;
        self.index.reserve()
    }

    /// Gives back memory that is not in use, up to a bound, and returns true if there is more. Room that was
    /// [reserved](LinearMap::reserve) is lost.
    pub fn trim(&mut self) -> bool {
        self.index.trim(&mut self.entries) || self.entries.trim()
    }

    /// Adds a key with its value. The key must not be in the map.
    ///
    /// # Errors
    /// [`NoMemory`] if the heap has no room; the map is unchanged.
    pub fn insert(&mut self, key: K, value: V) -> Result<(), NoMemory> {
        self.reserve()?;
        self.insert_reserved(key, value);
        Ok(())
    }

    /// Adds a key with its value. The key must not be in the map, and [`reserve`](LinearMap::reserve) must have
    /// succeeded since the last addition.
    pub fn insert_reserved(&mut self, key: K, value: V) {
        debug_assert!(self.find(&key).is_none(), "the key is in the map");
        self.add(key, value);
    }

    /// Adds an entry and returns its number.
    #[inline]
    fn add(&mut self, key: K, value: V) -> u32 {
        let hash = self.hasher.hash_one(&key) as u32;
        self.index.prepare(&mut self.entries);
        self.entries.insert_reserved(|number| Entry { key, value, chain: self.index.push(number, hash) })
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let number = self.find(key)?;
        self.remove_at(number)
    }

    #[inline]
    fn remove_at(&mut self, number: u32) -> Option<V> {
        self.index.remove(&mut self.entries, number);
        self.entries.remove(number).map(|entry| entry.value)
    }

    /// Returns all entries in no particular order. For checks and printouts.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(_, entry)| (&entry.key, &entry.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failpoints;
    use std::collections::HashMap;
    use std::hash::{BuildHasherDefault, DefaultHasher};

    type Map<K, V> = LinearMap<K, V, BuildHasherDefault<DefaultHasher>>;

    #[test]
    fn random_changes_have_the_same_effect_as_on_a_standard_map() {
        let mut map = Map::new(BuildHasherDefault::default());
        let mut model = HashMap::new();
        let mut seed = 1u64;
        for step in 0..20_000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let key = seed >> 54;
            match seed >> 20 & 7 {
                0 => assert_eq!(map.remove(&key), model.remove(&key)),
                1 => assert_eq!(map.get(&key), model.get(&key)),
                2 => assert_eq!(map.get_or_insert_with(key, || step).unwrap(), model.entry(key).or_insert(step)),
                3 => {
                    let was_in = map.change_or_remove(&key, |value| {
                        *value += 1;
                        *value & 1 == 0
                    });
                    assert_eq!(was_in, model.contains_key(&key));
                    model.get_mut(&key).into_iter().for_each(|value| *value += 1);
                    model.retain(|&other, value| other != key || *value & 1 == 1);
                }
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
    fn chains_stay_short_in_a_large_map() {
        let mut map = Map::new(BuildHasherDefault::default());
        for key in 0..100_000u64 {
            map.insert(key, ()).unwrap();
        }
        let longest = map.index.chains(&map.entries).map(Iterator::count).max();
        assert!(longest < Some(16), "{longest:?}");
    }

    #[test]
    fn a_failed_allocation_changes_nothing() {
        let mut map = Map::new(BuildHasherDefault::default());
        for at in 0..3 {
            failpoints::arm(Some(at));
            assert_eq!(map.insert(1, 1), Err(NoMemory));
            failpoints::arm(Some(at));
            assert_eq!(map.get_or_insert_with(1, || 1), Err(NoMemory));
            assert_eq!((map.get(&1), map.len()), (None, 0));
        }
        failpoints::disarm();
        map.insert(1, 1).unwrap();
        assert_eq!(map.get(&1), Some(&1));
    }
}
