//! Who raises whose priority (importance 7.5, 7.6): threads that serve ports, threads that wait for them, and special
//! reply ports.
//!
//! ```text
//! thread ── waits for room ────────────────────────────► port ── servicer ──► thread
//! thread ── waits on its special reply port ── link ───► port ── servicer ──► thread ── waits … ──►
//! ```
//!
//! A thread that waits pushes its base priority to the servicer of one port at most, so pushes form chains. Nothing is
//! counted up and down: a thread's promotion is the highest priority in the queue of those that push, its place in such a
//! queue follows from its wait ([`refresh_push`](Ipc::refresh_push)), and both are looked at anew whenever something that
//! they depend on has changed. So a push ends with its cause, whatever else has happened meanwhile.
//!
//! A chain has at most [`PUSH_CHAIN_MAX`] threads and no circle: a thread whose push would make it longer, or close it,
//! pushes nobody in this wait. To find that out, each thread that pushes has a rank, above those of the threads that push
//! it, and each port a height, above the ranks of those that push there. Both are only raised, until no thread pushes at
//! the port.

use super::Ipc;
use super::port::{ReplyLink, Role};
use super::right::{Carried, Right};
use crate::ids::{MessageId, PortId, Receivable, SetId, SpaceId, ThreadId};
use crate::limits::{PUSH_CHAIN_MAX, SERVED_MEMBERS_MAX};
use crate::policy::{MAXPRI_USER, ThreadPolicy, promoted_class};
use crate::sched::Scheduling;
use crate::sched::thread::{Push, State, Thread, Wait};
use crate::step::{PolicyChange, Step};
use abi::KernReturn;
use abi::code::*;
use abi::port::{MACH_PORT_RIGHT_RECEIVE, PortName};
use abi::qos::Qos;

/// What a thread gets from those that wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The highest priority of the threads that push it.
    pub priority: u8,
    /// The highest QoS of the messages in the queue that it serves.
    pub class: Qos,
}

impl Raise {
    /// Makes it part of a thread's policy.
    pub fn write_to(self, policy: &mut ThreadPolicy) {
        policy.promotion_priority = self.priority;
        policy.promote = promoted_class(self.priority);
        policy.servicer_override = self.class;
    }
}

/// Servicers.
impl Ipc {
    /// Returns the thread that serves a port or set.
    pub fn servicer(&self, object: Receivable) -> Option<ThreadId> {
        match object {
            Receivable::Port(port) => match self.ports.get(port)?.role {
                Role::Served(thread) => Some(thread),
                Role::Plain | Role::SpecialReply { .. } => None,
            },
            Receivable::Set(set) => self.sets[set].servicer,
        }
    }

    fn set_servicer(&mut self, object: Receivable, servicer: Option<ThreadId>) {
        match object {
            Receivable::Port(port) => self.ports[port].role = servicer.map_or(Role::Plain, Role::Served),
            Receivable::Set(set) => self.sets[set].servicer = servicer,
        }
    }

    /// Lets a thread serve a port or set, in place of the one that serves it.
    ///
    /// # Errors
    /// Those of [`port_bind_servicer`](Ipc::port_bind_servicer) that concern the object and the thread; nothing has
    /// changed.
    pub(super) fn bind_servicer(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        object: Receivable,
        thread: ThreadId,
    ) -> Result<(), KernReturn> {
        if matches!(object, Receivable::Port(port) if self.ports[port].is_special_reply()) {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let state = &sched[thread];
        if state.serves().is_some_and(|other| other != object) || state.push() != Push::Nobody {
            return Err(KERN_FAILURE);
        }
        match self.servicer(object) {
            Some(before) => {
                sched.set_serves(before, None);
                sched.policy_changed(step, before);
            }
            // The place of an earlier binding is in use until its change applies, and stays then.
            None if self.is_listed(object) => {}
            None => step.reserve_policy_change().map_err(|_| KERN_RESOURCE_SHORTAGE)?,
        }
        self.set_servicer(object, Some(thread));
        sched.set_serves(thread, Some(object));
        sched.policy_changed(step, thread);
        Ok(())
    }

    /// Ends the binding of a port or set to the thread that serves it, if there is one.
    pub(super) fn unbind_servicer(&mut self, sched: &mut Scheduling, step: &mut Step, object: Receivable) {
        let Some(thread) = self.servicer(object) else { return };
        self.set_servicer(object, None);
        sched.set_serves(thread, None);
        sched.policy_changed(step, thread);
        // A place that is in use is released when the change applies.
        if !self.is_listed(object) {
            step.release_policy_change();
        }
    }

    /// Returns true if a change of a port or set is noted and has not been applied.
    pub(super) fn is_listed(&self, object: Receivable) -> bool {
        match object {
            Receivable::Port(port) => self.ports[port].policy_listed,
            Receivable::Set(set) => self.sets[set].policy_listed,
        }
    }

    /// Returns true if a change of a port or set that is noted concerns a thread that serves it.
    pub fn raises_servicer(&self, change: PolicyChange) -> bool {
        match change {
            PolicyChange::Port(port) => self.ports.get(port).is_some_and(|port| matches!(port.role, Role::Served(_))),
            PolicyChange::Set(set) => self.sets.get(set).is_some_and(|set| set.servicer.is_some()),
            PolicyChange::Thread(_) | PolicyChange::Task(_) => false,
        }
    }

    /// Ends what a thread that ends has to do with other threads' priorities.
    pub fn end_thread(&mut self, sched: &mut Scheduling, step: &mut Step, thread: ThreadId) {
        self.end_push(sched, step, thread);
        if let Some(object) = sched[thread].serves() {
            self.unbind_servicer(sched, step, object);
        }
        self.disown_special_reply(sched, thread, None);
    }

    /// Notes that the messages of a port, or the threads that push there, have changed.
    #[inline]
    pub fn note_servicers(&mut self, step: &mut Step, port: PortId) {
        let state = &self.ports[port];
        if state.role != Role::Plain || !state.memberships.is_empty() {
            self.note_each_servicer(step, port);
        }
    }

    #[inline(never)]
    fn note_each_servicer(&mut self, step: &mut Step, port: PortId) {
        let state = &self.ports[port];
        if matches!(state.role, Role::Served(_)) {
            self.list_port(step, port);
        }
        let mut next = self.ports[port].memberships.front();
        while let Some(id) = next {
            next = self.ports[port].memberships.after(&self.memberships, id);
            self.note_servicer_of_set(step, self.memberships[id].set);
        }
    }

    /// Notes that the messages of a set's members have changed.
    pub(super) fn note_servicer_of_set(&mut self, step: &mut Step, set: SetId) {
        let state = &mut self.sets[set];
        if state.servicer.is_some() && !core::mem::replace(&mut state.policy_listed, true) {
            step.policy_changed(PolicyChange::Set(set));
        }
    }

    fn list_port(&mut self, step: &mut Step, port: PortId) {
        if !core::mem::replace(&mut self.ports[port].policy_listed, true) {
            step.policy_changed(PolicyChange::Port(port));
        }
    }

    /// Takes note that a change of a port that was noted applies now, and returns the port's role.
    pub fn take_change_of_port(&mut self, step: &mut Step, port: PortId) -> Role {
        let role = self.ports.get_mut(port).map_or(Role::Plain, |state| {
            state.policy_listed = false;
            state.role
        });
        if role == Role::Plain {
            step.release_policy_change();
        }
        role
    }

    /// Takes note that a change of a set that was noted applies now, and returns the thread that serves the set.
    pub fn take_change_of_set(&mut self, step: &mut Step, set: SetId) -> Option<ThreadId> {
        let servicer = self.sets.get_mut(set).and_then(|state| {
            state.policy_listed = false;
            state.servicer
        });
        if servicer.is_none() {
            step.release_policy_change();
        }
        servicer
    }

    /// Returns what a thread gets now from those that wait for it.
    pub fn raise_of(&self, sched: &Scheduling, thread: ThreadId) -> Raise {
        let head = |port: PortId| {
            let first = self.ports[port].queue.front();
            first.map_or(Qos::Unspecified, |message| self.messages[message].qos_override)
        };
        match sched[thread].serves() {
            Some(Receivable::Port(port)) => Raise { priority: self.highest_push(sched, port), class: head(port) },
            Some(Receivable::Set(set)) => {
                let ready = self.sets[set].ready.iter(&self.memberships).take(SERVED_MEMBERS_MAX);
                let class = ready.map(|id| head(self.memberships[id].port)).max();
                Raise { priority: 0, class: class.unwrap_or(Qos::Unspecified) }
            }
            None => Raise { priority: 0, class: Qos::Unspecified },
        }
    }
}

/// Pushes.
impl Ipc {
    fn highest_push(&self, sched: &Scheduling, port: PortId) -> u8 {
        self.ports[port].pushers.first().map_or(0, |thread| sched[thread].push_priority())
    }

    /// Returns true if a thread waits in a way in which it may push others.
    #[inline]
    pub(super) fn may_push(&self, thread: &Thread) -> bool {
        match thread.state() {
            State::Waiting(Wait::Send(_)) => true,
            State::Waiting(Wait::Receive(wait)) => match wait.object {
                Receivable::Port(port) => self.ports[port].is_special_reply(),
                Receivable::Set(_) => false,
            },
            _ => false,
        }
    }

    /// Returns the port to whose servicer a thread's wait pushes: the one in whose queue it waits for room, or the one to
    /// which its special reply port is linked, on which it waits.
    pub fn push_target(&self, thread: &Thread) -> Option<PortId> {
        let target = match thread.state() {
            State::Waiting(Wait::Send(wait)) => wait.port,
            State::Waiting(Wait::Receive(wait)) => match wait.object {
                Receivable::Port(port) => match self.ports[port].role {
                    Role::SpecialReply { owner, link: ReplyLink::Port(to) } if owner == Some(thread.id()) => to,
                    _ => return None,
                },
                Receivable::Set(_) => return None,
            },
            _ => return None,
        };
        self.live_port(target).map(|_| target)
    }

    /// Makes a thread push whom its wait says, with its base priority.
    pub fn refresh_push(&mut self, sched: &mut Scheduling, step: &mut Step, thread: ThreadId) {
        let state = &sched[thread];
        let (push, priority) = (state.push(), state.schedule().base.min(MAXPRI_USER));
        let target = self.push_target(state);
        if push.port() == target && (target.is_none() || state.push_priority() == priority) {
            if push == Push::Refused && target.is_none() {
                sched.set_push_refused(thread, false);
            }
            return;
        }
        let rank = match push {
            Push::Port { port, rank } if Some(port) == target => Some(rank),
            _ => None,
        };
        self.end_push(sched, step, thread);
        let Some(port) = target else { return };
        match rank.or_else(|| self.place_in_chain(sched, thread, port)) {
            Some(rank) => {
                let before = self.highest_push(sched, port);
                let state = &mut self.ports[port];
                state.push_height = state.push_height.max(rank + 1);
                sched.start_push(&mut state.pushers, thread, port, rank, priority);
                if priority > before {
                    self.note_push(step, port);
                }
            }
            None => sched.set_push_refused(thread, true),
        }
    }

    /// Ends the push of a thread, if it pushes anyone.
    pub fn end_push(&mut self, sched: &mut Scheduling, step: &mut Step, thread: ThreadId) {
        match sched[thread].push() {
            Push::Nobody => {}
            Push::Refused => sched.set_push_refused(thread, false),
            Push::Port { port, .. } => {
                let before = self.highest_push(sched, port);
                let state = &mut self.ports[port];
                sched.end_push(&mut state.pushers, thread);
                if state.pushers.is_empty() {
                    state.push_height = 0;
                }
                if self.highest_push(sched, port) < before {
                    self.note_push(step, port);
                }
            }
        }
    }

    fn note_push(&mut self, step: &mut Step, port: PortId) {
        if matches!(self.ports[port].role, Role::Served(_)) {
            self.list_port(step, port);
        }
    }

    /// Returns the rank that a thread has if it pushes at a port, and raises the ranks and heights behind that to fit.
    /// Returns `None`, and changes nothing, if that would close a circle or make a chain too long.
    fn place_in_chain(&mut self, sched: &mut Scheduling, thread: ThreadId, port: PortId) -> Option<u8> {
        let rank = match sched[thread].serves() {
            Some(Receivable::Port(own)) => self.ports[own].push_height,
            _ => 0,
        };
        let mut height = rank + 1;
        let mut at = port;
        // First only look: where the heights suffice already, those behind do as well.
        let raised = loop {
            if height > PUSH_CHAIN_MAX {
                return None;
            }
            let Role::Served(next) = self.ports[at].role else { break height };
            if next == thread {
                return None;
            }
            match sched[next].push() {
                Push::Port { port: onward, rank } if rank < height => (at, height) = (onward, height + 1),
                _ => break height,
            }
        };
        at = port;
        for height in rank + 1..=raised {
            let state = &mut self.ports[at];
            state.push_height = state.push_height.max(height);
            if height < raised {
                let Role::Served(next) = state.role else { panic!("the chain was longer before") };
                sched.raise_push_rank(next, height);
                at = sched[next].push().port().expect("the chain was longer before");
            }
        }
        Some(rank)
    }
}

/// Special reply ports.
impl Ipc {
    /// `thread_get_special_reply_port`: makes a special reply port with a send right for a thread, in place of the one
    /// that it has, and returns its name.
    ///
    /// # Errors
    /// Those of [`port_allocate`](Ipc::port_allocate); nothing has changed.
    pub fn special_reply_port(
        &mut self,
        sched: &mut Scheduling,
        step: &mut Step,
        space: SpaceId,
        thread: ThreadId,
    ) -> Result<PortName, KernReturn> {
        step.reserve_policy_change().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let name =
            self.port_allocate(step, space, MACH_PORT_RIGHT_RECEIVE).inspect_err(|_| step.release_policy_change())?;
        let Some(Receivable::Port(port)) = self.receivable(space, name) else { panic!("{name:?} was just made") };
        self.ports[port].become_special_reply(thread);
        let right = self.make_send(port);
        self.join_send(space, name, right);
        self.disown_special_reply(sched, thread, Some(port));
        Ok(name)
    }

    /// Takes a thread's special reply port, if it has one, from it, and gives it another one, or none.
    fn disown_special_reply(&mut self, sched: &mut Scheduling, thread: ThreadId, next: Option<PortId>) {
        if let Some(port) = sched.set_special_reply(thread, next) {
            self.ports[port].role = Role::SpecialReply { owner: None, link: ReplyLink::Severed };
        }
    }

    /// Ends what a port has to do with threads, because its receive right leaves its space.
    pub(super) fn leave_role(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) {
        match self.ports[port].role {
            Role::Plain | Role::SpecialReply { owner: None, .. } => {}
            Role::SpecialReply { owner: Some(thread), .. } => self.disown_special_reply(sched, thread, None),
            Role::Served(_) => self.unbind_servicer(sched, step, Receivable::Port(port)),
        }
    }

    /// Links a special reply port to the port to which a request has been sent, unless it is linked already or the port
    /// is the kernel's.
    pub fn link_reply(&mut self, reply: PortId, to: PortId) {
        let linkable = self.live_port(to).is_some() && !self.is_kernel_port(to);
        if let Role::SpecialReply { link: link @ ReplyLink::Any, .. } = &mut self.ports[reply].role
            && linkable
        {
            *link = ReplyLink::Port(to);
        }
    }

    /// Takes note that a send-once right has left the kernel or has ended: if it is one of a special reply port, the
    /// port's owner no longer pushes those to whom it sent its request.
    #[inline]
    pub(super) fn sever_reply_link(&mut self, step: &mut Step, port: PortId) {
        if self.ports.get(port).is_some_and(|state| state.role != Role::Plain) {
            self.set_reply_link(step, port, ReplyLink::Severed);
        }
    }

    /// Sets the link of a port, if it is a special reply port. Its owner may wait and push now.
    #[cold]
    fn set_reply_link(&mut self, step: &mut Step, port: PortId, to: ReplyLink) {
        if let Role::SpecialReply { link, .. } = &mut self.ports[port].role
            && matches!(core::mem::replace(link, to), ReplyLink::Port(_))
        {
            self.list_port(step, port);
        }
    }

    /// Returns the port to which a message has a send-once right as its reply right.
    #[inline]
    pub fn reply_port_of(&self, message: MessageId) -> Option<PortId> {
        match &self.messages[message].reply {
            Carried::Right(Right::SendOnce(right)) => Some(right.port()),
            _ => None,
        }
    }

    /// Takes note that `receiver` has taken the send-once right to the port `reply` with a request that was sent to
    /// `port`. If it serves that port, it goes on being pushed; otherwise nobody knows who makes the reply.
    #[inline]
    pub fn reply_right_taken(&mut self, step: &mut Step, reply: PortId, port: PortId, receiver: ThreadId) {
        if self.ports.get(reply).is_none_or(|state| state.role == Role::Plain) {
            return;
        }
        let served = self.servicer(Receivable::Port(port)) == Some(receiver);
        let linked = self.ports.get(reply).is_some_and(|state| match state.role {
            Role::SpecialReply { link, .. } => link == ReplyLink::Port(port),
            Role::Plain | Role::Served(_) => false,
        });
        if !(served && linked) {
            self.sever_reply_link(step, reply);
        }
    }

    /// Takes note that a receive from a port or set has ended: a special reply port can then be linked again.
    #[inline]
    pub fn receive_ended(&mut self, step: &mut Step, object: Receivable) {
        if let Receivable::Port(port) = object
            && let Some(state) = self.ports.get(port)
            && let Role::SpecialReply { owner: Some(_), .. } = state.role
        {
            self.set_reply_link(step, port, ReplyLink::Any);
        }
    }
}
