//! Messages that no connection of the library would send, and peers that do not keep to the rules.

use super::actor::{self, answer, connect, daemon, rest, stop};
use super::stage::{Stage, eventually, names_of};
use crate::message::{Message as Raw, port_with_send};
use crate::port::{self, Port};
use crate::suite::tests;
use crate::{check, names, task};
use abi::PortName;
use abi::message::{MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_SEND_ONCE};
use abi::port::Disposition as D;
use abi::port::{ConstructFlags, MACH_PORT_DEAD, MACH_PORT_NULL, PortOptions, PortType};
use abi::qos::{AppType, Qos, Role};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use xpc::wire::{XPC_MESSAGE_CHECK_IN, XPC_MESSAGE_REPLY, XPC_MESSAGE_REQUEST};
use xpc::{Connection, Dictionary, Event, XpcError};

tests! { "xpc_hostile":
    a_service_survives_messages_that_are_none,
    a_listener_survives_check_ins_that_are_none,
    a_client_survives_a_service_that_replies_nonsense,
    a_service_that_is_asked_faster_than_it_starts_answers_everything,
}

pub(super) const CHILDREN: &[(&str, fn())] =
    &[("xpc-replies-twice", replies_twice), ("xpc-starts-slowly", starts_slowly)];

/// A service. It tries to reply twice, and tells of each client's end.
fn replies_twice() {
    actor::join();
    let listener = Connection::create_listener("a", None);
    listener.set_event_handler(|event| {
        let Event::Peer(peer) = event else { return };
        peer.set_event_handler(|event| match event {
            Event::Message(request) => {
                answer(&request);
                assert!(request.create_reply().is_none(), "a message has one reply");
            }
            Event::Error(_) => stop("a's client is gone"),
            Event::Peer(_) => unreachable!("a peer has no clients"),
        });
        peer.activate();
    });
    listener.activate();
    stop("a is ready");
    rest("a rests");
}

/// Asks a service in good order.
pub(super) fn ask_properly(service: &Connection) {
    let reply = service.send_with_reply_sync(&Dictionary::new());
    assert!(reply.is_ok(), "{reply:?}");
}

/// What the body of every message begins with: the version, and no flags.
pub(super) const PREFIX: [u32; 2] = [xpc::wire::VERSION, 0];
/// The rest of an empty dictionary.
const EMPTY: u32 = 0xA0;

/// Makes a port with a send right whose receive right is to be moved.
pub(super) fn make_server_port() -> PortName {
    let flags = ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT;
    port::construct(PortOptions { flags: flags.bits(), ..PortOptions::default() }, 0).expect("there is room")
}

/// Introduces itself to a service as a client does. Returns the port to which requests go, and that of the client.
pub(super) fn introduce(service: PortName) -> (PortName, Port) {
    let (server, client) = (make_server_port(), Port::new());
    let check_in = Raw::copy_send(service).id(XPC_MESSAGE_CHECK_IN);
    let mut check_in = check_in.port(server, D::MOVE_RECEIVE).port(client.name(), D::MAKE_SEND).words(&PREFIX);
    check_in.send().expect("the listener takes it");
    (server, client)
}

/// Returns a request by hand, through a port that [`introduce`] returned.
pub(super) fn request_to(server: PortName, request: &Dictionary, replies: PortName) -> Raw {
    let mut body = Vec::new();
    xpc::wire::encode(request, &mut body).expect("the dictionary is flat");
    Raw::copy_send(server).id(XPC_MESSAGE_REQUEST).bytes(&body).reply_to(replies, D::MAKE_SEND_ONCE)
}

/// The messages that are no requests: ids, descriptors and bodies.
fn wrong_requests(to: PortName, receive: PortName) -> Vec<Raw> {
    let request = || Raw::copy_send(to).id(XPC_MESSAGE_REQUEST);
    let nested = [[0x8181_8181; 16].as_slice(), &[EMPTY]].concat();
    Vec::from([
        Raw::copy_send(to).id(XPC_MESSAGE_REPLY).words(&PREFIX).words(&[EMPTY]),
        Raw::copy_send(to).id(XPC_MESSAGE_CHECK_IN).words(&PREFIX).words(&[EMPTY]),
        Raw::copy_send(to).id(0).words(&PREFIX).words(&[EMPTY]),
        Raw::copy_send(to).id(MACH_NOTIFY_NO_SENDERS).words(&PREFIX),
        Raw::copy_send(to).id(MACH_NOTIFY_SEND_ONCE),
        request(),
        request().words(&[1]),
        request().words(&PREFIX),
        request().words(&[2, 0, EMPTY]),
        request().words(&[1, 1, EMPTY]),
        request().words(&PREFIX).words(&[0xFFFF_FFFF]),
        request().words(&PREFIX).words(&[EMPTY, 0]),
        request().words(&PREFIX).words(&[0x0000_01F6]),
        request().words(&PREFIX).words(&[0xFFFF_FFBB, 0xFFFF_FFFF, 0xFF]),
        request().words(&PREFIX).words(&nested),
        request().port(to, D::COPY_SEND).words(&PREFIX).words(&[EMPTY]),
        request().port(receive, D::MOVE_RECEIVE).words(&PREFIX).words(&[EMPTY]),
        request().port(MACH_PORT_NULL, D::COPY_SEND).words(&PREFIX).words(&[EMPTY]),
    ])
}

fn a_service_survives_messages_that_are_none() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-twice");
    stage.pass("a is ready");
    let good = connect("a");
    ask_properly(&good);
    let service = names::look_up("a").expect("the service is there");
    let rests = stage.pass("a rests").own;
    let (to, client) = introduce(service);
    ask_properly(&good);
    let before = names_of(rests);
    let replies = Port::new();
    let receive = port::allocate(abi::port::MACH_PORT_RIGHT_RECEIVE).expect("there is room");
    let wrong = wrong_requests(to, receive);
    let count = wrong.len();
    for message in wrong {
        let id = message.message_id();
        message.reply_to(replies.name(), D::MAKE_SEND_ONCE).send_or_destroy();
        let dropped = Raw::receive(replies.name()).expect("the service drops the request");
        check::equal("the answer to a message that is none", (id, dropped.message_id()), (id, MACH_NOTIFY_SEND_ONCE));
    }
    check::that("there were some", count > 15);
    // A request of the right form goes through the same port.
    let mut request = Raw::copy_send(to).id(XPC_MESSAGE_REQUEST).words(&PREFIX).words(&[EMPTY]);
    request = request.reply_to(replies.name(), D::MAKE_SEND_ONCE);
    request.send().expect("the service lives");
    let reply = Raw::receive(replies.name()).expect("the service replies");
    check::equal("the reply", reply.message_id(), XPC_MESSAGE_REPLY);
    ask_properly(&good);
    eventually("the service has no more names than before", || names_of(rests) == before);
    // The client's end: no-senders of the port for requests.
    port::deallocate(to).expect("the right is there");
    stage.pass("a's client is gone");
    drop(client);
    ask_properly(&good);
    port::deallocate(service).expect("the right is there");
    a.end();
}

/// Sends a check-in that is none, with the receive right of a port. Returns the send right to the port.
fn check_in_with(service: PortName, build: impl FnOnce(Raw, PortName, PortName) -> Raw) -> PortName {
    let (server, client) = (make_server_port(), port_with_send());
    build(Raw::copy_send(service).id(XPC_MESSAGE_CHECK_IN), server, client.name()).send_or_destroy();
    port::deallocate(client.name()).expect("the right is there");
    server
}

fn a_listener_survives_check_ins_that_are_none() {
    let stage = Stage::new();
    let a = stage.daemon("xpc-replies-twice");
    stage.pass("a is ready");
    let good = connect("a");
    ask_properly(&good);
    let service = names::look_up("a").expect("the service is there");
    let rests = stage.pass("a rests").own;
    let before = names_of(rests);
    type Build = fn(Raw, PortName, PortName) -> Raw;
    let builds: [Build; 8] = [
        |message, server, client| message.port(client, D::MAKE_SEND).port(server, D::MOVE_RECEIVE).words(&PREFIX),
        |message, server, _| message.port(server, D::MOVE_RECEIVE).words(&PREFIX),
        |message, server, client| message.port(server, D::MOVE_RECEIVE).port(client, D::MAKE_SEND).words(&[2, 0]),
        |message, server, client| message.port(server, D::MOVE_RECEIVE).port(client, D::MAKE_SEND).words(&[1, 0, 0]),
        |message, server, client| message.port(server, D::MOVE_RECEIVE).port(client, D::MAKE_SEND),
        |message, server, client| message.port(server, D::MOVE_RECEIVE).port(client, D::MAKE_SEND_ONCE).words(&PREFIX),
        |message, server, _| message.port(server, D::MOVE_RECEIVE).port(MACH_PORT_DEAD, D::COPY_SEND).words(&PREFIX),
        |message, server, client| {
            let message = message.port(server, D::MOVE_RECEIVE).port(client, D::MAKE_SEND);
            message.port(client, D::MAKE_SEND).words(&PREFIX)
        },
    ];
    for build in builds {
        let server = check_in_with(service, build);
        eventually("the listener destroys what it got", || port::port_type(server) == Ok(PortType::DEAD_NAME));
        port::deallocate(server).expect("it is a dead name");
    }
    // A check-in of the right form, whose sender is gone before the connection is active.
    let (server, client) = introduce(service);
    port::deallocate(server).expect("the right is there");
    drop(client);
    stage.pass("a's client is gone");
    ask_properly(&good);
    eventually("the service has no more names than before", || names_of(rests) == before);
    port::deallocate(service).expect("the right is there");
    a.end();
}

/// Errors of requests that a service has answered with nonsense.
static NONSENSE: AtomicU64 = AtomicU64::new(0);

fn a_client_survives_a_service_that_replies_nonsense() {
    let service = port_with_send();
    names::register("nonsense", service.name()).expect("the name is free");
    let client = Connection::create("nonsense", None);
    client.set_event_handler(|event| {
        assert!(matches!(event, Event::Error(XpcError::Interrupted | XpcError::Invalid)), "{event:?}");
        NONSENSE.fetch_add(100, Ordering::Relaxed);
    });
    client.activate();
    let ask = || {
        client.send_with_reply(&Dictionary::new(), None, |reply| {
            assert_eq!(reply.err(), Some(XpcError::Interrupted));
            NONSENSE.fetch_add(1, Ordering::Relaxed);
        });
    };
    ask();
    let mut check_in = Raw::receive(service.name()).expect("the client introduces itself");
    check::equal("the first message", check_in.message_id(), XPC_MESSAGE_CHECK_IN);
    let [server, to_client] = [0, 1].map(|number| check_in.take_port(number).expect("it brings two rights").name);
    let server = Port::of(server);
    let replies: [fn(&Raw) -> Raw; 4] = [
        |request| Raw::reply(request).id(XPC_MESSAGE_REPLY),
        |request| Raw::reply(request).id(XPC_MESSAGE_REPLY).words(&PREFIX).words(&[0xFFFF_FFFF]),
        |request| Raw::reply(request).id(XPC_MESSAGE_REQUEST).words(&PREFIX).words(&[EMPTY]),
        |request| Raw::reply(request).id(MACH_NOTIFY_SEND_ONCE),
    ];
    for (number, reply) in replies.iter().enumerate() {
        if number > 0 {
            ask();
        }
        let request = Raw::receive(server.name()).expect("the client sends its request");
        check::equal("the request", request.message_id(), XPC_MESSAGE_REQUEST);
        reply(&request).send_or_destroy();
        eventually("the reply is refused", || NONSENSE.load(Ordering::Relaxed) == number as u64 + 1);
    }
    // No program can tell the client that its peer is gone but by being gone.
    Raw::copy_send(to_client).id(MACH_NOTIFY_NO_SENDERS).words(&[0; 3]).send_or_destroy();
    Raw::copy_send(to_client).id(XPC_MESSAGE_REQUEST).words(&[7]).send_or_destroy();
    ask();
    let request = Raw::receive(server.name()).expect("the connection is usable");
    check::equal("nobody heard of anything", NONSENSE.load(Ordering::Relaxed), replies.len() as u64);
    // The service goes away with the request, and with its right to the client.
    drop((request, server));
    port::deallocate(to_client).expect("the right is there");
    eventually("the client hears of the end", || NONSENSE.load(Ordering::Relaxed) >= 100);
    client.cancel();
    eventually("and of its own", || NONSENSE.load(Ordering::Relaxed) >= 200);
}

/// A job that takes its time before it checks in.
fn starts_slowly() {
    crate::time::sleep(100);
    daemon("slow", |request| {
        let mut reply = request.create_reply().expect("the sender wants a reply");
        reply.set_uint64("pid", task::pid());
        reply.send();
    });
}

fn a_service_that_is_asked_faster_than_it_starts_answers_everything() {
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    static PIDS: AtomicU64 = AtomicU64::new(0);
    /// Connections, and requests of each: more than the queue of a port holds.
    const CLIENTS: u64 = 12;
    const REQUESTS: u64 = 12;
    let stage = Stage::new();
    let job =
        names::Job::new("org.example.slow", "tests").service("slow").argument("child").argument("xpc-starts-slowly");
    let job = job.policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    names::declare(&job).expect("the caller is user 0");
    let clients: Vec<Connection> = (0..CLIENTS).map(|_| connect("slow")).collect();
    for _ in 0..REQUESTS {
        for client in &clients {
            client.send_with_reply(&Dictionary::new(), None, |reply| {
                let pid = reply.expect("the service answers").get_uint64("pid").expect("it says who it is");
                let known = PIDS.swap(pid, Ordering::Relaxed);
                assert!(known == 0 || known == pid, "there are two instances");
                ANSWERS.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
    check::equal("answers before the service is there", ANSWERS.load(Ordering::Relaxed), 0);
    stage.pass("slow is ready");
    eventually("all is answered", || ANSWERS.load(Ordering::Relaxed) == CLIENTS * REQUESTS);
    clients.iter().for_each(Connection::cancel);
}
