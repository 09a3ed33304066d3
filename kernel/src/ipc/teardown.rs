//! Dead ports, dead sets and superfluous messages, taken apart one piece at a time.

use super::Ipc;
use super::kernel_message::Notification;
use super::right::Carried;
use crate::ids::{MessageId, PortId, SetId};
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::step::{Progress, Step, Work};
use crate::trace::Event;
use abi::code::MACH_RCV_PORT_CHANGED;

impl Ipc {
    /// Destroys a message: notes that the rights in it are to be destroyed, or forgets it at once if there are none. So the
    /// messages that long destruction tries to send in vain do not pile up behind it.
    pub fn destroy_message(&mut self, step: &mut Step, message: MessageId) {
        step.trace.record(Event::Destroyed(message));
        if self.messages[message].is_bare() {
            self.remove_message(step, message);
        } else {
            step.later(Work::Message(message));
        }
    }

    /// Takes a message apart by one right: destination, reply, descriptors from first to last (mach-ipc 6.3).
    pub fn reap_message(&mut self, step: &mut Step, message: MessageId) -> Progress {
        let dying = &mut self.messages[message];
        let carried = if dying.destination != Carried::Null {
            dying.destination.take()
        } else if dying.reply != Carried::Null {
            dying.reply.take()
        } else if let Some(descriptor) = dying.descriptors.get_mut(dying.reaped_descriptors) {
            dying.reaped_descriptors += 1;
            descriptor.right.take()
        } else {
            self.remove_message(step, message);
            return Progress::Done;
        };
        self.destroy_carried(step, carried);
        Progress::More
    }

    /// Takes a dead port apart by one piece: blocked senders, then messages (mach-ipc 6.4 steps 3 and 4). The requests come
    /// when the messages are gone: who asked about the port hears of it last.
    pub fn reap_port(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) -> Progress {
        let released = self.release_sender(sched, step, port);
        let message = released.or_else(|| self.ports[port].queue.pop_front(&mut self.messages));
        match message {
            Some(message) => {
                self.destroy_message(step, message);
                Progress::More
            }
            None => {
                step.later(Work::Requests(port));
                Progress::Done
            }
        }
    }

    /// Fires one request about a dead port: no-senders, then those by name (mach-ipc 6.4 steps 5 and 6). After the last
    /// one the port is forgotten.
    pub fn reap_requests(&mut self, step: &mut Step, port: PortId) -> Progress {
        let dying = &mut self.ports[port];
        let count = dying.no_senders_count.take();
        if let Some(requester) = dying.no_senders.take() {
            self.notify(step, requester, count.map_or(Notification::SendOnce, Notification::NoSenders));
        } else if !self.fire_one_dead_name_request(step, port) {
            self.finish_port(step, port);
            return Progress::Done;
        }
        Progress::More
    }

    /// Forgets a dead port of which nothing is left, unless it is still on the work list for its armed requests: the piece
    /// of work that comes last forgets it.
    pub(super) fn finish_port(&mut self, step: &mut Step, port: PortId) {
        let state = &mut self.ports[port];
        if state.armed_listed {
            state.taken_apart = true;
        } else {
            self.totals.dead_ports -= 1;
            self.remove_port(step, port);
        }
    }

    /// Fires one of the armed requests of a port that a message was received from, unless it died since.
    pub fn reap_armed(&mut self, step: &mut Step, port: PortId) -> Progress {
        let alive = self.ports[port].is_alive();
        if alive && self.fire_one_armed_request(step, port) {
            return Progress::More;
        }
        self.ports[port].armed_listed = false;
        if self.ports[port].taken_apart {
            self.finish_port(step, port);
        }
        Progress::Done
    }

    /// Takes a dead set apart by one piece: those who wait on it, then its members.
    pub fn reap_set(&mut self, sched: &mut Scheduling, step: &mut Step, set: SetId) -> Progress {
        let dying = &mut self.sets[set];
        if let Some(receiver) = dying.receivers.first() {
            sched.end_wait(step, receiver, Some(&mut dying.receivers));
            sched.finish(receiver, Outcome::undelivered(MACH_RCV_PORT_CHANGED));
        } else if let Some(membership) = dying.members.front() {
            self.end_membership(membership);
        } else {
            self.remove_set(step, set);
            return Progress::Done;
        }
        Progress::More
    }
}
