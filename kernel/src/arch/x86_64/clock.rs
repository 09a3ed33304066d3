//! The time, from the processor's time stamp counter, whose rate is measured once: see [`rate`](kernel::rate).

use super::pit::{self, IntervalTimer};
use core::arch::x86_64::_rdtsc;
use kernel::machine::Stamp;
use kernel::rate::{Clock, Rate, Reading, calibrate};

/// Measures the time stamp counter, and another one that counts down and whose value `count` reads. Returns the clock,
/// which begins now, and the other counter's rate.
pub fn start(count: impl Fn() -> u32) -> (Clock, Rate) {
    let mut timer = IntervalTimer::start();
    let start = stamp();
    let rates = calibrate(pit::RATE, || {
        let Stamp(before) = stamp();
        let (reference, other) = (timer.ticks(), count());
        let Stamp(after) = stamp();
        Reading { stamp: before, reference, other, duration: after - before }
    });
    (Clock::new(start, rates.stamp), rates.other)
}

/// Returns this moment's stamp.
#[inline(always)]
pub fn stamp() -> Stamp {
    // SAFETY: Every 64-bit processor has the instruction.
    Stamp(unsafe { _rdtsc() })
}
