//! [`Compaction`]: objects move to lower addresses, so that pages at higher ones empty.
//!
//! A heap that gives a page to objects of one size gets it back when the last of them is gone. Someone who keeps one
//! object of each page would keep all of them, for a small part of what they hold. A heap that always allocates at the
//! lowest address that it has lets owners close such holes: an object whose memory is higher moves. After a round in which
//! nothing was given back, one page of each size at most is not full of objects that can move.

use crate::try_with_capacity;
use alloc::vec::Vec;

/// The least number of objects given back for which tables are looked at again.
pub const COMPACT_FROM: u32 = 64;

/// The effort to pass a place without an object; some ten instructions.
pub(crate) const EFFORT_VACANT: usize = 1;
/// The effort to look at an object.
pub(crate) const EFFORT_OBJECT: usize = 2;
/// The effort to move an object, and to try whether there is lower memory.
pub(crate) const EFFORT_MOVE: usize = 32;

/// The largest size in bytes that a heap puts on a page with others.
pub const LARGEST: usize = 2048;

/// A round through tables, in pieces.
#[derive(Debug, Default)]
pub struct Compaction {
    /// The number of the round.
    pub(crate) round: u32,
    /// What may still be done in this piece.
    pub(crate) effort: usize,
    /// Objects that were given back or moved since the round began.
    pub(crate) changed: u32,
}

impl Compaction {
    /// Begins a piece with a bound in units of some ten instructions.
    pub fn begin(&mut self, effort: usize) {
        self.effort = effort;
    }

    /// Ends a piece, in which all tables had their turn. If all of them have been looked at and something had changed, the
    /// next piece begins a new round. Returns true if there is more to do.
    pub fn end(&mut self) -> bool {
        if self.effort == 0 {
            return true;
        }
        let again = self.changed >= COMPACT_FROM;
        if again {
            self.changed = 0;
            self.round = self.round.wrapping_add(1);
        }
        again
    }

    /// Counts an effort. Returns false if no more may be done in this piece.
    pub(crate) fn spend(&mut self, effort: usize) -> bool {
        self.effort = self.effort.saturating_sub(effort);
        self.effort > 0
    }

    /// Moves the elements of a vector to lower memory, if there is any. One that has pages of its own stays.
    pub fn move_down<T>(&mut self, vec: &mut Vec<T>) {
        if vec.capacity() == 0 || vec.capacity() * size_of::<T>() > LARGEST {
            return;
        }
        self.spend(EFFORT_MOVE);
        if let Ok(mut lower) = try_with_capacity::<T>(vec.capacity())
            && lower.as_ptr().addr() < vec.as_ptr().addr()
        {
            lower.append(vec);
            *vec = lower;
            self.changed += 1;
        }
    }
}
