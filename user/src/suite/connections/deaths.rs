//! The end of one side of a connection, by death (dispatch 10.J).

use super::actor::{self, answer, connect, daemon, rest, serve, stop};
use super::stage::{IN, Player, Stage, names_of};
use crate::suite::tests;
use crate::{check, names, task};
use abi::qos::{AppType, Qos, Role};
use alloc::vec::Vec;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::sync::{Arc, Mutex};
use xpc::{Connection, Dictionary, Event, Message, Reply, XpcError};

tests! { "xpc_deaths":
    a_service_that_dies_interrupts_its_client_once_and_is_started_again,
    a_daemon_that_dies_takes_its_boosts_and_connections_along,
    a_client_that_dies_leaves_nothing_at_the_service,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-asks-on", app_asks_on),
    ("xpc-dies-or-answers", dies_or_answers),
    ("xpc-app-asks-for-b", app_asks_for_b),
    ("xpc-asks-b-and-dies", asks_b_and_dies),
    ("xpc-notices-the-end", notices_the_end),
    ("xpc-app-asks-and-dies", app_asks_and_dies),
    ("xpc-replies-to-the-dead", replies_to_the_dead),
];

/// APP: asks A, tells of both errors, and asks again.
fn app_asks_on() {
    actor::app(|| {
        let a = Connection::create("a", None);
        a.set_event_handler(|event| {
            assert!(matches!(event, Event::Error(XpcError::Interrupted)), "{event:?}");
            stop("app is interrupted");
        });
        a.activate();
        let activity = Activity::create("work", Parent::None, ActivityFlags::empty());
        activity.apply(|| {
            a.send_with_reply(&Dictionary::new(), None, |reply| {
                assert_eq!(reply.err(), Some(XpcError::Interrupted));
                stop("app's request is interrupted");
            });
            stop("app has asked");
        });
        stop("app asks again");
        actor::ask(&a, "app");
    });
}

/// A: the test ends it while it works on the first request. The next instance works on the second one.
fn dies_or_answers() {
    daemon("a", |request| {
        stop("a handles");
        answer(&request);
    });
}

// covers dispatch AE-131
fn a_service_that_dies_interrupts_its_client_once_and_is_started_again() {
    let stage = Stage::new();
    let job = names::Job::new("org.example.a", "tests").service("a").argument("child").argument("xpc-dies-or-answers");
    let job = job.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    names::declare(&job).expect("the caller is user 0");
    let app = stage.app("xpc-app-asks-on");
    stage.pass("app is ready");
    let asked = stage.pass("app has asked");
    stage.pass("a is ready");
    let first = stage.at("a handles");
    let instance = task::for_pid(first.probe.own as u32).expect("the job runs");
    task::terminate(instance).expect("the job runs");
    crate::port::deallocate(instance).expect("the name exists");
    let failed = stage.pass("app's request is interrupted");
    check::that("the app has an activity", asked.activity != 0);
    check::equal("the context of the reply's handler", (failed.requested, failed.activity), (IN, asked.activity));
    check::equal("the handler has no voucher", stage.pass("app is interrupted").object, 0);
    drop(first);
    stage.pass("app asks again");
    stage.pass("a is ready");
    let second = stage.pass("a handles");
    check::that("another instance answers", second.own != failed.own && second.requested == IN);
    stage.pass("app has the reply");
    for again in ["app's request is interrupted", "app is interrupted"] {
        check::that(again, stage.at_within(again, 10).is_none());
    }
    app.end();
}

/// APP: asks A, and does not mind errors.
fn app_asks_for_b() {
    actor::app(|| connect("a").send_with_reply(&Dictionary::new(), None, |_| {}));
}

/// A: its handler asks B. The test ends it while B works.
fn asks_b_and_dies() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        b.send_with_reply(&Dictionary::new(), None, move |_| drop(request));
    });
    stop("a is ready");
    let _ = &listener;
    rest("a rests");
}

/// B: its handler keeps requests. It tells what it hears of the end of a client.
fn notices_the_end() {
    actor::join();
    let kept = Arc::new(Mutex::new(None::<Reply>));
    let listener = Connection::create_listener("b", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let kept = kept.clone();
        peer.set_event_handler(move |event| match event {
            Event::Message(request) => {
                *kept.lock() = request.create_reply();
                stop("b handles");
            }
            Event::Error(error) => {
                assert_eq!(error, XpcError::Invalid);
                stop("b's client is gone");
                let kept = kept.lock().take();
                drop(kept);
            }
            Event::Peer(_) => unreachable!("a peer has no clients"),
        });
        peer.activate();
    });
    listener.activate();
    stop("b is ready");
    rest("b rests");
}

// covers dispatch AE-132
fn a_daemon_that_dies_takes_its_boosts_and_connections_along() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-notices-the-end");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-asks-b-and-dies");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-for-b");
    stage.pass("app is ready");
    stage.pass("b handles");
    check::that("B is boosted", b.is_boosted());
    a.end();
    let gone = stage.at("b's client is gone");
    check::equal("the event has no voucher", (gone.probe.object, gone.probe.in_kernel), (0, 0));
    // B has the reply still, with the voucher of A's message.
    check::that("B has a voucher", gone.probe.vouchers > 0);
    b.await_end_of_boost();
    gone.go_on();
    stage.await_rest("b");
    app.end();
    b.end();
}

/// APP: asks A. The test ends it while A works.
fn app_asks_and_dies() {
    actor::app(|| {
        connect("a").send_with_reply(&Dictionary::new(), None, |_| {});
        stop("app has sent");
    });
}

/// A: its handler keeps the request. When the client is gone, it replies.
fn replies_to_the_dead() {
    actor::join();
    let kept = Arc::new(Mutex::new(None::<Message>));
    let listener = Connection::create_listener("a", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let kept = kept.clone();
        peer.set_event_handler(move |event| match event {
            Event::Message(request) => {
                *kept.lock() = Some(request);
                stop("a handles");
            }
            Event::Error(error) => {
                assert_eq!(error, XpcError::Invalid);
                stop("a's client is gone");
                let request = kept.lock().take().expect("there was a request");
                answer(&request);
            }
            Event::Peer(_) => unreachable!("a peer has no clients"),
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

// covers dispatch AE-133
fn a_client_that_dies_leaves_nothing_at_the_service() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-to-the-dead");
    stage.pass("a is ready");
    let mut counts = Vec::new();
    // The first client lets A make what it keeps: workers, the thread that receives.
    for _ in 0..4 {
        let app = stage.app("xpc-app-asks-and-dies");
        stage.pass("app is ready");
        stage.pass("app has sent");
        stage.pass("a handles");
        check::that("A is boosted", a.is_boosted());
        Player::end(app);
        stage.pass("a's client is gone");
        a.await_end_of_boost();
        stage.await_rest("a");
        let rests = stage.pass("a rests");
        counts.push((names_of(rests.own), rests.queues));
    }
    check::equal("the names and the queues of A", counts[3], counts[1]);
    a.end();
}
