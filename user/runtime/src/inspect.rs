//! Listings of the kernel's objects (trap `inspect`). The caller must be user 0.

use crate::sys;
use abi::KernReturn;
use abi::inspect::{AccountRecord, Cursor, INSPECT_VERSION, kind};
use abi::trap::tally::INSPECT;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Checks all invariants of the kernel. It panics, and says which one, if one is broken.
///
/// # Errors
/// Those of the trap.
pub fn check() -> Result<(), KernReturn> {
    list(kind::CHECK, 0, |_: &AccountRecord| {})
}

/// Records of one call.
const AT_ONCE: usize = 16;

/// Lists all records of a kind, which must be that of `R`, and calls `each` with every record. Objects that come and go
/// meanwhile may be listed or not.
///
/// # Errors
/// Those of the trap.
pub fn list<R>(kind: u32, argument: u64, mut each: impl FnMut(&R)) -> Result<(), KernReturn>
where
    R: Default + Copy + FromBytes + IntoBytes + Immutable,
{
    let mut cursor = Cursor::default();
    let mut records = [R::default(); AT_ONCE];
    while cursor.place != Cursor::END {
        let at = (&raw mut cursor) as u64;
        let size = size_of_val(&records) as u64;
        let arguments = [kind.into(), INSPECT_VERSION.into(), argument, at, records.as_mut_ptr() as u64, size];
        KernReturn(sys::trap(INSPECT, arguments) as i32).ok()?;
        records.iter().take(cursor.records as usize).for_each(&mut each);
    }
    Ok(())
}
