//! [`Bank`]: for whom work is done, and who pays (vouchers 6.3).
//!
//! A value is a *task*, or an *account*: work that one task, the merchant, does for another, the holder, who pays. The
//! value "current task" stands for whoever asks. When a program sends a message with a voucher, the kernel replaces
//! "current task" by the sender's task ("send pre-processing"); when another receives it, the kernel opens an account
//! between the two ("auto-redeem"). What the receiver's threads do while they have adopted that voucher is billed
//! through the account: it stands to the holder's name as billed, to the merchant's as serviced.
//!
//! | file | what |
//! |---|---|
//! | `element.rs` | tasks and accounts, their references, how accounts are found |
//! | `persona.rs` | which personas there are, and who keeps a voucher's persona |
//! | `recipe.rs` | what the recipe commands give |
//! | `report.rs` | what extraction and commands tell |
//! | `billing.rs` | adoption, bills and balances |

mod billing;
mod element;
mod persona;
mod recipe;
mod report;

pub use billing::{Adoption, Balance, Bill, ThreadBill, Usage};
pub use element::{Account, BankElement, BankElementId, BankTask, Roles, TaskIdentity};
pub use persona::Personas;

use crate::control::{Handles, Processing, Registration};
use crate::manager::{AttributeManager, Caller, GetValue, Output, Value};
use crate::{Error, Key, ReleaseValue};
use core::task::Poll;
use foldhash::fast::FixedState;
use store::{Arena, LinearIndex};

/// The handle of the persistent value "current task".
pub const CURRENT_TASK: u64 = 1;

/// Which of the reference's build and boot settings apply.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `unique_persona`: a receiver's persona replaces that of a voucher it redeems, unless the receiver may keep it.
    pub unique_persona: bool,
    /// `disable_persona_propagate_check`: every task may pass personas on, if it has not asked not to.
    pub propagate_for_all: bool,
    /// Whether the thread group is a role of an account beside the five others; otherwise all groups are the same.
    pub thread_groups: bool,
}

impl Default for Settings {
    /// Those of profile X (vouchers 0.4).
    fn default() -> Self {
        Settings { unique_persona: true, propagate_for_all: false, thread_groups: false }
    }
}

/// The manager of tasks and accounts.
#[derive(Debug)]
pub struct Bank {
    elements: Arena<BankElement>,
    /// The accounts among the elements, by their roles.
    accounts: LinearIndex,
    hasher: FixedState,
    settings: Settings,
    personas: Personas,
}

impl Bank {
    /// A bank without tasks. `seed` should be hard to guess.
    pub fn new(seed: u64, settings: Settings) -> Self {
        Bank {
            elements: Arena::new(),
            accounts: LinearIndex::new(),
            hasher: FixedState::with_seed(seed),
            settings,
            personas: Personas::new(seed),
        }
    }

    /// The personas that there are.
    pub const fn personas(&self) -> &Personas {
        &self.personas
    }

    /// The personas that there are, to change.
    pub const fn personas_mut(&mut self) -> &mut Personas {
        &mut self.personas
    }
}

impl AttributeManager for Bank {
    fn registration(&self) -> Registration {
        let processing = Processing { send: true, receive: true };
        Registration { handles: Handles::Ids, processing, ..Registration::default() }
    }

    fn get_value(&mut self, caller: &Caller, question: &GetValue, content: &[u8]) -> Poll<Result<Value, Error>> {
        Poll::Ready(self.value(caller.bank, question, content))
    }

    fn release_value(&mut self, question: &ReleaseValue) -> Poll<Result<(), Error>> {
        Poll::Ready(self.give_up(question.handle, question.sync))
    }

    fn extract_content(&mut self, caller: &Caller, _key: Key, handle: u64, out: &mut Output<'_>) -> Result<u32, Error> {
        self.describe(caller.bank, handle, out)
    }

    fn command(
        &mut self,
        caller: &Caller,
        _key: Key,
        handle: Option<u64>,
        command: u32,
        _input: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), Error> {
        self.execute(caller.bank, handle, command, out)
    }
}
