//! The state of a connection: what each thing that happens to it leads to (dispatch 7.2, 7.5).
//!
//! This is the state alone: its methods take what happened and return what is to be done, and the caller does it without
//! a lock. A connection has one *channel* after the other: a client of a named service gets a new one when the service
//! has gone away and something is sent again.
//!
//! ```text
//! Inactive ──activate──► Open ◄──send── Interrupted      cancelled, or of no use any more:
//!     │                   │ └───lost──────────▲ │          Ending ──the last channel and reply handler──► Dead
//!     └───────────────────┴─────────────────────┴───────────► ▲                                       INVALID
//! ```

use crate::XpcError;
use core::fmt;

/// The kinds of connections (dispatch 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A client's end of a connection to a named service.
    Client,
    /// A client's end of a connection that was made from an endpoint.
    EndpointClient,
    /// A service's end, made by a listener for a client.
    Peer,
    /// A service that accepts clients at a name.
    Listener,
    /// A listener without a name, whose endpoint can be sent.
    AnonymousListener,
}

impl Kind {
    /// Returns true if connections of the kind accept clients.
    pub(super) fn is_listener(self) -> bool {
        matches!(self, Kind::Listener | Kind::AnonymousListener)
    }
}

/// Which of the channels of a connection. They are numbered in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChannelNumber(u32);

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It was not activated: what is sent waits, and nothing is received.
    Inactive,
    /// It has a channel that is connected, or will be in a moment.
    Open,
    /// The service has gone away. What is sent next makes a new channel.
    Interrupted,
    /// It was cancelled, or became invalid. Its handler gets INVALID when everything else is done.
    Ending,
    /// INVALID is delivered, or is about to be.
    Dead,
}

/// The state of a connection.
#[derive(Clone, Debug)]
pub(super) struct State {
    kind: Kind,
    phase: Phase,
    /// The present channel, or the last one.
    channel: ChannelNumber,
    /// Channels that have not told their last event.
    channels: u32,
    /// Reply handlers that have not returned.
    replies: u32,
    /// Calls of `suspend` without their `resume`.
    suspensions: u32,
}

/// What is to be done when a connection is activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Activation {
    /// Its channel is established; [`State::established`] follows.
    Establish(ChannelNumber),
    /// Nothing: it was activated before, or cancelled.
    Nothing,
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Sending {
    /// To the present channel.
    ToChannel(ChannelNumber),
    /// To a new channel, which takes the place of the present one and is established after it got the message;
    /// [`State::established`] follows.
    ToNewChannel(ChannelNumber),
    /// Nowhere: the connection is invalid.
    Nowhere,
}

/// What is to be done with the rights that were found or made for a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Established {
    /// The channel is connected with them.
    Connect,
    /// The channel is cancelled; rights are given back.
    GiveUp,
}

/// What is to be done when the other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Loss {
    /// The handler gets INTERRUPTED, and the channel is cancelled.
    Interrupted,
    /// The channel is cancelled; INVALID follows its last event.
    Invalid,
    /// Nothing: it was noticed before.
    Known,
}

/// What is to be done when a connection is cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Cancellation {
    /// The present channel is cancelled; INVALID follows its last event.
    CancelChannel,
    /// Nothing is left that could still happen: the handler gets INVALID.
    Deliver,
    /// Nothing yet: INVALID follows the last event of a channel that is cancelled already, or a reply handler.
    Wait,
    /// Nothing: it was cancelled or became invalid before.
    Known,
}

/// The program resumed a connection that is not suspended: its own fault, for which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotSuspended;

impl fmt::Display for NotSuspended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection is resumed that is not suspended")
    }
}

impl core::error::Error for NotSuspended {}

impl State {
    /// Returns the state of a connection with a channel that is not connected yet.
    pub(super) const fn new(kind: Kind) -> State {
        State { kind, phase: Phase::Inactive, channel: ChannelNumber(0), channels: 1, replies: 0, suspensions: 0 }
    }

    /// Returns the kind of the connection.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the number of the present channel.
    pub(super) fn channel(&self) -> ChannelNumber {
        self.channel
    }

    /// Returns true if the connection was never activated, nor cancelled.
    pub(super) fn is_inactive(&self) -> bool {
        self.phase == Phase::Inactive
    }

    /// Returns true if the connection was cancelled or has become invalid: it delivers no more messages.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ending | Phase::Dead)
    }

    /// Returns true if INVALID is delivered or about to be.
    #[cfg(test)]
    pub(super) fn is_dead(&self) -> bool {
        self.phase == Phase::Dead
    }

    /// Activates the connection.
    pub(super) fn activate(&mut self) -> Activation {
        if self.phase != Phase::Inactive {
            return Activation::Nothing;
        }
        self.phase = Phase::Open;
        Activation::Establish(self.channel)
    }

    /// Notes that the rights for a channel were found or made, or that there are none: the name is unknown.
    pub(super) fn established(&mut self, channel: ChannelNumber, found: bool) -> Established {
        if self.phase != Phase::Open || self.channel != channel {
            return Established::GiveUp;
        }
        if found {
            return Established::Connect;
        }
        self.phase = Phase::Ending;
        Established::GiveUp
    }

    /// Returns where a message goes.
    pub(super) fn send(&mut self) -> Sending {
        match self.phase {
            Phase::Inactive | Phase::Open => Sending::ToChannel(self.channel),
            Phase::Interrupted => {
                self.phase = Phase::Open;
                self.channel.0 += 1;
                self.channels += 1;
                Sending::ToNewChannel(self.channel)
            }
            Phase::Ending | Phase::Dead => Sending::Nowhere,
        }
    }

    /// Notes that the other end of a channel is gone.
    pub(super) fn lost(&mut self, channel: ChannelNumber) -> Loss {
        if self.phase != Phase::Open || self.channel != channel {
            return Loss::Known;
        }
        if self.kind == Kind::Client {
            self.phase = Phase::Interrupted;
            return Loss::Interrupted;
        }
        self.phase = Phase::Ending;
        Loss::Invalid
    }

    /// Cancels the connection.
    pub(super) fn cancel(&mut self) -> Cancellation {
        let phase = core::mem::replace(&mut self.phase, Phase::Ending);
        match phase {
            Phase::Inactive | Phase::Open => Cancellation::CancelChannel,
            Phase::Interrupted if self.ends() => Cancellation::Deliver,
            Phase::Interrupted => Cancellation::Wait,
            Phase::Ending | Phase::Dead => {
                self.phase = phase;
                Cancellation::Known
            }
        }
    }

    /// Notes the last event of a channel. Returns true if the handler gets INVALID now.
    #[must_use]
    pub(super) fn channel_ended(&mut self) -> bool {
        assert!(self.channels > 0, "a channel ended twice");
        self.channels -= 1;
        self.ends()
    }

    /// Notes a request whose handler waits for the reply.
    pub(super) fn reply_awaited(&mut self) {
        self.replies += 1;
    }

    /// Notes that a reply handler has returned. Returns true if the event handler gets INVALID now: it follows the last
    /// reply handler.
    #[must_use]
    pub(super) fn reply_handled(&mut self) -> bool {
        assert!(self.replies > 0, "a reply was handled twice");
        self.replies -= 1;
        self.ends()
    }

    /// Returns the error for a request through a channel, to which no reply will come. `peer_is_gone` says that the
    /// other end of the channel is known to be dead, though the connection has not noticed it yet.
    pub(super) fn reply_error(&self, channel: ChannelNumber, peer_is_gone: bool) -> XpcError {
        let dead = self.is_over() || (peer_is_gone && self.kind != Kind::Client);
        if dead && channel == self.channel { XpcError::Invalid } else { XpcError::Interrupted }
    }

    /// Returns true if the handler is told that the process is about to exit (dispatch 7.5, last row).
    pub(super) fn hears_of_termination(&self) -> bool {
        self.phase == Phase::Open && (self.kind == Kind::Peer || self.kind.is_listener())
    }

    /// Suspends the connection: its events wait, and what is sent leaves.
    pub(super) fn suspend(&mut self) {
        self.suspensions += 1;
    }

    /// Returns how many calls of [`suspend`](State::suspend) have no [`resume`](State::resume) yet.
    pub(super) fn suspensions(&self) -> u32 {
        self.suspensions
    }

    /// Takes one [`suspend`](State::suspend) back.
    ///
    /// # Errors
    /// [`NotSuspended`] if there is none.
    pub(super) fn resume(&mut self) -> Result<(), NotSuspended> {
        self.suspensions = self.suspensions.checked_sub(1).ok_or(NotSuspended)?;
        Ok(())
    }

    /// Dies if nothing can happen any more.
    fn ends(&mut self) -> bool {
        let ends = self.phase == Phase::Ending && self.channels == 0 && self.replies == 0;
        if ends {
            self.phase = Phase::Dead;
        }
        ends
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
