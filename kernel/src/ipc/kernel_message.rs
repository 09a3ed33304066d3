//! Messages that the kernel makes: notifications about rights (mach-ipc 2.8), and replies to calls of kernel objects.
//!
//! A notification goes to a send-once right that was registered for it. The queue limit does not count for it, and room
//! for it was set aside when the right was made ([`promise`](super::promise)). It is dropped if its port is dead or
//! 65,534 messages are queued.
//!
//! The message is made at once, while its cause is known, and sent later as a piece of deferred work ([`Work::Post`]).

use super::Ipc;
use super::message::Descriptor;
use super::right::{Carried, ReceiveRight, Right, SendOnceRight};
use super::way::Way;
use crate::credentials::Credentials;
use crate::ids::{MessageId, PortId};
use crate::limits::WAY_PER_PIECE;
use crate::machine::NoMemory;
use crate::step::{Step, Work};
use abi::message::*;
use abi::mig::NDR;
use abi::port::{Disposition, PortName};
use alloc::vec::Vec;
use zerocopy::IntoBytes;

/// The contents of a notification.
#[derive(Clone, Copy, Debug)]
pub enum Notification {
    /// The name of a pending request is gone, but its port lives.
    PortDeleted(PortName),
    /// The queue has room again.
    SendPossible(PortName),
    /// The last send right has ended; with the make-send count.
    NoSenders(u32),
    /// The send-once right itself has ended unused.
    SendOnce,
    /// The port of a request has died.
    DeadName(PortName),
}

impl Notification {
    /// Returns the message id, and the number in the body if there is one.
    fn contents(self) -> (i32, Option<u32>) {
        match self {
            Notification::PortDeleted(name) => (MACH_NOTIFY_PORT_DELETED, Some(name.0)),
            Notification::SendPossible(name) => (MACH_NOTIFY_SEND_POSSIBLE, Some(name.0)),
            Notification::NoSenders(count) => (MACH_NOTIFY_NO_SENDERS, Some(count)),
            Notification::SendOnce => (MACH_NOTIFY_SEND_ONCE, None),
            Notification::DeadName(name) => (MACH_NOTIFY_DEAD_NAME, Some(name.0)),
        }
    }
}

/// The body of a message that the kernel makes.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// An NDR record and words.
    Words(&'a [u32]),
    /// One port descriptor: the right, and the disposition that the receiver gets.
    Right(Carried, Disposition),
}

impl Body<'_> {
    fn size(&self) -> usize {
        match self {
            Body::Words(words) => Header::SIZE + NDR.len() + size_of_val(*words),
            Body::Right(..) => DESCRIPTORS_OFFSET + PortDescriptor::SIZE,
        }
    }

    fn flags(&self) -> HeaderFlags {
        if matches!(self, Body::Right(..)) { HeaderFlags::COMPLEX } else { HeaderFlags::empty() }
    }
}

impl Ipc {
    /// Makes a message for the live port `port`, which will be sent by a right of the disposition `kind`. The caller
    /// adds that right. A receive right in the body is then in transit; if that would make the message circular, the
    /// message is marked instead.
    ///
    /// # Errors
    /// The body, if memory runs out; nothing has changed.
    pub(crate) fn new_kernel_message<'a>(
        &mut self,
        step: &mut Step,
        (kind, port): (Disposition, PortId),
        id: i32,
        body: Body<'a>,
    ) -> Result<MessageId, Body<'a>> {
        let Ok(message) = self.allocate_for(step, &body) else { return Err(body) };
        let made = &mut self.messages[message];
        let size = made.size;
        let bits = msgh_bits(kind, Disposition::NONE, Disposition::NONE, body.flags());
        // The size in the header is written when the message is delivered.
        made.set_header(&Header { msgh_bits: bits, msgh_id: id, ..Header::default() });
        match body {
            Body::Words(words) => {
                made.bytes[Header::SIZE..][..NDR.len()].copy_from_slice(&NDR);
                made.bytes[Header::SIZE + NDR.len()..size].copy_from_slice(words.as_bytes());
            }
            Body::Right(right, disposition) => {
                made.bytes[Header::SIZE..DESCRIPTORS_OFFSET].copy_from_slice(&1u32.to_le_bytes());
                let descriptor = PortDescriptor::new(PortName(0), disposition);
                descriptor.write_to_prefix(&mut made.bytes[DESCRIPTORS_OFFSET..]).expect("there is room for it");
                let mut way = Way::to(port);
                let fits = match &right {
                    Carried::Right(Right::Receive(right)) => self.begin_transit(right, &mut way),
                    _ => true,
                };
                step.spend(way.walked / WAY_PER_PIECE);
                let made = &mut self.messages[message];
                made.descriptors.push(Descriptor { offset: DESCRIPTORS_OFFSET, right, disposition });
                made.circular = !fits;
            }
        }
        Ok(message)
    }

    /// Makes an empty message with room for a body.
    fn allocate_for(&mut self, step: &mut Step, body: &Body<'_>) -> Result<MessageId, NoMemory> {
        let descriptors = match body {
            Body::Right(..) => store::try_with_capacity(1)?,
            Body::Words(_) => Vec::new(),
        };
        let message = self.new_message(step, body.size(), Credentials::KERNEL)?;
        self.messages[message].descriptors = descriptors;
        Ok(message)
    }

    /// Makes a notification and notes that it has to be sent. Consumes the right to which it goes.
    pub(crate) fn notify(&mut self, step: &mut Step, to: SendOnceRight, notification: Notification) {
        let (id, number) = notification.contents();
        self.send_promised(step, to, id, number);
    }

    /// Makes a port-destroyed notification, with the receive right that would have ended, and notes that it is to be
    /// sent, on the budget of the port that it goes to. A notification that would be circular is destroyed with the
    /// right instead. Without memory the notification of the right's own end takes its place. The right to send is
    /// used up in any case.
    ///
    /// # Errors
    /// Gives the receive right back if the port of `to` is dead, or memory or that budget is used up.
    pub(super) fn notify_port_destroyed(
        &mut self,
        step: &mut Step,
        to: SendOnceRight,
        right: ReceiveRight,
    ) -> Result<(), ReceiveRight> {
        let port = to.port();
        let Some(budget) = self.live_port(port).and_then(|port| port.budget()) else {
            self.consume_send_once(step, to);
            return Err(right);
        };
        let body = Body::Right(Carried::Null, Disposition::PORT_RECEIVE);
        let made = self.new_kernel_message(step, (Disposition::PORT_SEND_ONCE, port), MACH_NOTIFY_PORT_DESTROYED, body);
        let charged = made.map_err(|_| NoMemory).and_then(|message| {
            self.charge_message(message, budget).inspect_err(|_| self.remove_message(step, message)).map(|()| message)
        });
        let Ok(message) = charged else {
            self.destroy_send_once(step, to);
            return Err(right);
        };
        let mut way = Way::to(port);
        let fits = self.begin_transit(&right, &mut way);
        step.spend(way.walked / WAY_PER_PIECE);
        if fits {
            let made = &mut self.messages[message];
            made.descriptors[0].right = Carried::Right(Right::Receive(right));
            made.destination = Carried::Right(Right::SendOnce(to));
            step.later(Work::Post(message));
        } else {
            self.messages[message].descriptors[0].right = Carried::Right(Right::Receive(right));
            self.consume_send_once(step, to);
            self.destroy_message(step, message);
        }
        Ok(())
    }
}
