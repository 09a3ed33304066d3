//! Notifications: messages from the kernel about what became of rights (mach-ipc 2.8).
//!
//! They go to a send-once right that somebody left for the purpose, ignore the queue limit, and vanish if they cannot be
//! delivered: a dead destination, 65,534 messages queued, no memory, or none left in the receiver's budget.

use crate::ipc::message::Descriptor;
use crate::ipc::right::{Carried, ReceiveRight, Right, SendOnceRight};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::task::Credentials;
use abi::message::*;
use abi::mig::NDR;
use abi::port::{Disposition, MACH_PORT_QLIMIT_KERNEL, PortName};
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
    /// The last send right is gone; so many had been made.
    NoSenders(u32),
    /// The send-once right itself ended unused.
    SendOnce,
    /// The port died.
    DeadName(PortName),
}

impl Notification {
    /// Message id, and the number in the body if there is one.
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

impl Kernel {
    /// Sends a notification. The right is used up whatever happens.
    pub(crate) fn notify(&mut self, m: &mut dyn Machine, to: SendOnceRight, notification: Notification) {
        let (id, number) = notification.contents();
        let mut body = [0; 12];
        body[..8].copy_from_slice(&NDR);
        body[8..].copy_from_slice(&number.unwrap_or(0).to_le_bytes());
        let body: &[u8] = if number.is_some() { &body } else { &[] };
        match notification {
            Notification::PortDestroyed(right) => self.send_from_kernel(m, to, id, body, Some(right)),
            _ => self.send_from_kernel(m, to, id, body, None),
        }
    }

    /// The last send right of a port is gone.
    pub(super) fn notify_no_senders(&mut self, m: &mut dyn Machine, to: SendOnceRight, make_send_count: u32) {
        self.notify(m, to, Notification::NoSenders(make_send_count));
    }

    /// A send-once right ends unused: the notification goes to its own port.
    pub(super) fn notify_send_once(&mut self, m: &mut dyn Machine, right: SendOnceRight) {
        self.notify(m, right, Notification::SendOnce);
    }

    /// Sends a message of the kernel's own to a send-once right, with a receive right in a descriptor if there is one;
    /// `body` is then empty.
    pub(crate) fn send_from_kernel(
        &mut self,
        m: &mut dyn Machine,
        to: SendOnceRight,
        id: i32,
        body: &[u8],
        carrying: Option<ReceiveRight>,
    ) {
        let port = to.port();
        let room = |queued: usize| queued < MACH_PORT_QLIMIT_KERNEL as usize;
        let reachable = self.live_port(port).is_some_and(|port| room(port.queue.len()));
        let size =
            if carrying.is_some() { DESCRIPTORS_OFFSET + PortDescriptor::SIZE } else { Header::SIZE + body.len() };
        let made = if reachable { self.new_message(size, Credentials::KERNEL).ok() } else { None };
        let Some(message) = made else {
            self.consume_send_once(to);
            if let Some(right) = carrying {
                self.destroy_receive(m, right);
            }
            return;
        };
        let flags = if carrying.is_some() { HeaderFlags::COMPLEX } else { HeaderFlags::empty() };
        let bits = msgh_bits(Disposition::PORT_SEND_ONCE, Disposition::NONE, Disposition::NONE, flags);
        let header = Header { msgh_bits: bits, msgh_size: size as u32, msgh_id: id, ..Header::default() };
        self.messages[message].set_header(&header);
        if let Some(right) = carrying {
            if !self.put_receive_right_into(m, message, right, port) {
                self.consume_send_once(to);
                return;
            }
        } else {
            self.messages[message].bytes[Header::SIZE..size].copy_from_slice(body);
        }
        self.messages[message].destination = Carried::Right(Right::SendOnce(to));
        self.post_from_kernel(m, message, port);
    }

    /// Makes `right` the one descriptor of a kernel message for port `to`. If that would be circular, or there is no
    /// memory, right and message are destroyed; tells whether the message can be sent.
    fn put_receive_right_into(
        &mut self,
        m: &mut dyn Machine,
        message: crate::ipc::message::MessageId,
        right: ReceiveRight,
        to: crate::ipc::port::PortId,
    ) -> bool {
        let Ok(mut descriptors) = store::try_with_capacity(1) else {
            self.remove_message(message);
            self.destroy_receive(m, right);
            return false;
        };
        let circular = !self.begin_transit(&right, to);
        let descriptor = PortDescriptor::new(PortName(0), Disposition::PORT_RECEIVE);
        descriptors.push(Descriptor {
            offset: DESCRIPTORS_OFFSET,
            right: Carried::Right(Right::Receive(right)),
            disposition: Disposition::PORT_RECEIVE,
        });
        let carrier = &mut self.messages[message];
        carrier.bytes[Header::SIZE..DESCRIPTORS_OFFSET].copy_from_slice(&1u32.to_le_bytes());
        descriptor.write_to_prefix(&mut carrier.bytes[DESCRIPTORS_OFFSET..]).expect("the message has room for it");
        carrier.descriptors = descriptors;
        if circular {
            self.destroy_message(message);
        }
        !circular
    }
}
