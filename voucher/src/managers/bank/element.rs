//! Tasks and accounts (vouchers 6.3.2, 6.3.3, 6.3.10).

use super::billing::Balance;
use super::{Bank, CURRENT_TASK};
use crate::Error;
use abi::voucher::{PERSONA_ID_NONE, ProcPersonaInfo};
use core::hash::{BuildHasher, Hasher};
use store::{Chain, Chained, Id};

/// Names a task or an account of the bank.
pub type BankElementId = Id<BankElement>;

/// What the bank knows: a task, or an account.
#[derive(Debug)]
pub enum BankElement {
    /// A process.
    Task(BankTask),
    /// Work done by one process for another.
    Account(Account),
}

/// Who a task is and what it may do, as it was when the bank first heard of it.
#[derive(Clone, Copy, Debug)]
pub struct TaskIdentity {
    /// The process.
    pub info: ProcPersonaInfo,
    /// Whether it is part of the system.
    pub platform_binary: bool,
    /// Entitlement `com.apple.private.personas.no.propagate`: it takes responsibility for what it passes on.
    pub no_propagate: bool,
    /// Entitlement `com.apple.private.persona.adopt.any`.
    pub adopt_any: bool,
    /// Entitlement `com.apple.private.persona.modify`.
    pub modify_persona: bool,
    /// Its thread group; 0 for none.
    pub group: u64,
    /// Whether it is an application: work for others counts for its own thread group.
    pub app: bool,
}

impl Default for TaskIdentity {
    fn default() -> Self {
        let info = ProcPersonaInfo { persona_id: PERSONA_ID_NONE, ..ProcPersonaInfo::default() };
        let (no_propagate, adopt_any, modify_persona) = (false, false, false);
        TaskIdentity { info, platform_binary: false, no_propagate, adopt_any, modify_persona, group: 0, app: false }
    }
}

/// One process, as the bank sees it. It lives as long as the task, vouchers or accounts refer to it.
#[derive(Debug)]
pub struct BankTask {
    identity: TaskIdentity,
    refs: u64,
    made: u64,
    /// In how many accounts the task is holder.
    pub(super) to_pay: u64,
    /// In how many accounts the task is merchant.
    pub(super) to_charge: u64,
    /// What was charged to its accounts.
    pub(super) balance: Balance,
}

impl BankTask {
    /// Who the task is.
    pub const fn identity(&self) -> &TaskIdentity {
        &self.identity
    }

    /// The process's persona, or [`PERSONA_ID_NONE`].
    pub const fn persona(&self) -> u32 {
        self.identity.info.persona_id
    }

    /// How many references there are: one of the task, one of all vouchers together, four of each account.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// How often the value was handed out.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// In how many accounts the task is holder, and in how many merchant.
    pub const fn accounts(&self) -> (u64, u64) {
        (self.to_pay, self.to_charge)
    }
}

/// The parts that tasks, a persona and a thread group play in an account. Accounts with equal roles are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The task that pays.
    pub holder: BankElementId,
    /// The task that does the work.
    pub merchant: BankElementId,
    /// The task whose persona is vouched for.
    pub originator: BankElementId,
    /// The task that sent the voucher last.
    pub proximate: BankElementId,
    /// The persona that is vouched for.
    pub persona: u32,
    /// The thread group in which the work is done.
    pub group: u64,
}

impl Roles {
    fn tasks(&self) -> [BankElementId; 4] {
        [self.holder, self.merchant, self.originator, self.proximate]
    }
}

/// Work that a merchant does for a holder.
#[derive(Debug)]
pub struct Account {
    roles: Roles,
    made: u64,
    chain: Chain,
}

impl Account {
    /// Who plays which part.
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    /// How often the value was handed out.
    pub const fn made(&self) -> u64 {
        self.made
    }
}

impl Chained for BankElement {
    fn chain(&self) -> &Chain {
        &self.account().chain
    }

    fn chain_mut(&mut self) -> &mut Chain {
        match self {
            BankElement::Account(account) => &mut account.chain,
            BankElement::Task(_) => panic!("only accounts are indexed"),
        }
    }
}

impl BankElement {
    fn account(&self) -> &Account {
        match self {
            BankElement::Account(account) => account,
            BankElement::Task(_) => panic!("only accounts are indexed"),
        }
    }
}

impl Bank {
    /// A task begins. The caller has a reference, which [`end_task`](Bank::end_task) gives up.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] without memory; nothing has changed.
    pub fn begin_task(&mut self, mut identity: TaskIdentity) -> Result<BankElementId, Error> {
        if !self.settings.thread_groups {
            identity.group = 0;
        }
        let task = BankTask { identity, refs: 1, made: 0, to_pay: 0, to_charge: 0, balance: Balance::default() };
        Ok(self.elements.insert(BankElement::Task(task))?)
    }

    /// A living task ends. Vouchers and accounts may still refer to it.
    pub fn end_task(&mut self, id: BankElementId) {
        self.drop_task_references(id, 1);
    }

    /// The task or account, if it lives.
    pub fn element(&self, id: BankElementId) -> Option<&BankElement> {
        self.elements.get(id)
    }

    /// The task or account that a handle stands for. `None` for "current task" too.
    pub fn element_of(&self, handle: u64) -> Option<(BankElementId, &BankElement)> {
        let id = BankElementId::from_bits(handle)?;
        self.elements.get(id).map(|element| (id, element))
    }

    /// How many tasks and accounts live.
    pub fn len(&self) -> (usize, usize) {
        (self.elements.len() - self.accounts.len(), self.accounts.len())
    }

    /// Whether there is neither task nor account.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// A task that is known to live.
    pub(super) fn task(&self, id: BankElementId) -> &BankTask {
        match &self.elements[id] {
            BankElement::Task(task) => task,
            BankElement::Account(_) => panic!("{id:?} is an account, not a task"),
        }
    }

    pub(super) fn task_mut(&mut self, id: BankElementId) -> &mut BankTask {
        match &mut self.elements[id] {
            BankElement::Task(task) => task,
            BankElement::Account(_) => panic!("{id:?} is an account, not a task"),
        }
    }

    fn drop_task_references(&mut self, id: BankElementId, count: u64) {
        let task = self.task_mut(id);
        task.refs = task.refs.checked_sub(count).expect("a task's references are held");
        if task.refs == 0 {
            assert_eq!((task.made, task.to_pay, task.to_charge), (0, 0, 0), "what refers to a task has a reference");
            self.elements.remove(id);
        }
    }

    /// Hands a task out as a value. All vouchers together have one reference to it.
    pub(super) fn hand_out_task(&mut self, id: BankElementId) -> Result<u64, Error> {
        let task = self.task_mut(id);
        task.made = task.made.checked_add(1).ok_or(Error::ResourceShortage)?;
        if task.made == 1 {
            task.refs += 1;
        }
        Ok(id.to_bits())
    }

    /// Hands an account out as a value.
    pub(super) fn hand_out_account(&mut self, id: BankElementId) -> Result<u64, Error> {
        let BankElement::Account(account) = &mut self.elements[id] else { panic!("{id:?} is no account") };
        account.made = account.made.checked_add(1).ok_or(Error::ResourceShortage)?;
        Ok(id.to_bits())
    }

    fn hash(&self, roles: &Roles) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        for task in roles.tasks() {
            hasher.write_u64(task.to_bits());
        }
        hasher.write_u32(roles.persona);
        hasher.write_u64(roles.group);
        hasher.finish() as u32
    }

    /// Hands out the account with these roles, and opens it if there is none.
    pub(super) fn account(&mut self, roles: Roles) -> Result<u64, Error> {
        let hash = self.hash(&roles);
        if let Some(index) = self.accounts.find(&self.elements, hash, |element| element.account().roles == roles) {
            let (id, _) = self.elements.at(index).expect("an indexed account lives");
            return self.hand_out_account(id);
        }
        self.accounts.reserve()?;
        self.accounts.prepare(&mut self.elements);
        let id = self.elements.insert_with(|id| {
            let chain = self.accounts.push(id.index(), hash);
            BankElement::Account(Account { roles, made: 1, chain })
        })?;
        self.task_mut(roles.holder).to_pay += 1;
        self.task_mut(roles.merchant).to_charge += 1;
        for task in roles.tasks() {
            self.task_mut(task).refs += 1;
        }
        Ok(id.to_bits())
    }

    /// Gives a value up, if all that was handed out is offered. An account is closed.
    pub(super) fn give_up(&mut self, handle: u64, sync: u64) -> Result<(), Error> {
        if handle == 0 || handle == CURRENT_TASK {
            return Ok(());
        }
        let id = BankElementId::from_bits(handle).ok_or(Error::Failure)?;
        match self.elements.get_mut(id).ok_or(Error::Failure)? {
            BankElement::Task(task) if task.made == sync && sync > 0 => {
                task.made = 0;
                self.drop_task_references(id, 1);
            }
            BankElement::Account(account) if account.made == sync => {
                let roles = account.roles;
                self.accounts.remove(&mut self.elements, id.index());
                self.elements.remove(id);
                self.task_mut(roles.holder).to_pay -= 1;
                self.task_mut(roles.merchant).to_charge -= 1;
                for task in roles.tasks() {
                    self.drop_task_references(task, 1);
                }
            }
            _ => return Err(Error::Failure),
        }
        Ok(())
    }
}
