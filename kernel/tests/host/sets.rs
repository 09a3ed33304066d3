//! Port sets: their members, and which receiver gets a message (mach-ipc 9.8).

use crate::calls::{SEND_RECEIVE, UNUSED_NAME, in_both_forms};
use crate::message::{MachMsg, Msg};
use crate::world::{Actor, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::ipc::entry::EntryRight;
use kernel::limits::SETS_PER_PORT_MAX;

const RECEIVE: u32 = MACH_PORT_RIGHT_RECEIVE;
const PORT_SET: u32 = MACH_PORT_RIGHT_PORT_SET;

fn new_set(w: &mut World, a: Actor) -> PortName {
    w.allocate(a, PORT_SET).unwrap()
}

/// Creates a port with a send right and inserts it into a set.
fn new_member(w: &mut World, a: Actor, set: PortName) -> PortName {
    let port = w.port_with_send(a);
    w.insert_member(a, port, set).unwrap();
    port
}

/// Creates a task with a set that has `N` members.
fn with_members<const N: usize>() -> (World, Actor, PortName, [PortName; N]) {
    let mut w = World::new();
    let a = w.task();
    let set = new_set(&mut w, a);
    let members = [(); N].map(|()| new_member(&mut w, a, set));
    (w, a, set, members)
}

/// Sends a message with this id to a port.
fn post(w: &mut World, a: Actor, port: PortName, id: i32) {
    w.send(a, &Msg::copy_send(port).id(id)).unwrap();
}

/// Returns the number of members of a set.
fn members_of(w: &World, a: Actor, set: PortName) -> usize {
    match w.space_of(a.task).get(set).unwrap().right {
        EntryRight::PortSet { set } => w.kernel.ipc.set(set).len(),
        other => panic!("{set:?} is {other:?}, not a set"),
    }
}

// covers mach-ipc S01
#[test]
fn a_message_received_from_a_set_names_its_port() {
    let (mut w, a, set, [p]) = with_members();
    post(&mut w, a, p, 1);
    let header = w.poll(a, set).unwrap().header;
    assert_eq!((header.msgh_local_port, header.msgh_id), (p, 1));
}

// covers mach-ipc S02
#[test]
fn ready_members_are_served_in_turn() {
    let (mut w, a, set, [p1, p2]) = with_members();
    for (port, id) in [(p1, 11), (p1, 12), (p2, 21), (p2, 22)] {
        post(&mut w, a, port, id);
    }
    for (port, id) in [(p1, 11), (p2, 21), (p1, 12), (p2, 22)] {
        let header = w.poll(a, set).unwrap().header;
        assert_eq!((header.msgh_local_port, header.msgh_id), (port, id));
    }
}

// covers mach-ipc S03
#[test]
fn a_waiter_on_the_port_comes_before_a_waiter_on_its_set() {
    let (mut w, a, set, [p]) = with_members();
    let (x, y) = (w.thread(a), w.thread(a));
    assert_eq!(w.receive(x, set, MsgOption::empty()), Ret::Blocked);
    assert_eq!(w.receive(y, p, MsgOption::empty()), Ret::Blocked);
    post(&mut w, a, p, 3);
    assert_eq!((w.state(x), w.state(y).code()), (Ret::Blocked, MACH_MSG_SUCCESS));
    assert_eq!(w.received(y).header.msgh_id, 3);
}

// covers mach-ipc S04
#[test]
fn a_port_joins_a_set_once_and_leaves_only_its_own_sets() {
    in_both_forms(|mut w| {
        let a = w.task();
        let set = new_set(&mut w, a);
        let (p, p2) = (new_member(&mut w, a, set), w.port(a));
        assert_eq!(w.insert_member(a, p, set).unwrap_err(), KERN_ALREADY_IN_SET);
        assert_eq!(w.extract_member(a, p2, set).unwrap_err(), KERN_NOT_IN_SET);
        assert_eq!(w.move_member(a, p2, MACH_PORT_NULL).unwrap_err(), KERN_NOT_IN_SET);
        assert_eq!(members_of(&w, a, set), 1);
    });
}

#[test]
fn a_member_must_be_a_receive_right_and_a_set_a_port_set() {
    in_both_forms(|mut w| {
        let a = w.task();
        let set = new_set(&mut w, a);
        let (p, free, dead) = (w.port(a), UNUSED_NAME, w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap());
        let pairs = [
            (MACH_PORT_NULL, set, KERN_INVALID_RIGHT),
            (p, MACH_PORT_DEAD, KERN_INVALID_RIGHT),
            (free, set, KERN_INVALID_NAME),
            (p, free, KERN_INVALID_NAME),
            (set, free, KERN_INVALID_NAME),
            (dead, set, KERN_INVALID_RIGHT),
            (p, dead, KERN_INVALID_RIGHT),
            (set, p, KERN_INVALID_RIGHT),
        ];
        for (member, set, code) in pairs {
            assert_eq!(w.insert_member(a, member, set), Err(code), "{member:?} into {set:?}");
            assert_eq!(w.extract_member(a, member, set), Err(code), "{member:?} out of {set:?}");
            assert_eq!(w.move_member(a, member, set), Err(code), "{member:?} to {set:?}");
        }
        assert_eq!(members_of(&w, a, set), 0);
    });
}

/// A message makes its port ready in every set of it, within one step, so their number has a limit.
#[test]
fn a_port_is_in_a_limited_number_of_sets() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    let sets: Vec<PortName> = (0..=SETS_PER_PORT_MAX).map(|_| new_set(&mut w, a)).collect();
    let (last, others) = sets.split_last().unwrap();
    others.iter().for_each(|&set| w.insert_member(a, p, set).unwrap());
    assert_eq!(w.insert_member(a, p, *last), Err(KERN_RESOURCE_SHORTAGE));
    w.extract_member(a, p, others[0]).unwrap();
    assert_eq!(w.insert_member(a, p, *last), Ok(()));
    post(&mut w, a, p, 5);
    assert_eq!(w.poll(a, *last).unwrap().header.msgh_id, 5);
}

// covers mach-ipc S05
#[test]
fn a_message_is_received_from_only_one_set_of_its_port() {
    let (mut w, a, s1, [p]) = with_members();
    let s2 = new_set(&mut w, a);
    w.insert_member(a, p, s2).unwrap();
    post(&mut w, a, p, 5);
    assert_eq!(w.poll(a, s1).unwrap().header.msgh_id, 5);
    assert_eq!(w.poll(a, s2).unwrap_err(), MACH_RCV_TIMED_OUT);
}

// covers mach-ipc S06
#[test]
fn moving_a_member_takes_it_out_of_its_other_sets() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (s1, s2) = (new_set(&mut w, a), new_set(&mut w, a));
        let p = new_member(&mut w, a, s1);
        w.insert_member(a, p, s2).unwrap();
        assert_eq!(w.move_member(a, p, s2), Ok(()));
        assert_eq!(w.extract_member(a, p, s1).unwrap_err(), KERN_NOT_IN_SET);
        assert_eq!(w.status(a, p).mps_pset, 1);
        assert_eq!(w.move_member(a, p, MACH_PORT_NULL), Ok(()));
        assert_eq!((w.status(a, p).mps_pset, members_of(&w, a, s2)), (0, 0));
    });
}

// covers mach-ipc S07
#[test]
fn a_port_that_joins_a_set_delivers_its_messages_to_waiters() {
    in_both_forms(|mut w| {
        let a = w.task();
        let (set, p, x) = (new_set(&mut w, a), w.port_with_send(a), w.thread(a));
        post(&mut w, a, p, 7);
        assert_eq!(w.receive(x, set, MsgOption::empty()), Ret::Blocked);
        w.insert_member(a, p, set).unwrap();
        assert_eq!(w.state(x).code(), MACH_MSG_SUCCESS);
        let header = w.received(x).header;
        assert_eq!((header.msgh_local_port, header.msgh_id), (p, 7));
    });
}

/// A waiter whose buffer is too small ends its wait, and the message stays first in the queue.
#[test]
fn a_port_that_joins_a_set_keeps_a_message_that_is_too_large_for_the_waiter() {
    let mut w = World::new();
    let a = w.task();
    let (set, p, x) = (new_set(&mut w, a), w.port_with_send(a), w.thread(a));
    (7..=8).for_each(|id| post(&mut w, a, p, id));
    let options = MsgOption::RCV_MSG | MsgOption::RCV_LARGE;
    let too_small = MachMsg { options, receive_name: set, receive_size: 24, ..MachMsg::default() };
    assert_eq!(w.mach_msg(x, &too_small), Ret::Blocked);
    w.insert_member(a, p, set).unwrap();
    assert_eq!(w.state(x).code(), MACH_RCV_TOO_LARGE);
    assert_eq!(w.status(a, p).mps_msgcount, 2);
    for id in [7, 8] {
        assert_eq!(w.poll(a, set).unwrap().header.msgh_id, id);
    }
}

// covers mach-ipc S08
#[test]
fn a_moved_receive_right_leaves_its_set() {
    let (mut w, a, set, [p]) = with_members();
    let b = w.task();
    assert_eq!(members_of(&w, a, set), 1);
    w.transfer(a, p, D::MOVE_RECEIVE, b);
    assert_eq!(members_of(&w, a, set), 0);
}

// covers mach-ipc S10
#[test]
fn a_message_that_does_not_fit_does_not_block_other_members() {
    let (mut w, a, set, [p1, p2]) = with_members();
    w.send(a, &Msg::copy_send(p1).id(1).words(&[0; 100])).unwrap();
    post(&mut w, a, p2, 2);
    let small = |w: &mut World| w.poll_with(a, set, MsgOption::RCV_LARGE, 64);
    assert_eq!(small(&mut w).unwrap_err(), MACH_RCV_TOO_LARGE);
    let header = small(&mut w).unwrap().header;
    assert_eq!((header.msgh_local_port, header.msgh_id), (p2, 2));
    assert_eq!(w.poll(a, set).unwrap().header.msgh_id, 1, "the large message is still there");
}

// covers mach-ipc S11
#[test]
fn a_member_can_be_received_from_directly() {
    let (mut w, a, set, [p]) = with_members();
    post(&mut w, a, p, 11);
    assert_eq!(w.poll(a, p).unwrap().header.msgh_id, 11);
    w.expect_empty(a, set);
}

// covers mach-ipc S12
#[test]
fn members_outlive_their_set_with_their_messages() {
    let (mut w, a, set, members) = with_members::<2>();
    members.into_iter().for_each(|p| post(&mut w, a, p, 12));
    let sets = w.counts().port_sets;
    w.mod_refs(a, set, PORT_SET, -1).unwrap();
    assert_eq!(w.counts().port_sets, sets - 1);
    for p in members {
        assert_eq!((w.port_type(a, p), w.status(a, p).mps_pset), (Ok(SEND_RECEIVE), 0));
        assert_eq!(w.poll(a, p).unwrap().header.msgh_id, 12);
    }
}

// covers mach-ipc S13
#[test]
fn a_waiter_on_a_set_keeps_waiting_when_a_member_dies() {
    let (mut w, a, set, [p, other]) = with_members();
    let x = w.thread(a);
    assert_eq!(w.receive(x, set, MsgOption::empty()), Ret::Blocked);
    w.mod_refs(a, p, RECEIVE, -1).unwrap();
    assert_eq!((w.state(x), members_of(&w, a, set)), (Ret::Blocked, 1));
    post(&mut w, a, other, 13);
    assert_eq!(w.received(x).header.msgh_id, 13);
}

/// mach-ipc 3.9: with k ready members each is served within k receives.
#[test]
fn a_member_with_many_messages_does_not_starve_the_others() {
    let (mut w, a, set, members) = with_members::<3>();
    w.set_qlimit(a, members[0], 100).unwrap();
    for (n, many) in [(0, 100), (1, 5), (2, 5)] {
        (0..many).for_each(|_| post(&mut w, a, members[n], n as i32));
    }
    let received: Vec<i32> = (0..15).map(|_| w.poll(a, set).unwrap().header.msgh_id).collect();
    assert_eq!(received, [0, 1, 2].repeat(5));
    assert_eq!(w.status(a, members[0]).mps_msgcount, 95);
}

#[test]
fn many_messages_of_a_port_that_joins_a_set_are_each_taken_by_one_of_its_waiters() {
    const MESSAGES: usize = 40;
    let mut w = World::new();
    let a = w.task();
    let (set, port) = (new_set(&mut w, a), w.port_with_send(a));
    w.set_qlimit(a, port, MACH_PORT_QLIMIT_MAX).unwrap();
    w.checked = false;
    (0..MESSAGES).for_each(|id| post(&mut w, a, port, id as i32));
    let waiters: Vec<Actor> = (0..MESSAGES + 4).map(|_| w.thread(a)).collect();
    for (number, &waiter) in waiters.iter().enumerate() {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        let timeout = if number == 0 { 0 } else { 5 };
        let options = if timeout == 0 { MsgOption::RCV_MSG } else { options };
        let args = MachMsg { options, receive_name: set, receive_size: 1024, timeout, ..MachMsg::default() };
        assert_eq!(w.mach_msg(waiter, &args), Ret::Blocked);
    }
    w.checked = true;
    w.insert_member(a, port, set).unwrap();
    let (served, others): (Vec<_>, Vec<_>) =
        waiters.iter().copied().partition(|&waiter| w.state(waiter) != Ret::Blocked);
    let mut ids: Vec<i32> = served.iter().map(|&waiter| w.received(waiter).header.msgh_id).collect();
    // The first waiters are handed the first messages.
    assert!(ids.iter().take(30).copied().eq(0..30), "{ids:?}");
    ids.sort();
    assert!(ids.iter().copied().eq(0..MESSAGES as i32), "{ids:?}");
    assert!(served.iter().all(|&waiter| w.state(waiter).code() == MACH_MSG_SUCCESS));
    assert_eq!((others.len(), w.status(a, port).mps_msgcount), (4, 0));
    // The others wait again, until their time is over.
    w.advance(4_000_000);
    assert!(others.iter().all(|&waiter| w.state(waiter) == Ret::Blocked));
    post(&mut w, a, port, 99);
    w.advance(2_000_000);
    let codes = others.iter().map(|&waiter| w.state(waiter).code());
    assert_eq!(codes.filter(|&code| code == MACH_RCV_TIMED_OUT).count(), 3);
}
