//! Requests whose reply comes later (dispatch 6.7).

use super::channel::{Channel, Inner};
use super::event::{Disconnected, Event, Lost};
use super::message::MachMsg;
use super::receiver::{Arrived, Sink};
use super::reply::Pending;
use super::transmit::{Sending, Told};
use super::{SendResult, receiver};
use crate::continuation::Continuation;
use crate::inspect::Held;
use crate::process::process;
use crate::qos::{ItemPriority, Priority};
use crate::queue::Queue;
use crate::queue::state::Kind;
use crate::sync::Arc;
use crate::voucher::Voucher;
use abi::PortName;
use abi::message::MsgOption;
use abi::port::{Disposition, MACH_PORT_RIGHT_RECEIVE};
use alloc::boxed::Box;

type Work = Box<dyn FnOnce(Result<MachMsg, Disconnected>) + Send>;

/// Where a reply goes, and the context in which it is handled: the requester's.
pub(crate) struct Requester {
    priority: Priority,
    voucher: Option<Arc<Voucher>>,
    to: To,
}

enum To {
    /// The handler of the channel. The reply port is the program's.
    Handler(Option<u64>),
    /// A closure, on a queue or on that of the channel. The reply port is the library's.
    Closure(Option<Queue>, Work),
}

impl Requester {
    /// Returns the requester of a message whose reply goes to the handler, with this number.
    pub(crate) fn handler(message: &MachMsg, context: Option<u64>) -> Requester {
        Requester { priority: message.priority, voucher: message.voucher.clone(), to: To::Handler(context) }
    }
}

impl Requester {
    /// Returns what the pending reply holds (dispatch 2.11 H7).
    pub(crate) fn held(&self) -> Held<'_> {
        Held { work: 0, priority: self.priority.without_flags().0, voucher: self.voucher.as_deref() }
    }
}

impl Channel {
    /// Sends a request whose reply comes to the handler as [`Event::MessageReceived`], with this number as its
    /// [context](MachMsg::context) and in the caller's context. The message names a reply port of the program, with
    /// `MACH_MSG_TYPE_MAKE_SEND_ONCE`. If no reply can come, there is an [`Event::Disconnected`] for the port.
    pub fn send_with_async_reply(&self, message: MachMsg, options: MsgOption, context: u64) -> SendResult {
        let mut sending = Sending::prepare(message, options, Told::Caller, false);
        if sending.reply_port.is_none() {
            process().kernel.crash("a request names no reply port");
        }
        sending.requester = Some(Requester::handler(&sending.message, Some(context)));
        self.0.send(sending).unwrap_or(SendResult::Deferred)
    }

    /// Sends a request whose reply goes to a closure, which runs exactly once, on a queue or on that of the channel, in
    /// the caller's context. The library makes a reply port for the request. A reply with id 71 says that the peer
    /// destroyed the right to reply.
    pub fn request(
        &self,
        message: MachMsg,
        options: MsgOption,
        queue: Option<&Queue>,
        work: impl FnOnce(Result<MachMsg, Disconnected>) + Send + 'static,
    ) -> SendResult {
        let Ok(port) = process().kernel.allocate_receive() else {
            process().kernel.crash("there is no room for a reply port");
        };
        let message = message.reply_to(port, Disposition::MAKE_SEND_ONCE);
        let mut sending = Sending::prepare(message, options, Told::Caller, false);
        let to = To::Closure(queue.cloned(), Box::new(work));
        let (priority, voucher) = (sending.message.priority, sending.message.voucher.clone());
        sending.requester = Some(Requester { priority, voucher, to });
        self.0.send(sending).unwrap_or(SendResult::Deferred)
    }
}

impl Inner {
    /// Registers a reply port whose request was sent. The reply may be there already.
    pub(crate) fn await_reply(self: &Arc<Inner>, port: PortName, requester: Requester) {
        self.replies.lock().add(port, Pending::Later(requester));
        process().receiver.add(port, Arc::clone(self) as Arc<dyn Sink>, self.is_strict());
    }

    /// Takes a reply that came through a reply port. It is handled in the requester's context, whatever the server's was.
    pub(crate) fn merge_reply(self: &Arc<Inner>, port: PortName, arrived: Arrived<'_>) {
        receiver::drop_voucher(arrived.bytes);
        let mut message = MachMsg::received(arrived.bytes);
        let pending = self.replies.lock().take(port);
        let Some(Pending::Later(requester)) = pending else {
            // The reply was given up while it was on its way.
            return message.destroy();
        };
        process().receiver.remove(port);
        if self.is_canceled() {
            message.destroy();
            return self.tell_of_lost_reply(port, requester);
        }
        let Requester { priority, voucher, to } = requester;
        message.priority = priority;
        match to {
            To::Handler(context) => {
                message.set_context(context);
                message.is_awaited = true;
                self.push(Event::MessageReceived(message), priority, voucher.into(), priority.class());
            }
            To::Closure(queue, work) => self.answer(port, priority, voucher, queue, move || work(Ok(message))),
        }
    }

    /// Tells a requester that its reply will not come, in its own context.
    pub(crate) fn tell_of_lost_reply(self: &Arc<Inner>, port: PortName, requester: Requester) {
        let Requester { priority, voucher, to } = requester;
        match to {
            To::Handler(context) => {
                let event = Event::Disconnected(Lost::Reply(port, context));
                self.push(event, priority, voucher.into(), priority.class());
            }
            To::Closure(queue, work) => self.answer(port, priority, voucher, queue, move || work(Err(Disconnected))),
        }
    }

    /// Destroys a reply port of the library and submits the requester's closure.
    fn answer(
        &self,
        port: PortName,
        priority: Priority,
        voucher: Option<Arc<Voucher>>,
        queue: Option<Queue>,
        work: impl FnOnce() + Send + 'static,
    ) {
        // A reply that comes too late dies with the port.
        let _ = process().kernel.mod_refs(port, MACH_PORT_RIGHT_RECEIVE, -1);
        let item = Continuation::new(ItemPriority::enforced(priority), voucher.into(), work);
        queue.as_ref().unwrap_or(&self.queue).push(item, Kind::Shared, priority.class());
    }
}
