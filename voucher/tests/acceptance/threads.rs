//! Threads that work on one value at the same time. Registry and manager have locks of their own. A thread asks the
//! manager without holding the registry's lock, so other threads may change both between request and answer.

use std::sync::{Mutex, MutexGuard};
use std::task::Poll;
use voucher::managers::user_data::UserData;
use voucher::*;

/// Registry and manager of key 7.
struct Shared {
    registry: Mutex<Registry>,
    manager: Mutex<UserData>,
    offers: Mutex<Vec<(u64, bool)>>,
}

const STORE: u32 = abi::voucher::MACH_VOUCHER_ATTR_USER_DATA_STORE;
const REDEEM: u32 = abi::voucher::MACH_VOUCHER_ATTR_REDEEM;

impl Shared {
    fn new() -> Self {
        let mut registry = Registry::new(1);
        let manager = UserData::new(1);
        registry.register(Key::USER_DATA.number(), manager.registration()).unwrap();
        Shared { registry: registry.into(), manager: manager.into(), offers: Mutex::default() }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap()
    }

    fn get_value(&self, request: &ValueRequest, content: &[u8]) -> Result<ManagerValue, Error> {
        match self.manager.lock().unwrap().get_value(&CallingTask::KERNEL, request, content) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("user data answers at once"),
        }
    }

    fn offer(&self, request: &ReleaseRequest) -> bool {
        let answer = self.manager.lock().unwrap().release_value(request);
        let accepted = answer == Poll::Ready(Ok(()));
        self.offers.lock().unwrap().push((request.sync, accepted));
        accepted
    }

    fn create(&self, recipe: &Recipe<'_>) -> VoucherId {
        let mut creation = Creation::new();
        let mut step = creation.execute(&mut self.registry(), recipe);
        loop {
            step = match step {
                CreationStep::NextRecipe => creation.finish(&mut self.registry()),
                CreationStep::GetValue(request) => {
                    let answer = self.get_value(&request, recipe.content);
                    creation.answer_value(&mut self.registry(), answer)
                }
                CreationStep::ReleaseValue(request) => {
                    let accepted = self.offer(&request);
                    creation.answer_release(&mut self.registry(), accepted)
                }
                CreationStep::Died(..) => panic!("only the test drops vouchers"),
                CreationStep::Done(result) => return result.unwrap().unwrap(),
            };
        }
    }

    fn release(&self, voucher: VoucherId) {
        let Some(mut dead) = self.registry().release(voucher) else { return };
        loop {
            // The lock is released before the manager is asked.
            let request = dead.values.next(&mut self.registry());
            let Some(request) = request else { return };
            let accepted = self.offer(&request);
            dead.values.answer(&mut self.registry(), accepted);
        }
    }

    /// Asserts I1 to I9 of vouchers 1.13 while calls are in progress. No voucher has a port (I10), and no lock is held while
    /// the manager is asked (I11).
    fn check_in_progress(&self) {
        let registry = self.registry();
        registry.check(false);
        let manager = self.manager.lock().unwrap();
        for (_, value) in registry.control(Key::USER_DATA).unwrap().values() {
            let made = manager.made(value.handle()).unwrap_or(0);
            assert!(value.is_releasing() || made >= value.made(), "I5: {made} for {}", value.made());
        }
        assert!(registry.iter().all(|(_, voucher)| voucher.port().is_none() && !voucher.port_holds_reference()));
    }

    /// Asserts I1 to I9 of vouchers 1.13 while no call is in progress, and returns references and made references of the
    /// value.
    fn check(&self) -> Option<(u32, u64)> {
        let registry = self.registry();
        registry.check(true);
        let value = registry.control(Key::USER_DATA)?.values().next().map(|(_, value)| *value)?;
        assert_eq!(self.manager.lock().unwrap().made(value.handle()), Some(value.made()), "I5");
        Some((value.refs(), value.made()))
    }

    fn take_offers(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.offers.lock().unwrap())
    }

    /// Asserts I12 of vouchers 1.13.
    fn assert_empty(&self) {
        assert_eq!(self.check(), None);
        assert!(self.registry().is_empty() && self.manager.lock().unwrap().is_empty());
    }
}

// covers vouchers A-12
#[test]
fn two_threads_create_and_drop_one_voucher_a_million_times_each() {
    const TIMES: usize = 1_000_000;
    let shared = Shared::new();
    let recipe = Recipe::new(Key::USER_DATA.number(), STORE, b"same");
    let last = std::thread::scope(|scope| {
        let work = || {
            for time in 1..TIMES {
                let voucher = shared.create(&recipe);
                shared.release(voucher);
                if time % 1024 == 0 {
                    shared.check_in_progress();
                    shared.take_offers();
                }
            }
            shared.create(&recipe)
        };
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert_eq!(last[0], last[1], "I8");
    let (refs, made) = shared.check().expect("the value is in use");
    assert_eq!(refs, 1, "I1: one voucher holds it");
    shared.take_offers();
    last.into_iter().for_each(|voucher| shared.release(voucher));
    assert_eq!(shared.take_offers(), [(made, true)], "one release of all made references");
    shared.assert_empty();
}

#[test]
fn v8_concurrent_redemptions_are_all_counted_and_released_at_once() {
    const THREADS: usize = 4;
    const TIMES: usize = 10_000;
    let shared = Shared::new();
    let key = Key::USER_DATA.number();
    let voucher = shared.create(&Recipe::new(key, STORE, b"same"));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TIMES {
                    assert_eq!(shared.create(&Recipe::from(voucher, key, REDEEM)), voucher);
                }
            });
        }
    });
    let times = 1 + THREADS * TIMES;
    assert_eq!(shared.check(), Some((1, times as u64)), "the manager's count is the registry's");
    assert_eq!(shared.take_offers(), []);
    (0..times).for_each(|_| shared.release(voucher));
    assert_eq!(shared.take_offers(), [(times as u64, true)]);
    shared.assert_empty();
}
