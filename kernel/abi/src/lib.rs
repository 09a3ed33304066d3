//! What the kernel and its programs agree on.
//!
//! Everything here is an interface: numbers, constants and memory layouts that may not change, with the names they have
//! on every Mach. There is no behaviour. `docs/abi.md` tells the same story in prose, for people who write programs in
//! other languages; the rules behind the numbers are in `docs/spec/mach-ipc.md`.
//!
//! | module | content |
//! |---|---|
//! | [`code`] | return codes of traps and messages, Unix error numbers |
//! | [`trap`] | trap numbers, by class |
//! | [`port`] | names, rights, dispositions, attributes of ports |
//! | [`message`] | options, header, descriptors, trailers |
//! | [`mig`] | shapes and ids of the messages that kernel objects understand |
//! | [`qos`] | classes, `pthread_priority_t`, application types and roles |
//! | [`task`] | spawning, exit status, special ports, memory protection |
//! | [`voucher`] | keys, commands and layouts of vouchers |
//! | [`debug`] | what `debug_state` returns |

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

pub mod code;
pub mod debug;
pub mod message;
pub mod mig;
pub mod port;
pub mod qos;
pub mod task;
pub mod trap;
pub mod voucher;

pub use code::KernReturn;
pub use port::PortName;
