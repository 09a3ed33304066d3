//! A serial line with a buffer for each direction, so that nobody but a writer waits for whoever reads the other end.
//!
//! The line's device raises an interrupt when it has sent what it had, and when something has come. Interrupts are
//! edges: one is raised only if the device had no reason for one before. So [`Line::serve`] goes on until the device has
//! none left, and takes what has come even if nobody wants it yet.

use alloc::boxed::Box;
use core::fmt::{self, Write};
use heapless::{Deque, String};

/// Bytes on their way out.
pub const OUTPUT_SIZE: usize = 8192;

/// Bytes of [`OUTPUT_SIZE`] that are kept for the kernel's own lines.
const KEPT_FOR_KERNEL: usize = 2048;

/// Bytes that are sent in one go, at most, however fast the device is. Each takes some 30 instructions.
const SENT_MAX: usize = 1024;

/// Bytes that have come and that nobody has read.
const INPUT_SIZE: usize = 256;

/// The longest line of the kernel; more of it is cut off.
const LINE_MAX: usize = 512;

/// How often the device is looked at in one go, at most. It has few reasons for interrupts; a broken one may have more.
const LOOKS_MAX: usize = 64;

/// The device of a line. No operation waits.
pub trait Uart {
    /// Sends as many of the bytes as the device takes now, and returns their number.
    fn send(&mut self, bytes: &[u8]) -> usize;
    /// Takes bytes that have come, and returns their number.
    fn receive(&mut self, buffer: &mut [u8]) -> usize;
    /// Lets the device raise interrupts when something has come, or when it has sent everything.
    fn allow_interrupts(&mut self, input: bool, output: bool);
    /// Returns true if the device has a reason for an interrupt, and takes back those that asking takes back.
    fn has_reason(&mut self) -> bool;
}

/// A line.
#[derive(Debug)]
pub struct Line<U> {
    uart: U,
    /// By itself, because the kernel's stack has no room to hand it on.
    output: Box<Deque<u8, OUTPUT_SIZE>>,
    input: Deque<u8, INPUT_SIZE>,
    /// The device can raise interrupts. Without them every writer waits for the device.
    interrupts: bool,
    /// Those that are allowed: input, output.
    allowed: (bool, bool),
    /// Lines of the kernel that found no room.
    lost: u32,
}

impl<U: Uart> Line<U> {
    /// Returns a line without interrupts.
    pub fn new(uart: U) -> Line<U> {
        Line { uart, output: Box::default(), input: Deque::new(), interrupts: false, allowed: (false, false), lost: 0 }
    }

    /// Begins to use interrupts, each of which must lead to [`serve`](Line::serve).
    pub fn use_interrupts(&mut self) {
        self.interrupts = true;
        self.serve();
    }

    /// Sends all of a program's bytes, or none if there is no room for all of them: then an interrupt comes when there is
    /// more. At most [`CONSOLE_WRITE_MAX`](crate::limits::CONSOLE_WRITE_MAX) always find room some time.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.put(bytes, OUTPUT_SIZE - KEPT_FOR_KERNEL)
    }

    fn put(&mut self, bytes: &[u8], limit: usize) -> bool {
        if self.output.len() + bytes.len() > limit {
            return false;
        }
        for &byte in bytes {
            self.output.push_back(byte).expect("there is room");
        }
        if self.interrupts {
            self.serve();
        } else {
            self.drain();
        }
        true
    }

    /// Sends a line of the kernel, which waits for nobody: without room for it the line is lost, and the next one says
    /// how many were.
    pub fn log(&mut self, text: fmt::Arguments<'_>) {
        if self.lost > 0 {
            let lost = self.lost;
            if !self.put_line(format_args!("({lost} lines are lost: nobody reads fast enough)")) {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        self.lost += u32::from(!self.put_line(text));
    }

    fn put_line(&mut self, text: fmt::Arguments<'_>) -> bool {
        let mut line = String::<LINE_MAX>::new();
        // What does not fit is cut off.
        let _ = write!(Cut(&mut line), "tally: {text}");
        let end = LINE_MAX - 1;
        if line.len() > end {
            let end = (0..=end).rev().find(|&at| line.is_char_boundary(at)).unwrap_or(0);
            line.truncate(end);
        }
        line.push('\n').expect("there is room for the end");
        self.put(line.as_bytes(), OUTPUT_SIZE)
    }

    /// Takes bytes that have come. Returns their number.
    pub fn read(&mut self, buffer: &mut [u8]) -> usize {
        self.serve();
        let taken = buffer.len().min(self.input.len());
        for byte in &mut buffer[..taken] {
            *byte = self.input.pop_front().expect("there are as many");
        }
        if taken > 0 {
            self.serve();
        }
        taken
    }

    /// Sends and receives what the device can now, but not everything in one go. An interrupt comes for the rest.
    pub fn serve(&mut self) {
        let mut room = SENT_MAX;
        for _ in 0..LOOKS_MAX {
            self.receive();
            loop {
                let sent = self.send(room);
                room -= sent;
                if sent == 0 {
                    break;
                }
            }
            if !self.interrupts {
                return;
            }
            let wanted = (!self.input.is_full(), !self.output.is_empty());
            if room == 0 && wanted.1 {
                // A device that is ready raises an interrupt when that is allowed anew.
                self.uart.allow_interrupts(false, false);
                self.uart.allow_interrupts(wanted.0, wanted.1);
                self.allowed = wanted;
                return;
            }
            if self.allowed != wanted {
                self.allowed = wanted;
                self.uart.allow_interrupts(wanted.0, wanted.1);
            }
            if !self.uart.has_reason() {
                return;
            }
        }
    }

    fn receive(&mut self) {
        let mut bytes = [0; 16];
        loop {
            let room = (INPUT_SIZE - self.input.len()).min(bytes.len());
            let count = self.uart.receive(&mut bytes[..room]);
            if count == 0 {
                return;
            }
            for &byte in &bytes[..count] {
                self.input.push_back(byte).expect("there is room");
            }
        }
    }

    /// Sends what the device takes of so many bytes, and returns their number.
    fn send(&mut self, most: usize) -> usize {
        let bytes = self.output.as_slices().0;
        let count = self.uart.send(&bytes[..bytes.len().min(most)]);
        for _ in 0..count {
            self.output.pop_front();
        }
        count
    }

    /// Sends everything, and waits for the device.
    pub fn drain(&mut self) {
        while !self.output.is_empty() {
            self.send(OUTPUT_SIZE);
        }
    }

    /// Returns what has not been sent, in two parts, for a panic.
    pub fn unsent(&self) -> [&[u8]; 2] {
        let (first, second) = self.output.as_slices();
        [first, second]
    }
}

/// Takes as much of a text as fits.
struct Cut<'a>(&'a mut String<LINE_MAX>);

impl Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = LINE_MAX - self.0.len();
        let end = (0..=text.len().min(room)).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        self.0.push_str(&text[..end]).map_err(|_| fmt::Error)
    }
}

#[cfg(test)]
mod tests;
