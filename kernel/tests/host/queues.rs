//! Full queues: refused sends, blocked senders and returned messages (mach-ipc 9.6).

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{Priority, Qos};
use kernel::limits::{Limits, QOS_WALK_LEAST, QOS_WALK_MAX};
use zerocopy::IntoBytes;

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const MILLISECOND: u64 = 1_000_000;

/// The number of messages in a full queue, as an id.
const LIMIT: i32 = MACH_PORT_QLIMIT_DEFAULT as i32;
/// The id of the message that a full queue refuses.
const NEXT_ID: i32 = LIMIT + 1;

/// A port whose queue is full with messages that have the ids 1 to [`LIMIT`].
struct Full {
    w: World,
    /// The task that receives from the port.
    owner: Actor,
    port: PortName,
    /// The task that sends, with one reference to a send right.
    sender: Actor,
    send_right: PortName,
}

impl Full {
    fn new() -> Full {
        Full::in_world(World::new())
    }

    fn in_world(mut w: World) -> Full {
        let (owner, sender) = (w.task(), w.task());
        let (port, send_right) = w.connect(sender, owner);
        let mut full = Full { w, owner, port, sender, send_right };
        (1..=LIMIT).for_each(|id| full.w.send(sender, &full.message(id)).unwrap());
        assert_eq!(full.count(), LIMIT as u32);
        full
    }

    fn message(&self, id: i32) -> Msg {
        Msg::copy_send(self.send_right).id(id)
    }

    /// Returns the number of queued messages.
    fn count(&mut self) -> u32 {
        self.w.status(self.owner, self.port).mps_msgcount
    }

    /// Receives the next message; returns its id.
    fn receive_one(&mut self) -> i32 {
        self.w.poll(self.owner, self.port).unwrap().header.msgh_id
    }

    /// Creates another thread of the sender's task, which sends and blocks.
    fn blocked_sender(&mut self, message: &Msg) -> Actor {
        let thread = self.w.thread(self.sender);
        assert_eq!(self.w.send_with(thread, message, MsgOption::empty(), 0), Ret::Blocked);
        thread
    }

    /// Sends a request with a reply port, which the queue refuses; returns the reply port.
    fn refused_request(&mut self) -> PortName {
        let reply = self.w.port(self.sender);
        let message = self.message(NEXT_ID).reply_to(reply, D::MAKE_SEND_ONCE);
        assert_eq!(self.w.try_send(self.sender, &message), Err(MACH_SEND_TIMED_OUT));
        reply
    }

    /// Checks the header that was returned to a sender: it names the rights, which the next try will move. Returns it.
    fn check_returned_request(&mut self, sender: Actor) -> Header {
        let header = self.w.received(sender).header;
        assert_eq!(self.w.get_refs(sender, self.send_right, SEND), Ok(2));
        assert_eq!((header.msgh_remote_port, header.remote()), (self.send_right, D::PORT_SEND));
        assert_eq!(header.local(), D::PORT_SEND_ONCE);
        assert_eq!(self.w.port_type(sender, header.msgh_local_port), Ok(PortType::SEND_ONCE));
        assert_eq!((header.msgh_size, header.msgh_id), (24, NEXT_ID));
        header
    }

    /// Sends a returned header once more.
    fn send_again(&mut self, sender: Actor, header: &Header) -> Ret {
        self.w.put(sender, BUFFER, header.as_bytes());
        let args = MachMsg { options: MsgOption::SEND_MSG, send_size: 24, ..MachMsg::default() };
        self.w.mach_msg(sender, &args)
    }
}

// covers mach-ipc Q01
#[test]
fn a_full_queue_refuses_a_sender_that_does_not_wait() {
    let mut full = Full::new();
    assert_eq!(full.w.try_send(full.sender, &full.message(NEXT_ID)), Err(MACH_SEND_TIMED_OUT));
    assert_eq!(full.count(), LIMIT as u32);
}

// covers mach-ipc Q02 Q03
#[test]
fn a_refused_message_returns_with_its_rights_and_can_be_resent() {
    let mut full = Full::new();
    let before = full.w.names(full.sender);
    let reply = full.refused_request();
    let returned = full.check_returned_request(full.sender);
    assert!(before.iter().all(|&(name, _)| name != returned.msgh_local_port), "the send-once right has a new name");

    assert_eq!(full.receive_one(), 1);
    assert_eq!(full.send_again(full.sender, &returned).code(), MACH_MSG_SUCCESS);
    assert_eq!(full.w.get_refs(full.sender, full.send_right, SEND), Ok(1));
    assert_eq!(full.w.port_type(full.sender, returned.msgh_local_port), Err(KERN_INVALID_NAME));
    assert_eq!(full.w.status(full.sender, reply).mps_sorights, 1);
    (2..=LIMIT).for_each(|id| assert_eq!(full.receive_one(), id));
    let header = full.w.poll(full.owner, full.port).unwrap().header;
    assert_eq!((header.msgh_id, header.remote()), (NEXT_ID, D::PORT_SEND_ONCE));
    assert_eq!(full.w.port_type(full.owner, header.msgh_remote_port), Ok(PortType::SEND_ONCE));
    full.w.send(full.owner, &Msg::to(header.msgh_remote_port, D::MOVE_SEND_ONCE).id(106)).unwrap();
    assert_eq!(full.w.poll(full.sender, reply).unwrap().header.msgh_id, 106);
}

// covers mach-ipc Q04
#[test]
fn a_blocked_sender_is_admitted_by_the_next_receive() {
    let mut full = Full::new();
    let sixth = full.message(NEXT_ID);
    let blocked = full.blocked_sender(&sixth);
    assert_eq!(full.count(), LIMIT as u32);
    assert_eq!(full.receive_one(), 1);
    assert_eq!(full.w.state(blocked).code(), MACH_MSG_SUCCESS);
    assert_eq!(full.count(), LIMIT as u32);
    (2..=NEXT_ID).for_each(|id| assert_eq!(full.receive_one(), id));
}

// covers mach-ipc Q05
#[test]
fn a_blocked_send_times_out_exactly_at_its_deadline() {
    let mut full = Full::new();
    assert_eq!(full.w.send_with(full.sender, &full.message(NEXT_ID), MsgOption::SEND_TIMEOUT, 50), Ret::Blocked);
    full.w.advance(50 * MILLISECOND - 1);
    assert_eq!(full.w.state(full.sender), Ret::Blocked);
    full.w.advance(1);
    assert_eq!(full.w.state(full.sender).code(), MACH_SEND_TIMED_OUT);
    assert_eq!(full.count(), LIMIT as u32);
}

// covers mach-ipc Q06
#[test]
fn a_send_once_right_needs_no_room() {
    let mut full = Full::new();
    let once = full.w.transfer(full.owner, full.port, D::MAKE_SEND_ONCE, full.sender);
    assert_eq!(full.w.send(full.sender, &Msg::to(once, D::MOVE_SEND_ONCE).id(NEXT_ID)), Ok(()));
    assert_eq!(full.count(), LIMIT as u32 + 1);
}

// covers mach-ipc Q07
#[test]
fn a_limit_of_zero_refuses_a_send_even_if_a_receiver_waits() {
    let mut w = World::new();
    let (owner, sender) = (w.task(), w.task());
    let (port, send_right) = w.connect(sender, owner);
    let once = w.transfer(owner, port, D::MAKE_SEND_ONCE, sender);
    w.set_qlimit(owner, port, 0).unwrap();
    assert_eq!(w.receive(owner, port, MsgOption::empty()), Ret::Blocked);
    assert_eq!(w.try_send(sender, &Msg::copy_send(send_right)), Err(MACH_SEND_TIMED_OUT));
    assert_eq!(w.state(owner), Ret::Blocked);
    assert_eq!(w.try_send(sender, &Msg::to(once, D::MOVE_SEND_ONCE).id(7)), Ok(()));
    assert_eq!(w.state(owner).code(), MACH_MSG_SUCCESS);
    assert_eq!(w.received(owner).header.msgh_id, 7);
}

// covers mach-ipc Q08
#[test]
fn a_raised_limit_admits_one_blocked_sender_per_new_place() {
    let mut w = World::new();
    let (owner, sender) = (w.task(), w.task());
    let (port, send_right) = w.connect(sender, owner);
    w.set_qlimit(owner, port, 0).unwrap();
    let blocked = [1, 2].map(|id| {
        let thread = w.thread(sender);
        assert_eq!(w.send_with(thread, &Msg::copy_send(send_right).id(id), MsgOption::empty(), 0), Ret::Blocked);
        thread
    });
    w.set_qlimit(owner, port, 1).unwrap();
    assert_eq!(w.state(blocked[0]).code(), MACH_MSG_SUCCESS);
    assert_eq!(w.state(blocked[1]), Ret::Blocked);
    assert_eq!(w.status(owner, port).mps_msgcount, 1);
}

/// mach-ipc 2.7: the difference counts, not the length of the queue, which may be above both limits.
#[test]
fn a_raised_limit_admits_blocked_senders_to_a_queue_that_is_too_long() {
    let mut full = Full::new();
    full.w.set_qlimit(full.owner, full.port, 1).unwrap();
    let blocked = [0, 1, 2].map(|n| full.blocked_sender(&full.message(NEXT_ID + n)));
    full.w.set_qlimit(full.owner, full.port, 3).unwrap();
    assert_eq!(full.count(), LIMIT as u32 + 2);
    let states = blocked.map(|sender| full.w.state(sender));
    assert_eq!(states, [Ret::Done(0), Ret::Done(0), Ret::Blocked]);
    (1..=NEXT_ID + 1).for_each(|id| assert_eq!(full.receive_one(), id));
}

/// The raised limit admits the first of two senders. Its message goes to a receiver and takes no place in the queue, so
/// the second sender is admitted too.
#[test]
fn blocked_sender_is_admitted_when_an_earlier_message_is_delivered_directly() {
    let mut w = World::new();
    let (owner, sender) = (w.task(), w.task());
    let (port, send_right) = w.connect(sender, owner);
    w.set_qlimit(owner, port, 0).unwrap();
    let receiver = w.thread(owner);
    assert_eq!(w.receive(receiver, port, MsgOption::empty()), Ret::Blocked);
    let blocked = [1, 2, 3].map(|id| {
        let thread = w.thread(sender);
        assert_eq!(w.send_with(thread, &Msg::copy_send(send_right).id(id), MsgOption::empty(), 0), Ret::Blocked);
        thread
    });
    w.set_qlimit(owner, port, 1).unwrap();
    assert_eq!(w.state(receiver).code(), MACH_MSG_SUCCESS);
    assert_eq!(w.received(receiver).header.msgh_id, 1);
    assert_eq!(blocked.map(|thread| w.state(thread) == Ret::Blocked), [false, false, true]);
    assert_eq!(w.status(owner, port).mps_msgcount, 1);
}

#[test]
fn a_port_that_joins_a_set_serves_its_waiters_from_blocked_senders() {
    let mut w = World::new();
    let (owner, sender) = (w.task(), w.task());
    let (port, send_right) = w.connect(sender, owner);
    let set = w.allocate(owner, MACH_PORT_RIGHT_PORT_SET).unwrap();
    w.set_qlimit(owner, port, 1).unwrap();
    w.send(sender, &Msg::copy_send(send_right).id(1)).unwrap();
    let blocked = [2, 3].map(|id| {
        let thread = w.thread(sender);
        assert_eq!(w.send_with(thread, &Msg::copy_send(send_right).id(id), MsgOption::empty(), 0), Ret::Blocked);
        thread
    });
    let receivers = [(); 4].map(|()| w.thread(owner));
    for receiver in receivers {
        assert_eq!(w.receive(receiver, set, MsgOption::empty()), Ret::Blocked);
    }
    w.insert_member(owner, port, set).unwrap();
    let seen = [0, 1, 2].map(|n| w.received(receivers[n]).header.msgh_id);
    assert_eq!((seen, w.state(receivers[3])), ([1, 2, 3], Ret::Blocked));
    assert!(blocked.iter().all(|&thread| w.state(thread).code() == MACH_MSG_SUCCESS));
}

/// Those that are queued come before those of blocked senders, for which there is room one by one.
#[test]
fn a_port_that_joins_a_set_serves_its_waiters_from_its_queue_first() {
    let mut full = Full::new();
    let blocked = [NEXT_ID, NEXT_ID + 1].map(|id| full.blocked_sender(&full.message(id)));
    let Full { w, owner, port, .. } = &mut full;
    let set = w.allocate(*owner, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let receivers: Vec<_> = (1..=NEXT_ID + 2).map(|_| w.thread(*owner)).collect();
    receivers.iter().for_each(|&receiver| assert_eq!(w.receive(receiver, set, MsgOption::empty()), Ret::Blocked));
    w.insert_member(*owner, *port, set).unwrap();
    for (&receiver, id) in receivers.iter().zip(1..=NEXT_ID + 1) {
        assert_eq!(w.received(receiver).header.msgh_id, id);
    }
    assert_eq!(w.state(receivers[LIMIT as usize + 2]), Ret::Blocked);
    assert!(blocked.iter().all(|&thread| w.state(thread).code() == MACH_MSG_SUCCESS));
}

/// A sender that does not wait gets the same code whether or not its budget has room, since its message is not queued.
#[test]
fn a_full_queue_is_reported_before_a_used_up_budget() {
    let mut full = Full::new();
    let limit = full.w.used(full.sender.task);
    let budget = full.w.space_of(full.sender.task).budget();
    full.w.kernel.ipc.charge(budget, kernel::limits::KERNEL_BYTES_PER_TASK_MAX - limit).unwrap();
    full.w.checked = false;
    assert_eq!(full.w.try_send(full.sender, &full.message(NEXT_ID)), Err(MACH_SEND_TIMED_OUT));
    assert_eq!(full.w.send(full.sender, &full.message(NEXT_ID)), Err(MACH_SEND_NO_BUFFER), "a wait needs memory");
}

// covers mach-ipc Q09
#[test]
fn a_blocked_send_succeeds_and_loses_its_rights_when_the_port_dies() {
    let mut full = Full::new();
    let (sender, owner, port) = (full.sender, full.owner, full.port);
    let (moved, noticed, reply) = (full.w.port(sender), full.w.port(sender), full.w.port(sender));
    let moved_at_owner = full.w.give_send(sender, moved, owner);
    let message = full.message(NEXT_ID).reply_to(reply, D::MAKE_SEND_ONCE).port(moved, D::MOVE_RECEIVE);
    let blocked = full.blocked_sender(&message.port(noticed, D::MAKE_SEND_ONCE));
    full.w.mod_refs(owner, port, RECEIVE, -1).unwrap();
    assert_eq!(full.w.state(blocked).code(), MACH_MSG_SUCCESS);
    full.w.notification(sender, reply, MACH_NOTIFY_SEND_ONCE);
    full.w.notification(sender, noticed, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(full.w.port_type(owner, moved_at_owner), Ok(PortType::DEAD_NAME));
    assert_eq!(full.w.port_type(sender, moved), Err(KERN_INVALID_NAME));
}

// covers mach-ipc Q10
#[test]
fn a_lowered_limit_keeps_queued_messages_and_blocks_new_sends() {
    let mut full = Full::new();
    full.w.set_qlimit(full.owner, full.port, 2).unwrap();
    assert_eq!(full.count(), LIMIT as u32);
    (1..=3).for_each(|id| assert_eq!(full.receive_one(), id));
    assert_eq!(full.count(), 2);
    let blocked = full.blocked_sender(&full.message(NEXT_ID));
    assert_eq!(full.receive_one(), 4);
    assert_eq!(full.w.state(blocked).code(), MACH_MSG_SUCCESS);
    assert_eq!(full.count(), 2);
    (LIMIT..=NEXT_ID).for_each(|id| assert_eq!(full.receive_one(), id));
}

/// mach-ipc 3.8: the copy-in of a carried right may cause a notification that takes the last place of the queue. With a
/// send-possible request the send still succeeds.
#[test]
fn a_send_with_a_send_possible_request_keeps_the_room_it_found() {
    for requested in [true, false] {
        let mut w = World::new();
        let a = w.task();
        let (p, notify, other) = (w.port_with_send(a), w.port(a), w.port(a));
        w.set_qlimit(a, p, 1).unwrap();
        let carried = w.transfer(a, other, D::MAKE_SEND_ONCE, a);
        w.request(a, carried, MACH_NOTIFY_DEAD_NAME, 0, (p, D::MAKE_SEND_ONCE)).unwrap();
        if requested {
            w.request(a, p, MACH_NOTIFY_SEND_POSSIBLE, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
        }
        let message = Msg::copy_send(p).id(2).port(carried, D::MOVE_SEND_ONCE);
        let sent = w.send_with(a, &message, MsgOption::SEND_NOTIFY | MsgOption::SEND_TIMEOUT, 0).code();
        assert_eq!(w.notification(a, p, MACH_NOTIFY_PORT_DELETED), carried.0);
        if requested {
            assert_eq!((sent, w.poll(a, p).unwrap().header.msgh_id), (MACH_MSG_SUCCESS, 2));
        } else {
            assert_eq!(sent, MACH_SEND_TIMED_OUT);
        }
        w.expect_empty(a, p);
        w.expect_empty(a, notify);
    }
}

/// The kernel's part of mach-ipc Q11. The tests in ring 3 show that the library repeats the call.
#[test]
fn an_aborted_send_returns_its_message_and_can_be_repeated() {
    let mut full = Full::new();
    let reply = full.w.port(full.sender);
    let message = full.message(NEXT_ID).reply_to(reply, D::MAKE_SEND_ONCE);
    let thread = full.w.thread(full.sender);
    let control = full.w.thread_self(thread);
    assert_eq!(full.w.send_with(thread, &message, MsgOption::empty(), 0), Ret::Blocked);
    full.w.thread_abort(full.sender, control);
    assert_eq!(full.w.state(thread).code(), MACH_SEND_INTERRUPTED);
    let returned = full.check_returned_request(thread);

    assert_eq!(full.send_again(thread, &returned), Ret::Blocked);
    (1..=NEXT_ID).for_each(|id| assert_eq!(full.receive_one(), id));
    assert_eq!(full.w.state(thread).code(), MACH_MSG_SUCCESS);
}

// covers mach-ipc Q12
#[test]
fn messages_keep_their_order_and_are_numbered_from_zero() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    (10..13).for_each(|id| w.send(a, &Msg::copy_send(p).id(id)).unwrap());
    for n in 0..3 {
        let message = w.poll_with(a, p, MsgOption::trailer_elements(1), 256).unwrap();
        assert_eq!((message.header.msgh_id, message.trailer().msgh_seqno), (10 + n as i32, n));
    }
    assert_eq!(w.status(a, p).mps_seqno, 3);
}

// covers mach-ipc Q13
#[test]
fn a_blocked_sender_follows_the_receive_right() {
    let mut full = Full::new();
    let blocked = full.blocked_sender(&full.message(NEXT_ID));
    let c = full.w.task();
    let moved = full.w.transfer(full.owner, full.port, D::MOVE_RECEIVE, c);
    assert_eq!(full.w.state(blocked), Ret::Blocked);
    assert_eq!(full.w.poll(c, moved).unwrap().header.msgh_id, 1);
    assert_eq!(full.w.state(blocked).code(), MACH_MSG_SUCCESS);
    (2..=NEXT_ID).for_each(|id| assert_eq!(full.w.poll(c, moved).unwrap().header.msgh_id, id));
}

// covers mach-ipc Q16
#[test]
fn a_returned_reply_right_without_a_free_name_is_destroyed() {
    let mut full = Full::in_world(World::with_limits(Limits { names_per_task: 64, ..Limits::default() }));
    let (sender, reply) = (full.sender, full.w.port(full.sender));
    full.w.fill_names(sender);
    let message = full.message(NEXT_ID).reply_to(reply, D::MAKE_SEND_ONCE);
    let code = full.w.send_with(sender, &message, MsgOption::SEND_TIMEOUT, 0).code();
    assert_eq!(code, MACH_SEND_TIMED_OUT.with_bits(MACH_MSG_IPC_SPACE));
    let header = full.w.received(sender).header;
    assert_eq!((header.msgh_remote_port, header.remote()), (full.send_right, D::PORT_SEND));
    assert_eq!(header.msgh_local_port, MACH_PORT_NULL);
    full.w.notification(sender, reply, MACH_NOTIFY_SEND_ONCE);
    full.w.free_names(sender);
    assert_eq!(full.w.get_refs(sender, full.send_right, SEND), Ok(2));
}

#[test]
fn a_returned_right_of_the_body_without_a_free_name_is_destroyed_alone() {
    let mut full = Full::in_world(World::with_limits(Limits { names_per_task: 64, ..Limits::default() }));
    let (sender, own) = (full.sender, full.w.port(full.sender));
    full.w.fill_names(sender);
    let message = full.message(NEXT_ID).port(own, D::MAKE_SEND_ONCE).port(own, D::MAKE_SEND);
    let code = full.w.send_with(sender, &message, MsgOption::SEND_TIMEOUT, 0).code();
    assert_eq!(code, MACH_SEND_TIMED_OUT.with_bits(MACH_MSG_IPC_SPACE));
    let names = full.w.received(sender).descriptors().into_iter().map(|descriptor| descriptor.name);
    assert_eq!(names.collect::<Vec<_>>(), [MACH_PORT_NULL, own]);
    full.w.notification(sender, own, MACH_NOTIFY_SEND_ONCE);
}

/// A message raises a bounded number of those before it, and the first, which says how urgent the queue is. It is fewer if
/// the message has many rights.
#[test]
fn an_urgent_message_raises_the_nearest_and_the_first() {
    const BEYOND: usize = 3;
    for (rights, raised) in [(0, QOS_WALK_MAX), (20, QOS_WALK_LEAST)] {
        let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() });
        let a = w.task();
        let p = w.port(a);
        w.checked = false;
        let message = Msg::to(p, D::MAKE_SEND_ONCE);
        (0..raised + BEYOND).for_each(|_| w.send(a, &message).unwrap());
        let bytes = (0..rights).fold(message, |message, _| message.port(p, D::MAKE_SEND)).encode();
        w.put(a, w.buffer(a) - a.memory, &bytes);
        let options = MsgOption::SEND_MSG | MsgOption::SEND_OVERRIDE;
        let priority = Priority::of(Qos::UserInteractive).to_pthread();
        let urgent = MachMsg { options, send_size: bytes.len() as u32, priority, ..MachMsg::default() };
        assert_eq!(w.mach_msg(a, &urgent).code(), MACH_MSG_SUCCESS);
        let class = |w: &mut World| {
            w.poll(a, p).unwrap();
            w.kernel.sched[a.thread].frame().rdx as u32
        };
        let first = [(); 5].map(|()| class(&mut w));
        assert_eq!(first, [priority, 0, 0, priority, priority], "with {rights} rights");
        w.checked = true;
        assert_eq!(class(&mut w), priority);
    }
}
