//! [`ImportanceManager`]: the manager of importance, key 2 (vouchers 6.4).

use crate::importance::{Environment, Importance, Source};
use crate::manager::{AttributeManager, CallingTask, CommandRequest, ManagerValue, OutBuffer, ValueRequest};
use crate::{Error, HandleKind, Key, Registration, ReleaseRequest};
use abi::voucher::*;
use core::fmt;
use core::task::Poll;

/// The handle of the default, "no importance".
const DEFAULT: u64 = 0;

/// The command that gives boosts of an inherit back early.
pub const MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL: u32 = 2;

/// The manager of importance for the time of a call. It needs the kernel's ports, because the end of a boost changes
/// what hangs on the boosted task.
pub struct ImportanceManager<'a> {
    /// The importance of all tasks.
    pub importance: &'a mut Importance,
    /// The kernel's ports and clock.
    pub environment: &'a mut dyn Environment,
}

impl fmt::Debug for ImportanceManager<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.importance.fmt(f)
    }
}

impl ImportanceManager<'_> {
    /// The properties to register for key 2.
    pub const REGISTRATION: Registration = Registration {
        default: DEFAULT,
        handles: HandleKind::Ids,
        processing: crate::Processing { send: false, receive: false },
        values_max: usize::MAX,
    };
}

impl AttributeManager for ImportanceManager<'_> {
    fn registration(&self) -> Registration {
        Self::REGISTRATION
    }

    fn get_value(
        &mut self,
        caller: &CallingTask,
        request: &ValueRequest,
        content: &[u8],
    ) -> Poll<Result<ManagerValue, Error>> {
        if !content.is_empty() {
            return Poll::Ready(Err(Error::InvalidArgument));
        }
        let source = match request.command {
            MACH_VOUCHER_ATTR_IMPORTANCE_SELF => self.importance.own_value(caller.importance),
            MACH_VOUCHER_ATTR_REDEEM => {
                let previous = request.previous.and_then(Source::from_handle);
                if let Some(Err(error)) = previous.map(|source| self.importance.redeem_value(source)) {
                    return Poll::Ready(Err(error));
                }
                previous
            }
            _ => return Poll::Ready(Err(Error::InvalidArgument)),
        };
        Poll::Ready(Ok(ManagerValue::counted(source.map_or(DEFAULT, Source::handle))))
    }

    fn release_value(&mut self, request: &ReleaseRequest) -> Poll<Result<(), Error>> {
        let Some(source) = Source::from_handle(request.handle) else { return Poll::Ready(Err(Error::Failure)) };
        Poll::Ready(self.importance.release_value(self.environment, source, request.sync))
    }

    /// Writes a text that ends with a 0. A text that is too long is cut (vouchers 6.4.4).
    fn extract_content(&mut self, _: &CallingTask, _: Key, handle: u64, out: &mut OutBuffer<'_>) -> Result<u32, Error> {
        let room = out.capacity().checked_sub(1).ok_or(Error::NoSpace)?;
        let source = Source::from_handle(handle).filter(|&source| self.importance.made(source).is_some());
        let source = source.ok_or(Error::InvalidArgument)?;
        let mut text = Text { bytes: &mut out.bytes_mut()[..room], len: 0 };
        // The text says when it is full, and is then cut there.
        let _ = self.importance.describe(self.environment, source, &mut text);
        let len = text.len;
        out.bytes_mut()[len] = 0;
        out.claim(len + 1);
        Ok(MACH_VOUCHER_ATTR_NOOP)
    }

    fn command(
        &mut self,
        _caller: &CallingTask,
        request: &CommandRequest<'_>,
        out: &mut OutBuffer<'_>,
    ) -> Result<(), Error> {
        let boosts = u32::from_le_bytes(request.input.try_into().map_err(|_| Error::InvalidArgument)?);
        if ![0, size_of::<u32>()].contains(&out.capacity()) {
            return Err(Error::InvalidArgument);
        }
        if request.command != MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL {
            return Err(Error::NotSupported);
        }
        let source = request.handle.and_then(Source::from_handle);
        let Some(Source::Inherit(id)) = source.filter(|&source| self.importance.made(source).is_some()) else {
            return Err(Error::InvalidArgument);
        };
        let left = self.importance.drop_external(self.environment, id, u64::from(boosts))?;
        if out.capacity() > 0 {
            out.put(&u32::try_from(left).unwrap_or(u32::MAX).to_le_bytes())?;
        }
        Ok(())
    }
}

/// A text in a buffer that may be too small.
struct Text<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = &mut self.bytes[self.len..];
        let len = text.len().min(rest.len());
        rest[..len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        if len == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}
