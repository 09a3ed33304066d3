//! A call that may have to wait for managers: a creation, or what is left of a release.

use crate::numbers::thinks_about_giving;
use crate::rules::{Content, Question, Rules, Says, Voucher, keys};
use abi::voucher::*;
use voucher::Error;

/// A recipe, its previous voucher by number.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub key: u32,
    pub command: u32,
    /// `Err`: the name denotes nothing.
    pub previous: Option<Result<usize, ()>>,
    pub content: Vec<u8>,
}

/// A recipe that needs managers, at one key.
#[derive(Clone, Debug)]
pub struct Item {
    key: u32,
    command: u32,
    previous: Option<usize>,
    content: Vec<u8>,
    all: bool,
}

/// What is still to be done; the last is next.
#[derive(Debug)]
enum Todo {
    Ask(Item),
    /// The item goes on with the next key, or ends.
    GoOn(Item),
    Drop(u32, Content),
    Offer(u32, Content, u64),
}

/// What a manager that was asked has answered.
#[derive(Debug)]
pub enum Answer {
    Value(Result<Option<Content>, Error>),
    Released(bool),
}

/// What a call waits for.
#[derive(Debug, PartialEq)]
pub enum Waits {
    ForValue { key: u32, command: u32, previous: Option<Content> },
    ForRelease { key: u32, content: Content, sync: u64 },
}

#[derive(Debug)]
pub struct Call {
    me: Option<usize>,
    /// `Err`: a malformed one.
    recipes: std::vec::IntoIter<Result<Recipe, Error>>,
    creates: bool,
    privilege: Option<u32>,
    forming: Says,
    todo: Vec<Todo>,
    error: Option<Error>,
    pub result: Option<Result<Option<usize>, Error>>,
    pub answer: Option<Answer>,
    /// Whether `SET_VALUE_HANDLE` has taken its reference.
    pub put: bool,
}

impl Call {
    pub fn creation(me: Option<usize>, privilege: Option<u32>, recipes: Vec<Result<Recipe, Error>>) -> Self {
        Call {
            me,
            recipes: recipes.into_iter(),
            creates: true,
            privilege,
            forming: Says::new(),
            todo: vec![],
            error: None,
            result: None,
            answer: None,
            put: false,
        }
    }

    /// What a dead voucher said is given up.
    pub fn release(says: Says) -> Self {
        let mut call = Call { creates: false, ..Call::creation(None, None, vec![]) };
        call.drop_all(says);
        call
    }

    pub fn is_of(&self, task: usize) -> bool {
        self.me == Some(task)
    }

    fn drop_all(&mut self, says: Says) {
        self.todo.extend(says.into_iter().rev().map(|(key, content)| Todo::Drop(key, content)));
    }

    pub fn cancel(&mut self) {
        self.error.get_or_insert(Error::Aborted);
    }

    /// What a manager has to think about.
    pub fn waits(&self, rules: &Rules) -> Waits {
        match self.todo.last().expect("it waits") {
            Todo::Ask(item) => {
                let previous = self.question(rules, item).previous;
                Waits::ForValue { key: item.key, command: item.command, previous }
            }
            Todo::Offer(key, content, sync) => Waits::ForRelease { key: *key, content: content.clone(), sync: *sync },
            other => panic!("{other:?} is nothing to wait for"),
        }
    }

    /// The manager makes up its mind; or it refuses, if it was asked for a value.
    pub fn decide(&mut self, rules: &mut Rules, refuses: bool) {
        let answer = match self.todo.last().expect("it waits") {
            Todo::Ask(_) if refuses => Answer::Value(Err(Error::InvalidTask)),
            Todo::Ask(item) => Answer::Value(rules.decide(item.key, &self.question(rules, item))),
            Todo::Offer(key, content, sync) => Answer::Released(rules.take(*key, content, *sync)),
            other => panic!("{other:?} is nothing to wait for"),
        };
        self.answer = Some(answer);
    }

    /// The answer arrives.
    pub fn arrive(&mut self, rules: &mut Rules) {
        match (self.todo.pop(), self.answer.take()) {
            (Some(Todo::Ask(item)), Some(Answer::Value(answer))) => self.store(rules, item, answer),
            (Some(Todo::Offer(key, content, sync)), Some(Answer::Released(accepted))) => {
                self.released(rules, key, content, sync, accepted);
            }
            other => panic!("{other:?} do not fit"),
        }
    }

    /// Goes on until all is done, or a manager has to think: `true` if all is done.
    pub fn run(&mut self, rules: &mut Rules) -> bool {
        loop {
            match self.todo.pop() {
                Some(Todo::Ask(item)) => {
                    let question = self.question(rules, &item);
                    match rules.ask(self.me, item.key, &question) {
                        Some(answer) => self.store(rules, item, answer),
                        None => {
                            self.todo.push(Todo::Ask(item));
                            return false;
                        }
                    }
                }
                Some(Todo::GoOn(item)) if item.all && self.error.is_none() => {
                    self.ask(rules, Item { key: item.key + 1, ..item });
                }
                Some(Todo::GoOn(item)) => self.end_item(rules, item),
                Some(Todo::Drop(key, content)) => {
                    if let Some(sync) = rules.drop_one(key, &content) {
                        self.todo.push(Todo::Offer(key, content, sync));
                    }
                }
                Some(Todo::Offer(key, content, sync)) => match rules.offer(key, &content, sync) {
                    Some(accepted) => self.released(rules, key, content, sync, accepted),
                    None => {
                        self.todo.push(Todo::Offer(key, content, sync));
                        return false;
                    }
                },
                None if !self.creates => return true,
                None if self.error.is_some() && !self.forming.is_empty() => {
                    let formed = std::mem::take(&mut self.forming);
                    self.drop_all(formed);
                }
                None if self.error.is_some() => {
                    self.result = Some(Err(self.error.expect("it has failed")));
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

    /// 1.8.
    fn finish(&mut self, rules: &mut Rules) -> Option<usize> {
        let says = std::mem::take(&mut self.forming);
        if says.is_empty() {
            return None;
        }
        let equal = rules.living().into_iter().find(|&voucher| rules.vouchers[voucher].says == says);
        if let Some(voucher) = equal {
            for (key, content) in &says {
                assert_eq!(rules.drop_one(*key, content), None, "the other voucher holds it");
            }
            rules.vouchers[voucher].owned += 1;
            return Some(voucher);
        }
        rules.vouchers.push(Voucher { says, owned: 1, ..Voucher::default() });
        Some(rules.vouchers.len() - 1)
    }

    /// 3.1.
    fn execute(&mut self, rules: &mut Rules, recipe: Recipe) -> Result<(), Error> {
        let Recipe { key, command, previous, content } = recipe;
        let previous = previous.transpose().map_err(|()| Error::InvalidCapability)?;
        if previous.is_some_and(|voucher| !rules.lives(voucher)) {
            return Err(Error::InvalidCapability);
        }
        let says = previous.map(|voucher| rules.vouchers[voucher].says.clone());
        match command {
            MACH_VOUCHER_ATTR_COPY | MACH_VOUCHER_ATTR_REMOVE if !content.is_empty() => Err(Error::InvalidArgument),
            MACH_VOUCHER_ATTR_COPY => says.map_or(Ok(()), |says| self.copy(rules, &keys(key)?, &says)),
            MACH_VOUCHER_ATTR_REMOVE => {
                self.remove(&keys(key)?, says);
                Ok(())
            }
            MACH_VOUCHER_ATTR_SET_VALUE_HANDLE => self.put(rules, key, &content),
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

    /// 3.3.
    fn copy(&mut self, rules: &mut Rules, keys: &[u32], says: &Says) -> Result<(), Error> {
        let mut replaced = Says::new();
        // What is equal already stays: nobody is asked about it.
        for key in keys {
            if self.forming.get(key) == says.get(key) {
                continue;
            }
            let old = self.forming.remove(key);
            if let Some(content) = says.get(key) {
                rules.copy(*key, content);
                self.forming.insert(*key, content.clone());
            }
            replaced.extend(old.map(|old| (*key, old)));
        }
        self.drop_all(replaced);
        Ok(())
    }

    /// 3.4.
    fn remove(&mut self, keys: &[u32], says: Option<Says>) {
        let equal = |key: &u32, content: &Content| says.as_ref().is_none_or(|says| says.get(key) == Some(content));
        let removed: Says =
            self.forming.extract_if(.., |key, content| keys.contains(key) && equal(key, content)).collect();
        self.drop_all(removed);
    }

    /// 3.5.
    fn put(&mut self, rules: &mut Rules, key: u32, content: &[u8]) -> Result<(), Error> {
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
            rules.give(key, content);
        }
        self.put = true;
        self.replace(rules, key, content);
        rules.answered_one(key);
        Ok(())
    }

    /// 3.7.
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
            Ok(()) => self.todo.push(Todo::Ask(Item { key, ..item })),
            Err(error) => {
                self.error = Some(error);
                self.end_item(rules, item);
            }
        }
    }

    fn question(&self, rules: &Rules, item: &Item) -> Question {
        let says = item.previous.map_or(&self.forming, |previous| &rules.vouchers[previous].says);
        let (command, content) = (item.command, item.content.clone());
        Question { command, previous: says.get(&item.key).cloned(), content }
    }

    fn store(&mut self, rules: &mut Rules, item: Item, answer: Result<Option<Content>, Error>) {
        let key = item.key;
        match answer {
            Ok(content) => {
                self.todo.push(Todo::GoOn(item));
                self.replace(rules, key, content);
            }
            Err(error) => {
                self.error.get_or_insert(error);
                self.end_item(rules, item);
            }
        }
        rules.answered_one(key);
    }

    /// The old value goes last.
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
        if !rules.lives(previous) {
            self.drop_all(rules.vouchers[previous].says.clone());
        }
    }

    fn released(&mut self, rules: &mut Rules, key: u32, content: Content, sync: u64, accepted: bool) {
        if let Some(sync) = rules.answered(key, &content, sync, accepted) {
            self.todo.push(Todo::Offer(key, content, sync));
        }
    }

    /// Whether the manager that it waits for has to hand out a value.
    pub fn waits_for_value(&self) -> bool {
        matches!(self.todo.last(), Some(Todo::Ask(item)) if thinks_about_giving(item.key))
    }
}
