//! Vouchers: keys, recipe commands, limits and layouts (vouchers 0.3, 2, 6).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Stands for every key.
pub const MACH_VOUCHER_ATTR_KEY_ALL: u32 = 0xFFFF_FFFF;
/// Never a key.
pub const MACH_VOUCHER_ATTR_KEY_NONE: u32 = 0;
/// Whose importance a message carries.
pub const MACH_VOUCHER_ATTR_KEY_IMPORTANCE: u32 = 2;
/// For whom work is done, and who pays.
pub const MACH_VOUCHER_ATTR_KEY_BANK: u32 = 3;
/// A QoS class.
pub const MACH_VOUCHER_ATTR_KEY_PTHPRIORITY: u32 = 4;
/// Any bytes.
pub const MACH_VOUCHER_ATTR_KEY_USER_DATA: u32 = 7;
/// Any bytes, for tests.
pub const MACH_VOUCHER_ATTR_KEY_TEST: u32 = 8;
/// How many keys there are: 1 to this.
pub const MACH_VOUCHER_ATTR_KEY_NUM_WELL_KNOWN: usize = 8;

/// No command: no manager has one with this number (vouchers 3.2).
pub const MACH_VOUCHER_ATTR_NOOP: u32 = 0;
/// Take the previous voucher's value.
pub const MACH_VOUCHER_ATTR_COPY: u32 = 1;
/// Take the value away.
pub const MACH_VOUCHER_ATTR_REMOVE: u32 = 2;
/// Put a value's handle in; only through the key's control.
pub const MACH_VOUCHER_ATTR_SET_VALUE_HANDLE: u32 = 3;
/// What a receiver's kernel does with a message's voucher.
pub const MACH_VOUCHER_ATTR_AUTO_REDEEM: u32 = 4;
/// What a sender's kernel does with a message's voucher.
pub const MACH_VOUCHER_ATTR_SEND_PREPROCESS: u32 = 5;
/// Take the previous value, if the caller may.
pub const MACH_VOUCHER_ATTR_REDEEM: u32 = 10;
/// The caller's own importance.
pub const MACH_VOUCHER_ATTR_IMPORTANCE_SELF: u32 = 200;
/// The content is the value (also known as `BITS_STORE` and `TEST_STORE`).
pub const MACH_VOUCHER_ATTR_USER_DATA_STORE: u32 = 211;
/// What extraction says of a value of the bank; no manager takes it.
pub const MACH_VOUCHER_ATTR_BANK_NULL: u32 = 601;
/// The value "current task".
pub const MACH_VOUCHER_ATTR_BANK_CREATE: u32 = 610;
/// A task's value with another persona.
pub const MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA: u32 = 611;
/// What extraction says of a priority; no manager takes it.
pub const MACH_VOUCHER_ATTR_PTHPRIORITY_NULL: u32 = 701;
/// The content is a `pthread_priority_t`.
pub const MACH_VOUCHER_ATTR_PTHPRIORITY_CREATE: u32 = 710;

/// The longest array of recipes a program can pass, in bytes.
pub const MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE: usize = 5120;
/// The longest content in a message, in bytes (vouchers 2.3).
pub const MACH_VOUCHER_ATTR_CONTENT_MAX: usize = 4096;
/// Room that content of the bank needs, in bytes.
pub const MACH_VOUCHER_BANK_CONTENT_SIZE: usize = 500;
/// Room that a priority needs, in bytes.
pub const MACH_VOUCHER_PTHPRIORITY_CONTENT_SIZE: usize = 4;
/// The longest user data the manager takes, in bytes; no program can pass so much.
pub const USER_DATA_MAX_DATA: usize = 16384;
/// How many activity ids one call may reserve.
pub const MACH_ACTIVITY_ID_COUNT_MAX: i32 = 16;

/// Manager command of the bank: the pid of the process that pays.
pub const BANK_ORIGINATOR_PID: u32 = 1;
/// Manager command of the bank: a [`PersonaToken`].
pub const BANK_PERSONA_TOKEN: u32 = 2;
/// Manager command of the bank: the persona's id.
pub const BANK_PERSONA_ID: u32 = 3;
/// Manager command of the bank: whether the caller keeps a voucher's persona when it redeems one.
pub const BANK_PERSONA_ADOPT_ANY: u32 = 4;

/// No persona.
pub const PERSONA_ID_NONE: u32 = 0xFFFF_FFFF;

/// The header of a recipe in an array; `content_size` bytes of content follow, then at once the next recipe
/// (vouchers 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct RecipeHeader {
    /// Which attribute.
    pub key: u32,
    /// What to do.
    pub command: u32,
    /// The name of the previous voucher, or 0.
    pub previous_voucher: u32,
    /// How many bytes of content follow.
    pub content_size: u32,
}

/// `proc_persona_info`: who a process is (vouchers 6.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProcPersonaInfo {
    /// A number that is never used again.
    pub unique_pid: u64,
    /// The process id.
    pub pid: i32,
    /// Always 0.
    pub flags: u32,
    /// How many images the process has run.
    pub pidversion: u32,
    /// The persona, or [`PERSONA_ID_NONE`].
    pub persona_id: u32,
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The image's identity.
    pub macho_uuid: [u8; 16],
}

/// `persona_token`: for whom a message's work is done, and who sent it last.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PersonaToken {
    /// The process whose persona is vouched for.
    pub originator: ProcPersonaInfo,
    /// The process that sent the voucher last.
    pub proximate: ProcPersonaInfo,
}

/// `persona_modify_info`: the content of [`MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PersonaModifyInfo {
    /// The persona to be.
    pub persona_id: u32,
    /// Not looked at.
    pub padding: u32,
    /// Of which process the value must be.
    pub unique_pid: u64,
}

const _: () = {
    assert!(size_of::<RecipeHeader>() == 16);
    assert!(size_of::<ProcPersonaInfo>() == 48);
    assert!(size_of::<PersonaToken>() == 96);
    assert!(size_of::<PersonaModifyInfo>() == 16);
};
