//! Growing the kernel's tables for this task once, at the beginning.

use crate::port;
use crate::task;
use abi::port::*;
use abi::task::PAGE_SIZE;
use alloc::vec::Vec;

/// More regions of memory than the callers' tasks ever have.
const REGIONS: u64 = 32;
/// An address at which nothing is.
const AT: u64 = 0x5000_0000_0000;

/// Makes the kernel's tables for this task as large as they may become: those of names and of regions. In a living task they
/// stay as large as they have been, and programs that it serves let it have more of both. So a task that
/// compares the kernel's memory before and after a program does this first.
///
/// # Panics
/// If there is no room.
pub fn grow_tables(names: usize) {
    let names: Vec<_> =
        (0..names).map(|_| port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room for a name")).collect();
    names.into_iter().for_each(|name| port::deallocate(name).expect("the name is there"));
    // With a gap between each two.
    let places = (0..REGIONS).map(|number| AT + 2 * number * PAGE_SIZE);
    for at in places.clone() {
        task::allocate_at(at, PAGE_SIZE, 0).expect("there is memory");
    }
    places.for_each(|at| task::deallocate(at, PAGE_SIZE).expect("the memory is there"));
}
