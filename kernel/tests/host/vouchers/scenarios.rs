//! The scenarios of `failures.rs` that concern vouchers.

use super::*;
use crate::failure_scenarios::{Stage, ask_in, fill_table, sending};
use crate::message::MachMsg;
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
