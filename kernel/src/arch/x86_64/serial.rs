//! Serial lines: the console and the log.

use core::fmt;
use kernel::line::Uart;
use uart_16550::backend::PioBackend;
use uart_16550::spec::registers::{FifoTriggerLevel, IER};
use uart_16550::{Config, Uart16550};

/// The console, for the output of programs.
pub const COM1: u16 = 0x3F8;
/// The input of the interrupt controllers that it is connected to, on every PC.
pub const COM1_LINE: u8 = 4;
/// The log, for the kernel's own messages. Without this line they go to the console.
pub const COM2: u16 = 0x2F8;
/// As [`COM1_LINE`].
pub const COM2_LINE: u8 = 3;

/// A serial line.
#[derive(Debug)]
pub struct Serial(Uart16550<PioBackend>);

impl Serial {
    /// Sets up the line at `port`. Returns `None` if there is no device.
    pub fn open(port: u16) -> Option<Serial> {
        // SAFETY: On every PC these ports belong to a UART or are unassigned, which `init` finds out.
        let mut uart = unsafe { Uart16550::new_port(port) }.ok()?;
        // A key that is typed is there at once.
        uart.init(Config { fifo_trigger_level: Some(FifoTriggerLevel::One), ..Config::DEFAULT }).ok()?;
        Some(Serial(uart))
    }

    /// Returns the line for the report of a panic: the log, or else the console, even if it is in use.
    pub fn in_emergency() -> Option<Serial> {
        [COM2, COM1].into_iter().find_map(Serial::at_the_end)
    }

    /// Returns the line at `port` for what is sent before the machine stops, even if it is in use.
    pub fn at_the_end(port: u16) -> Option<Serial> {
        // SAFETY: As above. Another user of the line does not come to use it again.
        let mut uart = unsafe { Uart16550::new_port(port) }.ok()?;
        uart.check_present().then_some(Serial(uart))
    }

    /// Sends bytes and waits until the device has them.
    pub fn send_all(&mut self, bytes: &[u8]) {
        self.0.send_bytes_exact(bytes);
    }
}

impl Uart for Serial {
    fn send(&mut self, bytes: &[u8]) -> usize {
        self.0.send_bytes(bytes)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        self.0.receive_bytes(buffer)
    }

    fn allow_interrupts(&mut self, input: bool, output: bool) {
        let mut allowed = IER::empty();
        allowed.set(IER::DATA_READY, input);
        allowed.set(IER::THR_EMPTY, output);
        self.0.enable_interrupts(allowed);
        self.0.disable_interrupts(!allowed);
    }

    fn has_reason(&mut self) -> bool {
        self.0.isr().has_pending_interrupt()
    }
}

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send_all(text.as_bytes());
        Ok(())
    }
}
