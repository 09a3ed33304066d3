//! Arrays of recipes (vouchers 10.1).

use crate::support::*;
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE as ARRAY_MAX;

/// Returns the array of R-04.
pub fn hello() -> Vec<u8> {
    [&b"\x07\0\0\0\xd3\0\0\0\0\0\0\0\x0d\0\0\0"[..], b"Hello World!\0"].concat()
}

#[test]
fn no_recipes_give_no_voucher() {
    let mut world = World::new();
    assert_eq!(world.mk(&[]), NO_VOUCHER);
    world.end();
}

// covers vouchers R-03
#[test]
fn a_truncated_header_or_content_is_invalid_and_creates_nothing() {
    let mut world = World::new();
    for byte in [0, 7, 0xFF] {
        assert_eq!(world.mk_bytes(&[byte; 15]), INVALID_ARGUMENT);
    }
    assert_eq!(world.mk_bytes(&header(DATA, STORE, 0, 1)), INVALID_ARGUMENT);
    assert_eq!((world.names(), world.vouchers.registry.len()), (0, 0));
    world.end();
}

// covers vouchers R-04
#[test]
fn hello_world_gives_a_voucher() {
    let mut world = World::new();
    assert_eq!(hello().len(), 29);
    let name = world.mk_bytes(&hello()).unwrap();
    assert_eq!(world.says(name), [(DATA, b"Hello World!\0".to_vec())]);
    world.end();
}

// covers vouchers R-05
#[test]
fn bytes_after_the_last_recipe_are_invalid_and_its_value_is_released_once() {
    let mut world = World::new();
    world.make(&[st(DATA, "other")]);
    assert_eq!(world.vouchers.user_data.len(), 1);
    assert_eq!(world.mk_bytes(&[&hello()[..], &[0; 3]].concat()), INVALID_ARGUMENT);
    assert_eq!((world.vouchers.user_data.len(), world.take_releases()), (1, vec![(DATA, 1)]));
    world.end();
}

// covers vouchers R-06
#[test]
fn the_largest_content_size_is_invalid() {
    let mut world = World::new();
    for size in [16, ARRAY_MAX] {
        let mut bytes = header(DATA, STORE, 0, u32::MAX);
        bytes.resize(size, 0);
        assert_eq!(world.mk_bytes(&bytes), INVALID_ARGUMENT);
    }
    world.end();
}

#[test]
fn a_name_that_denotes_no_voucher_is_an_invalid_capability() {
    let mut world = World::new();
    for name in [BAD_NAME, u32::MAX] {
        assert_eq!(world.mk(&[it(DATA, STORE, name, "x")]), INVALID_CAPABILITY);
    }
    assert!(world.vouchers.user_data.is_empty());
    world.end();
}

// covers vouchers R-09
#[test]
fn a_truncated_content_is_reported_before_a_bad_name() {
    let mut world = World::new();
    assert_eq!(world.mk_bytes(&header(DATA, STORE, BAD_NAME, 1)), INVALID_ARGUMENT);
    world.end();
}

// covers vouchers R-10
#[test]
fn a_bad_name_is_reported_before_an_invalid_key_or_command() {
    let mut world = World::new();
    assert_eq!(world.mk(&[it(99, UNKNOWN_COMMAND, BAD_NAME, "")]), INVALID_CAPABILITY);
    assert_eq!(world.mk(&[it(99, UNKNOWN_COMMAND, 0, "")]), INVALID_ARGUMENT, "key and command are invalid as well");
    world.end();
}

// covers vouchers R-11
#[test]
fn a_header_may_lie_at_any_offset() {
    let mut world = World::new();
    let bytes = array(&[st(DATA, "Hello World!\0"), st(TEST, "z")]);
    assert_eq!(bytes[29..33], [8, 0, 0, 0]);
    let name = world.mk_bytes(&bytes).unwrap();
    assert_eq!(world.says(name), [(DATA, b"Hello World!\0".to_vec()), (TEST, b"z".to_vec())]);
    world.end();
}

// covers vouchers R-17
#[test]
fn an_array_of_the_largest_size_is_executed_completely() {
    let mut world = World::new();
    let bytes = array(&vec![rm(DATA, 0); 320]);
    assert_eq!((bytes.len(), world.mk_bytes(&bytes)), (ARRAY_MAX, NO_VOUCHER));
    world.end();
}

// covers vouchers R-18
#[test]
fn an_unknown_command_undoes_what_came_before_it() {
    let mut world = World::new();
    assert_eq!(world.mk(&[st(DATA, "a"), it(DATA, UNKNOWN_COMMAND, 0, "")]), INVALID_ARGUMENT);
    assert!(world.vouchers.user_data.is_empty());
    world.end();
}
