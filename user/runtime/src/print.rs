//! Writing to the console.

use crate::sys;
use abi::trap::unix::WRITE;
use core::fmt::{self, Write};

const STDOUT: u64 = 1;

/// Bytes that are collected before they are written, so that a line costs one trap.
const BUFFER: usize = 256;

/// Writes bytes to the console.
pub fn write_console(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match sys::unix_trap(WRITE, [STDOUT, bytes.as_ptr() as u64, bytes.len() as u64, 0]) {
            Ok(written) => bytes = &bytes[(written as usize).min(bytes.len())..],
            Err(_) => return,
        }
    }
}

struct Console {
    buffer: heapless::Vec<u8, BUFFER>,
}

impl Console {
    fn flush(&mut self) {
        write_console(&self.buffer);
        self.buffer.clear();
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.as_bytes().chunks(BUFFER) {
            if self.buffer.extend_from_slice(piece).is_err() {
                self.flush();
                let _ = self.buffer.extend_from_slice(piece);
            }
        }
        Ok(())
    }
}

/// Prints formatted text: the function behind [`print!`](crate::print!).
#[doc(hidden)]
pub fn print_to_console(arguments: fmt::Arguments<'_>) {
    let mut console = Console { buffer: heapless::Vec::new() };
    // Writing to this console returns no error.
    let _ = console.write_fmt(arguments);
    console.flush();
}

/// Prints to the console.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => { $crate::print_to_console(format_args!($($argument)*)) };
}

/// Prints to the console, with a line feed at the end.
#[macro_export]
macro_rules! println {
    () => { $crate::print_to_console(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::print_to_console(format_args!("{}\n", format_args!($($argument)*))) };
}
