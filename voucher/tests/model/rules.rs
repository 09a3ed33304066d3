//! The rules of vouchers as a simple model: vouchers are maps from key to content, and every lookup is a search through
//! all objects.

use crate::bank::{Bank, Parts};
use crate::numbers::{NUMBERS_MAX, delays_releases, delays_values, number_for};
use abi::voucher::*;
use std::collections::BTreeMap;
use voucher::Error;
use voucher::managers::bank::BankSettings;
use voucher::managers::pthpriority::canonical;

/// The content of a value, independent of its handle.
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

pub type Attributes = BTreeMap<u32, Content>;

#[derive(Debug, Default)]
pub struct Voucher {
    pub attributes: Attributes,
    /// References of the test.
    pub owned: u32,
    /// References of waiting recipes.
    pub held: u32,
    pub has_port: bool,
    pub port_holds_reference: bool,
}

impl Voucher {
    pub fn refs(&self) -> u32 {
        self.owned + self.held + u32::from(self.port_holds_reference)
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

/// The registration of a key.
#[derive(Debug)]
pub struct Control {
    pub owned: u64,
    /// Pending requests for a value.
    pub asked: u64,
}

/// The made references of a content.
#[derive(Debug)]
pub struct Made {
    pub key: u32,
    pub content: Content,
    pub count: u64,
}

pub struct Rules {
    /// All vouchers, live and dead.
    pub vouchers: Vec<Voucher>,
    pub elements: Vec<Element>,
    pub controls: BTreeMap<u32, Control>,
    pub made: Vec<Made>,
    pub bank: Bank,
}

/// Returns true for the keys whose manager, if any, has numbers as values.
pub fn holds_numbers(key: u32) -> bool {
    matches!(key, 1 | 2 | 5 | 6)
}

/// Returns the keys that a key number stands for.
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
        Rules { vouchers: vec![], elements: vec![], controls, made: vec![], bank: Bank::new(settings) }
    }

    pub fn is_alive(&self, voucher: usize) -> bool {
        self.vouchers.get(voucher).is_some_and(|voucher| voucher.refs() > 0)
    }

    pub fn live_vouchers(&self) -> Vec<usize> {
        (0..self.vouchers.len()).filter(|&voucher| self.is_alive(voucher)).collect()
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

    /// Lets a manager hand out a content.
    pub fn hand_out(&mut self, key: u32, content: &Content) {
        if content.persists() {
            return;
        }
        if let Some(made) = self.made.iter_mut().find(|made| made.key == key && made.content == *content) {
            made.count += 1;
            return;
        }
        if let Content::Account(parts) = content {
            self.bank.open(*parts);
        }
        self.made.push(Made { key, content: content.clone(), count: 1 });
    }

    /// Offers made references to a manager, and returns true if it releases the content.
    pub fn release(&mut self, key: u32, content: &Content, sync: u64) -> bool {
        let all = |made: &Made| made.key == key && made.content == *content && made.count == sync;
        let Some(at) = self.made.iter().position(all) else { return false };
        self.made.remove(at);
        if let Content::Account(parts) = content {
            self.bank.close(*parts);
        }
        true
    }

    /// Returns the answer of a manager.
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
            self.hand_out(key, content);
        }
        Ok(value)
    }

    /// Stores a content that was handed out in a slot (1.6).
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

    /// Copies the content of a slot to another one (1.6).
    pub fn copy(&mut self, key: u32, content: &Content) {
        if !content.persists() {
            self.element(key, content).expect("a voucher holds the value").refs += 1;
        }
    }

    /// Empties a slot (1.7, steps 1 to 5), and returns the number of made references to offer to the manager.
    pub fn drop_reference(&mut self, key: u32, content: &Content) -> Option<u64> {
        if content.persists() {
            return None;
        }
        let element = self.element(key, content).expect("a slot holds the value");
        element.refs -= 1;
        if element.refs > 0 || element.releasing {
            return None;
        }
        element.releasing = true;
        Some(element.made)
    }

    /// Processes the answer to an offer (1.7, step 6), and returns the number of made references to offer next.
    pub fn finish_release(&mut self, key: u32, content: &Content, sync: u64, accepted: bool) -> Option<u64> {
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

    /// Frees the keys whose control has no references.
    pub fn sweep(&mut self) {
        let elements = &self.elements;
        let used = |key: u32| elements.iter().any(|element| element.key == key);
        self.controls.retain(|&key, control| control.owned + control.asked > 0 || used(key));
    }

    /// Begins a request to a key's manager, unless its number of values is at the limit.
    pub fn promise(&mut self, key: u32) -> Result<(), Error> {
        let values = self.values_of(key);
        let control = self.controls.get_mut(&key).ok_or(Error::InvalidArgument)?;
        if holds_numbers(key) && values + control.asked >= NUMBERS_MAX as u64 {
            return Err(Error::ResourceShortage);
        }
        control.asked += 1;
        Ok(())
    }

    /// Ends a request to a key's manager.
    pub fn end_request(&mut self, key: u32) {
        self.controls.get_mut(&key).expect("a request holds a reference").asked -= 1;
        self.sweep();
    }

    /// Returns the answer of a manager, or `None` if it does not answer at once.
    pub fn ask(&mut self, me: Option<usize>, key: u32, question: &Question) -> Option<Result<Option<Content>, Error>> {
        if delays_values(key) { None } else { Some(self.answer(me, key, question)) }
    }

    /// Returns the answer of a manager that did not answer at once.
    pub fn prepare_answer(&mut self, key: u32, question: &Question) -> Result<Option<Content>, Error> {
        self.answer(None, key, question)
    }

    /// Returns true if a manager releases a content, or `None` if it does not answer at once.
    pub fn offer(&mut self, key: u32, content: &Content, sync: u64) -> Option<bool> {
        let is_delayed = matches!(content, Content::Number(number) if delays_releases(key, *number));
        if is_delayed { None } else { Some(self.release(key, content, sync)) }
    }

    /// Extracts a content (4.3): command and bytes.
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

    /// Executes a manager command (4.6).
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
        let value = self.vouchers[voucher].attributes.get(&key);
        match key {
            3 => self.bank.command(me, value, command, room),
            4 | 7 | 8 => Err(Error::Failure),
            _ if command != crate::numbers::GET_NUMBER => Err(Error::InvalidArgument),
            _ if room < 8 => Err(Error::NoSpace),
            _ => Ok(value.map_or(0, Content::number).to_le_bytes().to_vec()),
        }
    }

    /// Returns the keys of a voucher whose managers take part in sending or receiving (5.3).
    pub fn taking_part(&self, voucher: usize, sending: bool) -> Vec<u32> {
        let takes_part = |key: u32| match key {
            3 | 5 => true,
            1 | 2 => !sending,
            _ => false,
        };
        self.vouchers[voucher].attributes.keys().copied().filter(|&key| takes_part(key)).collect()
    }
}

/// A request to a manager for a value.
#[derive(Clone, Debug)]
pub struct Question {
    pub command: u32,
    pub previous: Option<Content>,
    pub content: Vec<u8>,
}
