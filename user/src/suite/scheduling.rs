//! The order in which threads run (importance 8).

use super::tests;
use crate::sys::machine;
use crate::task::{self, Spawn};
use crate::thread::{self, Gate, Thread};
use crate::time::{self, MILLISECOND};
use crate::{check, port};
use abi::code::*;
use abi::qos::{AppType, Priority, Qos, Role};
use abi::trap::{SWITCH_OPTION_DEPRESS, SWITCH_OPTION_NONE, SWITCH_OPTION_WAIT};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

tests! { "scheduling":
    threads_of_higher_priority_run_first,
    equal_threads_take_turns,
    equal_background_threads_take_turns,
    a_spinning_thread_is_preempted_by_a_higher_one,
    a_lower_thread_waits_while_higher_ones_run,
    a_yield_lets_all_ready_threads_run_first,
    a_depressed_thread_lets_lower_ones_run,
    a_wait_until_a_time_takes_at_least_that_long,
    thread_switch_waits_and_refuses_unknown_options,
    threads_that_wait_on_a_word_are_woken_in_order,
    a_wait_on_a_word_ends_at_once_if_the_word_has_changed,
    a_wait_on_a_word_times_out,
    a_suspended_thread_does_not_run,
    an_aborted_wait_ends,
    vector_registers_are_each_threads_own,
    a_tasks_clamp_limits_its_threads,
}

/// The numbers of threads in the order in which they ran, as decimal digits.
static ORDER: AtomicU64 = AtomicU64::new(0);
static GATE: Gate = Gate::new();
static STOP: AtomicBool = AtomicBool::new(false);
static TURNS: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

fn note(number: u64) {
    let _ = ORDER.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |order| Some(order * 10 + number));
}

fn noted() -> u64 {
    ORDER.load(Ordering::Relaxed)
}

fn note_after_gate(number: u64) {
    GATE.pass();
    note(number);
}

fn started(function: fn(u64), argument: u64, qos: Qos) -> Thread {
    let thread = Thread::start(function, argument).expect("the thread starts");
    thread.set_qos(qos);
    thread
}

/// Gives the running thread a QoS.
pub(super) fn set_own_qos(qos: Qos) {
    thread::set_own_qos(qos).expect("a helper starts");
}

fn threads_of_higher_priority_run_first() {
    set_own_qos(Qos::UserInteractive);
    let classes = [Qos::Background, Qos::UserInitiated, Qos::Utility, Qos::Legacy];
    let threads = [0, 1, 2, 3].map(|n| started(note_after_gate, n as u64 + 1, classes[n]));
    GATE.open();
    check::equal("the order before this thread waits", noted(), 0);
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 2431);
}

/// Turns that each of several equal threads takes before a test ends.
const TURNS_WANTED: u64 = 6;
/// Turns that one of them may have taken by then. A thread loses a turn if the host is busy for as long as the turn
/// lasts.
const TURNS_MAX: u64 = 9;
/// The most times that turns are counted, until the host has been busy so long for few of them.
const ATTEMPTS: usize = 10;
/// A number that no thread has.
const NO_THREAD: u64 = u64::MAX;

/// The thread that ran last.
static LAST: AtomicU64 = AtomicU64::new(NO_THREAD);

/// Runs until each of the first `players` threads has taken enough turns. A turn begins when another thread has run in
/// between, so the speed of the host has no effect on the count.
fn take_turns(number: u64, players: usize) {
    GATE.pass();
    while TURNS[..players].iter().any(|turns| turns.load(Ordering::Relaxed) < TURNS_WANTED) {
        if LAST.swap(number, Ordering::Relaxed) != number {
            TURNS[number as usize].fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs three threads of one class, and checks that each takes about as many turns as the others.
fn check_turns(qos: Qos) {
    set_own_qos(Qos::UserInteractive);
    let are_fair = (0..ATTEMPTS).any(|_| {
        TURNS.iter().for_each(|turns| turns.store(0, Ordering::Relaxed));
        GATE.close();
        let threads = [0, 1, 2].map(|number| started(|number| take_turns(number, 3), number, qos));
        GATE.open();
        threads.into_iter().for_each(Thread::join);
        TURNS.iter().all(|turns| (TURNS_WANTED..=TURNS_MAX).contains(&turns.load(Ordering::Relaxed)))
    });
    check::that("each thread takes as many turns as the others", are_fair);
}

fn equal_threads_take_turns() {
    check_turns(Qos::Utility);
}

/// The quantum of background threads is shorter.
fn equal_background_threads_take_turns() {
    check_turns(Qos::Background);
}

/// The number of the thread with the lower priority.
const LOWER: usize = 2;

fn a_lower_thread_waits_while_higher_ones_run() {
    static SEEN: AtomicU64 = AtomicU64::new(0);
    set_own_qos(Qos::UserInteractive);
    let higher = |number| {
        take_turns(number, LOWER);
        SEEN.fetch_add(TURNS[LOWER].load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let lower = started(count_rounds, LOWER as u64, Qos::Utility);
    let higher = [0, 1].map(|number| started(higher, number, Qos::UserInitiated));
    GATE.open();
    higher.into_iter().for_each(Thread::join);
    check::equal("rounds of the lower thread that the higher ones have seen", SEEN.load(Ordering::Relaxed), 0);
    wait_for_rounds(LOWER);
    STOP.store(true, Ordering::Relaxed);
    lower.join();
}

/// Counts rounds of a loop until the test stops it.
fn count_rounds(number: u64) {
    GATE.pass();
    while !STOP.load(Ordering::Relaxed) {
        TURNS[number as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// Sleeps until a thread has counted more rounds. Only the limit of the test ends the wait otherwise.
fn wait_for_rounds(number: usize) {
    let before = TURNS[number].load(Ordering::Relaxed);
    while TURNS[number].load(Ordering::Relaxed) == before {
        time::sleep(1);
    }
}

/// The test's thread runs again after a sleep only if the spinning thread is interrupted.
fn a_spinning_thread_is_preempted_by_a_higher_one() {
    set_own_qos(Qos::UserInteractive);
    let spinner = started(count_rounds, 0, Qos::UserInitiated);
    GATE.open();
    (0..5).for_each(|_| wait_for_rounds(0));
    STOP.store(true, Ordering::Relaxed);
    spinner.join();
}

fn a_yield_lets_all_ready_threads_run_first() {
    set_own_qos(Qos::UserInteractive);
    while time::yield_now() {}
    let threads = [1, 2].map(|n| started(note_after_gate, n, if n == 1 { Qos::Background } else { Qos::Utility }));
    GATE.open();
    // A yield lasts a quantum at most, and the host may be busy for that long. So the thread yields until both have
    // run.
    while noted() < 10 {
        check::that("another thread is ready", time::yield_now());
    }
    note(3);
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 213);
    // A thread that has been joined may not have ended yet.
    while time::yield_at_lowest_priority() {}
}

/// A depression lasts 20 ms, and the host may be busy for that long. So the thread repeats it until the lower one has
/// run.
fn a_depressed_thread_lets_lower_ones_run() {
    set_own_qos(Qos::UserInteractive);
    let lower = started(count_rounds, 0, Qos::Background);
    GATE.open();
    while TURNS[0].load(Ordering::Relaxed) == 0 {
        check::equal("thread_switch", time::thread_switch(SWITCH_OPTION_DEPRESS, 20), KERN_SUCCESS);
    }
    STOP.store(true, Ordering::Relaxed);
    lower.join();
}

fn a_wait_until_a_time_takes_at_least_that_long() {
    for milliseconds in [1, 5, 20] {
        let before = time::now();
        check::equal("mach_wait_until", time::wait_until(before + milliseconds * MILLISECOND), KERN_SUCCESS);
        check::that("the wait takes that long", time::now() - before >= milliseconds * MILLISECOND);
    }
    check::equal("a time in the past", time::wait_until(0), KERN_SUCCESS);
}

fn thread_switch_waits_and_refuses_unknown_options() {
    let before = time::now();
    check::equal("waiting", time::thread_switch(SWITCH_OPTION_WAIT, 3), KERN_SUCCESS);
    check::that("the wait takes that long", time::now() - before >= 3 * MILLISECOND);
    check::equal("yielding", time::thread_switch(SWITCH_OPTION_NONE, 0), KERN_SUCCESS);
    for option in [3, 100, u32::MAX] {
        check::equal("an unknown option", time::thread_switch(option, 0), KERN_INVALID_ARGUMENT);
    }
}

static WORD: AtomicU32 = AtomicU32::new(0);

fn note_when_woken(number: u64) {
    let _ = thread::wait_on_word(&WORD, 0, 0);
    note(number);
}

fn threads_that_wait_on_a_word_are_woken_in_order() {
    // Each thread starts when the one before it waits.
    let threads = [1, 2, 3].map(|number| started(note_when_woken, number, Qos::Utility));
    for _ in 0..3 {
        let before = noted();
        check::equal("waking a thread", thread::wake_word(&WORD, false), Ok(0));
        while noted() == before {
            time::sleep(1);
        }
    }
    check::equal("waking a fourth thread", thread::wake_word(&WORD, false), Err(u64::from(ENOENT.0)));
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 123);
}

fn a_wait_on_a_word_ends_at_once_if_the_word_has_changed() {
    check::equal("another value", thread::wait_on_word(&WORD, 1, 0), Ok(0));
}

fn a_wait_on_a_word_times_out() {
    let before = time::now();
    check::equal("the result", thread::wait_on_word(&WORD, 0, 3000), Err(u64::from(ETIMEDOUT.0)));
    check::that("the wait takes that long", time::now() - before >= 3 * MILLISECOND);
}

/// A thread with a lower priority runs meanwhile, which shows that the suspended one could.
fn a_suspended_thread_does_not_run() {
    const SUSPENDED: usize = 0;
    const WITNESS: usize = 1;
    set_own_qos(Qos::UserInteractive);
    let spinner = started(count_rounds, SUSPENDED as u64, Qos::Utility);
    let witness = started(count_rounds, WITNESS as u64, Qos::Background);
    GATE.open();
    wait_for_rounds(SUSPENDED);
    spinner.suspend().expect("the thread is alive");
    let before = TURNS[SUSPENDED].load(Ordering::Relaxed);
    (0..3).for_each(|_| wait_for_rounds(WITNESS));
    check::equal("rounds while the thread is suspended", TURNS[SUSPENDED].load(Ordering::Relaxed), before);
    spinner.resume().expect("the thread is suspended");
    wait_for_rounds(SUSPENDED);
    check::equal("resuming it again", spinner.resume(), Err(KERN_FAILURE));
    STOP.store(true, Ordering::Relaxed);
    [spinner, witness].into_iter().for_each(Thread::join);
}

/// An abort has no effect on a thread that does not wait yet. So the test repeats it until the thread has ended.
fn an_aborted_wait_ends() {
    let waiter = Thread::start(
        |_| {
            let code = time::wait_until(u64::MAX - 1);
            note(if code == KERN_ABORTED { 1 } else { 2 });
        },
        0,
    );
    let waiter = waiter.expect("the thread starts");
    while noted() == 0 {
        // The thread may have ended meanwhile.
        let _ = waiter.abort();
        time::sleep(1);
    }
    waiter.join();
    check::equal("1 if the wait was aborted", noted(), 1);
}

/// Three threads spin with different values in a register for longer than a quantum.
fn vector_registers_are_each_threads_own() {
    check::equal("a fresh thread's register", machine::vector_register(), 0);
    let threads = [1, 2, 3].map(|n| {
        let spin = |n: u64| {
            for round in 1..20u64 {
                if !machine::vector_survives(n << 32 | round, 2_000_000) {
                    note(n);
                }
            }
        };
        Thread::start(spin, n).expect("the thread starts")
    });
    threads.into_iter().for_each(Thread::join);
    check::equal("the numbers of the threads that lost a value", noted(), 0);
}

fn a_tasks_clamp_limits_its_threads() {
    let exit = port::Port::new();
    let child = Spawn::program("tests").argument("child").argument("check-clamp").exit_port(exit.name());
    let child = child.policy(AppType::None, Role::Unspecified, Qos::Utility).start().expect("the child starts");
    let status = task::wait_for_exit(exit.name());
    check::equal("the exit status", status, Ok(abi::task::ExitStatus::exited(0)));
    port::deallocate(child).expect("the name exists");
}

/// Checks the QoS of a thread in a task with a clamp: the child of the test above.
pub(super) fn check_clamp() {
    let thread = started(note_after_gate, 1, Qos::UserInteractive);
    let info = task::thread_info(thread.name()).expect("the thread is alive");
    check::equal("the requested QoS", info.requested, Priority::of(Qos::UserInteractive).to_pthread());
    check::equal("the QoS before the clamp", info.effective, Priority::of(Qos::UserInteractive).to_pthread());
    check::equal("the base priority", info.base_priority, 20);
    GATE.open();
    thread.join();
}
