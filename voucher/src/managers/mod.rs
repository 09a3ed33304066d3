//! The managers of this crate.
//!
//! | key | manager | value |
//! |---|---|---|
//! | 2 | [`importance::ImportanceManager`] | the importance of a task, or importance that a task received |
//! | 3 | [`bank::Bank`] | a task, or an account of the work that one task does for another |
//! | 4 | [`pthpriority::PthPriority`] | a QoS class |
//! | 7, 8 | [`user_data::UserData`] | a string of bytes |

pub mod bank;
pub mod importance;
pub mod pthpriority;
pub mod user_data;
