//! Programs for Tally: what they are made of, and the tests.
//!
//! | module | what |
//! |---|---|
//! | [`sys`] | the trap instruction, the start of programs and threads: all the `unsafe` code |
//! | [`print!`], [`println!`] | writing to the console |
//! | [`message`] | building, sending and receiving Mach messages |
//! | [`view`] | reading messages of strangers |
//! | [`port`] | the calls of `mach_port` |
//! | [`task`] | starting tasks, and what the kernel says about them |
//! | [`thread`] | threads and waiting on a word of memory |
//! | [`names`] | the name service: both sides |
//! | [`time`] | the clock, sleeping, giving way |
//! | [`check`](mod@check) | assertions that say what was expected and seen |
//! | [`suite`] | all tests that run in user mode |
//! | [`supervisor`], [`harness`] | running tasks, and tests, and reporting |
//!
//! A program is a binary with `#![no_std]`, `#![no_main]` and [`program!`]`(start)`, where `start` takes the arguments and
//! returns the exit status.

#![cfg_attr(target_os = "none", no_std)]

pub mod check;
pub mod harness;
pub mod message;
pub mod names;
pub mod port;
mod print;
pub mod suite;
pub mod supervisor;
pub mod sys;
pub mod task;
pub mod thread;
pub mod time;
pub mod view;

pub use abi;
pub use print::{print_to_console, write_console};

/// The exit status of a program that panicked.
pub const PANICKED: i32 = 101;
