//! What a debugger shows: the chain of a value, and whom a task donates to (importance 9.3).

use super::Importance;
use super::element::{ElementId, TaskElement};
use super::environment::{Environment, accounting_element};
use super::inherit::{Inherit, InheritId};
use super::link::{LinkId, MessageLink};
use super::source::Source;
use core::fmt::{self, Write};
use store::Singles;

/// A gift of a task to another that is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Donation {
    /// Through an inherit.
    Inherit(InheritId),
    /// Through a message on its way.
    Message(LinkId),
}

impl Importance {
    /// Returns a task element, or `None` if it is gone.
    pub fn element(&self, id: ElementId) -> Option<&TaskElement> {
        self.elements.get(id)
    }

    /// Returns all task elements, including those of tasks that have ended.
    pub fn elements(&self) -> impl Iterator<Item = (ElementId, &TaskElement)> {
        self.elements.iter()
    }

    /// Returns the table of task elements. For printouts.
    pub const fn element_table(&self) -> &Singles<TaskElement> {
        &self.elements
    }

    /// Returns the table of inherits. For printouts.
    pub const fn inherit_table(&self) -> &Singles<Inherit> {
        &self.inherits
    }

    /// Returns an inherit, or `None` if it is gone.
    pub fn inherit(&self, id: InheritId) -> Option<&Inherit> {
        self.inherits.get(id)
    }

    /// Returns all inherits.
    pub fn inherits(&self) -> impl Iterator<Item = (InheritId, &Inherit)> {
        self.inherits.iter()
    }

    /// Returns the link of a message, or `None` if it is gone.
    pub fn link(&self, id: LinkId) -> Option<&MessageLink> {
        self.links.get(id)
    }

    /// Returns the messages that follow a task's donation, in the order in which it spreads.
    pub fn messages_of(&self, id: ElementId) -> impl Iterator<Item = LinkId> {
        self.elements[id].messages.iter(&self.links)
    }

    /// Returns the inherits that follow a task's donation, in the order in which it spreads.
    pub fn inherits_of(&self, id: ElementId) -> impl Iterator<Item = InheritId> {
        self.elements[id].inherits.iter(&self.inherits)
    }

    /// Returns the number of messages that follow a task's donation.
    pub fn linked_messages(&self, id: ElementId) -> usize {
        self.elements[id].messages.len()
    }

    /// Returns the number of inherits that follow a task's donation.
    pub fn hanging_inherits(&self, id: ElementId) -> usize {
        self.elements[id].inherits.len()
    }

    /// Returns what a task donates now: first through inherits, then through messages.
    pub fn donations(&self, id: ElementId) -> impl Iterator<Item = Donation> {
        let inherits = self.inherits_of(id).filter(|&inherit| self.inherits[inherit].donating);
        let messages = self.messages_of(id).filter(|&link| self.links[link].raised);
        inherits.map(Donation::Inherit).chain(messages.map(Donation::Message))
    }

    /// Returns the task that a donation boosts, if it boosts one.
    pub fn boosted_by(&self, environment: &mut dyn Environment, donation: Donation) -> Option<ElementId> {
        match donation {
            Donation::Inherit(id) => Some(self.inherits[id].to),
            Donation::Message(id) => accounting_element(environment, self.links[id].port)
                .filter(|&element| self.elements[element].is_receiver()),
        }
    }

    /// Writes where the importance of a live value comes from, as the reference does: "Importance for pid 7 (1 of 1
    /// boosts) donated from pid 3". A task that has ended has the process id −1.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn describe(&self, environment: &dyn Environment, source: Source, out: &mut dyn Write) -> fmt::Result {
        out.write_str("Importance for ")?;
        let mut next = source;
        loop {
            let element = self.link_task(next);
            let process = self.elements[element].task.map_or(-1, |task| environment.process_id(task));
            write!(out, "pid {process}")?;
            let Source::Inherit(id) = next else { return Ok(()) };
            let inherit = &self.inherits[id];
            let how = if inherit.donating { "donated" } else { "linked" };
            let (outstanding, total) = (inherit.external.outstanding(), inherit.external.total);
            write!(out, " ({outstanding} of {total} boosts) {how} from ")?;
            next = inherit.from;
        }
    }

    /// Returns how many messages, inherits, ports and tasks propagation has visited so far. For tests of its cost.
    pub const fn visits(&self) -> u64 {
        self.visits
    }
}
