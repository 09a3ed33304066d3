//! The clock, sleeping, yielding.

use crate::sys::trap;
use abi::KernReturn;
use abi::trap::mach::{MACH_WAIT_UNTIL, SWTCH, SWTCH_PRI, THREAD_SWITCH};
use abi::trap::tally::{CPU_COUNT, TIME};

/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// Returns the nanoseconds since boot.
pub fn now() -> u64 {
    trap(TIME, [0; 6])
}

/// Returns the number of processors.
pub fn processors() -> usize {
    trap(CPU_COUNT, [0; 6]) as usize
}

/// Waits until the clock shows `deadline`: `mach_wait_until`.
pub fn wait_until(deadline: u64) -> KernReturn {
    KernReturn(trap(MACH_WAIT_UNTIL, [deadline, 0, 0, 0, 0, 0]) as i32)
}

/// Waits for this many milliseconds.
pub fn sleep(milliseconds: u64) {
    // The wait ends early only if another thread aborts it.
    let _ = wait_until(now() + milliseconds * MILLISECOND);
}

/// Yields to all other ready threads. Returns true if there was one.
pub fn yield_now() -> bool {
    trap(SWTCH, [0; 6]) != 0
}

/// Yields by the trap `swtch_pri`, as [`yield_now`] does by `swtch`.
pub fn yield_at_lowest_priority() -> bool {
    trap(SWTCH_PRI, [0; 6]) != 0
}

/// Calls `thread_switch` with [`abi::trap::SWITCH_OPTION_NONE`] or another of these options.
pub fn thread_switch(option: u32, milliseconds: u32) -> KernReturn {
    KernReturn(trap(THREAD_SWITCH, [0, u64::from(option), u64::from(milliseconds), 0, 0, 0]) as i32)
}
