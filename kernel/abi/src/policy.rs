//! Policies of tasks and threads: the arguments of the calls that set them (importance 2, 8 and 9.1, errata 6).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

// `setpriority`: what is set.

/// `PRIO_DARWIN_PROCESS`: whether a task is in the background.
pub const PRIO_DARWIN_PROCESS: u32 = 4;
/// `PRIO_DARWIN_ROLE`: the role of an application.
pub const PRIO_DARWIN_ROLE: u32 = 6;
/// `PRIO_DARWIN_BG`: the value of [`PRIO_DARWIN_PROCESS`] that puts the task into the background. All others but
/// [`PRIO_DARWIN_NONUI`] take it out again.
pub const PRIO_DARWIN_BG: u32 = 0x1000;
/// `PRIO_DARWIN_NONUI`: a value of [`PRIO_DARWIN_PROCESS`] without effect.
pub const PRIO_DARWIN_NONUI: u32 = 0x1001;

// `process_policy`.

/// `PROC_POLICY_SCOPE_PROCESS`: the policy of a task.
pub const PROC_POLICY_SCOPE_PROCESS: u32 = 1;
/// `PROC_POLICY_SCOPE_THREAD`: the policy of a thread.
pub const PROC_POLICY_SCOPE_THREAD: u32 = 2;
/// `PROC_POLICY_ACTION_SET`
pub const PROC_POLICY_ACTION_SET: u32 = 10;
/// `PROC_POLICY_ACTION_HOLD`: takes a boost.
pub const PROC_POLICY_ACTION_HOLD: u32 = 14;
/// `PROC_POLICY_ACTION_DROP`: gives a boost up.
pub const PROC_POLICY_ACTION_DROP: u32 = 15;
/// `PROC_POLICY_BACKGROUND`: not supported, as in XNU.
pub const PROC_POLICY_BACKGROUND: u32 = 1;
/// `PROC_POLICY_HARDWARE_ACCESS`: not supported, as in XNU.
pub const PROC_POLICY_HARDWARE_ACCESS: u32 = 2;
/// `PROC_POLICY_RESOURCE_STARVATION`: not supported.
pub const PROC_POLICY_RESOURCE_STARVATION: u32 = 3;
/// `PROC_POLICY_RESOURCE_USAGE`: not supported.
pub const PROC_POLICY_RESOURCE_USAGE: u32 = 4;
/// `PROC_POLICY_BOOST`: importance.
pub const PROC_POLICY_BOOST: u32 = 7;
/// `PROC_POLICY_IMP_IMPORTANT`: boosts that a program manages by itself.
pub const PROC_POLICY_IMP_IMPORTANT: u32 = 1;
/// `PROC_POLICY_IMP_DONATION`: the donor mark.
pub const PROC_POLICY_IMP_DONATION: u32 = 3;

// `proc_info`.

/// `PROC_INFO_CALL_PIDINFO`
pub const PROC_INFO_CALL_PIDINFO: u32 = 2;
/// `PROC_PIDUNIQIDENTIFIERINFO`
pub const PROC_PIDUNIQIDENTIFIERINFO: u32 = 17;

/// `proc_uniqidentifierinfo`, the answer to [`PROC_PIDUNIQIDENTIFIERINFO`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcUniqueIdentifierInfo {
    /// The identity of the program's file, which Tally does not have: 0.
    pub p_uuid: [u8; 16],
    /// A number that no other task ever has.
    pub p_uniqueid: u64,
    /// That of the task's parent; 0 for the first task.
    pub p_puniqueid: u64,
    /// The version of the process number.
    pub p_idversion: i32,
    /// The version of the parent's process number.
    pub p_orig_ppidversion: i32,
    /// 0
    pub p_reserve: [u64; 2],
}

// `bsdthread_ctl`.

/// `BSDTHREAD_CTL_QOS_OVERRIDE_START` `(thread, priority, resource)`: requests a class for a thread.
pub const BSDTHREAD_CTL_QOS_OVERRIDE_START: u32 = 0x40;
/// `BSDTHREAD_CTL_QOS_OVERRIDE_END` `(thread, resource)`: withdraws the request.
pub const BSDTHREAD_CTL_QOS_OVERRIDE_END: u32 = 0x80;
/// `BSDTHREAD_CTL_SET_SELF` `(priority, voucher, flags)`: sets what the flags name, for the calling thread.
pub const BSDTHREAD_CTL_SET_SELF: u32 = 0x100;
/// `BSDTHREAD_CTL_QOS_OVERRIDE_RESET` `()`: ends the override of the calling thread that
/// [`BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH`] has made.
pub const BSDTHREAD_CTL_QOS_OVERRIDE_RESET: u32 = 0x200;
/// `BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH` `(thread, priority, lock)`: requests a class for a thread if it owns the lock
/// at an address, or without one.
pub const BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH: u32 = 0x400;
/// Commands that XNU once had and refuses now: `SET_QOS`, and adding and resetting asynchronous overrides.
pub const BSDTHREAD_CTL_NOT_SUPPORTED: [u32; 3] = [0x10, 0x401, 0x402];

/// `WORKQ_SET_SELF_QOS_FLAG`: the class and relative priority that the thread requests.
pub const SET_SELF_QOS: u32 = 1;
/// `WORKQ_SET_SELF_VOUCHER_FLAG`: the thread's voucher.
pub const SET_SELF_VOUCHER: u32 = 2;
/// `WORKQ_SET_SELF_FIXEDPRIORITY_FLAG`: the thread has a fixed priority.
pub const SET_SELF_FIXED_PRIORITY: u32 = 4;
/// `WORKQ_SET_SELF_TIMESHARE_FLAG`: the thread takes part in time sharing.
pub const SET_SELF_TIMESHARE: u32 = 8;
/// `WORKQ_SET_SELF_WQ_KEVENT_UNBIND`: for workers that the kernel has bound to an event queue. There are none.
pub const SET_SELF_KEVENT_UNBIND: u32 = 0x10;

/// The bits in the word of a lock that are not part of the owner's name, all of which are set in names.
pub const LOCK_FLAGS: u32 = 3;

// `persona`.

/// `PERSONA_OP_GET`: the persona in whose name the calling thread works.
pub const PERSONA_OP_GET: u32 = 4;

// `task_policy_set` and `task_policy_get`.

/// `TASK_CATEGORY_POLICY`: one word, the role.
pub const TASK_CATEGORY_POLICY: u32 = 1;
/// `TASK_SUPPRESSION_POLICY`: a [`SuppressionPolicy`].
pub const TASK_SUPPRESSION_POLICY: u32 = 3;
/// `TASK_POLICY_STATE`: a [`PolicyState`].
pub const TASK_POLICY_STATE: u32 = 4;
/// The most words of a policy.
pub const TASK_POLICY_WORDS_MAX: usize = 16;

/// `LATENCY_QOS_TIER_0` is this number, and `LATENCY_QOS_TIER_n` is greater by n.
pub const LATENCY_QOS_TIER_0: u32 = 0xFF_0001;
/// `THROUGHPUT_QOS_TIER_0`, likewise.
pub const THROUGHPUT_QOS_TIER_0: u32 = 0xFE_0001;
/// The number of latency tiers, and that of throughput tiers.
pub const QOS_TIERS: u32 = 6;

/// `task_suppression_policy`: App Nap. A word other than 0 means yes, where nothing else is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SuppressionPolicy {
    /// The task naps.
    pub active: u32,
    /// Its threads run at the lowest priority.
    pub lowpri_cpu: u32,
    /// A latency tier, or 0.
    pub timer_throttle: u32,
    /// Its input and output is throttled.
    pub disk_throttle: u32,
    /// Ignored, and 0 in answers.
    pub cpu_limit: u32,
    /// Ignored, and 0 in answers.
    pub suspend: u32,
    /// A throughput tier, or 0.
    pub throughput_qos: u32,
    /// Its threads run at a lowered priority.
    pub suppressed_cpu: u32,
    /// Its sockets are in the background.
    pub background_sockets: u32,
    /// Ignored, and 0 in answers.
    pub reserved: [u32; 7],
}

/// `task_policy_state`: the state of a task's importance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PolicyState {
    /// XNU's private encodings of the requested, effective and pending policy: 0.
    pub policies: [u64; 3],
    /// The boosts that the task holds.
    pub imp_assertcnt: u32,
    /// Those of them that come from messages which the task has received.
    pub imp_externcnt: u32,
    /// Flags such as [`TASK_IMP_DONOR`](crate::task::TASK_IMP_DONOR).
    pub flags: u64,
    /// How often the task became a donor or was boosted.
    pub imp_transitions: u64,
    /// 0
    pub reserved: [u64; 2],
}
