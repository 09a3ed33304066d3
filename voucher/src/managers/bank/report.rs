//! Extraction and the commands of the bank (vouchers 6.3.7, 6.3.8).

use super::element::{BankElement, BankElementId, BankTask};
use super::{Bank, CURRENT_TASK};
use crate::Error;
use crate::manager::{CommandRequest, OutBuffer};
use abi::voucher::*;
use core::fmt::{self, Write};
use zerocopy::IntoBytes;

/// A writer of text into a buffer.
struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

impl Bank {
    /// Returns the task or account of a value. The value "current task" stands for `caller`.
    fn resolve(&self, caller: Option<BankElementId>, handle: u64) -> Result<&BankElement, Error> {
        if handle == CURRENT_TASK {
            return caller.and_then(|caller| self.element(caller)).ok_or(Error::ResourceShortage);
        }
        self.element_of(handle).map(|(_, element)| element).ok_or(Error::InvalidArgument)
    }

    /// Writes a description of a value as text. The buffer must have a certain capacity however short the text is
    /// (quirk Q09), but with an empty buffer this succeeds without a result (Q06).
    pub(super) fn describe(
        &self,
        caller: Option<BankElementId>,
        handle: u64,
        out: &mut OutBuffer<'_>,
    ) -> Result<u32, Error> {
        if out.capacity() == 0 {
            return Ok(MACH_VOUCHER_ATTR_NOOP);
        }
        out.clear();
        if out.capacity() < MACH_VOUCHER_BANK_CONTENT_SIZE {
            return Err(Error::NoSpace);
        }
        let element = self.resolve(caller, handle)?;
        let mut text = Text { bytes: out.bytes_mut(), len: 0 };
        self.write_text(element, &mut text).map_err(|_| Error::NoSpace)?;
        let len = text.len;
        out.claim(len);
        Ok(MACH_VOUCHER_ATTR_BANK_NULL)
    }

    /// Writes the description of a task or account, ended by a zero byte.
    fn write_text(&self, element: &BankElement, text: &mut Text<'_>) -> fmt::Result {
        let pid = |task: &BankTask| task.identity().info.pid;
        match element {
            BankElement::Task(task) => writeln!(text, " Bank Context for a pid {}", pid(task))?,
            BankElement::Account(account) => {
                let roles = account.roles();
                let proximate = self.task(roles.proximate);
                writeln!(
                    text,
                    " Bank Account linking holder pid {} with merchant pid {}, \
                     originator PID/persona: {}, {} and proximate PID/persona: {}, {}",
                    pid(self.task(roles.holder)),
                    pid(self.task(roles.merchant)),
                    pid(self.task(roles.originator)),
                    roles.persona,
                    pid(proximate),
                    proximate.persona(),
                )?;
            }
        }
        text.write_char('\0')
    }

    /// Executes a command. The capacity of the buffer is checked before anything else.
    pub(super) fn execute(
        &self,
        caller: Option<BankElementId>,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        let CommandRequest { handle, command, .. } = *request;
        let size = match command {
            BANK_ORIGINATOR_PID | BANK_PERSONA_ID | BANK_PERSONA_ADOPT_ANY => size_of::<u32>(),
            BANK_PERSONA_TOKEN => size_of::<PersonaToken>(),
            _ => return Err(Error::InvalidArgument),
        };
        out.clear();
        if out.capacity() < size {
            return Err(Error::NoSpace);
        }
        if command == BANK_PERSONA_ADOPT_ANY {
            let caller = caller.ok_or(Error::ResourceShortage)?;
            return out.put(&u32::from(!self.needs_persona_replacement(caller)).to_le_bytes());
        }
        match (command, self.resolve(caller, handle.ok_or(Error::InvalidValue)?)?) {
            (BANK_PERSONA_TOKEN, BankElement::Task(_)) => Err(Error::InvalidObject),
            (BANK_PERSONA_TOKEN, BankElement::Account(account)) => {
                let info = |task| self.task(task).identity().info;
                let (originator, proximate) = (info(account.roles().originator), info(account.roles().proximate));
                out.put(PersonaToken { originator, proximate }.as_bytes())
            }
            (BANK_ORIGINATOR_PID, BankElement::Task(task)) => out.put(&task.identity().info.pid.to_le_bytes()),
            // The pid of the holder, in spite of the command's name (quirk Q18).
            (BANK_ORIGINATOR_PID, BankElement::Account(account)) => {
                out.put(&self.task(account.roles().holder).identity().info.pid.to_le_bytes())
            }
            (_, BankElement::Task(task)) => out.put(&task.persona().to_le_bytes()),
            (_, BankElement::Account(account)) => out.put(&account.roles().persona.to_le_bytes()),
        }
    }
}
