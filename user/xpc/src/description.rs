//! Descriptions of objects for people, in the manner of `xpc_copy_description`.

use crate::{Dictionary, Endpoint, Object};
use core::fmt;

/// Bytes of data that a description shows.
const DATA_SHOWN: usize = 32;

/// Bytes, as a hexadecimal number.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn data(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let shown = Hex(&bytes[..bytes.len().min(DATA_SHOWN)]);
    let rest = if bytes.len() > DATA_SHOWN { "..." } else { "" };
    write!(f, "<data> {{ length = {}, contents = 0x{shown}{rest} }}", bytes.len())
}

fn uuid(f: &mut fmt::Formatter<'_>, bytes: &[u8; 16]) -> fmt::Result {
    let [low, mid, high, clock, node] = [&bytes[..4], &bytes[4..6], &bytes[6..8], &bytes[8..10], &bytes[10..]].map(Hex);
    write!(f, "<uuid> {low}-{mid}-{high}-{clock}-{node}")
}

fn array(f: &mut fmt::Formatter<'_>, elements: &[Object], depth: usize) -> fmt::Result {
    writeln!(f, "<array> {{ count = {}, contents =", elements.len())?;
    for (index, element) in elements.iter().enumerate() {
        write!(f, "{:indent$}{index}: ", "", indent = 4 * (depth + 1))?;
        object(f, element, depth + 1)?;
        writeln!(f)?;
    }
    write!(f, "{:indent$}}}", "", indent = 4 * depth)
}

fn dictionary(f: &mut fmt::Formatter<'_>, entries: &Dictionary, depth: usize) -> fmt::Result {
    writeln!(f, "<dictionary> {{ count = {}, contents =", entries.len())?;
    for (key, value) in entries.iter() {
        write!(f, "{:indent$}{key:?} => ", "", indent = 4 * (depth + 1))?;
        object(f, value, depth + 1)?;
        writeln!(f)?;
    }
    write!(f, "{:indent$}}}", "", indent = 4 * depth)
}

fn object(f: &mut fmt::Formatter<'_>, object: &Object, depth: usize) -> fmt::Result {
    match object {
        Object::Null => f.write_str("<null>"),
        Object::Bool(value) => write!(f, "<bool> {value}"),
        Object::Int64(value) => write!(f, "<int64> {value}"),
        Object::UInt64(value) => write!(f, "<uint64> {value}"),
        Object::Double(value) => write!(f, "<double> {value:?}"),
        Object::Date(value) => write!(f, "<date> {value} ns"),
        Object::Data(bytes) => data(f, bytes),
        Object::String(text) => write!(f, "<string> {{ length = {}, contents = {text:?} }}", text.len()),
        Object::Uuid(bytes) => uuid(f, bytes),
        Object::Array(elements) => array(f, elements, depth),
        Object::Dictionary(entries) => dictionary(f, entries, depth),
        Object::Endpoint(endpoint) => write!(f, "{endpoint:?}"),
        Object::MachSend(right) => write!(f, "{right:?}"),
        Object::Error(error) => write!(f, "<error> {error}"),
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        object(f, self, 0)
    }
}

impl fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        dictionary(f, self, 0)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<endpoint> {{ name = {:?} }}", self.right().name())
    }
}
