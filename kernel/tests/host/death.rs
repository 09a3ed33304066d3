//! Receive rights in transit, circularities, and the death of ports and tasks (mach-ipc 9.11).

use crate::calls::SEND_RECEIVE;
use crate::message::Msg;
use crate::world::{Actor, Ret, World};
use abi::PortName;
use abi::code::MACH_MSG_SUCCESS;
use abi::message::*;
use abi::mig::NDR;
use abi::mig::mach_port as mig;
use abi::mig::thread_act;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::kernel::Event;
use kernel::limits::{Limits, REAP_SLICE};

const SEND: u32 = MACH_PORT_RIGHT_SEND;
const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const DEAD: Result<PortType, abi::KernReturn> = Ok(PortType::DEAD_NAME);

fn two_tasks() -> (World, Actor, Actor) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    (w, a, b)
}

/// Sends a receive right in a message to the send right `to`.
fn send_receive_right(w: &mut World, a: Actor, receive: PortName, to: PortName) {
    w.send(a, &Msg::copy_send(to).port(receive, D::MOVE_RECEIVE)).unwrap();
}

// covers mach-ipc D01
#[test]
fn a_port_sent_to_itself_dies() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    assert_eq!(w.send(a, &Msg::copy_send(p).port(p, D::MOVE_RECEIVE)), Ok(()));
    assert_eq!(w.port_type(a, p), DEAD);
}

// covers mach-ipc D02
#[test]
fn two_ports_sent_to_each_other_die_with_the_rights_sent_along() {
    let (mut w, a, b) = two_tasks();
    let (p, q, r) = (w.port_with_send(a), w.port_with_send(a), w.port(a));
    let (p_at_b, q_at_b) = (w.give_send(a, p, b), w.give_send(a, q, b));
    send_receive_right(&mut w, a, q, p);
    let message = Msg::copy_send(q).port(r, D::MAKE_SEND_ONCE).port(p, D::MOVE_RECEIVE).port(r, D::MAKE_SEND_ONCE);
    assert_eq!(w.send(a, &message), Ok(()));
    for (actor, name) in [(a, p), (a, q), (b, p_at_b), (b, q_at_b)] {
        assert_eq!(w.port_type(actor, name), DEAD);
    }
    w.notification(a, r, MACH_NOTIFY_SEND_ONCE);
    w.notification(a, r, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(w.status(a, r).mps_sorights, 0);
}

/// The check for circularities also applies to a reply of the kernel that carries a receive right (mach-ipc 6.2).
#[test]
fn a_receive_right_extracted_to_its_own_port_dies() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let before = w.counts();
    let extract = Msg::copy_send(a.self_port).id(mig::EXTRACT_RIGHT).body(&NDR).words(&[p.0, D::MOVE_RECEIVE.0.into()]);
    assert_eq!(w.send(a, &extract.reply_to(p, D::MAKE_SEND_ONCE)), Ok(()));
    assert_eq!(w.port_type(a, p), DEAD);
    assert_eq!((w.counts().ports, w.counts().messages), (before.ports - 1, before.messages));
}

#[test]
fn a_receive_right_in_a_queued_reply_counts_as_in_transit() {
    let mut w = World::new();
    let a = w.task();
    let (p, q) = (w.port_with_send(a), w.port_with_send(a));
    let extract = Msg::copy_send(a.self_port).id(mig::EXTRACT_RIGHT).body(&NDR).words(&[p.0, D::MOVE_RECEIVE.0.into()]);
    w.send(a, &extract.reply_to(q, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(w.port_type(a, p), Ok(PortType::SEND), "the receive right is in the reply that is queued on q");
    send_receive_right(&mut w, a, q, p);
    assert_eq!((w.port_type(a, p), w.port_type(a, q)), (DEAD, DEAD));
}

/// The number of ports in the chain, each of which is in transit to the next.
const CHAIN_LENGTH: u64 = 100_000;
/// The stack on which the chain is destroyed: less than eight bytes for each port.
const SMALL_STACK: usize = 768 * 1024;

/// Sends each port of the chain to the next and destroys the last.
fn destroy_long_chain() {
    let limits = Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() };
    let mut w = World::with_limits(limits);
    let (a, b) = (w.task(), w.task());
    let before = w.counts();
    w.checked = false;
    let mut last = w.port(a);
    let first_at_b = w.give_send(a, last, b);
    for _ in 1..CHAIN_LENGTH {
        let next = w.port(a);
        w.send(a, &Msg::to(next, D::MAKE_SEND).port(last, D::MOVE_RECEIVE)).unwrap();
        last = next;
    }
    assert_eq!(w.counts().ports, before.ports + CHAIN_LENGTH);
    w.mod_refs(a, last, RECEIVE, -1).unwrap();
    assert_eq!(w.port_type(b, first_at_b), DEAD);
    w.deallocate(b, first_at_b).unwrap();
    assert_eq!(w.counts(), before);
    kernel::inspect::invariants::check_all(&w.kernel);
}

// covers mach-ipc D03
#[test]
fn a_long_chain_of_ports_in_transit_dies_without_recursion() {
    let small = std::thread::Builder::new().stack_size(SMALL_STACK);
    small.spawn(destroy_long_chain).unwrap().join().expect("a small stack is enough for the whole chain");
}

// covers mach-ipc D04
#[test]
fn queued_messages_travel_with_the_receive_right() {
    let (mut w, a, b) = two_tasks();
    let p = w.port_with_send(a);
    w.send(a, &Msg::copy_send(p).id(1)).unwrap();
    w.send(a, &Msg::copy_send(p).id(2)).unwrap();
    let moved = w.transfer(a, p, D::MOVE_RECEIVE, b);
    for seqno in [0, 1] {
        let message = w.poll(b, moved).unwrap();
        assert_eq!((message.header.msgh_id, message.trailer().msgh_seqno), (seqno as i32 + 1, seqno));
    }
}

// covers mach-ipc D05
#[test]
fn a_moved_receive_right_keeps_its_limit_but_not_context_or_sets() {
    let (mut w, a, b) = two_tasks();
    let (p, s) = (w.port_with_send(a), w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap());
    w.set_context(a, p, 9).unwrap();
    w.set_qlimit(a, p, 7).unwrap();
    w.insert_member(a, p, s).unwrap();
    assert_eq!(w.get_context(a, p), Ok(9));
    let moved = w.transfer(a, p, D::MOVE_RECEIVE, b);
    assert_eq!(w.get_context(b, moved), Ok(0));
    let status = w.status(b, moved);
    assert_eq!((status.mps_qlimit, status.mps_pset), (7, 0));
    w.send(a, &Msg::copy_send(p)).unwrap();
    w.expect_empty(a, s);
}

// covers mach-ipc D06
#[test]
fn the_client_is_notified_when_a_server_dies_with_its_reply_right() {
    let (mut w, client, server) = two_tasks();
    let r = w.port(client);
    w.transfer(client, r, D::MAKE_SEND_ONCE, server);
    assert_eq!(w.receive(client, r, MsgOption::empty()), Ret::Blocked);
    w.end_task(server);
    assert_eq!(w.state(client).code(), MACH_MSG_SUCCESS);
    assert_eq!(w.received(client).header.msgh_id, MACH_NOTIFY_SEND_ONCE);
}

// covers mach-ipc D07
#[test]
fn the_client_is_notified_when_a_server_dies_with_its_request_queued() {
    let (mut w, client, server) = two_tasks();
    let (_, send_right) = w.connect(client, server);
    let r = w.port(client);
    w.send(client, &Msg::copy_send(send_right).reply_to(r, D::MAKE_SEND_ONCE)).unwrap();
    w.end_task(server);
    w.notification(client, r, MACH_NOTIFY_SEND_ONCE);
    assert_eq!(w.port_type(client, send_right), DEAD);
}

// covers mach-ipc D08
#[test]
fn a_receive_right_goes_to_its_requester_when_its_task_dies() {
    let (mut w, server, c) = two_tasks();
    let (p, notify) = (w.port_with_send(c), w.port(c));
    w.request(c, p, MACH_NOTIFY_PORT_DESTROYED, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    w.transfer(c, p, D::MOVE_RECEIVE, server);
    assert_eq!(w.port_type(c, p), Ok(PortType::SEND));
    for id in [1, 2] {
        w.send(c, &Msg::copy_send(p).id(id)).unwrap();
    }
    w.end_task(server);
    let moved = PortName(w.notification(c, notify, MACH_NOTIFY_PORT_DESTROYED));
    assert_eq!((moved, w.port_type(c, moved)), (p, Ok(SEND_RECEIVE)));
    for id in [1, 2] {
        assert_eq!(w.poll(c, moved).unwrap().header.msgh_id, id);
    }
}

/// Registers for the no-senders notification of a port; returns the port to which it will be sent.
fn request_no_senders(w: &mut World, owner: Actor, port: PortName) -> PortName {
    let notify = w.port(owner);
    w.request(owner, port, MACH_NOTIFY_NO_SENDERS, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    w.expect_empty(owner, notify);
    notify
}

// covers mach-ipc D09
#[test]
fn the_death_of_the_last_sender_causes_no_senders() {
    let (mut w, owner, a) = two_tasks();
    let p = w.port(owner);
    w.transfer(owner, p, D::MAKE_SEND, a);
    let notify = request_no_senders(&mut w, owner, p);
    w.end_task(a);
    assert_eq!(w.notification(owner, notify, MACH_NOTIFY_NO_SENDERS), 1);
}

/// mach-ipc 6.6 step 4: the send right goes first, so the port still lives when it loses its last sender.
#[test]
fn a_dying_task_releases_its_send_right_before_its_receive_right() {
    let (mut w, a, c) = two_tasks();
    let (p, notify) = (w.port_with_send(a), w.port(c));
    let once = w.transfer(c, notify, D::MAKE_SEND_ONCE, a);
    w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, (once, D::MOVE_SEND_ONCE)).unwrap();
    w.end_task(a);
    assert_eq!(w.notification(c, notify, MACH_NOTIFY_NO_SENDERS), 1);
    w.expect_empty(c, notify);
}

/// mach-ipc 2.4: the port is dead when no-senders is sent, so a receiver on the port itself gets port-changed instead.
#[test]
fn no_senders_is_sent_when_the_destroyed_port_is_already_dead() {
    let mut w = World::new();
    let a = w.task();
    let (p, other) = (w.port_with_send(a), w.port(a));
    let receiver = w.thread(a);
    w.request(a, p, MACH_NOTIFY_NO_SENDERS, 0, (p, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(w.receive(receiver, p, MsgOption::empty()), Ret::Blocked);
    w.mig(a, a.self_port, mig::DESTROY, &[p.0]).unwrap();
    assert_eq!(w.state(receiver).code(), abi::code::MACH_RCV_PORT_CHANGED);

    let q = w.port_with_send(a);
    w.request(a, q, MACH_NOTIFY_NO_SENDERS, 0, (other, D::MAKE_SEND_ONCE)).unwrap();
    w.mig(a, a.self_port, mig::DESTROY, &[q.0]).unwrap();
    assert_eq!(w.notification(a, other, MACH_NOTIFY_NO_SENDERS), 1);
    w.expect_empty(a, other);
}

// covers mach-ipc D10
#[test]
fn destroying_the_last_send_right_in_a_message_causes_no_senders() {
    let (mut w, owner, b) = two_tasks();
    let p = w.port(owner);
    let (mailbox, send_right) = w.connect(owner, b);
    w.send(owner, &Msg::copy_send(send_right).port(p, D::MAKE_SEND)).unwrap();
    let notify = request_no_senders(&mut w, owner, p);
    w.mod_refs(b, mailbox, RECEIVE, -1).unwrap();
    assert_eq!(w.notification(owner, notify, MACH_NOTIFY_NO_SENDERS), 1);
}

// covers mach-ipc D11
#[test]
fn the_death_of_a_port_in_transit_causes_dead_name() {
    let (mut w, a, b) = two_tasks();
    let (p, carrier) = (w.port(a), w.port_with_send(a));
    let (at_b, notify) = (w.give_send(a, p, b), w.port(b));
    w.request(b, at_b, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    send_receive_right(&mut w, a, p, carrier);
    w.expect_empty(b, notify);
    w.mod_refs(a, carrier, RECEIVE, -1).unwrap();
    assert_eq!(w.notification(b, notify, MACH_NOTIFY_DEAD_NAME), at_b.0);
}

// covers mach-ipc D12
#[test]
fn a_port_in_transit_still_accepts_messages() {
    let (mut w, a, b) = two_tasks();
    let p = w.port_with_send(a);
    let (mailbox, send_right) = w.connect(a, b);
    send_receive_right(&mut w, a, p, send_right);
    w.send(a, &Msg::copy_send(p).id(12)).unwrap();
    let moved = w.poll(b, mailbox).unwrap().descriptor(0).name;
    assert_eq!(w.poll(b, moved).unwrap().header.msgh_id, 12);
}

// covers mach-ipc D13
#[test]
fn a_port_dies_if_port_destroyed_would_be_circular() {
    let (mut w, a, b) = two_tasks();
    let (p, n) = (w.port_with_send(a), w.port(a));
    let (p_at_b, n_at_b) = (w.give_send(a, p, b), w.give_send(a, n, b));
    w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    send_receive_right(&mut w, a, n, p);
    w.mod_refs(a, p, RECEIVE, -1).unwrap();
    for (actor, name) in [(a, p), (b, p_at_b), (b, n_at_b)] {
        assert_eq!(w.port_type(actor, name), DEAD);
    }
}

// covers mach-ipc D14
#[test]
fn requests_of_a_dying_task_cause_port_deleted() {
    let (mut w, a, c) = two_tasks();
    let notify = w.port(c);
    let mut names = Vec::new();
    for id in [MACH_NOTIFY_SEND_POSSIBLE, MACH_NOTIFY_DEAD_NAME] {
        let live = w.port(c);
        let name = w.give_send(c, live, a);
        let once = w.transfer(c, notify, D::MAKE_SEND_ONCE, a);
        w.request(a, name, id, 0, (once, D::MOVE_SEND_ONCE)).unwrap();
        names.push(name.0);
    }
    let (live, own) = (w.port(c), w.port(a));
    let third = w.give_send(c, live, a);
    w.request(a, third, MACH_NOTIFY_DEAD_NAME, 0, (own, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(w.get_refs(a, third, SEND), Ok(1));
    w.expect_empty(c, notify);
    let messages = w.counts().messages;
    w.end_task(a);
    let mut deleted = [(); 2].map(|()| w.notification(c, notify, MACH_NOTIFY_PORT_DELETED)).to_vec();
    deleted.sort();
    names.sort();
    assert_eq!(deleted, names);
    w.expect_empty(c, notify);
    assert_eq!(w.counts().messages, messages, "no message was sent to the dead task's own port");
}

/// A name table that once was large does not make the trap of another task long (errata 4).
#[test]
fn a_name_table_full_of_holes_is_destroyed_in_slices() {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() });
    let a = w.task();
    w.checked = false;
    let dead = MACH_PORT_RIGHT_DEAD_NAME;
    (0..20_000).for_each(|_| assert!(w.allocate(a, dead).is_ok()));
    w.free_names(a);
    w.hold_background();
    w.start_trap(a, abi::trap::unix::EXIT, &[0]);
    assert!(w.kernel.step.has_background_work(), "the table needs more than one slice");
    w.settle();
    assert!(!w.kernel.tasks.contains(a.task));
}

/// Sends a message while background work is held.
fn send_between_slices(w: &mut World, actor: Actor, message: &Msg) {
    let (message, buffer) = (message.encode(), w.buffer(actor));
    w.put(actor, buffer - actor.memory, &message);
    let schedule = w.run(actor.thread);
    let frame = w.kernel.sched[actor.thread].frame_mut();
    (frame.rax, frame.rdi, frame.rsi) = (abi::trap::mach::MACH_MSG.into(), buffer, 1);
    (frame.rdx, frame.r10) = (message.len() as u64, 0);
    let _ = w.event(Event::Trap);
    assert_eq!(w.state(actor).code(), MACH_MSG_SUCCESS);
    w.restore_schedule(actor.thread, schedule);
}

/// The end of a thread can end much else, so that those of a task end in slices. None of them runs any more, and nobody can
/// change that.
#[test]
fn threads_of_a_task_that_ends_stop_at_once_and_end_in_slices() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let last = (0..50).map(|_| w.thread(a)).last().expect("there are threads");
    let control = w.thread_self(last);
    let at_b = w.transfer(last, control, D::COPY_SEND, b);
    w.hold_background();
    w.start_trap(a, abi::trap::unix::EXIT, &[0]);
    assert!(w.kernel.sched.contains(last.thread), "it needs more than one slice");
    for id in [thread_act::RESUME, thread_act::SUSPEND, thread_act::ABORT] {
        send_between_slices(&mut w, b, &Msg::copy_send(at_b).id(id));
        assert!(!w.kernel.sched[last.thread].can_go_on() && w.kernel.sched[last.thread].suspend_count() > 0);
    }
    w.settle();
    assert!(!w.kernel.tasks.contains(a.task) && !w.kernel.sched.contains(last.thread));
}

/// The owner of a port that is saved from death gets it back with its queue intact (mach-ipc 6.6), also with what was sent
/// while threads of the dead task were still to be ended.
#[test]
fn a_thread_of_a_task_that_ends_receives_nothing_more() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (p, to_p) = w.connect(b, a);
    let notify = w.port(b);
    let once = w.transfer(b, notify, D::MAKE_SEND_ONCE, a);
    w.request(a, p, MACH_NOTIFY_PORT_DESTROYED, 0, (once, D::MOVE_SEND_ONCE)).unwrap();
    let receiver = (0..50).map(|_| w.thread(a)).last().expect("there are threads");
    assert_eq!(w.receive(receiver, p, MsgOption::empty()), Ret::Blocked);
    w.hold_background();
    w.start_trap(a, abi::trap::unix::EXIT, &[0]);
    assert!(w.kernel.sched.contains(receiver.thread), "it needs more than one slice");
    send_between_slices(&mut w, b, &Msg::copy_send(to_p).id(7));
    w.settle();
    let saved = PortName(w.notification(b, notify, MACH_NOTIFY_PORT_DESTROYED));
    assert_eq!(w.poll(b, saved).map(|received| received.header.msgh_id), Ok(7));
}

/// Other tasks keep running while the objects of a dead task are destroyed, in slices (errata 4), and none of their traps
/// does any of it.
#[test]
fn nobodys_trap_destroys_what_a_dead_task_leaves() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let ports = w.counts().ports;
    for _ in 0..500 {
        w.port(a);
    }
    w.hold_background();
    w.start_trap(a, abi::trap::unix::EXIT, &[0]);
    let pid = w.kernel.tasks[b.task].credentials.pid.into();
    let mut slices = 0;
    while w.kernel.step.has_background_work() {
        let before = w.counts().ports;
        let schedule = w.run(b.thread);
        w.kernel.sched[b.thread].frame_mut().rax = abi::trap::unix::GETPID.into();
        let _ = w.event(Event::Trap);
        assert_eq!(w.state(b), Ret::Done(pid), "the trap returns");
        w.restore_schedule(b.thread, schedule);
        let _ = w.event(Event::Timer);
        assert_eq!(w.counts().ports, before);
        w.background_turn();
        assert!(before - w.counts().ports <= REAP_SLICE.into(), "one slice");
        slices += 1;
    }
    assert!(slices > 5 && w.counts().ports < ports && !w.kernel.tasks.contains(a.task));
}

/// mach-ipc 1.7: only a dead-name notification adds a reference, and none is sent here (docs/deviations.md).
#[test]
fn a_request_that_has_fired_adds_no_reference_to_the_dead_name() {
    let mut w = World::new();
    let a = w.task();
    let (p, n) = (w.port_with_send(a), w.port(a));
    w.set_qlimit(a, p, 1).unwrap();
    w.send(a, &Msg::copy_send(p)).unwrap();
    w.request(a, p, MACH_NOTIFY_SEND_POSSIBLE, 1, (n, D::MAKE_SEND_ONCE)).unwrap();
    w.poll(a, p).unwrap();
    assert_eq!(w.notification(a, n, MACH_NOTIFY_SEND_POSSIBLE), p.0);
    w.mod_refs(a, p, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.get_refs(a, p, MACH_PORT_RIGHT_DEAD_NAME), Ok(1));
    w.expect_empty(a, n);
}

/// Errata 2: the notifications of messages that die with a port come before those registered on the port or its name.
/// A message dies in the queue or with a blocked sender.
#[test]
fn notifications_of_destroyed_messages_precede_those_of_the_port() {
    for blocked in [false, true] {
        let (mut w, a, b) = two_tasks();
        let (p, n) = (w.port(a), w.port(a));
        let at_b = w.give_send(a, p, b);
        let [first, second, notify] = [(); 3].map(|()| w.transfer(a, n, D::MAKE_SEND_ONCE, b));
        w.set_qlimit(a, p, if blocked { 0 } else { 1 }).unwrap();
        w.request(a, p, MACH_NOTIFY_DEAD_NAME, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
        w.request(b, at_b, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MOVE_SEND_ONCE)).unwrap();
        let message = Msg::copy_send(at_b).port(first, D::MOVE_SEND_ONCE).port(second, D::MOVE_SEND_ONCE);
        let sent = w.send_with(b, &message, MsgOption::empty(), 0);
        assert_eq!(sent == Ret::Blocked, blocked);
        w.mod_refs(a, p, RECEIVE, -1).unwrap();
        let messages = [MACH_NOTIFY_SEND_ONCE; 2];
        let own = [MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_PORT_DELETED];
        assert_eq!(w.notifications(a, n), [messages, own].concat(), "blocked: {blocked}");
    }
}

/// mach-ipc 2.4: as in XNU, no-senders comes before port-deleted.
#[test]
fn destroying_a_name_sends_port_deleted_last() {
    let (mut w, a, _) = two_tasks();
    let (p, n) = (w.port_with_send(a), w.port(a));
    let once = w.transfer(a, n, D::MAKE_SEND_ONCE, a);
    w.send(a, &Msg::to(p, D::MAKE_SEND_ONCE).port(once, D::MOVE_SEND_ONCE)).unwrap();
    for id in [MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_DEAD_NAME] {
        w.request(a, p, id, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    }
    w.mig(a, a.self_port, mig::DESTROY, &[p.0]).unwrap();
    let expected = [MACH_NOTIFY_SEND_ONCE, MACH_NOTIFY_NO_SENDERS, MACH_NOTIFY_PORT_DELETED];
    assert_eq!(w.notifications(a, n), expected);
}

/// mach-ipc 6.5: the port lives on, so the request on the name ends with port-deleted and not with dead-name.
#[test]
fn port_destroyed_is_sent_before_port_deleted() {
    let (mut w, a, _) = two_tasks();
    let (p, n) = (w.port(a), w.port(a));
    for id in [MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_PORT_DESTROYED] {
        w.request(a, p, id, 0, (n, D::MAKE_SEND_ONCE)).unwrap();
    }
    w.mod_refs(a, p, RECEIVE, -1).unwrap();
    assert_eq!(w.notifications(a, n), [MACH_NOTIFY_PORT_DESTROYED, MACH_NOTIFY_PORT_DELETED]);
}
