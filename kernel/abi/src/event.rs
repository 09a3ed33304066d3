//! Events: what happens in the kernel, as records of a fixed size (trap `trace_control`).
//!
//! The kernel records events into a ring while tracing is on. Objects are named by numbers, never by addresses: tasks by
//! pid, threads by the number that `thread_selfid` returns, other objects by [`ObjectNumber`].

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The version of the records. It grows when a field changes its meaning; new kinds do not change it.
pub const EVENT_VERSION: u32 = 1;

/// Operation 0 of `trace_control`: stops recording and forgets the events. Other arguments are ignored.
pub const TRACE_STOP: u32 = 0;
/// Operation 1: starts recording, for the reader. Each event that finds the ring full is lost, and counted. There is one
/// recorder: while it does [`TRACE_STREAM`], this is refused, and the other way round.
pub const TRACE_START: u32 = 1;
/// Operation 2: moves events from the ring to a buffer, oldest first, as many as fit, and returns their number.
pub const TRACE_READ: u32 = 2;
/// Operation 3: starts recording and writes each event to the machine's trace device, if it has one, when a step ends.
pub const TRACE_STREAM: u32 = 3;

/// The number of a port, set, message, voucher, inherit or importance element: its place in the kernel's table in the
/// lower half, and how often that place has been used in the upper half. 0 is no object.
pub type ObjectNumber = u64;

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EventRecord {
    /// When: nanoseconds since boot.
    pub time: u64,
    /// The number of the thread whose trap or interrupt this step is, or 0 while the processor idles.
    pub thread: u64,
    /// What happened: one of [`kind`].
    pub kind: u16,
    /// The processor.
    pub cpu: u16,
    /// The number of events that were lost just before this one; `u32::MAX` for that many or more.
    pub lost: u32,
    /// The arguments, as the kind says. Those that it does not name are 0.
    pub arguments: [u64; 5],
}

/// The kinds of events, with their arguments.
pub mod kind {
    /// `(pid, parent's pid, name, name, name)`: a task began. The name of its program is 24 bytes, padded with zeros.
    pub const TASK_BEGUN: u16 = 1;
    /// `(pid, exit status)`: a task ended.
    pub const TASK_ENDED: u16 = 2;
    /// `(thread, pid)`: a thread began.
    pub const THREAD_BEGUN: u16 = 3;
    /// `(thread, pid)`: a thread ended.
    pub const THREAD_ENDED: u16 = 4;
    /// `(trap number)`: the thread of the event entered the kernel by a trap.
    pub const TRAP_ENTERED: u16 = 5;
    /// `(trap number, result)`: the trap ended in the step in which it began. The end of a trap that waited is a
    /// [`THREAD_WOKEN`].
    pub const TRAP_LEFT: u16 = 6;
    /// `(thread, wait, object)`: a thread waits. The wait is one of [`crate::inspect::wait`], the object is what it waits
    /// for.
    pub const THREAD_BLOCKED: u16 = 10;
    /// `(thread)`: a thread's wait ended.
    pub const THREAD_WOKEN: u16 = 11;
    /// `(thread, priority)`: the processor runs this thread now; 0 for none.
    pub const THREAD_CHOSEN: u16 = 12;
    /// `(thread, chosen thread)`: a thread lost the processor to another one.
    pub const THREAD_PREEMPTED: u16 = 13;
    /// `(thread, old base priority, new base priority)`.
    pub const PRIORITY_CHANGED: u16 = 14;
    /// `(pid, boosted, live donor)`: the policy of a task changed. The two are 0 or 1, as they are now.
    pub const POLICY_CHANGED: u16 = 15;
    /// `(message, port, msgh_id, voucher, flags)`: a send was accepted, before the message is queued or received. The
    /// voucher is the one in the header, or 0. Flag 1: the message is linked to its sender's importance. Flag 2: it
    /// raises the port's boosts. Flag 4: the kernel sent it.
    pub const MESSAGE_SENT: u16 = 20;
    /// `(message, port, position)`: a message is in the port's queue.
    pub const MESSAGE_QUEUED: u16 = 21;
    /// `(message, port, thread, voucher, flags)`: a thread received a message. The voucher is the one it got, or 0; flag
    /// 2: `MACH_MSGH_BITS_RAISEIMP` is set.
    pub const MESSAGE_RECEIVED: u16 = 22;
    /// `(message, port, thread)`: a message that could not be sent came back to its sender.
    pub const MESSAGE_RETURNED: u16 = 23;
    /// `(message, port)`: a message was destroyed.
    pub const MESSAGE_DESTROYED: u16 = 24;
    /// `(port)`: a task made a port.
    pub const PORT_MADE: u16 = 30;
    /// `(port)`: a port died.
    pub const PORT_DIED: u16 = 31;
    /// `(port, pid, name, right)`: a task got a right under a name. The right is a `mach_port_right_t`.
    pub const RIGHT_MADE: u16 = 32;
    /// `(port, pid, name, right)`: a right left its task in a message.
    pub const RIGHT_MOVED: u16 = 33;
    /// `(port, pid, name, right)`: a right ended.
    pub const RIGHT_DEAD: u16 = 34;
    /// `(voucher, inherit)`: a voucher that did not exist was made, by a task or for a message; 0 without importance, and
    /// with that of a task itself.
    pub const VOUCHER_CREATED: u16 = 40;
    /// `(voucher)`: a voucher was to be made, but one with the same values existed, and served.
    pub const VOUCHER_FOUND: u16 = 41;
    /// `(voucher, thread)`: a thread adopted a voucher; voucher 0: it gave its voucher up.
    pub const VOUCHER_ADOPTED: u16 = 42;
    /// `(voucher)`: the last name of a voucher is gone.
    pub const VOUCHER_RELEASED: u16 = 43;
    /// `(voucher)`: the last reference to a voucher is gone.
    pub const VOUCHER_DIED: u16 = 44;
    /// `(pid, boosts now, external boosts now, cause, object)`: a task's boosts rose. The cause is one of
    /// [`crate::inspect::boost`] and the object the port or the inherit; both are 0 if the cause is another one, such as
    /// a receive right that came with its boosts. A step's events of boosts come after its others.
    pub const BOOST_ADDED: u16 = 50;
    /// `(pid, boosts now, external boosts now, inherit, port)`: a boost that came with a message on a port is now that of
    /// an inherit, which the voucher of the received message holds; the sum is as before.
    pub const BOOST_MOVED: u16 = 51;
    /// As [`BOOST_ADDED`], but the boosts fell.
    pub const BOOST_DROPPED: u16 = 52;
    /// `(pid, deadline)`: a task has no boosts any more, and stays boosted until the deadline.
    pub const BOOST_DELAYED: u16 = 53;
    /// `(thread, nanoseconds, holder's pid, merchant's pid)`: processor time was charged to an account.
    pub const TIME_CHARGED: u16 = 60;
    /// `(note, object, a, b, voucher)`: a program told of itself by the trap `trace_note`. The note is one of
    /// [`super::note`]; the voucher is the one behind the name that the program gave, or 0.
    pub const NOTE: u16 = 70;
}

/// What the library for queues tells of itself: the notes of [`kind::NOTE`]. Queues and pieces of work have numbers that the
/// library gives them, unique in their task.
pub mod note {
    /// `()`: nothing. By it a library learns whether events are recorded.
    pub const NONE: u64 = 0;
    /// `(queue, label, label)`: a queue has this label of at most 16 bytes, padded with zeros.
    pub const QUEUE_NAMED: u64 = 1;
    /// `(work, queue, pthread_priority_t, voucher)`: a piece of work was submitted to a queue, and holds the voucher.
    pub const WORK_SUBMITTED: u64 = 2;
    /// `(work, queue, pthread_priority_t, voucher)`: the thread of the event begins a piece of work, and has adopted the
    /// voucher.
    pub const WORK_BEGUN: u64 = 3;
    /// `(work, queue)`: the piece of work is done. Its thread keeps the voucher until it adopts another one or idles.
    pub const WORK_DONE: u64 = 4;
    /// `(work, queue)`: a piece of work was dropped and never begins.
    pub const WORK_DROPPED: u64 = 5;
}
