//! [`Builder`]: the attributes of a new queue (dispatch 5.1).

use super::lane::{Lane, Target};
use super::root::Root;
use super::state::CONCURRENT_WIDTH;
use super::{Inner, Queue};
use crate::qos::{Priority, Qos, QueuePriority};
use alloc::string::String;

/// Makes a queue with chosen attributes.
#[must_use]
#[derive(Clone, Debug)]
pub struct Builder {
    label: String,
    word: QueuePriority,
    /// The class is an attribute, so that it decides the root.
    has_class: bool,
    overcommit: Option<bool>,
    target: Option<Queue>,
    concurrent: bool,
    hidden: bool,
    active: bool,
}

impl Builder {
    pub(super) fn new(label: &str) -> Builder {
        Builder {
            label: String::from(label),
            word: QueuePriority::NONE,
            has_class: false,
            overcommit: None,
            target: None,
            concurrent: false,
            hidden: false,
            active: true,
        }
    }

    /// Makes it concurrent: its items run together, but for barriers.
    pub fn concurrent(mut self) -> Builder {
        self.concurrent = true;
        self
    }

    /// Gives it a class with relative priority 0, at which all its items run.
    pub fn class(self, class: Qos) -> Builder {
        self.priority(Priority::of(class))
    }

    /// Gives it a class and a relative priority, at which all its items run.
    pub fn priority(mut self, priority: Priority) -> Builder {
        self.word = QueuePriority { requested: priority.without_flags(), floor: false, ..self.word };
        self.has_class = priority.has_class();
        self
    }

    /// Gives it a class below which no item runs.
    pub fn floor(mut self, class: Qos) -> Builder {
        self.word = QueuePriority { requested: Priority::of(class), floor: true, ..self.word };
        self.has_class = false;
        self
    }

    /// Gives it a class for items that have none.
    pub fn fallback(mut self, class: Qos) -> Builder {
        self.word.fallback = class;
        self
    }

    /// Chooses whether its items get a thread whatever else runs. Serial queues do if nothing is chosen.
    pub fn overcommit(mut self, overcommit: bool) -> Builder {
        self.overcommit = Some(overcommit);
        self
    }

    /// Chooses the queue on which it runs. Without one it is the global queue of its class.
    pub fn target(mut self, target: &Queue) -> Builder {
        self.target = Some(target.clone());
        self
    }

    /// Makes it inactive: it begins with [`Queue::activate`].
    pub fn inactive(mut self) -> Builder {
        self.active = false;
        self
    }

    /// Makes its target the current queue during its callouts.
    pub(crate) fn hidden(mut self) -> Builder {
        self.hidden = true;
        self
    }

    /// Makes the queue.
    pub fn build(self) -> Queue {
        let target = self.resolve_target();
        let word = match &target {
            // A queue without a class has that of its root (dispatch L-2).
            Target::Root(root) if self.word == QueuePriority::NONE => root.word().inherit(),
            _ => self.word.activated(),
        };
        // On a serial target items run one after another anyway, and barriers alone.
        let width = if self.concurrent && target.is_concurrent() { CONCURRENT_WIDTH } else { 1 };
        let mut lane = Lane::new(word, target, width, self.label, self.active);
        lane.is_hidden = self.hidden;
        Queue(Inner::Lane(lane.share()))
    }

    /// Returns the target: for a global queue the one that fits the attributes (dispatch L-1).
    fn resolve_target(&self) -> Target {
        let given = match &self.target {
            Some(Queue(Inner::Lane(lane))) => return Target::Lane(lane.clone()),
            Some(Queue(Inner::Root(root))) => Some(*root),
            None => None,
        };
        let class =
            if self.has_class { self.word.requested.class() } else { given.map_or(Qos::DEFAULT, |root| root.class) };
        let overcommit = self.overcommit.or(given.map(|root| root.overcommit)).unwrap_or(!self.concurrent);
        Target::Root(Root { class, overcommit })
    }
}
