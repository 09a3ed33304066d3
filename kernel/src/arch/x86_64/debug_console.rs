//! QEMU's debug console: a device that takes bytes and never waits.

use x86_64::instructions::port::PortWriteOnly;

/// Its port. Where there is no such device nothing answers there, and writing has no effect.
const PORT: u16 = 0xE9;

/// Writes bytes.
pub fn write(bytes: &[u8]) {
    let mut port = PortWriteOnly::new(PORT);
    for &byte in bytes {
        // SAFETY: On a PC the port belongs to this device or to none.
        unsafe { port.write(byte) };
    }
}
