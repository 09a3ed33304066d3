//! Vouchers of the mock: their content, their recipes, their references.

use super::world::{Object, State};
use abi::code::*;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use std::vec::Vec;
use zerocopy::{FromBytes, IntoBytes};

/// The attributes of a voucher.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Content {
    /// Who pays, and in whose name.
    pub bank: Option<Bank>,
    /// The tasks between which a boost goes: sender and receiver.
    pub importance: Option<(usize, usize)>,
    /// The bytes of key 7.
    pub user_data: Option<Vec<u8>>,
}

/// Who pays, and in whose name (dispatch P-5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Bank {
    /// The task itself.
    Own(usize),
    /// The task from which a message came.
    Account {
        /// The task that started the work.
        originator: usize,
        /// The task that sent it last.
        proximate: usize,
        /// The persona.
        persona: u32,
    },
}

pub(super) struct VoucherEntry {
    pub content: Content,
    references: u32,
}

/// The boosts that one task has given another and that vouchers hold. They end together (dispatch 2.1).
#[derive(Default)]
pub(super) struct Pair {
    vouchers: u32,
    pub boosts: u32,
}

const HEADER: usize = size_of::<RecipeHeader>();

impl State {
    /// Returns the voucher with a content, with one more reference; `None` if it has no attributes.
    pub(super) fn voucher_with(&mut self, content: Content) -> Option<u32> {
        if content == Content::default() {
            return None;
        }
        if let Some(&voucher) = self.contents.get(&content) {
            self.retain_voucher(voucher);
            return Some(voucher);
        }
        if let Some(pair) = content.importance {
            self.pairs.entry(pair).or_default().vouchers += 1;
        }
        let voucher = self.new_object();
        self.contents.insert(content.clone(), voucher);
        self.vouchers.insert(voucher, VoucherEntry { content, references: 1 });
        Some(voucher)
    }

    pub(super) fn retain_voucher(&mut self, voucher: u32) {
        self.vouchers.get_mut(&voucher).expect("the voucher exists").references += 1;
    }

    pub(super) fn release_voucher(&mut self, voucher: u32) {
        let entry = self.vouchers.get_mut(&voucher).expect("the voucher exists");
        entry.references -= 1;
        if entry.references > 0 {
            return;
        }
        let content = self.vouchers.remove(&voucher).expect("the voucher exists").content;
        self.contents.remove(&content);
        let Some(key) = content.importance else {
            return;
        };
        let pair = self.pairs.get_mut(&key).expect("the pair exists");
        pair.vouchers -= 1;
        if pair.vouchers == 0 {
            self.tasks[key.1].boosts -= pair.boosts;
            self.pairs.remove(&key);
        }
    }

    fn content_of(&self, task: usize, name: u32) -> Result<Content, KernReturn> {
        if name == 0 {
            return Ok(Content::default());
        }
        let voucher = self.voucher_of(task, PortName(name)).ok_or(KERN_INVALID_CAPABILITY)?;
        Ok(self.vouchers[&voucher].content.clone())
    }

    /// See [`Kernel::create_voucher`](crate::sys::Kernel::create_voucher).
    pub(super) fn create_voucher(&mut self, task: usize, mut recipes: &[u8]) -> Result<PortName, KernReturn> {
        if self.tasks[task].refuses_vouchers {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        self.tasks[task].created_vouchers += 1;
        let mut content = Content::default();
        while !recipes.is_empty() {
            let (header, rest) = RecipeHeader::read_from_prefix(recipes).map_err(|_| KERN_INVALID_ARGUMENT)?;
            let (bytes, rest) = rest.split_at_checked(header.content_size as usize).ok_or(KERN_INVALID_ARGUMENT)?;
            self.apply(task, &mut content, &header, bytes)?;
            recipes = rest;
        }
        let voucher = self.voucher_with(content);
        Ok(voucher.map_or(PortName(0), |voucher| self.add_send(task, Object::Voucher(voucher))))
    }

    fn apply(&self, task: usize, content: &mut Content, header: &RecipeHeader, bytes: &[u8]) -> Result<(), KernReturn> {
        let previous = self.content_of(task, header.previous_voucher)?;
        match (header.key, header.command) {
            (MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY) => *content = previous,
            (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_COPY) => content.bank = previous.bank,
            (MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_REMOVE) => content.importance = None,
            (MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_REMOVE) => content.user_data = None,
            (MACH_VOUCHER_ATTR_KEY_PTHPRIORITY, MACH_VOUCHER_ATTR_REMOVE) => (),
            (MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE) => {
                content.user_data = Some(bytes.to_vec());
            }
            (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE) => content.bank = Some(Bank::Own(task)),
            (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_SEND_PREPROCESS) => {
                content.bank = content.bank.map(|bank| self.sent(bank, task));
            }
            (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA) => {
                content.bank = Some(self.with_persona(task, content.bank, bytes)?);
            }
            (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_REDEEM) => {
                let own = |bank: &Bank| matches!(bank, Bank::Account { originator, .. } if *originator == task);
                content.bank = Some(previous.bank.filter(own).ok_or(KERN_INVALID_CAPABILITY)?);
            }
            _ => return Err(KERN_INVALID_ARGUMENT),
        }
        Ok(())
    }

    fn with_persona(&self, task: usize, bank: Option<Bank>, bytes: &[u8]) -> Result<Bank, KernReturn> {
        let info = PersonaModifyInfo::read_from_bytes(bytes).map_err(|_| KERN_INVALID_ARGUMENT)?;
        match bank {
            _ if !self.tasks[task].spec.broker => Err(KERN_NO_ACCESS),
            Some(Bank::Account { originator, proximate, .. }) if unique_pid(originator) == info.unique_pid => {
                Ok(Bank::Account { originator, proximate, persona: info.persona_id })
            }
            _ => Err(KERN_INVALID_CAPABILITY),
        }
    }

    /// Returns a bank value as it is in a message that a task sends.
    pub(super) fn sent(&self, bank: Bank, sender: usize) -> Bank {
        let spec = &self.tasks[sender].spec;
        match bank {
            Bank::Account { originator, persona, .. } if spec.platform => {
                Bank::Account { originator, proximate: sender, persona }
            }
            _ => Bank::Account { originator: sender, proximate: sender, persona: spec.persona },
        }
    }

    /// Returns a bank value of a message as it is for its receiver.
    pub(super) fn redeemed(&self, bank: Bank, receiver: usize) -> Option<Bank> {
        let spec = &self.tasks[receiver].spec;
        match bank {
            Bank::Account { originator, .. } if originator == receiver => None,
            Bank::Account { originator, proximate, persona } => {
                let persona = if spec.system { persona } else { spec.persona };
                Some(Bank::Account { originator, proximate, persona })
            }
            Bank::Own(_) => None,
        }
    }

    /// See [`Kernel::extract`](crate::sys::Kernel::extract).
    pub(super) fn extract(&self, task: usize, name: PortName, key: u32, out: &mut [u8]) -> Result<usize, KernReturn> {
        if key != MACH_VOUCHER_ATTR_KEY_USER_DATA {
            return Err(KERN_NOT_SUPPORTED);
        }
        let Some(data) = self.content_of(task, name.0)?.user_data else {
            return Ok(0);
        };
        let command = MACH_VOUCHER_ATTR_USER_DATA_STORE;
        let header = RecipeHeader { key, command, previous_voucher: 0, content_size: data.len() as u32 };
        let room = out.get_mut(..HEADER + data.len()).ok_or(KERN_NO_SPACE)?;
        room[..HEADER].copy_from_slice(header.as_bytes());
        room[HEADER..].copy_from_slice(&data);
        Ok(room.len())
    }

    /// See [`Kernel::voucher_command`](crate::sys::Kernel::voucher_command).
    pub(super) fn command(
        &self,
        task: usize,
        name: PortName,
        (key, command): (u32, u32),
        out: &mut [u8],
    ) -> Result<usize, KernReturn> {
        let content = self.content_of(task, name.0)?;
        if key != MACH_VOUCHER_ATTR_KEY_BANK {
            return Err(KERN_INVALID_TASK);
        }
        let bank = content.bank.ok_or(KERN_INVALID_OBJECT)?;
        let (originator, proximate, persona) = match bank {
            Bank::Own(task) => (task, task, self.tasks[task].spec.persona),
            Bank::Account { originator, proximate, persona } => (originator, proximate, persona),
        };
        let info = |task, persona_id| ProcPersonaInfo {
            unique_pid: unique_pid(task),
            pid: task as i32 + 1,
            persona_id,
            ..ProcPersonaInfo::default()
        };
        let token = PersonaToken {
            originator: info(originator, persona),
            proximate: info(proximate, self.tasks[proximate].spec.persona),
        };
        let answer = match command {
            BANK_ORIGINATOR_PID => (originator as i32 + 1).as_bytes().to_vec(),
            BANK_PERSONA_TOKEN if matches!(bank, Bank::Own(_)) => return Err(KERN_INVALID_OBJECT),
            BANK_PERSONA_TOKEN => token.as_bytes().to_vec(),
            BANK_PERSONA_ID => persona.as_bytes().to_vec(),
            BANK_PERSONA_ADOPT_ANY => u32::from(self.tasks[task].spec.system).as_bytes().to_vec(),
            _ => return Err(KERN_INVALID_ARGUMENT),
        };
        out.get_mut(..answer.len()).ok_or(KERN_NO_SPACE)?.copy_from_slice(&answer);
        Ok(answer.len())
    }

    /// See [`Kernel::current_persona`](crate::sys::Kernel::current_persona).
    pub(super) fn persona(&self, task: usize, thread: PortName) -> u32 {
        let voucher = self.threads.get(&thread).and_then(|thread| thread.voucher);
        match voucher.and_then(|voucher| self.vouchers[&voucher].content.bank) {
            Some(Bank::Account { persona, .. }) => persona,
            _ => self.tasks[task].spec.persona,
        }
    }
}

/// Returns the number of a task that no other ever has.
pub(super) fn unique_pid(task: usize) -> u64 {
    task as u64 + 1000
}
