//! Objects, and their form in messages: round trips of random ones, exact bytes, and messages of hostile senders.

#[path = "../fuzz/property.rs"]
mod property;
#[path = "../fuzz/random.rs"]
mod random;

mod bytes;
mod hostile;
mod objects;
mod round_trip;

use xpc::wire::{DecodeError, decode};

/// Decodes a body with one descriptor for each element of `sends`, a send right where it is true, and checks what holds
/// for any body.
fn check(body: &[u8], sends: &[bool]) -> Result<(), DecodeError> {
    property::check_with(body, sends, decode)
}

/// Returns the body with this root: the prefix before it, and the padding behind it.
fn body(root: &[u8]) -> Vec<u8> {
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
    body.extend(root);
    body.resize(body.len().next_multiple_of(4), 0);
    body
}
