//! The C interface of dispatch: what `user/c/include/dispatch/dispatch.h`, `pthread/qos.h` and `os/voucher_private.h`
//! declare.
//!
//! An object is a handle, a number that a table knows: a program that passes a wrong one, or one that it has
//! released, ends with a message. A piece of work is a function and an address that it gets.
//!
//! | module | contents |
//! |---|---|
//! | `queue`, `group`, `time`, `source` | the functions of queues, groups and the like, times, and sources |
//! | `voucher`, `thread` | the functions of vouchers, of classes, and for the start of threads |
//! | `object`, `table` | what a handle stands for |
//! | `memory` | reading and writing the memory of the C program: all the `unsafe` code |
//!
//! The names of the functions are fixed by C. No other library of a program defines names that begin so, which is what
//! their attributes `unsafe(no_mangle)` claim. `cargo tidy` sees to it that no other file than `memory.rs` has `unsafe` blocks.

#![cfg_attr(target_os = "none", no_std)]

extern crate alloc;

mod group;
mod memory;
mod object;
mod queue;
mod source;
mod table;
mod thread;
mod time;
mod voucher;

/// A function of the C program that gets an address.
type Function = extern "C" fn(usize);

/// Ends the program because it breaks a rule of the interface (dispatch R-13).
fn crash(reason: &str) -> ! {
    dispatch::process::process().kernel.crash(reason)
}

/// Returns the closure that calls a function of the C program with an address.
fn call(function: Option<Function>, context: usize) -> impl FnOnce() + Send + 'static {
    let function = function.unwrap_or_else(|| crash("a null pointer was passed in place of a function"));
    move || function(context)
}
