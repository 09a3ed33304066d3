//! [`Control`]: a key's registration (vouchers 1.12, 4.9).

use crate::value::{AttributeValue, ValueTable};

/// Which of the kernel's message operations a manager takes part in (vouchers 5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processing {
    /// `SUPPORT_SEND_PREPROCESS`: the attribute is worked on when a message is sent.
    pub send: bool,
    /// `SUPPORT_RECEIVE_POSTPROCESS`: the attribute is redeemed when a message is received.
    pub receive: bool,
}

/// What is known about the handles that a manager invents: how their elements are found best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handles {
    /// Nothing: they are hashed.
    #[default]
    Any,
    /// They are [ids](store::Id) of an arena: the low half is a place, used by one object at a time, and the places freed
    /// last are used first. Elements are then mostly found without a table.
    Ids,
}

/// What a registration says about a key.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The handle that means "no value".
    pub default: u64,
    /// What the handles are.
    pub handles: Handles,
    /// The message operations that the manager takes part in.
    pub processing: Processing,
    /// How many values may be in use at a time.
    pub values_max: usize,
}

impl Default for Registration {
    /// Default handle 0, any handles, no part in messages, no limit but memory.
    fn default() -> Self {
        Registration { default: 0, handles: Handles::Any, processing: Processing::default(), values_max: usize::MAX }
    }
}

/// A key for which a manager is registered: whoever has it may put handles in vouchers, and its values are here.
#[derive(Debug)]
pub struct Control {
    pub(crate) refs: u64,
    pub(crate) processing: Processing,
    pub(crate) table: ValueTable,
}

impl Control {
    /// How many references there are: one for the registration, one for each value in use, one for each question to the
    /// manager.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// The message operations that the manager takes part in.
    pub const fn processing(&self) -> Processing {
        self.processing
    }

    /// How many values are in use, persistent ones and those in limbo included.
    pub fn values_in_use(&self) -> usize {
        self.table.len()
    }

    /// The values in use, each with its index in the table.
    pub fn values(&self) -> impl Iterator<Item = (u32, &AttributeValue)> {
        self.table.iter()
    }

    /// How many elements there is memory for.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Bytes of memory that the value table has.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
