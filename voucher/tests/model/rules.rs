//! The rules of vouchers, as naively as can be: vouchers are maps from key to content, and everything is found by
//! looking at all there is.

use crate::bank::{Bank, Parts};
use crate::numbers::{NUMBERS_MAX, number_for, thinks_about_giving, thinks_about_releasing};
use abi::voucher::*;
use std::collections::BTreeMap;
use voucher::Error;
use voucher::managers::bank::BankSettings;
use voucher::managers::pthpriority::canonical;

/// What a value says, whatever its handle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    Priority(u32),
    CurrentTask,
    Task(usize),
    Account(Parts),
    Number(u64),
}

impl Content {
    fn persists(&self) -> bool {
        matches!(self, Content::CurrentTask | Content::Priority(_))
    }

    fn number(&self) -> u64 {
        match self {
            Content::Number(number) => *number,
            _ => panic!("{self:?} is no number"),
        }
    }
}

pub type Says = BTreeMap<u32, Content>;

#[derive(Debug, Default)]
pub struct Voucher {
    pub says: Says,
    /// References of whoever made it.
    pub owned: u32,
    /// References of recipes that wait.
    pub held: u32,
    pub has_port: bool,
    pub port_holds_one: bool,
}

impl Voucher {
    pub fn refs(&self) -> u32 {
        self.owned + self.held + u32::from(self.port_holds_one)
    }
}

#[derive(Debug)]
pub struct Element {
    pub key: u32,
    pub content: Content,
    pub refs: u32,
    pub made: u64,
    pub releasing: bool,
}

/// A key's registration.
#[derive(Debug)]
pub struct Control {
    pub owned: u64,
    /// Managers that are asked for a value.
    pub asked: u64,
}

/// How often a manager has handed out a content.
#[derive(Debug)]
pub struct Given {
    pub key: u32,
    pub content: Content,
    pub count: u64,
}

pub struct Rules {
    /// All there ever were.
    pub vouchers: Vec<Voucher>,
    pub elements: Vec<Element>,
    pub controls: BTreeMap<u32, Control>,
    pub given: Vec<Given>,
    pub bank: Bank,
}

/// Keys whose manager answers with numbers if it has one.
pub fn holds_numbers(key: u32) -> bool {
    matches!(key, 1 | 2 | 5 | 6)
}

/// The keys that a key stands for.
pub fn keys(key: u32) -> Result<Vec<u32>, Error> {
    match key {
        MACH_VOUCHER_ATTR_KEY_ALL => Ok((1..=8).collect()),
        1..=8 => Ok(vec![key]),
        _ => Err(Error::InvalidArgument),
    }
}

impl Rules {
    pub fn new(settings: BankSettings) -> Self {
        let controls = [3, 4, 7, 8].map(|key| (key, Control { owned: 1, asked: 0 })).into();
        Rules { vouchers: vec![], elements: vec![], controls, given: vec![], bank: Bank::new(settings) }
    }

    pub fn lives(&self, voucher: usize) -> bool {
        self.vouchers.get(voucher).is_some_and(|voucher| voucher.refs() > 0)
    }

    pub fn living(&self) -> Vec<usize> {
        (0..self.vouchers.len()).filter(|&voucher| self.lives(voucher)).collect()
    }

    pub fn registered(&self, key: u32) -> bool {
        self.controls.contains_key(&key)
    }

    pub fn values_of(&self, key: u32) -> u64 {
        self.elements.iter().filter(|element| element.key == key).count() as u64
    }

    pub fn element(&mut self, key: u32, content: &Content) -> Option<&mut Element> {
        self.elements.iter_mut().find(|element| element.key == key && element.content == *content)
    }

    /// A manager hands a content out.
    pub fn give(&mut self, key: u32, content: &Content) {
        if content.persists() {
            return;
        }
        if let Some(given) = self.given.iter_mut().find(|given| given.key == key && given.content == *content) {
            given.count += 1;
            return;
        }
        if let Content::Account(parts) = content {
            self.bank.open(*parts);
        }
        self.given.push(Given { key, content: content.clone(), count: 1 });
    }

    /// A manager is offered what it has handed out: whether it takes it.
    pub fn take(&mut self, key: u32, content: &Content, sync: u64) -> bool {
        let all = |given: &Given| given.key == key && given.content == *content && given.count == sync;
        let Some(at) = self.given.iter().position(all) else { return false };
        self.given.remove(at);
        if let Content::Account(parts) = content {
            self.bank.close(*parts);
        }
        true
    }

    /// What a manager answers that does not have to think.
    fn answer(&mut self, me: Option<usize>, key: u32, question: &Question) -> Result<Option<Content>, Error> {
        let Question { command, previous, content } = question;
        let value = match (key, *command) {
            (3, _) => self.bank.value(me, *command, previous.as_ref(), content)?,
            (4, MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE) => {
                let word: [u8; 4] = content[..].try_into().map_err(|_| Error::InvalidArgument)?;
                Some(canonical(u32::from_le_bytes(word))).filter(|&form| form != 0).map(Content::Priority)
            }
            (7 | 8, MACH_VOUCHER_ATTR_USER_DATA_STORE) => {
                (!content.is_empty()).then(|| Content::Bytes(content.clone()))
            }
            (7 | 8, MACH_VOUCHER_ATTR_REDEEM) => previous.clone(),
            (4 | 7 | 8, _) => return Err(Error::InvalidArgument),
            _ => {
                let number = number_for(*command, previous.as_ref().map(Content::number), content)?;
                (number != 0).then_some(Content::Number(number))
            }
        };
        if let Some(content) = &value {
            self.give(key, content);
        }
        Ok(value)
    }

    /// A handed-out content goes into a slot (1.6).
    pub fn acquire(&mut self, key: u32, content: &Content) {
        let persists = content.persists();
        match self.element(key, content) {
            Some(_) if persists => {}
            Some(element) => {
                element.refs += 1;
                element.made += 1;
            }
            None => {
                let content = content.clone();
                self.elements.push(Element { key, content, refs: 1, made: 1, releasing: false });
            }
        }
    }

    /// A content that is in one slot goes into another (1.6).
    pub fn copy(&mut self, key: u32, content: &Content) {
        if !content.persists() {
            self.element(key, content).expect("a voucher holds it").refs += 1;
        }
    }

    /// A slot is emptied (1.7, steps 1 to 5): how many made references the manager is to be offered.
    pub fn drop_one(&mut self, key: u32, content: &Content) -> Option<u64> {
        if content.persists() {
            return None;
        }
        let element = self.element(key, content).expect("the slot held it");
        element.refs -= 1;
        if element.refs > 0 || element.releasing {
            return None;
        }
        element.releasing = true;
        Some(element.made)
    }

    /// The manager has answered (1.7, step 6): how many it is to be offered next.
    pub fn answered(&mut self, key: u32, content: &Content, sync: u64, accepted: bool) -> Option<u64> {
        let element = self.element(key, content).expect("the manager was asked");
        match (element.made != sync, accepted, element.refs) {
            (true, true, refs) => {
                element.made -= sync;
                element.releasing = refs == 0;
                (refs == 0).then_some(element.made)
            }
            (true, false, refs) => {
                element.releasing = refs == 0;
                (refs == 0).then_some(element.made)
            }
            (false, false, _) => {
                element.releasing = false;
                None
            }
            (false, true, _) => {
                self.elements.retain(|element| (element.key, &element.content) != (key, content));
                self.sweep();
                None
            }
        }
    }

    /// Keys whose last control reference has gone are free.
    pub fn sweep(&mut self) {
        let elements = &self.elements;
        let used = |key: u32| elements.iter().any(|element| element.key == key);
        self.controls.retain(|&key, control| control.owned + control.asked > 0 || used(key));
    }

    /// The ceiling, and one more question to a key's manager.
    pub fn promise(&mut self, key: u32) -> Result<(), Error> {
        let values = self.values_of(key);
        let control = self.controls.get_mut(&key).ok_or(Error::InvalidArgument)?;
        if holds_numbers(key) && values + control.asked >= NUMBERS_MAX as u64 {
            return Err(Error::ResourceShortage);
        }
        control.asked += 1;
        Ok(())
    }

    pub fn answered_one(&mut self, key: u32) {
        self.controls.get_mut(&key).expect("a question has a reference").asked -= 1;
        self.sweep();
    }

    /// What a manager answers now; `None` if it has to think.
    pub fn ask(&mut self, me: Option<usize>, key: u32, question: &Question) -> Option<Result<Option<Content>, Error>> {
        if thinks_about_giving(key) { None } else { Some(self.answer(me, key, question)) }
    }

    /// What a manager that had to think has come to.
    pub fn decide(&mut self, key: u32, question: &Question) -> Result<Option<Content>, Error> {
        self.answer(None, key, question)
    }

    /// Whether a manager gives a content up; `None` if it has to think.
    pub fn offer(&mut self, key: u32, content: &Content, sync: u64) -> Option<bool> {
        let thinks = matches!(content, Content::Number(number) if thinks_about_releasing(key, *number));
        if thinks { None } else { Some(self.take(key, content, sync)) }
    }

    /// What extraction reports (4.3): a command and bytes.
    pub fn extract(&self, me: Option<usize>, content: &Content, room: usize) -> Result<(u32, Vec<u8>), Error> {
        let (command, bytes) = match content {
            Content::Bytes(_) if room == 0 => (MACH_VOUCHER_ATTR_USER_DATA_STORE, vec![]),
            Content::Bytes(bytes) => (MACH_VOUCHER_ATTR_USER_DATA_STORE, bytes.clone()),
            Content::Priority(_) if room == 0 => return Err(Error::InvalidValue),
            Content::Priority(word) => (MACH_VOUCHER_ATTR_PTHPRIORITY_NULL, word.to_le_bytes().to_vec()),
            Content::Number(7) => return Err(Error::Failure),
            Content::Number(number) => (crate::numbers::STORE, number.to_le_bytes().to_vec()),
            _ => return self.bank.describe(me, content, room),
        };
        if bytes.len() > room { Err(Error::NoSpace) } else { Ok((command, bytes)) }
    }

    /// 4.6.
    pub fn command(
        &self,
        me: Option<usize>,
        voucher: usize,
        key: u32,
        command: u32,
        room: usize,
    ) -> Result<Vec<u8>, Error> {
        if !self.registered(key) {
            return Err(Error::InvalidArgument);
        }
        let value = self.vouchers[voucher].says.get(&key);
        match key {
            3 => self.bank.command(me, value, command, room),
            4 | 7 | 8 => Err(Error::Failure),
            _ if command != crate::numbers::TELL => Err(Error::InvalidArgument),
            _ if room < 8 => Err(Error::NoSpace),
            _ => Ok(value.map_or(0, Content::number).to_le_bytes().to_vec()),
        }
    }

    /// The keys of a voucher whose managers take part in sending, or in receiving (5.3).
    pub fn taking_part(&self, voucher: usize, sending: bool) -> Vec<u32> {
        let takes_part = |key: u32| match key {
            3 | 5 => true,
            1 | 2 => !sending,
            _ => false,
        };
        self.vouchers[voucher].says.keys().copied().filter(|&key| takes_part(key)).collect()
    }
}

/// What a manager is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub command: u32,
    pub previous: Option<Content>,
    pub content: Vec<u8>,
}
