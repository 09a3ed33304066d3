//! From objects to bytes.

use super::{ALIGNMENT, DEPTH_MAX, VERSION, tag};
use crate::{Dictionary, Object, SendRight, XpcError};
use alloc::vec::Vec;
use core::convert::Infallible;
use core::fmt;
use minicbor::data::Tag;
use minicbor::encode::Error;

/// Why a dictionary has no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncodeError {
    /// It is nested deeper than [`DEPTH_MAX`].
    TooDeep,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the dictionary is nested deeper than {DEPTH_MAX} levels")
    }
}

impl core::error::Error for EncodeError {}

/// Appends the body of a message with this dictionary, and returns the rights for its descriptors in their order
/// (dispatch X-12).
///
/// The dictionary keeps its rights; the message takes copies (`MACH_MSG_TYPE_COPY_SEND`) of those returned, which must
/// live until it has been sent.
///
/// # Errors
///
/// [`EncodeError::TooDeep`]; the buffer is then as before.
pub fn encode(root: &Dictionary, buffer: &mut Vec<u8>) -> Result<Vec<SendRight>, EncodeError> {
    let start = buffer.len();
    buffer.extend(VERSION.to_le_bytes());
    buffer.extend(0_u32.to_le_bytes());
    let mut writer = Writer { cbor: minicbor::Encoder::new(buffer), rights: Vec::new() };
    let result = writer.dictionary(root, 1);
    let Writer { cbor, rights } = writer;
    let buffer = cbor.into_writer();
    match result {
        Ok(()) => {
            let length = buffer.len() - start;
            buffer.resize(start + length.next_multiple_of(ALIGNMENT), 0);
            Ok(rights)
        }
        Err(error) => {
            buffer.truncate(start);
            Err(error)
        }
    }
}

/// Takes the success of a call that cannot fail: a vector grows or the program ends.
fn written<T>(result: Result<T, Error<Infallible>>) {
    assert!(result.is_ok(), "writing to a vector failed");
}

struct Writer<'a> {
    cbor: minicbor::Encoder<&'a mut Vec<u8>>,
    rights: Vec<SendRight>,
}

impl Writer<'_> {
    fn dictionary(&mut self, dictionary: &Dictionary, depth: usize) -> Result<(), EncodeError> {
        if depth > DEPTH_MAX {
            return Err(EncodeError::TooDeep);
        }
        written(self.cbor.map(dictionary.len() as u64));
        dictionary.iter().try_for_each(|(key, value)| {
            written(self.cbor.str(key));
            self.object(value, depth)
        })
    }

    fn array(&mut self, elements: &[Object], depth: usize) -> Result<(), EncodeError> {
        if depth > DEPTH_MAX {
            return Err(EncodeError::TooDeep);
        }
        written(self.cbor.array(elements.len() as u64));
        elements.iter().try_for_each(|element| self.object(element, depth))
    }

    /// Writes an object in a container at this depth.
    fn object(&mut self, object: &Object, depth: usize) -> Result<(), EncodeError> {
        match object {
            Object::Null => written(self.cbor.null()),
            Object::Bool(value) => written(self.cbor.bool(*value)),
            Object::Int64(value) => written(self.cbor.i64(*value)),
            Object::UInt64(value) => self.number(tag::UINT64, *value),
            Object::Double(value) => written(self.cbor.f64(*value)),
            Object::Date(value) => {
                written(self.cbor.tag(Tag::new(tag::DATE)));
                written(self.cbor.i64(*value));
            }
            Object::Data(bytes) => written(self.cbor.bytes(bytes)),
            Object::String(text) => written(self.cbor.str(text)),
            Object::Uuid(bytes) => {
                written(self.cbor.tag(Tag::new(tag::UUID)));
                written(self.cbor.bytes(bytes));
            }
            Object::Array(elements) => return self.array(elements, depth + 1),
            Object::Dictionary(entries) => return self.dictionary(entries, depth + 1),
            Object::Endpoint(endpoint) => self.right(tag::ENDPOINT, endpoint.right()),
            Object::MachSend(right) => self.right(tag::MACH_SEND, right),
            Object::Error(error) => {
                let code = match error {
                    XpcError::Interrupted => 0,
                    XpcError::Invalid => 1,
                    XpcError::TerminationImminent => 2,
                };
                self.number(tag::ERROR, code);
            }
        }
        Ok(())
    }

    fn number(&mut self, tag: u64, value: u64) {
        written(self.cbor.tag(Tag::new(tag)));
        written(self.cbor.u64(value));
    }

    fn right(&mut self, tag: u64, right: &SendRight) {
        self.number(tag, self.rights.len() as u64);
        self.rights.push(right.clone());
    }
}
