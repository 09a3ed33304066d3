//! What the trap `debug_state` returns: numbers for tests and curious people, no addresses.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kind 1: a [`Counts`]; the name is ignored.
pub const DEBUG_COUNTS: u32 = 1;
/// Kind 2: a [`ThreadInfo`] of the thread whose control port is named.
pub const DEBUG_THREAD: u32 = 2;
/// Kind 3: the kernel panics. Only the first task, which can stop the machine anyway, may ask for it, to show how a panic
/// is reported.
pub const DEBUG_PANIC: u32 = 3;

/// How many objects of each kind exist in the whole system. A test takes them before and after and compares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counts {
    /// Tasks that have not ended completely.
    pub tasks: u64,
    /// Threads.
    pub threads: u64,
    /// Live ports, the kernel's own included.
    pub ports: u64,
    /// Port sets.
    pub port_sets: u64,
    /// Names in all tasks.
    pub names: u64,
    /// Send rights to live ports (mach-ipc 1.4 rule 5).
    pub send_rights: u64,
    /// Send-once rights to live ports.
    pub send_once_rights: u64,
    /// Messages: queued, held by blocked senders, or waiting to be destroyed.
    pub messages: u64,
    /// Regions of memory in all tasks.
    pub regions: u64,
    /// Free page frames.
    pub free_frames: u64,
}

impl Counts {
    /// The names of the fields, in order.
    pub const NAMES: [&'static str; 10] = [
        "tasks",
        "threads",
        "ports",
        "port sets",
        "names",
        "send rights",
        "send-once rights",
        "messages",
        "regions",
        "free frames",
    ];

    /// The fields in the order of [`NAMES`](Counts::NAMES).
    pub const fn values(&self) -> [u64; 10] {
        [
            self.tasks,
            self.threads,
            self.ports,
            self.port_sets,
            self.names,
            self.send_rights,
            self.send_once_rights,
            self.messages,
            self.regions,
            self.free_frames,
        ]
    }
}

/// A thread as the scheduler sees it (importance 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadInfo {
    /// The QoS asked for, as a `pthread_priority_t`.
    pub requested: u32,
    /// The QoS in effect, as a `pthread_priority_t`.
    pub effective: u32,
    /// Base priority, 0 to 127.
    pub base_priority: u32,
    /// The priority the thread is scheduled at, lower than its base while it yields.
    pub scheduled_priority: u32,
}
