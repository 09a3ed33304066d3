//! Notifications: messages of the kernel about rights, to tasks that requested them (mach-ipc 9.3).

use crate::calls::{Form, UNUSED_NAME, in_both_forms};
use crate::message::Msg;
use crate::world::{Actor, World};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::{KernReturn, PortName};
use kernel::limits::Limits;

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;
/// The null notify right, which cancels a request.
const CANCEL: (PortName, D) = (MACH_PORT_NULL, D::MAKE_SEND_ONCE);

/// Returns a notify right that sends to `port`.
fn at(port: PortName) -> (PortName, D) {
    (port, D::MAKE_SEND_ONCE)
}

/// Two tasks. B makes requests on its send right to a port of A.
struct Pair {
    w: World,
    a: Actor,
    /// A's receive right.
    port: PortName,
    b: Actor,
    /// B's send right to it, with one reference.
    send_right: PortName,
    /// B's port for notifications.
    notify: PortName,
}

impl Pair {
    fn new(mut w: World) -> Pair {
        let (a, b) = (w.task(), w.task());
        let (port, send_right) = w.connect(b, a);
        let notify = w.port(b);
        Pair { w, a, port, b, send_right, notify }
    }

    /// Creates a pair with as many queued messages as the port's limit allows.
    fn with_full_queue(w: World) -> Pair {
        let mut pair = Pair::new(w);
        (0..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| pair.send(1, MsgOption::empty()).unwrap());
        pair
    }

    /// Sends from B without waiting for room.
    fn send(&mut self, id: i32, options: MsgOption) -> Result<(), KernReturn> {
        let message = Msg::copy_send(self.send_right).id(id);
        self.w.send_with(self.b, &message, options | MsgOption::SEND_TIMEOUT, 0).code().ok()
    }

    /// Receives the next message in A.
    fn receive_one(&mut self) {
        self.w.poll(self.a, self.port).unwrap();
    }

    /// Registers a request on B's send right, which must not have one yet.
    fn request(&mut self, id: i32, sync: u32) {
        let previous = self.w.request(self.b, self.send_right, id, sync, at(self.notify));
        assert_eq!(previous, Ok(MACH_PORT_NULL));
    }

    /// Expects exactly one notification, with this id and B's name for its send right.
    fn expect_notification(&mut self, id: i32) {
        assert_eq!(self.w.notification(self.b, self.notify, id), self.send_right.0);
        self.expect_silence();
    }

    /// Expects that no notification has come.
    fn expect_silence(&mut self) {
        self.w.expect_empty(self.b, self.notify);
    }

    fn type_at_b(&mut self) -> Result<PortType, KernReturn> {
        self.w.port_type(self.b, self.send_right)
    }

    fn destroy_port(&mut self) {
        self.w.mod_refs(self.a, self.port, RECEIVE, -1).unwrap();
    }
}

/// Checks that a returned send-once right belongs to `port`: a message sent to it arrives there.
fn assert_leads_to(w: &mut World, a: Actor, once: PortName, port: PortName) {
    assert_eq!(w.port_type(a, once), Ok(PortType::SEND_ONCE));
    const PROBE_ID: i32 = 4711;
    w.send(a, &Msg::to(once, D::MOVE_SEND_ONCE).id(PROBE_ID)).unwrap();
    assert_eq!(w.poll(a, port).unwrap().header.msgh_id, PROBE_ID);
}

// covers mach-ipc T01
#[test]
fn no_senders_is_sent_at_once_to_a_port_without_senders() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n) = (w.port(a), w.port(a));
        assert_eq!(w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, at(n)), Ok(MACH_PORT_NULL));
        assert_eq!(w.notification(a, n, MACH_NOTIFY_NO_SENDERS), 0);
        assert_eq!(w.status(a, p).mps_nsrequest, 0);
    });
}

// covers mach-ipc T02
#[test]
fn a_no_senders_request_waits_for_its_make_send_count() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n) = (w.port(a), w.port(a));
        assert_eq!(w.request(a, p, MACH_NOTIFY_NO_SENDERS, 1, at(n)), Ok(MACH_PORT_NULL));
        w.expect_empty(a, n);
        assert_eq!(w.status(a, p).mps_nsrequest, 1);
        w.insert_right(a, p, p, D::MAKE_SEND).unwrap();
        w.expect_empty(a, n);
        w.deallocate(a, p).unwrap();
        assert_eq!(w.notification(a, n, MACH_NOTIFY_NO_SENDERS), 1);
        assert_eq!(w.status(a, p).mps_nsrequest, 0);
    });
}

// covers mach-ipc T03
#[test]
fn a_send_right_in_a_message_counts_as_a_sender() {
    in_both_forms(|mut w| {
        let (a, b) = (w.task(), w.task());
        let (p, n) = (w.port_with_send(a), w.port(a));
        w.mod_refs(a, p, SEND, 1).unwrap();
        let (mailbox, send_right) = w.connect(a, b);
        w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, at(n)).unwrap();
        w.send(a, &Msg::copy_send(send_right).port(p, D::COPY_SEND)).unwrap();
        w.deallocate(a, p).unwrap();
        w.deallocate(a, p).unwrap();
        assert_eq!(w.port_type(a, p), Ok(PortType::RECEIVE));
        w.expect_empty(a, n);
        w.mod_refs(b, mailbox, RECEIVE, -1).unwrap();
        assert_eq!(w.notification(a, n, MACH_NOTIFY_NO_SENDERS), 1);
    });
}

// covers mach-ipc T04 T05
#[test]
fn a_new_no_senders_request_returns_the_previous_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n1, n2) = (w.port_with_send(a), w.port(a), w.port(a));
        w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, at(n1)).unwrap();
        let before = w.names(a);
        let first = w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, at(n2)).unwrap();
        assert!(before.iter().all(|&(name, _)| name != first), "{first:?} is a new name");
        assert_leads_to(&mut w, a, first, n1);
        let second = w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, CANCEL).unwrap();
        assert_leads_to(&mut w, a, second, n2);
        w.deallocate(a, p).unwrap();
        assert_eq!(w.status(a, p).mps_srights, 0);
        w.expect_empty(a, n1);
        w.expect_empty(a, n2);
    });
}

// covers mach-ipc T06
#[test]
fn dead_name_carries_the_requesters_own_name() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        pair.request(MACH_NOTIFY_DEAD_NAME, 0);
        pair.destroy_port();
        pair.expect_notification(MACH_NOTIFY_DEAD_NAME);
        assert_eq!(pair.type_at_b(), Ok(PortType::DEAD_NAME));
        assert_eq!(pair.w.get_refs(pair.b, pair.send_right, DEAD_NAME), Ok(2));
    });
}

// covers mach-ipc T07
#[test]
fn a_request_on_a_dead_name_fires_at_once_or_is_refused() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (d, n) = (w.allocate(a, DEAD_NAME).unwrap(), w.port(a));
        assert_eq!(w.request(a, d, MACH_NOTIFY_DEAD_NAME, 0, at(n)), Err(KERN_INVALID_ARGUMENT));
        w.notification(a, n, MACH_NOTIFY_SEND_ONCE);
        assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(1));
        for (id, sync, urefs) in [(MACH_NOTIFY_DEAD_NAME, 1, 2), (MACH_NOTIFY_SEND_POSSIBLE, 0, 3)] {
            assert_eq!(w.request(a, d, id, sync, at(n)), Ok(MACH_PORT_NULL));
            assert_eq!(w.notification(a, n, MACH_NOTIFY_DEAD_NAME), d.0);
            assert_eq!(w.get_refs(a, d, DEAD_NAME), Ok(urefs));
        }
    });
}

// covers mach-ipc T08
#[test]
fn deallocating_a_name_with_a_request_causes_port_deleted() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        pair.request(MACH_NOTIFY_DEAD_NAME, 0);
        pair.w.deallocate(pair.b, pair.send_right).unwrap();
        pair.expect_notification(MACH_NOTIFY_PORT_DELETED);
        assert_eq!(pair.type_at_b(), Err(KERN_INVALID_NAME));
        assert_eq!(pair.w.port_type(pair.a, pair.port), Ok(PortType::RECEIVE), "the port lives");
    });
}

// covers mach-ipc T09
#[test]
fn moving_a_name_with_a_request_causes_port_deleted() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        let (_, mailbox) = pair.w.connect(pair.b, pair.a);
        pair.request(MACH_NOTIFY_DEAD_NAME, 0);
        pair.w.send(pair.b, &Msg::copy_send(mailbox).port(pair.send_right, D::MOVE_SEND)).unwrap();
        pair.expect_notification(MACH_NOTIFY_PORT_DELETED);
        assert_eq!(pair.type_at_b(), Err(KERN_INVALID_NAME));
    });
}

// covers mach-ipc T10
#[test]
fn a_name_has_one_dead_name_or_send_possible_request() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        pair.request(MACH_NOTIFY_DEAD_NAME, 0);
        let (b, n2) = (pair.b, pair.w.port(pair.b));
        let before = pair.w.names(b);
        let previous = pair.w.request(b, pair.send_right, MACH_NOTIFY_SEND_POSSIBLE, 0, at(n2)).unwrap();
        assert!(before.iter().all(|&(name, _)| name != previous), "{previous:?} is a new name");
        assert_leads_to(&mut pair.w, b, previous, pair.notify);
        pair.destroy_port();
        assert_eq!(pair.w.notification(b, n2, MACH_NOTIFY_DEAD_NAME), pair.send_right.0);
        pair.w.expect_empty(b, n2);
        pair.expect_silence();
    });
}

// covers mach-ipc T11
#[test]
fn port_destroyed_delivers_the_receive_right_with_its_messages() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n) = (w.port_with_send(a), w.port(a));
        w.set_qlimit(a, p, 9).unwrap();
        (0..5).for_each(|id| w.send(a, &Msg::copy_send(p).id(id)).unwrap());
        (0..2).for_each(|id| assert_eq!(w.poll(a, p).unwrap().header.msgh_id, id));
        assert_eq!(w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, at(n)), Ok(MACH_PORT_NULL));
        assert_eq!((w.status(a, p).mps_seqno, w.status(a, p).mps_pdrequest), (2, 1));
        assert_eq!(w.mod_refs(a, p, RECEIVE, -1), Ok(()));
        let message = w.poll(a, n).unwrap();
        assert_eq!((message.header.msgh_id, message.is_complex()), (MACH_NOTIFY_PORT_DESTROYED, true));
        assert_eq!(message.descriptors().len(), 1);
        let descriptor = message.descriptor(0);
        assert_eq!(descriptor.disposition, D::PORT_RECEIVE);
        let status = w.status(a, descriptor.name);
        assert_eq!((status.mps_msgcount, status.mps_qlimit, status.mps_seqno), (3, 9, 0));
        assert_eq!(status.mps_pdrequest, 0);
        for (id, seqno) in [(2, 0), (3, 1), (4, 2)] {
            let message = w.poll(a, descriptor.name).unwrap();
            assert_eq!((message.header.msgh_id, message.trailer().msgh_seqno), (id, seqno));
        }
    });
}

// covers mach-ipc T12
#[test]
fn a_second_port_destroyed_request_is_refused() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, fresh, n) = (w.port(a), w.port(a), w.port(a));
        assert_eq!(w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, at(n)), Ok(MACH_PORT_NULL));
        assert_eq!(w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, at(n)), Err(KERN_FAILURE));
        w.notification(a, n, MACH_NOTIFY_SEND_ONCE);
        assert_eq!(w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, CANCEL), Err(KERN_FAILURE));
        assert_eq!(w.request(a, fresh, MACH_NOTIFY_PORT_DESTROYED, 1, at(n)), Err(KERN_INVALID_VALUE));
        w.notification(a, n, MACH_NOTIFY_SEND_ONCE);
        assert_eq!((w.status(a, p).mps_pdrequest, w.status(a, fresh).mps_pdrequest), (1, 0));
    });
}

// covers mach-ipc T13
#[test]
fn a_send_right_stays_alive_when_port_destroyed_moves_the_receive_right() {
    in_both_forms(|mut w| {
        let (a, c) = (w.task(), w.task());
        let (p, n) = (w.port(c), w.port(c));
        w.request(c, p, MACH_NOTIFY_PORT_DESTROYED, 0, at(n)).unwrap();
        let at_a = w.transfer(c, p, D::MOVE_RECEIVE, a);
        w.insert_right(a, at_a, at_a, D::MAKE_SEND).unwrap();
        assert_eq!(w.mod_refs(a, at_a, RECEIVE, -1), Ok(()));
        assert_eq!((w.port_type(a, at_a), w.get_refs(a, at_a, SEND)), (Ok(PortType::SEND), Ok(1)));
        let home = PortName(w.notification(c, n, MACH_NOTIFY_PORT_DESTROYED));
        assert_eq!(w.port_type(c, home), Ok(PortType::RECEIVE));
        w.send(a, &Msg::copy_send(at_a).id(13)).unwrap();
        assert_eq!(w.poll(c, home).unwrap().header.msgh_id, 13);
    });
}

// covers mach-ipc T14
#[test]
fn a_request_needs_a_live_notify_right_and_a_known_id() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n) = (w.port(a), w.port(a));
        const UNKNOWN_ID: i32 = 99;
        let known =
            [MACH_NOTIFY_PORT_DESTROYED, MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_SEND_POSSIBLE];
        for id in known.into_iter().chain([UNKNOWN_ID]) {
            assert_eq!(w.request(a, p, id, 0, at(MACH_PORT_DEAD)), Err(KERN_INVALID_CAPABILITY), "{id}");
        }
        assert_eq!(w.request(a, p, UNKNOWN_ID, 0, at(n)), Err(KERN_INVALID_VALUE));
        w.notification(a, n, MACH_NOTIFY_SEND_ONCE);
        let status = w.status(a, p);
        assert_eq!((status.mps_nsrequest, status.mps_pdrequest, w.port_type(a, p)), (0, 0, Ok(PortType::RECEIVE)));
    });
}

#[test]
fn a_request_accepts_only_a_send_once_right() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, n) = (w.port(a), w.port(a));
        let refused = if w.form == Form::Trap { MACH_SEND_INVALID_DEST } else { MIG_TYPE_ERROR };
        assert_eq!(w.request(a, p, MACH_NOTIFY_NO_SENDERS, 5, (n, D::MAKE_SEND)), Err(refused));
        assert_eq!((w.status(a, p).mps_nsrequest, w.get_srights(a, n)), (0, Ok(0)));
    });
}

// covers mach-ipc T15
#[test]
fn send_possible_is_sent_at_once_if_the_queue_has_room() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 1);
        assert_eq!(pair.type_at_b(), Ok(PortType::SEND), "nothing is registered");
        pair.expect_notification(MACH_NOTIFY_SEND_POSSIBLE);
        pair.destroy_port();
        pair.expect_silence();
    });
}

// covers mach-ipc T16
#[test]
fn send_possible_is_sent_once_when_a_full_queue_has_room_again() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 1);
        pair.expect_silence();
        pair.receive_one();
        pair.expect_notification(MACH_NOTIFY_SEND_POSSIBLE);
        pair.send(5, MsgOption::empty()).unwrap();
        pair.receive_one();
        pair.expect_silence();
        pair.destroy_port();
        pair.expect_silence();
    });
}

// covers mach-ipc T17
#[test]
fn a_send_possible_request_that_is_not_armed_stays_silent() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 0);
        pair.receive_one();
        pair.expect_silence();
    });
}

// covers mach-ipc T18
#[test]
fn a_refused_send_arms_the_request() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 0);
        assert_eq!(pair.send(5, MsgOption::SEND_NOTIFY), Err(MACH_SEND_TIMED_OUT));
        pair.expect_silence();
        pair.receive_one();
        pair.expect_notification(MACH_NOTIFY_SEND_POSSIBLE);
    });
}

// covers mach-ipc T19
#[test]
fn a_send_that_finds_room_does_not_arm_the_request() {
    in_both_forms(|w| {
        let mut pair = Pair::new(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 0);
        assert_eq!(pair.send(1, MsgOption::SEND_NOTIFY), Ok(()));
        pair.expect_silence();
        pair.receive_one();
        pair.expect_silence();
        assert_eq!(pair.type_at_b(), Ok(PortType::SEND | PortType::DNREQUEST), "the request waits for a full queue");
    });
}

// covers mach-ipc T20
#[test]
fn an_armed_request_reports_the_death_of_the_port_instead() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        pair.request(MACH_NOTIFY_SEND_POSSIBLE, 1);
        pair.destroy_port();
        pair.expect_notification(MACH_NOTIFY_DEAD_NAME);
    });
}

// covers mach-ipc T21
#[test]
fn a_names_type_shows_a_pending_request_but_not_its_kind() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        for (id, sync) in [(MACH_NOTIFY_DEAD_NAME, 0), (MACH_NOTIFY_SEND_POSSIBLE, 0), (MACH_NOTIFY_SEND_POSSIBLE, 1)] {
            pair.request(id, sync);
            assert_eq!(pair.type_at_b(), Ok(PortType::SEND | PortType::DNREQUEST), "{id} with sync {sync}");
            pair.w.request(pair.b, pair.send_right, id, 0, CANCEL).unwrap();
            assert_eq!(pair.type_at_b(), Ok(PortType::SEND));
        }
    });
}

// covers mach-ipc T22
#[test]
fn a_notification_beyond_the_hard_queue_limit_is_dropped() {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() });
    let a = w.task();
    let n = w.port(a);
    let once = w.transfer(a, n, D::MAKE_SEND_ONCE, a);
    w.checked = false;
    const HARD_LIMIT: u32 = MACH_PORT_QLIMIT_KERNEL;
    (0..HARD_LIMIT).for_each(|_| w.send(a, &Msg::to(n, D::MAKE_SEND_ONCE).id(1)).unwrap());
    assert_eq!(w.status(a, n).mps_sorights, HARD_LIMIT + 1, "one for each message, and the one to be destroyed");
    assert_eq!(w.deallocate(a, once), Ok(()));
    assert_eq!((w.status(a, n).mps_msgcount, w.status(a, n).mps_sorights), (HARD_LIMIT, HARD_LIMIT));
    (0..HARD_LIMIT).for_each(|_| assert_eq!(w.poll(a, n).unwrap().header.msgh_id, 1));
    w.checked = true;
    w.expect_empty(a, n);
    assert_eq!(w.status(a, n).mps_sorights, 0);
}

// covers mach-ipc T23
#[test]
fn cancelling_an_absent_request_needs_only_a_valid_name() {
    in_both_forms(|mut w| {
        let a = w.task();
        let set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
        let cancel = |w: &mut World, name| w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, CANCEL);
        assert_eq!(cancel(&mut w, UNUSED_NAME), Err(KERN_INVALID_NAME));
        assert_eq!(cancel(&mut w, set), Ok(MACH_PORT_NULL));
    });
}

/// mach-ipc 2.8: a request may also be on a name without a send right.
#[test]
fn requests_on_receive_and_send_once_names_end_with_the_name() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (p, moved, owner, n) = (w.port(a), w.port(a), w.port(a), w.port(a));
        let once = w.transfer(a, owner, D::MAKE_SEND_ONCE, a);
        for name in [p, moved, once] {
            w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, at(n)).unwrap();
        }
        w.mod_refs(a, p, RECEIVE, -1).unwrap();
        assert_eq!(w.notification(a, n, MACH_NOTIFY_PORT_DELETED), p.0);
        w.transfer(a, moved, D::MOVE_RECEIVE, a);
        assert_eq!(w.notification(a, n, MACH_NOTIFY_PORT_DELETED), moved.0);
        w.deallocate(a, once).unwrap();
        assert_eq!(w.notification(a, n, MACH_NOTIFY_PORT_DELETED), once.0);
        w.notification(a, owner, MACH_NOTIFY_SEND_ONCE);
        w.expect_empty(a, n);
    });
}

/// mach-ipc 2.8, rule 3: a send-once right needs no room in the queue, and a kernel object has no queue.
#[test]
fn sending_by_send_once_or_to_the_kernel_is_always_possible() {
    in_both_forms(|w| {
        let mut pair = Pair::with_full_queue(w);
        let (b, n) = (pair.b, pair.notify);
        let once = pair.w.transfer(pair.a, pair.port, D::MAKE_SEND_ONCE, b);
        for name in [once, b.self_port] {
            pair.w.request(b, name, MACH_NOTIFY_SEND_POSSIBLE, 1, at(n)).unwrap();
            assert_eq!(pair.w.notification(b, n, MACH_NOTIFY_SEND_POSSIBLE), name.0);
        }
        assert_eq!(pair.w.port_type(b, once), Ok(PortType::SEND_ONCE));
        assert_eq!(pair.w.port_type(b, b.self_port), Ok(PortType::SEND));
    });
}
