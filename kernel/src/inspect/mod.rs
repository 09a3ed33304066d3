//! Inspection: functions that read the whole state of the kernel and do not change it.
//!
//! | module | what it is |
//! |---|---|
//! | [`counts`] | the number of objects of each kind |
//! | [`invariants`] | the conditions that hold between two steps |
//! | [`records`] | the facts about each object that programs can ask for |
//! | [`tracing`] | the events that programs can ask for |

pub mod counts;
pub mod invariants;
pub(crate) mod records;
pub(crate) mod tracing;
