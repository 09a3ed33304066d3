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
    a_trailer_says_who_sent_the_message,
    an_answer_comes_back_by_a_send_once_right,
    a_combined_call_sends_and_receives,
    a_call_between_threads_is_answered_many_times,
    every_size_of_message_arrives_whole,
    a_send_right_travels,
    a_receive_right_travels_with_its_messages,
    a_send_once_right_works_once,
    a_right_of_the_receiver_joins_its_name,
    a_full_queue_stops_the_sender,
    a_message_that_cannot_be_sent_comes_back,
    a_blocked_sender_goes_on_when_there_is_room,
    an_interrupted_send_is_made_again_unless_the_sender_wants_to_know,
    an_interrupted_receive_goes_on_unless_the_receiver_wants_to_know,
    a_receive_waits_no_longer_than_asked,
    a_receive_without_a_receive_right_is_refused,
    a_message_too_large_for_the_buffer_stays_if_asked,
    a_message_too_large_for_the_buffer_is_destroyed_otherwise,
    a_receiver_learns_that_its_port_is_gone,
    a_message_to_a_wrong_name_is_refused,
    a_bad_header_is_refused,
    a_message_of_a_wrong_size_is_refused,
    bad_descriptors_are_refused_and_nothing_is_lost,
    a_port_that_carries_itself_is_destroyed,
    sets_serve_their_members_in_turn,
}

fn a_message_arrives_as_it_was_sent() {
    let port = port_with_send();
    Message::copy_send(port.name()).id(-77).bytes(b"sixteen bytes...").send().expect("there is room");
    let received = Message::receive(port.name()).expect("it is there");
    let header = received.header();
    check::equal("the size", header.msgh_size, 40);
    check::equal("the id", header.msgh_id, -77);
    check::equal("by which port it came", header.msgh_local_port, port.name());
    check::equal("the reply port", header.msgh_remote_port, MACH_PORT_NULL);
    check::equal("the bits", header.msgh_bits, msgh_bits(D::NONE, D::PORT_SEND, D::NONE, HeaderFlags::empty()));
    check::equal("the body", received.body(), b"sixteen bytes...");
    check::that("there is no other", is_empty(port.name()));
}

fn messages_arrive_in_order_and_are_numbered() {
    let port = port_with_send();
    for round in 0..3 {
        for id in 0..MACH_PORT_QLIMIT_DEFAULT {
            Message::copy_send(port.name()).id(id as i32).send().expect("there is room");
        }
        for id in 0..MACH_PORT_QLIMIT_DEFAULT {
            let received = Message::receive(port.name()).expect("it is there");
            check::equal("the id", received.message_id(), id as i32);
            check::equal("the number", received.trailer().msgh_seqno, round * MACH_PORT_QLIMIT_DEFAULT + id);
        }
    }
}

fn a_trailer_says_who_sent_the_message() {
    let port = port_with_send();
    Message::copy_send(port.name()).send().expect("there is room");
    let trailer = Message::receive(port.name()).expect("it is there").trailer();
    check::equal("the pid in the audit words", u64::from(trailer.msgh_audit[5]), task::pid());
    check::equal("the user", trailer.msgh_sender, [0, 0]);
}

fn an_answer_comes_back_by_a_send_once_right() {
    let (server, client) = (port_with_send(), Port::new());
    let request = Message::copy_send(server.name()).reply_to(client.name(), D::MAKE_SEND_ONCE).id(400);
    request.words(&[1]).send().expect("there is room");
    let request = Message::receive(server.name()).expect("it is there");
    check::equal("the kind of the right", request.header().remote(), D::PORT_SEND_ONCE);
    let name = request.header().msgh_remote_port;
    check::equal("its type", port::port_type(name), Ok(PortType::SEND_ONCE));
    Message::reply(&request).words(&[2]).send().expect("it is not used yet");
    check::equal("the name is used up", port::port_type(name), Err(KERN_INVALID_NAME));
    let reply = Message::receive(client.name()).expect("it is there");
    check::equal("the id", reply.message_id(), 500);
    check::equal("the word", reply.word(0), 2);
    check::equal("the kind of the right", reply.header().local(), D::PORT_SEND_ONCE);
}

/// A server that adds one to each request's word, until the word is 0.
fn serve(port: u64) {
    let port = PortName(port as u32);
    let mut request = Message::receive(port).expect("the port is there");
    while request.word(0) != 0 {
        let mut reply = Message::reply(&request).words(&[request.word(0) + 1]);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        reply.call(&Call { options, receive_name: port, ..Call::default() }).ok().expect("a call");
        request = reply;
    }
}

fn a_combined_call_sends_and_receives() {
    let port = port_with_send();
    let server = Thread::start(serve, u64::from(port.name().0)).expect("a thread");
    let reply = Message::copy_send(port.name()).id(1).words(&[41]).rpc().expect("an answer");
    check::equal("the answer", reply.word(0), 42);
    check::equal("its id", reply.message_id(), 101);
    Message::copy_send(port.name()).words(&[0]).send().expect("there is room");
    server.join();
}

fn a_call_between_threads_is_answered_many_times() {
    let port = port_with_send();
    let server = Thread::start(serve, u64::from(port.name().0)).expect("a thread");
    let before = task::counts();
    for number in 1..500 {
        let reply = Message::copy_send(port.name()).words(&[number]).rpc().expect("an answer");
        check::equal("the answer", reply.word(0), number + 1);
    }
    let after = task::counts();
    check::equal("names", after.names, before.names);
    check::equal("send-once rights", after.send_once_rights, before.send_once_rights);
    check::equal("messages", after.messages, before.messages);
    Message::copy_send(port.name()).words(&[0]).send().expect("there is room");
    server.join();
}

fn every_size_of_message_arrives_whole() {
    let port = port_with_send();
    for words in 0..200 {
        let mut message = Message::copy_send(port.name()).id(words as i32);
        for word in 0..words {
            message = message.words(&[word * 0x0101_0101]);
        }
        message.send().expect("there is room");
        let received = Message::receive(port.name()).expect("it is there");
        check::equal("the size", received.body().len() as u32, 4 * words);
        for word in 0..words {
            check::equal("a word", received.word(word as usize), word * 0x0101_0101);
        }
    }
}

fn a_send_right_travels() {
    let (carrier, carried) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(carried.name(), D::MAKE_SEND).send().expect("there is room");
    let descriptor = Message::receive(carrier.name()).expect("it is there").descriptor(0);
    check::equal("the kind", descriptor.disposition, D::PORT_SEND);
    check::equal("it joins the name of the receive right", descriptor.name, carried.name());
    Message::copy_send(descriptor.name).id(9).send().expect("there is room");
    check::equal("the message", Message::receive(carried.name()).map(|m| m.message_id()), Ok(9));
}

fn a_receive_right_travels_with_its_messages() {
    let (carrier, carried) = (port_with_send(), port_with_send());
    let send = carried.name();
    Message::copy_send(send).id(3).send().expect("there is room");
    Message::copy_send(carrier.name()).port(carried.into_name(), D::MOVE_RECEIVE).send().expect("there is room");
    check::equal("only the send right is left", port::port_type(send), Ok(PortType::SEND));
    check::equal("nobody receives", Message::receive_within(send, 0).map(|_| ()), Err(MACH_RCV_INVALID_NAME));
    let descriptor = Message::receive(carrier.name()).expect("it is there").descriptor(0);
    check::equal("the kind", descriptor.disposition, D::PORT_RECEIVE);
    check::equal("it joins the name of the send right", descriptor.name, send);
    check::equal("the message", Message::receive(send).map(|m| m.message_id()), Ok(3));
    port::mod_refs(send, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
}

fn a_send_once_right_works_once() {
    let (carrier, port) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(port.name(), D::MAKE_SEND_ONCE).send().expect("there is room");
    let once = Message::receive(carrier.name()).expect("it is there").descriptor(0).name;
    check::equal("copying it", Message::copy_send(once).send(), Err(MACH_SEND_INVALID_DEST));
    check::equal("using it", Message::to(once, D::MOVE_SEND_ONCE).id(4).send(), Ok(()));
    check::equal("using it again", Message::to(once, D::MOVE_SEND_ONCE).send(), Err(MACH_SEND_INVALID_DEST));
    check::equal("the message", Message::receive(port.name()).map(|m| m.message_id()), Ok(4));
}

fn a_right_of_the_receiver_joins_its_name() {
    let (carrier, port) = (port_with_send(), port_with_send());
    for copies in 2..6 {
        Message::copy_send(carrier.name()).port(port.name(), D::COPY_SEND).send().expect("there is room");
        let name = Message::receive(carrier.name()).expect("it is there").descriptor(0).name;
        check::equal("the name", name, port.name());
        check::equal("references", port::get_refs(port.name(), MACH_PORT_RIGHT_SEND), Ok(copies));
    }
}

fn fill(port: &Port) {
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::copy_send(port.name()).send_within(0).expect("there is room");
    }
}

fn a_full_queue_stops_the_sender() {
    let port = port_with_send();
    fill(&port);
    let before = time::now();
    check::equal("one more", Message::copy_send(port.name()).send_within(5), Err(MACH_SEND_TIMED_OUT));
    check::that("it waits", time::now() - before >= 5 * MILLISECOND);
    check::equal("without waiting", Message::copy_send(port.name()).send_within(0), Err(MACH_SEND_TIMED_OUT));
    check::equal("messages", port::status(port.name()).map(|status| status.mps_msgcount), Ok(MACH_PORT_QLIMIT_DEFAULT));
}

fn a_message_that_cannot_be_sent_comes_back() {
    let (port, carried) = (port_with_send(), Port::new());
    fill(&port);
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::MAKE_SEND).bytes(b"hello...");
    check::equal("no room", message.send_within(0), Err(MACH_SEND_TIMED_OUT));
    check::equal("the right is here", message.descriptor(0).name, carried.name());
    check::equal("as what it is", message.descriptor(0).disposition, D::PORT_SEND);
    check::equal("its type", port::port_type(carried.name()), Ok(PortType::RECEIVE | PortType::SEND));
    check::equal("how it would be sent again", message.header().remote(), D::PORT_SEND);
    Message::receive(port.name()).expect("the first one");
    check::equal("sending it again", message.send_within(0), Ok(()));
}

/// Starts a thread that sends to a port whose queue is full, and waits until it is blocked: its message counts then.
fn blocked(send: fn(u64), argument: u64) -> Thread {
    let before = task::counts().messages;
    let sender = Thread::start(send, argument).expect("a thread");
    while task::counts().messages == before {
        time::sleep(1);
    }
    sender
}

fn a_blocked_sender_goes_on_when_there_is_room() {
    let port = port_with_send();
    fill(&port);
    let send = |port| Message::copy_send(PortName(port as u32)).id(66).send().expect("in the end there is room");
    let sender = blocked(send, u64::from(port.name().0));
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::receive(port.name()).expect("it is there");
    }
    check::equal("the blocked one", Message::receive(port.name()).map(|m| m.message_id()), Ok(66));
    sender.join();
}

/// A request with the id 66, of names for the service and the reply port.
fn request_to(names: u64) -> Message {
    let [service, reply] = [names >> 32, names].map(|name| PortName(name as u32));
    Message::copy_send(service).reply_to(reply, D::MAKE_SEND_ONCE).id(66)
}

// covers mach-ipc Q11
fn an_interrupted_send_is_made_again_unless_the_sender_wants_to_know() {
    let (service, reply) = (port_with_send(), Port::new());
    let names = u64::from(service.name().0) << 32 | u64::from(reply.name().0);
    fill(&service);
    let interrupt = |sends: fn(u64)| {
        let sender = blocked(sends, names);
        sender.abort().expect("it waits");
        sender
    };
    let wants_to_know = |names| {
        let mut message = request_to(names);
        let options = MsgOption::SEND_MSG | MsgOption::SEND_INTERRUPT;
        check::equal("the result", message.call(&Call { options, ..Call::default() }), MACH_SEND_INTERRUPTED);
        let (header, service) = (message.header(), PortName((names >> 32) as u32));
        check::equal("where it was to go", (header.msgh_remote_port, header.remote()), (service, D::PORT_SEND));
        check::equal("its references", port::get_refs(service, MACH_PORT_RIGHT_SEND), Ok(2));
        check::equal("the reply right", header.local(), D::PORT_SEND_ONCE);
        check::equal("its type", port::port_type(header.msgh_local_port), Ok(PortType::SEND_ONCE));
        check::equal("the size", header.msgh_size, 24);
        port::deallocate(service).expect("it has two references");
    };
    interrupt(wants_to_know).join();

    let does_not = |names| check::equal("the result", request_to(names).send(), Ok(()));
    let sender = interrupt(does_not);
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::receive(service.name()).expect("it is there");
    }
    let received = Message::receive(service.name()).expect("the interrupted one comes all the same");
    check::equal(
        "its id and reply right",
        (received.message_id(), received.header().remote()),
        (66, D::PORT_SEND_ONCE),
    );
    sender.join();
    check::equal("references", port::get_refs(service.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

/// Sends a request and receives the answer, with more options; returns the code and the answer's id.
fn call_with(names: u64, more: MsgOption) -> (KernReturn, i32) {
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | more;
    let mut message = request_to(names);
    let code = message.call(&Call { options, receive_name: PortName(names as u32), ..Call::default() });
    (code, message.message_id())
}

fn an_interrupted_receive_goes_on_unless_the_receiver_wants_to_know() {
    let (asks, tells) = (port_with_send(), port_with_send());
    let names = u64::from(asks.name().0) << 32 | u64::from(tells.name().0);
    let interrupt = |receives: fn(u64)| {
        let receiver = Thread::start(receives, names).expect("a thread");
        // One call sends and receives: when the message is here its sender waits.
        check::equal("it sends first", Message::receive(asks.name()).map(|m| m.message_id()), Ok(66));
        receiver.abort().expect("it waits");
        receiver
    };
    let wants_to_know = |names| {
        check::equal("the result", call_with(names, MsgOption::RCV_INTERRUPT).0, MACH_RCV_INTERRUPTED);
    };
    interrupt(wants_to_know).join();
    let does_not = |names| check::equal("the result", call_with(names, MsgOption::empty()), (KERN_SUCCESS, 67));
    let receiver = interrupt(does_not);
    Message::copy_send(tells.name()).id(67).send().expect("there is room");
    receiver.join();
    check::that("it did not send again", is_empty(asks.name()));
}

fn a_receive_waits_no_longer_than_asked() {
    let port = Port::new();
    let before = time::now();
    check::equal("nothing comes", Message::receive_within(port.name(), 5).map(|_| ()), Err(MACH_RCV_TIMED_OUT));
    check::that("it waits", time::now() - before >= 5 * MILLISECOND);
}

fn a_receive_without_a_receive_right_is_refused() {
    let dead = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room");
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, PortName(0x7777_7703), dead, port::task_self()] {
        let code = Message::receive_within(name, 0).map(|_| ());
        check::equal("receiving", code, Err(MACH_RCV_INVALID_NAME));
    }
    port::deallocate(dead).expect("it is there");
}

fn receive_into(port: &Port, size: u32, options: MsgOption) -> (Message, abi::KernReturn) {
    let mut message = Message::new();
    let options = options | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let call = Call { options, receive_size: size, receive_name: port.name(), ..Call::default() };
    let code = message.call(&call);
    (message, code)
}

fn a_message_too_large_for_the_buffer_stays_if_asked() {
    let port = port_with_send();
    Message::copy_send(port.name()).id(8).words(&[0; 25]).send().expect("there is room");
    let (message, code) = receive_into(&port, 100, MsgOption::RCV_LARGE);
    check::equal("the code", code, MACH_RCV_TOO_LARGE);
    check::equal("the size it has", message.header().msgh_size, 124);
    let (message, code) = receive_into(&port, 132, MsgOption::RCV_LARGE);
    check::equal("with enough room", (code, message.message_id()), (MACH_MSG_SUCCESS, 8));
}

fn a_message_too_large_for_the_buffer_is_destroyed_otherwise() {
    let (port, carried) = (port_with_send(), port_with_send());
    Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND).words(&[0; 25]).send().expect("there is room");
    check::equal("the code", receive_into(&port, 100, MsgOption::empty()).1, MACH_RCV_TOO_LARGE);
    check::that("the message is gone", is_empty(port.name()));
    check::equal("and its right", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

fn a_receiver_learns_that_its_port_is_gone() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let (tells, port) = (port_with_send(), Port::new());
    let names = u64::from(tells.name().0) << 32 | u64::from(port.name().0);
    let receive = |names| SEEN.store(call_with(names, MsgOption::empty()).0.0 as u32, Ordering::Relaxed);
    let receiver = Thread::start(receive, names).expect("a thread");
    // One call sends and receives: when the message is here its sender waits.
    let told = Message::receive(tells.name()).expect("it sends first");
    drop(port);
    receiver.join();
    told.destroy();
    check::equal("what it sees", SEEN.load(Ordering::Relaxed), MACH_RCV_PORT_CHANGED.0 as u32);
}

fn a_message_to_a_wrong_name_is_refused() {
    let receive_only = Port::new();
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, PortName(0x7777_7703), receive_only.name()] {
        check::equal("sending", Message::copy_send(name).send(), Err(MACH_SEND_INVALID_DEST));
    }
    let port = port_with_send();
    let reply = Message::copy_send(port.name()).reply_to(PortName(0x7777_7703), D::MAKE_SEND_ONCE).send();
    check::equal("a wrong reply port", reply, Err(MACH_SEND_INVALID_REPLY));
    check::that("nothing was sent", is_empty(port.name()));
}

fn a_bad_header_is_refused() {
    let port = port_with_send();
    for remote in [0, 1, 7, 16, 22, 31].map(D) {
        check::equal("a disposition", Message::to(port.name(), remote).send(), Err(MACH_SEND_INVALID_HEADER));
    }
    let local = Message::copy_send(port.name()).reply_to(port.name(), D::NONE).send();
    check::equal("a reply port without a disposition", local, Err(MACH_SEND_INVALID_HEADER));
    check::that("nothing was sent", is_empty(port.name()));
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
    check::equal("too large by far", send(u32::MAX - 3), MACH_SEND_TOO_LARGE);
    check::equal("more than there is memory", send(MAX_INLINE_SIZE as u32), MACH_SEND_INVALID_DATA);
    check::equal("just right", send(CAPACITY as u32), MACH_MSG_SUCCESS);
}

fn bad_descriptors_are_refused_and_nothing_is_lost() {
    let (port, carried) = (port_with_send(), port_with_send());
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message = message.port(PortName(0x7777_7703), D::COPY_SEND);
    check::equal("a name that is none", message.send(), Err(MACH_SEND_INVALID_RIGHT));
    check::equal("the right before it", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message.buffer()[DESCRIPTORS_OFFSET + DESCRIPTOR_TYPE_OFFSET] = 9;
    check::equal("a type that is none", message.send(), Err(MACH_SEND_INVALID_TYPE));
    let mut message = Message::copy_send(port.name()).port(carried.name(), D::COPY_SEND);
    message.buffer()[Header::SIZE] = 200;
    check::equal("more descriptors than bytes", message.send(), Err(MACH_SEND_MSG_TOO_SMALL));
    check::that("nothing was sent", is_empty(port.name()));
    check::equal("no right is lost", port::get_refs(carried.name(), MACH_PORT_RIGHT_SEND), Ok(1));
}

/// mach-ipc 6.2: a receive right sent to its own port could never be received.
fn a_port_that_carries_itself_is_destroyed() {
    let port = port_with_send();
    let name = port.name();
    let sent = Message::copy_send(name).port(port.into_name(), D::MOVE_RECEIVE).send();
    check::equal("sending", sent, Ok(()));
    check::equal("the name", port::port_type(name), Ok(PortType::DEAD_NAME));
    port::deallocate(name).expect("the dead name is there");
}

fn sets_serve_their_members_in_turn() {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("a set");
    let ports = [0; 3].map(|_| port_with_send());
    for (number, port) in ports.iter().enumerate() {
        port::insert_member(port.name(), set).expect("it joins");
        for _ in 0..3 {
            Message::copy_send(port.name()).id(number as i32).send().expect("there is room");
        }
    }
    for _ in 0..3 {
        let mut seen = [0; 3].map(|_| Message::receive_within(set, 0).expect("it is there").message_id());
        seen.sort_unstable();
        check::equal("one of each", seen, [0, 1, 2]);
    }
    check::that("there is no other", is_empty(set));
    port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set is there");
}
