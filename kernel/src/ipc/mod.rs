//! Ports, rights, names and messages (mach-ipc).
//!
//! | module | what it is |
//! |---|---|
//! | [`port`], [`port_set`] | ports and sets of them |
//! | [`right`] | rights as values |
//! | [`names`] | a task's name table |
//! | [`message`] | messages while the kernel has them |
//! | [`copyin`], [`copyout`] | from names to rights and back |
//! | [`send`], [`queue`], [`receive`] | a message's way |
//! | [`notify`], [`request`] | notifications and who asked for them |
//! | [`death`] | receive rights that travel, ports that die |
//! | [`calls`] | the `mach_port` calls |

pub mod calls;
pub mod copyin;
pub mod copyout;
pub mod death;
pub mod fast_path;
pub mod message;
pub mod names;
pub mod notify;
pub mod port;
pub mod port_set;
pub mod queue;
pub mod receive;
pub mod request;
pub mod right;
pub mod send;
