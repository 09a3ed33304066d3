//! [`Driver`]: carries the registry's requests to the managers, and the calls that need a driver.

use crate::creation::{Creation, CreationStep};
use crate::manager::{AttributeManager, CallingTask, CommandRequest, ManagerValue, OutBuffer, ValueRequest};
use crate::recipe::{RawRecipe, Recipe, RecipeArray};
use crate::release::{DeadVoucher, Release, ReleaseRequest};
use crate::voucher::{PortBinding, VoucherId};
use crate::{Error, Key, Registry};
use core::task::Poll;

/// A registry together with its managers. [`Vouchers`](crate::Vouchers) is a driver; a kernel with managers in user
/// space is another.
///
/// The calls of this crate ask a manager only through the driver and never while the registry is borrowed, so the
/// driver may itself use the registry in between. The methods that ask have default implementations, which pass the
/// request to [`manager`](Driver::manager). A driver can override them to observe a request, or to answer it by other
/// means.
pub trait Driver {
    /// Returns the registry.
    fn registry(&mut self) -> &mut Registry;

    /// Returns the registry for reading.
    fn registry_ref(&self) -> &Registry;

    /// Returns the manager of a registered key.
    fn manager(&mut self, key: Key) -> &mut dyn AttributeManager;

    /// Asks the key's manager for a value.
    ///
    /// # Errors
    /// Those of the manager.
    #[inline]
    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        self.manager(request.key).get_value(caller, request, content)
    }

    /// Asks the key's manager to release a value.
    ///
    /// # Errors
    /// Those of the manager, which then keeps the value.
    #[inline]
    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        self.manager(request.key).release_value(request)
    }

    /// Asks the key's manager for the content of a value.
    ///
    /// # Errors
    /// Those of the manager.
    fn extract_content(
        &mut self,
        caller: &CallingTask,
        key: Key,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        self.manager(key).extract_content(caller, key, handle, out)
    }

    /// Asks the key's manager to execute a command.
    ///
    /// # Errors
    /// Those of the manager.
    fn command(
        &mut self,
        caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        self.manager(request.key).command(caller, request, out)
    }

    /// Reports the death of a voucher. Its port, if it had one, must be destroyed.
    fn voucher_died(&mut self, _id: VoucherId, _port: Option<PortBinding>) {}

    /// Tells the manager of a key that the key's control is gone. The key can be registered again.
    fn unregistered(&mut self, key: Key) {
        self.manager(key).release();
    }
}

/// Reports all controls that are gone.
#[inline]
pub(crate) fn report_unregistered<D: Driver + ?Sized>(driver: &mut D) {
    while let Some(key) = driver.registry().take_unregistered() {
        driver.unregistered(key);
    }
}

/// Releases a reference to a key's control, which must exist, and returns the number of references left. With the last
/// reference the key becomes free.
pub fn release_control<D: Driver + ?Sized>(driver: &mut D, key: Key) -> u64 {
    let left = driver.registry().release_control(key);
    report_unregistered(driver);
    left
}

/// The source of a creation's recipes.
pub trait RecipeSource<D: ?Sized> {
    /// Returns the next recipe, or `None` after the last.
    ///
    /// # Errors
    /// If the recipe is malformed, or the name of its previous voucher denotes no voucher.
    fn next(&mut self, driver: &mut D) -> Option<Result<Recipe<'_>, Error>>;

    /// Returns the content of the last recipe that [`next`](RecipeSource::next) returned.
    fn content(&self) -> &[u8];
}

/// Recipes from code inside the kernel.
#[derive(Clone, Debug)]
pub struct Recipes<'a> {
    rest: core::slice::Iter<'a, Recipe<'a>>,
    content: &'a [u8],
}

impl<'a> Recipes<'a> {
    /// Returns a source of these recipes.
    pub fn new(recipes: &'a [Recipe<'a>]) -> Self {
        Recipes { rest: recipes.iter(), content: &[] }
    }
}

impl<D: ?Sized> RecipeSource<D> for Recipes<'_> {
    #[inline]
    fn next(&mut self, _driver: &mut D) -> Option<Result<Recipe<'_>, Error>> {
        let recipe = self.rest.next()?;
        self.content = recipe.content;
        Some(Ok(*recipe))
    }

    #[inline]
    fn content(&self) -> &[u8] {
        self.content
    }
}

/// Recipes from a program's array. `resolve` returns the voucher that a name denotes in the caller's space; it is
/// called when the recipe's turn comes (vouchers 2.4).
#[derive(Clone, Debug)]
pub struct NamedRecipes<'a, F> {
    array: RecipeArray<'a>,
    resolve: F,
    content: &'a [u8],
}

impl<'a, F> NamedRecipes<'a, F> {
    /// Returns a source of the recipes in `bytes`.
    pub const fn new(bytes: &'a [u8], resolve: F) -> Self {
        NamedRecipes { array: RecipeArray::new(bytes), resolve, content: &[] }
    }
}

impl<D: ?Sized, F: FnMut(&mut D, u32) -> Option<VoucherId>> RecipeSource<D> for NamedRecipes<'_, F> {
    fn next(&mut self, driver: &mut D) -> Option<Result<Recipe<'_>, Error>> {
        let recipe: RawRecipe<'_> = match self.array.next()? {
            Ok(recipe) => recipe,
            Err(error) => return Some(Err(error)),
        };
        self.content = recipe.content;
        let previous = if recipe.previous == 0 { None } else { (self.resolve)(driver, recipe.previous) };
        Some(recipe.resolve(previous))
    }

    fn content(&self) -> &[u8] {
        self.content
    }
}

/// Continues a creation until it is finished or a manager has to be waited for.
///
/// On [`Poll::Pending`] the caller keeps the creation and the source of its recipes. When the manager's answer arrives,
/// the caller passes it to [`Creation::answer_value`] or [`Creation::answer_release`] and calls this function again.
///
/// # Errors
/// Those of vouchers 2.4 and 3, and those of the managers. There is no voucher then, and all references are released.
#[inline]
pub fn continue_creation<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    creation: &mut Creation,
    source: &mut impl RecipeSource<D>,
) -> Poll<Result<Option<VoucherId>, Error>> {
    let step = creation.step(driver.registry());
    take_steps(driver, caller, creation, step, source)
}

#[inline(always)]
fn take_steps<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    creation: &mut Creation,
    mut step: CreationStep,
    source: &mut impl RecipeSource<D>,
) -> Poll<Result<Option<VoucherId>, Error>> {
    let result = loop {
        step = match step {
            CreationStep::NextRecipe => match source.next(driver) {
                Some(Ok(recipe)) => creation.execute(driver.registry(), &recipe),
                Some(Err(error)) => creation.reject_recipe(driver.registry(), error),
                None => creation.finish(driver.registry()),
            },
            CreationStep::GetValue(ref request) => match driver.get_value(caller, request, source.content()) {
                Poll::Ready(answer) => creation.answer_value(driver.registry(), answer),
                Poll::Pending => break Poll::Pending,
            },
            CreationStep::ReleaseValue(ref request) => match driver.release_value(request) {
                Poll::Ready(answer) => creation.answer_release(driver.registry(), answer.is_ok()),
                Poll::Pending => break Poll::Pending,
            },
            CreationStep::Died(id, port) => {
                driver.voucher_died(id, port);
                creation.step(driver.registry())
            }
            CreationStep::Done(Ok(voucher)) => break Poll::Ready(Ok(voucher)),
            CreationStep::Done(Err(error)) => break Poll::Ready(Err(error)),
        }
    };
    // Also while the creation waits: a key must not be registered again before its old manager is told.
    report_unregistered(driver);
    result
}

/// The outcome of the first part of a creation.
#[derive(Debug)]
#[must_use]
pub enum CreationOutcome {
    /// The creation is finished: a voucher with a reference for the caller, or `None`, or an error.
    Done(Result<Option<VoucherId>, Error>),
    /// A manager has not answered yet. [`continue_creation`] continues when the answer is there.
    Waiting(Creation),
}

impl CreationOutcome {
    /// Returns the result of a creation for which every manager answers at once.
    ///
    /// # Panics
    /// If a manager has not answered.
    #[track_caller]
    pub fn expect_done(self) -> Result<Option<VoucherId>, Error> {
        match self {
            CreationOutcome::Done(result) => result,
            CreationOutcome::Waiting(creation) => panic!("a manager has not answered: {creation:?}"),
        }
    }
}

/// Creates a voucher: `host_create_mach_voucher` and its in-kernel form (vouchers 4.2).
pub fn create_voucher<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    source: &mut impl RecipeSource<D>,
) -> CreationOutcome {
    begin(driver, caller, Creation::new(), source)
}

/// Creates a voucher with the privilege of a key's control: `mach_voucher_attr_control_create_mach_voucher`
/// (vouchers 4.8). Without a control the result is [`Error::InvalidCapability`].
pub fn create_voucher_with_control<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    control: Option<Key>,
    source: &mut impl RecipeSource<D>,
) -> CreationOutcome {
    match Creation::with_control(driver.registry(), control) {
        Ok(creation) => begin(driver, caller, creation, source),
        Err(error) => CreationOutcome::Done(Err(error)),
    }
}

#[inline]
fn begin<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &CallingTask,
    mut creation: Creation,
    source: &mut impl RecipeSource<D>,
) -> CreationOutcome {
    // The first step of a creation is its first recipe.
    match take_steps(driver, caller, &mut creation, CreationStep::NextRecipe, source) {
        Poll::Ready(Ok(voucher)) => CreationOutcome::Done(Ok(voucher)),
        Poll::Ready(Err(error)) => CreationOutcome::Done(Err(error)),
        Poll::Pending => CreationOutcome::Waiting(creation),
    }
}

/// Releases a reference to a live voucher. If a manager has to be waited for, returns the rest of the work, for
/// [`continue_release`].
#[inline]
#[must_use]
pub fn release_voucher<D: Driver + ?Sized>(driver: &mut D, id: VoucherId) -> Option<Release> {
    match driver.registry().release(id) {
        Some(dead) => destroy_voucher(driver, dead),
        None => None,
    }
}

/// Destroys a dead voucher: reports its death and releases its values. If a manager has to be waited for, returns the
/// rest of the work, for [`continue_release`].
#[inline(always)]
#[must_use]
pub fn destroy_voucher<D: Driver + ?Sized>(driver: &mut D, mut dead: DeadVoucher) -> Option<Release> {
    driver.voucher_died(dead.id, dead.port);
    match continue_release(driver, &mut dead.values) {
        Poll::Ready(()) => None,
        Poll::Pending => Some(dead.values),
    }
}

/// Continues a release until it is finished or a manager has to be waited for. When the manager's answer arrives, the
/// caller passes it to [`Release::answer`] and calls this function again.
#[inline]
pub fn continue_release<D: Driver + ?Sized>(driver: &mut D, values: &mut Release) -> Poll<()> {
    let mut result = Poll::Ready(());
    while let Some(request) = values.next(driver.registry()) {
        match driver.release_value(&request) {
            Poll::Ready(answer) => values.answer(driver.registry(), answer.is_ok()),
            Poll::Pending => {
                result = Poll::Pending;
                break;
            }
        }
    }
    report_unregistered(driver);
    result
}
