//! The portable core of Tally.
//!
//! A trap, an interrupt or an exception is one call of [`kernel::Kernel::handle`]: all state is in one structure, there
//! are no locks, no globals and no `unsafe`, and the hardware is behind one trait, [`machine::Machine`]. So the whole
//! kernel runs in host tests, and reads as a program like any other. `ARCHITECTURE.md` says how the parts fit together
//! and which principles hold; start there, or at [`kernel`].
//!
//! | module | what it is |
//! |---|---|
//! | [`kernel`] | all state; the way in and out |
//! | [`machine`], [`trap_frame`], [`rate`] | what hardware looks like from here |
//! | [`traps`] | the trap table and what traps decode |
//! | [`ipc`] | ports, rights, names, messages |
//! | [`kobject`] | messages that are calls of the kernel |
//! | [`task`], [`spawn`], [`program`], [`bundle`], [`vm`] | tasks, how they start, their memory, how they end |
//! | [`thread`], [`wait`], [`timer`] | threads and what they wait for |
//! | [`sched`], [`policy`] | who runs, and at what priority |
//! | [`reap`] | long destruction in small pieces |
//! | [`limits`] | every capacity |
//! | [`debug`], [`invariants`], [`backtrace`] | looking at it all |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backtrace;
pub mod bundle;
pub mod debug;
pub mod invariants;
pub mod ipc;
pub mod kernel;
pub mod kobject;
pub mod limits;
pub mod machine;
pub mod policy;
pub mod program;
pub mod rate;
pub mod reap;
pub mod sched;
pub mod spawn;
pub mod task;
pub mod thread;
pub mod timer;
pub mod trap_frame;
pub mod traps;
pub mod vm;
pub mod wait;
