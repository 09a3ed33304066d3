//! Messages that no port takes, clients whose ports are not their own, and clients that only introduce themselves.

use super::actor::{connect, daemon};
use super::hostile::{PREFIX, ask_properly, make_server_port};
use super::stage::{Stage, eventually, names_of};
use crate::message::Message as Raw;
use crate::port::{self, Port};
use crate::suite::tests;
use crate::{check, names};
use abi::PortName;
use abi::message::MAX_INLINE_SIZE;
use abi::port::Disposition as D;
use abi::port::PortType;
use alloc::vec;
use xpc::wire::XPC_MESSAGE_CHECK_IN;
use xpc::{Dictionary, XpcError};

tests! { "xpc_hostile_ports":
    a_client_whose_port_is_the_services_own_is_turned_away,
    a_reply_that_is_too_large_interrupts_its_request_and_leaves_nothing,
    a_thousand_check_ins_and_a_death_leave_nothing,
}

pub(super) const CHILDREN: &[(&str, fn())] = &[("xpc-replies-too-much", replies_too_much)];

/// A service that replies with as many bytes as the request says.
fn replies_too_much() {
    daemon("a", |request| {
        let size = request.get_uint64("size").unwrap_or_default();
        let mut reply = request.create_reply().expect("the sender wants a reply");
        reply.set_data("data", &vec![7; size as usize]);
        reply.send();
    });
}

/// Sends a check-in with the receive right of a port, and a send right to another one as that of the client.
fn check_in(service: PortName, server: PortName, client: PortName) {
    let message = Raw::copy_send(service).id(XPC_MESSAGE_CHECK_IN).port(server, D::MOVE_RECEIVE);
    message.port(client, D::COPY_SEND).words(&PREFIX).send().expect("the listener takes it");
}

/// The service would be its own client, and would never learn that the real one is gone.
fn a_client_whose_port_is_the_services_own_is_turned_away() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-twice");
    stage.pass("a is ready");
    let good = connect("a");
    ask_properly(&good);
    let service = names::look_up("a").expect("the service is there");
    let rests = stage.pass("a rests").own;
    let before = names_of(rests);
    let [itself, listener, first, second] = [(); 4].map(|()| make_server_port());
    check_in(service, itself, itself);
    check_in(service, listener, service);
    check_in(service, first, second);
    // The listener takes one after the other: with an answer to a later client, it has the first end of the ring. If both
    // ends waited for the listener at once, it would turn both away.
    let later = connect("a");
    ask_properly(&later);
    check_in(service, second, first);
    for port in [itself, listener, second] {
        eventually("the listener destroys what it got", || port::port_type(port) == Ok(PortType::DEAD_NAME));
        port::deallocate(port).expect("it is a dead name");
    }
    check::equal("the first end", port::port_type(first), Ok(PortType::SEND));
    port::deallocate(first).expect("the right is there");
    stage.pass("a's client is gone");
    later.cancel();
    stage.pass("a's client is gone");
    ask_properly(&good);
    eventually("the service has no more names than before", || names_of(rests) <= before);
    port::deallocate(service).expect("the right is there");
    a.end();
}

fn a_reply_that_is_too_large_interrupts_its_request_and_leaves_nothing() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-too-much");
    stage.pass("a is ready");
    let good = connect("a");
    let ask = |size: usize| {
        let request: Dictionary = [("size", size as u64)].into_iter().collect();
        good.send_with_reply_sync(&request)
    };
    let first = ask(1000).expect("the service answers");
    check::equal("the data", first.get_data("data").map(<[u8]>::len), Some(1000));
    let rests = stage.pass("a rests").own;
    let before = names_of(rests);
    for _ in 0..3 {
        check::equal("a reply that is too large", ask(MAX_INLINE_SIZE).err(), Some(XpcError::Interrupted));
    }
    let mut large = Dictionary::new();
    large.set_data("data", &vec![0; MAX_INLINE_SIZE]);
    check::equal("a request that is", good.send_with_reply_sync(&large).err(), Some(XpcError::Interrupted));
    good.send(&large);
    check::that("the connection is usable", ask(10).is_ok());
    eventually("the service has no more names than before", || names_of(rests) <= before);
    a.end();
}

/// Each client is gone before or after the service has made its connection.
fn a_thousand_check_ins_and_a_death_leave_nothing() {
    const CLIENTS: usize = 1000;
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-too-much");
    stage.pass("a is ready");
    let good = connect("a");
    ask_properly(&good);
    let service = names::look_up("a").expect("the service is there");
    let rests = stage.pass("a rests").own;
    let before = names_of(rests);
    for number in 0..CLIENTS {
        let (server, client) = (make_server_port(), Port::new());
        let message = Raw::copy_send(service).id(XPC_MESSAGE_CHECK_IN).port(server, D::MOVE_RECEIVE);
        message.port(client.name(), D::MAKE_SEND).words(&PREFIX).send().expect("the listener takes it");
        // The client's two ports die in either order.
        let client = (number % 2 == 0).then_some(client);
        port::deallocate(server).expect("the right is there");
        drop(client);
    }
    ask_properly(&good);
    eventually("the service has no more names than before", || names_of(rests) <= before);
    port::deallocate(service).expect("the right is there");
    a.end();
}
