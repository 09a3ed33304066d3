//! The place of a receive right: the only code that writes a port's [`Home`] (mach-ipc 6).
//!
//! ```text
//!            detach                  begin_transit
//! Space ─────────────► Limbo ─────────────────────► Transit(port of the message)
//!   ▲                    │                             │
//!   └──────── attach ────┴─────────────────────────────┤ delivered
//!                        └──► destroy_receive ◄────────┘ taken apart
//! ```

use super::Ipc;
use super::port::Home;
use super::right::ReceiveRight;
use crate::ids::{PortId, SpaceId};
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::step::{Step, Work};
use crate::trace::Event;
use abi::code::MACH_RCV_PORT_CHANGED;
use abi::event::kind;
use abi::port::PortName;

impl Ipc {
    /// Puts a receive right into a space, under a name that denotes it already.
    pub(super) fn attach(&mut self, port: PortId, space: SpaceId, name: PortName) {
        if let Some(old) = self.ports[port].move_to(Home::Space { space, name }) {
            self.boosts_move(port, old);
        }
    }

    /// Takes a receive right out of its space into limbo: the port leaves its sets, the receives of threads that wait
    /// on it end, and the values that belong to the owner are reset. The caller has removed the right from its name.
    pub(super) fn detach(&mut self, sched: &mut Scheduling, step: &mut Step, port: PortId) {
        self.leave_all_sets(step, port, None);
        self.leave_role(sched, step, port);
        let state = &mut self.ports[port];
        while let Some(receiver) = state.receivers.first() {
            sched.end_wait(step, receiver, Some(&mut state.receivers));
            sched.finish(receiver, Outcome::undelivered(MACH_RCV_PORT_CHANGED));
        }
        state.forget_owner();
        if let Some(old) = state.move_to(Home::Limbo) {
            self.boosts_move(port, old);
        }
    }

    /// Puts a receive right in limbo into a message for `destination`, so that it is in transit. Returns false, and
    /// leaves it in limbo, if the message would then be queued inside the port itself, directly or through other ports
    /// in transit (mach-ipc 6.2): no thread could ever receive it.
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
        if let Some(old) = self.ports[right.port()].move_to(Home::Transit(destination)) {
            self.boosts_move(right.port(), old);
        }
        true
    }

    /// Ends a receive right that is in no space. The port dies, unless it has a port-destroyed request: the
    /// notification then carries the right (mach-ipc 6.4, 6.5).
    pub fn destroy_receive(&mut self, step: &mut Step, right: ReceiveRight) {
        let port = right.port();
        let state = &mut self.ports[port];
        assert!(!matches!(state.home, Home::Space { .. }), "the receive right of {port:?} ends while it is in a space");
        state.forget_owner();
        let given = match state.port_destroyed.take() {
            Some(requester) => {
                let old = core::mem::replace(&mut state.home, Home::Limbo);
                self.right_redirected(port, old);
                self.notify_port_destroyed(step, requester, right)
            }
            None => Err(right),
        };
        if let Err(right) = given {
            self.destroy_port(step, right.port());
        }
    }

    /// Lets a port die. From now on names for it are dead names. It is taken apart piece by piece; a port without
    /// messages and requests is removed at once.
    pub fn destroy_port(&mut self, step: &mut Step, port: PortId) {
        let state = &mut self.ports[port];
        assert!(state.is_alive(), "{port:?} dies twice");
        if state.boosts.is_idle() {
            state.home = Home::Dead;
        } else {
            let old = core::mem::replace(&mut state.home, Home::Dead);
            self.boosts_end(port, old);
        }
        self.stop_counting(port);
        step.trace.record(|| Event::new(kind::PORT_DIED, [port.to_bits()]));
        let state = &self.ports[port];
        if state.has_messages() {
            step.later(Work::Port(port));
        } else if state.has_requests() {
            step.later(Work::Requests(port));
        } else {
            self.finish_port(step, port);
        }
    }
}
