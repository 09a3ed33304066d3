//! Receive rights in messages that are queued on ports in transit themselves: what it costs, and how deep boosts go.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, World};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use kernel::ipc::port::Home;
use kernel::limits::{CIRCLE_WALK_MAX, DESCRIPTORS_MAX, Limits, TRANSIT_WALK_MAX};

const WALK: usize = TRANSIT_WALK_MAX as usize;
const CIRCLE: usize = CIRCLE_WALK_MAX as usize;

/// Makes a chain of ports, of which the first accepts donation, and sends each of them to the next. Returns the names of
/// the first, of which the task keeps a send right, and of the last, which stays in the task.
fn chain(w: &mut World, owner: Actor, length: usize) -> (PortName, PortName) {
    let first = w.donation_port(owner);
    w.insert_right(owner, first, first, D::MAKE_SEND).unwrap();
    let last = nest(w, owner, first, length);
    (first, last)
}

/// Sends a port to a new one, that to the next, and so on. Returns the last of `length` ports.
fn nest(w: &mut World, owner: Actor, first: PortName, length: usize) -> PortName {
    (1..length).fold(first, |last, _| {
        let next = w.port(owner);
        w.send(owner, &Msg::to(next, D::MAKE_SEND).port(last, D::MOVE_RECEIVE)).unwrap();
        next
    })
}

/// Gives a task the send right that the owner of a chain has kept.
fn give(w: &mut World, owner: Actor, first: PortName, to: Actor) -> PortName {
    let (mailbox, send_right) = w.connect(owner, to);
    w.send(owner, &Msg::copy_send(send_right).port(first, D::COPY_SEND)).unwrap();
    w.poll(to, mailbox).unwrap().descriptor(0).name
}

fn big_world() -> World {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 23, ..Limits::default() });
    w.checked = false;
    w
}

/// Returns how many ports, messages and tasks are visited for a message to the first port of a chain that another task
/// has built, and for the end of its boost.
fn visits_of_a_message(length: usize) -> u64 {
    let mut w = big_world();
    let (a, b) = (w.app(), w.adaptive());
    let before = w.counts();
    let (first, last) = chain(&mut w, b, length);
    let to_first = give(&mut w, b, first, a);
    let visits = |w: &World| w.kernel.ipc.importance().visits();
    let start = visits(&w);
    w.ping(a, to_first);
    w.set_nap(a, true);
    let spent = visits(&w) - start;
    kernel::inspect::invariants::check_all(&w.kernel);
    w.end_task(a);
    w.mod_refs(b, last, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.element(b).assertions(), 0);
    w.end_task(b);
    w.release_dead_names();
    assert_eq!((w.counts().ports, w.counts().messages), (before.ports - 4, before.messages));
    spent
}

#[test]
fn a_boost_in_a_long_chain_of_ports_costs_no_more_than_in_a_short_one() {
    let [short, limit, long] = [3, WALK, 4_000].map(visits_of_a_message);
    assert!(short < limit && limit <= 2 * (WALK as u64 + 3), "{short} and {limit} visits");
    assert!(long <= limit, "{long} visits");
}

#[test]
fn boosts_pass_a_limited_number_of_ports_and_wait_in_deeper_ones() {
    for (length, boosted) in [(WALK, true), (WALK + 1, false), (2 * WALK, false)] {
        let mut w = World::new();
        let (a, b) = (w.app(), w.adaptive());
        let (first, mut last) = chain(&mut w, b, length);
        let to_first = give(&mut w, b, first, a);
        w.ping(a, to_first);
        assert_eq!((w.on_port(b, first), w.element(b).assertions()), (1, u64::from(boosted)), "{length} ports");
        // When enough of the ports around it have been received, it counts.
        for left in (1..length).rev() {
            last = w.poll(b, last).unwrap().descriptor(0).name;
            assert_eq!(w.element(b).assertions(), u64::from(left <= WALK), "{left} of {length} ports");
        }
        assert_eq!(last, first);
        w.take(b, first);
        w.end_task(a);
        w.end_task(b);
        w.advance(voucher::importance::DELAY);
        assert_eq!(w.importance_objects(), (1, 0));
    }
}

#[test]
fn a_circle_that_is_too_long_to_find_is_refused() {
    for (length, found) in [(2, true), (CIRCLE + 1, true), (CIRCLE + 2, false)] {
        let mut w = big_world();
        let a = w.task();
        let (first, last) = chain(&mut w, a, length);
        w.insert_right(a, last, last, D::MAKE_SEND).unwrap();
        let sent = w.send(a, &Msg::copy_send(first).port(last, D::MOVE_RECEIVE));
        // A circle is sent and destroyed (mach-ipc 6.2).
        let (code, state) = match found {
            true => (Ok(()), PortType::DEAD_NAME),
            false => (Err(MACH_SEND_NO_BUFFER), PortType::RECEIVE | PortType::SEND),
        };
        assert_eq!((sent, w.port_type(a, last)), (code, Ok(state)), "{length} ports");
        kernel::inspect::invariants::check_all(&w.kernel);
        w.end_task(a);
    }
}

#[test]
fn a_receive_right_alone_can_be_sent_however_deep_its_destination_is() {
    let mut w = big_world();
    let a = w.task();
    let (first, last) = chain(&mut w, a, CIRCLE + 2);
    let [alone, outer] = [(); 2].map(|()| w.port_with_send(a));
    w.send(a, &Msg::copy_send(first).port(alone, D::MOVE_RECEIVE)).unwrap();
    assert!(matches!(w.kernel.ipc.port(w.port_of(a, alone)).home(), Home::Transit(_)));
    // With another one behind it, it could close a circle.
    let inner = w.port(a);
    w.send(a, &Msg::copy_send(outer).port(inner, D::MOVE_RECEIVE)).unwrap();
    let nested = Msg::copy_send(first).port(outer, D::MOVE_RECEIVE);
    assert_eq!(w.send(a, &nested), Err(MACH_SEND_NO_BUFFER));
    assert_eq!(w.port_type(a, outer), Ok(PortType::RECEIVE | PortType::SEND));
    w.poll(a, outer).unwrap();
    assert_eq!(w.send(a, &nested), Ok(()));
    w.mod_refs(a, last, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.port_type(a, first), Ok(PortType::DEAD_NAME));
}

/// Returns a message with receive rights of ports that have others in their queues.
fn with_nested_rights(w: &mut World, a: Actor, to: PortName, count: usize) -> Msg {
    (0..count).fold(Msg::copy_send(to), |message, _| {
        let (inner, outer) = (w.port(a), w.port_with_send(a));
        w.send(a, &Msg::copy_send(outer).port(inner, D::MOVE_RECEIVE)).unwrap();
        message.port(outer, D::MOVE_RECEIVE)
    })
}

/// The walk takes as long as many rights, so that a long one leaves room for fewer.
#[test]
fn a_message_with_a_very_long_way_has_room_for_fewer_rights() {
    for (length, most) in [(2_560, DESCRIPTORS_MAX), (CIRCLE - 1, 114)] {
        let mut w = big_world();
        let a = w.task();
        let (first, _) = chain(&mut w, a, length);
        if most < DESCRIPTORS_MAX {
            let message = with_nested_rights(&mut w, a, first, most + 1);
            assert_eq!(w.send(a, &message), Err(MACH_SEND_NO_BUFFER), "{length} ports");
        }
        let message = with_nested_rights(&mut w, a, first, most);
        assert_eq!(w.send(a, &message), Ok(()), "{length} ports");
    }
}

/// The way of a message is walked once, whatever the number of its receive rights that could close a circle.
#[test]
fn many_receive_rights_with_others_in_them_travel_to_the_end_of_a_long_chain() {
    let mut w = big_world();
    let a = w.task();
    let (first, last) = chain(&mut w, a, CIRCLE - 1);
    let message = with_nested_rights(&mut w, a, first, 100);
    w.send(a, &message).unwrap();
    kernel::inspect::invariants::check_all(&w.kernel);
    assert_eq!(w.port_type(a, last), Ok(PortType::RECEIVE));
    // One of them closes the circle: all die (mach-ipc 6.2).
    w.insert_right(a, last, last, D::MAKE_SEND).unwrap();
    let spare = w.port_with_send(a);
    w.send(a, &Msg::copy_send(first).port(spare, D::MOVE_RECEIVE).port(last, D::MOVE_RECEIVE)).unwrap();
    for name in [first, spare, last] {
        assert_eq!(w.port_type(a, name), Ok(PortType::DEAD_NAME));
    }
}

/// As many receive rights as one message may have are sent to the end of a long chain without a walk, and a message to a
/// send-once right there is on the budget of the task that made the port.
#[test]
fn a_long_chain_takes_many_receive_rights_and_messages_to_send_once_rights() {
    let mut w = big_world();
    let (a, b) = (w.task(), w.task());
    let first = w.port(b);
    let to_first = w.give_send(b, first, a);
    let once = w.transfer(b, first, D::MAKE_SEND_ONCE, a);
    nest(&mut w, b, first, 4_000);
    let used = [a, b].map(|actor| w.used(actor.task));
    w.send(a, &Msg::to(once, D::MOVE_SEND_ONCE)).unwrap();
    let grown = [a, b].map(|actor| w.used(actor.task));
    assert!(grown[0] <= used[0] && grown[1] > used[1]);
    let message =
        (0..DESCRIPTORS_MAX).fold(Msg::copy_send(to_first), |message, _| message.port(w.port(a), D::MOVE_RECEIVE));
    w.send(a, &message).unwrap();
    kernel::inspect::invariants::check_all(&w.kernel);
}

/// Each task has sent a message to the next, and the first is boosted: what follows costs the same for each hop.
#[test]
fn a_boost_costs_the_same_for_each_hop() {
    let visits = |hops: usize| {
        let mut w = big_world();
        let a = w.app();
        let tasks: Vec<Actor> = (0..hops).map(|_| w.adaptive()).collect();
        let mut senders = vec![a];
        senders.extend(&tasks);
        let mut paths = Vec::new();
        for (sender, receiver) in senders.iter().zip(&tasks) {
            paths.push(w.donation_path(*sender, *receiver));
        }
        for (sender, (_, to)) in senders.iter().zip(&paths).skip(1) {
            w.ping(*sender, *to);
        }
        let start = w.kernel.ipc.importance().visits();
        w.ping(a, paths[0].1);
        assert!(tasks.iter().all(|task| w.element(*task).assertions() == 1));
        let boosted = w.kernel.ipc.importance().visits();
        w.take(tasks[0], paths[0].0);
        w.end_task(a);
        assert!(tasks.iter().all(|task| w.element(*task).assertions() == 0));
        kernel::inspect::invariants::check_all(&w.kernel);
        let end = w.kernel.ipc.importance().visits();
        (boosted - start, end - boosted)
    };
    let [ten, hundred, most] = [10, 100, 400].map(visits);
    let per_hop = |a: (u64, u64), b: (u64, u64), hops: u64| ((b.0 - a.0) / hops, (b.1 - a.1) / hops);
    assert_eq!(per_hop(ten, hundred, 90), per_hop(hundred, most, 300), "{ten:?}, {hundred:?}, {most:?}");
    assert!(per_hop(ten, hundred, 90) <= (4, 4), "{ten:?}, {hundred:?}, {most:?}");
}

/// Starts to send a message, and leaves the work that this causes. The thread has a lower base priority than `urgent`,
/// which is ready.
fn start_send(w: &mut World, sender: Actor, message: &Msg, urgent: Actor) {
    let bytes = message.encode();
    w.put(sender, BUFFER, &bytes);
    w.set_base(urgent.thread, 100, true);
    w.start_mach_msg(
        sender,
        &MachMsg { options: MsgOption::SEND_MSG, send_size: bytes.len() as u32, ..MachMsg::default() },
    );
}

/// Leaves a message that was refused half taken apart: behind many other rights it has a receive right, which is in transit
/// to the message's port. Then ends that port, which is removed at once.
fn end_in_nothing(w: &mut World, owner: Actor, right: PortName) {
    let urgent = w.thread(owner);
    let port = w.port_with_send(owner);
    let other = w.port_with_send(owner);
    let many = (2..DESCRIPTORS_MAX).fold(Msg::copy_send(port), |message, _| message.port(other, D::COPY_SEND));
    let refused = many.port(right, D::MOVE_RECEIVE).port(PortName(0x7777), D::COPY_SEND);
    start_send(w, owner, &refused, urgent);
    assert_eq!(w.state(owner).code(), MACH_SEND_INVALID_RIGHT);
    let gone = w.port_of(owner, port);
    let end = [owner.self_port.0, port.0, MACH_PORT_RIGHT_RECEIVE, -1i32 as u32].map(u64::from);
    w.start_trap(urgent, mach::MACH_PORT_MOD_REFS, &end);
    assert!(w.kernel.ipc.live_port(gone).is_none());
}

/// A message that is taken apart slowly can keep a port in transit to one that has been removed.
#[test]
fn a_way_that_ends_at_a_port_that_is_gone_takes_messages_to_send_once_rights() {
    for length in WALK - 1..=WALK + 3 {
        let mut w = big_world();
        w.checked = true;
        let (a, b) = (w.task(), w.task());
        let first = w.port(b);
        let once = w.transfer(b, first, D::MAKE_SEND_ONCE, a);
        let last = nest(&mut w, b, first, length);
        end_in_nothing(&mut w, b, last);
        assert!(w.counts().messages >= length as u64, "the message is still there");
        start_send(&mut w, a, &Msg::to(once, D::MOVE_SEND_ONCE), a);
        assert_eq!(w.state(a).code(), MACH_MSG_SUCCESS, "{length} ports");
        w.settle();
        assert_eq!(w.port_type(a, once).unwrap_err(), KERN_INVALID_NAME);
    }
}

/// Ports that have been received and are sent again are no deeper than they were the first time, and neither are ports
/// that all accept donation.
#[test]
fn a_way_that_is_used_again_carries_boosts_as_far_as_before() {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let mut ports: Vec<PortName> = (0..WALK).map(|_| w.donation_port(b)).collect();
    w.insert_right(b, ports[0], ports[0], D::MAKE_SEND).unwrap();
    let to_first = give(&mut w, b, ports[0], a);
    w.ping(a, to_first);
    for _ in 0..3 {
        for pair in ports.windows(2) {
            let message = Msg::to(pair[1], D::MAKE_SEND).port(pair[0], D::MOVE_RECEIVE);
            // Without a boost of its own.
            let sent = w.send_with(b, &message, MsgOption::SEND_NOIMPORTANCE, 0);
            assert_eq!((sent.code(), w.element(b).assertions()), (MACH_MSG_SUCCESS, 1));
        }
        for inner in (0..WALK - 1).rev() {
            ports[inner] = w.poll(b, ports[inner + 1]).unwrap().descriptor(0).name;
            assert_eq!(w.element(b).assertions(), 1);
        }
    }
}
