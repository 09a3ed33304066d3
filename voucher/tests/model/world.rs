//! The vouchers of the crate beside the rules: every operation is carried out on both.

use crate::bank::Parts;
use crate::call::{Awaited, Call};
use crate::numbers::{Made, Numbers, number_for};
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

/// Recipes that a waiting call can keep, because they borrow nothing.
pub enum Source {
    Array(Array),
    Processing(ProcessingRecipes),
}

/// Key, command, name of the previous voucher, content.
type Raw = (u32, u32, u32, Vec<u8>);

/// The recipes of a program's array.
pub struct Array {
    pub recipes: std::vec::IntoIter<Result<Raw, Error>>,
    /// The content of the last recipe.
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

/// A call of the crate that waits for a manager.
pub enum Real {
    Creation(CallingTask, Creation, Source),
    Release(Release),
}

/// An answer of a manager that was not delivered yet.
pub enum Reply {
    Value(Result<ManagerValue, Error>),
    Released(bool),
}

pub struct Waiting {
    pub call: Call,
    pub real: Real,
    pub reply: Option<Reply>,
    /// True for the processing of a message, which replaces an error by no voucher.
    pub message: bool,
}

pub struct World {
    pub rules: Rules,
    pub real: Vouchers,
    /// The vouchers by number.
    pub ids: Rc<RefCell<Vec<VoucherId>>>,
    pub tasks: Vec<BankElementId>,
    pub numbers: BTreeMap<u32, Rc<RefCell<Made>>>,
    pub waiting: Vec<Waiting>,
    /// The adopted bills, each with the serial number of its account.
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

    /// Returns a live voucher.
    pub fn pick(&self, number: u8) -> Option<usize> {
        let live_vouchers = self.rules.live_vouchers();
        live_vouchers.get(usize::from(number) % live_vouchers.len().max(1)).copied()
    }

    /// Returns a live task.
    pub fn pick_task(&self, number: u8) -> Option<usize> {
        let live: Vec<usize> = (0..self.tasks.len()).filter(|&task| self.rules.bank.tasks[task].is_alive).collect();
        live.get(usize::from(number) % live.len().max(1)).copied()
    }

    /// Returns a caller and its task in the bank.
    pub fn caller(&self, who: Who) -> (CallingTask, Option<usize>) {
        match who {
            Who::Kernel => (CallingTask::KERNEL, None),
            Who::Stranger => (CallingTask { task: 99, ..Default::default() }, None),
            Who::Task(number) => match self.pick_task(number) {
                Some(task) => (
                    CallingTask { task: task as u64 + 1, bank: Some(self.tasks[task]), ..Default::default() },
                    Some(task),
                ),
                None => (CallingTask { task: 99, ..Default::default() }, None),
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

    /// Asserts that the result of the crate is that of the rules. A new voucher gets the next number.
    pub fn assert_same(&mut self, real: Result<Option<VoucherId>, Error>, expected: Result<Option<usize>, Error>) {
        match (real, expected) {
            (Ok(Some(id)), Ok(Some(voucher))) => {
                if voucher == self.ids.borrow().len() {
                    assert!(!self.ids.borrow().contains(&id), "{id:?} is of a dead voucher");
                    self.ids.borrow_mut().push(id);
                }
                assert_eq!(id, self.id(voucher), "voucher {voucher}");
            }
            (real, expected) => assert_eq!(real.map(|_| ()), expected.map(|_| ()), "{real:?} {expected:?}"),
        }
        assert_eq!(real.ok().flatten().is_some(), expected.ok().flatten().is_some(), "{real:?} {expected:?}");
    }

    /// Runs a call by the rules and compares it with the outcome of the crate. Returns true if the rules stored a
    /// handle.
    pub fn began(
        &mut self,
        mut call: Call,
        outcome: CreationOutcome,
        caller: CallingTask,
        source: Source,
        message: bool,
    ) -> bool {
        let done = call.run(&mut self.rules);
        let handle_taken = call.handle_taken;
        match outcome {
            CreationOutcome::Done(result) => {
                assert!(done, "the rules wait: {call:?}");
                let expected = call.result.expect("a creation has a result");
                self.assert_same(result, if message { Ok(expected.unwrap_or(None)) } else { expected });
            }
            CreationOutcome::Waiting(creation) => {
                assert!(!done, "the rules have finished: {call:?}");
                let waiting = Waiting { call, real: Real::Creation(caller, creation, source), reply: None, message };
                self.push_waiting(waiting);
            }
        }
        handle_taken
    }

    /// Releases the values of a dead voucher by the rules, and compares it with the rest of the work of the crate.
    pub fn destroy(&mut self, attributes: crate::rules::Attributes, left: Option<Release>) {
        let mut call = Call::release(attributes);
        let done = call.run(&mut self.rules);
        assert_eq!(done, left.is_none(), "{call:?}");
        if let Some(left) = left {
            self.push_waiting(Waiting { call, real: Real::Release(left), reply: None, message: false });
        }
    }

    fn push_waiting(&mut self, mut waiting: Waiting) {
        self.assert_same_request(&mut waiting);
        self.waiting.push(waiting);
    }

    /// Asserts that crate and rules wait for the same answer.
    fn assert_same_request(&mut self, waiting: &mut Waiting) {
        let registry = &mut self.real.registry;
        let step = match &mut waiting.real {
            Real::Creation(_, creation, _) => creation.step(registry),
            Real::Release(left) => {
                CreationStep::ReleaseValue(left.next(registry).expect("the release waits for a manager"))
            }
        };
        let waits = match step {
            CreationStep::GetValue(ValueRequest { key, command, previous }) => {
                let previous = previous.map(Content::Number);
                Awaited::Value { key: key.number(), command, previous }
            }
            CreationStep::ReleaseValue(ReleaseRequest { key, handle, sync }) => {
                Awaited::Release { key: key.number(), content: Content::Number(handle), sync }
            }
            other => panic!("{other:?} is not a request"),
        };
        assert_eq!(waits, waiting.call.waits(&self.rules));
    }

    /// Lets the manager of a waiting call prepare its answer.
    pub fn prepare_answer(&mut self, at: usize, refuses: bool) {
        let Waiting { call, real, reply, .. } = &mut self.waiting[at];
        if reply.is_some() {
            return;
        }
        let made = |key: Key| self.numbers[&key.number()].clone();
        let (step, content) = match real {
            Real::Creation(_, creation, source) => (creation.step(&mut self.real.registry), source.content().to_vec()),
            Real::Release(left) => {
                let request = left.next(&mut self.real.registry).expect("the release waits for a manager");
                (CreationStep::ReleaseValue(request), vec![])
            }
        };
        call.prepare_answer(&mut self.rules, refuses);
        *reply = Some(match step {
            CreationStep::GetValue(_) if refuses => Reply::Value(Err(Error::InvalidTask)),
            CreationStep::GetValue(ValueRequest { key, command, previous }) => {
                let number = number_for(command, previous, &content);
                Reply::Value(number.map(|number| made(key).borrow_mut().hand_out(number)))
            }
            CreationStep::ReleaseValue(ReleaseRequest { key, handle, sync }) => {
                Reply::Released(made(key).borrow_mut().release(handle, sync).is_ok())
            }
            other => panic!("{other:?} is not a request"),
        });
    }

    /// Delivers the prepared answer to a waiting call, which continues.
    pub fn deliver_answer(&mut self, at: usize) {
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
            _ => panic!("the answer is of the wrong kind"),
        }
        let result = match &mut waiting.real {
            Real::Creation(caller, creation, source) => {
                continue_creation(&mut self.real, caller, creation, source).map(Some)
            }
            Real::Release(left) => continue_release(&mut self.real, left).map(|()| None),
        };
        waiting.call.deliver_answer(&mut self.rules);
        let done = waiting.call.run(&mut self.rules);
        match result {
            Poll::Pending => {
                assert!(!done, "the rules have finished: {:?}", waiting.call);
                self.push_waiting(waiting);
            }
            Poll::Ready(result) => {
                assert!(done, "the rules wait: {:?}", waiting.call);
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
        let made = Rc::new(RefCell::new(Made::default()));
        let result = self.real.register(key, Box::new(Numbers { key, made: made.clone() }));
        if !(1..=8).contains(&key) || self.rules.registered(key) {
            assert_eq!(result, Err(Error::InvalidArgument));
            return;
        }
        assert_eq!(result.map(Key::number), Ok(key));
        self.rules.controls.insert(key, crate::rules::Control { owned: 1, asked: 0 });
        self.numbers.insert(key, made);
    }

    /// Returns the content of a handle.
    pub fn content(&self, key: u32, handle: u64) -> Content {
        match key {
            3 if handle == CURRENT_TASK => Content::CurrentTask,
            3 => match self.real.bank.element_of(handle) {
                Some((id, BankElement::Task(_))) => Content::Task(self.task(id)),
                Some((_, BankElement::Account(account))) => Content::Account(self.parts(account)),
                None => panic!("{handle:#x} is not a value of the bank"),
            },
            4 => Content::Priority(handle as u32),
            7 => Content::Bytes(self.real.user_data.content(handle).expect("the content is kept").to_vec()),
            8 => Content::Bytes(self.real.test.content(handle).expect("the content is kept").to_vec()),
            _ if holds_numbers(key) => Content::Number(handle),
            _ => panic!("key {key} has no manager"),
        }
    }

    fn task(&self, id: BankElementId) -> usize {
        self.tasks.iter().position(|&task| task == id).expect("the task exists")
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

    /// Returns the balance of a task.
    pub fn balance(&self, task: usize) -> [(u64, u64); 2] {
        let balance = self.real.bank.balance(self.tasks[task]);
        [balance.billed, balance.serviced].map(|Usage { cpu, energy }| (cpu, energy))
    }
}
