//! Handing messages to threads that wait for one, and letting blocked senders in (mach-ipc 3.8, 3.9).

use crate::ids::{MessageId, PortId, SpaceId};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::Wait;
use abi::KernReturn;
use abi::message::MsgOption;
use abi::port::{MACH_PORT_QLIMIT_KERNEL, PortName};

impl Kernel {
    /// Offers a message to the threads that wait for one: first on the port itself, then on each set in the order in which
    /// the port joined. A thread that wants to keep a message that does not fit learns of it, and the next one is asked.
    /// Returns true if a thread took the message.
    pub(crate) fn offer(&mut self, machine: &mut dyn Machine, message: MessageId, port: PortId) -> bool {
        while let Some(thread) = self.ipc.waiting_receiver(port) {
            let Wait::Receive(wait) = self.ipc.end_wait(&mut self.sched, &mut self.step, thread) else {
                panic!("{thread:?} waits in a wrong queue")
            };
            let receiver = self.sched[thread].context();
            let keep = wait.options.contains(MsgOption::RCV_LARGE) && !self.fits(message, &wait);
            let outcome = if keep {
                Outcome::undelivered(self.report_too_large(machine, receiver, &wait, message, port))
            } else {
                self.deliver(machine, receiver, &wait, message, port)
            };
            self.sched.finish(thread, outcome);
            if !keep {
                return true;
            }
        }
        false
    }

    /// Sends the kernel's messages that the step has made so far: what a send's copy-in causes is queued before the message
    /// itself (errata 4). Sending one causes no other: a receive right is all that it can carry, and the end of that is
    /// other work.
    #[inline]
    pub(crate) fn post_notifications(&mut self, machine: &mut dyn Machine) {
        while let Some(message) = self.step.next_post() {
            self.post(machine, message);
        }
    }

    /// Sends a message of the kernel's own: to a thread that waits for it, or to the end of the queue. It is on the budget
    /// of the task that is to receive it: with that used up, with the hard limit reached, or with its port dead, it vanishes
    /// with what it carries (mach-ipc 8.4).
    pub(crate) fn post(&mut self, machine: &mut dyn Machine, message: MessageId) {
        let port = self.ipc.message(message).destination.port().expect("a message to be sent has a destination");
        let room = |queued: usize| queued < MACH_PORT_QLIMIT_KERNEL as usize;
        let reachable = self.ipc.live_port(port).is_some_and(|port| room(port.queue_len()));
        if reachable && self.offer(machine, message, port) {
            return;
        }
        let budget = self.ipc.receiving_budget(port);
        let admitted = reachable && budget.is_none_or(|budget| self.ipc.charge_message(message, budget).is_ok());
        if admitted {
            self.ipc.append(&mut self.step, message, port);
        } else {
            // The send-once right has done its work: its end is not told to its port, which would only vanish too.
            self.ipc.consume_message_destination(&mut self.step, message);
            self.ipc.destroy_message(&mut self.step, message);
        }
    }

    /// Takes the first message out of a queue and lets a blocked sender in if that makes room.
    #[inline]
    pub(crate) fn dequeue(&mut self, machine: &mut dyn Machine, port: PortId) -> Option<MessageId> {
        let message = self.ipc.pop_message(port)?;
        if self.ipc.can_admit_sender(port) {
            self.admit_sender(machine, port);
        }
        self.ipc.note_if_empty(port);
        Some(message)
    }

    /// Lets the first of the blocked senders in: its message is enqueued in this step, so that no other overtakes it.
    /// Returns false if no sender is blocked.
    fn admit_sender(&mut self, machine: &mut dyn Machine, port: PortId) -> bool {
        let Some(message) = self.ipc.release_sender(&mut self.sched, &mut self.step, port) else { return false };
        if !self.offer(machine, message, port) {
            self.ipc.append(&mut self.step, message, port);
        }
        true
    }

    /// Lets blocked senders in while there is room: more than one if their messages go to threads that wait.
    fn admit_senders(&mut self, machine: &mut dyn Machine, port: PortId) {
        while self.ipc.can_admit_sender(port) {
            self.admit_sender(machine, port);
        }
    }

    /// `mach_port_set_attributes`: a higher queue limit lets as many blocked senders in as it is higher, whatever is
    /// queued, and more if there is room then.
    ///
    /// # Errors
    /// See `Ipc::port_set_attributes`.
    pub(crate) fn set_port_attributes(
        &mut self,
        machine: &mut dyn Machine,
        space: SpaceId,
        name: PortName,
        flavor: u32,
        words: &[u32],
    ) -> Result<(), KernReturn> {
        if let Some((port, more)) = self.ipc.port_set_attributes(space, name, flavor, words)? {
            for _ in 0..more {
                if !self.admit_sender(machine, port) {
                    break;
                }
            }
            self.admit_senders(machine, port);
        }
        Ok(())
    }

    /// `mach_port_insert_member`: the port's messages go to those who wait for the set at once.
    ///
    /// # Errors
    /// See `Ipc::port_insert_member`.
    pub(crate) fn insert_member(
        &mut self,
        machine: &mut dyn Machine,
        space: SpaceId,
        name: PortName,
        set: PortName,
    ) -> Result<(), KernReturn> {
        let port = self.ipc.port_insert_member(space, name, set)?;
        self.serve_waiting_receivers(machine, port);
        Ok(())
    }

    /// `mach_port_move_member`, with the same effect as [`insert_member`](Kernel::insert_member) if the port joins a set.
    ///
    /// # Errors
    /// See `Ipc::port_move_member`.
    pub(crate) fn move_member(
        &mut self,
        machine: &mut dyn Machine,
        space: SpaceId,
        name: PortName,
        after: PortName,
    ) -> Result<(), KernReturn> {
        if let Some(port) = self.ipc.port_move_member(space, name, after)? {
            self.serve_waiting_receivers(machine, port);
        }
        Ok(())
    }

    /// Hands the messages of a port to threads that wait on a set which the port has just joined.
    fn serve_waiting_receivers(&mut self, machine: &mut dyn Machine, port: PortId) {
        while self.ipc.waiting_receiver(port).is_some()
            && let Some(head) = self.ipc.pop_message(port)
        {
            self.ipc.note_if_empty(port);
            if !self.offer(machine, head, port) {
                self.ipc.put_message_back(port, head);
                return;
            }
            self.admit_senders(machine, port);
        }
    }
}
