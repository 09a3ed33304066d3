//! [`AttributeControl`]: the state of a registered key (vouchers 1.12, 4.9).

use crate::value::{AttributeValue, ValueTable};

/// The message operations of the kernel in which a manager takes part (vouchers 5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Processing {
    /// `SUPPORT_SEND_PREPROCESS`: the attribute is preprocessed when a message is sent.
    pub send: bool,
    /// `SUPPORT_RECEIVE_POSTPROCESS`: the attribute is redeemed when a message is received.
    pub receive: bool,
}

/// The form of a manager's handles, which decides how their values are found fastest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HandleKind {
    /// Any numbers. They are hashed.
    #[default]
    Any,
    /// [Ids](store::Id) of an arena. The low half is an index that one live object has, and the index freed last is
    /// reused first. Most values are then found without a search.
    Ids,
}

/// The properties of a manager that is registered for a key.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// The handle that means "no value".
    pub default: u64,
    /// The form of the handles.
    pub handles: HandleKind,
    /// The message operations in which the manager takes part.
    pub processing: Processing,
    /// The largest number of values in use at a time.
    pub values_max: usize,
}

impl Default for Registration {
    /// Returns a registration with default handle 0, any handles, no part in messages and no limit of values.
    fn default() -> Self {
        Registration { default: 0, handles: HandleKind::Any, processing: Processing::default(), values_max: usize::MAX }
    }
}

/// A registered key with its values. A reference to the control authorises its holder to store handles in vouchers.
#[derive(Debug)]
pub struct AttributeControl {
    pub(crate) refs: u64,
    pub(crate) processing: Processing,
    pub(crate) table: ValueTable,
}

impl AttributeControl {
    /// Returns the number of references: one of the registration, one of each value in use, and one of each pending
    /// request for a value.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// Returns the message operations in which the manager takes part.
    pub const fn processing(&self) -> Processing {
        self.processing
    }

    /// Returns the number of values in use, including persistent ones and those in limbo.
    pub fn values_in_use(&self) -> usize {
        self.table.len()
    }

    /// Returns the values in use, each with its index in the table.
    pub fn values(&self) -> impl Iterator<Item = (u32, &AttributeValue)> {
        self.table.iter()
    }

    /// Returns the number of values for which memory is allocated.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Returns the number of places for values: all indexes are below it.
    pub(crate) fn places(&self) -> usize {
        self.table.places()
    }

    /// Returns the size of the value table's memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.table.bytes()
    }
}
