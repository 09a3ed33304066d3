//! COPY, REMOVE and which commands keys accept (vouchers 10.2).

use crate::support::*;

const A_BYTES: &[u8] = b"a";

fn says(contents: &[(u32, &str)]) -> Vec<(u32, Vec<u8>)> {
    contents.iter().map(|&(key, content)| (key, content.as_bytes().to_vec())).collect()
}

#[test]
fn no_manager_knows_the_command_0() {
    let mut world = World::new();
    for key in [3, 4, 7, 8] {
        assert_eq!(world.mk(&[it(key, 0, 0, "")]), (4, 0), "key {key}");
    }
    world.end();
}

// covers vouchers C-02
#[test]
fn a_copy_of_all_is_the_voucher_itself() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!((world.mk(&[cp(ALL, v)]), world.refs(v)), ((0, v), 2));
    world.end();
}

// covers vouchers C-03 C-05
#[test]
fn a_copy_of_nothing_is_nothing_whatever_the_key() {
    let mut world = World::new();
    for key in [ALL, 0, 9, 99] {
        assert_eq!(world.mk(&[cp(key, 0)]), (0, 0), "key {key}");
    }
    world.end();
}

// covers vouchers C-04 C-15
#[test]
fn copies_and_removals_take_no_content() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!(world.mk(&[it(7, 1, 0, "x")]), (4, 0));
    for previous in [0, v] {
        assert_eq!(world.mk(&[it(7, 2, previous, "xxxx")]), (4, 0));
    }
    world.end();
}

// covers vouchers C-06
#[test]
fn a_copy_of_a_key_out_of_range_is_invalid() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    for key in [0, 9, 0xFFFF_FFFE] {
        assert_eq!(world.mk(&[cp(key, v)]), (4, 0), "key {key}");
    }
    world.end();
}

// covers vouchers C-07
#[test]
fn a_copy_of_a_key_without_manager_is_nothing() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    for key in [1, 5, 6] {
        assert_eq!(world.mk(&[cp(key, v)]), (0, 0), "key {key}");
    }
    world.end();
}

// covers vouchers C-08
#[test]
fn a_copy_of_all_overwrites_with_what_is_absent() {
    let mut world = World::new();
    let v = world.make(&[st(8, "b")]);
    assert_eq!(world.mk(&[st(7, "a"), cp(ALL, v)]), (0, v));
    world.end();
}

// covers vouchers C-09
#[test]
fn a_copy_of_an_absent_attribute_makes_it_absent() {
    let mut world = World::new();
    let v = world.make(&[st(8, "b")]);
    assert_eq!(world.mk(&[st(7, "a"), cp(7, v)]), (0, 0));
    world.end();
}

// covers vouchers C-10
#[test]
fn what_is_removed_was_never_there() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a"), st(8, "b"), rm(7, 0)]);
    assert_eq!((world.mk(&[st(8, "b")]), world.says(v)), ((0, v), says(&[(8, "b")])));
    world.end();
}

// covers vouchers C-11 C-12 C-13
#[test]
fn a_removal_with_a_voucher_removes_only_what_both_say() {
    let mut world = World::new();
    let v = world.make(&[st(7, "c")]);
    let name = world.make(&[st(7, "a"), rm(7, v)]);
    assert_eq!(world.says(name), says(&[(7, "a")]));
    let v = world.make(&[st(7, "a")]);
    assert_eq!(world.mk(&[st(7, "a"), rm(7, v)]), (0, 0));
    let v = world.make(&[st(7, "a"), st(8, "c")]);
    let name = world.make(&[st(7, "a"), st(8, "b"), rm(ALL, v)]);
    assert_eq!(world.says(name), says(&[(8, "b")]));
    world.end();
}

// covers vouchers C-14
#[test]
fn a_removal_of_a_key_out_of_range_is_invalid_and_of_one_without_manager_is_nothing() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!((world.mk(&[rm(0, 0)]), world.mk(&[rm(9, v)]), world.mk(&[rm(5, 0)])), ((4, 0), (4, 0), (0, 0)));
    world.end();
}

// covers vouchers C-20
#[test]
fn redeeming_all_fails_because_priorities_cannot_be_redeemed() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!((world.mk(&[rd(ALL, 0)]), world.mk(&[rd(ALL, v)])), ((4, 0), (4, 0)));
    world.end();
}

// covers vouchers C-21
#[test]
fn redeemed_user_data_is_the_same_and_was_handed_out_twice() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!(world.mk(&[rd(7, v)]), (0, v));
    let handle = world.handle(v, 7).unwrap();
    assert_eq!((world.vouchers.user_data.made(handle), world.values(7)), (Some(2), vec![(handle, 1, 2)]));
    world.end();
}

#[test]
fn redeeming_nothing_is_nothing() {
    let mut world = World::new();
    assert_eq!((world.mk(&[rd(7, 0)]), world.mk(&[rd(3, 0)])), ((0, 0), (0, 0)));
    world.end();
}

// covers vouchers C-23
#[test]
fn without_a_previous_voucher_the_value_so_far_is_redeemed() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a"), rd(7, 0)]);
    let handle = world.handle(v, 7).unwrap();
    assert_eq!((world.says(v), world.vouchers.user_data.made(handle)), (says(&[(7, "a")]), Some(2)));
    world.end();
}

// covers vouchers C-24 C-25 C-26
#[test]
fn a_command_for_managers_needs_one_key_and_a_manager_that_knows_it() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    for key in [0, 9, 1, 4] {
        assert_eq!(world.mk(&[rd(key, v)]), (4, 0), "redeem key {key}");
    }
    for item in [it(ALL, 4, v, ""), it(ALL, 5, v, ""), it(ALL, 211, 0, "a")] {
        assert_eq!(world.mk(std::slice::from_ref(&item)), (4, 0), "{item:?}");
    }
    for key in [1, 5, 0, 9] {
        assert_eq!(world.mk(&[st(key, A_BYTES)]), (4, 0), "store key {key}");
    }
    world.end();
}
