//! Messages to the other end, and the replies to them (dispatch 7.3).

use super::state::{ChannelNumber, Kind, Sending};
use super::{Connection, Inner};
use crate::wire::XPC_MESSAGE_REPLY;
use crate::{Dictionary, XpcError, transport};
use abi::KernReturn;
use abi::code::*;
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use dispatch::mach::{Channel, MachMsg, SendResult};
use dispatch::qos::Qos;
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sync::Arc;

/// Bytes that may wait for a client which does not read. Beyond that the connection is given up: the service's memory is
/// not the client's to fill.
const MOST_WAITING: usize = 256 * 1024;

/// Where a message goes.
enum Route {
    /// To this channel.
    Channel(Channel, ChannelNumber),
    /// To this channel, which is new and has to be established.
    NewChannel(Channel, ChannelNumber),
    /// The connection is invalid.
    Nowhere,
}

impl Connection {
    /// Sends a message. Messages of a connection arrive in the order in which they were sent; one that cannot be sent is
    /// dropped. The message takes along the calling thread's class and voucher, and with it the boost of this process.
    ///
    /// A dictionary that is nested deeper than [`DEPTH_MAX`](crate::wire::DEPTH_MAX) ends the program.
    pub fn send(&self, message: &Dictionary) {
        let inner = self.inner();
        inner.transmit(transport::request(message), |channel, message| {
            channel.send_with_result(message, MsgOption::empty())
        });
    }

    /// Sends a message and calls a closure with the reply, once, on the given queue or on that of the connection. The
    /// closure runs in the context of this call: with the calling thread's class and voucher.
    ///
    /// It gets [`XpcError::Interrupted`] if the other end drops the message or dies, and [`XpcError::Invalid`] if the
    /// connection is of no use any more.
    pub fn send_with_reply(
        &self,
        message: &Dictionary,
        queue: Option<&Queue>,
        handler: impl FnOnce(Result<Dictionary, XpcError>) + Send + 'static,
    ) {
        let inner = self.inner();
        let message = transport::request(message);
        let queue = queue.cloned().unwrap_or_else(|| inner.reply_queue());
        let route = inner.route(true);
        let (Route::Channel(channel, number) | Route::NewChannel(channel, number)) = &route else {
            message.destroy();
            return queue.run_async(|| handler(Err(XpcError::Invalid)));
        };
        let (number, waiting) = (*number, Arc::clone(inner));
        let result = channel.request(message, MsgOption::empty(), Some(&queue), move |reply| {
            handler(waiting.opened(number, reply.ok()));
            waiting.reply_handled();
        });
        inner.sent(channel, number, result);
        inner.establish_if_new(&route);
    }

    /// Sends a message and waits for the reply. The other end works with this thread's class meanwhile.
    ///
    /// A handler of this connection must not call this: its reply could wait behind the handler.
    ///
    /// # Errors
    /// As for [`send_with_reply`](Connection::send_with_reply).
    pub fn send_with_reply_sync(&self, message: &Dictionary) -> Result<Dictionary, XpcError> {
        let inner = self.inner();
        let message = transport::request(message);
        let route = inner.route(false);
        inner.establish_if_new(&route);
        let (Route::Channel(channel, number) | Route::NewChannel(channel, number)) = route else {
            message.destroy();
            return Err(XpcError::Invalid);
        };
        let (result, reply) = channel.send_with_result_and_wait_for_reply(message, MsgOption::empty());
        inner.sent(&channel, number, result);
        inner.opened(number, reply)
    }

    /// Calls a closure when all messages that were sent before are with the kernel; at once if the connection has ended.
    pub fn send_barrier(&self, barrier: impl FnOnce() + Send + 'static) {
        match self.inner().route(false) {
            Route::Nowhere => barrier(),
            route @ (Route::Channel(..) | Route::NewChannel(..)) => {
                let (Route::Channel(channel, _) | Route::NewChannel(channel, _)) = &route else { return };
                channel.send_barrier(barrier);
                self.inner().establish_if_new(&route);
            }
        }
    }
}

impl Inner {
    /// Returns where the next message goes. `awaits_reply` says that a reply handler has to return before the connection
    /// ends.
    fn route(self: &Arc<Inner>, awaits_reply: bool) -> Route {
        let mut core = self.core.lock();
        let (sending, old) = match core.state.send() {
            Sending::Nowhere => return Route::Nowhere,
            sending @ Sending::ToChannel(_) => (sending, None),
            sending @ Sending::ToNewChannel(_) => (sending, core.channel.take()),
        };
        if awaits_reply {
            core.state.reply_awaited();
        }
        let channel = match &core.channel {
            Some(channel) => channel.clone(),
            None => self.add_channel(&mut core),
        };
        drop(core);
        drop(old);
        match sending {
            Sending::ToNewChannel(number) => Route::NewChannel(channel, number),
            Sending::ToChannel(number) => Route::Channel(channel, number),
            Sending::Nowhere => Route::Nowhere,
        }
    }

    /// Establishes a new channel. What was sent before leaves now, on this thread.
    fn establish_if_new(self: &Arc<Inner>, route: &Route) {
        if let Route::NewChannel(_, number) = route {
            self.establish(*number);
        }
    }

    /// Sends a message through the present channel.
    fn transmit(self: &Arc<Inner>, message: MachMsg, send: impl FnOnce(&Channel, MachMsg) -> SendResult) {
        let route = self.route(false);
        let (Route::Channel(channel, number) | Route::NewChannel(channel, number)) = &route else {
            return message.destroy();
        };
        let result = send(channel, message);
        self.sent(channel, *number, result);
        self.establish_if_new(&route);
    }

    /// Does what the result of a send asks for.
    fn sent(self: &Arc<Inner>, channel: &Channel, number: ChannelNumber, result: SendResult) {
        match result {
            SendResult::Sent => {}
            SendResult::Deferred => {
                let is_peer = self.core.lock().state.kind() == Kind::Peer;
                if is_peer && channel.waiting_to_leave() > MOST_WAITING {
                    self.lost(number);
                }
            }
            SendResult::NotSent(message) => message.destroy(),
            SendResult::Failed(message, code) => self.send_failed(number, message, code),
        }
    }

    /// Drops a message that could not be sent, and notes if the other end is gone.
    pub(super) fn send_failed(self: &Arc<Inner>, number: ChannelNumber, message: MachMsg, code: KernReturn) {
        message.destroy();
        if KernReturn(code.0 & !MACH_MSG_MASK) == MACH_SEND_INVALID_DEST {
            self.lost(number);
        }
    }

    /// Returns the queue for replies whose request names none.
    fn reply_queue(&self) -> Queue {
        let target = self.core.lock().target.clone();
        target.unwrap_or_else(|| Queue::global(Qos::DEFAULT, QueueFlags::OVERCOMMIT))
    }

    /// Returns the contents of a reply. None is a reply that will not come.
    fn opened(&self, number: ChannelNumber, reply: Option<MachMsg>) -> Result<Dictionary, XpcError> {
        let (is_lost, dropped) = match &reply {
            None => (true, true),
            Some(reply) => (false, reply.id() == MACH_NOTIFY_SEND_ONCE && reply.is_from_kernel()),
        };
        let dictionary = reply.and_then(|reply| transport::open(reply, XPC_MESSAGE_REPLY));
        dictionary.map(|(dictionary, _)| dictionary).ok_or_else(|| {
            let core = self.core.lock();
            // A request that the other end has dropped, or took with it when it died.
            let peer_is_gone = is_lost || (dropped && core.peer_is_dead());
            core.state.reply_error(number, peer_is_gone)
        })
    }

    /// Notes that a reply handler has returned.
    fn reply_handled(self: &Arc<Inner>) {
        let ends = self.core.lock().state.reply_handled();
        if ends {
            self.tell_of_the_end();
        }
    }
}
