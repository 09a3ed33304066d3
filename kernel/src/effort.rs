//! How much a part of a step has done: what may follow in it depends on that.

use crate::limits::{ENDED_WAIT_EFFORT, OUTPUT_EFFORT, PIECE_EFFORT, POLICY_EFFORT, VISITS_EFFORT};

/// Effort that is too little to matter.
const IGNORED: u32 = 128;

/// The effort of a part of a step so far. It is noted where it can be much.
#[derive(Debug, Default)]
pub struct Effort {
    /// In units of some 140 instructions.
    units: i32,
    /// What has been [spent](Effort::spend) besides, in pieces of work.
    spent: u32,
}

impl Effort {
    /// What a part of a step does is bounded, and so is the sum.
    #[inline]
    fn add(&mut self, units: u32) {
        self.units += units as i32;
    }

    /// The effort while nothing is forgone that has not been added.
    #[inline]
    fn units(&self) -> u32 {
        debug_assert!(self.units >= 0, "the effort is looked at while pieces are forgone");
        self.units as u32
    }

    /// Adds the effort of moving the rights of a message or of executing recipes. Returns true if it is much: the step then
    /// has to end on the full exit, where it is forgotten.
    pub fn add_if_much(&mut self, units: u32) -> bool {
        let much = units > IGNORED;
        if much {
            self.add(units);
        }
        much
    }

    /// Returns true if it is so much that something long waits for the next part.
    #[inline]
    pub fn is_much(&self) -> bool {
        self.units > IGNORED as i32 || self.spent > IGNORED / PIECE_EFFORT
    }

    /// Adds that of what is as long as this number of pieces of work.
    pub fn spend(&mut self, pieces: u32) {
        self.spent += pieces;
    }

    /// Returns what was [spent](Effort::spend) and has not been taken. For checks.
    pub(crate) fn spent(&self) -> u32 {
        self.spent
    }

    /// Returns what was [spent](Effort::spend) since the last call. The caller adds it as pieces.
    pub fn take_spent(&mut self) -> u32 {
        core::mem::take(&mut self.spent)
    }

    /// Adds that of the end of a wait or depression.
    pub fn add_ended_wait(&mut self) {
        self.add(ENDED_WAIT_EFFORT);
    }

    /// Adds that of writing what threads wait to write.
    pub fn add_output(&mut self) {
        self.add(OUTPUT_EFFORT);
    }

    /// Returns to how many pieces of work it comes.
    #[inline]
    pub fn in_pieces(&self) -> u32 {
        self.units() / PIECE_EFFORT
    }

    /// Adds that of pieces of work.
    #[inline]
    pub fn add_pieces(&mut self, pieces: u32) {
        self.add(pieces * PIECE_EFFORT);
    }

    /// Takes off that of pieces of work which will be added and take no time.
    pub fn forgo_pieces(&mut self, pieces: u32) {
        self.units -= (pieces * PIECE_EFFORT) as i32;
    }

    /// Adds that of the threads of a task whose policy has changed, which the step will compute.
    pub fn add_threads(&mut self, threads: usize) {
        self.add(threads as u32 * POLICY_EFFORT);
    }

    /// Adds that of visiting what hangs on tasks.
    pub fn add_visits(&mut self) {
        self.add(VISITS_EFFORT);
    }

    /// Returns to how many policies it comes.
    fn in_policies(&self) -> usize {
        ((self.units() + self.spent * PIECE_EFFORT) / POLICY_EFFORT) as usize
    }

    /// Returns true if the step may compute the policies of so many threads, and not exceed `most` with all else.
    pub fn has_room_for(&self, threads: usize, most: usize) -> bool {
        self.in_policies() + threads <= most
    }

    /// Returns how many policies, of `most`, the step may still compute: at least one.
    pub fn policies_left(&self, most: usize) -> usize {
        most.saturating_sub(self.in_policies()).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_is_much_when_something_long_should_wait() {
        let mut effort = Effort::default();
        assert!(!effort.add_if_much(IGNORED) && !effort.is_much(), "so little does not even have to be forgotten");
        (0..12).for_each(|_| effort.add_ended_wait());
        assert!(!effort.is_much());
        effort.add_ended_wait();
        assert!(effort.is_much());
        assert_eq!(effort.in_pieces(), 13 * ENDED_WAIT_EFFORT / PIECE_EFFORT);
        assert!(Effort::default().add_if_much(IGNORED + 1));
    }

    #[test]
    fn pieces_that_are_forgone_and_added_count_nothing() {
        let mut effort = Effort::default();
        effort.forgo_pieces(64);
        effort.add_pieces(65);
        assert_eq!((effort.in_pieces(), effort.is_much()), (1, false));
    }

    #[test]
    fn effort_leaves_less_room_for_policies() {
        let mut effort = Effort::default();
        assert_eq!(effort.policies_left(128), 128);
        assert!(effort.has_room_for(152, 152));
        effort.add_threads(100);
        assert_eq!(effort.policies_left(128), 28);
        assert!(effort.has_room_for(52, 152) && !effort.has_room_for(53, 152));
        effort.add_threads(100);
        assert_eq!(effort.policies_left(128), 1, "one policy is always computed");
    }
}
