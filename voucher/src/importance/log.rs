//! [`BoostEvent`]: what a recorder is told of the boosts of tasks.

use super::Importance;
use super::element::{ElementId, TaskNumber};
use super::environment::{Direction, PortNumber};
use super::inherit::InheritId;
use alloc::vec::Vec;
use store::NoMemory;

/// The number of events between two readings. Further ones are lost.
const LOG_SIZE: usize = 256;

/// A change of a task's boosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoostEvent {
    /// The task.
    pub task: TaskNumber,
    /// What happened.
    pub change: BoostChange,
    /// All boosts that the task has now.
    pub boosts: u64,
    /// Those through inherits that donate.
    pub external: u64,
}

/// What happened to the boosts of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoostChange {
    /// They rose.
    Added(BoostCause),
    /// They fell.
    Dropped(BoostCause),
    /// They are gone, but the task stays boosted until this time, in ns since the start.
    Delayed(u64),
}

/// What a task's boosts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoostCause {
    /// Messages on this port, or on one that travels towards it.
    Port(PortNumber),
    /// This inherit, which vouchers hold.
    Inherit(InheritId),
    /// Another cause: a receive right that came or went with its boosts, or a file lock.
    Other,
}

/// The events that have not been read. Nothing is logged unless somebody wants to read.
#[derive(Debug, Default)]
pub(super) struct Log {
    on: bool,
    events: Vec<BoostEvent>,
}

impl Importance {
    /// Begins to log the changes of boosts, which [`logged`](Importance::logged) returns.
    ///
    /// # Errors
    /// [`NoMemory`] if there is none for the log; nothing has changed.
    pub fn start_log(&mut self) -> Result<(), NoMemory> {
        if self.log.events.capacity() == 0 {
            self.log.events = store::try_with_capacity(LOG_SIZE)?;
        }
        self.log.on = true;
        Ok(())
    }

    /// Returns true if changes are logged.
    pub const fn is_logging(&self) -> bool {
        self.log.on
    }

    /// Stops logging, and forgets what was logged.
    pub fn stop_log(&mut self) {
        self.log = Log::default();
    }

    /// Removes the events that were logged since the last call, and returns them, oldest first.
    pub fn logged(&mut self) -> impl Iterator<Item = BoostEvent> {
        self.log.events.drain(..)
    }

    /// Logs that the count of a task has changed.
    #[inline]
    pub(super) fn log_count(&mut self, id: ElementId, direction: Direction, cause: BoostCause) {
        if self.log.on {
            self.log_counted(id, direction, cause);
        }
    }

    #[cold]
    fn log_counted(&mut self, id: ElementId, direction: Direction, cause: BoostCause) {
        let change = match direction {
            Direction::Hold => BoostChange::Added(cause),
            Direction::Drop => BoostChange::Dropped(cause),
        };
        self.log_change(id, change);
    }

    /// Logs that the end of a task's boost is delayed.
    pub(super) fn log_delay(&mut self, id: ElementId, until: u64) {
        if self.log.on {
            self.log_change(id, BoostChange::Delayed(until));
        }
    }

    #[cold]
    fn log_change(&mut self, id: ElementId, change: BoostChange) {
        let element = &self.elements[id];
        let (boosts, external) = (element.assertions, element.external.outstanding());
        if let Some(task) = element.task
            && self.log.events.len() < self.log.events.capacity()
        {
            self.log.events.push(BoostEvent { task, change, boosts, external });
        }
    }
}
