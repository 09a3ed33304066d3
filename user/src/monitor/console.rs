//! [`Console`]: what is typed, byte by byte.

use crate::sys;
use abi::trap::unix::READ;

/// Bytes of input that are taken at once.
const INPUT: usize = 64;

/// Input from the console.
#[derive(Debug)]
pub struct Console {
    bytes: [u8; INPUT],
    /// The place of the next byte in `bytes`.
    next: usize,
    /// The number of bytes in `bytes`.
    count: usize,
}

impl Default for Console {
    fn default() -> Self {
        Console { bytes: [0; INPUT], next: 0, count: 0 }
    }
}

impl Console {
    /// Returns the next byte. Waits for it if there is none.
    ///
    /// # Errors
    /// The error number of `read`.
    pub fn next_byte(&mut self) -> Result<u8, u64> {
        while self.next == self.count {
            self.count = read(&mut self.bytes)?;
            self.next = 0;
        }
        let byte = self.bytes[self.next];
        self.next += 1;
        Ok(byte)
    }

    /// Takes a byte that has been read already. Returns true if there was one.
    pub fn take_typed(&mut self) -> bool {
        let typed = self.next < self.count;
        self.next += usize::from(typed);
        typed
    }

    /// Waits for a byte, for a thread that has no console. No thread may read from a console meanwhile.
    ///
    /// # Errors
    /// The error number of `read`.
    pub fn read_one() -> Result<(), u64> {
        while read(&mut [0])? == 0 {}
        Ok(())
    }
}

/// Reads bytes from the console, as many as there are; waits for the first.
fn read(bytes: &mut [u8]) -> Result<usize, u64> {
    sys::unix_trap(READ, [0, bytes.as_mut_ptr() as u64, bytes.len() as u64, 0]).map(|count| count as usize)
}
