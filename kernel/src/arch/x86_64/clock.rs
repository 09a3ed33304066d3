//! The time, from the processor's time stamp counter. Its rate is what the processor says, or else is measured once: see
//! [`rate`](kernel::rate).

use super::pit::{self, IntervalTimer};
use core::arch::x86_64::_rdtsc;
use kernel::machine::Stamp;
use kernel::rate::{Clock, Rate, Reading, calibrate, calibrate_by_stamp};
use raw_cpuid::CpuId;

/// Measures the time stamp counter, and another one that counts down and whose value `count` reads. Returns the clock,
/// which begins now, and the other counter's rate.
pub fn start(count: impl Fn() -> u32) -> (Clock, Rate) {
    let mut timer = IntervalTimer::start();
    let start = stamp();
    let read = || {
        let Stamp(before) = stamp();
        let (reference, other) = (timer.ticks(), count());
        let Stamp(after) = stamp();
        Reading { stamp: before, reference, other, duration: after - before }
    };
    let rates = match told_rate() {
        Some(rate) => calibrate_by_stamp(rate, read),
        None => calibrate(pit::RATE, read),
    };
    (Clock::new(start, rates.stamp), rates.other)
}

/// Returns the ticks per second of the time stamp counter, if the processor (CPUID 0x15) or the hypervisor (0x4000_0010)
/// tells them.
fn told_rate() -> Option<u64> {
    let cpuid = CpuId::new();
    let by_processor = cpuid.get_tsc_info().and_then(|info| info.tsc_frequency());
    let by_hypervisor = || Some(u64::from(cpuid.get_hypervisor_info()?.tsc_frequency()?) * 1000);
    by_processor.or_else(by_hypervisor).filter(|&rate| rate > 0)
}

/// Returns this moment's stamp.
#[inline(always)]
pub fn stamp() -> Stamp {
    // SAFETY: Every 64-bit processor has the instruction.
    Stamp(unsafe { _rdtsc() })
}
