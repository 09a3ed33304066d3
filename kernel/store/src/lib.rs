//! Containers for a kernel that must never be surprised by its own memory.
//!
//! - Nothing here allocates without saying so: every operation that may need memory returns [`NoMemory`] instead of
//!   panicking, and leaves everything as it was.
//! - Nothing here moves what it holds: growing adds a chunk of fixed size and copies no element, so no operation takes
//!   longer because of what others stored, and an element's address is stable.
//! - Elements are named by [`Id`]s, index and generation, never by pointers.
//!
//! | type | what it is |
//! |---|---|
//! | [`Chunks`] | an array that grows by chunks |
//! | [`Arena`] | objects by [`Id`] |
//! | [`Slab`] | objects by index |
//! | [`List`] | a doubly linked list through objects of an arena |
//! | [`LinearIndex`] | a hash table that grows one bucket at a time, through objects of a slab or an arena |
//! | [`LinearMap`] | the same with entries of its own |
//!
//! With the feature `failpoints` tests can make the n-th allocation fail: see [`failpoints`]. With the feature `steps`
//! they can count the entries that were looked at: see [`steps`].

#![cfg_attr(not(any(test, feature = "failpoints", feature = "steps")), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

mod arena;
mod chunks;
pub mod failpoints;
mod index;
mod list;
mod map;
mod slab;
pub mod steps;

pub use arena::{Arena, Id};
pub use chunks::Chunks;
pub use index::{Chain, Chained, Entries, LinearIndex};
pub use list::{Link, Linked, List};
pub use map::LinearMap;
pub use slab::Slab;

use alloc::boxed::Box;
use alloc::vec::Vec;

/// There was no memory; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMemory;

/// An empty vector with room for exactly `capacity` elements.
///
/// # Errors
/// [`NoMemory`] if there is none.
pub fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, NoMemory> {
    failpoints::check()?;
    let mut vec = Vec::new();
    vec.try_reserve_exact(capacity).map_err(|_| NoMemory)?;
    Ok(vec)
}

/// A vector of `len` copies of `value`.
///
/// # Errors
/// [`NoMemory`] if there is none.
pub fn try_vec<T: Clone>(value: T, len: usize) -> Result<Vec<T>, NoMemory> {
    let mut vec = try_with_capacity(len)?;
    vec.resize(len, value);
    Ok(vec)
}

/// An array of default elements on the heap.
///
/// # Errors
/// [`NoMemory`] if there is none.
pub fn try_boxed_array<T: Default, const N: usize>() -> Result<Box<[T; N]>, NoMemory> {
    let mut vec = try_with_capacity(N)?;
    vec.resize_with(N, T::default);
    vec.into_boxed_slice().try_into().map_err(|_| NoMemory)
}
