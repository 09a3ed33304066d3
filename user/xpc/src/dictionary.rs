//! Dictionaries: objects with keys. The root of every message is one.

use crate::{Endpoint, Object, SendRight, XpcError};
use alloc::string::String;
use alloc::vec::Vec;

/// Objects with keys, sorted by the bytes of the keys.
///
/// Keys are any text, and each occurs once. The order does not depend on that in which entries were set, so equal
/// dictionaries are equal messages. A search halves the entries; a new entry moves those behind it, which suits the
/// few dozen entries of a message.
#[derive(Clone, Default, PartialEq)]
pub struct Dictionary {
    /// Strictly ascending by key.
    entries: Vec<(String, Object)>,
}

impl Dictionary {
    /// Returns an empty dictionary.
    pub const fn new() -> Dictionary {
        Dictionary { entries: Vec::new() }
    }

    /// Returns the dictionary with these entries, whose keys must ascend strictly: the decoder has checked them.
    pub(crate) fn from_sorted(entries: Vec<(String, Object)>) -> Dictionary {
        debug_assert!(entries.is_sorted_by(|(a, _), (b, _)| a < b), "the keys do not ascend");
        Dictionary { entries }
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are no entries.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|(other, _)| other.as_str().cmp(key))
    }

    /// Returns the object at a key.
    pub fn get(&self, key: &str) -> Option<&Object> {
        Some(&self.entries[self.find(key).ok()?].1)
    }

    /// Returns the object at a key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Object> {
        let index = self.find(key).ok()?;
        Some(&mut self.entries[index].1)
    }

    /// Puts an object at a key, in place of the one there, which it returns.
    pub fn set(&mut self, key: &str, value: impl Into<Object>) -> Option<Object> {
        let value = value.into();
        match self.find(key) {
            Ok(index) => Some(core::mem::replace(&mut self.entries[index].1, value)),
            Err(index) => {
                self.entries.insert(index, (key.into(), value));
                None
            }
        }
    }

    /// Removes the object at a key, and returns it.
    pub fn remove(&mut self, key: &str) -> Option<Object> {
        Some(self.entries.remove(self.find(key).ok()?).1)
    }

    /// Returns the entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Object)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }
}

/// Defines the pair of methods that set and get the values of one kind.
macro_rules! accessors {
    ($set:ident, $get:ident, $kind:ident, $given:ty, $as:ident, $got:ty) => {
        #[doc = concat!("Puts a [`", stringify!($kind), "`](Object::", stringify!($kind), ") at a key, in place of ",
                                                                                            "any object there.")]
        pub fn $set(&mut self, key: &str, value: $given) {
            self.set(key, Object::$kind(value.into()));
        }

        #[doc = concat!("Returns the value at a key, if it is a [`", stringify!($kind), "`](Object::",
                                                                                            stringify!($kind), ").")]
        pub fn $get(&self, key: &str) -> Option<$got> {
            self.get(key)?.$as()
        }
    };
}

impl Dictionary {
    accessors!(set_bool, get_bool, Bool, bool, as_bool, bool);
    accessors!(set_int64, get_int64, Int64, i64, as_int64, i64);
    accessors!(set_uint64, get_uint64, UInt64, u64, as_uint64, u64);
    accessors!(set_double, get_double, Double, f64, as_double, f64);
    accessors!(set_date, get_date, Date, i64, as_date, i64);
    accessors!(set_data, get_data, Data, &[u8], as_data, &[u8]);
    accessors!(set_string, get_string, String, &str, as_string, &str);
    accessors!(set_uuid, get_uuid, Uuid, [u8; 16], as_uuid, &[u8; 16]);
    accessors!(set_array, get_array, Array, Vec<Object>, as_array, &[Object]);
    accessors!(set_dictionary, get_dictionary, Dictionary, Dictionary, as_dictionary, &Dictionary);
    accessors!(set_endpoint, get_endpoint, Endpoint, Endpoint, as_endpoint, &Endpoint);
    accessors!(set_mach_send, get_mach_send, MachSend, SendRight, as_mach_send, &SendRight);
    accessors!(set_error, get_error, Error, XpcError, as_error, XpcError);
}

impl<K: AsRef<str>, V: Into<Object>> Extend<(K, V)> for Dictionary {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.set(key.as_ref(), value);
        }
    }
}

impl<K: AsRef<str>, V: Into<Object>> FromIterator<(K, V)> for Dictionary {
    /// Returns a dictionary with these entries. If a key occurs again, its last object counts.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Dictionary {
        let mut dictionary = Dictionary::new();
        dictionary.extend(entries);
        dictionary
    }
}
