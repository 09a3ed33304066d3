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

/// Asserts that so many of the rights that `make` returns are sent in one message, and no more, and that the one that is too
/// much has not moved. Returns the names of those that were refused.
fn assert_limit(
    w: &mut World,
    a: Actor,
    (sent, disposition): (usize, D),
    make: impl Fn(&mut World, usize) -> Vec<PortName>,
) -> Vec<PortName> {
    let few = make(w, sent);
    assert_eq!(send_all(w, a, &few, disposition), Ok(sent));
    let many = make(w, sent + 1);
    let rights = w.port_type(a, many[sent]);
    assert_eq!(send_all(w, a, &many, disposition), Err(MACH_SEND_NO_BUFFER));
    assert!(rights.is_ok() && w.port_type(a, many[sent]) == rights, "it has not moved");
    kernel::inspect::invariants::check_all(&w.kernel);
    many
}

#[test]
fn the_receive_rights_of_a_message_leave_a_limited_number_of_sets() {
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let sets = new_sets(&mut w, a);
    let refused = assert_limit(&mut w, a, (8, D::MOVE_RECEIVE), |w, count| {
        let ports: Vec<_> = (0..count).map(|_| w.port(a)).collect();
        ports.iter().for_each(|&port| join(w, a, port, &sets));
        ports
    });
    assert_eq!(w.port_type(a, refused[0]), Err(KERN_INVALID_NAME), "those before it end with the message");
}

#[test]
fn the_receive_rights_of_a_message_end_a_limited_number_of_waits() {
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
    const WAITING: usize = 55;
    // A right counts 10, because its port leaves a set, and a thread that waits 2.
    assert_limit(&mut w, a, (99, D::MOVE_RECEIVE), |w, count| {
        let ports: Vec<_> = (0..count).map(|_| w.port(a)).collect();
        ports.iter().for_each(|&port| join(w, a, port, &[set]));
        for _ in 0..WAITING {
            let thread = w.thread(a);
            assert_eq!(w.receive(thread, ports[0], MsgOption::empty()), Ret::Blocked);
        }
        ports
    });
}

#[test]
fn the_rights_of_a_message_cause_a_limited_number_of_notifications() {
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let (port, notify) = (w.port(a), w.port(a));
    let sets = new_sets(&mut w, a);
    join(&mut w, a, notify, &sets);
    assert_limit(&mut w, a, (14, D::MOVE_SEND_ONCE), |w, count| {
        let names: Vec<_> = (0..count as u32).map(|number| PortName((1000 + number) << 8 | 3)).collect();
        for &name in &names {
            w.insert_right(a, name, port, D::MAKE_SEND_ONCE).unwrap();
            w.request(a, name, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
        }
        names
    });
    w.notification(a, port, MACH_NOTIFY_SEND_ONCE);
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
