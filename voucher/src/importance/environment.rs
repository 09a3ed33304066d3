//! [`Environment`]: what importance must know of the rest of the kernel.

use super::element::{ElementId, TaskNumber};

/// The kernel's number for a port. Only the kernel interprets it.
pub type PortNumber = u64;

/// The rest of the kernel, as far as importance asks it. The kernel implements it over its ports and clock.
pub trait Environment {
    /// Returns the boosts and the place of a port, or `None` if it is dead.
    fn port(&mut self, port: PortNumber) -> Option<(&mut PortBoosts, Place)>;

    /// Returns the time since the start, in nanoseconds. It is asked only when an application must wait for the delayed
    /// drop.
    fn now(&self) -> u64;

    /// Returns the process id of a live task, for the text that describes a value.
    fn process_id(&self, task: TaskNumber) -> i32;
}

/// The place of a port's receive right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the space of a task, with its element, or in a space without one.
    Space(Option<ElementId>),
    /// In a message to this port.
    Transit(PortNumber),
    /// Taken out of a space and not in a message yet.
    Limbo,
}

/// The importance of a port (importance 1.5). The kernel keeps it with the port.
///
/// A clone is for looking at: the counts are those of the original.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PortBoosts {
    /// The boosts on this port, including those of the ports that travel towards it.
    pub(super) count: u64,
    pub(super) donation: bool,
    pub(super) temp_owner: bool,
    /// The task that gets the boosts, while `temp_owner`.
    pub(super) bound: Option<ElementId>,
    /// One boost is held for a request to be told when the queue has room.
    pub(super) send_possible: bool,
}

impl PortBoosts {
    /// Returns the number of boosts.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Returns true if messages to the port can donate.
    #[inline]
    pub const fn accepts_donation(&self) -> bool {
        self.donation
    }

    /// Returns true if the boosts are not those of the task that has the receive right.
    pub const fn is_temp_owner(&self) -> bool {
        self.temp_owner
    }

    /// Returns the task that gets the boosts of a port with a temporary owner.
    pub const fn bound(&self) -> Option<ElementId> {
        self.bound
    }

    /// Returns true if a boost is held for a request to be told when the queue has room.
    pub const fn holds_send_possible(&self) -> bool {
        self.send_possible
    }

    /// Lets messages to the port donate, from now on (importance 3.1).
    pub const fn accept_donation(&mut self) {
        self.donation = true;
    }

    /// Takes note that the receive right has moved, into limbo or to another place, if no boosts depend on it: there are
    /// none, and no task is bound to the port. It is the short form of
    /// [`right_moved`](super::Importance::right_moved), which the kernel calls if the result is false.
    #[inline]
    pub const fn moves_alone(&mut self, into_limbo: bool) -> bool {
        if !self.is_idle() {
            return false;
        }
        self.temp_owner = into_limbo;
        true
    }

    /// Returns true if there are no boosts, and no task is bound to the port.
    #[inline]
    pub const fn is_idle(&self) -> bool {
        self.count == 0 && self.bound.is_none()
    }

    /// Returns the task that gets the boosts if the port is the base of its chain.
    pub(super) const fn accounting(&self, place: Place) -> Option<ElementId> {
        match place {
            _ if self.temp_owner => self.bound,
            Place::Space(holder) => holder,
            Place::Transit(_) | Place::Limbo => None,
        }
    }
}

/// Which way counts go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Hold,
    Drop,
}

impl Direction {
    pub const fn is_hold(self) -> bool {
        matches!(self, Direction::Hold)
    }
}

/// Adds boosts to a port and to every port that it travels towards, or takes them away, and returns the task that
/// they count for (importance 4.4). Counts the visited ports in `visits`.
pub(super) fn change_chain(
    environment: &mut dyn Environment,
    mut port: PortNumber,
    direction: Direction,
    boosts: u64,
    visits: &mut u64,
) -> Option<ElementId> {
    loop {
        *visits += 1;
        let (port_boosts, place) = environment.port(port)?;
        port_boosts.count = match direction {
            Direction::Hold => port_boosts.count + boosts,
            Direction::Drop => port_boosts.count.checked_sub(boosts).expect("a port loses boosts that it has (DV-12)"),
        };
        match place {
            Place::Transit(next) => port = next,
            _ => return port_boosts.accounting(place),
        }
    }
}

/// Returns the task that the boosts of a port count for.
pub(super) fn accounting_element(environment: &mut dyn Environment, mut port: PortNumber) -> Option<ElementId> {
    loop {
        let (boosts, place) = environment.port(port)?;
        match place {
            Place::Transit(next) => port = next,
            _ => return boosts.accounting(place),
        }
    }
}
