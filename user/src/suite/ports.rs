//! Names and rights, and the calls of `mach_port` (mach-ipc 1 and 2).

use super::tests;
use crate::check;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use abi::PortName;
use abi::code::*;
use abi::port::Disposition as D;
use abi::port::*;

tests! { "ports":
    a_fresh_port_has_a_receive_right_and_defaults,
    send_rights_under_one_name_are_counted,
    a_name_that_was_freed_comes_back_under_another_generation,
    rights_that_come_from_ports_cannot_be_allocated,
    what_is_no_name_is_refused,
    a_count_of_references_cannot_go_below_zero,
    a_port_that_dies_leaves_a_dead_name,
    a_dead_name_can_be_made_and_counted,
    a_guarded_port_wants_its_guard,
    a_port_is_made_and_destroyed_in_one_call_each,
    queue_limits_have_bounds,
    a_port_joins_and_leaves_sets,
    a_set_is_not_a_port,
    a_task_can_do_all_this_only_to_itself,
}

fn a_fresh_port_has_a_receive_right_and_defaults() {
    let port = Port::new();
    check::that("the name is well formed", port.name().is_well_formed());
    check::equal("its type", port::port_type(port.name()), Ok(PortType::RECEIVE));
    let expected = PortStatus { mps_qlimit: MACH_PORT_QLIMIT_DEFAULT, ..PortStatus::default() };
    check::equal("its status", port::status(port.name()), Ok(expected));
}

fn send_rights_under_one_name_are_counted() {
    let port = port_with_send();
    port::insert_right(port.name(), port.name(), D::MAKE_SEND).expect("another one");
    check::equal("its type", port::port_type(port.name()), Ok(PortType::RECEIVE | PortType::SEND));
    check::equal("references", port::get_refs(port.name(), MACH_PORT_RIGHT_SEND), Ok(2));
    check::equal("how often one was made", port::status(port.name()).map(|status| status.mps_mscount), Ok(2));
    check::equal("the first goes", port::deallocate(port.name()), Ok(()));
    check::equal("the second goes", port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, -1), Ok(()));
    check::equal("there is no third", port::deallocate(port.name()), Err(KERN_INVALID_RIGHT));
    check::equal("its type", port::port_type(port.name()), Ok(PortType::RECEIVE));
}

fn a_name_that_was_freed_comes_back_under_another_generation() {
    let first = Port::new().into_name();
    port::mod_refs(first, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
    check::equal("the old name", port::port_type(first), Err(KERN_INVALID_NAME));
    let second = Port::new();
    check::equal("the index", second.name().index(), first.index());
    check::that("the generation is another", second.name() != first);
    check::equal("the old name still", port::port_type(first), Err(KERN_INVALID_NAME));
}

fn rights_that_come_from_ports_cannot_be_allocated() {
    for right in [MACH_PORT_RIGHT_SEND, MACH_PORT_RIGHT_SEND_ONCE, MACH_PORT_RIGHT_LABELH, 6, u32::MAX] {
        check::equal("allocating it", port::allocate(right), Err(KERN_INVALID_VALUE));
    }
}

fn what_is_no_name_is_refused() {
    for name in [PortName(0x33_3303), PortName(0x7777_7703), PortName(u32::MAX - 1)] {
        check::equal("its type", port::port_type(name), Err(KERN_INVALID_NAME));
        check::equal("a reference", port::mod_refs(name, MACH_PORT_RIGHT_SEND, 1), Err(KERN_INVALID_NAME));
        check::equal("its status", port::status(name).map(|_| ()), Err(KERN_INVALID_NAME));
    }
}

fn a_count_of_references_cannot_go_below_zero() {
    let port = port_with_send();
    let send = MACH_PORT_RIGHT_SEND;
    check::equal("too many off", port::mod_refs(port.name(), send, -2), Err(KERN_INVALID_VALUE));
    check::equal("the references", port::get_refs(port.name(), send), Ok(1));
    check::equal(
        "a second receive right",
        port::mod_refs(port.name(), MACH_PORT_RIGHT_RECEIVE, 1),
        Err(KERN_INVALID_VALUE),
    );
    check::equal("as many as fit", port::mod_refs(port.name(), send, 65_533), Ok(()));
    check::equal("the references", port::get_refs(port.name(), send), Ok(65_534));
}

fn a_port_that_dies_leaves_a_dead_name() {
    let port = port_with_send();
    port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, 2).expect("two more references");
    let name = port.into_name();
    port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
    check::equal("what the name is now", port::port_type(name), Ok(PortType::DEAD_NAME));
    check::equal("its references", port::get_refs(name, MACH_PORT_RIGHT_DEAD_NAME), Ok(3));
    check::equal("sending to it", Message::copy_send(name).send(), Err(abi::code::MACH_SEND_INVALID_DEST));
    port::mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, -3).expect("they are there");
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn a_dead_name_can_be_made_and_counted() {
    let name = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room");
    check::equal("its type", port::port_type(name), Ok(PortType::DEAD_NAME));
    port::mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, 4).expect("more");
    check::equal("its references", port::get_refs(name, MACH_PORT_RIGHT_DEAD_NAME), Ok(5));
    check::equal("all go", port::destroy(name), Ok(()));
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn a_guarded_port_wants_its_guard() {
    let port = Port::new();
    let name = port.name();
    check::equal("guarding", port::guard(name, 0x600D, false), Ok(()));
    check::equal("guarding twice", port::guard(name, 1, false), Err(KERN_INVALID_ARGUMENT));
    check::that("another guard does not open it", port::unguard(name, 0xBAD).is_err());
    check::that("it is not destroyed without it", port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).is_err());
    check::that("nor with another", port::destruct(name, 0, 0xBAD).is_err());
    check::equal("it is still there", port::port_type(name), Ok(PortType::RECEIVE));
    check::equal("the right guard", port::unguard(name, 0x600D), Ok(()));
}

fn a_port_is_made_and_destroyed_in_one_call_each() {
    let options = PortOptions {
        flags: (ConstructFlags::CONTEXT_AS_GUARD | ConstructFlags::INSERT_SEND_RIGHT).bits(),
        ..PortOptions::default()
    };
    let name = port::construct(options, 0xFEED).expect("there is room");
    check::equal("its type", port::port_type(name), Ok(PortType::RECEIVE | PortType::SEND));
    check::that("it is guarded", port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).is_err());
    check::equal("with all rights", port::destruct(name, -1, 0xFEED), Ok(()));
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn queue_limits_have_bounds() {
    let port = Port::new();
    for limit in [1, MACH_PORT_QLIMIT_MAX] {
        check::equal("a limit", port::set_queue_limit(port.name(), limit), Ok(()));
        check::equal("the limit", port::status(port.name()).map(|status| status.mps_qlimit), Ok(limit));
    }
    check::that("a larger one", port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX + 1).is_err());
    check::equal("the limit", port::status(port.name()).map(|status| status.mps_qlimit), Ok(MACH_PORT_QLIMIT_MAX));
}

fn a_port_joins_and_leaves_sets() {
    let port = port_with_send();
    let [first, second] = [0; 2].map(|_| port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("a set"));
    check::equal("joining", port::insert_member(port.name(), first), Ok(()));
    check::equal("joining again", port::insert_member(port.name(), first), Err(KERN_ALREADY_IN_SET));
    check::equal("joining another", port::insert_member(port.name(), second), Ok(()));
    Message::copy_send(port.name()).id(5).send().expect("there is room");
    let received = Message::receive_within(second, 0).expect("the message is there");
    check::equal("by which port it came", received.header().msgh_local_port, port.name());
    check::equal("leaving", port::extract_member(port.name(), first), Ok(()));
    check::equal("leaving again", port::extract_member(port.name(), first), Err(KERN_NOT_IN_SET));
    for set in [first, second] {
        port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set is there");
    }
}

fn a_set_is_not_a_port() {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("a set");
    check::equal("its type", port::port_type(set), Ok(PortType::PORT_SET));
    check::equal("a set in a set", port::insert_member(set, set), Err(KERN_INVALID_RIGHT));
    check::equal("a right to it", port::insert_right(set, set, D::MAKE_SEND), Err(KERN_INVALID_RIGHT));
    check::equal("a message to it", Message::copy_send(set).send(), Err(MACH_SEND_INVALID_DEST));
    port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set is there");
}

fn a_task_can_do_all_this_only_to_itself() {
    use crate::sys::trap;
    use abi::trap::mach::MACH_PORT_ALLOCATE;
    let port = port_with_send();
    for target in [PortName(0), port.name(), PortName(0x7777_7703)] {
        let mut name = 0u32;
        let arguments = [u64::from(target.0), 1, (&raw mut name) as u64, 0, 0, 0];
        let code = abi::KernReturn(trap(MACH_PORT_ALLOCATE, arguments) as i32);
        check::that("another target is refused", code != KERN_SUCCESS);
        check::equal("and nothing is written", name, 0);
    }
}
