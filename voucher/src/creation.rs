//! [`Creation`]: building a voucher, recipe by recipe, with the managers' answers in between (vouchers 2.4, 3).

use crate::manager::{GetValue, Value};
use crate::recipe::Recipe;
use crate::release::{DeadVoucher, Release, ReleaseValue};
use crate::value::DEFAULT;
use crate::vector::{Vector, slots_in};
use crate::voucher::{PortBinding, VoucherId};
use crate::{Error, Key, Registry};
use abi::voucher::*;

/// A voucher that is being built, or comes to nothing.
///
/// [`step`](Creation::step) says what is to be done; the driver does it and says what came of it, by a call that returns
/// the next step:
///
/// | step | the driver |
/// |---|---|
/// | [`NextRecipe`](Step::NextRecipe) | calls [`execute`](Creation::execute) with the next recipe, [`fail`](Creation::fail) if it is malformed, [`finish`](Creation::finish) after the last |
/// | [`GetValue`](Step::GetValue) | asks the key's manager, with the content of the current recipe; [`value`](Creation::value) |
/// | [`ReleaseValue`](Step::ReleaseValue) | asks the key's manager; [`released`](Creation::released) |
/// | [`Died`](Step::Died) | destroys the voucher's port, if it had one |
/// | [`Done`](Step::Done) | has the result |
///
/// Until a question is answered, [`step`](Creation::step) returns it again, so a creation can be put aside while a manager
/// takes its time, taken up again by somebody else, or [cancelled](Creation::cancel). The registry is not borrowed in
/// between, and other calls may run. A creation that is not carried to its end leaks its references.
#[derive(Debug)]
#[must_use]
pub struct Creation {
    /// What the voucher is to say so far: the "forming voucher", which nobody else sees.
    forming: Vector,
    /// References that are given up before anything else is done.
    dropping: Release,
    /// A voucher that died on the way, for the driver to know.
    died: Option<(VoucherId, Option<PortBinding>)>,
    /// The key whose control this creation goes through: `SET_VALUE_HANDLE` is allowed for it.
    privilege: Option<Key>,
    /// Why it comes to nothing.
    error: Option<Error>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The last recipe is done, or there was none yet.
    Between,
    /// The manager of the item's slot has to be asked.
    Asking(Item),
    /// The voucher that came with a value is given up, then the value is stored.
    Storing(Item, u64, bool),
    /// The value that was replaced is given up, then the item goes on.
    Replaced(Item),
    /// What is left is given up, then this is the result.
    Finishing(Option<VoucherId>),
}

/// How far a recipe is that needs a manager.
#[derive(Clone, Copy, Debug)]
struct Item {
    command: u32,
    /// Held by a reference until the item is done.
    previous: Option<VoucherId>,
    slot: u8,
    /// For `REDEEM` of all keys: the slots after this one follow.
    all: bool,
}

/// What has to be done next: see [`Creation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// The next recipe can be executed.
    NextRecipe,
    /// A manager is to be asked for a value.
    GetValue(GetValue),
    /// A manager is to be asked whether it gives up a value.
    ReleaseValue(ReleaseValue),
    /// A voucher died, and the port that stood for it is without a purpose.
    Died(VoucherId, Option<PortBinding>),
    /// All is done: here is the voucher, with a reference for the caller; none if it would have said nothing; or why
    /// there is none, and then everything is as it was before.
    Done(Result<Option<VoucherId>, Error>),
}

impl Default for Creation {
    fn default() -> Self {
        Self::new()
    }
}

impl Creation {
    /// Begins, without privilege: `host_create_mach_voucher` (vouchers 4.2).
    #[inline]
    pub const fn new() -> Self {
        Creation {
            forming: Vector::EMPTY,
            dropping: Release::new(Vector::EMPTY),
            died: None,
            privilege: None,
            error: None,
            phase: Phase::Between,
        }
    }

    /// Begins, with the privilege of a key's control: `mach_voucher_attr_control_create_mach_voucher` (vouchers 4.8).
    ///
    /// # Errors
    /// [`Error::InvalidCapability`] if there is no control.
    pub fn through(registry: &Registry, control: Option<Key>) -> Result<Self, Error> {
        let key = control.filter(|&key| registry.control(key).is_some()).ok_or(Error::InvalidCapability)?;
        Ok(Creation { privilege: Some(key), ..Creation::new() })
    }

    /// What has to be done next: the same question again until it is answered; a death is told once.
    pub fn step(&mut self, registry: &mut Registry) -> Step {
        loop {
            if let Some((id, port)) = self.died.take() {
                return Step::Died(id, port);
            }
            if let Some(question) = self.dropping.next(registry) {
                return Step::ReleaseValue(question);
            }
            match self.phase {
                Phase::Between if self.error.is_none() => return Step::NextRecipe,
                Phase::Between => self.end(),
                Phase::Asking(item) => return Step::GetValue(self.question(registry, item)),
                Phase::Storing(item, handle, persist) => {
                    self.phase = Phase::Replaced(item);
                    self.store(registry, usize::from(item.slot), handle, persist);
                }
                Phase::Replaced(item) => self.go_on(registry, item),
                Phase::Finishing(voucher) => return Step::Done(self.error.map_or(Ok(voucher), Err)),
            }
        }
    }

    /// Executes a recipe, as far as no manager has to be asked (vouchers 3). An error ends the creation: the steps say so
    /// when all is given up.
    ///
    /// # Panics
    /// If the last step was not [`Step::NextRecipe`].
    #[inline]
    pub fn execute(&mut self, registry: &mut Registry, recipe: &Recipe<'_>) -> Step {
        self.between();
        if let Err(error) = self.dispatch(registry, recipe) {
            self.error = Some(error);
        }
        // What `step` would say, on the straight way.
        match self.phase {
            Phase::Asking(item) if self.dropping.is_done() => Step::GetValue(self.question(registry, item)),
            Phase::Between if self.dropping.is_done() && self.error.is_none() && self.died.is_none() => {
                Step::NextRecipe
            }
            _ => self.step(registry),
        }
    }

    /// The next recipe is malformed, or its previous voucher is none.
    ///
    /// # Panics
    /// If the last step was not [`Step::NextRecipe`].
    pub fn fail(&mut self, registry: &mut Registry, error: Error) -> Step {
        self.between();
        self.error = Some(error);
        self.step(registry)
    }

    /// There are no more recipes: the voucher is found or published (vouchers 1.8).
    ///
    /// # Panics
    /// If the last step was not [`Step::NextRecipe`].
    #[inline]
    pub fn finish(&mut self, registry: &mut Registry) -> Step {
        self.between();
        if self.forming.is_empty() {
            self.phase = Phase::Finishing(None);
            return Step::Done(Ok(None));
        }
        match registry.vouchers.find_or_publish(&self.forming) {
            Ok((id, new)) => {
                if !new {
                    registry.drop_duplicate(&self.forming);
                }
                self.forming = Vector::EMPTY;
                self.phase = Phase::Finishing(Some(id));
                Step::Done(Ok(Some(id)))
            }
            Err(error) => {
                self.error = Some(error);
                self.step(registry)
            }
        }
    }

    /// The manager's answer to [`Step::GetValue`]. With a value it hands over one made reference.
    ///
    /// # Panics
    /// If no manager was asked.
    #[inline]
    pub fn value(&mut self, registry: &mut Registry, answer: Result<Value, Error>) -> Step {
        let Phase::Asking(ref item) = self.phase else { panic!("no manager was asked for a value") };
        let slot = usize::from(item.slot);
        match answer {
            Ok(Value { handle, persist, voucher: None }) if !item.all && item.previous.is_none() => {
                self.phase = Phase::Between;
                self.store(registry, slot, handle, persist);
                if self.error.is_none() && self.dropping.is_done() {
                    // What `step` would say, on the straight way.
                    return Step::NextRecipe;
                }
            }
            Ok(value) => {
                self.phase = Phase::Storing(*item, value.handle, value.persist);
                if let Some(dead) = value.voucher.and_then(|voucher| registry.release(voucher)) {
                    self.bury(dead);
                }
            }
            Err(error) => {
                let item = *item;
                registry.table(slot).cancel_promise();
                registry.drop_control_reference(slot);
                self.error.get_or_insert(error);
                self.end_item(registry, item);
            }
        }
        self.step(registry)
    }

    /// The manager's answer to [`Step::ReleaseValue`]: whether it has given the value up.
    ///
    /// # Panics
    /// If no manager was asked.
    pub fn released(&mut self, registry: &mut Registry, accepted: bool) -> Step {
        self.dropping.answer(registry, accepted);
        self.step(registry)
    }

    /// The voucher is not wanted any more: the steps that follow give up everything, and the result is
    /// [`Error::Aborted`]. Questions that managers were asked still have to be answered, because an answer may hand over a
    /// reference; of a manager that is gone the answer is an error. After [`finish`](Creation::finish) it is too late:
    /// nothing happens.
    pub fn cancel(&mut self) {
        if !matches!(self.phase, Phase::Finishing(_)) {
            self.error.get_or_insert(Error::Aborted);
        }
    }

    fn between(&self) {
        assert!(matches!(self.phase, Phase::Between) && self.error.is_none(), "the last step was not NextRecipe");
    }

    /// All that is left to do is to give up what was formed.
    fn end(&mut self) {
        self.dropping = Release::new(core::mem::replace(&mut self.forming, Vector::EMPTY));
        self.phase = Phase::Finishing(None);
    }

    fn bury(&mut self, dead: DeadVoucher) {
        self.died = Some((dead.id, dead.port));
        self.dropping = dead.values;
    }

    /// Who handles which command: vouchers 3.1.
    #[inline]
    fn dispatch(&mut self, registry: &mut Registry, recipe: &Recipe<'_>) -> Result<(), Error> {
        let all = recipe.key == MACH_VOUCHER_ATTR_KEY_ALL;
        let previous = match recipe.previous {
            Some(id) => Some(registry.get(id).ok_or(Error::InvalidCapability)?.vector()),
            None => None,
        };
        match recipe.command {
            MACH_VOUCHER_ATTR_COPY => self.copy(registry, recipe, previous),
            MACH_VOUCHER_ATTR_REMOVE => self.remove(recipe, previous),
            MACH_VOUCHER_ATTR_SET_VALUE_HANDLE => self.set_value_handle(registry, recipe),
            MACH_VOUCHER_ATTR_REDEEM if all => self.begin_item(registry, recipe, 0, true),
            _ => {
                let key = Key::new(recipe.key).ok_or(Error::InvalidArgument)?;
                registry.control(key).ok_or(Error::InvalidArgument)?;
                self.begin_item(registry, recipe, key.slot(), false)
            }
        }
    }

    /// The slots that a key stands for, one bit each.
    #[inline]
    fn slots(key: u32) -> Result<u8, Error> {
        if key == MACH_VOUCHER_ATTR_KEY_ALL {
            return Ok(u8::MAX);
        }
        Ok(1 << Key::new(key).ok_or(Error::InvalidArgument)?.slot())
    }

    /// `COPY`: vouchers 3.3.
    #[inline]
    fn copy(&mut self, registry: &mut Registry, recipe: &Recipe<'_>, previous: Option<Vector>) -> Result<(), Error> {
        if !recipe.content.is_empty() {
            return Err(Error::InvalidArgument);
        }
        let Some(previous) = previous else { return Ok(()) };
        let mut replaced = Vector::EMPTY;
        let mut result = Ok(());
        for slot in slots_in(Self::slots(recipe.key)? & (previous.slots() | self.forming.slots())) {
            let (index, old) = (previous.get(slot), self.forming.get(slot));
            if index == old {
                continue;
            }
            if index != DEFAULT {
                result = registry.table(slot).reference(index);
                if result.is_err() {
                    break;
                }
            }
            self.forming.replace(slot, index);
            replaced.replace(slot, old);
        }
        if !replaced.is_empty() {
            self.dropping = Release::new(replaced);
        }
        result
    }

    /// `REMOVE`: vouchers 3.4.
    fn remove(&mut self, recipe: &Recipe<'_>, previous: Option<Vector>) -> Result<(), Error> {
        if !recipe.content.is_empty() {
            return Err(Error::InvalidArgument);
        }
        let mut removed = Vector::EMPTY;
        for slot in slots_in(Self::slots(recipe.key)? & self.forming.slots()) {
            if previous.is_none_or(|previous| previous.get(slot) == self.forming.get(slot)) {
                removed.replace(slot, self.forming.replace(slot, DEFAULT));
            }
        }
        self.dropping = Release::new(removed);
        Ok(())
    }

    /// `SET_VALUE_HANDLE`: vouchers 3.5.
    fn set_value_handle(&mut self, registry: &mut Registry, recipe: &Recipe<'_>) -> Result<(), Error> {
        let key = self.privilege.filter(|key| key.number() == recipe.key).ok_or(Error::InvalidCapability)?;
        let handle = u64::from_le_bytes(recipe.content.try_into().map_err(|_| Error::InvalidArgument)?);
        let control = registry.controls[key.slot()].as_mut().ok_or(Error::InvalidCapability)?;
        control.table.promise()?;
        let (index, new) = control.table.acquire(handle, false)?;
        control.refs += u64::from(new);
        self.replace(registry, key.slot(), index);
        Ok(())
    }

    #[inline]
    fn replace(&mut self, registry: &mut Registry, slot: usize, index: u32) {
        let old = self.forming.replace(slot, index);
        if old != DEFAULT && !registry.table(slot).drop_shared(old) {
            let mut replaced = Vector::EMPTY;
            replaced.replace(slot, old);
            self.dropping = Release::new(replaced);
        }
    }

    /// Begins a recipe that needs managers: of the first slot from `slot` on that has one.
    #[inline]
    fn begin_item(
        &mut self,
        registry: &mut Registry,
        recipe: &Recipe<'_>,
        slot: usize,
        all: bool,
    ) -> Result<(), Error> {
        let item = Item { command: recipe.command, previous: recipe.previous, slot: slot as u8, all };
        // While managers are asked, others may give up their references.
        if let Some(previous) = item.previous {
            registry.retain(previous)?;
        }
        self.ask(registry, item);
        Ok(())
    }

    /// Asks the manager of the item's slot, or of the next slot that has one, or ends the item.
    #[inline]
    fn ask(&mut self, registry: &mut Registry, mut item: Item) {
        while let Some(slot) = registry.controls.get_mut(item.slot as usize) {
            if let Some(control) = slot {
                match control.table.promise() {
                    Ok(()) => {
                        control.refs += 1;
                        self.phase = Phase::Asking(item);
                        return;
                    }
                    Err(error) => {
                        self.error = Some(error);
                        break;
                    }
                }
            }
            item.slot += 1;
        }
        self.end_item(registry, item);
    }

    /// "Replace value" (vouchers 3.7), step 2: the previous value is the previous voucher's if there is one, else the
    /// forming voucher's.
    #[inline]
    fn question(&self, registry: &Registry, item: Item) -> GetValue {
        let slot = item.slot as usize;
        let key = Key::of_slot(slot);
        let index = match item.previous {
            Some(previous) => registry.get(previous).expect("the item holds its previous voucher").value(key),
            None => self.forming.get(slot),
        };
        let previous = registry.handle_at(slot, index);
        GetValue { key, command: item.command, previous }
    }

    /// "Replace value", step 5: the old value goes last, so that getting it again asks nobody.
    #[inline]
    fn store(&mut self, registry: &mut Registry, slot: usize, handle: u64, persist: bool) {
        match registry.table(slot).acquire(handle, persist) {
            Ok((index, new)) => {
                if !new {
                    registry.drop_control_reference(slot);
                }
                self.replace(registry, slot, index);
            }
            Err(error) => {
                registry.table(slot).count_made(handle);
                registry.drop_control_reference(slot);
                self.error.get_or_insert(error);
            }
        }
    }

    #[inline]
    fn go_on(&mut self, registry: &mut Registry, item: Item) {
        if item.all && self.error.is_none() {
            self.ask(registry, Item { slot: item.slot + 1, ..item });
        } else {
            self.end_item(registry, item);
        }
    }

    #[inline]
    fn end_item(&mut self, registry: &mut Registry, item: Item) {
        self.phase = Phase::Between;
        if let Some(dead) = item.previous.and_then(|previous| registry.release(previous)) {
            self.bury(dead);
        }
    }
}
