//! Events that the kernel records (trap `trace_control`, for user 0), and what a program tells of itself (`trace_note`).

use crate::sys::trap;
use abi::KernReturn;
use abi::PortName;
use abi::event::*;
use abi::trap::tally::{TRACE_CONTROL, TRACE_NOTE};

fn control(operation: u32) -> Result<(), KernReturn> {
    KernReturn(trap(TRACE_CONTROL, [operation.into(), EVENT_VERSION.into(), 0, 0, 0, 0]) as i32).ok()
}

/// Starts recording, for [`read`].
///
/// # Errors
/// Those of the trap, here and below.
pub fn start() -> Result<(), KernReturn> {
    control(TRACE_START)
}

/// Starts recording, with each event written to the trace device.
pub fn stream() -> Result<(), KernReturn> {
    control(TRACE_STREAM)
}

/// Stops recording.
pub fn stop() -> Result<(), KernReturn> {
    control(TRACE_STOP)
}

/// Moves recorded events to a buffer and returns those that it has then.
pub fn read(events: &mut [EventRecord]) -> &[EventRecord] {
    let (at, size) = (events.as_mut_ptr() as u64, size_of_val(events) as u64);
    let count = trap(TRACE_CONTROL, [TRACE_READ.into(), EVENT_VERSION.into(), at, size, 0, 0]);
    &events[..count as usize]
}

/// Records a note of [`abi::event::note`] with its arguments and a voucher, by its name. Returns true if events are
/// recorded; otherwise nothing happens.
pub fn tell(note: u64, arguments: [u64; 3], voucher: PortName) -> bool {
    let [a, b, c] = arguments;
    trap(TRACE_NOTE, [note, a, b, c, voucher.0.into(), 0]) == 1
}
