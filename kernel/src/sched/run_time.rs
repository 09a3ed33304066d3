//! The processor time of a thread, and the energy of that time.
//!
//! Time is counted in the ticks of the machine's stamps, because a direct switch has no time for a conversion. It
//! becomes nanoseconds where somebody asks: the whole count is converted at once, so that no fraction is lost on the
//! way. The energy follows from the time and from the power of the thread's class. It is computed when somebody asks,
//! and before the class changes.

use crate::machine::Nanos;
use crate::policy::Power;
use crate::rate::Rate;
use core::ops::AddAssign;

/// Processor time and the energy of that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The time for which threads had a processor.
    pub time: Nanos,
    /// The energy in nJ, by the model of [`Power`].
    pub energy: u64,
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Used) {
        self.time = self.time.saturating_add(other.time);
        self.energy = self.energy.saturating_add(other.energy);
    }
}

/// The processor time of a thread since its creation.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunTime {
    /// The time in ticks of the machine's stamps.
    ticks: u64,
    /// What it had used when its power changed last.
    before: Used,
    /// Its power since.
    power: Power,
}

impl RunTime {
    /// Returns the time of a thread that has not run.
    pub(super) const fn new(power: Power) -> RunTime {
        RunTime { ticks: 0, before: Used { time: 0, energy: 0 }, power }
    }

    /// Adds time in which the thread had a processor. Sixty-four bits of ticks last for centuries.
    #[inline(always)]
    pub(super) fn add(&mut self, ticks: u64) {
        self.ticks = self.ticks.wrapping_add(ticks);
    }

    /// Returns what the thread has used.
    pub(super) fn used(&self, rate: Rate) -> Used {
        let time = rate.nanos(self.ticks);
        let mut used = self.before;
        used += Used { time: time - used.time, energy: self.power.energy(time - used.time) };
        used
    }

    /// Sets the power for the time from now on.
    pub(super) fn set_power(&mut self, rate: Rate, power: Power) {
        if power != self.power {
            self.before = self.used(rate);
            self.power = power;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::qos::Qos;

    #[test]
    fn time_has_the_energy_of_the_class_in_which_it_was_used() {
        let rate = Rate::measured(4, 1);
        let (low, high) = (Power::of(Qos::Background), Power::of(Qos::UserInteractive));
        let mut run = RunTime::new(low);
        run.add(400);
        assert_eq!(run.used(rate), Used { time: 100, energy: low.energy(100) });
        run.set_power(rate, high);
        assert_eq!(run.used(rate), Used { time: 100, energy: low.energy(100) }, "the past is not priced anew");
        run.add(40);
        assert_eq!(run.used(rate), Used { time: 110, energy: low.energy(100) + high.energy(10) });
    }

    #[test]
    fn fractions_of_nanoseconds_add_up() {
        let rate = Rate::measured(4, 1);
        let mut run = RunTime::new(Power::of(Qos::Utility));
        for _ in 0..4000 {
            run.add(1);
            let _ = run.used(rate);
        }
        assert_eq!(run.used(rate).time, 1000);
    }
}
