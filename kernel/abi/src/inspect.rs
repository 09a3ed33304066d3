//! Records of the trap `inspect`: what the kernel's objects are like now, for monitors and debuggers.
//!
//! The kernel copies facts and formats nothing. Objects are named as in [`crate::event`]: tasks by pid, threads by
//! number, others by [`ObjectNumber`]; no record has an address of the kernel.

pub use crate::event::ObjectNumber;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the records. It grows when a record changes.
pub const INSPECT_VERSION: u32 = 1;

/// Where a listing goes on. It begins at [`Cursor::default`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cursor {
    /// The place of the table from which on the next call lists.
    pub place: u64,
    /// The number of records that the last call wrote. It can be 0 before the end.
    pub records: u64,
}

impl Cursor {
    /// The place behind the last one: the listing is complete.
    pub const END: u64 = u64::MAX;
}

/// The greatest number of messages of one port that are listed.
pub const QUEUE_LISTED: u32 = 64;

/// The kinds of records that `inspect` returns.
pub mod kind {
    /// [`TaskRecord`](super::TaskRecord)s of all tasks.
    pub const TASKS: u32 = 1;
    /// [`ThreadRecord`](super::ThreadRecord)s of all threads.
    pub const THREADS: u32 = 2;
    /// [`NameRecord`](super::NameRecord)s of a task; the argument is its pid.
    pub const NAMES: u32 = 3;
    /// [`PortRecord`](super::PortRecord)s of all ports.
    pub const PORTS: u32 = 4;
    /// [`MessageRecord`](super::MessageRecord)s: of the first messages in a port's queue, in its order, if the argument is
    /// the port's number; of all messages if it is 0.
    pub const MESSAGES: u32 = 5;
    /// [`VoucherRecord`](super::VoucherRecord)s of all vouchers.
    pub const VOUCHERS: u32 = 6;
    /// [`InheritRecord`](super::InheritRecord)s of all inherits.
    pub const INHERITS: u32 = 7;
    /// [`AccountRecord`](super::AccountRecord)s of the open accounts of the bank.
    pub const ACCOUNTS: u32 = 8;
    /// [`ElementRecord`](super::ElementRecord)s of all importance elements, also those whose task has ended.
    pub const ELEMENTS: u32 = 9;
    /// No records: the kernel checks all its invariants, and panics if one is broken. The work grows with the number of
    /// objects, unlike that of the other kinds.
    pub const CHECK: u32 = 10;
}

/// What a thread waits for.
pub mod wait {
    /// It does not wait: it runs or is ready.
    pub const NONE: u32 = 0;
    /// It is suspended and does not wait.
    pub const SUSPENDED: u32 = 1;
    /// A message on a port.
    pub const RECEIVE_PORT: u32 = 2;
    /// A message on a set.
    pub const RECEIVE_SET: u32 = 3;
    /// Room in the queue of a port.
    pub const SEND: u32 = 4;
    /// A point in time.
    pub const CLOCK: u32 = 5;
    /// A word of its memory, whose address stands for the object.
    pub const WORD: u32 = 6;
    /// Input from the console.
    pub const INPUT: u32 = 8;
    /// A processor: it is ready.
    pub const READY: u32 = 7;
    /// Room in the console's buffer.
    pub const OUTPUT: u32 = 9;
}

/// Why a task has boosts.
pub mod boost {
    /// Messages on a port, or messages that wait to get there.
    pub const PORT: u32 = 1;
    /// A voucher with an inherit.
    pub const INHERIT: u32 = 2;
}

/// Where the receive right of a port is.
pub mod home {
    /// In a task, under a name.
    pub const TASK: u32 = 1;
    /// In a message that is queued at another port, which stands in `home_object`.
    pub const TRANSIT: u32 = 2;
    /// On its way to another place, or in a message that is being destroyed.
    pub const LIMBO: u32 = 3;
    /// In the kernel: `home_object` is the `ikot` kind.
    pub const KERNEL: u32 = 4;
    /// Nowhere: the port is dead.
    pub const DEAD: u32 = 5;
}

/// A task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TaskRecord {
    /// Its process id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The name of its program, padded with zeros.
    pub name: [u8; 32],
    /// The user.
    pub uid: u32,
    /// `task_spawn`'s application type.
    pub app_type: u32,
    /// Its role.
    pub role: u32,
    /// The flags of `TASK_POLICY_STATE` and [`TASK_*`](TASK_ENDED).
    pub flags: u32,
    /// Boosts.
    pub boosts: u32,
    /// Boosts through inherits.
    pub external: u32,
    /// The number of threads.
    pub threads: u32,
    /// The number of names.
    pub names: u32,
    /// Its importance element.
    pub element: ObjectNumber,
    /// Bytes of kernel memory on its budget, used.
    pub budget_used: u64,
    /// Its limit.
    pub budget_limit: u64,
    /// Processor time of its threads, in ns, including those that ended.
    pub cpu_time: u64,
    /// Time that others worked for it, in ns.
    pub billed_time: u64,
    /// Time that it worked for others, in ns.
    pub serviced_time: u64,
    /// Energy that others spent for it, in nJ.
    pub billed_energy: u64,
    /// Energy that it spent for others, in nJ.
    pub serviced_energy: u64,
}

/// Flag of a [`TaskRecord`]: the task has ended and is being taken apart.
pub const TASK_ENDED: u32 = 0x100;
/// Its policy is that of a boosted task.
pub const TASK_BOOSTED: u32 = 0x200;
/// It is in App Nap.
pub const TASK_SUPPRESSED: u32 = 0x400;
/// It donates its importance now.
pub const TASK_DONOR: u32 = 0x800;
/// The end of its boost is delayed.
pub const TASK_DELAYED: u32 = 0x1000;

/// A thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadRecord {
    /// Its number.
    pub thread: u64,
    /// Its task.
    pub pid: u32,
    /// The priority that follows from its policy.
    pub base: u32,
    /// The priority at which it is scheduled.
    pub priority: u32,
    /// The QoS it asked for, a `pthread_priority_t`.
    pub requested: u32,
    /// The QoS in effect.
    pub effective: u32,
    /// What it waits for: one of [`wait`].
    pub wait: u32,
    /// The port, set or address it waits for.
    pub wait_object: u64,
    /// When it gives up waiting, in ns since boot; `u64::MAX` for never.
    pub deadline: u64,
    /// The thread that it pushes while it waits, or 0.
    pub pushes: u64,
    /// The voucher it has adopted, or 0.
    pub voucher: ObjectNumber,
    /// Processor time in ns.
    pub cpu_time: u64,
}

/// A name of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NameRecord {
    /// The name.
    pub name: u32,
    /// What `mach_port_type` says.
    pub kind: u32,
    /// User references.
    pub references: u32,
    /// The `ikot` kind of the port, 0 for a port of a task.
    pub kobject: u32,
    /// The port or set; 0 for a dead name.
    pub object: ObjectNumber,
}

/// A port. The threads that wait for a message or for room tell so themselves: see [`ThreadRecord::wait_object`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PortRecord {
    /// Its number.
    pub port: ObjectNumber,
    /// Where its receive right is: one of [`home`].
    pub home: u32,
    /// The task that has the receive right, or whose kernel object it is; 0 for none.
    pub pid: u32,
    /// What [`home`] says, or the name of the receive right.
    pub home_object: ObjectNumber,
    /// Messages in its queue.
    pub messages: u32,
    /// The limit of the queue.
    pub limit: u32,
    /// Send rights.
    pub send_rights: u32,
    /// Send-once rights.
    pub send_once_rights: u32,
    /// Boosts on the port.
    pub boosts: u32,
    /// Flags: see [`PORT_DONATION`].
    pub flags: u32,
    /// The thread that serves it, or whose special reply port it is, or 0.
    pub servicer: u64,
}

/// Flag of a [`PortRecord`]: messages may bring importance.
pub const PORT_DONATION: u32 = 1;
/// Boosts are for the task that the port was made for, wherever the receive right is.
pub const PORT_TEMPOWNER: u32 = 2;
/// It is a special reply port.
pub const PORT_SPECIAL_REPLY: u32 = 4;
/// It has a guard.
pub const PORT_GUARDED: u32 = 8;

/// A message that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MessageRecord {
    /// Its number.
    pub message: ObjectNumber,
    /// The port.
    pub port: ObjectNumber,
    /// `msgh_id`.
    pub id: u32,
    /// Bytes.
    pub size: u32,
    /// The sender, by the trailer's audit token; 0 for the kernel.
    pub sender: u32,
    /// Flags: see [`MESSAGE_LINKED`].
    pub flags: u32,
    /// Its QoS, a `pthread_priority_t`.
    pub qos: u32,
    /// The task whose importance it carries, or 0.
    pub donor: u32,
    /// The voucher in its header, or 0.
    pub voucher: ObjectNumber,
}

/// Flag of a [`MessageRecord`]: the message carries importance.
pub const MESSAGE_LINKED: u32 = 1;
/// It boosts the receiver of its port now.
pub const MESSAGE_RAISED: u32 = 2;
/// The kernel sent it.
pub const MESSAGE_OF_KERNEL: u32 = 4;

/// A voucher.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct VoucherRecord {
    /// Its number.
    pub voucher: ObjectNumber,
    /// References of the kernel: messages, threads and the port.
    pub references: u32,
    /// The keys that it has a value of: bit 1 << key.
    pub keys: u32,
    /// Its port, or 0.
    pub port: ObjectNumber,
    /// Send rights to its port.
    pub send_rights: u32,
    /// For key 2: the task whose own importance it is, or 0.
    pub importance_of: u32,
    /// For key 2: its inherit, or 0.
    pub inherit: ObjectNumber,
    /// For key 3: the pid of the account's holder, or of the task whose own value it is; 0 without the key.
    pub holder: u32,
    /// For key 3: the pid of the account's merchant, or 0.
    pub merchant: u32,
    /// For key 3: the persona.
    pub persona: u32,
    /// For key 4: the `pthread_priority_t`.
    pub priority: u32,
    /// The port by which a task received it first, or 0 if no message brought it.
    pub came_by: ObjectNumber,
    /// `msgh_id` of that message.
    pub came_with: u32,
    /// The sender of that message.
    pub came_from: u32,
}

/// Boosts that a task keeps because a voucher of it exists.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InheritRecord {
    /// Its number.
    pub inherit: ObjectNumber,
    /// The inherit from which it comes, or 0 if it comes from a task's own importance.
    pub from_inherit: ObjectNumber,
    /// The element of that task, or of the task that the other inherit is for.
    pub from: ObjectNumber,
    /// The element of the boosted task.
    pub to: ObjectNumber,
    /// Boosts so far.
    pub total: u64,
    /// Boosts given back.
    pub dropped: u64,
    /// The length of the chain that ends here (importance 6.5).
    pub depth: u32,
    /// 1 if the boosts count for the task now.
    pub donating: u32,
}

/// An account of the bank: work of a merchant for a holder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AccountRecord {
    /// Who pays.
    pub holder: u32,
    /// Who works.
    pub merchant: u32,
    /// Who began the work.
    pub originator: u32,
    /// Who asked the merchant.
    pub proximate: u32,
    /// The persona of the work.
    pub persona: u32,
    /// Unused, 0.
    pub reserved: u32,
}

/// A task as a giver and receiver of importance. It may outlive its task.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ElementRecord {
    /// Its number.
    pub element: ObjectNumber,
    /// The task, or 0 if it has ended.
    pub pid: u32,
    /// The flags of `TASK_POLICY_STATE`.
    pub flags: u32,
    /// Boosts.
    pub boosts: u64,
    /// Boosts through inherits, outstanding.
    pub external: u64,
    /// References.
    pub references: u64,
    /// References that vouchers have.
    pub made: u64,
    /// Messages that carry its importance.
    pub messages: u32,
    /// Inherits that depend on it.
    pub inherits: u32,
}
