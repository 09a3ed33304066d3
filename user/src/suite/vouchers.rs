//! Vouchers: made, read, sent and adopted by programs (vouchers 4, 7).

use super::tests;
use crate::check;
use crate::message::{Call, Message, port_with_send};
use crate::port;
use crate::sys::trap;
use crate::task;
use crate::thread::Thread;
use crate::time;
use crate::voucher::{self, Recipe};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::{PAGE_SIZE, VM_PROT_READ};
use abi::trap::mach::MACH_GENERATE_ACTIVITY_ID;
use abi::voucher::*;
use core::sync::atomic::{AtomicU32, Ordering};
use zerocopy::IntoBytes;

tests! { "vouchers":
    a_voucher_is_made_read_and_given_up,
    trap_and_message_make_the_same_voucher,
    a_voucher_travels_in_a_header,
    another_thread_takes_the_voucher_while_it_waits,
    a_thread_adopts_a_voucher,
    recipes_at_the_edge_of_memory_are_read_and_written,
    a_buffer_that_is_only_readable_is_refused,
    activity_ids_are_unique,
    vouchers_come_and_go,
}

const USER_DATA: u32 = MACH_VOUCHER_ATTR_KEY_USER_DATA;
const HELLO: Recipe<12> = Recipe::store(USER_DATA, *b"Hello ring 3");
const HELLO_SIZE: u32 = size_of::<Recipe<12>>() as u32;
const CURRENT_TASK: Recipe<0> =
    Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, MACH_PORT_NULL, []);

/// Makes a voucher with [`HELLO`].
fn hello() -> PortName {
    voucher::create(voucher::host(), HELLO.as_bytes()).expect("a voucher is made")
}

fn refs(name: PortName) -> u32 {
    port::get_refs(name, MACH_PORT_RIGHT_SEND).expect("the voucher has a name")
}

fn a_voucher_is_made_read_and_given_up() {
    let name = hello();
    check::equal("the type", port::port_type(name), Ok(PortType::SEND));
    check::equal("the same voucher", (hello(), refs(name)), (name, 2));
    let mut buffer = [0xEE; 5120];
    for size in [HELLO_SIZE as usize, 255, 256, 257, 5120] {
        check::equal("the size", voucher::extract(name, USER_DATA, &mut buffer[..size]), Ok(HELLO_SIZE as usize));
        check::equal("the recipe", &buffer[..HELLO_SIZE as usize], HELLO.as_bytes());
        check::that("nothing is written behind it", buffer[HELLO_SIZE as usize..].iter().all(|&byte| byte == 0xEE));
        buffer.fill(0xEE);
    }
    check::equal("an absent attribute", voucher::extract(name, MACH_VOUCHER_ATTR_KEY_TEST, &mut buffer), Ok(0));
    port::mod_refs(name, MACH_PORT_RIGHT_SEND, -2).expect("both references are given up");
    check::equal("a name that is gone", voucher::extract(name, USER_DATA, &mut buffer), Err(MACH_SEND_INVALID_DEST));
    check::equal("the number of vouchers", task::counts().vouchers, 0);
}

fn trap_and_message_make_the_same_voucher() {
    let name = hello();
    let same = voucher::create_by_message(voucher::host(), HELLO.as_bytes());
    check::equal("the voucher of the message", (same, refs(name)), (Ok(name), 2));
    let no_host = voucher::create(port::task_self(), HELLO.as_bytes());
    check::equal("a voucher of another object", no_host, Err(MACH_SEND_INVALID_DEST));
}

/// Receives a message with its voucher and returns the disposition and the name of the voucher.
pub(super) fn take(name: PortName, options: MsgOption) -> (D, PortName) {
    let mut message = Message::new();
    let call = Call { options: options | MsgOption::RCV_MSG, receive_name: name, ..Call::default() };
    check::equal("a message arrives", message.call(&call), MACH_MSG_SUCCESS);
    (message.header().voucher(), message.header().msgh_voucher_port)
}

fn a_voucher_travels_in_a_header() {
    let port = port_with_send();
    let mut both = heapless::Vec::<u8, 64>::new();
    both.extend(HELLO.as_bytes().iter().chain(CURRENT_TASK.as_bytes()).copied());
    let name = voucher::create(voucher::host(), &both).expect("a voucher is made");
    let send = |name, disposition| Message::copy_send(port.name()).voucher(name, disposition).send();
    check::equal("a copy is sent", send(name, D::COPY_SEND), Ok(()));
    check::equal("it comes back", take(port.name(), MsgOption::RCV_VOUCHER), (D::PORT_SEND, name));
    check::equal("the references", refs(name), 2);
    check::equal("another is sent", send(name, D::COPY_SEND), Ok(()));
    check::equal("it is left", take(port.name(), MsgOption::empty()), (D::NONE, MACH_PORT_NULL));
    check::equal("no port is a voucher", send(port.name(), D::COPY_SEND), Err(MACH_SEND_INVALID_VOUCHER));
    port::mod_refs(name, MACH_PORT_RIGHT_SEND, -1).expect("one reference stays");
    check::equal("it is moved", send(name, D::MOVE_SEND), Ok(()));
    check::equal("it is gone", port::port_type(name), Err(KERN_INVALID_NAME));
    drop(port);
    check::equal("it died in the queue", task::counts().vouchers, 0);
}

/// The name of the voucher that the thread of the next test has got.
static TAKEN: AtomicU32 = AtomicU32::new(0);

fn another_thread_takes_the_voucher_while_it_waits() {
    let port = port_with_send();
    let name = hello();
    let receiver = Thread::start(
        |port| TAKEN.store(take(PortName(port as u32), MsgOption::RCV_VOUCHER).1.0, Ordering::Relaxed),
        port.name().0.into(),
    )
    .expect("a thread starts");
    time::sleep(1);
    Message::copy_send(port.name()).voucher(name, D::COPY_SEND).send().expect("the thread waits");
    receiver.join();
    check::equal("the voucher", TAKEN.load(Ordering::Relaxed), name.0);
}

fn a_thread_adopts_a_voucher() {
    let name = hello();
    let own = task::thread_self();
    check::equal("no voucher at first", voucher::of_thread(own), Ok(MACH_PORT_NULL));
    check::equal("adopting", voucher::set_of_thread(own, name), Ok(()));
    port::deallocate(name).expect("the thread keeps the voucher");
    let again = voucher::of_thread(own).expect("the thread has the voucher");
    let mut buffer = [0; 64];
    let size = voucher::extract(again, USER_DATA, &mut buffer).expect("the voucher is alive");
    check::equal("the content", &buffer[..size], HELLO.as_bytes());
    let other = Thread::suspended(|_| {}, 0).expect("a thread is made");
    check::equal("for a new thread", voucher::set_of_thread(other.name(), again), Ok(()));
    other.resume().expect("it was suspended");
    other.join();
}

fn recipes_at_the_edge_of_memory_are_read_and_written() {
    let at = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    task::deallocate(at + PAGE_SIZE, PAGE_SIZE).expect("the second page");
    let edge = at + PAGE_SIZE;
    let name = hello();
    let mut size = HELLO_SIZE;
    let word = (&raw mut size) as u64;
    let start = edge - u64::from(HELLO_SIZE);
    check::equal("a buffer that ends with the page", voucher::extract_at(name, USER_DATA, start, word), Ok(()));
    size = HELLO_SIZE + 1;
    let beyond = voucher::extract_at(name, USER_DATA, start, word);
    check::equal("a buffer that leaves the page", (beyond, size), (Err(KERN_MEMORY_ERROR), HELLO_SIZE + 1));
    for back in 0..4 {
        let cut = voucher::extract_at(name, USER_DATA, at, edge - back);
        check::equal("a word that leaves the page", cut, Err(KERN_MEMORY_ERROR));
    }
    let host = u64::from(voucher::host().0);
    let mut made = 0u32;
    let result = (&raw mut made) as u64;
    let create = |size: u64| {
        let arguments = [host, start, size, result, 0, 0];
        abi::KernReturn(trap(abi::trap::mach::HOST_CREATE_MACH_VOUCHER, arguments) as i32)
    };
    check::equal("recipes that end with the page", create(HELLO_SIZE.into()), KERN_SUCCESS);
    check::equal("recipes that leave the page", create(u64::from(HELLO_SIZE) + 1), KERN_MEMORY_ERROR);
    check::equal("the voucher", PortName(made), name);
}

fn a_buffer_that_is_only_readable_is_refused() {
    let at = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    let readable = at + PAGE_SIZE;
    task::protect(readable, PAGE_SIZE, VM_PROT_READ).expect("the page is protected");
    let name = hello();
    let mut size = 64u32;
    let word = (&raw mut size) as u64;
    let refused = voucher::extract_at(name, USER_DATA, readable, word);
    check::equal("a buffer that is only readable", (refused, size), (Err(KERN_MEMORY_ERROR), 64));
    // The word there is 0, which is enough for an absent attribute.
    let absent = voucher::extract_at(name, MACH_VOUCHER_ATTR_KEY_TEST, at, readable);
    check::equal("a word that is only readable", absent, Err(KERN_MEMORY_ERROR));
}

fn activity_ids_are_unique() {
    let mut first = [0u64; 2];
    for (n, count) in [16, 1].into_iter().enumerate() {
        let to = (&raw mut first[n]) as u64;
        let code = trap(MACH_GENERATE_ACTIVITY_ID, [0, count, to, 0, 0, 0]);
        check::equal("the code", code, 0);
    }
    check::equal("the second id", first[1], first[0] + 16);
    check::equal("too many", trap(MACH_GENERATE_ACTIVITY_ID, [0, 17, (&raw mut first) as u64, 0, 0, 0]), 4);
}

fn vouchers_come_and_go() {
    let host = voucher::host();
    for n in 0..2000u32 {
        let recipe = Recipe::store(USER_DATA, n.to_le_bytes());
        let name = voucher::create(host, recipe.as_bytes()).expect("a voucher is made");
        if n % 2 == 0 {
            port::deallocate(name).expect("it has a reference");
        }
        if n == 1000 {
            time::yield_now();
        }
    }
    check::equal("the number of vouchers", task::counts().vouchers, 1000);
}
