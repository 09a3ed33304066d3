//! Ports: their state, and how they are made.

use crate::ipc::message::Queue;
use crate::ipc::port_set::{Membership, OfPort};
use crate::ipc::request::Requests;
use crate::ipc::right::SendOnceRight;
use crate::kernel::Kernel;
use crate::kobject::KernelObject;
use crate::machine::NoMemory;
use crate::reap::Item;
use crate::task::TaskId;
use crate::wait::WaitQueue;
use abi::port::{MACH_PORT_QLIMIT_DEFAULT, PortName, PortStatus, PortStatusFlags};
use store::{Arena, Id, List};

/// Names a port. A dead port's id denotes nothing, or for a moment a port that is being taken apart.
pub type PortId = Id<Port>;

/// All ports, each allocated by itself like threads.
pub type Ports = Arena<Port, 1>;

/// Where a port's receive right is (mach-ipc 1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In a task, under a name.
    Space {
        /// The task.
        task: TaskId,
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
    pub home: Home,
    /// The messages in it.
    pub queue: Queue,
    /// How many of them stop a sender.
    pub qlimit: u32,
    /// The number that the next message received gets.
    pub seqno: u32,
    /// Send rights: one per task that has any, plus one per token.
    pub send_rights: u32,
    /// Send-once rights: one per name, plus one per token.
    pub send_once_rights: u32,
    /// How often a send right was made.
    pub make_send_count: u32,
    /// A number its owner keeps with it.
    pub context: u64,
    /// What the context protects.
    pub guard: Guard,
    /// It takes no rights (mach-ipc 3.7).
    pub no_grant: bool,
    /// It accepts importance donation (importance 1.5).
    pub importance_donation: bool,
    /// Its boosts are not those of the task that holds the receive right (importance 1.5).
    pub temp_owner: bool,
    /// Who waits for a message.
    pub receivers: WaitQueue,
    /// Who waits for room.
    pub senders: WaitQueue,
    /// Whom to tell when the last send right is gone.
    pub no_senders: Option<SendOnceRight>,
    /// Who gets the receive right instead of its end.
    pub port_destroyed: Option<SendOnceRight>,
    /// Whom to tell when the port dies or has room.
    pub requests: Requests,
    /// The sets it is in.
    pub memberships: List<Membership, OfPort>,
    /// Whose budget it is on.
    pub payer: Option<TaskId>,
    /// Its place on the list of what is taken apart.
    pub reap_next: Option<Item>,
    /// Its place there with armed requests to fire.
    pub armed_next: Option<Item>,
    /// It died with messages, whose notifications come before those that were registered on it.
    pub messages_died: bool,
    /// Its last send right ended just before it died: whoever waits for that is told so.
    pub senders_ended_first: bool,
    /// It is on such a list with armed requests.
    pub armed_listed: bool,
    /// It died and nothing of it is left but its place on that list.
    pub taken_apart: bool,
}

impl Port {
    /// A fresh port whose receive right is at `home`.
    fn new(home: Home, payer: Option<TaskId>) -> Port {
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
            port_destroyed: None,
            requests: Requests::default(),
            memberships: List::new(),
            payer,
            reap_next: None,
            armed_next: None,
            messages_died: false,
            senders_ended_first: false,
            armed_listed: false,
            taken_apart: false,
        }
    }

    /// A port of the kernel's own, on nobody's budget: there is a bounded number per object.
    pub(crate) fn kernel(object: KernelObject) -> Port {
        Port::new(Home::Kernel(object), None)
    }

    /// Whether messages can still be sent to it.
    #[inline(always)]
    pub fn is_alive(&self) -> bool {
        self.home != Home::Dead
    }

    /// Whether its queue is at its limit.
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.qlimit as usize
    }

    /// Makes the port accept importance donation, with `temp_owner` on nobody's account. Nothing takes this back while
    /// the receive right stays where it is (importance 3.1).
    pub fn accept_donation(&mut self, temp_owner: bool) {
        self.importance_donation = true;
        self.temp_owner |= temp_owner;
    }

    /// What goes when the receive right leaves a task or ends (mach-ipc 6.1).
    pub fn forget_owner(&mut self) {
        self.seqno = 0;
        self.make_send_count = 0;
        self.context = 0;
        self.guard = Guard::default();
    }

    /// What `mach_port_get_attributes` tells (mach-ipc 2.7).
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

impl Kernel {
    /// Makes a port on a task's budget.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none or the budget is used up; nothing has changed.
    pub(super) fn new_port(&mut self, home: Home, payer: TaskId) -> Result<PortId, NoMemory> {
        self.charge(payer, size_of::<Port>())?;
        let made = self.ports.insert_with(|_| Port::new(home, Some(payer)));
        if made.is_err() {
            self.refund(payer, size_of::<Port>());
        }
        made
    }

    /// Makes a port of the kernel's own.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn new_kernel_port(&mut self, object: KernelObject) -> Result<PortId, NoMemory> {
        self.ports.insert_with(|_| Port::kernel(object))
    }

    /// Forgets a dead port that nothing of is left.
    pub(super) fn remove_port(&mut self, port: PortId) {
        let removed = self.ports.remove(port).expect("a port is removed once");
        assert!(removed.home == Home::Dead && removed.queue.is_empty(), "{port:?} is removed before its end");
        if let Some(payer) = removed.payer {
            self.refund(payer, size_of::<Port>());
        }
    }
}
