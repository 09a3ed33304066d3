//! The levels of the run queue, and a set of them.

use super::schedule::PRIORITY_IDLE;

/// Number of priority levels.
pub(super) const LEVELS: usize = 128;

/// The level where all coalitions are equal.
pub(super) const IDLE: usize = PRIORITY_IDLE as usize;

/// The set of levels at which threads are ready, one bit each. It is two words because shifting a `u128` takes three
/// times the instructions.
#[derive(Debug, Default)]
pub(super) struct LevelSet {
    low: u64,
    high: u64,
}

impl LevelSet {
    #[inline(always)]
    fn half(&mut self, level: usize) -> &mut u64 {
        if level < LEVELS / 2 { &mut self.low } else { &mut self.high }
    }

    /// Adds a level.
    #[inline(always)]
    pub(super) fn add(&mut self, level: usize) {
        *self.half(level) |= 1 << (level % 64);
    }

    /// Removes a level.
    #[inline(always)]
    pub(super) fn remove(&mut self, level: usize) {
        *self.half(level) &= !(1 << (level % 64));
    }

    /// Returns true if a level is in the set.
    pub(super) fn contains(&self, level: usize) -> bool {
        let half = if level < LEVELS / 2 { self.low } else { self.high };
        half >> (level % 64) & 1 == 1
    }

    /// Returns true if no level is in the set.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.low | self.high == 0
    }

    /// Returns the highest level of the set.
    #[inline(always)]
    pub(super) fn highest(&self) -> Option<usize> {
        match (self.high.checked_ilog2(), self.low.checked_ilog2()) {
            (Some(bit), _) => Some(64 + bit as usize),
            (None, bit) => bit.map(|bit| bit as usize),
        }
    }
}
