//! The managers "counter" and "probe" (FORMAT.md, section 6).

use abi::KernReturn;
use abi::voucher::{MACH_VOUCHER_ATTR_AUTO_REDEEM, MACH_VOUCHER_ATTR_REDEEM, MACH_VOUCHER_ATTR_SEND_PREPROCESS};
use std::collections::HashMap;
use std::task::Poll;
use voucher::{
    AttributeManager, CallingTask, CommandRequest, Error, Key, ManagerValue, OutBuffer, Processing, Registration,
    ReleaseRequest, ValueRequest,
};

/// The recipe command that stores a number, and that of the probe which makes it persistent.
const STORE: u32 = 1000;
const STORE_PERSISTENT: u32 = 1002;
/// The probe's recipe command that stores a number and passes a voucher with it.
pub const STORE_WITH_VOUCHER: u32 = 1003;
/// The counter's recipe command that always fails.
const FAIL: u32 = 1001;

/// The kind of an artificial manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Probe,
}

/// A manager whose values are numbers.
#[derive(Debug)]
pub struct Artificial {
    pub kind: Kind,
    default: u64,
    made: HashMap<u64, u64>,
}

impl Artificial {
    pub fn new(kind: Kind, default: u64) -> Self {
        Artificial { kind, default, made: HashMap::new() }
    }

    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Counter => "counter",
            Kind::Probe => "probe",
        }
    }

    /// Returns the made references of a handle.
    pub fn made(&self, handle: u64) -> u64 {
        self.made.get(&handle).copied().unwrap_or(0)
    }

    /// Adds a made reference to a handle, or drops one.
    pub fn change(&mut self, handle: u64, up: bool) {
        let made = if up { self.made(handle) + 1 } else { self.made(handle).saturating_sub(1) };
        self.made.insert(handle, made);
        self.made.retain(|_, made| *made > 0);
    }

    fn hand_out(&mut self, handle: u64) -> ManagerValue {
        if handle != self.default {
            self.change(handle, true);
        }
        ManagerValue::counted(handle)
    }

    /// Returns the number in the content of a store command.
    pub fn number(&self, content: &[u8]) -> Result<u64, Error> {
        let number = u64::from_le_bytes(content.try_into().map_err(|_| Error::InvalidArgument)?);
        match (number, self.kind) {
            (0, Kind::Counter) => Ok(self.default),
            (0, Kind::Probe) => Err(Error::InvalidArgument),
            _ => Ok(number),
        }
    }

    /// Returns the value of the probe for a message that is received or sent.
    fn derive(&mut self, previous: Option<u64>, refused: u64, distance: u64) -> Result<ManagerValue, Error> {
        match previous {
            Some(previous) if previous & 15 == refused => Err(Error::NoAccess),
            Some(previous) => Ok(self.hand_out(previous.wrapping_add(distance))),
            None => Ok(self.hand_out(self.default)),
        }
    }

    /// Returns the value that a recipe requests.
    fn value(&mut self, request: &ValueRequest, content: &[u8]) -> Result<ManagerValue, Error> {
        let ValueRequest { command, previous, .. } = *request;
        match (command, self.kind) {
            (MACH_VOUCHER_ATTR_REDEEM, _) => Ok(self.hand_out(previous.unwrap_or(self.default))),
            (STORE, _) | (STORE_WITH_VOUCHER, Kind::Probe) => {
                let number = self.number(content)?;
                Ok(self.hand_out(number))
            }
            (STORE_PERSISTENT, Kind::Probe) => {
                let number = self.number(content)?;
                Ok(ManagerValue { persist: true, ..self.hand_out(number) })
            }
            (FAIL, Kind::Counter) => Err(Error::ResourceShortage),
            (MACH_VOUCHER_ATTR_AUTO_REDEEM, Kind::Probe) => self.derive(previous, 15, 0x1000),
            (MACH_VOUCHER_ATTR_SEND_PREPROCESS, Kind::Probe) => self.derive(previous, 14, 0x2000),
            _ => Err(Error::InvalidArgument),
        }
    }
}

impl AttributeManager for Artificial {
    fn registration(&self) -> Registration {
        let takes_part = self.kind == Kind::Probe;
        let processing = Processing { send: takes_part, receive: takes_part };
        Registration { default: self.default, processing, ..Registration::default() }
    }

    fn get_value(
        &mut self,
        _caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        Poll::Ready(self.value(request, content))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let all = self.made.get(&request.handle) == Some(&request.sync);
        if all {
            self.made.remove(&request.handle);
        }
        Poll::Ready(if all { Ok(()) } else { Err(Error::Failure) })
    }

    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        if self.kind == Kind::Probe && handle & 15 == 13 {
            return Err(Error::Other(KernReturn(14)));
        }
        out.put(&handle.to_le_bytes())?;
        Ok(STORE)
    }

    fn command(&mut self, _: &CallingTask, request: &CommandRequest<'_>, out: &mut OutBuffer<'_>) -> Result<(), Error> {
        let CommandRequest { handle, command, input, .. } = *request;
        match (self.kind, command) {
            (Kind::Probe, _) => Err(Error::NotSupported),
            (_, 2000) => out.put(input),
            (_, 2001) => out.put(&handle.unwrap_or(0).to_le_bytes()),
            (_, 2002) => out.put(&(handle.map_or(0, |handle| self.made(handle)) as u32).to_le_bytes()),
            _ => Err(Error::InvalidArgument),
        }
    }
}
