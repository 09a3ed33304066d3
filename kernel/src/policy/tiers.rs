//! Tiers and codes for input, output and timers (importance 8.2).
//!
//! Tally has neither disks nor inexact timers, so nothing waits because of them: they are computed because programs can
//! ask for them.

use abi::qos::Qos;

/// The tier of tasks and threads in the background, `trp_bg_iotier`.
pub(super) const BACKGROUND_IO_TIER: u8 = 2;
/// The tier of standard daemons.
pub(super) const STANDARD_IO_TIER: u8 = 1;
/// The tier of an application that is throttled while it starts.
pub(super) const LAUNCH_IO_TIER: u8 = 1;
/// The latency code of the graphics server.
pub(super) const GRAPHICS_LATENCY: u8 = 1;

/// How input, output and timers are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tiers {
    /// The tier of input and output, from 0, the best, to 3.
    pub io: u8,
    /// The latency code, from 1, the best, to 6; 0 for none.
    pub latency: u8,
    /// The throughput code, from 1, the best, to 6; 0 for none.
    pub throughput: u8,
}

impl Tiers {
    /// Returns the tiers of a class.
    pub const fn of(class: Qos) -> Tiers {
        let (io, throughput, latency) = match class {
            Qos::Unspecified => (0, 0, 0),
            Qos::Maintenance => (3, 6, 4),
            Qos::Background => (2, 6, 4),
            Qos::Utility => (1, 3, 4),
            Qos::Legacy | Qos::UserInitiated => (0, 2, 2),
            Qos::UserInteractive => (0, 1, 1),
        };
        Tiers { io, latency, throughput }
    }

    /// Returns the worse of two in each respect.
    pub(super) fn worse(self, other: Tiers) -> Tiers {
        Tiers {
            io: self.io.max(other.io),
            latency: self.latency.max(other.latency),
            throughput: self.throughput.max(other.throughput),
        }
    }
}
