//! Which task pays for a port whose receive right travels, and for messages by send-once rights to it (errata 4).

use crate::message::Msg;
use crate::world::{Actor, World};
use abi::PortName;
use abi::code::*;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::heap::footprint_of_single;
use kernel::ipc::message::NOTICE_COST;
use kernel::ipc::port::Port;
use kernel::limits::Limits;
use kernel::step::WORK_COST;

const SMALL_BUDGET: usize = 32 * 1024;
const PORT: usize = footprint_of_single::<Port>() + 2 * WORK_COST;
/// More messages than a small budget has room for.
const MANY: usize = 20;

fn world_with_small_budget() -> World {
    World::with_limits(Limits { kernel_bytes_per_task: SMALL_BUDGET, ..Limits::default() })
}

/// Uses up a task's budget but for less than `room` bytes.
fn use_up(w: &mut World, actor: Actor, room: usize) {
    let filled = SMALL_BUDGET - w.used(actor.task) - room;
    let budget = w.space_of(actor.task).budget();
    w.kernel.ipc.charge(budget, filled).unwrap();
    w.checked = false;
}

/// Makes send-once rights of `owner` to its port, which another thread of the same task could use.
fn once_rights(w: &mut World, owner: Actor, port: PortName, count: usize) -> Vec<PortName> {
    let mailbox = w.port_with_send(owner);
    let made = |w: &mut World| {
        w.send(owner, &Msg::copy_send(mailbox).port(port, D::MAKE_SEND_ONCE)).unwrap();
        w.poll(owner, mailbox).unwrap().descriptor(0).name
    };
    (0..count).map(|_| made(w)).collect()
}

/// Sends large messages by send-once rights until one is refused, and returns the number of messages that were not.
fn flood(w: &mut World, sender: Actor, rights: &[PortName]) -> usize {
    let sent = |w: &mut World, right| w.send(sender, &Msg::to(right, D::MOVE_SEND_ONCE).body(&[0; 1024]));
    let refused = rights.iter().position(|&right| sent(w, right).is_err());
    refused.expect("the budget has no room for all messages")
}

/// A task makes send-once rights to a port, sends the receive right to a stranger's port and then messages by the
/// send-once rights. The stranger, who has asked for nothing, pays nothing.
#[test]
fn a_strangers_budget_is_not_used_up_by_a_right_that_it_has_not_received() {
    let mut w = world_with_small_budget();
    let (stranger, attacker) = (w.task(), w.task());
    let (service, to_service) = w.connect(attacker, stranger);
    let port = w.port(attacker);
    let rights = once_rights(&mut w, attacker, port, MANY);
    let before = w.used(stranger.task);
    w.send(attacker, &Msg::copy_send(to_service).port(port, D::MOVE_RECEIVE)).unwrap();
    let sent = flood(&mut w, attacker, &rights);
    assert!((5..MANY).contains(&sent), "{sent} messages on the attacker's budget");
    assert_eq!(w.used(stranger.task), before);
    // What is queued already stays on the attacker's budget when the right is received.
    let received = w.poll(stranger, service).unwrap().descriptor(0).name;
    assert_eq!(w.status(stranger, received).mps_msgcount as usize, sent);
    let bill = PORT + MANY * NOTICE_COST;
    assert_eq!(w.used(stranger.task), before + bill, "the port and what its rights are promised");
    let full = w.used(attacker.task);
    w.poll(stranger, received).unwrap();
    assert!(w.used(attacker.task) < full - 1024);
    assert!(w.used(stranger.task) <= before + bill);
    w.mod_refs(stranger, received, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.used(stranger.task), before);
}

/// The receiver of a receive right has asked for it, and pays from then on for messages by send-once rights.
#[test]
fn a_port_is_on_the_budget_of_the_task_that_has_received_it() {
    let mut w = world_with_small_budget();
    let (maker, owner) = (w.task(), w.task());
    let (mailbox, to_owner) = w.connect(maker, owner);
    let port = w.port(maker);
    let rights = once_rights(&mut w, maker, port, MANY);
    let moved = Msg::copy_send(to_owner).port(port, D::MOVE_RECEIVE);
    let before = [maker, owner].map(|actor| w.used(actor.task));
    let bill = PORT + MANY * NOTICE_COST;
    w.send(maker, &moved).unwrap();
    let received = w.poll(owner, mailbox).unwrap().descriptor(0).name;
    assert_eq!([maker, owner].map(|actor| w.used(actor.task)), [before[0] - bill, before[1] + bill]);
    let sent = flood(&mut w, maker, &rights);
    assert_eq!(w.used(maker.task), before[0] - bill);
    assert!(w.used(owner.task) > before[1] + bill + sent * 1024);
    w.mod_refs(owner, received, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.used(owner.task), before[1]);
}

/// The same as for a name without memory: the right is destroyed (mach-ipc 8.4).
#[test]
fn a_receiver_without_room_for_a_port_loses_the_receive_right() {
    for (room, arrives) in [(PORT - 1, false), (PORT, true)] {
        let mut w = world_with_small_budget();
        let (maker, owner) = (w.task(), w.task());
        let (mailbox, to_owner) = w.connect(maker, owner);
        let port = w.port_with_send(maker);
        let before = w.used(maker.task);
        w.send(maker, &Msg::copy_send(to_owner).port(port, D::MOVE_RECEIVE)).unwrap();
        use_up(&mut w, owner, room);
        let received = w.poll(owner, mailbox).map(|message| message.descriptor(0).name != MACH_PORT_NULL);
        let lost = MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_KERNEL);
        assert_eq!(received, if arrives { Ok(true) } else { Err(lost) }, "room for {room} bytes");
        assert_eq!(w.port_type(maker, port) == Ok(PortType::DEAD_NAME), !arrives, "room for {room} bytes");
        assert_eq!(w.used(maker.task), before - PORT);
    }
}

/// A receive right that a message brings for a chosen name is on the budget of that name's task.
#[test]
fn a_right_that_is_inserted_into_a_task_is_on_its_budget() {
    for (room, code) in [(PORT - 1, Err(KERN_RESOURCE_SHORTAGE)), (PORT, Ok(()))] {
        let mut w = world_with_small_budget();
        let (maker, owner) = (w.task(), w.task());
        let port = w.port(maker);
        let task = w.transfer(owner, owner.self_port, D::COPY_SEND, maker);
        let name = PortName::new(9, 3);
        use_up(&mut w, owner, room);
        let before = [maker, owner].map(|actor| w.used(actor.task));
        let id = abi::mig::mach_port::INSERT_RIGHT;
        let request = Msg::copy_send(task).id(id).port(port, D::MOVE_RECEIVE).body(&abi::mig::NDR).words(&[name.0]);
        let inserted = w.rpc(maker, request).map(|_| ());
        assert_eq!(inserted, code, "room for {room} bytes");
        let moved = if code.is_ok() { PORT } else { 0 };
        let after = [maker, owner].map(|actor| w.used(actor.task));
        assert_eq!(after[1], before[1] + moved, "room for {room} bytes");
        assert!(after[0] < before[0] + PORT, "the maker pays for its reply port alone");
    }
}

/// A message that comes back to its sender brings its receive rights back, which costs nothing.
#[test]
fn a_refused_message_returns_a_port_to_the_budget_that_it_is_on() {
    let mut w = world_with_small_budget();
    let (sender, receiver) = (w.task(), w.task());
    let (service, to_service) = w.connect(sender, receiver);
    w.set_qlimit(receiver, service, 1).unwrap();
    w.send(sender, &Msg::copy_send(to_service)).unwrap();
    let port = w.port(sender);
    let before = w.used(sender.task);
    let refused = w.try_send(sender, &Msg::copy_send(to_service).port(port, D::MOVE_RECEIVE));
    assert_eq!((refused, w.used(sender.task)), (Err(MACH_SEND_TIMED_OUT), before));
}
