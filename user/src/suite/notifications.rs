//! Notifications about ports (mach-ipc 2.8).

use super::tests;
use crate::check;
use crate::message::{Message, is_empty, port_with_send};
use crate::port::{self, Port};
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;

tests! { "notifications":
    no_senders_notification_comes_when_the_last_send_right_goes,
    no_senders_notification_comes_at_once_without_send_rights,
    dead_name_notification_comes_when_the_port_dies,
    send_once_notification_comes_for_an_unused_right,
    send_possible_notification_comes_when_the_queue_has_room,
    port_destroyed_notification_carries_the_receive_right,
    a_request_is_cancelled_by_a_null_port,
}

/// Receives a notification with this id.
fn expect_notification(notify: &Port, id: i32) -> Message {
    let message = Message::receive_within(notify.name(), 0).expect("a notification waits");
    check::equal("the id of the notification", message.message_id(), id);
    check::equal("the audit words of the kernel", message.trailer().msgh_audit, [0; 8]);
    message
}

fn no_senders_notification_comes_when_the_last_send_right_goes() {
    let (port, notify) = (port_with_send(), Port::new());
    let request = port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 1, notify.name(), D::MAKE_SEND_ONCE);
    check::equal("the previous request", request, Ok(MACH_PORT_NULL));
    port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, 1).expect("a reference is added");
    port::deallocate(port.name()).expect("the first reference is removed");
    check::that("no notification comes while a reference is left", is_empty(notify.name()));
    port::deallocate(port.name()).expect("the last reference is removed");
    check::equal("the make-send count", expect_notification(&notify, MACH_NOTIFY_NO_SENDERS).word(2), 1);
}

fn no_senders_notification_comes_at_once_without_send_rights() {
    let (port, notify) = (Port::new(), Port::new());
    port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("the request is accepted");
    expect_notification(&notify, MACH_NOTIFY_NO_SENDERS);
}

/// Returns a send right whose receive right has left this task, in a message that waits in the other port.
fn send_right_alone() -> (Port, abi::PortName) {
    let (parked, port) = (port_with_send(), port_with_send());
    let send = port.name();
    Message::copy_send(parked.name()).port(port.into_name(), D::MOVE_RECEIVE).send().expect("there is room");
    (parked, send)
}

fn dead_name_notification_comes_when_the_port_dies() {
    let notify = Port::new();
    let (parked, send) = send_right_alone();
    port::request_notification(send, MACH_NOTIFY_DEAD_NAME, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("the request is accepted");
    check::that("no notification comes while the port lives", is_empty(notify.name()));
    drop(parked);
    check::equal("the name of the dead port", expect_notification(&notify, MACH_NOTIFY_DEAD_NAME).word(2), send.0);
    check::equal(
        "references, one of them from the notification",
        port::get_refs(send, MACH_PORT_RIGHT_DEAD_NAME),
        Ok(2),
    );
    port::mod_refs(send, MACH_PORT_RIGHT_DEAD_NAME, -2).expect("the references exist");
}

fn send_once_notification_comes_for_an_unused_right() {
    let (carrier, port) = (port_with_send(), Port::new());
    Message::copy_send(carrier.name()).port(port.name(), D::MAKE_SEND_ONCE).send().expect("there is room");
    let once = Message::receive(carrier.name()).expect("a message waits").descriptor(0).name;
    port::deallocate(once).expect("the name exists");
    expect_notification(&port, MACH_NOTIFY_SEND_ONCE);
}

fn send_possible_notification_comes_when_the_queue_has_room() {
    let (port, notify) = (port_with_send(), Port::new());
    for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
        Message::copy_send(port.name()).send_within(0).expect("there is room");
    }
    port::request_notification(port.name(), MACH_NOTIFY_SEND_POSSIBLE, 1, notify.name(), D::MAKE_SEND_ONCE)
        .expect("the request is accepted");
    check::that("no notification comes while the queue is full", is_empty(notify.name()));
    Message::receive(port.name()).expect("a message waits");
    check::equal(
        "the name of the port with room",
        expect_notification(&notify, MACH_NOTIFY_SEND_POSSIBLE).word(2),
        port.name().0,
    );
}

fn port_destroyed_notification_carries_the_receive_right() {
    let (port, notify) = (port_with_send(), Port::new());
    let send = port.name();
    port::request_notification(send, MACH_NOTIFY_PORT_DESTROYED, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("the request is accepted");
    drop(port);
    let descriptor = expect_notification(&notify, MACH_NOTIFY_PORT_DESTROYED).descriptor(0);
    check::equal("the right that comes back", (descriptor.name, descriptor.disposition), (send, D::PORT_RECEIVE));
    check::equal("its type", port::port_type(send), Ok(PortType::RECEIVE | PortType::SEND));
    Port::of(send);
}

fn a_request_is_cancelled_by_a_null_port() {
    let (port, notify) = (port_with_send(), Port::new());
    let ask = |name, disposition| port::request_notification(port.name(), MACH_NOTIFY_NO_SENDERS, 1, name, disposition);
    ask(notify.name(), D::MAKE_SEND_ONCE).expect("the request is accepted");
    let previous = ask(MACH_PORT_NULL, D::MAKE_SEND_ONCE).expect("the request is cancelled");
    check::equal("the type of the previous notify right", port::port_type(previous), Ok(PortType::SEND_ONCE));
    port::deallocate(port.name()).expect("the last reference is removed");
    check::that("no notification comes", is_empty(notify.name()));
    port::deallocate(previous).expect("the name exists");
    expect_notification(&notify, MACH_NOTIFY_SEND_ONCE);
}
