//! The outcome of a trap or wait, and the only code that writes it into a thread's registers.

use crate::trap_frame::TrapFrame;
use abi::code::{Errno, KERN_SUCCESS, KernReturn, MACH_MSG_SUCCESS};
use abi::port::PortName;

/// The outcome of a trap, known at once or when the thread's wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The return code of a Mach trap.
    Code(KernReturn),
    /// A port name or another value that is not a return code.
    Value(u64),
    /// The return code of `mach_msg`, and the QoS words of the message that it delivered, or 0 (errata 6).
    Message(KernReturn, u64),
    /// The value or error number of a Unix trap.
    Unix(Result<u64, Errno>),
    /// The outcome is not known yet: the thread waits, has work left to do in the kernel, or has ended. The code that
    /// ends the wait or the work writes the real outcome.
    Pending,
}

impl Outcome {
    /// Returns the outcome of a `mach_msg` that delivered no message.
    pub const fn undelivered(code: KernReturn) -> Outcome {
        Outcome::Message(code, 0)
    }

    /// The outcome of a `mach_msg` whose send phase succeeded and that has no receive phase.
    pub const SENT: Outcome = Outcome::undelivered(MACH_MSG_SUCCESS);

    /// Writes the outcome into the registers of the thread that made the trap. [`Outcome::Pending`] leaves them as they
    /// are.
    #[inline(always)]
    pub fn write_to(self, frame: &mut TrapFrame) {
        match self {
            Outcome::Code(code) => frame.set_code(code),
            Outcome::Value(value) => frame.set_value(value),
            Outcome::Message(code, qos) => {
                frame.set_code(code);
                frame.rdx = qos;
            }
            Outcome::Unix(result) => frame.set_unix(result),
            Outcome::Pending => {}
        }
    }
}

impl From<Result<(), KernReturn>> for Outcome {
    fn from(result: Result<(), KernReturn>) -> Outcome {
        Outcome::Code(result.err().unwrap_or(KERN_SUCCESS))
    }
}

impl From<PortName> for Outcome {
    fn from(name: PortName) -> Outcome {
        Outcome::Value(u64::from(name.0))
    }
}

impl From<Result<u64, Errno>> for Outcome {
    fn from(result: Result<u64, Errno>) -> Outcome {
        Outcome::Unix(result)
    }
}
