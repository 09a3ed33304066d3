//! The model of energy: what a nanosecond of processor time costs, by the class of the thread.
//!
//! A PC of QEMU has no meter, so the kernel computes the energy. The model is that of a processor whose clock follows
//! the class of the thread that runs: voltage and clock go together, and power grows with the square of the voltage
//! times the clock, so with the cube of the clock. Power is in nJ per ns, which is W.
//!
//! | effective class | power | clock | why |
//! |---|---|---|---|
//! | user-interactive | 8 | full | somebody waits for every frame |
//! | user-initiated | 6 | 0.91 | somebody waits for the result |
//! | default (legacy), none | 4 | 0.79 | no statement: the middle |
//! | utility | 2 | 0.63 | it may take longer, so it runs where work costs less |
//! | background, maintenance | 1 | half | nobody waits: the slowest clock there is |
//!
//! The effective class counts, after all overrides and limits: a thread that a boost lifts costs more. The account of
//! the voucher that it has adopted pays that as well (vouchers 6.3.9).

use super::thread::ThreadEffective;
use crate::machine::Nanos;
use abi::qos::Qos;

/// The power of a processor while it runs a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Power {
    nanojoules_per_nano: u8,
}

impl Power {
    /// Returns the power of a thread with this effective class.
    pub const fn of(class: Qos) -> Power {
        let nanojoules_per_nano = match class {
            Qos::UserInteractive => 8,
            Qos::UserInitiated => 6,
            Qos::Legacy | Qos::Unspecified => 4,
            Qos::Utility => 2,
            Qos::Background | Qos::Maintenance => 1,
        };
        Power { nanojoules_per_nano }
    }

    /// Returns the energy of `time` at this power, in nJ.
    pub const fn energy(self, time: Nanos) -> u64 {
        time.saturating_mul(self.nanojoules_per_nano as u64)
    }
}

impl ThreadEffective {
    /// Returns the power of the thread.
    pub fn power(&self) -> Power {
        Power::of(self.priority.qos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_class_never_costs_less() {
        let classes =
            [Qos::Maintenance, Qos::Background, Qos::Utility, Qos::Legacy, Qos::UserInitiated, Qos::UserInteractive];
        let costs = classes.map(|class| Power::of(class).energy(1000));
        assert_eq!(costs, [1000, 1000, 2000, 4000, 6000, 8000]);
        assert_eq!(Power::of(Qos::Unspecified), Power::of(Qos::Legacy));
        assert_eq!(Power::of(Qos::Utility).energy(u64::MAX), u64::MAX, "the energy saturates");
    }
}
