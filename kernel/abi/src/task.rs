//! Tasks: spawning, exit status, special ports, memory (errata 6, mach-ipc 5.5).

use crate::mig::NDR;
use crate::port::{Disposition, PortName};
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Arguments of the trap `task_spawn`. Fields of later versions come at the end: a shorter size means zeros there, and a
/// longer one must be zero beyond what the kernel knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskSpawnArgs {
    /// Address of the image: the name of a file in the bundle, or an ELF file in the caller's memory.
    pub image: u64,
    /// Length of the image.
    pub image_size: u64,
    /// Address of the argument strings, each ended by a zero byte, one after the other.
    pub arguments: u64,
    /// Length of the argument strings with all their zero bytes.
    pub arguments_size: u64,
    /// Address of the environment strings, in the same form.
    pub environment: u64,
    /// Length of the environment strings.
    pub environment_size: u64,
    /// 0: the image is a bundle name; 1: it is an ELF file. See [`SPAWN_IMAGE_NAME`].
    pub image_kind: u32,
    /// An [`AppType`](crate::qos::AppType).
    pub app_type: u32,
    /// A [`Role`](crate::qos::Role).
    pub role: u32,
    /// A [`Qos`](crate::qos::Qos) above which no thread of the task gets; 0 for none.
    pub qos_clamp: u32,
    /// User id, or [`SPAWN_INHERIT`]. Only user 0 may choose another than its own.
    pub uid: u32,
    /// Group id, or [`SPAWN_INHERIT`]. Only user 0 may choose another than its own.
    pub gid: u32,
    /// The name of a send right that becomes the task's bootstrap port; null: the caller's own.
    pub bootstrap_port: PortName,
    /// The name from which the exit port's send-once right is taken, or null: see [`ExitMessage`].
    pub exit_port: PortName,
    /// How: 21 (make) or 18 (move).
    pub exit_disposition: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`TaskSpawnArgs::image_kind`]: the name of a file in the bundle.
pub const SPAWN_IMAGE_NAME: u32 = 0;
/// [`TaskSpawnArgs::image_kind`]: an ELF file in the caller's memory.
pub const SPAWN_IMAGE_BYTES: u32 = 1;
/// [`TaskSpawnArgs::uid`], [`TaskSpawnArgs::gid`]: the caller's own.
pub const SPAWN_INHERIT: u32 = 0xFFFF_FFFF;

/// `msgh_id` of the message that tells of a task's end.
pub const EXIT_MESSAGE_ID: i32 = 5001;

/// The body of the message that a task's exit port gets when nothing of the task is left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExitMessage {
    /// The NDR record.
    pub ndr: [u8; 8],
    /// An [`ExitStatus`].
    pub status: u32,
}

impl ExitMessage {
    /// The message for `status`.
    pub const fn new(status: ExitStatus) -> ExitMessage {
        ExitMessage { ndr: NDR, status: status.0 }
    }
}

/// How a task ended: `reason << 8 | detail`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// It was ended by `task_terminate`.
    pub const TERMINATED: ExitStatus = ExitStatus(0x0900);
    /// It made a trap that does not exist.
    pub const BAD_TRAP: ExitStatus = ExitStatus(0x0B00);

    /// It called `exit`; only the low byte of the status is kept.
    pub const fn exited(code: u8) -> ExitStatus {
        ExitStatus(code as u32)
    }

    /// It caused an exception of this kind, for which the processor raised `vector`.
    pub const fn exception(kind: Exception, vector: u8) -> ExitStatus {
        ExitStatus((kind as u32) << 8 | vector as u32)
    }

    /// The argument of `exit`, if that is how the task ended.
    pub const fn code(self) -> Option<u8> {
        if self.0 < 0x100 { Some(self.0 as u8) } else { None }
    }
}

impl fmt::Debug for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, detail) = (self.0 >> 8, self.0 & 0xFF);
        match (*self, Exception::from_number(reason)) {
            (ExitStatus::TERMINATED, _) => f.write_str("terminated"),
            (ExitStatus::BAD_TRAP, _) => f.write_str("no such trap"),
            (_, Some(kind)) => write!(f, "{} (vector {detail})", kind.name()),
            _ if reason == 0 => write!(f, "exit {detail}"),
            _ => write!(f, "status 0x{:04x}", self.0),
        }
    }
}

/// Kinds of exceptions, with Mach's numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exception {
    /// `EXC_BAD_ACCESS`: memory that is not there or does not allow it.
    BadAccess = 1,
    /// `EXC_BAD_INSTRUCTION`: an instruction that does not exist or is not allowed.
    BadInstruction = 2,
    /// `EXC_ARITHMETIC`: division by zero, floating point.
    Arithmetic = 3,
    /// `EXC_BREAKPOINT`: a breakpoint or single step.
    Breakpoint = 6,
}

impl Exception {
    /// The kind with this number.
    pub const fn from_number(number: u32) -> Option<Exception> {
        Some(match number {
            1 => Exception::BadAccess,
            2 => Exception::BadInstruction,
            3 => Exception::Arithmetic,
            6 => Exception::Breakpoint,
            _ => return None,
        })
    }

    /// Mach's name.
    pub const fn name(self) -> &'static str {
        match self {
            Exception::BadAccess => "EXC_BAD_ACCESS",
            Exception::BadInstruction => "EXC_BAD_INSTRUCTION",
            Exception::Arithmetic => "EXC_ARITHMETIC",
            Exception::Breakpoint => "EXC_BREAKPOINT",
        }
    }
}

/// `TASK_KERNEL_PORT`: the task's control port.
pub const TASK_KERNEL_PORT: u32 = 1;
/// `TASK_HOST_PORT`: the host port.
pub const TASK_HOST_PORT: u32 = 2;
/// `TASK_NAME_PORT`: the task's name port.
pub const TASK_NAME_PORT: u32 = 3;
/// `TASK_BOOTSTRAP_PORT`: where the task finds everything else.
pub const TASK_BOOTSTRAP_PORT: u32 = 4;

/// `VM_FLAGS_ANYWHERE`: the kernel chooses the address. Without it the address given is used.
pub const VM_FLAGS_ANYWHERE: u32 = 1;
/// `VM_FLAGS_OVERWRITE`: replaces what is at the address given.
pub const VM_FLAGS_OVERWRITE: u32 = 0x4000;
/// `VM_FLAGS_ALIAS_MASK`: a tag for statistics, which has no effect.
pub const VM_FLAGS_ALIAS_MASK: u32 = 0xFF00_0000;
/// Flags that XNU has and Tally refuses: `VM_FLAGS_PURGABLE`, `4GB_CHUNK`, `RANDOM_ADDR`, `NO_CACHE`, `PERMANENT` and
/// `SUPERPAGE_MASK`.
pub const VM_FLAGS_NOT_SUPPORTED: u32 = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x7_0000;

/// `VM_PROT_READ`
pub const VM_PROT_READ: u32 = 1;
/// `VM_PROT_WRITE`
pub const VM_PROT_WRITE: u32 = 2;
/// `VM_PROT_EXECUTE`
pub const VM_PROT_EXECUTE: u32 = 4;

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;

/// Disposition with which an exit port's right is usually made.
pub const EXIT_PORT_MAKE: u32 = Disposition::MAKE_SEND_ONCE.0 as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_statuses_tell_how_a_task_ended() {
        let text = |status| format!("{:?}", status);
        assert_eq!(text(ExitStatus::exited(3)), "exit 3");
        assert_eq!(text(ExitStatus::exception(Exception::BadAccess, 14)), "EXC_BAD_ACCESS (vector 14)");
        assert_eq!(text(ExitStatus::TERMINATED), "terminated");
        assert_eq!(text(ExitStatus::BAD_TRAP), "no such trap");
        assert_eq!(text(ExitStatus(0x4200)), "status 0x4200");
        assert_eq!(ExitStatus::exited(255).code(), Some(255));
        assert_eq!(ExitStatus::BAD_TRAP.code(), None);
    }
}
