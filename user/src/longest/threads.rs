//! Threads.

use super::memory::end_of;
use super::{Row, measured};
use crate::message::{Message, port_with_send};
use crate::policy;
use crate::thread::{self, Thread};
use crate::time::{self, sleep};
use abi::PortName;
use abi::debug::LongestStep;
use abi::policy::{PRIO_DARWIN_BG, PRIO_DARWIN_PROCESS};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("end of a task with 127 threads", || end_of("threads")),
    ("ulock_wake of 126 threads", wake_all),
    ("126 threads whose time has come", wake_by_time),
    ("end of a port from which 126 threads receive", end_with_receivers),
    ("a new policy of a task with 126 threads", change_policy),
];

/// Threads that are kept.
pub(super) type Threads = Vec<Thread>;

/// Starts a thread with a name as its argument.
pub(super) fn start(function: fn(u64), name: PortName) -> Thread {
    Thread::start(function, u64::from(name.0)).expect("there is room for a thread")
}

/// Starts as many threads as a task may have, with a name as their argument.
pub(super) fn fill_with(kept: &mut Threads, function: fn(u64), name: PortName) {
    while let Ok(thread) = Thread::start(function, u64::from(name.0)) {
        kept.push(thread);
    }
}

/// Starts as many threads as a task may have.
pub(super) fn fill(kept: &mut Threads, function: fn(u64)) {
    fill_with(kept, function, PortName(0));
}

static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits for a word that does not change.
pub(super) fn wait_for_ever(_: u64) {
    let _ = thread::wait_on_word(&WORD, 0, 0);
}

fn wake_all() -> LongestStep {
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_ever);
    sleep(10);
    measured(|| {
        let _ = thread::wake_word(&WORD, true);
    })
}

/// Waits for a moment that is the same for all.
fn wait_for_moment(_: u64) {
    let _ = time::wait_until(MOMENT.load(Ordering::Relaxed));
}

/// That moment, in nanoseconds since boot.
static MOMENT: AtomicU64 = AtomicU64::new(0);

fn wake_by_time() -> LongestStep {
    let moment = time::now() + 1_000_000_000;
    MOMENT.store(moment, Ordering::Relaxed);
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_moment);
    sleep(10);
    measured(|| {
        let _ = time::wait_until(moment + 10_000_000);
    })
}

fn receiver(name: u64) {
    let _ = Message::receive(PortName(name as u32));
}

fn end_with_receivers() -> LongestStep {
    let mut kept = Threads::new();
    let port = port_with_send();
    fill_with(&mut kept, receiver, port.name());
    sleep(10);
    measured(|| drop(port))
}

fn change_policy() -> LongestStep {
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_ever);
    sleep(10);
    measured(|| policy::set_priority(PRIO_DARWIN_PROCESS, 0, PRIO_DARWIN_BG).expect("the task is its own"))
}
