//! How a channel gives its peer up, for another one or for good (dispatch 6.8, 6.10).

use super::channel::Inner;
use super::event::{Event, Lost};
use super::receiver::Sink;
use super::reply::Pending;
use super::request::Requester;
use super::send::Peer;
use super::transmit::Sending;
use crate::process::process;
use crate::sync::Arc;
use abi::PortName;
use abi::port::MACH_PORT_RIGHT_RECEIVE;

impl Inner {
    /// Reports that the channel does not use its old send right any more, that its check-in was not sent, and that
    /// pending replies will not come, in this order. If the channel is cancelled, it ends.
    pub(crate) fn disconnected(self: &Arc<Inner>, old: PortName, checkin: Option<Sending>, canceled: bool) {
        let receiver = &process().receiver;
        receiver.forget_waiting(&(Arc::clone(self) as Arc<dyn Sink>));
        if old.is_valid() {
            self.push_plain(Event::Disconnected(Lost::Send(old)));
        }
        if let Some(checkin) = checkin {
            self.push_message(checkin.message, Event::NotSent);
        }
        let pending = self.replies.lock().take_all();
        for (port, pending) in pending {
            if matches!(pending, Pending::Later(_)) {
                receiver.remove(port);
            }
            self.lose_reply(port, pending);
        }
        if canceled {
            self.end();
        }
    }

    /// Reports that a channel that was cancelled before it was connected will not use what it is connected with.
    pub(crate) fn give_back(self: &Arc<Inner>, receive: PortName, peer: Peer<Sending>) {
        self.disconnected(peer.right, peer.checkin, false);
        self.lose_receive(receive);
    }

    /// Tells the one who waits for a reply that it will not come. The reply is on no list any more.
    pub(crate) fn lose_reply(self: &Arc<Inner>, port: PortName, pending: Pending<Requester>) {
        match pending {
            Pending::Later(requester) | Pending::ThreadOnPort(requester) => self.tell_of_lost_reply(port, requester),
            Pending::Thread => {
                // The thread wakes, finds that its port is on the list no more, and forgets it.
                let _ = process().kernel.mod_refs(port, MACH_PORT_RIGHT_RECEIVE, -1);
            }
        }
    }

    /// Ends a cancelled channel.
    fn end(self: &Arc<Inner>) {
        let receive = self.receive_right();
        if receive.is_valid() {
            process().receiver.remove(receive);
        }
        self.lose_receive(receive);
        self.push_plain(Event::Canceled);
    }

    /// Reports that the channel does not use a receive right, if it is one.
    fn lose_receive(self: &Arc<Inner>, receive: PortName) {
        if receive.is_valid() {
            self.push_plain(Event::Disconnected(Lost::Receive(receive)));
        }
    }
}
