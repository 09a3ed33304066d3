//! Peers that die, queues that are full for several, messages that the kernel refuses (dispatch 6.4, 6.7).

use super::channel_ends::*;
use super::tests;
use crate::message::{self, Message};
use crate::port::{self, Port};
use crate::thread::{Gate, spawn};
use crate::{check, task};
use abi::PortName;
use abi::code::MACH_SEND_INVALID_RIGHT;
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::port::Disposition as D;
use abi::port::{MACH_PORT_RIGHT_DEAD_NAME, MACH_PORT_RIGHT_SEND};
use alloc::sync::Arc;
use dispatch::mach::{Disconnected, MachMsg, SendResult};

tests! { "channel_deaths":
    what_waits_for_a_dead_peer_fails,
    the_death_of_a_peer_ends_the_wait_for_its_replies,
    channels_that_wait_for_the_same_queue_all_go_on,
    a_refused_message_has_given_its_rights_up,
    a_channel_ends_without_ever_being_connected,
    requests_leave_no_names_behind,
}

const NONE: MsgOption = MsgOption::empty();

/// Returns a port whose queue is full.
fn full_port() -> Port {
    let peer = message::port_with_send();
    port::set_queue_limit(peer.name(), 1).expect("the port is there");
    Message::copy_send(peer.name()).id(1).send().expect("there is room for one message");
    peer
}

fn what_waits_for_a_dead_peer_fails() {
    let (peer, reply_port) = (full_port(), Port::new());
    let name = peer.name();
    let client = End::new(None).connect(name);
    client.channel.send(MachMsg::new(2), NONE);
    let request = MachMsg::new(3).reply_to(reply_port.name(), D::MAKE_SEND_ONCE);
    check::that("it waits", matches!(client.channel.send_with_async_reply(request, NONE, 5), SendResult::Deferred));
    let channel = client.channel.clone();
    let waiting = spawn(move || channel.send_and_wait_for_reply(MachMsg::new(4), NONE).is_some());
    let waiting = waiting.expect("the thread starts");
    crate::time::sleep(5);
    drop(peer);
    client.expect(&[What::Connected, What::Failed(2), What::Failed(3), What::LostReply(Some(5)), What::Failed(4)]);
    check::that("the thread gets no reply", !waiting.join());
    check::equal("references to the dead name", port::get_refs(name, MACH_PORT_RIGHT_DEAD_NAME), Ok(1));
    let result = client.channel.send_with_result(MachMsg::new(6), NONE);
    check::that("the next message fails at once", matches!(result, SendResult::Failed(..)));
    drop((result, reply_port));
    client.end();
    port::deallocate(name).expect("the dead name is there");
    check_nothing_is_left();
}

fn the_death_of_a_peer_ends_the_wait_for_its_replies() {
    let (peer, reply_port) = (message::port_with_send(), Port::new());
    let name = peer.name();
    let client = End::new(None).connect(name);
    let request = MachMsg::new(1).reply_to(reply_port.name(), D::MAKE_SEND_ONCE);
    check::that("it leaves", matches!(client.channel.send_with_async_reply(request, NONE, 5), SendResult::Sent));
    let channel = client.channel.clone();
    let waiting = spawn(move || channel.send_and_wait_for_reply(MachMsg::new(2), NONE).map(|reply| reply.id()));
    let waiting = waiting.expect("the thread starts");
    until(|| port::status(name).is_ok_and(|status| status.mps_msgcount == 2));
    drop(peer);
    client.expect(&[What::Connected, What::Reply(MACH_NOTIFY_SEND_ONCE, 5)]);
    check::equal("what the thread gets", waiting.join(), Some(MACH_NOTIFY_SEND_ONCE));
    drop(reply_port);
    client.end();
    port::deallocate(name).expect("the dead name is there");
    check_nothing_is_left();
}

fn channels_that_wait_for_the_same_queue_all_go_on() {
    let server = End::at_port(full_port().into_name());
    let clients = [(); 3].map(|()| End::new(None).connect(server.port));
    for (client, id) in clients.iter().zip(2..) {
        client.channel.send(MachMsg::new(id), NONE);
    }
    let server = server.connect(NOBODY);
    for (client, id) in clients.iter().zip(2..) {
        client.expect(&[What::Connected, What::Sent(id)]);
    }
    server.expect(&[What::Connected, What::Received(1)]);
    for _ in &clients {
        check::that("a message", matches!(server.next().what, What::Received(2..=4)));
    }
    check::equal("references", port::get_refs(server.port, MACH_PORT_RIGHT_SEND), Ok(1));
    clients.into_iter().for_each(End::end);
    server.end();
    check_nothing_is_left();
}

fn a_refused_message_has_given_its_rights_up() {
    let (server, moved) = (End::replying(), message::port_with_send());
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let wrong = || {
        port::insert_right(moved.name(), moved.name(), D::MAKE_SEND).expect("the port is there");
        // The kernel takes the first right before it finds that there is no second one.
        MachMsg::new(1).port(moved.name(), D::MOVE_SEND).port(PortName(0x7FFF_FF03), D::COPY_SEND)
    };
    let refs = || port::get_refs(moved.name(), MACH_PORT_RIGHT_SEND);
    let refused = |result| match result {
        SendResult::Failed(message, MACH_SEND_INVALID_RIGHT) => message.destroy(),
        other => panic!("the message is refused: {other:?}"),
    };
    refused(client.channel.send_with_result(wrong(), NONE));
    check::equal("references to the right", refs(), Ok(1));
    let (result, reply) = client.channel.send_with_result_and_wait_for_reply(wrong(), NONE);
    refused(result);
    check::that("there is no reply", reply.is_none());
    let gate = Arc::new(Gate::new());
    let opens = gate.clone();
    refused(client.channel.request(wrong(), NONE, None, move |reply| {
        check::equal("the reply", reply.map(|reply| reply.id()), Err(Disconnected));
        opens.open();
    }));
    gate.pass();
    check::equal("references to the right", refs(), Ok(1));
    let reply = client.channel.send_and_wait_for_reply(MachMsg::new(2), NONE);
    check::equal("the next reply", reply.map(|reply| reply.id()), Some(102));
    client.end();
    server.end();
    port::deallocate(moved.name()).expect("the send right is there");
    drop(moved);
    check_nothing_is_left();
}

fn a_channel_ends_without_ever_being_connected() {
    let end = End::new(None);
    end.channel.send(MachMsg::new(1), NONE);
    let ran = Arc::new(Gate::new());
    let opens = ran.clone();
    end.channel.send_barrier(move || opens.open());
    end.channel.cancel();
    end.expect(&[What::Connected, What::NotSent(1), What::Barrier, What::Canceled]);
    ran.pass();
    drop(Port::of(end.port));
    port::deallocate(end.port).expect("the send right became a dead name");
    drop((end, ran));
    check_nothing_is_left();
}

/// The rounds after which a name or a reference that is left each time shows.
const ROUNDS: i32 = 200;

fn requests_leave_no_names_behind() {
    let server = End::replying();
    let client = End::new(None).connect(server.port);
    let server = server.connect(client.port);
    let round = |id| {
        let gate = Arc::new(Gate::new());
        let opens = gate.clone();
        client.channel.request(MachMsg::new(id), NONE, None, move |reply| {
            check::equal("the reply", reply.map(|reply| reply.id()), Ok(100 + id));
            opens.open();
        });
        gate.pass();
        let reply = client.channel.send_and_wait_for_reply(MachMsg::new(id), NONE);
        check::equal("the reply", reply.map(|reply| reply.id()), Some(100 + id));
    };
    round(1);
    let before = task::counts();
    for id in 2..ROUNDS {
        round(id);
    }
    let after = || task::counts();
    until(|| (after().ports, after().names, after().vouchers) == (before.ports, before.names, before.vouchers));
    check::equal("references", port::get_refs(server.port, MACH_PORT_RIGHT_SEND), Ok(1));
    client.end();
    server.end();
    check_nothing_is_left();
}
