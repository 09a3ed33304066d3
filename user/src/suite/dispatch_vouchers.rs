//! Vouchers and activities of the library `dispatch` between tasks of several types (dispatch 10.E, 10.F).

use super::channel_ends::{End, What, until};
use super::players::{Order, Player, order};
use super::tests;
use crate::message::port_with_send;
use crate::port::Port;
use crate::{check, task, time};
use abi::message::{Header, MsgOption};
use abi::port::Disposition as D;
use abi::port::MACH_PORT_NULL;
use abi::qos::AppType;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};
use dispatch::activity::{Activity, ActivityFlags, ActivityMode, Parent, create_voucher};
use dispatch::mach::{MachMsg, SendResult};
use dispatch::process::process;
use dispatch::voucher;
use zerocopy::IntoBytes;

tests! { "dispatch_vouchers":
    a_thread_without_a_voucher_sends_who_it_is,
    equal_vouchers_of_an_application_are_one_object,
    a_boosted_daemon_donates_under_a_voucher_without_importance_too,
    the_default_voucher_can_be_that_of_the_client,
    an_application_ends_a_boost_before_its_voucher_goes,
    ten_thousand_requests_with_activities_leave_nothing_behind.limit(60_000),
    an_activity_goes_through_two_daemons_with_its_creator,
    a_child_activity_names_the_daemon_that_made_it,
    an_activity_on_another_thread_keeps_the_boost,
}

/// Places of vouchers.
const X: u32 = 0;
const Y: u32 = 1;

const NONE: MsgOption = MsgOption::empty();

fn adaptive() -> Player {
    Player::daemon(AppType::DaemonAdaptive)
}

// covers dispatch AE-61
fn a_thread_without_a_voucher_sends_who_it_is() {
    let (app, standard) = (Player::app(), Player::daemon(AppType::DaemonStandard));
    app.send(&standard, NONE);
    let taken = standard.take(X);
    check::equal("its importance", taken.importance, 0);
    check::that("it is not boosted", !standard.is_boosted());
    let adopted = standard.with(order::ADOPT, X);
    check::equal("the originator", adopted.originator, app.unique_pid);
    [app, standard].into_iter().for_each(Player::end);
}

// covers dispatch AE-62
fn equal_vouchers_of_an_application_are_one_object() {
    let (app, daemon) = (Player::app(), adaptive());
    let round = || {
        app.send(&daemon, NONE);
        app.send(&daemon, NONE);
        daemon.take(X);
        check::equal("objects after the first", daemon.take(Y).objects, 1);
        let same = daemon.obey(order::COMPARE, Order { place: X, other: Y, value: 0 });
        check::equal("they are the same", same.code, 1);
        let names = task::counts().names;
        daemon.with(order::DROP, X);
        check::equal("names while one is left", task::counts().names, names);
        check::equal("objects in the end", daemon.with(order::DROP, Y).objects, 0);
        check::equal("names in the end", task::counts().names, names - 1);
        check::that("the boost has ended", !daemon.is_boosted());
    };
    round();
    let before = task::counts();
    round();
    check::equal("the counts", task::counts(), before);
    [app, daemon].into_iter().for_each(Player::end);
}

// covers dispatch AE-66
fn a_boosted_daemon_donates_under_a_voucher_without_importance_too() {
    let (app, a, b) = (Player::app(), adaptive(), adaptive());
    app.send(&a, NONE);
    check::equal("the importance of the message", a.take_and_adopt(X).importance, 1);
    check::equal("without it", a.with(order::KEEP_WITHOUT_IMPORTANCE, Y).importance, 0);
    a.with(order::ADOPT, Y);
    check::that("A is boosted", a.is_boosted());
    a.send(&b, MsgOption::SEND_NOIMPORTANCE);
    check::that("B is not boosted without importance", !b.is_boosted());
    a.send(&b, NONE);
    check::that("B is boosted", b.is_boosted());
    [app, a, b].into_iter().for_each(Player::end);
}

// covers dispatch AE-72
fn the_default_voucher_can_be_that_of_the_client() {
    let (app, a, standard) = (Player::app(), adaptive(), Player::daemon(AppType::DaemonStandard));
    let originator = || {
        a.send(&standard, NONE);
        let seen = standard.take_and_adopt(X).originator;
        standard.then(order::CLEAR);
        seen
    };
    check::equal("before", originator(), a.unique_pid);
    app.send(&a, NONE);
    a.take_and_adopt(X);
    a.then(order::REPLACE_DEFAULT);
    a.then(order::CLEAR);
    a.with(order::DROP, X);
    check::that("the default voucher does not boost", !a.is_boosted());
    check::equal("it has no importance", a.then(order::DEFAULT_HAS_IMPORTANCE).code, 0);
    check::equal("with it", originator(), app.unique_pid);
    a.then(order::REPLACE_DEFAULT);
    check::equal("without a voucher", originator(), a.unique_pid);
    [app, a, standard].into_iter().for_each(Player::end);
}

// covers dispatch AE-74
fn an_application_ends_a_boost_before_its_voucher_goes() {
    let (app, standard, daemon) = (Player::app(), Player::daemon(AppType::DaemonStandard), adaptive());
    standard.send(&app, NONE);
    check::equal("the importance", app.take(X).importance, 1);
    check::that("the application is boosted", app.is_boosted());
    let left = app.with(order::DECREMENT, X);
    check::equal("the object lives", (left.objects, left.importance), (1, 1));
    check::that("the boost has ended", !app.is_boosted());
    standard.send(&daemon, NONE);
    daemon.take(X);
    daemon.with(order::DECREMENT, X);
    check::that("the daemon stays boosted", daemon.is_boosted());
    daemon.with(order::DROP, X);
    check::that("until the voucher goes", !daemon.is_boosted());
    [app, standard, daemon].into_iter().for_each(Player::end);
}

/// Sends a request under a new activity and waits for its answer.
fn round_trip(to: &Player, reply: abi::PortName) {
    let kernel = process().kernel;
    let activity = create_voucher(Parent::Current, ActivityMode::empty(), b"");
    voucher::replace(Some(activity));
    let header = Header {
        msgh_bits: u32::from(D::COPY_SEND.0) | u32::from(D::MAKE_SEND_ONCE.0) << 8,
        msgh_remote_port: to.service,
        msgh_local_port: reply,
        ..Header::default()
    };
    let mut buffer = [0; 128];
    buffer[..Header::SIZE].copy_from_slice(header.as_bytes());
    let attachment = voucher::mach_msg_set(&mut buffer);
    let code = kernel.send(&mut buffer[..Header::SIZE], NONE, 0, 0);
    voucher::mach_msg_clear(&mut buffer, attachment);
    check::that("the request is sent", code.is_success());
    let received = kernel.receive(reply, &mut buffer, MsgOption::RCV_VOUCHER, 0, MACH_PORT_NULL);
    check::that("the answer comes", received.code.is_success());
    voucher::replace(voucher::from_message(&mut buffer));
}

// covers dispatch AE-75
fn ten_thousand_requests_with_activities_leave_nothing_behind() {
    const ROUNDS: u64 = 10_000;
    crate::policy::mark_donor().expect("the caller is user 0");
    let (daemon, reply) = (adaptive(), port_with_send());
    let run = |rounds: u64| {
        let served = daemon.serve_in_background(rounds);
        (0..rounds).for_each(|_| round_trip(&daemon, reply.name()));
        voucher::replace(None);
        served.join();
        let objects = daemon.then(order::CLEAR).objects;
        (task::counts(), objects, process().debug_counts().vouchers)
    };
    let before = run(10);
    check::equal("objects", (before.1, before.2), (0, 0));
    check::equal("counts", run(ROUNDS), before);
    daemon.end();
}

// covers dispatch AE-79
fn an_activity_goes_through_two_daemons_with_its_creator() {
    let (app, a, b) = (Player::app(), adaptive(), adaptive());
    app.with(order::CREATE_TOP_ACTIVITY, X);
    app.with(order::ADOPT, X);
    app.with(order::CREATE_ACTIVITY, Y);
    let sent = app.with(order::ADOPT, Y);
    check::that("there is an activity with a parent", sent.activity != 0 && sent.parent != 0);
    check::equal("its creator", sent.creator, app.unique_pid);
    let identity = (sent.activity, sent.creator, sent.parent);
    app.send(&a, NONE);
    let seen = |player: &Player| {
        let [here, in_block] = [player.take_and_adopt(X), player.then(order::IN_BLOCK)];
        for report in [here, in_block] {
            check::equal("the activity", (report.activity, report.creator, report.parent), identity);
        }
    };
    seen(&a);
    a.send(&b, NONE);
    seen(&b);
    [app, a, b].into_iter().for_each(Player::end);
}

// covers dispatch AE-80
fn a_child_activity_names_the_daemon_that_made_it() {
    let (app, b) = (Player::app(), adaptive());
    app.with(order::CREATE_TOP_ACTIVITY, X);
    let parent = app.with(order::ADOPT, X).activity;
    // The test is A. Its handler sends a request under a child of the message's activity.
    let to_b = End::new(None).connect(b.service);
    let (channel, reply_port) = (to_b.channel.clone(), Port::new());
    let (reply_to, created) = (reply_port.name(), Arc::new(AtomicU64::new(0)));
    let child = created.clone();
    let a = End::with(move |_, message| {
        let activity = Activity::create("child", Parent::Current, ActivityFlags::empty());
        created.store(activity.identity().activity.0, Ordering::Relaxed);
        let request = MachMsg::new(1).reply_to(reply_to, D::MAKE_SEND_ONCE);
        let sent = activity.apply(|| channel.send_with_async_reply(request, NONE, 7));
        check::that("the request leaves", matches!(sent, SendResult::Sent));
        message.destroy();
    });
    let a = a.connect(MACH_PORT_NULL);
    app.send_to_port(a.port);
    a.expect(&[What::Connected, What::Received(0)]);
    until(|| b.with(order::TAKE, X).code == 0);
    let child = child.load(Ordering::Relaxed);
    let seen = b.with(order::ADOPT, X);
    check::equal("the activity", (seen.activity, seen.parent), (child, parent));
    check::equal("its creator", seen.creator, process().kernel.unique_pid());
    check::equal("the reply", b.then(order::REPLY).code, 0);
    to_b.expect(&[What::Connected]);
    let reply = to_b.next();
    check::equal("the handler of the reply", (reply.what, reply.context.activity), (What::Reply(0, 7), child));
    a.end();
    to_b.end();
    [app, b].into_iter().for_each(Player::end);
}

// covers dispatch AE-82
fn an_activity_on_another_thread_keeps_the_boost() {
    let (app, a) = (Player::app(), adaptive());
    app.send(&a, NONE);
    a.take_and_adopt(X);
    a.with(order::CREATE_ACTIVITY, Y);
    a.with(order::HOLD, Y);
    a.with(order::DROP, X);
    check::equal("the objects left", a.then(order::CLEAR).objects, 2);
    time::sleep(20);
    check::that("the thread keeps the boost", a.is_boosted());
    check::equal("the objects in the end", a.then(order::LET_GO).objects, 0);
    check::that("the boost has ended", !a.is_boosted());
    [app, a].into_iter().for_each(Player::end);
}
