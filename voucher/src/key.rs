//! [`Key`]: the name of an attribute.

use abi::voucher as numbers;

/// The number of keys.
pub const KEY_COUNT: usize = numbers::MACH_VOUCHER_ATTR_KEY_NUM_WELL_KNOWN;

/// The key of an attribute, 1 to 8. A voucher has a slot for each key, numbered from 0 (vouchers 1.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u8);

impl Key {
    /// Importance, key 2.
    pub const IMPORTANCE: Key = Key::well_known(numbers::MACH_VOUCHER_ATTR_KEY_IMPORTANCE);
    /// The bank, key 3.
    pub const BANK: Key = Key::well_known(numbers::MACH_VOUCHER_ATTR_KEY_BANK);
    /// A QoS class, key 4.
    pub const PTHPRIORITY: Key = Key::well_known(numbers::MACH_VOUCHER_ATTR_KEY_PTHPRIORITY);
    /// User data, key 7.
    pub const USER_DATA: Key = Key::well_known(numbers::MACH_VOUCHER_ATTR_KEY_USER_DATA);
    /// User data for tests, key 8.
    pub const TEST: Key = Key::well_known(numbers::MACH_VOUCHER_ATTR_KEY_TEST);

    const fn well_known(number: u32) -> Key {
        match Key::new(number) {
            Some(key) => key,
            None => panic!("a well-known key is in range"),
        }
    }

    /// Returns the key with this number, or `None` for `KEY_NONE`, `KEY_ALL` and all numbers above 8.
    #[inline]
    pub const fn new(number: u32) -> Option<Key> {
        if number >= 1 && number <= KEY_COUNT as u32 { Some(Key(number as u8 - 1)) } else { None }
    }

    /// Returns the key of a slot below [`KEY_COUNT`].
    #[inline]
    pub(crate) const fn of_slot(slot: usize) -> Key {
        assert!(slot < KEY_COUNT);
        Key(slot as u8)
    }

    /// Returns the number, 1 to 8.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0 as u32 + 1
    }

    /// Returns the slot in a voucher, 0 to 7.
    #[inline]
    pub const fn slot(self) -> usize {
        self.0 as usize
    }

    /// Returns all keys in ascending order.
    pub fn all() -> impl Iterator<Item = Key> {
        (0..KEY_COUNT).map(Key::of_slot)
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "key {}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_numbers_1_to_8_are_keys() {
        for number in [0, 9, 99, u32::MAX - 1, u32::MAX] {
            assert_eq!(Key::new(number), None);
        }
        let numbers: Vec<u32> = Key::all().map(Key::number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert!(Key::all().all(|key| Key::new(key.number()) == Some(key)));
    }
}
