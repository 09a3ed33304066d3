//! [`BoostEvent`]: what a recorder is told of the boosts of tasks.

use super::Importance;
use super::element::{ElementId, TaskNumber};
use super::environment::{Direction, PortNumber};
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
    /// They rose, by messages on this port, or else by an inherit.
    Added(Option<PortNumber>),
    /// They fell, likewise.
    Dropped(Option<PortNumber>),
    /// They are gone, but the task stays boosted until this time, in ns since the start.
    Delayed(u64),
}

/// The events that have not been read. Nothing is logged unless somebody wants to read.
#[derive(Debug, Default)]
pub(super) struct Log {
    on: bool,
    events: Vec<BoostEvent>,
    /// The port whose boosts change at the moment.
    port: Option<PortNumber>,
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

    /// Stops logging, and forgets what was logged.
    pub fn stop_log(&mut self) {
        self.log = Log::default();
    }

    /// Removes the events that were logged since the last call, and returns them, oldest first.
    pub fn logged(&mut self) -> impl Iterator<Item = BoostEvent> {
        self.log.events.drain(..)
    }

    /// Calls a function that changes boosts because of messages on a port.
    pub(super) fn with_port<R>(&mut self, port: PortNumber, act: impl FnOnce(&mut Self) -> R) -> R {
        self.log.port = Some(port);
        let result = act(self);
        self.log.port = None;
        result
    }

    /// Logs that the count of a task has changed.
    #[inline]
    pub(super) fn log_count(&mut self, id: ElementId, direction: Direction) {
        if self.log.on {
            let port = self.log.port;
            self.log_change(
                id,
                match direction {
                    Direction::Hold => BoostChange::Added(port),
                    Direction::Drop => BoostChange::Dropped(port),
                },
            );
        }
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
