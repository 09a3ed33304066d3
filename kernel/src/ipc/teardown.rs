//! Taking apart: dead ports, dead sets and messages are destroyed one piece at a time, as deferred work.

use super::Ipc;
use super::kernel_message::Notification;
use super::right::Carried;
use crate::ids::{MessageId, PortId, SetId};
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::step::{Progress, Step, Work};
use crate::trace::Event;
use abi::code::MACH_RCV_PORT_CHANGED;
use abi::event::kind;

impl Ipc {
    /// Destroys a message: ends its importance and lets it be taken apart with all rights in it, or removes it at once if it has none. A
    /// message that cannot be sent therefore does not take memory until the work before it is done.
    pub fn destroy_message(&mut self, step: &mut Step, message: MessageId) {
        step.trace
            .record(|| Event::message(kind::MESSAGE_DESTROYED, message, self.messages[message].destination.port()));
        self.clean_message(message);
        if self.messages[message].is_bare() {
            self.remove_message(step, message);
        } else {
            step.later(Work::Message(message));
        }
    }

    /// Takes a message apart by one right: destination, reply, voucher, descriptors from first to last (mach-ipc
    /// 6.3).
    pub fn take_apart_message(&mut self, step: &mut Step, message: MessageId) -> Progress {
        let dying = &mut self.messages[message];
        let carried = if dying.destination != Carried::Null {
            dying.destination.take()
        } else if dying.reply != Carried::Null {
            dying.reply.take()
        } else if dying.voucher.is_some() {
            dying.voucher.take().into()
        } else if let Some(descriptor) = dying.descriptors.get_mut(dying.destroyed_descriptors) {
            dying.destroyed_descriptors += 1;
            descriptor.right.take()
        } else {
            self.remove_message(step, message);
            return Progress::Done;
        };
        self.destroy_carried(step, carried);
        Progress::More
    }

    /// Takes a dead port apart by one piece: blocked senders, then messages (mach-ipc 6.4 steps 3 and 4). After the
    /// last message [`take_apart_requests`](Ipc::take_apart_requests) follows. It is noted only now, so that it comes
    /// after the messages' own work: notifications about rights in the messages precede those about the port (errata
    /// 4).
    pub fn take_apart_port(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) -> Progress {
        if let Some(thread) = self.ports[port].pushers.first() {
            self.end_push(sched, step, thread);
            return Progress::More;
        }
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

    /// Fires one request about a dead port: the no-senders request, then the dead-name and send-possible requests
    /// (mach-ipc 6.4 steps 5 and 6). Then ends its promises; after the last one, removes the port.
    pub fn take_apart_requests(&mut self, step: &mut Step, port: PortId) -> Progress {
        let dying = &mut self.ports[port];
        let count = dying.no_senders_count.take();
        if let Some(requester) = dying.no_senders.take() {
            self.notify(step, requester, count.map_or(Notification::SendOnce, Notification::NoSenders));
        } else if !self.fire_one_dead_name_request(step, port) && !self.end_some_promises(step, port) {
            self.finish_port(step, port);
            return Progress::Done;
        }
        Progress::More
    }

    /// Removes a dead port that has been taken apart. If the work list still has the piece of work for its armed
    /// requests, that removes the port.
    pub(super) fn finish_port(&mut self, step: &mut Step, port: PortId) {
        let state = &mut self.ports[port];
        if state.armed_listed {
            state.taken_apart = true;
        } else {
            self.totals.dead_ports -= 1;
            self.remove_port(step, port);
        }
    }

    /// Fires one armed request of a port from which a message was received. If the port has died meanwhile, the
    /// requests are left to [`take_apart_requests`](Ipc::take_apart_requests).
    pub fn fire_armed_piece(&mut self, step: &mut Step, port: PortId) -> Progress {
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

    /// Takes a dead set apart by one piece: threads that wait on it, then its members.
    pub fn take_apart_set(&mut self, sched: &mut Scheduling, step: &mut Step, set: SetId) -> Progress {
        let dying = &mut self.sets[set];
        if let Some(receiver) = dying.receivers.first() {
            sched.end_wait(step, receiver, Some(&mut dying.receivers));
            sched.finish(receiver, Outcome::undelivered(MACH_RCV_PORT_CHANGED));
        } else if let Some(membership) = dying.members.front() {
            self.end_membership(step, membership);
        } else {
            self.remove_set(step, set);
            return Progress::Done;
        }
        Progress::More
    }
}
