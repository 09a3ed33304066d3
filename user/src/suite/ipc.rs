//! Messages (mach-ipc 3).

use super::tests;
use crate::check;
use crate::message::{CAPACITY, Call, Message, is_empty, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::Thread;
use crate::time::{self, MILLISECOND};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicU32, Ordering};

tests! { "ipc":
    a_message_arrives_as_it_was_sent,
    messages_arrive_in_order_and_are_numbered,
    a_trailer_identifies_the_sender,
    a_reply_comes_back_by_a_send_once_right,
    a_combined_call_sends_and_receives,
    many_calls_between_threads_leave_nothing_behind,
    every_size_of_message_arrives_whole,
    a_send_right_travels,
    a_receive_right_travels_with_its_messages,
    a_send_once_right_works_once,
    a_right_joins_the_name_that_the_receiver_has,
    a_full_queue_stops_the_sender,
    a_message_that_cannot_be_sent_comes_back,
    a_blocked_sender_goes_on_when_there_is_room,
    an_interrupted_send_is_repeated_unless_its_option_forbids_it,
    an_interrupted_receive_is_repeated_unless_its_option_forbids_it,
    a_receive_times_out,
    a_receive_without_a_receive_right_is_refused,
    a_message_too_large_for_the_buffer_stays_with_rcv_large,
    a_message_too_large_for_the_buffer_is_destroyed_without_rcv_large,
    a_receive_ends_when_its_port_is_destroyed,
    a_message_to_a_wrong_name_is_refused,
    a_bad_header_is_refused,
    a_message_of_a_wrong_size_is_refused,
    bad_descriptors_are_refused_and_no_right_is_lost,
    a_port_that_carries_itself_is_destroyed,
    sets_serve_their_members_in_turn,
}

fn a_message_arrives_as_it_was_sent() {
    let port = port_with_send();
    Message::copy_send(port.name()).id(-77).bytes(b"sixteen bytes...").send().expect("the queue has room");
    let received = Message::receive(port.name()).expect("a message waits");
    let header = received.header();
    check::equal("the size", header.msgh_size, 40);
    check::equal("the id", header.msgh_id, -77);
    check::equal("the port of the message", header.msgh_local_port, port.name());
    check::equal("the reply port", header.msgh_remote_port, MACH_PORT_NULL);
    check::equal("the bits", header.msgh_bits, msgh_bits(D::NONE, D::PORT_SEND, D::NONE, HeaderFlags::empty()));
    check::equal("the body", received.body(), b"sixteen bytes...");
    check::that("no other message waits", is_empty(port.name()));
}

fn messages_arrive_in_order_and_are_numbered() {
    let port = port_with_send();
    for round in 0..3 {
        for id in 0..MACH_PORT_QLIMIT_DEFAULT {
            Message::copy_send(port.name()).id(id as i32).send().expect("the queue has room");
        }
        for id in 0..MACH_PORT_QLIMIT_DEFAULT {
            let received = Message::receive(port.name()).expect("a message waits");
            check::equal("the id", received.message_id(), id as i32);
            check::equal("the sequence number", received.trailer().msgh_seqno, round * MACH_PORT_QLIMIT_DEFAULT + id);
        }
    }
}

fn a_trailer_identifies_the_sender() {
    let port = port_with_send();
    Message::copy_send(port.name()).send().expect("the queue has room");
    let trailer = Message::receive(port.name()).expect("a message waits").trailer();
    check::equal("the pid in the audit words", u64::from(trailer.msgh_audit[5]), task::pid());
    check::equal("the user", trailer.msgh_sender, [0, 0]);
}

fn a_reply_comes_back_by_a_send_once_right() {
    let (server, client) = (port_with_send(), Port::new());
    let request = Message::copy_send(server.name()).reply_to(client.name(), D::MAKE_SEND_ONCE).id(400);
    request.words(&[1]).send().expect("the queue has room");
    let request = Message::receive(server.name()).expect("a message waits");
    check::equal("the kind of the right", request.header().remote(), D::PORT_SEND_ONCE);
    let name = request.header().msgh_remote_port;
    check::equal("the type of its name", port::port_type(name), Ok(PortType::SEND_ONCE));
    Message::reply(&request).words(&[2]).send().expect("the right is unused");
    check::equal("the name after the reply", port::port_type(name), Err(KERN_INVALID_NAME));
    let reply = Message::receive(client.name()).expect("a message waits");
    check::equal("the id", reply.message_id(), 500);
    check::equal("the word", reply.word(0), 2);
    check::equal("the kind of the right", reply.header().local(), D::PORT_SEND_ONCE);
}

/// Serves requests: the reply's word is the request's plus one. Returns when the word is 0.
fn serve(port: u64) {
    let port = PortName(port as u32);
    let mut request = Message::receive(port).expect("a request comes");
    while request.word(0) != 0 {
        let mut reply = Message::reply(&request).words(&[request.word(0) + 1]);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        reply.call(&Call { options, receive_name: port, ..Call::default() }).ok().expect("the next request comes");
        request = reply;
    }
}

fn a_combined_call_sends_and_receives() {
    let port = port_with_send();
    let server = Thread::start(serve, u64::from(port.name().0)).expect("the thread starts");
    let reply = Message::copy_send(port.name()).id(1).words(&[41]).rpc().expect("a reply comes");
    check::equal("the word in the reply", reply.word(0), 42);
    check::equal("the id of the reply", reply.message_id(), 101);
    Message::copy_send(port.name()).words(&[0]).send().expect("the queue has room");
    server.join();
}

fn many_calls_between_threads_leave_nothing_behind() {
    let port = port_with_send();
    let server = Thread::start(serve, u64::from(port.name().0)).expect("the thread starts");
    let before = task::counts();
    for number in 1..500 {
        let reply = Message::copy_send(port.name()).words(&[number]).rpc().expect("a reply comes");
        check::equal("the word in the reply", reply.word(0), number + 1);
    }
    let after = task::counts();
    check::equal("names", after.names, before.names);
    check::equal("send-once rights", after.send_once_rights, before.send_once_rights);
    check::equal("messages", after.messages, before.messages);
    Message::copy_send(port.name()).words(&[0]).send().expect("the queue has room");
    server.join();
}

fn every_size_of_message_arrives_whole() {
    let port = port_with_send();
    for words in 0..200 {
        let mut message = Message::copy_send(port.name()).id(words as i32);
        for word in 0..words {
            message = message.words(&[word * 0x0101_0101]);
        }
        message.send().expect("the queue has room");
        let received = Message::receive(port.name()).expect("a message waits");
        check::equal("the size", received.body().len() as u32, 4 * words);
        for word in 0..words {
            check::equal("a word", received.word(word as usize), word * 0x0101_0101);
        }
    }
}

fn a_send_right_travels() {
    let (carrier, carried) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(carried.name(), D::MAKE_SEND).send().expect("the queue has room");
    let descriptor = Message::receive(carrier.name()).expect("a message waits").descriptor(0);
    check::equal("the kind", descriptor.disposition, D::PORT_SEND);
    check::equal("the name, which also has the receive right", descriptor.name, carried.name());
    Message::copy_send(descriptor.name).id(9).send().expect("the queue has room");
    check::equal("the message", Message::receive(carried.name()).map(|m| m.message_id()), Ok(9));
}

fn a_receive_right_travels_with_its_messages() {
    let (carrier, carried) = (port_with_send(), port_with_send());
    let send = carried.name();
    Message::copy_send(send).id(3).send().expect("the queue has room");
    Message::copy_send(carrier.name()).port(carried.into_name(), D::MOVE_RECEIVE).send().expect("the queue has room");
    check::equal("the type of the name while the receive right travels", port::port_type(send), Ok(PortType::SEND));
    check::equal(
        "receiving while the receive right travels",
        Message::receive_within(send, 0).map(|_| ()),
        Err(MACH_RCV_INVALID_NAME),
    );
    let descriptor = Message::receive(carrier.name()).expect("a message waits").descriptor(0);
    check::equal("the kind", descriptor.disposition, D::PORT_RECEIVE);
    check::equal("the name, which also has the send right", descriptor.name, send);
    check::equal("the message", Message::receive(send).map(|m| m.message_id()), Ok(3));
    port::mod_refs(send, MACH_PORT_RIGHT_RECEIVE, -1).expect("the name exists");
}

fn a_send_once_right_works_once() {
    let (carrier, port) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(port.name(), D::MAKE_SEND_ONCE).send().expect("the queue has room");
    let once = Message::receive(carrier.name()).expect("a message waits").descriptor(0).name;
    check::equal("sending by a copy", Message::copy_send(once).send(), Err(MACH_SEND_INVALID_DEST));
    check::equal("sending by the right", Message::to(once, D::MOVE_SEND_ONCE).id(4).send(), Ok(()));
    check::equal(
        "sending by the right again",
        Message::to(once, D::MOVE_SEND_ONCE).send(),
        Err(MACH_SEND_INVALID_DEST),
    );
    check::equal("the message", Message::receive(port.name()).map(|m| m.message_id()), Ok(4));
}

fn a_right_joins_the_name_that_the_receiver_has() {
    let (carrier, port) = (port_with_send(), port_with_send());
    for copies in 2..6 {
        Message::copy_send(carrier.name()).port(port.name(), D::COPY_SEND).send().expect("the queue has room");
        let name = Message::receive(carrier.name()).expect("a message waits").descriptor(0).name;
        check::equal("the name", name, port.name());
        check::equal("references", port::get_refs(port.name(), MACH_PORT_RIGHT_SEND), Ok(copies));
    }
}

fn fill(port: &Port) {
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::copy_send(port.name()).send_within(0).expect("the queue has room");
    }
}

fn a_full_queue_stops_the_sender() {
    let port = port_with_send();
    fill(&port);
    let before = time::now();
    check::equal(
        "sending one more with a timeout",
        Message::copy_send(port.name()).send_within(5),
        Err(MACH_SEND_TIMED_OUT),
    );
    check::that("the wait takes 5 ms", time::now() - before >= 5 * MILLISECOND);
    check::equal(
        "sending one more without waiting",
        Message::copy_send(port.name()).send_within(0),
        Err(MACH_SEND_TIMED_OUT),
    );
    check::equal("messages", port::status(port.name()).map(|status| status.mps_msgcount), Ok(MACH_PORT_QLIMIT_DEFAULT));
}

fn a_message_that_cannot_be_sent_comes_back() {
    let (port, carried) = (port_with_send(), Port::new());
    fill(&port);
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::MAKE_SEND).bytes(b"hello...");
    check::equal("sending to a full queue", message.send_within(0), Err(MACH_SEND_TIMED_OUT));
    check::equal("the name of the right that came back", message.descriptor(0).name, carried.name());
    check::equal("the disposition of the right that came back", message.descriptor(0).disposition, D::PORT_SEND);
    check::equal("the type of its name", port::port_type(carried.name()), Ok(PortType::RECEIVE | PortType::SEND));
    check::equal("the disposition of the destination that came back", message.header().remote(), D::PORT_SEND);
    Message::receive(port.name()).expect("a message waits");
    check::equal("sending the message again", message.send_within(0), Ok(()));
}

/// Starts a thread that sends to a full queue, and waits until the thread is blocked: its message is counted then.
fn blocked(send: fn(u64), argument: u64) -> Thread {
    let before = task::counts().messages;
    let sender = Thread::start(send, argument).expect("the thread starts");
    while task::counts().messages == before {
        time::sleep(1);
    }
    sender
}

fn a_blocked_sender_goes_on_when_there_is_room() {
    let port = port_with_send();
    fill(&port);
    let send = |port| Message::copy_send(PortName(port as u32)).id(66).send().expect("the queue has room in the end");
    let sender = blocked(send, u64::from(port.name().0));
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::receive(port.name()).expect("a message waits");
    }
    check::equal(
        "the id of the message that was blocked",
        Message::receive(port.name()).map(|m| m.message_id()),
        Ok(66),
    );
    sender.join();
}

/// Returns a request with the id 66. The halves of `names` are the names of the service and of the reply port.
fn request_to(names: u64) -> Message {
    let [service, reply] = [names >> 32, names].map(|name| PortName(name as u32));
    Message::copy_send(service).reply_to(reply, D::MAKE_SEND_ONCE).id(66)
}

// covers mach-ipc Q11
fn an_interrupted_send_is_repeated_unless_its_option_forbids_it() {
    let (service, reply) = (port_with_send(), Port::new());
    let names = u64::from(service.name().0) << 32 | u64::from(reply.name().0);
    fill(&service);
    let interrupt = |sends: fn(u64)| {
        let sender = blocked(sends, names);
        sender.abort().expect("the thread is alive");
        sender
    };
    let with_option = |names| {
        let mut message = request_to(names);
        let options = MsgOption::SEND_MSG | MsgOption::SEND_INTERRUPT;
        check::equal("the result", message.call(&Call { options, ..Call::default() }), MACH_SEND_INTERRUPTED);
        let (header, service) = (message.header(), PortName((names >> 32) as u32));
        check::equal(
            "the destination that came back",
            (header.msgh_remote_port, header.remote()),
            (service, D::PORT_SEND),
        );
        check::equal("references of the destination", port::get_refs(service, MACH_PORT_RIGHT_SEND), Ok(2));
        check::equal("the reply right that came back", header.local(), D::PORT_SEND_ONCE);
        check::equal("the type of its name", port::port_type(header.msgh_local_port), Ok(PortType::SEND_ONCE));
        check::equal("the size", header.msgh_size, 24);
        port::deallocate(service).expect("the name has two references");
    };
    interrupt(with_option).join();

    let without_option = |names| check::equal("the result", request_to(names).send(), Ok(()));
    let sender = interrupt(without_option);
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::receive(service.name()).expect("a message waits");
    }
    let received = Message::receive(service.name()).expect("the repeated message waits");
    check::equal(
        "its id and reply right",
        (received.message_id(), received.header().remote()),
        (66, D::PORT_SEND_ONCE),
    );
    sender.join();
    check::equal("references", port::get_refs(service.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

/// Sends a request and receives the reply in one call with more options. Returns the code and the id of the reply.
fn call_with(names: u64, more: MsgOption) -> (KernReturn, i32) {
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | more;
    let mut message = request_to(names);
    let code = message.call(&Call { options, receive_name: PortName(names as u32), ..Call::default() });
    (code, message.message_id())
}

fn an_interrupted_receive_is_repeated_unless_its_option_forbids_it() {
    let (service, reply) = (port_with_send(), port_with_send());
    let names = u64::from(service.name().0) << 32 | u64::from(reply.name().0);
    let interrupt = |receives: fn(u64)| {
        let receiver = Thread::start(receives, names).expect("the thread starts");
        // One call sends and receives: when its message has arrived, the thread waits.
        check::equal("the id of the request", Message::receive(service.name()).map(|m| m.message_id()), Ok(66));
        receiver.abort().expect("the thread is alive");
        receiver
    };
    let with_option = |names| {
        check::equal("the result", call_with(names, MsgOption::RCV_INTERRUPT).0, MACH_RCV_INTERRUPTED);
    };
    interrupt(with_option).join();
    let without_option = |names| check::equal("the result", call_with(names, MsgOption::empty()), (KERN_SUCCESS, 67));
    let receiver = interrupt(without_option);
    Message::copy_send(reply.name()).id(67).send().expect("the queue has room");
    receiver.join();
    check::that("the request was sent once", is_empty(service.name()));
}

fn a_receive_times_out() {
    let port = Port::new();
    let before = time::now();
    check::equal(
        "receiving from an empty queue",
        Message::receive_within(port.name(), 5).map(|_| ()),
        Err(MACH_RCV_TIMED_OUT),
    );
    check::that("the wait takes 5 ms", time::now() - before >= 5 * MILLISECOND);
}

fn a_receive_without_a_receive_right_is_refused() {
    let dead = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room");
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, PortName(0x7777_7703), dead, port::task_self()] {
        let code = Message::receive_within(name, 0).map(|_| ());
        check::equal("receiving", code, Err(MACH_RCV_INVALID_NAME));
    }
    port::deallocate(dead).expect("the name exists");
}

fn receive_into(port: &Port, size: u32, options: MsgOption) -> (Message, abi::KernReturn) {
    let mut message = Message::new();
    let options = options | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let call = Call { options, receive_size: size, receive_name: port.name(), ..Call::default() };
    let code = message.call(&call);
    (message, code)
}

fn a_message_too_large_for_the_buffer_stays_with_rcv_large() {
    let port = port_with_send();
    Message::copy_send(port.name()).id(8).words(&[0; 25]).send().expect("the queue has room");
    let (message, code) = receive_into(&port, 100, MsgOption::RCV_LARGE);
    check::equal("the code", code, MACH_RCV_TOO_LARGE);
    check::equal("the size of the message", message.header().msgh_size, 124);
    let (message, code) = receive_into(&port, 132, MsgOption::RCV_LARGE);
    check::equal("receiving with enough room", (code, message.message_id()), (MACH_MSG_SUCCESS, 8));
}

fn a_message_too_large_for_the_buffer_is_destroyed_without_rcv_large() {
    let (port, carried) = (port_with_send(), port_with_send());
    Message::copy_send(port.name())
        .port(carried.name(), D::COPY_SEND)
        .words(&[0; 25])
        .send()
        .expect("the queue has room");
    check::equal("the code", receive_into(&port, 100, MsgOption::empty()).1, MACH_RCV_TOO_LARGE);
    check::that("the message was destroyed", is_empty(port.name()));
    check::equal("references of the right in the message", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

fn a_receive_ends_when_its_port_is_destroyed() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let (requests, port) = (port_with_send(), Port::new());
    let names = u64::from(requests.name().0) << 32 | u64::from(port.name().0);
    let receive = |names| SEEN.store(call_with(names, MsgOption::empty()).0.0 as u32, Ordering::Relaxed);
    let receiver = Thread::start(receive, names).expect("the thread starts");
    // One call sends and receives: when its message has arrived, the thread waits.
    let request = Message::receive(requests.name()).expect("the thread sends first");
    drop(port);
    receiver.join();
    request.destroy();
    check::equal("the result of the receive", SEEN.load(Ordering::Relaxed), MACH_RCV_PORT_CHANGED.0 as u32);
}

fn a_message_to_a_wrong_name_is_refused() {
    let receive_only = Port::new();
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, PortName(0x7777_7703), receive_only.name()] {
        check::equal("sending", Message::copy_send(name).send(), Err(MACH_SEND_INVALID_DEST));
    }
    let port = port_with_send();
    let reply = Message::copy_send(port.name()).reply_to(PortName(0x7777_7703), D::MAKE_SEND_ONCE).send();
    check::equal("an unknown reply port", reply, Err(MACH_SEND_INVALID_REPLY));
    check::that("no message was sent", is_empty(port.name()));
}

fn a_bad_header_is_refused() {
    let port = port_with_send();
    for remote in [0, 1, 7, 16, 22, 31].map(D) {
        check::equal("a disposition", Message::to(port.name(), remote).send(), Err(MACH_SEND_INVALID_HEADER));
    }
    let local = Message::copy_send(port.name()).reply_to(port.name(), D::NONE).send();
    check::equal("a reply port without a disposition", local, Err(MACH_SEND_INVALID_HEADER));
    check::that("no message was sent", is_empty(port.name()));
}

fn a_message_of_a_wrong_size_is_refused() {
    let port = port_with_send();
    let send = |size| {
        let call = Call { options: MsgOption::SEND_MSG, send_size: size, ..Call::default() };
        Message::copy_send(port.name()).call(&call)
    };
    for size in [4, 20, 23, 25, 26, 27, 101] {
        check::equal("a size", send(size), MACH_SEND_MSG_TOO_SMALL);
    }
    check::equal("too large", send(MAX_INLINE_SIZE as u32 + 4), MACH_SEND_TOO_LARGE);
    check::equal("the largest size", send(u32::MAX - 3), MACH_SEND_TOO_LARGE);
    check::equal("a size that leaves the memory", send(MAX_INLINE_SIZE as u32), MACH_SEND_INVALID_DATA);
    check::equal("the size of the buffer", send(CAPACITY as u32), MACH_MSG_SUCCESS);
}

fn bad_descriptors_are_refused_and_no_right_is_lost() {
    let (port, carried) = (port_with_send(), port_with_send());
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message = message.port(PortName(0x7777_7703), D::COPY_SEND);
    check::equal("an unknown name", message.send(), Err(MACH_SEND_INVALID_RIGHT));
    check::equal("references of the right before it", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message.buffer()[DESCRIPTORS_OFFSET + DESCRIPTOR_TYPE_OFFSET] = 9;
    check::equal("an unknown type", message.send(), Err(MACH_SEND_INVALID_TYPE));
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message.buffer()[Header::SIZE] = 200;
    check::equal("more descriptors than bytes", message.send(), Err(MACH_SEND_MSG_TOO_SMALL));
    check::that("no message was sent", is_empty(port.name()));
    check::equal("references of the right at last", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

/// A receive right in the queue of its own port cannot be received by any task (mach-ipc 6.2).
fn a_port_that_carries_itself_is_destroyed() {
    let port = port_with_send();
    let name = port.name();
    let sent = Message::copy_send(name).port(port.into_name(), D::MOVE_RECEIVE).send();
    check::equal("sending", sent, Ok(()));
    check::equal("the name", port::port_type(name), Ok(PortType::DEAD_NAME));
    port::deallocate(name).expect("the dead name exists");
}

fn sets_serve_their_members_in_turn() {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
    let ports = [0; 3].map(|_| port_with_send());
    for (number, port) in ports.iter().enumerate() {
        port::insert_member(port.name(), set).expect("the port joins the set");
        for _ in 0..3 {
            Message::copy_send(port.name()).id(number as i32).send().expect("the queue has room");
        }
    }
    for _ in 0..3 {
        let mut seen = [0; 3].map(|_| Message::receive_within(set, 0).expect("a message waits").message_id());
        seen.sort_unstable();
        check::equal("the ports of three messages", seen, [0, 1, 2]);
    }
    check::that("no other message waits", is_empty(set));
    port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set exists");
}
