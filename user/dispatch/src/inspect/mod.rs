//! What a debugger can ask: which queues there are, and what holds which voucher (dispatch 2.11).
//!
//! | file | content |
//! |---|---|
//! | `registry.rs` | [`Registry`]: all objects of a kind, by their numbers |
//! | `shown.rs` | [`Shown`]: what a thread lets others see of it |
//! | `walk.rs` | the records, a bounded number at a time |
//! | `answer.rs` | requests by messages |
//!
//! The receiver thread of the channels answers, at a port of its own, which the task's special port
//! `TASK_DEBUG_CONTROL_PORT` names. A program without channels has no such thread and no such port.

mod answer;
mod registry;
mod shown;
mod walk;

pub(crate) use answer::answer;
pub(crate) use registry::Registry;
pub(crate) use shown::{Shown, ShownThread};
pub(crate) use walk::{Held, Look};

use crate::block;
use crate::group;
use crate::mach;
use crate::notes::Notes;
use crate::queue::Lane;
use crate::sys::Kernel;
use abi::debugger::GLOBAL_QUEUES;

/// What a task knows of itself for debuggers.
pub(crate) struct Inspect {
    /// What is told while events are recorded.
    pub notes: Notes,
    /// All queues but the global ones.
    pub lanes: Registry<Lane>,
    /// All channels.
    pub channels: Registry<mach::Inner>,
    /// The block objects that were given a voucher.
    pub blocks: Registry<block::Shared>,
    /// The groups that somebody has asked for a notification.
    pub groups: Registry<group::Shared>,
    /// The threads that have used the library, by their numbers.
    pub threads: Registry<ShownThread>,
}

impl Inspect {
    /// Returns what a new task knows.
    pub(crate) fn new(kernel: &dyn Kernel) -> Inspect {
        Inspect {
            notes: Notes::new(kernel),
            lanes: Registry::starting_at(GLOBAL_QUEUES + 1),
            channels: Registry::starting_at(1),
            blocks: Registry::starting_at(1),
            groups: Registry::starting_at(1),
            threads: Registry::starting_at(1),
        }
    }
}
