//! The scenarios of `failures.rs` that concern importance.

use super::*;
use crate::failure_scenarios::{Stage, fill_table, mach_msg, sending};
use crate::message::MachMsg;

fn pair() -> (World, Actor, Actor, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.app(), w.adaptive());
    let (port, to_b) = w.donation_path(a, b);
    (w, a, b, port, to_b)
}

/// Prepares a message of a donor to an adaptive daemon.
pub fn donate() -> Stage {
    let (w, a, b, _, to_b) = pair();
    sending(w, &[a, b], &Msg::copy_send(to_b), MachMsg::default())
}

/// Prepares the receipt of such a message with its voucher, by a task without a free table entry.
pub fn inherit() -> Stage {
    let (mut w, a, b, port, to_b) = pair();
    w.ping(a, to_b);
    fill_table(&mut w, b);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
    let receive = MachMsg { options, receive_name: port, receive_size: BUFFER_SIZE, ..MachMsg::default() };
    mach_msg(w, &[b, a], receive)
}

/// Prepares a message of a donor to an adaptive daemon that waits for it.
pub fn donate_to_waiting() -> Stage {
    let (mut w, a, b, port, to_b) = pair();
    w.receive(b, port, MsgOption::RCV_VOUCHER);
    sending(w, &[a, b], &Msg::copy_send(to_b), MachMsg::default())
}
