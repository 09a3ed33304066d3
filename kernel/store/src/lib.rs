//! Containers for a kernel that must survive a failed allocation at any point.
//!
//! - Allocation is explicit: every operation that may need memory returns [`NoMemory`] instead of panicking, and a
//!   failed operation changes nothing.
//! - Growth moves no elements: a container grows by a chunk of fixed size. The time of an operation does not depend on the
//!   number of elements. The directories of chunks double, and so does that of [`Singles`], unless it is given its final
//!   size.
//! - Memory of elements that are gone goes back to the heap, but for a little that the next ones may need, which `trim`
//!   gives back.
//! - Elements are named by [`Id`]s, index and generation, never by pointers.
//!
//! | type | purpose |
//! |---|---|
//! | [`Chunks`] | an array that grows by chunks |
//! | [`Arena`] | objects by [`Id`], some allocated together |
//! | [`Singles`] | objects by [`Id`], each allocated by itself |
//! | [`Slab`] | objects by index |
//! | [`List`] | a doubly linked list through objects of an arena |
//! | [`Nodes`] | lists with nodes that are reserved before they are needed |
//! | [`LinearIndex`] | a hash table that grows one bucket at a time, through objects of a slab or an arena |
//! | [`LinearMap`] | a hash table from keys to values |
//!
//! The macros [`linked!`] and [`chained!`] implement the traits by which an object holds its own links.
//!
//! With the feature `failpoints` a test can let the n-th allocation fail: see [`failpoints`]. With the feature `steps`
//! it can count table probes: see [`steps`].

#![cfg_attr(not(any(test, feature = "failpoints", feature = "steps")), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

mod arena;
mod chunks;
mod compact;
pub mod failpoints;
mod id;
mod index;
mod list;
mod map;
mod nodes;
mod singles;
mod slab;
mod slots;
pub mod steps;
mod vacancies;

pub use arena::{Arena, Table};
pub use chunks::Chunks;
pub use compact::{COMPACT_FROM, Compaction, LARGEST};
pub use id::Id;
pub use index::{Chain, Chained, Entries, LinearIndex};
pub use list::{Link, Linked, List, Objects};
pub use map::LinearMap;
pub use nodes::{NodeList, Nodes};
pub use singles::Singles;
pub use slab::Slab;

use alloc::vec::Vec;

/// The error of a failed allocation. The operation has changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// Returns an empty vector with room for exactly `capacity` elements.
///
/// # Errors
/// [`NoMemory`] if the heap has no room.
pub fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, NoMemory> {
    failpoints::check()?;
    let mut vec = Vec::new();
    vec.try_reserve_exact(capacity).map_err(|_| NoMemory)?;
    Ok(vec)
}

/// Returns a vector of `len` copies of `value`.
///
/// # Errors
/// [`NoMemory`] if the heap has no room.
pub fn try_vec<T: Clone>(value: T, len: usize) -> Result<Vec<T>, NoMemory> {
    let mut vec = try_with_capacity(len)?;
    vec.resize(len, value);
    Ok(vec)
}
