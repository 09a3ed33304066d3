//! Counts of rights: the only code that makes and ends them.
//!
//! Ending a right counts, and notes in the [`Step`] what follows: a notification, or the death of a port. It does no more
//! than that.

use super::Ipc;
use super::kernel_message::Notification;
use super::port::{Home, Port};
use super::right::{Carried, Right, SendOnceRight, SendRight};
use crate::ids::{KernelObject, PortId};
use crate::step::Step;

impl Ipc {
    /// Returns the port, unless it is dead.
    #[inline(always)]
    pub fn live_port(&self, port: PortId) -> Option<&Port> {
        self.ports.get(port).filter(|port| port.is_alive())
    }

    /// Returns the port, unless it is dead.
    #[inline(always)]
    pub(super) fn live_port_mut(&mut self, port: PortId) -> Option<&mut Port> {
        self.ports.get_mut(port).filter(|port| port.is_alive())
    }

    /// Makes a send right of a live port (mach-ipc 1.5).
    pub fn make_send(&mut self, port: PortId) -> SendRight {
        let made = &mut self.ports[port];
        made.make_send_count = made.make_send_count.wrapping_add(1);
        self.copy_send(port)
    }

    /// Makes another send right of a live port that has one (mach-ipc 1.5).
    pub fn copy_send(&mut self, port: PortId) -> SendRight {
        let copied = &mut self.ports[port];
        assert!(copied.is_alive(), "a send right of dead {port:?} is made");
        copied.send_rights += 1;
        self.totals.send_rights += 1;
        SendRight::counted(port)
    }

    /// Makes a send-once right of a live port (mach-ipc 1.5).
    pub fn make_send_once(&mut self, port: PortId) -> SendOnceRight {
        let made = &mut self.ports[port];
        assert!(made.is_alive(), "a send-once right of dead {port:?} is made");
        made.send_once_rights += 1;
        self.totals.send_once_rights += 1;
        SendOnceRight::counted(port)
    }

    /// Ends a right. With the last send right a no-senders request fires, a send-once right that ends unused is told to
    /// its port, and with a receive right the port dies.
    pub fn destroy_right(&mut self, step: &mut Step, right: Right) {
        match right {
            Right::Send(right) => self.destroy_send(step, right),
            Right::SendOnce(right) => self.destroy_send_once(step, right),
            Right::Receive(right) => self.destroy_receive(step, right),
        }
    }

    /// Ends what a place of a message carried.
    pub fn destroy_carried(&mut self, step: &mut Step, carried: Carried) {
        if let Carried::Right(right) = carried {
            self.destroy_right(step, right);
        }
    }

    /// Ends a send right. With the last one a registered no-senders request fires (mach-ipc 2.8).
    pub fn destroy_send(&mut self, step: &mut Step, right: SendRight) {
        if let Some((notify, count)) = self.count_down_send(right) {
            self.notify(step, notify, Notification::NoSenders(count));
        }
    }

    /// Ends a send right without noting a notification. If it was the last one, returns the right that the no-senders
    /// notification goes to and the number of send rights that were made.
    pub(super) fn count_down_send(&mut self, right: SendRight) -> Option<(SendOnceRight, u32)> {
        let port = self.live_port_mut(right.port())?;
        port.send_rights -= 1;
        let no_senders = if port.send_rights == 0 { port.no_senders.take() } else { None };
        let count = port.make_send_count;
        self.totals.send_rights -= 1;
        no_senders.map(|notify| (notify, count))
    }

    /// Ends a send right that is known not to be the last one.
    pub(super) fn drop_spare_send(&mut self, right: SendRight) {
        let port = self.live_port_mut(right.port()).expect("a spare send right is one of a live port");
        port.send_rights -= 1;
        assert!(port.send_rights > 0, "the last send right of {:?} is dropped as if it were spare", right.port());
        self.totals.send_rights -= 1;
    }

    /// Ends a send-once right unused: its port learns of it (mach-ipc 2.8).
    pub fn destroy_send_once(&mut self, step: &mut Step, right: SendOnceRight) {
        self.notify(step, right, Notification::SendOnce);
    }

    /// Ends a send-once right that has done its work.
    #[inline]
    pub fn consume_send_once(&mut self, right: SendOnceRight) {
        if let Some(port) = self.live_port_mut(right.port()) {
            port.send_once_rights -= 1;
            self.totals.send_once_rights -= 1;
        }
    }

    /// Ends a right by which a message was sent: it has done its work.
    pub fn consume_destination(&mut self, step: &mut Step, right: Right) {
        match right {
            Right::Send(right) => self.destroy_send(step, right),
            Right::SendOnce(right) => self.consume_send_once(right),
            Right::Receive(right) => panic!("a message was sent to {:?} by its receive right", right.port()),
        }
    }

    /// Returns true if a port is one of the kernel's own.
    pub fn is_kernel_port(&self, port: PortId) -> bool {
        self.object_behind(port).is_some()
    }

    /// Returns the kernel object behind a port.
    pub fn object_behind(&self, port: PortId) -> Option<KernelObject> {
        match self.ports.get(port)?.home {
            Home::Kernel(object) => Some(object),
            _ => None,
        }
    }
}
