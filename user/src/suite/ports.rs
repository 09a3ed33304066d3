//! Names, rights and the calls of `mach_port` (mach-ipc 1 and 2).

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
    a_freed_name_comes_back_with_another_generation,
    send_and_send_once_rights_cannot_be_allocated,
    unknown_names_are_refused,
    a_count_of_references_cannot_go_below_zero,
    a_port_that_dies_leaves_a_dead_name,
    a_dead_name_can_be_made_and_counted,
    a_guarded_port_is_destroyed_with_its_guard_alone,
    construct_and_destruct_take_one_call_for_all_rights,
    queue_limits_have_bounds,
    a_port_joins_and_leaves_sets,
    a_set_is_not_a_port,
    port_traps_refuse_other_targets,
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
    port::insert_right(port.name(), port.name(), D::MAKE_SEND).expect("a second send right is made");
    check::equal("its type", port::port_type(port.name()), Ok(PortType::RECEIVE | PortType::SEND));
    check::equal("references", port::get_refs(port.name(), MACH_PORT_RIGHT_SEND), Ok(2));
    check::equal("the make-send count", port::status(port.name()).map(|status| status.mps_mscount), Ok(2));
    check::equal("deallocating the first reference", port::deallocate(port.name()), Ok(()));
    check::equal("deallocating the second reference", port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, -1), Ok(()));
    check::equal("deallocating a third reference", port::deallocate(port.name()), Err(KERN_INVALID_RIGHT));
    check::equal("its type", port::port_type(port.name()), Ok(PortType::RECEIVE));
}

fn a_freed_name_comes_back_with_another_generation() {
    let first = Port::new().into_name();
    port::mod_refs(first, MACH_PORT_RIGHT_RECEIVE, -1).expect("the name exists");
    check::equal("the old name", port::port_type(first), Err(KERN_INVALID_NAME));
    let second = Port::new();
    check::equal("the index", second.name().index(), first.index());
    check::that("the generation has changed", second.name() != first);
    check::equal("the old name, while the new one exists", port::port_type(first), Err(KERN_INVALID_NAME));
}

fn send_and_send_once_rights_cannot_be_allocated() {
    for right in [MACH_PORT_RIGHT_SEND, MACH_PORT_RIGHT_SEND_ONCE, MACH_PORT_RIGHT_LABELH, 6, u32::MAX] {
        check::equal("allocating a right of this kind", port::allocate(right), Err(KERN_INVALID_VALUE));
    }
}

fn unknown_names_are_refused() {
    for name in [PortName(0x33_3303), PortName(0x7777_7703), PortName(u32::MAX - 1)] {
        check::equal("its type", port::port_type(name), Err(KERN_INVALID_NAME));
        check::equal("adding a reference", port::mod_refs(name, MACH_PORT_RIGHT_SEND, 1), Err(KERN_INVALID_NAME));
        check::equal("its status", port::status(name).map(|_| ()), Err(KERN_INVALID_NAME));
    }
}

fn a_count_of_references_cannot_go_below_zero() {
    let port = port_with_send();
    let send = MACH_PORT_RIGHT_SEND;
    check::equal(
        "removing more references than there are",
        port::mod_refs(port.name(), send, -2),
        Err(KERN_INVALID_VALUE),
    );
    check::equal("the references", port::get_refs(port.name(), send), Ok(1));
    check::equal(
        "a second receive right",
        port::mod_refs(port.name(), MACH_PORT_RIGHT_RECEIVE, 1),
        Err(KERN_INVALID_VALUE),
    );
    check::equal("adding as many references as a name can have", port::mod_refs(port.name(), send, 65_533), Ok(()));
    check::equal("the references", port::get_refs(port.name(), send), Ok(65_534));
}

fn a_port_that_dies_leaves_a_dead_name() {
    let port = port_with_send();
    port::mod_refs(port.name(), MACH_PORT_RIGHT_SEND, 2).expect("two references are added");
    let name = port.into_name();
    port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).expect("the name exists");
    check::equal("the type of the name", port::port_type(name), Ok(PortType::DEAD_NAME));
    check::equal("its references", port::get_refs(name, MACH_PORT_RIGHT_DEAD_NAME), Ok(3));
    check::equal("sending to the name", Message::copy_send(name).send(), Err(abi::code::MACH_SEND_INVALID_DEST));
    port::mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, -3).expect("the references exist");
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn a_dead_name_can_be_made_and_counted() {
    let name = port::allocate(MACH_PORT_RIGHT_DEAD_NAME).expect("there is room");
    check::equal("its type", port::port_type(name), Ok(PortType::DEAD_NAME));
    port::mod_refs(name, MACH_PORT_RIGHT_DEAD_NAME, 4).expect("references are added");
    check::equal("its references", port::get_refs(name, MACH_PORT_RIGHT_DEAD_NAME), Ok(5));
    check::equal("destroying the name", port::destroy(name), Ok(()));
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn a_guarded_port_is_destroyed_with_its_guard_alone() {
    let port = Port::new();
    let name = port.name();
    check::equal("guarding", port::guard(name, 0x600D, false), Ok(()));
    check::equal("guarding twice", port::guard(name, 1, false), Err(KERN_INVALID_ARGUMENT));
    check::that("another guard does not unguard the port", port::unguard(name, 0xBAD).is_err());
    check::that(
        "the port is not destroyed without its guard",
        port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).is_err(),
    );
    check::that("the port is not destroyed with another guard", port::destruct(name, 0, 0xBAD).is_err());
    check::equal("the type of the name", port::port_type(name), Ok(PortType::RECEIVE));
    check::equal("unguarding with the guard", port::unguard(name, 0x600D), Ok(()));
}

fn construct_and_destruct_take_one_call_for_all_rights() {
    let options = PortOptions {
        flags: (ConstructFlags::CONTEXT_AS_GUARD | ConstructFlags::INSERT_SEND_RIGHT).bits(),
        ..PortOptions::default()
    };
    let name = port::construct(options, 0xFEED).expect("there is room");
    check::equal("its type", port::port_type(name), Ok(PortType::RECEIVE | PortType::SEND));
    check::that("the port is guarded", port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).is_err());
    check::equal("destructing with the guard", port::destruct(name, -1, 0xFEED), Ok(()));
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
}

fn queue_limits_have_bounds() {
    let port = Port::new();
    for limit in [1, MACH_PORT_QLIMIT_MAX] {
        check::equal("setting a limit", port::set_queue_limit(port.name(), limit), Ok(()));
        check::equal("the limit", port::status(port.name()).map(|status| status.mps_qlimit), Ok(limit));
    }
    check::that("a larger limit is refused", port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX + 1).is_err());
    check::equal("the limit", port::status(port.name()).map(|status| status.mps_qlimit), Ok(MACH_PORT_QLIMIT_MAX));
}

fn a_port_joins_and_leaves_sets() {
    let port = port_with_send();
    let [first, second] = [0; 2].map(|_| port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set"));
    check::equal("joining", port::insert_member(port.name(), first), Ok(()));
    check::equal("joining again", port::insert_member(port.name(), first), Err(KERN_ALREADY_IN_SET));
    check::equal("joining another", port::insert_member(port.name(), second), Ok(()));
    Message::copy_send(port.name()).id(5).send().expect("there is room");
    let received = Message::receive_within(second, 0).expect("a message waits");
    check::equal("the port of the message", received.header().msgh_local_port, port.name());
    check::equal("leaving", port::extract_member(port.name(), first), Ok(()));
    check::equal("leaving again", port::extract_member(port.name(), first), Err(KERN_NOT_IN_SET));
    for set in [first, second] {
        port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set exists");
    }
}

fn a_set_is_not_a_port() {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room for a set");
    check::equal("its type", port::port_type(set), Ok(PortType::PORT_SET));
    check::equal("a set in a set", port::insert_member(set, set), Err(KERN_INVALID_RIGHT));
    check::equal("a send right to a set", port::insert_right(set, set, D::MAKE_SEND), Err(KERN_INVALID_RIGHT));
    check::equal("a message to a set", Message::copy_send(set).send(), Err(MACH_SEND_INVALID_DEST));
    port::mod_refs(set, MACH_PORT_RIGHT_PORT_SET, -1).expect("the set exists");
}

fn port_traps_refuse_other_targets() {
    use crate::sys::trap;
    use abi::trap::mach::MACH_PORT_ALLOCATE;
    let port = port_with_send();
    for target in [PortName(0), port.name(), PortName(0x7777_7703)] {
        let mut name = 0u32;
        let arguments = [u64::from(target.0), 1, (&raw mut name) as u64, 0, 0, 0];
        let code = abi::KernReturn(trap(MACH_PORT_ALLOCATE, arguments) as i32);
        check::that("the target is refused", code != KERN_SUCCESS);
        check::equal("the name that was written", name, 0);
    }
}
