//! Rights as values: a token for each right that is not in a space.
//!
//! A token is in one place: a message, a request, a field of a task or a variable. The counts of its port include it
//! (mach-ipc 1.1, 1.9), so tokens cannot be copied. A token is made where rights are counted (`counts.rs`) or where a
//! right is taken out of a space. It ends where the right is counted down or put into a space.

use crate::ids::PortId;
use abi::port::{Disposition, MACH_PORT_RIGHT_RECEIVE, MACH_PORT_RIGHT_SEND, MACH_PORT_RIGHT_SEND_ONCE};

/// A send right: the right to send any number of messages to a port.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right that is not put somewhere must be destroyed"]
pub struct SendRight(PortId);

/// A send-once right: the right to send one message to a port.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right that is not put somewhere must be destroyed"]
pub struct SendOnceRight(PortId);

/// The receive right of a port.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right that is not put somewhere must be destroyed"]
pub struct ReceiveRight(PortId);

/// A right of any kind.
#[derive(Debug, PartialEq, Eq)]
pub enum Right {
    /// A send right.
    Send(SendRight),
    /// A send-once right.
    SendOnce(SendOnceRight),
    /// A receive right.
    Receive(ReceiveRight),
}

/// The contents of a place for a right: in a message, or in a field of a task.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// No right: `MACH_PORT_NULL`.
    #[default]
    Null,
    /// A right whose port was dead when the right was taken: `MACH_PORT_DEAD`.
    Dead,
    /// A right.
    Right(Right),
}

impl Carried {
    /// Returns the contents and leaves [`Carried::Null`] in their place.
    pub fn take(&mut self) -> Carried {
        core::mem::take(self)
    }

    /// Returns the port of the right, if there is one.
    pub fn port(&self) -> Option<PortId> {
        match self {
            Carried::Right(right) => Some(right.port()),
            _ => None,
        }
    }
}

impl From<Option<SendRight>> for Carried {
    fn from(right: Option<SendRight>) -> Carried {
        right.map_or(Carried::Null, |right| Carried::Right(Right::Send(right)))
    }
}

impl SendRight {
    /// Returns the token of a send right that the port's count already includes.
    pub(super) fn counted(port: PortId) -> SendRight {
        SendRight(port)
    }

    /// Returns the port.
    pub fn port(&self) -> PortId {
        self.0
    }
}

impl SendOnceRight {
    /// Returns the token of a send-once right that the port's count already includes.
    pub(super) fn counted(port: PortId) -> SendOnceRight {
        SendOnceRight(port)
    }

    /// Returns the port.
    pub fn port(&self) -> PortId {
        self.0
    }
}

impl ReceiveRight {
    /// Returns the token of a receive right that has been taken out of its space, or was never in one.
    pub(super) fn detached(port: PortId) -> ReceiveRight {
        ReceiveRight(port)
    }

    /// Returns the port.
    pub fn port(&self) -> PortId {
        self.0
    }
}

impl Right {
    /// Returns the port.
    pub fn port(&self) -> PortId {
        match self {
            Right::Send(right) => right.port(),
            Right::SendOnce(right) => right.port(),
            Right::Receive(right) => right.port(),
        }
    }

    /// Returns the kind of right, as `mach_port_right_t` numbers it.
    pub fn kind(&self) -> u32 {
        match self {
            Right::Send(_) => MACH_PORT_RIGHT_SEND,
            Right::SendOnce(_) => MACH_PORT_RIGHT_SEND_ONCE,
            Right::Receive(_) => MACH_PORT_RIGHT_RECEIVE,
        }
    }

    /// Returns the disposition that a receiver gets with the name of this right.
    pub fn disposition(&self) -> Disposition {
        match self {
            Right::Send(_) => Disposition::PORT_SEND,
            Right::SendOnce(_) => Disposition::PORT_SEND_ONCE,
            Right::Receive(_) => Disposition::PORT_RECEIVE,
        }
    }
}
