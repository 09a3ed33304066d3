//! Entries of spaces: the right that a name denotes, and what was asked for by it (mach-ipc 1.4).

use crate::ids::{PortId, RequestId, SetId};
use abi::port::{MACH_PORT_UREFS_MAX, PortType};

/// The right that a name denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryRight {
    /// A send right.
    Send {
        /// The port.
        port: PortId,
        /// User references, at least 1.
        urefs: u16,
    },
    /// A receive right, perhaps with a send right of the same port.
    Receive {
        /// The port.
        port: PortId,
        /// User references of the send right; 0 if the name has none.
        send_urefs: u16,
    },
    /// A send-once right.
    SendOnce {
        /// The port.
        port: PortId,
    },
    /// A port set.
    PortSet {
        /// The set.
        set: SetId,
    },
    /// A dead name: a right whose port died.
    DeadName {
        /// User references, at least 1.
        urefs: u16,
    },
}

impl EntryRight {
    /// Returns the port, if this is a right to one.
    #[inline(always)]
    pub fn port(&self) -> Option<PortId> {
        match *self {
            EntryRight::Send { port, .. } | EntryRight::Receive { port, .. } | EntryRight::SendOnce { port } => {
                Some(port)
            }
            EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => None,
        }
    }

    /// Returns the number of references to a send right, which is 0 without one.
    #[inline(always)]
    pub(crate) fn send_urefs(&self) -> u16 {
        match *self {
            EntryRight::Send { urefs, .. } | EntryRight::Receive { send_urefs: urefs, .. } => urefs,
            EntryRight::SendOnce { .. } | EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => 0,
        }
    }

    /// Returns the type as `mach_port_type` reports it.
    pub fn port_type(&self) -> PortType {
        match self {
            EntryRight::Send { .. } => PortType::SEND,
            EntryRight::Receive { send_urefs: 0, .. } => PortType::RECEIVE,
            EntryRight::Receive { .. } => PortType::RECEIVE | PortType::SEND,
            EntryRight::SendOnce { .. } => PortType::SEND_ONCE,
            EntryRight::PortSet { .. } => PortType::PORT_SET,
            EntryRight::DeadName { .. } => PortType::DEAD_NAME,
        }
    }
}

/// Returns a count of user references plus `more`. The count saturates at its maximum (mach-ipc 1.4 rule 2).
pub fn add_urefs(urefs: u16, more: u32) -> u16 {
    (u32::from(urefs) + more).min(u32::from(MACH_PORT_UREFS_MAX)) as u16
}

/// A name's entry in a space.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The right that the name denotes.
    pub right: EntryRight,
    /// The request for a notification about this name.
    pub request: Option<RequestId>,
}
