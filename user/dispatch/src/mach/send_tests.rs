//! Tests of the send side, with messages that are a name and a class.

use super::*;
use alloc::vec;
use alloc::vec::Vec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Message(&'static str, Qos, bool);

impl Outgoing for Message {
    fn class(&self) -> Qos {
        self.1
    }

    fn cost(&self) -> usize {
        self.0.len()
    }

    fn is_reply(&self) -> bool {
        self.2
    }
}

type Side = SendSide<Message, &'static str>;

const ONE: PortName = PortName(0x103);
const TWO: PortName = PortName(0x203);
const OLD: PortName = PortName(0x303);
const NEW: PortName = PortName(0x403);
const BG: Qos = Qos::Background;
const IN: Qos = Qos::UserInitiated;

fn message(name: &'static str, class: Qos) -> Message {
    Message(name, class, false)
}

/// What the thread that transmits did, in words.
#[derive(Debug, PartialEq, Eq)]
enum Did {
    CheckedIn(&'static str, PortName),
    Sent(&'static str, PortName, Qos),
    NotSent(&'static str),
    Barrier(&'static str),
    Disconnected(PortName, Option<&'static str>, bool),
}

/// Transmits until nothing is left.
fn drain(side: &mut Side) -> Vec<Did> {
    let mut did = Vec::new();
    loop {
        did.push(match side.next() {
            Next::CheckIn(checkin, right, _) => Did::CheckedIn(checkin.0, right),
            Next::Send(message, right, class) => Did::Sent(message.0, right, class),
            Next::NotSent(message) => Did::NotSent(message.0),
            Next::Barrier(barrier) => Did::Barrier(barrier),
            Next::Disconnected { old, checkin, canceled } => {
                Did::Disconnected(old, checkin.map(|checkin| checkin.0), canceled)
            }
            Next::Nothing => return did,
        });
    }
}

/// Takes the next message, whose send finds the peer's queue full.
fn find_full(side: &mut Side) -> bool {
    match side.next() {
        Next::Send(message, ..) => side.full(message),
        Next::CheckIn(checkin, ..) => side.checkin_full(checkin),
        other => panic!("no message leaves: {other:?}"),
    }
}

fn connected(checkin: Option<Message>) -> Side {
    let mut side = Side::new();
    assert_eq!(side.connect(Peer { right: OLD, checkin }, ONE).ok(), Some(Submitted::Drain));
    assert_eq!(drain(&mut side), []);
    side
}

#[test]
fn messages_leave_in_order_and_one_thread_transmits() {
    let mut side = connected(None);
    assert_eq!(side.submit(message("a", BG), ONE), Submitted::Drain);
    assert_eq!(side.submit(message("b", BG), TWO), Submitted::Queued);
    assert_eq!(side.submit(message("c", IN), TWO), Submitted::Raise(ONE, IN), "the new message is more urgent");
    assert_eq!(side.submit(message("d", IN), TWO), Submitted::Queued);
    let sent = ["a", "b", "c", "d"].map(|name| Did::Sent(name, OLD, IN));
    assert_eq!(drain(&mut side), sent, "all leave with the highest class");
    assert_eq!((side.take_raises(), side.take_raises()), (1, 0));
    assert_eq!(side.submit(message("e", BG), TWO), Submitted::Drain);
    assert_eq!(drain(&mut side), [Did::Sent("e", OLD, BG)], "an idle side forgets the class");
}

#[test]
fn messages_wait_for_the_connection() {
    let mut side = Side::new();
    assert_eq!(side.submit(message("a", BG), ONE), Submitted::Queued);
    assert!(!side.room(ONE), "room means nothing without a peer");
    assert_eq!(side.connect(Peer { right: OLD, checkin: None }, ONE).ok(), Some(Submitted::Drain));
    assert_eq!(drain(&mut side), [Did::Sent("a", OLD, BG)]);
}

#[test]
fn first_message_sends_the_check_in_before_it() {
    let mut side = connected(Some(message("hello", BG)));
    assert_eq!(side.direct_right(), None, "a message would overtake the check-in");
    side.submit(message("a", IN), TWO);
    assert_eq!(drain(&mut side), [Did::CheckedIn("hello", OLD), Did::Sent("a", OLD, IN)]);
    assert_eq!((side.direct_right(), side.checkin_port()), (Some(OLD), OLD));
}

#[test]
fn reply_needs_no_check_in() {
    let mut side = connected(Some(message("hello", BG)));
    assert!(side.lets_replies_pass());
    side.submit(Message("reply", IN, true), ONE);
    assert_eq!(drain(&mut side), [Did::Sent("reply", OLD, IN)]);
    side.submit(message("a", IN), ONE);
    assert_eq!(drain(&mut side), [Did::CheckedIn("hello", OLD), Did::Sent("a", OLD, IN)]);
}

#[test]
fn message_that_finds_the_queue_full_stays_first() {
    let mut side = connected(None);
    side.submit(message("a", BG), ONE);
    assert!(!find_full(&mut side), "the thread stops");
    assert_eq!(side.submit(message("b", IN), TWO), Submitted::Queued);
    assert_eq!(side.direct_right(), None);
    assert!(side.room(TWO));
    assert_eq!(drain(&mut side), [Did::Sent("a", OLD, IN), Did::Sent("b", OLD, IN)]);
}

#[test]
fn room_that_comes_before_the_thread_stops_is_not_lost() {
    let mut side = connected(None);
    side.submit(message("a", BG), ONE);
    let Next::Send(taken, ..) = side.next() else { panic!("the message leaves") };
    assert!(!side.room(TWO), "a thread transmits");
    assert!(side.full(taken), "it goes on");
    assert!(!find_full(&mut side), "the note counts once");
}

#[test]
fn full_queue_keeps_the_check_in() {
    let mut side = connected(Some(message("hello", BG)));
    side.submit(message("a", BG), ONE);
    assert!(!find_full(&mut side));
    assert!(side.room(ONE));
    assert_eq!(drain(&mut side), [Did::CheckedIn("hello", OLD), Did::Sent("a", OLD, BG)]);
}

#[test]
fn barrier_follows_the_messages_before_it() {
    let mut side = connected(None);
    side.submit(message("a", BG), ONE);
    assert_eq!(side.barrier("barrier", IN, TWO), Submitted::Raise(ONE, IN));
    side.submit(message("b", BG), TWO);
    assert_eq!(drain(&mut side), [Did::Sent("a", OLD, IN), Did::Barrier("barrier"), Did::Sent("b", OLD, IN)]);
}

#[test]
fn reconnect_drops_what_was_queued_before_it() {
    let mut side = connected(None);
    side.submit(message("a", BG), ONE);
    assert!(!find_full(&mut side));
    side.submit(message("b", BG), ONE);
    let peer = Peer { right: NEW, checkin: Some(message("again", BG)) };
    assert_eq!(side.reconnect(peer, TWO), Submitted::Drain, "room at the old peer does not matter");
    side.submit(message("c", IN), ONE);
    let expected = vec![
        Did::NotSent("a"),
        Did::NotSent("b"),
        Did::Disconnected(OLD, None, false),
        Did::CheckedIn("again", NEW),
        Did::Sent("c", NEW, IN),
    ];
    assert_eq!(drain(&mut side), expected);
}

#[test]
fn reconnect_reports_a_check_in_that_was_not_sent() {
    let mut side = connected(Some(message("hello", BG)));
    side.reconnect(Peer { right: NEW, checkin: None }, ONE);
    assert_eq!(drain(&mut side), [Did::Disconnected(OLD, Some("hello"), false)]);
}

#[test]
fn message_that_leaves_during_a_reconnect_is_not_sent_again() {
    let mut side = connected(None);
    side.submit(message("a", BG), ONE);
    let Next::Send(taken, ..) = side.next() else { panic!("the message leaves") };
    assert_eq!(side.reconnect(Peer { right: NEW, checkin: None }, TWO), Submitted::Queued);
    assert!(!side.lets_replies_pass());
    assert!(side.full(taken), "there is something to do");
    assert_eq!(drain(&mut side), [Did::NotSent("a"), Did::Disconnected(OLD, None, false)]);
}

#[test]
fn cancellation_is_the_last_disconnection() {
    let mut side = connected(Some(message("hello", BG)));
    side.submit(message("a", BG), ONE);
    assert!(!find_full(&mut side));
    side.submit(message("b", BG), ONE);
    assert_eq!(side.cancel(TWO), Some(Submitted::Drain));
    assert_eq!(side.cancel(TWO), None, "a second cancellation does nothing");
    let expected = [Did::NotSent("a"), Did::NotSent("b"), Did::Disconnected(OLD, Some("hello"), true)];
    assert_eq!(drain(&mut side), expected);
    side.submit(message("c", IN), ONE);
    side.barrier("barrier", IN, ONE);
    assert_eq!(drain(&mut side), [Did::NotSent("c"), Did::Barrier("barrier")]);
    assert_eq!((side.lets_replies_pass(), side.direct_right(), side.checkin_port()), (false, None, MACH_PORT_DEAD));
}

#[test]
fn channel_that_was_never_connected_can_be_cancelled() {
    let mut side = Side::new();
    side.submit(message("a", BG), ONE);
    assert_eq!(side.cancel(ONE), Some(Submitted::Drain));
    assert_eq!(drain(&mut side), [Did::NotSent("a"), Did::Disconnected(MACH_PORT_NULL, None, true)]);
}

#[test]
fn what_waits_costs_until_it_leaves_or_is_given_up() {
    let mut side = connected(None);
    assert_eq!(drain(&mut side), []);
    let _ = side.submit(message("one", BG), ONE);
    let _ = side.submit(message("three", BG), ONE);
    assert_eq!(side.cost(), 8);
    assert!(!find_full(&mut side));
    assert_eq!(side.cost(), 8, "a message that found no room waits again");
    assert!(side.room(ONE));
    assert!(matches!(side.next(), Next::Send(..)));
    assert_eq!(side.cost(), 5);
    let _ = side.barrier("barrier", BG, ONE);
    assert_eq!(side.cost(), 5, "a barrier is no message");
    let _ = side.cancel(ONE);
    drain(&mut side);
    assert_eq!(side.cost(), 0);
}
