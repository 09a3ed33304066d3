//! [`PolicyChange`]: what the kernel has to do after a call.

use super::Importance;
use super::element::{ElementId, TaskNumber};

/// A task's policy bit `trp_boosted` has changed: the kernel computes the policy of the task and its threads anew
/// (importance 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// The task.
    pub task: TaskNumber,
    /// True if the task is boosted now.
    pub boosted: bool,
}

impl Importance {
    /// Returns true if there may be a policy change that the kernel has not been told, or another deadline of the
    /// delayed drop than it was told last. It is one test, for a kernel that asks after every call.
    #[inline(always)]
    pub const fn has_news(&self) -> bool {
        self.news
    }

    /// Takes note that the kernel has asked for the [deadline](Importance::delayed_drop_deadline) and for
    /// [changes](Importance::next_change). Returns true if it has to come back, although nothing new has happened: it has
    /// not asked for all changes, or [visits](Importance::finish_visits) were cut short.
    pub fn news_are_told(&mut self) -> bool {
        self.news = false;
        self.last_visit = None;
        !self.changed.is_empty() || self.is_unfinished()
    }

    /// Returns the next policy change that the kernel has not been told, in the order in which they happened. A change
    /// that was taken back before the kernel asked is not reported.
    pub fn next_change(&mut self) -> Option<PolicyChange> {
        let task = self.first_change()?;
        Some(PolicyChange { task, boosted: self.report_first()? })
    }

    /// Returns the task of the change that [`next_change`](Importance::next_change) will return.
    pub fn first_change(&mut self) -> Option<TaskNumber> {
        while let Some(id) = self.changed.front() {
            let element = &self.elements[id];
            // A task that is being terminated has no policy to change.
            let changed = element.reported != element.boosted && !element.terminating;
            if let Some(task) = element.task.filter(|_| changed) {
                return Some(task);
            }
            self.report_first();
        }
        None
    }

    /// Takes the first element whose policy bit may differ from what the kernel was told off the list, and returns the bit.
    fn report_first(&mut self) -> Option<bool> {
        let id = self.changed.pop_front(&mut self.elements)?;
        let element = &mut self.elements[id];
        element.is_changed = false;
        element.reported = element.boosted;
        Some(element.boosted)
    }

    /// Notes that a task's policy bit may differ from what the kernel was told.
    pub(super) fn note_change(&mut self, id: ElementId) {
        if !core::mem::replace(&mut self.elements[id].is_changed, true) {
            self.news = true;
            self.changed.push_back(&mut self.elements, id);
        }
    }
}
