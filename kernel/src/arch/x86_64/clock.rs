//! The time, from the processor's time stamp counter, whose rate is measured once against the PC's interval timer.

use core::arch::x86_64::_rdtsc;
use kernel::machine::Nanos;
use x86_64::instructions::port::Port;

/// How long the measurement takes.
const MEASURED: Nanos = 2_000_000;
/// The interval timer's rate per second.
const PIT_RATE: u64 = 1_193_182;
/// Its count for [`MEASURED`].
const PIT_COUNT: u64 = PIT_RATE * MEASURED / 1_000_000_000;

const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
/// Channel 2, both bytes of the count, mode 0: the output rises when the count is over.
const PIT_ONCE: u8 = 0b1011_0000;
/// Controls channel 2: bit 0 starts it, bit 1 connects the speaker, bit 5 is its output.
const PIT_CONTROL: u16 = 0x61;

/// Fixed-point factors have this many bits behind the point.
const FRACTION: u32 = 32;

/// A counter's rate, as what a count is worth.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    nanos_per_tick: u64,
    ticks_per_nano: u64,
}

impl Rate {
    /// The rate of a counter that went on by `ticks` in [`MEASURED`].
    fn measured(ticks: u64) -> Rate {
        let ticks = ticks.max(1);
        Rate {
            nanos_per_tick: ((u128::from(MEASURED) << FRACTION) / u128::from(ticks)) as u64,
            ticks_per_nano: ((u128::from(ticks) << FRACTION) / u128::from(MEASURED)) as u64,
        }
    }

    /// How long so many ticks take.
    #[inline]
    pub fn nanos(self, ticks: u64) -> Nanos {
        ((u128::from(ticks) * u128::from(self.nanos_per_tick)) >> FRACTION) as u64
    }

    /// How many ticks begin in so much time, if that is a number.
    pub fn ticks(self, nanos: Nanos) -> u64 {
        let ticks = (u128::from(nanos) * u128::from(self.ticks_per_nano)) >> FRACTION;
        // The time may be as long as a program likes, and the counter faster than the clock.
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// The rate in MHz.
    pub fn megahertz(self) -> u64 {
        self.ticks(1000)
    }
}

/// The clock: nanoseconds since it was made.
#[derive(Debug)]
pub struct Clock {
    start: u64,
    rate: Rate,
}

impl Clock {
    /// Measures the time stamp counter, and another one that counts down and whose value `count` reads.
    pub fn calibrate(count: impl Fn() -> u32) -> (Clock, Rate) {
        start_interval_timer();
        let (start, other) = (time_stamp(), count());
        wait_for_interval_timer();
        let (end, other_end) = (time_stamp(), count());
        let clock = Clock { start, rate: Rate::measured(end - start) };
        (clock, Rate::measured(u64::from(other.wrapping_sub(other_end))))
    }

    /// The time.
    #[inline]
    pub fn now(&self) -> Nanos {
        self.rate.nanos(time_stamp().saturating_sub(self.start))
    }

    /// The counter's rate.
    pub fn rate(&self) -> Rate {
        self.rate
    }
}

#[inline]
fn time_stamp() -> u64 {
    // SAFETY: Every 64-bit processor has the instruction.
    unsafe { _rdtsc() }
}

fn start_interval_timer() {
    let (mut control, mut command, mut channel) =
        (Port::<u8>::new(PIT_CONTROL), Port::<u8>::new(PIT_COMMAND), Port::<u8>::new(PIT_CHANNEL_2));
    let [low, high, ..] = PIT_COUNT.to_le_bytes();
    // SAFETY: These ports control the interval timer of every PC, which nothing else uses; its interrupt is not that of
    // channel 2. The speaker stays off.
    unsafe {
        let rest = control.read() & !0b11;
        control.write(rest | 1);
        command.write(PIT_ONCE);
        channel.write(low);
        channel.write(high);
    }
}

fn wait_for_interval_timer() {
    let mut control = Port::<u8>::new(PIT_CONTROL);
    // SAFETY: Reading the port has no effect.
    while unsafe { control.read() } & (1 << 5) == 0 {}
}
