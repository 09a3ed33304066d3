//! A call that may wait for managers: a creation, or the rest of a release.

use crate::numbers::delays_values;
use crate::rules::{Attributes, Content, Question, Rules, Voucher, keys};
use abi::voucher::*;
use voucher::Error;

/// A recipe, with its previous voucher by number.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub key: u32,
    pub command: u32,
    /// `Err`: the name denotes nothing.
    pub previous: Option<Result<usize, ()>>,
    pub content: Vec<u8>,
}

/// A recipe that needs managers, at its present key.
#[derive(Clone, Debug)]
pub struct Item {
    key: u32,
    command: u32,
    previous: Option<usize>,
    content: Vec<u8>,
    all: bool,
}

/// A piece of work that is left; the last one is next.
#[derive(Debug)]
enum Work {
    Ask(Item),
    /// The item continues with the next key, or ends.
    Continue(Item),
    Drop(u32, Content),
    Offer(u32, Content, u64),
}

/// The answer of a manager.
#[derive(Debug)]
pub enum Answer {
    Value(Result<Option<Content>, Error>),
    Released(bool),
}

/// The request for whose answer a call waits.
#[derive(Debug, PartialEq)]
pub enum Awaited {
    Value { key: u32, command: u32, previous: Option<Content> },
    Release { key: u32, content: Content, sync: u64 },
}

#[derive(Debug)]
pub struct Call {
    me: Option<usize>,
    /// `Err` stands for a malformed recipe.
    recipes: std::vec::IntoIter<Result<Recipe, Error>>,
    creates: bool,
    privilege: Option<u32>,
    forming: Attributes,
    work: Vec<Work>,
    error: Option<Error>,
    pub result: Option<Result<Option<usize>, Error>>,
    pub answer: Option<Answer>,
    /// True if `SET_VALUE_HANDLE` has taken over its reference.
    pub handle_taken: bool,
}

impl Call {
    pub fn creation(me: Option<usize>, privilege: Option<u32>, recipes: Vec<Result<Recipe, Error>>) -> Self {
        Call {
            me,
            recipes: recipes.into_iter(),
            creates: true,
            privilege,
            forming: Attributes::new(),
            work: vec![],
            error: None,
            result: None,
            answer: None,
            handle_taken: false,
        }
    }

    /// Releases the values of a dead voucher.
    pub fn release(attributes: Attributes) -> Self {
        let mut call = Call { creates: false, ..Call::creation(None, None, vec![]) };
        call.drop_all(attributes);
        call
    }

    pub fn is_of(&self, task: usize) -> bool {
        self.me == Some(task)
    }

    fn drop_all(&mut self, attributes: Attributes) {
        self.work.extend(attributes.into_iter().rev().map(|(key, content)| Work::Drop(key, content)));
    }

    pub fn cancel(&mut self) {
        self.error.get_or_insert(Error::Aborted);
    }

    /// Returns the request that a manager has not answered.
    pub fn waits(&self, rules: &Rules) -> Awaited {
        match self.work.last().expect("the call waits") {
            Work::Ask(item) => {
                let previous = self.question(rules, item).previous;
                Awaited::Value { key: item.key, command: item.command, previous }
            }
            Work::Offer(key, content, sync) => Awaited::Release { key: *key, content: content.clone(), sync: *sync },
            other => panic!("{other:?} is not a request"),
        }
    }

    /// Lets the manager prepare its answer. With `refuses` the manager refuses to hand out a value.
    pub fn prepare_answer(&mut self, rules: &mut Rules, refuses: bool) {
        let answer = match self.work.last().expect("the call waits") {
            Work::Ask(_) if refuses => Answer::Value(Err(Error::InvalidTask)),
            Work::Ask(item) => Answer::Value(rules.prepare_answer(item.key, &self.question(rules, item))),
            Work::Offer(key, content, sync) => Answer::Released(rules.release(*key, content, *sync)),
            other => panic!("{other:?} is not a request"),
        };
        self.answer = Some(answer);
    }

    /// Delivers the prepared answer.
    pub fn deliver_answer(&mut self, rules: &mut Rules) {
        match (self.work.pop(), self.answer.take()) {
            (Some(Work::Ask(item)), Some(Answer::Value(answer))) => self.store(rules, item, answer),
            (Some(Work::Offer(key, content, sync)), Some(Answer::Released(accepted))) => {
                self.released(rules, key, content, sync, accepted);
            }
            other => panic!("the answer is of the wrong kind: {other:?}"),
        }
    }

    /// Continues until the call is finished or a manager does not answer at once. Returns true if the call is finished.
    pub fn run(&mut self, rules: &mut Rules) -> bool {
        loop {
            match self.work.pop() {
                Some(Work::Ask(item)) => {
                    let question = self.question(rules, &item);
                    match rules.ask(self.me, item.key, &question) {
                        Some(answer) => self.store(rules, item, answer),
                        None => {
                            self.work.push(Work::Ask(item));
                            return false;
                        }
                    }
                }
                Some(Work::Continue(item)) if item.all && self.error.is_none() => {
                    self.ask(rules, Item { key: item.key + 1, ..item });
                }
                Some(Work::Continue(item)) => self.end_item(rules, item),
                Some(Work::Drop(key, content)) => {
                    if let Some(sync) = rules.drop_reference(key, &content) {
                        self.work.push(Work::Offer(key, content, sync));
                    }
                }
                Some(Work::Offer(key, content, sync)) => match rules.offer(key, &content, sync) {
                    Some(accepted) => self.released(rules, key, content, sync, accepted),
                    None => {
                        self.work.push(Work::Offer(key, content, sync));
                        return false;
                    }
                },
                None if !self.creates => return true,
                None if self.error.is_some() && !self.forming.is_empty() => {
                    let formed = std::mem::take(&mut self.forming);
                    self.drop_all(formed);
                }
                None if self.error.is_some() => {
                    self.result = Some(Err(self.error.expect("the call has failed")));
                    return true;
                }
                None => match self.recipes.next() {
                    Some(recipe) => {
                        let done = recipe.and_then(|recipe| self.execute(rules, recipe));
                        self.error = self.error.or(done.err());
                    }
                    None => {
                        self.result = Some(Ok(self.finish(rules)));
                        return true;
                    }
                },
            }
        }
    }

    /// Finds or publishes the voucher (1.8).
    fn finish(&mut self, rules: &mut Rules) -> Option<usize> {
        let attributes = std::mem::take(&mut self.forming);
        if attributes.is_empty() {
            return None;
        }
        let equal = rules.live_vouchers().into_iter().find(|&voucher| rules.vouchers[voucher].attributes == attributes);
        if let Some(voucher) = equal {
            for (key, content) in &attributes {
                assert_eq!(rules.drop_reference(*key, content), None, "the other voucher holds the value");
            }
            rules.vouchers[voucher].owned += 1;
            return Some(voucher);
        }
        rules.vouchers.push(Voucher { attributes, owned: 1, ..Voucher::default() });
        Some(rules.vouchers.len() - 1)
    }

    /// Executes a recipe (3.1).
    fn execute(&mut self, rules: &mut Rules, recipe: Recipe) -> Result<(), Error> {
        let Recipe { key, command, previous, content } = recipe;
        let previous = previous.transpose().map_err(|()| Error::InvalidCapability)?;
        if previous.is_some_and(|voucher| !rules.is_alive(voucher)) {
            return Err(Error::InvalidCapability);
        }
        let attributes = previous.map(|voucher| rules.vouchers[voucher].attributes.clone());
        match command {
            MACH_VOUCHER_ATTR_COPY | MACH_VOUCHER_ATTR_REMOVE if !content.is_empty() => Err(Error::InvalidArgument),
            MACH_VOUCHER_ATTR_COPY => {
                attributes.map_or(Ok(()), |attributes| self.copy(rules, &keys(key)?, &attributes))
            }
            MACH_VOUCHER_ATTR_REMOVE => {
                self.remove(&keys(key)?, attributes);
                Ok(())
            }
            MACH_VOUCHER_ATTR_SET_VALUE_HANDLE => self.set_handle(rules, key, &content),
            MACH_VOUCHER_ATTR_REDEEM if key == MACH_VOUCHER_ATTR_KEY_ALL => {
                self.begin(rules, Item { key: 1, command, previous, content, all: true });
                Ok(())
            }
            _ if rules.registered(key) => {
                self.begin(rules, Item { key, command, previous, content, all: false });
                Ok(())
            }
            _ => Err(Error::InvalidArgument),
        }
    }

    /// Executes `COPY` (3.3).
    fn copy(&mut self, rules: &mut Rules, keys: &[u32], attributes: &Attributes) -> Result<(), Error> {
        let mut replaced = Attributes::new();
        // An equal value stays, and its manager is not asked.
        for key in keys {
            if self.forming.get(key) == attributes.get(key) {
                continue;
            }
            let old = self.forming.remove(key);
            if let Some(content) = attributes.get(key) {
                rules.copy(*key, content);
                self.forming.insert(*key, content.clone());
            }
            replaced.extend(old.map(|old| (*key, old)));
        }
        self.drop_all(replaced);
        Ok(())
    }

    /// Executes `REMOVE` (3.4).
    fn remove(&mut self, keys: &[u32], attributes: Option<Attributes>) {
        let equal = |key: &u32, content: &Content| {
            attributes.as_ref().is_none_or(|attributes| attributes.get(key) == Some(content))
        };
        let removed: Attributes =
            self.forming.extract_if(.., |key, content| keys.contains(key) && equal(key, content)).collect();
        self.drop_all(removed);
    }

    /// Executes `SET_VALUE_HANDLE` (3.5).
    fn set_handle(&mut self, rules: &mut Rules, key: u32, content: &[u8]) -> Result<(), Error> {
        if self.privilege != Some(key) {
            return Err(Error::InvalidCapability);
        }
        let number = u64::from_le_bytes(content.try_into().map_err(|_| Error::InvalidArgument)?);
        if !rules.registered(key) {
            return Err(Error::InvalidCapability);
        }
        rules.promise(key)?;
        let content = (number != 0).then_some(Content::Number(number));
        if let Some(content) = &content {
            rules.hand_out(key, content);
        }
        self.handle_taken = true;
        self.replace(rules, key, content);
        rules.end_request(key);
        Ok(())
    }

    /// Begins a recipe that needs managers (3.7).
    fn begin(&mut self, rules: &mut Rules, item: Item) {
        if let Some(previous) = item.previous {
            rules.vouchers[previous].held += 1;
        }
        self.ask(rules, item);
    }

    fn ask(&mut self, rules: &mut Rules, item: Item) {
        let Some(key) = (item.key..=8).find(|&key| rules.registered(key)) else {
            return self.end_item(rules, item);
        };
        match rules.promise(key) {
            Ok(()) => self.work.push(Work::Ask(Item { key, ..item })),
            Err(error) => {
                self.error = Some(error);
                self.end_item(rules, item);
            }
        }
    }

    fn question(&self, rules: &Rules, item: &Item) -> Question {
        let attributes = item.previous.map_or(&self.forming, |previous| &rules.vouchers[previous].attributes);
        let (command, content) = (item.command, item.content.clone());
        Question { command, previous: attributes.get(&item.key).cloned(), content }
    }

    fn store(&mut self, rules: &mut Rules, item: Item, answer: Result<Option<Content>, Error>) {
        let key = item.key;
        match answer {
            Ok(content) => {
                self.work.push(Work::Continue(item));
                self.replace(rules, key, content);
            }
            Err(error) => {
                self.error.get_or_insert(error);
                self.end_item(rules, item);
            }
        }
        rules.end_request(key);
    }

    /// Replaces a value. The old value is released last.
    fn replace(&mut self, rules: &mut Rules, key: u32, content: Option<Content>) {
        let old = self.forming.remove(&key);
        if let Some(content) = content {
            rules.acquire(key, &content);
            self.forming.insert(key, content);
        }
        self.drop_all(old.into_iter().map(|old| (key, old)).collect());
    }

    fn end_item(&mut self, rules: &mut Rules, item: Item) {
        let Some(previous) = item.previous else { return };
        rules.vouchers[previous].held -= 1;
        if !rules.is_alive(previous) {
            self.drop_all(rules.vouchers[previous].attributes.clone());
        }
    }

    fn released(&mut self, rules: &mut Rules, key: u32, content: Content, sync: u64, accepted: bool) {
        if let Some(sync) = rules.finish_release(key, &content, sync, accepted) {
            self.work.push(Work::Offer(key, content, sync));
        }
    }

    /// Returns true if the call waits for a value.
    pub fn waits_for_value(&self) -> bool {
        matches!(self.work.last(), Some(Work::Ask(item)) if delays_values(item.key))
    }
}
