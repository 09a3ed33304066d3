//! Classes along chains of requests (dispatch 10.H).

use super::actor::{self, answer, ask, connect, daemon, rest, serve, stop};
use super::stage::{IN, Stage, eventually};
use crate::check;
use crate::suite::tests;
use abi::qos::{AppType, Role};
use core::sync::atomic::{AtomicBool, Ordering};
use dispatch::qos::{Priority, Qos};
use dispatch::queue::Queue;
use dispatch::thread::set_qos_class_self;
use runtime::thread::Builder;
use xpc::{Connection, Dictionary, Event, Message};

tests! { "xpc_classes":
    threads_that_wait_lend_their_class_along_the_chain,
    a_request_makes_an_unimportant_service_run_before_the_work_of_others,
    a_queue_with_a_class_keeps_it_for_its_items_but_not_for_messages,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-waits", app_waits),
    ("xpc-waits-for-b", waits_for_b),
    ("xpc-b-answers", b_answers),
    ("xpc-app-asks-it", app_asks_it),
    ("xpc-answers-at-once", answers_at_once),
    ("xpc-works-hard", works_hard),
    ("xpc-is-utility", is_utility),
];

/// The highest class.
const UI: u32 = Priority::of(Qos::UserInteractive).0;
const UT: u32 = Priority::of(Qos::Utility).0;

/// APP: its main thread waits for the reply.
fn app_waits() {
    actor::app(|| {
        let a = connect("a");
        // The first request makes the thread's reply port, and the connection.
        stop("app begins");
        let reply = a.send_with_reply_sync(&Dictionary::new());
        assert!(reply.is_ok(), "{reply:?}");
        stop("app has the reply");
    });
}

/// A: its handler waits for B.
fn waits_for_b() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        stop("a handles");
        let reply = b.send_with_reply_sync(&Dictionary::new());
        assert!(reply.is_ok(), "{reply:?}");
        stop("a has b's reply");
        answer(&request);
    });
    stop("a is ready");
    let _ = &listener;
    rest("a rests");
}

fn b_answers() {
    daemon("b", |request| {
        stop("b handles");
        answer(&request);
    });
}

// covers dispatch AE-121
fn threads_that_wait_lend_their_class_along_the_chain() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-b-answers");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-waits-for-b");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-waits");
    stage.pass("app is ready");
    let begins = stage.pass("app begins");
    let workers = [("a handles", &a), ("b handles", &b)].map(|(place, player)| {
        let handles = stage.at(place);
        check::equal("the class that the handler requests", handles.probe.requested, IN);
        check::equal("the class that it has", handles.probe.effective, UI);
        check::that("the task is boosted", player.is_boosted());
        let worker = handles.thread_kept();
        handles.go_on();
        worker
    });
    let has_reply = stage.at("a has b's reply");
    b.await_end_of_boost();
    eventually("B's worker gives the class up", || workers[1].effective() < UI);
    check::that("A has the class of the app still", has_reply.probe.effective >= UI && a.is_boosted());
    check::that("and its worker too", workers[0].effective() >= UI);
    has_reply.go_on();
    eventually("A's worker gives the class up", || workers[0].effective() < UI);
    let done = stage.pass("app has the reply");
    check::equal("changes that the app made to its thread", done.set_self_calls, begins.set_self_calls);
    check::equal("the app's class and voucher", (done.requested, done.object), (UI, 0));
    a.await_end_of_boost();
    [app, a, b].into_iter().for_each(|player| player.end());
}

fn app_asks_it() {
    actor::app(|| {
        let a = connect("a");
        stop("app may ask");
        ask(&a, "app");
    });
}

fn answers_at_once() {
    daemon("a", |request| answer(&request));
}

/// True while the task below works.
static WORKS: AtomicBool = AtomicBool::new(true);

/// Another task: its work has the default class and does not end before the test says so.
fn works_hard() {
    actor::join();
    set_qos_class_self(Qos::DEFAULT, 0).expect("the class exists");
    let end = Builder::new().class(Qos::UserInteractive).spawn(|| {
        stop("the work may end");
        WORKS.store(false, Ordering::Relaxed);
    });
    stop("the work begins");
    while WORKS.load(Ordering::Relaxed) {
        crate::spin();
    }
    end.expect("the thread starts").join();
    rest("the work has ended");
}

// covers dispatch AE-123
fn a_request_makes_an_unimportant_service_run_before_the_work_of_others() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-answers-at-once");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-it");
    stage.pass("app is ready");
    let may_ask = stage.at("app may ask");
    let other = stage.start("xpc-works-hard", AppType::DaemonInteractive, Role::Unspecified);
    let end = stage.at("the work may end");
    stage.pass("the work begins");
    may_ask.go_on();
    let reply = stage.at("app has the reply");
    check::that("the other task works still", stage.at_within("the work has ended", 1).is_none());
    reply.go_on();
    end.go_on();
    stage.pass("the work has ended");
    a.await_end_of_boost();
    [app, a, other].into_iter().for_each(|player| player.end());
}

/// A: its service is on a queue of the class utility.
fn is_utility() {
    actor::join();
    let queue = Queue::builder("service").class(Qos::Utility).build();
    let other = Queue::builder("other").class(Qos::Utility).build();
    let listener = Connection::create_listener("a", Some(&queue));
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let other = other.clone();
        peer.set_event_handler(move |event| {
            let Event::Message(request) = event else { return };
            stop("a handles");
            answer(&request);
            other.run_async(|| stop("a goes on"));
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

// covers dispatch AE-124
fn a_queue_with_a_class_keeps_it_for_its_items_but_not_for_messages() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-is-utility");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-it");
    stage.pass("app is ready");
    stage.pass("app may ask");
    let handles = stage.at("a handles");
    check::equal("the class of the message", (handles.probe.requested, handles.probe.has_importance), (IN, 1));
    let transitions = a.transitions();
    let seen = handles.go_on();
    let goes_on = stage.at("a goes on");
    check::equal("the class of the queue", (goes_on.probe.requested, goes_on.probe.object), (UT, seen.object));
    stage.pass("app has the reply");
    check::equal("A was boosted all the time", (a.is_boosted(), a.transitions()), (true, transitions));
    goes_on.go_on();
    a.await_end_of_boost();
    app.end();
    a.end();
}
