//! What the kernel tells about ports (mach-ipc 2.8).

use super::tests;
use crate::check;
use crate::message::{Message, is_empty, port_with_send};
use crate::port::{self, Port};
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;

tests! { "notifications":
    the_last_send_right_is_told,
    no_senders_is_told_at_once_if_there_are_none,
    a_port_that_dies_is_told,
    an_unused_send_once_right_is_told,
    room_in_a_queue_is_told,
    a_receive_right_is_given_back_instead_of_ending,
    a_request_is_taken_back,
}

fn told(notify: &Port, id: i32) -> Message {
    let message = Message::receive_within(notify.name(), 0).expect("something is told");
    check::equal("what is told", message.message_id(), id);
    check::equal("it comes from the kernel", message.trailer().msgh_audit, [0; 8]);
    message
}

fn the_last_send_right_is_told() {
    let (port, notify) = (port_with_send(), Port::new());
    let request = port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 1, notify.name(), D::MAKE_SEND_ONCE);
    check::equal("there was no request before", request, Ok(MACH_PORT_NULL));
    port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, 1).expect("another reference");
    port::deallocate(port.name()).expect("the first reference goes");
    check::that("there still is one", is_empty(notify.name()));
    port::deallocate(port.name()).expect("the last reference goes");
    check::equal("how often one was made", told(&notify, MACH_NOTIFY_NO_SENDERS).word(2), 1);
}

fn no_senders_is_told_at_once_if_there_are_none() {
    let (port, notify) = (Port::new(), Port::new());
    port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("a request");
    told(&notify, MACH_NOTIFY_NO_SENDERS);
}

/// A send right under a name of its own: the receive right has left this task, in a message that waits in `parked`.
fn send_right_alone() -> (Port, abi::PortName) {
    let (parked, port) = (port_with_send(), port_with_send());
    let send = port.name();
    Message::copy_send(parked.name()).port(port.into_name(), D::MOVE_RECEIVE).send().expect("there is room");
    (parked, send)
}

fn a_port_that_dies_is_told() {
    let notify = Port::new();
    let (parked, send) = send_right_alone();
    port::request_notification(send, MACH_NOTIFY_DEAD_NAME, 0, notify.name(), D::MAKE_SEND_ONCE).expect("a request");
    check::that("it has not died", is_empty(notify.name()));
    drop(parked);
    check::equal("whose port died", told(&notify, MACH_NOTIFY_DEAD_NAME).word(2), send.0);
    check::equal("one reference comes with it", port::get_refs(send, MACH_PORT_RIGHT_DEAD_NAME), Ok(2));
    port::mod_refs(send, MACH_PORT_RIGHT_DEAD_NAME, -2).expect("they are there");
}

fn an_unused_send_once_right_is_told() {
    let (carrier, port) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(port.name(), D::MAKE_SEND_ONCE).send().expect("there is room");
    let once = Message::receive(carrier.name()).expect("it is there").descriptor(0).name;
    port::deallocate(once).expect("it is there");
    told(&port, MACH_NOTIFY_SEND_ONCE);
}

fn room_in_a_queue_is_told() {
    let (port, notify) = (port_with_send(), Port::new());
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::copy_send(port.name()).send_within(0).expect("there is room");
    }
    port::request_notification(port.name(), MACH_NOTIFY_SEND_POSSIBLE, 1, notify.name(), D::MAKE_SEND_ONCE)
        .expect("a request");
    check::that("there is no room yet", is_empty(notify.name()));
    Message::receive(port.name()).expect("it is there");
    check::equal("where there is room", told(&notify, MACH_NOTIFY_SEND_POSSIBLE).word(2), port.name().0);
}

fn a_receive_right_is_given_back_instead_of_ending() {
    let (port, notify) = (port_with_send(), Port::new());
    let send = port.name();
    port::request_notification(send, MACH_NOTIFY_PORT_DESTROYED, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("a request");
    drop(port);
    let descriptor = told(&notify, MACH_NOTIFY_PORT_DESTROYED).descriptor(0);
    check::equal("what comes back", (descriptor.name, descriptor.disposition), (send, D::PORT_RECEIVE));
    check::equal("its type", port::port_type(send), Ok(PortType::RECEIVE | PortType::SEND));
    Port::of(send);
}

fn a_request_is_taken_back() {
    let (port, notify) = (port_with_send(), Port::new());
    let ask = |name, disposition| port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 1, name, disposition);
    ask(notify.name(), D::MAKE_SEND_ONCE).expect("a request");
    let previous = ask(MACH_PORT_NULL, D::MAKE_SEND_ONCE).expect("it is taken back");
    check::equal("the right that was there", port::port_type(previous), Ok(PortType::SEND_ONCE));
    port::deallocate(port.name()).expect("the last reference goes");
    check::that("nothing is told", is_empty(notify.name()));
    port::deallocate(previous).expect("it is there");
    told(&notify, MACH_NOTIFY_SEND_ONCE);
}
