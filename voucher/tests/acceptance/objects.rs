//! Vouchers and their values as objects: one for each thing that is said, as long as somebody holds it (vouchers 10.3).

use crate::support::*;
use voucher::*;

// covers vouchers A-01 A-02
#[test]
fn what_is_said_twice_is_one_voucher_and_its_value_is_given_back_once() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    assert_eq!((world.mk(&[st(7, "a")]), world.refs(v)), ((0, v), 2));
    world.deallocate(v);
    assert_eq!(world.take_releases(), []);
    world.deallocate(v);
    assert_eq!(world.take_releases(), [(7, 2)]);
    world.end();
}

// covers vouchers A-03
#[test]
fn a_copied_value_lives_as_long_as_the_copy_and_counts_as_handed_out_once() {
    let mut world = World::new();
    let v1 = world.make(&[st(7, "a")]);
    let v2 = world.make(&[cp(ALL, v1), st(8, "b")]);
    world.deallocate(v1);
    assert_eq!(world.take_releases(), []);
    world.deallocate(v2);
    assert_eq!(world.take_releases(), [(7, 1), (8, 1)]);
    world.end();
}

// covers vouchers A-04
#[test]
fn tasks_that_say_the_same_have_rights_to_one_port() {
    let mut world = World::new();
    let in_a = world.make(&[st(7, "same")]);
    let (voucher, port) = (world.id(in_a), world.port(in_a));
    world.switch(B);
    let in_b = world.make(&[st(7, "same")]);
    assert_eq!((world.id(in_b), world.port(in_b), world.vouchers.registry.len()), (voucher, port, 1));
    world.deallocate(in_b);
    assert_eq!(world.switch(A).port(in_a), port);
    world.end();
}

// covers vouchers A-05
#[test]
fn the_current_task_is_one_voucher_for_all_tasks() {
    let mut world = World::new();
    let vouchers = [A, B].map(|task| {
        let name = world.switch(task).make(&[it(3, 610, 0, "")]);
        world.id(name)
    });
    assert_eq!((vouchers[0], world.vouchers.registry.len()), (vouchers[1], 1));
    world.end();
}

// covers vouchers A-06
#[test]
fn no_bytes_are_no_voucher() {
    let mut world = World::new();
    assert_eq!(world.mk(&[st(7, "")]), (0, 0));
    world.end();
}

/// The whole of A-11 but for the size of the reference's table: ours does not double (docs/deviations.md).
#[test]
fn the_512th_value_takes_its_place_beside_511_others() {
    let mut world = World::new();
    let content = |number: u32| number.to_le_bytes();
    let names: Vec<u32> = (0..512).map(|number| world.make(&[st(7, content(number))])).collect();
    assert_eq!((world.vouchers.registry.len(), world.values(7).len()), (512, 512));
    for (name, number) in names.iter().zip(0..) {
        assert_eq!(world.says(*name), [(7, content(number).to_vec())]);
    }
    world.end();
}

// covers vouchers A-13
#[test]
fn the_same_bytes_under_two_keys_are_two_values_and_both_go() {
    let mut world = World::new();
    let names = [7, 8].map(|key| world.make(&[st(key, "x")]));
    assert_eq!((world.vouchers.user_data.len(), world.vouchers.test.len()), (1, 1));
    names.into_iter().for_each(|name| world.deallocate(name));
    assert_eq!(world.take_releases(), [(7, 1), (8, 1)]);
    assert!(world.vouchers.user_data.is_empty() && world.vouchers.test.is_empty());
    assert_eq!((world.values(7), world.values(8)), (vec![], vec![]));
    world.end();
}

/// without the thread, whose binding is a reference like this one.
#[test]
fn a_reference_keeps_voucher_and_port_when_all_names_are_gone() {
    let mut world = World::new();
    let name = world.make(&[st(7, "a")]);
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
    assert_eq!(world.take_releases(), [(7, 1)]);
    world.end();
}

// covers vouchers A-16
#[test]
fn a_persistent_value_is_one_element_for_ever_and_is_never_offered() {
    let mut world = World::new();
    let before = world.values(4).len();
    for _ in 0..1000 {
        let name = world.make(&[it(4, 710, 0, [0xFF, 0x10, 0, 0])]);
        world.deallocate(name);
    }
    assert_eq!((world.take_releases(), world.values(4).len()), (vec![], before + 1));
    world.end();
}

// covers vouchers A-17
#[test]
fn at_the_ceiling_of_a_table_a_creation_is_refused_and_nothing_is_handed_out() {
    let fake = Fake::default();
    fake.0.borrow_mut().values_max = Some(2);
    let mut world = World::with_fake(&fake);
    let store = |handle: u64| it(FAKE, HAND_OUT, 0, handle.to_le_bytes());
    let names = [1, 2].map(|handle| world.make(&[store(handle)]));
    let made = fake.0.borrow().made.clone();
    assert_eq!((world.mk(&[st(7, "a"), store(3)]), &fake.0.borrow().made), ((6, 0), &made));
    assert_eq!(world.take_releases(), [(7, 1)]);
    world.deallocate(names[0]);
    world.make(&[store(3)]);
    world.end();
}

// covers vouchers A-18
#[test]
fn a_dying_voucher_is_not_found_and_not_revived() {
    let mut world = World::new();
    let recipes = [Recipe::new(7, 211, b"a")];
    let old = world.create(&recipes).unwrap().unwrap();
    let dying = world.vouchers.registry.release(old).expect("it was the last reference");
    assert_eq!(world.values(7)[0].1, 1, "its value is still held");
    let new = world.create(&recipes).unwrap().unwrap();
    assert_ne!(new, old);
    assert!(destroy_voucher(&mut world, dying).is_none());
    assert!(world.vouchers.registry.get(old).is_none() && world.vouchers.registry.get(new).is_some());
    assert_eq!(world.create(&recipes), Ok(Some(new)));
    world.release(new);
    world.release(new);
    assert_eq!(world.take_releases(), [(7, 3)]);
    world.end();
}

// covers vouchers A-19
#[test]
fn a_key_takes_one_manager_and_only_keys_take_managers() {
    // The manager is no option: a registration without one cannot be written, so that case of the row has no call.
    type Register = fn(&mut Vouchers, u32, Box<dyn AttributeManager>) -> Result<Key, Error>;
    let register: Register = Vouchers::register;
    let mut world = World::with_fake(&Fake::default());
    let v = world.make(&[st(7, "a"), it(FAKE, HAND_OUT, 0, [1; 8])]);
    for key in [7, FAKE, 0, 9] {
        let result = register(&mut world.vouchers, key, Box::<Fake>::default());
        assert_eq!(result.map_err(|error| error.code().0), Err(4), "key {key}");
    }
    assert_eq!(world.mk(&[cp(ALL, v), rd(7, v)]), (0, v));
    world.deallocate(v);
    world.deallocate(v);
    assert_eq!(world.take_releases(), [(FAKE, 1), (7, 2)]);
    world.end();
}
