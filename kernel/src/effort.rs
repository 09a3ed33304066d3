//! How much a step has done: what may follow in it depends on that.

use crate::limits::{PIECE_EFFORT, POLICY_EFFORT, VISITS_EFFORT};

/// Effort that is too little to matter.
const IGNORED: u32 = 128;

/// The effort of a step so far, in units of some 140 instructions. It is noted where it can be much.
#[derive(Debug, Default)]
pub struct Effort(i32);

impl Effort {
    /// Adds the effort of moving the rights of a message. Returns true if it is much: the step then ends on the full exit,
    /// where it is forgotten.
    pub fn add_rights(&mut self, units: u32) -> bool {
        let much = units > IGNORED;
        if much {
            self.0 = self.0.saturating_add_unsigned(units);
        }
        much
    }

    /// Adds that of pieces of work.
    #[inline]
    pub fn add_pieces(&mut self, pieces: u32) {
        self.0 = self.0.saturating_add_unsigned(pieces.saturating_mul(PIECE_EFFORT));
    }

    /// Takes off that of pieces of work which will be added and take no time.
    pub fn forgo_pieces(&mut self, pieces: u32) {
        self.0 = self.0.saturating_sub_unsigned(pieces.saturating_mul(PIECE_EFFORT));
    }

    /// Adds that of the threads of a task whose policy has changed, which the step will compute.
    pub fn add_threads(&mut self, threads: usize) {
        self.0 = self.0.saturating_add_unsigned((threads as u32).saturating_mul(POLICY_EFFORT));
    }

    /// Adds that of visiting what hangs on tasks.
    pub fn add_visits(&mut self) {
        self.0 = self.0.saturating_add_unsigned(VISITS_EFFORT);
    }

    /// Returns true if the step may compute the policies of so many threads, and not exceed `most` with all else.
    pub fn has_room_for(&self, threads: usize, most: usize) -> bool {
        (self.0.max(0) as u32 / POLICY_EFFORT) as usize + threads <= most
    }

    /// Returns how many policies, of `most`, the step may still compute: at least one.
    pub fn policies_left(&self, most: usize) -> usize {
        most.saturating_sub((self.0.max(0) as u32 / POLICY_EFFORT) as usize).max(1)
    }
}
