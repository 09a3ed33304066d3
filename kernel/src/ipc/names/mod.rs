//! The `mach_port` calls: what a task can do to its names (mach-ipc 2).
//!
//! Each function here works on the space of a live task. The traps (for the caller's own task) and the messages to task
//! ports (for any) decode their arguments and call them, so both give the same results. The three that let messages or
//! blocked senders move on end in `msg/admit.rs`.

mod attributes;
mod guard;
mod lifetime;
mod members;
mod notification;
mod references;
mod rights;

use super::Ipc;
use super::space::{Entry, EntryRight};
use crate::ids::{PortId, SetId, SpaceId};
use abi::KernReturn;
use abi::PortName;
use abi::code::*;

impl Ipc {
    /// Returns what a name denotes.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if nothing.
    fn named(&mut self, space: SpaceId, name: PortName) -> Result<Entry, KernReturn> {
        self.lookup(space, name).ok_or(KERN_INVALID_NAME)
    }

    /// Returns the port whose receive right a name denotes: the lookup that mach-ipc section 2 marks *T*.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if it denotes nothing or something dead, `KERN_INVALID_RIGHT` if something else.
    fn named_receive_right(&mut self, space: SpaceId, name: PortName) -> Result<PortId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::Receive { port, .. } => Ok(port),
            EntryRight::DeadName { .. } => Err(KERN_INVALID_NAME),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// Returns the port set that a name denotes, where a dead name is just a wrong right (mach-ipc 2.10).
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if it denotes nothing, `KERN_INVALID_RIGHT` if something else.
    fn named_set(&mut self, space: SpaceId, name: PortName) -> Result<SetId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::PortSet { set } => Ok(set),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }
}

/// Refuses null and dead names with the code that the call uses.
fn valid(name: PortName, otherwise: KernReturn) -> Result<(), KernReturn> {
    if name.is_valid() { Ok(()) } else { Err(otherwise) }
}
