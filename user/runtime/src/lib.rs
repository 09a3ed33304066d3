//! The runtime of programs for Tally.
//!
//! | module | contents |
//! |---|---|
//! | [`sys`] | the trap instruction, the start of programs and threads: all the `unsafe` code |
//! | [`print!`], [`println!`] | writing to the console |
//! | [`message`] | building, sending and receiving Mach messages |
//! | [`buffer`] | messages of any size in buffers of one's own |
//! | [`view`] | reading messages from untrusted senders |
//! | [`port`] | the calls of `mach_port` |
//! | [`task`] | starting and ending tasks, their memory, counts of kernel objects |
//! | [`policy`] | the policy and identity of tasks, the classes of threads |
//! | [`thread`] | threads and waiting on a word of memory |
//! | [`sync`], [`local`], [`thread_local!`] | locks, and variables of threads |
//! | [`heap`] | what the program uses of its heap |
//! | [`usage`] | what tasks have used, and who pays for it |
//! | [`voucher`] | vouchers |
//! | [`names`] | the name service: both sides |
//! | [`time`] | the clock, sleeping, yielding |
//! | [`check`](mod@check) | assertions that print the expected and the seen value |
//! | [`growth`] | growing the kernel's tables for a task once |
//! | [`events`], [`inspect`] | what happens in the kernel, and its objects as records |
//!
//! A program is a binary with `#![no_std]`, `#![no_main]` and [`program!`]`(start)`, where `start` takes the arguments
//! and returns the exit status.

#![cfg_attr(target_os = "none", no_std)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod buffer;
pub mod check;
pub mod events;
pub mod growth;
pub mod heap;
pub mod inspect;
pub mod local;
pub mod message;
pub mod names;
pub mod policy;
pub mod port;
mod print;
pub mod sync;
pub mod sys;
pub mod task;
pub mod thread;
pub mod time;
pub mod usage;
pub mod view;
pub mod voucher;

pub use abi;
pub use print::{print_to_console, write_console};
#[cfg(not(target_os = "none"))]
pub use std::thread_local;

/// The exit status of a program that panicked.
pub const PANICKED: i32 = 101;
