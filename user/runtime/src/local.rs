//! Thread-local variables.
//!
//! On the host they are those of the standard library.

#[cfg(target_os = "none")]
pub use crate::sys::local::{AccessError, LocalKey};
pub use crate::sys::local::{Attachment, attach, attach_first, own_name};
#[cfg(not(target_os = "none"))]
pub use std::thread::{AccessError, LocalKey};

/// Declares thread-local variables: `thread_local! { static NAME: Type = value; }`, as the macro of the standard library
/// does. They are used by [`LocalKey::with`](crate::local::LocalKey::with).
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! thread_local {
    ($($(#[$attribute:meta])* $visibility:vis static $name:ident: $type:ty = $value:expr);+ $(;)?) => {
        $(
            $(#[$attribute])*
            $visibility static $name: $crate::local::LocalKey<$type> = $crate::local::LocalKey::new(|| $value);
        )+
    };
}
