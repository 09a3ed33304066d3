//! Room for what must come is set aside when its right is made (errata 4): however little memory there is when it is due,
//! a notification, an exit message and an answer of the kernel's come.

use crate::calls::CHOSEN_NAME;
use crate::message::Msg;
use crate::program::spawn_args;
use crate::world::{Actor, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::mig::{NDR, mach_port as mig};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::{EXIT_MESSAGE_ID, EXIT_PORT_MAKE, TaskSpawnArgs};
use kernel::inspect::invariants::check_all;
use kernel::ipc::message::NOTICE_COST;

/// Uses up the budget of a task, and lets all allocations fail.
fn exhaust(w: &mut World, actor: Actor) -> usize {
    let budget = w.space_of(actor.task).budget();
    let (used, limit) = w.kernel.ipc.use_of(budget).unwrap();
    w.kernel.ipc.charge(budget, limit - used).unwrap();
    w.checked = false;
    store::failpoints::arm_from(0);
    limit - used
}

/// Ends the shortage, and checks the invariants.
fn recover(w: &mut World, actor: Actor, filled: usize) {
    store::failpoints::disarm();
    let budget = w.space_of(actor.task).budget();
    w.kernel.ipc.refund(budget, filled);
    w.checked = true;
    check_all(&w.kernel);
}

#[test]
fn a_client_whose_server_dies_hears_of_it_without_any_memory() {
    let mut w = World::new();
    let (client, server) = (w.task(), w.task());
    let (service, to_service) = w.connect(client, server);
    let reply = w.port(client);
    w.send(client, &Msg::copy_send(to_service).reply_to(reply, D::MAKE_SEND_ONCE)).unwrap();
    w.poll(server, service).unwrap();
    let filled = exhaust(&mut w, client);
    w.exit(server.task);
    let held = w.status(client, reply).mps_msgcount;
    recover(&mut w, client, filled);
    assert_eq!(held, 1, "the notification is queued");
    w.notification(client, reply, MACH_NOTIFY_SEND_ONCE);
}

/// The same if the request has not been received when the server dies, and if it waits for room in the queue.
#[test]
fn a_request_that_nobody_received_is_answered_without_any_memory() {
    let mut w = World::new();
    let (client, server) = (w.task(), w.task());
    let (service, to_service) = w.connect(client, server);
    w.set_qlimit(server, service, 1).unwrap();
    let replies = [w.port(client), w.port(client)];
    let blocked = w.thread(client);
    w.send(client, &Msg::copy_send(to_service).reply_to(replies[0], D::MAKE_SEND_ONCE)).unwrap();
    let waiting = Msg::copy_send(to_service).reply_to(replies[1], D::MAKE_SEND_ONCE);
    assert_eq!(w.send_with(blocked, &waiting, MsgOption::empty(), 0), crate::world::Ret::Blocked);
    let filled = exhaust(&mut w, client);
    w.exit(server.task);
    recover(&mut w, client, filled);
    replies.iter().for_each(|&reply| assert_eq!(w.notification(client, reply, MACH_NOTIFY_SEND_ONCE), 0));
}

#[test]
fn every_kind_of_notification_comes_without_any_memory() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let notify = w.port(a);
    let (other, to_other) = w.connect(a, b);
    w.set_qlimit(b, other, 1).unwrap();
    let own = w.port(a);
    let to_own = w.give_send(a, own, b);
    let dying = w.task();
    let (_, to_dying) = w.connect(a, dying);
    let ask = |w: &mut World, name, id, sync| {
        w.request(a, name, id, sync, (notify, D::MAKE_SEND_ONCE)).unwrap();
    };
    ask(&mut w, to_other, MACH_NOTIFY_SEND_POSSIBLE, 0);
    ask(&mut w, own, MACH_NOTIFY_NO_SENDERS, 0);
    ask(&mut w, to_dying, MACH_NOTIFY_DEAD_NAME, 0);
    w.send(a, &Msg::copy_send(to_other)).unwrap();
    let armed = w.send_with(a, &Msg::copy_send(to_other), MsgOption::SEND_TIMEOUT | MsgOption::SEND_NOTIFY, 0);
    assert_eq!(armed.code(), MACH_SEND_TIMED_OUT);
    let filled = exhaust(&mut w, a);
    w.poll(b, other).unwrap();
    w.deallocate(b, to_own).unwrap();
    w.exit(dying.task);
    recover(&mut w, a, filled);
    assert_eq!(w.notification(a, notify, MACH_NOTIFY_SEND_POSSIBLE), to_other.0);
    assert_eq!(w.notification(a, notify, MACH_NOTIFY_NO_SENDERS), 1);
    assert_eq!(w.notification(a, notify, MACH_NOTIFY_DEAD_NAME), to_dying.0);
    ask(&mut w, to_other, MACH_NOTIFY_DEAD_NAME, 0);
    let filled = exhaust(&mut w, a);
    // A refused message has added a reference.
    (0..2).for_each(|_| w.deallocate(a, to_other).unwrap());
    recover(&mut w, a, filled);
    assert_eq!(w.notification(a, notify, MACH_NOTIFY_PORT_DELETED), to_other.0);
    w.expect_empty(a, notify);
}

/// A port-destroyed notification carries a right, for which there may be no memory. Then the port dies, and the end of
/// the right to send is told instead.
#[test]
fn a_port_destroyed_request_ends_with_a_notification_in_any_case() {
    for short in [false, true] {
        let mut w = World::new();
        let (a, dying) = (w.task(), w.task());
        let (notify, port) = (w.port(a), w.port(dying));
        let once = w.transfer(a, notify, D::MAKE_SEND_ONCE, dying);
        w.request(dying, port, MACH_NOTIFY_PORT_DESTROYED, 0, (once, D::MOVE_SEND_ONCE)).unwrap();
        let filled = if short { exhaust(&mut w, a) } else { 0 };
        w.exit(dying.task);
        recover(&mut w, a, filled);
        if short {
            w.notification(a, notify, MACH_NOTIFY_SEND_ONCE);
        } else {
            w.notification(a, notify, MACH_NOTIFY_PORT_DESTROYED);
        }
    }
}

#[test]
fn the_exit_message_of_a_child_comes_without_any_memory() {
    let mut w = World::new();
    let parent = w.task();
    let exit = w.port(parent);
    let args = TaskSpawnArgs { exit_port: exit, exit_disposition: EXIT_PORT_MAKE, ..spawn_args() };
    let (child, _) = w.spawn(parent, args).unwrap();
    let filled = exhaust(&mut w, parent);
    w.exit(child.task);
    recover(&mut w, parent, filled);
    assert_eq!(w.poll(parent, exit).unwrap().header.msgh_id, EXIT_MESSAGE_ID);
}

/// The room for an answer of one word is that of the right. A task whose budget is used up gets it, if it gets so far as
/// to ask, and in place of a longer one an answer that says why there is none.
#[test]
fn the_kernel_answers_a_task_whose_budget_is_used_up() {
    let mut w = World::new();
    let a = w.task();
    let (reply, port) = (w.port(a), w.port(a));
    w.warm_up(a, reply);
    for (id, words, code) in [
        (mig::MOD_REFS, &[port.0, MACH_PORT_RIGHT_RECEIVE, 0][..], KERN_SUCCESS),
        (mig::MOD_REFS, &[0x1234, MACH_PORT_RIGHT_RECEIVE, 0], KERN_INVALID_NAME),
        (mig::GET_REFS, &[port.0, MACH_PORT_RIGHT_RECEIVE], KERN_RESOURCE_SHORTAGE),
        (mig::EXTRACT_RIGHT, &[port.0, D::MAKE_SEND.0 as u32], KERN_RESOURCE_SHORTAGE),
        (mig::ALLOCATE, &[MACH_PORT_RIGHT_RECEIVE], KERN_RESOURCE_SHORTAGE),
        (1, &[], MIG_BAD_ID),
    ] {
        let budget = w.space_of(a.task).budget();
        let (used, limit) = w.kernel.ipc.use_of(budget).unwrap();
        w.kernel.ipc.charge(budget, limit - used).unwrap();
        w.checked = false;
        let request = Msg::copy_send(a.self_port).id(id).reply_to(reply, D::MAKE_SEND_ONCE).body(&NDR).words(words);
        let sent = w.send(a, &request);
        w.kernel.ipc.refund(budget, limit - used);
        w.checked = true;
        check_all(&w.kernel);
        assert_eq!(sent, Ok(()), "call {id}");
        let answer = w.poll(a, reply).unwrap();
        assert_eq!((answer.header.msgh_id, answer.words()[2]), (id + 100, code.0 as u32), "call {id}");
        w.warm_up(a, reply);
    }
}

#[test]
fn a_send_once_right_without_room_for_its_promise_is_not_made() {
    let mut w = World::new();
    let a = w.task();
    let (port, reply) = (w.port_with_send(a), w.port(a));
    let budget = w.space_of(a.task).budget();
    for (room, made) in [(NOTICE_COST - 1, false), (NOTICE_COST, true)] {
        let (used, limit) = w.kernel.ipc.use_of(budget).unwrap();
        w.kernel.ipc.charge(budget, limit - used - room).unwrap();
        w.checked = false;
        let inserted = w.insert_right(a, CHOSEN_NAME, reply, D::MAKE_SEND_ONCE);
        assert_eq!(inserted, if made { Ok(()) } else { Err(KERN_RESOURCE_SHORTAGE) });
        if made {
            w.deallocate(a, CHOSEN_NAME).unwrap();
            w.notification(a, reply, MACH_NOTIFY_SEND_ONCE);
        }
        w.kernel.ipc.refund(budget, limit - used - room);
        w.checked = true;
    }
    let (used, limit) = w.kernel.ipc.use_of(budget).unwrap();
    w.kernel.ipc.charge(budget, limit - used).unwrap();
    w.checked = false;
    let refused = w.send(a, &Msg::copy_send(port).reply_to(reply, D::MAKE_SEND_ONCE));
    let as_destination = w.send(a, &Msg::to(reply, D::MAKE_SEND_ONCE));
    let in_body = w.send(a, &Msg::copy_send(port).port(reply, D::MAKE_SEND_ONCE));
    w.kernel.ipc.refund(budget, limit - used);
    w.checked = true;
    assert_eq!([refused, as_destination, in_body], [Err(MACH_SEND_NO_BUFFER); 3]);
    assert_eq!(w.status(a, reply).mps_sorights, 0);
}

/// Both rights of a header may be made from one port: two are promised.
#[test]
fn a_message_by_a_new_right_may_have_another_for_the_reply() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port(a);
    w.send(a, &Msg::to(port, D::MAKE_SEND_ONCE).reply_to(port, D::MAKE_SEND_ONCE)).unwrap();
    assert_eq!(w.status(a, port).mps_sorights, 2);
    let once = w.poll(a, port).unwrap().header.msgh_remote_port;
    w.deallocate(a, once).unwrap();
    w.notification(a, port, MACH_NOTIFY_SEND_ONCE);
}

/// All that the rights to a port were promised is given back when it dies.
#[test]
fn the_promises_of_a_dead_port_end() {
    const RIGHTS: usize = 2000;
    let mut w = World::new();
    w.checked = false;
    let a = w.task();
    let (port, before) = (w.port(a), w.used(a.task));
    let chosen = |n: usize| PortName::new(100 + n as u32, 3);
    (0..RIGHTS).for_each(|n| w.insert_right(a, chosen(n), port, D::MAKE_SEND_ONCE).unwrap());
    assert!(w.used(a.task) >= before + RIGHTS * NOTICE_COST);
    let full = w.used(a.task);
    w.mod_refs(a, port, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    check_all(&w.kernel);
    assert!(w.used(a.task) + RIGHTS * NOTICE_COST <= full);
}
