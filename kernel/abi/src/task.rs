//! Tasks: spawning, exit status, special ports, memory (errata 6, mach-ipc 5.5).

use crate::mig::NDR;
use crate::port::{Disposition, PortName};
use bitflags::bitflags;
use core::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The arguments of the trap `task_spawn`. Later versions add fields at the end: fields missing from a shorter
/// structure count as 0, and fields that the kernel does not know must be 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskSpawnArgs {
    /// The address of the image: the name of a file in the bundle, or an ELF file in the caller's memory.
    pub image: u64,
    /// The length of the image.
    pub image_size: u64,
    /// The address of the argument strings, which follow each other, each ended by a zero byte. The first is the task's
    /// name in logs and listings, or else the file's name is.
    pub arguments: u64,
    /// The length of the argument strings, including all zero bytes.
    pub arguments_size: u64,
    /// The address of the environment strings, in the same form.
    pub environment: u64,
    /// The length of the environment strings.
    pub environment_size: u64,
    /// [`SPAWN_IMAGE_NAME`] or [`SPAWN_IMAGE_BYTES`].
    pub image_kind: u32,
    /// An [`AppType`](crate::qos::AppType).
    pub app_type: u32,
    /// A [`Role`](crate::qos::Role).
    pub role: u32,
    /// The highest [`Qos`](crate::qos::Qos) of the task's threads; 0 for no limit.
    pub qos_clamp: u32,
    /// User id, or [`SPAWN_INHERIT`]. Only user 0 may choose another than its own.
    pub uid: u32,
    /// Group id, or [`SPAWN_INHERIT`]. Only user 0 may choose another than its own.
    pub gid: u32,
    /// The name of a send right that becomes the task's bootstrap port; null: the caller's own.
    pub bootstrap_port: PortName,
    /// The name from which the exit port's send-once right is taken, or null: see [`ExitMessage`].
    pub exit_port: PortName,
    /// The disposition of the exit port: 21 (make) or 18 (move).
    pub exit_disposition: u32,
    /// The persona of the task, [`PERSONA_ID_NONE`], or 0 for the caller's own. Only user 0 may choose another than its
    /// own.
    pub persona: u32,
    /// The task's [`Properties`].
    pub properties: u32,
    /// How many names there are at [`watch_ports`](TaskSpawnArgs::watch_ports), at most [`WATCH_PORTS_MAX`].
    pub watch_port_count: u32,
    /// The address of names of send rights: the ports on which an adaptive daemon is to be launched (importance 3.3).
    pub watch_ports: u64,
    /// The id of the system persona, or 0. User 0 gives it once.
    pub system_persona: u32,
    /// The id of the system-proxy persona, or 0. User 0 gives it once.
    pub system_proxy_persona: u32,
    /// The bytes of kernel memory that the task gets of the caller's budget, besides what it starts with; or
    /// [`SPAWN_SHARE_OF`] plus a number of parts; or 0 for the usual share.
    pub kernel_bytes: u64,
    /// The pages that the task gets of the caller's, likewise.
    pub pages: u64,
    /// [`SPAWN_COALITION_PARENT`] or [`SPAWN_COALITION_OWN`].
    pub coalition: u64,
}

/// [`TaskSpawnArgs::image_kind`]: the name of a file in the bundle.
pub const SPAWN_IMAGE_NAME: u32 = 0;
/// [`TaskSpawnArgs::image_kind`]: an ELF file in the caller's memory.
pub const SPAWN_IMAGE_BYTES: u32 = 1;
/// [`TaskSpawnArgs::uid`], [`TaskSpawnArgs::gid`]: the caller's own.
pub const SPAWN_INHERIT: u32 = 0xFFFF_FFFF;

/// [`TaskSpawnArgs::coalition`]: the task is in the caller's coalition, and shares its turns on the processor.
pub const SPAWN_COALITION_PARENT: u64 = 0;
/// [`TaskSpawnArgs::coalition`]: the task begins a coalition of its own, with turns of its own. Only user 0 may ask for
/// that.
pub const SPAWN_COALITION_OWN: u64 = 1;

/// A share that is given in parts, [`SPAWN_SHARE_PARTS`] of which are all that the caller has left.
pub const SPAWN_SHARE_OF: u64 = 1 << 63;
/// See [`SPAWN_SHARE_OF`].
pub const SPAWN_SHARE_PARTS: u64 = 256;

/// `PERSONA_ID_NONE`: no persona.
pub const PERSONA_ID_NONE: u32 = 0xFFFF_FFFF;
/// The most watch ports of a task.
pub const WATCH_PORTS_MAX: u32 = 32;

bitflags! {
    /// What the image of a task is entitled to, as far as personas are concerned (vouchers 6.3.1, errata 6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Properties: u32 {
        /// It is part of the platform.
        const PLATFORM = 1;
        /// It must not pass on the persona of its clients.
        const NO_PROPAGATE = 2;
        /// It may adopt any persona.
        const ADOPT_ANY = 4;
        /// It may make vouchers with other personas.
        const MODIFY = 8;
    }
}

/// The `msgh_id` of an [`ExitMessage`].
pub const EXIT_MESSAGE_ID: i32 = 5001;

/// The body of the message that is sent to a task's exit port once the task is destroyed completely.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ExitMessage {
    /// The NDR record.
    pub ndr: [u8; 8],
    /// An [`ExitStatus`].
    pub status: u32,
}

impl ExitMessage {
    /// Returns the message for `status`.
    pub const fn new(status: ExitStatus) -> ExitMessage {
        ExitMessage { ndr: NDR, status: status.0 }
    }
}

/// How a task ended: `reason << 8 | detail`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct ExitStatus(pub u32);

impl ExitStatus {
    /// The task was terminated by `task_terminate`.
    pub const TERMINATED: ExitStatus = ExitStatus(0x0900);
    /// The task made a trap that does not exist.
    pub const BAD_TRAP: ExitStatus = ExitStatus(0x0B00);

    /// Returns the status of a task that called `exit` with this code. (`exit` keeps the low byte of its argument.)
    pub const fn exited(code: u8) -> ExitStatus {
        ExitStatus(code as u32)
    }

    /// Returns the status of a task that was ended by an exception of this kind, raised by the processor as `vector`.
    pub const fn exception(kind: Exception, vector: u8) -> ExitStatus {
        ExitStatus((kind as u32) << 8 | vector as u32)
    }

    /// Returns the argument of `exit`, or `None` if the task ended otherwise.
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
    /// `EXC_BAD_ACCESS`: an access to memory that is not mapped or does not allow the access.
    BadAccess = 1,
    /// `EXC_BAD_INSTRUCTION`: an undefined or privileged instruction.
    BadInstruction = 2,
    /// `EXC_ARITHMETIC`: a division error or a floating-point exception.
    Arithmetic = 3,
    /// `EXC_BREAKPOINT`: a breakpoint or single step.
    Breakpoint = 6,
}

impl Exception {
    /// Returns the kind with this number.
    pub const fn from_number(number: u32) -> Option<Exception> {
        Some(match number {
            1 => Exception::BadAccess,
            2 => Exception::BadInstruction,
            3 => Exception::Arithmetic,
            6 => Exception::Breakpoint,
            _ => return None,
        })
    }

    /// Returns Mach's name of the kind.
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
/// `TASK_BOOTSTRAP_PORT`: the port through which the task looks up services.
pub const TASK_BOOTSTRAP_PORT: u32 = 4;
/// `TASK_DEBUG_CONTROL_PORT`: the port at which the task's own libraries tell a debugger of what the kernel does not know,
/// such as queues. A child does not inherit it.
pub const TASK_DEBUG_CONTROL_PORT: u32 = 17;

/// `VM_FLAGS_ANYWHERE`: the kernel chooses the address. Without the flag the kernel uses the address given.
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

// Flags of a task's importance in `TASK_POLICY_STATE` (importance 9.1).

/// `TASK_IMP_RECEIVER`: the task may be boosted.
pub const TASK_IMP_RECEIVER: u64 = 1;
/// `TASK_IMP_DONOR`: the task gives importance whether or not it is boosted.
pub const TASK_IMP_DONOR: u64 = 2;
/// `TASK_IMP_LIVE_DONOR`: the donor mark follows from the task's policy.
pub const TASK_IMP_LIVE_DONOR: u64 = 4;
/// `TASK_DENAP_RECEIVER`: the task may be boosted, but only to lift its App Nap.
pub const TASK_DENAP_RECEIVER: u64 = 8;

/// The size of a page.
pub const PAGE_SIZE: u64 = 4096;

/// The usual disposition of an exit port.
pub const EXIT_PORT_MAKE: u32 = Disposition::MAKE_SEND_ONCE.0 as u32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_status_names_the_end_of_a_task() {
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
