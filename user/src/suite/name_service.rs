//! Hostile requests to the name service of `init`: each is refused or destroyed, and the service goes on.

use super::hostile::Random;
use super::tests;
use crate::message::{CAPACITY, Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::sys::{self, machine};
use crate::{check, names, task};
use abi::code::*;
use abi::message::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::{EXIT_MESSAGE_ID, PAGE_SIZE};
use abi::trap::mach::MACH_TIMEBASE_INFO;
use abi::{KernReturn, PortName};
use zerocopy::IntoBytes;

tests! { "name_service":
    reply_to_a_look_up_is_a_descriptor_alone,
    complex_request_without_descriptors_is_refused,
    request_with_any_id_is_answered,
    request_of_another_size_is_refused,
    request_with_another_number_of_descriptors_is_refused,
    rights_of_a_refused_request_are_given_back,
    receive_right_is_not_registered,
    send_once_right_is_not_registered,
    null_and_dead_ports_are_not_registered,
    right_is_given_back_if_its_name_is_in_use,
    full_table_refuses_and_takes_again_when_ports_die,
    service_is_forgotten_if_its_receive_right_is_sent_to_init,
    request_without_a_send_once_reply_right_is_destroyed,
    request_with_a_dead_reply_port_is_destroyed,
    reply_port_that_is_sent_with_its_request_dies,
    reply_for_which_its_client_has_no_room_is_destroyed,
    request_that_is_too_large_is_destroyed,
    header_field_without_a_disposition_is_no_right,
    bytes_behind_a_name_do_not_count,
    random_requests_leave_nothing_behind,
    memory_and_ports_out_of_line_are_given_back,
}

const SERVICE: &str = "a service";
const UNKNOWN_ID: i32 = CHECK_IN - 1;
/// Port descriptors in one request, which fit the buffer of the name service.
const DESCRIPTORS_MAX: usize = 70;

/// Runs an attack, then checks that the name service works and that nothing of the attack is left, in `init` or here.
fn attack(run: impl FnOnce()) {
    check_service();
    let before = task::counts();
    run();
    check_service();
    check::equal("the counts", task::counts(), before);
}

/// Registers a service, looks it up, and lets it die.
fn check_service() {
    let port = port_with_send();
    let name = port.name();
    check::equal("registering", names::register("honest", name), Ok(()));
    check::equal("the port that is found", names::look_up("honest"), Ok(name));
    drop(port);
    check::equal("looking up a dead port", names::look_up("honest"), Err(KernReturn(UNKNOWN_SERVICE)));
    port::mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, -2).expect("one reference was made here, one came with the answer");
}

fn request(id: i32) -> Message {
    Message::copy_send(task::bootstrap_port()).id(id)
}

/// Appends the body of a request: an NDR record and a name.
fn named(request: Message, name: &str) -> Message {
    let mut bytes = [0; NAME_SIZE];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    request.bytes(&NDR).bytes(&bytes)
}

/// Sets the flag for descriptors and leaves the body as it is.
fn complex(mut message: Message) -> Message {
    let header = Header { msgh_bits: message.header().msgh_bits | HeaderFlags::COMPLEX.bits(), ..message.header() };
    message.buffer()[..Header::SIZE].copy_from_slice(header.as_bytes());
    message
}

/// Sends a request that must be refused and returns the code of the reply.
fn refusal(request: Message) -> KernReturn {
    const REFUSAL_SIZE: u32 = 36;
    let id = request.message_id();
    let reply = request.rpc().expect("a reply comes");
    check::equal("the reply's id", reply.message_id(), id.wrapping_add(100));
    check::equal("the reply's size", reply.header().msgh_size, REFUSAL_SIZE);
    KernReturn(reply.word(2) as i32)
}

/// Receives this number of notifications that a send-once right was destroyed.
fn expect_destroyed(port: &Port, count: usize) {
    for _ in 0..count {
        let id = Message::receive_within(port.name(), 0).map(|message| message.message_id());
        check::equal("the notification", id, Ok(MACH_NOTIFY_SEND_ONCE));
    }
}

/// Returns the names that `init` may have: the first entries of a name table, in their first generations.
fn likely_names() -> impl Iterator<Item = PortName> {
    const INDICES: u32 = 24;
    (1..INDICES).flat_map(|index| [3, 7, 11].map(|generation| PortName::new(index, generation)))
}

fn reply_to_a_look_up_is_a_descriptor_alone() {
    const REPLY_SIZE: u32 = 40;
    attack(|| {
        let port = port_with_send();
        names::register(SERVICE, port.name()).expect("the name is free");
        let reply = named(request(LOOK_UP), SERVICE).rpc().expect("a reply comes");
        check::equal("the size", reply.header().msgh_size, REPLY_SIZE);
        check::equal("the descriptor", reply.descriptor(0), PortDescriptor::new(port.name(), D::PORT_SEND));
        port::destroy(port.name()).expect("the name exists");
    });
}

/// The bytes behind the count look like a descriptor that names one of the receiver's own ports.
fn complex_request_without_descriptors_is_refused() {
    attack(|| {
        for name in likely_names() {
            for id in [CHECK_IN, REGISTER, LOOK_UP] {
                let forged = PortDescriptor::new(name, D::PORT_SEND);
                let request = complex(request(id).words(&[0]).bytes(forged.as_bytes()));
                check::equal("with the bytes of a descriptor", refusal(named(request, SERVICE)), MIG_BAD_ARGUMENTS);
            }
            let mut body = NDR;
            body[..4].copy_from_slice(name.as_bytes());
            let request = complex(request(REGISTER).words(&[0])).bytes(&body).bytes(&[0; NAME_SIZE]);
            check::equal("with a name in the NDR record", refusal(request), MIG_BAD_ARGUMENTS);
        }
        check::equal("the name", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
    });
}

/// An exit message and notifications are requests of an unknown id, if a program sends them.
fn request_with_any_id_is_answered() {
    attack(|| {
        let ids = [i32::MAX, i32::MAX - 99, i32::MAX - 100, i32::MIN, -1, 0, CHECK_IN - 1, LOOK_UP + 1, CHECK_IN + 100];
        let notifications =
            [MACH_NOTIFY_PORT_DELETED, MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_SEND_ONCE, MACH_NOTIFY_DEAD_NAME];
        for id in ids.into_iter().chain(notifications).chain([EXIT_MESSAGE_ID]) {
            check::equal("a header", refusal(request(id)), MIG_BAD_ID);
            check::equal("an NDR record and a word", refusal(request(id).bytes(&NDR).words(&[0])), MIG_BAD_ID);
        }
    });
}

fn request_of_another_size_is_refused() {
    const RIGHT_SIZE: usize = NDR.len() + NAME_SIZE;
    const SIZE_MAX: usize = 200;
    attack(|| {
        let port = port_with_send();
        let body = [b'x'; SIZE_MAX];
        for size in (0..=SIZE_MAX).step_by(4).filter(|&size| size != RIGHT_SIZE) {
            let register = request(REGISTER).port(port.name(), D::COPY_SEND).bytes(&body[..size]);
            check::equal("registering", refusal(register), MIG_BAD_ARGUMENTS);
            for id in [CHECK_IN, LOOK_UP] {
                check::equal("a name alone", refusal(request(id).bytes(&body[..size])), MIG_BAD_ARGUMENTS);
            }
        }
        check::equal("send rights", port::status(port.name()).map(|status| status.mps_srights), Ok(1));
        port::destroy(port.name()).expect("the name exists");
    });
}

fn request_with_another_number_of_descriptors_is_refused() {
    attack(|| {
        let port = port_with_send();
        for id in [CHECK_IN, REGISTER, LOOK_UP] {
            for count in (0..4).filter(|&count| id != REGISTER || count != 1) {
                let request = (0..count).fold(request(id), |request, _| request.port(port.name(), D::COPY_SEND));
                let request = if count == 0 { complex(request.words(&[0])) } else { request };
                check::equal("the reply", refusal(named(request, SERVICE)), MIG_BAD_ARGUMENTS);
            }
        }
        check::equal("registering without a right", refusal(named(request(REGISTER), SERVICE)), MIG_BAD_ARGUMENTS);
        check::equal("send rights", port::status(port.name()).map(|status| status.mps_srights), Ok(1));
        port::destroy(port.name()).expect("the name exists");
    });
}

fn rights_of_a_refused_request_are_given_back() {
    attack(|| {
        let port = port_with_send();
        port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
        let carrying = |disposition| {
            (0..DESCRIPTORS_MAX).fold(request(UNKNOWN_ID), |request, _| request.port(port.name(), disposition))
        };
        check::equal("send rights", refusal(carrying(D::COPY_SEND)), MIG_BAD_ID);
        check::equal("their number", port::status(port.name()).map(|status| status.mps_srights), Ok(1));
        check::equal("send-once rights", refusal(carrying(D::MAKE_SEND_ONCE)), MIG_BAD_ID);
        expect_destroyed(&port, DESCRIPTORS_MAX);
        carrying(D::MAKE_SEND_ONCE).send().expect("the name service takes messages that want no answer");
        check_service();
        expect_destroyed(&port, DESCRIPTORS_MAX);
        let name = port.into_name();
        check::equal("a receive right", refusal(request(UNKNOWN_ID).port(name, D::MOVE_RECEIVE)), MIG_BAD_ID);
        check::equal("the port", port::port_type(name), Ok(PortType::DEAD_NAME));
        port::destroy(name).expect("the name exists");
    });
}

fn receive_right_is_not_registered() {
    attack(|| {
        let name = port_with_send().into_name();
        let register = named(request(REGISTER).port(name, D::MOVE_RECEIVE), SERVICE);
        check::equal("the reply", refusal(register), MIG_TYPE_ERROR);
        check::equal("the port", port::port_type(name), Ok(PortType::DEAD_NAME));
        check::equal("the name", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
        port::destroy(name).expect("the name exists");
    });
}

fn send_once_right_is_not_registered() {
    attack(|| {
        let port = Port::new();
        let register = named(request(REGISTER).port(port.name(), D::MAKE_SEND_ONCE), SERVICE);
        check::equal("the reply", refusal(register), MIG_TYPE_ERROR);
        expect_destroyed(&port, 1);
        check::equal("the name", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
    });
}

fn null_and_dead_ports_are_not_registered() {
    attack(|| {
        let dead = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room");
        for name in [MACH_PORT_NULL, MACH_PORT_DEAD, dead] {
            let register = named(request(REGISTER).port(name, D::COPY_SEND), SERVICE);
            check::equal("the reply", refusal(register), KERN_INVALID_CAPABILITY);
        }
        check::equal("the name", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
        port::deallocate(dead).expect("the name exists");
    });
}

fn right_is_given_back_if_its_name_is_in_use() {
    attack(|| {
        let [first, second] = [0; 2].map(|_| port_with_send());
        names::register(SERVICE, first.name()).expect("the name is free");
        check::equal("registering again", names::register(SERVICE, second.name()), Err(KernReturn(NAME_IN_USE)));
        check::equal("send rights", port::status(second.name()).map(|status| status.mps_srights), Ok(1));
        [first, second].iter().for_each(|port| port::destroy(port.name()).expect("the name exists"));
    });
}

fn full_table_refuses_and_takes_again_when_ports_die() {
    let name_of = |number: usize| {
        let mut name = heapless::String::<16>::new();
        core::fmt::write(&mut name, format_args!("service {number}")).expect("the name fits");
        name
    };
    attack(|| {
        for _ in 0..2 {
            let [port, other] = [0; 2].map(|_| port_with_send());
            for number in 0..names::SERVICES_MAX {
                check::equal("registering", names::register(&name_of(number), port.name()), Ok(()));
            }
            check::equal("one more", names::register("one more", other.name()), Err(KERN_RESOURCE_SHORTAGE));
            check::equal("send rights", port::status(other.name()).map(|status| status.mps_srights), Ok(1));
            check::equal("the last one", names::look_up(&name_of(names::SERVICES_MAX - 1)), Ok(port.name()));
            [port, other].iter().for_each(|port| port::destroy(port.name()).expect("the name exists"));
        }
    });
}

/// Both rights have one name in `init` then.
fn service_is_forgotten_if_its_receive_right_is_sent_to_init() {
    attack(|| {
        let name = port_with_send().into_name();
        names::register(SERVICE, name).expect("the name is free");
        check::equal("the reply", refusal(request(UNKNOWN_ID).port(name, D::MOVE_RECEIVE)), MIG_BAD_ID);
        check::equal("the service", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
        port::destroy(name).expect("the dead name is there");
    });
}

/// The reply right is none, a dead one, or a send right: to an own port, to the name service itself, to the kernel.
fn request_without_a_send_once_reply_right_is_destroyed() {
    attack(|| {
        let (reply, carried) = (port_with_send(), port_with_send());
        let register = || named(request(REGISTER).port(carried.name(), D::COPY_SEND), SERVICE);
        let send_rights = [reply.name(), task::bootstrap_port(), port::task_self()].map(|name| (name, D::COPY_SEND));
        let none = [(MACH_PORT_NULL, D::NONE), (MACH_PORT_DEAD, D::MAKE_SEND_ONCE)];
        for (name, disposition) in none.into_iter().chain(send_rights) {
            register().reply_to(name, disposition).send().expect("the queue has room");
        }
        check_service();
        check::equal("the name", names::look_up(SERVICE), Err(KernReturn(UNKNOWN_SERVICE)));
        for port in [reply, carried] {
            let status = port::status(port.name()).map(|status| (status.mps_msgcount, status.mps_srights));
            check::equal("messages and send rights", status, Ok((0, 1)));
            port::destroy(port.name()).expect("the name exists");
        }
    });
}

fn request_with_a_dead_reply_port_is_destroyed() {
    attack(|| {
        let carried = Port::new();
        for _ in 0..3 {
            let reply = Port::new();
            let request = request(UNKNOWN_ID).port(carried.name(), D::MAKE_SEND_ONCE);
            request.reply_to(reply.name(), D::MAKE_SEND_ONCE).send().expect("the queue has room");
        }
        check_service();
        expect_destroyed(&carried, 3);
    });
}

fn reply_port_that_is_sent_with_its_request_dies() {
    attack(|| {
        let name = port_with_send().into_name();
        let request = request(UNKNOWN_ID).port(name, D::MOVE_RECEIVE);
        request.reply_to(name, D::MAKE_SEND_ONCE).send().expect("the queue has room");
        check_service();
        check::equal("the port", port::port_type(name), Ok(PortType::DEAD_NAME));
        port::destroy(name).expect("the name exists");
    });
}

/// Queues messages to ports of this task until its budget is used up.
fn use_up_budget(ports: &[Port]) {
    for port in ports {
        port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    for words in [&[0; 200][..], &[]] {
        let full = ports.iter().map(|port| {
            loop {
                if let Err(code) = Message::copy_send(port.name()).words(words).send_within(0) {
                    break code;
                }
            }
        });
        check::that("the budget is used up", full.into_iter().any(|code| code == MACH_SEND_NO_BUFFER));
    }
}

/// The reply to the first request would have to wait in a queue, and a notification, for which there is room, takes its
/// place. The reply to the second one goes to a waiting thread. Both ports have got replies before, so that the next
/// send-once right can be made without a budget.
fn reply_for_which_its_client_has_no_room_is_destroyed() {
    attack(|| {
        let ([first, second], ports) = ([0; 2].map(|_| Port::new()), [0; 16].map(|_| port_with_send()));
        let look_up = |reply: &Port| named(request(LOOK_UP), SERVICE).reply_to(reply.name(), D::MAKE_SEND_ONCE);
        for reply in [&first, &second] {
            look_up(reply).send_within(0).expect("the name service receives");
            Message::receive(reply.name()).expect("the name service replies").destroy();
        }
        use_up_budget(&ports);
        look_up(&first).send_within(0).expect("the name service receives");
        let mut reply = look_up(&second);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        let code = reply.call(&Call { options, receive_name: second.name(), ..Call::default() });
        check::equal("the result of the call", code, MACH_MSG_SUCCESS);
        check::equal("the code in the reply", reply.word(2), UNKNOWN_SERVICE as u32);
        let notified = Message::receive(first.name()).expect("a notification comes");
        check::equal("the notification", notified.header().msgh_id, MACH_NOTIFY_SEND_ONCE);
        // This drops the receive rights, which frees the budget that calls by message need.
        let names = ports.map(|port| port.name());
        names.iter().for_each(|&name| port::destroy(name).expect("the dead name exists"));
    });
}

fn request_that_is_too_large_is_destroyed() {
    attack(|| {
        let (reply, carried) = (Port::new(), Port::new());
        let mut large = request(LOOK_UP).port(carried.name(), D::MAKE_SEND_ONCE);
        large = large.reply_to(reply.name(), D::MAKE_SEND_ONCE);
        let call = Call { options: MsgOption::SEND_MSG, send_size: CAPACITY as u32, ..Call::default() };
        check::equal("sending", large.call(&call), MACH_MSG_SUCCESS);
        check_service();
        expect_destroyed(&reply, 1);
        expect_destroyed(&carried, 1);
    });
}

/// A receiver that gave back the name in the voucher field would lose a port of its own.
fn header_field_without_a_disposition_is_no_right() {
    attack(|| {
        for name in likely_names() {
            let mut request = request(UNKNOWN_ID);
            let header = Header { msgh_voucher_port: name, ..request.header() };
            request.buffer()[..Header::SIZE].copy_from_slice(header.as_bytes());
            check::equal("the reply", refusal(request), MIG_BAD_ID);
        }
    });
}

fn bytes_behind_a_name_do_not_count() {
    attack(|| {
        let port = port_with_send();
        let register = named(request(REGISTER).port(port.name(), D::COPY_SEND), "short\0and more");
        check::equal("registering", refusal(register), KERN_SUCCESS);
        check::equal("the port that is found", names::look_up("short"), Ok(port.name()));
        check::equal("registering again", names::register("short", port.name()), Err(KernReturn(NAME_IN_USE)));
        port::destroy(port.name()).expect("the name exists");
    });
}

/// A request with random descriptors, and with a body that may be right.
fn random_request(random: &mut Random, ports: &[PortName; 2]) -> Message {
    let id = random.one_of(&[REGISTER, CHECK_IN, LOOK_UP, UNKNOWN_ID, i32::MAX].map(|id| id as u64)) as i32;
    let mut request = request(id);
    for _ in 0..random.one_of(&[0, 0, 1, 1, 1, 2, 5]) {
        let name = ports[random.one_of(&[0, 1]) as usize];
        request = request.port(name, D(random.one_of(&[16, 19, 19, 20, 21]) as u8));
    }
    match random.one_of(&[0, 0, 0, 1, 2]) {
        0 => request = named(request, ["one", "two", ""][random.one_of(&[0, 1, 2]) as usize]),
        1 => request = request.words(&[random.next() as u32; 40]),
        _ => {}
    }
    if random.one_of(&[0, 0, 0, 1]) == 1 { complex(request) } else { request }
}

fn random_requests_leave_nothing_behind() {
    const STEPS: u32 = 1500;
    let mut random = Random::new(super::seed_of(0x5EED_0F1A_17A1_1EAD));
    attack(|| {
        let mut refused = 0;
        for _ in 0..STEPS {
            let ports = [0; 2].map(|_| port_with_send().into_name());
            let request = random_request(&mut random, &ports);
            // A request that the kernel sends is answered, or destroyed with its reply right.
            if let Ok(reply) = request.rpc() {
                refused += u32::from(!reply.is_complex() && reply.body().len() > NDR.len() && reply.word(2) != 0);
                reply.destroy();
            }
            for name in ports {
                // The name does not exist any more if all its rights were sent.
                let _ = port::destroy(name);
            }
        }
        check::that("many requests are refused", refused > STEPS / 4);
    });
}

/// Puts a message into a buffer as if it had been received, with these descriptors of 16 bytes.
fn received(descriptors: &[[u32; 4]]) -> Message {
    let mut message = complex(Message::new()).words(&[descriptors.len() as u32]);
    for descriptor in descriptors {
        message = message.words(descriptor);
    }
    let size = DESCRIPTORS_OFFSET + size_of_val(descriptors);
    let header = Header { msgh_size: size as u32, ..message.header() };
    message.buffer()[..Header::SIZE].copy_from_slice(header.as_bytes());
    message
}

fn memory_and_ports_out_of_line_are_given_back() {
    const SIZE: u64 = 3 * PAGE_SIZE / 2;
    attack(|| {
        let ports = [0; 2].map(|_| port_with_send());
        let (memory, names) =
            (task::allocate(SIZE).expect("there is memory"), task::allocate(PAGE_SIZE).expect("there is memory"));
        let bytes = ports.iter().flat_map(|port| port.name().0.to_le_bytes());
        (names..).zip(bytes).for_each(|(at, byte)| machine::write(at, byte));
        let halves = |address: u64| [address as u32, (address >> 32) as u32];
        let ([low, high], [names_low, names_high]) = (halves(memory), halves(names));
        let type_and = |kind: u8, disposition: D| u32::from_le_bytes([0, 0, disposition.0, kind]);
        let of_memory = type_and(MACH_MSG_OOL_DESCRIPTOR, D::NONE);
        let of_ports = type_and(MACH_MSG_OOL_PORTS_DESCRIPTOR, D::PORT_SEND);
        received(&[[low, high, of_memory, SIZE as u32], [names_low, names_high, of_ports, ports.len() as u32]])
            .destroy();
        for page in [memory, memory + PAGE_SIZE, names] {
            let written = KernReturn(sys::trap(MACH_TIMEBASE_INFO, [page, 0, 0, 0, 0, 0]) as i32);
            check::equal("writing to a page", written, KERN_MEMORY_ERROR);
        }
        for port in ports {
            check::equal("the rights to a port", port::port_type(port.name()), Ok(PortType::RECEIVE));
        }
    });
}
