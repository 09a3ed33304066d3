//! The scenarios of `failures.rs` that concern vouchers.

use super::*;
use crate::failure_scenarios::{Stage, ask_in, fill_table, mach_msg, sending};
use crate::message::MachMsg;
use abi::code::*;
use abi::message::MsgOption;
use abi::mig::thread_act;
use abi::port::Disposition as D;

/// Returns a world with a task that knows the host, and its name of the host.
fn with_host() -> (World, Actor, PortName) {
    let mut w = World::new();
    let a = w.task();
    let host = w.host(a);
    (w, a, host)
}

/// Returns recipes for a value of each key that has a manager.
fn recipes(content: &[u8]) -> Vec<u8> {
    [st(USER_DATA, content), st(TEST, content), current_task(), priority(USER_INITIATED)].concat()
}

/// Prepares the creation of a voucher with contents of this size, in a task without a free table entry.
pub fn create(content: &[u8]) -> Stage {
    let (mut w, a, host) = with_host();
    fill_table(&mut w, a);
    let recipes = [st(USER_DATA, content), current_task(), priority(USER_INITIATED)].concat();
    w.put(a, BUFFER, &recipes);
    let args = [host.0.into(), w.buffer(a), recipes.len() as u64, w.result(a)];
    Stage::new(w, &[a], mach::HOST_CREATE_MACH_VOUCHER, &args)
}

pub fn extract() -> Stage {
    let (mut w, a, _) = with_host();
    let voucher = w.make_voucher(a, &[recipes(HELLO)]).unwrap();
    w.put(a, ARGUMENTS, &300u32.to_le_bytes());
    let args = [voucher.0.into(), USER_DATA.into(), w.buffer(a), a.memory + ARGUMENTS];
    Stage::new(w, &[a], mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE, &args)
}

/// Prepares a request for a voucher to the host, as a combined send and receive.
pub fn ask() -> Stage {
    let (mut w, a, host) = with_host();
    let reply = w.port(a);
    fill_table(&mut w, a);
    let recipes = recipes(&[3; 80]);
    let request = Msg::copy_send(host).id(mach_host::CREATE_MACH_VOUCHER).reply_to(reply, D::MAKE_SEND_ONCE);
    let request = request.body(&NDR).words(&[recipes.len() as u32]).body(&recipes);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    sending(w, &[a], &request, MachMsg { options, receive_name: reply, receive_size: 4096, ..MachMsg::default() })
}

/// Returns a world with a task, its name of its thread, and a voucher.
fn adopter() -> (World, Actor, PortName, PortName) {
    let (mut w, a, _) = with_host();
    let thread = w.thread_self(a);
    let voucher = w.make_voucher(a, &[recipes(HELLO)]).unwrap();
    (w, a, thread, voucher)
}

pub fn adopt() -> Stage {
    let (mut w, a, thread, voucher) = adopter();
    let reply = w.port(a);
    let request = Msg::copy_send(thread).id(thread_act::SET_MACH_VOUCHER).reply_to(reply, D::MAKE_SEND_ONCE);
    let request = request.port(voucher, D::MOVE_SEND);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    sending(w, &[a], &request, MachMsg { options, receive_name: reply, receive_size: 4096, ..MachMsg::default() })
}

pub fn ask_for_adopted() -> Stage {
    let (mut w, a, thread, voucher) = adopter();
    w.set_voucher(a, thread, voucher).unwrap();
    w.deallocate(a, voucher).unwrap();
    ask_in(w, a, thread, thread_act::GET_MACH_VOUCHER, &[0])
}

/// Returns a world with two tasks, B's port, A's send right to it, and a voucher of A for which each of them needs
/// another one.
fn connected() -> (World, [Actor; 2], PortName, PortName, PortName) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (port, to) = w.connect(a, b);
    let voucher = w.make_voucher(a, &[recipes(HELLO)]).unwrap();
    (w, [a, b], port, to, voucher)
}

pub fn send() -> Stage {
    let (w, actors, _, to, voucher) = connected();
    sending(w, &actors, &Msg::copy_send(to).voucher(voucher, D::MOVE_SEND), MachMsg::default())
}

pub fn send_to_waiting() -> Stage {
    let (mut w, actors, port, to, voucher) = connected();
    let reply = w.port(actors[0]);
    fill_table(&mut w, actors[1]);
    w.receive(actors[1], port, MsgOption::RCV_VOUCHER);
    let message = Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE).voucher(voucher, D::COPY_SEND);
    sending(w, &actors, &message, MachMsg::default())
}

/// Prepares a send that times out, so that the message returns with another voucher than it had.
pub fn send_to_full() -> Stage {
    let (mut w, actors, _, to, voucher) = connected();
    while w.try_send(actors[0], &Msg::copy_send(to)).is_ok() {}
    fill_table(&mut w, actors[0]);
    let args = MachMsg { options: MsgOption::SEND_TIMEOUT, ..MachMsg::default() };
    let message = Msg::copy_send(to).voucher(voucher, D::MOVE_SEND);
    let mut stage = sending(w, &actors, &message, args).answering(MACH_SEND_TIMED_OUT);
    let bits = [MACH_MSG_IPC_SPACE, MACH_MSG_IPC_KERNEL];
    stage.answers.extend(bits.map(|bits| MACH_SEND_TIMED_OUT.with_bits(bits)));
    stage
}

pub fn receive() -> Stage {
    let (mut w, [a, b], port, to, voucher) = connected();
    let reply = w.port(a);
    let message = Msg::copy_send(to).reply_to(reply, D::MAKE_SEND_ONCE).voucher(voucher, D::MOVE_SEND);
    w.send(a, &message).unwrap();
    fill_table(&mut w, b);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::RCV_VOUCHER;
    mach_msg(w, &[b, a], MachMsg { options, receive_name: port, receive_size: 4096, ..MachMsg::default() })
}
