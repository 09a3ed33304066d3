//! Queues, vouchers, activities and Mach channels for Tally's programs (dispatch).
//!
//! With this library importance follows the work: what a program does for a message, on whichever queue it goes on, runs
//! with the message's class and voucher, and the boost ends when the last piece of it is done.
//!
//! | module | contents |
//! |---|---|
//! | [`qos`] | classes, priorities, and all decisions about them |
//! | [`mod@thread`] | the priority and the voucher of the calling thread, and how it takes them on |
//! | [`voucher`] | voucher objects, and vouchers in messages |
//! | [`activity`] | activities, and the trace |
//! | [`persona`] | in whose name work is done |
//! | [`queue`] | queues, and how threads enter and drain them |
//! | [`block`], [`group`] | work that can be waited for and cancelled |
//! | [`main_queue`] | the queue of the main thread |
//! | [`apply`](mod@apply), [`once`], [`semaphore`] | loops on several threads, work that is done once, counting |
//! | [`timer_source`] | handlers that run at given times |
//! | [`mach`] | channels |
//! | [`source`] | handlers that run while messages wait at a port |
//! | [`mod@process`] | what there is once for each task |
//! | `notes`, `inspect` | what the library tells of its queues: events, and answers to debuggers |
//! | [`sys`], [`sync`] | the kernel and locks, for programs and for tests |

#![cfg_attr(target_os = "none", no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod activity;
pub mod apply;
pub mod block;
mod continuation;
pub mod group;
mod inspect;
pub mod mach;
pub mod main_queue;
mod notes;
pub mod once;
pub mod persona;
mod pool;
pub mod process;
pub mod qos;
pub mod queue;
pub mod semaphore;
pub mod source;
pub mod sync;
pub mod sys;
pub mod thread;
mod timer;
pub mod timer_source;
pub mod voucher;
