//! The send phase of `mach_msg`: fetch, copy in, deliver or queue (mach-ipc 3.6 to 3.8, 3.11).

use crate::ids::{Context, MessageId, PortId};
use crate::ipc::queue::{Admission, Route};
use crate::kernel::Kernel;
use crate::machine::{Machine, Nanos};
use crate::msg::receive::deadline_after;
use crate::msg::voucher::send_mode;
use crate::outcome::Outcome;
use crate::policy::class_for_priority;
use crate::sched::thread::{ReceiveArgs, SendArgs, SendWait, Wait};
use crate::trace::Event;
use abi::KernReturn;
use abi::code::*;
use abi::event::kind;
use abi::message::*;
use abi::port::Disposition;
use abi::qos::{MessagePriority, Priority};
use zerocopy::FromBytes;

/// The options that give a message QoS.
const QOS: MsgOption =
    MsgOption::SEND_OVERRIDE.union(MsgOption::SEND_PROPAGATE_QOS).union(MsgOption::SEND_SYNC_OVERRIDE);

/// A message that has been copied in, on its way to its port.
struct Sending<'a> {
    port: PortId,
    message: MessageId,
    args: &'a SendArgs,
    then: Option<&'a ReceiveArgs>,
    /// The queue's limit does not count.
    forced: bool,
    is_kernel_reply: bool,
}

impl Sending<'_> {
    /// Returns the record of a send that waits.
    fn wait(&self) -> SendWait {
        let Sending { port, message, args, then, is_kernel_reply, .. } = *self;
        SendWait { port, message, args: *args, is_kernel_reply, then: then.copied() }
    }
}

impl Kernel {
    /// Sends a message for the running thread `caller`. If the thread blocks, `then` is the receive phase that will
    /// follow the send; otherwise the caller of this function goes on with it.
    #[inline]
    pub(crate) fn send(
        &mut self,
        machine: &mut dyn Machine,
        caller: Context,
        args: &SendArgs,
        then: Option<&ReceiveArgs>,
    ) -> Outcome {
        let message = match self.fetch(machine, caller, args) {
            Ok(message) => message,
            Err(code) => return Outcome::undelivered(code),
        };
        let header = self.ipc.message(message).header();
        let Kernel { ipc, sched, step, .. } = self;
        if let Err(code) = ipc.copy_in_header(sched, step, caller.space, message, &header) {
            ipc.remove_message(step, message);
            return Outcome::undelivered(code);
        }
        let forced =
            args.options.contains(MsgOption::SEND_NOTIFY) && self.arm_send_possible(caller, &header, message, args);
        let declares_voucher = header.voucher() != Disposition::NONE;
        let reply = self.ipc.reply_port_of(message);
        let synchronous = reply.is_some() && reply == self.sched[caller.thread].special_reply();
        if synchronous || declares_voucher || args.options.intersects(QOS) {
            self.assign_qos(caller, message, args, synchronous);
        }
        if let (true, Some(reply), Some(to)) = (synchronous, reply, self.ipc.message(message).destination.port()) {
            self.ipc.link_reply(reply, to);
        }
        let Kernel { ipc, sched, step, .. } = self;
        if header.flags().contains(HeaderFlags::COMPLEX)
            && let Err(code) = ipc.copy_in_body(sched, step, caller.space, message)
        {
            ipc.destroy_message(step, message);
            return Outcome::undelivered(code);
        }
        // Notifications that the copy-in caused are queued before the message.
        self.post_notifications(machine);
        if declares_voucher && !self.ipc.message(message).circular {
            self.preprocess_voucher(caller, message);
        }
        if self.limits.strict_reply
            && let Some(refused) = self.refuse_reply(machine, caller, message, args)
        {
            return refused;
        }
        let (port, message, is_kernel_reply) = match self.ipc.route(message) {
            Route::Port(port) => (port, message, false),
            Route::Kernel(port, object) => {
                self.ipc.next_seqno(port);
                match self.call_kernel_object(machine, caller, object, message) {
                    Some((reply, port)) => (port, reply, true),
                    None => return Outcome::SENT,
                }
            }
            Route::Nowhere => {
                self.ipc.destroy_message(&mut self.step, message);
                return Outcome::SENT;
            }
        };
        let sending = Sending { port, message, args, then, forced: forced && !is_kernel_reply, is_kernel_reply };
        // The caller waits for the reply of a kernel object, with or without importance.
        if self.donate(caller, message, port, args.options).is_err() && !is_kernel_reply {
            return self.return_to_sender(machine, caller, &sending.wait(), MACH_SEND_NO_BUFFER);
        }
        if self.step.trace.is_on() {
            self.record_sent(port, message);
        }
        self.enqueue_or_block(machine, caller, &sending)
    }

    /// Records that a message is on its way to a port.
    #[cold]
    fn record_sent(&mut self, port: PortId, message: MessageId) {
        let Kernel { ipc, step, .. } = self;
        step.trace.record(|| {
            let sent = ipc.message(message);
            let (voucher, flags) = (ipc.voucher_in(message), ipc.message_flags(message));
            let id = sent.header().msgh_id as u32;
            Event::new(
                kind::MESSAGE_SENT,
                [message.to_bits(), port.to_bits(), id.into(), voucher.map_or(0, |v| v.to_bits()), flags.into()],
            )
        });
    }

    /// Copies a message from its sender's memory (mach-ipc 3.6). It is read once only, because the sender's task may
    /// change it at any time.
    ///
    /// # Errors
    /// `MACH_SEND_MSG_TOO_SMALL` if the size is less than a header, not a multiple of 4, or too small for the
    /// descriptors; `MACH_SEND_TOO_LARGE`; `MACH_SEND_INVALID_DATA` if the memory cannot be read; `MACH_SEND_NO_BUFFER`
    /// if memory runs out. Nothing has changed then.
    #[inline]
    fn fetch(&mut self, machine: &mut dyn Machine, caller: Context, args: &SendArgs) -> Result<MessageId, KernReturn> {
        let size = args.size as usize;
        if size < Header::SIZE || !size.is_multiple_of(4) {
            return Err(MACH_SEND_MSG_TOO_SMALL);
        }
        if size > MAX_INLINE_SIZE {
            return Err(MACH_SEND_TOO_LARGE);
        }
        let credentials = self.tasks[caller.task].credentials;
        let made = self.ipc.new_message(&mut self.step, size, credentials);
        let message = made.map_err(|_| MACH_SEND_NO_BUFFER)?;
        let bytes = &mut self.ipc.message_mut(message).bytes[..size];
        let fetched = machine.copy_in(caller.address_space, args.buffer, bytes).map_err(|_| MACH_SEND_INVALID_DATA);
        let checked = match fetched {
            Ok(()) => check_descriptor_count(bytes),
            Err(fault) => {
                // A wrong number of descriptors is reported before a fault behind that number.
                let start = size.min(DESCRIPTORS_OFFSET);
                let readable = machine.copy_in(caller.address_space, args.buffer, &mut bytes[..start]).is_ok();
                if readable { check_descriptor_count(bytes).and(Err(fault)) } else { Err(fault) }
            }
        };
        if checked.is_err() {
            self.ipc.remove_message(&mut self.step, message);
        }
        checked.map(|()| message)
    }

    /// Applies `MACH_SEND_NOTIFY` (mach-ipc 3.8). If the queue is full, arms the send-possible request of the
    /// destination's name. Otherwise returns true if the name has such a request: the message is then sent even if the
    /// queue becomes full meanwhile, because the sender would not be notified of room later.
    fn arm_send_possible(&mut self, caller: Context, header: &Header, message: MessageId, args: &SendArgs) -> bool {
        let (space, name) = (caller.space, header.msgh_remote_port);
        let Some(port) = self.ipc.message(message).destination.port() else { return false };
        if header.remote().converted() != Disposition::PORT_SEND || self.ipc.is_kernel_port(port) {
            return false;
        }
        let Some(state) = self.ipc.live_port(port) else { return false };
        if !state.is_full() {
            return self.ipc.has_send_possible_request(space, name);
        }
        if !self.ipc.arm_request(space, name) {
            return false;
        }
        self.ipc.arm_send_possible_boost(port, space, send_mode(args.options));
        if args.options.contains(MsgOption::SEND_OVERRIDE) {
            let qos = match MessagePriority::decode(args.priority) {
                MessagePriority::Pthread(priority) => priority.qos,
                MessagePriority::Native { over, .. } => over,
            };
            self.ipc.raise_head(&mut self.step, port, qos);
        }
        false
    }

    /// Sets the QoS of a message from its voucher, the options and the sender's policy (importance 7.2, vouchers 7.3). A
    /// request whose sender will wait is at least as urgent as the sender (errata 5).
    fn assign_qos(&mut self, caller: Context, message: MessageId, args: &SendArgs, synchronous: bool) {
        let sender = &self.sched[caller.thread];
        let attached = self.ipc.message(message).voucher.as_ref();
        let of_voucher = attached.and_then(|attached| self.vouchers.priority_of(&self.ipc, attached));
        let base = match (of_voucher, sender.policy().requested) {
            (Some(priority), _) => priority,
            _ if !args.options.contains(MsgOption::SEND_PROPAGATE_QOS) => Priority::UNSPECIFIED,
            (None, Priority::UNSPECIFIED) => Priority::of(class_for_priority(sender.schedule().base)),
            (None, requested) => requested,
        };
        let (priority, mut qos_override) = if !args.options.contains(MsgOption::SEND_OVERRIDE) {
            (base, base.qos)
        } else {
            match MessagePriority::decode(args.priority) {
                MessagePriority::Pthread(word) => (base, base.qos.max(word.qos)),
                MessagePriority::Native { priority, over } => (priority, priority.qos.max(over)),
            }
        };
        if synchronous || args.options.contains(MsgOption::SEND_SYNC_OVERRIDE) {
            qos_override = qos_override.max(class_for_priority(sender.schedule().base));
        }
        let sent = self.ipc.message_mut(message);
        (sent.priority, sent.qos_override) = (priority, qos_override);
    }

    /// Delivers a message that has been copied in, or queues it. If the queue is full, blocks the sender, or returns
    /// the message to the sender.
    #[inline]
    fn enqueue_or_block(&mut self, machine: &mut dyn Machine, caller: Context, sending: &Sending<'_>) -> Outcome {
        let Sending { port, message, args, forced, .. } = *sending;
        let admission = self.ipc.admission(message, port, forced);
        if admission == Admission::Accepted && self.offer(machine, message, port) {
            return Outcome::SENT;
        }
        let deadline = if args.options.contains(MsgOption::SEND_TIMEOUT) {
            deadline_after(args.timeout, || machine.now())
        } else {
            Some(Nanos::MAX)
        };
        let Kernel { ipc, sched, step, .. } = self;
        let budget = ipc.budget_for(message, port, ipc.space(caller.space).budget());
        let reason = match (admission, deadline) {
            (Admission::Full | Admission::HardLimit, None) => MACH_SEND_TIMED_OUT,
            (Admission::HardLimit, _) => MACH_SEND_NO_BUFFER,
            _ if ipc.charge_message(message, budget).is_err() => MACH_SEND_NO_BUFFER,
            (Admission::Accepted, _) => {
                ipc.append(step, message, port);
                return Outcome::SENT;
            }
            (Admission::Full, Some(deadline)) => {
                ipc.block(sched, step, caller.thread, Wait::Send(sending.wait()), deadline);
                return Outcome::Pending;
            }
        };
        self.return_to_sender(machine, caller, &sending.wait(), reason)
    }
}

/// Checks that a complex message has room for its descriptors (steps 4 and 5 of mach-ipc 3.6).
///
/// # Errors
/// `MACH_SEND_MSG_TOO_SMALL`.
fn check_descriptor_count(bytes: &[u8]) -> Result<(), KernReturn> {
    let (header, body) = Header::read_from_prefix(bytes).expect("a message has a header");
    if !header.flags().contains(HeaderFlags::COMPLEX) {
        return Ok(());
    }
    let (count, descriptors) = u32::read_from_prefix(body).map_err(|_| MACH_SEND_MSG_TOO_SMALL)?;
    if count as usize > descriptors.len() / PortDescriptor::SIZE {
        return Err(MACH_SEND_MSG_TOO_SMALL);
    }
    Ok(())
}
