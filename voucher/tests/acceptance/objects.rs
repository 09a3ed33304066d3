//! Vouchers and their values as objects: their identity and their lifetimes (vouchers 10.3).

use crate::support::*;
use voucher::*;

// covers vouchers A-01 A-02
#[test]
fn equal_recipes_give_one_voucher_whose_value_is_released_once() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    assert_eq!((world.mk(&[st(DATA, "a")]), world.refs(v)), (Ok(v), 2));
    world.deallocate(v);
    assert_eq!(world.take_releases(), []);
    world.deallocate(v);
    assert_eq!(world.take_releases(), [(DATA, 2)]);
    world.end();
}

// covers vouchers A-03
#[test]
fn a_copied_value_lives_as_long_as_the_copy_and_has_one_made_reference() {
    let mut world = World::new();
    let v1 = world.make(&[st(DATA, "a")]);
    let v2 = world.make(&[cp(ALL, v1), st(TEST, "b")]);
    world.deallocate(v1);
    assert_eq!(world.take_releases(), []);
    world.deallocate(v2);
    assert_eq!(world.take_releases(), [(DATA, 1), (TEST, 1)]);
    world.end();
}

// covers vouchers A-04
#[test]
fn equal_vouchers_of_two_tasks_have_one_port() {
    let mut world = World::new();
    let in_a = world.make(&[st(DATA, "same")]);
    let (voucher, port) = (world.id(in_a), world.port(in_a));
    world.switch(B);
    let in_b = world.make(&[st(DATA, "same")]);
    assert_eq!((world.id(in_b), world.port(in_b), world.vouchers.registry.len()), (voucher, port, 1));
    world.deallocate(in_b);
    assert_eq!(world.switch(A).port(in_a), port);
    world.end();
}

// covers vouchers A-05
#[test]
fn current_task_is_one_voucher_for_all_tasks() {
    let mut world = World::new();
    let vouchers = [A, B].map(|task| {
        let name = world.switch(task).make(&[current_task()]);
        world.id(name)
    });
    assert_eq!((vouchers[0], world.vouchers.registry.len()), (vouchers[1], 1));
    world.end();
}

// covers vouchers A-06
#[test]
fn empty_content_gives_no_voucher() {
    let mut world = World::new();
    assert_eq!(world.mk(&[st(DATA, "")]), NO_VOUCHER);
    world.end();
}

/// A-11 without the size of the reference's table, because this one does not double (docs/deviations.md).
#[test]
fn the_512th_value_is_found_beside_511_others() {
    let mut world = World::new();
    let content = |number: u32| number.to_le_bytes();
    let names: Vec<u32> = (0..512).map(|number| world.make(&[st(DATA, content(number))])).collect();
    assert_eq!((world.vouchers.registry.len(), world.values(DATA).len()), (512, 512));
    for (name, number) in names.iter().zip(0..) {
        assert_eq!(world.says(*name), [(7, content(number).to_vec())]);
    }
    world.end();
}

// covers vouchers A-13
#[test]
fn equal_bytes_of_two_keys_are_two_values_that_are_both_released() {
    let mut world = World::new();
    let names = [DATA, TEST].map(|key| world.make(&[st(key, "x")]));
    assert_eq!((world.vouchers.user_data.len(), world.vouchers.test.len()), (1, 1));
    names.into_iter().for_each(|name| world.deallocate(name));
    assert_eq!(world.take_releases(), [(DATA, 1), (TEST, 1)]);
    assert!(world.vouchers.user_data.is_empty() && world.vouchers.test.is_empty());
    assert_eq!((world.values(DATA), world.values(TEST)), (vec![], vec![]));
    world.end();
}

/// without the thread: its binding is such a reference.
#[test]
fn a_reference_keeps_voucher_and_port_when_all_names_are_gone() {
    let mut world = World::new();
    let name = world.make(&[st(DATA, "a")]);
    let (voucher, port) = (world.id(name), world.port(name));
    world.vouchers.registry.retain(voucher).unwrap();
    world.deallocate(name);
    assert!(world.died.is_empty());
    world.vouchers.registry.retain(voucher).unwrap();
    let name = world.name(Some(voucher));
    assert_eq!((world.id(name), world.port(name)), (voucher, port));
    world.release(voucher);
    assert!(world.died.is_empty());
    world.deallocate(name);
    assert_eq!(world.died, [(voucher, Some(port))]);
    assert_eq!(world.take_releases(), [(DATA, 1)]);
    world.end();
}

// covers vouchers A-16
#[test]
fn a_persistent_value_stays_one_element_and_is_never_released() {
    let mut world = World::new();
    let before = world.values(PRIORITY).len();
    for _ in 0..1000 {
        let name = world.make(&[priority(0x10FF)]);
        world.deallocate(name);
    }
    assert_eq!((world.take_releases(), world.values(PRIORITY).len()), (vec![], before + 1));
    world.end();
}

// covers vouchers A-17
#[test]
fn a_full_table_refuses_a_creation_and_no_value_is_handed_out() {
    let fake = Fake::default();
    fake.0.borrow_mut().values_max = Some(2);
    let mut world = World::with_fake(&fake);
    let store = |handle: u64| it(FAKE, HAND_OUT, 0, handle.to_le_bytes());
    let names = [1, 2].map(|handle| world.make(&[store(handle)]));
    let made = fake.0.borrow().made.clone();
    assert_eq!((world.mk(&[st(DATA, "a"), store(3)]), &fake.0.borrow().made), (RESOURCE_SHORTAGE, &made));
    assert_eq!(world.take_releases(), [(DATA, 1)]);
    world.deallocate(names[0]);
    world.make(&[store(3)]);
    world.end();
}

// covers vouchers A-18
#[test]
fn a_dying_voucher_is_not_found_and_not_revived() {
    let mut world = World::new();
    let recipes = [Recipe::new(DATA, STORE, b"a")];
    let old = world.create(&recipes).unwrap().unwrap();
    let dying = world.vouchers.registry.release(old).expect("the reference was the last");
    assert_eq!(world.values(DATA)[0].1, 1, "the dead voucher still holds its value");
    let new = world.create(&recipes).unwrap().unwrap();
    assert_ne!(new, old);
    assert!(destroy_voucher(&mut world, dying).is_none());
    assert!(world.vouchers.registry.get(old).is_none() && world.vouchers.registry.get(new).is_some());
    assert_eq!(world.create(&recipes), Ok(Some(new)));
    world.release(new);
    world.release(new);
    assert_eq!(world.take_releases(), [(DATA, 3)]);
    world.end();
}

// covers vouchers A-19
#[test]
fn a_key_has_one_manager_and_other_numbers_have_none() {
    // The row also has a registration without a manager. The type of `register` excludes that case.
    type Register = fn(&mut Vouchers, u32, Box<dyn AttributeManager>) -> Result<Key, Error>;
    let register: Register = Vouchers::register;
    let mut world = World::with_fake(&Fake::default());
    let v = world.make(&[st(DATA, "a"), it(FAKE, HAND_OUT, 0, [1; 8])]);
    for key in [DATA, FAKE, 0, 9] {
        let result = register(&mut world.vouchers, key, Box::<Fake>::default());
        assert_eq!(result, Err(Error::InvalidArgument), "key {key}");
    }
    assert_eq!(world.mk(&[cp(ALL, v), rd(DATA, v)]), Ok(v));
    world.deallocate(v);
    world.deallocate(v);
    assert_eq!(world.take_releases(), [(FAKE, 1), (DATA, 2)]);
    world.end();
}
