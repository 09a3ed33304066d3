//! Where a receive right is: the only code that writes a port's home (mach-ipc 6).
//!
//! ```text
//!            detach                  begin_transit
//! Space ─────────────► Limbo ─────────────────────► Transit(port of the message)
//!   ▲                    │                             │
//!   └──────── attach ────┴─────────────────────────────┤ delivered
//!                        └──────── kill ◄──────────────┘ destroyed
//! ```

use super::Ipc;
use super::kernel_message::Notification;
use super::port::Home;
use super::right::ReceiveRight;
use crate::ids::{PortId, SpaceId};
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::step::{Step, Work};
use crate::trace::Event;
use abi::code::MACH_RCV_PORT_CHANGED;
use abi::port::PortName;

impl Ipc {
    /// A receive right has arrived in a space, under a name.
    pub(super) fn attach(&mut self, port: PortId, space: SpaceId, name: PortName) {
        let state = &mut self.ports[port];
        state.home = Home::Space { space, name };
        state.temp_owner = false;
    }

    /// A receive right leaves its space: the port leaves its sets, those who wait on it are told, and what the owner set is
    /// forgotten.
    pub(super) fn detach(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) {
        self.leave_all_sets(port, None);
        let state = &mut self.ports[port];
        while let Some(receiver) = state.receivers.first() {
            sched.end_wait(step, receiver, Some(&mut state.receivers));
            sched.finish(receiver, Outcome::undelivered(MACH_RCV_PORT_CHANGED));
        }
        state.forget_owner();
        state.home = Home::Limbo;
        state.temp_owner = true;
    }

    /// A receive right in limbo becomes part of a message for `destination`. Returns false if it cannot: the message would
    /// travel inside the port itself, directly or through other ports (mach-ipc 6.2).
    pub fn begin_transit(&mut self, right: &ReceiveRight, destination: PortId) -> bool {
        let mut next = Some(destination);
        while let Some(port) = next {
            if port == right.port() {
                return false;
            }
            next = match self.ports.get(port).map(|port| port.home) {
                Some(Home::Transit(onward)) => Some(onward),
                _ => None,
            };
        }
        let state = &mut self.ports[right.port()];
        state.home = Home::Transit(destination);
        state.temp_owner = false;
        true
    }

    /// Ends a receive right, which is in no space: the port dies, unless a port-destroyed request gets the right instead
    /// (mach-ipc 6.4, 6.5).
    pub fn destroy_receive(&mut self, step: &mut Step, right: ReceiveRight) {
        let port = right.port();
        let state = &mut self.ports[port];
        assert!(!matches!(state.home, Home::Space { .. }), "the receive right of {port:?} ends in a space");
        state.forget_owner();
        state.home = Home::Limbo;
        state.temp_owner = true;
        match state.port_destroyed.take() {
            Some(requester) => self.notify(step, requester, Notification::PortDestroyed(right)),
            None => self.destroy_port(step, port),
        }
    }

    /// Lets a port die. From now on every name for it is a dead name. Its messages and requests are taken apart piece by
    /// piece; a port that has none is forgotten at once.
    pub fn destroy_port(&mut self, step: &mut Step, port: PortId) {
        let state = &mut self.ports[port];
        assert!(state.is_alive(), "{port:?} dies twice");
        state.home = Home::Dead;
        self.totals.send_rights -= u64::from(state.send_rights);
        self.totals.send_once_rights -= u64::from(state.send_once_rights);
        self.totals.dead_ports += 1;
        step.trace.record(Event::PortDied(port));
        if state.has_messages() {
            step.later(Work::Port(port));
        } else if state.has_requests() {
            step.later(Work::Requests(port));
        } else {
            self.finish_port(step, port);
        }
    }
}
