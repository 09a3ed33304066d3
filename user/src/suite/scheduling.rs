//! Who runs when (importance 8).

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
    equals_take_turns,
    equals_do_not_starve_each_other,
    a_spinning_thread_is_preempted_by_a_higher_one,
    a_lower_thread_waits_while_a_higher_one_runs,
    giving_way_lets_everybody_else_go_first,
    a_depressed_thread_lets_lower_ones_run,
    waiting_until_a_time_takes_at_least_that_long,
    thread_switch_waits_and_refuses_what_it_does_not_know,
    a_thread_that_waits_is_woken_first_come_first_served,
    waiting_for_a_word_ends_at_once_if_it_has_changed,
    waiting_for_a_word_takes_no_longer_than_asked,
    a_suspended_thread_stands_still,
    an_aborted_wait_ends,
    vector_registers_are_each_threads_own,
    a_tasks_clamp_limits_its_threads,
}

/// Threads write down their number here when they run.
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
    let thread = Thread::start(function, argument).expect("a thread");
    thread.set_qos(qos);
    thread
}

/// Gives the running thread a QoS. Another thread does it while this one waits.
pub fn set_own_qos(qos: Qos) {
    static WORD: AtomicU32 = AtomicU32::new(0);
    static NAME: AtomicU32 = AtomicU32::new(0);
    static CLASS: AtomicU32 = AtomicU32::new(0);
    NAME.store(task::thread_self().0, Ordering::Relaxed);
    CLASS.store(qos as u32, Ordering::Relaxed);
    WORD.store(0, Ordering::Relaxed);
    let helper = Thread::start(
        |_| {
            let name = abi::PortName(NAME.load(Ordering::Relaxed));
            thread::set_qos_of(name, Qos::from_number(CLASS.load(Ordering::Relaxed)));
            WORD.store(1, Ordering::Release);
            let _ = thread::wake_word(&WORD, true);
        },
        0,
    );
    while WORD.load(Ordering::Acquire) == 0 {
        let _ = thread::wait_on_word(&WORD, 0, 0);
    }
    helper.expect("a thread").join();
}

fn threads_of_higher_priority_run_first() {
    set_own_qos(Qos::UserInteractive);
    let classes = [Qos::Background, Qos::UserInitiated, Qos::Utility, Qos::Legacy];
    let threads = [0, 1, 2, 3].map(|n| started(note_after_gate, n as u64 + 1, classes[n]));
    GATE.open();
    check::equal("nobody has run yet", noted(), 0);
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 2431);
}

fn count_turns(number: u64) {
    GATE.pass();
    while !STOP.load(Ordering::Relaxed) {
        TURNS[number as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// How far each of three threads of these classes gets while this one sleeps.
fn turns_of(classes: [Qos; 3], milliseconds: u64) -> [u64; 3] {
    set_own_qos(Qos::UserInteractive);
    let threads = [0, 1, 2].map(|n| started(count_turns, n as u64, classes[n]));
    GATE.open();
    time::sleep(milliseconds);
    let turns = [0, 1, 2].map(|n: usize| TURNS[n].load(Ordering::Relaxed));
    STOP.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(Thread::join);
    turns
}

fn equals_take_turns() {
    let turns = turns_of([Qos::Utility; 3], 200);
    let (least, most) = (turns.iter().min(), turns.iter().max());
    let [Some(&least), Some(&most)] = [least, most] else { panic!("there are three") };
    check::that("nobody gets more than three times as much as another", least > 0 && most / 3 <= least);
}

fn equals_do_not_starve_each_other() {
    let turns = turns_of([Qos::Background; 3], 100);
    check::that("everybody gets somewhere", turns.iter().all(|&turns| turns > 0));
}

fn a_lower_thread_waits_while_a_higher_one_runs() {
    let turns = turns_of([Qos::UserInitiated, Qos::UserInitiated, Qos::Utility], 60);
    check::that("the two higher ones run", turns[0] > 0 && turns[1] > 0);
    check::equal("the lower one", turns[2], 0);
}

fn a_spinning_thread_is_preempted_by_a_higher_one() {
    set_own_qos(Qos::UserInteractive);
    let spinner = started(count_turns, 0, Qos::UserInitiated);
    GATE.open();
    for _ in 0..5 {
        let before = TURNS[0].load(Ordering::Relaxed);
        // It can only end because the thread that spins is interrupted.
        time::sleep(5);
        check::that("it has been spinning", TURNS[0].load(Ordering::Relaxed) > before);
    }
    STOP.store(true, Ordering::Relaxed);
    spinner.join();
}

fn giving_way_lets_everybody_else_go_first() {
    set_own_qos(Qos::UserInteractive);
    while time::yield_now() {}
    let threads = [1, 2].map(|n| started(note_after_gate, n, if n == 1 { Qos::Background } else { Qos::Utility }));
    GATE.open();
    check::that("there are others", time::yield_now());
    note(3);
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 213);
    check::that("there is nobody else any more", !time::yield_at_lowest_priority());
}

fn a_depressed_thread_lets_lower_ones_run() {
    set_own_qos(Qos::UserInteractive);
    let lower = started(count_turns, 0, Qos::Background);
    GATE.open();
    check::equal("thread_switch", time::thread_switch(SWITCH_OPTION_DEPRESS, 20), KERN_SUCCESS);
    check::that("the lower one has run", TURNS[0].load(Ordering::Relaxed) > 0);
    STOP.store(true, Ordering::Relaxed);
    lower.join();
}

fn waiting_until_a_time_takes_at_least_that_long() {
    for milliseconds in [1, 5, 20] {
        let before = time::now();
        check::equal("mach_wait_until", time::wait_until(before + milliseconds * MILLISECOND), KERN_SUCCESS);
        check::that("it takes that long", time::now() - before >= milliseconds * MILLISECOND);
    }
    check::equal("a time that is over", time::wait_until(0), KERN_SUCCESS);
}

fn thread_switch_waits_and_refuses_what_it_does_not_know() {
    let before = time::now();
    check::equal("waiting", time::thread_switch(SWITCH_OPTION_WAIT, 3), KERN_SUCCESS);
    check::that("it takes that long", time::now() - before >= 3 * MILLISECOND);
    check::equal("giving way", time::thread_switch(SWITCH_OPTION_NONE, 0), KERN_SUCCESS);
    for option in [3, 100, u32::MAX] {
        check::equal("another option", time::thread_switch(option, 0), KERN_INVALID_ARGUMENT);
    }
}

static WORD: AtomicU32 = AtomicU32::new(0);

fn note_when_woken(number: u64) {
    let _ = thread::wait_on_word(&WORD, 0, 0);
    note(number);
}

fn a_thread_that_waits_is_woken_first_come_first_served() {
    let threads = [1, 2, 3].map(|n| {
        let thread = Thread::start(note_when_woken, n).expect("a thread");
        time::sleep(2);
        thread
    });
    for _ in 0..3 {
        check::equal("somebody is woken", thread::wake_word(&WORD, false), Ok(0));
        time::sleep(2);
    }
    check::equal("nobody is left", thread::wake_word(&WORD, false), Err(u64::from(ENOENT.0)));
    threads.into_iter().for_each(Thread::join);
    check::equal("the order", noted(), 123);
}

fn waiting_for_a_word_ends_at_once_if_it_has_changed() {
    check::equal("another value", thread::wait_on_word(&WORD, 1, 0), Ok(0));
}

fn waiting_for_a_word_takes_no_longer_than_asked() {
    let before = time::now();
    check::equal("nobody wakes it", thread::wait_on_word(&WORD, 0, 3000), Err(u64::from(ETIMEDOUT.0)));
    check::that("it takes that long", time::now() - before >= 3 * MILLISECOND);
}

fn a_suspended_thread_stands_still() {
    set_own_qos(Qos::UserInteractive);
    let spinner = started(count_turns, 0, Qos::Utility);
    GATE.open();
    time::sleep(5);
    spinner.suspend().expect("it is there");
    let before = TURNS[0].load(Ordering::Relaxed);
    check::that("it has run", before > 0);
    time::sleep(10);
    check::equal("while it is suspended", TURNS[0].load(Ordering::Relaxed), before);
    spinner.resume().expect("it is suspended");
    time::sleep(5);
    check::that("it goes on", TURNS[0].load(Ordering::Relaxed) > before);
    check::equal("it is not suspended any more", spinner.resume(), Err(KERN_FAILURE));
    STOP.store(true, Ordering::Relaxed);
    spinner.join();
}

fn an_aborted_wait_ends() {
    let waiter = Thread::start(
        |_| {
            let code = time::wait_until(u64::MAX - 1);
            note(if code == KERN_ABORTED { 1 } else { 2 });
        },
        0,
    );
    let waiter = waiter.expect("a thread");
    time::sleep(2);
    waiter.abort().expect("it waits");
    waiter.join();
    check::equal("what it saw", noted(), 1);
}

/// Three threads spin with different values in a register, longer than a quantum, and this one looks at its own.
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
        Thread::start(spin, n).expect("a thread")
    });
    threads.into_iter().for_each(Thread::join);
    check::equal("who lost a value", noted(), 0);
}

fn a_tasks_clamp_limits_its_threads() {
    let exit = port::Port::new();
    let child = Spawn::program("tests").argument("child").argument("check-clamp").exit_port(exit.name());
    let child = child.policy(AppType::None, Role::Unspecified, Qos::Utility).start().expect("a child");
    let status = task::wait_for_exit(exit.name(), 10_000);
    check::equal("how the child ended", status, Ok(abi::task::ExitStatus::exited(0)));
    port::deallocate(child).expect("its name");
}

/// The child of the test above.
pub fn check_clamp() {
    let thread = started(note_after_gate, 1, Qos::UserInteractive);
    let info = task::thread_info(thread.name()).expect("it is a thread");
    check::equal("what it asked for", info.requested, Priority::of(Qos::UserInteractive).to_pthread());
    check::equal("what it gets", info.effective, Priority::of(Qos::Utility).to_pthread());
    GATE.open();
    thread.join();
}
