//! Checking in with the name service: a program gets the receive right of a new port.

use super::tests;
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::{check, names, task};
use abi::code::*;
use abi::debug::Counts;
use abi::message::MsgOption;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition as D;
use abi::port::PortType;
use abi::{KernReturn, PortName};

tests! { "bootstrap":
    check_in_brings_the_receive_right_that_others_look_up,
    reply_to_a_check_in_is_a_receive_right_alone,
    name_in_use_is_not_given_again,
    name_is_free_again_when_its_port_has_died,
    port_of_a_client_that_is_gone_dies,
    full_table_refuses_to_check_in,
}

const SERVICE: &str = "a service";

fn check_in_request(name: &str) -> Message {
    let mut bytes = [0; NAME_SIZE];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    Message::copy_send(task::bootstrap_port()).id(CHECK_IN).bytes(&NDR).bytes(&bytes)
}

/// Returns the counts, once the names of the task and of the name service are known.
fn counts_with_known_ports() -> Counts {
    check::equal("an unused name", names::look_up(SERVICE), unknown());
    task::counts()
}

fn unknown() -> Result<PortName, KernReturn> {
    Err(KernReturn(UNKNOWN_SERVICE))
}

fn check_in_brings_the_receive_right_that_others_look_up() {
    let port = names::check_in(SERVICE).expect("the name is free");
    check::equal("its rights", port::port_type(port.name()), Ok(PortType::RECEIVE));
    check::equal("the port that is found", names::look_up(SERVICE), Ok(port.name()));
    check::equal("with a send right", port::port_type(port.name()), Ok(PortType::RECEIVE | PortType::SEND));
    Message::copy_send(port.name()).id(7).send().expect("there is room");
    let received = Message::receive_within(port.name(), 0).map(|message| message.message_id());
    check::equal("the message", received, Ok(7));
}

fn reply_to_a_check_in_is_a_receive_right_alone() {
    const REPLY_SIZE: u32 = 40;
    let reply = check_in_request(SERVICE).rpc().expect("a reply comes");
    check::equal("the id", reply.message_id(), CHECK_IN + 100);
    check::equal("the size", reply.header().msgh_size, REPLY_SIZE);
    check::equal("the kind of right", reply.descriptor(0).disposition, D::PORT_RECEIVE);
    reply.destroy();
}

fn name_in_use_is_not_given_again() {
    let first = names::check_in(SERVICE).expect("the name is free");
    let refused = |result: Result<Port, KernReturn>| result.map(|port| port.name());
    check::equal("checking in again", refused(names::check_in(SERVICE)), Err(KernReturn(SERVICE_ACTIVE)));
    let other = port_with_send();
    check::equal("registering", names::register(SERVICE, other.name()), Err(KernReturn(NAME_IN_USE)));
    names::register("another service", other.name()).expect("the name is free");
    check::equal("a registered name", refused(names::check_in("another service")), Err(KernReturn(SERVICE_ACTIVE)));
    check::equal("the port that is found", names::look_up(SERVICE), Ok(first.name()));
}

fn name_is_free_again_when_its_port_has_died() {
    let before = counts_with_known_ports();
    for _ in 0..2 {
        drop(names::check_in(SERVICE).expect("the name is free"));
        check::equal("a dead port", names::look_up(SERVICE), unknown());
    }
    check::equal("the counts", task::counts(), before);
}

/// The reply port dies before the reply comes, or with the reply in its queue.
fn port_of_a_client_that_is_gone_dies() {
    let before = counts_with_known_ports();
    let reply = Port::new();
    let mut request = check_in_request(SERVICE).reply_to(reply.name(), D::MAKE_SEND_ONCE);
    request.call(&Call { options: MsgOption::SEND_MSG, ..Call::default() }).ok().expect("the request is sent");
    drop(reply);
    check::equal("the service", names::look_up(SERVICE), unknown());
    check::equal("the counts", task::counts(), before);
}

fn full_table_refuses_to_check_in() {
    let mut ports = heapless::Vec::<Port, { names::SERVICES_MAX }>::new();
    let refused = loop {
        let mut name = heapless::String::<8>::new();
        core::fmt::write(&mut name, format_args!("{}", ports.len())).expect("a number fits");
        match names::check_in(&name) {
            Ok(port) => ports.push(port).expect("there are as many services as the table has places"),
            Err(code) => break code,
        }
    };
    check::equal("services", ports.len(), names::SERVICES_MAX);
    check::equal("one more", refused, KERN_RESOURCE_SHORTAGE);
    ports.clear();
    check::that("a name is free again", names::check_in(SERVICE).is_ok());
}
