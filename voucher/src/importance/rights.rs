//! The counts of ports whose receive rights move, die or change their owner (importance 3).
//!
//! One rule covers all cases. A change of a receive right's place, or of its temporary owner, can change the task that
//! its boosts count for and the ports that they are added to. The boosts are added to the new ones first and then taken
//! from the old ones.

use super::Importance;
use super::element::ElementId;
use super::environment::{Direction, Environment, Place, PortBoosts, PortNumber, accounting_element, change_chain};
use super::hooks::SendMode;

impl Importance {
    /// Gives a port a temporary owner, for now nobody: its boosts cease to count for a task (importance 3.2).
    pub fn set_temp_owner(&mut self, environment: &mut dyn Environment, port: PortNumber) {
        let from = accounting_element(environment, port);
        let Some((boosts, _)) = environment.port(port) else { return };
        boosts.donation = true;
        boosts.temp_owner = true;
        let (boosts, binding) = (boosts.count, boosts.bound.take());
        self.transfer(environment, from, None, boosts);
        self.release_binding(binding);
    }

    /// Lets the boosts of a port with a temporary owner count for a task that is being started to serve it: a watch port
    /// (importance 3.3). Does nothing for another port, or if the task is no adaptive daemon.
    pub fn bind_watch_port(&mut self, environment: &mut dyn Environment, port: PortNumber, id: ElementId) {
        let Some((boosts, _)) = environment.port(port) else { return };
        if !boosts.temp_owner || !self.elements[id].marks.receiver {
            return;
        }
        let (boosts, binding) = (boosts.count, boosts.bound.replace(id));
        self.elements[id].refs += 1;
        self.transfer(environment, binding, Some(id), boosts);
        self.release_binding(binding);
    }

    /// Follows a receive right from `old` to its present place: into limbo when it is taken out of a space, into a
    /// message, or into a space (importance 3.4).
    pub fn right_moved(&mut self, environment: &mut dyn Environment, port: PortNumber, old: Place) {
        let Some((boosts, new)) = environment.port(port) else { return };
        let from = boosts.accounting(old);
        // A right in limbo keeps its temporary owner, or gets one that is nobody. In any other place it has none.
        let binding = match new {
            Place::Limbo => None,
            Place::Transit(_) | Place::Space(_) => boosts.bound.take(),
        };
        boosts.temp_owner = new == Place::Limbo;
        let (count, mut to) = (boosts.count, boosts.accounting(new));
        let from = self.leave_chain(environment, old, count).or(from);
        if let Place::Transit(next) = new {
            to = change_chain(environment, next, Direction::Hold, count, &mut self.visits);
        }
        self.transfer(environment, from, to, count);
        self.release_binding(binding);
    }

    /// Takes a port from its task because a port-destroyed request saves it from its death. Its right left `old` and
    /// is in limbo (importance 3.5).
    pub fn right_redirected(&mut self, environment: &mut dyn Environment, port: PortNumber, old: Place) {
        let Some((boosts, _)) = environment.port(port) else { return };
        let from = boosts.accounting(old);
        let (count, binding) = (boosts.count, boosts.bound.take());
        boosts.temp_owner = true;
        let from = self.leave_chain(environment, old, count).or(from);
        self.transfer(environment, from, None, count);
        self.release_binding(binding);
    }

    /// Takes the boosts of a port that has died at a place (importance 3.5). The messages in its queue must be
    /// [cleaned](Importance::clean).
    pub fn port_died(&mut self, environment: &mut dyn Environment, boosts: PortBoosts, place: Place) {
        let from = self.leave_chain(environment, place, boosts.count).or(boosts.accounting(place));
        self.transfer(environment, from, None, boosts.count);
        self.release_binding(boosts.bound);
    }

    /// Takes the boosts of a right that leaves a place from the ports that it travelled towards, and returns the task
    /// that they counted for through those.
    fn leave_chain(&mut self, environment: &mut dyn Environment, old: Place, boosts: u64) -> Option<ElementId> {
        match old {
            Place::Transit(next) => change_chain(environment, next, Direction::Drop, boosts, &mut self.visits),
            Place::Space(_) | Place::Limbo => None,
        }
    }

    fn release_binding(&mut self, binding: Option<ElementId>) {
        if let Some(id) = binding {
            self.release_element(id);
        }
    }

    /// Adds a boost to a port with a full queue, for a request to be told when it has room that was armed by a donor
    /// (importance 4.6). A port has at most one such boost.
    pub fn arm_send_possible(
        &mut self,
        environment: &mut dyn Environment,
        port: PortNumber,
        sender: Option<ElementId>,
        mode: SendMode,
    ) {
        let Some((boosts, _)) = environment.port(port) else { return };
        let donates = match mode {
            SendMode::NoImportance => false,
            SendMode::Static => true,
            SendMode::Normal => sender.is_some_and(|id| self.elements[id].is_donor()),
        };
        if donates && boosts.donation && !boosts.send_possible {
            boosts.send_possible = true;
            self.change_port(environment, port, Direction::Hold, 1);
        }
    }

    /// Removes that boost: a message was received, and the requests are answered (importance 4.6).
    pub fn fire_send_possible(&mut self, environment: &mut dyn Environment, port: PortNumber) {
        let Some((boosts, _)) = environment.port(port) else { return };
        if core::mem::take(&mut boosts.send_possible) {
            self.change_port(environment, port, Direction::Drop, 1);
        }
    }
}
