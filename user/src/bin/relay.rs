//! An app asks a service, whose work goes on through two queues. See [`user::relay`].
//!
//! ```text
//! relay
//! relay hold   stops while the work holds the boost, for the monitor
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

runtime::program!(user::relay::run);
