//! The time, from the processor's time stamp counter, whose rate is measured once: see [`rate`](kernel::rate).

use super::pit::{self, IntervalTimer};
use core::arch::x86_64::_rdtsc;
use kernel::machine::Nanos;
use kernel::rate::{Rate, Reading, calibrate};

/// The clock: nanoseconds since it was made.
#[derive(Debug)]
pub struct Clock {
    start: u64,
    rate: Rate,
}

impl Clock {
    /// Measures the time stamp counter, and another one that counts down and whose value `count` reads. Returns the clock
    /// and the other counter's rate.
    pub fn calibrate(count: impl Fn() -> u32) -> (Clock, Rate) {
        let mut timer = IntervalTimer::start();
        let start = time_stamp();
        let rates = calibrate(pit::RATE, || {
            let stamp = time_stamp();
            let (reference, other) = (timer.ticks(), count());
            Reading { stamp, reference, other, duration: time_stamp() - stamp }
        });
        (Clock { start, rate: rates.stamp }, rates.other)
    }

    /// Returns the time.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.rate.nanos(time_stamp().saturating_sub(self.start))
    }

    /// Returns the counter's rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }
}

#[inline]
fn time_stamp() -> u64 {
    // SAFETY: Every 64-bit processor has the instruction.
    unsafe { _rdtsc() }
}
