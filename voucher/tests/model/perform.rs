//! Carries out one operation on the crate and by the rules.

use crate::call::{Call, Recipe as Expected};
use crate::operation::{Operation, Previous, RecipeOf, Who};
use crate::rules::{Content, Rules};
use crate::world::{Array, Source, World};
use abi::voucher::*;
use std::num::NonZeroU64;
use voucher::managers::bank::Usage;
use voucher::*;
use zerocopy::IntoBytes;

impl World {
    pub fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Create { who, recipes, cut } => self.create(who, &recipes, cut),
            Operation::SetHandle { key, previous, recipe_key, number, length } => {
                self.set_handle(key, previous, recipe_key, &number.to_le_bytes()[..length]);
            }
            Operation::PrepareAnswer(at)
            | Operation::PrepareRefusal(at)
            | Operation::DeliverAnswer(at)
            | Operation::Cancel(at) => {
                if !self.waiting.is_empty() {
                    self.answer(&operation, usize::from(at) % self.waiting.len());
                }
            }
            Operation::BeginTask(identity) => {
                self.begin_task(identity);
                self.rules.bank.begin_task(identity);
            }
            Operation::EndTask(number) => {
                if let Some(task) = self.pick_task(number) {
                    self.end_task(task);
                }
            }
            Operation::Adopt { task, voucher } => self.adopt(task, voucher),
            Operation::Persona { id, part } => self.persona(id, part),
            Operation::Charge { bill, cpu, energy } => self.charge(bill, cpu, energy),
            Operation::Default(who) => self.default_voucher(who),
            Operation::Register(key) => self.register(key),
            Operation::RetainControl(key) | Operation::ReleaseControl(key) => {
                if crate::rules::holds_numbers(key) {
                    self.count_control(key, matches!(operation, Operation::RetainControl(_)));
                }
            }
            Operation::Retain(number)
            | Operation::Release(number)
            | Operation::SendRight(number)
            | Operation::NoSenders(number)
            | Operation::Send { voucher: number, .. }
            | Operation::Receive { voucher: number, .. }
            | Operation::Content { voucher: number, .. }
            | Operation::Recipe { voucher: number, .. }
            | Operation::AllRecipes { voucher: number, .. }
            | Operation::Command { voucher: number, .. }
            | Operation::ControlValues { voucher: number, .. } => {
                if let Some(voucher) = self.pick(number) {
                    self.use_voucher(operation, voucher);
                }
            }
        }
    }

    fn use_voucher(&mut self, operation: Operation, voucher: usize) {
        match operation {
            Operation::Retain(_) => {
                self.real.registry.retain(self.id(voucher)).expect("there are few references");
                self.rules.vouchers[voucher].owned += 1;
            }
            Operation::Release(_) => self.release(voucher),
            Operation::SendRight(_) => self.send_right(voucher),
            Operation::NoSenders(_) => self.no_senders(voucher),
            Operation::Send { who, .. } => self.message(who, voucher, true),
            Operation::Receive { who, .. } => self.message(who, voucher, false),
            Operation::Content { who, key, room, .. } => self.extract_content(who, voucher, key, room),
            Operation::Recipe { who, key, room, .. } => self.extract_recipe(who, voucher, key, room),
            Operation::AllRecipes { who, room, .. } => self.extract_all(who, voucher, room),
            Operation::Command { who, key, command, room, .. } => self.command(who, voucher, key, command, room),
            Operation::ControlValues { key, room, .. } => self.control_values(key, voucher, room),
            other => panic!("{other:?} uses no voucher"),
        }
    }

    fn answer(&mut self, operation: &Operation, at: usize) {
        match operation {
            Operation::PrepareAnswer(_) => self.prepare_answer(at, false),
            Operation::PrepareRefusal(_) if self.waiting[at].call.waits_for_value() => self.prepare_answer(at, true),
            Operation::PrepareRefusal(_) => {}
            Operation::DeliverAnswer(_) => self.deliver_answer(at),
            _ => self.cancel(at),
        }
    }

    /// Returns the recipes as bytes with the end cut off, and in the form of the rules.
    fn encode(&self, recipes: &[RecipeOf], cut: u8) -> (Vec<u8>, Vec<Result<Expected, Error>>) {
        let (mut bytes, mut expected, mut ends) = (vec![], vec![], vec![]);
        let vouchers = self.ids.borrow().len();
        for RecipeOf { key, command, previous, content } in recipes {
            let previous = match previous {
                Previous::Voucher(number) if vouchers > 0 => Some(Ok(usize::from(*number) % vouchers)),
                Previous::Unknown => Some(Err(())),
                _ => None,
            };
            let name = previous.map_or(0, |voucher| voucher.map_or(u32::MAX, |voucher| voucher as u32 + 1));
            let (key, command, content) = (*key, *command, content.clone());
            let content_size = content.len() as u32;
            bytes.extend_from_slice(RecipeHeader { key, command, previous_voucher: name, content_size }.as_bytes());
            bytes.extend_from_slice(&content);
            expected.push(Ok(Expected { key, command, previous, content }));
            ends.push(bytes.len());
        }
        bytes.truncate(bytes.len().saturating_sub(cut.into()));
        let whole = ends.iter().filter(|&&end| end <= bytes.len()).count();
        expected.truncate(whole);
        if bytes.len() > whole.checked_sub(1).map_or(0, |last| ends[last]) {
            expected.push(Err(Error::InvalidArgument));
        }
        (bytes, expected)
    }

    fn array(&self, bytes: &[u8]) -> Source {
        let raw = |raw: RawRecipe<'_>| (raw.key, raw.command, raw.previous, raw.content.to_vec());
        let recipes: Vec<_> = RecipeArray::new(bytes).map(|recipe| recipe.map(raw)).collect();
        Source::Array(Array { recipes: recipes.into_iter(), content: vec![], vouchers: self.ids.clone() })
    }

    fn create(&mut self, who: Who, recipes: &[RecipeOf], cut: u8) {
        let (bytes, expected) = self.encode(recipes, cut);
        let (caller, me) = self.caller(who);
        let mut source = self.array(&bytes);
        let outcome = create_voucher(&mut self.real, &caller, &mut source);
        self.began(Call::creation(me, None, expected), outcome, caller, source, false);
    }

    fn set_handle(&mut self, key: u32, previous: u8, recipe_key: u32, content: &[u8]) {
        let copy = RecipeOf {
            key: MACH_VOUCHER_ATTR_KEY_ALL,
            command: MACH_VOUCHER_ATTR_COPY,
            previous: Previous::Voucher(previous),
            content: vec![],
        };
        let command = MACH_VOUCHER_ATTR_SET_VALUE_HANDLE;
        let set = RecipeOf { key: recipe_key, command, previous: Previous::None, content: content.to_vec() };
        // Last, so that the reference that the recipe takes over does not have to wait.
        let (bytes, expected) = self.encode(&[copy, set], 0);
        let caller = CallingTask::KERNEL;
        let control = Key::new(key).filter(|_| self.rules.registered(key));
        let number = content.try_into().map_or(0, u64::from_le_bytes);
        if control.is_some() {
            self.numbers[&key].borrow_mut().hand_out(number);
        }
        let mut source = self.array(&bytes);
        let outcome = create_voucher_with_control(&mut self.real, &caller, control, &mut source);
        let Some(_) = control else {
            assert_eq!(outcome.expect_done(), Err(Error::InvalidCapability));
            return;
        };
        let taken = self.began(Call::creation(None, Some(key), expected), outcome, caller, source, false);
        if !taken && number != 0 {
            let mut made = self.numbers[&key].borrow_mut();
            let count = made.counts.get_mut(&number).expect("the number was handed out");
            *count -= 1;
            made.counts.retain(|_, count| *count > 0);
        }
    }

    fn release(&mut self, voucher: usize) {
        if self.rules.vouchers[voucher].owned == 0 {
            return;
        }
        self.rules.vouchers[voucher].owned -= 1;
        let id = self.id(voucher);
        let left = release_voucher(&mut self.real, id);
        self.reference_dropped(voucher, left);
    }

    /// Releases the values of a voucher by the rules if its last reference was dropped.
    fn reference_dropped(&mut self, voucher: usize, left: Option<Release>) {
        if self.rules.is_alive(voucher) {
            assert!(left.is_none(), "the voucher is_alive");
        } else {
            self.destroy(self.rules.vouchers[voucher].attributes.clone(), left);
        }
    }

    fn send_right(&mut self, voucher: usize) {
        let id = self.id(voucher);
        let expected = &mut self.rules.vouchers[voucher];
        if expected.owned == 0 {
            return;
        }
        if !std::mem::replace(&mut expected.has_port, true) {
            self.ports += 1;
            self.real.registry.bind_port(id, NonZeroU64::new(self.ports).expect("a port number is not 0"));
        }
        expected.owned -= 1;
        expected.port_holds_reference = true;
        self.real.registry.reference_to_send_right(id);
    }

    fn no_senders(&mut self, voucher: usize) {
        if !std::mem::replace(&mut self.rules.vouchers[voucher].port_holds_reference, false) {
            return;
        }
        let port = self.real.registry.get(self.id(voucher)).and_then(Voucher::port);
        let dead = self.real.registry.no_senders(self.id(voucher));
        assert_eq!(dead.is_none(), self.rules.is_alive(voucher));
        let left = dead.and_then(|dead| {
            assert_eq!((dead.id, dead.port), (self.id(voucher), port));
            destroy_voucher(&mut self.real, dead)
        });
        self.reference_dropped(voucher, left);
    }

    fn message(&mut self, who: Who, voucher: usize, sending: bool) {
        let (caller, me) = self.caller(who);
        let id = self.id(voucher);
        let processed = if sending {
            send_preprocessing(&mut self.real, &caller, id)
        } else {
            receive_postprocessing(&mut self.real, &caller, id)
        };
        let keys = self.rules.taking_part(voucher, sending);
        if caller.is_kernel() || keys.is_empty() {
            assert!(matches!(processed, ProcessedVoucher::Unchanged), "{processed:?}");
            return;
        }
        let command = if sending { MACH_VOUCHER_ATTR_SEND_PREPROCESS } else { MACH_VOUCHER_ATTR_AUTO_REDEEM };
        let recipe = |key, command| Ok(Expected { key, command, previous: Some(Ok(voucher)), content: vec![] });
        let copy = recipe(MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY);
        let recipes = std::iter::once(copy).chain(keys.into_iter().map(|key| recipe(key, command))).collect();
        let (outcome, source) = match processed {
            ProcessedVoucher::Replaced(result) => (CreationOutcome::Done(Ok(result)), self.array(&[])),
            ProcessedVoucher::Waiting(creation, recipes) => {
                (CreationOutcome::Waiting(creation), Source::Processing(recipes))
            }
            ProcessedVoucher::Unchanged => panic!("managers take part"),
        };
        self.began(Call::creation(me, None, recipes), outcome, caller, source, true);
    }

    fn default_voucher(&mut self, who: Who) {
        let (caller, me) = self.caller(who);
        let outcome = default_voucher(&mut self.real, &caller);
        let (key, command) = (MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE);
        let recipe = me.map(|_| Ok(Expected { key, command, previous: None, content: vec![] }));
        let source = self.array(&[]);
        self.began(Call::creation(me, None, recipe.into_iter().collect()), outcome, caller, source, false);
    }

    fn end_task(&mut self, task: usize) {
        for at in (0..self.waiting.len()).filter(|&at| self.waiting[at].call.is_of(task)).collect::<Vec<_>>() {
            self.cancel(at);
        }
        self.real.bank.end_task(self.tasks[task]);
        self.rules.bank.tasks[task].is_alive = false;
    }

    fn persona(&mut self, id: u32, part: u8) {
        let personas = self.real.bank.personas_mut();
        let added = match part {
            1 => personas.set_system(id),
            2 => personas.set_system_proxy(id),
            _ => personas.add(id),
        };
        added.expect("there is memory");
        self.rules.bank.add_persona(id, part);
    }

    /// Adopts a voucher, more often one with an account.
    fn adopt(&mut self, task: u8, number: u8) {
        let mut live_vouchers = self.rules.live_vouchers();
        let has_account =
            |voucher: &usize| matches!(self.rules.vouchers[*voucher].attributes.get(&3), Some(Content::Account(_)));
        if live_vouchers.iter().any(has_account) && !number.is_multiple_of(4) {
            live_vouchers.retain(has_account);
        }
        let voucher = live_vouchers.get(usize::from(number) % live_vouchers.len().max(1)).copied();
        let Some((task, voucher)) = self.pick_task(task).zip(voucher) else { return };
        let handle = self.real.registry.handle(self.id(voucher), Key::BANK);
        let adoption = self.real.bank.adopt(self.tasks[task], handle);
        let (bill, persona) = self.rules.bank.adopt(task, self.rules.vouchers[voucher].attributes.get(&3));
        assert_eq!((adoption.bill.is_some(), adoption.persona), (bill.is_some(), persona));
        self.bills.extend(adoption.bill.zip(bill));
    }

    fn charge(&mut self, bill: u8, cpu: u64, energy: u64) {
        // The latest bills, because accounts soon close.
        if let Some(&(bill, account)) = self.bills.iter().rev().nth(usize::from(bill) % self.bills.len().clamp(1, 4)) {
            self.real.bank.charge(bill, Usage { cpu, energy });
            self.rules.bank.charge(account, (cpu, energy));
        }
    }

    fn count_control(&mut self, key: u32, up: bool) {
        let number = Key::new(key).expect("the number is a key");
        let Some(control) = self.rules.controls.get_mut(&key) else {
            assert!(self.real.registry.retain_control(number).is_none());
            return;
        };
        if up {
            control.owned += 1;
            self.real.registry.retain_control(number).expect("the key is registered");
        } else if control.owned > 0 {
            control.owned -= 1;
            release_control(&mut self.real, number);
            self.rules.sweep();
        }
    }

    fn extract_content(&mut self, who: Who, voucher: usize, key: u32, room: usize) {
        let (caller, me) = self.caller(who);
        let mut buffer = vec![0xAA; room];
        let mut out = OutBuffer::new(&mut buffer);
        let id = Some(self.id(voucher));
        let result = extract_attr_content(&mut self.real, &caller, id, key, &mut out);
        let size = out.size();
        let expected = match self.rules.vouchers[voucher].attributes.get(&key) {
            Some(content) => self.rules.extract(me, content, room).map(|(_, bytes)| bytes),
            None => Ok(vec![]),
        };
        assert_eq!(result.map(|()| buffer[..size].to_vec()), expected);
    }

    fn extract_recipe(&mut self, who: Who, voucher: usize, key: u32, room: usize) {
        let (caller, me) = self.caller(who);
        let mut buffer = vec![0xAA; room];
        let id = Some(self.id(voucher));
        let result = extract_attr_recipe(&mut self.real, &caller, id, key, &mut buffer);
        let expected = match self.rules.vouchers[voucher].attributes.get(&key) {
            Some(content) => expected_recipe(&self.rules, me, key, content, room),
            None => Ok(vec![]),
        };
        assert_eq!(result.map(|size| buffer[..size].to_vec()), expected);
    }

    fn extract_all(&mut self, who: Who, voucher: usize, room: usize) {
        let (caller, me) = self.caller(who);
        let mut buffer = vec![0xAA; room];
        let id = Some(self.id(voucher));
        let result = extract_all_attr_recipes(&mut self.real, &caller, id, &mut buffer);
        let mut expected = Ok(vec![]);
        for (key, content) in &self.rules.vouchers[voucher].attributes {
            expected = expected.and_then(|bytes: Vec<u8>| {
                let recipe = expected_recipe(&self.rules, me, *key, content, room - bytes.len())?;
                Ok([bytes, recipe].concat())
            });
        }
        assert_eq!(result.map(|size| buffer[..size].to_vec()), expected);
    }

    fn command(&mut self, who: Who, voucher: usize, key: u32, command: u32, room: usize) {
        let (caller, me) = self.caller(who);
        let mut buffer = vec![0xAA; room];
        let mut out = OutBuffer::new(&mut buffer);
        let id = Some(self.id(voucher));
        let result = attr_command(&mut self.real, &caller, id, key, command, b"", &mut out);
        let size = out.size();
        let expected = self.rules.command(me, voucher, key, command, room);
        assert_eq!(result.map(|()| buffer[..size].to_vec()), expected);
    }

    fn control_values(&mut self, key: u32, voucher: usize, room: usize) {
        let result = self.real.registry.control_get_values(Key::new(key), Some(self.id(voucher)), room);
        let attributes = self.rules.vouchers[voucher].attributes.get(&key).filter(|_| room > 0).cloned();
        let expected = if self.rules.registered(key) { Ok(attributes) } else { Err(Error::InvalidCapability) };
        assert_eq!(result.map(|handle| handle.map(|handle| self.content(key, handle))), expected);
    }
}

/// Extracts one attribute as a recipe by the rules (4.3).
fn expected_recipe(
    rules: &Rules,
    me: Option<usize>,
    key: u32,
    content: &Content,
    room: usize,
) -> Result<Vec<u8>, Error> {
    let room = room.checked_sub(RECIPE_HEADER_SIZE).ok_or(Error::NoSpace)?;
    let (command, bytes) = rules.extract(me, content, room)?;
    let header = RecipeHeader { key, command, previous_voucher: 0, content_size: bytes.len() as u32 };
    Ok([header.as_bytes(), &bytes].concat())
}
