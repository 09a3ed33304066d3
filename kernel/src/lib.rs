//! The portable core of Tally.
//!
//! A trap, an interrupt or an exception is one call of [`kernel::Kernel::handle`]: all state is in one structure, there
//! are no locks, no globals and no `unsafe`, and the hardware is behind one trait, [`machine::Machine`]. So the whole
//! kernel runs in host tests, and reads as a program like any other. `ARCHITECTURE.md` says how the parts fit together
//! and which principles hold; start there, or at [`kernel`].
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`ids`], [`machine`], [`trap_frame`], [`outcome`], [`policy`], [`rate`], [`limits`], … | words that all others use |
//! | 1 | [`step`], [`trace`] | what a step leaves to do, and what it reports |
//! | 2 | [`sched`] | threads, what they wait for, who runs |
//! | 3 | [`ipc`], [`task`] | ports, names, messages at rest; tasks and their memory |
//! | 5 | [`kernel`], [`boot`], [`lifetime`], `work`, `msg`, `calls` | transactions: everything that touches several of these |
//! | 6 | [`inspect`] | looking at it all |
//!
//! A layer uses the layers below it alone. Layer 4, importance, comes between ports and transactions.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backtrace;
pub mod boot;
pub mod bundle;
pub(crate) mod calls;
pub mod credentials;
pub mod ids;
pub mod inspect;
pub mod ipc;
pub mod kernel;
pub mod lifetime;
pub mod limits;
pub mod machine;
pub(crate) mod msg;
pub mod outcome;
pub mod policy;
pub mod rate;
pub mod sched;
pub mod step;
pub mod task;
pub mod trace;
pub mod trap_frame;
mod work;
