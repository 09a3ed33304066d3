//! What keeps a boost alive, and what does not (dispatch 10.H, 2.11).

use super::actor::{self, answer, ask, connect, daemon, stop};
use super::stage::{IN, Player, Stage};
use crate::check;
use crate::suite::tests;
use crate::time::{now, sleep};
use core::time::Duration;
use dispatch::block::{Block, BlockFlags};
use dispatch::group::Group;
use dispatch::qos::{Priority, Qos};
use dispatch::queue::{Queue, QueueFlags};
use dispatch::sync::{Arc, Mutex};
use dispatch::voucher::{self, Voucher};
use xpc::{Dictionary, Message, XpcError};

tests! { "xpc_holders":
    items_of_a_group_and_its_notification_have_the_request_s_context,
    a_delayed_item_holds_the_boost,
    a_detached_block_does_not_hold_the_boost,
    a_copy_of_the_voucher_holds_the_boost_unless_it_is_without_importance,
    a_kept_message_holds_the_boost_only_if_it_wants_a_reply,
    a_kept_reply_holds_the_boost_until_a_plain_thread_sends_it,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("xpc-app-asks-once", app_asks_once),
    ("xpc-app-tells", app_tells),
    ("xpc-app-waits-for-an-error", app_waits_for_an_error),
    ("xpc-fans-out", fans_out),
    ("xpc-goes-on-later", goes_on_later),
    ("xpc-goes-on-detached", goes_on_detached),
    ("xpc-copies-its-voucher", || copies_its_voucher(voucher::copy)),
    ("xpc-copies-without-importance", || copies_its_voucher(voucher::copy_without_importance)),
    ("xpc-keeps-messages", keeps_messages),
    ("xpc-keeps-what-it-answers", keeps_what_it_answers),
    ("xpc-replies-from-a-thread", replies_from_a_thread),
];

/// APP: sends a request to A.
fn app_asks_once() {
    actor::app(|| {
        ask(&connect("a"), "app");
        stop("app has sent");
    });
}

/// APP: sends a message to A that wants no reply.
fn app_tells() {
    actor::app(|| {
        connect("a").send(&Dictionary::new());
        stop("app has sent");
    });
}

/// APP: sends a request to A, which A will not answer.
fn app_waits_for_an_error() {
    actor::app(|| {
        connect("a").send_with_reply(&Dictionary::new(), None, |reply| {
            assert_eq!(reply.err(), Some(XpcError::Interrupted));
            stop("app is interrupted");
        });
        stop("app has sent");
    });
}

/// Starts a daemon A of this kind, and an app that sends something to it.
fn scene(stage: &Stage, daemon: &str, app: &str) -> (Player, Player) {
    let a = stage.daemon(daemon);
    stage.pass("a is ready");
    let app = stage.app(app);
    stage.pass("app is ready");
    stage.pass("app has sent");
    (a, app)
}

/// The number of items of a group.
const ITEMS: usize = 4;

/// A: its handler starts a group of items, and the group's notification replies.
fn fans_out() {
    let queue = Queue::concurrent("work");
    daemon("a", move |request| {
        let group = Group::new();
        for _ in 0..ITEMS {
            group.run_async(&queue, || stop("an item works"));
        }
        group.notify(&queue, move || {
            stop("the notification works");
            answer(&request);
            stop("a has replied");
        });
        stop("a handles");
    });
}

// covers dispatch AE-115
fn items_of_a_group_and_its_notification_have_the_request_s_context() {
    let stage = Stage::new();
    let (a, app) = scene(&stage, "xpc-fans-out", "xpc-app-asks-once");
    let handles = stage.at("a handles");
    let context = (handles.probe.requested, handles.probe.object, handles.probe.has_importance);
    check::equal("the class and the importance in the handler", (context.0, context.2), (IN, 1));
    handles.go_on();
    let transitions = a.transitions();
    for _ in 0..ITEMS {
        let seen = stage.pass("an item works");
        check::equal("the context of an item", (seen.requested, seen.object, seen.has_importance), context);
        check::that("A is boosted", a.is_boosted());
    }
    let notification = stage.at("the notification works");
    let seen = notification.probe;
    check::equal("the context of the notification", (seen.requested, seen.object, seen.has_importance), context);
    // The workers of the items are idle by now or will be, which ends nothing.
    sleep(20);
    check::that("A is boosted until the notification is done", a.is_boosted());
    notification.go_on();
    let replied = stage.at("a has replied");
    check::equal("the boost has not ended meanwhile", (a.is_boosted(), a.transitions()), (true, transitions));
    replied.go_on();
    stage.pass("app has the reply");
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
}

/// Nanoseconds in a millisecond.
const MILLISECOND: u64 = 1_000_000;
/// Milliseconds that work goes on after the reply.
const LATER: u64 = 200;

/// A: its handler replies at once and goes on later.
fn goes_on_later() {
    daemon("a", |request| {
        answer(&request);
        let queue = Queue::global(Qos::DEFAULT, QueueFlags::empty());
        queue.after(Duration::from_millis(LATER), || stop("a goes on"));
    });
}

// covers dispatch AE-116
fn a_delayed_item_holds_the_boost() {
    let (stage, start) = (Stage::new(), now());
    let (a, app) = scene(&stage, "xpc-goes-on-later", "xpc-app-asks-once");
    stage.pass("app has the reply");
    let transitions = a.transitions();
    check::that("A is boosted after its reply", a.is_boosted());
    let goes_on = stage.at("a goes on");
    check::that("its time has passed", now() - start >= LATER * MILLISECOND);
    check::equal("A was boosted all the time", (a.is_boosted(), a.transitions()), (true, transitions));
    check::equal("the delayed item has the context", (goes_on.probe.requested, goes_on.probe.has_importance), (IN, 1));
    goes_on.go_on();
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
}

/// A: its handler replies, and submits a detached block.
fn goes_on_detached() {
    daemon("a", |request| {
        let block = Block::new(BlockFlags::DETACHED.bits(), || stop("a goes on")).expect("the flag exists");
        Queue::new("detached").run_block(&block);
        stop("a handles");
        answer(&request);
    });
}

// covers dispatch AE-117
fn a_detached_block_does_not_hold_the_boost() {
    let stage = Stage::new();
    let (a, app) = scene(&stage, "xpc-goes-on-detached", "xpc-app-asks-once");
    let goes_on = stage.at("a goes on");
    stage.pass("a handles");
    stage.pass("app has the reply");
    a.await_end_of_boost();
    let default = Priority::of(Qos::DEFAULT).0;
    check::equal("the block's class and voucher", (goes_on.probe.requested, goes_on.probe.object), (default, 0));
    check::that("it runs still", stage.at_within("a is somewhere else", 1).is_none());
    goes_on.go_on();
    app.end();
    a.end();
}

/// What A keeps.
static KEPT: Mutex<Option<Arc<Voucher>>> = Mutex::new(None);

/// A: its handler keeps a copy of its voucher. The main thread releases it when the test lets it.
fn copies_its_voucher(copy: fn() -> Option<Arc<Voucher>>) {
    actor::join();
    let listener = actor::serve("a", move |request: Message| {
        let old = core::mem::replace(&mut *KEPT.lock(), copy());
        assert!(old.is_none(), "there is one request");
        answer(&request);
    });
    stop("a is ready");
    let _ = &listener;
    stop("a keeps a voucher");
    let kept = KEPT.lock().take();
    drop(kept.expect("the handler has kept one"));
    actor::rest("a rests");
}

// covers dispatch AE-118
fn a_copy_of_the_voucher_holds_the_boost_unless_it_is_without_importance() {
    let stage = Stage::new();
    let (a, app) = scene(&stage, "xpc-copies-its-voucher", "xpc-app-asks-once");
    stage.pass("app has the reply");
    let transitions = a.transitions();
    sleep(50);
    check::equal("the copy holds the boost", (a.is_boosted(), a.transitions()), (true, transitions));
    stage.pass("a keeps a voucher");
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
    let (a, app) = scene(&stage, "xpc-copies-without-importance", "xpc-app-asks-once");
    stage.pass("app has the reply");
    a.await_end_of_boost();
    stage.pass("a keeps a voucher");
    stage.await_rest("a");
    app.end();
    a.end();
}

/// The messages that A keeps.
static MESSAGES: Mutex<Option<Message>> = Mutex::new(None);

/// A: its handler keeps the message. The main thread drops it when the test lets it.
fn keeps_messages() {
    keeps_messages_after(|| {});
}

/// A: the same, but the main thread replies before.
fn keeps_what_it_answers() {
    keeps_messages_after(|| {
        stop("a answers");
        answer(MESSAGES.lock().as_ref().expect("the handler has kept one"));
    });
}

fn keeps_messages_after(reply: fn()) {
    actor::join();
    let listener = actor::serve("a", |request: Message| {
        let old = MESSAGES.lock().replace(request);
        assert!(old.is_none(), "there is one message");
        stop("a keeps the message");
    });
    stop("a is ready");
    let _ = &listener;
    reply();
    stop("a drops the message");
    let kept = MESSAGES.lock().take();
    drop(kept.expect("the handler has kept one"));
    actor::rest("a rests");
}

// covers dispatch AE-119
fn a_kept_message_holds_the_boost_only_if_it_wants_a_reply() {
    let stage = Stage::new();
    let (a, app) = scene(&stage, "xpc-keeps-messages", "xpc-app-tells");
    let keeps = stage.at("a keeps the message");
    check::that("A is boosted in its handler", a.is_boosted());
    keeps.go_on();
    a.await_end_of_boost();
    stage.pass("a drops the message");
    app.end();
    a.end();
    let (a, app) = scene(&stage, "xpc-keeps-messages", "xpc-app-waits-for-an-error");
    stage.pass("a keeps the message");
    let transitions = a.transitions();
    sleep(50);
    check::equal("the request holds the boost", (a.is_boosted(), a.transitions()), (true, transitions));
    stage.pass("a drops the message");
    stage.pass("app is interrupted");
    a.await_end_of_boost();
    stage.await_rest("a");
    app.end();
    a.end();
    let (a, app) = scene(&stage, "xpc-keeps-what-it-answers", "xpc-app-asks-once");
    stage.pass("a keeps the message");
    let transitions = a.transitions();
    sleep(50);
    check::equal("the request holds the boost", (a.is_boosted(), a.transitions()), (true, transitions));
    stage.pass("a answers");
    stage.pass("app has the reply");
    a.await_end_of_boost();
    stage.pass("a drops the message");
    stage.await_rest("a");
    app.end();
    a.end();
}

/// The milliseconds for which a reply is kept.
const KEPT_FOR: u64 = 100;

/// A: its handler makes the reply, and a thread without a queue sends it.
fn replies_from_a_thread() {
    daemon("a", |request| {
        let reply = request.create_reply().expect("the sender wants a reply");
        drop(request);
        let thread = runtime::thread::spawn(move || {
            sleep(KEPT_FOR);
            stop("a thread replies");
            reply.send();
            stop("a thread has replied");
        });
        drop(thread.expect("the thread starts"));
    });
}

// covers dispatch AE-120
fn a_kept_reply_holds_the_boost_until_a_plain_thread_sends_it() {
    let stage = Stage::new();
    let (a, app) = scene(&stage, "xpc-replies-from-a-thread", "xpc-app-asks-once");
    let transitions = a.transitions();
    let replies = stage.at("a thread replies");
    check::equal("the reply holds the boost", (a.is_boosted(), a.transitions()), (true, transitions));
    check::equal("the thread has no voucher", (replies.probe.object, replies.probe.in_kernel), (0, 0));
    replies.go_on();
    let replied = stage.at("a thread has replied");
    check::equal("nor afterwards", (replied.probe.object, replied.probe.in_kernel), (0, 0));
    a.await_end_of_boost();
    replied.go_on();
    stage.pass("app has the reply");
    app.end();
    a.end();
}
