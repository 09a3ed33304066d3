//! Port sets: receiving from whichever of several ports has a message (mach-ipc 2.10, 3.9).
//!
//! Each membership of a port in a set is an object of its own, in three lists: the port's, the set's, and, while the port
//! has messages, the set's list of ready members. Taking a message rotates that list, so every ready member is served in
//! turn.

use crate::ipc::port::PortId;
use crate::kernel::Kernel;
use crate::limits::SETS_PER_PORT_MAX;
use crate::machine::{Machine, NoMemory};
use crate::reap::Item;
use crate::task::TaskId;
use crate::wait::WaitQueue;
use abi::KernReturn;
use abi::code::{KERN_ALREADY_IN_SET, KERN_NOT_IN_SET, KERN_RESOURCE_SHORTAGE};
use store::{Id, Link, Linked, List};

/// Names a port set.
pub type SetId = Id<PortSet>;

/// Names a membership.
pub type MembershipId = Id<Membership>;

/// A port set.
#[derive(Debug)]
pub struct PortSet {
    /// Its members in the order in which they joined.
    pub members: List<Membership, OfSet>,
    /// Those that have messages; the first is served next.
    pub ready: List<Membership, Ready>,
    /// Who waits for a message, first come first served.
    pub receivers: WaitQueue,
    /// Whose budget it is on.
    pub payer: TaskId,
    /// It is being taken apart.
    pub dead: bool,
    /// Its place on the list of what is taken apart.
    pub reap_next: Option<Item>,
}

/// A port's membership in a set.
#[derive(Debug)]
pub struct Membership {
    /// The port.
    pub port: PortId,
    /// The set.
    pub set: SetId,
    /// It is in the set's list of ready members.
    is_ready: bool,
    port_link: Link<Membership>,
    set_link: Link<Membership>,
    ready_link: Link<Membership>,
}

/// The list of a port's memberships.
#[derive(Debug)]
pub enum OfPort {}
/// The list of a set's memberships.
#[derive(Debug)]
pub enum OfSet {}
/// The list of a set's ready memberships.
#[derive(Debug)]
pub enum Ready {}

macro_rules! linked {
    ($($kind:ty: $field:ident)*) => {$(
        impl Linked<$kind> for Membership {
            fn link(&mut self) -> &mut Link<Membership> {
                &mut self.$field
            }
            fn link_ref(&self) -> &Link<Membership> {
                &self.$field
            }
        }
    )*};
}
linked! { OfPort: port_link OfSet: set_link Ready: ready_link }

/// What one membership costs a budget.
pub(crate) const MEMBERSHIP_COST: usize = size_of::<Membership>();

impl Kernel {
    /// Makes an empty set on a task's budget.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none or the budget is used up; nothing has changed.
    pub(super) fn new_set(&mut self, payer: TaskId) -> Result<SetId, NoMemory> {
        self.charge(payer, size_of::<PortSet>())?;
        let made = self.sets.insert_with(|_| PortSet {
            members: List::new(),
            ready: List::new(),
            receivers: WaitQueue::default(),
            payer,
            dead: false,
            reap_next: None,
        });
        if made.is_err() {
            self.refund(payer, size_of::<PortSet>());
        }
        made
    }

    /// The membership of a port in a set, if there is one.
    fn membership(&self, port: PortId, set: SetId) -> Option<MembershipId> {
        self.ports[port].memberships.iter(&self.memberships).find(|&id| self.memberships[id].set == set)
    }

    /// Adds a live port to a set. Its messages go to those who wait for the set at once.
    ///
    /// # Errors
    /// `KERN_ALREADY_IN_SET`; `KERN_RESOURCE_SHORTAGE` if the port is in too many sets or there is no memory.
    pub(super) fn join_set(&mut self, m: &mut dyn Machine, port: PortId, set: SetId) -> Result<(), KernReturn> {
        if self.membership(port, set).is_some() {
            return Err(KERN_ALREADY_IN_SET);
        }
        let payer = self.sets[set].payer;
        if self.ports[port].memberships.len() >= SETS_PER_PORT_MAX || self.charge(payer, MEMBERSHIP_COST).is_err() {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        let membership = Membership {
            port,
            set,
            is_ready: false,
            port_link: Link::default(),
            set_link: Link::default(),
            ready_link: Link::default(),
        };
        let Ok(id) = self.memberships.insert(membership) else {
            self.refund(payer, MEMBERSHIP_COST);
            return Err(KERN_RESOURCE_SHORTAGE);
        };
        self.ports[port].memberships.push_back(&mut self.memberships, id);
        self.sets[set].members.push_back(&mut self.memberships, id);
        self.note_ready(id);
        self.serve_waiting_receivers(m, port);
        Ok(())
    }

    /// Takes a port out of a set.
    ///
    /// # Errors
    /// `KERN_NOT_IN_SET`.
    pub(super) fn leave_set(&mut self, port: PortId, set: SetId) -> Result<(), KernReturn> {
        let id = self.membership(port, set).ok_or(KERN_NOT_IN_SET)?;
        self.end_membership(id);
        Ok(())
    }

    /// Takes a port out of all sets but perhaps one; tells whether it was in any.
    pub(super) fn leave_all_sets(&mut self, port: PortId, but: Option<SetId>) -> bool {
        let was_member = !self.ports[port].memberships.is_empty();
        let mut next = self.ports[port].memberships.front();
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            if Some(self.memberships[id].set) != but {
                self.end_membership(id);
            }
        }
        was_member
    }

    /// Ends one membership.
    pub(crate) fn end_membership(&mut self, id: MembershipId) {
        let Membership { port, set, is_ready, .. } = self.memberships[id];
        self.ports[port].memberships.remove(&mut self.memberships, id);
        let set = &mut self.sets[set];
        set.members.remove(&mut self.memberships, id);
        if is_ready {
            set.ready.remove(&mut self.memberships, id);
        }
        let payer = set.payer;
        self.memberships.remove(id);
        self.refund(payer, MEMBERSHIP_COST);
    }

    /// Puts a membership on the ready list of its set if its port has messages.
    fn note_ready(&mut self, id: MembershipId) {
        let membership = &mut self.memberships[id];
        if !membership.is_ready && !self.ports[membership.port].queue.is_empty() {
            membership.is_ready = true;
            let set = membership.set;
            self.sets[set].ready.push_back(&mut self.memberships, id);
        }
    }

    /// Tells the sets of a port that it has a message. A port is in few sets.
    #[inline]
    pub(super) fn note_messages(&mut self, port: PortId) {
        let mut next = self.ports[port].memberships.front();
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            self.note_ready(id);
        }
    }

    /// Tells the sets of a port that it has no message any more.
    #[inline]
    pub(super) fn note_empty(&mut self, port: PortId) {
        let mut next = self.ports[port].memberships.front();
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            let membership = &mut self.memberships[id];
            if core::mem::take(&mut membership.is_ready) {
                let set = membership.set;
                self.sets[set].ready.remove(&mut self.memberships, id);
            }
        }
    }

    /// The member whose message is received next, which then goes behind the others (mach-ipc 3.9 step 1).
    pub(super) fn next_ready_member(&mut self, set: SetId) -> Option<PortId> {
        let ready = &mut self.sets[set].ready;
        let id = ready.pop_front(&mut self.memberships)?;
        ready.push_back(&mut self.memberships, id);
        Some(self.memberships[id].port)
    }

    /// Starts taking a set apart. It is nowhere to be found from now on.
    pub(super) fn destroy_set(&mut self, set: SetId) {
        self.sets[set].dead = true;
        self.reap_later(Item::Set(set));
    }

    /// Forgets a set that nothing of is left.
    pub(crate) fn remove_set(&mut self, set: SetId) {
        let removed = self.sets.remove(set).expect("a set is removed once");
        self.refund(removed.payer, size_of::<PortSet>());
    }
}

/// Panics unless memberships, ports and sets agree.
pub fn check(kernel: &Kernel) {
    for (id, membership) in kernel.memberships.iter() {
        let port = &kernel.ports[membership.port];
        assert!(port.is_alive(), "I6: dead {:?} is in a set", membership.port);
        assert!(port.memberships.iter(&kernel.memberships).any(|other| other == id), "{id:?} is on its port's list");
        assert_eq!(membership.is_ready, !port.queue.is_empty(), "{id:?} is ready if its port has messages");
    }
    for (id, set) in kernel.sets.iter() {
        let members = set.members.iter(&kernel.memberships).filter(|&m| kernel.memberships[m].set == id).count();
        let ready = set.ready.iter(&kernel.memberships).filter(|&m| kernel.memberships[m].is_ready).count();
        assert_eq!((members, ready), (set.members.len(), set.ready.len()), "the lists of {id:?} are its own");
    }
}
