//! Tests of lines with a device that takes and brings bytes when the test says so, and raises interrupts as edges.

use super::*;
use std::collections::VecDeque;

/// A device with 16 bytes in each direction.
#[derive(Default)]
struct Device {
    sending: VecDeque<u8>,
    sent: Vec<u8>,
    come: VecDeque<u8>,
    allowed: (bool, bool),
    /// It has sent everything since it was last asked.
    became_empty: bool,
    was_high: bool,
    edges: u32,
    /// It has sent each byte as soon as it has it.
    is_instant: bool,
}

impl Device {
    fn is_high(&self) -> bool {
        self.allowed.0 && !self.come.is_empty() || self.allowed.1 && self.became_empty
    }

    /// Raises an interrupt if a reason has come where there was none.
    fn settle(&mut self) {
        let high = self.is_high();
        self.edges += u32::from(high && !self.was_high);
        self.was_high = high;
    }
}

impl Uart for Device {
    fn send(&mut self, bytes: &[u8]) -> usize {
        if !self.sending.is_empty() || bytes.is_empty() {
            return 0;
        }
        let count = bytes.len().min(16);
        if self.is_instant {
            self.sent.extend(&bytes[..count]);
            self.became_empty = true;
            self.settle();
            return count;
        }
        self.sending.extend(&bytes[..count]);
        self.became_empty = false;
        self.settle();
        count
    }

    fn receive(&mut self, buffer: &mut [u8]) -> usize {
        let count = buffer.len().min(self.come.len());
        buffer.iter_mut().zip(self.come.drain(..count)).for_each(|(to, byte)| *to = byte);
        self.settle();
        count
    }

    fn allow_interrupts(&mut self, input: bool, output: bool) {
        self.became_empty |= output && !self.allowed.1 && self.sending.is_empty();
        self.allowed = (input, output);
        self.settle();
    }

    fn has_reason(&mut self) -> bool {
        let high = self.is_high();
        self.became_empty = false;
        self.settle();
        high
    }
}

/// Lets the other end take `count` bytes, and serves the line when an interrupt comes.
fn take(line: &mut Line<Device>, count: usize) {
    for _ in 0..count {
        let Some(byte) = line.uart.sending.pop_front() else { return };
        line.uart.sent.push(byte);
        if line.uart.sending.is_empty() {
            line.uart.became_empty = true;
            line.uart.settle();
        }
        serve_if_raised(line);
    }
}

fn serve_if_raised(line: &mut Line<Device>) {
    if core::mem::take(&mut line.uart.edges) > 0 {
        line.serve();
    }
}

fn come(line: &mut Line<Device>, bytes: impl IntoIterator<Item = u8>) {
    line.uart.come.extend(bytes);
    line.uart.settle();
    serve_if_raised(line);
}

fn line() -> Line<Device> {
    let mut line = Line::new(Device::default());
    line.use_interrupts();
    line
}

#[test]
fn a_writer_finds_room_until_the_buffer_is_full_and_again_when_the_reader_has_read() {
    let mut line = line();
    let text: Vec<u8> = (0..1000).map(|at| at as u8).collect();
    let mut written = 0;
    while line.write(&text) {
        written += 1;
    }
    assert_eq!(written, (OUTPUT_SIZE - KEPT_FOR_KERNEL + 16) / 1000);
    assert!(!line.write(&text), "all or nothing");
    take(&mut line, 1000);
    assert!(line.write(&text));
    take(&mut line, 20_000);
    assert_eq!((line.output.len(), line.uart.sent.len()), (0, (written + 1) * 1000));
    assert!(line.uart.sent.chunks(1000).all(|part| part == text), "nothing is lost, doubled or out of order");
}

/// A reader that has read nothing for long may take everything at once.
#[test]
fn a_fast_device_takes_a_full_buffer_in_several_goes() {
    let mut line = line();
    while line.write(&[5; 1000]) {}
    let queued = line.output.len();
    assert!(queued > 4 * SENT_MAX);
    line.uart.sending.clear();
    line.uart.is_instant = true;
    (line.uart.became_empty, line.uart.edges) = (true, 1);
    let mut goes = 0;
    while line.uart.edges > 0 {
        let before = line.uart.sent.len();
        serve_if_raised(&mut line);
        assert!(line.uart.sent.len() - before <= SENT_MAX);
        goes += 1;
    }
    assert_eq!((line.uart.sent.len(), line.output.len()), (queued, 0));
    assert_eq!(goes, queued.div_ceil(SENT_MAX));
}

#[test]
fn input_and_output_go_on_beside_each_other_whoever_is_slow() {
    for chunk in [1, 7, 16, 40] {
        let mut line = line();
        let (mut written, mut typed, mut read) = (Vec::new(), Vec::new(), Vec::new());
        for step in 0..4000usize {
            let byte = (step * 31) as u8;
            if step % 3 != 0 && line.write(&[byte; 9]) {
                written.extend([byte; 9]);
            }
            if step % 5 == 0 {
                typed.extend([byte; 3]);
                come(&mut line, [byte; 3]);
            }
            // The reader of the input stops for a long time now and then.
            if step / 500 % 2 == 1 {
                let mut buffer = [0; 11];
                let count = line.read(&mut buffer);
                read.extend_from_slice(&buffer[..count]);
            }
            take(&mut line, chunk);
        }
        take(&mut line, 100_000);
        let mut buffer = [0; 4096];
        loop {
            let count = line.read(&mut buffer);
            if count == 0 {
                break;
            }
            read.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(line.uart.sent, written, "{chunk}");
        assert_eq!(read, typed, "{chunk}");
    }
}

#[test]
fn lines_of_the_kernel_have_room_that_programs_cannot_take_and_lost_ones_are_counted() {
    let mut line = line();
    while line.write(b"x") {}
    let mut lines = 0;
    while line.lost == 0 {
        line.log(format_args!("line {lines}"));
        lines += 1;
    }
    assert!(lines > 100);
    line.log(format_args!("another"));
    assert_eq!(line.lost, 2);
    take(&mut line, 20_000);
    line.log(format_args!("the last"));
    take(&mut line, 20_000);
    let sent = std::string::String::from_utf8(core::mem::take(&mut line.uart.sent)).unwrap();
    let expected =
        format!("tally: line {}\ntally: (2 lines are lost: nobody reads fast enough)\ntally: the last\n", lines - 2);
    assert!(sent.ends_with(&expected), "{sent}");
    assert!(sent.contains("xtally: line 0\ntally: line 1\n"));
}

#[test]
fn a_long_line_of_the_kernel_is_cut_off_between_characters() {
    let mut line = line();
    line.log(format_args!("{}", "ä".repeat(LINE_MAX)));
    take(&mut line, 20_000);
    let sent = std::string::String::from_utf8(line.uart.sent).expect("no character is cut in two");
    assert!(sent.len() <= LINE_MAX && sent.len() >= LINE_MAX - 3 && sent.ends_with("ä\n"));
}

#[test]
fn without_interrupts_a_writer_waits_for_the_device() {
    struct Quick(Vec<u8>);
    impl Uart for Quick {
        fn send(&mut self, bytes: &[u8]) -> usize {
            let count = bytes.len().min(16);
            self.0.extend_from_slice(&bytes[..count]);
            count
        }
        fn receive(&mut self, _: &mut [u8]) -> usize {
            0
        }
        fn allow_interrupts(&mut self, _: bool, _: bool) {
            panic!("there are none")
        }
        fn has_reason(&mut self) -> bool {
            panic!("there are none")
        }
    }
    let mut line = Line::new(Quick(Vec::new()));
    for _ in 0..20 {
        assert!(line.write(&[7; 1000]));
        assert_eq!(line.unsent(), [&[][..], &[][..]]);
    }
    assert_eq!(line.uart.0.len(), 20_000);
}

#[test]
fn what_has_not_been_sent_is_there_for_a_panic_and_for_the_end() {
    let mut line = line();
    assert!(line.write(&[1; 100]));
    let unsent: usize = line.unsent().iter().map(|part| part.len()).sum();
    assert_eq!(unsent + line.uart.sending.len(), 100);
    line.uart.sending.clear();
    line.output.clear();
    line.drain();
}
