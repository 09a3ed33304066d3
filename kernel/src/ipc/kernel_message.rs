//! Messages that the kernel makes: notifications about what became of rights (mach-ipc 2.8), and replies to calls.
//!
//! A notification goes to a send-once right that was registered for it. It ignores the queue limit, and vanishes if it
//! cannot be delivered: a dead destination, 65,534 messages queued, no memory, or none left in the receiver's budget.
//!
//! The message is made where the reason for it arises, and sent when the step comes to it ([`Work::Post`]).

use super::Ipc;
use super::message::Descriptor;
use super::right::{Carried, ReceiveRight, Right, SendOnceRight};
use crate::credentials::Credentials;
use crate::ids::{MessageId, PortId};
use crate::machine::NoMemory;
use crate::step::{Step, Work};
use abi::message::*;
use abi::mig::NDR;
use abi::port::{Disposition, PortName};
use alloc::vec::Vec;
use zerocopy::IntoBytes;

/// What a notification tells.
#[derive(Debug)]
pub enum Notification {
    /// A name with a pending request is gone, its port lives.
    PortDeleted(PortName),
    /// There is room in the queue again.
    SendPossible(PortName),
    /// The receive right that would have ended.
    PortDestroyed(ReceiveRight),
    /// The last send right is gone; the number of send rights that were made.
    NoSenders(u32),
    /// The send-once right itself ended unused.
    SendOnce,
    /// The port died.
    DeadName(PortName),
}

impl Notification {
    /// Returns the message id, and the number in the body if there is one.
    fn contents(&self) -> (i32, Option<u32>) {
        match *self {
            Notification::PortDeleted(name) => (MACH_NOTIFY_PORT_DELETED, Some(name.0)),
            Notification::SendPossible(name) => (MACH_NOTIFY_SEND_POSSIBLE, Some(name.0)),
            Notification::PortDestroyed(_) => (MACH_NOTIFY_PORT_DESTROYED, None),
            Notification::NoSenders(count) => (MACH_NOTIFY_NO_SENDERS, Some(count)),
            Notification::SendOnce => (MACH_NOTIFY_SEND_ONCE, None),
            Notification::DeadName(name) => (MACH_NOTIFY_DEAD_NAME, Some(name.0)),
        }
    }
}

/// What a message of the kernel's own contains.
#[derive(Debug)]
pub(crate) enum Body<'a> {
    /// A header alone.
    Empty,
    /// An NDR record and words.
    Words(&'a [u32]),
    /// One port descriptor: the right, and what a receiver sees beside it.
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
    /// Makes a message of the kernel's own for `to`, a right to send of the kind `kind` to the live port `port`, without
    /// the right itself. A receive right in it is in transit, unless that would be circular: the message is marked then.
    ///
    /// # Errors
    /// Gives the body back if there is no memory; nothing has changed.
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
        made.set_header(&Header { msgh_bits: bits, msgh_size: size as u32, msgh_id: id, ..Header::default() });
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
                let fits = match &right {
                    Carried::Right(Right::Receive(right)) => self.begin_transit(right, port),
                    _ => true,
                };
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

    /// Makes a notification and notes that it is to be sent. The right is used up in any case.
    pub(crate) fn notify(&mut self, step: &mut Step, to: SendOnceRight, notification: Notification) {
        let (id, number) = notification.contents();
        let number = number.map(|number| [number]);
        let body = match (notification, &number) {
            (Notification::PortDestroyed(right), _) => {
                Body::Right(Carried::Right(Right::Receive(right)), Disposition::PORT_RECEIVE)
            }
            (_, Some(number)) => Body::Words(number),
            (_, None) => Body::Empty,
        };
        self.send_from_kernel(step, to, id, body);
    }

    /// Makes a message of the kernel's own for a send-once right and notes that it is to be sent. If it cannot be made, or
    /// would travel inside itself, what it was to carry is destroyed.
    pub(crate) fn send_from_kernel(&mut self, step: &mut Step, to: SendOnceRight, id: i32, body: Body<'_>) {
        let port = to.port();
        let made = match self.live_port(port) {
            Some(_) => self.new_kernel_message(step, (Disposition::PORT_SEND_ONCE, port), id, body),
            None => Err(body),
        };
        match made {
            Err(body) => {
                self.consume_send_once(to);
                if let Body::Right(carried, _) = body {
                    self.destroy_carried(step, carried);
                }
            }
            Ok(message) if self.messages[message].circular => {
                self.consume_send_once(to);
                self.destroy_message(step, message);
            }
            Ok(message) => {
                self.messages[message].destination = Carried::Right(Right::SendOnce(to));
                step.later(Work::Post(message));
            }
        }
    }
}
