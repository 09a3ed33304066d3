//! Port sets: groups of ports from which a thread receives at once (mach-ipc 2.10, 3.9).
//!
//! The membership of a port in a set is an object. It is in the lists of its port and of its set, and while the port
//! has messages, in the set's list of ready members. Each receive moves the member that is served to the end of that
//! list, so that all ready members are served in turn.

use super::Ipc;
use crate::heap::footprint_of_part;
use crate::ids::{BudgetId, MembershipId, PortId, Receivable, SetId, ThreadId, tag};
use crate::limits::{SETS_LEFT_PER_PIECE, SETS_PER_PORT_MAX};
use crate::machine::NoMemory;
use crate::sched::Scheduling;
use crate::sched::wait_queue::WaitQueue;
use crate::step::{Step, WORK_COST, Work};
use abi::KernReturn;
use abi::code::{KERN_ALREADY_IN_SET, KERN_NOT_IN_SET, KERN_RESOURCE_SHORTAGE};
use store::{Arena, Link, List};

/// All port sets.
pub(super) type Sets = Arena<PortSet, TOGETHER, tag::PortSet>;

/// All memberships of ports in sets.
pub(super) type Memberships = Arena<Membership, TOGETHER, tag::Membership>;

/// Sets and memberships that are allocated together.
const TOGETHER: usize = 64;

/// A port set.
#[derive(Debug)]
pub struct PortSet {
    /// Its members in the order in which they joined.
    pub(super) members: List<tag::Membership, OfSet>,
    /// Its members that have messages. The first is served next.
    pub(super) ready: List<tag::Membership, Ready>,
    /// Threads that wait for a message, first come first served.
    pub(super) receivers: WaitQueue,
    /// The budget it is on.
    pub(super) budget: BudgetId,
    /// It is being taken apart.
    pub(super) dead: bool,
    /// The thread that serves it.
    pub(super) servicer: Option<ThreadId>,
    /// The step's list of policy changes has one of this set.
    pub(super) policy_listed: bool,
}

/// A port's membership in a set.
#[derive(Debug)]
pub struct Membership {
    /// The port.
    pub(super) port: PortId,
    /// The set.
    pub(super) set: SetId,
    /// It is in the set's list of ready members.
    pub(super) is_ready: bool,
    port_link: Link<tag::Membership>,
    set_link: Link<tag::Membership>,
    ready_link: Link<tag::Membership>,
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

store::linked!(Membership as tag::Membership, OfPort: port_link, OfSet: set_link, Ready: ready_link);

/// The cost of a membership on the budget of its set, in bytes.
pub(super) const MEMBERSHIP_COST: usize = footprint_of_part(Memberships::OBJECT_SIZE, TOGETHER);

/// The cost of a set on a budget, in bytes.
pub(super) const SET_COST: usize = footprint_of_part(Sets::OBJECT_SIZE, TOGETHER) + Work::PER_OBJECT * WORK_COST;

impl PortSet {
    /// Returns the number of its members.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns true if it has no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Returns the threads that wait for a message.
    pub fn receivers(&self) -> &WaitQueue {
        &self.receivers
    }
}

impl Ipc {
    /// Makes an empty set on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if memory runs out or the budget is used up; nothing has changed.
    pub(super) fn new_set(&mut self, step: &mut Step, budget: BudgetId) -> Result<SetId, NoMemory> {
        self.charged(budget, SET_COST, |ipc| {
            ipc.sets.reserve()?;
            step.reserve_work(Work::PER_OBJECT)?;
            Ok(ipc.sets.insert_reserved(|_| PortSet {
                members: List::new(),
                ready: List::new(),
                receivers: WaitQueue::default(),
                budget,
                dead: false,
                servicer: None,
                policy_listed: false,
            }))
        })
    }

    /// Returns the membership of a port in a set, if there is one.
    fn membership(&self, port: PortId, set: SetId) -> Option<MembershipId> {
        self.ports[port].memberships.iter(&self.memberships).find(|&id| self.memberships[id].set == set)
    }

    /// Adds a live port to a set. The caller then hands the port's messages to threads that wait on the set.
    ///
    /// # Errors
    /// `KERN_ALREADY_IN_SET`; `KERN_RESOURCE_SHORTAGE` if the port is in too many sets, memory runs out or the budget
    /// is used up. Nothing has changed then.
    pub(super) fn join_set(&mut self, step: &mut Step, port: PortId, set: SetId) -> Result<(), KernReturn> {
        if self.membership(port, set).is_some() {
            return Err(KERN_ALREADY_IN_SET);
        }
        if self.ports[port].memberships.len() >= SETS_PER_PORT_MAX {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        let made = self.charged(self.sets[set].budget, MEMBERSHIP_COST, |ipc| {
            ipc.memberships.insert(Membership {
                port,
                set,
                is_ready: false,
                port_link: Link::default(),
                set_link: Link::default(),
                ready_link: Link::default(),
            })
        });
        let id = made.map_err(|NoMemory| KERN_RESOURCE_SHORTAGE)?;
        self.ports[port].memberships.push_back(&mut self.memberships, id);
        self.sets[set].members.push_back(&mut self.memberships, id);
        self.note_ready(id);
        self.note_servicer_of_set(step, set);
        Ok(())
    }

    /// Removes a port from a set.
    ///
    /// # Errors
    /// `KERN_NOT_IN_SET`; nothing has changed.
    pub(super) fn leave_set(&mut self, step: &mut Step, port: PortId, set: SetId) -> Result<(), KernReturn> {
        let id = self.membership(port, set).ok_or(KERN_NOT_IN_SET)?;
        self.end_membership(step, id);
        Ok(())
    }

    /// Removes a port from all sets except `kept`. Returns true if it was in any set.
    pub(super) fn leave_all_sets(&mut self, step: &mut Step, port: PortId, kept: Option<SetId>) -> bool {
        let memberships = &self.ports[port].memberships;
        let mut next = memberships.front();
        if next.is_none() {
            return false;
        }
        step.spend((memberships.len() / SETS_LEFT_PER_PIECE) as u32);
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            if Some(self.memberships[id].set) != kept {
                self.end_membership(step, id);
            }
        }
        true
    }

    /// Ends one membership.
    pub(super) fn end_membership(&mut self, step: &mut Step, id: MembershipId) {
        let Membership { port, set, is_ready, .. } = self.memberships[id];
        self.note_servicer_of_set(step, set);
        self.ports[port].memberships.remove(&mut self.memberships, id);
        let set = &mut self.sets[set];
        set.members.remove(&mut self.memberships, id);
        if is_ready {
            set.ready.remove(&mut self.memberships, id);
        }
        let budget = set.budget;
        self.memberships.remove(id);
        self.refund(budget, MEMBERSHIP_COST);
    }

    /// Puts a membership on the ready list of its set, if its port has messages.
    fn note_ready(&mut self, id: MembershipId) {
        let membership = &mut self.memberships[id];
        if !membership.is_ready && !self.ports[membership.port].queue.is_empty() {
            membership.is_ready = true;
            let set = membership.set;
            self.sets[set].ready.push_back(&mut self.memberships, id);
        }
    }

    /// Makes a port ready in all its sets, because it has a message. [`SETS_PER_PORT_MAX`] bounds the time.
    #[inline]
    pub(super) fn note_messages(&mut self, port: PortId) {
        let mut next = self.ports[port].memberships.front();
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            self.note_ready(id);
        }
    }

    /// Takes a port off the ready lists of all its sets, because it has no message left.
    #[inline(never)]
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

    /// Returns the member of a set whose message is received next, and moves it to the end of the ready list (mach-ipc
    /// 3.9 step 1). Others may be among the members that raise the servicer then.
    pub(crate) fn next_ready_member(&mut self, step: &mut Step, set: SetId) -> Option<PortId> {
        self.note_servicer_of_set(step, set);
        let ready = &mut self.sets[set].ready;
        let id = ready.pop_front(&mut self.memberships)?;
        ready.push_back(&mut self.memberships, id);
        Some(self.memberships[id].port)
    }

    /// Lets a set be taken apart. The caller has removed its name.
    pub(super) fn destroy_set(&mut self, sched: &mut Scheduling, step: &mut Step, set: SetId) {
        self.unbind_servicer(sched, step, Receivable::Set(set));
        self.sets[set].dead = true;
        step.later(Work::Set(set));
    }

    /// Removes a set that has been taken apart.
    pub(super) fn remove_set(&mut self, step: &mut Step, set: SetId) {
        let removed = self.sets.remove(set).expect("the set has not been removed before");
        assert!(removed.servicer.is_none(), "{set:?} is removed while a thread serves it");
        step.release_work(Work::PER_OBJECT);
        self.refund(removed.budget, SET_COST);
    }
}
