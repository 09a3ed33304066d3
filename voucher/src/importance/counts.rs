//! The counts of a task: holding and dropping boosts (importance 6.1).

use super::Importance;
use super::element::ElementId;
use super::environment::{Direction, Environment, PortNumber, change_chain};
use super::log::BoostCause;

impl Importance {
    /// Adds boosts to the count of a task, or takes them away, without further effects. Tasks that receive no boosts
    /// have no count. Returns true if the count became zero or positive.
    pub(super) fn count(&mut self, id: ElementId, direction: Direction, boosts: u64, cause: BoostCause) -> bool {
        let element = &mut self.elements[id];
        if !element.is_receiver() || boosts == 0 {
            return false;
        }
        let before = element.assertions;
        element.assertions = match direction {
            Direction::Hold => before + boosts,
            Direction::Drop => before.checked_sub(boosts).expect("a task loses boosts that it has (DV-12)"),
        };
        assert!(element.assertions >= element.external.outstanding(), "I3: external boosts are boosts");
        let crossed = (before == 0) != (element.assertions == 0);
        self.log_count(id, direction, cause);
        crossed
    }

    /// Adds boosts to a task, or takes them away, with all that follows.
    pub(super) fn change(
        &mut self,
        environment: &mut dyn Environment,
        id: ElementId,
        direction: Direction,
        boosts: u64,
        cause: BoostCause,
    ) {
        if self.count(id, direction, boosts, cause) {
            self.crossed.push_back(&mut self.elements, id);
            self.propagate(environment, id, direction);
        }
    }

    /// Adds boosts to a port, the ports it travels towards and the task they count for, or takes them away (importance
    /// 4.4). A dead port has none.
    pub(super) fn change_port(
        &mut self,
        environment: &mut dyn Environment,
        port: PortNumber,
        direction: Direction,
        boosts: u64,
    ) {
        if let Some(id) = change_chain(environment, port, direction, boosts, &mut self.visits) {
            self.change(environment, id, direction, boosts, BoostCause::Port(port));
        }
    }

    /// Moves boosts from one task to another. The new task gets them first, so that a task that keeps a boost sees no
    /// gap.
    pub(super) fn transfer(
        &mut self,
        environment: &mut dyn Environment,
        from: Option<ElementId>,
        to: Option<ElementId>,
        boosts: u64,
    ) {
        if from == to {
            return;
        }
        if let Some(to) = to {
            self.change(environment, to, Direction::Hold, boosts, BoostCause::Other);
        }
        if let Some(from) = from {
            self.change(environment, from, Direction::Drop, boosts, BoostCause::Other);
        }
    }
}
