//! XPC for Tally's programs: connections to services, and what their messages consist of.
//!
//! | module | contents |
//! |---|---|
//! | [`Connection`], [`Event`] | clients, listeners and peers, and what their handlers hear (dispatch 7.2 to 7.5) |
//! | [`Message`], [`Reply`] | what a connection receives, and the answer to it |
//! | [`service`] | the transactions of this program, and its end (dispatch 7.6, X-23) |
//! | [`object`], [`dictionary`] | the values of a message, and the dictionary that every message is (dispatch 7.1) |
//! | [`right`] | send rights that objects own |
//! | [`error`] | the three errors of a connection (dispatch 7.1, 7.5) |
//! | [`wire`] | how a dictionary becomes the body of a Mach message, and back (dispatch X-12) |
//! | [`transaction`], [`boost`] | when a service may exit, and who holds a boost, as plain state (dispatch X-17 to X-21) |
//!
//! The names are those of the public XPC interface in Rust's conventions: `xpc_dictionary_set_int64` is
//! [`Dictionary::set_int64`]. A service:
//!
//! ```no_run
//! use xpc::{Connection, Event};
//!
//! let listener = Connection::create_listener("org.example.adder", None);
//! listener.set_event_handler(|event| {
//!     let Event::Peer(client) = event else { return };
//!     client.set_event_handler(|event| {
//!         let Event::Message(request) = event else { return };
//!         let sum = request.get_int64("a").unwrap_or(0) + request.get_int64("b").unwrap_or(0);
//!         if let Some(mut reply) = request.create_reply() {
//!             reply.set_int64("sum", sum);
//!             reply.send();
//!         }
//!     });
//!     client.activate();
//! });
//! listener.activate();
//! ```
//!
//! The class, the voucher, the activity, the persona and the boost of a client's work travel with its messages and back,
//! without a line in client or service. Everything that decides something is plain state, which is tested on the host;
//! connections run over the channels of the crate `dispatch`.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]
#![warn(unreachable_pub)]

extern crate alloc;

pub mod boost;
mod bootstrap;
mod clients;
mod connection;
mod description;
pub mod dictionary;
pub mod error;
mod event;
mod message;
pub mod object;
mod owned;
pub mod right;
pub mod service;
pub mod transaction;
mod transport;
pub mod wire;

pub use connection::Connection;
pub use dictionary::Dictionary;
pub use error::XpcError;
pub use event::Event;
pub use message::{Message, Reply};
pub use object::{Endpoint, Object};
pub use right::{Right, SendRight};
pub use transport::Sender;
