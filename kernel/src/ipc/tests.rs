//! Ports and messages by themselves, where no call of a program shows what happens.

use super::request::{Request, RequestKind};
use super::right::{Carried, Right};
use super::*;
use crate::credentials::Credentials;
use crate::ids::SpaceId;
use crate::limits::REQUESTS_PER_PORT_MAX;
use crate::machine::Stamp;
use crate::rate::{Clock, Rate};
use crate::sched::Scheduling;
use abi::KernReturn;
use abi::code::MACH_SEND_NO_GRANT_DEST;
use abi::message::{DESCRIPTORS_OFFSET, PortDescriptor};
use abi::port::{Disposition, MACH_PORT_NULL, MACH_PORT_RIGHT_RECEIVE};
use zerocopy::IntoBytes;

/// Ports, one space, and a port whose receive right is in it.
struct Setup {
    ipc: Ipc,
    step: Step,
    sched: Scheduling,
    space: SpaceId,
    port: PortId,
}

impl Setup {
    fn new() -> Setup {
        Setup::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Setup {
        let mut step = Step::default();
        let mut ipc = Ipc::new(&mut step, limits, 0).unwrap();
        ipc.make_room_for_task().unwrap();
        let space = ipc.insert_first_space();
        let name = ipc.port_allocate(&mut step, space, MACH_PORT_RIGHT_RECEIVE).unwrap();
        let port = ipc.spaces[space].get(name).unwrap().right.port().unwrap();
        let sched = Scheduling::new(Clock::new(Stamp(0), Rate::measured(1, 1)), 0);
        Setup { ipc, step, sched, space, port }
    }

    /// Makes a complex message for the port with descriptors that carry no rights.
    fn complex_message(&mut self, descriptors: u32) -> MessageId {
        let size = DESCRIPTORS_OFFSET + descriptors as usize * PortDescriptor::SIZE;
        let message = self.ipc.new_message(&mut self.step, size, Credentials::KERNEL).unwrap();
        let right = self.ipc.make_send(self.port);
        let made = &mut self.ipc.messages[message];
        made.destination = Carried::Right(Right::Send(right));
        made.bytes[DESCRIPTORS_OFFSET - 4..DESCRIPTORS_OFFSET].copy_from_slice(&descriptors.to_le_bytes());
        let descriptor = PortDescriptor::new(MACH_PORT_NULL, Disposition::COPY_SEND);
        for piece in made.bytes[DESCRIPTORS_OFFSET..size].chunks_exact_mut(PortDescriptor::SIZE) {
            piece.copy_from_slice(descriptor.as_bytes());
        }
        message
    }

    fn copy_in(&mut self, message: MessageId) -> Result<(), KernReturn> {
        let Setup { ipc, step, sched, space, .. } = self;
        ipc.copy_in_body(sched, step, *space, message)
    }
}

#[test]
fn a_port_that_grants_nothing_accepts_complex_messages_without_descriptors_only() {
    for (no_grant, descriptors, result) in
        [(true, 0, Ok(())), (true, 1, Err(MACH_SEND_NO_GRANT_DEST)), (false, 0, Ok(())), (false, 1, Ok(()))]
    {
        let mut setup = Setup::new();
        setup.ipc.ports[setup.port].no_grant = no_grant;
        let message = setup.complex_message(descriptors);
        assert_eq!(setup.copy_in(message), result, "{descriptors} descriptors, no grant: {no_grant}");
    }
}

#[test]
fn a_port_without_messages_and_requests_is_removed_as_soon_as_it_dies() {
    let Setup { mut ipc, mut step, .. } = Setup::new();
    let before = ipc.object_counts();
    let port = ipc.new_kernel_port(&mut step, KernelObject::Host).unwrap();
    ipc.destroy_port(&mut step, port);
    assert!(!step.has_work() && !ipc.ports.contains(port));
    assert_eq!((ipc.object_counts(), ipc.totals().dead_ports), (before, 0));
}

/// The counts are for tests and monitors; no call of a program tells them.
#[test]
fn a_port_knows_the_numbers_of_its_rights_sets_and_messages() {
    let mut setup = Setup::new();
    let message = setup.complex_message(0);
    let Setup { ipc, step, space, port, .. } = &mut setup;
    let numbers = |ipc: &Ipc| (ipc.port(*port).send_rights(), ipc.port(*port).set_count(), ipc.port(*port).queue_len());
    assert_eq!(numbers(ipc), (1, 0, 0));
    let budget = ipc.spaces[*space].budget();
    for _ in 0..2 {
        let set = ipc.new_set(step, budget).unwrap();
        assert_eq!((ipc.set(set).len(), ipc.set(set).is_empty()), (0, true));
        ipc.join_set(step, *port, set).unwrap();
        assert_eq!((ipc.set(set).len(), ipc.set(set).is_empty()), (1, false));
    }
    ipc.append(step, message, *port);
    let second = ipc.copy_send(*port);
    assert_eq!(numbers(ipc), (2, 2, 1));
    ipc.drop_spare_send(second);
    assert_eq!(numbers(ipc), (1, 2, 1));
}

#[test]
fn a_port_has_a_limited_number_of_requests() {
    let limits = Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() };
    let mut setup = Setup::with_limits(limits);
    let Setup { ipc, step, space, port, .. } = &mut setup;
    let mut register = || {
        ipc.promise(step, *port, 2).unwrap();
        let right = ipc.make_send_once(*port);
        let name = ipc.copy_out_right(*space, Right::SendOnce(right)).unwrap();
        let notify = ipc.make_send_once(*port);
        ipc.register_request(
            *port,
            Request::new(notify, (*space, ipc.spaces[*space].budget()), name, RequestKind::DeadName),
        )
    };
    (0..REQUESTS_PER_PORT_MAX).for_each(|_| assert_eq!(register(), Ok(())));
    let notify = register().unwrap_err();
    assert_eq!((notify.port(), ipc.port(*port).has_requests()), (*port, true));
}
