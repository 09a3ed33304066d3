//! [`ActivityIds`]: numbers by which programs connect their log entries (vouchers 4.13).

use crate::Error;
use abi::voucher::MACH_ACTIVITY_ID_COUNT_MAX;

/// A generator of unique activity ids. Activity ids are independent of vouchers.
#[derive(Debug)]
pub struct ActivityIds {
    /// After the last id there are no more: none is given twice.
    next: u64,
}

impl Default for ActivityIds {
    fn default() -> Self {
        ActivityIds { next: 1 }
    }
}

impl ActivityIds {
    /// Returns the next id to be reserved, at first 1.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Reserves `count` consecutive ids and returns the first: `mach_generate_activity_id`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the count is not 1 to 16; [`Error::ResourceShortage`] if so many are not left.
    pub fn generate(&mut self, count: i32) -> Result<u64, Error> {
        if !(1..=MACH_ACTIVITY_ID_COUNT_MAX).contains(&count) {
            return Err(Error::InvalidArgument);
        }
        let first = self.next;
        self.next = first.checked_add(u64::from(count.unsigned_abs())).ok_or(Error::ResourceShortage)?;
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_1_and_are_unique() {
        let mut ids = ActivityIds::default();
        for count in [0, 17, -1, i32::MIN] {
            assert_eq!(ids.generate(count), Err(Error::InvalidArgument));
        }
        assert_eq!((ids.generate(16), ids.generate(1), ids.next()), (Ok(1), Ok(17), 18));
    }

    #[test]
    fn no_id_comes_after_the_last_one() {
        let mut ids = ActivityIds { next: u64::MAX - 2 };
        assert_eq!((ids.generate(3), ids.generate(2)), (Err(Error::ResourceShortage), Ok(u64::MAX - 2)));
        for _ in 0..2 {
            assert_eq!((ids.generate(1), ids.next()), (Err(Error::ResourceShortage), u64::MAX));
        }
    }
}
