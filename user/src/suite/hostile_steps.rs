//! Hostile programs that make the kernel take long steps: how long others wait for it meanwhile is measured in
//! instructions. The table of longest steps (`longest`) has such calls too, beside tasks that hold much.

use super::tasks::child;
use super::tests;
use crate::check;
use crate::longest::{BOUND, memory, walks};
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::sys::machine::time_stamp;
use crate::sys::trap;
use crate::task::{self, Spawn};
use crate::thread::{Gate, Thread};
use crate::time::{now, sleep, wait_until};
use abi::PortName;
use abi::code::MACH_MSG_SUCCESS;
use abi::port::*;
use abi::qos::Qos;
use abi::task::{ExitStatus, VM_FLAGS_OVERWRITE, VM_PROT_READ};
use abi::trap::tally::CPU_COUNT;
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

tests! { "hostile_steps":
    rights_are_sent_to_the_end_of_a_chain_while_others_run.large(),
    nobody_pays_for_the_rights_that_a_dead_task_has_left.large(),
    much_memory_is_given_and_taken_while_others_run.large(),
    a_large_program_starts_while_others_run.large(),
}

/// Nanoseconds between two wake-ups of the bystander.
const PERIOD: u64 = 20_000;
/// Cheapest traps after each.
const TRAPS: u32 = 8;
/// Instructions that such a trap takes at most, with an interrupt of the timer.
const TRAP_MAX: u64 = 20_000;
/// Instructions for which the bystander may wait. The bound is for the release build; each step takes more in a debug build.
const WAIT_MAX: u64 = if cfg!(debug_assertions) { 2 * BOUND } else { BOUND };

/// Closed until the bystander has its class.
static GATE: Gate = Gate::new();
static DONE: AtomicBool = AtomicBool::new(false);
/// The longest time in nanoseconds for which the bystander was ready and did not run. A nanosecond is an instruction.
static LATEST: AtomicU64 = AtomicU64::new(0);
/// The longest time of a cheapest trap of the bystander, in instructions.
static LONGEST_TRAP: AtomicU64 = AtomicU64::new(0);

/// Wants to run again and again, more urgently than the test, and makes its traps.
fn bystander(_: u64) {
    GATE.pass();
    while !DONE.load(Ordering::Relaxed) {
        let moment = now() + PERIOD;
        let _ = wait_until(moment);
        LATEST.fetch_max(now() - moment, Ordering::Relaxed);
        for _ in 0..TRAPS {
            let start = time_stamp();
            trap(CPU_COUNT, [0; 6]);
            LONGEST_TRAP.fetch_max(time_stamp() - start, Ordering::Relaxed);
        }
    }
}

/// Returns the ticks of a loop that is always the same.
#[inline(never)]
fn spin() -> u64 {
    let start = time_stamp();
    for round in 0..100_000u64 {
        black_box(round);
    }
    time_stamp() - start
}

/// Returns true if the time stamp counter counts instructions, as it does unless the tests run in real time.
fn instructions_are_counted() -> bool {
    const RUNS: usize = 16;
    let ticks: Vec<u64> = (0..RUNS).map(|_| spin()).collect();
    let least = ticks.iter().min();
    // A few have an interrupt in them.
    ticks.iter().filter(|ticks| Some(*ticks) == least).count() > RUNS * 3 / 4
}

/// Checks that a bystander runs in time while `action` makes the kernel work for at least `work` instructions.
fn check_bystander(work: u64, action: impl FnOnce()) {
    let thread = Thread::start(bystander, 0).expect("a thread");
    thread.set_qos(Qos::UserInteractive);
    GATE.open();
    sleep(1);
    LATEST.store(0, Ordering::Relaxed);
    LONGEST_TRAP.store(0, Ordering::Relaxed);
    let start = time_stamp();
    action();
    let took = time_stamp() - start;
    DONE.store(true, Ordering::Relaxed);
    thread.join();
    // In real time others may have the processor of the machine meanwhile.
    if instructions_are_counted() {
        check::between("the instructions of all", took, work, u64::MAX);
        check::between("instructions for which the bystander waited", LATEST.load(Ordering::Relaxed), 1, WAIT_MAX);
        check::between("instructions of its longest trap", LONGEST_TRAP.load(Ordering::Relaxed), 1, TRAP_MAX);
    }
}

/// Ports in messages, each of which is in the queue of the one before it, in each port that is sent.
const NESTED: usize = 120;

/// The message goes to the beginning of a chain of ports, each of which is in a message to the next one.
fn rights_are_sent_to_the_end_of_a_chain_while_others_run() {
    let nested: Vec<PortName> = (0..NESTED)
        .map(|_| {
            let (inner, outer) = (port_with_send().into_name(), port_with_send().into_name());
            Message::copy_send(outer).port(inner, Disposition::MOVE_RECEIVE).send().expect("there is room");
            outer
        })
        .collect();
    let first = port_with_send().into_name();
    walks::nest(first);
    let words = walks::packet(first, &nested, Disposition::MOVE_RECEIVE);
    check_bystander(BOUND / 2, || {
        check::equal("the send", walks::send(&words, nested.len(), 0), MACH_MSG_SUCCESS);
    });
}

/// Messages that the dead task leaves, and rights in each.
const MESSAGES: usize = 20;
const RIGHTS: usize = 100;

/// A child: shows two ports, leaves the messages at the first one, and ends when one comes to the second.
pub(super) fn hold_messages() {
    let (port, orders) = (port_with_send(), port_with_send());
    port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    let hello = Message::copy_send(task::bootstrap_port()).port(port.name(), Disposition::COPY_SEND);
    hello.port(orders.name(), Disposition::COPY_SEND).send().expect("the parent receives");
    Message::receive(orders.name()).expect("an order comes");
    // At the exit the task has all its rights.
    core::mem::forget((port, orders));
}

/// All rights are to a port at the end of a chain that this task keeps. The child ends itself: no thread is left that
/// could do the work in its own time.
fn nobody_pays_for_the_rights_that_a_dead_task_has_left() {
    let (meeting, exit) = (port_with_send(), Port::new());
    let spawn = child("hold-messages").bootstrap(meeting.name()).exit_port(exit.name());
    spawn.start().expect("the child starts");
    let hello = Message::receive(meeting.name()).expect("the child shows its ports");
    let [held, orders] = [0, 1].map(|number| hello.descriptor(number).name);
    let first = port_with_send().into_name();
    let words = walks::packet(held, &vec![first; RIGHTS], Disposition::MAKE_SEND_ONCE);
    for _ in 0..MESSAGES {
        check::equal("a message", walks::send(&words, RIGHTS, 0), MACH_MSG_SUCCESS);
    }
    walks::nest(first);
    // Each right causes a notification.
    let in_the_end = task::counts().messages + MESSAGES as u64 * (RIGHTS as u64 - 1);
    check_bystander(BOUND, || {
        Message::copy_send(orders).send().expect("the child waits");
        check::equal("its end", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
        while task::counts().messages < in_the_end {
            sleep(1);
        }
    });
}

/// Returns as many MiB as `make` can have, of these.
fn as_many_as_there_are(make: impl Fn(usize) -> bool) -> usize {
    [56, 28, 14, 7].into_iter().find(|&mebibytes| make(mebibytes << 20)).expect("there is memory") << 20
}

/// Instructions per page at least, to clear it.
const PER_PAGE: u64 = 500;

fn much_memory_is_given_and_taken_while_others_run() {
    let size = as_many_as_there_are(|size| {
        let at = task::allocate(size as u64);
        at.map(|at| task::deallocate(at, size as u64).expect("the memory is there")).is_ok()
    }) as u64;
    check_bystander(size / 4096 * PER_PAGE, || {
        let at = task::allocate(size).expect("there is memory");
        task::allocate_at(at, size, VM_FLAGS_OVERWRITE).expect("the memory is there");
        task::protect(at, size, VM_PROT_READ).expect("the memory is there");
        task::deallocate(at, size).expect("the memory is there");
    });
}

fn a_large_program_starts_while_others_run() {
    // The file, and the task's memory.
    const PART: usize = 3;
    let size = as_many_as_there_are(|size| {
        let at = task::allocate(size as u64);
        at.map(|at| task::deallocate(at, size as u64).expect("the memory is there")).is_ok()
    }) / PART;
    let (file, exit) = (memory::program(size, size as u64), Port::new());
    check_bystander(size as u64 / 4096 * PER_PAGE, || {
        let task = Spawn::image(file).most().exit_port(exit.name()).start().expect("there is room for a task");
        // There are no instructions in it.
        let end = task::wait_for_exit(exit.name()).expect("it ends");
        check::that("it ends by an exception", end.code().is_none());
        port::deallocate(task).expect("the name exists");
    });
}
