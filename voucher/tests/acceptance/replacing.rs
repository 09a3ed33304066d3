//! How a value takes the place of another, and handles that are put in (vouchers 10.2).

use crate::support::*;
use abi::voucher::MACH_VOUCHER_ATTR_SET_VALUE_HANDLE as SET_VALUE_HANDLE;
use voucher::*;

const HANDLE: u64 = 0x1234;

fn fake_key() -> Key {
    Key::new(FAKE).unwrap()
}

/// Creates through the control of the fake manager's key.
fn through_control(world: &mut World, key: u32, content: &[u8]) -> Result<Option<VoucherId>, Error> {
    let recipes = [Recipe::new(key, SET_VALUE_HANDLE, content)];
    create_voucher_with_control(world, &CallingTask::KERNEL, Some(fake_key()), &mut Recipes::new(&recipes))
        .expect_done()
}

/// A fake manager that has handed the handle out once, to its own use.
fn fake_with_a_value() -> Fake {
    let fake = Fake::default();
    fake.0.borrow_mut().made.insert(HANDLE, 1);
    fake
}

// covers vouchers C-16
#[test]
fn through_the_host_no_handle_can_be_put_in() {
    let mut world = World::new();
    for (key, content) in [(7, &[1; 8][..]), (7, &[]), (ALL, &[1; 8])] {
        assert_eq!(world.mk(&[it(key, SET_VALUE_HANDLE, 0, content)]), (20, 0));
    }
    world.end();
}

// covers vouchers C-17
#[test]
fn through_the_control_a_handle_is_put_in_and_given_back_like_any_other() {
    let fake = fake_with_a_value();
    let mut world = World::with_fake(&fake);
    let voucher = through_control(&mut world, FAKE, &HANDLE.to_le_bytes()).unwrap().unwrap();
    let values = world.vouchers.registry.control_get_values(Some(fake_key()), Some(voucher), 4);
    assert_eq!(values, Ok(Some(HANDLE)));
    world.release(voucher);
    assert_eq!(fake.0.borrow().offered, [ReleaseRequest { key: fake_key(), handle: HANDLE, sync: 1 }]);
    assert!(fake.0.borrow().made.is_empty());
    world.end();
}

// covers vouchers C-18
#[test]
fn through_the_control_only_its_own_key_takes_a_handle_and_nothing_shorter() {
    let fake = fake_with_a_value();
    let mut world = World::with_fake(&fake);
    let bytes = HANDLE.to_le_bytes();
    assert_eq!(through_control(&mut world, FAKE, &bytes[..4]), Err(Error::InvalidArgument));
    assert_eq!(through_control(&mut world, 7, &bytes), Err(Error::InvalidCapability));
    assert_eq!(through_control(&mut world, ALL, &bytes), Err(Error::InvalidCapability));
    assert_eq!((Error::InvalidArgument.code().0, Error::InvalidCapability.code().0), (4, 20));
    assert_eq!((fake.0.borrow().offered.len(), fake.0.borrow().made[&HANDLE]), (0, 1), "the manager keeps its own");
    world.end();
}

// covers vouchers C-19
#[test]
fn the_default_handle_put_in_makes_the_attribute_absent() {
    let fake = Fake::default();
    fake.0.borrow_mut().default = HANDLE;
    let mut world = World::with_fake(&fake);
    assert_eq!(through_control(&mut world, FAKE, &HANDLE.to_le_bytes()), Ok(None));
    world.end();
}

// covers vouchers C-27
#[test]
fn a_value_that_is_replaced_is_given_back_once() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a"), st(7, "b")]);
    assert_eq!(world.says(v), [(7, b"b".to_vec())]);
    assert_eq!((world.take_releases(), world.vouchers.user_data.len()), (vec![(7, 1)], 1));
    world.end();
}

// covers vouchers C-28
#[test]
fn a_value_that_is_replaced_by_itself_is_not_given_back() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let item = it(FAKE, HAND_OUT, 0, HANDLE.to_le_bytes());
    let v = world.make(&[item.clone(), item]);
    assert_eq!(fake.0.borrow().asked[1].previous, Some(HANDLE));
    assert_eq!((world.take_releases(), world.values(FAKE)), (vec![], vec![(HANDLE, 1, 2)]));
    world.deallocate(v);
    assert_eq!(world.take_releases(), [(FAKE, 2)]);
    world.end();
}

// covers vouchers C-29
#[test]
fn a_managers_own_code_is_returned_and_what_came_before_it_is_given_back() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let items = [it(FAKE, HAND_OUT, 0, HANDLE.to_le_bytes()), st(7, "a"), it(FAKE, FAIL, 0, HANDLE.to_le_bytes())];
    assert_eq!(world.mk(&items), (53, 0));
    assert_eq!((world.take_releases(), FAILURE.code().0), (vec![(FAKE, 1), (7, 1)], 53));
    assert!(fake.0.borrow().made.is_empty() && world.vouchers.user_data.is_empty());
    world.end();
}
