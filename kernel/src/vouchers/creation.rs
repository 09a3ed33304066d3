//! The creation of a voucher for a program: from recipes to a send right (vouchers 4.2).

use super::session::Session;
use super::{Client, Vouchers};
use crate::effort::IGNORED;
use crate::ipc::Ipc;
use crate::ipc::right::SendRight;
use crate::limits::{ASKING_EFFORT, RECIPE_EFFORT, RECIPES_EFFORT_MAX};
use crate::machine::NoMemory;
use crate::step::Step;
use abi::code::KERN_RESOURCE_SHORTAGE;
use abi::voucher::{MACH_VOUCHER_ATTR_COPY, MACH_VOUCHER_ATTR_REMOVE};
use abi::{KernReturn, PortName};
use voucher::{Error, NamedRecipes, RECIPE_HEADER_SIZE, RecipeArray};

/// The length of an array of recipes whose effort is ignored, whatever they do.
const FEW_BYTES: usize = RECIPE_HEADER_SIZE * (IGNORED / (ASKING_EFFORT * RECIPE_EFFORT)) as usize;

/// Checks the effort of an array of recipes, all of which are executed in one step, and adds it to the step's.
///
/// # Errors
/// `KERN_RESOURCE_SHORTAGE`.
#[cold]
fn check_effort(step: &mut Step, recipes: &[u8]) -> Result<(), KernReturn> {
    // A malformed recipe ends the creation.
    let efforts = RecipeArray::new(recipes).map_while(Result::ok).map(|recipe| match recipe.command {
        MACH_VOUCHER_ATTR_COPY | MACH_VOUCHER_ATTR_REMOVE => 1,
        _ => ASKING_EFFORT,
    });
    let effort = efforts.sum::<u32>();
    if effort > RECIPES_EFFORT_MAX {
        return Err(KERN_RESOURCE_SHORTAGE);
    }
    if step.effort.add_if_much(effort * RECIPE_EFFORT) {
        step.choose_again();
    }
    Ok(())
}

impl Vouchers {
    /// Creates a voucher from a program's array of recipes: `host_create_mach_voucher` (vouchers 4.2). Returns a send
    /// right to it, or none if no attribute is present.
    ///
    /// # Errors
    /// Those of vouchers 2.4 and 3, and those of the managers; `KERN_RESOURCE_SHORTAGE` if memory or the client's budget
    /// is used up, or the recipes are too much for one step. No voucher has been made then.
    pub fn create(
        &mut self,
        ipc: &mut Ipc,
        step: &mut Step,
        client: &Client,
        recipes: &[u8],
    ) -> Result<Option<SendRight>, KernReturn> {
        if recipes.len() > FEW_BYTES {
            check_effort(step, recipes)?;
        }
        let space = client.space;
        let named = |session: &mut Session<'_>, name| session.ipc.voucher_named(space, PortName(name));
        let mut session = Session { vouchers: self, ipc, step };
        let created = voucher::create_voucher(&mut session, &client.task, &mut NamedRecipes::new(recipes, named));
        // The managers of the kernel answer at once.
        match created.expect_done().map_err(Error::code)? {
            Some(voucher) => {
                let budget = ipc.space(space).budget();
                self.send_right(ipc, step, budget, voucher).map(Some).map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)
            }
            None => Ok(None),
        }
    }
}
