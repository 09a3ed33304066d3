//! What a small message costs while others have left holes of many sizes in the kernel's heap.

use super::child::Child;
use crate::demo::page::Grouped;
use crate::message::{Message, port_with_send};
use crate::port;
use crate::println;
use crate::sys::machine::time_stamp;
use abi::port::*;

/// Tasks that leave holes, by their kinds: the messages of each are larger than the holes of the one before.
const KINDS: [&str; 4] = ["holes 0", "holes 1", "holes 2", "holes 3"];

/// Bytes of the message that is measured, behind its header.
const SIZE: usize = 512 - 24;
/// Rounds, of which the shortest counts.
const ROUNDS: u32 = 20;

/// Prints what a message of 512 bytes costs, alone and beside these tasks.
pub(super) fn report() {
    println!();
    println!("{:<44} {:>12}", "send and receive 512 bytes", "instructions");
    let alone = exchange();
    println!("{:<44} {:>12}", "alone", Grouped(alone));
    let tasks = KINDS.map(Child::start);
    let beside = exchange();
    // The memory of the messages of one task may begin elsewhere in a page; nothing else may differ.
    let long = if beside > alone + alone / 20 { "   too long" } else { "" };
    println!("{:<44} {:>12}{long}", "beside four tasks with holes in the heap", Grouped(beside));
    tasks.into_iter().for_each(Child::end);
}

/// Returns the instructions for sending a message and receiving it.
fn exchange() -> u64 {
    let port = port_with_send();
    let round = |_| {
        let mut message = Message::copy_send(port.name()).bytes(&[7; SIZE]);
        let start = time_stamp();
        message.send().expect("there is room");
        Message::receive(port.name()).expect("it is there");
        time_stamp() - start
    };
    let least = (0..ROUNDS).map(round).min().expect("there is a round");
    port::destroy(port.into_name()).expect("it is there");
    least
}

/// Fills the budget with messages in two queues in turn, and takes those of the one away again. Returns false if this is no
/// such kind.
pub(super) fn leave(kind: &str) -> bool {
    const BYTES: [u8; 400] = [0; 400];
    let Some(number) = KINDS.iter().position(|known| *known == kind) else { return false };
    let size = 260 + 16 * number;
    let ports = [(); 2].map(|()| port::allocate(MACH_PORT_RIGHT_RECEIVE).expect("there is room"));
    let send = |to| Message::to(to, Disposition::MAKE_SEND_ONCE).bytes(&BYTES[..size]).send_within(0).is_ok();
    while ports.iter().all(|to| send(*to)) {}
    while Message::receive_within(ports[0], 0).is_ok() {}
    true
}
