//! The form of a dictionary in a Mach message (dispatch X-12).
//!
//! # Body
//!
//! The body follows the header, or the descriptors of a message that has some:
//!
//! | bytes | contents |
//! |---|---|
//! | 4 | the version, 1, little-endian |
//! | 4 | flags, little-endian; there are none yet, so 0 |
//! | any | the root dictionary, in CBOR (RFC 8949) |
//! | 0 to 3 | zeros, up to a multiple of four bytes, as the kernel demands of the size of a message |
//!
//! # Objects
//!
//! | object | CBOR |
//! |---|---|
//! | null, bool | the simple values 22, 20 and 21 |
//! | int64 | an integer |
//! | double | a number of eight bytes, so that any bits survive |
//! | data, string | a byte string, a text string |
//! | array | an array |
//! | dictionary | a map from text strings, in strictly ascending order of their bytes |
//! | uuid | tag 37, a byte string of 16 bytes |
//! | uint64 | tag 40001, an unsigned integer |
//! | date | tag 40002, an integer |
//! | endpoint | tag 40003, the index of its right: an unsigned integer |
//! | mach send | tag 40004, likewise |
//! | error | tag 40005, an unsigned integer: 0 interrupted, 1 invalid, 2 termination imminent |
//!
//! The tags from 40001 on are Tally's own; bodies of this form are not exchanged with anything else.
//!
//! # Rights
//!
//! A right travels as a port descriptor. The n-th right that the encoding mentions has index n, and each descriptor is
//! mentioned once: a descriptor that no object mentions makes a message invalid, or else a sender could burden its
//! receiver with rights of which that never learns.
//!
//! # One form only
//!
//! Every dictionary has exactly one encoding, and the decoder accepts nothing else: each integer and length is in its
//! shortest form, lengths are definite. So `encode(decode(x)) == x` for all `x` that [`decode`] accepts.
//!
//! # A hostile sender
//!
//! [`decode`] answers any bytes with a dictionary or a [`DecodeError`]. It allocates at most
//! [`ALLOCATED_PER_BYTE`] bytes for each byte of its input, and some for an error: a length is believed when that much
//! input is left, beyond what the items that are still owed need. It recurses [`DEPTH_MAX`] levels deep.
//!
//! # The codec
//!
//! `minicbor` reads and writes single items. It accepts several forms of an item, so the decoder looks at the position
//! before and after it. It is in no position to check the rest (order, rights, depth, memory), so its derived
//! implementations and its collections are not used.

mod decode;
mod encode;

pub use decode::{DecodeError, Descriptor, decode};
pub use encode::{EncodeError, encode};

/// The `msgh_id` of a message to a service.
pub const XPC_MESSAGE_REQUEST: i32 = 0x1000_0000;
/// The `msgh_id` of a reply.
pub const XPC_MESSAGE_REPLY: i32 = 0x2000_0000;
/// The `msgh_id` of the message with which a client introduces itself to a listener.
pub const XPC_MESSAGE_CHECK_IN: i32 = 0x7730_3031;

/// The version of the form that this module writes, and the only one that it reads.
pub const VERSION: u32 = 1;

/// How deep dictionaries and arrays may be nested; the root is level 1. Messages of real programs have a handful of
/// levels; both ends recurse, and 32 levels fit a thread's stack many times.
pub const DEPTH_MAX: usize = 32;

/// Bytes that decoding allocates at most for each byte of its input: an object takes at least one byte there.
pub const ALLOCATED_PER_BYTE: usize = size_of::<crate::Object>();

/// Bytes before the root dictionary: the version and the flags.
const PREFIX: usize = 8;
/// The size of a body is a multiple of this.
const ALIGNMENT: usize = 4;

/// CBOR's tags of objects that CBOR itself has no type for.
mod tag {
    pub(super) const UUID: u64 = 37;
    pub(super) const UINT64: u64 = 40001;
    pub(super) const DATE: u64 = 40002;
    pub(super) const ENDPOINT: u64 = 40003;
    pub(super) const MACH_SEND: u64 = 40004;
    pub(super) const ERROR: u64 = 40005;
}
