//! The recorder of events.
//!
//! Every layer is passed the step, so every layer can record what happens in it. While nothing is recorded, which is the
//! usual state, that costs the test of one flag; the fast path does not even test that, because it is not taken while
//! events are recorded ([`Step::is_quiet`](crate::step::Step::is_quiet)).
//!
//! Events wait in a ring until a program reads them or they are written to the trace device. An event that finds the ring
//! full is lost, and counted in the next one that does not. So recording blocks nothing.

use crate::ids::{MessageId, PortId, VoucherId};
use crate::machine::{Cpu, Nanos, NoMemory};
use abi::event::{EventRecord, kind};
use abi::port::PortName;
use alloc::vec::Vec;

/// The number of events that the ring holds.
const RING_SIZE: usize = 2048;

/// An event: its kind, and arguments as the kind says (`abi::event::kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    kind: u16,
    arguments: [u64; 5],
}

impl Event {
    /// Returns an event of this kind with the first of its arguments; the others are 0.
    #[inline]
    pub fn new<const N: usize>(kind: u16, first: [u64; N]) -> Event {
        let mut arguments = [0; 5];
        arguments[..N].copy_from_slice(&first);
        Event { kind, arguments }
    }

    /// A task began. The name of its program is cut to 24 bytes.
    pub fn task_begun(pid: u32, parent: u32, name: &str) -> Event {
        let mut text = [0; 24];
        let length = name.len().min(text.len());
        text[..length].copy_from_slice(&name.as_bytes()[..length]);
        let word = |n: usize| u64::from_le_bytes(text[8 * n..8 * n + 8].try_into().expect("8 bytes"));
        Event::new(kind::TASK_BEGUN, [pid.into(), parent.into(), word(0), word(1), word(2)])
    }

    /// A message was queued at a port, in this place.
    pub fn queued(message: MessageId, port: PortId, position: usize) -> Event {
        Event::new(kind::MESSAGE_QUEUED, [message.to_bits(), port.to_bits(), position as u64])
    }

    /// An event of a message and its port.
    pub fn message(kind: u16, message: MessageId, port: Option<PortId>) -> Event {
        Event::new(kind, [message.to_bits(), port.map_or(0, PortId::to_bits)])
    }

    /// An event of a right under a name of a task.
    pub fn right(kind: u16, port: PortId, pid: Option<u32>, name: PortName, right: u32) -> Event {
        Event::new(kind, [port.to_bits(), pid.unwrap_or(0).into(), name.0.into(), right.into()])
    }

    /// An event of a voucher and a task or thread.
    pub fn voucher(kind: u16, voucher: Option<VoucherId>, other: u64) -> Event {
        Event::new(kind, [voucher.map_or(0, VoucherId::to_bits), other])
    }
}

/// The recorder of events.
#[derive(Debug, Default)]
pub struct Trace {
    on: bool,
    /// Events go to the trace device when a step ends.
    streams: bool,
    /// The present step.
    now: Nanos,
    thread: u64,
    cpu: u16,
    /// The trap that the step handles, if it is one.
    trap: Option<u32>,
    ring: Vec<EventRecord>,
    /// The place of the oldest event in the ring.
    first: usize,
    /// The number of events in the ring.
    len: usize,
    /// The number of events that were lost since the last that was not.
    lost: u32,
}

impl Trace {
    /// Returns true if events are recorded.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Returns true if events are recorded and go to the trace device when a step ends.
    pub fn streams(&self) -> bool {
        self.streams
    }

    /// Begins to record. The events in the ring are forgotten.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none for the ring; nothing has changed.
    pub(crate) fn start(&mut self, streams: bool) -> Result<(), NoMemory> {
        if self.ring.is_empty() {
            let mut ring = store::try_with_capacity(RING_SIZE)?;
            ring.resize(RING_SIZE, EventRecord::default());
            self.ring = ring;
        }
        (self.on, self.streams) = (true, streams);
        (self.first, self.len, self.lost) = (0, 0, 0);
        Ok(())
    }

    /// Stops recording, and gives the memory of the ring back.
    pub(crate) fn stop(&mut self) {
        *self = Trace::default();
    }

    /// Begins a step: its events have this time and this acting thread, by its number. Records the trap if it is one.
    pub fn begin_step(&mut self, now: Nanos, cpu: Cpu, thread: u64, trap: Option<u32>) {
        (self.now, self.cpu, self.thread, self.trap) = (now, cpu as u16, thread, trap);
        if let Some(trap) = trap {
            self.record(|| Event::new(kind::TRAP_ENTERED, [trap.into()]));
        }
    }

    /// Records that the trap of this step is over and returns `result`.
    pub fn trap_left(&mut self, result: u64) {
        if let Some(trap) = self.trap {
            self.record(|| Event::new(kind::TRAP_LEFT, [trap.into(), result]));
        }
    }

    /// Records an event. It is made only if events are recorded. `event` is a `move` closure where each instruction
    /// counts: its caller can then keep in registers what it captures.
    #[inline(always)]
    pub fn record(&mut self, event: impl FnOnce() -> Event) {
        if self.on {
            self.record_now(event);
        }
    }

    #[cold]
    #[inline(never)]
    fn record_now(&mut self, event: impl FnOnce() -> Event) {
        self.push(event());
    }

    fn push(&mut self, Event { kind, arguments }: Event) {
        if self.len == self.ring.len() {
            self.lost = self.lost.saturating_add(1);
            return;
        }
        let place = (self.first + self.len) % self.ring.len();
        let lost = core::mem::take(&mut self.lost);
        let (time, thread, cpu) = (self.now, self.thread, self.cpu);
        self.ring[place] = EventRecord { time, thread, kind, cpu, lost, arguments };
        self.len += 1;
    }

    /// Removes the oldest event and returns it.
    pub fn pop(&mut self) -> Option<EventRecord> {
        self.len = self.len.checked_sub(1)?;
        let event = self.ring[self.first];
        self.first = (self.first + 1) % self.ring.len();
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u64) -> Event {
        Event::new(kind::PORT_DIED, [number])
    }

    #[test]
    fn events_are_read_in_their_order_and_lost_ones_are_counted() {
        let mut trace = Trace::default();
        trace.record(|| panic!("no event is made while nothing is recorded"));
        trace.start(false).unwrap();
        trace.begin_step(7, 0, 3, None);
        for number in 0..RING_SIZE as u64 + 5 {
            trace.record(|| event(number));
        }
        let first = trace.pop().unwrap();
        assert_eq!((first.time, first.thread, first.kind, first.arguments[0]), (7, 3, kind::PORT_DIED, 0));
        trace.record(|| event(9999));
        let rest: Vec<EventRecord> = core::iter::from_fn(|| trace.pop()).collect();
        assert_eq!(rest.len(), RING_SIZE);
        assert!(rest.iter().take(RING_SIZE - 1).zip(1..).all(|(event, number)| event.arguments[0] == number));
        assert_eq!((rest[RING_SIZE - 1].lost, rest[RING_SIZE - 1].arguments[0]), (5, 9999));
        trace.stop();
        assert!(!trace.is_on() && trace.pop().is_none());
    }

    #[test]
    fn the_name_of_a_program_is_cut() {
        let Event { arguments, .. } = Event::task_begun(2, 1, "a-program-with-a-very-long-name");
        let bytes: Vec<u8> = arguments[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(bytes, b"a-program-with-a-very-lo");
    }
}
