//! The contract of managers and drivers (vouchers 5.2, 6): made references are released all at once or not at all, and
//! handles that a manager has not handed out are refused without effect.

use abi::voucher::*;
use std::task::Poll;
use voucher::managers::bank::{Bank, BankElement, BankSettings, CURRENT_TASK, TaskIdentity};
use voucher::managers::pthpriority::PthPriority;
use voucher::managers::user_data::UserData;
use voucher::*;

/// Returns the result of a poll, which must be ready.
fn ready<T>(poll: Poll<T>) -> T {
    match poll {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the managers of the crate answer at once"),
    }
}

/// Asks a manager for a value and returns its handle.
fn ask(
    manager: &mut dyn AttributeManager,
    caller: &CallingTask,
    command: u32,
    previous: Option<u64>,
    content: &[u8],
) -> Result<u64, Error> {
    let request = ValueRequest { key: Key::BANK, command, previous };
    ready(manager.get_value(caller, &request, content)).map(|value| value.handle)
}

/// Asks a manager to release a value.
fn offer(manager: &mut dyn AttributeManager, handle: u64, sync: u64) -> Result<(), Error> {
    ready(manager.release_value(&ReleaseRequest { key: Key::BANK, handle, sync }))
}

/// The handle of a priority.
const PRIORITY: u64 = 0x10FF;

/// Returns a bank with two tasks.
fn bank() -> (Bank, CallingTask, CallingTask) {
    let mut bank = Bank::new(1, BankSettings::default());
    let mut task = |number| CallingTask {
        task: number,
        bank: Some(bank.begin_task(TaskIdentity::default()).unwrap()),
        ..Default::default()
    };
    let (first, second) = (task(1), task(2));
    (bank, first, second)
}

/// Returns the numbers of tasks and accounts, and references and made references of a task.
fn state(bank: &Bank, task: &CallingTask) -> ((usize, usize), u64, u64) {
    let Some(BankElement::Task(task)) = bank.element(task.bank.unwrap()) else { panic!("the task lives") };
    (bank.len(), task.refs(), task.made())
}

#[test]
fn a_task_is_released_only_with_all_its_made_references() {
    let (mut bank, first, _) = bank();
    let current = Some(CURRENT_TASK);
    let handle = ask(&mut bank, &first, MACH_VOUCHER_ATTR_SEND_PREPROCESS, current, b"").unwrap();
    assert_eq!(ask(&mut bank, &first, MACH_VOUCHER_ATTR_SEND_PREPROCESS, current, b""), Ok(handle));
    let before = state(&bank, &first);
    assert_eq!(before, ((2, 0), 2, 2));
    for sync in [0, 1, 3] {
        assert_eq!((offer(&mut bank, handle, sync), state(&bank, &first)), (Err(Error::Failure), before), "{sync}");
    }
    assert_eq!((offer(&mut bank, handle, 2), state(&bank, &first)), (Ok(()), ((2, 0), 1, 0)));
    assert_eq!(offer(&mut bank, handle, 0), Err(Error::Failure), "the task was not handed out");
}

#[test]
fn an_account_is_released_only_with_all_its_made_references() {
    let (mut bank, first, second) = bank();
    let task = ask(&mut bank, &first, MACH_VOUCHER_ATTR_SEND_PREPROCESS, Some(CURRENT_TASK), b"").unwrap();
    let account = ask(&mut bank, &second, MACH_VOUCHER_ATTR_AUTO_REDEEM, Some(task), b"").unwrap();
    assert_eq!(ask(&mut bank, &second, MACH_VOUCHER_ATTR_REDEEM, Some(account), b""), Ok(account));
    let before = state(&bank, &first);
    for sync in [0, 1, 3] {
        assert_eq!((offer(&mut bank, account, sync), state(&bank, &first)), (Err(Error::Failure), before), "{sync}");
    }
    assert_eq!((offer(&mut bank, account, 2), bank.len()), (Ok(()), (2, 0)));
    assert_eq!(offer(&mut bank, account, 2), Err(Error::Failure), "the account is gone");
    assert_eq!(offer(&mut bank, task, 1), Ok(()));
}

#[test]
fn an_ended_task_exists_as_long_as_a_value_or_an_account_refers_to_it() {
    let (mut bank, first, second) = bank();
    let task = ask(&mut bank, &first, MACH_VOUCHER_ATTR_SEND_PREPROCESS, Some(CURRENT_TASK), b"").unwrap();
    let account = ask(&mut bank, &second, MACH_VOUCHER_ATTR_AUTO_REDEEM, Some(task), b"").unwrap();
    bank.end_task(first.bank.unwrap());
    assert_eq!((offer(&mut bank, task, 1), bank.len()), (Ok(()), (2, 1)));
    assert_eq!((offer(&mut bank, account, 1), bank.len()), (Ok(()), (1, 0)));
    bank.end_task(second.bank.unwrap());
    assert!(bank.is_empty());
}

#[test]
fn releasing_current_task_or_the_default_has_no_effect() {
    let (mut bank, first, _) = bank();
    let before = state(&bank, &first);
    for handle in [0, CURRENT_TASK] {
        assert_eq!((offer(&mut bank, handle, 7), state(&bank, &first)), (Ok(()), before));
    }
}

#[test]
fn unknown_handles_are_refused() {
    let (mut bank, first, _) = bank();
    let mut data = UserData::new(1);
    let mut room = [0; 600];
    for handle in [2, 99, 1 << 32 | 99, 7 << 32, u64::MAX] {
        let managers: [&mut dyn AttributeManager; 2] = [&mut bank, &mut data];
        for manager in managers {
            let mut out = OutBuffer::new(&mut room);
            let redeemed = ask(manager, &first, MACH_VOUCHER_ATTR_REDEEM, Some(handle), b"");
            assert_eq!(redeemed, Err(Error::InvalidArgument), "{handle:#x}");
            let told = manager.extract_content(&first, Key::BANK, handle, &mut out);
            assert_eq!(told, Err(Error::InvalidArgument), "{handle:#x}");
            assert_eq!(offer(manager, handle, 1), Err(Error::Failure), "{handle:#x}");
        }
        let mut out = OutBuffer::new(&mut room);
        let request = CommandRequest { key: Key::BANK, handle: Some(handle), command: BANK_ORIGINATOR_PID, input: &[] };
        let told = bank.command(&first, &request, &mut out);
        assert_eq!(told, Err(Error::InvalidArgument), "{handle:#x}");
    }
}

#[test]
fn a_persistent_handle_stored_through_the_control_is_counted_and_released() {
    // `SET_VALUE_HANDLE` never makes a value persistent, even if its manager would.
    for (key, handle) in [(Key::BANK, CURRENT_TASK), (Key::PTHPRIORITY, PRIORITY)] {
        let mut vouchers = Vouchers::new(1, BankSettings::default()).unwrap();
        let content = handle.to_le_bytes();
        let recipes = [Recipe::new(key.number(), MACH_VOUCHER_ATTR_SET_VALUE_HANDLE, &content)];
        let put =
            create_voucher_with_control(&mut vouchers, &CallingTask::KERNEL, Some(key), &mut Recipes::new(&recipes))
                .expect_done();
        let voucher = put.unwrap().unwrap();
        assert_eq!(vouchers.registry.handle(voucher, key), Some(handle));
        let counts = |vouchers: &Vouchers| {
            let control = vouchers.registry.control(key).unwrap();
            (control.refs(), control.values().map(|(_, value)| (value.refs(), value.made())).collect::<Vec<_>>())
        };
        assert_eq!(counts(&vouchers), (2, vec![(1, 1)]));
        assert!(release_voucher(&mut vouchers, voucher).is_none());
        assert_eq!(counts(&vouchers), (1, vec![]));
        vouchers.registry.check(true);
    }
    assert_eq!(offer(&mut PthPriority, PRIORITY, 1), Ok(()));
}

/// A driver that records the deaths of vouchers.
struct Recorder {
    vouchers: Vouchers,
    died: Vec<(VoucherId, Option<PortBinding>)>,
}

impl Driver for Recorder {
    fn registry(&mut self) -> &mut Registry {
        &mut self.vouchers.registry
    }

    fn registry_ref(&self) -> &Registry {
        &self.vouchers.registry
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.vouchers.manager(key)
    }

    fn voucher_died(&mut self, id: VoucherId, port: Option<PortBinding>) {
        self.died.push((id, port));
    }
}

/// A driver whose next value comes with a voucher.
struct Generous {
    recorder: Recorder,
    gift: Option<VoucherId>,
}

impl Driver for Generous {
    fn registry(&mut self) -> &mut Registry {
        self.recorder.registry()
    }

    fn registry_ref(&self) -> &Registry {
        self.recorder.registry_ref()
    }

    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager {
        self.recorder.manager(key)
    }

    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        let voucher = self.gift.take();
        self.recorder.get_value(caller, request, content).map_ok(|value| ManagerValue { voucher, ..value })
    }

    fn voucher_died(&mut self, id: VoucherId, port: Option<PortBinding>) {
        self.recorder.voucher_died(id, port);
    }
}

/// Creates a voucher with this user data.
fn data_voucher(driver: &mut impl Driver, content: &[u8]) -> VoucherId {
    let recipes = [Recipe::new(MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, content)];
    create_voucher(driver, &CallingTask::KERNEL, &mut Recipes::new(&recipes)).expect_done().unwrap().unwrap()
}

#[test]
fn each_death_is_reported_once_with_the_port_to_destroy() {
    let vouchers = Vouchers::new(1, BankSettings::default()).unwrap();
    let mut driver = Generous { recorder: Recorder { vouchers, died: vec![] }, gift: None };
    let port = PortBinding::new(77);

    let plain = data_voucher(&mut driver, b"plain");
    let named = data_voucher(&mut driver, b"named");
    driver.registry().bind_port(named, port.unwrap());
    driver.registry().reference_to_send_right(named);
    assert!(release_voucher(&mut driver, plain).is_none());
    let dead = driver.registry().no_senders(named).expect("the port had the last reference");
    assert!(destroy_voucher(&mut driver, dead).is_none());
    assert_eq!(std::mem::take(&mut driver.recorder.died), [(plain, None), (named, port)]);

    // A voucher that dies during a creation is reported as well.
    let gift = data_voucher(&mut driver, b"gift");
    driver.registry().bind_port(gift, port.unwrap());
    driver.gift = Some(gift);
    let voucher = data_voucher(&mut driver, b"new");
    assert_eq!(std::mem::take(&mut driver.recorder.died), [(gift, port)]);
    assert!(release_voucher(&mut driver, voucher).is_none());
    assert!(driver.recorder.vouchers.registry.is_empty() && driver.recorder.vouchers.user_data.is_empty());
}

#[test]
fn the_reported_size_of_a_table_grows_and_shrinks_with_its_objects() {
    let mut vouchers = Vouchers::new(1, BankSettings::default()).unwrap();
    let memory = |vouchers: &Vouchers| {
        let control = vouchers.registry.control(Key::USER_DATA).unwrap();
        let values = (control.capacity(), control.bytes());
        (vouchers.registry.index_bytes(), values, vouchers.user_data.bytes().1)
    };
    let before = memory(&vouchers);
    let made: Vec<VoucherId> = (0..2000u32).map(|n| data_voucher(&mut vouchers, &n.to_le_bytes())).collect();
    let after = memory(&vouchers);
    assert!(after.0 > before.0 && after.1.0 >= 2000 && after.1.1 > before.1.1 && after.2 > before.2, "{after:?}");
    made.into_iter().for_each(|voucher| assert!(release_voucher(&mut vouchers, voucher).is_none()));
    let end = memory(&vouchers);
    let shrunk = end.0 < after.0 && end.1.0 < 1000 && end.1.1 < after.1.1 && end.2 < after.2;
    assert!(shrunk, "only a little is kept for later objects: {end:?}");
}
