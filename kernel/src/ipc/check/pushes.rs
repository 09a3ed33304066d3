//! The invariants of pushes, servicers and special reply ports (importance 7.5, 7.6).

use super::super::Ipc;
use super::super::port::{Home, ReplyLink, Role};
use super::super::push::Raise;
use crate::ids::{PortId, Receivable, ThreadId};
use crate::limits::{PUSH_CHAIN_MAX, SERVED_MEMBERS_MAX};
use crate::policy::{MAXPRI_USER, ThreadPolicy};
use crate::sched::Scheduling;
use crate::sched::thread::{Push, State, Thread, Wait};
use crate::step::PolicyChange;
use abi::qos::Qos;

impl Ipc {
    /// Returns the number of places for policy changes that ports and sets have reserved.
    pub(crate) fn policy_places(&self) -> usize {
        let ports = self.ports.iter().filter(|(_, port)| port.role != Role::Plain).count();
        ports + self.sets.iter().filter(|(_, set)| set.servicer.is_some()).count()
    }

    /// Panics unless every thread pushes whom its wait says, and has the promotion that the waits of others say, computed
    /// from all waits. What `late` changes concern may lag: they are left for background work.
    pub(super) fn check_pushes(&self, sched: &Scheduling, late: &[PolicyChange]) {
        for (id, thread) in sched.iter() {
            self.check_push(sched, id, thread);
            let mut expected = ThreadPolicy::default();
            self.expected_raise(sched, id).write_to(&mut expected);
            let policy = thread.policy();
            let lags = thread.serves().is_some_and(|object| self.is_listed(object));
            let expected = if lags { policy } else { &expected };
            assert_eq!(
                (policy.promotion_priority, policy.promote, policy.servicer_override),
                (expected.promotion_priority, expected.promote, expected.servicer_override),
                "{id:?} is raised by those that wait for it"
            );
            if let Some(object) = thread.serves() {
                assert_eq!(self.servicer(object), Some(id), "{object:?} knows the thread that serves it");
            }
            if let Some(port) = thread.special_reply() {
                let owned = matches!(self.ports[port].role, Role::SpecialReply { owner, .. } if owner == Some(id));
                assert!(owned && self.ports[port].is_alive(), "{port:?} knows whose special reply port it is");
            }
        }
        for (id, port) in self.ports.iter() {
            for thread in sched.check_pushing(&port.pushers) {
                assert_eq!(sched[thread].push().port(), Some(id), "{thread:?} is in the queue of the port it pushes");
            }
            let is_late = late.contains(&PolicyChange::Port(id));
            assert_eq!(port.policy_listed, is_late, "a change of {id:?} that is noted between steps is a late one");
            match port.role {
                Role::Plain | Role::SpecialReply { owner: None, .. } => {}
                Role::SpecialReply { owner: Some(owner), .. } => {
                    assert_eq!(sched[owner].special_reply(), Some(id), "{owner:?} knows its special reply port");
                    assert!(
                        !port.boosts.accepts_donation() && port.port_destroyed.is_none(),
                        "{id:?} stays a reply port"
                    );
                }
                Role::Served(servicer) => {
                    assert_eq!(
                        sched[servicer].serves(),
                        Some(Receivable::Port(id)),
                        "{servicer:?} knows what it serves"
                    );
                    assert!(matches!(port.home, Home::Space { .. }), "served {id:?} is in a space");
                }
            }
        }
        for (id, set) in self.sets.iter() {
            let is_late = late.contains(&PolicyChange::Set(id));
            assert_eq!(set.policy_listed, is_late, "a change of {id:?} that is noted between steps is a late one");
            let known = set.servicer.is_none_or(|servicer| sched[servicer].serves() == Some(Receivable::Set(id)));
            assert!(known && !(set.dead && set.servicer.is_some()), "the servicer of {id:?} knows what it serves");
        }
    }

    /// Checks whom a thread pushes, with which priority, and its place in the chain.
    fn check_push(&self, sched: &Scheduling, id: ThreadId, thread: &Thread) {
        let awaited = self.awaited_port(id, thread);
        match thread.push() {
            Push::Nobody => assert_eq!(awaited, None, "{id:?} waits and pushes nobody"),
            Push::Refused => assert!(awaited.is_some(), "{id:?} waits for no port but is refused a push"),
            Push::Port { port, rank } => {
                let state = &self.ports[port];
                if state.is_alive() {
                    assert_eq!(awaited, Some(port), "{id:?} pushes where it waits");
                }
                let priority = thread.schedule().base.min(MAXPRI_USER);
                assert_eq!(thread.push_priority(), priority, "{id:?} pushes with its base priority");
                assert!(sched.check_pushing(&state.pushers).any(|other| other == id), "{id:?} is not in its queue");
                assert!(rank < state.push_height && state.push_height <= PUSH_CHAIN_MAX, "{id:?} is below {port:?}");
                if let Role::Served(next) = state.role
                    && let Push::Port { rank: onward, .. } = sched[next].push()
                {
                    assert!(onward >= state.push_height, "the chain of {id:?} goes up at {next:?}");
                }
            }
        }
    }

    /// Returns the live port that a thread's wait is for, in a synchronous way.
    fn awaited_port(&self, id: ThreadId, thread: &Thread) -> Option<PortId> {
        let awaited = match thread.state() {
            State::Waiting(Wait::Send(wait)) => Some(wait.port),
            State::Waiting(Wait::Receive(wait))
                if thread.special_reply().map(Receivable::Port) == Some(wait.object) =>
            {
                match self.ports[thread.special_reply()?].role {
                    Role::SpecialReply { owner, link: ReplyLink::Port(port) } if owner == Some(id) => Some(port),
                    _ => None,
                }
            }
            _ => None,
        };
        awaited.filter(|&port| self.ports.get(port).is_some_and(|state| state.is_alive()))
    }

    /// Returns what a thread should get from those that wait for it: computed from all threads and messages.
    fn expected_raise(&self, sched: &Scheduling, id: ThreadId) -> Raise {
        let head = |port: PortId| {
            let queue = self.ports[port].queue.iter(&self.messages);
            queue.map(|message| self.messages[message].qos_override).next().unwrap_or(Qos::Unspecified)
        };
        match sched[id].serves() {
            None => Raise { priority: 0, class: Qos::Unspecified },
            Some(Receivable::Port(port)) => {
                let waiting = sched.iter().filter(|(other, thread)| {
                    thread.push() != Push::Refused && self.awaited_port(*other, thread) == Some(port)
                });
                let bases = waiting.map(|(_, thread)| thread.schedule().base.min(MAXPRI_USER));
                Raise { priority: bases.max().unwrap_or(0), class: head(port) }
            }
            Some(Receivable::Set(set)) => {
                let ready = self.sets[set].ready.iter(&self.memberships).take(SERVED_MEMBERS_MAX);
                let class = ready.map(|member| head(self.memberships[member].port)).max();
                Raise { priority: 0, class: class.unwrap_or(Qos::Unspecified) }
            }
        }
    }
}
