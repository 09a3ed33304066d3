//! How receive rights travel and how ports die (mach-ipc 6).

use crate::ipc::message::MessageId;
use crate::ipc::notify::Notification;
use crate::ipc::port::{Home, PortId};
use crate::ipc::right::{Carried, ReceiveRight, SendOnceRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::reap::{Item, Progress};
use crate::thread::{Resume, Wait};
use abi::code::MACH_MSG_SUCCESS;

impl Kernel {
    /// A receive right in limbo becomes part of a message for `destination`. Tells whether it could: not if the message
    /// would travel inside the port itself, directly or through other ports (mach-ipc 6.2).
    pub(crate) fn begin_transit(&mut self, right: &ReceiveRight, destination: PortId) -> bool {
        let mut next = Some(destination);
        while let Some(port) = next {
            if port == right.port() {
                return false;
            }
            next = match self.ports.get(port).map(|port| port.home) {
                Some(Home::Transit(onward)) => Some(onward),
                _ => None,
            };
        }
        let state = &mut self.ports[right.port()];
        state.home = Home::Transit(destination);
        state.temp_owner = false;
        true
    }

    /// Ends a receive right: the port dies, unless somebody asked to get it instead (mach-ipc 6.4, 6.5).
    pub(crate) fn destroy_receive(&mut self, m: &mut dyn Machine, right: ReceiveRight) {
        let port = right.port();
        self.uproot(port);
        match self.ports[port].port_destroyed.take() {
            Some(requester) => self.notify(m, requester, Notification::PortDestroyed(right)),
            None => self.destroy_port(port),
        }
    }

    /// A port dies. From now on every name for it is a dead name; what it holds is taken apart piece by piece.
    pub(crate) fn destroy_port(&mut self, port: PortId) {
        let state = &mut self.ports[port];
        assert!(state.is_alive(), "{port:?} dies twice");
        state.home = Home::Dead;
        self.totals.send_rights -= u64::from(state.send_rights);
        self.totals.send_once_rights -= u64::from(state.send_once_rights);
        self.totals.dead_ports += 1;
        self.reap_later(Item::Port(port));
    }

    /// Tells that the last send right of a port ended just before its receive right: at once if the port lives on,
    /// otherwise when its messages and names have been told of (errata 2).
    pub(crate) fn notify_no_senders_after_death(
        &mut self,
        m: &mut dyn Machine,
        port: PortId,
        to: SendOnceRight,
        make_send_count: u32,
    ) {
        match self.ports.get_mut(port) {
            Some(dead) if !dead.is_alive() => {
                dead.no_senders = Some(to);
                dead.make_send_count = make_send_count;
                dead.senders_ended_first = true;
            }
            _ => self.notify_no_senders(m, to, make_send_count),
        }
    }

    /// Takes a dead port apart by one piece: blocked senders, messages, requests (mach-ipc 6.4 steps 3 to 6). The
    /// messages are destroyed before the requests are looked at, so that their notifications come first.
    pub(crate) fn reap_port(&mut self, m: &mut dyn Machine, port: PortId) -> Progress {
        let state = &mut self.ports[port];
        if let Some(sender) = state.senders.first() {
            let Wait::Send(wait) = self.finish_wait(sender) else { panic!("{sender:?} waits in a wrong queue") };
            let thread = &mut self.threads[sender];
            thread.frame.set_code(MACH_MSG_SUCCESS);
            thread.resume = wait.then.map(Resume::Receive);
            self.ports[port].messages_died = true;
            self.destroy_message(wait.message);
        } else if let Some(message) = state.queue.pop_front(&mut self.messages) {
            state.messages_died = true;
            self.destroy_message(message);
        } else if core::mem::take(&mut state.messages_died) {
            return Progress::Later;
        } else if state.no_senders.is_some() || state.requests.count() > 0 {
            self.tell_of_death(m, port);
        } else {
            self.finish_port(port);
            return Progress::Done;
        }
        Progress::More
    }

    /// Tells one of those who asked to hear of a port's death, or of what ended with the port (mach-ipc 6.4 steps 5 and
    /// 6). The name that had the receive right is last.
    fn tell_of_death(&mut self, m: &mut dyn Machine, port: PortId) {
        let state = &mut self.ports[port];
        if let Some(requester) = state.no_senders.take_if(|_| !state.senders_ended_first) {
            return self.notify(m, requester, Notification::SendOnce);
        }
        if self.fire_one_dead_name_request(m, port) {
            return;
        }
        let state = &mut self.ports[port];
        match state.no_senders.take() {
            Some(requester) => {
                let count = state.make_send_count;
                self.notify_no_senders(m, requester, count);
            }
            None => self.fire_deleted_name_request(m, port),
        }
    }

    /// Nothing of a dead port is left, but it may still be listed for its armed requests: who comes last removes it.
    fn finish_port(&mut self, port: PortId) {
        let state = &mut self.ports[port];
        if state.armed_listed {
            state.taken_apart = true;
        } else {
            self.totals.dead_ports -= 1;
            self.remove_port(port);
        }
    }

    /// Fires one of the armed requests of a port that a message was received from, unless it died since.
    pub(crate) fn reap_armed(&mut self, m: &mut dyn Machine, port: PortId) -> Progress {
        let alive = self.ports[port].is_alive();
        if alive && self.fire_one_armed_request(m, port) {
            return Progress::More;
        }
        self.ports[port].armed_listed = false;
        if self.ports[port].taken_apart {
            self.finish_port(port);
        }
        Progress::Done
    }

    /// A message and all rights in it will be destroyed, before the thread that caused it goes on.
    pub(crate) fn destroy_message(&mut self, message: MessageId) {
        self.reap_later(Item::Message(message));
    }

    /// Takes a message apart by one right: destination, reply, descriptors from first to last (mach-ipc 6.3).
    pub(crate) fn reap_message(&mut self, m: &mut dyn Machine, message: MessageId) -> Progress {
        let doomed = &mut self.messages[message];
        let carried = if doomed.destination != Carried::Null {
            doomed.destination.take()
        } else if doomed.reply != Carried::Null {
            doomed.reply.take()
        } else if let Some(descriptor) = doomed.descriptors.get_mut(doomed.reaped_descriptors) {
            doomed.reaped_descriptors += 1;
            descriptor.right.take()
        } else {
            self.remove_message(message);
            return Progress::Done;
        };
        self.destroy_carried(m, carried);
        Progress::More
    }
}
