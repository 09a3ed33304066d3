//! Results of the trap `debug_state`: counts and priorities for tests and diagnosis, never an address.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Kind 1: a [`Counts`]; the name is ignored.
pub const DEBUG_COUNTS: u32 = 1;
/// Kind 2: a [`ThreadInfo`] of the thread whose control port is named.
pub const DEBUG_THREAD: u32 = 2;
/// Kind 3: the kernel panics, to show how a panic is reported. Only the first task, which can stop the machine anyway,
/// may request it.
pub const DEBUG_PANIC: u32 = 3;
/// Kind 4: the number of free bytes in the kernel's heap, a u64; the name is ignored. Some tables of the kernel keep
/// a little, so a test compares the numbers before and after only when it has done everything once.
pub const DEBUG_HEAP: u32 = 4;

/// Kind 5: a [`Memory`]. With the name 1, which only user 0 may give, the kernel gives back what its tables do not need
/// any more, as soon as it has nothing else to do.
pub const DEBUG_MEMORY: u32 = 5;
/// Kind 6: a [`Clocks`]; the name is ignored.
pub const DEBUG_CLOCKS: u32 = 6;

/// The kernel's heap. A test compares it before and after, as it does the counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Memory {
    /// Free bytes.
    pub free: u64,
    /// The size in bytes of the largest allocation that would succeed: a message of nearly that size can be sent.
    pub largest: u64,
    /// 1 if there is something left to destroy or to give back, or an application waits for its delayed drop, else 0.
    /// What the call itself asks for does not count.
    pub unsettled: u64,
}

/// Two clocks, read at about the same time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Clocks {
    /// The time of the kernel's clock before the other was read, in ns since boot.
    pub before: u64,
    /// The time of another clock that the machine has, in ns since some moment; 0 if there is none.
    pub other: u64,
    /// The time of the kernel's clock afterwards.
    pub after: u64,
}

/// Kind 7: a [`LongestStep`], the longest since this kind was asked for last, and forgets it. The name is 1 to measure
/// steps from then on, else 0. For user 0 alone, because measuring makes every trap slower.
pub const DEBUG_LONGEST: u32 = 7;

/// The longest time for which the kernel kept everybody else out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LongestStep {
    /// Its length in ticks of the time stamp counter.
    pub ticks: u64,
    /// The number of the trap that caused it; 0 for the timer, `u32::MAX` for an exception.
    pub cause: u32,
    /// Which part of its step it was, from 0: other threads can run between two parts.
    pub part: u32,
}

/// The number of objects of each kind in the whole system. A test compares the counts before and after.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counts {
    /// Tasks that have not been destroyed completely.
    pub tasks: u64,
    /// Threads.
    pub threads: u64,
    /// Live ports, including those of kernel objects.
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
    /// Vouchers.
    pub vouchers: u64,
}

impl Counts {
    /// The names of the fields, in the order of the structure.
    pub const NAMES: [&'static str; 11] = [
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
        "vouchers",
    ];

    /// Returns the fields in the order of [`NAMES`](Counts::NAMES).
    pub const fn values(&self) -> [u64; 11] {
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
            self.vouchers,
        ]
    }
}

/// The scheduling state of a thread (importance 8).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadInfo {
    /// The requested QoS, as a `pthread_priority_t`.
    pub requested: u32,
    /// The QoS in effect, as a `pthread_priority_t`: the requested one raised by what others request for the thread,
    /// before the limits of its task.
    pub effective: u32,
    /// Base priority, 0 to 127.
    pub base_priority: u32,
    /// The scheduled priority, lower than the base priority while the thread yields.
    pub scheduled_priority: u32,
    /// How often the thread has called `bsdthread_ctl` for itself with [`BSDTHREAD_CTL_SET_SELF`].
    ///
    /// [`BSDTHREAD_CTL_SET_SELF`]: crate::policy::BSDTHREAD_CTL_SET_SELF
    pub set_self_calls: u32,
    /// The tier of its input and output, from 0, the best, to 3.
    pub io_tier: u32,
    /// Its latency code, from 1, the best, to 6; 0 for none.
    pub latency_qos: u32,
    /// Its throughput code, from 1, the best, to 6; 0 for none.
    pub throughput_qos: u32,
    /// The voucher that it has adopted: a number that no other living voucher has; 0 for none.
    pub voucher: u64,
    /// The time for which it has had a processor, in ns.
    pub run_time: u64,
    /// The energy of that time, in nJ.
    pub energy: u64,
}
