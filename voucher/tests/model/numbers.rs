//! A manager of a key of one's own.

use abi::voucher::{MACH_VOUCHER_ATTR_AUTO_REDEEM, MACH_VOUCHER_ATTR_REDEEM, MACH_VOUCHER_ATTR_SEND_PREPROCESS};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use voucher::{
    AttributeManager, CallingTask, CommandRequest, Error, Key, ManagerValue, OutBuffer, Processing, Registration,
    ReleaseRequest, ValueRequest,
};

/// The recipe command that stores a number.
pub const STORE: u32 = 1000;
/// The command that tells the number of a voucher.
pub const TELL: u32 = 2000;
/// How many numbers there may be under a key.
pub const NUMBERS_MAX: usize = 4;
/// What a number is changed by when it is sent and when it is received.
pub const SENT: u64 = 0x100;
pub const RECEIVED: u64 = 0x1000;

/// How often each number was handed out, and whether the registration is over.
#[derive(Debug, Default)]
pub struct Given {
    pub counts: BTreeMap<u64, u64>,
    pub released: bool,
}

/// A manager of numbers. Those of key 2 it has to think about: its answers come later.
pub struct Numbers {
    pub key: u32,
    pub given: Rc<RefCell<Given>>,
}

/// Whether the manager of a key thinks before it says whether it gives a number up.
pub fn thinks_about_releasing(key: u32, number: u64) -> bool {
    key == 2 && number % 2 == 1
}

/// Whether it thinks before it hands out a number.
pub fn thinks_about_giving(key: u32) -> bool {
    key == 2
}

/// What the manager answers to a request: a number, 0 for none.
pub fn number_for(command: u32, previous: Option<u64>, content: &[u8]) -> Result<u64, Error> {
    match (command, previous) {
        (STORE, _) => Ok(u64::from_le_bytes(content.try_into().map_err(|_| Error::InvalidArgument)?)),
        (MACH_VOUCHER_ATTR_REDEEM, _) => Ok(previous.unwrap_or(0)),
        (MACH_VOUCHER_ATTR_SEND_PREPROCESS | MACH_VOUCHER_ATTR_AUTO_REDEEM, Some(8)) => Err(Error::NoAccess),
        (MACH_VOUCHER_ATTR_SEND_PREPROCESS, Some(number)) => Ok(number | SENT),
        (MACH_VOUCHER_ATTR_AUTO_REDEEM, Some(number)) => Ok(number | RECEIVED),
        _ => Err(Error::InvalidArgument),
    }
}

impl Given {
    pub fn give(&mut self, number: u64) -> ManagerValue {
        if number != 0 {
            *self.counts.entry(number).or_default() += 1;
        }
        ManagerValue::counted(number)
    }

    pub fn take(&mut self, number: u64, sync: u64) -> Result<(), Error> {
        if self.counts.get(&number) != Some(&sync) {
            return Err(Error::Failure);
        }
        self.counts.remove(&number);
        Ok(())
    }
}

impl AttributeManager for Numbers {
    fn registration(&self) -> Registration {
        let processing = Processing { send: self.key == 5, receive: self.key != 6 };
        Registration { processing, values_max: NUMBERS_MAX, ..Registration::default() }
    }

    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        if thinks_about_giving(self.key) {
            return Poll::Pending;
        }
        let number = number_for(request.command, request.previous, content);
        Poll::Ready(number.map(|number| self.given.borrow_mut().give(number)))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        if thinks_about_releasing(self.key, request.handle) {
            return Poll::Pending;
        }
        Poll::Ready(self.given.borrow_mut().take(request.handle, request.sync))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        if handle == 7 {
            // It claims more than it was given room for.
            out.claim(out.capacity() + 1);
            return Ok(STORE);
        }
        out.put(&handle.to_le_bytes())?;
        Ok(STORE)
    }

    fn command(
        &mut self,
        _caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        if request.command != TELL {
            return Err(Error::InvalidArgument);
        }
        out.put(&request.handle.unwrap_or(0).to_le_bytes())
    }

    fn release(&mut self) {
        assert!(!std::mem::replace(&mut self.given.borrow_mut().released, true), "a manager is told once");
    }
}
