//! Return codes: `kern_return_t`, `mach_msg_return_t` and Unix error numbers.
//!
//! All codes of Mach share one number space, so one type serves for both: a trap of `mach_port_*` may return a code of
//! `mach_msg` (mach-ipc 2.0).

use core::fmt;

/// A `kern_return_t` or `mach_msg_return_t`: zero for success, any other number for an error.
///
/// Bits of [`MACH_MSG_MASK`] may be added to the codes of `mach_msg` (mach-ipc 3.14, 3.15).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
#[must_use]
pub struct KernReturn(pub i32);

impl KernReturn {
    /// Returns true if this is `KERN_SUCCESS`, which is also `MACH_MSG_SUCCESS`.
    pub const fn is_success(self) -> bool {
        self.0 == 0
    }

    /// Returns true if the code is one of `mach_msg`, which may have detail bits.
    const fn is_message_code(self) -> bool {
        self.0 >> 28 == 1
    }

    /// Returns `Ok` for success, and any other code as an error.
    pub const fn ok(self) -> Result<(), KernReturn> {
        if self.is_success() { Ok(()) } else { Err(self) }
    }

    /// Returns this code with the [`MACH_MSG_MASK`] bits of `bits` added.
    pub const fn with_bits(self, bits: i32) -> KernReturn {
        KernReturn(self.0 | (bits & MACH_MSG_MASK))
    }
}

/// `MACH_MSG_IPC_SPACE`: no room in a name table.
pub const MACH_MSG_IPC_SPACE: i32 = 0x2000;
/// `MACH_MSG_VM_SPACE`: no room in an address space.
pub const MACH_MSG_VM_SPACE: i32 = 0x1000;
/// `MACH_MSG_IPC_KERNEL`: no kernel memory for rights.
pub const MACH_MSG_IPC_KERNEL: i32 = 0x800;
/// `MACH_MSG_VM_KERNEL`: no kernel memory for out-of-line data.
pub const MACH_MSG_VM_KERNEL: i32 = 0x400;
/// `MACH_MSG_MASK`: the detail bits that may be added to a code of `mach_msg`.
pub const MACH_MSG_MASK: i32 = 0x3E00;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:expr;)*) => {
        $($(#[$doc])* pub const $name: KernReturn = KernReturn($value);)*

        impl KernReturn {
            /// Returns the name of the code without its detail bits, or `None` for an unknown code.
            pub const fn name(self) -> Option<&'static str> {
                let plain = if self.is_message_code() { self.0 & !MACH_MSG_MASK } else { self.0 };
                $(if plain == $value { return Some(stringify!($name)); })*
                None
            }
        }
    };
}

codes! {
    /// The call succeeded.
    KERN_SUCCESS = 0;
    /// Part of the address range is not allocated, or belongs to the kernel.
    KERN_INVALID_ADDRESS = 1;
    /// The memory exists but does not allow this access.
    KERN_PROTECTION_FAILURE = 2;
    /// A name table or an address space is full.
    KERN_NO_SPACE = 3;
    /// An argument is invalid.
    KERN_INVALID_ARGUMENT = 4;
    /// The object's state does not allow the operation.
    KERN_FAILURE = 5;
    /// The kernel is out of memory, or the task's budget is exhausted.
    KERN_RESOURCE_SHORTAGE = 6;
    /// The caller lacks the right to the operation.
    KERN_NO_ACCESS = 8;
    /// A user address of an argument or a result is not mapped with the access needed.
    KERN_MEMORY_ERROR = 10;
    /// The port is already a member of the set.
    KERN_ALREADY_IN_SET = 11;
    /// The port is not a member of the set.
    KERN_NOT_IN_SET = 12;
    /// The name is in use.
    KERN_NAME_EXISTS = 13;
    /// The operation was aborted.
    KERN_ABORTED = 14;
    /// The name denotes no right, or a dead name where a live port is needed.
    KERN_INVALID_NAME = 15;
    /// The target is not a live task.
    KERN_INVALID_TASK = 16;
    /// The name denotes a right of another kind.
    KERN_INVALID_RIGHT = 17;
    /// A value is out of range.
    KERN_INVALID_VALUE = 18;
    /// Never returned: see mach-ipc 1.4 rule 4.
    KERN_UREFS_OVERFLOW = 19;
    /// The right supplied is missing, dead or of the wrong kind.
    KERN_INVALID_CAPABILITY = 20;
    /// The space holds rights for this port under another name.
    KERN_RIGHT_EXISTS = 21;
    /// The target is not a host.
    KERN_INVALID_HOST = 22;
    /// The object is of the wrong kind.
    KERN_INVALID_OBJECT = 29;
    /// The object has been terminated.
    KERN_TERMINATED = 37;
    /// The operation is not supported.
    KERN_NOT_SUPPORTED = 46;
    /// The caller lacks the privilege.
    KERN_DENIED = 53;

    /// A message to a kernel object has descriptors of the wrong type or disposition.
    MIG_TYPE_ERROR = -300;
    /// The reply does not belong to the request (found by stubs).
    MIG_REPLY_MISMATCH = -301;
    /// The kernel object has no operation with this message id.
    MIG_BAD_ID = -303;
    /// A message to a kernel object has the wrong size or number of descriptors.
    MIG_BAD_ARGUMENTS = -304;
    /// The operation has no reply (internal to the kernel).
    MIG_NO_REPLY = -305;
    /// An array in a message is longer than its bound.
    MIG_ARRAY_TOO_LARGE = -307;
    /// The server destroyed the request without an answer (made by stubs).
    MIG_SERVER_DIED = -308;

    /// The send buffer cannot be read.
    MACH_SEND_INVALID_DATA = 0x1000_0002;
    /// The destination name does not denote a usable right.
    MACH_SEND_INVALID_DEST = 0x1000_0003;
    /// The queue stayed full until the timeout; the rights were returned to the sender.
    MACH_SEND_TIMED_OUT = 0x1000_0004;
    /// The voucher name in the header does not denote a voucher.
    MACH_SEND_INVALID_VOUCHER = 0x1000_0005;
    /// The blocked send was aborted; the rights were returned to the sender.
    MACH_SEND_INTERRUPTED = 0x1000_0007;
    /// The message is shorter than its header or descriptor count requires.
    MACH_SEND_MSG_TOO_SMALL = 0x1000_0008;
    /// The reply name does not denote a usable right.
    MACH_SEND_INVALID_REPLY = 0x1000_0009;
    /// A descriptor's name does not denote a usable right.
    MACH_SEND_INVALID_RIGHT = 0x1000_000A;
    /// Out-of-line memory cannot be read.
    MACH_SEND_INVALID_MEMORY = 0x1000_000C;
    /// The kernel is out of memory for the message, or the task's budget is exhausted.
    MACH_SEND_NO_BUFFER = 0x1000_000D;
    /// The message, or memory or rights that it carries, exceed a limit.
    MACH_SEND_TOO_LARGE = 0x1000_000E;
    /// The type or a field of a descriptor is invalid.
    MACH_SEND_INVALID_TYPE = 0x1000_000F;
    /// The dispositions in the header are invalid.
    MACH_SEND_INVALID_HEADER = 0x1000_0010;
    /// The sender of a strict reply has not adopted a voucher of the request's persona.
    MACH_SEND_INVALID_CONTEXT = 0x1000_0012;
    /// The destination port accepts no rights.
    MACH_SEND_NO_GRANT_DEST = 0x1000_0016;

    /// The receive name denotes neither a receive right nor a port set.
    MACH_RCV_INVALID_NAME = 0x1000_4002;
    /// No message arrived before the timeout.
    MACH_RCV_TIMED_OUT = 0x1000_4003;
    /// The message does not fit the buffer.
    MACH_RCV_TOO_LARGE = 0x1000_4004;
    /// The blocked receive was aborted.
    MACH_RCV_INTERRUPTED = 0x1000_4005;
    /// The port or set was destroyed while the thread waited, or the port's receive right was moved.
    MACH_RCV_PORT_CHANGED = 0x1000_4006;
    /// `MACH_RCV_SYNC_WAIT` was misused.
    MACH_RCV_INVALID_NOTIFY = 0x1000_4007;
    /// The receive buffer cannot be written; the message is lost.
    MACH_RCV_INVALID_DATA = 0x1000_4008;
    /// Reserved synonym of [`MACH_RCV_PORT_CHANGED`]; never returned.
    MACH_RCV_PORT_DIED = 0x1000_4009;
    /// The receiver had no room for the rights of the header; the detail bits name the cause.
    MACH_RCV_HEADER_ERROR = 0x1000_400B;
    /// The receiver had no room for rights of the body; the detail bits name the cause.
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

/// The caller lacks the privilege.
pub const EPERM: Errno = Errno(1);
/// There is no such task or thread.
pub const ESRCH: Errno = Errno(3);
/// The wait was aborted.
pub const EINTR: Errno = Errno(4);
/// The descriptor is not open.
pub const EBADF: Errno = Errno(9);
/// The kernel is out of memory.
pub const ENOMEM: Errno = Errno(12);
/// The buffer cannot be read.
pub const EFAULT: Errno = Errno(14);
/// An argument is invalid.
pub const EINVAL: Errno = Errno(22);
/// No thread waits on the word.
pub const ENOENT: Errno = Errno(2);
/// The call does not support this.
pub const ENOTSUP: Errno = Errno(45);
/// The wait timed out.
pub const ETIMEDOUT: Errno = Errno(60);
/// The call does not exist.
pub const ENOSYS: Errno = Errno(78);
/// More is to be taken away than there is.
pub const EOVERFLOW: Errno = Errno(84);
/// Both parts of the request failed.
pub const EBADMSG: Errno = Errno(94);

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
    fn detail_bits_are_added_to_a_message_code() {
        assert_eq!(MACH_SEND_TIMED_OUT.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_2004);
        assert_eq!(MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_600B);
        assert_eq!(MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE).0, 0x1000_600C);
    }
}
