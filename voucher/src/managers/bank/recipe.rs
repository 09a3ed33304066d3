//! What the recipe commands give (vouchers 6.3.4, 6.3.6).

use super::element::{BankElement, BankElementId, Roles};
use super::{Bank, CURRENT_TASK};
use crate::Error;
use crate::manager::{GetValue, Value};
use abi::voucher::*;
use zerocopy::FromBytes;

/// A previous value, understood.
#[derive(Clone, Copy)]
enum Previous {
    CurrentTask,
    Task(BankElementId),
    Account(BankElementId, Roles),
}

/// What a voucher says of the way it has come so far.
struct Provenance {
    holder: BankElementId,
    originator: BankElementId,
    proximate: BankElementId,
    persona: u32,
    group: u64,
}

/// The attribute is absent.
const ABSENT: Value = Value::counted(0);
const CURRENT: Value = Value::persistent(CURRENT_TASK);

impl Bank {
    pub(super) fn value(
        &mut self,
        me: Option<BankElementId>,
        question: &GetValue,
        content: &[u8],
    ) -> Result<Value, Error> {
        match question.command {
            MACH_VOUCHER_ATTR_BANK_CREATE => return Ok(CURRENT),
            MACH_VOUCHER_ATTR_AUTO_REDEEM
            | MACH_VOUCHER_ATTR_SEND_PREPROCESS
            | MACH_VOUCHER_ATTR_REDEEM
            | MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA => {}
            _ => return Err(Error::InvalidArgument),
        }
        let Some(previous) = self.previous(question)? else { return Ok(ABSENT) };
        match (question.command, previous) {
            (MACH_VOUCHER_ATTR_REDEEM, _) => self.redeem(me, previous),
            (MACH_VOUCHER_ATTR_SEND_PREPROCESS, _) => self.preprocess(Self::known(me)?, previous),
            (_, Previous::CurrentTask) => Ok(ABSENT),
            (MACH_VOUCHER_ATTR_AUTO_REDEEM, _) => self.auto_redeem(Self::known(me)?, previous),
            _ => self.modify_persona(Self::known(me)?, previous, content),
        }
    }

    fn known(me: Option<BankElementId>) -> Result<BankElementId, Error> {
        me.ok_or(Error::ResourceShortage)
    }

    fn previous(&self, question: &GetValue) -> Result<Option<Previous>, Error> {
        match question.previous {
            None => Ok(None),
            Some(CURRENT_TASK) => Ok(Some(Previous::CurrentTask)),
            // Only the control's owner can have put in what is neither task nor account.
            Some(handle) => match self.element_of(handle).ok_or(Error::InvalidArgument)? {
                (id, BankElement::Task(_)) => Ok(Some(Previous::Task(id))),
                (id, BankElement::Account(account)) => Ok(Some(Previous::Account(id, *account.roles()))),
            },
        }
    }

    /// What a value says of the way it has come. The value "current task" is `me`.
    fn provenance(&self, me: BankElementId, previous: Previous) -> Provenance {
        let of_task = |id: BankElementId| {
            let task = self.task(id);
            let (persona, group) = (task.persona(), task.identity().group);
            Provenance { holder: id, originator: id, proximate: id, persona, group }
        };
        match previous {
            Previous::CurrentTask => of_task(me),
            Previous::Task(id) => of_task(id),
            Previous::Account(_, Roles { holder, originator, proximate, persona, group, .. }) => {
                Provenance { holder, originator, proximate, persona, group }
            }
        }
    }

    /// Whether a persona and a thread group are the task's own.
    fn are_own(&self, me: BankElementId, persona: u32, group: u64) -> bool {
        let task = self.task(me);
        (persona, group) == (task.persona(), task.identity().group)
    }

    /// `SEND_PREPROCESS`: the voucher says that it came from `me`.
    fn preprocess(&mut self, me: BankElementId, previous: Previous) -> Result<Value, Error> {
        let Provenance { holder, mut originator, mut persona, group, .. } = self.provenance(me, previous);
        if !self.propagates_personas(me) {
            originator = me;
            persona = self.task(me).persona();
        }
        if holder == me && originator == me && self.are_own(me, persona, group) {
            return self.hand_out_task(me).map(Value::counted);
        }
        self.account(Roles { holder, merchant: me, originator, proximate: me, persona, group }).map(Value::counted)
    }

    /// `AUTO_REDEEM`: an account of `me`'s work for whoever sent the voucher.
    fn auto_redeem(&mut self, me: BankElementId, previous: Previous) -> Result<Value, Error> {
        let Provenance { holder, originator, proximate, mut persona, mut group } = self.provenance(me, previous);
        if self.needs_persona_replacement(me) {
            persona = self.task(me).persona();
        }
        // An application does all its work in its own thread group.
        if self.task(me).identity().app {
            group = self.task(me).identity().group;
        }
        if [holder, originator, proximate] == [me; 3] && self.are_own(me, persona, group) {
            return Ok(CURRENT);
        }
        self.account(Roles { holder, merchant: me, originator, proximate, persona, group }).map(Value::counted)
    }

    /// `REDEEM`: only what is `me`'s own.
    fn redeem(&mut self, me: Option<BankElementId>, previous: Previous) -> Result<Value, Error> {
        match previous {
            Previous::CurrentTask => Ok(CURRENT),
            Previous::Task(id) if id == Self::known(me)? => Ok(CURRENT),
            Previous::Account(id, roles) if roles.merchant == Self::known(me)? => {
                self.hand_out_account(id).map(Value::counted)
            }
            Previous::Task(_) | Previous::Account(..) => Err(Error::InvalidCapability),
        }
    }

    /// `BANK_MODIFY_PERSONA`: a task's value with another persona.
    fn modify_persona(&mut self, me: BankElementId, previous: Previous, content: &[u8]) -> Result<Value, Error> {
        if !self.task(me).identity().modify_persona {
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
            return self.hand_out_task(of).map(Value::counted);
        }
        if self.needs_persona_replacement(of) {
            return Err(Error::InvalidArgument);
        }
        let persona = wanted.persona_id;
        let roles = Roles { holder: of, merchant: of, originator: of, proximate: of, persona, group };
        self.account(roles).map(Value::counted)
    }
}
