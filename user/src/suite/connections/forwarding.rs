//! Requests that a daemon passes on to another one (dispatch 10.H).

use super::actor::{self, answer, ask, connect, daemon, rest, serve, stop};
use super::stage::{IN, Stage, eventually};
use crate::check;
use crate::suite::tests;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::queue::Queue;
use xpc::{Connection, Dictionary, Event, Message};

tests! { "xpc_forwarding":
    a_forwarded_request_boosts_both_services_and_keeps_their_contexts_apart,
    a_boost_that_was_passed_on_ends_with_the_boost_upstream,
    services_that_call_each_other_end_their_boosts_together,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-with-activity", app_with_activity),
    ("xpc-forwards", forwards),
    ("xpc-works-later", works_later),
    ("xpc-app-asks", app_asks),
    ("xpc-forwards-and-replies", forwards_and_replies),
    ("xpc-accepts-late", accepts_late),
    ("xpc-is-called-back", is_called_back),
    ("xpc-calls-back", calls_back),
];

/// APP: its main thread sends a request to A, within an activity.
fn app_with_activity() {
    actor::app(|| {
        let a = connect("a");
        let activity = Activity::create("work", Parent::None, ActivityFlags::empty());
        activity.apply(|| {
            ask(&a, "app");
            stop("app has sent");
        });
    });
}

/// A: its handler asks B and replies when it has B's reply.
fn forwards() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        stop("a handles");
        b.send_with_reply(&Dictionary::new(), None, move |reply| {
            assert!(reply.is_ok(), "{reply:?}");
            stop("a has b's reply");
            answer(&request);
        });
        stop("a has forwarded");
    });
    stop("a is ready");
    let _ = &listener;
    rest("a rests");
}

/// B: its handler submits the work to another queue.
fn works_later() {
    let queue = Queue::new("work");
    daemon("b", move |request| {
        queue.run_async(move || {
            stop("b works");
            answer(&request);
        });
        stop("b handles");
    });
}

// covers dispatch AE-106
fn a_forwarded_request_boosts_both_services_and_keeps_their_contexts_apart() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-works-later");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-forwards");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-with-activity");
    stage.pass("app is ready");
    let sent = stage.at("app has sent");
    check::that("A is boosted when the send has returned", a.is_boosted());
    let transitions = a.transitions();
    let activity = sent.go_on().activity;
    let in_a = stage.pass("a handles");
    check::that("the app has an activity", activity != 0);
    check::equal("the activity in A", in_a.activity, activity);
    let forwarded = stage.at("a has forwarded");
    check::that("B is boosted from A's send on", b.is_boosted());
    forwarded.go_on();
    let in_b = ["b handles", "b works"].map(|place| {
        let seen = stage.pass(place);
        check::equal(place, (seen.requested, seen.activity, seen.has_importance), (IN, activity, 1));
        check::equal("the sender of B's voucher", seen.proximate, in_a.own);
        seen.object
    });
    check::equal("the voucher of B's work", in_b[1], in_b[0]);
    let has_reply = stage.at("a has b's reply");
    check::equal("A's context", (has_reply.probe.requested, has_reply.probe.object), (IN, in_a.object));
    check::that("A is boosted by the reply that it owes", a.is_boosted());
    b.await_end_of_boost();
    check::that("A is boosted longer than B, which is idle", a.is_boosted());
    check::equal("no other boost of A has begun", a.transitions(), transitions);
    has_reply.go_on();
    check::equal("the class of the reply's handler", stage.pass("app has the reply").requested, IN);
    a.await_end_of_boost();
    stage.await_rest("a");
    stage.await_rest("b");
    [app, a, b].into_iter().for_each(|player| player.end());
}

/// APP: its main thread sends a request to A.
fn app_asks() {
    actor::app(|| {
        ask(&connect("a"), "app");
        stop("app has sent");
    });
}

/// A: its handler sends something to B and replies at once.
fn forwards_and_replies() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        b.send(&Dictionary::new());
        answer(&request);
        stop("a has replied");
    });
    stop("a is ready");
    let _ = &listener;
    rest("a rests");
}

/// B: it takes its time before it receives from a client.
fn accepts_late() {
    actor::join();
    let listener = Connection::create_listener("b", None);
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { return };
        peer.set_event_handler(|event| {
            if let Event::Message(_) = event {
                stop("b handles");
            }
        });
        stop("b has a client");
        peer.activate();
    });
    listener.activate();
    stop("b is ready");
    rest("b rests");
}

// covers dispatch AE-107
fn a_boost_that_was_passed_on_ends_with_the_boost_upstream() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-accepts-late");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-forwards-and-replies");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks");
    stage.pass("app is ready");
    stage.pass("app has sent");
    stage.pass("a has replied");
    stage.pass("app has the reply");
    stage.await_rest("a");
    let client = stage.at("b has a client");
    check::that("the message that B has not received boosts A", a.is_boosted());
    check::that("and B", b.is_boosted());
    client.go_on();
    let handles = stage.at("b handles");
    a.await_end_of_boost();
    b.await_end_of_boost();
    check::equal("the class of B's handler", handles.probe.requested, IN);
    check::that("B has the voucher still", handles.probe.object != 0 && handles.probe.has_importance == 1);
    handles.go_on();
    stage.await_rest("b");
    [app, a, b].into_iter().for_each(|player| player.end());
}

/// A: its handler asks B, which asks A in turn. It tells the two apart by the keys in the requests.
fn is_called_back() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        if request.get_bool("callback").is_some() {
            stop("a is called back");
            answer(&request);
            return;
        }
        b.send_with_reply(&Dictionary::new(), None, move |reply| {
            assert!(reply.is_ok(), "{reply:?}");
            stop("a has b's reply");
            answer(&request);
        });
    });
    stop("a is ready");
    let _ = &listener;
    rest("a rests");
}

/// B: its handler calls A back, and replies when it has the answer.
fn calls_back() {
    daemon("b", |request| {
        stop("b handles");
        let callback: Dictionary = [("callback", true)].into_iter().collect();
        // The connection must end with the call: A could not tell otherwise that nothing follows.
        let a = connect("a");
        let copy = a.clone();
        a.send_with_reply(&callback, None, move |reply| {
            assert!(reply.is_ok(), "{reply:?}");
            stop("b is answered");
            answer(&request);
            copy.cancel();
        });
    });
}

// covers dispatch AE-122
fn services_that_call_each_other_end_their_boosts_together() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-calls-back");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-is-called-back");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks");
    stage.pass("app is ready");
    stage.pass("app has sent");
    stage.pass("b handles");
    let callback = stage.at("a is called back");
    check::that("both are boosted", a.is_boosted() && b.is_boosted());
    check::equal("the callback brings importance", callback.probe.has_importance, 1);
    // The app's request ends: App Nap takes the app's status as a donor away.
    app.set_nap(true);
    app.set_nap(false);
    check::that("both are boosted again, or still", a.is_boosted() && b.is_boosted());
    callback.go_on();
    stage.pass("b is answered");
    stage.pass("a has b's reply");
    stage.pass("app has the reply");
    a.await_end_of_boost();
    b.await_end_of_boost();
    stage.await_rest("a");
    stage.await_rest("b");
    eventually("no cycle of boosts is left", || !a.is_boosted() && !b.is_boosted());
    [app, a, b].into_iter().for_each(|player| player.end());
}
