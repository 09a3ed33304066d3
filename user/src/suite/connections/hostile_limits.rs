//! Clients that take more of a service than is theirs: connections without end, and messages that nobody reads.

use super::actor::{answer, connect, join, rest, serve, stop};
use super::hostile::{PREFIX, ask_properly, introduce, make_server_port, request_to};
use super::stage::{Stage, eventually, names_of};
use crate::message::Message as Raw;
use crate::port::{self, Port};
use crate::suite::tests;
use crate::{check, heap, names};
use abi::PortName;
use abi::message::MACH_NOTIFY_NO_SENDERS;
use abi::mig::NDR;
use abi::port::Disposition as D;
use abi::port::PortType;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use xpc::wire::{XPC_MESSAGE_CHECK_IN, XPC_MESSAGE_REPLY};
use xpc::{Connection, Dictionary, Event, XpcError};

tests! { "xpc_hostile_limits":
    a_client_that_connects_without_end_leaves_room_for_the_others,
    a_client_that_reads_nothing_loses_its_connection_and_the_service_no_memory,
    a_reply_of_the_kernel_is_no_notification,
}

pub(super) const CHILDREN: &[(&str, fn())] =
    &[("xpc-limits-service", service), ("xpc-limits-teller", teller), ("xpc-limits-client", client)];

/// Connections that one client may have (docs/xpc.md).
const CONNECTIONS: usize = 64;
/// Bytes that may wait for one client (docs/xpc.md).
const WAITING: u64 = 256 * 1024;

/// A service that answers.
fn service() {
    join();
    let listener = serve("limits", |request| answer(&request));
    stop("service is ready");
    let _ = &listener;
    rest("service rests");
}

/// Another client, in good order.
fn client() {
    join();
    let service = connect("limits");
    ask_properly(&service);
    stop("client has its answer");
    rest("client rests");
}

fn is_refused(server: PortName) -> bool {
    port::port_type(server) == Ok(PortType::DEAD_NAME)
}

fn a_client_that_connects_without_end_leaves_room_for_the_others() {
    const MORE: usize = 200;
    let stage = Stage::new();
    let player = stage.daemon("xpc-limits-service");
    stage.pass("service is ready");
    let service = names::look_up("limits").expect("the service is there");
    let rests = stage.pass("service rests").own;
    let before = names_of(rests);
    let clients: Vec<(PortName, Port)> = (0..CONNECTIONS + MORE).map(|_| introduce(service)).collect();
    let (accepted, refused) = clients.split_at(CONNECTIONS);
    for (server, _) in refused {
        eventually("the service turns it away", || is_refused(*server));
    }
    let count = accepted.iter().filter(|(server, _)| is_refused(*server)).count();
    check::equal("refused among the first", count, 0);
    let names = names_of(rests) - before;
    check::that(
        "each takes two names of the service, besides those of its threads",
        names as usize <= 2 * CONNECTIONS + 16,
    );
    // Another client does not notice.
    let other = stage.app("xpc-limits-client");
    stage.pass("client has its answer");
    // The end of a connection makes room for another one.
    port::deallocate(accepted[0].0).expect("the right is there");
    let replies = Port::new();
    eventually("the service has room again", || {
        let (server, _client) = introduce(service);
        let sent = request_to(server, &Dictionary::new(), replies.name()).send();
        let answer = sent.map(|()| Raw::receive(replies.name()).expect("the service answers or drops it").message_id());
        port::deallocate(server).expect("the name is there");
        answer == Ok(XPC_MESSAGE_REPLY)
    });
    for (server, _) in clients.iter().skip(1) {
        port::deallocate(*server).expect("the name is there");
    }
    other.end();
    drop(clients);
    eventually("the service has no more names than before", || names_of(rests) <= before);
    let good = connect("limits");
    ask_properly(&good);
    port::deallocate(service).expect("the right is there");
    player.end();
}

/// The greatest size of the teller's heap while it told something.
static PEAK: AtomicU64 = AtomicU64::new(0);
/// Clients of the teller that are gone.
static GONE: AtomicU64 = AtomicU64::new(0);

/// A service that sends its client as many messages of one kilobyte as the request says, and then the answer.
fn teller() {
    join();
    let listener = Connection::create_listener("teller", None);
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { return };
        peer.set_event_handler(|event| match event {
            Event::Message(request) => {
                let mut message = Dictionary::new();
                message.set_data("data", &vec![7; 1000]);
                for _ in 0..request.get_uint64("messages").unwrap_or(0) {
                    request.connection().send(&message);
                    PEAK.fetch_max(heap::used() as u64, Ordering::Relaxed);
                }
                let mut reply = request.create_reply().expect("the sender wants a reply");
                reply.set_uint64("peak", PEAK.load(Ordering::Relaxed));
                reply.set_uint64("gone", GONE.load(Ordering::Relaxed));
                reply.send();
            }
            Event::Error(error) => {
                assert_eq!(error, XpcError::Invalid);
                GONE.fetch_add(1, Ordering::Relaxed);
            }
            Event::Peer(_) => unreachable!("a peer has no clients"),
        });
        peer.activate();
    });
    listener.activate();
    stop("teller is ready");
    let _ = &listener;
    rest("teller rests");
}

fn a_client_that_reads_nothing_loses_its_connection_and_the_service_no_memory() {
    /// Messages for a client that reads.
    const FEW: u64 = 200;
    /// Messages for one that does not.
    const MANY: u64 = 20_000;
    static HEARD: AtomicU64 = AtomicU64::new(0);
    let stage = Stage::new();
    let player = stage.daemon("xpc-limits-teller");
    stage.pass("teller is ready");
    let good = Connection::create("teller", None);
    good.set_event_handler(|event| {
        assert!(matches!(event, Event::Message(_)), "{event:?}");
        HEARD.fetch_add(1, Ordering::Relaxed);
    });
    good.activate();
    let ask = |messages: u64| {
        let request: Dictionary = [("messages", messages)].into_iter().collect();
        let reply = good.send_with_reply_sync(&request).expect("the service answers");
        ["peak", "gone"].map(|key| reply.get_uint64(key).expect("it says that"))
    };
    let [usual, gone] = ask(FEW);
    check::equal("clients that are gone", gone, 0);
    eventually("a client that reads gets everything", || HEARD.load(Ordering::Relaxed) == FEW);
    let service = names::look_up("teller").expect("the service is there");
    let rests = stage.pass("teller rests").own;
    let before = names_of(rests);
    let (server, client) = introduce(service);
    let replies = Port::new();
    let request: Dictionary = [("messages", MANY)].into_iter().collect();
    request_to(server, &request, replies.name()).send().expect("the service lives");
    eventually("the service ends the connection", || is_refused(server));
    port::deallocate(server).expect("it is a dead name");
    drop(client);
    drop(replies);
    let mut answer = [0; 2];
    eventually("its handler hears of that once", || {
        answer = ask(0);
        answer[1] > 0
    });
    check::equal("clients that are gone", answer[1], 1);
    let grown = answer[0] - usual;
    // The estimate of what a message costs leaves out how the heap rounds.
    check::that("what waited was limited", grown < 2 * WAITING);
    eventually("the service has no more names than before", || names_of(rests) <= before);
    eventually("and gets its memory back", || stage.pass("teller rests").heap < usual + 64 * 1024);
    check::equal("what the other client got", HEARD.load(Ordering::Relaxed), FEW);
    port::deallocate(service).expect("the right is there");
    player.end();
}

/// The kernel answers an unknown request with its own word as the sender, and with an id that is 100 higher. A client that
/// names the service's port as that for the reply makes it look like a notification.
fn a_reply_of_the_kernel_is_no_notification() {
    let stage = Stage::new();
    let player = stage.daemon("xpc-limits-service");
    stage.pass("service is ready");
    let service = names::look_up("limits").expect("the service is there");
    let (server, client) = (make_server_port(), Port::new());
    let forge = |kind| {
        let call = Raw::copy_send(port::task_self()).id(MACH_NOTIFY_NO_SENDERS - 100);
        call.reply_to(server, kind).bytes(&NDR).send().expect("the kernel takes it");
    };
    // As a notification does, it comes through a send-once right. It travels with the port.
    forge(D::MAKE_SEND_ONCE);
    let check_in = Raw::copy_send(service).id(XPC_MESSAGE_CHECK_IN).port(server, D::MOVE_RECEIVE);
    check_in.port(client.name(), D::MAKE_SEND).words(&PREFIX).send().expect("the listener takes it");
    let replies = Port::new();
    for _ in 0..3 {
        forge(D::COPY_SEND);
        request_to(server, &Dictionary::new(), replies.name()).send().expect("the connection is there");
        let reply = Raw::receive(replies.name()).expect("the service answers");
        check::equal("the reply", reply.message_id(), XPC_MESSAGE_REPLY);
    }
    port::deallocate(server).expect("the right is there");
    drop(client);
    port::deallocate(service).expect("the right is there");
    player.end();
}
