//! COPY, REMOVE, and the commands that keys accept (vouchers 10.2).

use crate::support::*;

const A_BYTES: &[u8] = b"a";

/// Returns the attributes that a voucher with these contents has.
fn says(contents: &[(u32, &str)]) -> Vec<(u32, Vec<u8>)> {
    contents.iter().map(|&(key, content)| (key, content.as_bytes().to_vec())).collect()
}

#[test]
fn every_manager_refuses_command_0() {
    let mut world = World::new();
    for key in [3, 4, 7, 8] {
        assert_eq!(world.mk(&[it(key, 0, 0, "")]), INVALID_ARGUMENT, "key {key}");
    }
    world.end();
}

// covers vouchers C-02
#[test]
fn a_copy_of_all_attributes_is_the_same_voucher() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!((world.mk(&[cp(ALL, v)]), world.refs(v)), (Ok(v), 2));
    world.end();
}

// covers vouchers C-03 C-05
#[test]
fn a_copy_without_previous_voucher_has_no_effect_for_any_key() {
    let mut world = World::new();
    for key in [ALL, 0, 9, 99] {
        assert_eq!(world.mk(&[cp(key, 0)]), NO_VOUCHER, "key {key}");
    }
    world.end();
}

// covers vouchers C-04 C-15
#[test]
fn copy_and_remove_refuse_content() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!(world.mk(&[it(DATA, COPY, 0, "x")]), INVALID_ARGUMENT);
    for previous in [0, v] {
        assert_eq!(world.mk(&[it(DATA, REMOVE, previous, "xxxx")]), INVALID_ARGUMENT);
    }
    world.end();
}

// covers vouchers C-06
#[test]
fn a_copy_of_a_key_out_of_range_is_invalid() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    for key in [0, 9, 0xFFFF_FFFE] {
        assert_eq!(world.mk(&[cp(key, v)]), INVALID_ARGUMENT, "key {key}");
    }
    world.end();
}

// covers vouchers C-07
#[test]
fn a_copy_of_a_key_without_manager_has_no_effect() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    for key in [1, 5, 6] {
        assert_eq!(world.mk(&[cp(key, v)]), NO_VOUCHER, "key {key}");
    }
    world.end();
}

// covers vouchers C-08
#[test]
fn a_copy_of_all_attributes_makes_absent_ones_absent() {
    let mut world = World::new();
    let v = world.make(&[st(TEST, "b")]);
    assert_eq!(world.mk(&[st(DATA, "a"), cp(ALL, v)]), Ok(v));
    world.end();
}

// covers vouchers C-09
#[test]
fn a_copy_of_an_absent_attribute_makes_it_absent() {
    let mut world = World::new();
    let v = world.make(&[st(TEST, "b")]);
    assert_eq!(world.mk(&[st(DATA, "a"), cp(DATA, v)]), NO_VOUCHER);
    world.end();
}

// covers vouchers C-10
#[test]
fn a_removed_attribute_leaves_no_trace() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a"), st(TEST, "b"), rm(DATA, 0)]);
    assert_eq!((world.mk(&[st(TEST, "b")]), world.says(v)), (Ok(v), says(&[(TEST, "b")])));
    world.end();
}

// covers vouchers C-11 C-12 C-13
#[test]
fn a_removal_with_a_voucher_removes_only_equal_attributes() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "c")]);
    let name = world.make(&[st(DATA, "a"), rm(DATA, v)]);
    assert_eq!(world.says(name), says(&[(DATA, "a")]));
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!(world.mk(&[st(DATA, "a"), rm(DATA, v)]), NO_VOUCHER);
    let v = world.make(&[st(DATA, "a"), st(TEST, "c")]);
    let name = world.make(&[st(DATA, "a"), st(TEST, "b"), rm(ALL, v)]);
    assert_eq!(world.says(name), says(&[(TEST, "b")]));
    world.end();
}

// covers vouchers C-14
#[test]
fn a_removal_of_a_key_out_of_range_is_invalid_and_of_an_absent_attribute_has_no_effect() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!(
        (world.mk(&[rm(0, 0)]), world.mk(&[rm(9, v)]), world.mk(&[rm(5, 0)])),
        (INVALID_ARGUMENT, INVALID_ARGUMENT, NO_VOUCHER)
    );
    world.end();
}

// covers vouchers C-20
#[test]
fn redeeming_all_fails_because_priorities_cannot_be_redeemed() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!((world.mk(&[rd(ALL, 0)]), world.mk(&[rd(ALL, v)])), (INVALID_ARGUMENT, INVALID_ARGUMENT));
    world.end();
}

// covers vouchers C-21
#[test]
fn redeemed_user_data_is_the_same_value_with_two_made_references() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!(world.mk(&[rd(DATA, v)]), Ok(v));
    let handle = world.handle(v, DATA).unwrap();
    assert_eq!((world.vouchers.user_data.made(handle), world.values(DATA)), (Some(2), vec![(handle, 1, 2)]));
    world.end();
}

#[test]
fn redeeming_an_absent_attribute_has_no_effect() {
    let mut world = World::new();
    assert_eq!((world.mk(&[rd(DATA, 0)]), world.mk(&[rd(BANK, 0)])), (NO_VOUCHER, NO_VOUCHER));
    world.end();
}

// covers vouchers C-23
#[test]
fn without_a_previous_voucher_the_forming_value_is_redeemed() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a"), rd(DATA, 0)]);
    let handle = world.handle(v, DATA).unwrap();
    assert_eq!((world.says(v), world.vouchers.user_data.made(handle)), (says(&[(DATA, "a")]), Some(2)));
    world.end();
}

// covers vouchers C-24 C-25 C-26
#[test]
fn a_manager_command_needs_one_key_and_a_manager_that_accepts_it() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    for key in [0, 9, 1, 4] {
        assert_eq!(world.mk(&[rd(key, v)]), INVALID_ARGUMENT, "redeem key {key}");
    }
    for item in [it(ALL, AUTO_REDEEM, v, ""), it(ALL, SEND_PREPROCESS, v, ""), it(ALL, STORE, 0, "a")] {
        assert_eq!(world.mk(std::slice::from_ref(&item)), INVALID_ARGUMENT, "{item:?}");
    }
    for key in [1, 5, 0, 9] {
        assert_eq!(world.mk(&[st(key, A_BYTES)]), INVALID_ARGUMENT, "store key {key}");
    }
    world.end();
}
