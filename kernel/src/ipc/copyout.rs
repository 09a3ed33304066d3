//! From rights to names: how a message arrives in a task (mach-ipc 3.9).

use crate::ipc::message::MessageId;
use crate::ipc::names::{Holding, NoName, Space, add_urefs};
use crate::ipc::port::{Home, PortId};
use crate::ipc::right::{Carried, ReceiveRight, Right, SendRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::TaskId;
use crate::thread::ReceiveWait;
use abi::KernReturn;
use abi::code::*;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_DEAD, MACH_PORT_NULL, PortName};
use zerocopy::IntoBytes;

/// A taken message on its way into a task.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery<'a> {
    /// Who gets it.
    pub task: TaskId,
    /// What the receiver asked for.
    pub wait: &'a ReceiveWait,
    /// The message.
    pub message: MessageId,
    /// The port it was sent to.
    pub port: PortId,
    /// Its number there.
    pub seqno: u32,
}

/// The bits that say why a right of a body found no name.
fn detail_bits(error: NoName) -> i32 {
    match error {
        NoName::Full => MACH_MSG_IPC_SPACE,
        NoName::Memory => MACH_MSG_IPC_KERNEL,
    }
}

impl Kernel {
    /// Makes sure that the next name a task gets does not fail for want of a table entry.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    #[inline]
    pub(crate) fn make_room_for_name(&mut self, task: TaskId) -> Result<(), NoName> {
        if self.tasks[task].space.must_grow() { self.grow_space(task) } else { Ok(()) }
    }

    #[cold]
    pub(super) fn grow_space(&mut self, task: TaskId) -> Result<(), NoName> {
        // A full table is full whatever the budget.
        let grown = match self.charge(task, Space::GROWTH_COST) {
            Ok(()) => self.tasks[task].space.grow(),
            Err(_) if self.tasks[task].space.capacity() >= self.limits.names_per_task => return Err(NoName::Full),
            Err(_) => return Err(NoName::Memory),
        };
        if grown.is_err() {
            self.refund(task, Space::GROWTH_COST);
        }
        grown
    }

    /// Puts a right into a task's table (mach-ipc 1.6): a send or receive right joins the name that the task has for the
    /// port, a send-once right always gets a new name, a right whose port died becomes `MACH_PORT_DEAD`.
    ///
    /// # Errors
    /// The right and the reason if a new name is needed and there is none.
    pub(crate) fn copy_out_right(&mut self, task: TaskId, right: Right) -> Result<PortName, (Right, NoName)> {
        if self.live_port(right.port()).is_none() {
            return Ok(MACH_PORT_DEAD);
        }
        match right {
            Right::Send(right) => self.copy_out_send(task, right).map_err(|(r, e)| (Right::Send(r), e)),
            Right::SendOnce(right) => {
                let holding = Holding::SendOnce { port: right.port() };
                if let Err(error) = self.make_room_for_name(task) {
                    return Err((Right::SendOnce(right), error));
                }
                Ok(self.tasks[task].space.add(holding).expect("a send-once right is not registered"))
            }
            Right::Receive(right) => self.copy_out_receive(task, right).map_err(|(r, e)| (Right::Receive(r), e)),
        }
    }

    /// The name under which a task has a send or receive right of a live port.
    pub(super) fn name_of(&self, task: TaskId, port: PortId) -> Option<PortName> {
        match self.ports[port].home {
            Home::Space { task: holder, name } if holder == task => Some(name),
            _ => self.tasks[task].space.send_name(port),
        }
    }

    fn copy_out_send(&mut self, task: TaskId, right: SendRight) -> Result<PortName, (SendRight, NoName)> {
        let port = right.port();
        if let Some(name) = self.name_of(task, port) {
            self.join_send(task, name, right);
            return Ok(name);
        }
        if let Err(error) = self.make_room_for_name(task) {
            return Err((right, error));
        }
        self.tasks[task].space.add(Holding::Send { port, urefs: 1 }).map_err(|_| (right, NoName::Memory))
    }

    /// Adds a send right to a name that has send or receive rights of the same port: one more user reference, and the
    /// right itself only if the name had none.
    pub(super) fn join_send(&mut self, task: TaskId, name: PortName, right: SendRight) {
        let entry = self.tasks[task].space.get_mut(name).expect("the name exists");
        let spare = match &mut entry.holding {
            Holding::Send { urefs, .. } => {
                *urefs = add_urefs(*urefs, 1);
                true
            }
            Holding::Receive { send_urefs, .. } => {
                let had = *send_urefs > 0;
                *send_urefs = add_urefs(*send_urefs, 1);
                had
            }
            other => panic!("{name:?} is {other:?} but should have rights to {:?}", right.port()),
        };
        if spare {
            self.drop_spare_send(right);
        }
    }

    fn copy_out_receive(&mut self, task: TaskId, right: ReceiveRight) -> Result<PortName, (ReceiveRight, NoName)> {
        let port = right.port();
        let name = match self.tasks[task].space.send_name(port) {
            Some(name) => {
                self.join_receive(task, name, port);
                name
            }
            None => {
                if let Err(error) = self.make_room_for_name(task) {
                    return Err((right, error));
                }
                let holding = Holding::Receive { port, send_urefs: 0 };
                self.tasks[task].space.add(holding).expect("a receive right is not registered")
            }
        };
        self.settle(port, task, name);
        Ok(name)
    }

    /// Adds the receive right to a name that has send rights of the same port.
    pub(super) fn join_receive(&mut self, task: TaskId, name: PortName, port: PortId) {
        let space = &mut self.tasks[task].space;
        let entry = space.get(name).expect("the name exists");
        let Holding::Send { urefs, .. } = entry.holding else { panic!("{name:?} should have a send right") };
        space.change(name, Holding::Receive { port, send_urefs: urefs });
    }

    /// A receive right has arrived in a task.
    pub(super) fn settle(&mut self, port: PortId, task: TaskId, name: PortName) {
        let state = &mut self.ports[port];
        state.home = Home::Space { task, name };
        state.temp_owner = false;
    }

    /// Copies a taken message that fits out to its receiver: rights into its table, bytes into its memory.
    #[inline]
    pub(super) fn copy_out_message(&mut self, m: &mut dyn Machine, delivery: &Delivery<'_>) -> KernReturn {
        let Delivery { task, wait, message, port, .. } = *delivery;
        self.fire_armed_requests(port);
        let reply = match self.copy_out_reply(task, message) {
            Ok(name) => name,
            Err(()) => {
                let code = MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE);
                return self.discard(m, delivery, code);
            }
        };
        let local = self.name_for_receiver(task, port);
        let kind = self.consume_message_destination(m, message);
        let taken = &mut self.messages[message];
        let mut header = taken.header();
        // Without a disposition the voucher field is the sender's own affair, otherwise there is no voucher.
        let with_voucher =
            wait.options.contains(MsgOption::RCV_VOUCHER) && taken.voucher_disposition != Disposition::NONE;
        let voucher = if with_voucher { Disposition::PORT_SEND } else { Disposition::NONE };
        let complex = header.flags() & HeaderFlags::COMPLEX;
        header.msgh_bits = msgh_bits(taken.reply_disposition, kind, voucher, complex);
        header.msgh_size = taken.size as u32;
        header.msgh_remote_port = reply;
        header.msgh_local_port = local;
        taken.set_header(&header);
        let bits = if taken.descriptors.is_empty() { 0 } else { self.copy_out_body(m, task, message) };
        let end = self.put_trailer(delivery);
        let space = self.tasks[task].address_space;
        let written = m.copy_out(space, wait.buffer, &self.messages[message].bytes[..end]);
        self.remove_message(message);
        match written {
            Err(_) => MACH_RCV_INVALID_DATA,
            Ok(()) if bits != 0 => MACH_RCV_BODY_ERROR.with_bits(bits),
            Ok(()) => MACH_MSG_SUCCESS,
        }
    }

    /// Copies the reply right out. On failure it is back in the message.
    fn copy_out_reply(&mut self, task: TaskId, message: MessageId) -> Result<PortName, ()> {
        match self.messages[message].reply.take() {
            Carried::Null => Ok(MACH_PORT_NULL),
            Carried::Dead => Ok(MACH_PORT_DEAD),
            Carried::Right(right) => self.copy_out_right(task, right).map_err(|(right, _)| {
                self.messages[message].reply = Carried::Right(right);
            }),
        }
    }

    /// The right by which a message was sent has done its work; tells of which kind it was.
    pub(crate) fn consume_message_destination(&mut self, m: &mut dyn Machine, message: MessageId) -> Disposition {
        let Carried::Right(right) = self.messages[message].destination.take() else {
            panic!("a queued message has a destination")
        };
        let kind = right.disposition();
        self.consume_destination(m, right);
        kind
    }

    /// Copies out what a place of a message carries. If that fails the right is destroyed, the name is null and the
    /// detail bits say why.
    pub(crate) fn copy_out_carried(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        carried: Carried,
        bits: &mut i32,
    ) -> PortName {
        match carried {
            Carried::Null => MACH_PORT_NULL,
            Carried::Dead => MACH_PORT_DEAD,
            Carried::Right(right) => self.copy_out_right(task, right).unwrap_or_else(|(right, error)| {
                *bits |= detail_bits(error);
                self.destroy_right(m, right);
                MACH_PORT_NULL
            }),
        }
    }

    /// Copies the rights of a body out, from the last to the first, and returns the detail bits of what failed.
    pub(super) fn copy_out_body(&mut self, m: &mut dyn Machine, task: TaskId, message: MessageId) -> i32 {
        let mut descriptors = core::mem::take(&mut self.messages[message].descriptors);
        let mut bits = 0;
        for descriptor in descriptors.iter_mut().rev() {
            let name = self.copy_out_carried(m, task, descriptor.right.take(), &mut bits);
            let written = PortDescriptor::new(name, descriptor.disposition);
            let bytes = &mut self.messages[message].bytes[descriptor.offset..];
            written.write_to_prefix(bytes).expect("the descriptor was there when the message was sent");
        }
        // They are a part of what the message's payer is refunded.
        self.messages[message].descriptors = descriptors;
        bits
    }

    /// Writes the trailer behind a message, into the room its buffer has for it; returns where it ends (mach-ipc 3.5).
    #[inline]
    fn put_trailer(&mut self, delivery: &Delivery<'_>) -> usize {
        let Delivery { wait, message, port, seqno, .. } = *delivery;
        let elements = wait.options.elements();
        let size = trailer_size(elements);
        let context = self.ports.get(port).map_or(0, |port| port.context);
        let taken = &mut self.messages[message];
        let start = taken.size;
        if elements == 0 {
            // Type 0 and size 8 are one word.
            taken.bytes[start..start + 8].copy_from_slice(&(8u64 << 32).to_le_bytes());
            return start + size;
        }
        let trailer = Trailer {
            msgh_trailer_type: 0,
            msgh_trailer_size: size as u32,
            msgh_seqno: seqno,
            msgh_sender: taken.sender.token(),
            msgh_audit: taken.sender.audit_words(),
            msgh_context: context,
            msgh_ad: 0,
            msgh_labels: 0,
        };
        taken.bytes[start..start + size].copy_from_slice(&trailer.as_bytes()[..size]);
        start + size
    }

    /// Destroys a taken message and writes an error message in its place: a header and the trailer, as much as fits
    /// (mach-ipc 3.9 "Failure outputs").
    pub(super) fn discard(&mut self, m: &mut dyn Machine, delivery: &Delivery<'_>, code: KernReturn) -> KernReturn {
        let Delivery { task, wait, message, port, .. } = *delivery;
        let local = self.name_for_receiver(task, port);
        let kind = self.consume_message_destination(m, message);
        let taken = &mut self.messages[message];
        let mut header = taken.header();
        let flags = header.flags() & HeaderFlags::COMPLEX;
        header.msgh_bits = msgh_bits(taken.reply_disposition, kind, taken.voucher_disposition, flags);
        header.msgh_size = Header::SIZE as u32;
        header.msgh_remote_port = if taken.reply == Carried::Dead { MACH_PORT_DEAD } else { MACH_PORT_NULL };
        header.msgh_local_port = local;
        // The trailer goes over the body, which nobody sees any more; its rights are in the descriptors.
        taken.set_header(&header);
        let sent_size = core::mem::replace(&mut taken.size, Header::SIZE);
        let end = self.put_trailer(delivery).min(wait.size as usize);
        let space = self.tasks[task].address_space;
        let written = m.copy_out(space, wait.buffer, &self.messages[message].bytes[..end]);
        self.messages[message].size = sent_size;
        self.destroy_message(message);
        if written.is_err() { MACH_RCV_INVALID_DATA } else { code }
    }
}
