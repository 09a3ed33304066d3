//! The exact bytes of each kind of object: what one version of the library writes, the next one reads.

use crate::body;
use crate::property::Ports;
use xpc::wire::{
    ALLOCATED_PER_BYTE, DEPTH_MAX, Descriptor, VERSION, XPC_MESSAGE_CHECK_IN, XPC_MESSAGE_REPLY, XPC_MESSAGE_REQUEST,
    decode, encode,
};
use xpc::{Dictionary, Endpoint, Object, SendRight, XpcError};

/// Checks that the object is these bytes, in both directions.
fn is(object: impl Into<Object>, bytes: &[u8]) {
    let dictionary = Dictionary::from_iter([("k", object)]);
    let expected = body(&[&[0xA1, 0x61, b'k'], bytes].concat());
    let mut written = Vec::new();
    let rights = encode(&dictionary, &mut written).expect("few levels");
    assert_eq!(written, expected, "{dictionary:?}");
    assert_eq!(decode(&expected, rights.into_iter().map(Descriptor::Send).collect()), Ok(dictionary));
}

#[test]
fn an_empty_message_has_a_version_no_flags_and_padding() {
    let mut written = Vec::new();
    assert_eq!(encode(&Dictionary::new(), &mut written), Ok(vec![]));
    assert_eq!(written, [1, 0, 0, 0, 0, 0, 0, 0, 0xA0, 0, 0, 0]);
}

#[test]
fn simple_objects_have_these_bytes() {
    is(Object::Null, &[0xF6]);
    is(false, &[0xF4]);
    is(true, &[0xF5]);
    is(1.5, &[0xFB, 0x3F, 0xF8, 0, 0, 0, 0, 0, 0]);
    is(&[1, 2][..], &[0x42, 1, 2]);
    is("é", &[0x62, 0xC3, 0xA9]);
    is(vec![0xAA; 24], &[&[0x58, 24][..], &[0xAA; 24]].concat());
    is(vec![Object::Null, Object::Array(vec![])], &[0x82, 0xF6, 0x80]);
    is(Dictionary::from_iter([("", 0_i64), ("a", 1)]), &[0xA2, 0x60, 0, 0x61, b'a', 1]);
}

#[test]
fn integers_are_as_short_as_they_can_be() {
    is(0_i64, &[0]);
    is(23_i64, &[23]);
    is(24_i64, &[0x18, 24]);
    is(255_i64, &[0x18, 255]);
    is(256_i64, &[0x19, 1, 0]);
    is(65_536_i64, &[0x1A, 0, 1, 0, 0]);
    is(1_i64 << 32, &[0x1B, 0, 0, 0, 1, 0, 0, 0, 0]);
    is(i64::MAX, &[0x1B, 0x7F, 255, 255, 255, 255, 255, 255, 255]);
    is(-1_i64, &[0x20]);
    is(-24_i64, &[0x37]);
    is(-25_i64, &[0x38, 24]);
    is(-257_i64, &[0x39, 1, 0]);
    is(-65_537_i64, &[0x3A, 0, 1, 0, 0]);
    is(i64::MIN, &[0x3B, 0x7F, 255, 255, 255, 255, 255, 255, 255]);
}

#[test]
fn tagged_objects_have_these_bytes() {
    let uuid = std::array::from_fn(|index| index as u8);
    is(Object::Uuid(uuid), &[&[0xD8, 37, 0x50][..], &uuid].concat());
    is(5_u64, &[0xD9, 0x9C, 0x41, 5]);
    is(u64::MAX, &[0xD9, 0x9C, 0x41, 0x1B, 255, 255, 255, 255, 255, 255, 255, 255]);
    is(Object::Date(-1), &[0xD9, 0x9C, 0x42, 0x20]);
    is(XpcError::Interrupted, &[0xD9, 0x9C, 0x45, 0]);
    is(XpcError::Invalid, &[0xD9, 0x9C, 0x45, 1]);
    is(XpcError::TerminationImminent, &[0xD9, 0x9C, 0x45, 2]);
}

#[test]
fn rights_are_counted_in_the_order_of_the_bytes() {
    let ports = Ports::default();
    let [a, b]: [SendRight; 2] = [0x103, 0x203].map(|name| ports.right(name));
    let elements = vec![
        Object::MachSend(b.clone()),
        Object::Endpoint(Endpoint::new(a)),
        // The same right again takes a descriptor of its own.
        Object::MachSend(b),
    ];
    is(elements, &[0x83, 0xD9, 0x9C, 0x44, 0, 0xD9, 0x9C, 0x43, 1, 0xD9, 0x9C, 0x44, 2]);
}

#[test]
fn the_book_has_the_tables_of_the_code() {
    let code = include_str!("../../src/wire.rs");
    let book = include_str!("../../../../docs/xpc.md");
    let rows: Vec<&str> =
        code.lines().filter_map(|line| line.strip_prefix("//! ")).filter(|line| line.starts_with('|')).collect();
    assert!(rows.len() > 15, "only {} rows were found", rows.len());
    assert!(rows.iter().all(|row| book.contains(row)), "docs/xpc.md lacks a row");
    assert!(book.contains(&format!("the version, {VERSION},")));
    assert!(book.contains(&format!("more than {DEPTH_MAX} levels")));
    assert!(book.contains(&format!("at most {ALLOCATED_PER_BYTE} bytes for each byte")));
    let ids = [XPC_MESSAGE_REQUEST, XPC_MESSAGE_REPLY, XPC_MESSAGE_CHECK_IN];
    assert!(ids.iter().all(|id| book.contains(&format!("{id:#010x}"))), "docs/xpc.md lacks an id");
}
