//! Ports: their state, and how they are made.

use super::Ipc;
use super::message::Queue;
use super::port_set::OfPort;
use super::request::Requests;
use super::right::SendOnceRight;
use crate::ids::{BudgetId, KernelObject, MessageId, PortId, SpaceId, tag};
use crate::machine::NoMemory;
use crate::sched::wait_queue::WaitQueue;
use crate::step::{Step, WORK_COST, Work};
use abi::port::{MACH_PORT_QLIMIT_DEFAULT, PortName, PortStatus, PortStatusFlags};
use store::{Arena, List};

/// All ports, each allocated by itself like threads.
pub(super) type Ports = Arena<Port, 1, tag::Port>;

/// What a port costs a budget.
pub(super) const PORT_COST: usize = size_of::<Port>() + Work::PER_PORT * WORK_COST;

/// Where a port's receive right is (mach-ipc 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// With a task, under a name.
    Space {
        /// The task's names.
        space: SpaceId,
        /// The name.
        name: PortName,
    },
    /// Taken out of a task and not yet anywhere else, or in a message that will be destroyed.
    Limbo,
    /// In a message, queued on or about to be sent to that port.
    Transit(PortId),
    /// With the kernel: messages are calls of that object.
    Kernel(KernelObject),
    /// Nowhere: the port died.
    Dead,
}

/// How a port's context protects it (mach-ipc 2.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The context is a guard.
    pub guarded: bool,
    /// And shows and changes for nobody without it.
    pub strict: bool,
    /// The receive right cannot be sent.
    pub immovable: bool,
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// Where its receive right is.
    pub(super) home: Home,
    /// The messages in it.
    pub(super) queue: Queue,
    /// How many of them stop a sender.
    pub(super) qlimit: u32,
    /// The number that the next message received gets.
    pub(super) seqno: u32,
    /// Send rights: one per task that has any, plus one per token.
    pub(super) send_rights: u32,
    /// Send-once rights: one per name, plus one per token.
    pub(super) send_once_rights: u32,
    /// How often a send right was made.
    pub(super) make_send_count: u32,
    /// A number its owner keeps with it.
    pub(super) context: u64,
    /// What the context protects.
    pub(super) guard: Guard,
    /// It takes no rights (mach-ipc 3.7).
    pub(super) no_grant: bool,
    /// It accepts importance donation (importance 1.5).
    pub(super) importance_donation: bool,
    /// Its boosts are not those of the task that holds the receive right (importance 1.5).
    pub(super) temp_owner: bool,
    /// Who waits for a message.
    pub(super) receivers: WaitQueue,
    /// Who waits for room.
    pub(super) senders: WaitQueue,
    /// Whom to tell when the last send right is gone.
    pub(super) no_senders: Option<SendOnceRight>,
    /// The number of send rights that were made, if the last one ended with the port: for the no-senders notification.
    pub(super) no_senders_count: Option<u32>,
    /// Who gets the receive right instead of its end.
    pub(super) port_destroyed: Option<SendOnceRight>,
    /// Whom to tell when the port dies or has room.
    pub(super) requests: Requests,
    /// The sets it is in.
    pub(super) memberships: List<tag::Membership, OfPort>,
    /// The budget it is on; none for the kernel's own.
    pub(super) budget: Option<BudgetId>,
    /// Its armed requests are on the work list.
    pub(super) armed_listed: bool,
    /// It died and nothing of it is left but that place on the work list.
    pub(super) taken_apart: bool,
}

impl Port {
    /// Returns a new port whose receive right is at `home`.
    fn new(home: Home, budget: Option<BudgetId>) -> Port {
        Port {
            home,
            queue: Queue::new(),
            qlimit: MACH_PORT_QLIMIT_DEFAULT,
            seqno: 0,
            send_rights: 0,
            send_once_rights: 0,
            make_send_count: 0,
            context: 0,
            guard: Guard::default(),
            no_grant: false,
            importance_donation: false,
            temp_owner: false,
            receivers: WaitQueue::default(),
            senders: WaitQueue::default(),
            no_senders: None,
            no_senders_count: None,
            port_destroyed: None,
            requests: Requests::default(),
            memberships: List::new(),
            budget,
            armed_listed: false,
            taken_apart: false,
        }
    }

    /// Returns a port of the kernel's own, on no budget: there is a bounded number per object.
    pub(super) fn kernel(object: KernelObject) -> Port {
        Port::new(Home::Kernel(object), None)
    }

    /// Returns where its receive right is.
    pub fn home(&self) -> Home {
        self.home
    }

    /// Returns the number of its send rights.
    pub fn send_rights(&self) -> u32 {
        self.send_rights
    }

    /// Returns the number of sets it is in.
    pub fn set_count(&self) -> usize {
        self.memberships.len()
    }

    /// Returns the number of messages in its queue.
    pub fn queue_len(&self) -> usize {
        self.queue.len()
    }

    /// Returns the message that is received next.
    #[inline]
    pub fn first_message(&self) -> Option<MessageId> {
        self.queue.front()
    }

    /// Returns the number that its owner keeps with it.
    #[inline]
    pub fn context(&self) -> u64 {
        self.context
    }

    /// Returns how its context protects it.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// Returns true if messages can still be sent to it.
    #[inline(always)]
    pub fn is_alive(&self) -> bool {
        self.home != Home::Dead
    }

    /// Returns true if messages are in its queue or with blocked senders.
    pub(super) fn has_messages(&self) -> bool {
        !self.queue.is_empty() || !self.senders.is_empty()
    }

    /// Returns true if a notification has to be sent when it dies.
    pub(super) fn has_requests(&self) -> bool {
        self.no_senders.is_some() || self.requests.count() > 0
    }

    /// Returns true if its queue is at its limit.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.qlimit as usize
    }

    /// Makes the port accept importance donation, with `temp_owner` on no task's account. Nothing takes this back while
    /// the receive right stays where it is (importance 3.1).
    pub(super) fn accept_donation(&mut self, temp_owner: bool) {
        self.importance_donation = true;
        self.temp_owner |= temp_owner;
    }

    /// Forgets what the owner set, when the receive right leaves a task or ends (mach-ipc 6.1).
    pub(super) fn forget_owner(&mut self) {
        self.seqno = 0;
        self.make_send_count = 0;
        self.context = 0;
        self.guard = Guard::default();
    }

    /// Returns what `mach_port_get_attributes` tells (mach-ipc 2.7).
    pub fn status(&self) -> PortStatus {
        let mut flags = PortStatusFlags::empty();
        flags.set(PortStatusFlags::TEMPOWNER, self.importance_donation && self.temp_owner);
        flags.set(PortStatusFlags::IMP_DONATION, self.importance_donation);
        flags.set(PortStatusFlags::GUARDED, self.guard.guarded);
        flags.set(PortStatusFlags::STRICT_GUARD, self.guard.guarded && self.guard.strict);
        flags.set(PortStatusFlags::GUARD_IMMOVABLE_RECEIVE, self.guard.guarded && self.guard.immovable);
        flags.set(PortStatusFlags::NO_GRANT, self.no_grant);
        PortStatus {
            mps_pset: u32::from(!self.memberships.is_empty()),
            mps_seqno: self.seqno,
            mps_mscount: self.make_send_count,
            mps_qlimit: self.qlimit,
            mps_msgcount: self.queue.len() as u32,
            mps_sorights: self.send_once_rights,
            mps_srights: u32::from(self.send_rights > 0),
            mps_pdrequest: u32::from(self.port_destroyed.is_some()),
            mps_nsrequest: u32::from(self.no_senders.is_some()),
            mps_flags: flags.bits(),
        }
    }
}

impl Ipc {
    /// Makes a port on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none or the budget is used up; nothing has changed.
    pub(super) fn new_port(&mut self, step: &mut Step, budget: BudgetId) -> Result<PortId, NoMemory> {
        self.charged(budget, PORT_COST, |ipc| ipc.add_port(step, Port::new(Home::Limbo, Some(budget))))
    }

    /// Makes a port of the kernel's own.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn new_kernel_port(&mut self, step: &mut Step, object: KernelObject) -> Result<PortId, NoMemory> {
        self.add_port(step, Port::kernel(object))
    }

    /// Makes room for one more task: its port, its space and its budget. Their places on the work list the caller reserves.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub(crate) fn make_room_for_task(&mut self) -> Result<(), NoMemory> {
        self.spaces.reserve()?;
        self.budgets.reserve()?;
        self.ports.reserve()
    }

    /// Makes the control port of a task for which there is [room](Ipc::make_room_for_task).
    pub(crate) fn insert_task_port(&mut self, object: KernelObject) -> PortId {
        self.ports.insert_reserved(|_| Port::kernel(object))
    }

    fn add_port(&mut self, step: &mut Step, port: Port) -> Result<PortId, NoMemory> {
        self.ports.reserve()?;
        step.reserve_work(Work::PER_PORT)?;
        Ok(self.ports.insert_reserved(|_| port))
    }

    /// Forgets a dead port of which nothing is left.
    pub(super) fn remove_port(&mut self, step: &mut Step, port: PortId) {
        let removed = self.ports.remove(port).expect("a port is removed once");
        assert!(removed.home == Home::Dead && removed.queue.is_empty(), "{port:?} is removed before its end");
        step.release_work(Work::PER_PORT);
        if let Some(budget) = removed.budget {
            self.refund(budget, PORT_COST);
        }
    }
}
