//! The bank as a simple model: lists that are searched from end to end.

use crate::operation::Identity;
use crate::rules::Content;
use abi::voucher::*;
use voucher::Error;
use voucher::managers::bank::BankSettings;

/// The roles of an account, with tasks by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    pub holder: usize,
    pub merchant: usize,
    pub originator: usize,
    pub proximate: usize,
    pub persona: u32,
    pub group: u64,
}

pub struct Task {
    pub identity: Identity,
    pub is_alive: bool,
    billed: (u64, u64),
    serviced: (u64, u64),
}

struct Account {
    serial: u64,
    parts: Parts,
    bill: (u64, u64),
}

pub struct Bank {
    pub tasks: Vec<Task>,
    accounts: Vec<Account>,
    opened: u64,
    personas: Vec<u32>,
    system: u32,
    system_proxy: u32,
    settings: BankSettings,
}

fn add(to: &mut (u64, u64), amount: (u64, u64)) {
    *to = (to.0 + amount.0, to.1 + amount.1);
}

impl Bank {
    pub fn new(settings: BankSettings) -> Self {
        let (tasks, accounts, personas) = (vec![], vec![], vec![]);
        Bank { tasks, accounts, opened: 0, personas, system: PERSONA_ID_NONE, system_proxy: PERSONA_ID_NONE, settings }
    }

    pub fn begin_task(&mut self, mut identity: Identity) {
        if !self.settings.thread_groups {
            identity.group = 0;
        }
        self.tasks.push(Task { identity, is_alive: true, billed: (0, 0), serviced: (0, 0) });
    }

    pub fn pid(&self, task: usize) -> i32 {
        task as i32 + 10
    }

    pub fn persona(&self, task: usize) -> u32 {
        self.tasks[task].identity.persona
    }

    pub fn add_persona(&mut self, id: u32, part: u8) {
        self.personas.push(id);
        match part {
            1 => self.system = id,
            2 => self.system_proxy = id,
            _ => {}
        }
    }

    /// Returns true if the task replaces personas by its own (6.3.5).
    fn needs_replacement(&self, task: usize) -> bool {
        let identity = self.tasks[task].identity;
        self.settings.unique_persona
            && identity.persona != self.system
            && identity.persona != self.system_proxy
            && !(identity.persona == PERSONA_ID_NONE && (identity.platform_binary || identity.adopt_any))
    }

    fn passes_personas_on(&self, task: usize) -> bool {
        let identity = self.tasks[task].identity;
        !identity.no_propagate && (identity.platform_binary || self.settings.propagate_for_all)
    }

    /// Returns the value that a recipe requests (6.3.4).
    pub fn value(
        &self,
        me: Option<usize>,
        command: u32,
        previous: Option<&Content>,
        content: &[u8],
    ) -> Result<Option<Content>, Error> {
        const CURRENT: Result<Option<Content>, Error> = Ok(Some(Content::CurrentTask));
        if command == MACH_VOUCHER_ATTR_BANK_CREATE {
            return CURRENT;
        }
        if !matches!(command, 4 | 5 | 10 | 611) {
            return Err(Error::InvalidArgument);
        }
        let Some(previous) = previous else { return Ok(None) };
        let me = || me.ok_or(Error::ResourceShortage);
        match (command, previous) {
            (10, Content::CurrentTask) => CURRENT,
            (4 | 611, Content::CurrentTask) => Ok(None),
            (10, Content::Task(task)) if *task == me()? => CURRENT,
            (10, Content::Account(parts)) if parts.merchant == me()? => Ok(Some(previous.clone())),
            (10, _) => me().and(Err(Error::InvalidCapability)),
            (4, _) => self.redeem(me()?, previous),
            (5, _) => self.preprocess(me()?, previous),
            _ => self.modify_persona(me()?, previous, content),
        }
    }

    /// Returns the roles of an account, or of the account that a task would have with itself.
    fn parts(&self, me: usize, value: &Content) -> Parts {
        let of = |task: usize| {
            let Identity { persona, group, .. } = self.tasks[task].identity;
            Parts { holder: task, merchant: task, originator: task, proximate: task, persona, group }
        };
        match value {
            Content::CurrentTask => of(me),
            Content::Task(task) => of(*task),
            Content::Account(parts) => *parts,
            _ => panic!("{value:?} is no value of the bank"),
        }
    }

    fn redeem(&self, me: usize, previous: &Content) -> Result<Option<Content>, Error> {
        let mut parts = Parts { merchant: me, ..self.parts(me, previous) };
        if self.needs_replacement(me) {
            parts.persona = self.persona(me);
        }
        if self.tasks[me].identity.app {
            parts.group = self.tasks[me].identity.group;
        }
        let own = parts == self.parts(me, &Content::CurrentTask);
        Ok(Some(if own { Content::CurrentTask } else { Content::Account(parts) }))
    }

    fn preprocess(&self, me: usize, previous: &Content) -> Result<Option<Content>, Error> {
        let mut parts = Parts { merchant: me, proximate: me, ..self.parts(me, previous) };
        if !self.passes_personas_on(me) {
            parts.originator = me;
            parts.persona = self.persona(me);
        }
        let own = parts == self.parts(me, &Content::CurrentTask);
        Ok(Some(if own { Content::Task(me) } else { Content::Account(parts) }))
    }

    /// Executes `BANK_MODIFY_PERSONA` (6.3.6).
    fn modify_persona(&self, me: usize, previous: &Content, content: &[u8]) -> Result<Option<Content>, Error> {
        if !self.tasks[me].identity.modify_persona {
            return Err(Error::NoAccess);
        }
        if content.len() != 16 {
            return Err(Error::InvalidArgument);
        }
        let persona = u32::from_le_bytes(content[..4].try_into().unwrap());
        let unique_pid = u64::from_le_bytes(content[8..].try_into().unwrap());
        if !self.personas.contains(&persona) {
            return Err(Error::InvalidArgument);
        }
        let Content::Task(of) = *previous else { return Err(Error::InvalidArgument) };
        if of as u64 != unique_pid {
            return Err(Error::InvalidCapability);
        }
        if self.persona(of) == persona {
            return Ok(Some(Content::Task(of)));
        }
        if self.needs_replacement(of) {
            return Err(Error::InvalidArgument);
        }
        Ok(Some(Content::Account(Parts { persona, ..self.parts(of, previous) })))
    }

    /// Returns command and text of an extraction (6.3.7).
    pub fn describe(&self, me: Option<usize>, value: &Content, room: usize) -> Result<(u32, Vec<u8>), Error> {
        match room {
            0 => return Ok((MACH_VOUCHER_ATTR_NOOP, vec![])),
            1..500 => return Err(Error::NoSpace),
            _ => {}
        }
        let text = match value {
            Content::CurrentTask => {
                format!(" Bank Context for a pid {}\n\0", self.pid(me.ok_or(Error::ResourceShortage)?))
            }
            Content::Task(task) => format!(" Bank Context for a pid {}\n\0", self.pid(*task)),
            Content::Account(parts) => format!(
                " Bank Account linking holder pid {} with merchant pid {}, originator PID/persona: {}, {} and \
                 proximate PID/persona: {}, {}\n\0",
                self.pid(parts.holder),
                self.pid(parts.merchant),
                self.pid(parts.originator),
                parts.persona,
                self.pid(parts.proximate),
                self.persona(parts.proximate)
            ),
            _ => panic!("{value:?} is no value of the bank"),
        };
        Ok((MACH_VOUCHER_ATTR_BANK_NULL, text.into_bytes()))
    }

    /// Executes a manager command (6.3.8).
    pub fn command(
        &self,
        me: Option<usize>,
        value: Option<&Content>,
        command: u32,
        room: usize,
    ) -> Result<Vec<u8>, Error> {
        let size = match command {
            1 | 3 | 4 => 4,
            2 => 96,
            _ => return Err(Error::InvalidArgument),
        };
        if room < size {
            return Err(Error::NoSpace);
        }
        let me = me.ok_or(Error::ResourceShortage);
        if command == BANK_PERSONA_ADOPT_ANY {
            return Ok(u32::from(!self.needs_replacement(me?)).to_le_bytes().to_vec());
        }
        let task = match value.ok_or(Error::InvalidValue)? {
            Content::Account(parts) => {
                return Ok(match command {
                    1 => self.pid(parts.holder).to_le_bytes().to_vec(),
                    3 => parts.persona.to_le_bytes().to_vec(),
                    _ => [self.record(parts.originator), self.record(parts.proximate)].concat(),
                });
            }
            Content::Task(task) => *task,
            _ => me?,
        };
        match command {
            1 => Ok(self.pid(task).to_le_bytes().to_vec()),
            3 => Ok(self.persona(task).to_le_bytes().to_vec()),
            _ => Err(Error::InvalidObject),
        }
    }

    /// Returns the `proc_persona_info` of a task.
    fn record(&self, task: usize) -> Vec<u8> {
        let mut record = (task as u64).to_le_bytes().to_vec();
        record.extend_from_slice(&self.pid(task).to_le_bytes());
        record.extend_from_slice(&[0; 8]);
        record.extend_from_slice(&self.persona(task).to_le_bytes());
        record.resize(48, 0);
        record
    }

    /// Opens an account.
    pub fn open(&mut self, parts: Parts) {
        self.opened += 1;
        self.accounts.push(Account { serial: self.opened, parts, bill: (0, 0) });
    }

    /// Closes an account and adds its charges to the balances.
    pub fn close(&mut self, parts: Parts) {
        let at = self.accounts.iter().position(|account| account.parts == parts).expect("the account is open");
        let bill = self.accounts.remove(at).bill;
        if self.tasks[parts.holder].is_alive {
            add(&mut self.tasks[parts.holder].billed, bill);
        }
        if self.tasks[parts.merchant].is_alive {
            add(&mut self.tasks[parts.merchant].serviced, bill);
        }
    }

    /// Returns the account that a thread is charged to after it adopted a value, and its persona (6.3.9).
    pub fn adopt(&self, me: usize, value: Option<&Content>) -> (Option<u64>, u32) {
        let Some(Content::Account(parts)) = value else { return (None, self.persona(me)) };
        let account = self.accounts.iter().find(|account| account.parts == *parts).expect("the account is open");
        ((parts.holder != parts.merchant).then_some(account.serial), parts.persona)
    }

    pub fn charge(&mut self, serial: u64, amount: (u64, u64)) {
        if let Some(account) = self.accounts.iter_mut().find(|account| account.serial == serial) {
            add(&mut account.bill, amount);
        }
    }

    /// Returns the billed and the serviced sums of a task: processor time and energy.
    pub fn balance(&self, task: usize) -> [(u64, u64); 2] {
        let Task { mut billed, mut serviced, .. } = self.tasks[task];
        for account in &self.accounts {
            if account.parts.holder == task {
                add(&mut billed, account.bill);
            }
            if account.parts.merchant == task {
                add(&mut serviced, account.bill);
            }
        }
        [billed, serviced]
    }

    /// Returns the numbers of accounts in which a task is holder and merchant, and the number of its roles in all
    /// accounts.
    pub fn parts_of(&self, task: usize) -> (u64, u64, u64) {
        let mut counts = (0, 0, 0);
        for Account { parts, .. } in &self.accounts {
            counts.0 += u64::from(parts.holder == task);
            counts.1 += u64::from(parts.merchant == task);
            let all = [parts.holder, parts.merchant, parts.originator, parts.proximate];
            counts.2 += all.iter().filter(|&&other| other == task).count() as u64;
        }
        counts
    }

    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }
}
