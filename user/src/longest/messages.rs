//! Messages.

use super::threads::{self, Threads};
use super::{Row, measured};
use crate::message::{Call, Message, mach_msg, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::time::sleep;
use abi::PortName;
use abi::debug::LongestStep;
use abi::message::*;
use abi::port::*;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("send 64 KiB to a thread that waits", || large(true)),
    ("send 64 KiB, and receive them", || large(false)),
    ("send 128 send rights to a thread that waits", || many_rights(false, Fate::Received)),
    ("send 128 receive rights to such a thread", || many_rights(true, Fate::Received)),
    ("send 128 receive rights, and receive them", || many_rights(true, Fate::Queued)),
    ("send 128 receive rights to a full queue", || many_rights(true, Fate::Returned)),
    ("send 5,459 receive rights, which are refused", || many_rights(true, Fate::Refused)),
    ("end of a port with 128 receive rights queued", || many_rights(true, Fate::Destroyed)),
    ("raise a queue limit with 126 blocked senders", raise_limit),
    ("join a set where 126 threads wait for 64 KiB", join_set),
    ("126 receivers that refuse 64 KiB", refusing_receivers),
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
    Queued,
    Destroyed,
    Returned,
    Refused,
}

/// Rights that a message may have.
const RIGHTS: usize = 128;

/// Sends as many rights as a message may have, in a message of the largest size.
fn many_rights(receive_rights: bool, fate: Fate) -> LongestStep {
    let (port, one) = (port_with_send(), port_with_send());
    let (names, disposition): (Vec<PortName>, _) = if receive_rights {
        ((0..RIGHTS).map(|_| Port::new().into_name()).collect(), Disposition::MOVE_RECEIVE)
    } else {
        (vec![one.name(); RIGHTS], Disposition::MAKE_SEND)
    };
    let mut words = packet(port.name(), &names, disposition);
    match fate {
        Fate::Received => {
            let _thread = threads::start(receiver, port.name());
            sleep(1);
            measured(|| send(&words, None).ok().expect("a thread waits"))
        }
        Fate::Queued => measured(|| {
            send(&words, None).ok().expect("there is room");
            receive(&mut words, port.name());
        }),
        Fate::Destroyed => {
            send(&words, None).ok().expect("there is room");
            measured(|| drop(port))
        }
        Fate::Returned => {
            while Message::copy_send(port.name()).send_within(0).is_ok() {}
            measured(|| {
                let _ = send(&words, Some(0)).ok().expect_err("the queue is full");
            })
        }
        Fate::Refused => {
            words[6] = ((SIZE - 28) / 12) as u32;
            measured(|| {
                let _ = send(&words, Some(0)).ok().expect_err("there are too many");
            })
        }
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
    let mut kept = Threads::new();
    BUFFER.store(task::allocate(SIZE as u64 + 4096).expect("there is memory"), Ordering::Relaxed);
    threads::fill_with(&mut kept, receiver_shared, set);
    sleep(10);
    // The messages use up the budget; a member needs some of it.
    let spare = [0; 16].map(|_| Port::new());
    let words = packet(port.name(), &[], Disposition::NONE);
    while send(&words, Some(0)).ok().is_ok() {}
    drop(spare);
    measured(|| port::insert_member(port.name(), set).expect("there is room"))
}

/// The address of memory that all receivers share.
static BUFFER: AtomicU64 = AtomicU64::new(0);

/// Receives one message of the largest size into memory that others receive into, too.
fn receiver_shared(name: u64) {
    let call = Call {
        options: MsgOption::RCV_MSG,
        receive_size: SIZE as u32 + 128,
        receive_name: PortName(name as u32),
        ..Call::default()
    };
    let _ = mach_msg(BUFFER.load(Ordering::Relaxed), &call);
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
