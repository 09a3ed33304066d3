//! Return codes: `kern_return_t`, `mach_msg_return_t` and Unix error numbers.
//!
//! Mach keeps all of its codes in one number space, so one type serves for both: the traps of `mach_port_*` may answer
//! with codes of `mach_msg` (mach-ipc 2.0).

use core::fmt;

/// A `kern_return_t` or `mach_msg_return_t`: zero is success, anything else says what went wrong.
///
/// Bits of [`MACH_MSG_MASK`] may be added to the codes of `mach_msg` (mach-ipc 3.14, 3.15).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[must_use]
pub struct KernReturn(pub i32);

impl KernReturn {
    /// Whether this is `KERN_SUCCESS`, which is also `MACH_MSG_SUCCESS`.
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// Whether the code is one of `mach_msg`'s, which may have detail bits.
    const fn is_message_code(self) -> bool {
        self.0 >> 28 == 1
    }

    /// `Ok` for success, otherwise the code as an error.
    pub const fn ok(self) -> Result<(), KernReturn> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }

    /// This code with the `MACH_MSG_MASK` bits of `bits` added.
    pub const fn with_bits(self, bits: i32) -> KernReturn {
        KernReturn(self.0 | (bits & MACH_MSG_MASK))
    }
}

/// `MACH_MSG_IPC_SPACE`: no room in a name table.
pub const MACH_MSG_IPC_SPACE: i32 = 0x2000;
/// `MACH_MSG_VM_SPACE`: no room in an address space.
pub const MACH_MSG_VM_SPACE: i32 = 0x1000;
/// `MACH_MSG_IPC_KERNEL`: the kernel had no memory for rights.
pub const MACH_MSG_IPC_KERNEL: i32 = 0x800;
/// `MACH_MSG_VM_KERNEL`: the kernel had no memory for out-of-line data.
pub const MACH_MSG_VM_KERNEL: i32 = 0x400;
/// `MACH_MSG_MASK`: the detail bits that may be added to a code of `mach_msg`.
pub const MACH_MSG_MASK: i32 = 0x3E00;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: KernReturn = KernReturn($value);)*

        impl KernReturn {
            /// The name of the code without its detail bits, if it has one.
            pub const fn name(self) -> Option<&'static str> {
                let plain = if self.is_message_code() { self.0 & !MACH_MSG_MASK } else { self.0 };
                $(if plain == $value { return Some(stringify!($name)); })*
                None
            }
        }
    };
}

codes! {
    /// Done.
    KERN_SUCCESS = 0;
    /// The address is not (all) allocated, or the kernel's.
    KERN_INVALID_ADDRESS = 1;
    /// The memory exists but does not allow this access.
    KERN_PROTECTION_FAILURE = 2;
    /// A table or an address space is full.
    KERN_NO_SPACE = 3;
    /// An argument is wrong.
    KERN_INVALID_ARGUMENT = 4;
    /// It cannot be done in this state.
    KERN_FAILURE = 5;
    /// The kernel, or this task's share of it, is out of memory.
    KERN_RESOURCE_SHORTAGE = 6;
    /// The caller may not do this.
    KERN_NO_ACCESS = 8;
    /// A user address given for a result or an argument is not mapped accordingly.
    KERN_MEMORY_ERROR = 10;
    /// The port is a member of the set already.
    KERN_ALREADY_IN_SET = 11;
    /// The port is no member of the set.
    KERN_NOT_IN_SET = 12;
    /// The name is in use.
    KERN_NAME_EXISTS = 13;
    /// The operation was aborted.
    KERN_ABORTED = 14;
    /// The name denotes nothing, or something that died.
    KERN_INVALID_NAME = 15;
    /// The target is not a (live) task.
    KERN_INVALID_TASK = 16;
    /// The name denotes something without the right asked for.
    KERN_INVALID_RIGHT = 17;
    /// A value is out of range.
    KERN_INVALID_VALUE = 18;
    /// Never returned: see mach-ipc 1.4 rule 4.
    KERN_UREFS_OVERFLOW = 19;
    /// The right supplied does not exist (any more) or does not suit.
    KERN_INVALID_CAPABILITY = 20;
    /// The space holds rights for this port under another name.
    KERN_RIGHT_EXISTS = 21;
    /// The target is not a host.
    KERN_INVALID_HOST = 22;
    /// The object is not of the kind that was asked for.
    KERN_INVALID_OBJECT = 29;
    /// The object has ended.
    KERN_TERMINATED = 37;
    /// This system does not have the operation.
    KERN_NOT_SUPPORTED = 46;
    /// The caller lacks the privilege.
    KERN_DENIED = 53;

    /// A kernel object's message has descriptors of the wrong type or disposition.
    MIG_TYPE_ERROR = -300;
    /// The reply is none to the request (made by stubs).
    MIG_REPLY_MISMATCH = -301;
    /// No kernel object understands this message id.
    MIG_BAD_ID = -303;
    /// A kernel object's message has the wrong size or number of descriptors.
    MIG_BAD_ARGUMENTS = -304;
    /// The operation sends no reply (internal).
    MIG_NO_REPLY = -305;
    /// An array in a message is longer than its bound.
    MIG_ARRAY_TOO_LARGE = -307;
    /// The server destroyed the request without an answer (made by stubs).
    MIG_SERVER_DIED = -308;

    /// The send buffer cannot be read.
    MACH_SEND_INVALID_DATA = 0x1000_0002;
    /// The destination name does not denote a usable right.
    MACH_SEND_INVALID_DEST = 0x1000_0003;
    /// The queue stayed full past the timeout; the rights came back.
    MACH_SEND_TIMED_OUT = 0x1000_0004;
    /// The header's voucher is none.
    MACH_SEND_INVALID_VOUCHER = 0x1000_0005;
    /// The blocked send was aborted; the rights came back.
    MACH_SEND_INTERRUPTED = 0x1000_0007;
    /// The message is smaller than what it declares.
    MACH_SEND_MSG_TOO_SMALL = 0x1000_0008;
    /// The reply name does not denote a usable right.
    MACH_SEND_INVALID_REPLY = 0x1000_0009;
    /// A descriptor's name does not denote a usable right.
    MACH_SEND_INVALID_RIGHT = 0x1000_000A;
    /// Out-of-line memory cannot be read.
    MACH_SEND_INVALID_MEMORY = 0x1000_000C;
    /// The kernel, or this task's share of it, has no room for the message.
    MACH_SEND_NO_BUFFER = 0x1000_000D;
    /// The message, or what it carries, is beyond the limit.
    MACH_SEND_TOO_LARGE = 0x1000_000E;
    /// A descriptor's type or fields are wrong.
    MACH_SEND_INVALID_TYPE = 0x1000_000F;
    /// The header's dispositions are wrong.
    MACH_SEND_INVALID_HEADER = 0x1000_0010;
    /// The destination does not take rights.
    MACH_SEND_NO_GRANT_DEST = 0x1000_0016;

    /// The receive name denotes neither a receive right nor a port set.
    MACH_RCV_INVALID_NAME = 0x1000_4002;
    /// Nothing arrived in time.
    MACH_RCV_TIMED_OUT = 0x1000_4003;
    /// The message does not fit the buffer.
    MACH_RCV_TOO_LARGE = 0x1000_4004;
    /// The blocked receive was aborted.
    MACH_RCV_INTERRUPTED = 0x1000_4005;
    /// The port or set went away while the thread waited.
    MACH_RCV_PORT_CHANGED = 0x1000_4006;
    /// `MACH_RCV_SYNC_WAIT` was misused.
    MACH_RCV_INVALID_NOTIFY = 0x1000_4007;
    /// The receive buffer cannot be written; the message is lost.
    MACH_RCV_INVALID_DATA = 0x1000_4008;
    /// Reserved synonym of [`MACH_RCV_PORT_CHANGED`]; never returned.
    MACH_RCV_PORT_DIED = 0x1000_4009;
    /// The header's rights found no room; the bits say where.
    MACH_RCV_HEADER_ERROR = 0x1000_400B;
    /// Some of the body's rights found no room; the bits say where.
    MACH_RCV_BODY_ERROR = 0x1000_400C;
}

/// `MACH_MSG_SUCCESS`, the same number as [`KERN_SUCCESS`].
pub const MACH_MSG_SUCCESS: KernReturn = KERN_SUCCESS;

impl fmt::Debug for KernReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) if self.is_message_code() => {
                f.write_str(name)?;
                for (bit, text) in [
                    (MACH_MSG_IPC_SPACE, "IPC_SPACE"),
                    (MACH_MSG_VM_SPACE, "VM_SPACE"),
                    (MACH_MSG_IPC_KERNEL, "IPC_KERNEL"),
                    (MACH_MSG_VM_KERNEL, "VM_KERNEL"),
                ] {
                    if self.0 & bit != 0 {
                        write!(f, "|{text}")?;
                    }
                }
                Ok(())
            }
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "code {} (0x{:x})", self.0, self.0),
        }
    }
}

impl fmt::Display for KernReturn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A Unix error number, as the traps of class 2 return it in `rax` with the carry flag set (errata 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(transparent)]
pub struct Errno(pub u16);

/// Interrupted by an abort.
pub const EINTR: Errno = Errno(4);
/// Not an open descriptor.
pub const EBADF: Errno = Errno(9);
/// No memory.
pub const ENOMEM: Errno = Errno(12);
/// The buffer is not readable.
pub const EFAULT: Errno = Errno(14);
/// An argument is wrong.
pub const EINVAL: Errno = Errno(22);
/// Nobody waits there.
pub const ENOENT: Errno = Errno(2);
/// The time is over.
pub const ETIMEDOUT: Errno = Errno(60);
/// The call does not exist here.
pub const ENOSYS: Errno = Errno(78);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_prints_its_name_and_its_detail_bits() {
        assert_eq!(format!("{:?}", KERN_INVALID_NAME), "KERN_INVALID_NAME (15)");
        assert_eq!(format!("{:?}", MACH_SEND_TIMED_OUT.with_bits(MACH_MSG_IPC_SPACE)), "MACH_SEND_TIMED_OUT|IPC_SPACE");
        assert_eq!(format!("{:?}", MIG_BAD_ID), "MIG_BAD_ID (-303)");
        assert_eq!(format!("{:?}", KernReturn(99)), "code 99 (0x63)");
    }

    #[test]
    fn detail_bits_combine_as_the_specification_writes_them() {
        assert_eq!(MACH_SEND_TIMED_OUT.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_2004);
        assert_eq!(MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_600B);
        assert_eq!(MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_600C);
    }
}
