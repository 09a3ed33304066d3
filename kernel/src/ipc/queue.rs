//! A port's queue: the admission of messages, and the threads that wait to send and to receive (mach-ipc 3.8, 3.9).

use super::Ipc;
use super::entry::EntryRight;
use super::port::Home;
use super::right::{Carried, Right};
use crate::ids::{KernelObject, MembershipId, MessageId, PortId, Receivable, SpaceId, ThreadId};
use crate::limits::{QOS_WALK_LEAST, QOS_WALK_MAX, RAISED_PER_PIECE};
use crate::machine::Nanos;
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::sched::thread::{Continuation, SendWait, Wait, WaitPlace};
use crate::sched::wait_queue::WaitQueue;
use crate::step::Step;
use crate::trace::Event;
use abi::port::{MACH_PORT_QLIMIT_KERNEL, PortName};
use abi::qos::Qos;
use core::num::NonZeroU32;

/// The answer of a queue to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The message may enter.
    Accepted,
    /// The queue is full: the sender blocks.
    Full,
    /// 65,534 messages are queued: even messages to send-once rights and forced sends are refused.
    HardLimit,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// To a port.
    Port(PortId),
    /// To a port of the kernel's own: it is a call of this object.
    Kernel(PortId, KernelObject),
    /// It is destroyed.
    Nowhere,
}

/// What the receiver of a message learns of the port that it was sent to.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The message's number at the port.
    pub seqno: u32,
    /// The port's context.
    pub context: u64,
    /// The receiver's name of the port.
    pub local: PortName,
}

impl Ipc {
    /// Returns the answer of the queue of a live port to a message. The port's limit does not count for a message to a
    /// send-once right, nor for one that is `forced`: its name had a send-possible request when the queue had room.
    #[inline]
    pub fn admission(&self, message: MessageId, port: PortId, forced: bool) -> Admission {
        let port = &self.ports[port];
        if !port.is_full() {
            return Admission::Accepted;
        }
        if port.queue.len() >= MACH_PORT_QLIMIT_KERNEL as usize {
            return Admission::HardLimit;
        }
        let one_shot = matches!(self.messages[message].destination, Carried::Right(Right::SendOnce(_)));
        if one_shot || forced { Admission::Accepted } else { Admission::Full }
    }

    /// Returns the object that a thread receives from by a name, if the name denotes a receive right or a set.
    #[inline]
    pub fn receivable(&self, space: SpaceId, name: PortName) -> Option<Receivable> {
        match self.spaces[space].get(name)?.right {
            EntryRight::Receive { port, .. } => Some(Receivable::Port(port)),
            EntryRight::PortSet { set } => Some(Receivable::Set(set)),
            _ => None,
        }
    }

    /// Returns the queue of a port or set in which a thread waits.
    #[inline]
    pub fn wait_queue(&mut self, place: WaitPlace) -> Option<&mut WaitQueue> {
        match place {
            WaitPlace::Receivers(Receivable::Port(port)) => Some(&mut self.ports[port].receivers),
            WaitPlace::Receivers(Receivable::Set(set)) => Some(&mut self.sets[set].receivers),
            WaitPlace::Senders(port) => Some(&mut self.ports[port].senders),
            WaitPlace::Word(..) | WaitPlace::Input | WaitPlace::Output | WaitPlace::Nowhere => None,
        }
    }

    /// Lets a running thread wait for a message, for room in a queue or for a point in time, until `deadline` at most.
    #[inline]
    pub fn block(&mut self, sched: &mut Scheduling, step: &mut Step, thread: ThreadId, wait: Wait, deadline: Nanos) {
        let queue = match &wait {
            Wait::Receive(receive) => self.wait_queue(WaitPlace::Receivers(receive.object)),
            Wait::Send(send) => self.wait_queue(WaitPlace::Senders(send.port)),
            Wait::Clock | Wait::Word(_) | Wait::Input { .. } | Wait::Output { .. } => None,
        };
        sched.block(step, thread, wait, queue, deadline);
        if self.may_push(&sched[thread]) {
            sched.push_changed(step, thread);
        }
    }

    /// Ends the wait of a waiting thread. The caller takes what it needs of the record of the wait before, and
    /// then writes the outcome of the thread's trap.
    #[inline]
    pub fn end_wait(&mut self, sched: &mut Scheduling, step: &mut Step, thread: ThreadId) {
        let queue = self.wait_queue(sched[thread].wait_place());
        sched.end_wait(step, thread, queue);
    }

    /// Returns the thread that gets the next message of a port: one that waits on the port itself, or else on one of
    /// its sets, in the order in which the port joined them.
    #[inline]
    pub fn waiting_receiver(&self, port: PortId) -> Option<ThreadId> {
        let state = &self.ports[port];
        if let Some(thread) = state.receivers.first() {
            return Some(thread);
        }
        let mut sets = state.memberships.iter(&self.memberships).map(|id| self.memberships[id].set);
        sets.find_map(|set| self.sets[set].receivers.first())
    }

    /// Returns the same thread, when others that came before it wait no more and none has begun to wait. `reached` is the
    /// membership at which the search has arrived, none at first: the sets before it are not looked at again.
    #[inline(never)]
    pub fn next_receiver(&self, port: PortId, reached: &mut Option<MembershipId>) -> Option<ThreadId> {
        let state = &self.ports[port];
        if let Some(thread) = state.receivers.first() {
            return Some(thread);
        }
        let mut next = reached.or(state.memberships.front());
        while let Some(id) = next {
            if let Some(thread) = self.sets[self.memberships[id].set].receivers.first() {
                *reached = next;
                return Some(thread);
            }
            next = state.memberships.after(&self.memberships, id);
        }
        None
    }

    /// Appends a message to a queue. Its QoS raises that of the messages before it (importance 7.3).
    pub fn append(&mut self, step: &mut Step, message: MessageId, port: PortId) {
        let qos_override = self.messages[message].qos_override;
        let Ipc { ports, messages, .. } = self;
        let state = &mut ports[port];
        let queue = &state.queue;
        step.trace.record(move || Event::queued(message, port, queue.len() + 1));
        let last = state.queue.back();
        state.queue.push_back(messages, message);
        if let Some(last) = last
            && self.messages[last].qos_override < qos_override
        {
            self.raise_from(step, port, last, qos_override);
        }
        if !self.ports[port].memberships.is_empty() {
            self.note_messages(port);
        }
        self.note_servicers(step, port);
    }

    /// Raises the QoS of messages in a queue from `last` to the front, until one is as high: of the nearest, fewer if this
    /// part of the step has done much already, and of the first, whose QoS is that of the queue.
    #[cold]
    fn raise_from(&mut self, step: &mut Step, port: PortId, last: MessageId, qos_override: Qos) {
        let Ipc { ports, messages, .. } = self;
        let queue = &ports[port].queue;
        let most = if step.effort.is_much() { QOS_WALK_LEAST } else { QOS_WALK_MAX };
        let (mut earlier, mut raised) = (Some(last), 0);
        while let Some(id) = earlier
            && messages[id].qos_override < qos_override
        {
            messages[id].qos_override = qos_override;
            earlier = queue.before(messages, id);
            raised += 1;
            if raised == most {
                earlier = queue.front();
            }
        }
        step.spend(raised as u32 / RAISED_PER_PIECE);
    }

    /// Raises the QoS of the first message in a queue, and of no other (importance 7.3).
    pub fn raise_head(&mut self, step: &mut Step, port: PortId, qos: Qos) {
        self.note_servicers(step, port);
        if let Some(head) = self.ports[port].queue.front() {
            let head = &mut self.messages[head];
            head.qos_override = head.qos_override.max(qos);
        }
    }

    /// Takes the first message out of a queue. It stays on its budget until it is removed. The caller may append
    /// messages and then calls [`note_if_empty`](Ipc::note_if_empty).
    #[inline]
    pub fn pop_message(&mut self, port: PortId) -> Option<MessageId> {
        self.ports[port].queue.pop_front(&mut self.messages)
    }

    /// Takes a port off the ready lists of its sets, if it has no message left.
    #[inline]
    pub fn note_if_empty(&mut self, port: PortId) {
        let state = &self.ports[port];
        if !state.memberships.is_empty() && state.queue.is_empty() {
            self.note_empty(port);
        }
    }

    /// Puts a message that was [taken out](Ipc::pop_message) back at the front.
    pub fn put_message_back(&mut self, port: PortId, message: MessageId) {
        self.ports[port].queue.push_front(&mut self.messages, message);
        self.note_messages(port);
    }

    /// Returns true if a sender is blocked on a port and the queue has room.
    #[inline]
    pub fn can_admit_sender(&self, port: PortId) -> bool {
        let port = &self.ports[port];
        !port.senders.is_empty() && !port.is_full()
    }

    /// Ends the wait of the first blocked sender of a port, if there is one, as a successful send: its receive phase
    /// follows. Returns its message, which the caller delivers, queues or destroys.
    pub fn release_sender(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) -> Option<MessageId> {
        let senders = &mut self.ports[port].senders;
        let sender = senders.first()?;
        let Some(&Wait::Send(SendWait { message, then, .. })) = sched[sender].wait() else {
            panic!("{sender:?} is among senders but does not send")
        };
        sched.end_wait(step, sender, Some(senders));
        sched.finish(sender, Outcome::SENT);
        sched.set_continuation(sender, Continuation::receive(then));
        Some(message)
    }

    /// Sets the queue limit of a live port. If it gets higher while senders are blocked, it is raised by work, by one for
    /// each sender that is admitted.
    pub fn set_queue_limit(&mut self, step: &mut Step, port: PortId, limit: u32) {
        let state = &mut self.ports[port];
        if state.senders.is_empty() || limit <= state.qlimit {
            state.raise = 0;
            state.set_queue_limit(limit, self.limits.strict_reply);
        } else {
            state.raise = limit - state.qlimit;
            self.note_armed(step, port);
        }
    }

    /// Goes on with the queue limit of a live port that is to get higher. Returns true if a sender is blocked, who is to be
    /// admitted first. Without a blocked sender the limit gets as high as it is to.
    pub fn raise_or_admit(&mut self, port: PortId) -> bool {
        let strict = self.limits.strict_reply;
        let Some(state) = self.live_port_mut(port).filter(|state| state.raise > 0) else { return false };
        let blocked = !state.senders.is_empty();
        if !blocked {
            let limit = state.queue_limit();
            state.raise = 0;
            state.set_queue_limit(limit, strict);
        }
        blocked
    }

    /// Raises the queue limit of a port that [is to get higher](Ipc::raise_or_admit) by one.
    pub fn raise_queue_limit(&mut self, port: PortId) {
        let strict = self.limits.strict_reply;
        let state = &mut self.ports[port];
        state.raise -= 1;
        state.set_queue_limit(state.qlimit + 1, strict);
    }

    /// Records on a reply port the persona that the next reply must have, or removes the record (vouchers 7.7). A dead
    /// port has none.
    pub fn set_reply_persona(&mut self, port: PortId, persona: Option<NonZeroU32>) {
        if let Some(port) = self.live_port_mut(port) {
            port.reply_persona = persona;
        }
    }

    /// Removes the record of a port, and returns it.
    pub fn take_reply_persona(&mut self, port: PortId) -> Option<NonZeroU32> {
        self.live_port_mut(port)?.reply_persona.take()
    }

    /// Returns the sequence number for a message that is received from a port, and advances it.
    pub fn next_seqno(&mut self, port: PortId) -> u32 {
        self.ports[port].next_seqno()
    }

    /// Takes note of the arrival of a port's message in `space`, and returns what the receiver learns of the port. With
    /// `room` for the message, the armed requests of the port fire.
    #[inline(always)]
    pub fn arrival(&mut self, step: &mut Step, port: PortId, space: SpaceId, room: bool) -> Arrival {
        let state = &mut self.ports[port];
        let arrival = Arrival { seqno: state.next_seqno(), context: state.context, local: state.name_in(space) };
        if room {
            let (armed, boosted) = (state.requests.any_armed(), state.boosts.holds_send_possible());
            if boosted {
                self.end_send_possible_boost(port);
            }
            if armed {
                self.fire_armed_requests(step, port);
            }
        }
        arrival
    }

    /// Returns where a message that has been copied in goes. A message whose port is dead, or that would travel inside
    /// itself, goes nowhere.
    #[inline]
    pub fn route(&self, message: MessageId) -> Route {
        let sent = &self.messages[message];
        let Some(port) = sent.destination.port().filter(|_| !sent.circular) else { return Route::Nowhere };
        match self.ports.get(port).map(|state| state.home) {
            None | Some(Home::Dead) => Route::Nowhere,
            Some(Home::Kernel(object)) => Route::Kernel(port, object),
            Some(Home::Space { .. } | Home::Limbo | Home::Transit(_)) => Route::Port(port),
        }
    }
}
