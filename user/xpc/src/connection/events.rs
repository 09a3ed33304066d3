//! What comes from a channel, and what the handler hears of it (dispatch 7.4, 7.5).

use super::establish::Origin;
use super::state::{ChannelNumber, Loss};
use super::{Connection, Core, Inner};
use crate::boost::ReplyContext;
use crate::owned::{self, OwnedReceive, OwnedSend};
use crate::service::Seat;
use crate::transport::{self, Sender};
use crate::wire::XPC_MESSAGE_REQUEST;
use crate::{Event, Message, XpcError, service};
use abi::PortName;
use dispatch::mach::{self, Channel, Lost, MachMsg};
use dispatch::sync::Arc;
use dispatch::voucher;

impl Inner {
    /// Returns the handler of a channel.
    pub(super) fn handler_of(self: &Arc<Inner>, number: ChannelNumber) -> impl mach::Handler + 'static {
        let inner = Arc::clone(self);
        move |channel: &Channel, event: mach::Event| inner.handle(channel, number, event)
    }

    fn handle(self: &Arc<Inner>, channel: &Channel, number: ChannelNumber, event: mach::Event) {
        match event {
            mach::Event::MessageReceived(message) => {
                let kind = self.core.lock().state.kind();
                if kind.is_listener() { self.client_came(message) } else { self.message_came(channel, message) }
            }
            mach::Event::SendFailed(message, code) => self.send_failed(number, message, code),
            mach::Event::NotSent(message) => message.destroy(),
            mach::Event::NoSenders => self.lost(number),
            // The channel has no more use for its rights.
            mach::Event::Disconnected(Lost::Send(name)) => {
                self.core.lock().forget_peer(name);
                drop(OwnedSend::new(name));
            }
            mach::Event::Disconnected(Lost::Receive(name)) => drop(OwnedReceive::new(name)),
            mach::Event::Canceled => self.channel_ended(),
            mach::Event::TerminationRequested => self.deliver(Event::Error(XpcError::TerminationImminent)),
            // What was sent is the kernel's; replies go to closures.
            mach::Event::Connected
            | mach::Event::MessageSent(_)
            | mach::Event::BarrierCompleted
            | mach::Event::ReplyReceived(_)
            | mach::Event::Disconnected(Lost::Reply(..)) => {}
        }
    }

    /// Delivers a message. The thread has the message's class and voucher.
    fn message_came(self: &Arc<Inner>, channel: &Channel, message: MachMsg) {
        if !service::message_arrived() {
            return message.destroy();
        }
        let sender = Sender::of(&message);
        if let Some((dictionary, reply)) = transport::open(message, XPC_MESSAGE_REQUEST) {
            let (context, token) = ReplyContext::new(reply, voucher::copy());
            let message = Message::new(dictionary, context, channel, self, sender);
            self.deliver(Event::Message(message));
            drop(token);
        }
        service::handler_returned();
    }

    /// Makes the connection to a client that has introduced itself to this listener.
    fn client_came(self: &Arc<Inner>, message: MachMsg) {
        if service::is_terminating() {
            return message.destroy();
        }
        let sender = Sender::of(&message);
        if let Some((receive, send)) = transport::open_check_in(message, sender)
            && let Some(seat) = Seat::take(sender.pid)
        {
            let target = self.core.lock().target.clone();
            let peer = Inner::peer(Origin::CheckIn(receive, send), target, sender.pid, seat);
            self.deliver(Event::Peer(Connection::of(&peer)));
        }
    }

    /// Calls the handler. The caller runs on the lane. Without a handler the event is dropped.
    pub(super) fn deliver(&self, event: Event) {
        let handler = self.handler.lock().take();
        let Some(mut handler) = handler else { return };
        handler(event);
        let mut slot = self.handler.lock();
        // The handler may have set another one.
        let unused = if slot.is_none() { slot.replace(handler) } else { Some(handler) };
        drop(slot);
        drop(unused);
    }

    /// Notes that the other end is gone.
    pub(super) fn lost(self: &Arc<Inner>, number: ChannelNumber) {
        let loss = self.core.lock().state.lost(number);
        match loss {
            Loss::Interrupted => {
                self.deliver_error(XpcError::Interrupted);
                self.cancel_channel();
            }
            Loss::Invalid => self.cancel_channel(),
            Loss::Known => {}
        }
    }

    /// Lets the handler get an error on its queue, without a voucher and with the class of the queue (dispatch X-16).
    fn deliver_error(self: &Arc<Inner>, error: XpcError) {
        let inner = Arc::clone(self);
        self.run_on_lane(move || inner.deliver(Event::Error(error)));
    }

    /// Lets the handler hear that the process is about to exit, if the connection is one whose handler does.
    pub(crate) fn hear_of_termination(self: &Arc<Inner>) {
        let hears = self.core.lock().state.hears_of_termination();
        if hears {
            self.channel().request_termination();
        }
    }

    fn run_on_lane(self: &Arc<Inner>, work: impl FnOnce() + Send + 'static) {
        self.lane().run_block(&service::detached(work));
    }

    /// Notes the last event of a channel.
    fn channel_ended(self: &Arc<Inner>) {
        let ends = self.core.lock().state.channel_ended();
        if ends {
            self.end();
        }
    }

    /// Lets the handler get INVALID on its queue.
    pub(super) fn tell_of_the_end(self: &Arc<Inner>) {
        let inner = Arc::clone(self);
        self.run_on_lane(move || inner.end());
    }

    /// Calls the handler for the last time, and lets go of everything. The caller runs on the lane.
    fn end(self: &Arc<Inner>) {
        service::left(self);
        let (channel, lane, origin, seat) = {
            let mut core = self.core.lock();
            let origin = core::mem::replace(&mut core.origin, Origin::Nothing);
            (core.channel.take(), core.lane.take(), origin, core.seat.take())
        };
        self.deliver(Event::Error(XpcError::Invalid));
        let handler = self.handler.lock().take();
        drop((handler, channel, lane, origin, seat));
    }
}

impl Core {
    /// Forgets the send right to the other end, which is about to be given back. A newer one is kept.
    fn forget_peer(&mut self, name: PortName) {
        if self.peer == Some(name) {
            self.peer = None;
        }
    }

    /// Returns true if the port at the other end is dead.
    pub(super) fn peer_is_dead(&self) -> bool {
        self.peer.is_some_and(owned::is_dead)
    }
}
