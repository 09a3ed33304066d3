//! The receive phase of `mach_msg` (mach-ipc 3.9).

use crate::ipc::copyout::Delivery;
use crate::ipc::message::MessageId;
use crate::ipc::names::Holding;
use crate::ipc::port::{Home, PortId};
use crate::ipc::port_set::SetId;
use crate::kernel::Kernel;
use crate::machine::{Machine, Nanos, UserAddr};
use crate::task::TaskId;
use crate::thread::{ReceiveWait, ThreadId, Wait};
use crate::traps::Outcome;
use abi::KernReturn;
use abi::code::*;
use abi::message::{Header, MsgOption, trailer_size};
use abi::port::{MACH_PORT_DEAD, PortName};
use abi::qos::{Priority, Qos};
use core::mem::offset_of;

/// What can be received from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receivable {
    /// A port.
    Port(PortId),
    /// A set of ports.
    Set(SetId),
}

/// The arguments of a receive phase.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveArgs {
    /// The name of a receive right or port set.
    pub name: PortName,
    /// Where the message goes.
    pub buffer: UserAddr,
    /// How much fits there.
    pub size: u32,
    /// The call's options.
    pub options: MsgOption,
    /// Milliseconds, used with `MACH_RCV_TIMEOUT`.
    pub timeout: u32,
}

impl ReceiveArgs {
    /// When the receive ends without a message: at once, at some time, or never.
    fn deadline(&self, now: impl FnOnce() -> Nanos) -> Option<Nanos> {
        if !self.options.contains(MsgOption::RCV_TIMEOUT) {
            return Some(Nanos::MAX);
        }
        deadline_after(self.timeout, now)
    }
}

/// The time `timeout` milliseconds from now; none for a timeout of 0, which means not to wait at all.
pub fn deadline_after(timeout: u32, now: impl FnOnce() -> Nanos) -> Option<Nanos> {
    if timeout == 0 { None } else { Some(now().saturating_add(u64::from(timeout) * 1_000_000)) }
}

impl Kernel {
    /// What a name can receive from.
    #[inline]
    fn receivable(&self, task: TaskId, name: PortName) -> Option<Receivable> {
        match self.tasks[task].space.get(name)?.holding {
            Holding::Receive { port, .. } => Some(Receivable::Port(port)),
            Holding::PortSet { set } => Some(Receivable::Set(set)),
            _ => None,
        }
    }

    /// Receives a message for the running thread `thread`, or blocks it until there is one.
    #[inline]
    pub(crate) fn receive(&mut self, m: &mut dyn Machine, thread: ThreadId, args: &ReceiveArgs) -> Outcome {
        let task = self.threads[thread].task;
        let Some(object) = self.receivable(task, args.name) else {
            return Outcome::Code(MACH_RCV_INVALID_NAME);
        };
        let wait = ReceiveWait { object, buffer: args.buffer, size: args.size, options: args.options };
        let port = match object {
            Receivable::Port(port) if !self.ports[port].queue.is_empty() => Some(port),
            Receivable::Port(_) => None,
            Receivable::Set(set) => self.next_ready_member(set),
        };
        if let Some(port) = port {
            let head = self.ports[port].queue.front().expect("a ready port has a message");
            if args.options.contains(MsgOption::RCV_LARGE) && !self.fits(head, &wait) {
                return Outcome::Code(self.report_too_large(m, thread, &wait, head, port));
            }
            let message = self.dequeue(m, port).expect("the head is there");
            return Outcome::Code(self.deliver(m, thread, &wait, message, port));
        }
        match args.deadline(|| m.now()) {
            Some(deadline) => {
                self.block(thread, Wait::Receive(wait), deadline);
                Outcome::Pending
            }
            None => Outcome::Code(MACH_RCV_TIMED_OUT),
        }
    }

    /// Whether a message with the trailer asked for fits the receiver's buffer.
    #[inline]
    pub(super) fn fits(&self, message: MessageId, wait: &ReceiveWait) -> bool {
        self.messages[message].size + trailer_size(wait.options.elements()) <= wait.size as usize
    }

    /// Tells a receiver with `MACH_RCV_LARGE` about a message that stays where it is.
    pub(super) fn report_too_large(
        &mut self,
        m: &mut dyn Machine,
        receiver: ThreadId,
        wait: &ReceiveWait,
        message: MessageId,
        port: PortId,
    ) -> KernReturn {
        let task = self.threads[receiver].task;
        let space = self.tasks[task].address_space;
        let field = |offset: usize| wait.buffer.plus(offset as u64);
        if wait.size < 16 {
            return MACH_RCV_TOO_LARGE;
        }
        let size = self.messages[message].size as u32;
        let mut result = m.copy_out(space, field(offset_of!(Header, msgh_size)), &size.to_le_bytes());
        if wait.options.contains(MsgOption::RCV_LARGE_IDENTITY) {
            let name = self.name_for_receiver(task, port);
            result = result
                .and_then(|()| m.copy_out(space, field(offset_of!(Header, msgh_local_port)), &name.0.to_le_bytes()));
        }
        // The answer is the same whether the user can read the size or not: the message is still there.
        let _ = result;
        MACH_RCV_TOO_LARGE
    }

    /// The receiving task's own name of a port it receives from.
    pub(super) fn name_for_receiver(&self, task: TaskId, port: PortId) -> PortName {
        match self.ports.get(port).map(|port| port.home) {
            Some(Home::Space { task: holder, name }) if holder == task => name,
            Some(Home::Dead) | None => MACH_PORT_DEAD,
            Some(_) => abi::port::MACH_PORT_NULL,
        }
    }

    /// The message has been taken for `receiver`, which is not blocked any more: copies it out into the receiver's task
    /// and memory, or destroys it if it does not fit, and returns what the receive returns. The message is used up.
    ///
    /// The second result register gets the message's QoS (errata 6).
    pub(super) fn deliver(
        &mut self,
        m: &mut dyn Machine,
        receiver: ThreadId,
        wait: &ReceiveWait,
        message: MessageId,
        port: PortId,
    ) -> KernReturn {
        let state = &mut self.ports[port];
        let seqno = state.seqno;
        state.seqno = seqno.wrapping_add(1);
        let delivery = Delivery { task: self.threads[receiver].task, wait, message, port, seqno };
        if !self.fits(message, wait) {
            return self.discard(m, &delivery, MACH_RCV_TOO_LARGE);
        }
        let taken = &self.messages[message];
        let qos = (u64::from(taken.priority.to_pthread()) << 32) | u64::from(Priority::of(taken.over).to_pthread());
        let code = self.copy_out_message(m, &delivery);
        let destroyed = MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE);
        if code != MACH_RCV_INVALID_DATA && code != destroyed {
            self.threads[receiver].frame.rdx = qos;
        }
        code
    }

    /// The class that the messages in a port's queue call for: that of its head (importance 7.3).
    pub fn queue_override(&self, port: PortId) -> Qos {
        self.ports[port].queue.front().map_or(Qos::Unspecified, |head| self.messages[head].over)
    }
}
