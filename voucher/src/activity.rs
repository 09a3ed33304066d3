//! [`ActivityIds`]: numbers that programs use to connect their logs (vouchers 4.13).

use crate::Error;
use abi::voucher::MACH_ACTIVITY_ID_COUNT_MAX;

/// Hands out numbers that are used once. They are not attached to vouchers.
#[derive(Debug)]
pub struct ActivityIds {
    next: u64,
}

impl Default for ActivityIds {
    fn default() -> Self {
        ActivityIds { next: 1 }
    }
}

impl ActivityIds {
    /// The id that is handed out next; 1 at first.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// `mach_generate_activity_id`: reserves `count` ids in a row and returns the first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the count is not 1 to 16.
    pub fn generate(&mut self, count: i32) -> Result<u64, Error> {
        if !(1..=MACH_ACTIVITY_ID_COUNT_MAX).contains(&count) {
            return Err(Error::InvalidArgument);
        }
        let first = self.next;
        self.next = self.next.wrapping_add(u64::from(count.unsigned_abs()));
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_begin_with_1_and_are_never_handed_out_again() {
        let mut ids = ActivityIds::default();
        for count in [0, 17, -1, i32::MIN] {
            assert_eq!(ids.generate(count), Err(Error::InvalidArgument));
        }
        assert_eq!((ids.generate(16), ids.generate(1), ids.next()), (Ok(1), Ok(17), 18));
    }
}
