//! The `mach_port` calls: operations on the names of a task (mach-ipc 2).
//!
//! Each function works on the space of a live task. The traps, for the caller's own task, and the messages to task
//! control ports, for any task, decode their arguments and call these functions, so that both give the same results.
//! The three calls after which queued messages or blocked senders move on are completed in `msg/admit.rs`.

mod attributes;
mod guard;
mod lifetime;
mod members;
mod notification;
mod references;
mod rights;
mod servicer;

use super::Ipc;
use super::entry::{Entry, EntryRight};
use crate::ids::{PortId, SetId, SpaceId};
use abi::KernReturn;
use abi::PortName;
use abi::code::*;

impl Ipc {
    /// Returns the entry of a name.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist.
    #[inline]
    fn named(&mut self, space: SpaceId, name: PortName) -> Result<Entry, KernReturn> {
        self.lookup(space, name).ok_or(KERN_INVALID_NAME)
    }

    /// Returns the port whose receive right a name denotes: the lookup that mach-ipc section 2 calls *T*.
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist or is a dead name, `KERN_INVALID_RIGHT` if it denotes another
    /// right.
    fn named_receive_right(&mut self, space: SpaceId, name: PortName) -> Result<PortId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::Receive { port, .. } => Ok(port),
            EntryRight::DeadName { .. } => Err(KERN_INVALID_NAME),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }

    /// Returns the port set that a name denotes (mach-ipc 2.10).
    ///
    /// # Errors
    /// `KERN_INVALID_NAME` if the name does not exist, `KERN_INVALID_RIGHT` if it denotes another right or is a dead
    /// name.
    fn named_set(&mut self, space: SpaceId, name: PortName) -> Result<SetId, KernReturn> {
        match self.named(space, name)?.right {
            EntryRight::PortSet { set } => Ok(set),
            _ => Err(KERN_INVALID_RIGHT),
        }
    }
}

/// Refuses `MACH_PORT_NULL` and `MACH_PORT_DEAD` with the code `otherwise`.
fn valid(name: PortName, otherwise: KernReturn) -> Result<(), KernReturn> {
    if name.is_valid() { Ok(()) } else { Err(otherwise) }
}
