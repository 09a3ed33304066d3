//! The interface between the kernel and its programs.
//!
//! The crate has numbers, constants and memory layouts that may not change, with the names they have on every Mach, and
//! no behaviour. `docs/abi.md` describes the same interface in prose, for programs in other languages; the rules behind
//! the numbers are in `docs/spec/mach-ipc.md`.
//!
//! | module | content |
//! |---|---|
//! | [`code`] | return codes of traps and messages, Unix error numbers |
//! | [`trap`] | trap numbers, by class |
//! | [`port`] | names, rights, dispositions, attributes of ports |
//! | [`message`] | options, header, descriptors, trailers |
//! | [`mig`] | layouts and ids of the messages that kernel objects handle |
//! | [`qos`] | classes, `pthread_priority_t`, application types and roles |
//! | [`policy`] | the calls that set policies of tasks and threads |
//! | [`task`] | spawning, exit status, special ports, memory protection |
//! | [`usage`] | processor time, energy and bills of tasks |
//! | [`voucher`] | keys, commands and layouts of vouchers |
//! | [`debug`] | results of the trap `debug_state` |
//! | [`event`] | records of events, and the trap `trace_control` |
//! | [`inspect`] | records of objects, and the trap `inspect` |
//! | [`debugger`] | what libraries tell debuggers by messages |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod code;
pub mod debug;
pub mod debugger;
pub mod event;
pub mod inspect;
pub mod message;
pub mod mig;
pub mod policy;
pub mod port;
pub mod qos;
pub mod task;
pub mod trap;
pub mod usage;
pub mod voucher;

pub use code::KernReturn;
pub use port::PortName;
