//! Arrays of recipes (vouchers 10.1).

use crate::support::*;
use abi::voucher::MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE as ARRAY_MAX;

/// The array of R-04: 29 bytes.
pub fn hello() -> Vec<u8> {
    [&b"\x07\0\0\0\xd3\0\0\0\0\0\0\0\x0d\0\0\0"[..], b"Hello World!\0"].concat()
}

#[test]
fn no_recipes_give_no_voucher() {
    let mut world = World::new();
    assert_eq!(world.mk(&[]), (0, 0));
    world.end();
}

// covers vouchers R-03
#[test]
fn less_than_a_header_and_less_than_the_content_it_announces_are_invalid_and_name_nothing() {
    let mut world = World::new();
    for byte in [0, 7, 0xFF] {
        assert_eq!(world.mk_bytes(&[byte; 15]), (4, 0));
    }
    assert_eq!(world.mk_bytes(&header(7, 211, 0, 1)), (4, 0));
    assert_eq!((world.names(), world.vouchers.registry.len()), (0, 0));
    world.end();
}

// covers vouchers R-04
#[test]
fn hello_world_is_a_voucher() {
    let mut world = World::new();
    assert_eq!(hello().len(), 29);
    let (code, name) = world.mk_bytes(&hello());
    assert!(code == 0 && name != 0);
    assert_eq!(world.says(name), [(7, b"Hello World!\0".to_vec())]);
    world.end();
}

// covers vouchers R-05
#[test]
fn bytes_after_the_last_recipe_are_invalid_and_its_value_is_given_back_once() {
    let mut world = World::new();
    world.make(&[st(7, "other")]);
    assert_eq!(world.vouchers.user_data.len(), 1);
    assert_eq!(world.mk_bytes(&[&hello()[..], &[0; 3]].concat()), (4, 0));
    assert_eq!((world.vouchers.user_data.len(), world.take_releases()), (1, vec![(7, 1)]));
    world.end();
}

// covers vouchers R-06
#[test]
fn a_content_as_large_as_a_number_can_be_is_invalid() {
    let mut world = World::new();
    for size in [16, ARRAY_MAX] {
        let mut bytes = header(7, 211, 0, u32::MAX);
        bytes.resize(size, 0);
        assert_eq!(world.mk_bytes(&bytes), (4, 0));
    }
    world.end();
}

#[test]
fn a_name_that_denotes_no_voucher_is_no_capability() {
    let mut world = World::new();
    for name in [BAD_NAME, u32::MAX] {
        assert_eq!(world.mk(&[it(7, 211, name, "x")]), (20, 0));
    }
    assert!(world.vouchers.user_data.is_empty());
    world.end();
}

// covers vouchers R-09
#[test]
fn a_content_that_is_too_long_is_found_before_a_bad_name() {
    let mut world = World::new();
    assert_eq!(world.mk_bytes(&header(7, 211, BAD_NAME, 1)), (4, 0));
    world.end();
}

// covers vouchers R-10
#[test]
fn a_bad_name_is_found_before_key_and_command_are_looked_at() {
    let mut world = World::new();
    assert_eq!(world.mk(&[it(99, 999, BAD_NAME, "")]), (20, 0));
    assert_eq!(world.mk(&[it(99, 999, 0, "")]), (4, 0), "without the name they are what is wrong");
    world.end();
}

// covers vouchers R-11
#[test]
fn a_header_may_lie_at_any_offset() {
    let mut world = World::new();
    let bytes = array(&[st(7, "Hello World!\0"), st(8, "z")]);
    assert_eq!(bytes[29..33], [8, 0, 0, 0]);
    let (code, name) = world.mk_bytes(&bytes);
    assert_eq!((code, world.says(name)), (0, vec![(7, b"Hello World!\0".to_vec()), (8, b"z".to_vec())]));
    world.end();
}

// covers vouchers R-17
#[test]
fn as_many_recipes_as_fit_into_an_array_are_executed() {
    let mut world = World::new();
    let bytes = array(&vec![rm(7, 0); 320]);
    assert_eq!((bytes.len(), world.mk_bytes(&bytes)), (ARRAY_MAX, (0, 0)));
    world.end();
}

// covers vouchers R-18
#[test]
fn an_unknown_command_undoes_what_came_before_it() {
    let mut world = World::new();
    assert_eq!(world.mk(&[st(7, "a"), it(7, 999, 0, "")]), (4, 0));
    assert!(world.vouchers.user_data.is_empty());
    world.end();
}
