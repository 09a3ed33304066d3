//! Vouchers of messages that are sent and received (vouchers 7.2, 7.4).

use crate::driver::{Driver, Outcome, RecipeSource, create};
use crate::manager::Caller;
use crate::managers::pthpriority;
use crate::recipe::Recipe;
use crate::voucher::VoucherId;
use crate::{Error, Key, Processing};
use abi::voucher::*;

/// The recipes that work on a message's voucher: a copy of all, then a command for each attribute whose manager takes
/// part.
#[derive(Clone, Debug)]
pub struct ProcessingRecipes {
    attached: VoucherId,
    command: u32,
    /// One bit for each slot that is still to be done.
    slots: u8,
    copied: bool,
}

impl ProcessingRecipes {
    /// `None` if no manager takes part.
    fn new<D: Driver + ?Sized>(
        driver: &D,
        attached: VoucherId,
        command: u32,
        takes_part: impl Fn(Processing) -> bool,
    ) -> Option<Self> {
        let registry = driver.registry_ref();
        let slots = registry
            .attributes(attached)
            .filter(|&(key, _)| registry.control(key).is_some_and(|control| takes_part(control.processing())))
            .fold(0u8, |slots, (key, _)| slots | 1 << key.slot());
        (slots != 0).then_some(ProcessingRecipes { attached, command, slots, copied: false })
    }
}

impl<D: ?Sized> RecipeSource<D> for ProcessingRecipes {
    fn next(&mut self, _driver: &mut D) -> Option<Result<Recipe<'_>, Error>> {
        if !core::mem::replace(&mut self.copied, true) {
            return Some(Ok(Recipe::from(self.attached, MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY)));
        }
        let slot = self.slots.trailing_zeros() as usize;
        self.slots &= self.slots.checked_sub(1)?;
        Some(Ok(Recipe::from(self.attached, Key::of_slot(slot).number(), self.command)))
    }

    fn content(&self) -> &[u8] {
        &[]
    }
}

/// What the kernel is to do with the voucher of a message.
#[derive(Debug)]
#[must_use]
pub enum Processed {
    /// It stays.
    Unchanged,
    /// It is replaced by this one, with a reference for the message, or by none (vouchers 7.2: a failure cannot be
    /// reported, the message goes on without a voucher; quirk Q23).
    Replaced(Option<VoucherId>),
    /// A manager has not answered yet: the creation goes on with [`run`](crate::run), with these recipes.
    Waiting(crate::Creation, ProcessingRecipes),
}

fn process<D: Driver + ?Sized>(driver: &mut D, caller: &Caller, recipes: Option<ProcessingRecipes>) -> Processed {
    let Some(mut recipes) = recipes.filter(|_| !caller.is_kernel()) else { return Processed::Unchanged };
    match create(driver, caller, &mut recipes) {
        Outcome::Done(result) => Processed::Replaced(result.unwrap_or(None)),
        Outcome::Waiting(creation) => Processed::Waiting(creation, recipes),
    }
}

/// `ipc_voucher_send_preprocessing`: what sending does to the living voucher that is attached to the message.
pub fn send_preprocessing<D: Driver + ?Sized>(driver: &mut D, caller: &Caller, attached: VoucherId) -> Processed {
    let recipes = ProcessingRecipes::new(driver, attached, MACH_VOUCHER_ATTR_SEND_PREPROCESS, |part| part.send);
    process(driver, caller, recipes)
}

/// `ipc_voucher_receive_postprocessing`: what receiving does to the living voucher that is attached to the message, if
/// the receiver wants vouchers.
pub fn receive_postprocessing<D: Driver + ?Sized>(driver: &mut D, caller: &Caller, attached: VoucherId) -> Processed {
    let recipes = ProcessingRecipes::new(driver, attached, MACH_VOUCHER_ATTR_AUTO_REDEEM, |part| part.receive);
    process(driver, caller, recipes)
}

/// The priority that a message takes from its voucher (vouchers 7.3), a canonical `pthread_priority_t`.
///
/// # Errors
/// [`Error::Failure`] without a voucher, [`Error::InvalidValue`] if the attribute is absent.
pub fn message_priority<D: Driver + ?Sized>(driver: &D, voucher: Option<VoucherId>) -> Result<u32, Error> {
    let voucher = voucher.ok_or(Error::Failure)?;
    let handle = driver.registry_ref().handle(voucher, Key::PTHPRIORITY).ok_or(Error::InvalidValue)?;
    Ok(pthpriority::priority(handle))
}

/// `ipc_voucher_get_default_voucher`: the voucher of a task that has bound none (vouchers 4.14): the bank's value
/// "current task", or none for the kernel and for tasks unknown to the bank.
pub fn default_voucher<D: Driver + ?Sized>(driver: &mut D, caller: &Caller) -> Outcome {
    if caller.is_kernel() || caller.bank.is_none() {
        return Outcome::Done(Ok(None));
    }
    let recipe = [Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, &[])];
    create(driver, caller, &mut crate::Recipes::new(&recipe))
}
