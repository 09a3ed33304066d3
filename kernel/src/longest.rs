//! The longest step: measures how long the kernel keeps everybody else out.
//!
//! A part of a step begins where the kernel is entered, or where other threads could have had their turn, and ends at the
//! next such point: where the kernel is left, or between two slices. While nothing is measured, which is the usual state,
//! that costs the test of one flag on the full exit.

use crate::machine::Stamp;

/// The cause of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// The timer or an input.
    #[default]
    Timer,
    /// A trap with this number.
    Trap(u32),
    /// An exception.
    Exception,
}

/// A part of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// How long it took, in ticks of the machine's stamps.
    pub ticks: u64,
    /// The cause of its step.
    pub cause: Cause,
    /// Its place in the step, from 0.
    pub number: u32,
}

/// The measurement.
#[derive(Debug, Default)]
pub struct Longest {
    on: bool,
    /// When the present part began, if it began while steps were measured.
    start: Option<Stamp>,
    present: Part,
    longest: Part,
}

impl Longest {
    /// Returns true if steps are measured.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Begins or ends measuring with the next step, and returns the longest part since it was begun.
    pub(crate) fn restart(&mut self, on: bool) -> Part {
        let longest = self.longest;
        *self = Longest { on, ..Longest::default() };
        longest
    }

    /// Begins a step.
    pub(crate) fn begin(&mut self, now: Stamp, cause: Cause) {
        self.start = Some(now);
        self.present = Part { ticks: 0, cause, number: 0 };
    }

    /// Ends a part of the step, and begins the next one.
    pub(crate) fn end_part(&mut self, now: Stamp) {
        if let Some(start) = self.start.replace(now) {
            self.present.ticks = now.since(start);
            if self.present.ticks > self.longest.ticks {
                self.longest = self.present;
            }
            self.present.number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_is_kept_with_its_cause_until_it_is_asked_for() {
        let mut longest = Longest::default();
        assert!(!longest.is_on());
        longest.restart(true);
        longest.end_part(Stamp(70));
        longest.begin(Stamp(100), Cause::Trap(9));
        [110, 150, 160].into_iter().for_each(|now| longest.end_part(Stamp(now)));
        longest.begin(Stamp(1000), Cause::Timer);
        longest.end_part(Stamp(1039));
        assert_eq!(longest.restart(true), Part { ticks: 40, cause: Cause::Trap(9), number: 1 });
        assert_eq!(longest.restart(false), Part::default());
        assert!(!longest.is_on());
    }
}
