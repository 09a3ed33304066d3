//! Rights that values own: dropping the value gives the right back.

use crate::right::Right;
use abi::PortName;
use abi::port::{
    MACH_PORT_DEAD, MACH_PORT_NULL, MACH_PORT_RIGHT_DEAD_NAME, MACH_PORT_RIGHT_RECEIVE, MACH_PORT_RIGHT_SEND,
};
use dispatch::process::process;

/// A send right, or the dead name that it has become.
#[derive(Debug)]
pub(crate) struct OwnedSend(PortName);

/// A receive right.
#[derive(Debug)]
pub(crate) struct OwnedReceive(PortName);

/// A send-once right.
#[derive(Debug)]
pub(crate) struct OwnedSendOnce(PortName);

macro_rules! owned {
    ($type:ident) => {
        impl $type {
            /// Takes a right over. The null name stands for none.
            pub(crate) fn new(name: PortName) -> $type {
                $type(name)
            }

            /// Returns the name, and leaves the right to the caller.
            pub(crate) fn into_name(mut self) -> PortName {
                core::mem::replace(&mut self.0, MACH_PORT_NULL)
            }
        }
    };
}

owned!(OwnedSend);
owned!(OwnedReceive);
owned!(OwnedSendOnce);

/// Returns true if a send right has become a dead name.
pub(crate) fn is_dead(name: PortName) -> bool {
    process().kernel.mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, 0).is_ok()
}

/// Returns true if this program has the receive right of a name.
pub(crate) fn is_receiver(name: PortName) -> bool {
    process().kernel.mod_refs(name, MACH_PORT_RIGHT_RECEIVE, 0).is_ok()
}

impl OwnedReceive {
    /// Returns the name.
    pub(crate) fn name(&self) -> PortName {
        self.0
    }
}

impl OwnedSend {
    /// Returns the name.
    pub(crate) fn name(&self) -> PortName {
        self.0
    }

    /// Adds a reference to a send right that this program keeps.
    pub(crate) fn copy_of(name: PortName) -> OwnedSend {
        // An error means that the name is dead meanwhile, and a dead name has references of the same kind.
        let added = process().kernel.mod_refs(name, MACH_PORT_RIGHT_SEND, 1);
        let added = added.or_else(|_| process().kernel.mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, 1));
        OwnedSend(if added.is_ok() { name } else { MACH_PORT_DEAD })
    }
}

impl Drop for OwnedSend {
    fn drop(&mut self) {
        if self.0.is_valid() {
            process().kernel.release_send(self.0);
        }
    }
}

impl Drop for OwnedSendOnce {
    fn drop(&mut self) {
        if self.0.is_valid() {
            process().kernel.release_send(self.0);
        }
    }
}

impl Drop for OwnedReceive {
    fn drop(&mut self) {
        if self.0.is_valid() {
            // The program cannot reach the name, so the right is there.
            let _ = process().kernel.mod_refs(self.0, MACH_PORT_RIGHT_RECEIVE, -1);
        }
    }
}

impl Right for OwnedSend {
    fn name(&self) -> PortName {
        self.0
    }
}
