//! Propagation: what follows when a task becomes boosted or a donor, or ceases to be (importance 6.4).
//!
//! Everything that hangs on a task follows at once: its messages are raised or lowered, and the inherits of its
//! importance begin or cease to donate. That can boost or unboost other tasks, on which more hangs. The tasks form a
//! queue, so the work spreads breadth first and needs neither recursion nor memory.
//!
//! The policy of the tasks follows afterwards, in an order of its own: the task nearest to the cause is boosted first
//! and unboosted last, so that no task waits at a low priority for one that has already lost its boost. A boost can lift
//! App Nap and make an application a donor again; what follows from that comes before the next task's policy.

use super::Importance;
use super::element::{ElementId, TaskElement, Updating};
use super::environment::{Direction, Environment, change_chain};
use super::log::BoostCause;
use store::List;

impl Importance {
    /// Spreads the crossing of one task, which is in the queue of crossed elements.
    pub(super) fn propagate(&mut self, environment: &mut dyn Environment, root: ElementId, direction: Direction) {
        self.spread(environment, root, direction);
        self.update_policies(environment, direction);
    }

    /// Spreads a change of what hangs on a task to others. The task's own policy does not follow.
    pub(super) fn propagate_donation(
        &mut self,
        environment: &mut dyn Environment,
        root: ElementId,
        direction: Direction,
    ) {
        self.visit(environment, root, direction);
        self.propagate(environment, root, direction);
    }

    /// Changes what is left of a donor's gifts after its status has changed, if it has.
    pub(super) fn donation_changed(&mut self, environment: &mut dyn Environment, id: ElementId, was_donor: bool) {
        match (was_donor, self.elements[id].is_donor()) {
            (false, true) => self.propagate_donation(environment, id, Direction::Hold),
            (true, false) => self.propagate_donation(environment, id, Direction::Drop),
            _ => {}
        }
    }

    /// Visits all elements that crossed, and puts those whose policy must follow before those already waiting.
    fn spread(&mut self, environment: &mut dyn Environment, root: ElementId, direction: Direction) {
        let mut found = List::new();
        while let Some(id) = self.crossed.pop_front(&mut self.elements) {
            let element = &self.elements[id];
            // Another mark than that of a receiver means that the crossing has not changed its status as a donor.
            if element.marks.receiver && !element.marks.donor {
                self.visit(environment, id, direction);
            }
            self.queue_update(environment, &mut found, id, root, direction);
        }
        while let Some(id) = found.back() {
            found.remove(&mut self.elements, id);
            self.updating.push_front(&mut self.elements, id);
        }
    }

    /// Queues the policy update of an element that crossed, or its delayed drop.
    fn queue_update(
        &mut self,
        environment: &mut dyn Environment,
        found: &mut List<TaskElement, Updating>,
        id: ElementId,
        root: ElementId,
        direction: Direction,
    ) {
        let element = &mut self.elements[id];
        // The delayed drop decides about those that wait for it.
        if element.task.is_none() || element.delayed_at.is_some() {
            return;
        }
        let delayed = direction == Direction::Drop && id != root && element.marks.denap;
        if delayed {
            return self.delay_drop(environment, id);
        }
        let queued = core::mem::replace(&mut element.is_updating, true);
        assert!(!queued, "a task crosses once in each direction");
        match direction {
            Direction::Hold => found.push_back(&mut self.elements, id),
            Direction::Drop => found.push_front(&mut self.elements, id),
        }
    }

    /// Changes everything that hangs on a task: its messages, then the inherits.
    fn visit(&mut self, environment: &mut dyn Environment, id: ElementId, direction: Direction) {
        self.visits += 1;
        self.visit_messages(environment, id, direction);
        self.visit_inherits(id, direction);
    }

    /// Raises or lowers the messages of a task. Neighbours in the list with the same destination are counted together.
    fn visit_messages(&mut self, environment: &mut dyn Environment, id: ElementId, direction: Direction) {
        let raised = direction.is_hold();
        let mut next = self.elements[id].messages.front();
        while let Some(first) = next {
            let port = self.links[first].port;
            let mut flipped = 0;
            while let Some(link) = next.filter(|&link| self.links[link].port == port) {
                self.visits += 1;
                next = self.elements[id].messages.after(&self.links, link);
                let was_raised = core::mem::replace(&mut self.links[link].raised, raised);
                flipped += u64::from(was_raised != raised);
            }
            if flipped == 0 {
                continue;
            }
            if let Some(receiver) = change_chain(environment, port, direction, flipped, &mut self.visits)
                && self.count(receiver, direction, flipped, BoostCause::Port(port))
            {
                self.crossed.push_back(&mut self.elements, receiver);
            }
        }
    }

    /// Switches the inherits that hang on a task on or off.
    fn visit_inherits(&mut self, id: ElementId, direction: Direction) {
        let mut next = self.elements[id].inherits.front();
        while let Some(inherit_id) = next {
            self.visits += 1;
            next = self.elements[id].inherits.after(&self.inherits, inherit_id);
            let inherit = &self.inherits[inherit_id];
            let receiver = inherit.to;
            if inherit.external.outstanding() > 0
                && inherit.donating != direction.is_hold()
                && self.switch_inherit(inherit_id, direction)
            {
                self.crossed.push_back(&mut self.elements, receiver);
            }
        }
    }

    /// Lets the policies follow, first to last, each with what follows from it.
    fn update_policies(&mut self, environment: &mut dyn Environment, direction: Direction) {
        while let Some(id) = self.updating.pop_front(&mut self.elements) {
            self.elements[id].is_updating = false;
            if self.set_boosted(id, direction.is_hold()) {
                self.visit(environment, id, direction);
                self.spread(environment, id, direction);
            }
        }
    }

    /// Sets the policy bit of a boosted task. Returns true if its mark as a live donor has changed with it, so that
    /// what hangs on the task must follow.
    fn set_boosted(&mut self, id: ElementId, boosted: bool) -> bool {
        let element = &mut self.elements[id];
        if !element.is_active() {
            return false;
        }
        let wish_before = element.live_wish();
        element.boosted = boosted;
        element.transitions += u64::from(boosted);
        self.note_change(id);
        let element = &mut self.elements[id];
        wish_before != element.live_wish() && self.follow_live_wish(id)
    }

    /// Ends the boost of a task whose delayed drop is due, with what follows.
    pub(super) fn unboost(&mut self, environment: &mut dyn Environment, id: ElementId) {
        if self.set_boosted(id, false) {
            self.propagate_donation(environment, id, Direction::Drop);
        }
    }

    /// Sets the mark of a live donor to what its policy wants (importance 2.4). Returns true if that has changed whether
    /// the task is a donor.
    pub(super) fn follow_live_wish(&mut self, id: ElementId) -> bool {
        let element = &mut self.elements[id];
        if !element.marks.live_donor || !element.is_active() {
            return false;
        }
        let was_donor = element.is_donor();
        let wish = element.live_wish();
        let had_mark = core::mem::replace(&mut element.marks.donor, wish);
        element.transitions += u64::from(wish && !had_mark);
        element.is_donor() != was_donor
    }
}
