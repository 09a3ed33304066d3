//! Counts of rights: the only code that makes and ends rights.
//!
//! To end a right counts it down and notes the consequences in the [`Step`]: a notification, or the death of a port.

use super::Ipc;
use super::kernel_message::Notification;
use super::port::Home;
use super::right::{Carried, Right, SendOnceRight, SendRight};
use crate::ids::{KernelObject, PortId, VoucherId};
use crate::step::{Step, Work};

impl Ipc {
    /// Makes a send right from the receive right of a live port (mach-ipc 1.5).
    pub fn make_send(&mut self, port: PortId) -> SendRight {
        let made = &mut self.ports[port];
        made.make_send_count = made.make_send_count.wrapping_add(1);
        self.copy_send(port)
    }

    /// Makes a copy of a send right to a live port (mach-ipc 1.5).
    pub fn copy_send(&mut self, port: PortId) -> SendRight {
        let copied = &mut self.ports[port];
        assert!(copied.is_alive(), "a send right to dead {port:?} is made");
        copied.send_rights += 1;
        self.totals.send_rights += 1;
        SendRight::counted(port)
    }

    /// Returns a copy of a send right that the kernel keeps for a task.
    pub(crate) fn copy_carried_send(&mut self, kept: &Carried) -> Carried {
        match kept {
            Carried::Null => Carried::Null,
            Carried::Dead => Carried::Dead,
            Carried::Right(right) => match right.port() {
                port if self.live_port(port).is_some() => Carried::Right(Right::Send(self.copy_send(port))),
                _ => Carried::Dead,
            },
        }
    }

    /// Makes a send-once right from the receive right of a live port (mach-ipc 1.5). The caller has made sure of a
    /// [promise](Ipc::promise) for it.
    pub fn make_send_once(&mut self, port: PortId) -> SendOnceRight {
        let made = &mut self.ports[port];
        assert!(made.is_alive(), "a send-once right to dead {port:?} is made");
        made.send_once_rights += 1;
        self.totals.send_once_rights += 1;
        SendOnceRight::counted(port)
    }

    /// Ends a right: see [`destroy_send`](Ipc::destroy_send), [`destroy_send_once`](Ipc::destroy_send_once) and
    /// [`destroy_receive`](Ipc::destroy_receive).
    pub fn destroy_right(&mut self, step: &mut Step, right: Right) {
        match right {
            Right::Send(right) => self.destroy_send(step, right),
            Right::SendOnce(right) => self.destroy_send_once(step, right),
            Right::Receive(right) => self.destroy_receive(step, right),
        }
    }

    /// Ends the right that a place carried, if it carried one.
    pub fn destroy_carried(&mut self, step: &mut Step, carried: Carried) {
        if let Carried::Right(right) = carried {
            self.destroy_right(step, right);
        }
    }

    /// Ends a send right. If it was the last one, the port's no-senders request fires (mach-ipc 2.8), and a voucher whose
    /// port it is will be released (mach-ipc 5.3).
    #[inline(always)]
    pub fn destroy_send(&mut self, step: &mut Step, right: SendRight) {
        let Some(port) = self.live_port_mut(right.port()) else { return };
        port.send_rights -= 1;
        // Most ports have nobody to tell.
        let tell = port.send_rights == 0
            && (port.no_senders.is_some() || matches!(port.home, Home::Kernel(KernelObject::Voucher(_))));
        self.totals.send_rights -= 1;
        if tell {
            self.note_no_senders(step, right.port());
        }
    }

    /// Takes note that a live port, with a no-senders request or of a voucher, has lost its last send right.
    #[inline(never)]
    fn note_no_senders(&mut self, step: &mut Step, port: PortId) {
        let state = &mut self.ports[port];
        if let Some(notify) = state.no_senders.take() {
            let count = state.make_send_count;
            self.notify(step, notify, Notification::NoSenders(count));
        } else if matches!(state.home, Home::Kernel(KernelObject::Voucher(_)))
            && !core::mem::replace(&mut state.no_senders_listed, true)
        {
            step.later(Work::NoSenders(port));
        }
    }

    /// Takes note that the work which releases a voucher is being done. Returns the voucher whose port this is, unless
    /// there are send rights again.
    pub fn take_no_senders(&mut self, port: PortId) -> Option<VoucherId> {
        let state = &mut self.ports[port];
        state.no_senders_listed = false;
        if state.send_rights == 0 { self.voucher_behind(port) } else { None }
    }

    /// Ends a send right without firing the no-senders request. If it was the last one and there is a request, takes
    /// the request and returns it with the make-send count.
    pub(super) fn count_down_send(&mut self, right: SendRight) -> Option<(SendOnceRight, u32)> {
        let port = self.live_port_mut(right.port())?;
        port.send_rights -= 1;
        let no_senders = if port.send_rights == 0 { port.no_senders.take() } else { None };
        let count = port.make_send_count;
        self.totals.send_rights -= 1;
        no_senders.map(|notify| (notify, count))
    }

    /// Ends a send right that is not the last one.
    pub(super) fn drop_spare_send(&mut self, right: SendRight) {
        let port = self.live_port_mut(right.port()).expect("the port is alive");
        port.send_rights -= 1;
        assert!(port.send_rights > 0, "the last send right to {:?} ends as a spare one", right.port());
        self.totals.send_rights -= 1;
    }

    /// Ends an unused send-once right: its port gets a send-once notification (mach-ipc 2.8).
    pub fn destroy_send_once(&mut self, step: &mut Step, right: SendOnceRight) {
        self.sever_reply_link(step, right.port());
        self.notify(step, right, Notification::SendOnce);
    }

    /// Ends a send-once right by which a message was delivered.
    #[inline]
    pub fn consume_send_once(&mut self, step: &mut Step, right: SendOnceRight) {
        if let Some(port) = self.live_port_mut(right.port()) {
            port.send_once_rights -= 1;
            self.totals.send_once_rights -= 1;
            self.end_idle_promises(step, right.port());
        }
    }

    /// Ends the right by which a message was delivered.
    pub fn consume_destination(&mut self, step: &mut Step, right: Right) {
        match right {
            Right::Send(right) => self.destroy_send(step, right),
            Right::SendOnce(right) => self.consume_send_once(step, right),
            Right::Receive(right) => panic!("a message was sent to {:?} by its receive right", right.port()),
        }
    }

    /// Takes a port that dies, with its rights, out of the totals of live ones.
    pub(super) fn stop_counting(&mut self, port: PortId) {
        let dying = &self.ports[port];
        self.totals.send_rights -= u64::from(dying.send_rights);
        self.totals.send_once_rights -= u64::from(dying.send_once_rights);
        self.totals.dead_ports += 1;
    }
}
