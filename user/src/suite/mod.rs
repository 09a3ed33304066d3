//! The tests that run in user mode, each in a task of its own.
//!
//! To add one, write a function and its name into the list of its file. It fails by panicking, best through
//! [`check`](mod@crate::check), or by ending otherwise than the list says.

mod basics;
mod deliberate;
mod faults;
mod hostile;
mod ipc;
mod limits;
mod name_service;
mod notifications;
mod ports;
mod processor;
mod scheduling;
mod supervision;
mod tasks;

use abi::task::ExitStatus;

pub use tasks::EXIT_PROGRAM;

/// Milliseconds that a test may take if its list does not say otherwise. Machines may be slow, so it is generous.
const LIMIT: u32 = 20_000;

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// The file it is in.
    pub group: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// The function.
    pub run: fn(),
    /// How its task must end.
    pub ends: ExitStatus,
    /// Milliseconds that it may take; 0 means for ever.
    pub limit: u32,
}

impl Test {
    /// A test that must end by itself, with success.
    pub const fn new(group: &'static str, name: &'static str, run: fn()) -> Test {
        Test { group, name, run, ends: ExitStatus::exited(0), limit: LIMIT }
    }

    /// A test that must end in this way.
    pub const fn ends(self, ends: ExitStatus) -> Test {
        Test { ends, ..self }
    }

    /// A test that may take so many milliseconds; 0 means for ever.
    pub const fn limit(self, limit: u32) -> Test {
        Test { limit, ..self }
    }

    /// Whether `filter` is part of its full name.
    pub fn matches(&self, filter: &str) -> bool {
        let mut name = heapless::String::<128>::new();
        let fits = core::fmt::write(&mut name, format_args!("{self}")).is_ok();
        assert!(fits, "the name of a test is too long");
        name.contains(filter)
    }
}

impl core::fmt::Display for Test {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}::{}", self.group, self.name)
    }
}

/// Makes the list of a file's tests from the names of functions.
macro_rules! tests {
    ($group:literal: $($name:ident $(. $option:ident ($value:expr))*),+ $(,)?) => {
        /// The tests of this file.
        pub const TESTS: &[$crate::suite::Test] =
            &[$($crate::suite::Test::new($group, stringify!($name), $name)$(.$option($value))*),+];
    };
}
use tests;

/// All tests, in the order in which they run.
pub const SUITE: &[&[Test]] = &[
    basics::TESTS,
    ports::TESTS,
    ipc::TESTS,
    notifications::TESTS,
    tasks::TESTS,
    scheduling::TESTS,
    processor::TESTS,
    faults::TESTS,
    limits::TESTS,
    name_service::TESTS,
    supervision::TESTS,
    hostile::TESTS,
];

/// What the harness does wrong when it is asked to, to show that it reports it: run only by name.
pub const DELIBERATE: &[Test] = deliberate::TESTS;

/// What a test's task does as a child of another test, by name.
pub const CHILDREN: &[(&str, fn())] = tasks::CHILDREN;

/// All tests, the deliberate ones too.
pub fn all() -> impl Iterator<Item = &'static Test> {
    SUITE.iter().flat_map(|tests| tests.iter()).chain(DELIBERATE)
}
