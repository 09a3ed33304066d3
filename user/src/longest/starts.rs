//! The end of a task in the middle of starting others.

use super::Row;
use super::memory::{end_of, program};
use super::threads::Threads;
use crate::message::call_object;
use crate::task::{self, Spawn};
use crate::thread::{self, Thread};
use crate::time;
use abi::PortName;
use abi::mig::mach_port;
use abi::port::MACH_PORT_RIGHT_RECEIVE;
use abi::qos::Qos;
use abi::task::PAGE_SIZE;

pub(super) const ROWS: &[Row] = &[("end of a task whose threads start programs", || end_of(STARTERS))];

/// The kind of a task whose threads start programs.
pub(super) const STARTERS: &str = "starters";

/// Threads that start a program each.
const THREADS: u32 = 40;
/// Names of each of these programs, if it has memory for so many.
const NAMES: usize = 520;
/// The kernel memory and the pages of a program.
const KERNEL_BYTES: u64 = 128 << 10;
const PAGES: u64 = 100;
/// Nanoseconds in which a start does not get far.
const A_MOMENT: u64 = 70_000;

/// Starts a program that is loaded in several pieces.
fn start_one(_: u64) {
    let file = program(4096, PAGES * PAGE_SIZE);
    let _ = Spawn::image(file).kernel_bytes(KERNEL_BYTES).pages(PAGES).start();
}

/// Lets a thread start a program, and suspends it as soon as there is a task with this pid.
fn begin(pid: u32) -> Option<(Thread, PortName)> {
    let thread = Thread::suspended(start_one, 0).ok()?;
    thread.resume().expect("it is suspended");
    let child = (0..100).find_map(|_| {
        let _ = time::wait_until(time::now() + A_MOMENT);
        task::for_pid(pid).ok()
    });
    thread.suspend().expect("it has not ended");
    child.map(|child| (thread, child))
}

/// Has threads that are starting tasks, and gives those tasks many names: somebody might wait for the end of each.
pub(super) fn hold(kept: &mut Threads) {
    let own = task::pid() as u32;
    // This thread comes between the pieces of a start.
    thread::set_own_qos(Qos::UserInteractive).expect("there is room for a thread");
    for (thread, child) in (1..=THREADS).map_while(|number| begin(own + number)) {
        let named =
            (0..NAMES).take_while(|_| call_object(child, mach_port::ALLOCATE, &[MACH_PORT_RIGHT_RECEIVE]).is_ok());
        let _ = named.count();
        kept.push(thread);
    }
    assert!(kept.len() > 16, "there are fewer than end in one slice");
}
