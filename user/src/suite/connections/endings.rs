//! Cancellation, unknown names and the end on request (dispatch 10.J).

use super::actor::{self, rest, stop};
use super::stage::{IN, Stage};
use crate::suite::tests;
use crate::{check, names};
use abi::qos::{AppType, Qos, Role};
use alloc::format;
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::queue::Queue;
use xpc::{Connection, Dictionary, Event, XpcError};

tests! { "xpc_endings":
    cancellation_tells_all_that_wait_and_the_handler_last,
    an_unknown_name_makes_the_connection_invalid,
    a_message_for_a_cancelled_connection_is_dropped,
    a_service_ends_when_its_last_transaction_does,
    a_connection_to_a_cancelled_listener_is_invalid,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-cancels", app_cancels),
    ("xpc-keeps-requests", keeps_requests),
    ("xpc-app-asks-nobody", app_asks_nobody),
    ("xpc-cancels-a-client", cancels_a_client),
    ("xpc-app-asks-in-turn", app_asks_in_turn),
    ("xpc-ends-when-told", ends_when_told),
    ("xpc-app-asks-the-job", app_asks_the_job),
    ("xpc-app-of-an-endpoint", app_of_an_endpoint),
];

/// Returns what a handler of a connection tells: each event is a stop.
fn tells_of_events(name: &'static str) -> impl FnMut(Event) + Send + 'static {
    move |event| match event {
        Event::Error(error) => stop(&format!("{name}: {}", word(error))),
        Event::Message(_) => stop(&format!("{name}: message")),
        Event::Peer(_) => stop(&format!("{name}: peer")),
    }
}

fn word(error: XpcError) -> &'static str {
    match error {
        XpcError::Interrupted => "interrupted",
        XpcError::Invalid => "invalid",
        XpcError::TerminationImminent => "termination",
    }
}

/// Sends a request whose reply, or the error in its place, is a stop.
fn request(connection: &Connection, name: &'static str) {
    connection.send_with_reply(&Dictionary::new(), None, move |reply| {
        let outcome = reply.err().map_or("reply", word);
        stop(&format!("{name}: {outcome}"));
    });
}

/// APP: sends two requests in two contexts, and cancels the connection.
fn app_cancels() {
    actor::app(|| {
        let a = Connection::create("a", None);
        a.set_event_handler(tells_of_events("app"));
        a.activate();
        for name in ["first", "second"] {
            let activity = Activity::create(name, Parent::None, ActivityFlags::empty());
            activity.apply(|| {
                request(&a, name);
                stop(name);
            });
        }
        stop("app cancels");
        a.cancel();
        a.cancel();
        // Too late for anything but an error.
        a.send(&Dictionary::new());
        request(&a, "late");
        assert_eq!(a.send_with_reply_sync(&Dictionary::new()).err(), Some(XpcError::Invalid));
    });
}

/// A: its handler keeps all requests.
fn keeps_requests() {
    actor::join();
    let mut kept = alloc::vec::Vec::new();
    let listener = Connection::create_listener("a", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        let mut requests = core::mem::take(&mut kept);
        peer.set_event_handler(move |event| match event {
            Event::Message(request) => {
                requests.push(request);
                stop("a handles");
            }
            event => tells_of_events("a")(event),
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

// covers dispatch AE-134
fn cancellation_tells_all_that_wait_and_the_handler_last() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-keeps-requests");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-cancels");
    stage.pass("app is ready");
    let activities = ["first", "second"].map(|name| stage.pass(name).activity);
    check::that("the contexts differ", activities[0] != activities[1] && activities[0] != 0);
    stage.pass("a handles");
    stage.pass("a handles");
    stage.pass("app cancels");
    let (first, second) = (stage.at("first: invalid"), stage.at("second: invalid"));
    check::equal("the contexts of the handlers", [first.probe.activity, second.probe.activity], activities);
    check::equal("their classes", [first.probe.requested, second.probe.requested], [IN; 2]);
    check::that("the event handler waits for them", stage.at_within("app: invalid", 20).is_none());
    first.go_on();
    check::that("for both", stage.at_within("app: invalid", 20).is_none());
    second.go_on();
    let last = stage.pass("app: invalid");
    check::equal("the last event has no voucher", (last.object, last.activity), (0, 0));
    stage.pass("late: invalid");
    stage.pass("a: invalid");
    for again in ["first: invalid", "second: invalid", "app: invalid", "late: invalid", "a: invalid"] {
        check::that(again, stage.at_within(again, 5).is_none());
    }
    stage.await_rest("app");
    stage.await_rest("a");
    app.end();
    a.end();
}

/// APP: sends before it activates the connection, in an activity.
fn app_asks_nobody() {
    actor::app(|| {
        let nobody = Connection::create("nobody", None);
        nobody.set_event_handler(tells_of_events("app"));
        let activity = Activity::create("work", Parent::None, ActivityFlags::empty());
        activity.apply(|| {
            request(&nobody, "early");
            stop("early");
            request(&nobody, "earlier");
        });
        nobody.send(&Dictionary::new());
        drop(activity);
        nobody.activate();
        request(&nobody, "late");
        assert_eq!(nobody.send_with_reply_sync(&Dictionary::new()).err(), Some(XpcError::Invalid));
    });
}

// covers dispatch AE-135
fn an_unknown_name_makes_the_connection_invalid() {
    let stage = Stage::new();
    let app = stage.app("xpc-app-asks-nobody");
    stage.pass("app is ready");
    let early = stage.pass("early");
    for name in ["early: invalid", "earlier: invalid"] {
        let seen = stage.pass(name);
        check::equal("the context of the handler", (seen.requested, seen.activity), (IN, early.activity));
    }
    stage.pass("late: invalid");
    check::equal("the voucher of the last event", stage.pass("app: invalid").object, 0);
    stage.await_rest("app");
    app.end();
}

/// APP: sends one message, and a request behind it.
fn app_asks_in_turn() {
    actor::app(|| {
        let a = Connection::create("a", None);
        a.set_event_handler(tells_of_events("app"));
        a.activate();
        a.send(&Dictionary::new());
        request(&a, "request");
        stop("app has sent");
    });
}

/// A: cancels the connection to its client while it handles the first message.
fn cancels_a_client() {
    actor::join();
    let listener = Connection::create_listener("a", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return };
        peer.set_event_handler(move |event| match event {
            Event::Message(message) => {
                stop("a handles");
                message.connection().cancel();
                stop("a has cancelled");
            }
            event => tells_of_events("a")(event),
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

// covers dispatch AE-136
fn a_message_for_a_cancelled_connection_is_dropped() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-cancels-a-client");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-in-turn");
    stage.pass("app is ready");
    let handles = stage.at("a handles");
    stage.pass("app has sent");
    // The request is in A's channel: A's receiver is more urgent than everything here.
    crate::time::sleep(5);
    handles.go_on();
    stage.pass("a has cancelled");
    stage.pass("request: interrupted");
    stage.pass("app: interrupted");
    stage.pass("a: invalid");
    check::that("the request was not handled", stage.at_within("a handles", 10).is_none());
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
}

/// A: it works on a request until the test lets it reply, on a queue.
fn ends_when_told() {
    actor::join();
    let queue = Queue::new("work");
    let listener = Connection::create_listener("job", None);
    listener.set_event_handler(move |event| {
        let Event::Peer(peer) = event else { return tells_of_events("listener")(event) };
        let queue = queue.clone();
        peer.set_event_handler(move |event| match event {
            Event::Message(request) => {
                let reply = request.create_reply().expect("the sender wants a reply");
                queue.run_async(move || {
                    stop("a works");
                    reply.send();
                });
            }
            event => tells_of_events("peer")(event),
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    loop {
        crate::time::sleep(1_000_000);
    }
}

fn app_asks_the_job() {
    actor::app(|| {
        let job = Connection::create("job", None);
        job.set_event_handler(tells_of_events("app"));
        job.activate();
        request(&job, "request");
        stop("app asks again");
        request(&job, "another");
    });
}

const LABEL: &str = "org.example.job";

fn declare_job() {
    let job = names::Job::new(LABEL, "tests").service("job").argument("child").argument("xpc-ends-when-told");
    let job = job.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    names::declare(&job).expect("the caller is user 0");
}

/// Waits for the end of the task with this number.
fn await_end_of(pid: u64) {
    super::stage::eventually("the job ends", || match crate::task::for_pid(pid as u32) {
        Ok(task) => {
            let _ = crate::port::deallocate(task);
            false
        }
        Err(_) => true,
    });
}

// covers dispatch AE-137
fn a_service_ends_when_its_last_transaction_does() {
    let stage = Stage::new();
    declare_job();
    let app = stage.app("xpc-app-asks-the-job");
    stage.pass("app is ready");
    stage.pass("a is ready");
    let works = stage.at("a works");
    check::equal("the request to end", names::terminate_job(LABEL), Ok(()));
    stage.pass("listener: termination");
    stage.pass("peer: termination");
    stage.pass("app asks again");
    stage.pass("another: interrupted");
    let job = works.probe.own;
    works.go_on();
    stage.pass("request: reply");
    await_end_of(job);
    app.end();
    // With no transaction open it ends at once: nobody hears of it.
    let app = stage.app("xpc-app-asks-the-job");
    stage.pass("app is ready");
    stage.pass("a is ready");
    let job = stage.pass("a works").own;
    stage.pass("request: reply");
    check::equal("the request to end", names::terminate_job(LABEL), Ok(()));
    await_end_of(job);
    for event in ["listener: termination", "peer: termination"] {
        check::that(event, stage.at_within(event, 5).is_none());
    }
    app.end();
}

/// APP: it has a listener of its own, and connects to it when it is cancelled.
fn app_of_an_endpoint() {
    actor::app(|| {
        let listener = Connection::anonymous(None);
        listener.set_event_handler(tells_of_events("listener"));
        let endpoint = listener.endpoint().expect("a listener has one");
        listener.activate();
        listener.cancel();
        stop("app has cancelled");
        let client = Connection::from_endpoint(&endpoint, None);
        client.set_event_handler(tells_of_events("app"));
        client.activate();
        request(&client, "request");
        drop((endpoint, listener));
    });
}

// covers dispatch AE-138
fn a_connection_to_a_cancelled_listener_is_invalid() {
    let stage = Stage::new();
    let app = stage.app("xpc-app-of-an-endpoint");
    stage.pass("app is ready");
    stage.pass("listener: invalid");
    stage.pass("app has cancelled");
    stage.pass("request: invalid");
    stage.pass("app: invalid");
    check::that("it is not interrupted", stage.at_within("app: interrupted", 10).is_none());
    app.end();
}
