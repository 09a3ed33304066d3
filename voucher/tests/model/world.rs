//! The vouchers themselves, beside the rules: every operation is done to both.

use crate::bank::Parts;
use crate::call::{Call, Waits};
use crate::numbers::{Given, Numbers, number_for};
use crate::operation::{Identity, Who};
use crate::rules::{Content, Rules, holds_numbers};
use abi::voucher::*;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use voucher::managers::bank::{
    Account, BankElement, BankElementId, BankSettings, Bill, CURRENT_TASK, TaskIdentity, Usage,
};
use voucher::*;

/// Recipes that are not borrowed: a waiting call keeps them.
pub enum Source {
    Array(Array),
    Processing(ProcessingRecipes),
}

/// Key, command, name of the previous voucher, content.
type Raw = (u32, u32, u32, Vec<u8>);

/// The recipes of a program's array.
pub struct Array {
    pub recipes: std::vec::IntoIter<Result<Raw, Error>>,
    /// The content of the last.
    pub content: Vec<u8>,
    /// Vouchers by name; names begin with 1.
    pub vouchers: Rc<RefCell<Vec<VoucherId>>>,
}

impl RecipeSource<Vouchers> for Array {
    fn next(&mut self, driver: &mut Vouchers) -> Option<Result<Recipe<'_>, Error>> {
        Some(self.recipes.next()?.and_then(|(key, command, previous, content)| {
            self.content = content;
            let resolve = |name: u32| self.vouchers.borrow().get(name as usize - 1).copied();
            let resolved = if previous == 0 { None } else { resolve(previous) };
            let resolved = resolved.filter(|&id| driver.registry.get(id).is_some());
            RawRecipe { key, command, previous, content: &self.content }.resolve(resolved)
        }))
    }

    fn content(&self) -> &[u8] {
        &self.content
    }
}

impl RecipeSource<Vouchers> for Source {
    fn next(&mut self, driver: &mut Vouchers) -> Option<Result<Recipe<'_>, Error>> {
        match self {
            Source::Array(array) => array.next(driver),
            Source::Processing(recipes) => recipes.next(driver),
        }
    }

    fn content(&self) -> &[u8] {
        match self {
            Source::Array(array) => array.content(),
            Source::Processing(recipes) => RecipeSource::<Vouchers>::content(recipes),
        }
    }
}

/// What waits.
pub enum Real {
    Creation(CallingTask, Creation, Source),
    Release(Release),
}

/// What a manager's answer is, until it arrives.
pub enum Reply {
    Value(Result<ManagerValue, Error>),
    Released(bool),
}

pub struct Waiting {
    pub call: Call,
    pub real: Real,
    pub reply: Option<Reply>,
    /// The result of a message's processing is a voucher or none.
    pub message: bool,
}

pub struct World {
    pub rules: Rules,
    pub real: Vouchers,
    /// The vouchers by number.
    pub ids: Rc<RefCell<Vec<VoucherId>>>,
    pub tasks: Vec<BankElementId>,
    pub numbers: BTreeMap<u32, Rc<RefCell<Given>>>,
    pub waiting: Vec<Waiting>,
    /// What was adopted: the bill, and the number of its account.
    pub bills: Vec<(Bill, u64)>,
    pub ports: u64,
}

impl World {
    pub fn new(seed: u64, settings: BankSettings) -> Self {
        let real = Vouchers::new(seed, settings).expect("there is memory");
        let (ids, tasks, numbers, waiting) = (Rc::default(), vec![], BTreeMap::new(), vec![]);
        World { rules: Rules::new(settings), real, ids, tasks, numbers, waiting, bills: vec![], ports: 0 }
    }

    pub fn id(&self, voucher: usize) -> VoucherId {
        self.ids.borrow()[voucher]
    }

    /// A living voucher.
    pub fn pick(&self, number: u8) -> Option<usize> {
        let living = self.rules.living();
        living.get(usize::from(number) % living.len().max(1)).copied()
    }

    /// A living task.
    pub fn pick_task(&self, number: u8) -> Option<usize> {
        let living: Vec<usize> = (0..self.tasks.len()).filter(|&task| self.rules.bank.tasks[task].lives).collect();
        living.get(usize::from(number) % living.len().max(1)).copied()
    }

    /// A caller, and its task in the bank.
    pub fn caller(&self, who: Who) -> (CallingTask, Option<usize>) {
        match who {
            Who::Kernel => (CallingTask::KERNEL, None),
            Who::Stranger => (CallingTask { task: 99, bank: None }, None),
            Who::Task(number) => match self.pick_task(number) {
                Some(task) => (CallingTask { task: task as u64 + 1, bank: Some(self.tasks[task]) }, Some(task)),
                None => (CallingTask { task: 99, bank: None }, None),
            },
        }
    }

    pub fn begin_task(&mut self, identity: Identity) {
        let Identity { persona, platform_binary, no_propagate, adopt_any, modify_persona, app, group } = identity;
        let task = self.tasks.len();
        let pid = self.rules.bank.pid(task);
        let info = ProcPersonaInfo { unique_pid: task as u64, pid, persona_id: persona, ..ProcPersonaInfo::default() };
        let identity = TaskIdentity { info, platform_binary, no_propagate, adopt_any, modify_persona, group, app };
        self.tasks.push(self.real.bank.begin_task(identity).expect("there is memory"));
    }

    /// A result of the vouchers is that of the rules. A new voucher gets the next number.
    pub fn assert_same(&mut self, real: Result<Option<VoucherId>, Error>, expected: Result<Option<usize>, Error>) {
        match (real, expected) {
            (Ok(Some(id)), Ok(Some(voucher))) => {
                if voucher == self.ids.borrow().len() {
                    assert!(!self.ids.borrow().contains(&id), "{id:?} is of a dead voucher");
                    self.ids.borrow_mut().push(id);
                }
                assert_eq!(id, self.id(voucher), "voucher {voucher}");
            }
            (real, expected) => assert_eq!(real.map(|_| ()), expected.map(|_| ()), "is it none? {real:?} {expected:?}"),
        }
        assert_eq!(real.ok().flatten().is_some(), expected.ok().flatten().is_some(), "{real:?} {expected:?}");
    }

    /// What the vouchers have done with a call, beside what the rules do with it. Returns whether a put number was taken.
    pub fn began(
        &mut self,
        mut call: Call,
        outcome: CreationOutcome,
        caller: CallingTask,
        source: Source,
        message: bool,
    ) -> bool {
        let done = call.run(&mut self.rules);
        let put = call.put;
        match outcome {
            CreationOutcome::Done(result) => {
                assert!(done, "it should wait: {call:?}");
                let expected = call.result.expect("a creation has a result");
                self.assert_same(result, if message { Ok(expected.unwrap_or(None)) } else { expected });
            }
            CreationOutcome::Waiting(creation) => {
                assert!(!done, "it should be over: {call:?}");
                let waiting = Waiting { call, real: Real::Creation(caller, creation, source), reply: None, message };
                self.push_waiting(waiting);
            }
        }
        put
    }

    /// A dead voucher's values are given up.
    pub fn bury(&mut self, says: crate::rules::Says, left: Option<Release>) {
        let mut call = Call::release(says);
        let done = call.run(&mut self.rules);
        assert_eq!(done, left.is_none(), "{call:?}");
        if let Some(left) = left {
            self.push_waiting(Waiting { call, real: Real::Release(left), reply: None, message: false });
        }
    }

    fn push_waiting(&mut self, mut waiting: Waiting) {
        self.assert_same_question(&mut waiting);
        self.waiting.push(waiting);
    }

    /// Both wait for the same answer.
    fn assert_same_question(&mut self, waiting: &mut Waiting) {
        let registry = &mut self.real.registry;
        let step = match &mut waiting.real {
            Real::Creation(_, creation, _) => creation.step(registry),
            Real::Release(left) => CreationStep::ReleaseValue(left.next(registry).expect("a manager has to answer")),
        };
        let waits = match step {
            CreationStep::GetValue(ValueRequest { key, command, previous }) => {
                let previous = previous.map(Content::Number);
                Waits::ForValue { key: key.number(), command, previous }
            }
            CreationStep::ReleaseValue(ReleaseRequest { key, handle, sync }) => {
                Waits::ForRelease { key: key.number(), content: Content::Number(handle), sync }
            }
            other => panic!("{other:?} is nothing to wait for"),
        };
        assert_eq!(waits, waiting.call.waits(&self.rules));
    }

    /// The manager that the n-th waiting call waits for makes up its mind.
    pub fn decide(&mut self, at: usize, refuses: bool) {
        let Waiting { call, real, reply, .. } = &mut self.waiting[at];
        if reply.is_some() {
            return;
        }
        let given = |key: Key| self.numbers[&key.number()].clone();
        let (step, content) = match real {
            Real::Creation(_, creation, source) => (creation.step(&mut self.real.registry), source.content().to_vec()),
            Real::Release(left) => {
                let question = left.next(&mut self.real.registry).expect("a manager has to answer");
                (CreationStep::ReleaseValue(question), vec![])
            }
        };
        call.decide(&mut self.rules, refuses);
        *reply = Some(match step {
            CreationStep::GetValue(_) if refuses => Reply::Value(Err(Error::InvalidTask)),
            CreationStep::GetValue(ValueRequest { key, command, previous }) => {
                let number = number_for(command, previous, &content);
                Reply::Value(number.map(|number| given(key).borrow_mut().give(number)))
            }
            CreationStep::ReleaseValue(ReleaseRequest { key, handle, sync }) => {
                Reply::Released(given(key).borrow_mut().take(handle, sync).is_ok())
            }
            other => panic!("{other:?} is nothing to wait for"),
        });
    }

    /// The answer for the n-th waiting call arrives, and it goes on.
    pub fn arrive(&mut self, at: usize) {
        if self.waiting[at].reply.is_none() {
            return;
        }
        let mut waiting = self.waiting.swap_remove(at);
        let registry = &mut self.real.registry;
        match (&mut waiting.real, waiting.reply.take()) {
            (Real::Creation(_, creation, _), Some(Reply::Value(answer))) => {
                creation.answer_value(registry, answer);
            }
            (Real::Creation(_, creation, _), Some(Reply::Released(accepted))) => {
                creation.answer_release(registry, accepted);
            }
            (Real::Release(left), Some(Reply::Released(accepted))) => left.answer(registry, accepted),
            _ => panic!("the answer does not fit"),
        }
        let result = match &mut waiting.real {
            Real::Creation(caller, creation, source) => {
                continue_creation(&mut self.real, caller, creation, source).map(Some)
            }
            Real::Release(left) => continue_release(&mut self.real, left).map(|()| None),
        };
        waiting.call.arrive(&mut self.rules);
        let done = waiting.call.run(&mut self.rules);
        match result {
            Poll::Pending => {
                assert!(!done, "it should be over: {:?}", waiting.call);
                self.push_waiting(waiting);
            }
            Poll::Ready(result) => {
                assert!(done, "it should wait: {:?}", waiting.call);
                if let Some(result) = result {
                    let expected = waiting.call.result.expect("a creation has a result");
                    if waiting.message {
                        self.assert_same(Ok(result.unwrap_or(None)), Ok(expected.unwrap_or(None)));
                    } else {
                        self.assert_same(result, expected);
                    }
                }
            }
        }
    }

    pub fn cancel(&mut self, at: usize) {
        let Waiting { call, real, .. } = &mut self.waiting[at];
        if let Real::Creation(_, creation, _) = real {
            creation.cancel();
            call.cancel();
        }
    }

    pub fn register(&mut self, key: u32) {
        let given = Rc::new(RefCell::new(Given::default()));
        let result = self.real.register(key, Box::new(Numbers { key, given: given.clone() }));
        if !(1..=8).contains(&key) || self.rules.registered(key) {
            assert_eq!(result, Err(Error::InvalidArgument));
            return;
        }
        assert_eq!(result.map(Key::number), Ok(key));
        self.rules.controls.insert(key, crate::rules::Control { owned: 1, asked: 0 });
        self.numbers.insert(key, given);
    }

    /// What a handle stands for.
    pub fn content(&self, key: u32, handle: u64) -> Content {
        match key {
            3 if handle == CURRENT_TASK => Content::CurrentTask,
            3 => match self.real.bank.element_of(handle) {
                Some((id, BankElement::Task(_))) => Content::Task(self.task(id)),
                Some((_, BankElement::Account(account))) => Content::Account(self.parts(account)),
                None => panic!("{handle:#x} is no value of the bank"),
            },
            4 => Content::Priority(handle as u32),
            7 => Content::Bytes(self.real.user_data.content(handle).expect("it is kept").to_vec()),
            8 => Content::Bytes(self.real.test.content(handle).expect("it is kept").to_vec()),
            _ if holds_numbers(key) => Content::Number(handle),
            _ => panic!("key {key} has no manager"),
        }
    }

    fn task(&self, id: BankElementId) -> usize {
        self.tasks.iter().position(|&task| task == id).expect("the task has begun")
    }

    fn parts(&self, account: &Account) -> Parts {
        let roles = account.roles();
        Parts {
            holder: self.task(roles.holder),
            merchant: self.task(roles.merchant),
            originator: self.task(roles.originator),
            proximate: self.task(roles.proximate),
            persona: roles.persona,
            group: roles.group,
        }
    }

    /// What stands to a task's name.
    pub fn balance(&self, task: usize) -> [(u64, u64); 2] {
        let balance = self.real.bank.balance(self.tasks[task]);
        [balance.billed, balance.serviced].map(|Usage { cpu, energy }| (cpu, energy))
    }
}
