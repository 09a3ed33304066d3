//! Tasks and accounts (vouchers 6.3.2, 6.3.3, 6.3.10).

use super::billing::Balance;
use super::{Bank, CURRENT_TASK};
use crate::Error;
use abi::voucher::{PERSONA_ID_NONE, ProcPersonaInfo};
use core::hash::{BuildHasher, Hasher};
use store::{Chain, Chained, Id, Singles};

/// The name of a task or an account of the bank.
pub type BankElementId = Id<BankElement>;

/// An object of the bank: a task or an account.
#[derive(Debug)]
pub enum BankElement {
    /// A process.
    Task(BankTask),
    /// An account of the work that one process does for another.
    Account(Account),
}

/// The identity and the entitlements of a task at the time it was added to the bank.
#[derive(Clone, Copy, Debug)]
pub struct TaskIdentity {
    /// The process.
    pub info: ProcPersonaInfo,
    /// True for a program that is part of the system.
    pub platform_binary: bool,
    /// The entitlement `com.apple.private.personas.no.propagate`: the task replaces the personas of others by its own.
    pub no_propagate: bool,
    /// The entitlement `com.apple.private.persona.adopt.any`.
    pub adopt_any: bool,
    /// The entitlement `com.apple.private.persona.modify`.
    pub modify_persona: bool,
    /// The thread group of the task; 0 for none.
    pub group: u64,
    /// True for an application. Its work for others counts for its own thread group.
    pub app: bool,
}

impl Default for TaskIdentity {
    fn default() -> Self {
        let info = ProcPersonaInfo { persona_id: PERSONA_ID_NONE, ..ProcPersonaInfo::default() };
        let (no_propagate, adopt_any, modify_persona) = (false, false, false);
        TaskIdentity { info, platform_binary: false, no_propagate, adopt_any, modify_persona, group: 0, app: false }
    }
}

/// The bank's record of a process. It exists as long as the task, vouchers or accounts refer to it.
#[derive(Debug)]
pub struct BankTask {
    identity: TaskIdentity,
    refs: u64,
    made: u64,
    /// The number of accounts in which the task is holder.
    pub(super) accounts_as_holder: u64,
    /// The number of accounts in which the task is merchant.
    pub(super) accounts_as_merchant: u64,
    /// The usage that was charged to its accounts.
    pub(super) balance: Balance,
}

impl BankTask {
    /// Returns the identity of the task.
    pub const fn identity(&self) -> &TaskIdentity {
        &self.identity
    }

    /// Returns the persona of the process, or [`PERSONA_ID_NONE`].
    pub const fn persona(&self) -> u32 {
        self.identity.info.persona_id
    }

    /// Returns the number of references: one of the live task, one of all vouchers together, four of each account.
    pub const fn refs(&self) -> u64 {
        self.refs
    }

    /// Returns the number of made references.
    pub const fn made(&self) -> u64 {
        self.made
    }

    /// Returns the numbers of accounts in which the task is holder and merchant.
    pub const fn accounts(&self) -> (u64, u64) {
        (self.accounts_as_holder, self.accounts_as_merchant)
    }
}

/// The roles of tasks, a persona and a thread group in an account. No two accounts have equal roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The task that pays.
    pub holder: BankElementId,
    /// The task that does the work.
    pub merchant: BankElementId,
    /// The task whose persona the voucher carries.
    pub originator: BankElementId,
    /// The task that sent the voucher last.
    pub proximate: BankElementId,
    /// The persona that the voucher carries.
    pub persona: u32,
    /// The thread group in which the work is done.
    pub group: u64,
}

impl Roles {
    /// Returns the tasks of all roles.
    fn tasks(&self) -> [BankElementId; 4] {
        [self.holder, self.merchant, self.originator, self.proximate]
    }
}

/// An account of the work that a merchant does for a holder.
#[derive(Debug)]
pub struct Account {
    roles: Roles,
    made: u64,
    chain: Chain,
}

impl Account {
    /// Returns the roles.
    pub const fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Returns the number of made references.
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
    /// Adds a task. The caller gets a reference, which [`end_task`](Bank::end_task) releases.
    ///
    /// # Errors
    /// [`Error::ResourceShortage`] if the heap has no room; nothing has changed then.
    pub fn begin_task(&mut self, mut identity: TaskIdentity) -> Result<BankElementId, Error> {
        if !self.settings.thread_groups {
            identity.group = 0;
        }
        let task = BankTask {
            identity,
            refs: 1,
            made: 0,
            accounts_as_holder: 0,
            accounts_as_merchant: 0,
            balance: Balance::default(),
        };
        Ok(self.elements.insert(BankElement::Task(task))?)
    }

    /// Ends a live task. Vouchers and accounts may still refer to it.
    pub fn end_task(&mut self, id: BankElementId) {
        self.drop_task_references(id, 1);
    }

    /// Returns the task or account, or `None` if it is gone.
    pub fn element(&self, id: BankElementId) -> Option<&BankElement> {
        self.elements.get(id)
    }

    /// Returns the task or account with this handle, or `None` for "current task" and unknown handles.
    pub fn element_of(&self, handle: u64) -> Option<(BankElementId, &BankElement)> {
        let id = BankElementId::from_bits(handle)?;
        self.elements.get(id).map(|element| (id, element))
    }

    /// Returns the table of tasks and accounts. For printouts.
    pub const fn table(&self) -> &Singles<BankElement> {
        &self.elements
    }

    /// Returns the numbers of tasks and accounts.
    pub fn len(&self) -> (usize, usize) {
        (self.elements.len() - self.accounts.len(), self.accounts.len())
    }

    /// Returns true if there are neither tasks nor accounts.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// Returns a task that must exist.
    pub(super) fn task(&self, id: BankElementId) -> &BankTask {
        match &self.elements[id] {
            BankElement::Task(task) => task,
            BankElement::Account(_) => panic!("{id:?} is an account, not a task"),
        }
    }

    /// Returns a task that must exist.
    pub(super) fn task_mut(&mut self, id: BankElementId) -> &mut BankTask {
        match &mut self.elements[id] {
            BankElement::Task(task) => task,
            BankElement::Account(_) => panic!("{id:?} is an account, not a task"),
        }
    }

    /// Drops references to a task, and removes it with the last one.
    fn drop_task_references(&mut self, id: BankElementId, count: u64) {
        let task = self.task_mut(id);
        task.refs = task.refs.checked_sub(count).expect("each reference is dropped once");
        if task.refs == 0 {
            assert_eq!(
                (task.made, task.accounts_as_holder, task.accounts_as_merchant),
                (0, 0, 0),
                "values and accounts hold references"
            );
            self.elements.remove(id);
        }
    }

    /// Hands out a task as a value. All vouchers together hold one reference to it.
    pub(super) fn hand_out_task(&mut self, id: BankElementId) -> Result<u64, Error> {
        let task = self.task_mut(id);
        task.made = task.made.checked_add(1).ok_or(Error::ResourceShortage)?;
        if task.made == 1 {
            task.refs += 1;
        }
        Ok(id.to_bits())
    }

    /// Hands out an account as a value.
    pub(super) fn hand_out_account(&mut self, id: BankElementId) -> Result<u64, Error> {
        let BankElement::Account(account) = &mut self.elements[id] else { panic!("{id:?} is a task, not an account") };
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

    /// Hands out the account with these roles, and opens it first if there is none.
    pub(super) fn account_for(&mut self, roles: Roles) -> Result<u64, Error> {
        let hash = self.hash(&roles);
        if let Some(index) = self.accounts.find(&self.elements, hash, |element| element.account().roles == roles) {
            let (id, _) = self.elements.at(index).expect("an indexed account exists");
            return self.hand_out_account(id);
        }
        self.accounts.reserve()?;
        self.accounts.prepare(&mut self.elements);
        let id = self.elements.insert_with(|id| {
            let chain = self.accounts.push(id.index(), hash);
            BankElement::Account(Account { roles, made: 1, chain })
        })?;
        self.task_mut(roles.holder).accounts_as_holder += 1;
        self.task_mut(roles.merchant).accounts_as_merchant += 1;
        for task in roles.tasks() {
            self.task_mut(task).refs += 1;
        }
        Ok(id.to_bits())
    }

    /// Releases a value if the offer is equal to its made references. An account is closed.
    pub(super) fn release_handle(&mut self, handle: u64, sync: u64) -> Result<(), Error> {
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
                self.task_mut(roles.holder).accounts_as_holder -= 1;
                self.task_mut(roles.merchant).accounts_as_merchant -= 1;
                for task in roles.tasks() {
                    self.drop_task_references(task, 1);
                }
            }
            _ => return Err(Error::Failure),
        }
        Ok(())
    }
}
