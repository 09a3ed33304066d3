//! Mach channels (dispatch 6).
//!
//! | file | content |
//! |---|---|
//! | `message.rs` | [`MachMsg`]: a message as an object |
//! | `channel.rs` | [`Channel`]: connecting, receiving, calling the handler |
//! | `event.rs` | [`Event`], [`Handler`], [`SendResult`] |
//! | `send.rs` | the send side as plain state: what waits, what leaves next, who transmits |
//! | `transmit.rs` | sending: what the send side says is done here |
//! | `reply.rs` | the replies that a channel waits for, as plain state |
//! | `request.rs` | requests whose reply comes later |
//! | `wait.rs` | requests whose sender waits |
//! | `cancel.rs` | giving a peer up: reconnecting, cancelling |
//! | `flow.rs` | when a channel stops receiving, because its handler is behind |
//! | `handoff.rs` | [`handoff_reply`]: another queue answers a request |
//! | `look.rs` | what a channel holds, for debuggers |
//! | `receiver.rs` | the threads that receive for all channels |
//! | `mig.rs` | requests in the form of MIG |

mod cancel;
mod channel;
mod event;
mod flow;
mod handoff;
mod look;
pub(crate) mod message;
mod mig;
pub(crate) mod receiver;
mod reply;
mod request;
mod send;
mod transmit;
mod wait;

pub use channel::Channel;
pub(crate) use channel::Inner;
pub use event::{Disconnected, Event, Handler, Lost, SendResult};
pub use handoff::handoff_reply;
pub use message::MachMsg;
pub(crate) use mig::send_reply;
pub use mig::{Routine, Subsystem, mig_demux, mig_server};
pub use receiver::Receiver;

#[cfg(test)]
mod tests;
