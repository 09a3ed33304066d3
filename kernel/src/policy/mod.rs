//! Policies: pure functions from the requested policy of tasks and threads to the effective policy and the base
//! priority (importance 2 and 8).
//!
//! The effective policy is computed from scratch on every change. It therefore depends on the present requests alone
//! and not on the order in which they were made.
//!
//! | module | what it is |
//! |---|---|
//! | [`priority`] | classes and base priorities |
//! | [`task`] | the policy of tasks |
//! | [`thread`] | the policy of threads |
//! | [`overrides`] | classes that others request for a thread |
//! | [`energy`] | what processor time costs |
//! | [`tiers`] | how input, output and timers are treated |
//! | [`marks`] | the marks that decide whether a task gives and takes importance |
//! | [`spawn`] | the policy of a new task, and what its parent may ask for |

pub mod energy;
pub mod marks;
pub mod overrides;
pub mod priority;
pub mod spawn;
pub mod task;
pub mod thread;
pub mod tiers;

pub use energy::Power;
pub use marks::{Marks, mark_flags};
pub use overrides::{Overrides, TooMany};
pub use priority::{BASEPRI_DEFAULT, MAXPRI_USER, base_priority, base_priority_of, class_for_priority, promoted_class};
pub use task::{Suppression, TaskEffective, TaskPolicy};
pub use thread::{ThreadEffective, ThreadPolicy};
pub use tiers::Tiers;
