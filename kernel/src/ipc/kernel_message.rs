//! Messages that the kernel makes: notifications about rights (mach-ipc 2.8), and replies to calls of kernel objects.
//!
//! A notification goes to a send-once right that was registered for it. The queue limit does not count for it. It is
//! dropped if it cannot be delivered: if its port is dead, 65,534 messages are queued, or memory or the receiver's
//! budget is used up.
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
    /// No body.
    Empty,
    /// An NDR record and words.
    Words(&'a [u32]),
    /// One port descriptor: the right, and the disposition that the receiver gets.
    Right(Carried, Disposition),
}

impl Body<'_> {
    fn size(&self) -> usize {
        match self {
            Body::Empty => Header::SIZE,
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
            Body::Empty => {}
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
            Body::Empty | Body::Words(_) => Vec::new(),
        };
        let message = self.new_message(step, body.size(), Credentials::KERNEL)?;
        self.messages[message].descriptors = descriptors;
        Ok(message)
    }

    /// Makes a notification and notes that it has to be sent. Consumes the right to which it goes.
    pub(crate) fn notify(&mut self, step: &mut Step, to: SendOnceRight, notification: Notification) {
        let (id, number) = notification.contents();
        let number = number.map(|number| [number]);
        let body = number.as_ref().map_or(Body::Empty, |number| Body::Words(number));
        // A notification that cannot be made vanishes.
        let _ = self.send_from_kernel(step, to, id, body);
    }

    /// Makes a port-destroyed notification, with the receive right that would have ended, and notes that it is to be
    /// sent. The right to send is used up in any case.
    ///
    /// # Errors
    /// Gives the receive right back if the port of `to` is dead or memory runs out.
    pub(super) fn notify_port_destroyed(
        &mut self,
        step: &mut Step,
        to: SendOnceRight,
        right: ReceiveRight,
    ) -> Result<(), ReceiveRight> {
        let body = Body::Right(Carried::Right(Right::Receive(right)), Disposition::PORT_RECEIVE);
        self.send_from_kernel(step, to, MACH_NOTIFY_PORT_DESTROYED, body).map_err(|body| match body {
            Body::Right(Carried::Right(Right::Receive(right)), _) => right,
            other => panic!("{other:?} comes back in place of a receive right"),
        })
    }

    /// Makes a message for a send-once right, which is consumed in any case, and notes that it has to be sent. A
    /// message that would be circular is destroyed with its body instead.
    ///
    /// # Errors
    /// Gives the body back if the right's port is dead or memory runs out.
    pub(crate) fn send_from_kernel<'a>(
        &mut self,
        step: &mut Step,
        to: SendOnceRight,
        id: i32,
        body: Body<'a>,
    ) -> Result<(), Body<'a>> {
        let port = to.port();
        let made = match self.live_port(port) {
            Some(_) => self.new_kernel_message(step, (Disposition::PORT_SEND_ONCE, port), id, body),
            None => Err(body),
        };
        match made {
            Ok(message) if self.messages[message].circular => {
                self.consume_send_once(to);
                self.destroy_message(step, message);
            }
            Ok(message) => {
                self.messages[message].destination = Carried::Right(Right::SendOnce(to));
                step.later(Work::Post(message));
            }
            Err(body) => {
                self.consume_send_once(to);
                return Err(body);
            }
        }
        Ok(())
    }
}
