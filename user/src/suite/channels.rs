//! Channels: what their handlers see, and in which context (dispatch 6, 10.G).

use super::channel_ends::*;
use super::tests;
use crate::message::Message;
use crate::port::{self, Port};
use crate::sync::Mutex;
use crate::thread::{Gate, spawn};
use crate::{check, message};
use abi::code::MACH_MSG_SUCCESS;
use abi::message::MsgOption;
use abi::port::Disposition;
use alloc::sync::Arc;
use alloc::vec;
use core::sync::atomic::{AtomicBool, Ordering};
use dispatch::mach::{MachMsg, SendResult, handoff_reply};
use dispatch::process::process;
use dispatch::qos::Qos;
use dispatch::queue::Queue;

tests! { "channels":
    a_channel_is_connected_with_its_first_message,
    a_handler_runs_with_the_class_of_the_message,
    a_message_without_voucher_takes_the_workers_away,
    a_synchronous_sender_raises_the_handler_without_changing_its_class,
    messages_that_wait_for_room_leave_with_the_highest_class,
    a_result_says_whether_the_message_has_left,
    a_cancelled_channel_sends_nothing,
    a_reconnected_channel_sends_what_is_new_to_the_new_peer,
    a_check_in_leaves_first_in_the_context_of_the_first_message,
    barriers_wait_for_what_was_sent_or_received_before,
    a_reply_is_handed_to_another_queue,
    a_large_message_is_delivered_like_others,
    there_is_one_no_senders_event,
    a_reconnected_channel_asks_for_no_senders_once,
}

const NONE: MsgOption = MsgOption::empty();
const BG: Qos = Qos::Background;
const UT: Qos = Qos::Utility;
const DEF: Qos = Qos::DEFAULT;
const IN: Qos = Qos::UserInitiated;
const UI: Qos = Qos::UserInteractive;

/// Two ends that are connected to each other.
fn pair(server: End) -> (End, End) {
    let client = End::new(None).connect(server.port);
    let port = client.port;
    (client, server.connect(port))
}

fn end_both(client: End, server: End) {
    client.end();
    server.end();
    check_nothing_is_left();
}

// covers dispatch AE-84
fn a_channel_is_connected_with_its_first_message() {
    let ((client, server), work) = (pair(End::new(None)), activity());
    let channel = client.channel.clone();
    under(UT, &work, move || channel.send_with_result(MachMsg::new(1), NONE));
    let context = Context::of(UT, &work);
    server.expect_in(context, What::Connected);
    server.expect_in(context, What::Received(1));
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-85 AE-86
fn a_handler_runs_with_the_class_of_the_message() {
    let low = Queue::builder("low").class(UT).build();
    // The columns of the table in dispatch 1.10, and the rows k and l.
    let columns = [(Qos::Unspecified, DEF, UT), (BG, BG, UT), (UT, UT, UT), (DEF, DEF, DEF), (IN, IN, IN)];
    let (client, server) = pair(End::new(None));
    let (client_of_low, low_server) = pair(End::new(Some(&low)));
    for (class, plain, on_low) in columns {
        let channels = [client.channel.clone(), client_of_low.channel.clone()];
        at(class, move || channels.map(|channel| channel.send_with_result(MachMsg::new(1), NONE)));
        for (server, expected) in [(&server, plain), (&low_server, on_low)] {
            let seen = match server.next() {
                Seen { what: What::Connected, .. } => server.next(),
                seen => seen,
            };
            check::equal("the message", seen.what, What::Received(1));
            check::equal("the class of the handler", (class, seen.context.class), (class, expected));
        }
    }
    client_of_low.end();
    low_server.end();
    drop(low);
    end_both(client, server);
}

// covers dispatch AE-87
fn a_message_without_voucher_takes_the_workers_away() {
    let ((client, server), work, gate) = (pair(End::new(None)), activity(), Arc::new(Gate::new()));
    // Both messages wait, so that one worker takes them one after the other.
    let opened = gate.clone();
    server.channel.receive_barrier(move || opened.pass());
    let channel = client.channel.clone();
    under(IN, &work, move || channel.send_with_result(MachMsg::new(1), NONE));
    Message::copy_send(server.port).id(2).send().expect("there is room");
    until(|| port::status(server.port).is_ok_and(|status| status.mps_msgcount == 0));
    crate::time::sleep(5);
    gate.open();
    server.expect(&[What::Connected, What::Barrier]);
    let first = server.expect_in(Context::of(IN, &work), What::Received(1));
    let second = server.expect_in(Context::plain(DEF), What::Received(2));
    check::equal("the worker", second.thread, first.thread);
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-88
fn a_synchronous_sender_raises_the_handler_without_changing_its_class() {
    let (client, server) = pair(End::replying());
    let channel = client.channel.clone();
    let reply = at(UI, move || {
        channel.send_with_result(MachMsg::new(1), NONE);
        let reply = channel.send_and_wait_for_reply(MachMsg::new(2), NONE);
        reply.map(|reply| reply.id())
    });
    check::equal("the reply", reply, Some(102));
    server.expect(&[What::Connected]);
    server.expect_in(Context::with_voucher(IN), What::Received(1));
    let seen = server.expect_in(Context::with_voucher(IN), What::Received(2));
    check::equal("the class in effect before the reply", seen.effective, UI);
    end_both(client, server);
    let peer = message::port_with_send();
    let client = End::new(None).connect(peer.name());
    let channel = client.channel.clone();
    at(UI, move || channel.send_with_result(MachMsg::new(3), NONE));
    let mut buffer = vec![0; 1024];
    let received = process().kernel.receive(peer.name(), &mut buffer, MsgOption::RCV_TIMEOUT, 0, NOBODY);
    check::equal("the code", received.code, MACH_MSG_SUCCESS);
    check::equal("the class of the message itself", received.priority.class(), IN);
    client.end();
    drop(peer);
    check_nothing_is_left();
}

/// Returns an end that nobody receives from yet, whose queue is full.
fn full_end() -> End {
    let server = End::new(None);
    port::set_queue_limit(server.port, 1).expect("the port is there");
    Message::copy_send(server.port).id(1).send().expect("there is room for one message");
    server
}

// covers dispatch AE-89
fn messages_that_wait_for_room_leave_with_the_highest_class() {
    let server = full_end();
    let client = End::new(None).connect(server.port);
    for (class, id) in [(BG, 2), (IN, 3)] {
        let channel = client.channel.clone();
        at(class, move || channel.send(MachMsg::new(id), NONE));
    }
    check::that("both wait", client.has_no_event());
    let server = server.connect(client.port);
    server.expect(&[What::Connected, What::Received(1)]);
    let first = server.expect_in(Context::with_voucher(BG), What::Received(2));
    check::that("the first is as urgent as the second", first.effective >= IN);
    server.expect_in(Context::with_voucher(IN), What::Received(3));
    server.message().destroy();
    for class in [BG, IN] {
        let message = server.message();
        check::equal("class and override", (message.priority().class(), message.override_class()), (class, IN));
        message.destroy();
    }
    client.expect(&[What::Connected, What::Sent(2), What::Sent(3)]);
    end_both(client, server);
}

// covers dispatch AE-90
fn a_result_says_whether_the_message_has_left() {
    let (server, work) = (End::new(None), activity());
    port::set_queue_limit(server.port, 1).expect("the port is there");
    let client = End::new(None).connect(server.port);
    let (channel, held) = (client.channel.clone(), work.clone());
    under(IN, &work, move || {
        let holders = Arc::strong_count(held.voucher());
        let result = channel.send_with_result(MachMsg::new(1), NONE);
        check::that("the message has left", matches!(result, SendResult::Sent));
        check::equal("the holders of the voucher", Arc::strong_count(held.voucher()), holders);
        let result = channel.send_with_result(MachMsg::new(2), NONE);
        check::that("the queue is full", matches!(result, SendResult::Deferred));
        check::equal("the holders of the voucher", Arc::strong_count(held.voucher()), holders + 1);
    });
    check::that("no event tells of a result", client.has_no_event());
    let server = server.connect(client.port);
    client.expect_in(Context::of(IN, &work), What::Connected);
    client.expect_in(Context::of(IN, &work), What::Sent(2));
    server.expect(&[What::Connected, What::Received(1), What::Received(2)]);
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-95
fn a_cancelled_channel_sends_nothing() {
    let (client, server) = pair(End::new(None));
    client.channel.cancel();
    client.channel.cancel();
    client.expect(&[What::Connected, What::LostSend, What::LostReceive, What::Canceled]);
    client.channel.send(MachMsg::new(1), NONE);
    client.expect(&[What::NotSent(1)]);
    let result = client.channel.send_with_result(MachMsg::new(2), NONE);
    check::that("the result", matches!(result, SendResult::NotSent(_)));
    drop(result);
    check::that("there is no other event", client.has_no_event());
    check::that("nothing arrives", server.has_no_event());
    drop(Port::of(client.port));
    port::deallocate(client.port).expect("the send right became a dead name");
    drop(client);
    server.end();
    check_nothing_is_left();
}

// covers dispatch AE-96
fn a_reconnected_channel_sends_what_is_new_to_the_new_peer() {
    let (old, new) = (full_end(), message::port_with_send());
    let client = End::new(None).connect(old.port);
    for id in [2, 3] {
        client.channel.send(MachMsg::new(id), NONE);
    }
    client.channel.reconnect(new.name(), Some(MachMsg::new(10)));
    client.channel.send(MachMsg::new(4), NONE);
    client.expect(&[What::Connected, What::NotSent(2), What::NotSent(3), What::LostSend]);
    client.expect(&[What::Sent(10), What::Sent(4)]);
    for id in [10, 4] {
        let arrived = Message::receive(new.name()).expect("a message waits");
        check::equal("the message for the new peer", arrived.message_id(), id);
        arrived.destroy();
    }
    let filler = Message::receive(old.port).expect("a message waits");
    check::equal("the only message of the old peer", filler.message_id(), 1);
    check::that("there is no other", message::is_empty(old.port));
    check::equal("the port of the check-in", client.channel.checkin_port(), new.name());
    old.end();
    client.end();
    port::deallocate(new.name()).expect("the send right is there");
    drop(new);
    check_nothing_is_left();
}

// covers dispatch AE-97
fn a_check_in_leaves_first_in_the_context_of_the_first_message() {
    let (server, client, work) = (End::new(None), End::new(None), activity());
    let (channel, own, peer) = (client.channel.clone(), client.port, server.port);
    at(BG, move || channel.connect(own, peer, Some(MachMsg::new(10))));
    check::that("the check-in waits for a message", message::is_empty(server.port));
    let server = server.connect(client.port);
    let channel = client.channel.clone();
    under(IN, &work, move || channel.send(MachMsg::new(1), NONE));
    let context = Context::of(IN, &work);
    server.expect_in(context, What::Connected);
    server.expect_in(context, What::Received(10));
    server.expect_in(context, What::Received(1));
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-101
fn barriers_wait_for_what_was_sent_or_received_before() {
    let ((client, server), work) = ((End::new(None), End::new(None)), activity());
    let client = client.connect(server.port);
    let (channel, peer) = (client.channel.clone(), server.port);
    let expected = Context::of(UT, &work);
    under(UT, &work, move || {
        for id in 1..=3 {
            channel.send_with_result(MachMsg::new(id), NONE);
        }
        channel.send_barrier(move || {
            let status = port::status(peer).expect("the port is there");
            check::equal("the messages that have left", status.mps_msgcount, 3);
            check::equal("the context of the barrier", Context::own(), expected);
        });
    });
    client.expect_in(expected, What::Connected);
    client.expect_in(expected, What::Barrier);
    // Three messages are received and wait for their handler; the fourth comes after the barrier.
    let server = server.connect(client.port);
    server.expect(&[What::Connected, What::Received(1), What::Received(2), What::Received(3)]);
    let (gate, opened) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
    let (passed, opens) = (gate.clone(), opened.clone());
    let channel = server.channel.clone();
    under(UT, &work, move || {
        channel.receive_barrier(move || {
            check::equal("the context of the barrier", Context::own(), expected);
            opens.open();
            passed.pass();
        });
    });
    opened.pass();
    client.channel.send(MachMsg::new(4), NONE);
    until(|| port::status(server.port).is_ok_and(|status| status.mps_msgcount == 0));
    check::that("the fourth waits", server.has_no_event());
    gate.open();
    server.expect_in(expected, What::Barrier);
    server.expect(&[What::Received(4)]);
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-102
fn a_reply_is_handed_to_another_queue() {
    let (other, work) = (Queue::new("other"), activity());
    let (queue, context) = (other.clone(), Context::of(IN, &work));
    let in_handler = Arc::new(AtomicBool::new(false));
    let [began, may_reply] = [(); 2].map(|()| Arc::new(Gate::new()));
    let (begins, replies) = (began.clone(), may_reply.clone());
    let server = End::with(move |channel, mut message| {
        let Some(reply) = message.take_reply() else { return message.destroy() };
        in_handler.store(true, Ordering::Relaxed);
        let port = reply.header().msgh_remote_port;
        let (channel, on, before) = (channel.clone(), queue.clone(), in_handler.clone());
        let (begins, replies) = (begins.clone(), replies.clone());
        handoff_reply(&queue, port, move || {
            check::that("the handler has returned", !before.load(Ordering::Relaxed));
            check::equal("the queue", Queue::current(), Some(on));
            check::equal("the context", Context::own(), context);
            check::equal("the class in effect at the beginning", effective_class(), UI);
            begins.open();
            replies.pass();
            check::equal("the class in effect before the reply", effective_class(), UI);
            channel.send_with_result(reply, NONE);
            check::equal("the class in effect at the end", effective_class(), UI);
        });
        message.destroy();
        in_handler.store(false, Ordering::Relaxed);
    });
    let (client, server) = pair(server);
    let (channel, requester) = (client.channel.clone(), work.clone());
    let waits = spawn(move || {
        under(UI, &requester, move || channel.send_and_wait_for_reply(MachMsg::new(1), NONE).map(|reply| reply.id()))
    });
    let waits = waits.expect("the thread starts");
    began.pass();
    server.expect(&[What::Connected]);
    let handler = server.expect_in(context, What::Received(1));
    check::equal("the class in effect in the handler", handler.effective, UI);
    // The handler's queue has nothing of it any more, while the other one works.
    let channel = client.channel.clone();
    at(UT, move || channel.send_with_result(MachMsg::new(2), NONE));
    let next = server.expect_in(Context::with_voucher(UT), What::Received(2));
    check::equal("the class in effect of the handler's queue", next.effective, UT);
    may_reply.open();
    check::equal("the reply", waits.join(), Some(101));
    // Nor has the other one, when its work has ended.
    until(|| process().debug_counts().continuations == 0);
    let (seen, queue) = (Arc::new(Mutex::new(None)), other.clone());
    let sees = seen.clone();
    at(UT, move || queue.run_async(move || *sees.lock() = Some(effective_class())));
    until(|| seen.lock().is_some());
    check::equal("the class in effect of the other queue", *seen.lock(), Some(UT));
    drop((other, work));
    end_both(client, server);
}

// covers dispatch AE-103
fn a_large_message_is_delivered_like_others() {
    let ((client, server), work) = (pair(End::new(None)), activity());
    let channel = client.channel.clone();
    under(UT, &work, move || {
        for (id, size) in [(1, 0), (2, 60_000), (3, 4), (4, 16_384)] {
            channel.send_with_result(MachMsg::new(id).bytes(&vec![id as u8; size]), NONE);
        }
    });
    let context = Context::of(UT, &work);
    server.expect_in(context, What::Connected);
    for (id, size) in [(1, 0), (2, 60_000), (3, 4), (4, 16_384)] {
        server.expect_in(context, What::Received(id));
        let message = server.message();
        check::equal("the body", message.body(), &vec![id as u8; size][..]);
        check::that("the sender is a task", !message.is_from_kernel());
        message.destroy();
    }
    drop(work);
    end_both(client, server);
}

// covers dispatch AE-99
fn there_is_one_no_senders_event() {
    let server = End::new(None);
    server.channel.notify_no_senders(true);
    let server = server.connect(NOBODY);
    // The client holds a send right as its bootstrap port and ends.
    let exit = Port::new();
    let spawn = super::tasks::child("seven").bootstrap(server.port).exit_port(exit.name());
    let client = spawn.start().expect("the client starts");
    port::deallocate(server.port).expect("the send right is there");
    crate::task::wait_for_exit(exit.name()).expect("the client ends");
    port::deallocate(client).expect("the name is there");
    server.expect(&[What::Connected]);
    server.expect_in(Context::plain(DEF), What::NoSenders);
    // A message that claims to be the notification is a message.
    port::insert_right(server.port, server.port, Disposition::MAKE_SEND).expect("the port is there");
    Message::copy_send(server.port).id(abi::message::MACH_NOTIFY_NO_SENDERS).send().expect("there is room");
    server.expect_in(Context::plain(DEF), What::Received(abi::message::MACH_NOTIFY_NO_SENDERS));
    server.end();
    check_nothing_is_left();
}

fn a_reconnected_channel_asks_for_no_senders_once() {
    let (peer, end) = (message::port_with_send(), End::new(None));
    end.channel.notify_no_senders(true);
    end.channel.connect(end.port, peer.name(), Some(MachMsg::new(10)));
    end.channel.send(MachMsg::new(1), NONE);
    end.channel.reconnect(peer.name(), Some(MachMsg::new(11)));
    end.channel.send(MachMsg::new(2), NONE);
    end.expect(&[What::Connected, What::Sent(10), What::Sent(1), What::LostSend, What::Sent(11), What::Sent(2)]);
    for _ in 0..4 {
        Message::receive(peer.name()).expect("a message waits").destroy();
    }
    port::deallocate(end.port).expect("the send right is there");
    end.expect(&[What::NoSenders]);
    crate::time::sleep(5);
    check::that("there is no other event", end.has_no_event());
    port::insert_right(end.port, end.port, Disposition::MAKE_SEND).expect("the port is there");
    end.end();
    port::deallocate(peer.name()).expect("the send right is there");
    drop(peer);
    check_nothing_is_left();
}
