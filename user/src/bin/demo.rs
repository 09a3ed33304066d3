//! The demo: how importance and its accounts travel with messages. See [`user::demo`].
//!
//! ```text
//! demo [--colour]
//! demo xpc [--colour]   the second act
//! demo hold             stops while the daemons are boosted, for the monitor
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

runtime::program!(user::demo::run);
