//! Receiving: refused receives, messages that do not fit, and the end of a wait (mach-ipc 9.7).

use crate::calls::UNUSED_NAME;
use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, BUFFER_SIZE, Ret, UNWRITTEN, UNWRITTEN_BYTE, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{MessagePriority, Qos};
use abi::{KernReturn, PortName};
use kernel::limits::Limits;

const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const PORT_SET: u32 = MACH_PORT_RIGHT_PORT_SET;

/// The size of a header with the shortest trailer.
const SIZE_WITH_TRAILER: u32 = Header::SIZE as u32 + 8;
/// All bits of the trailer type in the options.
const ANY_TRAILER_TYPE: u32 = 0xF000_0000;
/// An address that is never mapped.
const UNMAPPED: u64 = 0x10;

/// Two tasks. A receives from a port to which C sends.
struct Pair {
    w: World,
    a: Actor,
    port: PortName,
    c: Actor,
    send_right: PortName,
}

impl Pair {
    fn new() -> Pair {
        Pair::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Pair {
        let mut w = World::with_limits(limits);
        let (a, c) = (w.task(), w.task());
        let (port, send_right) = w.connect(c, a);
        Pair { w, a, port, c, send_right }
    }

    /// Sends from C a header with a reply port; returns the reply port.
    fn request(&mut self) -> PortName {
        let reply = self.w.port(self.c);
        let message = Msg::copy_send(self.send_right).id(77).reply_to(reply, D::MAKE_SEND_ONCE);
        self.w.send(self.c, &message).unwrap();
        reply
    }

    /// Receives in A with options and a buffer of this size.
    fn poll(&mut self, options: MsgOption, size: u32) -> Result<(), KernReturn> {
        self.w.poll_with(self.a, self.port, options, size).map(|_| ())
    }

    /// Returns the beginning of A's buffer.
    fn buffer(&self) -> Vec<u8> {
        self.w.get(self.a, BUFFER, UNWRITTEN.len())
    }

    fn seqno(&mut self) -> u32 {
        self.w.status(self.a, self.port).mps_seqno
    }

    /// Sends and receives in C, in one call.
    fn send_and_receive(&mut self, message: &Msg, receive_name: PortName) -> Ret {
        let bytes = message.encode();
        self.w.put(self.c, BUFFER, &bytes);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        let (send_size, receive_size) = (bytes.len() as u32, BUFFER_SIZE);
        self.w.mach_msg(self.c, &MachMsg { options, send_size, receive_size, receive_name, ..MachMsg::default() })
    }
}

/// Runs a scenario with and without the fast path.
fn with_and_without_fast_path(scenario: impl Fn(Pair)) {
    for direct_calls in [true, false] {
        scenario(Pair::with_limits(Limits { shortcuts: direct_calls, ..Limits::default() }));
    }
}

// covers mach-ipc R01
#[test]
fn polling_an_empty_queue_times_out() {
    let mut pair = Pair::new();
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Err(MACH_RCV_TIMED_OUT));
}

// covers mach-ipc R02
#[test]
fn only_receive_rights_and_sets_can_be_received_from() {
    let mut pair = Pair::new();
    let (w, c) = (&mut pair.w, pair.c);
    let dead = w.allocate(c, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    for name in [pair.send_right, dead, UNUSED_NAME, MACH_PORT_NULL] {
        assert_eq!(w.poll(c, name).unwrap_err(), MACH_RCV_INVALID_NAME, "{name:?}");
    }
}

// covers mach-ipc R03
#[test]
fn a_message_that_does_not_fit_is_replaced_by_an_error_message() {
    let mut pair = Pair::new();
    let reply = pair.request();
    assert_eq!(pair.poll(MsgOption::empty(), SIZE_WITH_TRAILER - 1), Err(MACH_RCV_TOO_LARGE));
    let buffer = pair.buffer();
    let header = pair.w.received(pair.a).header;
    assert_eq!((header.msgh_size, header.msgh_remote_port), (24, MACH_PORT_NULL));
    assert_eq!((header.msgh_id, header.msgh_local_port), (77, pair.port));
    assert_eq!(header.msgh_bits, msgh_bits(D::PORT_SEND_ONCE, D::PORT_SEND, D::NONE, HeaderFlags::empty()));
    assert_eq!(buffer[24..31], [0, 0, 0, 0, 8, 0, 0], "the part of the trailer that fits");
    assert!(buffer[31..].iter().all(|&byte| byte == UNWRITTEN_BYTE), "no byte is written beyond the buffer");
    pair.w.notification(pair.c, reply, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(pair.seqno(), 1);
    pair.w.expect_empty(pair.a, pair.port);
}

#[test]
fn the_error_message_in_place_of_a_complex_message_is_complex() {
    let mut pair = Pair::new();
    pair.w.send(pair.c, &Msg::copy_send(pair.send_right).port(MACH_PORT_NULL, D::COPY_SEND)).unwrap();
    assert_eq!(pair.poll(MsgOption::empty(), SIZE_WITH_TRAILER), Err(MACH_RCV_TOO_LARGE));
    let header = pair.w.received(pair.a).header;
    assert_eq!(header.msgh_bits, msgh_bits(D::NONE, D::PORT_SEND, D::NONE, HeaderFlags::COMPLEX));
    assert_eq!(header.msgh_size, 24);
}

/// Only a thread with `MACH_RCV_LARGE` whose buffer is too small leaves the message to others.
#[test]
fn a_waiter_takes_the_message_unless_it_asked_to_keep_a_large_one() {
    let rounds = [
        (MsgOption::RCV_LARGE, SIZE_WITH_TRAILER, MACH_MSG_SUCCESS, 0),
        (MsgOption::empty(), SIZE_WITH_TRAILER - 1, MACH_RCV_TOO_LARGE, 0),
        (MsgOption::RCV_LARGE, SIZE_WITH_TRAILER - 1, MACH_RCV_TOO_LARGE, 1),
    ];
    for (options, receive_size, code, queued) in rounds {
        let mut pair = Pair::new();
        let options = options | MsgOption::RCV_MSG;
        let args = MachMsg { options, receive_size, receive_name: pair.port, ..MachMsg::default() };
        let waiter = pair.w.thread(pair.a);
        assert_eq!(pair.w.mach_msg(waiter, &args), Ret::Blocked);
        pair.request();
        assert_eq!(pair.w.state(waiter).code(), code);
        assert_eq!(pair.w.status(pair.a, pair.port).mps_msgcount, queued);
    }
}

// covers mach-ipc R04 R05
#[test]
fn rcv_large_reports_the_size_and_keeps_the_message_queued() {
    let mut pair = Pair::new();
    pair.request();
    pair.w.send(pair.c, &Msg::copy_send(pair.send_right).id(78)).unwrap();
    assert_eq!(pair.poll(MsgOption::RCV_LARGE, SIZE_WITH_TRAILER - 1), Err(MACH_RCV_TOO_LARGE));
    let buffer = pair.buffer();
    assert_eq!(buffer[4..8], 24u32.to_le_bytes());
    let rest = buffer[..4].iter().chain(&buffer[8..]);
    assert!(rest.copied().all(|byte| byte == UNWRITTEN_BYTE), "no other byte is written");
    assert_eq!(pair.seqno(), 0);
    assert_eq!(pair.w.status(pair.a, pair.port).mps_msgcount, 2);
    assert_eq!(pair.poll(MsgOption::empty(), SIZE_WITH_TRAILER), Ok(()));
    assert_eq!(pair.w.received(pair.a).header.msgh_id, 77);
}

// covers mach-ipc R06
#[test]
fn rcv_large_identity_names_the_member_with_the_large_message() {
    let mut pair = Pair::new();
    let (a, port) = (pair.a, pair.port);
    let set = pair.w.allocate(a, PORT_SET).unwrap();
    pair.w.insert_member(a, port, set).unwrap();
    pair.request();
    let options = MsgOption::RCV_LARGE | MsgOption::RCV_LARGE_IDENTITY;
    assert_eq!(pair.w.poll_with(a, set, options, 16).unwrap_err(), MACH_RCV_TOO_LARGE);
    assert_eq!(pair.w.received(a).header.msgh_local_port, port);
}

// covers mach-ipc R07
#[test]
fn a_buffer_too_small_for_the_size_field_is_not_written() {
    let mut pair = Pair::new();
    pair.request();
    assert_eq!(pair.poll(MsgOption::RCV_LARGE, 15), Err(MACH_RCV_TOO_LARGE));
    assert!(pair.buffer().iter().all(|&byte| byte == UNWRITTEN_BYTE));
}

// covers mach-ipc R08
#[test]
fn the_trailer_ends_with_the_last_requested_element() {
    let mut pair = Pair::new();
    for (elements, size) in [(0, 8), (1, 12), (2, 20), (3, 52), (4, 60), (7, 68), (8, 68), (15, 68)] {
        pair.request();
        assert_eq!(pair.poll(MsgOption::trailer_elements(elements), BUFFER_SIZE), Ok(()));
        assert_eq!({ pair.w.received(pair.a).trailer().msgh_trailer_size }, size);
        let end = 24 + size as usize;
        assert!(pair.buffer()[end..].iter().all(|&byte| byte == UNWRITTEN_BYTE), "{elements} elements");
    }
}

// covers mach-ipc R09
#[test]
fn the_trailer_type_is_always_0() {
    let mut pair = Pair::new();
    pair.request();
    assert_eq!(pair.poll(MsgOption::from_bits_retain(ANY_TRAILER_TYPE), BUFFER_SIZE), Ok(()));
    assert_eq!({ pair.w.received(pair.a).trailer().msgh_trailer_type }, 0);
}

// covers mach-ipc R10
#[test]
fn a_waiting_receiver_gets_port_changed_when_its_right_is_gone() {
    let mut pair = Pair::new();
    let a = pair.a;
    let waiter = pair.w.thread(a);
    let set = pair.w.allocate(a, PORT_SET).unwrap();

    assert_eq!(pair.w.receive(waiter, set, MsgOption::empty()), Ret::Blocked);
    pair.w.mod_refs(a, set, PORT_SET, -1).unwrap();
    assert_eq!(pair.w.state(waiter).code(), MACH_RCV_PORT_CHANGED);

    assert_eq!(pair.w.receive(waiter, pair.port, MsgOption::empty()), Ret::Blocked);
    let moved = pair.w.transfer(a, pair.port, D::MOVE_RECEIVE, pair.c);
    assert_eq!(pair.w.state(waiter).code(), MACH_RCV_PORT_CHANGED);

    let waiter = pair.w.thread(pair.c);
    assert_eq!(pair.w.receive(waiter, moved, MsgOption::empty()), Ret::Blocked);
    pair.w.mod_refs(pair.c, moved, RECEIVE, -1).unwrap();
    assert_eq!(pair.w.state(waiter).code(), MACH_RCV_PORT_CHANGED);
}

// covers mach-ipc R11
#[test]
fn an_unwritable_buffer_loses_the_message_but_keeps_its_rights() {
    let mut pair = Pair::new();
    let (a, port) = (pair.a, pair.port);
    let carried = pair.w.port(pair.c);
    pair.w.send(pair.c, &Msg::copy_send(pair.send_right).port(carried, D::MAKE_SEND)).unwrap();
    let before = pair.w.names(a);
    let args = MachMsg {
        buffer: Some(UNMAPPED),
        options: MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT,
        receive_size: BUFFER_SIZE,
        receive_name: port,
        ..MachMsg::default()
    };
    assert_eq!(pair.w.mach_msg(a, &args).code(), MACH_RCV_INVALID_DATA);
    let after = pair.w.names(a);
    let new: Vec<_> = after.into_iter().filter(|name| !before.contains(name)).collect();
    assert!(matches!(new[..], [(_, PortType::SEND)]), "{new:?}");
    pair.w.expect_empty(a, port);
}

// covers mach-ipc R12
#[test]
fn a_reply_right_without_a_free_name_destroys_the_message() {
    let mut pair = Pair::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let reply = pair.request();
    pair.w.fill_names(pair.a);
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Err(MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE)));
    let header = pair.w.received(pair.a).header;
    assert_eq!((header.msgh_size, header.msgh_id), (24, 77));
    assert_eq!((header.msgh_remote_port, header.msgh_local_port), (MACH_PORT_NULL, pair.port));
    pair.w.notification(pair.c, reply, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(pair.w.status(pair.c, reply).mps_sorights, 0);
    pair.w.expect_empty(pair.a, pair.port);
}

/// `rdx` reports the QoS of a delivered message only (errata 6).
#[test]
fn a_destroyed_message_reports_no_qos() {
    let mut pair = Pair::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let reply = pair.w.port(pair.c);
    let bytes = Msg::copy_send(pair.send_right).reply_to(reply, D::MAKE_SEND_ONCE).encode();
    pair.w.put(pair.c, BUFFER, &bytes);
    let options = MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
    let priority = MessagePriority::encode(Qos::UserInteractive, Qos::UserInteractive, 0);
    let args = MachMsg { options, send_size: 24, priority, ..MachMsg::default() };
    assert_eq!(pair.w.mach_msg(pair.c, &args).code(), MACH_MSG_SUCCESS);
    pair.w.fill_names(pair.a);
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Err(MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE)));
    assert_eq!(pair.w.kernel.sched[pair.a.thread].frame().rdx, 0);
}

// covers mach-ipc R13
#[test]
fn a_carried_right_without_a_free_name_is_destroyed_alone() {
    let mut pair = Pair::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let carried = pair.w.port(pair.c);
    pair.w.send(pair.c, &Msg::copy_send(pair.send_right).id(5).port(carried, D::MAKE_SEND).words(&[9])).unwrap();
    pair.w.fill_names(pair.a);
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Err(MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE)));
    let received = pair.w.received(pair.a);
    assert_eq!((received.header.msgh_size, received.header.msgh_id), (44, 5));
    assert_eq!((received.header.msgh_local_port, received.header.local()), (pair.port, D::PORT_SEND));
    assert_eq!({ received.descriptor(0).name }, MACH_PORT_NULL);
    assert_eq!(received.words(), [9]);
    assert_eq!(pair.w.get_srights(pair.c, carried), Ok(0));
}

// covers mach-ipc R14
#[test]
fn a_reply_port_that_died_arrives_as_dead() {
    let mut pair = Pair::new();
    let reply = pair.request();
    pair.w.mod_refs(pair.c, reply, RECEIVE, -1).unwrap();
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Ok(()));
    assert_eq!(pair.w.received(pair.a).header.msgh_remote_port, MACH_PORT_DEAD);
}

// covers mach-ipc R15
#[test]
fn a_failed_send_skips_the_receive() {
    with_and_without_fast_path(|mut pair| {
        let own = pair.w.port_with_send(pair.c);
        pair.w.send(pair.c, &Msg::copy_send(own)).unwrap();
        let receiver = pair.w.receive(pair.a, pair.port, MsgOption::empty());
        assert_eq!(receiver, Ret::Blocked);
        let message = Msg::copy_send(pair.send_right).reply_to(UNUSED_NAME, D::MAKE_SEND_ONCE);
        assert_eq!(pair.send_and_receive(&message, own).code(), MACH_SEND_INVALID_REPLY);
        assert_eq!(pair.w.status(pair.c, own).mps_msgcount, 1);
        assert_eq!(pair.w.state(pair.a), Ret::Blocked);
    });
}

// covers mach-ipc R16
#[test]
fn a_message_is_delivered_even_if_the_receive_then_fails() {
    with_and_without_fast_path(|mut pair| {
        assert_eq!(pair.w.receive(pair.a, pair.port, MsgOption::empty()), Ret::Blocked);
        let message = Msg::copy_send(pair.send_right).id(6);
        assert_eq!(pair.send_and_receive(&message, UNUSED_NAME).code(), MACH_RCV_INVALID_NAME);
        assert_eq!(pair.w.state(pair.a).code(), MACH_MSG_SUCCESS);
        assert_eq!(pair.w.received(pair.a).header.msgh_id, 6);
    });
}

// covers mach-ipc R17
#[test]
fn mach_msg_without_send_and_receive_does_nothing() {
    let mut pair = Pair::new();
    pair.request();
    pair.w.put(pair.a, BUFFER, &UNWRITTEN);
    let args = MachMsg { send_size: 24, receive_size: 256, receive_name: pair.port, ..MachMsg::default() };
    assert_eq!(pair.w.mach_msg(pair.a, &args).code(), MACH_MSG_SUCCESS);
    assert!(pair.buffer().iter().all(|&byte| byte == UNWRITTEN_BYTE));
    assert_eq!(pair.w.status(pair.a, pair.port).mps_msgcount, 1);
}

// covers mach-ipc R18
#[test]
fn an_aborted_receive_is_interrupted() {
    let mut pair = Pair::new();
    let waiter = pair.w.thread(pair.a);
    let control = pair.w.thread_self(waiter);
    assert_eq!(pair.w.receive(waiter, pair.port, MsgOption::empty()), Ret::Blocked);
    pair.w.thread_abort(pair.a, control);
    assert_eq!(pair.w.state(waiter).code(), MACH_RCV_INTERRUPTED);
    pair.request();
    assert_eq!(pair.poll(MsgOption::empty(), BUFFER_SIZE), Ok(()));
}

// covers mach-ipc R19
#[test]
fn the_trailer_carries_the_context_of_the_port() {
    let mut pair = Pair::new();
    pair.w.set_context(pair.a, pair.port, 0xABCD).unwrap();
    pair.request();
    assert_eq!(pair.poll(MsgOption::trailer_elements(4), BUFFER_SIZE), Ok(()));
    assert_eq!({ pair.w.received(pair.a).trailer().msgh_context }, 0xABCD);
}

// covers mach-ipc R20
#[test]
fn a_message_too_large_for_one_waiter_goes_to_the_next() {
    with_and_without_fast_path(|mut pair| {
        let (first, second) = (pair.w.thread(pair.a), pair.w.thread(pair.a));
        let options = MsgOption::RCV_MSG | MsgOption::RCV_LARGE;
        let receive_size = SIZE_WITH_TRAILER - 1;
        let small = MachMsg { options, receive_size, receive_name: pair.port, ..MachMsg::default() };
        assert_eq!(pair.w.mach_msg(first, &small), Ret::Blocked);
        assert_eq!(pair.w.receive(second, pair.port, MsgOption::trailer_elements(1)), Ret::Blocked);
        let own = pair.w.port(pair.c);
        let message = Msg::copy_send(pair.send_right).id(8).reply_to(own, D::MAKE_SEND_ONCE);
        assert_eq!(pair.send_and_receive(&message, own), Ret::Blocked);
        assert_eq!(pair.w.state(first).code(), MACH_RCV_TOO_LARGE);
        assert_eq!(pair.w.received(first).header.msgh_size, 24);
        assert_eq!(pair.w.state(second).code(), MACH_MSG_SUCCESS);
        let received = pair.w.received(second);
        assert_eq!((received.header.msgh_id, received.trailer().msgh_seqno), (8, 0));
    });
}

// covers mach-ipc V03
#[test]
fn a_null_voucher_shows_its_disposition_only_with_rcv_voucher() {
    let mut pair = Pair::new();
    for (options, disposition) in [(MsgOption::RCV_VOUCHER, 17), (MsgOption::empty(), 0)] {
        pair.w.send(pair.c, &Msg::copy_send(pair.send_right).voucher(MACH_PORT_NULL, D::MOVE_SEND)).unwrap();
        pair.poll(options, BUFFER_SIZE).unwrap();
        let header = pair.w.received(pair.a).header;
        assert_eq!((header.voucher(), header.msgh_voucher_port), (D(disposition), MACH_PORT_NULL));
    }
}

// covers mach-ipc V06
#[test]
fn a_voucher_field_without_a_disposition_passes_unchanged() {
    let mut pair = Pair::new();
    pair.w.send(pair.c, &Msg::copy_send(pair.send_right).voucher(PortName(0xDEAD), D::NONE)).unwrap();
    pair.poll(MsgOption::RCV_VOUCHER, BUFFER_SIZE).unwrap();
    let header = pair.w.received(pair.a).header;
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::NONE, PortName(0xDEAD)));
}
