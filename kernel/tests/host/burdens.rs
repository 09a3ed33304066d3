//! What the rights of one message cause besides their move is limited, because all of it is done in one step.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER_SIZE, Ret, World};
use abi::code::*;
use abi::message::{MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::port::Disposition as D;
use abi::port::*;
use abi::{KernReturn, PortName};
use kernel::limits::SETS_PER_PORT_MAX;

fn new_sets(w: &mut World, a: Actor) -> Vec<PortName> {
    (0..SETS_PER_PORT_MAX).map(|_| w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap()).collect()
}

fn join(w: &mut World, a: Actor, port: PortName, sets: &[PortName]) {
    sets.iter().for_each(|&set| w.insert_member(a, port, set).unwrap());
}

/// Sends rights from one task to another, which takes them if they can be sent.
fn send_all(w: &mut World, a: Actor, names: &[PortName], disposition: D) -> Result<usize, KernReturn> {
    let b = w.task();
    let (mailbox, to) = w.connect(a, b);
    let message = names.iter().fold(Msg::copy_send(to), |message, &name| message.port(name, disposition));
    w.send(a, &message).inspect_err(|_| w.expect_empty(b, mailbox))?;
    Ok(w.poll(b, mailbox).unwrap().descriptors().len())
}

#[test]
fn the_receive_rights_of_a_message_leave_a_limited_number_of_sets() {
    const SENT: usize = 8;
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let sets = new_sets(&mut w, a);
    let members = |w: &mut World, count: usize| -> Vec<PortName> {
        let ports: Vec<_> = (0..count).map(|_| w.port(a)).collect();
        ports.iter().for_each(|&port| join(w, a, port, &sets));
        ports
    };
    let few = members(&mut w, SENT);
    assert_eq!(send_all(&mut w, a, &few, D::MOVE_RECEIVE), Ok(SENT));
    let many = members(&mut w, SENT + 1);
    assert_eq!(send_all(&mut w, a, &many, D::MOVE_RECEIVE), Err(MACH_SEND_NO_BUFFER));
    assert_eq!(w.port_type(a, many[SENT]), Ok(PortType::RECEIVE), "it has not moved");
    assert_eq!(w.port_type(a, many[0]), Err(KERN_INVALID_NAME), "those before it end with the message");
    kernel::inspect::invariants::check_all(&w.kernel);
}

#[test]
fn the_rights_of_a_message_cause_a_limited_number_of_notifications() {
    const SENT: usize = 16;
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let (port, notify) = (w.port(a), w.port(a));
    let sets = new_sets(&mut w, a);
    join(&mut w, a, notify, &sets);
    let rights = |w: &mut World, count: u32| -> Vec<PortName> {
        let names: Vec<_> = (0..count).map(|number| PortName((1000 + number) << 8 | 3)).collect();
        for &name in &names {
            w.insert_right(a, name, port, D::MAKE_SEND_ONCE).unwrap();
            w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
        }
        names
    };
    let few = rights(&mut w, SENT as u32);
    assert_eq!(send_all(&mut w, a, &few, D::MOVE_SEND_ONCE), Ok(SENT));
    let many = rights(&mut w, SENT as u32 + 1);
    assert_eq!(send_all(&mut w, a, &many, D::MOVE_SEND_ONCE), Err(MACH_SEND_NO_BUFFER));
    assert!(w.port_type(a, many[SENT]).unwrap().contains(PortType::SEND_ONCE), "it has not moved");
    w.notification(a, port, MACH_NOTIFY_SEND_ONCE);
    kernel::inspect::invariants::check_all(&w.kernel);
}

/// Receivers that refuse a message are asked in the order of the sets, and the first one that takes it gets it.
#[test]
fn a_message_is_offered_to_the_receivers_of_each_set_in_turn() {
    const SMALL: u32 = 16;
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let sets = &new_sets(&mut w, a)[..4];
    join(&mut w, a, port, sets);
    let mut wait = |set: PortName, receive_size: u32| {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_LARGE;
        let (thread, args) = (w.thread(a), MachMsg { options, receive_name: set, receive_size, ..MachMsg::default() });
        assert_eq!(w.mach_msg(thread, &args), Ret::Blocked);
        thread
    };
    let refusing = [(sets[1], SMALL), (sets[1], SMALL), (sets[2], SMALL)].map(|(set, size)| wait(set, size));
    let [taking, last] = [(sets[2], BUFFER_SIZE), (sets[3], BUFFER_SIZE)].map(|(set, size)| wait(set, size));
    w.send(a, &Msg::copy_send(port).id(7)).unwrap();
    for thread in refusing {
        assert_eq!(w.state(thread).code(), MACH_RCV_TOO_LARGE);
    }
    assert_eq!(w.state(taking).code(), MACH_MSG_SUCCESS);
    assert_eq!(w.state(last), Ret::Blocked);
}
