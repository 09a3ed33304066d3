//! Raising a queue limit admits blocked senders in slices, between which others run.

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::mig::{NDR, mach_port};
use abi::port::*;
use kernel::limits::REAP_SLICE;

/// More blocked senders than one slice admits.
const SENDERS: i32 = REAP_SLICE as i32 * 3 / 2;

/// Starts to send a message, and leaves the work that this causes.
fn start(w: &mut World, sender: Actor, message: &Msg, options: MsgOption) {
    let bytes = message.encode();
    w.put(sender, BUFFER, &bytes);
    let options = options | MsgOption::SEND_MSG;
    w.start_mach_msg(sender, &MachMsg { options, send_size: bytes.len() as u32, ..MachMsg::default() });
}

fn limit(w: &World, a: Actor, port: PortName) -> u32 {
    w.kernel.ipc.live_port(w.port_of(a, port)).unwrap().queue_limit()
}

#[test]
fn a_higher_limit_admits_senders_in_slices_and_nobody_overtakes_them() {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    let urgent = w.thread(a);
    for id in 0..MACH_PORT_QLIMIT_DEFAULT as i32 {
        w.send(a, &Msg::copy_send(port).id(id)).unwrap();
    }
    let first = MACH_PORT_QLIMIT_DEFAULT as i32;
    for id in first..first + SENDERS {
        let sender = w.thread(a);
        start(&mut w, sender, &Msg::copy_send(port).id(id), MsgOption::empty());
        assert_eq!(w.state(sender), Ret::Blocked);
    }
    w.set_base(urgent.thread, 100, true);
    let raise = Msg::copy_send(a.self_port).id(mach_port::SET_ATTRIBUTES).body(&NDR);
    let raise = raise.words(&[port.0, MACH_PORT_LIMITS_INFO, 1, MACH_PORT_QLIMIT_MAX]);
    start(&mut w, a, &raise, MsgOption::empty());
    let queued = |w: &World| w.kernel.ipc.live_port(w.port_of(a, port)).unwrap().queue_len() as i32;
    assert!((first + 1..first + SENDERS).contains(&queued(&w)), "{} messages are queued after a slice", queued(&w));
    assert_eq!(limit(&w, a, port), MACH_PORT_QLIMIT_MAX);
    start(&mut w, urgent, &Msg::copy_send(port).id(-1), MsgOption::SEND_TIMEOUT);
    assert_eq!(w.state(urgent).code(), MACH_SEND_TIMED_OUT, "the others come first");
    w.settle();
    w.send(urgent, &Msg::copy_send(port).id(first + SENDERS)).unwrap();
    for id in 0..=first + SENDERS {
        assert_eq!(w.poll(a, port).unwrap().header.msgh_id, id);
    }
    w.expect_empty(a, port);
}

#[test]
fn a_limit_that_is_lowered_or_a_port_that_dies_ends_the_admission() {
    for dies in [false, true] {
        let mut w = World::new();
        let a = w.task();
        let port = w.port_with_send(a);
        let urgent = w.thread(a);
        (0..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| w.send(a, &Msg::copy_send(port)).unwrap());
        let senders: Vec<Actor> = (0..SENDERS).map(|_| w.thread(a)).collect();
        for &sender in &senders {
            start(&mut w, sender, &Msg::copy_send(port), MsgOption::empty());
        }
        w.set_base(urgent.thread, 100, true);
        let set = |limit: u32| {
            let message = Msg::copy_send(a.self_port).id(mach_port::SET_ATTRIBUTES).body(&NDR);
            message.words(&[port.0, MACH_PORT_LIMITS_INFO, 1, limit])
        };
        start(&mut w, a, &set(MACH_PORT_QLIMIT_MAX), MsgOption::empty());
        if dies {
            w.destroy(urgent, port).unwrap();
        } else {
            start(&mut w, urgent, &set(1), MsgOption::empty());
            assert_eq!(limit(&w, a, port), 1);
        }
        w.settle();
        let blocked = senders.iter().filter(|&&sender| w.state(sender) == Ret::Blocked).count();
        assert_eq!(blocked > 0, !dies, "{blocked} senders are blocked");
    }
}
