//! Creations and releases whose managers take their time: other calls run in between, and nothing is lost.

use abi::voucher::{MACH_VOUCHER_ATTR_COPY, MACH_VOUCHER_ATTR_REMOVE};
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Poll;
use voucher::*;

const KEY: u32 = 5;
const STORE: u32 = 1000;
const VALUES_MAX: usize = 3;
const CALLER: CallingTask = CallingTask { task: 1, bank: None };

/// What the slow manager was asked, and how often each handle was handed out.
#[derive(Default)]
struct Log {
    asked: Vec<ValueRequest>,
    offered: Vec<ReleaseRequest>,
    releases_wait: bool,
    unregistered: bool,
}

/// A manager that never answers at once, as if it were a program that has to be sent a message.
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

fn world() -> (Vouchers, Rc<RefCell<Log>>) {
    let mut vouchers = Vouchers::new(1, Default::default()).unwrap();
    let log = Rc::new(RefCell::new(Log::default()));
    vouchers.register(KEY, Box::new(Slow(log.clone()))).unwrap();
    (vouchers, log)
}

fn waiting(outcome: CreationOutcome) -> Creation {
    match outcome {
        CreationOutcome::Waiting(creation) => creation,
        CreationOutcome::Done(result) => panic!("it should wait, but is over: {result:?}"),
    }
}

fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing should be waited for"),
    }
}

/// Creates a voucher of the slow key with this handle.
fn slow_voucher(vouchers: &mut Vouchers, handle: u64) -> VoucherId {
    let recipes = [Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(vouchers, &CALLER, &mut source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(handle)));
    ready(continue_creation(vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap()
}

/// The values of the slow key: handle, references, made references.
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
    let (mut vouchers, log) = world();
    let recipes = [Recipe::new(7, 211, b"a"), Recipe::new(KEY, STORE, b"b"), Recipe::new(8, 211, b"c")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(log.borrow().asked, [ValueRequest { key: Key::new(KEY).unwrap(), command: STORE, previous: None }]);

    let other =
        create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes[..1])).expect_done().unwrap().unwrap();
    assert!(release_voucher(&mut vouchers, other).is_none());
    vouchers.registry.check(false);

    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(9)));
    let voucher = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    let keys: Vec<u32> = vouchers.registry.attributes(voucher).map(|(key, _)| key.number()).collect();
    assert_eq!((keys, values(&vouchers)), (vec![5, 7, 8], vec![(9, 1, 1)]));
    vouchers.registry.check(true);
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}

#[test]
fn the_value_that_answers_a_cancelled_creation_is_released() {
    let (mut vouchers, log) = world();
    let recipes = [Recipe::new(7, 211, b"a"), Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    creation.cancel();
    assert!(
        matches!(creation.step(&mut vouchers.registry), CreationStep::GetValue(_)),
        "the manager may have handed one out"
    );
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(9)));
    assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)), Err(Error::Aborted));
    assert_eq!(log.borrow().offered, [ReleaseRequest { key: Key::new(KEY).unwrap(), handle: 9, sync: 1 }]);
    assert_empty(&vouchers);
}

#[test]
fn a_creation_whose_manager_is_gone_ends_with_the_error_of_the_answer() {
    let (mut vouchers, _) = world();
    let recipes = [Recipe::new(7, 211, b"a"), Recipe::new(KEY, STORE, b"")];
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
    let (mut vouchers, log) = world();
    let previous = slow_voucher(&mut vouchers, 9);
    let recipes = [Recipe::from(previous, KEY, 10)];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(log.borrow().asked.last().unwrap().previous, Some(9));
    assert!(release_voucher(&mut vouchers, previous).is_none(), "its last reference is the creation's");
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
        let (mut vouchers, log) = world();
        let first = slow_voucher(&mut vouchers, 9);
        log.borrow_mut().releases_wait = true;
        let mut left = release_voucher(&mut vouchers, first).expect("the manager has to answer");
        let second = slow_voucher(&mut vouchers, 9);
        assert_ne!(first, second, "a dead voucher is not revived");
        left.answer(&mut vouchers.registry, accepted);
        assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
        assert_eq!(values(&vouchers), [(9, 1, if accepted { 1 } else { 2 })]);
        vouchers.registry.check(true);
        let mut left = release_voucher(&mut vouchers, second).expect("the manager has to answer");
        left.answer(&mut vouchers.registry, true);
        assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
        assert_empty(&vouchers);
    }
}

#[test]
fn a_full_table_refuses_a_creation_before_the_manager_is_asked() {
    let (mut vouchers, log) = world();
    let live: Vec<VoucherId> = [1, 2].map(|handle| slow_voucher(&mut vouchers, handle)).to_vec();
    let recipes = [Recipe::new(7, 211, b"a"), Recipe::new(KEY, STORE, b"")];
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
    let (mut vouchers, _) = world();
    let gift = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&[Recipe::new(7, 211, b"gift")]))
        .expect_done()
        .unwrap();
    let recipes = [Recipe::new(KEY, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue { voucher: gift, ..ManagerValue::counted(9) }));
    let voucher = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    assert!(vouchers.user_data.is_empty());
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}

#[test]
fn a_manager_is_told_when_its_key_is_free_again() {
    for value_goes_last in [true, false] {
        let (mut vouchers, log) = world();
        let key = Key::new(KEY).unwrap();
        let voucher = slow_voucher(&mut vouchers, 9);
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

/// A manager of one value that answers at once, and notes that its key is free.
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
    let (mut vouchers, log) = world();
    let told = Rc::new(RefCell::new(false));
    let quick = vouchers.register(1, Box::new(Quick(told.clone()))).unwrap();
    let store = Recipe::new(KEY, STORE, b"");
    let recipes = [Recipe::new(1, STORE, b""), store, Recipe::new(1, MACH_VOUCHER_ATTR_REMOVE, b""), store];
    let mut source = Recipes::new(&recipes);
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source));
    assert_eq!(release_control(&mut vouchers, quick), 1, "the value holds the control");
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(9)));
    assert!(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source).is_pending());
    assert!(told.take(), "the key is free");

    let quick = vouchers.register(1, Box::new(Quick(told.clone()))).unwrap();
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(9)));
    let slow = ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)).unwrap().unwrap();
    assert!(!*told.borrow(), "the new manager stays");
    let both = [Recipe::from(slow, KEY, MACH_VOUCHER_ATTR_COPY), Recipe::new(1, STORE, b"")];
    let both = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&both)).expect_done().unwrap().unwrap();
    assert_eq!(release_control(&mut vouchers, quick), 1);
    assert!(release_voucher(&mut vouchers, slow).is_none());
    log.borrow_mut().releases_wait = true;
    let mut left = release_voucher(&mut vouchers, both).expect("the manager has to answer");
    assert!(told.take(), "the key is free");

    vouchers.register(1, Box::new(Quick(told.clone()))).unwrap();
    left.answer(&mut vouchers.registry, true);
    assert_eq!((ready(continue_release(&mut vouchers, &mut left)), told.take()), ((), false));
    assert_empty(&vouchers);
}

#[test]
fn a_key_freed_by_an_answer_can_be_registered_before_the_call_continues() {
    let (mut vouchers, log) = world();
    let voucher = slow_voucher(&mut vouchers, 9);
    log.borrow_mut().releases_wait = true;
    let mut left = release_voucher(&mut vouchers, voucher).expect("the manager has to answer");
    release_control(&mut vouchers, Key::new(KEY).unwrap());
    left.answer(&mut vouchers.registry, true);
    let second = Rc::new(RefCell::new(Log::default()));
    vouchers.register(KEY, Box::new(Slow(second.clone()))).unwrap();
    assert!(log.borrow().unregistered);
    assert_eq!(ready(continue_release(&mut vouchers, &mut left)), ());
    assert!(!second.borrow().unregistered);
    assert_empty(&vouchers);
}

/// A creation with this recipe after one that stored 9, while releases wait too.
fn after_nine<'a>(vouchers: &mut Vouchers, log: &RefCell<Log>, source: &mut Recipes<'a>) -> Creation {
    let mut creation = waiting(create_voucher(vouchers, &CALLER, source));
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(9)));
    log.borrow_mut().releases_wait = true;
    assert!(continue_creation(vouchers, &CALLER, &mut creation, source).is_pending());
    creation
}

/// The creation asks for the release of these handles one after the other, and of no value any more; then this is why it
/// came to nothing.
fn assert_gives_up(vouchers: &mut Vouchers, mut creation: Creation, handles: &[u64], error: Error) {
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
    let (mut vouchers, log) = world();
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(KEY, STORE, b""), Recipe::new(7, 211, b"a")];
    let mut source = Recipes::new(&recipes);
    let mut creation = after_nine(&mut vouchers, &log, &mut source);
    creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(10)));
    creation.cancel();
    assert_gives_up(&mut vouchers, creation, &[9, 10], Error::Aborted);
}

#[test]
fn a_creation_can_be_cancelled_while_the_voucher_that_came_with_a_value_is_released() {
    let (mut vouchers, log) = world();
    let gift = slow_voucher(&mut vouchers, 8);
    log.borrow_mut().releases_wait = true;
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(7, 211, b"a")];
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes)));
    let value = ManagerValue { voucher: Some(gift), ..ManagerValue::counted(9) };
    assert_eq!(creation.answer_value(&mut vouchers.registry, Ok(value)), CreationStep::Died(gift, None));
    creation.cancel();
    assert_gives_up(&mut vouchers, creation, &[8, 9], Error::Aborted);
}

#[test]
fn cancelling_a_failed_creation_keeps_its_error() {
    let (mut vouchers, log) = world();
    let recipes = [Recipe::new(KEY, STORE, b""), Recipe::new(9, STORE, b"")];
    let mut source = Recipes::new(&recipes);
    let mut creation = after_nine(&mut vouchers, &log, &mut source);
    creation.cancel();
    assert_gives_up(&mut vouchers, creation, &[9], Error::InvalidArgument);

    // The same while the previous voucher is given up of a request that was refused.
    let (mut vouchers, log) = world();
    let previous = slow_voucher(&mut vouchers, 9);
    let recipes = [Recipe::from(previous, KEY, 10)];
    let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&recipes)));
    assert!(release_voucher(&mut vouchers, previous).is_none(), "its last reference is the creation's");
    log.borrow_mut().releases_wait = true;
    let step = creation.answer_value(&mut vouchers.registry, Err(Error::InvalidTask));
    assert_eq!(step, CreationStep::Died(previous, None));
    creation.cancel();
    assert_gives_up(&mut vouchers, creation, &[9], Error::InvalidTask);
}

#[test]
fn a_cancelled_creation_asks_no_further_manager() {
    let (mut vouchers, _) = world();
    let log = Rc::new(RefCell::new(Log::default()));
    let first = vouchers.register(1, Box::new(Slow(log.clone()))).unwrap();
    let recipes = [Recipe::new(u32::MAX, 10, b"")];
    let mut source = Recipes::new(&recipes);
    for (cancelled, error) in [(true, Error::Aborted), (false, Error::InvalidArgument)] {
        let mut creation = waiting(create_voucher(&mut vouchers, &CALLER, &mut source.clone()));
        assert_eq!(log.borrow().asked.last().unwrap().key, first);
        if cancelled {
            creation.cancel();
        }
        creation.answer_value(&mut vouchers.registry, Ok(ManagerValue::counted(0)));
        // The manager of priorities, which would be asked later, refuses.
        assert_eq!(ready(continue_creation(&mut vouchers, &CALLER, &mut creation, &mut source)), Err(error));
        assert_empty(&vouchers);
    }
}

#[test]
fn a_finished_creation_cannot_be_cancelled() {
    let (mut vouchers, _) = world();
    let previous = slow_voucher(&mut vouchers, 9);
    let mut creation = Creation::new();
    let step = creation.execute(&mut vouchers.registry, &Recipe::from(previous, KEY, MACH_VOUCHER_ATTR_COPY));
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
    let (mut vouchers, _) = world();
    let _ = create_voucher(&mut vouchers, &CALLER, &mut Recipes::new(&[Recipe::new(KEY, STORE, b"")])).expect_done();
}

#[test]
fn a_key_without_part_in_messages_leaves_their_vouchers_unchanged() {
    let (mut vouchers, _) = world();
    let voucher = slow_voucher(&mut vouchers, 9);
    assert!(matches!(send_preprocessing(&mut vouchers, &CALLER, voucher), ProcessedVoucher::Unchanged));
    assert!(release_voucher(&mut vouchers, voucher).is_none());
    assert_empty(&vouchers);
}
