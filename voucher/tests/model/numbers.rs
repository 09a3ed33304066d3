//! A manager whose values are numbers.

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
/// The manager command that returns the number of a voucher.
pub const GET_NUMBER: u32 = 2000;
/// The largest number of values of a key.
pub const NUMBERS_MAX: usize = 4;
/// The bits that are set in a number when it is sent and when it is received.
pub const SENT: u64 = 0x100;
pub const RECEIVED: u64 = 0x1000;

/// The made references of each number, and the state of the registration.
#[derive(Debug, Default)]
pub struct Made {
    pub counts: BTreeMap<u64, u64>,
    /// True after the end of the registration.
    pub released: bool,
}

/// A manager of numbers. For key 2 it does not answer at once.
pub struct Numbers {
    pub key: u32,
    pub made: Rc<RefCell<Made>>,
}

/// Returns true if the manager of a key does not answer a release of the number at once.
pub fn delays_releases(key: u32, number: u64) -> bool {
    key == 2 && number % 2 == 1
}

/// Returns true if the manager of a key does not answer requests for values at once.
pub fn delays_values(key: u32) -> bool {
    key == 2
}

/// Returns the manager's answer to a request: a number, 0 for an absent attribute.
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

impl Made {
    pub fn hand_out(&mut self, number: u64) -> ManagerValue {
        if number != 0 {
            *self.counts.entry(number).or_default() += 1;
        }
        ManagerValue::counted(number)
    }

    pub fn release(&mut self, number: u64, sync: u64) -> Result<(), Error> {
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
        if delays_values(self.key) {
            return Poll::Pending;
        }
        let number = number_for(request.command, request.previous, content);
        Poll::Ready(number.map(|number| self.made.borrow_mut().hand_out(number)))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        if delays_releases(self.key, request.handle) {
            return Poll::Pending;
        }
        Poll::Ready(self.made.borrow_mut().release(request.handle, request.sync))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        if handle == 7 {
            // The claim is beyond the capacity.
            out.claim(out.capacity() + 1);
            return Ok(STORE);
        }
        out.put(&handle.to_le_bytes())?;
        Ok(STORE)
    }

    fn command(&mut self, _: &CallingTask, request: &CommandRequest<'_>, out: &mut OutBuffer<'_>) -> Result<(), Error> {
        if request.command != GET_NUMBER {
            return Err(Error::InvalidArgument);
        }
        out.put(&request.handle.unwrap_or(0).to_le_bytes())
    }

    fn release(&mut self) {
        assert!(
            !std::mem::replace(&mut self.made.borrow_mut().released, true),
            "the end of a registration is reported once"
        );
    }
}
