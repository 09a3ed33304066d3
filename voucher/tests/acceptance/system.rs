//! The parts of the system interfaces (vouchers 10.5) that this crate does: commands, values of a control, activity ids.

use crate::support::*;
use voucher::*;

// covers vouchers S-01 S-02
#[test]
fn managers_without_commands_and_keys_without_manager_refuse_commands() {
    let mut world = World::new();
    let v = world.make(&[priority(0x10FF), st(DATA, "a"), st(TEST, "b")]);
    for command in [0, 1, 2, 5, 10, 211, 999, u32::MAX] {
        for key in [DATA, TEST, PRIORITY] {
            assert_eq!(world.command(v, key, command, 4), Err(Error::Failure), "key {key}, command {command}");
        }
        for key in [0, 1, 5, 6, 9, ALL] {
            assert_eq!(world.command(v, key, command, 4), Err(Error::InvalidArgument), "key {key}, command {command}");
        }
    }
    world.end();
}

// covers vouchers S-03
#[test]
fn a_command_needs_a_voucher() {
    let mut world = World::new();
    for key in [BANK, DATA, 0] {
        assert_eq!(world.command(0, key, 1, 4), Err(Error::InvalidArgument));
    }
    world.end();
}

// covers vouchers S-16 S-17
#[test]
fn activity_ids_begin_with_1_and_an_invalid_count_uses_none() {
    let mut ids = ActivityIds::default();
    for count in [0, 17, -1] {
        assert_eq!(ids.generate(count), Err(Error::InvalidArgument));
    }
    assert_eq!((ids.generate(16), ids.generate(1)), (Ok(1), Ok(17)));
}

// covers vouchers S-19
#[test]
fn a_control_returns_the_handle_of_its_key_if_the_attribute_is_present() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    let (voucher, handle) = (Some(world.id(v)), world.handle(v, DATA));
    let registry = &world.vouchers.registry;
    // The result is one handle or none, which also gives the count of the call.
    assert_eq!(registry.control_get_values(Some(Key::USER_DATA), voucher, 0), Ok(None), "untouched");
    assert_eq!(registry.control_get_values(Some(Key::TEST), voucher, 1), Ok(None), "count 0");
    assert!(handle.is_some());
    assert_eq!(registry.control_get_values(Some(Key::USER_DATA), voucher, 1), Ok(handle), "count 1");
    world.end();
}
