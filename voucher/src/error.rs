//! [`Error`]: why a call was refused.

use abi::code::*;
use store::NoMemory;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:ident;)*) => {
        /// Why a call was refused: the reference's codes (vouchers 0.2) that vouchers answer with themselves, and any other
        /// code that a manager chose.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Error {
            $($(#[$doc])* $name,)*
            /// A code of a manager's own.
            Other(KernReturn),
        }

        impl Error {
            /// The code as programs see it.
            pub const fn code(self) -> KernReturn {
                match self {
                    $(Error::$name => $code,)*
                    Error::Other(code) => code,
                }
            }

            /// The error with this code; `KERN_SUCCESS` is none.
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

use abi::KernReturn;

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
    /// `KERN_INVALID_VALUE`: the attribute says nothing about that.
    InvalidValue = KERN_INVALID_VALUE;
    /// `KERN_INVALID_CAPABILITY`: a name that is no voucher, or a right that the caller does not have.
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
    fn codes_and_errors_go_both_ways() {
        assert_eq!(Error::from_code(KERN_SUCCESS), None);
        for code in 1..60 {
            let error = Error::from_code(KernReturn(code)).unwrap();
            assert_eq!(error.code(), KernReturn(code));
        }
        assert_eq!(Error::from_code(KERN_INVALID_OBJECT), Some(Error::InvalidObject));
        assert_eq!(Error::from(NoMemory), Error::ResourceShortage);
    }
}
