//! Propagation: what follows when a task becomes boosted or a donor, or ceases to be (importance 6.4).
//!
//! Everything that hangs on a task follows at once: its messages are raised or lowered, and the inherits of its
//! importance begin or cease to donate. That can boost or unboost other tasks, on which more hangs. The tasks form a
//! queue, so the work spreads breadth first and needs neither recursion nor memory.
//!
//! The policy of the tasks follows afterwards, in an order of its own: the task nearest to the cause is boosted first
//! and unboosted last, so that no task waits at a low priority for one that has already lost its boost. A boost can lift
//! App Nap and make an application a donor again; what follows from that comes before the next task's policy.
//!
//! As much can hang on a task as its budget pays for. So the kernel sets an [allowance](Importance::allow) for each step: a
//! visit that finds it used up notes where it has been, and [`finish_visits`](Importance::finish_visits) goes on there.
//! Meanwhile each message and inherit counts as it is marked, and only the rest of the marks lag behind the task.
//!
//! The causes have their turns one after the other: what follows from a rest comes before the next rest. So each turn only
//! switches on or only switches off, and ends. If boosts and their ends took turns, they could run behind each other in a
//! ring of tasks for ever.

use super::Importance;
use super::element::{ElementId, Rest, TaskElement, Updating};
use super::environment::{Direction, Environment, change_chain};
use super::inherit::InheritId;
use super::link::LinkId;
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

    /// Sets the number of messages, inherits, ports and tasks that propagation may visit until the kernel has been told
    /// [everything](Importance::news_are_told). It goes a few beyond that. At first there is no limit.
    pub const fn allow(&mut self, visits: u64) {
        self.allowance = visits;
    }

    /// Begins to count visits, unless they are counted already.
    fn count_visits(&mut self) {
        self.news = true;
        if self.last_visit.is_none() {
            self.last_visit = Some(self.visits.saturating_add(self.allowance));
        }
    }

    /// Returns true if the allowance is used up.
    fn must_pause(&self) -> bool {
        self.last_visit.is_some_and(|last| self.visits >= last)
    }

    /// Returns true if a visit was cut short because the allowance was used up.
    #[inline]
    pub const fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Goes on with the visits that were cut short, as far as the allowance goes, in the order of their causes.
    pub fn finish_visits(&mut self, environment: &mut dyn Environment) {
        self.count_visits();
        self.is_going_on = true;
        while !self.must_pause()
            && let Some(id) = self.unfinished.pop_front(&mut self.elements)
        {
            let rest = self.elements[id].rest.take().expect("an unfinished element has a rest");
            let direction = if self.elements[id].is_donor() { Direction::Hold } else { Direction::Drop };
            self.visit_from(environment, id, direction, rest);
            self.propagate(environment, id, direction);
        }
        self.is_going_on = false;
    }

    /// Changes everything that hangs on a task: its messages, then the inherits.
    fn visit(&mut self, environment: &mut dyn Environment, id: ElementId, direction: Direction) {
        self.count_visits();
        self.visits += 1;
        if self.elements[id].rest.take().is_some() {
            self.unfinished.remove(&mut self.elements, id);
        }
        let rest = Rest::Messages(self.elements[id].messages.front());
        self.visit_from(environment, id, direction, rest);
    }

    /// Changes what hangs on a task from a place on, as far as the allowance goes. The task keeps the rest.
    fn visit_from(&mut self, environment: &mut dyn Environment, id: ElementId, direction: Direction, rest: Rest) {
        let inherit = match rest {
            Rest::Inherits(inherit) => inherit,
            Rest::Messages(first) => match self.visit_messages(environment, id, direction, first) {
                None => self.elements[id].inherits.front(),
                left => return self.leave(id, Rest::Messages(left)),
            },
        };
        if let Some(left) = self.visit_inherits(id, direction, inherit) {
            self.leave(id, Rest::Inherits(Some(left)));
        }
    }

    /// Keeps the rest of a visit for later: that of a new change waits for those of earlier ones.
    #[cold]
    fn leave(&mut self, id: ElementId, rest: Rest) {
        self.elements[id].rest = Some(rest);
        if self.is_going_on {
            self.unfinished.push_front(&mut self.elements, id);
        } else {
            self.unfinished.push_back(&mut self.elements, id);
        }
    }

    /// Takes note that a message leaves the list of a task.
    #[inline]
    pub(super) fn skip_message(&mut self, task: ElementId, id: LinkId) {
        let element = &mut self.elements[task];
        if let Some(rest) = &mut element.rest
            && *rest == Rest::Messages(Some(id))
        {
            *rest = Rest::Messages(element.messages.after(&self.links, id));
        }
    }

    /// Takes note that an inherit leaves the list of a task.
    #[inline]
    pub(super) fn skip_inherit(&mut self, task: ElementId, id: InheritId) {
        let element = &mut self.elements[task];
        if let Some(rest) = &mut element.rest
            && *rest == Rest::Inherits(Some(id))
        {
            *rest = Rest::Inherits(element.inherits.after(&self.inherits, id));
        }
    }

    /// Raises or lowers the messages of a task, from one on. Neighbours in the list with the same destination are counted
    /// together. Returns the first message that is left when the allowance is used up.
    fn visit_messages(
        &mut self,
        environment: &mut dyn Environment,
        id: ElementId,
        direction: Direction,
        first: Option<LinkId>,
    ) -> Option<LinkId> {
        let raised = direction.is_hold();
        let mut next = first;
        while let Some(first) = next.filter(|_| !self.must_pause()) {
            let port = self.links[first].port;
            let mut flipped = 0;
            while !self.must_pause()
                && let Some(link) = next.filter(|&link| self.links[link].port == port)
            {
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
        next
    }

    /// Switches the inherits that hang on a task on or off, from one on. Returns the first that is left when the allowance
    /// is used up.
    fn visit_inherits(&mut self, id: ElementId, direction: Direction, first: Option<InheritId>) -> Option<InheritId> {
        let mut next = first;
        while let Some(inherit_id) = next.filter(|_| !self.must_pause()) {
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
        next
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
