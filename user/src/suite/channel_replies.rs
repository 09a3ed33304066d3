//! Replies that come later, replies that are waited for, and sources (dispatch 4.6, 6.7, 10.B, 10.G).

use super::channel_ends::*;
use super::tests;
use crate::message::{self, Message};
use crate::port::{self, Port};
use crate::thread::Gate;
use crate::{check, task, voucher as raw};
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::port::Disposition as D;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_USER_DATA;
use alloc::sync::Arc;
use alloc::vec;
use dispatch::mach::{Disconnected, MachMsg, SendResult, Subsystem, mig_demux};
use dispatch::qos::Qos;
use dispatch::source::MachSource;
use dispatch::voucher;

tests! { "channel_replies":
    a_reply_is_handled_in_the_context_of_the_requester,
    a_lost_reply_right_is_reported_in_the_context_of_the_requester,
    waiting_for_a_reply_changes_nothing_of_the_thread,
    a_large_reply_is_received_by_one_who_waits,
    a_thread_that_waits_is_released_by_a_cancellation,
    a_request_that_waits_for_room_gets_its_reply,
    a_late_reply_reaches_no_other_request,
    a_reply_to_a_port_of_the_program_gives_the_port_back,
    a_request_with_a_closure_is_answered_once,
    a_handler_serves_requests_of_mig,
    a_source_leaves_the_context_of_messages_to_its_handler,
    a_cancelled_source_rests,
}

const NONE: MsgOption = MsgOption::empty();
const DEF: Qos = Qos::DEFAULT;
const IN: Qos = Qos::UserInitiated;

/// Ends a client whose peer is a port of the test.
fn end_with_peer(client: End, peer: Port) {
    client.end();
    port::deallocate(peer.name()).expect("the send right is there");
    drop(peer);
    check_nothing_is_left();
}

/// Sends a request with a reply port of the test and this context number.
fn request(client: &End, id: i32, reply_port: &Port, context: u64) -> SendResult {
    let message = MachMsg::new(id).reply_to(reply_port.name(), D::MAKE_SEND_ONCE);
    client.channel.send_with_async_reply(message, NONE, context)
}

// covers dispatch AE-91
fn a_reply_is_handled_in_the_context_of_the_requester() {
    let (peer, work) = (message::port_with_send(), activity());
    let client = End::new(None).connect(peer.name());
    let other = client.clone();
    let reply_port = under(IN, &work, move || {
        let reply_port = Port::new();
        check::that("the request leaves", matches!(request(&other, 1, &reply_port, 77), SendResult::Sent));
        reply_port
    });
    let request = Message::receive(peer.name()).expect("the request waits");
    let before = task::counts();
    at(Qos::Background, move || {
        let recipe = raw::Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, *b"of the server..");
        let host = raw::host();
        let name = raw::create(host, zerocopy::IntoBytes::as_bytes(&recipe)).expect("the voucher is made");
        Message::reply(&request).voucher(name, D::MOVE_SEND).send().expect("the client waits");
        port::deallocate(host).expect("the name is there");
    });
    client.expect_in(Context::of(IN, &work), What::Connected);
    client.expect_in(Context::of(IN, &work), What::Reply(101, 77));
    let reply = client.message();
    check::that("there is no voucher", reply.voucher().is_none() && reply.header().voucher() == D::NONE);
    check::equal("the reply port", reply.header().msgh_local_port, reply_port.name());
    until(|| task::counts().vouchers <= before.vouchers);
    drop((reply, reply_port, work));
    end_with_peer(client, peer);
}

// covers dispatch AE-92
fn a_lost_reply_right_is_reported_in_the_context_of_the_requester() {
    let (peer, work) = (message::port_with_send(), activity());
    let client = End::new(None).connect(peer.name());
    let other = client.clone();
    let reply_port = under(IN, &work, move || {
        let reply_port = Port::new();
        check::that("the request leaves", matches!(request(&other, 1, &reply_port, 78), SendResult::Sent));
        reply_port
    });
    Message::receive(peer.name()).expect("the request waits").destroy();
    client.expect_in(Context::of(IN, &work), What::Connected);
    client.expect_in(Context::of(IN, &work), What::Reply(MACH_NOTIFY_SEND_ONCE, 78));
    drop((reply_port, work));
    end_with_peer(client, peer);
}

// covers dispatch AE-93
fn waiting_for_a_reply_changes_nothing_of_the_thread() {
    let (server, work) = (End::replying(), activity());
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let (channel, held) = (client.channel.clone(), work.clone());
    under(IN, &work, move || {
        let calls = || task::thread_info(task::thread_self()).expect("the thread is alive").set_self_calls;
        let (context, before) = (Context::own(), calls());
        for id in 1..=3 {
            let (result, reply) = channel.send_with_result_and_wait_for_reply(MachMsg::new(id), NONE);
            check::that("the request leaves", matches!(result, SendResult::Sent));
            let reply = reply.expect("the server replies");
            check::equal("the reply", reply.id(), 100 + id);
            check::that("no voucher", reply.voucher().is_none() && reply.header().voucher() == D::NONE);
        }
        check::equal("the context", Context::own(), context);
        check::that("the voucher", voucher::is_current(Some(held.voucher())));
        check::equal("calls that change the thread", calls(), before);
    });
    check::that("no event tells of requests that have a result", client.has_no_event());
    drop(work);
    client.end();
    server.end();
    check_nothing_is_left();
}

fn a_large_reply_is_received_by_one_who_waits() {
    let server = End::with(|channel, mut message| {
        let reply = message.take_reply().expect("the request asks for a reply");
        channel.send_with_result(reply.bytes(&vec![7; 30_000]), NONE);
        message.destroy();
    });
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    for id in 1..=2 {
        let reply = client.channel.send_and_wait_for_reply(MachMsg::new(id), NONE).expect("the server replies");
        check::equal("the reply", (reply.id(), reply.body()), (100 + id, &vec![7; 30_000][..]));
    }
    client.end();
    server.end();
    check_nothing_is_left();
}

fn a_thread_that_waits_is_released_by_a_cancellation() {
    let peer = message::port_with_send();
    let client = End::new(None).connect(peer.name());
    let channel = client.channel.clone();
    let waiting = crate::thread::spawn(move || {
        let first = channel.send_and_wait_for_reply(MachMsg::new(1), NONE).is_some();
        // The thread's next request has another port.
        (first, channel.send_and_wait_for_reply(MachMsg::new(2), NONE).is_some())
    });
    let waiting = waiting.expect("the thread starts");
    let first = Message::receive(peer.name()).expect("the request waits");
    client.channel.reconnect(peer.name(), None);
    let second = Message::receive(peer.name()).expect("the second request waits");
    check::equal("its id", second.message_id(), 2);
    client.channel.cancel();
    check::equal("replies", waiting.join(), (false, false));
    for late in [first, second] {
        Message::reply(&late).send_or_destroy();
    }
    end_with_peer(client, peer);
}

fn a_request_that_waits_for_room_gets_its_reply() {
    let server = End::replying();
    port::set_queue_limit(server.port, 1).expect("the port is there");
    Message::copy_send(server.port).id(1).send().expect("there is room for one message");
    let client = End::new(None).connect(server.port);
    let (channel, started) = (client.channel.clone(), Arc::new(Gate::new()));
    let opens = started.clone();
    let waiting = crate::thread::spawn(move || {
        opens.open();
        let (result, reply) = channel.send_with_result_and_wait_for_reply(MachMsg::new(2), NONE);
        (matches!(result, SendResult::Deferred), reply.map(|reply| reply.id()))
    });
    let waiting = waiting.expect("the thread starts");
    started.pass();
    crate::time::sleep(5);
    check::that("it waits", !waiting.is_finished());
    let server = server.connect(client.port);
    check::equal("deferred, and answered", waiting.join(), (true, Some(102)));
    client.expect(&[What::Connected, What::Sent(2)]);
    client.end();
    server.end();
    check_nothing_is_left();
}

fn a_late_reply_reaches_no_other_request() {
    let peer = message::port_with_send();
    let client = End::new(None).connect(peer.name());
    let (channel, answers) = (client.channel.clone(), Arc::new(Gate::new()));
    let gate = answers.clone();
    let result = channel.request(MachMsg::new(1), NONE, None, move |reply| {
        check::equal("the first", reply.map(|reply| reply.id()), Err(Disconnected));
        gate.open();
    });
    check::that("the request leaves", matches!(result, SendResult::Sent));
    let late = Message::receive(peer.name()).expect("the request waits");
    channel.reconnect(peer.name(), None);
    answers.pass();
    let (gate, answers) = (Arc::new(Gate::new()), answers);
    answers.close();
    let (seen, again) = (gate.clone(), channel.clone());
    let result = again.request(MachMsg::new(2), NONE, None, move |reply| {
        check::equal("the second", reply.map(|reply| reply.id()), Ok(102));
        seen.open();
    });
    check::that("the request leaves", matches!(result, SendResult::Sent));
    let second = Message::receive(peer.name()).expect("the request waits");
    Message::reply(&late).send_or_destroy();
    Message::reply(&second).send().expect("the client waits");
    gate.pass();
    drop((channel, again));
    end_with_peer(client, peer);
}

fn a_reply_to_a_port_of_the_program_gives_the_port_back() {
    let (server, reply_port, work) = (End::replying(), Port::new(), activity());
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let (channel, name) = (client.channel.clone(), reply_port.name());
    let reply = under(IN, &work, move || {
        let message = MachMsg::new(1).reply_to(name, D::MAKE_SEND_ONCE);
        channel.send_and_wait_for_reply(message, NONE).map(|reply| reply.id())
    });
    check::equal("the reply", reply, Some(101));
    client.expect_in(Context::of(IN, &work), What::Connected);
    client.expect_in(Context::of(IN, &work), What::ReplyReceived);
    drop((reply_port, work));
    client.end();
    server.end();
    check_nothing_is_left();
}

fn a_request_with_a_closure_is_answered_once() {
    let (server, work) = (End::replying(), activity());
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let (channel, gate, context) = (client.channel.clone(), Arc::new(Gate::new()), Context::of(IN, &work));
    let opens = gate.clone();
    under(IN, &work, move || {
        channel.request(MachMsg::new(1), NONE, None, move |reply| {
            check::equal("the reply", reply.map(|reply| reply.id()), Ok(101));
            check::equal("the context", Context::own(), context);
            opens.open();
        })
    });
    gate.pass();
    until(|| Arc::strong_count(&gate) == 1);
    drop(work);
    client.end();
    server.end();
    check_nothing_is_left();
}

/// What a routine is told: the sum of the words so far.
type Sum = u32;

/// Adds a word to the sum, and replies with it.
fn add(sum: &mut Sum, request: &mut MachMsg, reply: &mut Option<MachMsg>) -> abi::KernReturn {
    let Some(word) = request.word(0) else { return abi::code::KERN_INVALID_ARGUMENT };
    *sum += word;
    *reply = reply.take().map(|reply| reply.bytes(&sum.to_le_bytes()));
    abi::code::KERN_SUCCESS
}

fn a_handler_serves_requests_of_mig() {
    let mut sum = 0;
    let server = End::with(move |_, message| {
        let subsystems = [Subsystem { ids: 10..11, routine: add }];
        let is_served = mig_demux(&mut sum, &subsystems, message);
        is_served.unwrap_or_else(MachMsg::destroy);
    });
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let call = |message| client.channel.send_and_wait_for_reply(message, NONE).expect("there is a reply");
    for (word, expected) in [(3u32, 3), (4, 7)] {
        let reply = call(MachMsg::new(10).bytes(&word.to_le_bytes()));
        check::equal("the sum", (reply.id(), reply.word(0)), (110, Some(expected)));
    }
    let refused = call(MachMsg::new(10));
    let code = abi::code::KERN_INVALID_ARGUMENT.0 as u32;
    check::equal("the code", (refused.id(), refused.word(2)), (110, Some(code)));
    let unknown = call(MachMsg::new(12));
    check::equal("an unknown request", unknown.id(), MACH_NOTIFY_SEND_ONCE);
    drop((refused, unknown));
    client.end();
    server.end();
    check_nothing_is_left();
}

// covers dispatch AE-33
fn a_source_leaves_the_context_of_messages_to_its_handler() {
    let (peer, work) = (message::port_with_send(), activity());
    let client = End::new(None).connect(peer.name());
    let (name, done, context) = (peer.name(), Arc::new(Gate::new()), Context::of(DEF, &work));
    let opens = done.clone();
    let source = MachSource::new(name, None, move || {
        check::equal("the handler", Context::own(), Context::plain(DEF));
        let options = MsgOption::RCV_TIMEOUT | MsgOption::RCV_VOUCHER;
        let mut buffer = vec![0; 1024];
        let received = dispatch::process::process().kernel.receive(name, &mut buffer, options, 0, NOBODY);
        check::equal("the message is there", received.code, abi::code::MACH_MSG_SUCCESS);
        check::equal("its class", received.priority.class(), IN);
        let state = voucher::mach_msg_adopt(&mut buffer);
        check::equal("with the message's voucher", Context::own(), context);
        voucher::mach_msg_revert(state);
        check::equal("after it", Context::own(), Context::plain(DEF));
        opens.open();
    });
    source.activate();
    let channel = client.channel.clone();
    for _ in 0..2 {
        let channel = channel.clone();
        under(IN, &work, move || channel.send_with_result(MachMsg::new(1), NONE));
        done.pass();
        done.close();
    }
    let canceled = Arc::new(Gate::new());
    let opens = canceled.clone();
    source.set_cancel_handler(move || opens.open());
    source.cancel();
    canceled.pass();
    drop((channel, source, work));
    end_with_peer(client, peer);
}

fn a_cancelled_source_rests() {
    let peer = message::port_with_send();
    let source = MachSource::new(peer.name(), None, || panic!("the source is cancelled"));
    source.activate();
    source.cancel();
    source.cancel();
    Message::copy_send(peer.name()).id(1).send().expect("there is room");
    crate::time::sleep(5);
    check::equal("the message", Message::receive(peer.name()).map(|message| message.message_id()), Ok(1));
    drop(source);
    port::deallocate(peer.name()).expect("the send right is there");
    drop(peer);
    check_nothing_is_left();
}
