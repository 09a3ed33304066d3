//! Creations and releases that wait for their managers: other calls run in between, and no reference is lost.

use abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE as DATA_STORE;
use abi::voucher::{MACH_VOUCHER_ATTR_COPY as COPY, MACH_VOUCHER_ATTR_REDEEM as REDEEM};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_ALL as ALL, MACH_VOUCHER_ATTR_REMOVE as REMOVE};
use abi::voucher::{MACH_VOUCHER_ATTR_KEY_TEST as TEST, MACH_VOUCHER_ATTR_KEY_USER_DATA as DATA};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use voucher::*;

/// The key of the slow manager, and its recipe command.
const KEY: u32 = 5;
const STORE: u32 = 1000;
const VALUES_MAX: usize = 3;
/// The key of the quick manager, which is below that of the slow one.
const QUICK_KEY: u32 = 1;
/// The handle that the slow manager hands out in most tests.
const HANDLE: u64 = 9;
const CALLER: CallingTask = CallingTask { task: 1, ..CallingTask::KERNEL };

/// The requests to the slow manager.
#[derive(Default)]
struct Log {
    asked: Vec<ValueRequest>,
    offered: Vec<ReleaseRequest>,
    /// The manager does not answer releases at once either.
    releases_wait: bool,
    unregistered: bool,
}

/// A manager that never answers a request for a value at once, as a program that gets it in a message.
struct Slow(Rc<RefCell<Log>>);

impl AttributeManager for Slow {
    fn registration(&self) -> Registration {
        Registration { values_max: VALUES_MAX, ..Registration::default() }
    }

    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        _content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        self.0.borrow_mut().asked.push(*request);
        Poll::Pending
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let mut log = self.0.borrow_mut();
        log.offered.push(*request);
        if log.releases_wait { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        out.put(&handle.to_le_bytes())?;
        Ok(STORE)
    }

    fn release(&mut self) {
        self.0.borrow_mut().unregistered = true;
    }
}

/// Returns a system with the slow manager, and the log of the manager.
fn system() -> (Vouchers, Rc<RefCell<Log>>) {
    let mut vouchers = Vouchers::new(1, Default::default()).unwrap();
    let log = Rc::new(RefCell::new(Log::default()));
    vouchers.register(KEY, Box::new(Slow(log.clone()))).unwrap();
    (vouchers, log)
}

/// Returns the creation of an outcome, which must wait.
fn waiting(outcome: CreationOutcome) -> Creation {
    match outcome {
        CreationOutcome::Waiting(creation) => creation,
        CreationOutcome::Done(result) => panic!("the creation does not wait: {result:?}"),
    }
}

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a manager has not answered"),
    }
}

/// Creates a voucher with this handle of the slow manager.
fn slow_voucher(vouchers: &mut Vouchers, handle: u64) -> VoucherId {
    let recipes = [Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(vouchers, &CALLER, &mut source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(handle)));
    ready(continue_creation(vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap()
}

/// Returns the values of the slow key: handle, references, made references.
fn values(vouchers: &Vouchers) -> Vec<(u64, u32, u64)> {
    let control = vouchers.registry.control(Key::new(KEY).unwrap()).unwrap();
    control.values().map(|(_, value)| (value.handle(), value.refs(), value.made())).collect()
}

fn assert_empty(vouchers: &Vouchers) {
    vouchers.registry.check(true);
    assert!(vouchers.registry.is_empty() && vouchers.user_data.is_empty());
    assert_eq!(values(vouchers), []);
    assert_eq!(vouchers.registry.control(Key::new(KEY).unwrap()).unwrap().refs(), 1);
}

#[test]
fn other_creations_continue_while_one_waits_for_its_manager() {
    let (mut vouchers, log) = system();
    let recipes =
        [Recipe::new(DATA, DATA_STORE, b"a"), Recipe::new(KEY, STORE, b"b"), Recipe::new(TEST, DATA_STORE, b"c")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(log.borrow().asked, [ValueRequest { key: Key::new(KEY).unwrap(), command: STORE, previous: None }]);

    let other =
        create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes[..1])).expect_done().unwrap().unwrap();
    assert!(release_voucher(&mut vouchers, other).is_none());
    vouchers.registry.check(false);

    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
    let voucher = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    let keys: Vec<u32> = vouchers.registry.attributes(voucher).map(|(key, _)| key.number()).collect();
    assert_eq!((keys, values(&vouchers)), (vec![KEY, DATA, TEST], vec![(HANDLE, 1, 1)]));
    vouchers.registry.check(true);
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}

#[test]
fn the_value_that_answers_a_cancelled_creation_is_released() {
    let (mut vouchers, log) = system();
    let recipes = [Recipe::new(DATA, DATA_STORE, b"a"), Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    creation.cancel();
    assert!(
        matches!(creation.step(&mut vouchers.registry), CreationStep::GetValue(_)),
        "the manager may have handed out a value"
    );
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
    assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)), Err(Error::Aborted));
    assert_eq!(log.borrow().offered, [ReleaseRequest { key: Key::new(KEY).unwrap(), handle: HANDLE, sync: 1 }]);
    assert_empty(&vouchers);
}

#[test]
fn a_creation_whose_manager_is_gone_ends_with_the_error_of_the_answer() {
    let (mut vouchers, _) = system();
    let recipes = [Recipe::new(DATA, DATA_STORE, b"a"), Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    for cancelled in [false, true] {
        let mut source = source.clone();
        let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
        if cancelled {
            creation.cancel();
        }
        creation.answer_value(&mut vouchers.registry, Err(Error::InvalidTask));
        let result = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source));
        assert_eq!(result, Err(if cancelled { Error::Aborted } else { Error::InvalidTask }));
        assert_empty(&vouchers);
    }
    let mut creation = Creation::new();
    creation.cancel();
    assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)), Err(Error::Aborted));
}

#[test]
fn the_previous_voucher_lives_while_a_manager_is_asked() {
    let (mut vouchers, log) = system();
    let previous = slow_voucher(&mut vouchers, HANDLE);
    let recipes = [Recipe::from(previous, KEY, REDEEM)];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(log.borrow().asked.last().unwrap().previous, Some(HANDLE));
    assert!(release_voucher(&mut vouchers, previous).is_none(), "the creation holds the last reference");
    assert!(vouchers.registry.get(previous).is_some());
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(10)));
    let voucher = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    assert!(vouchers.registry.get(previous).is_none());
    assert_eq!((values(&vouchers), log.borrow().offered.len()), (vec![(10, 1, 1)], 1));
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}

#[test]
fn a_value_acquired_while_its_release_waits_is_kept() {
    for accepted in [true, false] {
        let (mut vouchers, log) = system();
        let first = slow_voucher(&mut vouchers, HANDLE);
        log.borrow_mut().releases_wait = true;
        let mut left = release_voucher(&mut vouchers, first).expect("the release waits");
        let second = slow_voucher(&mut vouchers, HANDLE);
        assert_ne!(first, second, "a dead voucher is not revived");
        left.answer(&mut vouchers.registry, accepted);
        assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
        assert_eq!(values(&vouchers), [(HANDLE, 1, if accepted { 1 } else { 2 })]);
        vouchers.registry.check(true);
        let mut left = release_voucher(&mut vouchers, second).expect("the release waits");
        left.answer(&mut vouchers.registry, true);
        assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
        assert_empty(&vouchers);
    }
}

#[test]
fn a_full_table_refuses_a_creation_before_the_manager_is_asked() {
    let (mut vouchers, log) = system();
    let live: Vec<VoucherId> = [1, 2].map(|handle| slow_voucher(&mut vouchers, handle)).to_vec();
    let recipes = [Recipe::new(DATA, DATA_STORE, b"a"), Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut third = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    let asked = log.borrow().asked.len();
    let refused = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes)).expect_done();
    assert_eq!((refused, log.borrow().asked.len()), (Err(Error::ResourceShortage), asked));
    third.answer_value(&mut vouchers.registry, Err(Error::Failure));
    assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut third, &mut source)), Err(Error::Failure));
    let third = slow_voucher(&mut vouchers, 3);
    for voucher in live.into_iter().chain([third]) {
        assert!(release_voucher(&mut vouchers, voucher).is_none());
    }
    assert_empty(&vouchers);
}

#[test]
fn a_voucher_that_comes_with_a_value_is_released_before_the_value_is_stored() {
    let (mut vouchers, _) = system();
    let gift = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&[Recipe::new(DATA, DATA_STORE, b"gift")]))
        .expect_done()
        .unwrap();
    let recipes = [Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue { voucher: gift, ..ManagerValue::counted(HANDLE) }));
    let voucher = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    assert!(vouchers.user_data.is_empty());
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}

#[test]
fn a_manager_is_told_when_its_key_is_free_again() {
    for value_goes_last in [true, false] {
        let (mut vouchers, log) = system();
        let key = Key::new(KEY).unwrap();
        let voucher = slow_voucher(&mut vouchers, HANDLE);
        if value_goes_last {
            assert_eq!(release_control(&mut vouchers, key), 1, "the value holds the control");
        }
        assert!(!log.borrow().unregistered);
        assert!(release_voucher(&mut vouchers, voucher).is_none());
        if !value_goes_last {
            assert_eq!(release_control(&mut vouchers, key), 0);
        }
        assert!(log.borrow().unregistered && vouchers.registry.control(key).is_none());
        vouchers.register(KEY, Box::new(Slow(log))).unwrap();
        assert_empty(&vouchers);
    }
}

/// A manager with one value that answers at once, and records the end of its registration.
struct Quick(Rc<RefCell<bool>>);

impl AttributeManager for Quick {
    fn get_value(
        &mut self,
        _caller: &CallingTask,
        _question: &ValueRequest,
        _content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        Poll::Ready(Ok(ManagerValue::counted(1)))
    }

    fn release_value(&mut self, _question: &ReleaseRequest) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, _: u64, _: &mut OutBuffer<'_>) -> Result<u32, Error> {
        Ok(STORE)
    }

    fn release(&mut self) {
        *self.0.borrow_mut() = true;
    }
}

#[test]
fn a_manager_is_told_that_its_key_is_free_while_the_call_that_freed_it_waits() {
    let (mut vouchers, log) = system();
    let told = Rc::new(RefCell::new(false));
    let quick = vouchers.register(QUICK_KEY, Box::new(Quick(told.clone()))).unwrap();
    let store = Recipe::new(KEY, STORE, b"");
    let recipes = [Recipe::new(QUICK_KEY, STORE, b""), store, Recipe::new(QUICK_KEY, REMOVE, b""), store];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(release_control(&mut vouchers, quick), 1, "the value holds the control");
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
    assert!(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source).is_pending());
    assert!(told.take(), "the key is free");

    let quick = vouchers.register(QUICK_KEY, Box::new(Quick(told.clone()))).unwrap();
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
    let slow = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    assert!(!*told.borrow(), "the new manager stays");
    let both = [Recipe::from(slow, KEY, COPY), Recipe::new(QUICK_KEY, STORE, b"")];
    let both = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&both)).expect_done().unwrap().unwrap();
    assert_eq!(release_control(&mut vouchers, quick), 1);
    assert!(release_voucher(&mut vouchers, slow).is_none());
    log.borrow_mut().releases_wait = true;
    let mut left = release_voucher(&mut vouchers, both).expect("the release waits");
    assert!(told.take(), "the key is free");

    vouchers.register(QUICK_KEY, Box::new(Quick(told.clone()))).unwrap();
    left.answer(&mut vouchers.registry, true);
    assert_eq!((ready(continue_release(&mut vouchers, &mut left)), told.take()), ((), false));
    assert_empty(&vouchers);
}

#[test]
fn a_key_freed_by_an_answer_can_be_registered_before_the_call_continues() {
    let (mut vouchers, log) = system();
    let voucher = slow_voucher(&mut vouchers, HANDLE);
    log.borrow_mut().releases_wait = true;
    let mut left = release_voucher(&mut vouchers, voucher).expect("the release waits");
    release_control(&mut vouchers, Key::new(KEY).unwrap());
    left.answer(&mut vouchers.registry, true);
    let second = Rc::new(RefCell::new(Log::default()));
    vouchers.register(KEY, Box::new(Slow(second.clone()))).unwrap();
    assert!(log.borrow().unregistered);
    assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
    assert!(!second.borrow().unregistered);
    assert_empty(&vouchers);
}

/// Begins a creation whose first recipe stores [`HANDLE`] and whose second one waits, with a manager that does not
/// answer releases at once either.
fn after_handle<'a>(vouchers: &mut Vouchers, log: &RefCell<Log>, source: &mut Recipes<'a>) -> Creation {
    let mut creation = waiting(create_voucher(vouchers, &CALLER, source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(HANDLE)));
    log.borrow_mut().releases_wait = true;
    assert!(continue_creation(vouchers, &CALLER, &mut creation, source).is_pending());
    creation
}

/// Asserts that the creation requests the release of these handles one after the other and nothing else, and that its
/// result is the error.
fn assert_releases(vouchers: &mut Vouchers, mut creation: Creation, handles: &[u64], error: Error) {
    for &handle in handles {
        let request = ReleaseRequest { key: Key::new(KEY).unwrap(), handle, sync: 1 };
        assert_eq!(creation.step(&mut vouchers.registry), CreationStep::ReleaseValue(request));
        creation.answer_release(&mut vouchers.registry, true);
    }
    assert_eq!(creation.step(&mut vouchers.registry), CreationStep::Done(Err(error)));
    assert_empty(vouchers);
}

#[test]
fn a_creation_can_be_cancelled_while_a_replaced_value_is_released() {
    let (mut vouchers, log) = system();
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(KEY, STORE, b""), Recipe::new(DATA, DATA_STORE, b"a")];
    let mut source = Recipes::new(&recipes);
    let mut creation = after_handle(&mut vouchers, &log, &mut source);
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(10)));
    creation.cancel();
    assert_releases(&mut vouchers, creation, &[HANDLE, 10], Error::Aborted);
}

#[test]
fn a_creation_can_be_cancelled_while_the_voucher_that_came_with_a_value_is_released() {
    let (mut vouchers, log) = system();
    let gift = slow_voucher(&mut vouchers, 8);
    log.borrow_mut().releases_wait = true;
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(DATA, DATA_STORE, b"a")];
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes)));
    let value = ManagerValue { voucher: Some(gift), ..ManagerValue::counted(HANDLE) };
    assert_eq!(creation.answer_value(&mut vouchers.registry, Ok(value)), CreationStep::Died(gift, None));
    creation.cancel();
    assert_releases(&mut vouchers, creation, &[8, HANDLE], Error::Aborted);
}

#[test]
fn cancelling_a_failed_creation_keeps_its_error() {
    let (mut vouchers, log) = system();
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(9, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = after_handle(&mut vouchers, &log, &mut source);
    creation.cancel();
    assert_releases(&mut vouchers, creation, &[HANDLE], Error::InvalidArgument);

    // The same while the previous voucher of a refused request is being released.
    let (mut vouchers, log) = system();
    let previous = slow_voucher(&mut vouchers, HANDLE);
    let recipes = [Recipe::from(previous, KEY, REDEEM)];
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes)));
    assert!(release_voucher(&mut vouchers, previous).is_none(), "the creation holds the last reference");
    log.borrow_mut().releases_wait = true;
    let step = creation.answer_value(&mut vouchers.registry, Err(Error::InvalidTask));
    assert_eq!(step, CreationStep::Died(previous, None));
    creation.cancel();
    assert_releases(&mut vouchers, creation, &[HANDLE], Error::InvalidTask);
}

#[test]
fn a_cancelled_creation_asks_no_further_manager() {
    let (mut vouchers, _) = system();
    let log = Rc::new(RefCell::new(Log::default()));
    let first = vouchers.register(QUICK_KEY, Box::new(Slow(log.clone()))).unwrap();
    let recipes = [Recipe::new(ALL, REDEEM, b"")];
    let mut source = Recipes::new(&recipes);
    for (cancelled, error) in [(true, Error::Aborted), (false, Error::InvalidArgument)] {
        let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source.clone()));
        assert_eq!(log.borrow().asked.last().unwrap().key, first);
        if cancelled {
            creation.cancel();
        }
        creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(0)));
        // A creation that is not cancelled goes on to the manager of priorities, which refuses the command.
        assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)), Err(error));
        assert_empty(&vouchers);
    }
}

#[test]
fn a_finished_creation_cannot_be_cancelled() {
    let (mut vouchers, _) = system();
    let previous = slow_voucher(&mut vouchers, HANDLE);
    let mut creation = Creation::new();
    let step = creation.execute(&mut vouchers.registry, &Recipe::from(previous, KEY, COPY));
    assert_eq!(step, CreationStep::NextRecipe);
    creation.finish(&mut vouchers.registry);
    creation.cancel();
    assert_eq!(creation.step(&mut vouchers.registry), CreationStep::Done(Ok(Some(previous))));
    assert!((0..2).all(|_| release_voucher(&mut vouchers, previous).is_none()));
    assert_empty(&vouchers);
}

#[test]
#[should_panic(expected = "a manager has not answered")]
fn expect_done_panics_while_a_manager_is_awaited() {
    let (mut vouchers, _) = system();
    let _ = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&[Recipe::new(KEY, STORE, b"")])).expect_done();
}

#[test]
fn a_key_without_part_in_messages_leaves_their_vouchers_unchanged() {
    let (mut vouchers, _) = system();
    let voucher = slow_voucher(&mut vouchers, HANDLE);
    assert!(matches!(send_preprocessing(&mut vouchers, &CALLER, voucher), ProcessedVoucher::Unchanged));
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}
