//! The send phase of `mach_msg`: fetch, copy in, send (mach-ipc 3.6 to 3.8, 3.11).

use crate::ipc::message::MessageId;
use crate::ipc::port::{Home, PortId};
use crate::ipc::queue::Admission;
use crate::ipc::receive::{ReceiveArgs, deadline_after};
use crate::ipc::right::{Carried, Right};
use crate::kernel::Kernel;
use crate::machine::{Machine, Nanos, UserAddr};
use crate::policy::class_for_priority;
use crate::task::{Task, TaskId};
use crate::thread::{SendWait, ThreadId, Wait};
use crate::traps::Outcome;
use abi::KernReturn;
use abi::code::*;
use abi::message::*;
use abi::port::{Disposition, PortName};
use abi::qos::{MessagePriority, Priority};
use zerocopy::FromBytes;

/// The arguments of a send phase.
#[derive(Clone, Copy, Debug)]
pub struct SendArgs {
    /// Where the message is.
    pub buffer: UserAddr,
    /// How long it is.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
    /// Milliseconds, used with `MACH_SEND_TIMEOUT`.
    pub timeout: u32,
    /// Message QoS, used with `MACH_SEND_OVERRIDE`.
    pub priority: u32,
}

/// What a blocked send needs to know of its call.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
    /// Where the message is written back if it cannot be sent.
    pub buffer: UserAddr,
    /// How much of it.
    pub size: u32,
    /// It is a kernel object's reply: if it cannot be sent it is destroyed, and the call succeeds all the same.
    pub is_kernel_reply: bool,
}

/// A message that has been copied in, on its way to the queue.
struct Posting {
    thread: ThreadId,
    message: MessageId,
    port: PortId,
    /// A send-possible request was registered and the queue has room: the limit does not count.
    forced: bool,
    is_kernel_reply: bool,
}

impl Kernel {
    /// Sends a message for the running thread `thread`. If it must wait, `then` is the receive phase that follows.
    #[inline]
    pub(crate) fn send(
        &mut self,
        m: &mut dyn Machine,
        thread: ThreadId,
        args: &SendArgs,
        then: Option<ReceiveArgs>,
    ) -> Outcome {
        let task = self.threads[thread].task;
        let message = match self.fetch(m, task, args) {
            Ok(message) => message,
            Err(code) => return Outcome::Code(code),
        };
        let header = self.messages[message].header();
        if let Err(code) = self.copy_in_header(m, task, message, &header) {
            self.remove_message(message);
            return Outcome::Code(code);
        }
        let forced = args.options.contains(MsgOption::SEND_NOTIFY)
            && self.arm_send_possible(task, header.msgh_remote_port, header.remote(), message, args);
        if args.options.intersects(MsgOption::SEND_OVERRIDE | MsgOption::SEND_PROPAGATE_QOS) {
            self.assign_qos(thread, message, args);
        }
        if header.flags().contains(HeaderFlags::COMPLEX)
            && let Err(code) = self.copy_in_body(m, task, message)
        {
            self.destroy_message(message);
            return Outcome::Code(code);
        }
        let port = self.messages[message].destination.port().filter(|&port| self.live_port(port).is_some());
        let Some(port) = port.filter(|_| !self.messages[message].circular) else {
            self.destroy_message(message);
            return Outcome::Code(MACH_MSG_SUCCESS);
        };
        if let Home::Kernel(object) = self.ports[port].home {
            self.ports[port].seqno = self.ports[port].seqno.wrapping_add(1);
            let Some(reply) = self.call_kernel_object(m, object, message) else {
                return Outcome::Code(MACH_MSG_SUCCESS);
            };
            let port = self.messages[reply].destination.port().expect("a reply that is sent has a destination");
            let posting = Posting { thread, message: reply, port, forced: false, is_kernel_reply: true };
            return self.post_or_block(m, posting, args, then);
        }
        self.post_or_block(m, Posting { thread, message, port, forced, is_kernel_reply: false }, args, then)
    }

    /// Copies a message from its sender's memory, once (mach-ipc 3.6).
    ///
    /// # Errors
    /// `MACH_SEND_MSG_TOO_SMALL`, `MACH_SEND_TOO_LARGE`, `MACH_SEND_INVALID_DATA`, `MACH_SEND_NO_BUFFER`.
    #[inline]
    fn fetch(&mut self, m: &mut dyn Machine, task: TaskId, args: &SendArgs) -> Result<MessageId, KernReturn> {
        let size = args.size as usize;
        if size < Header::SIZE || !size.is_multiple_of(4) {
            return Err(MACH_SEND_MSG_TOO_SMALL);
        }
        if size > MAX_INLINE_SIZE {
            return Err(MACH_SEND_TOO_LARGE);
        }
        let Task { credentials, address_space, .. } = self.tasks[task];
        let message = self.new_message(size, credentials).map_err(|_| MACH_SEND_NO_BUFFER)?;
        let bytes = &mut self.messages[message].bytes[..size];
        let fetched = m.copy_in(address_space, args.buffer, bytes).map_err(|_| MACH_SEND_INVALID_DATA);
        let checked = match fetched {
            Ok(()) => check_descriptor_count(bytes),
            Err(fault) => {
                // What can be read of the beginning decides which error it is.
                let start = size.min(DESCRIPTORS_OFFSET);
                let readable = m.copy_in(address_space, args.buffer, &mut bytes[..start]).is_ok();
                if readable { check_descriptor_count(bytes).and(Err(fault)) } else { Err(fault) }
            }
        };
        if checked.is_err() {
            self.remove_message(message);
        }
        checked.map(|()| message)
    }

    /// `MACH_SEND_NOTIFY` (mach-ipc 3.8): with a full queue the name's send-possible request is armed, without one the
    /// message need not fear the limit any more, which is what the return value says.
    fn arm_send_possible(
        &mut self,
        task: TaskId,
        name: PortName,
        disposition: Disposition,
        message: MessageId,
        args: &SendArgs,
    ) -> bool {
        let Some(port) = self.messages[message].destination.port() else { return false };
        if disposition.converted() != Disposition::PORT_SEND || self.is_kernel_port(port) {
            return false;
        }
        let Some(state) = self.live_port(port) else { return false };
        if !state.is_full() {
            return self.has_send_possible_request(task, name);
        }
        if self.arm_request(task, name) && args.options.contains(MsgOption::SEND_OVERRIDE) {
            let over = match MessagePriority::decode(args.priority) {
                MessagePriority::Pthread(priority) => priority.qos,
                MessagePriority::Native { over, .. } => over,
            };
            self.raise_head(port, over);
        }
        false
    }

    /// The QoS that a message carries (importance 7.2).
    fn assign_qos(&mut self, thread: ThreadId, message: MessageId, args: &SendArgs) {
        let sender = &self.threads[thread];
        let base = match sender.policy.requested {
            _ if !args.options.contains(MsgOption::SEND_PROPAGATE_QOS) => Priority::UNSPECIFIED,
            Priority::UNSPECIFIED => Priority::of(class_for_priority(sender.schedule.base)),
            requested => requested,
        };
        let (priority, over) = if !args.options.contains(MsgOption::SEND_OVERRIDE) {
            (base, base.qos)
        } else {
            match MessagePriority::decode(args.priority) {
                MessagePriority::Pthread(word) => (base, base.qos.max(word.qos)),
                MessagePriority::Native { priority, over } => (priority, priority.qos.max(over)),
            }
        };
        let sent = &mut self.messages[message];
        (sent.priority, sent.over) = (priority, over);
    }

    /// Sends a message that has been copied in: at once, or when there is room, or not at all.
    #[inline]
    fn post_or_block(
        &mut self,
        m: &mut dyn Machine,
        posting: Posting,
        args: &SendArgs,
        then: Option<ReceiveArgs>,
    ) -> Outcome {
        let Posting { thread, message, port, forced, is_kernel_reply } = posting;
        let send = SendOptions { buffer: args.buffer, size: args.size, is_kernel_reply };
        let admission = self.admission(message, port, forced);
        if admission == Admission::Accepted && self.offer(m, message, port) {
            return Outcome::Code(MACH_MSG_SUCCESS);
        }
        let deadline = if args.options.contains(MsgOption::SEND_TIMEOUT) {
            deadline_after(args.timeout, || m.now())
        } else {
            Some(Nanos::MAX)
        };
        let payer = self.payer_of(message, port, self.threads[thread].task);
        let reason = match (admission, deadline) {
            (Admission::Full | Admission::Overfull, None) => MACH_SEND_TIMED_OUT,
            (Admission::Overfull, _) => MACH_SEND_NO_BUFFER,
            _ if self.charge_message(message, payer).is_err() => MACH_SEND_NO_BUFFER,
            (Admission::Accepted, _) => {
                self.append(message, port);
                return Outcome::Code(MACH_MSG_SUCCESS);
            }
            (Admission::Full, Some(deadline)) => {
                self.block(thread, Wait::Send(SendWait { port, message, send, then }), deadline);
                return Outcome::Pending;
            }
        };
        Outcome::Code(self.return_to_sender(m, thread, message, &send, reason))
    }

    /// Whose budget a queued message is on: its sender's. But who made a send-once right asked for the message that comes
    /// by it, and must not be able to use up the budget of a server with answers (mach-ipc 8.1 S10).
    fn payer_of(&self, message: MessageId, port: PortId, sender: TaskId) -> TaskId {
        match self.messages[message].destination {
            Carried::Right(Right::SendOnce(_)) => self.receiving_task(port).unwrap_or(sender),
            _ => sender,
        }
    }

    /// Pseudo-receive: a message that could not be sent goes back to its sender, rights and all, over the buffer it came
    /// from, ready to be sent again (mach-ipc 3.11). Returns `reason`, with the detail bits of what failed.
    pub(crate) fn return_to_sender(
        &mut self,
        m: &mut dyn Machine,
        thread: ThreadId,
        message: MessageId,
        send: &SendOptions,
        reason: KernReturn,
    ) -> KernReturn {
        if send.is_kernel_reply {
            self.destroy_message(message);
            return MACH_MSG_SUCCESS;
        }
        let task = self.threads[thread].task;
        let mut header = self.messages[message].header();
        let destination = self.messages[message].destination.take();
        let reply = self.messages[message].reply.take();
        let mut bits = 0;
        let remote_kind = kind_of(&destination, header.remote());
        let local_kind = kind_of(&reply, header.local());
        header.msgh_remote_port = self.copy_out_carried(m, task, destination, &mut bits);
        header.msgh_local_port = self.copy_out_carried(m, task, reply, &mut bits);
        header.msgh_bits = msgh_bits(remote_kind, local_kind, header.voucher(), header.flags() & HeaderFlags::COMPLEX);
        header.msgh_size = send.size;
        let returned = &mut self.messages[message];
        returned.set_header(&header);
        if !returned.descriptors.is_empty() {
            bits |= self.copy_out_body(m, task, message);
        }
        let returned = &self.messages[message];
        let space = self.tasks[task].address_space;
        // A sender that took its buffer away loses the message (mach-ipc 3.11: a write fault is ignored).
        let _ = m.copy_out(space, send.buffer, &returned.bytes[..returned.size]);
        self.remove_message(message);
        reason.with_bits(bits)
    }
}

/// The disposition under which a right comes back.
fn kind_of(carried: &Carried, sent: Disposition) -> Disposition {
    match carried {
        Carried::Right(right) => right.disposition(),
        _ => sent.converted(),
    }
}

/// Steps 4 and 5 of the fetch: a complex message has room for its descriptors.
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
