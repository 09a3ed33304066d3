//! A port's queue: who may add to it, who gets what is added, who is let in when there is room (mach-ipc 3.8, 3.9).

use crate::ipc::message::MessageId;
use crate::ipc::port::{Home, PortId};
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use crate::thread::{Resume, ThreadId, Wait};
use abi::code::MACH_MSG_SUCCESS;
use abi::message::MsgOption;
use abi::port::MACH_PORT_QLIMIT_KERNEL;
use abi::qos::Qos;

/// Whether a message may enter a queue now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// It may.
    Accepted,
    /// There is no room.
    Full,
    /// There is no room even for those who need none.
    Overfull,
}

impl Kernel {
    /// Whether a message may enter the queue of its live destination. A send-once right needs no room, nor does a send
    /// that armed a send-possible request before (`forced`).
    #[inline]
    pub(super) fn admission(&self, message: MessageId, port: PortId, forced: bool) -> Admission {
        let port = &self.ports[port];
        if !port.is_full() {
            return Admission::Accepted;
        }
        if port.queue.len() >= MACH_PORT_QLIMIT_KERNEL as usize {
            return Admission::Overfull;
        }
        let one_shot = matches!(self.messages[message].destination, Carried::Right(Right::SendOnce(_)));
        if one_shot || forced { Admission::Accepted } else { Admission::Full }
    }

    /// Hands a message of the kernel's to a thread that waits for it, or appends it to the queue of its live port. It is
    /// on the budget of who is to receive it: with that used up it vanishes (mach-ipc 8.4).
    pub(crate) fn post_from_kernel(&mut self, m: &mut dyn Machine, message: MessageId, port: PortId) {
        if self.offer(m, message, port) {
            return;
        }
        if let Some(payer) = self.receiving_task(port)
            && self.charge_message(message, payer).is_err()
        {
            self.consume_message_destination(m, message);
            self.destroy_message(message);
            return;
        }
        self.append(message, port);
    }

    /// The task that receives from a port, or will when what the port is travelling in has arrived. A port that is
    /// nowhere counts as its maker's.
    pub(super) fn receiving_task(&self, port: PortId) -> Option<TaskId> {
        let mut at = port;
        loop {
            let port = self.ports.get(at)?;
            match port.home {
                Home::Space { task, .. } => return Some(task),
                Home::Transit(onward) => at = onward,
                Home::Limbo => return port.payer.filter(|&payer| self.tasks.contains(payer)),
                Home::Kernel(_) | Home::Dead => return None,
            }
        }
    }

    /// Offers a message to the threads that wait for one: first on the port itself, then on each set in the order in
    /// which the port joined. One that wants to keep what does not fit learns of it, and the next is asked. Tells whether
    /// somebody took it.
    pub(super) fn offer(&mut self, m: &mut dyn Machine, message: MessageId, port: PortId) -> bool {
        while let Some(receiver) = self.waiting_receiver(port) {
            let Wait::Receive(wait) = self.finish_wait(receiver) else { panic!("{receiver:?} waits in a wrong queue") };
            let keep = wait.options.contains(MsgOption::RCV_LARGE) && !self.fits(message, &wait);
            let code = if keep {
                self.report_too_large(m, receiver, &wait, message, port)
            } else {
                self.deliver(m, receiver, &wait, message, port)
            };
            self.threads[receiver].frame.set_code(code);
            if !keep {
                return true;
            }
        }
        false
    }

    /// The thread that gets the next message of a port.
    #[inline]
    fn waiting_receiver(&self, port: PortId) -> Option<ThreadId> {
        let state = &self.ports[port];
        if let Some(thread) = state.receivers.first() {
            return Some(thread);
        }
        let mut sets = state.memberships.iter(&self.memberships).map(|id| self.memberships[id].set);
        sets.find_map(|set| self.sets[set].receivers.first())
    }

    /// Puts a message at the end of a queue. Its QoS raises that of the messages before it (importance 7.3).
    pub(super) fn append(&mut self, message: MessageId, port: PortId) {
        let over = self.messages[message].over;
        let queue = &mut self.ports[port].queue;
        let mut earlier = queue.back();
        queue.push_back(&mut self.messages, message);
        while let Some(id) = earlier
            && self.messages[id].over < over
        {
            self.messages[id].over = over;
            earlier = self.ports[port].queue.before(&self.messages, id);
        }
        self.note_messages(port);
    }

    /// Raises the head of a queue alone to a QoS (importance 7.3).
    pub(super) fn raise_head(&mut self, port: PortId, over: Qos) {
        if let Some(head) = self.ports[port].queue.front() {
            let head = &mut self.messages[head];
            head.over = head.over.max(over);
        }
    }

    /// Takes the first message out of a queue and lets a blocked sender in if that makes room. The message is not on
    /// anybody's budget any more only when it is gone.
    #[inline]
    pub(super) fn dequeue(&mut self, m: &mut dyn Machine, port: PortId) -> Option<MessageId> {
        let state = &mut self.ports[port];
        let message = state.queue.pop_front(&mut self.messages)?;
        if !state.senders.is_empty() && !state.is_full() {
            self.release_sender(m, port);
        }
        if self.ports[port].queue.is_empty() {
            self.note_empty(port);
        }
        Some(message)
    }

    /// Lets the first of the blocked senders in: its message is enqueued in this step, so that nobody overtakes it.
    fn release_sender(&mut self, m: &mut dyn Machine, port: PortId) {
        let sender = self.ports[port].senders.first().expect("the caller knows that a sender waits");
        let Wait::Send(wait) = self.finish_wait(sender) else { panic!("{sender:?} waits in a wrong queue") };
        if !self.offer(m, wait.message, port) {
            self.append(wait.message, port);
        }
        let thread = &mut self.threads[sender];
        thread.frame.set_code(MACH_MSG_SUCCESS);
        thread.resume = wait.then.map(Resume::Receive);
    }

    /// Lets blocked senders in while there is room: more than one if what they send goes to threads that wait.
    fn release_senders(&mut self, m: &mut dyn Machine, port: PortId) {
        while !self.ports[port].senders.is_empty() && !self.ports[port].is_full() {
            self.release_sender(m, port);
        }
    }

    /// Gives a live port another queue limit. A higher one lets as many blocked senders in as it is higher, whatever is
    /// queued, and more if there is room then.
    pub(super) fn set_queue_limit(&mut self, m: &mut dyn Machine, port: PortId, limit: u32) {
        let state = &mut self.ports[port];
        let more = limit.saturating_sub(state.qlimit);
        state.qlimit = limit;
        for _ in 0..more {
            if self.ports[port].senders.is_empty() {
                break;
            }
            self.release_sender(m, port);
        }
        self.release_senders(m, port);
    }

    /// Hands the messages of a port to threads that wait on a set which the port has just joined.
    pub(super) fn serve_waiting_receivers(&mut self, m: &mut dyn Machine, port: PortId) {
        while let Some(head) = self.ports[port].queue.front()
            && self.waiting_receiver(port).is_some()
        {
            self.ports[port].queue.remove(&mut self.messages, head);
            if self.ports[port].queue.is_empty() {
                self.note_empty(port);
            }
            if !self.offer(m, head, port) {
                self.ports[port].queue.push_front(&mut self.messages, head);
                self.note_messages(port);
                return;
            }
            self.release_senders(m, port);
        }
    }
}
