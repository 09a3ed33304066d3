//! The test harness: it runs each test as a task, checks how it ends and that nothing of it is left, and reports.

use crate::suite::{self, Test};
use crate::supervisor::{End, Failure, Supervisor};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now, sleep};
use crate::{print, println};
use abi::debug::Counts;
use abi::task::ExitStatus;
use core::fmt::Write;
use heapless::String;

/// Milliseconds that the kernel has for destroying what a test leaves.
const PATIENCE: u64 = 2000;

/// What the harness is told to do wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deliberate {
    /// A test of this name that does not pass.
    Test(&'static str),
    /// Let the kernel panic in the middle of a test.
    Panic,
}

impl Deliberate {
    /// The kind with this name.
    pub fn from_name(name: &'static str) -> Option<Deliberate> {
        match name {
            "panic" => Some(Deliberate::Panic),
            _ => suite::DELIBERATE.iter().find(|test| test.name == name).map(|test| Deliberate::Test(test.name)),
        }
    }
}

/// What the harness is told to do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// Run the tests whose full name contains this.
    pub filter: &'static str,
    /// Or this alone.
    pub deliberate: Option<Deliberate>,
    /// Verdicts have colours.
    pub colour: bool,
}

/// What came of a test.
enum Verdict {
    Passed,
    /// It was not run.
    NotRun(Failure),
    /// It took too long.
    Overdue(u32),
    /// It did not end as it should have.
    Ended(ExitStatus, ExitStatus),
    /// It left something behind.
    Left(Counts, Counts),
}

/// Runs the tests. Returns the exit status.
pub fn run(order: &Order) -> i32 {
    let Order { filter, deliberate, colour } = *order;
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
    let mut supervisor = Supervisor::new();
    let mut failed = 0;
    for test in suite::all().filter(&mut chosen) {
        print!("test {test} ... ");
        let verdict = run_one(&mut supervisor, test);
        verdict.report(colour);
        failed += usize::from(!matches!(verdict, Verdict::Passed));
    }
    println!("\n{} passed, {failed} failed", count - failed);
    i32::from(failed > 0 || count == 0)
}

fn run_one(supervisor: &mut Supervisor, test: &Test) -> Verdict {
    let mut name = String::<128>::new();
    write!(name, "{test}").expect("the name of a test fits");
    let before = task::counts();
    let End { status, overdue } = match supervisor.run(Spawn::program("tests").argument(&name), test.limit) {
        Ok(end) => end,
        Err(failure) => return Verdict::NotRun(failure),
    };
    let after = settled_counts(&before);
    if overdue {
        Verdict::Overdue(test.limit)
    } else if status != test.ends {
        Verdict::Ended(test.ends, status)
    } else if before != after {
        Verdict::Left(before, after)
    } else {
        Verdict::Passed
    }
}

/// The counts, as soon as they are those of before. What a task leaves in queues is destroyed when there is time for it,
/// perhaps after the task's end is told.
fn settled_counts(before: &Counts) -> Counts {
    let deadline = now() + PATIENCE * MILLISECOND;
    loop {
        let counts = task::counts();
        if counts == *before || now() > deadline {
            return counts;
        }
        sleep(1);
    }
}

impl Verdict {
    fn report(&self, colour: bool) {
        let (green, red, plain) = if colour { ("\x1b[32m", "\x1b[31m", "\x1b[0m") } else { ("", "", "") };
        match self {
            Verdict::Passed => return println!("{green}ok{plain}"),
            Verdict::NotRun(Failure::NoStart(code)) => println!("\n      the task does not start: {code}"),
            Verdict::NotRun(Failure::NoPorts(code)) => println!("\n      the harness cannot receive: {code}"),
            Verdict::Overdue(limit) => println!("\n      it took longer than {limit} ms"),
            Verdict::Ended(expected, seen) => {
                println!("\n      how the task ended\n      expected: {expected:?}\n          seen: {seen:?}");
            }
            Verdict::Left(before, after) => {
                println!("\n      not everything is as it was before the test");
                for ((name, before), after) in Counts::NAMES.iter().zip(before.values()).zip(after.values()) {
                    if before != after {
                        println!("      {name}: {before} before, {after} after");
                    }
                }
            }
        }
        println!("  {red}FAILED{plain}");
    }
}
