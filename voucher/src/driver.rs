//! [`Driver`]: who asks the managers what the registry wants to know.

use crate::creation::{Creation, Step};
use crate::manager::{Caller, GetValue, Output, Value};
use crate::recipe::{RawRecipe, Recipe, RecipeArray};
use crate::release::{DeadVoucher, Release, ReleaseValue};
use crate::voucher::{PortBinding, VoucherId};
use crate::{Error, Key, Registry};
use core::task::Poll;

/// Has a registry and can ask managers. [`Vouchers`](crate::Vouchers) is one; a kernel whose managers live in user space
/// is another.
///
/// No call to a manager is made while the registry is borrowed, so a manager may do whatever its driver lets it do.
pub trait Driver {
    /// The registry.
    fn registry(&mut self) -> &mut Registry;

    /// The registry, to look at.
    fn registry_ref(&self) -> &Registry;

    /// Asks the key's manager for a value.
    ///
    /// # Errors
    /// The manager's.
    fn get_value(&mut self, caller: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>>;

    /// Asks the key's manager to give up a value.
    ///
    /// # Errors
    /// The manager's: it keeps the value.
    fn release_value(&mut self, question: &ReleaseValue) -> Poll<Result<(), Error>>;

    /// Asks the key's manager what a value stands for.
    ///
    /// # Errors
    /// The manager's.
    fn extract_content(&mut self, caller: &Caller, key: Key, handle: u64, out: &mut Output<'_>) -> Result<u32, Error>;

    /// Lets the key's manager execute a command.
    ///
    /// # Errors
    /// The manager's.
    fn command(
        &mut self,
        caller: &Caller,
        key: Key,
        handle: Option<u64>,
        command: u32,
        input: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), Error>;

    /// A voucher died. Its port, if it had one, is without a purpose.
    fn voucher_died(&mut self, _id: VoucherId, _port: Option<PortBinding>) {}

    /// A key's control has gone: its manager is told, and the key is free again.
    fn unregistered(&mut self, _key: Key) {}
}

/// Says which controls have gone.
#[inline]
pub(crate) fn tell_unregistered<D: Driver + ?Sized>(driver: &mut D) {
    while let Some(key) = driver.registry().take_unregistered() {
        driver.unregistered(key);
    }
}

/// Gives up a reference to the control of a key that has one, and returns how many are left. With the last one the key is
/// free again.
pub fn release_control<D: Driver + ?Sized>(driver: &mut D, key: Key) -> u64 {
    let left = driver.registry().release_control(key);
    tell_unregistered(driver);
    left
}

/// Where the recipes of a creation come from.
pub trait RecipeSource<D: ?Sized> {
    /// The next recipe; `None` after the last.
    ///
    /// # Errors
    /// If it is malformed, or its previous voucher is none.
    fn next(&mut self, driver: &mut D) -> Option<Result<Recipe<'_>, Error>>;

    /// The content of the recipe that was returned last.
    fn content(&self) -> &[u8];
}

/// Recipes from inside the kernel.
#[derive(Clone, Debug)]
pub struct Recipes<'a> {
    rest: core::slice::Iter<'a, Recipe<'a>>,
    content: &'a [u8],
}

impl<'a> Recipes<'a> {
    /// These recipes in this order.
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

/// Recipes from a program's array. `resolve` says which voucher a name denotes in the caller's space; it is asked when
/// the recipe's turn comes (vouchers 2.4).
#[derive(Clone, Debug)]
pub struct NamedRecipes<'a, F> {
    array: RecipeArray<'a>,
    resolve: F,
    content: &'a [u8],
}

impl<'a, F> NamedRecipes<'a, F> {
    /// The recipes in `bytes`.
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

/// Carries a creation on: to its end, or until a manager does not answer at once. Then the creation and the source of its
/// recipes are kept; when the answer is there it is [said](Creation::value) and this is called again.
///
/// # Errors
/// Those of vouchers 2.4 and 3, and the managers'. There is no voucher then, and all references are given up.
#[inline]
pub fn run<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    creation: &mut Creation,
    source: &mut impl RecipeSource<D>,
) -> Poll<Result<Option<VoucherId>, Error>> {
    let step = creation.step(driver.registry());
    go_on(driver, caller, creation, step, source)
}

#[inline(always)]
fn go_on<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    creation: &mut Creation,
    mut step: Step,
    source: &mut impl RecipeSource<D>,
) -> Poll<Result<Option<VoucherId>, Error>> {
    let result = loop {
        step = match step {
            Step::NextRecipe => match source.next(driver) {
                Some(Ok(recipe)) => creation.execute(driver.registry(), &recipe),
                Some(Err(error)) => creation.fail(driver.registry(), error),
                None => creation.finish(driver.registry()),
            },
            Step::GetValue(ref question) => match driver.get_value(caller, question, source.content()) {
                Poll::Ready(answer) => creation.value(driver.registry(), answer),
                Poll::Pending => break Poll::Pending,
            },
            Step::ReleaseValue(ref question) => match driver.release_value(question) {
                Poll::Ready(answer) => creation.released(driver.registry(), answer.is_ok()),
                Poll::Pending => break Poll::Pending,
            },
            Step::Died(id, port) => {
                driver.voucher_died(id, port);
                creation.step(driver.registry())
            }
            Step::Done(Ok(voucher)) => break Poll::Ready(Ok(voucher)),
            Step::Done(Err(error)) => break Poll::Ready(Err(error)),
        }
    };
    // Whether it is over or waits: until its manager is told, a key that is free may not be registered again.
    tell_unregistered(driver);
    result
}

/// What came of a creation.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It is over: a voucher with a reference for the caller, none, or an error.
    Done(Result<Option<VoucherId>, Error>),
    /// A manager has not answered yet: the creation goes on with [`run`] when it has.
    Waiting(Creation),
}

impl Outcome {
    /// The result, of a creation for which all managers answer at once.
    ///
    /// # Panics
    /// If one did not.
    #[track_caller]
    pub fn done(self) -> Result<Option<VoucherId>, Error> {
        match self {
            Outcome::Done(result) => result,
            Outcome::Waiting(creation) => panic!("a manager has not answered: {creation:?}"),
        }
    }
}

/// Creates a voucher: `host_create_mach_voucher` and its in-kernel form (vouchers 4.2).
pub fn create<D: Driver + ?Sized>(driver: &mut D, caller: &Caller, source: &mut impl RecipeSource<D>) -> Outcome {
    begin(driver, caller, Creation::new(), source)
}

/// Creates a voucher with the privilege of a key's control: `mach_voucher_attr_control_create_mach_voucher`
/// (vouchers 4.8). Without a control the result is [`Error::InvalidCapability`].
pub fn create_through<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    control: Option<Key>,
    source: &mut impl RecipeSource<D>,
) -> Outcome {
    match Creation::through(driver.registry(), control) {
        Ok(creation) => begin(driver, caller, creation, source),
        Err(error) => Outcome::Done(Err(error)),
    }
}

#[inline]
fn begin<D: Driver + ?Sized>(
    driver: &mut D,
    caller: &Caller,
    mut creation: Creation,
    source: &mut impl RecipeSource<D>,
) -> Outcome {
    // A creation begins with its first recipe.
    match go_on(driver, caller, &mut creation, Step::NextRecipe, source) {
        Poll::Ready(Ok(voucher)) => Outcome::Done(Ok(voucher)),
        Poll::Ready(Err(error)) => Outcome::Done(Err(error)),
        Poll::Pending => Outcome::Waiting(creation),
    }
}

/// Gives up a reference to a living voucher. If a manager has to be asked and does not answer at once, what is left to
/// do is returned, for [`finish_release`].
#[inline]
#[must_use]
pub fn release<D: Driver + ?Sized>(driver: &mut D, id: VoucherId) -> Option<Release> {
    match driver.registry().release(id) {
        Some(dead) => bury(driver, dead),
        None => None,
    }
}

/// Gives up what a dead voucher held.
#[inline(always)]
#[must_use]
pub fn bury<D: Driver + ?Sized>(driver: &mut D, mut dead: DeadVoucher) -> Option<Release> {
    driver.voucher_died(dead.id, dead.port);
    match finish_release(driver, &mut dead.values) {
        Poll::Ready(()) => None,
        Poll::Pending => Some(dead.values),
    }
}

/// Carries a release on: to its end, or until a manager does not answer at once.
#[inline]
pub fn finish_release<D: Driver + ?Sized>(driver: &mut D, values: &mut Release) -> Poll<()> {
    let mut result = Poll::Ready(());
    while let Some(question) = values.next(driver.registry()) {
        match driver.release_value(&question) {
            Poll::Ready(answer) => values.answer(driver.registry(), answer.is_ok()),
            Poll::Pending => {
                result = Poll::Pending;
                break;
            }
        }
    }
    tell_unregistered(driver);
    result
}
