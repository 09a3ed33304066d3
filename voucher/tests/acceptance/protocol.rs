//! The release of a value while it is handed out again (vouchers 1.7, 10.3): each call of two threads is one step here.

use crate::support::*;
use std::task::Poll;
use voucher::*;

const HANDLE: u64 = 0x40;

/// A voucher with the handle, and a manager that takes its time to answer the offer of it.
struct Scene {
    fake: Fake,
    world: World,
    release: Release,
}

/// Somebody to whom the manager has handed out the handle, and who has not stored it.
struct Creator(Creation);

const RECIPE: &[u8] = &HANDLE.to_le_bytes();

impl Scene {
    /// The last reference to the handle is dropped, and the manager is being asked.
    fn new() -> Self {
        let fake = Fake::default();
        let mut world = World::with_fake(&fake);
        let voucher = world.create(&[Recipe::new(FAKE, HAND_OUT, RECIPE)]).unwrap().unwrap();
        fake.0.borrow_mut().releases_wait = true;
        fake.0.borrow_mut().values_wait = true;
        let release = release_voucher(&mut world, voucher).expect("the manager takes its time");
        Scene { fake, world, release }
    }

    fn creator(&mut self) -> Creator {
        let recipes = [Recipe::new(FAKE, HAND_OUT, RECIPE)];
        match create_voucher(&mut self.world, &CallingTask::KERNEL, &mut Recipes::new(&recipes)) {
            CreationOutcome::Waiting(creation) => Creator(creation),
            CreationOutcome::Done(result) => panic!("the manager takes its time: {result:?}"),
        }
    }

    /// The value is stored, and the voucher is complete.
    fn store(&mut self, creator: Creator) -> VoucherId {
        let mut creation = creator.0;
        creation.answer_value(&mut self.world.vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
        match continue_creation(&mut self.world, &CallingTask::KERNEL, &mut creation, &mut Recipes::new(&[])) {
            Poll::Ready(Ok(Some(voucher))) => voucher,
            other => panic!("it should be complete: {other:?}"),
        }
    }

    /// The manager's answer: with `free` it gives all up first. Returns whether it was asked again.
    fn answer(&mut self, free: bool) -> bool {
        self.release.answer(&mut self.world.vouchers.registry, free);
        continue_release(&mut self.world, &mut self.release) == Poll::Pending
    }

    fn forget(&self) {
        self.fake.0.borrow_mut().forget(HANDLE);
    }

    /// How many made references were offered each time so far.
    fn offers(&self) -> Vec<u64> {
        self.fake.0.borrow().offered.iter().map(|offer| offer.sync).collect()
    }

    /// References, made references, and whether the manager is being asked.
    fn element(&self) -> (u32, u64, bool) {
        let control = self.world.vouchers.registry.control(Key::new(FAKE).unwrap()).unwrap();
        let mut values = control.values().map(|(_, value)| (value.refs(), value.made(), value.is_releasing()));
        let element = values.next().expect("the element is in use");
        assert!(values.next().is_none());
        element
    }

    /// Nothing waits any more, and the voucher is dropped.
    fn drop_at_once(mut self, voucher: VoucherId, sync: u64) {
        self.fake.0.borrow_mut().releases_wait = false;
        self.world.take_releases();
        self.world.release(voucher);
        assert_eq!(self.world.take_releases(), [(FAKE, sync)]);
        self.end();
    }

    fn end(self) {
        assert!(self.fake.0.borrow().made.is_empty());
        self.world.end();
    }
}

// covers vouchers A-07
#[test]
fn a_value_that_the_manager_keeps_waits_for_whoever_got_it() {
    let mut scene = Scene::new();
    let creator = scene.creator();
    assert!(!scene.answer(false));
    assert_eq!(scene.element(), (0, 1, false), "limbo");
    let voucher = scene.store(creator);
    assert_eq!(scene.element(), (1, 2, false));
    scene.drop_at_once(voucher, 2);
}

// covers vouchers A-08
#[test]
fn a_value_that_was_freed_and_handed_out_again_begins_a_new_life() {
    let mut scene = Scene::new();
    scene.forget();
    let creator = scene.creator();
    let voucher = scene.store(creator);
    assert!(!scene.answer(true));
    assert_eq!(scene.element(), (1, 1, false));
    scene.drop_at_once(voucher, 1);
}

// covers vouchers A-09
#[test]
fn a_new_life_that_ends_before_the_old_one_is_closed_is_offered_by_the_same_thread() {
    let mut scene = Scene::new();
    scene.forget();
    let creator = scene.creator();
    let voucher = scene.store(creator);
    assert!(release_voucher(&mut scene.world, voucher).is_none(), "it does not ask: the manager is being asked");
    assert_eq!((scene.offers(), scene.element()), (vec![1], (0, 2, true)));
    assert!(scene.answer(true), "it is asked again");
    assert_eq!((scene.offers(), scene.element()), (vec![1, 1], (0, 1, true)));
    scene.forget();
    assert!(!scene.answer(true));
    scene.end();
}

// covers vouchers A-10
#[test]
fn a_value_that_came_and_went_while_the_manager_refused_is_offered_with_all_there_is() {
    let mut scene = Scene::new();
    let creator = scene.creator();
    let voucher = scene.store(creator);
    assert!(release_voucher(&mut scene.world, voucher).is_none());
    assert!(scene.answer(false), "it is asked again");
    assert_eq!((scene.offers(), scene.element()), (vec![1, 2], (0, 2, true)));
    scene.forget();
    assert!(!scene.answer(true));
    scene.end();
}
