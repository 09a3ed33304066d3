//! [`Error`]: the reason why a call failed.

use abi::KernReturn;
use abi::code::*;
use store::NoMemory;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:ident;)*) => {
        /// The reason why a call failed: the return codes of the reference (vouchers 0.2) that this crate returns
        /// itself, and any other code that a manager returns.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error {
            $($(#[$doc])* $name,)*
            /// Another code, returned by a manager.
            Other(KernReturn),
        }

        impl Error {
            /// Returns the code that programs see.
            pub const fn code(self) -> KernReturn {
                match self {
                    $(Error::$name => $code,)*
                    Error::Other(code) => code,
                }
            }

            /// Returns the error with this code, or `None` for `KERN_SUCCESS`.
            pub fn from_code(code: KernReturn) -> Option<Error> {
                match code {
                    KERN_SUCCESS => None,
                    $($code => Some(Error::$name),)*
                    other => Some(Error::Other(other)),
                }
            }
        }
    };
}

errors! {
    /// `KERN_NO_SPACE`: the result does not fit the buffer.
    NoSpace = KERN_NO_SPACE;
    /// `KERN_INVALID_ARGUMENT`.
    InvalidArgument = KERN_INVALID_ARGUMENT;
    /// `KERN_FAILURE`.
    Failure = KERN_FAILURE;
    /// `KERN_RESOURCE_SHORTAGE`: no memory, or a count or a table at its limit.
    ResourceShortage = KERN_RESOURCE_SHORTAGE;
    /// `KERN_NO_ACCESS`: the caller lacks an entitlement.
    NoAccess = KERN_NO_ACCESS;
    /// `KERN_ABORTED`: the creation was cancelled.
    Aborted = KERN_ABORTED;
    /// `KERN_INVALID_TASK`.
    InvalidTask = KERN_INVALID_TASK;
    /// `KERN_INVALID_VALUE`: the attribute has no value for the request.
    InvalidValue = KERN_INVALID_VALUE;
    /// `KERN_INVALID_CAPABILITY`: a name does not denote a voucher, or the caller lacks a right.
    InvalidCapability = KERN_INVALID_CAPABILITY;
    /// `KERN_INVALID_HOST`.
    InvalidHost = KERN_INVALID_HOST;
    /// `KERN_INVALID_OBJECT`: the value is of the wrong kind.
    InvalidObject = KERN_INVALID_OBJECT;
    /// `KERN_NOT_SUPPORTED`.
    NotSupported = KERN_NOT_SUPPORTED;
}

impl From<NoMemory> for Error {
    fn from(NoMemory: NoMemory) -> Self {
        Error::ResourceShortage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_but_success_is_an_error_with_that_code() {
        assert_eq!(Error::from_code(KERN_SUCCESS), None);
        for code in 1..60 {
            let error = Error::from_code(KernReturn(code)).unwrap();
            assert_eq!(error.code(), KernReturn(code));
        }
        assert_eq!(Error::from_code(KERN_INVALID_OBJECT), Some(Error::InvalidObject));
        assert_eq!(Error::from(NoMemory), Error::ResourceShortage);
    }
}
