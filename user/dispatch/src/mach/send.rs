//! The send side of a channel as plain state: what waits, what leaves next, and who sends it (dispatch 6.4, 6.8, 6.10).
//!
//! The side has no lock and makes no call. One thread at a time transmits: it asks [`next`](SendSide::next) under the
//! channel's lock, does what the answer says without the lock, and asks again.

use abi::PortName;
use abi::port::{MACH_PORT_DEAD, MACH_PORT_NULL};
use abi::qos::Qos;
use alloc::collections::VecDeque;

/// What the send side must know of a message.
pub(crate) trait Outgoing {
    /// Returns the class of the message.
    fn class(&self) -> Qos;
    /// Returns the memory that the message takes while it waits, in bytes.
    fn cost(&self) -> usize;
    /// Returns true if the message goes to a send-once right: it needs neither the channel's right nor its check-in.
    fn is_reply(&self) -> bool;
    /// Returns the right that a check-in goes to, if it is not that of the channel.
    fn destination(&self) -> Option<PortName> {
        None
    }
}

/// What waits to leave.
#[derive(Debug)]
enum Item<M, B> {
    Message(M),
    Barrier(B),
    /// A reconnect, or a cancellation if there is no new peer.
    Reconnect(Option<Peer<M>>),
}

/// Whom a channel sends to.
#[derive(Debug)]
pub(crate) struct Peer<M> {
    /// The send right. It belongs to the client.
    pub(crate) right: PortName,
    /// The message that introduces this side: it leaves before all others.
    pub(crate) checkin: Option<M>,
}

/// Who transmits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody: nothing waits.
    Idle,
    /// This thread.
    Draining(PortName),
    /// Nobody until the channel is connected, or until the peer's queue has room.
    Stopped,
}

/// What a thread that has added something does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It transmits: it calls [`SendSide::next`] until there is nothing left.
    Drain,
    /// It overrides the thread that transmits, before it releases the channel's lock.
    Raise(PortName, Qos),
    /// It is done.
    Queued,
}

/// What the thread that transmits does next.
#[derive(Debug)]
pub(crate) enum Next<M, B> {
    /// It sends the check-in to the right, with at most this override. Then it calls [`SendSide::full`] or goes on.
    CheckIn(M, PortName, Qos),
    /// It sends the message to the right, with at most this override. Then it calls [`SendSide::full`] or goes on.
    Send(M, PortName, Qos),
    /// It reports that the message is not sent, and that no reply will come.
    NotSent(M),
    /// It submits the barrier to the channel's queue: all earlier messages have left.
    Barrier(B),
    /// It reports that the old right and all pending replies are disconnected, and the old check-in as not sent.
    Disconnected {
        /// The right that the channel gives up.
        old: PortName,
        /// The check-in that was not sent.
        checkin: Option<M>,
        /// True if the channel is cancelled.
        canceled: bool,
    },
    /// It is done.
    Nothing,
}

/// The send side of a channel.
#[derive(Debug)]
pub(crate) struct SendSide<M, B> {
    items: VecDeque<Item<M, B>>,
    /// The memory that the messages in `items` take.
    cost: usize,
    /// The highest class of what waits and of what is being sent. All of it leaves with this override (M-7).
    class: Qos,
    state: State,
    right: PortName,
    checkin: Option<M>,
    /// The remote port of the last check-in.
    checkin_port: PortName,
    /// The reconnects that wait in the queue. The messages before them are not sent.
    disconnects: u32,
    connected: bool,
    canceled: bool,
    /// How often the thread that transmits was overridden.
    raises: u32,
    /// True if the peer's queue got room since the message that is being sent was taken.
    has_room: bool,
}

impl<M: Outgoing, B> SendSide<M, B> {
    pub(crate) fn new() -> SendSide<M, B> {
        SendSide {
            items: VecDeque::new(),
            cost: 0,
            class: Qos::Unspecified,
            state: State::Stopped,
            right: MACH_PORT_NULL,
            checkin: None,
            checkin_port: MACH_PORT_NULL,
            disconnects: 0,
            connected: false,
            canceled: false,
            raises: 0,
            has_room: false,
        }
    }

    /// Returns true if the channel is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Returns true if a reply may go to its send-once right without waiting for its turn (dispatch 6.4 (6)).
    pub(crate) fn lets_replies_pass(&self) -> bool {
        self.connected && !self.canceled && self.disconnects == 0
    }

    /// Returns the right for a message that would leave at once, if there is nothing that it must wait for.
    pub(crate) fn direct_right(&self) -> Option<PortName> {
        let is_free = self.state == State::Idle && self.checkin.is_none() && self.lets_replies_pass();
        is_free.then_some(self.right)
    }

    /// Returns what waits at a place of the queue: `None` behind the last one, else the message, if it is one.
    pub(crate) fn at(&self, place: usize) -> Option<Option<&M>> {
        self.items.get(place).map(|item| match item {
            Item::Message(message) => Some(message),
            Item::Barrier(_) | Item::Reconnect(_) => None,
        })
    }

    /// Returns the memory that the messages take that wait, in bytes.
    pub(crate) fn cost(&self) -> usize {
        self.cost
    }

    /// Returns the send right.
    pub(crate) fn right(&self) -> PortName {
        self.right
    }

    /// Returns the remote port of the last check-in: null before there is one, dead after cancellation.
    pub(crate) fn checkin_port(&self) -> PortName {
        if self.canceled { MACH_PORT_DEAD } else { self.checkin_port }
    }

    /// Connects the channel. The caller drains.
    ///
    /// # Errors
    /// The peer, if the channel is cancelled: nothing will be sent there, and the cancellation tells of no such right.
    pub(crate) fn connect(&mut self, peer: Peer<M>, thread: PortName) -> Result<Submitted, Peer<M>> {
        debug_assert!(!self.connected, "connect is called once");
        self.connected = true;
        if self.canceled {
            return Err(peer);
        }
        self.install(peer);
        Ok(self.start(thread))
    }

    fn install(&mut self, peer: Peer<M>) {
        self.right = peer.right;
        if let Some(checkin) = &peer.checkin {
            self.checkin_port = checkin.destination().unwrap_or(peer.right);
        }
        self.checkin = peer.checkin;
    }

    fn start(&mut self, thread: PortName) -> Submitted {
        self.state = State::Draining(thread);
        Submitted::Drain
    }

    /// Adds a message.
    pub(crate) fn submit(&mut self, message: M, thread: PortName) -> Submitted {
        let class = message.class();
        self.cost += message.cost();
        self.add(Item::Message(message), class, thread)
    }

    /// Adds a barrier with the class that it is submitted with.
    pub(crate) fn barrier(&mut self, barrier: B, class: Qos, thread: PortName) -> Submitted {
        self.add(Item::Barrier(barrier), class, thread)
    }

    /// Adds a reconnect. What was added before is not sent any more.
    pub(crate) fn reconnect(&mut self, peer: Peer<M>, thread: PortName) -> Submitted {
        self.disconnect(Some(peer), thread)
    }

    /// Cancels the channel. None if it is cancelled already.
    pub(crate) fn cancel(&mut self, thread: PortName) -> Option<Submitted> {
        if core::mem::replace(&mut self.canceled, true) {
            return None;
        }
        Some(self.disconnect(None, thread))
    }

    fn disconnect(&mut self, peer: Option<Peer<M>>, thread: PortName) -> Submitted {
        self.disconnects += 1;
        let submitted = self.add(Item::Reconnect(peer), Qos::Unspecified, thread);
        // What the queue waited for, room at the old peer or a connection, does not matter any more.
        if self.state == State::Stopped { self.start(thread) } else { submitted }
    }

    fn add(&mut self, item: Item<M, B>, class: Qos, thread: PortName) -> Submitted {
        self.items.push_back(item);
        let rises = class > self.class;
        self.class = self.class.max(class);
        match self.state {
            State::Idle => self.start(thread),
            State::Draining(sender) if rises => {
                self.raises += 1;
                Submitted::Raise(sender, class)
            }
            State::Draining(_) | State::Stopped => Submitted::Queued,
        }
    }

    /// Returns what the thread that transmits does next.
    pub(crate) fn next(&mut self) -> Next<M, B> {
        self.has_room = false;
        let is_sent = self.lets_replies_pass();
        let needs_checkin = matches!(self.items.front(), Some(Item::Message(message)) if !message.is_reply());
        if is_sent
            && needs_checkin
            && let Some(checkin) = self.checkin.take()
        {
            return Next::CheckIn(checkin, self.right, self.class);
        }
        let item = self.items.pop_front();
        if let Some(Item::Message(message)) = &item {
            self.cost -= message.cost();
        }
        match item {
            Some(Item::Message(message)) if is_sent => Next::Send(message, self.right, self.class),
            Some(Item::Message(message)) => Next::NotSent(message),
            Some(Item::Barrier(barrier)) => Next::Barrier(barrier),
            Some(Item::Reconnect(peer)) => self.change_peer(peer),
            None => {
                (self.state, self.class) = (State::Idle, Qos::Unspecified);
                Next::Nothing
            }
        }
    }

    fn change_peer(&mut self, peer: Option<Peer<M>>) -> Next<M, B> {
        self.disconnects -= 1;
        let (old, checkin) = (self.right, self.checkin.take());
        let canceled = peer.is_none();
        self.install(peer.unwrap_or(Peer { right: MACH_PORT_NULL, checkin: None }));
        Next::Disconnected { old, checkin, canceled }
    }

    /// Puts a message back that found the queue of the peer full. Returns true if the caller goes on transmitting,
    /// because the queue has got room, or because there is a new peer.
    pub(crate) fn full(&mut self, message: M) -> bool {
        self.cost += message.cost();
        self.items.push_front(Item::Message(message));
        self.stop()
    }

    /// Puts a check-in back that found the queue of the peer full: see [`full`](SendSide::full).
    pub(crate) fn checkin_full(&mut self, checkin: M) -> bool {
        self.checkin = Some(checkin);
        self.stop()
    }

    fn stop(&mut self) -> bool {
        let goes_on = self.has_room || self.disconnects > 0;
        if !goes_on {
            self.state = State::Stopped;
        }
        goes_on
    }

    /// Notes that the queue of the peer has room. Returns true if the caller transmits.
    pub(crate) fn room(&mut self, thread: PortName) -> bool {
        if self.state == State::Stopped && self.connected {
            self.state = State::Draining(thread);
            return true;
        }
        self.has_room = true;
        false
    }

    /// Returns how often the thread that transmits was overridden. It ends these overrides when it stops.
    pub(crate) fn take_raises(&mut self) -> u32 {
        core::mem::take(&mut self.raises)
    }
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
