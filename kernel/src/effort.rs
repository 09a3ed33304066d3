//! How much a part of a step has done: what may follow in it depends on that.

use crate::limits::{ENDED_WAIT_EFFORT, OUTPUT_EFFORT, PIECE_EFFORT, POLICY_EFFORT, REAP_SLICE, VISITS_EFFORT};

/// Effort that is too little to matter.
pub const IGNORED: u32 = 128;

/// The effort of a part of a step so far, in units of some 140 instructions. It is noted where it can be much.
#[derive(Debug, Default)]
pub struct Effort(u32);

impl Effort {
    /// Adds the effort of moving the rights of a message or of executing recipes. Returns true if it is much: the step then
    /// has to end on the full exit, where it is forgotten.
    pub fn add_if_much(&mut self, units: u32) -> bool {
        let much = units > IGNORED;
        if much {
            self.0 += units;
        }
        much
    }

    /// Returns true if it is so much that something long waits for the next part.
    #[inline]
    pub fn is_much(&self) -> bool {
        self.0 > IGNORED
    }

    /// Adds that of the end of a wait or depression.
    pub fn add_ended_wait(&mut self) {
        self.0 += ENDED_WAIT_EFFORT;
    }

    /// Adds that of writing what threads wait to write.
    pub fn add_output(&mut self) {
        self.0 += OUTPUT_EFFORT;
    }

    /// Adds that of pieces of work, or of what is as long as so many.
    #[inline]
    pub fn add_pieces(&mut self, pieces: u32) {
        self.0 += pieces * PIECE_EFFORT;
    }

    /// Returns true if another piece of work may follow in this part.
    #[inline]
    pub fn has_room_for_work(&self) -> bool {
        self.0 < REAP_SLICE * PIECE_EFFORT
    }

    /// Adds that of the threads of a task whose policy has changed, which the step will compute.
    pub fn add_threads(&mut self, threads: usize) {
        self.0 += threads as u32 * POLICY_EFFORT;
    }

    /// Adds that of visiting what hangs on tasks.
    pub fn add_visits(&mut self) {
        self.0 += VISITS_EFFORT;
    }

    /// Returns to how many policies it comes.
    fn in_policies(&self) -> usize {
        (self.0 / POLICY_EFFORT) as usize
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
        assert!(Effort::default().add_if_much(IGNORED + 1));
    }

    #[test]
    fn effort_leaves_less_room_for_work() {
        let mut effort = Effort::default();
        effort.add_pieces(REAP_SLICE - 1);
        assert!(effort.has_room_for_work());
        effort.add_ended_wait();
        assert!(effort.has_room_for_work(), "a piece that fits in part is done");
        effort.add_ended_wait();
        assert!(!effort.has_room_for_work());
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
