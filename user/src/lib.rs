//! The programs in the bundle, and the tests that run in user mode.
//!
//! | module | contents |
//! |---|---|
//! | [`suite`] | all tests that run in user mode |
//! | [`demo`] | the demo: its tasks and its narrator |
//! | [`monitor`](mod@monitor) | the kernel's objects at the console |
//! | [`longest`] | the longest steps of the kernel, for the benchmarks |
//! | [`relay`](mod@relay) | a service whose work goes on through queues |
//! | [`fuzz`](mod@fuzz) | a fuzzer of the kernel |
//! | [`supervisor`], [`harness`] | running tasks and tests |
//! | [`xpc_rounds`] | XPC between two tasks, for the benchmarks |
//!
//! What they are written with is the crate [`runtime`], whose modules can be used by their names here.

#![cfg_attr(target_os = "none", no_std)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod demo;
pub mod fuzz;
pub mod harness;
pub mod longest;
pub mod monitor;
pub mod relay;
pub mod suite;
pub mod supervisor;
pub mod xpc_rounds;

pub use runtime::*;

/// Is what a loop does that has nothing to do. QEMU leaves its translated code for each `pause`, which
/// [`spin_loop`](core::hint::spin_loop) is, so that a loop of those would take ten times as long.
pub fn spin() {
    core::hint::black_box(());
}
