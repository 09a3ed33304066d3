//! The managers that come with the crate, one file for each kind of value.
//!
//! | key | manager | a value is |
//! |---|---|---|
//! | 3 | [`bank::Bank`] | a task, or work that one task does for another |
//! | 4 | [`pthpriority::PthPriority`] | a QoS class |
//! | 7, 8 | [`user_data::UserData`] | any bytes |

pub mod bank;
pub mod pthpriority;
pub mod user_data;
