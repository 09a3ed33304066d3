//! The delayed drop: an application whose boost ends through others keeps its policy for a while (importance 6.6).
//!
//! Otherwise the policy of a napping application would change each time one of its clients is switched on or off. All
//! waiting applications share one timer: it is set for the first, and serves all that were added until it fires.

use super::Importance;
use super::element::{Delayed, ElementId, TaskElement};
use super::environment::Environment;
use store::List;

/// How long the first application waits, in nanoseconds: 1000 ms and a skew of 100 ms.
pub const DELAY: u64 = 1_100_000_000;

/// How many applications one call of [`fire_delayed_drop`](Importance::fire_delayed_drop) looks at. The policy of each
/// may be that of many threads, and all of them may be due at the same time.
pub const DROP_SLICE: usize = 16;

/// The queue of waiting applications and its timer.
#[derive(Debug, Default)]
pub(super) struct DelayedDrop {
    pub queue: List<TaskElement, Delayed>,
    pub deadline: Option<u64>,
}

impl Importance {
    /// Returns the time at which the kernel must call [`fire_delayed_drop`](Importance::fire_delayed_drop), in
    /// nanoseconds since the start.
    pub const fn delayed_drop_deadline(&self) -> Option<u64> {
        self.delayed.deadline
    }

    /// Returns the applications that wait for the delayed drop, in the order of their turns.
    pub fn delayed(&self) -> impl Iterator<Item = ElementId> {
        self.delayed.queue.iter(&self.elements)
    }

    /// Adds an application to the queue, or moves it to the end.
    pub(super) fn delay_drop(&mut self, environment: &mut dyn Environment, id: ElementId) {
        let now = environment.now();
        let element = &mut self.elements[id];
        if element.delayed_at.replace(now).is_some() {
            self.delayed.queue.remove(&mut self.elements, id);
        } else {
            element.refs += 1;
        }
        self.delayed.queue.push_back(&mut self.elements, id);
        self.news = true;
        let deadline = *self.delayed.deadline.get_or_insert(now + DELAY);
        self.log_delay(id, deadline);
    }

    /// Ends the boosts of the first [`DROP_SLICE`] applications whose turn has come and that have not been boosted
    /// again. The [deadline](Importance::delayed_drop_deadline) stays if there may be more: the kernel calls again.
    /// Does nothing without a deadline.
    pub fn fire_delayed_drop(&mut self, environment: &mut dyn Environment) {
        let Some(deadline) = self.delayed.deadline else { return };
        self.news = true;
        for _ in 0..DROP_SLICE {
            let Some(id) = self.delayed.queue.front() else {
                self.delayed.deadline = None;
                return;
            };
            let added = self.elements[id].delayed_at.expect("a queued element has a time");
            if added > deadline {
                self.delayed.deadline = Some(added + DELAY);
                return;
            }
            self.delayed.queue.remove(&mut self.elements, id);
            self.elements[id].delayed_at = None;
            if self.elements[id].assertions == 0 {
                self.unboost(environment, id);
            }
            self.release_element(id);
        }
    }
}
