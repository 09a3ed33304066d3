//! The processing of a message's voucher when the message is sent and received (vouchers 7.2, 7.4).

use crate::driver::{CreationOutcome, Driver, RecipeSource, create_voucher};
use crate::manager::CallingTask;
use crate::managers::pthpriority;
use crate::recipe::Recipe;
use crate::voucher::VoucherId;
use crate::{Error, Key, Processing};
use abi::voucher::*;

/// The recipes that process a message's voucher: a copy of all attributes, then a command for each attribute whose
/// manager takes part.
#[derive(Clone, Debug)]
pub struct ProcessingRecipes {
    attached: VoucherId,
    command: u32,
    /// The slots whose recipes are still to come, one bit each.
    slots: u8,
    copied: bool,
}

impl ProcessingRecipes {
    /// Returns the recipes, or `None` if no manager takes part.
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

/// The result of processing the voucher of a message.
#[derive(Debug)]
#[must_use]
pub enum ProcessedVoucher {
    /// The message keeps its voucher.
    Unchanged,
    /// The message gets this voucher, with a reference, or none. A failure cannot be reported: the message then goes on
    /// without a voucher (vouchers 7.2; quirk Q23).
    Replaced(Option<VoucherId>),
    /// A manager has not answered yet. [`continue_creation`](crate::continue_creation) continues the creation with
    /// these recipes.
    Waiting(crate::Creation, ProcessingRecipes),
}

fn process<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    recipes: Option<ProcessingRecipes>,
) -> ProcessedVoucher {
    let Some(mut recipes) = recipes.filter(|_| !caller.is_kernel()) else { return ProcessedVoucher::Unchanged };
    match create_voucher(driver, caller, &mut recipes) {
        CreationOutcome::Done(result) => ProcessedVoucher::Replaced(result.unwrap_or(None)),
        CreationOutcome::Waiting(creation) => ProcessedVoucher::Waiting(creation, recipes),
    }
}

/// Processes the live voucher that is attached to a message which `caller` sends: `ipc_voucher_send_preprocessing`.
pub fn send_preprocessing<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    attached: VoucherId,
) -> ProcessedVoucher {
    let recipes = ProcessingRecipes::new(driver, attached, MACH_VOUCHER_ATTR_SEND_PREPROCESS, |part| part.send);
    process(driver, caller, recipes)
}

/// Processes the live voucher that is attached to a message which `caller` receives:
/// `ipc_voucher_receive_postprocessing`. For a receiver that does not ask for vouchers the kernel does not call this
/// function.
pub fn receive_postprocessing<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    attached: VoucherId,
) -> ProcessedVoucher {
    let recipes = ProcessingRecipes::new(driver, attached, MACH_VOUCHER_ATTR_AUTO_REDEEM, |part| part.receive);
    process(driver, caller, recipes)
}

/// Returns the priority of a message's voucher (vouchers 7.3), a canonical `pthread_priority_t`.
///
/// # Errors
/// [`Error::Failure`] without a voucher, [`Error::InvalidValue`] if the attribute is absent.
pub fn message_priority<D: Driver + ?Sized>(driver: &D, voucher: Option<VoucherId>) -> Result<u32, Error> {
    let voucher = voucher.ok_or(Error::Failure)?;
    let handle = driver.registry_ref().handle(voucher, Key::PTHPRIORITY).ok_or(Error::InvalidValue)?;
    Ok(pthpriority::priority(handle))
}

/// Creates the voucher of a task that has not bound one: `ipc_voucher_get_default_voucher` (vouchers 4.14). It has the
/// bank's value "current task". The kernel and tasks unknown to the bank get no voucher.
pub fn default_voucher<D: Driver + ?Sized>(driver: &mut D, caller: &CallingTask) -> CreationOutcome {
    if caller.is_kernel() || caller.bank.is_none() {
        return CreationOutcome::Done(Ok(None));
    }
    let recipe = [Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, &[])];
    create_voucher(driver, caller, &mut crate::Recipes::new(&recipe))
}
