//! Ports, rights, names and messages at rest (mach-ipc).
//!
//! [`Ipc`] owns all of it and keeps its rules: counts of rights, spaces, the place of each receive right, queues. Only
//! the files in this folder write its fields. They can wake threads, but they cannot reach a task, and they do not
//! deliver messages: they note in the [`Step`] that a message has to be sent or destroyed. Sending and receiving is in
//! `msg`.
//!
//! | module | what it is |
//! |---|---|
//! | [`entry`], [`space`], [`spaces`] | a task's space of names, and the spaces of all tasks |
//! | [`budget`] | the kernel memory that each task may use |
//! | [`port`], [`port_set`] | ports and port sets |
//! | [`right`], [`counts`] | rights as values, and their counts |
//! | [`home`], [`way`] | the place of a receive right, and the way of a message through ports in transit |
//! | [`message`], [`queue`] | messages, and the queues of ports |
//! | [`copy_in`], [`copy_out`], `burden` | from names to rights and back, and what moving them causes |
//! | [`push`] | who raises whose priority: pushes and special reply ports |
//! | [`promise`] | room for the message that each send-once right causes |
//! | [`request`], [`kernel_message`] | requests for notifications, and the messages that the kernel makes |
//! | [`direct`] | the part of the fast path that concerns ports and names |
//! | [`teardown`] | dead ports, dead sets and messages, taken apart |
//! | [`waiters`] | who waits for that |
//! | [`importance`] | the importance of tasks, ports and messages |
//! | [`names`] | the `mach_port` calls |

pub mod budget;
mod burden;
pub(crate) mod check;
pub mod copy_in;
pub mod copy_out;
pub mod counts;
pub mod direct;
pub mod entry;
pub mod home;
pub mod importance;
pub mod kernel_message;
pub mod message;
pub mod names;
pub mod port;
pub mod port_set;
pub mod promise;
pub mod push;
pub mod queue;
pub mod request;
pub mod right;
pub mod space;
pub mod spaces;
pub mod teardown;
pub(crate) mod waiters;
pub mod way;

use crate::credentials::Credentials;
use crate::ids::{KernelObject, MessageId, PortId, SetId, SpaceId, VoucherId, tag};
use crate::limits::{Limits, TASKS_MAX};
use crate::machine::{Nanos, NoMemory};
use crate::step::{Step, Work};
use abi::inspect::{MESSAGE_LINKED, MESSAGE_OF_KERNEL, MESSAGE_RAISED};
use budget::Budget;
use importance::INHERIT_MEMORY;
use message::{LINKED_COST, Message, NOTICE_COST, Queue, SpareBuffers};
use port::{PORT_COST, Port, Ports};
use port_set::{Memberships, PortSet, Sets};
use request::AllRequests;
use space::{Space, Spaces};
use store::{Arena, COMPACT_FROM, Compaction, Singles};
use voucher::importance::Importance;

/// Totals that are updated with every change, so that reading them takes constant time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Send rights to live ports.
    pub send_rights: u64,
    /// Send-once rights to live ports.
    pub send_once_rights: u64,
    /// Ports that died and are being taken apart.
    pub dead_ports: u64,
}

/// Spaces that one call of [`Ipc::trim`] looks at.
const SPACES_TRIMMED: usize = 8;

/// The owner of ports, rights, names and messages.
#[derive(Debug)]
pub struct Ipc {
    spaces: Spaces,
    budgets: Arena<Budget, 64, tag::Budget>,
    /// Live ports and those being taken apart.
    ports: Ports,
    sets: Sets,
    /// Memberships of ports in sets.
    memberships: Memberships,
    /// Requests for dead-name and send-possible notifications.
    requests: AllRequests,
    /// Messages: queued, of blocked senders, being sent, being taken apart, or spare.
    messages: Singles<Message, tag::Message>,
    spare_buffers: SpareBuffers,
    /// Messages without contents, one for each promise of a port (`promise.rs`).
    spare_messages: Queue,
    totals: Totals,
    /// The importance of all tasks.
    importance: Importance,
    /// There is work that lets boosts spread.
    boosts_spread: bool,
    /// The place of the space that is trimmed next.
    trimmed: u32,
    /// The number of applications, whose App Nap a boost lifts.
    applications: usize,
    /// The time, if there are applications: see [`set_time`](Ipc::set_time).
    now: Nanos,
    host_port: PortId,
    limits: Limits,
}

impl Ipc {
    /// Returns the owner with the host port and no other object. `seed` should be hard to guess.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out.
    pub fn new(step: &mut Step, limits: Limits, seed: u64) -> Result<Ipc, NoMemory> {
        let mut ports = Ports::new();
        step.reserve_work(Work::PER_PORT + 2 * Work::PER_OBJECT)?;
        let host_port = ports.insert_with(|_| Port::kernel(KernelObject::Host))?;
        let mut importance = Importance::new(seed);
        importance.allow(limits.boost_visits);
        Ok(Ipc {
            spaces: Singles::new(),
            budgets: Arena::new(),
            ports,
            sets: Arena::new(),
            memberships: Arena::new(),
            requests: Arena::new(),
            messages: Singles::new(),
            spare_buffers: SpareBuffers::default(),
            spare_messages: Queue::new(),
            totals: Totals::default(),
            importance,
            boosts_spread: false,
            trimmed: 0,
            applications: 0,
            now: 0,
            host_port,
            limits,
        })
    }

    /// Returns the host port.
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

    /// Returns a port that has not been removed.
    #[inline(always)]
    pub fn port(&self, port: PortId) -> &Port {
        &self.ports[port]
    }

    /// Returns all ports that have not been removed. For checks and printouts.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, &Port)> {
        self.ports.iter()
    }

    /// Returns the table of ports. For printouts.
    pub fn port_table(&self) -> &Singles<Port, tag::Port> {
        &self.ports
    }

    /// Returns the table of messages. For printouts.
    pub fn message_table(&self) -> &Singles<Message, tag::Message> {
        &self.messages
    }

    /// Returns the messages in a port's queue. For checks and printouts.
    pub fn queued(&self, port: PortId) -> impl Iterator<Item = &Message> {
        self.ports[port].queue.iter(&self.messages).map(|id| &self.messages[id])
    }

    /// Returns the messages in a port's queue, in its order. For printouts.
    pub fn queue_of(&self, port: PortId) -> impl Iterator<Item = MessageId> {
        self.ports[port].queue.iter(&self.messages)
    }

    /// Returns the voucher of a message.
    pub fn voucher_in(&self, message: MessageId) -> Option<VoucherId> {
        self.messages[message].voucher.as_ref().and_then(|right| self.voucher_behind(right.port()))
    }

    /// Returns what monitors are told of a message: see [`MESSAGE_LINKED`].
    pub fn message_flags(&self, message: MessageId) -> u32 {
        let sent = &self.messages[message];
        let link = sent.importance.and_then(|link| self.importance.link(link));
        let flags = [
            (link.is_some(), MESSAGE_LINKED),
            (link.is_some_and(|link| link.is_raised()), MESSAGE_RAISED),
            (sent.sender == Credentials::KERNEL, MESSAGE_OF_KERNEL),
        ];
        flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum()
    }

    /// Returns a set that has not been removed.
    pub fn set(&self, set: SetId) -> &PortSet {
        &self.sets[set]
    }

    /// Returns a space that has not been removed.
    #[inline(always)]
    pub fn space(&self, space: SpaceId) -> &Space {
        &self.spaces[space]
    }

    /// Makes the tables as long as they may become if budgets of so many bytes in all pay for what is in them.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out.
    pub(crate) fn set_places(&mut self, bytes: usize) -> Result<(), NoMemory> {
        self.ports.set_places(bytes / PORT_COST)?;
        self.messages.set_places(bytes / NOTICE_COST)?;
        let inherits = bytes / INHERIT_MEMORY;
        // The task that an inherit comes from may have ended.
        self.importance.set_places(TASKS_MAX + inherits, inherits, bytes / LINKED_COST)
    }

    /// Gives back what the tables do not need any more, up to a bound, and returns true if there is more.
    pub(crate) fn trim(&mut self) -> bool {
        self.spare_buffers.trim();
        self.ports.trim()
            || self.spaces.trim()
            || self.budgets.trim()
            || self.sets.trim()
            || self.memberships.trim()
            || self.requests.trim()
            || self.messages.trim()
            || self.importance.trim()
    }

    /// Returns true if so much memory of messages and ports has gone back to the heap that others should move.
    #[inline]
    pub(crate) fn is_sparse(&self) -> bool {
        self.messages.given_back().max(self.ports.given_back()) >= COMPACT_FROM
    }

    /// Goes on with a round of compaction.
    pub(crate) fn compact(&mut self, compaction: &mut Compaction) {
        self.messages.compact(compaction, |compaction, message| message.compact(compaction));
        self.ports.compact(compaction, |_, _| {});
        self.spaces.compact(compaction, |_, _| {});
        self.importance.compact(compaction);
    }

    /// Gives back what some spaces do not need any more, and returns true if there are more spaces.
    pub(crate) fn trim_spaces(&mut self) -> bool {
        for _ in 0..SPACES_TRIMMED {
            if self.spaces.at_mut(self.trimmed).is_some_and(Space::trim) {
                return true;
            }
            self.trimmed += 1;
            if self.trimmed >= self.spaces.places() {
                self.trimmed = 0;
                return false;
            }
        }
        true
    }

    /// Returns the totals.
    pub fn totals(&self) -> Totals {
        self.totals
    }

    /// Returns the numbers of live ports, of sets and of messages.
    pub fn object_counts(&self) -> (u64, u64, u64) {
        let ports = self.ports.len() as u64 - self.totals.dead_ports;
        (ports, self.sets.len() as u64, (self.messages.len() - self.spare_messages.len()) as u64)
    }
}

#[cfg(test)]
mod tests;
