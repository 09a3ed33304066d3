//! Whose messages boost whom (dispatch 10.H).

use super::actor::{self, answer, ask_with, connect, daemon, rest, serve, stop};
use super::stage::{IN, Player, Stage};
use crate::check;
use crate::suite::tests;
use core::time::Duration;
use dispatch::qos::Qos;
use dispatch::queue::{Queue, QueueFlags};
use xpc::{Dictionary, Message};

tests! { "xpc_donors":
    the_boost_lasts_until_the_last_of_two_requests_is_done,
    each_donor_has_a_boost_of_its_own,
    an_app_that_naps_takes_its_boosts_back,
    a_daemon_without_a_boost_passes_none_on_until_it_gets_one,
    a_standard_daemon_is_never_boosted_and_always_donates,
    a_background_daemon_neither_gets_nor_gives_boosts,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-asks-twice", app_asks_twice),
    ("xpc-app-asks-a", app_asks_a),
    ("xpc-standard-asks-a", standard_asks_a),
    ("xpc-tells-who-asks", tells_who_asks),
    ("xpc-sends-after-a-while", sends_after_a_while),
    ("xpc-holds-messages", holds_messages),
    ("xpc-passes-on", passes_on),
];

/// APP: sends two requests to A.
fn app_asks_twice() {
    actor::app(|| {
        let a = connect("a");
        ask_with(&a, "app's first", &from("first"));
        ask_with(&a, "app's second", &from("second"));
    });
}

fn from(who: &str) -> Dictionary {
    [("from", who)].into_iter().collect()
}

fn app_asks_a() {
    actor::app(|| {
        ask_with(&connect("a"), "app", &from("app"));
        stop("app has sent");
    });
}

/// S: sends a request to A.
fn standard_asks_a() {
    actor::join();
    stop("s is ready");
    ask_with(&connect("a"), "s", &from("s"));
    rest("s rests");
}

/// A: works on all requests at the same time, each until the test lets it reply.
fn tells_who_asks() {
    daemon("a", |request| {
        // Each of these queues may have a thread, whatever the others do.
        Queue::new("work").run_async(move || {
            let from = request.get_string("from").expect("the request says from whom it is");
            stop(&alloc::format!("a works for {from}"));
            answer(&request);
        });
    });
}

// covers dispatch AE-108
fn the_boost_lasts_until_the_last_of_two_requests_is_done() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-tells-who-asks");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-twice");
    stage.pass("app is ready");
    let second = stage.at("a works for second");
    let transitions = a.transitions();
    stage.pass("a works for first");
    stage.pass("app's first has the reply");
    crate::time::sleep(20);
    check::that("A is boosted by the second request", a.is_boosted());
    check::equal("the boost has not ended meanwhile", a.transitions(), transitions);
    second.go_on();
    stage.pass("app's second has the reply");
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
}

// covers dispatch AE-109
fn each_donor_has_a_boost_of_its_own() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-tells-who-asks");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-a");
    let s = stage.standard("xpc-standard-asks-a");
    stage.pass("app is ready");
    stage.pass("s is ready");
    stage.pass("app has sent");
    let for_s = stage.at("a works for s");
    stage.pass("a works for app");
    stage.pass("app has the reply");
    // Nothing of the app's request is left when the app cannot boost A any more, and A is boosted nevertheless.
    app.set_nap(true);
    check::that("A is boosted by S", a.is_boosted());
    app.end();
    check::that("A is boosted by S without the app", a.is_boosted());
    for_s.go_on();
    stage.pass("s has the reply");
    a.await_end_of_boost();
    s.end();
    a.end();
}

// covers dispatch AE-110
fn an_app_that_naps_takes_its_boosts_back() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-tells-who-asks");
    stage.pass("a is ready");
    let app = stage.app("xpc-app-asks-a");
    stage.pass("app is ready");
    stage.pass("app has sent");
    let works = stage.at("a works for app");
    check::that("A is boosted", a.is_boosted());
    let worker = works.thread_kept();
    let voucher = worker.voucher();
    app.set_nap(true);
    check::that("A is not boosted by an app that naps", !a.is_boosted());
    app.set_nap(false);
    check::that("A is boosted again", a.is_boosted());
    check::equal("the voucher in A", (worker.voucher(), works.probe.has_importance), (voucher, 1));
    works.go_on();
    stage.pass("app has the reply");
    a.await_end_of_boost();
    app.end();
    a.end();
}

/// A: sends something to B from a timer. It serves requests too.
fn sends_after_a_while() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", |request: Message| {
        stop("a handles");
        answer(&request);
    });
    stop("a is ready");
    Queue::global(Qos::DEFAULT, QueueFlags::empty()).after(Duration::from_millis(1), move || {
        b.send(&Dictionary::new());
        stop("a has sent");
    });
    let _ = &listener;
    rest("a rests");
}

/// B: its handler holds messages.
fn holds_messages() {
    daemon("b", |_| stop("b handles"));
}

// covers dispatch AE-111 AE-112
fn a_daemon_without_a_boost_passes_none_on_until_it_gets_one() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-holds-messages");
    stage.pass("b is ready");
    let a = stage.daemon("xpc-sends-after-a-while");
    stage.pass("a is ready");
    stage.pass("a has sent");
    let handles = stage.at("b handles");
    check::that("the message has a voucher", handles.probe.object != 0);
    check::that("B is not boosted", !b.is_boosted() && !a.is_boosted());
    let app = stage.app("xpc-app-asks-a");
    stage.pass("app is ready");
    stage.pass("app has sent");
    let in_a = stage.at("a handles");
    check::that("A is boosted, and B by A's older message", a.is_boosted() && b.is_boosted());
    in_a.go_on();
    stage.pass("app has the reply");
    a.await_end_of_boost();
    b.await_end_of_boost();
    handles.go_on();
    stage.await_rest("b");
    [app, a, b].into_iter().for_each(Player::end);
}

/// A daemon in the middle: its handler passes the request on to B.
fn passes_on() {
    actor::join();
    let b = connect("b");
    let listener = serve("a", move |request: Message| {
        stop("the middle handles");
        b.send(&Dictionary::new());
        stop("the middle has sent");
        answer(&request);
    });
    stop("the middle is ready");
    let _ = &listener;
    rest("the middle rests");
}

/// Lets an app ask a daemon in the middle, which passes the request on to B. Returns what the handler in the middle had
/// and whether B was boosted, and checks that the middle is never boosted.
fn through(stage: &Stage, middle: &Player, b: &Player, app_naps: bool) -> (u32, bool) {
    let app = stage.app("xpc-app-asks-a");
    stage.at("app is ready").go_on();
    app.set_nap(app_naps);
    stage.pass("app has sent");
    let handles = stage.at("the middle handles");
    check::that("the middle is not boosted", !middle.is_boosted());
    let seen = handles.go_on();
    check::equal("the class in the middle", seen.requested, IN);
    let sent = stage.at("the middle has sent");
    let handles = stage.at("b handles");
    let boosted = b.is_boosted();
    check::that("the middle is not boosted after its send", !middle.is_boosted());
    sent.go_on();
    handles.go_on();
    stage.pass("app has the reply");
    b.await_end_of_boost();
    app.end();
    (seen.has_importance, boosted)
}

// covers dispatch AE-113
fn a_standard_daemon_is_never_boosted_and_always_donates() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-holds-messages");
    stage.pass("b is ready");
    let s = stage.standard("xpc-passes-on");
    stage.pass("the middle is ready");
    let transitions = s.transitions();
    for app_naps in [false, true] {
        check::equal("S has no importance, and boosts B", through(&stage, &s, &b, app_naps), (0, true));
    }
    check::equal("S was never boosted", s.transitions(), transitions);
    s.end();
    b.end();
}

// covers dispatch AE-114
fn a_background_daemon_neither_gets_nor_gives_boosts() {
    let stage = Stage::new();
    let b = stage.daemon("xpc-holds-messages");
    stage.pass("b is ready");
    let d = stage.background("xpc-passes-on");
    stage.pass("the middle is ready");
    let (_, boosted) = through(&stage, &d, &b, false);
    check::that("B is not boosted", !boosted);
    check::equal("nobody was ever boosted", (d.transitions(), b.transitions()), (0, 0));
    d.end();
    b.end();
}
