//! [`Creation`]: builds a voucher, recipe by recipe, with the answers of managers in between (vouchers 2.4, 3).

use crate::manager::{ManagerValue, ValueRequest};
use crate::recipe::Recipe;
use crate::release::{DeadVoucher, Release, ReleaseRequest};
use crate::value::DEFAULT_INDEX;
use crate::vector::{ValueVector, slots_in};
use crate::voucher::{PortBinding, VoucherId};
use crate::{Error, Key, Registry};
use abi::voucher::*;

/// The creation of a voucher, in progress or finished.
///
/// [`step`](Creation::step) returns the next thing to do. The driver does it and reports the result by a call that
/// returns the next step:
///
/// - [`NextRecipe`](CreationStep::NextRecipe): the driver calls [`execute`](Creation::execute) with the next recipe,
///   [`reject_recipe`](Creation::reject_recipe) if the recipe is malformed, or [`finish`](Creation::finish) after the
///   last one.
/// - [`GetValue`](CreationStep::GetValue): the driver asks the key's manager, with the content of the current recipe,
///   and calls [`answer_value`](Creation::answer_value).
/// - [`ReleaseValue`](CreationStep::ReleaseValue): the driver asks the key's manager and calls
///   [`answer_release`](Creation::answer_release).
/// - [`Died`](CreationStep::Died): the driver destroys the voucher's port, if it had one, and calls
///   [`step`](Creation::step).
/// - [`Done`](CreationStep::Done): the driver has the result.
///
/// [`step`](Creation::step) returns a request again until it is answered. So the owner of a creation can put it aside
/// while a manager prepares its answer, hand it to other code, or [cancel](Creation::cancel) it. The registry is not
/// borrowed in between, and other calls may run. A creation that is dropped before it is done leaks its references.
#[derive(Debug)]
#[must_use]
pub struct Creation {
    /// The "forming voucher": the values so far. No other code sees it.
    forming: ValueVector,
    /// References that are released before anything else is done.
    releasing: Release,
    /// A voucher that died during the creation and was not reported yet.
    died: Option<(VoucherId, Option<PortBinding>)>,
    /// The key whose control authorises this creation to use `SET_VALUE_HANDLE`.
    privilege: Option<Key>,
    /// The reason why the creation fails.
    error: Option<Error>,
    phase: Phase,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next recipe can be executed.
    AwaitingRecipe,
    /// A manager must be asked for a value.
    AwaitingValue(ManagerRecipe),
    /// The voucher that came with a value is being released; then the value is stored.
    StoringValue { recipe: ManagerRecipe, handle: u64, persist: bool },
    /// The replaced value is being released; then the recipe continues.
    ReleasingReplaced(ManagerRecipe),
    /// The remaining references are being released; then this is the result.
    Finishing(Option<VoucherId>),
}

/// A recipe that needs managers, and its progress.
#[derive(Clone, Copy, Debug)]
struct ManagerRecipe {
    command: u32,
    /// The previous voucher, to which the creation holds a reference until the recipe ends.
    previous: Option<VoucherId>,
    /// The slot of the manager that is asked.
    slot: u8,
    /// For `REDEEM` of all keys: the recipe continues with the slots after this one.
    all: bool,
}

/// The next thing to do in a creation: see [`Creation`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CreationStep {
    /// Execute the next recipe.
    NextRecipe,
    /// Ask a manager for a value.
    GetValue(ValueRequest),
    /// Ask a manager to release a value.
    ReleaseValue(ReleaseRequest),
    /// A voucher died, and its port, if it had one, must be destroyed.
    Died(VoucherId, Option<PortBinding>),
    /// The creation is finished. The result is a voucher with a reference for the caller, or `None` if no attribute is
    /// present, or an error, after which everything is as it was before the creation.
    Done(Result<Option<VoucherId>, Error>),
}

impl Default for Creation {
    fn default() -> Self {
        Self::new()
    }
}

impl Creation {
    /// Begins a creation without privilege: `host_create_mach_voucher` (vouchers 4.2).
    #[inline]
    pub const fn new() -> Self {
        Creation {
            forming: ValueVector::EMPTY,
            releasing: Release::new(ValueVector::EMPTY),
            died: None,
            privilege: None,
            error: None,
            phase: Phase::AwaitingRecipe,
        }
    }

    /// Begins a creation with the privilege of a key's control: `mach_voucher_attr_control_create_mach_voucher`
    /// (vouchers 4.8).
    ///
    /// # Errors
    /// [`Error::InvalidCapability`] if there is no control.
    pub fn with_control(registry: &Registry, control: Option<Key>) -> Result<Self, Error> {
        let key = control.filter(|&key| registry.control(key).is_some()).ok_or(Error::InvalidCapability)?;
        Ok(Creation { privilege: Some(key), ..Creation::new() })
    }

    /// Returns the next thing to do. It returns a request again until it is answered, and reports a death once.
    pub fn step(&mut self, registry: &mut Registry) -> CreationStep {
        loop {
            if let Some((id, port)) = self.died.take() {
                return CreationStep::Died(id, port);
            }
            if let Some(request) = self.releasing.next(registry) {
                return CreationStep::ReleaseValue(request);
            }
            match self.phase {
                Phase::AwaitingRecipe if self.error.is_none() => return CreationStep::NextRecipe,
                Phase::AwaitingRecipe => self.abandon(),
                Phase::AwaitingValue(recipe) => return CreationStep::GetValue(self.request(registry, recipe)),
                Phase::StoringValue { recipe, handle, persist } => self.store(registry, recipe, handle, persist),
                Phase::ReleasingReplaced(recipe) => self.continue_recipe(registry, recipe),
                Phase::Finishing(voucher) => return CreationStep::Done(self.error.map_or(Ok(voucher), Err)),
            }
        }
    }

    /// Returns true if the next step is [`CreationStep::NextRecipe`].
    ///
    /// The calls that a creation makes most often ask this before they enter the loop of [`step`](Creation::step),
    /// which saves a third of the time of a simple creation (`cargo bench`).
    #[inline]
    fn awaits_recipe(&self) -> bool {
        matches!(self.phase, Phase::AwaitingRecipe)
            && self.error.is_none()
            && self.died.is_none()
            && self.releasing.is_done()
    }

    /// Executes a recipe up to the first request to a manager (vouchers 3). An error ends the creation: once all
    /// references are released, the result is that error.
    ///
    /// # Panics
    /// If the last step was not [`CreationStep::NextRecipe`].
    #[inline]
    pub fn execute(&mut self, registry: &mut Registry, recipe: &Recipe<'_>) -> CreationStep {
        self.check_awaiting_recipe();
        if let Err(error) = self.dispatch(registry, recipe) {
            self.error = Some(error);
        }
        // The usual steps, without the loop of `step`.
        match self.phase {
            Phase::AwaitingValue(recipe) if self.releasing.is_done() => {
                CreationStep::GetValue(self.request(registry, recipe))
            }
            _ if self.awaits_recipe() => CreationStep::NextRecipe,
            _ => self.step(registry),
        }
    }

    /// Ends the creation with an error: the next recipe is malformed, or its previous voucher does not exist.
    ///
    /// # Panics
    /// If the last step was not [`CreationStep::NextRecipe`].
    pub fn reject_recipe(&mut self, registry: &mut Registry, error: Error) -> CreationStep {
        self.check_awaiting_recipe();
        self.error = Some(error);
        self.step(registry)
    }

    /// Finds or publishes the voucher (vouchers 1.8): there are no more recipes.
    ///
    /// # Panics
    /// If the last step was not [`CreationStep::NextRecipe`].
    #[inline]
    pub fn finish(&mut self, registry: &mut Registry) -> CreationStep {
        self.check_awaiting_recipe();
        if self.forming.is_empty() {
            self.phase = Phase::Finishing(None);
            return CreationStep::Done(Ok(None));
        }
        match registry.vouchers.find_or_publish(&self.forming) {
            Ok((id, new)) => {
                if !new {
                    registry.drop_duplicate(&self.forming);
                }
                self.forming = ValueVector::EMPTY;
                self.phase = Phase::Finishing(Some(id));
                CreationStep::Done(Ok(Some(id)))
            }
            Err(error) => {
                self.error = Some(error);
                self.step(registry)
            }
        }
    }

    /// Answers [`CreationStep::GetValue`]. A value comes with one made reference.
    ///
    /// # Panics
    /// If no value was requested.
    #[inline]
    pub fn answer_value(&mut self, registry: &mut Registry, answer: Result<ManagerValue, Error>) -> CreationStep {
        let Phase::AwaitingValue(recipe) = self.phase else { panic!("no manager was asked for a value") };
        match answer {
            Ok(ManagerValue { handle, persist, voucher: None }) => self.store(registry, recipe, handle, persist),
            Ok(ManagerValue { handle, persist, voucher: Some(voucher) }) => {
                self.phase = Phase::StoringValue { recipe, handle, persist };
                if let Some(dead) = registry.release(voucher) {
                    self.release_dead(dead);
                }
            }
            Err(error) => {
                let slot = usize::from(recipe.slot);
                registry.table(slot).cancel_promise();
                registry.drop_control_reference(slot);
                self.error.get_or_insert(error);
                self.end_recipe(registry, recipe);
            }
        }
        if self.awaits_recipe() {
            return CreationStep::NextRecipe;
        }
        self.step(registry)
    }

    /// Answers [`CreationStep::ReleaseValue`]: `accepted` if the manager has released the value.
    ///
    /// # Panics
    /// If no release was requested.
    pub fn answer_release(&mut self, registry: &mut Registry, accepted: bool) -> CreationStep {
        self.releasing.answer(registry, accepted);
        self.step(registry)
    }

    /// Cancels the creation: the following steps release all references, and the result is [`Error::Aborted`].
    ///
    /// A pending request still has to be answered, because the answer may bring a reference; if the manager is gone,
    /// the answer is an error. After [`finish`](Creation::finish) the call has no effect.
    pub fn cancel(&mut self) {
        if !matches!(self.phase, Phase::Finishing(_)) {
            self.error.get_or_insert(Error::Aborted);
        }
    }

    fn check_awaiting_recipe(&self) {
        let awaits_recipe = matches!(self.phase, Phase::AwaitingRecipe) && self.error.is_none();
        assert!(awaits_recipe, "the last step was not NextRecipe");
    }

    /// Begins to release the forming voucher, after an error.
    fn abandon(&mut self) {
        self.releasing = Release::new(core::mem::replace(&mut self.forming, ValueVector::EMPTY));
        self.phase = Phase::Finishing(None);
    }

    /// Begins to release the values of a dead voucher.
    fn release_dead(&mut self, dead: DeadVoucher) {
        self.died = Some((dead.id, dead.port));
        self.releasing = dead.values;
    }

    /// Executes a recipe, or begins one that needs managers (vouchers 3.1).
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
            MACH_VOUCHER_ATTR_REDEEM if all => self.begin_manager_recipe(registry, recipe, 0, true),
            _ => {
                let key = Key::new(recipe.key).ok_or(Error::InvalidArgument)?;
                registry.control(key).ok_or(Error::InvalidArgument)?;
                self.begin_manager_recipe(registry, recipe, key.slot(), false)
            }
        }
    }

    /// Returns the slots of a key number, one bit each.
    #[inline]
    fn slots(key: u32) -> Result<u8, Error> {
        if key == MACH_VOUCHER_ATTR_KEY_ALL {
            return Ok(u8::MAX);
        }
        Ok(1 << Key::new(key).ok_or(Error::InvalidArgument)?.slot())
    }

    /// Executes `COPY` (vouchers 3.3).
    #[inline]
    fn copy(
        &mut self,
        registry: &mut Registry,
        recipe: &Recipe<'_>,
        previous: Option<ValueVector>,
    ) -> Result<(), Error> {
        if !recipe.content.is_empty() {
            return Err(Error::InvalidArgument);
        }
        let Some(previous) = previous else { return Ok(()) };
        let mut replaced = ValueVector::EMPTY;
        let mut result = Ok(());
        for slot in slots_in(Self::slots(recipe.key)? & (previous.slots() | self.forming.slots())) {
            let (index, old) = (previous.get(slot), self.forming.get(slot));
            if index == old {
                continue;
            }
            if index != DEFAULT_INDEX {
                result = registry.table(slot).reference(index);
                if result.is_err() {
                    break;
                }
            }
            self.forming.replace(slot, index);
            replaced.replace(slot, old);
        }
        if !replaced.is_empty() {
            self.releasing = Release::new(replaced);
        }
        result
    }

    /// Executes `REMOVE` (vouchers 3.4).
    fn remove(&mut self, recipe: &Recipe<'_>, previous: Option<ValueVector>) -> Result<(), Error> {
        if !recipe.content.is_empty() {
            return Err(Error::InvalidArgument);
        }
        let mut removed = ValueVector::EMPTY;
        for slot in slots_in(Self::slots(recipe.key)? & self.forming.slots()) {
            if previous.is_none_or(|previous| previous.get(slot) == self.forming.get(slot)) {
                removed.replace(slot, self.forming.replace(slot, DEFAULT_INDEX));
            }
        }
        self.releasing = Release::new(removed);
        Ok(())
    }

    /// Executes `SET_VALUE_HANDLE` (vouchers 3.5).
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

    /// Puts a value into a slot and releases the one that was there.
    #[inline]
    fn replace(&mut self, registry: &mut Registry, slot: usize, index: u32) {
        let old = self.forming.replace(slot, index);
        if old != DEFAULT_INDEX && !registry.table(slot).drop_if_shared(old) {
            let mut replaced = ValueVector::EMPTY;
            replaced.replace(slot, old);
            self.releasing = Release::new(replaced);
        }
    }

    /// Begins a recipe that needs managers: that of `slot`, and with `all` those of the slots after it.
    #[inline]
    fn begin_manager_recipe(
        &mut self,
        registry: &mut Registry,
        recipe: &Recipe<'_>,
        slot: usize,
        all: bool,
    ) -> Result<(), Error> {
        let recipe = ManagerRecipe { command: recipe.command, previous: recipe.previous, slot: slot as u8, all };
        // Other code may release its references to the previous voucher before the managers have answered.
        if let Some(previous) = recipe.previous {
            registry.retain(previous)?;
        }
        self.request_value(registry, recipe);
        Ok(())
    }

    /// Requests a value from the manager of the recipe's slot, or of the next slot that has one, or ends the recipe.
    #[inline]
    fn request_value(&mut self, registry: &mut Registry, mut recipe: ManagerRecipe) {
        while let Some(slot) = registry.controls.get_mut(recipe.slot as usize) {
            if let Some(control) = slot {
                match control.table.promise() {
                    Ok(()) => {
                        control.refs += 1;
                        self.phase = Phase::AwaitingValue(recipe);
                        return;
                    }
                    Err(error) => {
                        self.error = Some(error);
                        break;
                    }
                }
            }
            recipe.slot += 1;
        }
        self.end_recipe(registry, recipe);
    }

    /// Returns the request for a value ("replace value", vouchers 3.7, step 2). The previous value is that of the
    /// previous voucher, or of the forming voucher if there is none.
    #[inline]
    fn request(&self, registry: &Registry, recipe: ManagerRecipe) -> ValueRequest {
        let slot = recipe.slot as usize;
        let key = Key::of_slot(slot);
        let index = match recipe.previous {
            Some(previous) => registry.get(previous).expect("the recipe holds its previous voucher").value(key),
            None => self.forming.get(slot),
        };
        ValueRequest { key, command: recipe.command, previous: registry.handle_at(slot, index) }
    }

    /// Stores a value ("replace value", step 5) and continues the recipe. The old value is released last, so that a new
    /// reference to it makes the request to its manager unnecessary.
    #[inline]
    fn store(&mut self, registry: &mut Registry, recipe: ManagerRecipe, handle: u64, persist: bool) {
        let slot = usize::from(recipe.slot);
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
        if self.releasing.is_done() {
            self.continue_recipe(registry, recipe);
        } else {
            self.phase = Phase::ReleasingReplaced(recipe);
        }
    }

    /// Requests a value from the manager after the recipe's slot. Only `REDEEM` of all keys comes here.
    #[cold]
    #[inline(never)]
    fn request_next_value(&mut self, registry: &mut Registry, recipe: ManagerRecipe) {
        self.request_value(registry, ManagerRecipe { slot: recipe.slot + 1, ..recipe });
    }

    /// Continues a recipe with its next slot, or ends it.
    #[inline]
    fn continue_recipe(&mut self, registry: &mut Registry, recipe: ManagerRecipe) {
        if recipe.all && self.error.is_none() {
            self.request_next_value(registry, recipe);
        } else {
            self.end_recipe(registry, recipe);
        }
    }

    /// Ends a recipe that needed managers, and releases its previous voucher.
    #[inline]
    fn end_recipe(&mut self, registry: &mut Registry, recipe: ManagerRecipe) {
        self.phase = Phase::AwaitingRecipe;
        if let Some(dead) = recipe.previous.and_then(|previous| registry.release(previous)) {
            self.release_dead(dead);
        }
    }
}
