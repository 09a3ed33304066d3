//! The tests that run in user mode, each in a task of its own.
//!
//! A test is a function whose name is in the list of its file. It fails if it panics, best through
//! [`check`](mod@crate::check), or if its task ends with another status than the list says.

mod accounting;
mod basics;
mod boosts;
mod bootstrap;
mod channel_deaths;
mod channel_ends;
mod channel_replies;
mod channel_tasks;
mod channels;
mod clock;
mod connections;
mod deliberate;
mod dispatch_vouchers;
mod exhaustion;
mod faults;
mod hostile;
mod hostile_memory;
mod hostile_steps;
mod hostile_walks;
mod importance;
mod inspect;
mod instances;
mod ipc;
mod launch;
mod launch_hostile;
mod library_kernel;
mod limits;
mod name_service;
mod notifications;
mod personas;
mod players;
mod policy;
mod ports;
mod processor;
mod puppets;
mod runtime;
mod scheduling;
mod soak;
mod special_reply;
mod starvation;
mod supervision;
mod tasks;
mod voucher_rights;
mod vouchers;

use abi::task::ExitStatus;
use core::sync::atomic::{AtomicU64, Ordering};

pub use connections::soak::{Soaked, XpcStock, soak_xpc};
pub use soak::{Stock, send_messages};
pub use tasks::EXIT_PROGRAM;

/// Milliseconds that a test may take, unless its list gives another limit. The host may be slow or busy.
const LIMIT: u32 = 20_000;

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// The name of its file.
    pub group: &'static str,
    /// The name of its function.
    pub name: &'static str,
    /// The exit status that its task must have.
    pub ends: ExitStatus,
    /// Milliseconds that it may take; 0 is no limit.
    pub limit: u32,
    /// True if it gets half of what `init` has left, rather than the usual share.
    pub large: bool,
}

impl Test {
    /// Returns a test that must exit with status 0.
    pub const fn new(group: &'static str, name: &'static str) -> Test {
        Test { group, name, ends: ExitStatus::exited(0), limit: LIMIT, large: false }
    }

    /// Sets the exit status that the test must have.
    pub const fn ends(self, ends: ExitStatus) -> Test {
        Test { ends, ..self }
    }

    /// Sets the limit in milliseconds; 0 is no limit.
    pub const fn limit(self, limit: u32) -> Test {
        Test { limit, ..self }
    }

    /// Gives the test half of what `init` has left.
    pub const fn large(self) -> Test {
        Test { large: true, ..self }
    }

    /// Returns true if `filter` is part of the full name.
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

/// Makes the list of the tests of a file from the names of functions.
macro_rules! tests {
    ($group:literal: $($name:ident $(. $option:ident ($($value:expr)?))*),+ $(,)?) => {
        /// The tests of this file.
        pub(crate) const TESTS: &[$crate::suite::Test] =
            &[$($crate::suite::Test::new($group, stringify!($name))$(.$option($($value)?))*),+];
        /// Their functions, in the same order. The harness does not contain them.
        pub(crate) const FUNCTIONS: &[fn()] = &[$($name),+];
    };
}
use tests;

/// Makes the lists of all tests and of their functions from the names of files.
macro_rules! files {
    ($($($part:ident)::+),+ $(,)?) => {
        /// All tests, in the order in which they run.
        pub const SUITE: &[&[Test]] = &[$($($part::)+TESTS),+];
        const FUNCTIONS: &[&[fn()]] = &[$($($part::)+FUNCTIONS),+];
    };
}

files! {
    basics,
    ports,
    ipc,
    notifications,
    vouchers,
    voucher_rights,
    soak,
    tasks,
    scheduling,
    policy,
    starvation,
    importance,
    accounting,
    boosts,
    special_reply,
    channels,
    channel_replies,
    channel_tasks,
    channel_deaths,
    inspect,
    processor,
    faults,
    limits,
    exhaustion,
    name_service,
    bootstrap,
    launch,
    launch_hostile,
    supervision,
    hostile,
    hostile_memory,
    hostile_steps,
    hostile_walks,
    clock,
    connections::basics,
    connections::base_chain,
    connections::forwarding,
    connections::donors,
    connections::holders,
    connections::classes,
    connections::deaths,
    connections::endings,
    connections::hostile,
    connections::hostile_limits,
    connections::hostile_ports,
    connections::idle,
    connections::strict,
    connections::soak,
    runtime,
    library_kernel,
    dispatch_vouchers,
    personas,
}

/// Tests that fail, to show how the harness reports that. They run only by name.
pub const DELIBERATE: &[Test] = deliberate::TESTS;

/// Returns the function of the test with this full name.
pub fn function(name: &str) -> Option<fn()> {
    let (group, name) = name.split_once("::")?;
    let functions = FUNCTIONS.iter().chain([&deliberate::FUNCTIONS]).flat_map(|functions| functions.iter());
    let found = all().zip(functions).find(|(test, _)| (test.group, test.name) == (group, name));
    found.map(|(_, run)| *run)
}

/// Returns the function that a child of a test runs, by its name.
pub fn child(name: &str) -> Option<fn()> {
    let all = [tasks::CHILDREN].into_iter().chain(connections::CHILDREN.iter().copied());
    all.flatten().find(|(child, _)| *child == name).map(|(_, run)| *run)
}

/// Returns all tests, those that fail included.
pub fn all() -> impl Iterator<Item = &'static Test> {
    SUITE.iter().flat_map(|tests| tests.iter()).chain(DELIBERATE)
}

/// What [`set_seed`] has made of the seed of the run; 0 without one.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Sets the seed of the run, from which the tests make what is random in them.
pub fn set_seed(seed: Option<u64>) {
    // An odd factor spreads small seeds over all bits and gives each another value.
    SEED.store(seed.map_or(0, |seed| seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)), Ordering::Relaxed);
}

/// Returns the seed of a generator: `own`, which is not 0, or another one if the run has a seed. It is never 0.
fn seed_of(own: u64) -> u64 {
    match own ^ SEED.load(Ordering::Relaxed) {
        0 => own,
        seed => seed,
    }
}
