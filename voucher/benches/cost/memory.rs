//! The memory of vouchers and values, counted by the allocator.

use crate::workload::{Workload, content, create_one};
use abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE as STORE;
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_TEST as TEST, MACH_VOUCHER_ATTR_KEY_USER_DATA as USER_DATA};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use voucher::{Recipe, Vouchers};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The number of values of each of two keys. A voucher is created for each pair.
const VALUES: u64 = 1_000;
const VOUCHERS: u64 = VALUES * VALUES;

/// Returns the bytes that are allocated since the beginning of a region.
fn allocated(region: &Region<'_, System>) -> f64 {
    let change = region.change();
    change.bytes_allocated as f64 - change.bytes_deallocated as f64
}

/// Returns the bytes of a voucher among a million that share a few values.
fn bytes_per_voucher() -> f64 {
    let mut vouchers = Vouchers::new(4711, Default::default()).expect("there is memory");
    let region = Region::new(ALLOCATOR);
    for number in 0..VOUCHERS {
        let (first, second) = (content(number / VALUES), content(number % VALUES));
        create_one(&mut vouchers, &[Recipe::new(USER_DATA, STORE, &first), Recipe::new(TEST, STORE, &second)]);
    }
    allocated(&region) / VOUCHERS as f64
}

/// Returns the bytes of a voucher with a value of its own, among a million.
fn bytes_per_voucher_and_value() -> f64 {
    let mut workload = Workload::new(VOUCHERS as usize);
    let region = Region::new(ALLOCATOR);
    workload.grow_to(VOUCHERS as usize);
    allocated(&region) / VOUCHERS as f64
}

/// Prints the memory of a voucher and of a value.
pub fn print() {
    let voucher = bytes_per_voucher();
    let value = bytes_per_voucher_and_value() - voucher;
    println!("\nmemory with a million live: {voucher:.0} bytes for a voucher,");
    println!("{value:.0} for a value with its 64 bytes of content (registry and manager together)");
}
