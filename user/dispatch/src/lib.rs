//! Queues, vouchers, activities and Mach channels for Tally's programs (dispatch).
//!
//! With this library importance follows the work: what a program does for a message, on whichever queue it goes on, runs
//! with the message's class and voucher, and the boost ends when the last piece of it is done.

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

mod mach;
pub mod sync;
