//! Special reply ports: what a waiting client's port refuses, and that its server stays raised (mach-ipc 3.12,
//! importance 7.6).

use super::scheduling::set_own_qos;
use super::tests;
use crate::check;
use crate::message::{Call, Message, call_object, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::Thread;
use crate::time;
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::mig::mach_port as mig;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::Qos;
use core::sync::atomic::{AtomicU32, Ordering};

tests! { "special_reply":
    no_call_takes_a_special_reply_port_away_from_its_thread,
    a_server_stays_raised_until_its_last_waiting_client_has_a_reply,
}

fn no_call_takes_a_special_reply_port_away_from_its_thread() {
    let reply = port::special_reply().expect("there is room");
    let (name, other) = (reply.name(), port_with_send());
    for flavor in [MACH_PORT_IMPORTANCE_RECEIVER, MACH_PORT_TEMPOWNER, MACH_PORT_DENAP_RECEIVER] {
        let set = call_object(port::task_self(), mig::SET_ATTRIBUTES, &[name.0, flavor, 0]);
        check::equal("importance", set.map(|_| ()), Err(KERN_INVALID_ARGUMENT));
    }
    let request = port::request_notification(name, MACH_NOTIFY_PORT_DESTROYED, 0, other.name(), D::MAKE_SEND_ONCE);
    check::equal("a request for the receive right", request, Err(KERN_INVALID_RIGHT));
    let moved = Message::copy_send(other.name()).port(name, D::MOVE_RECEIVE).send();
    check::equal("moving the receive right", moved, Err(MACH_SEND_INVALID_RIGHT));
    let bound = port::bind_servicer(name, task::thread_self());
    check::equal("a thread that serves it", bound, Err(KERN_INVALID_ARGUMENT));
    let reset = call_object(port::task_self(), mig::SPECIAL_REPLY_PORT_RESET_LINK, &[name.0]);
    check::equal("resetting its link", reset.map(|_| ()), Err(KERN_NOT_SUPPORTED));
    check::equal("its rights", port::port_type(name), Ok(PortType::SEND | PortType::RECEIVE));
}

/// The server's port.
static SERVICE: AtomicU32 = AtomicU32::new(0);

/// Calls the server with this class and waits for the reply on the thread's special reply port.
fn call_and_wait(qos: u64) {
    set_own_qos(Qos::from_number(qos as u32));
    let reply = port::special_reply().expect("there is room");
    let service = PortName(SERVICE.load(Ordering::Relaxed));
    let mut request = Message::copy_send(service).reply_to(reply.name(), D::MAKE_SEND_ONCE);
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let code = request.call(&Call { options, receive_name: reply.name(), ..Call::default() });
    check::equal("the call", code, MACH_MSG_SUCCESS);
    port::deallocate(reply.name()).expect("the send right comes with the port");
}

/// Starts a client of a class, and waits until its request is in the queue.
fn client(service: &Port, qos: Qos, before: u32) -> Thread {
    let client = Thread::start(call_and_wait, qos as u64).expect("the thread starts");
    while port::status(service.name()).expect("the port is there").mps_msgcount == before {
        time::sleep(1);
    }
    client
}

/// The base priorities of the server by itself, and with a client of class legacy and one above it.
const ALONE: u32 = 20;
const LEGACY: u32 = 31;
const INITIATED: u32 = 37;

fn a_server_stays_raised_until_its_last_waiting_client_has_a_reply() {
    set_own_qos(Qos::Utility);
    let (service, own) = (port_with_send(), task::thread_self());
    SERVICE.store(service.name().0, Ordering::Relaxed);
    check::equal("serving the port", port::bind_servicer(service.name(), own), Ok(()));
    let base = || task::thread_info(own).map(|info| info.base_priority);
    for higher_ends_first in [true, false] {
        check::equal("without clients", base(), Ok(ALONE));
        let lower = client(&service, Qos::Legacy, 0);
        check::equal("with one client", base(), Ok(LEGACY));
        let higher = client(&service, Qos::UserInitiated, 1);
        check::equal("with both", base(), Ok(INITIATED));
        let [first, second] = [(), ()].map(|()| Message::receive(service.name()).expect("a request waits"));
        check::equal("with both requests", base(), Ok(INITIATED));
        let (now, later) = if higher_ends_first { (second, first) } else { (first, second) };
        Message::reply(&now).send().expect("a client waits");
        check::equal("after a reply", base(), Ok(if higher_ends_first { LEGACY } else { INITIATED }));
        Message::reply(&later).send().expect("the other client waits");
        check::equal("after both", base(), Ok(ALONE));
        [lower, higher].into_iter().for_each(Thread::join);
    }
}
