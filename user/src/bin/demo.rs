//! The demo: how importance and its accounts travel with messages. See [`user::demo`].
//!
//! ```text
//! demo [--colour]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

user::program!(user::demo::run);
