//! Handing messages to threads that wait for one, and admitting blocked senders (mach-ipc 3.8, 3.9).

use crate::ids::{MessageId, PortId, SpaceId};
use crate::ipc::message::Message;
use crate::kernel::Kernel;
use crate::limits::SETS_SERVED_PER_PIECE;
use crate::machine::Machine;
use crate::msg::receive::NANOS_PER_MILLI;
use crate::outcome::Outcome;
use crate::sched::thread::{Continuation, ReceiveArgs, ReceiveWait, Wait};
use crate::step::Progress;
use abi::KernReturn;
use abi::message::MsgOption;
use abi::port::{MACH_PORT_QLIMIT_KERNEL, PortName};

/// How much is handed over in the step in which a port joins a set: so many small messages, or fewer large ones.
const HANDED_OVER_MAX: usize = 32;
/// Bytes of a message that take as long as a small message.
const BYTES_PER_UNIT: usize = 8192;
/// Its descriptors that do.
const DESCRIPTORS_PER_UNIT: usize = 2;

impl Kernel {
    /// Delivers a message to a thread that waits for one: on the port itself, or else on one of its sets, in the order
    /// in which the port joined them. A thread with `MACH_RCV_LARGE` whose buffer is too small gets a report instead,
    /// and the next thread is tried. Returns true if a thread took the message.
    ///
    /// All threads that wait are of one task. When that has ended and they are still to be ended, none takes the message:
    /// the port may be saved from death with its queue (mach-ipc 6.6).
    pub(crate) fn offer(&mut self, machine: &mut dyn Machine, message: MessageId, port: PortId) -> bool {
        let (mut next, mut reached) = (self.ipc.waiting_receiver(port), None);
        while let Some(thread) = next.filter(|&thread| !self.sched[thread].is_ending()) {
            let Some(&Wait::Receive(wait)) = self.sched[thread].wait() else {
                panic!("{thread:?} is among receivers but does not receive")
            };
            self.ipc.end_wait(&mut self.sched, &mut self.step, thread);
            let receiver = self.sched[thread].context();
            let keep = wait.options.contains(MsgOption::RCV_LARGE) && !self.fits(message, &wait);
            let outcome = if keep {
                Outcome::undelivered(self.report_too_large(machine, receiver, &wait, message, port))
            } else {
                self.deliver(machine, receiver, &wait, message, port)
            };
            self.ipc.receive_ended(&mut self.step, wait.object);
            self.sched.finish(thread, outcome);
            if !keep {
                self.sched.hand_on(thread);
                return true;
            }
            next = self.ipc.next_receiver(port, &mut reached);
        }
        false
    }

    /// Does the urgent work of this step so far: sends the messages that the kernel has made, and releases vouchers that
    /// have lost their last send right. A send calls this after its copy-in, so that notifications that the copy-in
    /// caused are queued before the message (errata 4). Such work does not cause more of its kind: the only right that a
    /// message of the kernel's can carry is a receive right, whose end is work of another kind, and a voucher holds no
    /// rights.
    #[inline]
    pub(crate) fn post_notifications(&mut self, machine: &mut dyn Machine) {
        while let Some(work) = self.step.next_urgent() {
            let progress = self.do_work(machine, work);
            assert!(progress == Progress::Done, "{work:?} is done in one piece");
        }
    }

    /// Sends a message that the kernel has made: to a thread that waits for one, or to the end of the queue. It is on a
    /// budget already. If the hard limit is reached or the port dead, the message and its rights are destroyed (mach-ipc
    /// 8.4).
    pub(crate) fn post(&mut self, machine: &mut dyn Machine, message: MessageId) {
        let port = self.ipc.message(message).destination.port().expect("the message has a destination");
        let room = |queued: usize| queued < MACH_PORT_QLIMIT_KERNEL as usize;
        let live = self.ipc.live_port(port);
        self.step.spend(live.map_or(0, |port| port.set_count() / SETS_SERVED_PER_PIECE) as u32);
        let reachable = live.is_some_and(|port| room(port.queue_len()));
        if reachable && self.offer(machine, message, port) {
            return;
        }
        if reachable {
            self.ipc.append(&mut self.step, message, port);
        } else {
            // Ending the send-once right unused would make a send-once notification, which could not be sent either.
            self.ipc.consume_message_destination(&mut self.step, message);
            self.ipc.destroy_message(&mut self.step, message);
        }
    }

    /// Takes the first message out of a queue, and admits a blocked sender if there is room then.
    #[inline]
    pub(crate) fn dequeue(&mut self, machine: &mut dyn Machine, port: PortId) -> Option<MessageId> {
        let message = self.ipc.pop_message(port)?;
        if self.ipc.can_admit_sender(port) {
            self.admit_sender(machine, port);
        }
        self.ipc.note_if_empty(port);
        self.ipc.note_servicers(&mut self.step, port);
        Some(message)
    }

    /// Admits the first blocked sender of a port: its message is delivered or queued in this step, so that no other
    /// message overtakes it.
    fn admit_sender(&mut self, machine: &mut dyn Machine, port: PortId) {
        let Some(message) = self.ipc.release_sender(&mut self.sched, &mut self.step, port) else { return };
        if !self.offer(machine, message, port) {
            self.ipc.append(&mut self.step, message, port);
        }
    }

    /// Admits the first blocked sender of a port whose queue limit is to get higher (mach-ipc 2.7). If its message is queued,
    /// the limit gets higher by one; a message that is delivered to a thread takes no room.
    pub(crate) fn admit_by_raise(&mut self, machine: &mut dyn Machine, port: PortId) {
        let Kernel { ipc, sched, step, .. } = self;
        let message = ipc.release_sender(sched, step, port).expect("a sender is blocked");
        let spent = effort_of(ipc.message(message));
        if self.offer(machine, message, port) {
            self.step.spend(spent as u32);
        } else {
            self.ipc.append(&mut self.step, message, port);
            self.ipc.raise_queue_limit(port);
        }
    }

    /// Queues the message of the first blocked sender of a port, behind those that are there, if there is room.
    fn queue_sender(&mut self, port: PortId) {
        let Kernel { ipc, sched, step, .. } = self;
        if ipc.can_admit_sender(port)
            && let Some(message) = ipc.release_sender(sched, step, port)
        {
            ipc.append(step, message, port);
        }
    }

    /// `mach_port_insert_member`. Hands the port's messages to threads that wait on the set.
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
        let port = self.ipc.port_insert_member(&mut self.step, space, name, set)?;
        self.serve_waiting_receivers(machine, port, set);
        Ok(())
    }

    /// `mach_port_move_member`. If the port joins a set, hands its messages to threads that wait on the set.
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
        if let Some(port) = self.ipc.port_move_member(&mut self.step, space, name, after)? {
            self.serve_waiting_receivers(machine, port, after);
        }
        Ok(())
    }

    /// Hands the messages of a port to threads that wait for one, after the port has joined the set with this name. When
    /// that takes too long, the other threads take messages themselves.
    fn serve_waiting_receivers(&mut self, machine: &mut dyn Machine, port: PortId, set: PortName) {
        let mut spent = 0;
        while self.ipc.waiting_receiver(port).is_some()
            && let Some(head) = self.ipc.port(port).first_message()
        {
            if spent >= HANDED_OVER_MAX {
                return self.let_receive_themselves(machine, port, set);
            }
            spent += effort_of(self.ipc.message(head));
            let head = self.ipc.pop_message(port).expect("the queue has a message");
            self.ipc.note_if_empty(port);
            self.ipc.note_servicers(&mut self.step, port);
            if !self.offer(machine, head, port) {
                self.ipc.put_message_back(port, head);
                return;
            }
            self.queue_sender(port);
        }
    }

    /// Ends the waits of all threads that wait on a set, and lets each look for a message once more when it runs: a member
    /// has messages. Nobody waits then, so no message is overtaken by a later one or left behind.
    #[cold]
    fn let_receive_themselves(&mut self, machine: &mut dyn Machine, member: PortId, set: PortName) {
        let now = machine.now();
        let mut reached = None;
        while let Some(thread) = self.ipc.next_receiver(member, &mut reached) {
            let waiting = &self.sched[thread];
            let Some(&Wait::Receive(ReceiveWait { buffer, size, options, .. })) = waiting.wait() else {
                panic!("{thread:?} is among receivers but does not receive")
            };
            let left = self.sched.deadline_of(waiting).saturating_sub(now).div_ceil(NANOS_PER_MILLI);
            let timeout = u32::try_from(left).unwrap_or(u32::MAX);
            self.ipc.end_wait(&mut self.sched, &mut self.step, thread);
            let again = ReceiveArgs { name: set, buffer, size, options, timeout };
            self.sched.set_continuation(thread, Continuation::receive(Some(again)));
        }
    }
}

/// Returns how many small messages take as long as this one when it is handed over.
fn effort_of(message: &Message) -> usize {
    1 + message.size / BYTES_PER_UNIT + message.descriptors.len() / DESCRIPTORS_PER_UNIT
}
