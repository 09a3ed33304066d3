//! Objects: the values that messages are made of (dispatch 7.1).

use crate::{Dictionary, SendRight, XpcError};
use alloc::string::String;
use alloc::vec::Vec;

/// A value in a message.
///
/// Objects own what they contain, and cloning one copies all of it but the rights, which copies share. Equality is that
/// of the contents; doubles compare as numbers, so a NaN differs from itself. `{:?}` prints a description for people.
#[derive(Clone, PartialEq)]
pub enum Object {
    /// No value.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed number.
    Int64(i64),
    /// An unsigned number. It differs from the signed number of the same value.
    UInt64(u64),
    /// A floating-point number, any bits of which survive a message.
    Double(f64),
    /// Nanoseconds since the beginning of 1970, UTC.
    Date(i64),
    /// Bytes.
    Data(Vec<u8>),
    /// Text.
    String(String),
    /// The bytes of a UUID in the order in which they are written.
    Uuid([u8; 16]),
    /// Objects one after the other.
    Array(Vec<Object>),
    /// Objects with keys.
    Dictionary(Dictionary),
    /// An anonymous listener to which a connection can be made.
    Endpoint(Endpoint),
    /// A send right to any port.
    MachSend(SendRight),
    /// An error of a connection.
    Error(XpcError),
}

/// An anonymous listener to which a connection can be made: the send right to its port.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint(SendRight);

impl Endpoint {
    /// Returns the endpoint of the listener to whose port this right is.
    pub fn new(listener: SendRight) -> Endpoint {
        Endpoint(listener)
    }

    /// Returns the right to the listener's port.
    pub fn right(&self) -> &SendRight {
        &self.0
    }
}

/// Defines a method of [`Object`] that returns the value if the object is of the right kind.
macro_rules! value {
    ($name:ident, $kind:ident, $type:ty, $value:pat => $result:expr) => {
        #[doc = concat!("Returns the value of a [`", stringify!($kind), "`](Object::", stringify!($kind),
                                                                    "), and `None` for an object of another kind.")]
        pub fn $name(&self) -> Option<$type> {
            if let Object::$kind($value) = self { Some($result) } else { None }
        }
    };
}

impl Object {
    value!(as_bool, Bool, bool, value => *value);
    value!(as_int64, Int64, i64, value => *value);
    value!(as_uint64, UInt64, u64, value => *value);
    value!(as_double, Double, f64, value => *value);
    value!(as_date, Date, i64, value => *value);
    value!(as_data, Data, &[u8], value => value);
    value!(as_string, String, &str, value => value);
    value!(as_uuid, Uuid, &[u8; 16], value => value);
    value!(as_array, Array, &[Object], value => value);
    value!(as_dictionary, Dictionary, &Dictionary, value => value);
    value!(as_endpoint, Endpoint, &Endpoint, value => value);
    value!(as_mach_send, MachSend, &SendRight, value => value);
    value!(as_error, Error, XpcError, value => *value);
}

/// Defines the conversion of a value into an object of the kind that fits.
macro_rules! from {
    ($type:ty, $value:pat => $object:expr) => {
        impl From<$type> for Object {
            fn from($value: $type) -> Object {
                $object
            }
        }
    };
}

from!(bool, value => Object::Bool(value));
from!(i64, value => Object::Int64(value));
from!(u64, value => Object::UInt64(value));
from!(f64, value => Object::Double(value));
from!(&[u8], value => Object::Data(value.into()));
from!(Vec<u8>, value => Object::Data(value));
from!(&str, value => Object::String(value.into()));
from!(String, value => Object::String(value));
from!(Vec<Object>, value => Object::Array(value));
from!(Dictionary, value => Object::Dictionary(value));
from!(Endpoint, value => Object::Endpoint(value));
from!(SendRight, value => Object::MachSend(value));
from!(XpcError, value => Object::Error(value));
