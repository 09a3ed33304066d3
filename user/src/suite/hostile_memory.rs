//! Tasks that use up what they can get of the kernel's memory, in different ways, and end. The harness checks that the
//! heap is then as it was before: its free bytes, and the largest message.

use super::tests;
use crate::check;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::Thread;
use crate::voucher::{self, Recipe};
use abi::KernReturn;
use abi::code::*;
use abi::port::*;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_USER_DATA;
use zerocopy::IntoBytes;

tests! { "hostile_memory":
    a_task_makes_as_many_ports_as_it_can,
    a_task_makes_as_many_sets_and_names_as_it_can,
    a_task_makes_as_many_threads_as_it_can,
    a_task_makes_as_many_vouchers_as_it_can,
    a_task_leaves_holes_between_messages_of_every_size,
    messages_of_each_size_are_used_up_in_turn,
}

/// The largest message that the tests send.
const LARGEST: usize = crate::message::CAPACITY - 256;

/// Returns true for the error of an operation that finds no memory or too many objects.
fn is_limit(code: KernReturn) -> bool {
    [KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE, MACH_SEND_NO_BUFFER].contains(&code)
}

/// Calls `make` until it fails, and returns how often it succeeded.
fn until_refused(mut make: impl FnMut() -> Result<(), KernReturn>) -> u32 {
    let mut count = 0;
    loop {
        match make() {
            Ok(()) => count += 1,
            Err(code) => {
                check::that("the error is one of a limit", is_limit(code));
                return count;
            }
        }
        check::that("there is a limit", count < 1 << 20);
    }
}

fn a_task_makes_as_many_ports_as_it_can() {
    let made = until_refused(|| port::allocate(MACH_PORT_RIGHT_RECEIVE).map(drop));
    check::that("there was room for a thousand", made > 1000);
}

fn a_task_makes_as_many_sets_and_names_as_it_can() {
    let sets = until_refused(|| port::allocate(MACH_PORT_RIGHT_PORT_SET).map(drop));
    let names = until_refused(|| port::allocate(MACH_PORT_RIGHT_DEAD_NAME).map(drop));
    check::that("there was room for a thousand", sets + names > 1000);
}

fn a_task_makes_as_many_threads_as_it_can() {
    let made = until_refused(|| Thread::suspended(|_| {}, 0).map(core::mem::forget));
    check::that("there was room for a hundred", made > 100);
}

fn a_task_makes_as_many_vouchers_as_it_can() {
    let (host, mut number) = (voucher::host(), 0u64);
    let made = until_refused(|| {
        number += 1;
        // Short contents and long ones, which need memory of their own.
        let mut long = [0; 200];
        long[..8].copy_from_slice(&number.to_le_bytes());
        let created = match number % 2 {
            0 => voucher::create(host, Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, long).as_bytes()),
            _ => {
                let short = number.to_le_bytes();
                voucher::create(host, Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, short).as_bytes())
            }
        };
        // A voucher for which there is no room for a name is given up, without an error (quirk Q26).
        created.and_then(|name| if name == MACH_PORT_NULL { Err(KERN_RESOURCE_SHORTAGE) } else { Ok(()) })
    });
    check::that("there was room for a hundred", made > 100);
}

/// Sends a message of this many bytes by a send-once right, so that the queue has no limit.
fn send(to: &Port, size: usize) -> Result<(), KernReturn> {
    static ZEROS: [u8; LARGEST] = [0; LARGEST];
    Message::to(to.name(), Disposition::MAKE_SEND_ONCE).bytes(&ZEROS[..size]).send()
}

fn a_task_leaves_holes_between_messages_of_every_size() {
    let ports = [port_with_send(), port_with_send()];
    let mut sent = 0;
    let all = until_refused(|| {
        sent += 1;
        send(&ports[sent % 2], 300 + sent * 16 % (LARGEST - 300))
    });
    for _ in 0..all / 2 {
        Message::receive(ports[0].name()).expect("every second message is there");
    }
    // The holes are good for messages of other sizes.
    let more = until_refused(|| send(&ports[0], LARGEST / 3));
    check::that("there is room again", more > 0 && all > 100);
}

fn messages_of_each_size_are_used_up_in_turn() {
    let port = port_with_send();
    for size in [200, 300, 400, 500, 600, LARGEST] {
        let count = until_refused(|| send(&port, size));
        check::that("there is room for this size after the others", count > 0);
        for _ in 0..count {
            Message::receive(port.name()).expect("it is there");
        }
    }
    check::equal("the task still sends", send(&port, 8), Ok(()));
    check::that("the heap has room for a large message", task::kernel_memory().largest > 65_536);
}
