//! Names of the kernel's objects.
//!
//! An id names an object of an arena by index and generation. It holds a tag, not the object's type, so that every layer
//! can keep ids of objects that it cannot see.

use crate::machine::AddressSpace;
use abi::port::ikot;
use store::Id;

/// What ids name.
pub mod tag {
    /// Names a task.
    #[derive(Debug)]
    pub enum Task {}
    /// Names a thread.
    #[derive(Debug)]
    pub enum Thread {}
    /// Names a space of port names.
    #[derive(Debug)]
    pub enum Space {}
    /// Names a budget of kernel memory.
    #[derive(Debug)]
    pub enum Budget {}
    /// Names a port.
    #[derive(Debug)]
    pub enum Port {}
    /// Names a port set.
    #[derive(Debug)]
    pub enum PortSet {}
    /// Names a port's membership in a set.
    #[derive(Debug)]
    pub enum Membership {}
    /// Names a request for a notification.
    #[derive(Debug)]
    pub enum Request {}
    /// Names a message.
    #[derive(Debug)]
    pub enum Message {}
}

/// A task's id.
pub type TaskId = Id<tag::Task>;
/// A thread's id.
pub type ThreadId = Id<tag::Thread>;
/// The id of a space of port names.
pub type SpaceId = Id<tag::Space>;
/// A budget's id. The id of a budget that is gone is harmless: giving back to it does nothing.
pub type BudgetId = Id<tag::Budget>;
/// A port's id. The id of a dead port denotes nothing, or for a moment a port that is being taken apart.
pub type PortId = Id<tag::Port>;
/// A port set's id.
pub type SetId = Id<tag::PortSet>;
/// A membership's id.
pub type MembershipId = Id<tag::Membership>;
/// A request's id.
pub type RequestId = Id<tag::Request>;
/// A message's id.
pub type MessageId = Id<tag::Message>;

/// A thread and what belongs to it for life. A trap's caller and a message's receiver are passed along as one of these, so
/// that nothing is looked up twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The thread.
    pub thread: ThreadId,
    /// The thread's task.
    pub task: TaskId,
    /// The task's port names.
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

/// An object of the kernel whose port's messages are calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelObject {
    /// A task.
    Task(TaskId),
    /// A task, for those who may only know of it.
    TaskName(TaskId),
    /// A thread.
    Thread(ThreadId),
    /// The host.
    Host,
}

impl KernelObject {
    /// Returns the number that `mach_port_kobject` shows.
    pub fn kind(self) -> u32 {
        match self {
            KernelObject::Task(_) => ikot::TASK_CONTROL,
            KernelObject::TaskName(_) => ikot::TASK_NAME,
            KernelObject::Thread(_) => ikot::THREAD_CONTROL,
            KernelObject::Host => ikot::HOST,
        }
    }
}
