//! [`Bank`]: the manager of tasks and accounts (vouchers 6.3).
//!
//! A value is a *task*, or an *account* of the work that one task, the merchant, does for another, the holder, which
//! pays. The value "current task" stands for the calling task. When a program sends a message with a voucher, the
//! kernel replaces "current task" by the sender's task ("send pre-processing"). When another program receives the
//! message, the kernel opens an account between the two tasks ("auto-redeem"). While a thread of the receiver has
//! adopted that voucher, its work is charged to the account: it is added to the holder's billed and to the merchant's
//! serviced usage.
//!
//! | file | content |
//! |---|---|
//! | `element.rs` | tasks and accounts, their references, the index of accounts |
//! | `persona.rs` | the personas, and the rules by which a voucher keeps its persona |
//! | `recipe.rs` | the recipe commands |
//! | `report.rs` | extraction and the manager's commands |
//! | `billing.rs` | adoption, bills and balances |

mod billing;
mod element;
mod persona;
mod recipe;
mod report;

pub use billing::{Adoption, Balance, Bill, ThreadBill, Usage};
pub use element::{Account, BankElement, BankElementId, BankTask, Roles, TaskIdentity};
pub use persona::Personas;

use crate::control::{HandleKind, Processing, Registration};
use crate::manager::{AttributeManager, CallingTask, CommandRequest, ManagerValue, OutBuffer, ValueRequest};
use crate::{Error, Key, ReleaseRequest};
use core::task::Poll;
use foldhash::fast::FixedState;
use store::{Compaction, LinearIndex, NoMemory, Singles};

/// The handle of the persistent value "current task".
pub const CURRENT_TASK: u64 = 1;

/// The build and boot settings of the reference that concern the bank.
#[derive(Clone, Copy, Debug)]
pub struct BankSettings {
    /// `unique_persona`: the persona of a task replaces that of a voucher which the task redeems, unless the task may
    /// keep the voucher's persona.
    pub unique_persona: bool,
    /// `disable_persona_propagate_check`: every task passes personas on unless it has opted out.
    pub propagate_for_all: bool,
    /// True if the thread group is one of the roles of an account; otherwise all groups are the same.
    pub thread_groups: bool,
}

impl Default for BankSettings {
    /// Returns the settings of profile X (vouchers 0.4).
    fn default() -> Self {
        BankSettings { unique_persona: true, propagate_for_all: false, thread_groups: false }
    }
}

/// The manager of tasks and accounts.
#[derive(Debug)]
pub struct Bank {
    elements: Singles<BankElement>,
    /// The index of the accounts by their roles.
    accounts: LinearIndex,
    hasher: FixedState,
    settings: BankSettings,
    personas: Personas,
}

impl Bank {
    /// Returns a bank without tasks. `seed` should be hard to guess.
    pub fn new(seed: u64, settings: BankSettings) -> Self {
        Bank {
            elements: Singles::new(),
            accounts: LinearIndex::new(),
            hasher: FixedState::with_seed(seed),
            settings,
            personas: Personas::new(seed),
        }
    }

    /// Makes room for the addresses of so many elements, which is never given back. Until there are more, growth of the
    /// table moves nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out; nothing has changed.
    pub fn set_places(&mut self, elements: usize) -> Result<(), NoMemory> {
        self.elements.set_places(elements)
    }

    /// Gives back what the table does not need any more, up to a bound, and returns true if there is more.
    pub fn trim(&mut self) -> bool {
        self.accounts.trim(&mut self.elements) || self.elements.trim()
    }

    /// Goes on with a round of compaction.
    pub fn compact(&mut self, compaction: &mut Compaction) {
        self.elements.compact(compaction, |_, _| {});
    }

    /// Returns the personas.
    pub const fn personas(&self) -> &Personas {
        &self.personas
    }

    /// Returns the personas for changes.
    pub const fn personas_mut(&mut self) -> &mut Personas {
        &mut self.personas
    }
}

impl AttributeManager for Bank {
    fn registration(&self) -> Registration {
        let processing = Processing { send: true, receive: true };
        Registration { handles: HandleKind::Ids, processing, ..Registration::default() }
    }

    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        Poll::Ready(self.value_for(caller.bank, request, content))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        Poll::Ready(self.release_handle(request.handle, request.sync))
    }

    fn extract_content(
        &mut self,
        caller: &CallingTask,
        _: Key,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        self.describe(caller.bank, handle, out)
    }

    fn command(
        &mut self,
        caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        self.execute(caller.bank, request, out)
    }
}
