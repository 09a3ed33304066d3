//! The clock, beside another one that the machine has.

use super::tests;
use crate::check;
use crate::task::{self, thread_info};
use crate::thread::Thread;
use crate::time::{MILLISECOND, now, sleep};
use core::sync::atomic::{AtomicBool, Ordering};

tests! { "clock":
    three_seconds_are_as_long_by_another_clock,
    time_never_goes_back,
}

/// How far apart the two clocks may be: one in a hundred.
const PART: u64 = 100;

/// The thread wants to run every ten milliseconds meanwhile, as programs do.
fn three_seconds_are_as_long_by_another_clock() {
    let first = task::clocks();
    if first.other == 0 {
        // This machine has no other clock.
        return;
    }
    let mut last = first;
    while last.after - first.before < 3000 * MILLISECOND {
        sleep(10);
        last = task::clocks();
    }
    let other = last.other - first.other;
    // The other clock was read between the two readings of each pair, however far these are apart.
    let (least, most) = (last.before - first.after, last.after - first.before);
    check::that("the clock is not slow", other <= most + most / PART);
    check::that("the clock is not fast", other >= least - least / PART);
}

static DONE: AtomicBool = AtomicBool::new(false);

fn time_never_goes_back() {
    let spin = |_| {
        while !DONE.load(Ordering::Relaxed) {
            crate::spin();
        }
    };
    let other = Thread::start(spin, 0).expect("a thread");
    let mut last = now();
    let end = last + 50 * MILLISECOND;
    while last < end {
        let time = now();
        check::that("time goes on", time >= last);
        last = time;
    }
    DONE.store(true, Ordering::Relaxed);
    check::that("the other thread exists", thread_info(other.name()).is_ok());
}
