//! Tests that do not pass. `./run-qemu.sh --deliberate` runs them to show how failures are reported.

use super::{tasks, tests};
use crate::check;

tests! { "deliberate":
    fail,
    leave,
    slow.limit(300),
    hang.limit(0),
}

fn fail() {
    check::equal("two and two", 2 + 2, 5);
}

/// Two children go on when the test has ended.
fn leave() {
    for _ in 0..2 {
        tasks::child("sleep").start().expect("the child starts");
    }
}

fn slow() {
    spin_for_ever();
}

/// The harness has no limit for this test.
fn hang() {
    spin_for_ever();
}

fn spin_for_ever() -> ! {
    loop {
        crate::spin();
    }
}
