//! What a connection tells its handler.

use crate::{Connection, Message, XpcError};

/// An event of a connection.
#[derive(Debug)]
pub enum Event {
    /// A message arrived. The handler runs with the message's class and voucher.
    Message(Message),
    /// A listener has a new client. The connection to it is inactive: the handler gives it a handler of its own and
    /// activates it; if it only drops it, the client is turned away.
    Peer(Connection),
    /// An error. After [`XpcError::Invalid`] there are no more events.
    Error(XpcError),
}
