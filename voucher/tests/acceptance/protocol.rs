//! The release of a value while the manager hands it out again (vouchers 1.7, 10.3). Each call of two threads is one step
//! here.

use crate::support::*;
use std::task::Poll;
use voucher::*;

const HANDLE: u64 = 0x40;

/// The release of the handle, with a manager that does not answer at once.
struct Scene {
    fake: Fake,
    world: World,
    release: Release,
}

/// A creation for which the manager has handed out the handle, which is not stored yet.
struct Creator(Creation);

const RECIPE: &[u8] = &HANDLE.to_le_bytes();

impl Scene {
    /// Drops the last reference to the handle, so that the manager is asked to release it.
    fn new() -> Self {
        let fake = Fake::default();
        let mut world = World::with_fake(&fake);
        let voucher = world.create(&[Recipe::new(FAKE, HAND_OUT, RECIPE)]).unwrap().unwrap();
        fake.0.borrow_mut().releases_wait = true;
        fake.0.borrow_mut().values_wait = true;
        let release = release_voucher(&mut world, voucher).expect("the manager does not answer at once");
        Scene { fake, world, release }
    }

    /// Begins a creation for which the manager hands out the handle.
    fn creator(&mut self) -> Creator {
        let recipes = [Recipe::new(FAKE, HAND_OUT, RECIPE)];
        match create_voucher(&mut self.world, &CallingTask::KERNEL, &mut Recipes::new(&recipes)) {
            CreationOutcome::Waiting(creation) => Creator(creation),
            CreationOutcome::Done(result) => panic!("the manager does not answer at once: {result:?}"),
        }
    }

    /// Stores the value and completes the voucher.
    fn store(&mut self, creator: Creator) -> VoucherId {
        let mut creation = creator.0;
        creation.answer_value(&mut self.world.vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
        match continue_creation(&mut self.world, &CallingTask::KERNEL, &mut creation, &mut Recipes::new(&[])) {
            Poll::Ready(Ok(Some(voucher))) => voucher,
            other => panic!("the voucher is not complete: {other:?}"),
        }
    }

    /// Answers the release, and returns true if the manager was asked again.
    fn answer(&mut self, accepted: bool) -> bool {
        self.release.answer(&mut self.world.vouchers.registry, accepted);
        continue_release(&mut self.world, &mut self.release) == Poll::Pending
    }

    /// Lets the manager release the handle.
    fn forget(&self) {
        self.fake.0.borrow_mut().forget(HANDLE);
    }

    /// Returns the made references of all offers so far.
    fn offers(&self) -> Vec<u64> {
        self.fake.0.borrow().offered.iter().map(|offer| offer.sync).collect()
    }

    /// Returns references, made references, and true if the manager is being asked to release the value.
    fn element(&self) -> (u32, u64, bool) {
        let control = self.world.vouchers.registry.control(Key::new(FAKE).unwrap()).unwrap();
        let mut values = control.values().map(|(_, value)| (value.refs(), value.made(), value.is_releasing()));
        let element = values.next().expect("the element is in use");
        assert!(values.next().is_none());
        element
    }

    /// Drops the voucher, with a manager that answers at once, and asserts the offer.
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
fn a_value_that_the_manager_keeps_waits_in_limbo_for_its_made_reference() {
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
fn a_handle_released_and_handed_out_again_begins_a_new_lifetime() {
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
fn a_new_lifetime_that_ends_during_the_old_release_is_offered_by_the_same_thread() {
    let mut scene = Scene::new();
    scene.forget();
    let creator = scene.creator();
    let voucher = scene.store(creator);
    assert!(release_voucher(&mut scene.world, voucher).is_none(), "the manager is being asked already");
    assert_eq!((scene.offers(), scene.element()), (vec![1], (0, 2, true)));
    assert!(scene.answer(true), "the manager is asked again");
    assert_eq!((scene.offers(), scene.element()), (vec![1, 1], (0, 1, true)));
    scene.forget();
    assert!(!scene.answer(true));
    scene.end();
}

// covers vouchers A-10
#[test]
fn a_value_acquired_and_dropped_during_a_refusal_is_offered_with_all_made_references() {
    let mut scene = Scene::new();
    let creator = scene.creator();
    let voucher = scene.store(creator);
    assert!(release_voucher(&mut scene.world, voucher).is_none());
    assert!(scene.answer(false), "the manager is asked again");
    assert_eq!((scene.offers(), scene.element()), (vec![1, 2], (0, 2, true)));
    scene.forget();
    assert!(!scene.answer(true));
    scene.end();
}
