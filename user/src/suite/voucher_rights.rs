//! References to vouchers: no call gains or loses one, whether it succeeds or fails (vouchers 4, 7.6, 8).

use super::tests;
use crate::check;
use crate::message::{Call, Message, call_object, call_server, port_with_send};
use crate::port::{self, Port};
use crate::sys::{exit, trap};
use crate::task;
use crate::thread::Thread;
use crate::time;
use crate::voucher::{self, Recipe};
use abi::code::*;
use abi::message::*;
use abi::mig::{NDR, mach_host, mach_voucher, mach_voucher_attr_control, task as mig_task, thread_act};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::ExitStatus;
use abi::trap::mach::MACH_GENERATE_ACTIVITY_ID;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use zerocopy::IntoBytes;

tests! { "voucher_rights":
    no_routine_of_a_voucher_gains_or_loses_a_reference,
    no_routine_of_a_task_or_thread_gains_or_loses_a_reference,
    no_trap_gains_or_loses_a_reference,
    a_forged_notification_to_an_object_of_the_kernel_has_no_effect,
    a_copied_voucher_stays_with_a_sender_that_times_out,
    a_copied_voucher_stays_with_a_sender_that_is_interrupted,
    a_copied_voucher_stays_with_a_sender_that_finds_no_buffer,
    a_voucher_that_is_sent_to_itself_keeps_its_references,
    a_voucher_is_made_again_while_its_last_right_is_destroyed,
    a_worker_that_ends_releases_the_voucher_that_it_has_adopted,
    a_task_that_is_terminated_releases_the_voucher_that_it_has_adopted,
    the_word_for_the_size_may_lie_in_the_buffer,
}

/// How often a call is made to see whether it gains or loses a reference.
const OFTEN: u32 = 300;

const USER_DATA: u32 = MACH_VOUCHER_ATTR_KEY_USER_DATA;
const TEST: u32 = MACH_VOUCHER_ATTR_KEY_TEST;
const BANK: u32 = MACH_VOUCHER_ATTR_KEY_BANK;
const CONTENT: Recipe<4> = Recipe::store(USER_DATA, *b"data");

/// Makes a voucher with [`CONTENT`].
fn make() -> PortName {
    voucher::create(voucher::host(), CONTENT.as_bytes()).expect("a voucher is made")
}

fn refs(name: PortName) -> u32 {
    port::get_refs(name, MACH_PORT_RIGHT_SEND).expect("the name exists")
}

/// Makes a call often. The result and the number of all objects and references are the same each time.
#[track_caller]
fn repeat<T: PartialEq + core::fmt::Debug>(what: &str, names: &[PortName], mut call: impl FnMut() -> T) {
    let first = call();
    let state = || (names.iter().map(|&name| refs(name)).sum::<u32>(), task::counts());
    let before = state();
    for _ in 0..OFTEN {
        let again = call();
        check::that(what, again == first);
    }
    check::equal(what, state(), before);
}

/// Makes a call to an object of the kernel often.
#[track_caller]
fn ask_often(what: &str, names: &[PortName], request: &Message, result: Result<(), KernReturn>) {
    repeat(what, names, || call_server(request.clone()).map(|_| ()));
    check::equal(what, call_server(request.clone()).map(|_| ()), result);
}

/// Returns a request with words.
fn plain(to: PortName, id: i32, words: &[u32]) -> Message {
    Message::copy_send(to).id(id).bytes(&NDR).words(words)
}

/// Returns a request with copies of send rights.
fn with_ports(to: PortName, id: i32, ports: &[PortName]) -> Message {
    ports.iter().fold(Message::copy_send(to).id(id), |message, &name| message.port(name, D::COPY_SEND))
}

fn no_routine_of_a_voucher_gains_or_loses_a_reference() {
    let (name, host) = (make(), voucher::host());
    let task = port::task_self();
    let names = [name, host, task];
    let rows = [
        (mach_voucher::EXTRACT_ATTR_CONTENT, &[USER_DATA, 100][..], Ok(())),
        (mach_voucher::EXTRACT_ATTR_CONTENT, &[USER_DATA, 3], Err(KERN_NO_SPACE)),
        (mach_voucher::EXTRACT_ATTR_CONTENT, &[TEST, 0], Ok(())),
        (mach_voucher::EXTRACT_ATTR_RECIPE, &[USER_DATA, 20], Ok(())),
        (mach_voucher::EXTRACT_ATTR_RECIPE, &[USER_DATA, 19], Err(KERN_NO_SPACE)),
        (mach_voucher::EXTRACT_ALL_ATTR_RECIPES, &[20], Ok(())),
        (mach_voucher::EXTRACT_ALL_ATTR_RECIPES, &[15], Err(KERN_NO_SPACE)),
        (mach_voucher::ATTR_COMMAND, &[USER_DATA, 1, 0, 4], Err(KERN_FAILURE)),
        (mach_voucher::ATTR_COMMAND, &[BANK, BANK_ORIGINATOR_PID, 0, 4], Err(KERN_INVALID_VALUE)),
        (mach_voucher::ATTR_COMMAND, &[5, 1, 0, 4], Err(KERN_INVALID_ARGUMENT)),
        (mach_voucher::ATTR_COMMAND, &[USER_DATA], Err(MIG_BAD_ARGUMENTS)),
        (mach_voucher_attr_control::GET_VALUES, &[1], Err(MIG_BAD_ARGUMENTS)),
        (mach_voucher_attr_control::CREATE_MACH_VOUCHER, &[0], Err(KERN_INVALID_CAPABILITY)),
    ];
    for (id, words, result) in rows {
        ask_often("a call to the voucher", &names, &plain(name, id, words), result);
    }
    ask_often("no voucher", &names, &plain(host, rows[0].0, rows[0].1), Err(KERN_INVALID_ARGUMENT));
    ask_often("debugging", &names, &plain(task, mach_voucher::DEBUG_INFO, &[name.0, 9]), Err(KERN_NOT_SUPPORTED));
    for id in [mach_host::REGISTER_MACH_VOUCHER_ATTR_MANAGER, mach_voucher_attr_control::GET_VALUES] {
        let request = with_ports(host, id, &[name]).bytes(&NDR).words(&[0, 0]);
        let code = call_server(request.clone()).map(|_| ());
        check::that("it is refused", code.is_err());
        ask_often("a refused call to the host", &names, &request, code);
    }
}

fn no_routine_of_a_task_or_thread_gains_or_loses_a_reference() {
    let (v, port) = (make(), port_with_send());
    let u = voucher::create(voucher::host(), Recipe::store(TEST, *b"else").as_bytes()).expect("a voucher is made");
    let [task, thread, host] = [port::task_self(), task::thread_self(), voucher::host()];
    let names = [v, u, port.name(), task, thread, host];
    let not_supported = Err(KERN_NOT_SUPPORTED);
    let rows = [
        (task, mig_task::SWAP_MACH_VOUCHER, &[v, u][..], not_supported),
        (thread, thread_act::SWAP_MACH_VOUCHER, &[v, u], not_supported),
        (host, thread_act::SWAP_MACH_VOUCHER, &[v, u], not_supported),
        (task, mig_task::SWAP_MACH_VOUCHER, &[v], Err(MIG_BAD_ARGUMENTS)),
        (task, mig_task::SET_MACH_VOUCHER, &[v], Ok(())),
        (host, mig_task::SET_MACH_VOUCHER, &[v], Err(KERN_INVALID_TASK)),
        (thread, thread_act::SET_MACH_VOUCHER, &[v], Ok(())),
        (thread, thread_act::SET_MACH_VOUCHER, &[port.name()], Ok(())),
        (host, thread_act::SET_MACH_VOUCHER, &[v], Err(KERN_INVALID_ARGUMENT)),
        (thread, thread_act::SET_MACH_VOUCHER, &[v, u], Err(MIG_BAD_ARGUMENTS)),
    ];
    for (to, id, ports, result) in rows {
        ask_often("a call with vouchers", &names, &with_ports(to, id, ports), result);
    }
    let get = plain(task, mig_task::GET_MACH_VOUCHER, &[0]);
    ask_often("the voucher of a task", &names, &get, Ok(()));
    let mut moved = v;
    repeat("adopting and returning", &names[1..], || {
        let request = Message::copy_send(thread).id(thread_act::SET_MACH_VOUCHER).port(moved, D::MOVE_SEND);
        let set = call_server(request).map(|_| ());
        let gone = port::port_type(moved);
        moved = voucher::of_thread(thread).expect("the thread has the voucher");
        (set, gone, refs(moved))
    });
    let names = [moved, u, task, thread];
    repeat("another thread", &names, || {
        let other = Thread::suspended(|_| {}, 0).expect("a thread is made");
        let results = [moved, u].map(|name| voucher::set_of_thread(other.name(), name));
        other.resume().expect("it was suspended");
        other.join();
        results
    });
}

fn no_trap_gains_or_loses_a_reference() {
    let (name, host) = (make(), voucher::host());
    let names = [name, host];
    let again = |recipe: &[u8]| voucher::create(host, recipe).map(|name| _ = port::deallocate(name));
    let copy = Recipe::new(MACH_VOUCHER_ATTR_KEY_ALL, MACH_VOUCHER_ATTR_COPY, name, []);
    let wrong = Recipe::new(USER_DATA, 999, name, []);
    let mut both = [0; 2 * size_of::<Recipe<0>>()];
    both[..copy.as_bytes().len()].copy_from_slice(copy.as_bytes());
    both[copy.as_bytes().len()..].copy_from_slice(wrong.as_bytes());
    repeat("making it again", &names, || again(CONTENT.as_bytes()));
    repeat("copying it", &names, || again(copy.as_bytes()));
    repeat("an error after a copy", &names, || again(&both));
    repeat("half a recipe", &names, || again(&both[..20]));
    repeat("a voucher that dies at once", &names, || again(Recipe::store(TEST, *b"dies").as_bytes()));
    repeat("a name that is no host", &names, || voucher::create(name, CONTENT.as_bytes()));
    let mut buffer = [0; 300];
    for (key, size) in [(USER_DATA, 300), (USER_DATA, 19), (USER_DATA, 0), (TEST, 0), (9, 300)] {
        repeat("extracting", &names, || voucher::extract(name, key, &mut buffer[..size]));
    }
    let mut id = 0u64;
    let at = (&raw mut id) as u64;
    for (count, to) in [(1, at), (0, at), (17, at), (1, 8)] {
        repeat("activity ids", &names, || trap(MACH_GENERATE_ACTIVITY_ID, [name.0.into(), count, to, 0, 0, 0]));
    }
}

/// The kernel itself would send these (vouchers 8, V1).
fn a_forged_notification_to_an_object_of_the_kernel_has_no_effect() {
    let name = make();
    let objects = [name, voucher::host(), port::task_self(), task::thread_self()];
    let port = port_with_send();
    let names = [objects[0], objects[1], objects[2], objects[3], port.name()];
    let mut buffer = [0; 64];
    for id in 64..=72 {
        for to in objects {
            ask_often("with a count", &names, &plain(to, id, &[1]), Err(MIG_BAD_ID));
            ask_often("with a name", &names, &plain(to, id, &[name.0]), Err(MIG_BAD_ID));
            let with_right = Message::copy_send(to).id(id).port(name, D::COPY_SEND);
            ask_often("with a right", &names, &with_right, Err(MIG_BAD_ID));
            for forged in [Message::copy_send(to).id(id), plain(to, id, &[0]), with_right] {
                repeat("without a reply port", &names, || forged.clone().send());
            }
        }
        let size = voucher::extract(name, USER_DATA, &mut buffer).expect("the voucher is alive");
        check::equal("its content", &buffer[..size], CONTENT.as_bytes());
    }
}

/// Fills a port's queue.
fn full_port() -> Port {
    let port = port_with_send();
    port::set_queue_limit(port.name(), 1).expect("the limit is allowed");
    Message::copy_send(port.name()).send().expect("there is room for one");
    port
}

/// Returns a message with a copy of a voucher.
fn with_copy(to: &Port, name: PortName) -> Message {
    Message::copy_send(to.name()).voucher(name, D::COPY_SEND)
}

/// Checks that a buffer names the voucher as its sender did, and that the sender has what it had.
#[track_caller]
fn expect_untouched(message: &Message, name: PortName) {
    let header = message.header();
    check::equal("the voucher", (header.msgh_voucher_port, header.voucher()), (name, D::COPY_SEND));
    check::equal("its references", refs(name), 1);
}

fn a_copied_voucher_stays_with_a_sender_that_times_out() {
    let (port, name) = (full_port(), make());
    for _ in 0..OFTEN {
        let mut message = with_copy(&port, name);
        check::equal("the code", message.send_within(0), Err(MACH_SEND_TIMED_OUT));
        expect_untouched(&message, name);
        // The right to the port came back as another one.
        port::deallocate(port.name()).expect("it has two references");
    }
    port::deallocate(name).expect("one reference is left");
    check::equal("the vouchers", task::counts().vouchers, 0);
}

/// The port and the voucher of the sender in the next test, and the code of its send.
static TO: AtomicU32 = AtomicU32::new(0);
static VOUCHER: AtomicU32 = AtomicU32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);

/// Sends until an interruption, and checks what has come back.
fn send_until_interrupted(_: u64) {
    let (port, name) = (PortName(TO.load(Ordering::Relaxed)), PortName(VOUCHER.load(Ordering::Relaxed)));
    let mut message = Message::copy_send(port).voucher(name, D::COPY_SEND);
    let options = MsgOption::SEND_MSG | MsgOption::SEND_INTERRUPT;
    let code = message.call(&Call { options, ..Call::default() });
    expect_untouched(&message, name);
    CODE.store(code.0, Ordering::Release);
}

fn a_copied_voucher_stays_with_a_sender_that_is_interrupted() {
    let (port, name) = (full_port(), make());
    TO.store(port.name().0, Ordering::Relaxed);
    VOUCHER.store(name.0, Ordering::Relaxed);
    for _ in 0..20 {
        CODE.store(0, Ordering::Relaxed);
        let sender = Thread::start(send_until_interrupted, 0).expect("the thread starts");
        while CODE.load(Ordering::Acquire) == 0 {
            // The thread may not wait yet, or have ended.
            let _ = sender.abort();
            time::sleep(1);
        }
        sender.join();
        check::equal("the code", KernReturn(CODE.load(Ordering::Relaxed)), MACH_SEND_INTERRUPTED);
        port::deallocate(port.name()).expect("the right came back as another one");
    }
    port::deallocate(name).expect("one reference is left");
    check::equal("the vouchers", task::counts().vouchers, 0);
}

fn a_copied_voucher_stays_with_a_sender_that_finds_no_buffer() {
    let name = make();
    let ports = [0; 16].map(|_| port_with_send());
    let mut refused = None;
    for port in &ports {
        port::set_queue_limit(port.name(), MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    }
    for port in &ports {
        while refused.is_none() {
            let mut message = with_copy(port, name).words(&[0; 200]);
            match message.send_within(0) {
                Ok(()) => {}
                Err(MACH_SEND_TIMED_OUT) => break,
                Err(code) => refused = Some((code, message)),
            }
        }
    }
    let (code, message) = refused.expect("the memory for messages has a limit");
    check::equal("the code", code, MACH_SEND_NO_BUFFER);
    drop(ports);
    // Now there is memory for the check.
    expect_untouched(&message, name);
    port::deallocate(name).expect("one reference is left");
    check::equal("the vouchers", task::counts().vouchers, 0);
}

fn a_voucher_that_is_sent_to_itself_keeps_its_references() {
    let name = make();
    let moved = Message::to(name, D::MOVE_SEND).voucher(name, D::MOVE_SEND);
    repeat("one reference for two rights", &[name], || moved.clone().send());
    check::equal("moving one reference twice", moved.clone().send(), Err(MACH_SEND_INVALID_DEST));
    let both = Message::to(name, D::MOVE_SEND).voucher(name, D::COPY_SEND);
    check::equal("moving it and copying it", both.clone().send(), Ok(()));
    check::equal("the name", port::port_type(name), Err(KERN_INVALID_NAME));
    check::equal("the vouchers", task::counts().vouchers, 0);
}

/// Makes a voucher and gives it up, again and again.
fn make_again_and_again(_: u64) {
    let host = voucher::host();
    while !STOP.load(Ordering::Relaxed) {
        let name = voucher::create(host, CONTENT.as_bytes()).expect("a voucher is made");
        let mut buffer = [0; 64];
        let size = voucher::extract(name, USER_DATA, &mut buffer).expect("the voucher is alive");
        check::equal("its content", &buffer[..size], CONTENT.as_bytes());
        port::deallocate(name).expect("it has a reference");
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

/// Another thread makes the voucher meanwhile, and may find it in any state.
fn a_voucher_is_made_again_while_its_last_right_is_destroyed() {
    let host = voucher::host();
    let other = Thread::start(make_again_and_again, 0).expect("the thread starts");
    for _ in 0..100 {
        let port = port_with_send();
        for _ in 0..MACH_PORT_QLIMIT_DEFAULT {
            let name = make();
            let message = Message::copy_send(port.name()).port(name, D::MOVE_SEND);
            message.voucher(name, D::COPY_SEND).send().expect("there is room");
        }
        drop(port);
        let name = voucher::create(host, CONTENT.as_bytes()).expect("a voucher is made");
        port::deallocate(name).expect("it has a reference");
        // The other thread would run all the time if this one yielded.
        time::sleep(1);
    }
    STOP.store(true, Ordering::Relaxed);
    other.join();
    check::equal("the vouchers", task::counts().vouchers, 0);
}

/// Adopts a new voucher that nobody else has, and returns whether the thread has it.
fn adopt() -> bool {
    let (own, name) = (task::thread_self(), make());
    let adopted = voucher::set_of_thread(own, name).is_ok();
    port::deallocate(name).expect("the thread keeps the voucher");
    [own, voucher::host()].into_iter().for_each(|name| _ = port::deallocate(name));
    adopted && task::counts().vouchers == 1
}

fn a_worker_that_ends_releases_the_voucher_that_it_has_adopted() {
    static ADOPTED: AtomicU32 = AtomicU32::new(0);
    let adopt_and_go_on = |sleeps: u64| {
        ADOPTED.store(u32::from(adopt()), Ordering::Release);
        if sleeps != 0 {
            time::sleep(1_000_000);
        }
    };
    for round in 0..20 {
        ADOPTED.store(0, Ordering::Relaxed);
        let terminated = round % 2 == 1;
        let worker = Thread::start(adopt_and_go_on, terminated.into()).expect("the thread starts");
        while ADOPTED.load(Ordering::Acquire) == 0 {
            time::sleep(1);
        }
        if terminated {
            check::equal("the voucher while the worker sleeps", task::counts().vouchers, 1);
            let ended = call_object(worker.name(), thread_act::TERMINATE, &[]).map(|_| ());
            check::equal("ending the worker", ended, Ok(()));
        } else {
            worker.join();
        }
        // A thread that has been joined may not have ended yet.
        while task::counts().vouchers != 0 {
            time::sleep(1);
        }
    }
}

/// Adopts a voucher and sleeps, or ends if it could not: the child of the test below.
pub(super) fn adopt_and_sleep() {
    if !adopt() {
        exit(1);
    }
    let ready = Message::copy_send(task::bootstrap_port()).send();
    check::equal("telling the test", ready, Ok(()));
    time::sleep(1_000_000);
}

fn a_task_that_is_terminated_releases_the_voucher_that_it_has_adopted() {
    let (ready, end) = (port_with_send(), Port::new());
    let child = super::tasks::child("adopt-and-sleep").bootstrap(ready.name()).exit_port(end.name());
    let child = child.start().expect("the child starts");
    Message::receive(ready.name()).expect("the child has adopted a voucher");
    check::equal("the vouchers", task::counts().vouchers, 1);
    task::terminate(child).expect("the child sleeps");
    check::equal("the exit status", task::wait_for_exit(end.name()), Ok(ExitStatus::TERMINATED));
    while task::counts().vouchers != 0 {
        time::sleep(1);
    }
    port::deallocate(child).expect("the name exists");
}

/// The kernel reads the word once, before the buffer, and writes it after the buffer (vouchers 4.3 and 8, V3).
fn the_word_for_the_size_may_lie_in_the_buffer() {
    const SIZE: usize = size_of::<Recipe<4>>();
    /// A word in the buffer; the kernel would have read a far greater length from its address.
    type Words = [u32; 1280];
    let name = make();
    for room in [SIZE as u32, 255, 256, 257, 4096, 5120] {
        for at in [0, 1, 4, 5] {
            let mut buffer: Words = [0xEEEE_EEEE; 1280];
            buffer[at] = room;
            let start = buffer.as_mut_ptr() as u64;
            let done = voucher::extract_at(name, USER_DATA, start, start + 4 * at as u64);
            check::equal("the code", done, Ok(()));
            let mut expected: Words = [0xEEEE_EEEE; 1280];
            expected[at] = room;
            expected.as_mut_bytes()[..SIZE].copy_from_slice(CONTENT.as_bytes());
            expected[at] = SIZE as u32;
            check::that("the recipe and the size, and nothing behind them", buffer == expected);
        }
    }
    let mut word = 5121u32;
    let mut buffer = [0; 16];
    let at = (&raw mut word) as u64;
    let done = voucher::extract_at(name, USER_DATA, buffer.as_mut_ptr() as u64, at);
    check::equal("a size that is too large", (done, word), (Err(MIG_ARRAY_TOO_LARGE), 5121));
    check::equal("the references", refs(name), 1);
}
