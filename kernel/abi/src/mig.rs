//! Messages to kernel objects (mach-ipc 5.2, 7.3, 7.4).
//!
//! A simple request consists of header, NDR record and arguments; its reply of header, NDR record, return code and
//! results. A request or reply that carries rights is complex: header, descriptor count, descriptors, then NDR record
//! and arguments. A complex reply has no return code, it implies success. The id of a reply is that of its request plus
//! 100.

/// The NDR record that precedes every simple argument list.
pub const NDR: [u8; 8] = [0, 0, 0, 0, 1, 0, 0, 0];

/// The difference between the ids of a reply and its request.
pub const REPLY_ID_OFFSET: i32 = 100;

/// Ids of the subsystem `mach_port`, base 3200.
pub mod mach_port {
    /// `mach_port_type(name)`
    pub const TYPE: i32 = 3201;
    /// `mach_port_rename`: not supported.
    pub const RENAME: i32 = 3202;
    /// `mach_port_allocate_name(right, name)`
    pub const ALLOCATE_NAME: i32 = 3203;
    /// `mach_port_allocate(right)`
    pub const ALLOCATE: i32 = 3204;
    /// `mach_port_destroy(name)`
    pub const DESTROY: i32 = 3205;
    /// `mach_port_deallocate(name)`
    pub const DEALLOCATE: i32 = 3206;
    /// `mach_port_get_refs(name, right)`
    pub const GET_REFS: i32 = 3207;
    /// `mach_port_mod_refs(name, right, delta)`
    pub const MOD_REFS: i32 = 3208;
    /// `mach_port_set_mscount(name, count)`
    pub const SET_MSCOUNT: i32 = 3210;
    /// `mach_port_move_member(member, after)`
    pub const MOVE_MEMBER: i32 = 3212;
    /// `mach_port_request_notification([notify], name, msgid, sync)`
    pub const REQUEST_NOTIFICATION: i32 = 3213;
    /// `mach_port_insert_right([poly], name)`
    pub const INSERT_RIGHT: i32 = 3214;
    /// `mach_port_extract_right(name, disposition)`
    pub const EXTRACT_RIGHT: i32 = 3215;
    /// `mach_port_set_seqno(name, seqno)`
    pub const SET_SEQNO: i32 = 3216;
    /// `mach_port_get_attributes(name, flavor, count)`
    pub const GET_ATTRIBUTES: i32 = 3217;
    /// `mach_port_set_attributes(name, flavor, count, words)`
    pub const SET_ATTRIBUTES: i32 = 3218;
    /// `mach_port_get_srights(name)`
    pub const GET_SRIGHTS: i32 = 3222;
    /// `mach_port_insert_member(name, set)`
    pub const INSERT_MEMBER: i32 = 3226;
    /// `mach_port_extract_member(name, set)`
    pub const EXTRACT_MEMBER: i32 = 3227;
    /// `mach_port_get_context(name)`
    pub const GET_CONTEXT: i32 = 3228;
    /// `mach_port_set_context(name, context)`
    pub const SET_CONTEXT: i32 = 3229;
    /// `mach_port_kobject(name)`
    pub const KOBJECT: i32 = 3230;
    /// `mach_port_construct(options, context)`
    pub const CONSTRUCT: i32 = 3231;
    /// `mach_port_destruct(name, srdelta, guard)`
    pub const DESTRUCT: i32 = 3232;
    /// `mach_port_guard(name, guard, strict)`
    pub const GUARD: i32 = 3233;
    /// `mach_port_unguard(name, guard)`
    pub const UNGUARD: i32 = 3234;
    /// `mach_port_special_reply_port_reset_link`: not supported.
    pub const SPECIAL_REPLY_PORT_RESET_LINK: i32 = 3236;
    /// `mach_port_guard_with_flags(name, guard, flags)`
    pub const GUARD_WITH_FLAGS: i32 = 3237;
    /// `mach_port_swap_guard(name, old, new)`
    pub const SWAP_GUARD: i32 = 3238;
}

/// Ids of the subsystem `mach_host`, base 200.
pub mod mach_host {
    /// `host_create_mach_voucher(size, recipes)`
    pub const CREATE_MACH_VOUCHER: i32 = 222;
    /// `host_register_mach_voucher_attr_manager([manager], default handle)`: refused.
    pub const REGISTER_MACH_VOUCHER_ATTR_MANAGER: i32 = 223;
    /// `host_register_well_known_mach_voucher_attr_manager([manager], default handle, key)`: refused.
    pub const REGISTER_WELL_KNOWN_MACH_VOUCHER_ATTR_MANAGER: i32 = 224;
}

/// Ids of the subsystem `mach_voucher`, base 5400.
pub mod mach_voucher {
    /// `mach_voucher_extract_attr_content(key, size)`
    pub const EXTRACT_ATTR_CONTENT: i32 = 5400;
    /// `mach_voucher_extract_attr_recipe(key, size)`
    pub const EXTRACT_ATTR_RECIPE: i32 = 5401;
    /// `mach_voucher_extract_all_attr_recipes(size)`
    pub const EXTRACT_ALL_ATTR_RECIPES: i32 = 5402;
    /// `mach_voucher_attr_command(key, command, size, content, size of the result)`
    pub const ATTR_COMMAND: i32 = 5403;
    /// `mach_voucher_debug_info(name, size)`, to a task: not supported.
    pub const DEBUG_INFO: i32 = 5404;
}

/// Ids of the subsystem `mach_voucher_attr_control`, base 5600.
pub mod mach_voucher_attr_control {
    /// `mach_voucher_attr_control_get_values([voucher], count)`: refused.
    pub const GET_VALUES: i32 = 5600;
    /// `mach_voucher_attr_control_create_mach_voucher(size, recipes)`: refused.
    pub const CREATE_MACH_VOUCHER: i32 = 5601;
}

/// Ids of the subsystem `task`, base 3400.
pub mod task {
    /// `task_terminate()`
    pub const TERMINATE: i32 = 3401;
    /// `task_get_special_port(which)`
    pub const GET_SPECIAL_PORT: i32 = 3409;
    /// `task_set_special_port([port], which)`
    pub const SET_SPECIAL_PORT: i32 = 3410;
    /// `task_get_mach_voucher(which)`
    pub const GET_MACH_VOUCHER: i32 = 3439;
    /// `task_set_mach_voucher([voucher])`
    pub const SET_MACH_VOUCHER: i32 = 3440;
    /// `task_swap_mach_voucher([new], [old])`: not supported.
    pub const SWAP_MACH_VOUCHER: i32 = 3441;
    /// `task_policy_set(flavor, count, words)`
    pub const POLICY_SET: i32 = 3420;
    /// `task_policy_get(flavor, count, get_default)`
    pub const POLICY_GET: i32 = 3421;
}

/// Ids of the subsystem `thread_act`, base 3600.
pub mod thread_act {
    /// `thread_terminate()`
    pub const TERMINATE: i32 = 3600;
    /// `thread_suspend()`
    pub const SUSPEND: i32 = 3605;
    /// `thread_resume()`
    pub const RESUME: i32 = 3606;
    /// `thread_abort()`
    pub const ABORT: i32 = 3607;
    /// `thread_get_mach_voucher(which)`
    pub const GET_MACH_VOUCHER: i32 = 3625;
    /// `thread_set_mach_voucher([voucher])`
    pub const SET_MACH_VOUCHER: i32 = 3626;
    /// `thread_swap_mach_voucher([new], [old])`: not supported.
    pub const SWAP_MACH_VOUCHER: i32 = 3627;
}

/// Ids of the name service behind the bootstrap port. The name service is an ordinary task (`docs/abi.md`).
pub mod bootstrap {
    use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

    /// `bootstrap_check_in(name)`: the reply carries the receive right of a new port.
    pub const CHECK_IN: i32 = 402;
    /// `bootstrap_register([port], name)`: the name is 128 bytes, padded with zeros.
    pub const REGISTER: i32 = 403;
    /// `bootstrap_look_up(name)`
    pub const LOOK_UP: i32 = 404;
    /// `declare(job)`, for user 0: a [`JobSettings`] follows the NDR record, and then the strings of the job.
    pub const DECLARE: i32 = 450;
    /// `check_in_service(name)`: the reply carries the receive right of the service, and that of the control port.
    pub const CHECK_IN_SERVICE: i32 = 451;
    /// `terminate_job(label)`, for user 0: sends [`TERMINATE`] to the running instance.
    pub const TERMINATE_JOB: i32 = 452;
    /// The id of the message to a control port that asks a job to end. It consists of a header.
    pub const TERMINATE: i32 = 460;
    /// The length of a service name.
    pub const NAME_SIZE: usize = 128;
    /// Error: the sender may not do that.
    pub const NOT_PRIVILEGED: i32 = 1100;
    /// Error: the name is not registered.
    pub const UNKNOWN_SERVICE: i32 = 1102;
    /// Error: the name is registered already.
    pub const NAME_IN_USE: i32 = 1101;
    /// Error: another program has checked in with the name, or registered it.
    pub const SERVICE_ACTIVE: i32 = 1103;
    /// Error: the job of the service was started too often, or does not start.
    pub const SERVICE_THROTTLED: i32 = 1150;

    /// The fixed part of a job in a [`DECLARE`] request. The strings follow, each ended by a zero byte: label, program,
    /// services, arguments; then zero bytes up to a multiple of 4.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(C)]
    pub struct JobSettings {
        /// An [`AppType`](crate::qos::AppType).
        pub app_type: u32,
        /// A [`Role`](crate::qos::Role).
        pub role: u32,
        /// The highest [`Qos`](crate::qos::Qos) of the job's threads; 0 for the name service's own.
        pub qos_clamp: u32,
        /// User id, or [`SPAWN_INHERIT`](crate::task::SPAWN_INHERIT) for the name service's own.
        pub uid: u32,
        /// Group id, likewise.
        pub gid: u32,
        /// The persona of the job, as in [`TaskSpawnArgs`](crate::task::TaskSpawnArgs).
        pub persona: u32,
        /// Its [`Properties`](crate::task::Properties).
        pub properties: u32,
        /// [`JOB_KEEP_ALIVE`] or 0.
        pub flags: u32,
        /// How many starts in the time `starts_window` are not too many, 1 to 16.
        pub starts_max: u32,
        /// The time over which starts are counted, in milliseconds, at most 600,000.
        pub starts_window: u32,
        /// The number of services.
        pub service_count: u32,
        /// The number of arguments.
        pub argument_count: u32,
    }

    /// [`JobSettings::flags`]: the job is started at once, and again when it ends.
    pub const JOB_KEEP_ALIVE: u32 = 1;
}
