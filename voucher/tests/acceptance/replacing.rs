//! Replacing a value by another, and storing handles (vouchers 10.2).

use crate::support::*;
use voucher::*;

const HANDLE: u64 = 0x1234;

fn fake_key() -> Key {
    Key::new(FAKE).unwrap()
}

/// Creates a voucher with the control of the fake manager's key.
fn create_with_control(world: &mut World, key: u32, content: &[u8]) -> Result<Option<VoucherId>, Error> {
    let recipes = [Recipe::new(key, SET_VALUE_HANDLE, content)];
    create_voucher_with_control(world, &CallingTask::KERNEL, Some(fake_key()), &mut Recipes::new(&recipes))
        .expect_done()
}

/// Returns a fake manager that holds one made reference to the handle itself.
fn fake_with_a_value() -> Fake {
    let fake = Fake::default();
    fake.0.borrow_mut().made.insert(HANDLE, 1);
    fake
}

// covers vouchers C-16
#[test]
fn a_creation_without_control_cannot_store_a_handle() {
    let mut world = World::new();
    for (key, content) in [(DATA, &[1; 8][..]), (DATA, &[]), (ALL, &[1; 8])] {
        assert_eq!(world.mk(&[it(key, SET_VALUE_HANDLE, 0, content)]), INVALID_CAPABILITY);
    }
    world.end();
}

// covers vouchers C-17
#[test]
fn a_handle_stored_through_the_control_is_released_like_any_other() {
    let fake = fake_with_a_value();
    let mut world = World::with_fake(&fake);
    let voucher = create_with_control(&mut world, FAKE, &HANDLE.to_le_bytes()).unwrap().unwrap();
    let values = world.vouchers.registry.control_get_values(Some(fake_key()), Some(voucher), 4);
    assert_eq!(values, Ok(Some(HANDLE)));
    world.release(voucher);
    assert_eq!(fake.0.borrow().offered, [ReleaseRequest { key: fake_key(), handle: HANDLE, sync: 1 }]);
    assert!(fake.0.borrow().made.is_empty());
    world.end();
}

// covers vouchers C-18
#[test]
fn a_control_stores_only_whole_handles_of_its_own_key() {
    let fake = fake_with_a_value();
    let mut world = World::with_fake(&fake);
    let bytes = HANDLE.to_le_bytes();
    assert_eq!(create_with_control(&mut world, FAKE, &bytes[..4]), Err(Error::InvalidArgument));
    assert_eq!(create_with_control(&mut world, DATA, &bytes), Err(Error::InvalidCapability));
    assert_eq!(create_with_control(&mut world, ALL, &bytes), Err(Error::InvalidCapability));
    assert_eq!(
        (fake.0.borrow().offered.len(), fake.0.borrow().made[&HANDLE]),
        (0, 1),
        "the manager keeps its made reference"
    );
    world.end();
}

// covers vouchers C-19
#[test]
fn storing_the_default_handle_makes_the_attribute_absent() {
    let fake = Fake::default();
    fake.0.borrow_mut().default = HANDLE;
    let mut world = World::with_fake(&fake);
    assert_eq!(create_with_control(&mut world, FAKE, &HANDLE.to_le_bytes()), Ok(None));
    world.end();
}

// covers vouchers C-27
#[test]
fn a_replaced_value_is_released_once() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a"), st(DATA, "b")]);
    assert_eq!(world.says(v), [(DATA, b"b".to_vec())]);
    assert_eq!((world.take_releases(), world.vouchers.user_data.len()), (vec![(DATA, 1)], 1));
    world.end();
}

// covers vouchers C-28
#[test]
fn a_value_replaced_by_itself_is_not_released() {
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
fn a_managers_error_code_is_returned_and_earlier_values_are_released() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let items = [it(FAKE, HAND_OUT, 0, HANDLE.to_le_bytes()), st(DATA, "a"), it(FAKE, FAIL, 0, HANDLE.to_le_bytes())];
    assert_eq!(world.mk(&items), Err(FAILURE));
    assert_eq!(world.take_releases(), [(FAKE, 1), (DATA, 1)]);
    assert!(fake.0.borrow().made.is_empty() && world.vouchers.user_data.is_empty());
    world.end();
}
