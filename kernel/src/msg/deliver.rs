//! Delivery: putting a message into its receiver's space and memory (mach-ipc 3.9).

use crate::ids::{Context, MessageId, PortId, ThreadId};
use crate::ipc::message::Message;
use crate::ipc::queue::Arrival;
use crate::ipc::right::Carried;
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::outcome::Outcome;
use crate::sched::thread::ReceiveWait;
use crate::trace::Event;
use abi::KernReturn;
use abi::code::*;
use abi::event::kind;
use abi::inspect::MESSAGE_RAISED;
use abi::message::*;
use abi::port::{Disposition, MACH_PORT_DEAD, MACH_PORT_NULL, PortName};
use core::mem::offset_of;
use zerocopy::IntoBytes;

/// A message and the data that its delivery needs.
struct Delivery<'a> {
    receiver: Context,
    wait: &'a ReceiveWait,
    message: MessageId,
    arrival: Arrival,
    /// It has importance for the receiver.
    importance: bool,
}

impl Kernel {
    /// Returns true if a message, with the trailer that the receiver asked for, fits the receiver's buffer.
    #[inline]
    pub(crate) fn fits(&self, message: MessageId, wait: &ReceiveWait) -> bool {
        fits(self.ipc.message(message), wait)
    }

    /// Reports a message that is too large to a receiver with `MACH_RCV_LARGE`: writes its size into the buffer, and
    /// with `MACH_RCV_LARGE_IDENTITY` the name of its port. The message is not taken.
    pub(crate) fn report_too_large(
        &mut self,
        machine: &mut dyn Machine,
        receiver: Context,
        wait: &ReceiveWait,
        message: MessageId,
        port: PortId,
    ) -> KernReturn {
        let address_space = receiver.address_space;
        let field = |offset: usize| wait.buffer.plus(offset as u64);
        if wait.size < 16 {
            return MACH_RCV_TOO_LARGE;
        }
        let size = self.ipc.message(message).size as u32;
        let mut result = machine.copy_out(address_space, field(offset_of!(Header, msgh_size)), &size.to_le_bytes());
        if wait.options.contains(MsgOption::RCV_LARGE_IDENTITY) {
            let name = self.ipc.name_for_receiver(receiver.space, port);
            let at = field(offset_of!(Header, msgh_local_port));
            result = result.and_then(|()| machine.copy_out(address_space, at, &name.0.to_le_bytes()));
        }
        // A fault does not change the return code: the message is still there to be received.
        let _ = result;
        MACH_RCV_TOO_LARGE
    }

    /// Delivers a message to `receiver`, whose wait has ended: copies out its rights and bytes, or destroys it if it
    /// does not fit. Consumes the message, which must be out of its queue.
    pub(crate) fn deliver(
        &mut self,
        machine: &mut dyn Machine,
        receiver: Context,
        wait: &ReceiveWait,
        message: MessageId,
        port: PortId,
    ) -> Outcome {
        let taken = self.ipc.message(message);
        let (fits, attached) = (fits(taken, wait), taken.has_attachment());
        let takes_voucher = wait.options.contains(MsgOption::RCV_VOUCHER);
        let importance = attached && self.receive_attached(receiver, message, port, fits && takes_voucher);
        if self.step.trace.is_on() {
            self.record_received(receiver.thread, message, port, importance);
        }
        let arrival = self.ipc.arrival(&mut self.step, port, receiver.space, fits);
        let delivery = Delivery { receiver, wait, message, arrival, importance };
        if !fits {
            return self.discard(machine, &delivery, MACH_RCV_TOO_LARGE);
        }
        if self.limits.strict_reply {
            self.note_reply_persona(receiver, wait.options, message);
        }
        let Kernel { ipc, sched, step, .. } = self;
        let reply = ipc.reply_port_of(message);
        let names = match ipc.copy_out_header(sched, step, receiver.space, message, takes_voucher) {
            Ok(names) => names,
            Err(_) => return self.discard(machine, &delivery, MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE)),
        };
        if let Some(reply) = reply {
            ipc.reply_right_taken(step, reply, port, receiver.thread);
        }
        self.write_out(machine, &delivery, names)
    }

    /// Records that a thread receives a message.
    #[cold]
    fn record_received(&mut self, receiver: ThreadId, message: MessageId, port: PortId, importance: bool) {
        let Kernel { ipc, step, sched, .. } = self;
        step.trace.record(|| {
            let voucher = ipc.voucher_in(message).map_or(0, |voucher| voucher.to_bits());
            let flags = if importance { MESSAGE_RAISED } else { 0 };
            let thread = sched[receiver].number();
            Event::new(kind::MESSAGE_RECEIVED, [message.to_bits(), port.to_bits(), thread, voucher, flags.into()])
        });
    }

    /// Copies out the rights of the body and the bytes of a message, whose reply right and voucher have these names, and
    /// removes the message.
    #[inline]
    fn write_out(
        &mut self,
        machine: &mut dyn Machine,
        delivery: &Delivery<'_>,
        (reply, voucher): (PortName, PortName),
    ) -> Outcome {
        let Delivery { receiver, wait, message, arrival, importance } = *delivery;
        let Kernel { ipc, step, .. } = self;
        let kind = ipc.consume_message_destination(step, message);
        let has_body = !ipc.message(message).descriptors.is_empty();
        let bits = if has_body { ipc.copy_out_body(step, receiver.space, message) } else { 0 };
        let taken = ipc.message_mut(message);
        let qos = taken.priority.words_with(taken.qos_override);
        let mut header = taken.header();
        // Without a disposition the field stays as the sender wrote it (vouchers 7.5).
        if taken.voucher_disposition != Disposition::NONE {
            header.msgh_voucher_port = voucher;
        }
        let takes_voucher = wait.options.contains(MsgOption::RCV_VOUCHER);
        let voucher_disposition = if takes_voucher { taken.voucher_disposition } else { Disposition::NONE };
        let mut flags = header.flags() & HeaderFlags::COMPLEX;
        // A message that arrives in part promises no importance, though a voucher may bring it (importance 5.5).
        flags.set(HeaderFlags::RAISEIMP, importance && bits == 0);
        header.msgh_bits = msgh_bits(taken.reply_disposition, kind, voucher_disposition, flags);
        header.msgh_size = taken.size as u32;
        header.msgh_remote_port = reply;
        header.msgh_local_port = arrival.local;
        taken.set_header(&header);
        let end = self.put_trailer(delivery);
        let bytes = &self.ipc.message(message).bytes[..end];
        let written = machine.copy_out(receiver.address_space, wait.buffer, bytes);
        self.ipc.remove_message(&mut self.step, message);
        match written {
            Err(_) => Outcome::undelivered(MACH_RCV_INVALID_DATA),
            Ok(()) if bits != 0 => Outcome::Message(MACH_RCV_BODY_ERROR.with_bits(bits), qos),
            Ok(()) => Outcome::Message(MACH_MSG_SUCCESS, qos),
        }
    }

    /// Writes the trailer behind a message, into its buffer, and returns the end of the trailer (mach-ipc 3.5).
    #[inline]
    fn put_trailer(&mut self, delivery: &Delivery<'_>) -> usize {
        let Delivery { wait, message, arrival, .. } = *delivery;
        let elements = wait.options.elements();
        let size = trailer_size(elements);
        let taken = self.ipc.message_mut(message);
        let start = taken.size;
        if elements == 0 {
            taken.bytes[start..start + SHORT_TRAILER.len()].copy_from_slice(&SHORT_TRAILER);
            return start + size;
        }
        let trailer = Trailer {
            msgh_trailer_type: 0,
            msgh_trailer_size: size as u32,
            msgh_seqno: arrival.seqno,
            msgh_sender: taken.sender.token(),
            msgh_audit: taken.sender.audit_words(),
            msgh_context: arrival.context,
            msgh_ad: 0,
            msgh_labels: 0,
        };
        taken.bytes[start..start + size].copy_from_slice(&trailer.as_bytes()[..size]);
        start + size
    }

    /// Destroys a message instead of delivering it, and writes as much of an error message, a header and the trailer,
    /// as fits the receiver's buffer (mach-ipc 3.9 "Failure outputs").
    fn discard(&mut self, machine: &mut dyn Machine, delivery: &Delivery<'_>, code: KernReturn) -> Outcome {
        let Delivery { receiver, wait, message, arrival, .. } = *delivery;
        let Kernel { ipc, step, .. } = self;
        let kind = ipc.consume_message_destination(step, message);
        let taken = ipc.message_mut(message);
        let mut header = taken.header();
        let flags = header.flags() & HeaderFlags::COMPLEX;
        header.msgh_bits = msgh_bits(taken.reply_disposition, kind, taken.voucher_disposition, flags);
        header.msgh_size = Header::SIZE as u32;
        header.msgh_remote_port = if taken.reply == Carried::Dead { MACH_PORT_DEAD } else { MACH_PORT_NULL };
        header.msgh_local_port = arrival.local;
        if taken.voucher_disposition != Disposition::NONE {
            header.msgh_voucher_port = MACH_PORT_NULL;
        }
        // The trailer overwrites the body. Taking the message apart does not need it: the rights are in the
        // descriptors.
        taken.set_header(&header);
        let sent_size = core::mem::replace(&mut taken.size, Header::SIZE);
        let end = self.put_trailer(delivery).min(wait.size as usize);
        let bytes = &self.ipc.message(message).bytes[..end];
        let written = machine.copy_out(receiver.address_space, wait.buffer, bytes);
        self.ipc.message_mut(message).size = sent_size;
        self.ipc.destroy_message(&mut self.step, message);
        Outcome::undelivered(if written.is_err() { MACH_RCV_INVALID_DATA } else { code })
    }
}

/// Returns true if a message, with the trailer that the receiver asked for, fits the receiver's buffer.
#[inline(always)]
fn fits(message: &Message, wait: &ReceiveWait) -> bool {
    message.size + trailer_size(wait.options.elements()) <= wait.size as usize
}
