//! Received messages, and replies to them.

use crate::boost::ReplyContext;
use crate::connection::Inner;
use crate::owned::OwnedSendOnce;
use crate::service;
use crate::transport::{self, Sender};
use crate::{Connection, Dictionary};
use abi::message::MsgOption;
use core::fmt;
use core::ops::{Deref, DerefMut};
use dispatch::mach::{Channel, SendResult};
use dispatch::sync::{Arc, Mutex};
use dispatch::voucher::Voucher;

/// The right to reply, with the message's boost token.
type Context = ReplyContext<OwnedSendOnce, Arc<Voucher>>;

/// A message that a connection has received: a dictionary, and how to reply to it.
///
/// A message that wants a reply keeps this process boosted until it is replied to or dropped.
pub struct Message {
    dictionary: Dictionary,
    context: Mutex<Option<Context>>,
    channel: Channel,
    connection: Arc<Inner>,
    sender: Sender,
}

impl Message {
    pub(crate) fn new(
        dictionary: Dictionary,
        context: Option<Context>,
        channel: &Channel,
        connection: &Arc<Inner>,
        sender: Sender,
    ) -> Message {
        let (channel, connection) = (channel.clone(), Arc::clone(connection));
        Message { dictionary, context: Mutex::new(context), channel, connection, sender }
    }

    /// Returns an empty reply, which goes to the sender of this message. None if the sender does not want one, or if a
    /// reply was made before.
    ///
    /// The reply takes over what keeps this process boosted for the message, and the process does not exit when idle
    /// before the reply was sent or dropped.
    pub fn create_reply(&self) -> Option<Reply> {
        let context = self.context.lock().take()?;
        service::reply_created();
        Some(Reply { dictionary: Dictionary::new(), context: Some(context), channel: self.channel.clone() })
    }

    /// Returns true if the sender waits for a reply, and none was made yet.
    pub fn wants_reply(&self) -> bool {
        self.context.lock().is_some()
    }

    /// Returns the connection that the message came through.
    pub fn connection(&self) -> Connection {
        Connection::of(&self.connection)
    }

    /// Returns who sent the message, by the word of the kernel.
    pub fn sender(&self) -> Sender {
        self.sender
    }

    /// Returns the contents, and drops the rest: a sender that waits for a reply gets
    /// [`Interrupted`](crate::XpcError::Interrupted).
    pub fn into_dictionary(mut self) -> Dictionary {
        core::mem::take(&mut self.dictionary)
    }
}

impl Deref for Message {
    type Target = Dictionary;

    fn deref(&self) -> &Dictionary {
        &self.dictionary
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Message").field(&self.dictionary).field(&self.sender).finish()
    }
}

/// A reply. Filling it is filling its [`Dictionary`]. One that is dropped tells the requester
/// [`Interrupted`](crate::XpcError::Interrupted).
pub struct Reply {
    dictionary: Dictionary,
    context: Option<Context>,
    channel: Channel,
}

impl Reply {
    /// Sends the reply. If the requester is gone, nothing happens.
    pub fn send(mut self) {
        let context = self.context.take().expect("a reply is sent once");
        let dictionary = core::mem::take(&mut self.dictionary);
        context.send(|right| {
            let message = transport::reply(&dictionary, right);
            match self.channel.send_with_result(message, MsgOption::empty()) {
                SendResult::Sent | SendResult::Deferred => {}
                SendResult::Failed(message, _) | SendResult::NotSent(message) => message.destroy(),
            }
        });
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        // The right to reply goes before the transaction ends: that may end the process.
        drop(self.context.take());
        service::reply_finished();
    }
}

impl Deref for Reply {
    type Target = Dictionary;

    fn deref(&self) -> &Dictionary {
        &self.dictionary
    }
}

impl DerefMut for Reply {
    fn deref_mut(&mut self) -> &mut Dictionary {
        &mut self.dictionary
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reply").field(&self.dictionary).finish()
    }
}
