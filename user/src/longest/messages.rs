//! Messages.

use super::threads::{self, Threads};
use super::{Row, measured};
use crate::message::{Call, Message, mach_msg, port_with_send};
use crate::port::{self, Port};
use crate::time::sleep;
use abi::PortName;
use abi::debug::LongestStep;
use abi::message::*;
use abi::port::*;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("send 64 KiB to a thread that waits", || large(true)),
    ("send 64 KiB, and receive them", || large(false)),
    ("send a name 5,000 times, and receive it", || many_rights(false, Fate::Received)),
    ("send 5,000 receive rights, and receive them", || many_rights(true, Fate::Received)),
    ("send 5,000 receive rights to a dead port", || many_rights(true, Fate::Destroyed)),
    ("send 5,000 receive rights to a full queue", || many_rights(true, Fate::Returned)),
    ("raise a queue limit with 250 blocked senders", raise_limit),
    ("join a set where 250 threads wait", join_set),
    ("250 receivers that refuse 64 KiB", refusing_receivers),
];

/// Bytes of the largest message.
const SIZE: usize = 65_536;

/// Returns a message of the largest size to a port, with descriptors of these names.
fn packet(to: PortName, names: &[PortName], disposition: Disposition) -> Vec<u32> {
    let mut words = vec![0u32; SIZE / 4 + 32];
    let flags = if names.is_empty() { HeaderFlags::empty() } else { HeaderFlags::COMPLEX };
    words[0] = msgh_bits(Disposition::COPY_SEND, Disposition::NONE, Disposition::NONE, flags);
    words[2] = to.0;
    words[6] = names.len() as u32;
    for (descriptor, name) in words[7..].chunks_exact_mut(3).zip(names) {
        (descriptor[0], descriptor[2]) = (name.0, u32::from(disposition.0) << 16);
    }
    words
}

fn send(words: &[u32], timeout: Option<u32>) -> abi::KernReturn {
    let options = MsgOption::SEND_MSG | timeout.map_or(MsgOption::empty(), |_| MsgOption::SEND_TIMEOUT);
    let call = Call { options, send_size: SIZE as u32, timeout: timeout.unwrap_or(0), ..Call::default() };
    mach_msg(words.as_ptr() as u64, &call)
}

fn receive(buffer: &mut [u32], name: PortName) {
    let call = Call {
        options: MsgOption::RCV_MSG,
        receive_size: (buffer.len() * 4) as u32,
        receive_name: name,
        ..Call::default()
    };
    mach_msg(buffer.as_mut_ptr() as u64, &call).ok().expect("a message is there");
}

/// Receives one message from the port in the argument.
fn receiver(name: u64) {
    let mut buffer = vec![0; SIZE / 4 + 32];
    receive(&mut buffer, PortName(name as u32));
}

fn large(waits: bool) -> LongestStep {
    let port = port_with_send();
    let mut words = packet(port.name(), &[], Disposition::NONE);
    if waits {
        let _thread = threads::start(receiver, port.name());
        sleep(1);
        measured(|| send(&words, None).ok().expect("there is room"))
    } else {
        measured(|| {
            send(&words, None).ok().expect("there is room");
            receive(&mut words, port.name());
        })
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Received,
    Destroyed,
    Returned,
}

/// Sends as many rights as a message may have.
fn many_rights(receive_rights: bool, fate: Fate) -> LongestStep {
    let port = port_with_send();
    let one = port_with_send();
    let most = (SIZE - 28) / 12;
    let (names, disposition): (Vec<PortName>, _) = if receive_rights {
        ((0..most).map_while(|_| port::allocate(MACH_PORT_RIGHT_RECEIVE).ok()).collect(), Disposition::MOVE_RECEIVE)
    } else {
        (vec![one.name(); most], Disposition::MAKE_SEND)
    };
    if fate == Fate::Returned {
        while Message::copy_send(port.name()).send_within(0).is_ok() {}
    }
    let to = port.name();
    let mut port = Some(port);
    if fate == Fate::Destroyed {
        let carrier = port_with_send();
        Message::copy_send(carrier.name()).port(to, Disposition::MOVE_RECEIVE).send().expect("there is room");
        port.take().map(Port::into_name);
        let mut words = packet(to, &names, disposition);
        return measured(|| {
            let sent = send(&words, Some(0));
            words.clear();
            drop(carrier);
            assert!(sent == abi::code::MACH_MSG_SUCCESS || names.is_empty() || sent.0 != 0);
        });
    }
    let mut most = names.len();
    loop {
        let mut words = packet(to, &names[..most], disposition);
        let mut sent = abi::code::MACH_MSG_SUCCESS;
        let longest = measured(|| {
            sent = send(&words, Some(0));
            if sent == abi::code::MACH_MSG_SUCCESS {
                receive(&mut words, to);
            }
        });
        // A message that has too many is refused, and one with fewer is the worst.
        if sent == abi::code::MACH_SEND_TOO_LARGE && most > 1 {
            most /= 2;
            continue;
        }
        return longest;
    }
}

/// Sends a message to the port in the argument, and waits for room in its queue.
fn sender(name: u64) {
    Message::copy_send(PortName(name as u32)).send().expect("the port is there");
}

fn raise_limit() -> LongestStep {
    let port = port_with_send();
    while Message::copy_send(port.name()).send_within(0).is_ok() {}
    let mut kept = Threads::new();
    threads::fill_with(&mut kept, sender, port.name());
    sleep(10);
    measured(|| port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed"))
}

fn join_set() -> LongestStep {
    let set = port::allocate(MACH_PORT_RIGHT_PORT_SET).expect("there is room");
    let port = port_with_send();
    port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    let words = packet(port.name(), &[], Disposition::NONE);
    while send(&words, Some(0)).ok().is_ok() {}
    let mut kept = Threads::new();
    threads::fill_with(&mut kept, receiver_small, set);
    sleep(10);
    measured(|| port::insert_member(port.name(), set).expect("there is room"))
}

/// The room that all receivers of a row share.
static SHARED: AtomicU32 = AtomicU32::new(0);

/// Receives one message into memory that others receive into, too.
fn receiver_small(name: u64) {
    let call =
        Call { options: MsgOption::RCV_MSG, receive_size: 64, receive_name: PortName(name as u32), ..Call::default() };
    let mut words = [0u32; 16];
    let _ = mach_msg(words.as_mut_ptr() as u64, &call);
    SHARED.fetch_add(1, Ordering::Relaxed);
}

/// Asks for a message that fits a small buffer, and leaves a larger one in the queue.
fn refuser(name: u64) {
    let call = Call {
        options: MsgOption::RCV_MSG | MsgOption::RCV_LARGE,
        receive_size: 64,
        receive_name: PortName(name as u32),
        ..Call::default()
    };
    let mut words = [0u32; 16];
    let _ = mach_msg(words.as_mut_ptr() as u64, &call);
}

fn refusing_receivers() -> LongestStep {
    let port = port_with_send();
    let words = packet(port.name(), &[], Disposition::NONE);
    let mut kept = Threads::new();
    threads::fill_with(&mut kept, refuser, port.name());
    sleep(10);
    measured(|| send(&words, Some(0)).ok().expect("there is room"))
}
