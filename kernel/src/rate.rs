//! Rates of counters: conversion between ticks and nanoseconds, and the measurement of rates.
//!
//! A measurement must survive interruptions: a virtual processor stands still while its host runs other work.
//! [`calibrate`] therefore does not rely on a wait having its intended length: all counters go on during an
//! interruption and are read again after it. Two sources of error remain. An interruption between the readings of two
//! counters puts them apart in time, so the closest of several readings counts. An interruption that is longer than a
//! period of the reference makes the reference seem slow, so several measurements have to agree, and those that do not
//! are rejected. Where the processor tells the rate of the time stamp counter, the reference is not needed at all.

use crate::machine::{Nanos, Stamp};
use heapless::Vec;

/// Fixed-point factors have this many bits behind the point.
const FRACTION: u32 = 32;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Two measurements of the same counter agree if they differ by at most this fraction of the larger one.
const AGREEMENT_DIVISOR: u64 = 128;

/// The number of measurements that have to agree.
const AGREEING: usize = 4;

/// The rate of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Fixed point.
    nanos_per_tick: u64,
    /// Fixed point.
    ticks_per_nano: u64,
}

impl Rate {
    /// Returns the rate of a counter that made `ticks` in `elapsed`. At least one tick and one nanosecond are assumed.
    pub fn measured(ticks: u64, elapsed: Nanos) -> Rate {
        Rate { nanos_per_tick: quotient(elapsed, ticks), ticks_per_nano: quotient(ticks, elapsed) }
    }

    /// Returns the time that `ticks` take. The result of any count that a counter reaches fits: 64 bits of nanoseconds
    /// are centuries.
    #[inline]
    pub fn nanos(self, ticks: u64) -> Nanos {
        ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> FRACTION) as u64
    }

    /// Returns the number of complete ticks after `nanos`, or `u64::MAX` if that does not fit. It may not fit, because
    /// a program may ask for any time and the counter may have more than one tick per nanosecond.
    #[inline]
    pub fn ticks(self, nanos: Nanos) -> u64 {
        u64::try_from((u128::from(nanos) * u128::from(self.ticks_per_nano)) >> FRACTION).unwrap_or(u64::MAX)
    }

    /// Returns the initial count of a 32-bit timer that ends after `nanos` and not earlier, or the timer's longest
    /// count if `nanos` is too long for it.
    pub fn timer_count(self, nanos: Nanos) -> u32 {
        // The timer may start just before a tick, so that its first tick takes no time.
        u32::try_from(self.ticks(nanos).saturating_add(1)).unwrap_or(u32::MAX)
    }

    /// Returns true if the rates are equal up to the errors of measurement.
    pub fn agrees_with(self, other: Rate) -> bool {
        let (less, more) =
            (self.ticks_per_nano.min(other.ticks_per_nano), self.ticks_per_nano.max(other.ticks_per_nano));
        more - less <= more / AGREEMENT_DIVISOR
    }

    /// Returns the rate in MHz.
    pub fn megahertz(self) -> u64 {
        self.ticks(1000)
    }
}

/// The conversion of a counter's stamps into times.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Stamp,
    rate: Rate,
}

impl Clock {
    /// Returns the clock whose time was 0 at `start`, by a counter of that rate.
    pub fn new(start: Stamp, rate: Rate) -> Clock {
        Clock { start, rate }
    }

    /// Returns the time of a stamp; 0 if that is from before the start.
    #[inline]
    pub fn time_of(self, stamp: Stamp) -> Nanos {
        self.rate.nanos(stamp.0.saturating_sub(self.start.0))
    }

    /// Returns the counter's rate.
    pub fn rate(self) -> Rate {
        self.rate
    }
}

/// Returns the fixed-point quotient of two numbers. A number that is 0 counts as 1.
fn quotient(dividend: u64, divisor: u64) -> u64 {
    let quotient = (u128::from(dividend.max(1)) << FRACTION) / u128::from(divisor.max(1));
    u64::try_from(quotient).unwrap_or(u64::MAX)
}

/// The length of a measurement, as measurements per second.
const MEASUREMENTS_PER_SECOND: u64 = 2000;

/// The number of readings of which the one with the shortest duration counts.
const READINGS: usize = 4;

/// The number of measurements after which, if too few agree, those count that agree with the slowest: interruptions make
/// a counter seem fast.
const MEASUREMENTS_MAX: usize = 64;

/// The counters, read at about the same time.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The time stamp counter.
    pub stamp: u64,
    /// The reference, which wraps after 2^16 ticks.
    pub reference: u16,
    /// The other counter, which counts down.
    pub other: u32,
    /// Ticks of the time stamp counter during the reading.
    pub duration: u64,
}

/// The ticks of each counter between two [`Reading`]s.
#[derive(Clone, Copy, Debug)]
struct Elapsed {
    stamp: u64,
    reference: u64,
    other: u64,
}

/// The result of [`calibrate`].
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// The rate of the time stamp counter.
    pub stamp: Rate,
    /// The rate of the other counter.
    pub other: Rate,
}

impl Elapsed {
    fn plus(self, next: Elapsed) -> Elapsed {
        let (stamp, reference, other) =
            (self.stamp + next.stamp, self.reference + next.reference, self.other + next.other);
        Elapsed { stamp, reference, other }
    }

    fn stamp_rate(self, reference_rate: u64) -> Rate {
        self.rates(reference_rate).stamp
    }

    fn rates(self, reference_rate: u64) -> Rates {
        let nanos = self.reference * NANOS_PER_SECOND / reference_rate;
        Rates { stamp: Rate::measured(self.stamp, nanos), other: Rate::measured(self.other, nanos) }
    }
}

/// Measures the time stamp counter and another counter against a reference of `reference_rate` ticks per second. `read`
/// reads all three.
pub fn calibrate(reference_rate: u64, mut read: impl FnMut() -> Reading) -> Rates {
    let mut last = closest(&mut read);
    let mut measure = || loop {
        let reading = closest(&mut read);
        let reference = u64::from(reading.reference.wrapping_sub(last.reference));
        if reference >= reference_rate / MEASUREMENTS_PER_SECOND {
            let other = last.other.wrapping_sub(reading.other).into();
            let elapsed = Elapsed { stamp: reading.stamp - last.stamp, reference, other };
            last = reading;
            return elapsed;
        }
    };
    let mut all: Vec<Elapsed, MEASUREMENTS_MAX> = Vec::new();
    let sum_of_agreeing = |all: &[Elapsed], with: Elapsed| {
        let rate = with.stamp_rate(reference_rate);
        let agreeing = all.iter().copied().filter(|other| other.stamp_rate(reference_rate).agrees_with(rate));
        (agreeing.clone().count(), agreeing.reduce(Elapsed::plus).unwrap_or(with))
    };
    while !all.is_full() {
        let elapsed = measure();
        let _ = all.push(elapsed);
        let (count, sum) = sum_of_agreeing(&all, elapsed);
        if count >= AGREEING {
            return sum.rates(reference_rate);
        }
    }
    let slowest = all.iter().copied().min_by_key(|elapsed| elapsed.stamp_rate(reference_rate).ticks_per_nano);
    sum_of_agreeing(&all, slowest.expect("there are measurements")).1.rates(reference_rate)
}

/// Returns the rate of the other counter where the rate of the time stamp counter is known, in ticks per second.
pub fn calibrate_by_stamp(stamp_rate: u64, mut read: impl FnMut() -> Reading) -> Rates {
    let first = closest(&mut read);
    loop {
        let last = closest(&mut read);
        let ticks = last.stamp - first.stamp;
        if ticks >= AGREEING as u64 * stamp_rate / MEASUREMENTS_PER_SECOND {
            let nanos = (u128::from(ticks) * u128::from(NANOS_PER_SECOND) / u128::from(stamp_rate)) as u64;
            let other = first.other.wrapping_sub(last.other).into();
            let stamp = Rate::measured(stamp_rate, NANOS_PER_SECOND);
            return Rates { stamp, other: Rate::measured(other, nanos) };
        }
    }
}

/// Returns the reading that took the shortest time, of a few.
fn closest(read: &mut impl FnMut() -> Reading) -> Reading {
    let readings = (0..READINGS).map(|_| read());
    readings.min_by_key(|reading| reading.duration).expect("there are readings")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Nanos = 1_000_000;
    const SECOND: Nanos = 1_000_000_000;

    #[test]
    fn ticks_and_time_convert_into_each_other() {
        let three_gigahertz = Rate::measured(3 * MILLISECOND, MILLISECOND);
        assert_eq!(three_gigahertz.megahertz(), 3000);
        assert_eq!(three_gigahertz.ticks(SECOND), 3 * SECOND);
        // One part in 2^30 is lost behind the point.
        assert!((SECOND - 2..=SECOND).contains(&three_gigahertz.nanos(3 * SECOND)));
        let slow = Rate::measured(1, SECOND);
        assert_eq!((slow.nanos(7), slow.ticks(7 * SECOND)), (7 * SECOND, 6), "fractions are cut off");
    }

    #[test]
    fn time_never_goes_back_while_the_counter_goes_on() {
        for ticks in [1_193_182, 62_500_000, 999_999_937, 2_112_345_678, 5_000_000_001] {
            let rate = Rate::measured(ticks, SECOND);
            let mut last = 0;
            for count in (0..100_000).chain((1 << 52)..(1 << 52) + 1000) {
                let now = rate.nanos(count);
                assert!(now >= last, "{ticks} ticks a second, at {count}");
                last = now;
            }
        }
    }

    #[test]
    fn a_clock_counts_from_its_start() {
        let clock = Clock::new(Stamp(1000), Rate::measured(4, 1));
        assert_eq!([0, 999, 1000, 1003, 1004, 5000].map(|stamp| clock.time_of(Stamp(stamp))), [0, 0, 0, 0, 1, 1000]);
    }

    #[test]
    fn a_counter_that_stands_still_is_no_division_by_zero() {
        let still = Rate::measured(0, MILLISECOND);
        assert_eq!(still.nanos(1), MILLISECOND);
        let unknown = Rate::measured(5, 0);
        assert_eq!(unknown.ticks(1), 5);
    }

    #[test]
    fn ticks_of_a_time_that_is_too_long_saturate() {
        let fast = Rate::measured(4, 1);
        assert_eq!((fast.ticks(u64::MAX / 4), fast.ticks(u64::MAX)), (u64::MAX - 3, u64::MAX));
    }

    #[test]
    fn a_timer_never_ends_early_and_never_counts_nothing() {
        let rate = Rate::measured(62_500, MILLISECOND);
        assert_eq!(rate.timer_count(0), 1, "a count of 0 would stop the timer");
        for nanos in [1, 15, 16, 17, 999, MILLISECOND, SECOND] {
            // The first tick may come at once.
            let shortest = rate.nanos(u64::from(rate.timer_count(nanos)) - 1);
            assert!(shortest + 16 > nanos, "{nanos} ns end after {shortest} ns at the earliest");
        }
        assert_eq!(rate.timer_count(u64::MAX), u32::MAX);
        assert_eq!(rate.timer_count(rate.nanos(u64::from(u32::MAX) + 5)), u32::MAX);
    }

    #[test]
    fn measurements_agree_within_one_part_in_128() {
        let rate = |ticks| Rate::measured(ticks, MILLISECOND);
        assert!(rate(1_000_000).agrees_with(rate(1_000_000)));
        assert!(rate(1_000_000).agrees_with(rate(1_007_500)) && rate(1_007_500).agrees_with(rate(1_000_000)));
        assert!(!rate(1_000_000).agrees_with(rate(1_008_500)) && !rate(1_008_500).agrees_with(rate(1_000_000)));
        assert!(!rate(1_000_000).agrees_with(rate(4_000_000)));
    }
    const REFERENCE_RATE: u64 = 1_193_182;
    const STAMP_RATE: u64 = 2_600_000_000;
    const OTHER_RATE: u64 = 62_500_000;
    /// How long reading one counter takes.
    const READ_TIME: Nanos = 1000;

    /// Counters of a processor that now and then stands still.
    struct Counters<F> {
        now: Nanos,
        reads: u64,
        /// How long the processor stands still before the counter is read whose number it is given.
        interruption: F,
    }

    impl<F: Fn(u64) -> Nanos> Counters<F> {
        fn ticks(&mut self, rate: u64) -> u64 {
            self.now += READ_TIME + (self.interruption)(self.reads);
            self.reads += 1;
            (u128::from(self.now) * u128::from(rate) / u128::from(SECOND)) as u64
        }

        fn reading(&mut self) -> Reading {
            let stamp = self.ticks(STAMP_RATE);
            let reference = self.ticks(REFERENCE_RATE) as u16;
            let other = u32::MAX.wrapping_sub(self.ticks(OTHER_RATE) as u32);
            Reading { stamp, reference, other, duration: self.ticks(STAMP_RATE) - stamp }
        }
    }

    /// Returns true if the rates are found where `interruption` says how long the processor stands still.
    fn is_calibrated(interruption: impl Fn(u64) -> Nanos) -> bool {
        let mut counters = Counters { now: 0, reads: 0, interruption };
        let rates = calibrate(REFERENCE_RATE, || counters.reading());
        let near = |rate: Rate, hertz: u64| rate.ticks(SECOND).abs_diff(hertz) < hertz / 500;
        near(rates.stamp, STAMP_RATE) && near(rates.other, OTHER_RATE)
    }

    #[test]
    fn both_rates_are_found_where_nothing_interrupts() {
        assert!(is_calibrated(|_| 0));
    }

    #[test]
    fn interruptions_of_any_length_at_any_place_do_not_matter() {
        for length in [2, 30, 54, 56, 200, 3000].map(|milliseconds| milliseconds * MILLISECOND) {
            for at in 0..700 {
                assert!(is_calibrated(|read| if read == at { length } else { 0 }), "{length} ns before read {at}");
            }
        }
    }

    #[test]
    fn a_processor_that_stands_still_most_of_the_time_finds_the_rates() {
        for period in [37, 101, 500] {
            assert!(
                is_calibrated(|read| if read % period == 0 { 20 * MILLISECOND } else { 0 }),
                "every {period} reads"
            );
        }
    }

    #[test]
    fn a_busy_host_that_interrupts_most_windows_for_longer_than_the_reference_counts_does_no_harm() {
        for seed in 1..=200u64 {
            // One interruption in about as many reads as a window has, each of another length.
            let random = |read: u64| (read ^ seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let interruption = |read: u64| match random(read) {
                number if number % 700 == 0 => (1 + number / 700 % 200) * MILLISECOND,
                _ => 0,
            };
            assert!(is_calibrated(interruption), "seed {seed}");
        }
    }

    #[test]
    fn where_the_rate_is_known_no_interruption_matters() {
        for length in [0, 60, 109, 3000].map(|milliseconds| milliseconds * MILLISECOND) {
            for period in [7, 9, 50, 101] {
                let interruption = |read: u64| if read % period == 5 { length } else { 0 };
                let mut counters = Counters { now: 0, reads: 0, interruption };
                let rates = calibrate_by_stamp(STAMP_RATE, || counters.reading());
                assert!(rates.stamp.ticks(SECOND).abs_diff(STAMP_RATE) <= 1);
                let (found, error) = (rates.other.ticks(SECOND), OTHER_RATE / 100);
                // With interruptions in each reading the two counters are read apart.
                assert!(
                    period < 50 && length > 0 || found.abs_diff(OTHER_RATE) < error,
                    "{found} at {period}, {length}"
                );
            }
        }
    }
}
