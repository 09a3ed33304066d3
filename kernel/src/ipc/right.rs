//! Rights as values: a token for each right that is not in a name table.
//!
//! A token sits in exactly one place, a message, a request or a variable of the kernel, and the counts of its port include
//! it (mach-ipc 1.1, 1.9). Tokens cannot be copied. They are made where rights are counted (`counts.rs`) and by taking a
//! right out of a name; they end by going back into a name or where they are counted down.

use crate::ids::PortId;
use abi::port::Disposition;

/// A right to send any number of messages.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right that is not put somewhere must be destroyed"]
pub struct SendRight(PortId);

/// A right to send one message.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a right that is not put somewhere must be destroyed"]
pub struct SendOnceRight(PortId);

/// The right to receive. There is one per live port.
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

/// What travels in a place of a message where a right can be.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: `MACH_PORT_NULL`.
    #[default]
    Null,
    /// A right whose port was dead when it was taken: `MACH_PORT_DEAD`.
    Dead,
    /// A right.
    Right(Right),
}

impl Carried {
    /// Leaves [`Carried::Null`] and returns what was there.
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

impl SendRight {
    /// Returns the token for a send right that the port's count includes already.
    pub(super) fn counted(port: PortId) -> SendRight {
        SendRight(port)
    }

    /// Returns the port.
    pub fn port(&self) -> PortId {
        self.0
    }
}

impl SendOnceRight {
    /// Returns the token for a send-once right that the port's count includes already.
    pub(super) fn counted(port: PortId) -> SendOnceRight {
        SendOnceRight(port)
    }

    /// Returns the port.
    pub fn port(&self) -> PortId {
        self.0
    }
}

impl ReceiveRight {
    /// Returns the token for the receive right of a port that is in no space.
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

    /// Returns what a receiver sees beside the name.
    pub fn disposition(&self) -> Disposition {
        match self {
            Right::Send(_) => Disposition::PORT_SEND,
            Right::SendOnce(_) => Disposition::PORT_SEND_ONCE,
            Right::Receive(_) => Disposition::PORT_RECEIVE,
        }
    }
}
