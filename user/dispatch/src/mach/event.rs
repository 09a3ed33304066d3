//! What a channel tells its handler (dispatch 6.11).

use super::channel::Channel;
use super::message::MachMsg;
use crate::qos::Qos;
use abi::{KernReturn, PortName};

/// An event of a channel. The events of one channel never overlap and keep their order (dispatch M-11).
#[derive(Debug)]
pub enum Event {
    /// The first event, just before another one and in the same context.
    Connected,
    /// A message arrived, or the reply to a request that asked for it: then [`MachMsg::context`] is that of the request.
    /// The handler runs with the class and voucher of the message; for a reply, with those of the requester.
    MessageReceived(MachMsg),
    /// The message was handed to the kernel, which has its rights.
    MessageSent(MachMsg),
    /// The message could not be sent.
    SendFailed(MachMsg, KernReturn),
    /// The message was not sent, because the channel was reconnected or cancelled.
    NotSent(MachMsg),
    /// The barrier before it has run.
    BarrierCompleted,
    /// The channel does not use a right any more: the program may release it.
    Disconnected(Lost),
    /// The last event of a cancelled channel, but for what is sent afterwards, or if it is connected only then.
    Canceled,
    /// A thread that waited for a reply on this port of the program has finished with it.
    ReplyReceived(PortName),
    /// There are no send rights to the channel's receive right any more.
    NoSenders,
    /// The program is to end (`SIGTERM_RECEIVED`).
    TerminationRequested,
}

impl Event {
    /// Returns the override class that the message of the event arrived with.
    pub(crate) fn over(&self) -> Qos {
        match self {
            Event::MessageReceived(message) => message.over,
            _ => Qos::Unspecified,
        }
    }
}

/// A right that a channel does not use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The send right to the peer.
    Send(PortName),
    /// The channel's receive right.
    Receive(PortName),
    /// The receive right for a reply that will not come, with what the program stored with the request.
    Reply(PortName, Option<u64>),
}

/// What became of a message that was sent by one of the calls with a result.
#[derive(Debug)]
pub enum SendResult {
    /// The kernel has it. There is no event, and the message's voucher is released.
    Sent,
    /// The channel was reconnected or cancelled. There is no event.
    NotSent(MachMsg),
    /// The kernel refused it with this code. There is no event.
    Failed(MachMsg, KernReturn),
    /// It waits for its turn (`NEEDS_DEFERRED_SEND`): an event will tell.
    Deferred,
}

/// The handler of a channel's events. A closure `FnMut(&Channel, Event)` is one.
pub trait Handler: Send {
    /// Handles an event, on the channel's queue.
    fn event(&mut self, channel: &Channel, event: Event);
}

impl<F: FnMut(&Channel, Event) + Send> Handler for F {
    fn event(&mut self, channel: &Channel, event: Event) {
        self(channel, event);
    }
}

/// The end of a request without a reply: the channel was reconnected or cancelled, or the request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected;
