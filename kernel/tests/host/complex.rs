//! Messages that carry rights (mach-ipc 9.5).

use crate::calls::UNUSED_NAME;
use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::{KernReturn, PortName};
use kernel::limits::DESCRIPTORS_MAX;
use kernel::machine::UserAddr;

const SEND: u32 = MACH_PORT_RIGHT_SEND;

/// The place of the number of descriptors, right behind the header.
const COUNT_OFFSET: usize = Header::SIZE;
const UNKNOWN_DESCRIPTOR_TYPE: u8 = 5;

/// Creates two tasks A and B with a port that B receives from and to which A has a send right.
fn pair() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (port, send_right) = w.connect(a, b);
    (w, a, b, port, send_right)
}

/// Sends a complex message of `size` bytes with this number of descriptors in its count field.
fn send_counted(w: &mut World, a: Actor, send_right: PortName, count: u32, size: usize) -> Result<(), KernReturn> {
    let mut bytes = Msg::copy_send(send_right).bits(HeaderFlags::COMPLEX.bits()).encode();
    bytes[COUNT_OFFSET..DESCRIPTORS_OFFSET].copy_from_slice(&count.to_le_bytes());
    bytes.resize(size, 0);
    w.put(a, BUFFER, &bytes);
    let args = MachMsg { options: MsgOption::SEND_MSG, send_size: size as u32, ..MachMsg::default() };
    w.mach_msg(a, &args).code().ok()
}

// covers mach-ipc X01 X02
#[test]
fn a_complex_message_too_short_for_its_descriptors_is_refused() {
    let (mut w, a, b, port, send_right) = pair();
    assert_eq!(send_counted(&mut w, a, send_right, 0, 24), Err(MACH_SEND_MSG_TOO_SMALL));
    assert_eq!(send_counted(&mut w, a, send_right, 2, 40), Err(MACH_SEND_MSG_TOO_SMALL));
    w.expect_empty(b, port);
}

// covers mach-ipc X03
#[test]
fn a_complex_message_may_have_no_descriptors() {
    let (mut w, a, b, port, send_right) = pair();
    assert_eq!(send_counted(&mut w, a, send_right, 0, 28), Ok(()));
    let received = w.poll(b, port).unwrap();
    assert!(received.is_complex());
    assert_eq!(received.header.msgh_size, 28);
}

// covers mach-ipc X04
#[test]
fn an_unknown_descriptor_type_destroys_the_reply_right() {
    let (mut w, a, b, port, send_right) = pair();
    let reply = w.port(a);
    let mut bytes =
        Msg::copy_send(send_right).reply_to(reply, D::MAKE_SEND_ONCE).port(MACH_PORT_NULL, D::COPY_SEND).encode();
    bytes[DESCRIPTORS_OFFSET + DESCRIPTOR_TYPE_OFFSET] = UNKNOWN_DESCRIPTOR_TYPE;
    w.put(a, BUFFER, &bytes);
    let args = MachMsg { options: MsgOption::SEND_MSG, send_size: bytes.len() as u32, ..MachMsg::default() };
    assert_eq!(w.mach_msg(a, &args).code(), MACH_SEND_INVALID_TYPE);
    w.notification(a, reply, MACH_NOTIFY_SEND_ONCE);
    w.expect_empty(b, port);
}

// covers mach-ipc X05
#[test]
fn an_invalid_descriptor_destroys_the_rights_taken_before_it() {
    let (mut w, a, b, port, send_right) = pair();
    let (_, x) = w.connect(a, b);
    let message = Msg::copy_send(send_right).port(x, D::MOVE_SEND).port(UNUSED_NAME, D::COPY_SEND);
    assert_eq!(w.send(a, &message), Err(MACH_SEND_INVALID_RIGHT));
    assert_eq!(w.port_type(a, x), Err(KERN_INVALID_NAME));
    w.expect_empty(b, port);
}

// covers mach-ipc X06
#[test]
fn one_send_reference_cannot_be_moved_twice() {
    let (mut w, a, b, port, send_right) = pair();
    let (_, x) = w.connect(a, b);
    let message = Msg::copy_send(send_right).port(x, D::MOVE_SEND).port(x, D::MOVE_SEND);
    assert_eq!(w.send(a, &message), Err(MACH_SEND_INVALID_RIGHT));
    assert_eq!(w.port_type(a, x), Err(KERN_INVALID_NAME));
    w.expect_empty(b, port);
}

// covers mach-ipc X07
#[test]
fn null_and_dead_names_are_carried_unchanged() {
    let (mut w, a, b, port, send_right) = pair();
    let message = Msg::copy_send(send_right).port(MACH_PORT_NULL, D::COPY_SEND).port(MACH_PORT_DEAD, D::COPY_SEND);
    assert_eq!(w.send(a, &message), Ok(()));
    let received = w.poll(b, port).unwrap();
    for (n, name) in [(0, MACH_PORT_NULL), (1, MACH_PORT_DEAD)] {
        let descriptor = received.descriptor(n);
        assert_eq!(({ descriptor.name }, descriptor.disposition), (name, D::PORT_SEND));
    }
}

// covers mach-ipc X08
#[test]
fn a_moved_dead_name_arrives_as_dead_and_loses_a_reference() {
    let (mut w, a, b, port, send_right) = pair();
    let dead = w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    assert_eq!(w.send(a, &Msg::copy_send(send_right).port(dead, D::MOVE_SEND)), Ok(()));
    assert_eq!({ w.poll(b, port).unwrap().descriptor(0).name }, MACH_PORT_DEAD);
    assert_eq!(w.port_type(a, dead), Err(KERN_INVALID_NAME));
}

// covers mach-ipc X09
#[test]
fn a_sender_keeps_its_send_right_when_it_moves_the_receive_right() {
    let (mut w, a, b, port, send_right) = pair();
    let p = w.port_with_send(a);
    w.mod_refs(a, p, SEND, 1).unwrap();
    assert_eq!(w.status(a, p).mps_mscount, 1);
    assert_eq!(w.send(a, &Msg::copy_send(send_right).port(p, D::MOVE_RECEIVE)), Ok(()));
    assert_eq!(w.port_type(a, p), Ok(PortType::SEND));
    assert_eq!(w.get_refs(a, p, SEND), Ok(2));
    let moved = w.poll(b, port).unwrap().descriptor(0).name;
    assert_eq!(w.status(b, moved).mps_mscount, 0);
}

// covers mach-ipc X23
#[test]
fn changes_by_the_sender_after_the_copy_have_no_effect() {
    let (mut w, a, b, port, send_right) = pair();
    let (x, y) = (w.port(a), w.port(a));
    let message = Msg::copy_send(send_right).port(x, D::MAKE_SEND).port(y, D::MAKE_SEND);
    let count_at = UserAddr(w.buffer(a) + COUNT_OFFSET as u64);
    w.machine.write_after_copy(0, a.space, count_at, &1000u32.to_le_bytes());
    assert_eq!(w.send(a, &message), Ok(()));
    assert_eq!(w.get(a, BUFFER + COUNT_OFFSET as u64, 4), 1000u32.to_le_bytes());
    assert_eq!(w.poll(b, port).unwrap().descriptors().len(), 2);
    assert_eq!((w.get_srights(a, x), w.get_srights(a, y)), (Ok(1), Ok(1)));
}

/// The send right that stays needs a place in the index of send rights, which grows.
#[test]
fn send_rights_stay_when_many_receive_rights_move_away() {
    const MANY: usize = 200;
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (mailbox, send_right) = w.connect(a, b);
    w.checked = false;
    let ports: Vec<_> = (0..MANY).map(|_| w.port_with_send(a)).collect();
    for &port in &ports {
        w.send(a, &Msg::copy_send(send_right).port(port, D::MOVE_RECEIVE)).unwrap();
        w.poll(b, mailbox).unwrap();
        assert_eq!(w.port_type(a, port), Ok(PortType::SEND));
    }
    kernel::inspect::invariants::check_all(&w.kernel);
}

#[test]
fn a_message_has_a_limited_number_of_descriptors() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let port = w.port(b);
    let to = w.give_send(b, port, a);
    let right = w.port_with_send(a);
    let message =
        |count: usize| (0..count).fold(Msg::copy_send(to), |message, _| message.port(right, Disposition::COPY_SEND));
    w.send(a, &message(DESCRIPTORS_MAX)).unwrap();
    let rights = w.poll(b, port).unwrap().descriptors();
    assert_eq!(rights.len(), DESCRIPTORS_MAX);
    let before = w.counts();
    assert_eq!(w.send(a, &message(DESCRIPTORS_MAX + 1)), Err(MACH_SEND_TOO_LARGE));
    assert_eq!(w.counts(), before);
    w.expect_empty(b, port);
}
