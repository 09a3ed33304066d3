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
use super::port::{Home, Port};
use super::right::ReceiveRight;
use super::way::Way;
use crate::ids::{PortId, SpaceId};
use crate::limits::CIRCLE_WALK_MAX;
use crate::outcome::Outcome;
use crate::sched::Scheduling;
use crate::step::{Step, Work};
use crate::trace::Event;
use abi::code::MACH_RCV_PORT_CHANGED;
use abi::event::kind;
use abi::port::PortName;

impl Port {
    /// Returns the place of its receive right as far as its boosts are concerned.
    #[inline(always)]
    pub(super) fn home_of_boosts(&self) -> Home {
        if self.boosts_stay { Home::Limbo } else { self.home }
    }
}

impl Ipc {
    /// Puts a receive right into a space, under a name that denotes it already.
    pub(super) fn attach(&mut self, port: PortId, space: SpaceId, name: PortName) {
        self.move_to(port, Home::Space { space, name });
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
        self.move_to(port, Home::Limbo);
    }

    /// Changes the place of a receive right, and takes the port's boosts along.
    #[inline(always)]
    fn move_to(&mut self, port: PortId, home: Home) {
        let (old, old_of_boosts) = self.leave(port, home);
        let state = &mut self.ports[port];
        if !state.boosts.moves_alone(home == Home::Limbo) {
            self.boosts_move(port, old_of_boosts);
        }
        if let Home::Transit(to) = old {
            self.arrived(to);
        }
    }

    /// Writes the new place of a receive right. Returns the old one, and the one that it had for its boosts.
    #[inline(always)]
    fn leave(&mut self, port: PortId, home: Home) -> (Home, Home) {
        let state = &mut self.ports[port];
        let of_boosts = state.home_of_boosts();
        state.boosts_stay = false;
        (core::mem::replace(&mut state.home, home), of_boosts)
    }

    /// Takes note that a receive right is no longer in transit to a port, which may be gone.
    fn arrived(&mut self, at: PortId) {
        let Some(port) = self.ports.get_mut(at) else { return };
        port.arriving -= 1;
        if port.arriving == 0 {
            port.boost_height = u8::from(port.boosts.accepts_donation());
        }
    }

    /// Puts a receive right in limbo into a message for the port at which `way` begins, so that it is in transit. Returns
    /// false, and leaves it in limbo, if the message would then be queued inside the port itself, directly or through
    /// other ports in transit (mach-ipc 6.2): no thread could ever receive it. The same if it cannot be told.
    ///
    /// Boosts pass at most `TRANSIT_WALK_MAX` ports. Those of a port that would be nested deeper stay with it.
    pub fn begin_transit(&mut self, right: &ReceiveRight, way: &mut Way) -> bool {
        let (port, destination) = (right.port(), way.from);
        if self.closes_circle(port, way) != Some(false) {
            return false;
        }
        let height = self.ports[port].boost_height;
        let stay = height > 0 && !self.carries_boosts(destination, height);
        if stay {
            let state = &mut self.ports[port];
            (state.home, state.boosts_stay) = (Home::Transit(destination), true);
        } else {
            self.move_to(port, Home::Transit(destination));
            self.raise_heights(destination, height);
        }
        if let Some(state) = self.ports.get_mut(destination) {
            state.arriving += 1;
        }
        true
    }

    /// Returns true if a receive right that is in a space or in limbo would travel inside itself in a message for the
    /// port at which `way` begins, and `None` if the way is too long to tell.
    ///
    /// Only the last port on the way can be in a space or in limbo. So the way is walked once for a message, whatever
    /// the number of its receive rights, and not at all for ports that no other port is in transit to.
    pub(super) fn closes_circle(&self, port: PortId, way: &mut Way) -> Option<bool> {
        if port == way.from || self.ports[port].arriving == 0 {
            return Some(port == way.from);
        }
        let end = *way.end.get_or_insert_with(|| self.end_of_way(way.from, &mut way.walked));
        end.map(|end| end == port)
    }

    /// Returns the last of the ports of which each is in transit to the next, or `None` if there are more than
    /// [`CIRCLE_WALK_MAX`] behind the first. `walked` is the number of ports that were passed.
    fn end_of_way(&self, from: PortId, walked: &mut u32) -> Option<PortId> {
        let mut at = from;
        while *walked <= CIRCLE_WALK_MAX {
            let Some(Home::Transit(onward)) = self.ports.get(at).map(|port| port.home) else { return Some(at) };
            at = onward;
            *walked += 1;
        }
        None
    }

    /// Returns true if boosts on a way of `height` ports can go on from `port`: no port on the whole way is then deeper
    /// than `TRANSIT_WALK_MAX`.
    fn carries_boosts(&self, port: PortId, height: u8) -> bool {
        let mut at = port;
        for _ in height..self.limits.transit_walk {
            match self.ports.get(at).map(Port::home_of_boosts) {
                Some(Home::Transit(onward)) => at = onward,
                _ => return true,
            }
        }
        false
    }

    /// Takes note that boosts on a way of `height` ports reach a port and those that it travels towards.
    fn raise_heights(&mut self, port: PortId, mut height: u8) {
        let mut at = port;
        while height > 0
            && let Some(port) = self.ports.get_mut(at)
            && port.boost_height <= height
        {
            height += 1;
            port.boost_height = height;
            let Home::Transit(onward) = port.home_of_boosts() else { return };
            at = onward;
        }
    }

    /// Takes note that a port in a space accepts donation.
    pub(super) fn note_donation(&mut self, port: PortId) {
        let port = &mut self.ports[port];
        port.boost_height = port.boost_height.max(1);
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
                let (old, old_of_boosts) = self.leave(port, Home::Limbo);
                self.right_redirected(port, old_of_boosts);
                if let Home::Transit(to) = old {
                    self.arrived(to);
                }
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
        let state = &self.ports[port];
        assert!(state.is_alive(), "{port:?} dies twice");
        let is_idle = state.boosts.is_idle();
        let (old, old_of_boosts) = self.leave(port, Home::Dead);
        if !is_idle {
            self.boosts_end(port, old_of_boosts);
        }
        if let Home::Transit(to) = old {
            self.arrived(to);
        }
        self.stop_counting(port);
        step.trace.record(move || Event::new(kind::PORT_DIED, [port.to_bits()]));
        let state = &self.ports[port];
        if state.has_messages() {
            step.later(Work::Port(port));
            step.port_died(port);
        } else if state.has_requests() {
            step.later(Work::Requests(port));
            step.port_died(port);
        } else {
            self.finish_port(step, port);
        }
    }
}
