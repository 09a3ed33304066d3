//! The header of a message and the rights in it (mach-ipc 9.4).

use crate::calls::{SEND_RECEIVE, UNUSED_NAME, UNUSED_NAME_2};
use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, MEMORY_PAGES, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::PAGE_SIZE;
use abi::trap::mach;
use abi::{KernReturn, PortName};

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;

/// A disposition behind the last known one.
const BEHIND_THE_LAST: D = D(D::MAKE_SEND_ONCE.0 + 1);

/// The size of a message that is only a header.
const HEADER_SIZE: u32 = Header::SIZE as u32;
/// The size of the example in the specification: nearly 48 MiB.
const FAR_TOO_LARGE: u32 = 50_331_584;
/// Header bits that only the kernel sets.
const KERNEL_BITS: u32 = 0x3000_0000;
/// An address that is never mapped.
const UNMAPPED: u64 = 0x10;

/// Two tasks. A sends to a port of B.
struct Pair {
    w: World,
    a: Actor,
    b: Actor,
    /// B's receive right.
    port: PortName,
    /// A's send right, with one reference.
    send_right: PortName,
}

impl Pair {
    fn new() -> Pair {
        let mut w = World::new();
        let (a, b) = (w.task(), w.task());
        let (port, send_right) = w.connect(a, b);
        Pair { w, a, b, port, send_right }
    }

    /// Gives A a send-once right to a new port of B; returns B's name for the port and A's name for the right.
    fn once(&mut self) -> (PortName, PortName) {
        let port = self.w.port(self.b);
        (port, self.w.transfer(self.b, port, D::MAKE_SEND_ONCE, self.a))
    }

    /// Allocates a dead name in A.
    fn dead_name(&mut self) -> PortName {
        self.w.allocate(self.a, DEAD_NAME).unwrap()
    }

    /// Returns A's names with their types and send references.
    fn rights_of_a(&mut self) -> Vec<(PortName, PortType, u32)> {
        let names = self.w.names(self.a);
        let refs = |(name, kind)| (name, kind, self.w.get_refs(self.a, name, SEND).unwrap());
        names.into_iter().map(refs).collect()
    }

    /// Sends from A with this size and, if given, from this address.
    fn send_raw(&mut self, buffer: Option<u64>, send_size: u32) -> Result<(), KernReturn> {
        let args = MachMsg { options: MsgOption::SEND_MSG, buffer, send_size, ..MachMsg::default() };
        self.w.mach_msg(self.a, &args).code().ok()
    }
}

// covers mach-ipc H01
#[test]
fn a_size_below_a_header_or_not_a_multiple_of_4_is_refused() {
    let mut pair = Pair::new();
    let bytes = Msg::copy_send(pair.send_right).words(&[1, 2]).encode();
    pair.w.put(pair.a, BUFFER, &bytes);
    for size in [20, 26, 23] {
        assert_eq!(pair.send_raw(None, size), Err(MACH_SEND_MSG_TOO_SMALL));
    }
    pair.w.expect_empty(pair.b, pair.port);
    assert_eq!(pair.send_raw(None, HEADER_SIZE), Ok(()));
}

// covers mach-ipc H02
#[test]
fn an_oversized_message_is_refused_without_being_read() {
    let mut pair = Pair::new();
    let bytes = Msg::copy_send(pair.send_right).encode();
    pair.w.put(pair.a, BUFFER, &bytes);
    pair.w.machine.fail(None);
    let _ = pair.send_raw(None, 20);
    let other_copies = pair.w.machine.uses().0;
    for size in [FAR_TOO_LARGE, MAX_INLINE_SIZE as u32 + 4] {
        pair.w.machine.fail(None);
        assert_eq!(pair.send_raw(None, size), Err(MACH_SEND_TOO_LARGE));
        assert_eq!(pair.w.machine.uses().0, other_copies, "the buffer is not read");
        assert_eq!(pair.send_raw(Some(UNMAPPED), size), Err(MACH_SEND_TOO_LARGE));
    }
    assert_eq!(pair.send_raw(None, MAX_INLINE_SIZE as u32), Ok(()));
}

// covers mach-ipc H03
#[test]
fn an_unreadable_message_moves_no_rights() {
    let mut pair = Pair::new();
    let (w, a) = (&mut pair.w, pair.a);
    let (carried, reply) = (w.port(a), w.port(a));
    let last_page = a.memory + (MEMORY_PAGES - 1) * PAGE_SIZE;
    w.call(a, mach::MACH_VM_DEALLOCATE, &[u64::from(a.self_port.0), last_page, PAGE_SIZE]).unwrap();
    let start = last_page - 2048;
    let message = Msg::to(pair.send_right, D::MOVE_SEND)
        .reply_to(reply, D::MAKE_SEND_ONCE)
        .port(carried, D::MOVE_RECEIVE)
        .encode();
    w.put(a, start - a.memory, &message);
    let before = pair.rights_of_a();
    assert_eq!(pair.send_raw(Some(start), 4096), Err(MACH_SEND_INVALID_DATA));
    assert_eq!(pair.rights_of_a(), before);
    assert_eq!(pair.w.status(a, reply).mps_sorights, 0);
    pair.w.expect_empty(pair.b, pair.port);
}

// covers mach-ipc H04
#[test]
fn the_received_size_is_the_send_size_and_not_the_header_field() {
    let mut pair = Pair::new();
    let mut bytes = Msg::copy_send(pair.send_right).encode();
    bytes[4..8].copy_from_slice(&9999u32.to_le_bytes());
    pair.w.put(pair.a, BUFFER, &bytes);
    assert_eq!(pair.send_raw(None, HEADER_SIZE), Ok(()));
    assert_eq!(pair.w.poll(pair.b, pair.port).unwrap().header.msgh_size, HEADER_SIZE);
}

// covers mach-ipc H05
#[test]
fn header_bits_reserved_for_the_kernel_are_cleared_silently() {
    let mut pair = Pair::new();
    let message = Msg::copy_send(pair.send_right).bits(KERNEL_BITS);
    assert_eq!(pair.w.send(pair.a, &message), Ok(()));
    let received = pair.w.poll(pair.b, pair.port).unwrap();
    assert_eq!(received.header.msgh_bits & KERNEL_BITS, 0);
    assert_eq!(received.header.msgh_bits, u32::from(D::PORT_SEND.0) << 8);
}

// covers mach-ipc H06
#[test]
fn a_destination_with_a_non_sending_disposition_is_refused() {
    let mut pair = Pair::new();
    for disposition in [D::NONE, D::MOVE_RECEIVE, BEHIND_THE_LAST] {
        let message = Msg::to(pair.send_right, disposition);
        assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_HEADER));
    }
    pair.w.expect_empty(pair.b, pair.port);
    assert_eq!(pair.w.get_refs(pair.a, pair.send_right, SEND), Ok(1));
}

// covers mach-ipc H07
#[test]
fn a_reply_port_with_a_non_sending_disposition_is_refused() {
    let mut pair = Pair::new();
    let reply = pair.w.port_with_send(pair.a);
    for disposition in [D::NONE, D::MOVE_RECEIVE] {
        let message = Msg::copy_send(pair.send_right).reply_to(reply, disposition);
        assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_HEADER));
    }
    pair.w.expect_empty(pair.b, pair.port);
    assert_eq!(pair.w.port_type(pair.a, reply), Ok(SEND_RECEIVE));
}

// covers mach-ipc H08
#[test]
fn a_destination_without_a_live_send_right_is_refused() {
    let mut pair = Pair::new();
    let (dead, (_, once)) = (pair.dead_name(), pair.once());
    let reply = pair.w.port(pair.a);
    let before = pair.rights_of_a();
    for to in [MACH_PORT_NULL, MACH_PORT_DEAD, UNUSED_NAME, dead, once] {
        let message = Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE);
        assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_DEST), "{to:?}");
    }
    assert_eq!(pair.rights_of_a(), before);
    assert_eq!(pair.w.status(pair.a, reply).mps_sorights, 0);
    assert_eq!(pair.w.get_refs(pair.a, dead, DEAD_NAME), Ok(1));
}

// covers mach-ipc H09
#[test]
fn an_unknown_reply_port_leaves_the_destination_right_unchanged() {
    let mut pair = Pair::new();
    let message = Msg::to(pair.send_right, D::MOVE_SEND).reply_to(UNUSED_NAME, D::COPY_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_REPLY));
    assert_eq!(pair.w.get_refs(pair.a, pair.send_right, SEND), Ok(1));
}

// covers mach-ipc H10
#[test]
fn a_dead_name_as_reply_port_arrives_as_dead() {
    let mut pair = Pair::new();
    let dead = pair.dead_name();
    pair.w.mod_refs(pair.a, dead, DEAD_NAME, 1).unwrap();
    let message = Msg::copy_send(pair.send_right).reply_to(dead, D::MOVE_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Ok(()));
    let header = pair.w.poll(pair.b, pair.port).unwrap().header;
    assert_eq!((header.msgh_remote_port, header.remote()), (MACH_PORT_DEAD, D::PORT_SEND));
    assert_eq!(pair.w.get_refs(pair.a, dead, DEAD_NAME), Ok(1));
}

// covers mach-ipc H11 H12
#[test]
fn moving_a_send_right_twice_takes_two_references() {
    let mut pair = Pair::new();
    let n = pair.send_right;
    let message = Msg::to(n, D::MOVE_SEND).reply_to(n, D::MOVE_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_DEST));
    assert_eq!(pair.w.get_refs(pair.a, n, SEND), Ok(1));

    pair.w.mod_refs(pair.a, n, SEND, 1).unwrap();
    assert_eq!(pair.w.send(pair.a, &message), Ok(()));
    assert_eq!(pair.w.port_type(pair.a, n), Err(KERN_INVALID_NAME));
    let header = pair.w.poll(pair.b, pair.port).unwrap().header;
    assert_eq!((header.msgh_remote_port, header.msgh_local_port), (pair.port, pair.port));
    assert_eq!(pair.w.port_type(pair.b, pair.port), Ok(SEND_RECEIVE));
}

// covers mach-ipc H13
#[test]
fn one_reference_is_enough_to_send_and_to_move_the_right() {
    let mut pair = Pair::new();
    let message = Msg::copy_send(pair.send_right).reply_to(pair.send_right, D::MOVE_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Ok(()));
    assert_eq!(pair.w.port_type(pair.a, pair.send_right), Err(KERN_INVALID_NAME));
    let header = pair.w.poll(pair.b, pair.port).unwrap().header;
    assert_eq!((header.msgh_remote_port, header.remote()), (pair.port, D::PORT_SEND));
    assert_eq!(pair.w.get_refs(pair.b, pair.port, SEND), Ok(1));
}

// covers mach-ipc H14
#[test]
fn a_send_once_right_is_not_copied_for_the_reply() {
    let mut pair = Pair::new();
    let (_, once) = pair.once();
    let message = Msg::to(once, D::MOVE_SEND_ONCE).reply_to(once, D::COPY_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_REPLY));
    assert_eq!(pair.w.port_type(pair.a, once), Ok(PortType::SEND_ONCE));
}

// covers mach-ipc H15
#[test]
fn one_receive_right_can_make_both_header_rights() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port(a);
    w.send(a, &Msg::to(p, D::MAKE_SEND).reply_to(p, D::MAKE_SEND_ONCE)).unwrap();
    let header = w.poll(a, p).unwrap().header;
    assert_eq!((header.msgh_local_port, header.local()), (p, D::PORT_SEND));
    assert_ne!(header.msgh_remote_port, p);
    assert_eq!(header.remote(), D::PORT_SEND_ONCE);
    assert_eq!(w.port_type(a, header.msgh_remote_port), Ok(PortType::SEND_ONCE));
    assert_eq!(w.status(a, p).mps_mscount, 1);
}

// covers mach-ipc H16
#[test]
fn a_reply_to_a_port_that_died_succeeds() {
    let mut pair = Pair::new();
    let (port, once) = pair.once();
    pair.w.mod_refs(pair.b, port, RECEIVE, -1).unwrap();
    assert_eq!(pair.w.send(pair.a, &Msg::to(once, D::MOVE_SEND_ONCE)), Ok(()));
    assert_eq!(pair.w.port_type(pair.a, once), Err(KERN_INVALID_NAME));
}

// covers mach-ipc H17
#[test]
fn a_reply_to_a_dead_name_is_refused() {
    let mut pair = Pair::new();
    let (port, once) = pair.once();
    let notify = pair.w.port(pair.a);
    pair.w.request(pair.a, once, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    pair.w.mod_refs(pair.b, port, RECEIVE, -1).unwrap();
    assert_eq!(pair.w.send(pair.a, &Msg::to(once, D::MOVE_SEND_ONCE)), Err(MACH_SEND_INVALID_DEST));
    assert_eq!(pair.w.port_type(pair.a, once), Ok(PortType::DEAD_NAME));
    assert_eq!(pair.w.get_refs(pair.a, once, DEAD_NAME), Ok(2));
    assert_eq!(pair.w.notification(pair.a, notify, MACH_NOTIFY_DEAD_NAME), once.0);
}

// covers mach-ipc H18
#[test]
fn a_request_arrives_with_its_reply_right_and_its_id() {
    let mut pair = Pair::new();
    let reply = pair.w.port(pair.a);
    let message = Msg::copy_send(pair.send_right).reply_to(reply, D::MAKE_SEND_ONCE).id(-42);
    pair.w.send(pair.a, &message).unwrap();
    let header = pair.w.poll(pair.b, pair.port).unwrap().header;
    assert_eq!((header.remote(), header.local(), header.msgh_id), (D::PORT_SEND_ONCE, D::PORT_SEND, -42));
    assert_eq!(pair.w.port_type(pair.b, header.msgh_remote_port), Ok(PortType::SEND_ONCE));
}

/// mach-ipc 3.4: in the reply position these names are not looked up.
#[test]
fn a_null_or_dead_reply_port_is_delivered_unchanged() {
    let mut pair = Pair::new();
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD] {
        for (sent, seen) in [(D::MOVE_SEND, 17), (D::COPY_SEND, 17), (D::MAKE_SEND, 17), (D::MAKE_SEND_ONCE, 18)] {
            assert_eq!(pair.w.send(pair.a, &Msg::copy_send(pair.send_right).reply_to(name, sent)), Ok(()));
            let header = pair.w.poll(pair.b, pair.port).unwrap().header;
            assert_eq!((header.msgh_remote_port, header.remote()), (name, D(seen)));
        }
    }
}

/// mach-ipc 3.7, step H7: an unknown destination wins over an unknown reply port, and a reply port that is unknown wins
/// over a destination with the wrong right.
#[test]
fn the_reply_port_is_checked_after_lookup_and_before_copyin() {
    let mut pair = Pair::new();
    let (unknown, (_, once)) = (UNUSED_NAME, pair.once());
    let before = pair.rights_of_a();
    for (to, code) in [(unknown, MACH_SEND_INVALID_DEST), (once, MACH_SEND_INVALID_REPLY)] {
        let message = Msg::copy_send(to).reply_to(UNUSED_NAME_2, D::MAKE_SEND_ONCE);
        assert_eq!(pair.w.send(pair.a, &message), Err(code));
    }
    assert_eq!(pair.rights_of_a(), before);
}

/// mach-ipc 3.7, "joint copyin": destination and reply right come from one name.
#[test]
fn two_header_rights_of_one_name_need_as_many_references_as_they_move() {
    let mut w = World::new();
    let a = w.task();
    let rows = [
        (D::MOVE_SEND, D::MOVE_SEND, 1, None),
        (D::MOVE_SEND, D::MOVE_SEND, 2, Some(0)),
        (D::MOVE_SEND, D::COPY_SEND, 1, Some(0)),
        (D::COPY_SEND, D::MOVE_SEND, 1, Some(0)),
        (D::COPY_SEND, D::COPY_SEND, 1, Some(1)),
        (D::MAKE_SEND, D::MOVE_SEND, 1, Some(0)),
        (D::MOVE_SEND, D::MAKE_SEND_ONCE, 1, Some(0)),
        (D::MOVE_SEND, D::MAKE_SEND, 3, Some(2)),
    ];
    for (remote, local, refs, left) in rows {
        let p = w.port_with_send(a);
        w.mod_refs(a, p, SEND, refs - 1).unwrap();
        let expected = left.map_or(Err(MACH_SEND_INVALID_DEST), |_| Ok(()));
        assert_eq!(w.send(a, &Msg::to(p, remote).reply_to(p, local)), expected, "{remote:?} {local:?} of {refs}");
        assert_eq!(w.get_refs(a, p, SEND), Ok(left.unwrap_or(refs as u32)), "{remote:?} {local:?} of {refs}");
        assert_eq!(w.poll(a, p).is_ok(), left.is_some());
    }
}

// covers mach-ipc V02
#[test]
fn only_a_voucher_can_be_sent_as_a_voucher() {
    let mut pair = Pair::new();
    let (dead, (_, once)) = (pair.dead_name(), pair.once());
    let own = pair.w.port_with_send(pair.a);
    let before = pair.rights_of_a();
    for name in [own, once, dead, UNUSED_NAME, MACH_PORT_DEAD] {
        let message = Msg::to(pair.send_right, D::MOVE_SEND).voucher(name, D::COPY_SEND);
        assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_VOUCHER), "{name:?}");
    }
    for disposition in [D::MOVE_RECEIVE, D::MOVE_SEND_ONCE, D::MAKE_SEND, D::MAKE_SEND_ONCE, BEHIND_THE_LAST] {
        let message = Msg::copy_send(pair.send_right).voucher(MACH_PORT_NULL, disposition);
        assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_VOUCHER), "{disposition:?}");
    }
    assert_eq!(pair.rights_of_a(), before);
    pair.w.expect_empty(pair.b, pair.port);
}

// covers mach-ipc V10
#[test]
fn the_voucher_is_checked_before_the_destination() {
    let mut pair = Pair::new();
    let rows = [(UNUSED_NAME, MACH_SEND_INVALID_VOUCHER), (MACH_PORT_NULL, MACH_SEND_INVALID_DEST)];
    for (to, code) in rows {
        let message = Msg::copy_send(to).voucher(UNUSED_NAME_2, D::COPY_SEND);
        assert_eq!(pair.w.send(pair.a, &message), Err(code), "{to:?}");
    }
}
