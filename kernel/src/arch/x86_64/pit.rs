//! The programmable interval timer (Intel 8254) as a reference: its rate is the same on every PC.

use x86_64::instructions::port::Port;

/// Ticks in a second.
pub const RATE: u64 = 1_193_182;

const CHANNEL_2: u16 = 0x42;
const COMMAND: u16 = 0x43;
/// Channel 2, both bytes of the count, mode 0: the count goes down, through 0, for ever.
const COUNT_DOWN: u8 = 0b1011_0000;
/// Channel 2: the count of this moment is read next.
const LATCH: u8 = 0b1000_0000;
/// The register with the gate of channel 2 (bit 0) and the speaker's switch (bit 1).
const GATE: u16 = 0x61;

/// Channel 2, counting. It raises no interrupt, and the speaker stays off.
#[derive(Debug)]
pub struct IntervalTimer {
    command: Port<u8>,
    channel: Port<u8>,
}

impl IntervalTimer {
    /// Starts the count at its top.
    pub fn start() -> IntervalTimer {
        let (mut gate, mut command, mut channel) =
            (Port::<u8>::new(GATE), Port::<u8>::new(COMMAND), Port::<u8>::new(CHANNEL_2));
        // SAFETY: These ports control the interval timer of every PC, which no other code uses.
        unsafe {
            let others = gate.read() & !0b11;
            gate.write(others | 1);
            command.write(COUNT_DOWN);
            channel.write(0xFF);
            channel.write(0xFF);
        }
        IntervalTimer { command, channel }
    }

    /// Returns the ticks since the start, modulo 2^16: it starts again every 55 ms.
    pub fn ticks(&mut self) -> u16 {
        // SAFETY: As for `start`. Latching does not disturb the count.
        let count = unsafe {
            self.command.write(LATCH);
            u16::from_le_bytes([self.channel.read(), self.channel.read()])
        };
        u16::MAX - count
    }
}
