//! The recipe commands of the bank (vouchers 6.3.4, 6.3.6).

use super::element::{BankElement, BankElementId, Roles};
use super::{Bank, CURRENT_TASK};
use crate::Error;
use crate::manager::{ManagerValue, ValueRequest};
use abi::voucher::*;
use zerocopy::FromBytes;

/// A decoded previous value.
#[derive(Clone, Copy)]
enum Previous {
    CurrentTask,
    Task(BankElementId),
    Account(BankElementId, Roles),
}

/// The tasks through which a voucher has come, with its persona and thread group.
struct Provenance {
    holder: BankElementId,
    originator: BankElementId,
    proximate: BankElementId,
    persona: u32,
    group: u64,
}

/// The value for an absent attribute.
const ABSENT: ManagerValue = ManagerValue::counted(0);
/// The value "current task".
const CURRENT: ManagerValue = ManagerValue::persistent(CURRENT_TASK);

impl Bank {
    /// Returns the value that a recipe requests.
    pub(super) fn value_for(
        &mut self,
        caller: Option<BankElementId>,
        request: &ValueRequest,
        content: &[u8],
    ) -> Result<ManagerValue, Error> {
        match request.command {
            MACH_VOUCHER_ATTR_BANK_CREATE => return Ok(CURRENT),
            MACH_VOUCHER_ATTR_AUTO_REDEEM
            | MACH_VOUCHER_ATTR_SEND_PREPROCESS
            | MACH_VOUCHER_ATTR_REDEEM
            | MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA => {}
            _ => return Err(Error::InvalidArgument),
        }
        let Some(previous) = self.decode_previous(request)? else { return Ok(ABSENT) };
        match (request.command, previous) {
            (MACH_VOUCHER_ATTR_REDEEM, _) => self.redeem(caller, previous),
            (MACH_VOUCHER_ATTR_SEND_PREPROCESS, _) => self.preprocess(Self::known(caller)?, previous),
            (_, Previous::CurrentTask) => Ok(ABSENT),
            (MACH_VOUCHER_ATTR_AUTO_REDEEM, _) => self.auto_redeem(Self::known(caller)?, previous),
            _ => self.modify_persona(Self::known(caller)?, previous, content),
        }
    }

    /// Returns the calling task, which must be known to the bank.
    fn known(caller: Option<BankElementId>) -> Result<BankElementId, Error> {
        caller.ok_or(Error::ResourceShortage)
    }

    /// Decodes the previous value of a request.
    fn decode_previous(&self, request: &ValueRequest) -> Result<Option<Previous>, Error> {
        match request.previous {
            None => Ok(None),
            Some(CURRENT_TASK) => Ok(Some(Previous::CurrentTask)),
            // Only the owner of the control can have stored another handle.
            Some(handle) => match self.element_of(handle).ok_or(Error::InvalidArgument)? {
                (id, BankElement::Task(_)) => Ok(Some(Previous::Task(id))),
                (id, BankElement::Account(account)) => Ok(Some(Previous::Account(id, *account.roles()))),
            },
        }
    }

    /// Returns the provenance of a value. The value "current task" stands for `caller`.
    fn provenance(&self, caller: BankElementId, previous: Previous) -> Provenance {
        let of_task = |id: BankElementId| {
            let task = self.task(id);
            let (persona, group) = (task.persona(), task.identity().group);
            Provenance { holder: id, originator: id, proximate: id, persona, group }
        };
        match previous {
            Previous::CurrentTask => of_task(caller),
            Previous::Task(id) => of_task(id),
            Previous::Account(_, Roles { holder, originator, proximate, persona, group, .. }) => {
                Provenance { holder, originator, proximate, persona, group }
            }
        }
    }

    /// Returns true if a persona and a thread group are those of the task.
    fn are_own(&self, caller: BankElementId, persona: u32, group: u64) -> bool {
        let task = self.task(caller);
        (persona, group) == (task.persona(), task.identity().group)
    }

    /// Executes `SEND_PREPROCESS`: `caller` becomes the task that the voucher comes from.
    fn preprocess(&mut self, caller: BankElementId, previous: Previous) -> Result<ManagerValue, Error> {
        let Provenance { holder, mut originator, mut persona, group, .. } = self.provenance(caller, previous);
        if !self.propagates_personas(caller) {
            originator = caller;
            persona = self.task(caller).persona();
        }
        if holder == caller && originator == caller && self.are_own(caller, persona, group) {
            return self.hand_out_task(caller).map(ManagerValue::counted);
        }
        self.account_for(Roles { holder, merchant: caller, originator, proximate: caller, persona, group })
            .map(ManagerValue::counted)
    }

    /// Executes `AUTO_REDEEM`: the value becomes an account of the work of `caller` for the voucher's holder.
    fn auto_redeem(&mut self, caller: BankElementId, previous: Previous) -> Result<ManagerValue, Error> {
        let Provenance { holder, originator, proximate, mut persona, mut group } = self.provenance(caller, previous);
        if self.needs_persona_replacement(caller) {
            persona = self.task(caller).persona();
        }
        // An application does all work in its own thread group.
        if self.task(caller).identity().app {
            group = self.task(caller).identity().group;
        }
        if [holder, originator, proximate] == [caller; 3] && self.are_own(caller, persona, group) {
            return Ok(CURRENT);
        }
        self.account_for(Roles { holder, merchant: caller, originator, proximate, persona, group })
            .map(ManagerValue::counted)
    }

    /// Executes `REDEEM`, which accepts only values of `caller` itself.
    fn redeem(&mut self, caller: Option<BankElementId>, previous: Previous) -> Result<ManagerValue, Error> {
        match previous {
            Previous::CurrentTask => Ok(CURRENT),
            Previous::Task(id) if id == Self::known(caller)? => Ok(CURRENT),
            Previous::Account(id, roles) if roles.merchant == Self::known(caller)? => {
                self.hand_out_account(id).map(ManagerValue::counted)
            }
            Previous::Task(_) | Previous::Account(..) => Err(Error::InvalidCapability),
        }
    }

    /// Executes `BANK_MODIFY_PERSONA`: the value of a task gets another persona.
    fn modify_persona(
        &mut self,
        caller: BankElementId,
        previous: Previous,
        content: &[u8],
    ) -> Result<ManagerValue, Error> {
        if !self.task(caller).identity().modify_persona {
            return Err(Error::NoAccess);
        }
        let wanted = PersonaModifyInfo::read_from_bytes(content).map_err(|_| Error::InvalidArgument)?;
        if !self.personas().exists(wanted.persona_id) {
            return Err(Error::InvalidArgument);
        }
        let Previous::Task(of) = previous else { return Err(Error::InvalidArgument) };
        let task = self.task(of);
        let (persona, group) = (task.persona(), task.identity().group);
        if task.identity().info.unique_pid != wanted.unique_pid {
            return Err(Error::InvalidCapability);
        }
        if persona == wanted.persona_id {
            return self.hand_out_task(of).map(ManagerValue::counted);
        }
        if self.needs_persona_replacement(of) {
            return Err(Error::InvalidArgument);
        }
        let persona = wanted.persona_id;
        let roles = Roles { holder: of, merchant: of, originator: of, proximate: of, persona, group };
        self.account_for(roles).map(ManagerValue::counted)
    }
}
