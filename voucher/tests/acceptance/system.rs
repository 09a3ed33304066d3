//! What the core does for the system interfaces (vouchers 10.5): commands, values of a control, activity ids.

use crate::support::*;
use voucher::*;

// covers vouchers S-01 S-02
#[test]
fn keys_without_commands_refuse_them_and_keys_without_manager_have_none() {
    let mut world = World::new();
    let v = world.make(&[it(4, 710, 0, [0xFF, 0x10, 0, 0]), st(7, "a"), st(8, "b")]);
    for command in [0, 1, 2, 5, 10, 211, 999, u32::MAX] {
        for key in [7, 8, 4] {
            assert_eq!(world.command(v, key, command, 4).0, 5, "key {key}, command {command}");
        }
        for key in [0, 1, 5, 6, 9, ALL] {
            assert_eq!(world.command(v, key, command, 4).0, 4, "key {key}, command {command}");
        }
    }
    world.end();
}

// covers vouchers S-03
#[test]
fn there_are_no_commands_without_a_voucher() {
    let mut world = World::new();
    for key in [3, 7, 0] {
        assert_eq!(world.command(0, key, 1, 4).0, 4);
    }
    world.end();
}

// covers vouchers S-16 S-17
#[test]
fn activity_ids_begin_with_1_and_a_wrong_count_uses_none() {
    let mut ids = ActivityIds::default();
    for count in [0, 17, -1] {
        assert_eq!(ids.generate(count).map_err(|error| error.code().0), Err(4));
    }
    assert_eq!((ids.generate(16), ids.generate(1)), (Ok(1), Ok(17)));
}

// covers vouchers S-19
#[test]
fn a_control_gives_the_handle_of_its_key_if_it_is_present_and_wanted() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    let (voucher, handle) = (Some(world.id(v)), world.handle(v, 7));
    let registry = &world.vouchers.registry;
    // What is given is one handle or none, so the count is how many there are.
    assert_eq!(registry.control_get_values(Some(Key::USER_DATA), voucher, 0), Ok(None), "untouched");
    assert_eq!(registry.control_get_values(Some(Key::TEST), voucher, 1), Ok(None), "count 0");
    assert!(handle.is_some());
    assert_eq!(registry.control_get_values(Some(Key::USER_DATA), voucher, 1), Ok(handle), "count 1");
    world.end();
}
