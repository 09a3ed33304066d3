//! XPC for Tally's programs: what messages between apps and services consist of.
//!
//! | module | contents |
//! |---|---|
//! | [`object`] | the values of a message: numbers, strings, arrays, port rights (dispatch 7.1) |
//! | [`dictionary`] | the dictionary that every message is |
//! | [`right`] | send rights that objects own |
//! | [`error`] | the three errors of a connection (dispatch 7.1, 7.5) |
//! | [`wire`] | how a dictionary becomes the body of a Mach message, and back (dispatch X-12) |
//! | [`transaction`] | whether a service may exit now (dispatch X-17, X-18) |
//!
//! Nothing here makes a system call, so all of it runs and is tested on the host. The names are those of the public XPC
//! interface in Rust's conventions: `xpc_dictionary_set_int64` is [`Dictionary::set_int64`].
//!
//! ```
//! use xpc::Dictionary;
//!
//! let mut request = Dictionary::new();
//! request.set_string("operation", "resize");
//! request.set_int64("width", 640);
//! assert_eq!(request.get_int64("width"), Some(640));
//! ```

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

mod description;
pub mod dictionary;
pub mod error;
pub mod object;
pub mod right;
pub mod transaction;
pub mod wire;

pub use dictionary::Dictionary;
pub use error::XpcError;
pub use object::{Endpoint, Object};
pub use right::{Right, SendRight};
