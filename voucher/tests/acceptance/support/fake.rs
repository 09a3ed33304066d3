//! A manager that follows a script: "FM" of vouchers 10.

use abi::KernReturn;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use voucher::*;

/// The key that the manager is registered for.
pub const FAKE: u32 = 5;
/// Recipe commands: hand out the handle in the content, counted or persistent.
pub const HAND_OUT: u32 = 1000;
pub const HAND_OUT_PERSISTENT: u32 = 1001;
/// Recipe command: fail with [`FAILURE`].
pub const FAIL: u32 = 1002;
pub const FAILURE: Error = Error::Other(KernReturn(53));

/// The script of the manager, and a log of its requests.
#[derive(Debug, Default)]
pub struct Script {
    pub asked: Vec<ValueRequest>,
    pub offered: Vec<ReleaseRequest>,
    /// The made references of each handle.
    pub made: BTreeMap<u64, u64>,
    /// The manager counts a value but does not answer at once.
    pub values_wait: bool,
    /// The manager does not answer an offer at once. The test decides about the value.
    pub releases_wait: bool,
    /// The size that extraction and commands claim.
    pub claim: usize,
    pub default: u64,
    pub values_max: Option<usize>,
    pub processing: Processing,
}

impl Script {
    fn hand_out(&mut self, handle: u64) {
        if handle != self.default {
            *self.made.entry(handle).or_default() += 1;
        }
    }

    /// Drops all made references of a handle.
    pub fn forget(&mut self, handle: u64) {
        self.made.remove(&handle);
    }
}

/// The manager, with the script that it shares with the test.
#[derive(Clone, Debug, Default)]
pub struct Fake(pub Rc<RefCell<Script>>);

impl AttributeManager for Fake {
    fn registration(&self) -> Registration {
        let Script { default, values_max, processing, .. } = *self.0.borrow();
        Registration { default, processing, values_max: values_max.unwrap_or(usize::MAX), ..Registration::default() }
    }

    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        let mut script = self.0.borrow_mut();
        script.asked.push(*request);
        let Ok(handle) = content.try_into().map(u64::from_le_bytes) else { return Poll::Ready(Err(FAILURE)) };
        let value = match request.command {
            HAND_OUT => ManagerValue::counted(handle),
            HAND_OUT_PERSISTENT => ManagerValue::persistent(handle),
            _ => return Poll::Ready(Err(FAILURE)),
        };
        script.hand_out(handle);
        if script.values_wait { Poll::Pending } else { Poll::Ready(Ok(value)) }
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let mut script = self.0.borrow_mut();
        script.offered.push(*request);
        if script.releases_wait {
            return Poll::Pending;
        }
        if script.made.get(&request.handle) != Some(&request.sync) {
            return Poll::Ready(Err(Error::Failure));
        }
        script.forget(request.handle);
        Poll::Ready(Ok(()))
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, _: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        out.bytes_mut().fill(0x77);
        out.claim(self.0.borrow().claim);
        Ok(HAND_OUT)
    }

    fn command(&mut self, _: &CallingTask, _: &CommandRequest<'_>, out: &mut OutBuffer<'_>) -> Result<(), Error> {
        out.claim(self.0.borrow().claim);
        Ok(())
    }
}
