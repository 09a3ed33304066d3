//! The test harness: it runs each test as a task, checks the exit status and the counts of kernel objects, and reports.

use crate::monitor;
use crate::suite::{self, Test};
use crate::supervisor::{End, Failure, Supervisor};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now, sleep};
use crate::{inspect, print, println};
use abi::debug::{Counts, Memory};
use abi::inspect::{TaskRecord, kind};
use abi::task::ExitStatus;
use core::fmt::Write;
use heapless::String;

/// Milliseconds that the kernel has for destroying what a test leaves. It takes a few, but the host may be busy.
const SETTLE_LIMIT: u64 = 20_000;

/// A failure that is caused on purpose, to show how it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliberate {
    /// The test of this name, which does not pass.
    Test(&'static str),
    /// A panic of the kernel in the middle of a test.
    Panic,
}

impl Deliberate {
    /// Returns the kind with this name.
    pub fn from_name(name: &'static str) -> Option<Deliberate> {
        match name {
            "panic" => Some(Deliberate::Panic),
            _ => suite::DELIBERATE.iter().find(|test| test.name == name).map(|test| Deliberate::Test(test.name)),
        }
    }
}

/// The options of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// A part of the full names of the tests to run.
    pub filter: &'static str,
    /// The one failure to cause instead.
    pub deliberate: Option<Deliberate>,
    /// True if verdicts have colours.
    pub colour: bool,
    /// A number from which the tests make what is random in them; without it they are always the same.
    pub seed: Option<u64>,
    /// True if the report says which tests took the longest.
    pub slowest: bool,
}

/// How many of the slowest tests the report names.
const SLOWEST: usize = 5;

/// The tests that took the longest, with their nanoseconds, the slowest first.
#[derive(Default)]
struct Slowest([Option<(u64, &'static Test)>; SLOWEST]);

impl Slowest {
    fn add(&mut self, time: u64, test: &'static Test) {
        let place = self.0.iter().position(|kept| kept.is_none_or(|(other, _)| other < time));
        if let Some(place) = place {
            self.0[place..].rotate_right(1);
            self.0[place] = Some((time, test));
        }
    }

    fn report(&self) {
        println!("\nthe slowest, by the clock of the machine:");
        for (time, test) in self.0.iter().flatten() {
            let hundredths = time / (10 * MILLISECOND);
            println!("{:>6}.{:02} s  {test}", hundredths / 100, hundredths % 100);
        }
    }
}

/// The outcome of a test.
enum Verdict {
    Passed,
    /// The test was not run.
    NotRun(Failure),
    /// The test ran for longer than this limit, in milliseconds.
    TimedOut(u32),
    /// The task ended with another status than the expected one; both are here.
    Ended(ExitStatus, ExitStatus),
    /// The counts before and after the test differ.
    Left(Counts, Counts),
    /// The kernel's memory before and after the test differs.
    Kept(Stock, Stock),
}

/// The kernel's memory, as far as everybody has a part in it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stock {
    /// Free bytes of the heap.
    free: u64,
    /// The largest message that there is room for, with its trailer.
    largest: u64,
    /// What is in use of the budget of `init`, out of which those of all other tasks come. With as many free bytes as
    /// before, a task may then have as many ports, names and messages as before.
    budget: u64,
    /// 1 if the kernel has not come to rest in time.
    unsettled: u64,
}

/// Runs the tests and returns the exit status.
pub fn run(options: &Options) -> i32 {
    let Options { filter, deliberate, colour, seed, slowest } = *options;
    let mut chosen = |test: &&Test| match deliberate {
        None => !suite::DELIBERATE.iter().any(|other| other.name == test.name) && test.matches(filter),
        Some(Deliberate::Test(name)) => test.group == "deliberate" && test.name == name,
        Some(Deliberate::Panic) => false,
    };
    let count = suite::all().filter(&mut chosen).count();
    if deliberate == Some(Deliberate::Panic) {
        println!("1 test, each in a task of its own\n");
        print!("test deliberate::panic ... ");
        task::panic_kernel();
    }
    println!("{count} test{}, each in a task of its own\n", if count == 1 { "" } else { "s" });
    if count == 0 {
        println!("no test has {filter:?} in its name");
    }
    let mut supervisor = Supervisor::in_control();
    supervisor.grow_tables();
    let (mut failed, mut times) = (0, Slowest::default());
    for test in suite::all().filter(&mut chosen) {
        print!("test {test} ... ");
        let started = now();
        let verdict = run_one(&mut supervisor, test, seed);
        times.add(now() - started, test);
        let passed = matches!(verdict, Verdict::Passed);
        verdict.report(colour, if passed { 0 } else { end_children() });
        failed += usize::from(!passed);
    }
    if slowest && count > SLOWEST {
        times.report();
    }
    println!("\n{} passed, {failed} failed", count - failed);
    i32::from(failed > 0 || count == 0)
}

fn run_one(supervisor: &mut Supervisor, test: &Test, seed: Option<u64>) -> Verdict {
    let mut name = String::<128>::new();
    write!(name, "{test}").expect("the name of a test fits");
    let mut program = Spawn::program("tests").argument(&name).own_coalition();
    if test.large {
        program = program.half();
    }
    if let Some(seed) = seed {
        let mut number = String::<20>::new();
        write!(number, "{seed}").expect("a number fits");
        program = program.argument(&number);
    }
    let (before, stock) = (task::counts(), settled_stock());
    let waits = || {
        println!("\n      not finished; who waits for what:");
        monitor::print_waits(task::pid() as u32);
    };
    let End { status, timed_out } = match supervisor.run_with(program, test.limit, waits) {
        Ok(end) => end,
        Err(failure) => return Verdict::NotRun(failure),
    };
    let after = settled_counts(&before);
    if timed_out {
        Verdict::TimedOut(test.limit)
    } else if status != test.ends {
        Verdict::Ended(test.ends, status)
    } else if before != after {
        Verdict::Left(before, after)
    } else {
        let after = settled_stock();
        if stock == after { Verdict::Passed } else { Verdict::Kept(stock, after) }
    }
}

/// Ends the tasks that a test has left, so that the next ones do not fail because of them. Returns how many have ended.
fn end_children() -> u64 {
    let others = || task::counts().tasks - 1;
    let (left, deadline) = (others(), now() + SETTLE_LIMIT * MILLISECOND);
    while others() > 0 && now() < deadline {
        task::terminate_younger().expect("init is user 0");
        sleep(1);
    }
    left.saturating_sub(others())
}

/// Returns the counts as soon as they equal those of before, or when the limit is over. The kernel destroys the queues
/// of a dead task piece by piece, and may still be at it when the exit message has arrived.
fn settled_counts(before: &Counts) -> Counts {
    let deadline = now() + SETTLE_LIMIT * MILLISECOND;
    loop {
        let counts = task::counts();
        if counts == *before || now() > deadline {
            return counts;
        }
        sleep(1);
    }
}

/// The largest message with its trailer.
const MESSAGE_MAX: u64 = 65_536 + abi::message::MAX_TRAILER_SIZE as u64;

/// Returns the state of the kernel's memory when the kernel has destroyed and given back all that it has to. Larger
/// allocations than that of a message depend on where the pages of long-lived objects happen to be.
fn settled_stock() -> Stock {
    let Memory { free, largest, unsettled } = task::settled_memory(SETTLE_LIMIT);
    let (own, mut budget) = (task::pid() as u32, 0);
    inspect::list(kind::TASKS, 0, |task: &TaskRecord| {
        if task.pid == own {
            budget = task.budget_used;
        }
    })
    .expect("init is user 0");
    Stock { free, largest: largest.min(MESSAGE_MAX), budget, unsettled }
}

impl Verdict {
    /// Prints the verdict, and how many tasks of the test were ended behind it.
    fn report(&self, colour: bool, ended: u64) {
        let (green, red, plain) = if colour { ("\x1b[32m", "\x1b[31m", "\x1b[0m") } else { ("", "", "") };
        match self {
            Verdict::Passed => return println!("{green}ok{plain}"),
            Verdict::NotRun(Failure::NoStart(code)) => println!("\n      the task does not start: {code}"),
            Verdict::NotRun(Failure::NoPorts(code)) => println!("\n      the harness cannot receive: {code}"),
            Verdict::TimedOut(limit) => println!("      it took longer than {limit} ms"),
            Verdict::Ended(expected, seen) => {
                println!("\n      the exit status of the task\n      expected: {expected:?}\n          seen: {seen:?}");
            }
            Verdict::Kept(before, after) => {
                println!("\n      the kernel's memory is not as before");
                for (name, before, after) in [
                    ("free bytes", before.free, after.free),
                    ("the largest message", before.largest, after.largest),
                    ("the budget of init", before.budget, after.budget),
                    ("unsettled", before.unsettled, after.unsettled),
                ] {
                    println!("      {name}: {before} before, {after} after");
                }
            }
            Verdict::Left(before, after) => {
                println!("\n      the test has left something behind");
                for ((name, before), after) in Counts::NAMES.iter().zip(before.values()).zip(after.values()) {
                    if before != after {
                        println!("      {name}: {before} before, {after} after");
                    }
                }
            }
        }
        if ended > 0 {
            println!("      tasks that it has left, and that are ended now: {ended}");
        }
        println!("  {red}FAILED{plain}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_tests_are_kept_in_order() {
        let mut slowest = Slowest::default();
        let tests: Vec<&'static Test> = suite::all().take(7).collect();
        for (time, test) in [30, 70, 10, 60, 20, 50, 40].into_iter().zip(tests) {
            slowest.add(time, test);
        }
        assert_eq!(slowest.0.map(|kept| kept.map(|(time, _)| time)), [70, 60, 50, 40, 30].map(Some));
    }
}
