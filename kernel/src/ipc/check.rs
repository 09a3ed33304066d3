//! The invariants of ports, names and messages, which hold between two steps (mach-ipc 1.9).

mod importance;

use super::Ipc;
use super::budget::BUDGET_COST;
use super::entry::EntryRight;
use super::message::NOTICE_SIZE;
use super::port::{Home, Port};
use super::port_set::{MEMBERSHIP_COST, SET_COST};
use super::request::REQUEST_COST;
use super::right::{Carried, Right};
use crate::ids::{BudgetId, PortId, Receivable};
use crate::limits::QOS_WALK_LEAST;
use crate::sched::Scheduling;
use crate::sched::thread::WaitPlace;
use crate::step::{PolicyChange, Work};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The rights and the budget charges of other owners.
#[derive(Debug, Default)]
pub(crate) struct Outside<'a> {
    /// Rights in fields of tasks.
    pub(crate) carried: Vec<&'a Carried>,
    /// The ports of send-once rights in fields of tasks.
    pub(crate) send_once: Vec<PortId>,
    /// The cost of threads, by budget.
    pub(crate) charged: BTreeMap<BudgetId, usize>,
    /// The number of tasks.
    pub(crate) tasks: usize,
    /// The policy changes that are left for later.
    pub(crate) late: Vec<PolicyChange>,
}

/// The rights of one port, counted in all places where rights are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rights {
    send: u32,
    send_once: u32,
    receive: u32,
}

/// All rights by port.
type RightsByPort = BTreeMap<PortId, Rights>;

fn add_carried(rights: &mut RightsByPort, carried: &Carried) {
    let Carried::Right(right) = carried else { return };
    let counted = rights.entry(right.port()).or_default();
    match right {
        Right::Send(_) => counted.send += 1,
        Right::SendOnce(_) => counted.send_once += 1,
        Right::Receive(_) => counted.receive += 1,
    }
}

impl Ipc {
    /// Panics unless every invariant holds.
    pub(crate) fn check(&self, sched: &Scheduling, outside: &Outside<'_>) {
        let rights = self.count_rights(outside);
        for (id, port) in self.ports.iter() {
            let counted = rights.get(&id).unwrap_or(&Rights { send: 0, send_once: 0, receive: 0 });
            self.check_port(id, port, counted);
        }
        self.check_ways();
        self.check_totals();
        self.check_spaces();
        self.check_budgets(outside);
        self.check_waits(sched);
        self.check_sets();
        self.check_importance();
        self.check_pushes(sched, &outside.late);
        self.check_promises();
    }

    /// Checks that each send-once right to a live port has a promise, or has caused the promised message, and that there
    /// is a message for each promise.
    fn check_promises(&self) {
        let mut kept = BTreeMap::<PortId, u32>::new();
        for (_, message) in self.messages.iter().filter(|(_, message)| !message.spare) {
            if let (Carried::Right(Right::SendOnce(to)), NOTICE_SIZE) = (&message.destination, message.bytes.len()) {
                *kept.entry(to.port()).or_default() += 1;
            }
        }
        for (id, port) in self.ports.iter().filter(|(_, port)| port.is_alive()) {
            let covered = port.promised + kept.get(&id).copied().unwrap_or(0);
            assert!(port.send_once_rights <= covered, "a send-once right to {id:?} has no promise");
        }
        let promised: u32 = self.ports.iter().map(|(_, port)| port.promised).sum();
        let spare = self.messages.iter().filter(|(_, message)| message.spare).count();
        let listed = self.spare_messages.iter(&self.messages).filter(|&id| self.messages[id].spare).count();
        assert_eq!((spare, listed), (promised as usize, promised as usize), "there is a message for each promise");
    }

    /// Returns the number of places on the work list that ports, sets and messages have reserved.
    pub(crate) fn work_places(&self) -> usize {
        // Boosts and pushes have one each, as if they were objects.
        self.ports.len() * Work::PER_PORT + (self.sets.len() + self.messages.len() + 2) * Work::PER_OBJECT
    }

    /// Counts the rights in all places where rights are.
    fn count_rights(&self, outside: &Outside<'_>) -> RightsByPort {
        let mut rights = RightsByPort::new();
        for (_, entry) in self.spaces.iter().flat_map(|(_, space)| space.iter()) {
            match entry.right {
                EntryRight::Send { port, .. } => rights.entry(port).or_default().send += 1,
                EntryRight::Receive { port, send_urefs } => {
                    let counted = rights.entry(port).or_default();
                    counted.receive += 1;
                    counted.send += u32::from(send_urefs > 0);
                }
                EntryRight::SendOnce { port } => rights.entry(port).or_default().send_once += 1,
                EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => {}
            }
        }
        outside.carried.iter().for_each(|carried| add_carried(&mut rights, carried));
        outside.send_once.iter().for_each(|&port| rights.entry(port).or_default().send_once += 1);
        for (_, message) in self.messages.iter() {
            add_carried(&mut rights, &message.destination);
            add_carried(&mut rights, &message.reply);
            message.voucher.iter().for_each(|right| rights.entry(right.port()).or_default().send += 1);
            message.descriptors.iter().for_each(|descriptor| add_carried(&mut rights, &descriptor.right));
        }
        for (_, port) in self.ports.iter() {
            let requests = port.requests.iter(&self.requests).map(|(_, request)| &request.notify);
            for right in port.no_senders.iter().chain(&port.port_destroyed).chain(requests) {
                rights.entry(right.port()).or_default().send_once += 1;
            }
        }
        rights
    }

    fn check_port(&self, id: PortId, port: &Port, counted: &Rights) {
        if !port.is_alive() {
            assert_eq!(counted.receive, 0, "I3: dead {id:?} has a receive right");
            assert!(port.receivers.is_empty() && port.memberships.is_empty(), "I6: dead {id:?} has receivers or sets");
            return;
        }
        let strict = self.limits.strict_reply && !matches!(port.home, Home::Kernel(_));
        assert_eq!(port.direct, port.qlimit > 0 && !port.is_special_reply() && !strict, "the fast path knows {id:?}");
        assert!(
            port.reply_persona.is_none() || self.limits.strict_reply,
            "{id:?} has a record although replies are not strict"
        );
        assert_eq!(port.send_rights, counted.send, "I1: send rights of {id:?}");
        assert_eq!(port.send_once_rights, counted.send_once, "I2: send-once rights of {id:?}");
        let expected = u32::from(!matches!(port.home, Home::Kernel(_)));
        assert_eq!(counted.receive, expected, "I3: {id:?} has one receive right, {:?}", port.home);
        let queued = port.queue.iter(&self.messages).count();
        assert_eq!(queued, port.queue.len(), "I5: messages of {id:?}");
        assert!(port.senders.is_empty() || port.is_full(), "I9: senders wait on {id:?}, which has room");
        match port.home {
            Home::Kernel(_) => assert_eq!(queued, 0, "I10: a message is queued on the kernel's {id:?}"),
            Home::Space { space, name } => {
                let entry = self.spaces[space].get(name);
                let held =
                    entry.is_some_and(|entry| matches!(entry.right, EntryRight::Receive { port, .. } if port == id));
                assert!(held, "{name:?} in {space:?} is not the receive right of {id:?}, whose home it is");
            }
            Home::Transit(_) => self.check_transit(id),
            Home::Limbo | Home::Dead => {}
        }
        for (made, request) in port.requests.iter(&self.requests) {
            let entry = self.spaces[request.space].get(request.name);
            let known = entry.is_some_and(|entry| entry.request == Some(made) && entry.right.port() == Some(id));
            assert!(known, "{made:?} of {id:?} is not the request of its name {:?}", request.name);
        }
        self.check_queue(id, port);
    }

    fn check_queue(&self, id: PortId, port: &Port) {
        let mut qos_override = None;
        let is_long = port.queue.len() > QOS_WALK_LEAST;
        for message in port.queue.iter(&self.messages) {
            let message = &self.messages[message];
            for descriptor in &message.descriptors {
                if let Carried::Right(Right::Receive(right)) = &descriptor.right {
                    let home = self.ports[right.port()].home;
                    assert_eq!(home, Home::Transit(id), "the receive right of {:?} is queued on {id:?}", right.port());
                }
            }
            assert!(
                is_long || qos_override.is_none_or(|before| before >= message.qos_override),
                "a message of {id:?} has a higher override than one before it"
            );
            qos_override = Some(message.qos_override);
        }
    }

    /// Checks that a port in transit is not, through other ports in transit, inside itself (I7).
    fn check_transit(&self, start: PortId) {
        let mut at = start;
        for _ in 0..=self.ports.len() {
            match self.ports.get(at).map(|port| port.home) {
                Some(Home::Transit(next)) => at = next,
                _ => return,
            }
        }
        panic!("I7: {start:?} is in transit inside itself");
    }

    /// Checks the numbers of receive rights in transit to each port, and the bounds of the ways of boosts.
    fn check_ways(&self) {
        let mut arriving = BTreeMap::<PortId, u32>::new();
        for (id, port) in self.ports.iter() {
            assert!(port.boost_height <= self.limits.transit_walk, "boosts reach {id:?} on too long a way");
            assert!(port.boost_height > 0 || !port.boosts.accepts_donation(), "{id:?} accepts donation");
            assert!(!port.boosts_stay || matches!(port.home, Home::Transit(_)), "the boosts of {id:?} stay");
            let Home::Transit(to) = port.home else { continue };
            *arriving.entry(to).or_default() += 1;
            if let Some(next) = self.ports.get(to)
                && port.boost_height > 0
                && !port.boosts_stay
            {
                assert!(next.boost_height > port.boost_height, "boosts of {id:?} reach {to:?} on a longer way");
            }
        }
        for (id, port) in self.ports.iter() {
            assert_eq!(port.arriving, arriving.get(&id).copied().unwrap_or(0), "rights in transit to {id:?}");
        }
    }

    fn check_totals(&self) {
        let live = || self.ports.iter().filter(|(_, port)| port.is_alive());
        let send: u64 = live().map(|(_, port)| u64::from(port.send_rights)).sum();
        let once: u64 = live().map(|(_, port)| u64::from(port.send_once_rights)).sum();
        assert_eq!(send, self.totals.send_rights, "the total of send rights");
        assert_eq!(once, self.totals.send_once_rights, "the total of send-once rights");
        let dead = self.ports.len() - live().count();
        assert_eq!(dead as u64, self.totals.dead_ports, "the number of dead ports");
    }

    fn check_spaces(&self) {
        for (id, space) in self.spaces.iter() {
            space.check();
            for (name, entry) in space.iter() {
                match entry.right {
                    EntryRight::DeadName { urefs } => {
                        assert!(urefs > 0 && entry.request.is_none(), "I11: dead name {name:?} of {id:?}");
                    }
                    EntryRight::Send { urefs, .. } => assert!(urefs > 0, "{name:?} of {id:?} has no references"),
                    EntryRight::PortSet { set } => assert!(self.sets.contains(set), "{name:?} of {id:?} has no set"),
                    EntryRight::Receive { .. } | EntryRight::SendOnce { .. } => {}
                }
            }
        }
    }

    /// Checks that each budget is charged with the cost of the objects on it and of the budgets taken out of it, that a
    /// closed one has nothing to spare and no children, and that none exceeds its limit.
    fn check_budgets(&self, outside: &Outside<'_>) {
        assert_eq!(self.spaces.len(), outside.tasks, "every task has one space");
        let open = self.budgets.iter().filter(|(_, budget)| !budget.closed).count();
        assert!(open <= outside.tasks, "every open budget is a task's, and there are {open}");
        let mut used = outside.charged.clone();
        let mut add = |budget: Option<BudgetId>, bytes: usize| {
            if let Some(budget) = budget {
                *used.entry(budget).or_default() += bytes;
            }
        };
        self.spaces.iter().for_each(|(_, space)| add(Some(space.budget()), space.cost()));
        self.ports.iter().for_each(|(_, port)| add(port.budget, port.cost()));
        self.requests.iter().for_each(|(_, request)| add(Some(request.budget), REQUEST_COST));
        self.sets.iter().for_each(|(_, set)| add(Some(set.budget), SET_COST));
        self.memberships.iter().for_each(|(_, m)| add(Some(self.sets[m.set].budget), MEMBERSHIP_COST));
        self.messages.iter().for_each(|(_, message)| add(message.budget, message.cost()));
        for (id, budget) in self.budgets.iter() {
            let children: Vec<_> = budget.children.iter(&self.budgets).map(|child| &self.budgets[child]).collect();
            let promised: usize = children.iter().map(|child| child.limit).sum();
            let of_this = self.budgets.iter().filter(|(_, other)| other.parent == Some(id)).count();
            let listed = children.iter().filter(|child| child.parent == Some(id)).count();
            assert_eq!((children.len(), listed), (of_this, of_this), "the list of {id:?} has its children");
            let cost = used.remove(&id).unwrap_or(0) + BUDGET_COST + promised;
            assert_eq!(budget.used, cost, "{id:?} is charged with the cost of the objects and budgets on it");
            assert!(budget.used <= budget.limit, "{id:?} exceeds its limit");
            if budget.closed {
                assert!(
                    budget.used == budget.limit && budget.used > BUDGET_COST,
                    "closed {id:?} has something to spare"
                );
                let above = budget.parent.map(|parent| &self.budgets[parent]);
                assert!(
                    promised == 0 && above.is_none_or(|above| !above.closed),
                    "{id:?} is above or below a closed one"
                );
            }
        }
        assert!(used.values().all(|&cost| cost == 0), "objects are on budgets that are gone: {used:?}");
    }

    /// Checks that each thread that waits on a port or set is in its queue, and that the queues have no other threads.
    fn check_waits(&self, sched: &Scheduling) {
        let mut waiting = 0;
        for (id, thread) in sched.iter() {
            let queue = match thread.wait_place() {
                WaitPlace::Receivers(Receivable::Port(port)) => &self.ports[port].receivers,
                WaitPlace::Receivers(Receivable::Set(set)) => &self.sets[set].receivers,
                WaitPlace::Senders(port) => &self.ports[port].senders,
                WaitPlace::Word(..) | WaitPlace::Input | WaitPlace::Output | WaitPlace::Nowhere => continue,
            };
            assert!(sched.is_queued(queue, id), "{id:?} is not in the queue in which it waits");
            let could_receive = match thread.wait_place() {
                WaitPlace::Receivers(Receivable::Port(port)) => !self.ports[port].queue.is_empty(),
                WaitPlace::Receivers(Receivable::Set(set)) => !self.sets[set].ready.is_empty(),
                _ => false,
            };
            // A thread whose task has ended receives nothing more.
            assert!(!could_receive || thread.is_ending(), "I8: {id:?} waits where there are messages");
            waiting += 1;
        }
        let ports = self.ports.iter().flat_map(|(_, port)| [&port.receivers, &port.senders]);
        let sets = self.sets.iter().map(|(_, set)| &set.receivers);
        let queued: usize = ports.chain(sets).map(|queue| sched.check_queue(queue)).sum();
        assert_eq!(queued, waiting, "wait queues have waiting threads only");
    }

    /// Checks that memberships, ports and sets agree.
    fn check_sets(&self) {
        for (id, membership) in self.memberships.iter() {
            let port = &self.ports[membership.port];
            assert!(port.is_alive(), "I6: dead {:?} is in a set", membership.port);
            assert!(port.memberships.iter(&self.memberships).any(|other| other == id), "{id:?} is in its port's list");
            assert_eq!(membership.is_ready, !port.queue.is_empty(), "{id:?} is ready if its port has messages");
        }
        for (id, set) in self.sets.iter() {
            let members = set.members.iter(&self.memberships).filter(|&m| self.memberships[m].set == id).count();
            let ready = set.ready.iter(&self.memberships).filter(|&m| self.memberships[m].is_ready).count();
            assert_eq!(
                (members, ready),
                (set.members.len(), set.ready.len()),
                "the lists of {id:?} have its members only"
            );
        }
    }
}

mod pushes;
#[cfg(test)]
mod tests;
