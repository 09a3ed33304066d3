//! Ids of the kernel's objects.
//!
//! An id denotes an object of an arena by index and generation. Its type contains a tag and not the object's type, so
//! that every layer can keep ids of objects whose types it cannot see.

use crate::machine::AddressSpace;
use abi::port::ikot;
use store::Id;
pub use voucher::VoucherId;
pub use voucher::managers::bank::ThreadBill;

/// Tags: they make the ids of different kinds of objects different types.
pub mod tag {
    /// The tag of tasks.
    #[derive(Debug)]
    pub enum Task {}
    /// The tag of threads.
    #[derive(Debug)]
    pub enum Thread {}
    /// The tag of coalitions.
    #[derive(Debug)]
    pub enum Coalition {}
    /// The tag of spaces.
    #[derive(Debug)]
    pub enum Space {}
    /// The tag of budgets.
    #[derive(Debug)]
    pub enum Budget {}
    /// The tag of ports.
    #[derive(Debug)]
    pub enum Port {}
    /// The tag of port sets.
    #[derive(Debug)]
    pub enum PortSet {}
    /// The tag of memberships of ports in sets.
    #[derive(Debug)]
    pub enum Membership {}
    /// The tag of requests for notifications.
    #[derive(Debug)]
    pub enum Request {}
    /// The tag of messages.
    #[derive(Debug)]
    pub enum Message {}
}

/// A task's id.
pub type TaskId = Id<tag::Task>;
/// A thread's id.
pub type ThreadId = Id<tag::Thread>;
/// A coalition's id.
pub type CoalitionId = Id<tag::Coalition>;
/// The id of a space, a task's table of port names.
pub type SpaceId = Id<tag::Space>;
/// A budget's id. An object can outlive the budget that it is on; a refund to a removed budget has no effect.
pub type BudgetId = Id<tag::Budget>;
/// A port's id. After a port's death the id denotes the port until it has been taken apart, and no object after that.
pub type PortId = Id<tag::Port>;
/// A port set's id.
pub type SetId = Id<tag::PortSet>;
/// The id of a port's membership in a set.
pub type MembershipId = Id<tag::Membership>;
/// The id of a request for a notification.
pub type RequestId = Id<tag::Request>;
/// A message's id.
pub type MessageId = Id<tag::Message>;

/// A thread with its task, space and memory, which stay the same for its whole life. A trap's caller and a message's
/// receiver are passed as a `Context`, so that these need not be looked up again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The thread.
    pub thread: ThreadId,
    /// The thread's task.
    pub task: TaskId,
    /// The task's space of port names.
    pub space: SpaceId,
    /// The task's memory.
    pub address_space: AddressSpace,
}

/// An object that a thread can receive from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receivable {
    /// A port.
    Port(PortId),
    /// A set of ports.
    Set(SetId),
}

/// An object that the kernel represents by a port: each message to the port is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelObject {
    /// A task, through its control port.
    Task(TaskId),
    /// A task, through its name port, by which it can be identified but not controlled.
    TaskName(TaskId),
    /// A thread, through its control port.
    Thread(ThreadId),
    /// The host.
    Host,
    /// A voucher. It lives as long as its port.
    Voucher(VoucherId),
}

impl KernelObject {
    /// Returns the kind of object that `mach_port_kobject` reports.
    pub fn kind(self) -> u32 {
        match self {
            KernelObject::Task(_) => ikot::TASK_CONTROL,
            KernelObject::TaskName(_) => ikot::TASK_NAME,
            KernelObject::Thread(_) => ikot::THREAD_CONTROL,
            KernelObject::Host => ikot::HOST,
            KernelObject::Voucher(_) => ikot::VOUCHER,
        }
    }
}
