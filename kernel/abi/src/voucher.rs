//! Vouchers: keys, recipe commands, limits and layouts (vouchers 0.3, 2, 6).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// All keys.
pub const MACH_VOUCHER_ATTR_KEY_ALL: u32 = 0xFFFF_FFFF;
/// The number that is no key.
pub const MACH_VOUCHER_ATTR_KEY_NONE: u32 = 0;
/// The task whose importance the message carries.
pub const MACH_VOUCHER_ATTR_KEY_IMPORTANCE: u32 = 2;
/// The task for which work is done, and the task that pays for it.
pub const MACH_VOUCHER_ATTR_KEY_BANK: u32 = 3;
/// A QoS class.
pub const MACH_VOUCHER_ATTR_KEY_PTHPRIORITY: u32 = 4;
/// Bytes without a meaning to the kernel.
pub const MACH_VOUCHER_ATTR_KEY_USER_DATA: u32 = 7;
/// Bytes without a meaning to the kernel, for tests.
pub const MACH_VOUCHER_ATTR_KEY_TEST: u32 = 8;
/// The number of keys, which is also the highest key.
pub const MACH_VOUCHER_ATTR_KEY_NUM_WELL_KNOWN: usize = 8;

/// No command: no manager has one with this number (vouchers 3.2).
pub const MACH_VOUCHER_ATTR_NOOP: u32 = 0;
/// Copies the value of the previous voucher.
pub const MACH_VOUCHER_ATTR_COPY: u32 = 1;
/// Removes the value.
pub const MACH_VOUCHER_ATTR_REMOVE: u32 = 2;
/// Stores a value's handle; only through the key's control.
pub const MACH_VOUCHER_ATTR_SET_VALUE_HANDLE: u32 = 3;
/// Redeems a message's voucher for the receiver; used by the kernel.
pub const MACH_VOUCHER_ATTR_AUTO_REDEEM: u32 = 4;
/// Prepares a message's voucher for the sender; used by the kernel.
pub const MACH_VOUCHER_ATTR_SEND_PREPROCESS: u32 = 5;
/// Redeems the previous value for the caller.
pub const MACH_VOUCHER_ATTR_REDEEM: u32 = 10;
/// The importance of the calling task.
pub const MACH_VOUCHER_ATTR_IMPORTANCE_SELF: u32 = 200;
/// The content is the value (also known as `BITS_STORE` and `TEST_STORE`).
pub const MACH_VOUCHER_ATTR_USER_DATA_STORE: u32 = 211;
/// The command in an extracted bank recipe; no manager accepts it.
pub const MACH_VOUCHER_ATTR_BANK_NULL: u32 = 601;
/// The value "current task".
pub const MACH_VOUCHER_ATTR_BANK_CREATE: u32 = 610;
/// A task's value with another persona.
pub const MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA: u32 = 611;
/// The command in an extracted priority recipe; no manager accepts it.
pub const MACH_VOUCHER_ATTR_PTHPRIORITY_NULL: u32 = 701;
/// The content is a `pthread_priority_t`.
pub const MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE: u32 = 710;

/// The size of the longest array of recipes that a program can pass, in bytes.
pub const MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE: usize = 5120;
/// The size of the longest content in a message, in bytes (vouchers 2.3).
pub const MACH_VOUCHER_ATTR_CONTENT_MAX: usize = 4096;
/// The buffer size needed for the content of a bank value, in bytes.
pub const MACH_VOUCHER_BANK_CONTENT_SIZE: usize = 500;
/// The buffer size needed for a priority, in bytes.
pub const MACH_VOUCHER_PTHPRIORITY_CONTENT_SIZE: usize = 4;
/// The size of the longest user data that the manager accepts, in bytes. It exceeds the longest array of recipes.
pub const USER_DATA_MAX_DATA: usize = 16384;
/// The largest number of activity ids that one call may reserve.
pub const MACH_ACTIVITY_ID_COUNT_MAX: i32 = 16;

/// Manager command of the bank: the pid of the process that pays.
pub const BANK_ORIGINATOR_PID: u32 = 1;
/// Manager command of the bank: a [`PersonaToken`].
pub const BANK_PERSONA_TOKEN: u32 = 2;
/// Manager command of the bank: the persona's id.
pub const BANK_PERSONA_ID: u32 = 3;
/// Manager command of the bank: 1 if the caller keeps the voucher's persona when it redeems a voucher, else 0.
pub const BANK_PERSONA_ADOPT_ANY: u32 = 4;

/// No persona.
pub const PERSONA_ID_NONE: u32 = 0xFFFF_FFFF;

/// The header of a recipe in an array. `content_size` bytes of content follow it, then the next recipe without padding
/// (vouchers 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RecipeHeader {
    /// The key of the attribute.
    pub key: u32,
    /// The recipe command.
    pub command: u32,
    /// The name of the previous voucher, or 0.
    pub previous_voucher: u32,
    /// The number of bytes of content that follow.
    pub content_size: u32,
}

/// `proc_persona_info`: the identity of a process (vouchers 6.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcPersonaInfo {
    /// A number that no other process ever has.
    pub unique_pid: u64,
    /// The process id.
    pub pid: i32,
    /// Always 0.
    pub flags: u32,
    /// The number of images that the process has run.
    pub pidversion: u32,
    /// The persona, or [`PERSONA_ID_NONE`].
    pub persona_id: u32,
    /// The user id.
    pub uid: u32,
    /// The group id.
    pub gid: u32,
    /// The UUID of the image.
    pub macho_uuid: [u8; 16],
}

/// `persona_token`: the process for which a message's work is done, and the last sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PersonaToken {
    /// The process whose persona the voucher carries.
    pub originator: ProcPersonaInfo,
    /// The process that sent the voucher last.
    pub proximate: ProcPersonaInfo,
}

/// `persona_modify_info`: the content of [`MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PersonaModifyInfo {
    /// The new persona.
    pub persona_id: u32,
    /// Ignored.
    pub padding: u32,
    /// The unique pid of the process to which the value must belong.
    pub unique_pid: u64,
}

const _: () = {
    assert!(size_of::<RecipeHeader>() == 16);
    assert!(size_of::<ProcPersonaInfo>() == 48);
    assert!(size_of::<PersonaToken>() == 96);
    assert!(size_of::<PersonaModifyInfo>() == 16);
};
