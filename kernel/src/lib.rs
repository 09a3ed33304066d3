//! The portable core of Tally.
//!
//! A trap, an interrupt or an exception is one call of [`kernel::Kernel::handle`]. All state is in one structure,
//! without locks, globals or `unsafe`, and the hardware is behind one trait, [`machine::Machine`]. The whole kernel
//! therefore runs in host tests. `ARCHITECTURE.md` explains the principles and how the parts fit together; start there,
//! or at [`kernel`].
//!
//! | layer | modules | what they are |
//! |---|---|---|
//! | 0 | [`ids`], [`machine`], [`trap_frame`], [`outcome`], [`policy`], [`rate`], [`heap`], [`limits`], … | the types that all layers use |
//! | 1 | [`step`], [`trace`], [`longest`] | the work that a step leaves to do, the events in it, and how long it takes |
//! | 2 | [`sched`] | threads, their waits, and the choice of the one that runs |
//! | 3 | [`ipc`], [`task`], [`vouchers`] | ports, rights, names and queued messages; tasks and their memory; vouchers |
//! | 5 | [`kernel`], [`shortcut`], [`boot`], [`lifetime`], `accounting`, `work`, `msg`, `calls` | transactions: operations on several of these at once |
//! | 6 | [`inspect`] | object counts and invariants |
//!
//! A layer uses only the layers below it. Layer 4 is importance, the engine of the crate `voucher`: [`ipc`] has it, and
//! lends it the ports.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

mod accounting;
pub mod backtrace;
pub mod boot;
pub mod bundle;
pub(crate) mod calls;
pub mod credentials;
pub mod effort;
pub mod heap;
pub mod ids;
pub mod inspect;
pub mod ipc;
pub mod kernel;
pub mod lifetime;
pub mod limits;
pub mod line;
pub mod longest;
pub mod machine;
pub(crate) mod msg;
pub mod outcome;
pub mod policy;
pub mod rate;
pub mod sched;
pub mod shortcut;
pub mod step;
pub mod task;
pub mod trace;
pub mod trap_frame;
pub mod vouchers;
mod work;
