//! The clock, sleeping, giving the processor away.

use crate::sys::trap;
use abi::KernReturn;
use abi::trap::mach::{MACH_WAIT_UNTIL, SWTCH, SWTCH_PRI, THREAD_SWITCH};
use abi::trap::tally::TIME;

/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds since boot.
pub fn now() -> u64 {
    trap(TIME, [0; 6])
}

/// Waits until the clock shows `deadline`.
pub fn wait_until(deadline: u64) -> KernReturn {
    KernReturn(trap(MACH_WAIT_UNTIL, [deadline, 0, 0, 0, 0, 0]) as i32)
}

/// Waits so many milliseconds.
pub fn sleep(milliseconds: u64) {
    // It ends early only if somebody aborts it.
    let _ = wait_until(now() + milliseconds * MILLISECOND);
}

/// Lets every other thread that is ready go first; tells whether there was one.
pub fn yield_now() -> bool {
    trap(SWTCH, [0; 6]) != 0
}

/// The same by the other trap for it.
pub fn yield_at_lowest_priority() -> bool {
    trap(SWTCH_PRI, [0; 6]) != 0
}

/// `thread_switch`: see [`abi::trap::SWITCH_OPTION_NONE`] and its neighbours.
pub fn thread_switch(option: u32, milliseconds: u32) -> KernReturn {
    KernReturn(trap(THREAD_SWITCH, [0, u64::from(option), u64::from(milliseconds), 0, 0, 0]) as i32)
}

/// Computes until so much time is over.
pub fn spin(milliseconds: u64) {
    let end = now() + milliseconds * MILLISECOND;
    while now() < end {
        core::hint::spin_loop();
    }
}
