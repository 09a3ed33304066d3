//! The only things that boot says: why it gives up.

use core::fmt::{self, Write};
use core::panic::PanicInfo;

use boot::fault::Fault;
use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};
use x86_64::instructions::{hlt, port::Port};

/// The console.
pub const COM1: u16 = 0x3F8;
/// The log, on machines that have it.
pub const COM2: u16 = 0x2F8;
/// QEMU's isa-debug-exit device.
pub const EXIT_PORT: u16 = 0xF4;

/// A serial line as a text sink.
struct Line(Uart16550<PioBackend>);

impl Line {
    /// The line at `port`, if there is a device.
    fn open(port: u16) -> Option<Self> {
        // SAFETY: The ports of COM1 and COM2 belong to UARTs on every PC or are unassigned, which `init` finds out by
        // the scratch register; no other code of boot uses them.
        let mut uart = unsafe { Uart16550::new_port(port) }.ok()?;
        uart.init(Config::DEFAULT).ok()?;
        Some(Self(uart))
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.send_bytes_exact(text.as_bytes());
        Ok(())
    }
}

/// Prints the fault on the log, else on the console, and leaves the machine with its code; without an exit device the
/// processor sleeps for ever.
pub fn give_up(fault: Fault) -> ! {
    say(format_args!("boot: {fault}\n"));
    leave(fault)
}

fn say(message: fmt::Arguments<'_>) {
    if let Some(mut line) = Line::open(COM2).or_else(|| Line::open(COM1)) {
        // Writing to a `Line` cannot fail.
        let _ = line.write_fmt(message);
    }
}

fn leave(fault: Fault) -> ! {
    let mut exit = Port::<u32>::new(EXIT_PORT);
    // SAFETY: On a machine with isa-debug-exit this ends QEMU. Without it this port is unassigned.
    unsafe { exit.write(fault.code()) };
    loop {
        hlt();
    }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say(format_args!("boot: {}: {info}\n", Fault::Internal));
    leave(Fault::Internal)
}
