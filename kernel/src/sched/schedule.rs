//! The scheduling parameters of a thread (importance 8.6).

use crate::machine::Nanos;

/// The lowest level: that of threads that have yielded or are depressed.
pub const PRIORITY_IDLE: u8 = 0;

/// The highest base priority of timeshare threads with a [`BACKGROUND_QUANTUM`].
const PRIORITY_THROTTLE_MAX: u8 = 4;

/// The time that a thread runs before others of its level get their turn.
pub const QUANTUM: Nanos = 10_000_000;

/// The quantum of timeshare threads of the background: of base priority 4 or less.
pub const BACKGROUND_QUANTUM: Nanos = 2_500_000;

/// The scheduling parameters of a thread.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// The base priority, from the thread's policy.
    pub base: u8,
    /// The level that the thread is scheduled at: its base priority, or 0 while it yields or is depressed.
    pub priority: u8,
    /// The rest of its quantum.
    pub quantum_left: Nanos,
    /// The length of a whole quantum, which follows from the base priority and `timeshare`.
    pub quantum: Nanos,
    /// The thread takes part in time sharing. In the background it then has a shorter quantum than a thread of fixed
    /// priority.
    pub timeshare: bool,
    /// The thread has given up the processor: it is at level 0 until it is chosen again, or for a [`QUANTUM`].
    pub yielding: bool,
    /// When the thread yielded last.
    pub yielded_at: Nanos,
    /// The thread is at level 0 until its depress deadline.
    pub depressed: bool,
    /// The least level of the thread while it does work in the kernel that others wait for; 0 if there is none.
    pub floor: u8,
}

impl Schedule {
    /// Returns the schedule of a new timeshare thread.
    pub fn with_base(base: u8) -> Schedule {
        let quantum = Schedule::quantum_for(base, true);
        let (timeshare, yielding, depressed) = (true, false, false);
        let (priority, yielded_at) = (base, 0);
        Schedule {
            base,
            priority,
            quantum_left: quantum,
            quantum,
            timeshare,
            yielding,
            yielded_at,
            depressed,
            floor: 0,
        }
    }

    /// Sets the base priority and whether the thread takes part in time sharing. Its level stays as it is.
    pub(super) fn set_base(&mut self, base: u8, timeshare: bool) {
        (self.base, self.timeshare, self.quantum) = (base, timeshare, Schedule::quantum_for(base, timeshare));
        self.quantum_left = self.quantum_left.min(self.quantum);
    }

    /// Returns the length of the quantum that follows from base priority and time sharing.
    pub(super) fn quantum_for(base: u8, timeshare: bool) -> Nanos {
        if timeshare && base <= PRIORITY_THROTTLE_MAX { BACKGROUND_QUANTUM } else { QUANTUM }
    }

    /// Returns the level that follows from base priority, yield, depression and floor.
    pub(super) fn level(&self) -> u8 {
        let own = if self.yielding || self.depressed { PRIORITY_IDLE } else { self.base };
        own.max(self.floor)
    }
}
