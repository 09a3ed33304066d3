//! Failed allocations: each allocation of each operation fails once. Each time the operation returns the right error
//! and leaves everything unchanged, and the same operation succeeds when it is repeated.

use abi::voucher::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use store::failpoints;
use voucher::managers::bank::{BankElement, BankSettings, TaskIdentity};
use voucher::*;
use zerocopy::IntoBytes;

const BANK: u32 = MACH_VOUCHER_ATTR_KEY_BANK;
const PRIORITY: u32 = MACH_VOUCHER_ATTR_KEY_PTHPRIORITY;
const DATA: u32 = MACH_VOUCHER_ATTR_KEY_USER_DATA;
const TEST: u32 = MACH_VOUCHER_ATTR_KEY_TEST;
const ALL: u32 = MACH_VOUCHER_ATTR_KEY_ALL;
const COPY: u32 = MACH_VOUCHER_ATTR_COPY;
const REMOVE: u32 = MACH_VOUCHER_ATTR_REMOVE;
const REDEEM: u32 = MACH_VOUCHER_ATTR_REDEEM;
const STORE: u32 = MACH_VOUCHER_ATTR_USER_DATA_STORE;
const PRIORITY_CREATE: u32 = MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE;
const BANK_CREATE: u32 = MACH_VOUCHER_ATTR_BANK_CREATE;
const AUTO_REDEEM: u32 = MACH_VOUCHER_ATTR_AUTO_REDEEM;
const PREPROCESS: u32 = MACH_VOUCHER_ATTR_SEND_PREPROCESS;
const MODIFY_PERSONA: u32 = MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA;

/// The keys of a manager of numbers that answers at once, and of one that does not.
const NUMBERS: u32 = 5;
const DELAYED: u32 = 6;
const NUMBER: u32 = 1000;

/// The made references of each number.
type Given = Rc<RefCell<BTreeMap<u64, u64>>>;

struct Numbers {
    given: Given,
    is_delayed: bool,
}

fn give(given: &Given, number: u64) -> ManagerValue {
    *given.borrow_mut().entry(number).or_default() += 1;
    ManagerValue::counted(number)
}

impl AttributeManager for Numbers {
    fn get_value(
        &mut self,
        _caller: &CallingTask,
        _question: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        if self.is_delayed {
            return Poll::Pending;
        }
        Poll::Ready(Ok(give(&self.given, u64::from(content[0]))))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let all = self.given.borrow().get(&request.handle) == Some(&request.sync);
        if all {
            self.given.borrow_mut().remove(&request.handle);
        }
        Poll::Ready(if all { Ok(()) } else { Err(Error::Failure) })
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        out.put(&handle.to_le_bytes())?;
        Ok(NUMBER)
    }
}

/// A system with vouchers of every kind.
struct World {
    vouchers: Vouchers,
    sender: CallingTask,
    receiver: CallingTask,
    /// A task that may modify personas.
    editor: CallingTask,
    given: Given,
    /// Vouchers with the bank's value "current task", the sender, the editor, and an account of the receiver's work for
    /// the sender.
    current: VoucherId,
    sent: VoucherId,
    edited: VoucherId,
    account: VoucherId,
    data: VoucherId,
    number: VoucherId,
}

type Outcome = Result<(), Error>;

fn make(vouchers: &mut Vouchers, caller: &CallingTask, recipes: &[Recipe<'_>]) -> Result<Option<VoucherId>, Error> {
    create_voucher(vouchers, caller, &mut Recipes::new(recipes)).expect_done()
}

impl World {
    fn new() -> World {
        let settings = BankSettings { thread_groups: true, ..BankSettings::default() };
        let mut vouchers = Vouchers::new(1, settings).unwrap();
        let personas = vouchers.bank.personas_mut();
        [101, 102, 501, 502].into_iter().for_each(|id| personas.add(id).unwrap());
        let mut task = |number: u64| {
            let persona_id = if number == 3 { PERSONA_ID_NONE } else { 501 };
            let info = ProcPersonaInfo { unique_pid: number, persona_id, ..ProcPersonaInfo::default() };
            let identity = TaskIdentity { info, modify_persona: true, adopt_any: true, ..TaskIdentity::default() };
            CallingTask { task: number, bank: Some(vouchers.bank.begin_task(identity).unwrap()), ..Default::default() }
        };
        let (sender, receiver, editor) = (task(1), task(2), task(3));
        let given = Given::default();
        vouchers.register(NUMBERS, Box::new(Numbers { given: given.clone(), is_delayed: false })).unwrap();
        vouchers.register(DELAYED, Box::new(Numbers { given: given.clone(), is_delayed: true })).unwrap();
        let mut new = |caller: &CallingTask, recipe| make(&mut vouchers, caller, &[recipe]).unwrap().unwrap();
        let current = new(&sender, Recipe::new(BANK, BANK_CREATE, &[]));
        let sent = new(&sender, Recipe::from(current, BANK, PREPROCESS));
        let edited = new(&editor, Recipe::from(current, BANK, PREPROCESS));
        let account = new(&receiver, Recipe::from(sent, BANK, AUTO_REDEEM));
        let number = new(&sender, Recipe::new(NUMBERS, NUMBER, &[9]));
        new(&sender, Recipe::new(PRIORITY, PRIORITY_CREATE, &[0xFF, 0x10, 0, 0]));
        let data = [Recipe::new(DATA, STORE, b"old"), Recipe::new(TEST, STORE, &[8; 100])];
        let data = make(&mut vouchers, &sender, &data).unwrap().unwrap();
        World { vouchers, sender, receiver, editor, given, current, sent, edited, account, data, number }
    }

    /// Creates a voucher and keeps it.
    fn create(&mut self, caller: CallingTask, recipes: &[Recipe<'_>]) -> Outcome {
        make(&mut self.vouchers, &caller, recipes).map(drop)
    }

    /// Returns the result of processing a message's voucher. A failed allocation shows as the loss of the voucher.
    fn processed(processed: ProcessedVoucher) -> Outcome {
        match processed {
            ProcessedVoucher::Replaced(Some(_)) => Ok(()),
            ProcessedVoucher::Replaced(None) => Err(Error::ResourceShortage),
            other => panic!("managers take part: {other:?}"),
        }
    }

    /// Returns the content of a handle. It is the same after an operation is repeated, unlike the handle.
    fn content(&self, key: Key, handle: u64) -> String {
        match key {
            Key::USER_DATA => format!("{:?}", self.vouchers.user_data.content(handle).expect("the content is kept")),
            Key::TEST => format!("{:?}", self.vouchers.test.content(handle).expect("the content is kept")),
            Key::BANK => match self.vouchers.bank.element_of(handle) {
                Some((id, BankElement::Task(_))) => format!("{id:?}"),
                Some((_, BankElement::Account(account))) => format!("{:?}", account.roles()),
                None => "current task".into(),
            },
            _ => format!("{handle:#x}"),
        }
    }

    /// Returns the number of made references of a value.
    fn made(&self, key: Key, handle: u64) -> u64 {
        let made = match key {
            Key::USER_DATA => self.vouchers.user_data.made(handle),
            Key::TEST => self.vouchers.test.made(handle),
            Key::BANK => self.vouchers.bank.element_of(handle).map(|(_, element)| match element {
                BankElement::Task(task) => task.made(),
                BankElement::Account(account) => account.made(),
            }),
            _ => self.given.borrow().get(&handle).copied(),
        };
        made.expect("a value in use was handed out")
    }

    /// Returns the whole state as text, without permanent values.
    fn dump(&self) -> Vec<String> {
        let registry = &self.vouchers.registry;
        registry.check(true);
        let mut lines = vec![];
        for (id, voucher) in registry.iter() {
            let says: Vec<String> = registry
                .attributes(id)
                .map(|(key, handle)| format!("{key:?}: {}", self.content(key, handle)))
                .collect();
            lines.push(format!("voucher {says:?} {} {:?}", voucher.refs(), voucher.port()));
        }
        for key in Key::all() {
            let Some(control) = registry.control(key) else { continue };
            let (persistent, counted): (Vec<&AttributeValue>, Vec<&AttributeValue>) =
                control.values().map(|(_, value)| value).partition(|value| value.is_persistent());
            lines.push(format!("{key:?} {} {}", control.refs() - persistent.len() as u64, counted.len()));
            for value in counted {
                let content = self.content(key, value.handle());
                // A failed operation leaves its made reference with a value that is still in use.
                let surplus = self.made(key, value.handle()) - value.made();
                lines.push(format!("{key:?} {content} {} {surplus}", value.refs()));
            }
        }
        for task in [self.sender, self.receiver, self.editor] {
            let Some(BankElement::Task(task)) = self.vouchers.bank.element(task.bank.unwrap()) else {
                panic!("the task is gone")
            };
            lines.push(format!("task {} {:?}", task.refs(), task.accounts()));
        }
        let kept = (self.vouchers.user_data.len(), self.vouchers.test.len(), self.vouchers.bank.len());
        lines.push(format!("{kept:?} {:?}", self.given.borrow().keys()));
        lines.sort();
        lines
    }
}

/// Fails each allocation of an operation once, and returns the number of allocations.
#[track_caller]
fn fail_everywhere(name: &str, act: impl Fn(&mut World) -> Outcome) -> u64 {
    let mut world = World::new();
    let before = world.dump();
    failpoints::arm(None);
    assert_eq!(act(&mut world), Ok(()), "{name}");
    let (checks, after) = (failpoints::disarm(), world.dump());
    for at in 0..checks {
        let mut world = World::new();
        failpoints::arm(Some(at));
        let result = act(&mut world);
        failpoints::disarm();
        assert_eq!(result, Err(Error::ResourceShortage), "{name}, allocation {at}");
        assert_eq!(world.dump(), before, "{name}, allocation {at}");
        assert_eq!(act(&mut world), Ok(()), "{name}, again after allocation {at}");
        assert_eq!(world.dump(), after, "{name}, again after allocation {at}");
    }
    checks
}

/// Fails each allocation of a creation by a caller once.
#[track_caller]
fn creation_fails(name: &str, caller: fn(&World) -> CallingTask, recipes: fn(&World) -> Vec<Recipe<'static>>) {
    let checks = fail_everywhere(name, |world| world.create(caller(world), &recipes(world)));
    assert!(checks > 0, "{name} allocates nothing");
}

#[test]
fn a_failed_allocation_while_storing_data_changes_nothing() {
    let sender = |world: &World| world.sender;
    creation_fails("new short content", sender, |_| vec![Recipe::new(DATA, STORE, b"new")]);
    creation_fails("new long content", sender, |_| vec![Recipe::new(DATA, STORE, &[1; 1000])]);
    creation_fails("content that is there", sender, |_| vec![Recipe::new(DATA, STORE, b"old")]);
    creation_fails("long content that is there", sender, |_| vec![Recipe::new(TEST, STORE, &[8; 100])]);
    creation_fails("a voucher that is there", sender, |world| {
        vec![Recipe::from(world.data, ALL, COPY), Recipe::new(DATA, STORE, b"old")]
    });
    creation_fails("content under two keys", sender, |_| {
        vec![Recipe::new(DATA, STORE, b"x"), Recipe::new(TEST, STORE, b"x")]
    });
    creation_fails("content that replaces new content", sender, |_| {
        vec![Recipe::new(DATA, STORE, b"x"), Recipe::new(DATA, STORE, b"y"), Recipe::new(DATA, STORE, b"x")]
    });
    creation_fails("redeeming data", sender, |world| vec![Recipe::from(world.data, DATA, REDEEM)]);
    creation_fails("redeeming none, then data", sender, |world| {
        vec![Recipe::from(world.sent, DATA, REDEEM), Recipe::new(DATA, STORE, b"x")]
    });
}

#[test]
fn a_failed_allocation_while_copying_or_removing_changes_nothing() {
    let sender = |world: &World| world.sender;
    creation_fails("a part of a voucher", sender, |world| vec![Recipe::from(world.data, DATA, COPY)]);
    creation_fails("a copy and a change", sender, |world| {
        vec![Recipe::from(world.data, ALL, COPY), Recipe::new(DATA, STORE, b"new")]
    });
    creation_fails("a copy over new content", sender, |world| {
        vec![
            Recipe::new(DATA, STORE, b"new"),
            Recipe::new(PRIORITY, PRIORITY_CREATE, &[0xFF, 0x10, 0, 0]),
            Recipe::from(world.data, DATA, COPY),
        ]
    });
    creation_fails("new content removed", sender, |world| {
        vec![Recipe::from(world.data, ALL, COPY), Recipe::new(TEST, STORE, b"new"), Recipe::new(DATA, REMOVE, &[])]
    });
    creation_fails("all removed but what comes after", sender, |world| {
        vec![Recipe::from(world.account, ALL, COPY), Recipe::new(ALL, REMOVE, &[]), Recipe::new(TEST, STORE, b"new")]
    });
    fail_everywhere("a copy of all", |world| world.create(world.sender, &[Recipe::from(world.data, ALL, COPY)]));
    fail_everywhere("a copy of all to nothing", |world| {
        world.create(world.sender, &[Recipe::from(world.data, ALL, COPY), Recipe::new(ALL, REMOVE, &[])])
    });
}

#[test]
fn a_failed_allocation_for_a_bank_value_changes_nothing() {
    let (sender, receiver, editor) = (|w: &World| w.sender, |w: &World| w.receiver, |w: &World| w.editor);
    creation_fails("current task", sender, |_| {
        vec![Recipe::new(BANK, BANK_CREATE, &[]), Recipe::new(DATA, STORE, b"x")]
    });
    creation_fails("a task's first value", receiver, |world| vec![Recipe::from(world.current, BANK, PREPROCESS)]);
    creation_fails("a task's value again", sender, |world| vec![Recipe::from(world.current, BANK, PREPROCESS)]);
    creation_fails("a new account", editor, |world| vec![Recipe::from(world.sent, BANK, AUTO_REDEEM)]);
    creation_fails("an account of an account", editor, |world| vec![Recipe::from(world.account, BANK, AUTO_REDEEM)]);
    creation_fails("an account that is there", receiver, |world| vec![Recipe::from(world.sent, BANK, AUTO_REDEEM)]);
    creation_fails("an account sent on", receiver, |world| vec![Recipe::from(world.account, BANK, PREPROCESS)]);
    creation_fails("an account redeemed", receiver, |world| vec![Recipe::from(world.account, BANK, REDEEM)]);
    creation_fails("a task's value redeemed", sender, |world| vec![Recipe::from(world.sent, BANK, REDEEM)]);
    fail_everywhere("another persona", |world| {
        let wanted = PersonaModifyInfo { persona_id: 502, padding: 0, unique_pid: 3 };
        let recipe = Recipe { content: wanted.as_bytes(), ..Recipe::from(world.edited, BANK, MODIFY_PERSONA) };
        world.create(world.editor, &[recipe])
    });
    fail_everywhere("the same persona", |world| {
        let wanted = PersonaModifyInfo { persona_id: 501, padding: 0, unique_pid: 1 };
        let recipe = Recipe { content: wanted.as_bytes(), ..Recipe::from(world.sent, BANK, MODIFY_PERSONA) };
        world.create(world.sender, &[recipe])
    });
    fail_everywhere("the default voucher", |world| {
        default_voucher(&mut world.vouchers, &world.sender).expect_done().map(drop)
    });
}

#[test]
fn a_failed_allocation_for_a_voucher_of_all_keys_changes_nothing() {
    creation_fails(
        "a priority",
        |world| world.sender,
        |_| vec![Recipe::new(PRIORITY, PRIORITY_CREATE, &[0xFF, 0x30, 0, 0])],
    );
    creation_fails("a number", |world| world.sender, |_| vec![Recipe::new(NUMBERS, NUMBER, &[3])]);
    creation_fails("a number that is there", |world| world.sender, |_| vec![Recipe::new(NUMBERS, NUMBER, &[9])]);
    creation_fails(
        "all keys",
        |world| world.receiver,
        |world| {
            vec![
                Recipe::from(world.sent, ALL, COPY),
                Recipe::new(DATA, STORE, &[7; 100]),
                Recipe::from(world.sent, BANK, AUTO_REDEEM),
                Recipe::new(PRIORITY, PRIORITY_CREATE, &[0xF0, 0x10, 0, 0]),
                Recipe::new(TEST, STORE, b"short"),
                Recipe::from(world.number, NUMBERS, COPY),
                Recipe::new(NUMBERS, NUMBER, &[10]),
            ]
        },
    );
}

#[test]
fn a_message_loses_its_voucher_when_an_allocation_fails() {
    let checks = [
        fail_everywhere("sending", |world| {
            World::processed(send_preprocessing(&mut world.vouchers, &world.sender, world.current))
        }),
        fail_everywhere("sending an account on", |world| {
            World::processed(send_preprocessing(&mut world.vouchers, &world.editor, world.account))
        }),
        fail_everywhere("receiving", |world| {
            World::processed(receive_postprocessing(&mut world.vouchers, &world.editor, world.sent))
        }),
        fail_everywhere("receiving an account again", |world| {
            World::processed(receive_postprocessing(&mut world.vouchers, &world.receiver, world.sent))
        }),
    ];
    assert!(checks.iter().all(|&checks| checks > 0), "{checks:?}");
}

#[test]
fn a_handle_that_cannot_be_put_in_stays_with_its_owner() {
    let put = |number: u64| {
        move |world: &mut World| {
            let value = give(&world.given, number);
            let content = value.handle.to_le_bytes();
            let command = MACH_VOUCHER_ATTR_SET_VALUE_HANDLE;
            let recipes = [Recipe::from(world.data, ALL, COPY), Recipe::new(NUMBERS, command, &content)];
            let result = create_voucher_with_control(
                &mut world.vouchers,
                &world.sender,
                Key::new(NUMBERS),
                &mut Recipes::new(&recipes),
            );
            result.expect_done().map(drop).inspect_err(|_| {
                let mut given = world.given.borrow_mut();
                // If the voucher could not be published, the handle had been stored and was released.
                if let Some(count) = given.get_mut(&number).filter(|count| **count > u64::from(number == 9)) {
                    *count -= 1;
                }
                given.retain(|_, count| *count > 0);
            })
        }
    };
    assert!(fail_everywhere("a new handle", put(3)) > 0);
}

#[test]
fn a_failed_allocation_in_a_creation_that_waited_changes_nothing() {
    let wait = |world: &mut World| {
        let recipes =
            [Recipe::new(DATA, STORE, b"new"), Recipe::new(DELAYED, NUMBER, &[3]), Recipe::new(TEST, STORE, b"new")];
        let (vouchers, caller) = (&mut world.vouchers, &world.sender);
        let mut source = Recipes::new(&recipes);
        let mut creation = match create_voucher(vouchers, caller, &mut source) {
            CreationOutcome::Done(result) => return result.map(drop),
            CreationOutcome::Waiting(creation) => creation,
        };
        let value = give(&world.given, 3);
        creation.answer_value(&mut vouchers.registry, Ok(value));
        match continue_creation(vouchers, caller, &mut creation, &mut source) {
            Poll::Ready(result) => result.map(drop),
            Poll::Pending => panic!("every request was answered"),
        }
    };
    assert!(fail_everywhere("a creation that waits", wait) > 6);
}

#[test]
fn a_failed_allocation_for_a_task_persona_or_registration_changes_nothing() {
    let checks = [
        fail_everywhere("a task", |world| world.vouchers.bank.begin_task(TaskIdentity::default()).map(drop)),
        fail_everywhere("a persona", |world| Ok(world.vouchers.bank.personas_mut().add(503)?)),
        fail_everywhere("the system's persona", |world| Ok(world.vouchers.bank.personas_mut().set_system(503)?)),
        fail_everywhere("the proxies' persona", |world| {
            Ok(world.vouchers.bank.personas_mut().set_system_proxy(503)?)
        }),
        fail_everywhere("a registration", |world| {
            let manager = Numbers { given: Given::default(), is_delayed: false };
            world.vouchers.register(1, Box::new(manager)).map(drop)
        }),
    ];
    assert!(checks.iter().all(|&checks| checks > 0), "{checks:?}");
}

#[test]
fn a_failed_allocation_in_new_is_an_error() {
    failpoints::arm(None);
    assert!(Vouchers::new(1, BankSettings::default()).is_ok());
    let checks = failpoints::disarm();
    for at in 0..checks {
        failpoints::arm(Some(at));
        let vouchers = Vouchers::new(1, BankSettings::default());
        failpoints::disarm();
        assert_eq!(vouchers.err(), Some(Error::ResourceShortage), "allocation {at}");
    }
    assert!(checks >= 4, "each key has a value table");
}

#[test]
fn releasing_and_reading_need_no_memory() {
    let (mut world, other) = (World::new(), World::new());
    assert_eq!(world.dump(), other.dump(), "two worlds are equal");
    failpoints::arm(Some(0));
    let mut room = [0; 2000];
    for voucher in [world.data, world.account, world.sent, world.number] {
        let vouchers = &mut world.vouchers;
        vouchers.registry.retain(voucher).unwrap();
        assert!(extract_all_attr_recipes(vouchers, &world.sender, Some(voucher), &mut room).is_ok());
        for key in 3..=8 {
            let mut out = OutBuffer::new(&mut room);
            assert_eq!(extract_attr_content(vouchers, &world.sender, Some(voucher), key, &mut out), Ok(()));
            assert!(extract_attr_recipe(vouchers, &world.sender, Some(voucher), key, &mut room).is_ok());
        }
        let mut out = OutBuffer::new(&mut room);
        let command = attr_command(vouchers, &world.sender, Some(voucher), 3, BANK_PERSONA_ADOPT_ANY, &[], &mut out);
        assert_eq!(command, Ok(()));
        let handle = vouchers.registry.handle(voucher, Key::BANK);
        vouchers.bank.adopt(world.sender.bank.unwrap(), handle);
        assert!((0..2).all(|_| release_voucher(vouchers, voucher).is_none()));
    }
    world.vouchers.bank.end_task(world.receiver.bank.unwrap());
    assert_eq!(failpoints::disarm(), 0);
    assert!(world.vouchers.user_data.is_empty() && world.given.borrow().is_empty());
}
