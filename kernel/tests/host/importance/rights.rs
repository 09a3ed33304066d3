//! Receive rights that move, have a temporary owner, or die (importance 10.6).

use super::*;
use crate::program::spawn_args;
use crate::world::ARGUMENTS;
use abi::code::*;
use abi::message::MACH_NOTIFY_PORT_DESTROYED;
use abi::task::TaskSpawnArgs;
use zerocopy::IntoBytes;

/// Returns a world with A and B, and B's port with `raised` messages of A and A's name for it.
fn raised(raised: u64) -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    (0..raised).for_each(|_| w.ping(a, to_b));
    (w, a, b, port, to_b)
}

/// Sends a message without importance of its own, with the receive right of `port`.
fn send_right(w: &mut World, from: Actor, to: PortName, port: PortName) {
    let message = Msg::copy_send(to).port(port, Disposition::MOVE_RECEIVE);
    w.try_send_with(from, &message, MsgOption::SEND_NOIMPORTANCE).unwrap();
}

impl World {
    /// Starts an adaptive daemon that watches ports, of which init gets the send rights.
    fn watching(&mut self, owner: Actor, ports: &[PortName]) -> Actor {
        let init = self.init;
        let names: Vec<PortName> = ports.iter().map(|&port| self.give_send(owner, port, init)).collect();
        let at = ARGUMENTS + 1024;
        self.put(init, at, names.as_bytes());
        self.task_with(TaskSpawnArgs {
            app_type: AppType::DaemonAdaptive as u32,
            watch_ports: init.memory + at,
            watch_port_count: names.len() as u32,
            ..spawn_args()
        })
    }
}

/// Returns a world with A, S, S's port with a temporary owner and two raised messages of A, and A's name for it.
fn service() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, s) = (w.app(), w.standard());
    let (port, to_s) = w.donation_path(a, s);
    w.set_attributes(s, port, MACH_PORT_TEMPOWNER, &[]).unwrap();
    (0..2).for_each(|_| w.ping(a, to_s));
    (w, a, s, port, to_s)
}

// covers importance E95 E96
#[test]
fn the_boosts_of_a_port_with_a_temporary_owner_are_not_those_of_its_holder() {
    let (mut w, a, b, port, to_b) = raised(2);
    w.set_attributes(b, port, MACH_PORT_TEMPOWNER, &[]).unwrap();
    assert_eq!((w.on_port(b, port), w.boosts(b)), (2, IDLE));
    w.ping(a, to_b);
    assert_eq!((w.on_port(b, port), w.boosts(b)), (3, IDLE));
    let voucher = w.take(b, port).voucher;
    assert_eq!((w.on_port(b, port), w.boosts(b)), (2, AT_WORK));
    w.deallocate(b, voucher).unwrap();
    assert_eq!(w.boosts(b), IDLE);
}

// covers importance E97
#[test]
fn a_daemon_that_is_started_for_a_port_is_boosted_by_what_waits_there() {
    let (mut w, _, s, port, _) = service();
    assert_eq!(w.boosts(s), (0, (0, 0), 31));
    let d = w.watching(s, &[port]);
    assert_eq!((w.boosts(d), w.element_refs(d), w.boosts(s)), ((2, (0, 0), 31), 2, (0, (0, 0), 31)));
    assert!(w.status_flags(s, port).contains(PortStatusFlags::TASKPTR));
}

// covers importance E98 E99
#[test]
fn a_service_port_moves_to_its_daemon_without_a_gap() {
    let (mut w, _, s, port, _) = service();
    let d = w.watching(s, &[port]);
    let reply = w.port(d);
    let to_d = w.give_send(d, reply, s);
    let id = w.port_of(s, port);
    let on_service = |w: &World| w.kernel.ipc.port(id).boosts().count();
    send_right(&mut w, s, to_d, port);
    assert_eq!((on_service(&w), w.on_port(d, reply), w.boosts(d), w.element_refs(d)), (2, 2, (2, (0, 0), 31), 1));
    let port = w.poll(d, reply).unwrap().descriptor(0).name;
    assert_eq!((on_service(&w), w.on_port(d, reply), w.boosts(d)), (2, 0, (2, (0, 0), 31)));
    assert!(!w.status_flags(d, port).contains(PortStatusFlags::TEMPOWNER));
    let vouchers: Vec<_> = (0..2).map(|_| w.take(d, port).voucher).collect();
    assert_eq!((vouchers[0], w.boosts(d)), (vouchers[1], (2, (2, 0), 31)));
    assert_eq!(w.transitions(d), 1, "it was boosted all the time");
    w.deallocate(d, vouchers[0]).unwrap();
    assert_eq!(w.boosts(d).0, 2);
    w.deallocate(d, vouchers[0]).unwrap();
    assert_eq!(w.boosts(d), IDLE);
}

// covers importance E100
#[test]
fn the_boosts_of_a_port_wait_for_the_next_daemon() {
    let (mut w, _, s, port, _) = service();
    let d = w.watching(s, &[port]);
    let (element, elements) = (w.element_id(d), w.importance_objects().0);
    w.end_task(d);
    let left = |w: &World| w.kernel.ipc.importance().element(element).map(|element| element.assertions());
    assert_eq!((left(&w), w.importance_objects().0), (Some(2), elements));
    let next = w.watching(s, &[port]);
    assert_eq!((w.boosts(next), left(&w)), ((2, (0, 0), 31), None));
}

// covers importance E101
#[test]
fn a_daemon_watches_several_ports() {
    let (mut w, a, s, port, _) = service();
    let (other, to_other) = w.donation_path(a, s);
    w.set_attributes(s, other, MACH_PORT_TEMPOWNER, &[]).unwrap();
    w.ping(a, to_other);
    let plain = w.donation_port(s);
    let d = w.watching(s, &[port, other, plain]);
    assert_eq!(w.boosts(d).0, 3, "a port without a temporary owner is skipped");
    assert!(!w.status_flags(s, plain).contains(PortStatusFlags::TASKPTR));
}

// covers importance E102 E103
#[test]
fn boosts_travel_with_a_receive_right() {
    let (mut w, _, b, port, _) = raised(2);
    let c = w.adaptive();
    let (port_c, to_c) = w.donation_path(b, c);
    w.send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    assert_eq!((w.boosts(b), w.on_port(c, port_c), w.boosts(c)), (IDLE, 2, (2, (0, 0), 31)));
    assert_eq!(w.element_refs(b), 2, "the carrying message is linked");
    let message = w.poll_with(c, port_c, MsgOption::RCV_VOUCHER, BUFFER_SIZE).unwrap();
    assert_eq!((w.on_port(c, port_c), w.boosts(c)), (0, (2, (0, 0), 31)));
    assert_eq!((counts_of(w.inherits(c)[0]), receipt(&message).raised), ((1, 0, 1, 1, false), true));
    let moved = message.descriptor(0).name;
    w.take(c, moved);
    assert_eq!((w.boosts(c), w.on_port(c, moved)), ((2, (1, 0), 31), 1));
}

// covers importance E104
#[test]
fn a_message_to_a_travelling_port_boosts_all_the_way() {
    let (mut w, a, b, port, to_b) = raised(2);
    let c = w.adaptive();
    let (port_c, to_c) = w.donation_path(b, c);
    let id = w.port_of(b, port);
    w.send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    w.ping(a, to_b);
    assert_eq!(w.kernel.ipc.port(id).boosts().count(), 3);
    assert_eq!((w.on_port(c, port_c), w.boosts(c)), (3, (3, (0, 0), 31)));
}

/// Lets a port with one raised message travel to a second one, and that to C's port; then A sends to the first.
fn nested() -> (World, Actor, Actor, PortName, [PortId; 2], PortName) {
    let (mut w, a, b, r1, to_r1) = raised(1);
    let c = w.adaptive();
    let (port_c, to_c) = w.donation_path(b, c);
    let r2 = w.donation_port(b);
    w.insert_right(b, r2, r2, Disposition::MAKE_SEND).unwrap();
    let ids = [w.port_of(b, r1), w.port_of(b, r2)];
    send_right(&mut w, b, r2, r1);
    send_right(&mut w, b, to_c, r2);
    w.ping(a, to_r1);
    (w, a, c, port_c, ids, to_c)
}

// covers importance E105
#[test]
fn boosts_travel_through_ports_that_travel_themselves() {
    let (mut w, _, c, port_c, ids, _) = nested();
    let counts = |w: &World| ids.map(|id| w.kernel.ipc.port(id).boosts().count());
    assert_eq!((counts(&w), w.on_port(c, port_c), w.boosts(c)), ([2, 2], 2, (2, (0, 0), 31)));
    let r2 = w.poll(c, port_c).unwrap().descriptor(0).name;
    assert_eq!((counts(&w), w.on_port(c, port_c), w.boosts(c).0), ([2, 2], 0, 2));
    w.poll(c, r2).unwrap();
    assert_eq!((counts(&w), w.boosts(c), w.transitions(c)), ([2, 0], (2, (0, 0), 31), 1));
}

// covers importance E106
#[test]
fn the_death_of_a_port_ends_the_boosts_of_all_that_travels_to_it() {
    let (mut w, a, c, port_c, ids, _) = nested();
    let a_to_c = w.give_send(c, port_c, a);
    w.ping(a, a_to_c);
    assert_eq!(w.boosts(c).0, 3);
    w.destroy(c, port_c).unwrap();
    assert_eq!((w.boosts(c), w.element_refs(a)), (IDLE, 1));
    assert!(ids.iter().all(|&id| w.kernel.ipc.live_port(id).is_none()));
}

// covers importance E107
#[test]
fn a_port_that_is_sent_to_itself_dies_with_its_boosts() {
    let (mut w, a, b, port, _) = raised(1);
    w.insert_right(b, port, port, Disposition::MAKE_SEND).unwrap();
    let id = w.port_of(b, port);
    w.send(b, &Msg::copy_send(port).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    assert_eq!((w.boosts(b), w.element_refs(a), w.element_refs(b)), (IDLE, 1, 1));
    assert!(w.kernel.ipc.live_port(id).is_none());
}

// covers importance E108
#[test]
fn a_port_that_travels_within_its_task_keeps_its_boosts() {
    let (mut w, a, b, r1, _) = raised(1);
    let (r2, to_r2) = w.donation_path(a, b);
    w.ping(a, to_r2);
    w.insert_right(b, r2, r2, Disposition::MAKE_SEND).unwrap();
    w.send(b, &Msg::copy_send(r2).port(r1, Disposition::MOVE_RECEIVE)).unwrap();
    assert_eq!((w.on_port(b, r2), w.boosts(b).0), (3, 3));
}

// covers importance E109
#[test]
fn a_right_that_comes_back_brings_its_boosts_back() {
    let (mut w, a, b, port, _) = raised(2);
    let c = w.adaptive();
    let (port_c, a_to_c) = w.donation_path(a, c);
    let to_c = w.give_send(c, port_c, b);
    (0..5).for_each(|_| w.ping(a, a_to_c));
    let sent = w.try_send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE));
    assert_eq!(sent, Err(MACH_SEND_TIMED_OUT));
    let back = w.received(b).descriptor(0).name;
    assert_eq!((w.boosts(b), w.on_port(b, back)), ((2, (0, 0), 31), 2));
    assert_eq!((w.boosts(c).0, w.on_port(c, port_c)), (5, 5));
}

// covers importance E110
#[test]
fn a_right_that_is_destroyed_on_its_way_takes_its_boosts_away() {
    let (mut w, a, b, port, _) = raised(2);
    let c = w.adaptive();
    let (port_c, to_c) = w.donation_path(b, c);
    let id = w.port_of(b, port);
    w.send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    assert_eq!(w.boosts(c).0, 2);
    assert_eq!(w.poll_with(c, port_c, MsgOption::empty(), 20).err(), Some(MACH_RCV_TOO_LARGE));
    assert_eq!((w.boosts(c), w.on_port(c, port_c), w.element_refs(a)), (IDLE, 0, 1));
    assert!(w.kernel.ipc.live_port(id).is_none());
}

/// The right is not destroyed with the message that carries it, but goes where the request says.
#[test]
fn a_right_that_a_request_saves_on_its_way_takes_its_boosts_away() {
    let (mut w, _, b, port, _) = raised(2);
    let (c, s) = (w.adaptive(), w.standard());
    let (port_c, to_c) = w.donation_path(b, c);
    let mailbox = w.port(s);
    let notify = w.transfer(s, mailbox, Disposition::MAKE_SEND_ONCE, b);
    w.request(b, port, MACH_NOTIFY_PORT_DESTROYED, 0, (notify, Disposition::MOVE_SEND_ONCE)).unwrap();
    w.send(b, &Msg::copy_send(to_c).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    assert_eq!((w.boosts(c).0, w.on_port(c, port_c)), (2, 2));
    assert_eq!(w.poll_with(c, port_c, MsgOption::empty(), 20).err(), Some(MACH_RCV_TOO_LARGE));
    assert_eq!((w.boosts(c), w.on_port(c, port_c), w.on_port(s, mailbox)), (IDLE, 0, 2));
    let saved = PortName(w.notification(s, mailbox, MACH_NOTIFY_PORT_DESTROYED));
    assert_eq!((w.on_port(s, saved), w.on_port(s, mailbox)), (2, 0));
}

// covers importance E111
#[test]
fn a_port_without_donation_carries_the_boosts_of_rights() {
    let (mut w, _, b, port, _) = raised(1);
    let s = w.standard();
    let mailbox = w.port(s);
    let to_s = w.give_send(s, mailbox, b);
    let id = w.port_of(b, port);
    w.send(b, &Msg::copy_send(to_s).port(port, Disposition::MOVE_RECEIVE)).unwrap();
    let on_right = |w: &World| w.kernel.ipc.port(id).boosts().count();
    assert_eq!((w.boosts(b), on_right(&w), w.on_port(s, mailbox)), (IDLE, 1, 1));
    w.poll(s, mailbox).unwrap();
    assert_eq!((on_right(&w), w.on_port(s, mailbox), w.boosts(s).0), (1, 0, 0));
}

// covers importance E112
#[test]
fn a_set_has_no_influence_on_boosts() {
    let (mut w, a, b, port, _) = raised(1);
    let set = w.allocate(b, MACH_PORT_RIGHT_PORT_SET).unwrap();
    w.insert_member(b, port, set).unwrap();
    let receipt = w.take(b, set);
    assert!(receipt.raised && receipt.voucher.is_valid() && receipt.disposition == Disposition::PORT_SEND);
    assert_eq!((w.boosts(b), w.on_port(b, port), w.element_refs(a)), (AT_WORK, 0, 2));
    let inherit = w.inherits(b)[0];
    assert_eq!((inherit.from(), inherit.depth().word()), (voucher::importance::Source::Task(w.element_id(a)), 1));
    assert_eq!((counts_of(inherit), w.transitions(b)), ((1, 0, 1, 1, true), 1));
}

// covers importance E113
#[test]
fn a_port_that_a_request_saves_keeps_its_boosts_for_the_next_daemon() {
    let (mut w, _, b, port, _) = raised(2);
    let s = w.standard();
    let mailbox = w.port(s);
    let notify = w.transfer(s, mailbox, Disposition::MAKE_SEND_ONCE, b);
    w.request(b, port, MACH_NOTIFY_PORT_DESTROYED, 0, (notify, Disposition::MOVE_SEND_ONCE)).unwrap();
    w.end_task(b);
    let saved = PortName(w.notification(s, mailbox, MACH_NOTIFY_PORT_DESTROYED));
    assert_eq!((w.on_port(s, saved), w.boosts(s).0), (2, 0));
    w.set_attributes(s, saved, MACH_PORT_TEMPOWNER, &[]).unwrap();
    let d = w.watching(s, &[saved]);
    assert_eq!(w.boosts(d), (2, (0, 0), 31));
}

/// A right that is moved outside messages counts for its new task.
#[test]
fn a_right_that_is_inserted_by_name_counts_for_its_new_task() {
    let (mut w, _, b, port, _) = raised(2);
    let c = w.adaptive();
    let c_task = w.task_port(b, c);
    let name = crate::calls::CHOSEN_NAME;
    let request = Msg::copy_send(c_task).id(abi::mig::mach_port::INSERT_RIGHT);
    let request = request.port(port, Disposition::MOVE_RECEIVE).body(&abi::mig::NDR);
    w.rpc(b, request.words(&[name.0])).unwrap();
    assert_eq!((w.boosts(b), w.boosts(c)), (IDLE, (2, (0, 0), 31)));
    assert_eq!(w.on_port(c, name), 2);
}
