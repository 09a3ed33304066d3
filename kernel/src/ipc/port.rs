//! Ports: their state, their creation and their removal.

use super::Ipc;
use super::entry::EntryRight;
use super::message::{NOTICE_COST, Queue};
use super::port_set::OfPort;
use super::promise::ENDED_TOGETHER;
use super::request::Requests;
use super::right::SendOnceRight;
use crate::heap::footprint_of_single;
use crate::ids::{BudgetId, KernelObject, MessageId, PortId, SpaceId, ThreadId, VoucherId, tag};
use crate::machine::NoMemory;
use crate::sched::wait_queue::{Pushing, WaitQueue};
use crate::step::{Step, WORK_COST, Work};
use crate::trace::Event;
use abi::KernReturn;
use abi::code::{KERN_INVALID_ARGUMENT, KERN_INVALID_RIGHT};
use abi::event::kind;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL, MACH_PORT_QLIMIT_DEFAULT, PortName, PortStatus, PortStatusFlags};
use core::num::NonZeroU32;
use store::{List, Singles};
use voucher::importance::PortBoosts;

/// All ports. Each is allocated by itself, which makes the way from an id to its port shortest.
pub(super) type Ports = Singles<Port, tag::Port>;

/// The cost of a port on a budget, in bytes.
pub(crate) const PORT_COST: usize = footprint_of_single::<Port>() + Work::PER_PORT * WORK_COST;

/// The place of a port's receive right (mach-ipc 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In a space, under a name.
    Space {
        /// The space.
        space: SpaceId,
        /// The name.
        name: PortName,
    },
    /// In limbo: taken out of a space and not yet in another place, or in a message that will be destroyed.
    Limbo,
    /// In transit: in a message that is queued on, or about to be sent to, this port.
    Transit(PortId),
    /// The kernel has it: a message to the port is a call of this object.
    Kernel(KernelObject),
    /// The port has died, so there is no receive right.
    Dead,
}

/// The protection of a port by its context (mach-ipc 2.9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The context is a guard: calls that end the receive right must give it.
    pub guarded: bool,
    /// Reading and changing the context requires the guard as well.
    pub strict: bool,
    /// The receive right cannot be sent.
    pub immovable: bool,
}

/// What a port has to do with the priorities of threads (importance 7.5, 7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    Plain,
    /// It is a special reply port, for ever.
    SpecialReply {
        /// The thread whose port it is, unless that has ended or got another one.
        owner: Option<ThreadId>,
        /// Where the request is whose reply the owner awaits.
        link: ReplyLink,
    },
    /// A thread serves it.
    Served(ThreadId),
}

/// The state of a special reply port: where the request is whose reply its owner awaits (mach-ipc 3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyLink {
    /// No request has been sent since the last receive.
    Any,
    /// At this port, or with the thread that serves it.
    Port(PortId),
    /// Somebody else has the reply right, or it has ended.
    Severed,
}

/// A port.
#[derive(Debug)]
pub struct Port {
    /// The place of its receive right.
    pub(super) home: Home,
    /// Its queue of messages.
    pub(super) queue: Queue,
    /// The number of messages in the queue from which on senders block.
    pub(super) qlimit: u32,
    /// How much higher that limit gets while blocked senders are admitted, one for each message that it allows more.
    pub(super) raise: u32,
    /// Messages to it may take the fast path, and threads may wait on it there: the limit is not 0, it is no special
    /// reply port, and replies are not strict.
    pub(super) direct: bool,
    /// The sequence number of the next message received. 0 follows the greatest.
    pub(super) seqno: u32,
    /// The number of send rights: one per name that denotes a send right, plus one per token. Each of them takes memory
    /// of the kernel's heap, which has no room for 2^32.
    pub(super) send_rights: u32,
    /// The number of send-once rights: one per name, plus one per token. They take memory as well.
    pub(super) send_once_rights: u32,
    /// The number of messages that are promised to send-once rights (`promise.rs`).
    pub(super) promised: u32,
    /// The make-send count: the number of send rights made from the receive right. 0 follows the greatest.
    pub(super) make_send_count: u32,
    /// A number that its owner sets and reads.
    pub(super) context: u64,
    /// Its protection by the context.
    pub(super) guard: Guard,
    /// It accepts no messages with rights in their bodies (mach-ipc 3.7).
    pub(super) no_grant: bool,
    /// Its part in importance: whether it accepts donation, its boosts, and for whom they count (importance 1.5).
    pub(super) boosts: PortBoosts,
    /// Threads that wait for a message.
    pub(super) receivers: WaitQueue,
    /// Senders that wait for room in the queue.
    pub(super) senders: WaitQueue,
    /// The no-senders request: the notification goes here when the last send right ends.
    pub(super) no_senders: Option<SendOnceRight>,
    /// The make-send count for the no-senders notification, if the last send right ended together with the port.
    pub(super) no_senders_count: Option<u32>,
    /// The port-destroyed request: the receive right goes here when it would end.
    pub(super) port_destroyed: Option<SendOnceRight>,
    /// The dead-name and send-possible requests.
    pub(super) requests: Requests,
    /// The sets it is in.
    pub(super) memberships: List<tag::Membership, OfPort>,
    /// The budget that it is on; none if it is the port of a kernel object.
    pub(super) budget: Option<BudgetId>,
    /// The work list has the piece of work that fires its armed requests.
    pub(super) armed_listed: bool,
    /// The work list has the piece of work that releases the voucher whose port this is.
    pub(super) no_senders_listed: bool,
    /// What it has to do with the priorities of threads.
    pub(super) role: Role,
    /// The threads that wait for what the port's servicer does, and push it.
    pub(super) pushers: WaitQueue<Pushing>,
    /// An upper bound of the number of threads in the longest chain of pushes that ends at the port.
    pub(super) push_height: u8,
    /// The step's list of policy changes has one of this port.
    pub(super) policy_listed: bool,
    /// The number of receive rights in transit to it.
    pub(super) arriving: u32,
    /// An upper bound of the number of ports on the longest way on which boosts reach it, itself included; 0 if no port
    /// on such a way accepts donation.
    pub(super) boost_height: u8,
    /// Its receive right is in transit, but so deep that its boosts stay with it, as if it were in limbo.
    pub(super) boosts_stay: bool,
    /// It has been taken apart, but cannot be removed before that piece of work is done.
    pub(super) taken_apart: bool,
    /// The persona that the next reply to it must have, with strict replies (vouchers 7.7).
    pub(super) reply_persona: Option<NonZeroU32>,
}

impl Port {
    /// Returns a new port whose receive right is at `home`.
    fn new(home: Home, budget: Option<BudgetId>) -> Port {
        Port {
            home,
            queue: Queue::new(),
            qlimit: MACH_PORT_QLIMIT_DEFAULT,
            raise: 0,
            direct: true,
            seqno: 0,
            send_rights: 0,
            send_once_rights: 0,
            promised: 0,
            make_send_count: 0,
            context: 0,
            guard: Guard::default(),
            no_grant: false,
            boosts: PortBoosts::default(),
            receivers: WaitQueue::default(),
            senders: WaitQueue::default(),
            no_senders: None,
            no_senders_count: None,
            port_destroyed: None,
            requests: Requests::default(),
            memberships: List::new(),
            budget,
            armed_listed: false,
            no_senders_listed: false,
            role: Role::Plain,
            pushers: WaitQueue::default(),
            push_height: 0,
            policy_listed: false,
            arriving: 0,
            boost_height: 0,
            boosts_stay: false,
            taken_apart: false,
            reply_persona: None,
        }
    }

    /// Returns a port of a kernel object. It is on no budget, because the number of such ports per object is bounded; the
    /// port of a voucher is part of what the voucher costs.
    pub(super) fn kernel(object: KernelObject) -> Port {
        Port::new(Home::Kernel(object), None)
    }

    /// Returns the place of its receive right.
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

    /// Returns the context: a number that its owner sets.
    #[inline]
    pub fn context(&self) -> u64 {
        self.context
    }

    /// Returns its protection by the context.
    pub fn guard(&self) -> Guard {
        self.guard
    }

    /// Returns true if it has not died.
    #[inline(always)]
    pub fn is_alive(&self) -> bool {
        self.home != Home::Dead
    }

    /// Returns what it costs its budget, in bytes.
    pub(super) fn cost(&self) -> usize {
        PORT_COST + self.promised as usize * NOTICE_COST
    }

    /// Returns the budget that it is on, unless it is the kernel's: that of the task that made it or received its
    /// receive right last.
    pub fn budget(&self) -> Option<BudgetId> {
        self.budget
    }

    /// Returns what it has to do with the priorities of threads.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Returns true if it is a special reply port.
    #[inline(always)]
    pub fn is_special_reply(&self) -> bool {
        matches!(self.role, Role::SpecialReply { .. })
    }

    /// Returns true if there is something to take apart before its requests: messages, in its queue or of blocked
    /// senders, or threads that push.
    pub(super) fn has_messages(&self) -> bool {
        !self.queue.is_empty() || !self.senders.is_empty() || !self.pushers.is_empty()
    }

    /// Returns true if there is more to take apart: its death causes notifications, or it has many promises.
    pub(super) fn has_requests(&self) -> bool {
        self.no_senders.is_some() || self.requests.count() > 0 || self.promised > ENDED_TOGETHER
    }

    /// Returns the name of its receive right in a space: null if the right is elsewhere, dead if the port is.
    #[inline]
    pub(super) fn name_in(&self, space: SpaceId) -> PortName {
        match self.home {
            Home::Space { space: holder, name } if holder == space => name,
            Home::Dead => MACH_PORT_DEAD,
            _ => MACH_PORT_NULL,
        }
    }

    /// Returns the number of the next message received, and counts it.
    #[inline]
    pub(super) fn next_seqno(&mut self) -> u32 {
        let seqno = self.seqno;
        self.seqno = seqno.wrapping_add(1);
        seqno
    }

    /// Returns true if its queue has as many messages as the limit allows, or more.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.qlimit as usize
    }

    /// Returns the number of messages in the queue from which on senders block, when all are admitted that may be.
    pub fn queue_limit(&self) -> u32 {
        self.qlimit + self.raise
    }

    /// Returns true if its receive right is in transit so deep in other ports that its boosts count for nobody.
    pub fn keeps_boosts(&self) -> bool {
        self.boosts_stay
    }

    /// Returns true if a send-once right to it can only be made with another promise.
    #[inline(always)]
    pub(super) fn is_out_of_promises(&self) -> bool {
        self.send_once_rights >= self.promised
    }

    /// Returns the persona that the next reply to it must have, with strict replies.
    pub fn reply_persona(&self) -> Option<NonZeroU32> {
        self.reply_persona
    }

    /// Returns its part in importance.
    #[inline(always)]
    pub fn boosts(&self) -> &PortBoosts {
        &self.boosts
    }

    /// Sets the queue limit. `strict_reply` is the setting.
    pub(super) fn set_queue_limit(&mut self, limit: u32, strict_reply: bool) {
        self.qlimit = limit;
        self.direct = limit > 0 && !self.is_special_reply() && !strict_reply;
    }

    /// Makes it a special reply port of a thread.
    pub(super) fn become_special_reply(&mut self, owner: ThreadId) {
        self.role = Role::SpecialReply { owner: Some(owner), link: ReplyLink::Any };
        self.direct = false;
    }

    /// Resets the values that belong to the owner, when the receive right leaves a task or ends (mach-ipc 6.1).
    pub(super) fn forget_owner(&mut self) {
        self.seqno = 0;
        self.make_send_count = 0;
        self.context = 0;
        self.guard = Guard::default();
    }

    /// Returns the status for `mach_port_get_attributes` (mach-ipc 2.7).
    pub fn status(&self) -> PortStatus {
        let mut flags = PortStatusFlags::empty();
        let boosts = &self.boosts;
        flags.set(PortStatusFlags::TEMPOWNER, boosts.accepts_donation() && boosts.is_temp_owner());
        flags.set(PortStatusFlags::IMP_DONATION, boosts.accepts_donation());
        flags.set(PortStatusFlags::TASKPTR, boosts.accepts_donation() && boosts.bound().is_some());
        flags.set(PortStatusFlags::GUARDED, self.guard.guarded);
        flags.set(PortStatusFlags::STRICT_GUARD, self.guard.guarded && self.guard.strict);
        flags.set(PortStatusFlags::GUARD_IMMOVABLE_RECEIVE, self.guard.guarded && self.guard.immovable);
        flags.set(PortStatusFlags::NO_GRANT, self.no_grant);
        PortStatus {
            mps_pset: u32::from(!self.memberships.is_empty()),
            mps_seqno: self.seqno,
            mps_mscount: self.make_send_count,
            mps_qlimit: self.queue_limit(),
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
    /// Makes a port on a budget, with its receive right in limbo.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out or the budget is used up; nothing has changed.
    pub(super) fn new_port(&mut self, step: &mut Step, budget: BudgetId) -> Result<PortId, NoMemory> {
        let port = self.charged(budget, PORT_COST, |ipc| ipc.add_port(step, Port::new(Home::Limbo, Some(budget))))?;
        if self.limits.strict_reply {
            self.ports[port].direct = false;
        }
        step.trace.record(move || Event::new(kind::PORT_MADE, [port.to_bits()]));
        Ok(port)
    }

    /// Makes a port of a kernel object.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn new_kernel_port(&mut self, step: &mut Step, object: KernelObject) -> Result<PortId, NoMemory> {
        self.add_port(step, Port::kernel(object))
    }

    /// Makes the control port of a task. The caller has [made room](Ipc::make_room_for_task).
    pub(crate) fn insert_task_port(&mut self, object: KernelObject) -> PortId {
        self.ports.insert_reserved(|_| Port::kernel(object))
    }

    fn add_port(&mut self, step: &mut Step, port: Port) -> Result<PortId, NoMemory> {
        self.ports.reserve()?;
        step.reserve_work(Work::PER_PORT)?;
        Ok(self.ports.insert_reserved(|_| port))
    }

    /// Removes a dead port that has been taken apart.
    pub(super) fn remove_port(&mut self, step: &mut Step, port: PortId) {
        let removed = self.ports.remove_after(port, |removed| {
            let is_apart = removed.home == Home::Dead && removed.queue.is_empty();
            assert!(is_apart, "{port:?} is removed before it is taken apart");
            assert!(removed.pushers.is_empty(), "{port:?} is removed while threads push");
            assert!(removed.promised == 0, "{port:?} is removed with promises");
            // A place that is in use is released when the change applies.
            if removed.role != Role::Plain && !removed.policy_listed {
                step.release_policy_change();
            }
            removed.budget
        });
        step.release_work(Work::PER_PORT);
        if let Some(budget) = removed.expect("the port has not been removed before") {
            self.refund(budget, PORT_COST);
        }
    }

    /// Returns the port, unless it is dead.
    #[inline(always)]
    pub fn live_port(&self, port: PortId) -> Option<&Port> {
        self.ports.get(port).filter(|port| port.is_alive())
    }

    /// Returns the port, unless it is dead.
    #[inline(always)]
    pub(super) fn live_port_mut(&mut self, port: PortId) -> Option<&mut Port> {
        self.ports.get_mut(port).filter(|port| port.is_alive())
    }

    /// Returns the kernel object that a port represents, if it represents one.
    pub fn object_behind(&self, port: PortId) -> Option<KernelObject> {
        match self.ports.get(port)?.home {
            Home::Kernel(object) => Some(object),
            _ => None,
        }
    }

    /// Returns the voucher whose port this is, if it is one.
    pub fn voucher_behind(&self, port: PortId) -> Option<VoucherId> {
        match self.object_behind(port)? {
            KernelObject::Voucher(voucher) => Some(voucher),
            _ => None,
        }
    }

    /// Returns the voucher to whose port a name is a send right (vouchers 1.10).
    pub fn voucher_named(&self, space: SpaceId, name: PortName) -> Option<VoucherId> {
        match self.spaces[space].get(name)?.right {
            EntryRight::Send { port, .. } => self.voucher_behind(port),
            _ => None,
        }
    }

    /// Returns the voucher that a thread adopts by a name, or `None` for the null name (vouchers 4.12).
    ///
    /// # Errors
    /// `KERN_INVALID_RIGHT` for `MACH_PORT_DEAD`; `KERN_INVALID_ARGUMENT` for a name that is no voucher's.
    pub fn voucher_to_adopt(&self, space: SpaceId, name: PortName) -> Result<Option<VoucherId>, KernReturn> {
        match name {
            MACH_PORT_NULL => Ok(None),
            MACH_PORT_DEAD => Err(KERN_INVALID_RIGHT),
            name => self.voucher_named(space, name).map(Some).ok_or(KERN_INVALID_ARGUMENT),
        }
    }

    /// Returns true if messages to a port are calls of a kernel object.
    pub fn is_kernel_port(&self, port: PortId) -> bool {
        self.object_behind(port).is_some()
    }
}
