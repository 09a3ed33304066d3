//! Who waits for what destruction does: the threads whose priority the work on dead ports and tasks has.
//!
//! A thread waits for the end of a port if it is blocked sending to it, or if it receives from a port to which that end
//! sends a message: a notification that was requested, or the send-once notification for the reply right of a message. A
//! client waits for the end of a task that has the right to its reply.
//!
//! Only so many places are looked at, so that the end of a task costs its cause a bounded time, and looking counts as work.
//! Threads that begin to wait later are not noticed.

use super::Ipc;
use super::entry::EntryRight;
use super::right::{Carried, Right};
use crate::ids::{PortId, SpaceId};
use crate::limits::WAITERS_LOOK_MAX;
use crate::sched::Scheduling;

/// A search for the most urgent thread that waits.
#[derive(Debug)]
pub(crate) struct Look {
    most_urgent: u8,
    left: u32,
}

impl Look {
    /// Returns a search that has found nobody yet.
    pub(crate) fn new() -> Look {
        Look { most_urgent: 0, left: WAITERS_LOOK_MAX }
    }

    /// Returns the base priority of the most urgent thread that was found, or 0.
    pub(crate) fn most_urgent(&self) -> u8 {
        self.most_urgent
    }

    /// Returns the number of places that were looked at.
    pub(crate) fn places(&self) -> u32 {
        WAITERS_LOOK_MAX - self.left
    }

    /// Counts one more place. Returns false if that is one too many.
    fn goes_on(&mut self) -> bool {
        self.count(1);
        self.left > 0
    }

    fn count(&mut self, places: usize) {
        self.left = self.left.saturating_sub(places as u32);
    }
}

impl Ipc {
    /// Looks at the thread that gets the next message of a port. It may wait on any of the port's sets: each is a place.
    pub(crate) fn look_at_receiver(&self, sched: &Scheduling, port: PortId, look: &mut Look) {
        let Some(state) = self.live_port(port) else { return };
        look.count(state.memberships.len());
        if let Some(thread) = self.waiting_receiver(port) {
            look.most_urgent = look.most_urgent.max(sched[thread].schedule().base);
        }
    }

    /// Looks at those who wait for the end of a port.
    pub(crate) fn look_at_dead_port(&self, sched: &Scheduling, port: PortId, look: &mut Look) {
        let Some(state) = self.ports.get(port) else { return };
        if let Some(sender) = state.senders.first() {
            look.most_urgent = look.most_urgent.max(sched[sender].schedule().base);
        }
        let requests = state.requests.iter(&self.requests).map(|(_, request)| &request.notify);
        for notify in state.no_senders.iter().chain(requests) {
            if !look.goes_on() {
                return;
            }
            self.look_at_receiver(sched, notify.port(), look);
        }
        for message in state.queue.iter(&self.messages) {
            if !look.goes_on() {
                return;
            }
            if let Carried::Right(Right::SendOnce(reply)) = &self.messages[message].reply {
                self.look_at_receiver(sched, reply.port(), look);
            }
        }
    }

    /// Looks at those who wait for the end of a task's names.
    pub(crate) fn look_at_names(&self, sched: &Scheduling, space: SpaceId, look: &mut Look) {
        let names = &self.spaces[space];
        for index in 0..names.capacity() {
            if !look.goes_on() {
                return;
            }
            match names.name_at(index).and_then(|name| names.get(name)).map(|entry| entry.right) {
                Some(EntryRight::SendOnce { port }) => self.look_at_receiver(sched, port, look),
                Some(EntryRight::Receive { port, .. }) => self.look_at_dead_port(sched, port, look),
                _ => {}
            }
        }
    }
}
