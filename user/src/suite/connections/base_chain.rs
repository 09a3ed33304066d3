//! The base chain of importance: an app asks a daemon (dispatch 10.H).

use super::actor::{self, AtDrop, answer, ask, connect, daemon, rest, stop};
use super::stage::{APP_PERSONA, IN, Stage, eventually, voucher_named};
use crate::check;
use crate::suite::tests;
use crate::time::sleep;
use dispatch::queue::Queue;
use xpc::{Connection, Event};

tests! { "xpc_base_chain":
    a_request_boosts_the_service_until_its_worker_is_idle,
    the_boost_lasts_as_long_as_work_that_was_submitted,
}

pub(super) const CHILDREN: &[(&str, fn())] =
    &[("xpc-app", app), ("xpc-replies-at-once", replies_at_once), ("xpc-replies-later", replies_later)];

/// APP: its main thread sends a request to A.
fn app() {
    actor::app(|| {
        ask(&connect("a"), "app");
        stop("app has sent");
    });
}

/// A: its handler does nothing but reply. Then it makes way for another one, and is dropped when it has returned: by the
/// same worker, before the worker changes items.
fn replies_at_once() {
    actor::join();
    let listener = Connection::create_listener("a", None);
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { return };
        let returned = AtDrop(|| stop("a's handler has returned"));
        peer.set_event_handler(move |event| {
            let _ = &returned;
            let Event::Message(request) = event else { return };
            stop("a handles");
            answer(&request);
            stop("a has replied");
            request.connection().set_event_handler(|_| {});
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

// covers dispatch AE-104
fn a_request_boosts_the_service_until_its_worker_is_idle() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-at-once");
    stage.pass("a is ready");
    let app = stage.app("xpc-app");
    check::that("A is not boosted before", !a.is_boosted());
    stage.pass("app is ready");
    let sent = stage.at("app has sent");
    check::that("(t1) A is boosted when the send has returned", a.is_boosted());
    sent.go_on();
    let handles = stage.at("a handles");
    check::that("A is boosted in its handler", a.is_boosted());
    let seen = handles.go_on();
    check::equal("(t2) the class in the handler", seen.requested, IN);
    check::equal("the voucher has importance", seen.has_importance, 1);
    check::equal("the kernel voucher is that of the object", seen.in_kernel, voucher_named(&seen));
    check::that("there is one", seen.in_kernel != 0);
    check::equal("the persona", (seen.persona, seen.persona_of_voucher), (APP_PERSONA, APP_PERSONA));
    stage.pass("a has replied");
    let returned = stage.at("a's handler has returned");
    let reply = stage.at("app has the reply");
    check::equal(
        "(t5) the class and the voucher of the reply's handler",
        (reply.probe.requested, reply.probe.object),
        (IN, 0),
    );
    reply.go_on();
    check::equal("(t3) the voucher that the worker keeps", returned.probe.object, seen.object);
    check::that("A is boosted before its worker changes items", a.is_boosted());
    let worker = returned.thread_kept();
    returned.go_on();
    a.await_end_of_boost();
    stage.await_rest("a");
    eventually("(t4) the worker has no voucher in the kernel", || worker.voucher() == 0);
    app.end();
    a.end();
}

/// A: its handler submits the work to another queue.
fn replies_later() {
    let queue = Queue::new("work");
    daemon("a", move |request| {
        queue.run_async(move || {
            stop("a works");
            sleep(50);
            answer(&request);
            stop("a has replied");
        });
        stop("a handles");
    });
}

// covers dispatch AE-105
fn the_boost_lasts_as_long_as_work_that_was_submitted() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-later");
    stage.pass("a is ready");
    let app = stage.app("xpc-app");
    stage.pass("app is ready");
    let sent = stage.at("app has sent");
    let transitions = a.transitions();
    check::that("A is boosted when the send has returned", a.is_boosted());
    sent.go_on();
    let handled = stage.pass("a handles");
    let seen = stage.pass("a works");
    check::equal("the class and the importance of the work", (seen.requested, seen.has_importance), (IN, 1));
    check::equal("the voucher of the work is the message's", seen.object, handled.object);
    let replied = stage.at("a has replied");
    check::that("A is boosted after the reply", a.is_boosted());
    check::equal("the boost has not ended meanwhile", a.transitions(), transitions);
    replied.go_on();
    a.await_end_of_boost();
    stage.pass("app has the reply");
    stage.await_rest("a");
    app.end();
    a.end();
}
