//! Tests of the state of connections: each row of the table in dispatch 7.5.

use super::*;
use XpcError::{Interrupted, Invalid};

const FIRST: ChannelNumber = ChannelNumber(0);
const SECOND: ChannelNumber = ChannelNumber(1);

fn open(kind: Kind) -> State {
    let mut state = State::new(kind);
    assert_eq!(state.activate(), Activation::Establish(FIRST));
    assert_eq!(state.established(FIRST, true), Established::Connect);
    state
}

#[test]
fn messages_wait_for_the_activation_and_a_second_one_does_nothing() {
    let mut state = State::new(Kind::Client);
    assert!(state.is_inactive());
    assert_eq!(state.send(), Sending::ToChannel(FIRST));
    assert_eq!(state.activate(), Activation::Establish(FIRST));
    assert_eq!(state.activate(), Activation::Nothing);
    assert_eq!(state.send(), Sending::ToChannel(FIRST), "the channel keeps it until it is connected");
    assert_eq!(state.established(FIRST, true), Established::Connect);
}

#[test]
fn client_of_a_name_is_interrupted_and_the_next_message_makes_a_new_channel() {
    let mut state = open(Kind::Client);
    assert_eq!(state.lost(FIRST), Loss::Interrupted);
    assert_eq!(state.lost(FIRST), Loss::Known, "no-senders and a failed send both tell it");
    assert_eq!(state.reply_error(FIRST, false), Interrupted);
    assert!(!state.channel_ended(), "the connection is usable");
    assert_eq!(state.send(), Sending::ToNewChannel(SECOND));
    assert_eq!(state.send(), Sending::ToChannel(SECOND), "one message makes the channel");
    assert_eq!(state.lost(FIRST), Loss::Known, "the old channel is of no interest");
    assert_eq!(state.established(SECOND, true), Established::Connect);
    assert_eq!(state.reply_error(FIRST, false), Interrupted, "the request was lost with the old channel");
    assert_eq!(state.lost(SECOND), Loss::Interrupted);
}

#[test]
fn other_ends_than_a_client_of_a_name_become_invalid_with_their_peer() {
    for kind in [Kind::EndpointClient, Kind::Peer] {
        let mut state = open(kind);
        assert_eq!(state.lost(FIRST), Loss::Invalid);
        assert_eq!(state.reply_error(FIRST, false), Invalid);
        assert_eq!(state.send(), Sending::Nowhere);
        assert!(state.channel_ended(), "INVALID follows the channel's last event");
        assert!(state.is_dead());
        assert_eq!((state.cancel(), state.lost(FIRST)), (Cancellation::Known, Loss::Known));
    }
}

#[test]
fn name_that_is_unknown_makes_the_connection_invalid() {
    let mut state = State::new(Kind::Client);
    state.reply_awaited();
    assert_eq!(state.activate(), Activation::Establish(FIRST));
    assert_eq!(state.established(FIRST, false), Established::GiveUp);
    assert_eq!(state.reply_error(FIRST, false), Invalid);
    assert!(!state.channel_ended(), "a reply handler has not been called");
    assert!(state.reply_handled());
}

#[test]
fn name_that_is_unknown_the_second_time_makes_the_connection_invalid() {
    let mut state = open(Kind::Client);
    assert_eq!(state.lost(FIRST), Loss::Interrupted);
    assert_eq!(state.send(), Sending::ToNewChannel(SECOND));
    assert_eq!(state.established(SECOND, false), Established::GiveUp);
    assert!(!state.channel_ended(), "the old channel may tell more");
    assert!(state.channel_ended());
}

#[test]
fn cancellation_is_followed_by_all_reply_handlers_and_then_by_invalid() {
    let mut state = open(Kind::Client);
    state.reply_awaited();
    state.reply_awaited();
    assert_eq!(state.cancel(), Cancellation::CancelChannel);
    assert_eq!(state.cancel(), Cancellation::Known);
    assert_eq!(state.reply_error(FIRST, false), Invalid);
    assert!(!state.reply_handled());
    assert!(!state.channel_ended());
    assert!(state.reply_handled());
    assert_eq!((state.is_over(), state.is_dead()), (true, true));
}

#[test]
fn cancellation_during_the_look_up_gives_the_rights_back() {
    let mut state = State::new(Kind::Client);
    assert_eq!(state.activate(), Activation::Establish(FIRST));
    assert_eq!(state.cancel(), Cancellation::CancelChannel);
    assert_eq!(state.established(FIRST, true), Established::GiveUp);
    assert!(state.channel_ended());
}

#[test]
fn interrupted_connection_that_is_cancelled_ends_after_its_old_channel() {
    let mut state = open(Kind::Client);
    assert_eq!(state.lost(FIRST), Loss::Interrupted);
    assert_eq!(state.cancel(), Cancellation::Wait);
    assert!(state.channel_ended());
    let mut state = open(Kind::Client);
    assert_eq!(state.lost(FIRST), Loss::Interrupted);
    assert!(!state.channel_ended());
    assert_eq!(state.cancel(), Cancellation::Deliver, "nothing else would deliver INVALID");
    assert!(state.is_dead());
}

#[test]
fn connection_that_is_not_active_can_be_cancelled() {
    let mut state = State::new(Kind::Peer);
    assert_eq!(state.cancel(), Cancellation::CancelChannel);
    assert_eq!((state.activate(), state.send()), (Activation::Nothing, Sending::Nowhere));
    assert!(state.channel_ended());
}

#[test]
fn one_dropped_request_does_not_harm_the_connection() {
    for kind in [Kind::Client, Kind::EndpointClient, Kind::Peer] {
        let mut state = open(kind);
        assert_eq!(state.reply_error(FIRST, false), Interrupted);
        assert_eq!(state.send(), Sending::ToChannel(FIRST));
    }
}

#[test]
fn request_that_dies_with_its_peer_has_the_error_of_the_connection() {
    let errors = [Kind::Client, Kind::EndpointClient, Kind::Peer].map(|kind| open(kind).reply_error(FIRST, true));
    assert_eq!(errors, [Interrupted, Invalid, Invalid]);
}

#[test]
fn only_listeners_and_peers_hear_of_the_termination() {
    let hears = |kind| open(kind).hears_of_termination();
    assert!(hears(Kind::Listener) && hears(Kind::AnonymousListener) && hears(Kind::Peer));
    assert!(!hears(Kind::Client) && !hears(Kind::EndpointClient));
    assert!(!State::new(Kind::Peer).hears_of_termination(), "its handler has not been called yet");
    let mut state = open(Kind::Listener);
    assert_eq!(state.cancel(), Cancellation::CancelChannel);
    assert!(!state.hears_of_termination());
}

#[test]
fn suspensions_are_counted_and_one_resume_too_many_is_a_fault() {
    let mut state = open(Kind::Client);
    assert_eq!(state.resume(), Err(NotSuspended));
    state.suspend();
    state.suspend();
    assert_eq!([state.resume(), state.resume(), state.resume()], [Ok(()), Ok(()), Err(NotSuspended)]);
}

/// Random events, in any order that channels can cause: INVALID is delivered at most once, after everything else, and
/// always once all channels and reply handlers of a cancelled connection are done.
#[test]
fn invalid_is_the_last_event_whatever_happens() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let kinds = [Kind::Client, Kind::EndpointClient, Kind::Peer];
    let (mut invalids, mut reconnections) = (0, 0);
    for round in 0..3000 {
        let mut state = State::new(kinds[round % kinds.len()]);
        // What the world owes: channels that were told to end, replies that are awaited, channels to be established.
        let (mut ending, mut replies, mut live, mut pending, mut delivered) = (0, 0, 1, None, 0);
        for step in 0..40 {
            let last = step >= 30;
            match if last { 7 } else { random(7) } {
                0 => {
                    if let Activation::Establish(channel) = state.activate() {
                        pending = Some(channel);
                    }
                }
                1 => match state.send() {
                    Sending::ToNewChannel(channel) => {
                        (live, pending, reconnections) = (live + 1, Some(channel), reconnections + 1);
                    }
                    Sending::ToChannel(_) if random(2) == 0 => {
                        state.reply_awaited();
                        replies += 1;
                    }
                    Sending::ToChannel(_) | Sending::Nowhere => {}
                },
                2 => {
                    if let Some(channel) = pending.take() {
                        let found = random(4) > 0;
                        let over = state.is_over();
                        if state.established(channel, found) == Established::GiveUp && !over && !found {
                            ending += 1;
                        }
                    }
                }
                3 if pending.is_none() => match state.lost(state.channel()) {
                    Loss::Interrupted | Loss::Invalid => ending += 1,
                    Loss::Known => {}
                },
                4 if random(3) == 0 => match state.cancel() {
                    Cancellation::CancelChannel => ending += 1,
                    Cancellation::Deliver => delivered += 1,
                    Cancellation::Wait | Cancellation::Known => {}
                },
                5 | 7 if ending > 0 => {
                    (ending, live) = (ending - 1, live - 1);
                    delivered += u32::from(state.channel_ended());
                }
                6 | 7 if replies > 0 => {
                    replies -= 1;
                    delivered += u32::from(state.reply_handled());
                }
                _ => {}
            }
            assert!(delivered <= 1);
            assert_eq!(delivered == 1, state.is_dead());
            assert!(!state.is_dead() || (live == 0 && replies == 0), "something could follow INVALID");
        }
        assert!(replies == 0 || ending == 0, "the world did its part");
        assert!(!state.is_over() || replies > 0 || ending > 0 || state.is_dead(), "INVALID is never forgotten");
        invalids += delivered;
    }
    assert!(invalids > 1000 && reconnections > 100, "{invalids} {reconnections}");
}
