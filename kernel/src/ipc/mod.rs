//! Ports, rights, names and messages at rest (mach-ipc).
//!
//! [`Ipc`] owns all of it and keeps its rules: counts of rights, name tables, where each receive right is, queues. Nothing
//! outside this folder writes a field of it. It can wake threads, but it cannot reach a task, and it never delivers a
//! message: what has to be sent or destroyed it notes in the [`Step`]. Messages on their way are the matter of `msg`.
//!
//! | module | what it is |
//! |---|---|
//! | [`space`], [`spaces`] | a task's name table, and those of all tasks |
//! | [`budget`] | what each task may use |
//! | [`port`], [`port_set`] | ports and sets of them |
//! | [`right`], [`counts`] | rights as values, and their counts |
//! | [`home`] | where a receive right is |
//! | [`message`], [`queue`] | messages, and the queues they are in |
//! | [`copy_in`], [`copy_out`] | from names to rights and back |
//! | [`request`], [`kernel_message`] | who asked for notifications, and the messages that the kernel makes |
//! | [`teardown`] | dead ports and sets, taken apart |
//! | [`names`] | the `mach_port` calls |

pub mod budget;
pub(crate) mod check;
pub mod copy_in;
pub mod copy_out;
pub mod counts;
pub mod direct;
pub mod home;
pub mod kernel_message;
pub mod message;
pub mod names;
pub mod port;
pub mod port_set;
pub mod queue;
pub mod request;
pub mod right;
pub mod space;
pub mod spaces;
pub mod teardown;

use crate::ids::{KernelObject, MessageId, PortId, SetId, SpaceId, tag};
use crate::limits::Limits;
use crate::machine::NoMemory;
use crate::step::Step;
use budget::Budget;
use message::{Message, SpareBuffers};
use port::{Port, Ports};
use port_set::{Membership, PortSet};
use request::Request;
use space::Space;
use store::Arena;

/// Totals that are kept as things change, so that asking for them costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Send rights to live ports.
    pub send_rights: u64,
    /// Send-once rights to live ports.
    pub send_once_rights: u64,
    /// Ports that died and are being taken apart.
    pub dead_ports: u64,
}

/// Everything about ports and messages.
#[derive(Debug)]
pub struct Ipc {
    spaces: Arena<Space, 1, tag::Space>,
    budgets: Arena<Budget, 64, tag::Budget>,
    /// Live ports and those being taken apart.
    ports: Ports,
    sets: Arena<PortSet, 64, tag::PortSet>,
    /// Which port is in which set.
    memberships: Arena<Membership, 64, tag::Membership>,
    /// Requests for notifications about names.
    requests: Arena<Request, 64, tag::Request>,
    /// Messages: queued, with blocked senders, being sent, or being taken apart.
    messages: Arena<Message, 64, tag::Message>,
    spare_buffers: SpareBuffers,
    totals: Totals,
    host_port: PortId,
    limits: Limits,
}

impl Ipc {
    /// Returns the state without any task: the host's port is all there is.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn new(step: &mut Step, limits: Limits) -> Result<Ipc, NoMemory> {
        let mut ports = Ports::new();
        step.reserve_work(crate::step::Work::PER_PORT)?;
        let host_port = ports.insert_with(|_| Port::kernel(KernelObject::Host))?;
        Ok(Ipc {
            spaces: Arena::new(),
            budgets: Arena::new(),
            ports,
            sets: Arena::new(),
            memberships: Arena::new(),
            requests: Arena::new(),
            messages: Arena::new(),
            spare_buffers: SpareBuffers::default(),
            totals: Totals::default(),
            host_port,
            limits,
        })
    }

    /// Returns the host's port.
    pub fn host_port(&self) -> PortId {
        self.host_port
    }

    /// Returns the message.
    #[inline(always)]
    pub fn message(&self, message: MessageId) -> &Message {
        &self.messages[message]
    }

    /// Returns the message.
    #[inline(always)]
    pub fn message_mut(&mut self, message: MessageId) -> &mut Message {
        &mut self.messages[message]
    }

    /// Returns a port that has not been forgotten.
    #[inline(always)]
    pub fn port(&self, port: PortId) -> &Port {
        &self.ports[port]
    }

    /// Returns all ports that have not been forgotten. For checks and printouts.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter()
    }

    /// Returns the messages in a port's queue. For checks and printouts.
    pub fn queued(&self, port: PortId) -> impl Iterator<Item = &Message> {
        self.ports[port].queue.iter(&self.messages).map(|id| &self.messages[id])
    }

    /// Returns a set that has not been forgotten.
    pub fn set(&self, set: SetId) -> &PortSet {
        &self.sets[set]
    }

    /// Returns a task's names.
    #[inline(always)]
    pub fn space(&self, space: SpaceId) -> &Space {
        &self.spaces[space]
    }

    /// Returns a task's names, if the task has not been forgotten.
    pub fn get_space(&self, space: SpaceId) -> Option<&Space> {
        self.spaces.get(space)
    }

    /// Returns the totals.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the number of live ports, of sets and of messages.
    pub fn object_counts(&self) -> (u64, u64, u64) {
        let ports = self.ports.len() as u64 - self.totals.dead_ports;
        (ports, self.sets.len() as u64, self.messages.len() as u64)
    }
}
