//! What the library `dispatch` needs of the kernel, through its trait (dispatch appendix A.1).

use super::tests;
use crate::buffer;
use crate::thread::{self, Builder, Gate, spawn};
use crate::time::{self, MILLISECOND};
use crate::{check, task};
use abi::code::*;
use abi::message::*;
use abi::port::*;
use abi::voucher::*;
use abi::{KernReturn, PortName};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use dispatch::qos::{Priority, Qos, message_word};
use dispatch::sys::tally::Tally;
use dispatch::sys::{Kernel, SetSelf, SetSelfError};
use zerocopy::IntoBytes;

tests! { "library_kernel":
    a_thread_sets_its_class_and_its_voucher_in_one_call,
    a_parked_thread_gets_its_class_from_another,
    overrides_of_both_kinds_raise_a_thread,
    vouchers_are_made_read_and_released,
    identities_are_unique,
    large_messages_bring_their_class_and_their_sender,
    a_message_that_cannot_be_sent_comes_back_with_its_rights,
    the_kernel_notifies,
    the_thread_that_serves_a_set_is_raised_by_messages,
    each_thread_has_one_special_reply_port,
    a_special_reply_port_is_replaced_when_its_right_is_gone,
    threads_start_with_priorities_and_give_everything_back,
    threads_wait_for_words_and_time,
    every_thread_of_a_program_belongs_to_its_process,
}

const KERNEL: &dyn Kernel = &Tally;

fn info(thread: PortName) -> abi::debug::ThreadInfo {
    task::thread_info(thread).expect("the thread is alive")
}

fn own() -> PortName {
    KERNEL.thread_self()
}

fn class_in_effect(thread: PortName) -> Qos {
    Priority(info(thread).effective).class()
}

/// Returns the counts of objects with those that a program keeps as soon as it has started a second thread.
fn counts_with_threads() -> abi::debug::Counts {
    let alone = task::counts().threads;
    spawn(|| {}).expect("a thread").join();
    counts_of_threads(alone)
}

/// Returns the counts as soon as there are only so many threads: one that has been joined has not ended yet, and one
/// that has ended may still be about to be destroyed. Only the limit of the test ends the wait otherwise.
fn counts_of_threads(threads: u64) -> abi::debug::Counts {
    loop {
        let counts = task::counts();
        if counts.threads <= threads {
            return counts;
        }
        time::sleep(1);
    }
}

/// Calls `body` in a thread of a class.
fn in_class<T: Send + 'static>(class: Qos, body: impl FnOnce() -> T + Send + 'static) -> T {
    Builder::new().class(class).spawn(body).expect("the thread starts").join()
}

fn recipe(key: u32, command: u32, previous: PortName, content: &[u8]) -> Vec<u8> {
    let header = RecipeHeader { key, command, previous_voucher: previous.0, content_size: content.len() as u32 };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes
}

fn user_data(content: &[u8]) -> Vec<u8> {
    recipe(MACH_VOUCHER_ATTR_KEY_USER_DATA, MACH_VOUCHER_ATTR_USER_DATA_STORE, MACH_PORT_NULL, content)
}

fn a_thread_sets_its_class_and_its_voucher_in_one_call() {
    let both = |priority, voucher| SetSelf { priority: Some(priority), voucher: Some(voucher) };
    let failed = |priority, voucher| Err(SetSelfError { priority, voucher });
    in_class(Qos::Legacy, move || {
        let voucher = KERNEL.create_voucher(&user_data(b"test")).expect("a voucher");
        let priority = Priority::new(Qos::Utility, -3).expect("a valid priority");
        check::equal("both", KERNEL.set_self(both(priority, voucher)), Ok(()));
        let seen = info(own());
        check::equal("calls", seen.set_self_calls, 1);
        check::equal("the priority", seen.requested, priority.0);
        check::that("the voucher is adopted", seen.voucher != 0);
        // The thread has a reference of its own.
        KERNEL.release_send(voucher);
        check::equal("the voucher", info(own()).voucher, seen.voucher);
        let unknown = PortName(0x7_7703);
        check::equal(
            "an unknown voucher",
            KERNEL.set_self(both(Priority::of(Qos::Legacy), unknown)),
            failed(false, true),
        );
        check::equal("the priority", info(own()).requested, Priority::of(Qos::Legacy).0);
        check::equal("no class", KERNEL.set_self(both(Priority::NONE, MACH_PORT_NULL)), failed(true, false));
        check::equal("the voucher is given up", info(own()).voucher, 0);
        check::equal("neither", KERNEL.set_self(both(Priority::NONE, unknown)), failed(true, true));
        let one = SetSelf { priority: Some(Priority::of(Qos::Background)), voucher: None };
        check::equal("the class alone", KERNEL.set_self(one), Ok(()));
        check::equal("calls", info(own()).set_self_calls, 5);
    });
    let outside = SetSelf { priority: Some(Priority::of(Qos::Utility)), voucher: None };
    check::equal("a thread without a class", KERNEL.set_self(outside), failed(true, false));
}

static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits on [`WORD`] until it is 1, then calls `body`.
fn parked<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    WORD.store(0, Ordering::Relaxed);
    let wait = move || {
        while WORD.load(Ordering::Acquire) == 0 {
            KERNEL.wait(&WORD, 0, None);
        }
        body()
    };
    Builder::new().class(Qos::Utility).spawn(wait).expect("the thread starts")
}

fn unpark() {
    WORD.store(1, Ordering::Release);
    KERNEL.wake(&WORD, true);
}

fn a_parked_thread_gets_its_class_from_another() {
    let priority = Priority::new(Qos::UserInitiated, -2).expect("a valid priority");
    let thread = parked(|| info(own()).requested);
    // It has not begun to wait, because this thread has run all the time.
    check::equal("before it waits", KERNEL.set_qos_of_parked(thread.name(), priority), false);
    while !KERNEL.set_qos_of_parked(thread.name(), priority) {
        time::sleep(1);
    }
    unpark();
    check::equal("the priority with which it goes on", thread.join(), priority.0);
}

fn overrides_of_both_kinds_raise_a_thread() {
    static LOCK: AtomicU32 = AtomicU32::new(0);
    let thread = parked(|| {
        let before = class_in_effect(own());
        KERNEL.reset_override();
        (before, class_in_effect(own()))
    });
    let name = thread.name();
    time::sleep(5);
    KERNEL.override_thread(name, Qos::UserInitiated, &LOCK);
    check::equal("not the owner", class_in_effect(name), Qos::Utility);
    LOCK.store(name.0 & !1, Ordering::Relaxed);
    KERNEL.override_thread(name, Qos::UserInitiated, &LOCK);
    KERNEL.override_thread(name, Qos::Legacy, &LOCK);
    check::equal("the owner", class_in_effect(name), Qos::UserInitiated);
    (0..2).for_each(|_| KERNEL.override_start(name, Qos::UserInteractive, 77));
    check::equal("with an explicit one", class_in_effect(name), Qos::UserInteractive);
    KERNEL.override_end(name, 77);
    KERNEL.override_end(name, 78);
    check::equal("after one end", class_in_effect(name), Qos::UserInteractive);
    KERNEL.override_end(name, 77);
    check::equal("after both ends", class_in_effect(name), Qos::UserInitiated);
    unpark();
    check::equal("before and after the reset", thread.join(), (Qos::UserInitiated, Qos::Utility));
}

fn vouchers_are_made_read_and_released() {
    let before = task::counts();
    let first = KERNEL.create_voucher(&user_data(b"content!")).expect("a voucher");
    let again = KERNEL.create_voucher(&user_data(b"content!")).expect("a voucher");
    check::equal("the name of an equal one", again, first);
    check::equal("one without attributes", KERNEL.create_voucher(&[]), Ok(MACH_PORT_NULL));
    check::that("a bad recipe is refused", KERNEL.create_voucher(&[1, 2, 3]).is_err());
    let mut buffer = [0u8; 64];
    let size = KERNEL.extract(first, MACH_VOUCHER_ATTR_KEY_USER_DATA, &mut buffer);
    check::equal("the size of the recipe", size, Ok(16 + 8));
    check::equal("its content", &buffer[16..24], b"content!");
    check::equal("an absent attribute", KERNEL.extract(first, MACH_VOUCHER_ATTR_KEY_BANK, &mut buffer), Ok(0));
    let small = KERNEL.extract(first, MACH_VOUCHER_ATTR_KEY_USER_DATA, &mut buffer[..20]);
    check::equal("too small a buffer", small, Err(KERN_NO_SPACE));
    let bank = recipe(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, MACH_PORT_NULL, &[]);
    let account = KERNEL.create_voucher(&bank).expect("a voucher");
    let mut pid = [0; 4];
    let answer = KERNEL.voucher_command(account, MACH_VOUCHER_ATTR_KEY_BANK, BANK_ORIGINATOR_PID, &[], &mut pid);
    check::equal("the size of the answer", answer, Ok(4));
    check::equal("the task that pays", u64::from(u32::from_le_bytes(pid)), task::pid());
    let refused = KERNEL.voucher_command(account, MACH_VOUCHER_ATTR_KEY_BANK, 999, &[], &mut pid);
    check::that("an unknown command is refused", refused.is_err());
    [first, again, account].into_iter().for_each(|name| KERNEL.release_send(name));
    check::equal("vouchers", task::counts().vouchers, before.vouchers);
}

fn identities_are_unique() {
    let ids = [(); 3].map(|()| KERNEL.generate_activity_ids());
    check::that("blocks of 16 ids", ids[1] >= ids[0] + 16 && ids[2] >= ids[1] + 16);
    check::equal("the unique number, which is the pid", KERNEL.unique_pid(), task::pid());
    check::equal("the persona", KERNEL.current_persona(), crate::policy::persona().ok());
}

fn every_thread_of_a_program_belongs_to_its_process() {
    let own = core::ptr::from_ref(dispatch::process::process()).addr();
    check::equal("outside of QoS", dispatch::thread::requested(), Priority::NONE);
    let seen = in_class(Qos::Utility, || {
        (core::ptr::from_ref(dispatch::process::process()).addr(), dispatch::thread::requested())
    });
    check::equal("in another thread", seen, (own, Priority::of(Qos::Utility)));
}

/// A message with a body of `size` bytes to `port`, by a right that `disposition` takes from the name.
fn message(port: PortName, disposition: Disposition, size: usize) -> Vec<u8> {
    let bits = msgh_bits(disposition, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
    let header = Header { msgh_bits: bits, msgh_remote_port: port, msgh_id: 42, ..Header::default() };
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend((0..size).map(|at| at as u8));
    bytes
}

fn port_with_send() -> PortName {
    KERNEL.construct(ConstructFlags::INSERT_SEND_RIGHT, Some(1)).expect("a port")
}

fn large_messages_bring_their_class_and_their_sender() {
    const SIZE: usize = 40_000;
    const LARGE: MsgOption = MsgOption::RCV_LARGE.union(MsgOption::RCV_TIMEOUT).union(MsgOption::trailer_elements(3));
    let (port, set) = (KERNEL.allocate_receive().expect("a port"), KERNEL.allocate_set().expect("a set"));
    KERNEL.insert_send(port).expect("it is the task's port");
    KERNEL.insert_member(port, set).expect("both are the task's");
    let sent = Priority::new(Qos::Utility, -4).expect("a valid priority");
    let word = message_word(Qos::UserInteractive, sent);
    let mut request = message(port, Disposition::COPY_SEND, SIZE);
    check::equal("sending", KERNEL.send(&mut request, MsgOption::SEND_OVERRIDE, 0, word), MACH_MSG_SUCCESS);
    let mut buffer = vec![0; 512];
    let refused = KERNEL.receive(set, &mut buffer, LARGE, 0, MACH_PORT_NULL);
    check::equal("with a small buffer", refused.code, MACH_RCV_TOO_LARGE);
    check::equal("bytes needed", buffer::needed(&buffer, LARGE), Header::SIZE + SIZE + trailer_size(3));
    buffer.resize(buffer::needed(&buffer, LARGE), 0);
    let received = KERNEL.receive(set, &mut buffer, LARGE, 0, MACH_PORT_NULL);
    check::equal("with a large one", received.code, MACH_MSG_SUCCESS);
    check::equal("the classes", (received.priority, received.over), (sent, Qos::UserInteractive));
    check::that("the content", buffer[Header::SIZE..][..SIZE] == request[Header::SIZE..]);
    let header = buffer::header(&buffer);
    check::equal("port and id", (header.msgh_local_port, header.msgh_id), (port, 42));
    let trailer = buffer::trailer(&buffer);
    check::equal("the sender", u64::from({ trailer.msgh_audit }[5]), task::pid());
    check::that("it is not from the kernel", !buffer::is_from_kernel(&trailer));
    check::equal("leaving the set", KERNEL.extract_member(port, set), Ok(()));
    let none = KERNEL.receive(set, &mut buffer, LARGE, 0, MACH_PORT_NULL);
    check::equal("nothing is left", (none.code, none.priority), (MACH_RCV_TIMED_OUT, Priority::NONE));
}

fn a_message_that_cannot_be_sent_comes_back_with_its_rights() {
    let (port, carried) = (port_with_send(), port_with_send());
    let options = MsgOption::SEND_TIMEOUT;
    check::equal(
        "the first",
        KERNEL.send(&mut message(port, Disposition::COPY_SEND, 8), options, 0, 0),
        MACH_MSG_SUCCESS,
    );
    let mut second = message(port, Disposition::COPY_SEND, 8);
    let mut header = buffer::header(&second);
    header.msgh_bits |= u32::from(Disposition::MAKE_SEND_ONCE.0) << 8;
    header.msgh_local_port = carried;
    second[..Header::SIZE].copy_from_slice(header.as_bytes());
    check::equal("the second", KERNEL.send(&mut second, options, 1, 0), MACH_SEND_TIMED_OUT);
    let header = buffer::header(&second);
    check::equal(
        "destination and its right",
        (header.msgh_remote_port, header.remote()),
        (port, Disposition::MOVE_SEND),
    );
    check::equal("the reply right", header.local(), Disposition::MOVE_SEND_ONCE);
    [header.msgh_remote_port, header.msgh_local_port].into_iter().for_each(|name| KERNEL.release_send(name));
    check::equal("references that are left", crate::port::get_refs(port, MACH_PORT_RIGHT_SEND), Ok(1));
}

/// Returns the id and the name in the next notification, which must be from the kernel.
fn notification(port: PortName) -> (i32, u32) {
    let mut buffer = [0u8; 256];
    let options = MsgOption::RCV_TIMEOUT.union(MsgOption::trailer_elements(3));
    let received = KERNEL.receive(port, &mut buffer, options, 1000, MACH_PORT_NULL);
    check::equal("receiving a notification", received.code, MACH_MSG_SUCCESS);
    check::that("it is from the kernel", buffer::is_from_kernel(&buffer::trailer(&buffer)));
    let body = &buffer[Header::SIZE..buffer::header(&buffer).msgh_size as usize];
    let word = body.get(8..12).map_or(0, |word| u32::from_le_bytes(word.try_into().expect("four bytes")));
    (buffer::header(&buffer).msgh_id, word)
}

fn the_kernel_notifies() {
    let notify = KERNEL.allocate_receive().expect("a port");
    let request = |name, kind| KERNEL.request_notification(name, kind, 1, notify);
    let port = port_with_send();
    check::equal("no senders", request(port, MACH_NOTIFY_NO_SENDERS), Ok(MACH_PORT_NULL));
    KERNEL.release_send(port);
    check::equal("no senders, after one", notification(notify), (MACH_NOTIFY_NO_SENDERS, 1));

    KERNEL.insert_send(port).expect("a receive right");
    check::equal(
        "the queue is not full yet",
        KERNEL.send(&mut message(port, Disposition::COPY_SEND, 8), MsgOption::empty(), 0, 0),
        MACH_MSG_SUCCESS,
    );
    check::equal("send possible", request(port, MACH_NOTIFY_SEND_POSSIBLE), Ok(MACH_PORT_NULL));
    let options = MsgOption::SEND_TIMEOUT.union(MsgOption::SEND_NOTIFY);
    let mut refused = message(port, Disposition::COPY_SEND, 8);
    check::equal("the queue is full", KERNEL.send(&mut refused, options, 0, 0), MACH_SEND_TIMED_OUT);
    KERNEL.release_send(port);
    let received = KERNEL.receive(port, &mut [0; 64], MsgOption::empty(), 0, MACH_PORT_NULL);
    check::equal("making room", received.code, MACH_MSG_SUCCESS);
    check::equal("send possible", notification(notify), (MACH_NOTIFY_SEND_POSSIBLE, port.0));

    check::equal("dead name", request(port, MACH_NOTIFY_DEAD_NAME), Ok(MACH_PORT_NULL));
    KERNEL.mod_refs(port, MACH_PORT_RIGHT_RECEIVE, -1).expect("a receive right");
    check::equal("dead name", notification(notify), (MACH_NOTIFY_DEAD_NAME, port.0));

    let unused = KERNEL.allocate_receive().expect("a port");
    let mut carrier = message(unused, Disposition::MAKE_SEND, 8);
    let mut header = buffer::header(&carrier);
    header.msgh_bits |= u32::from(Disposition::MAKE_SEND_ONCE.0) << 8;
    header.msgh_local_port = notify;
    carrier[..Header::SIZE].copy_from_slice(header.as_bytes());
    check::equal("a reply right", KERNEL.send(&mut carrier, MsgOption::empty(), 0, 0), MACH_MSG_SUCCESS);
    KERNEL.mod_refs(unused, MACH_PORT_RIGHT_RECEIVE, -1).expect("a receive right");
    check::equal("an unused reply right", notification(notify).0, MACH_NOTIFY_SEND_ONCE);
}

/// A thread serves a set. A message that waits there raises it although it does something else.
fn the_thread_that_serves_a_set_is_raised_by_messages() {
    static BOUND: Gate = Gate::new();
    static GO: Gate = Gate::new();
    let (port, set) = (port_with_send(), KERNEL.allocate_set().expect("a set"));
    KERNEL.insert_member(port, set).expect("both are the task's");
    let server = move || {
        KERNEL.bind_servicer(set, own());
        BOUND.open();
        GO.pass();
        let raised = class_in_effect(own());
        let received = KERNEL.receive(set, &mut [0; 256], MsgOption::empty(), 0, MACH_PORT_NULL);
        KERNEL.bind_servicer(set, MACH_PORT_NULL);
        (raised, received.code, received.over, class_in_effect(own()))
    };
    let server = Builder::new().class(Qos::Utility).spawn(server).expect("the thread starts");
    BOUND.pass();
    let word = message_word(Qos::UserInitiated, Priority::of(Qos::Legacy));
    let sent = KERNEL.send(&mut message(port, Disposition::COPY_SEND, 8), MsgOption::SEND_OVERRIDE, 0, word);
    check::equal("sending", sent, MACH_MSG_SUCCESS);
    GO.open();
    let seen = server.join();
    check::equal("the server", seen, (Qos::UserInitiated, MACH_MSG_SUCCESS, Qos::UserInitiated, Qos::Utility));
}

fn each_thread_has_one_special_reply_port() {
    let own = KERNEL.special_reply_port();
    check::equal("again", KERNEL.special_reply_port(), own);
    let before = counts_with_threads();
    let service = port_with_send();
    let server = spawn(move || {
        let mut request = [0u8; 128];
        let received = KERNEL.receive(service, &mut request, MsgOption::empty(), 0, MACH_PORT_NULL);
        check::equal("the request", received.code, MACH_MSG_SUCCESS);
        let to = buffer::header(&request).msgh_remote_port;
        KERNEL.send(&mut message(to, Disposition::MOVE_SEND_ONCE, 12), MsgOption::empty(), 0, 0)
    });
    let (size, is_own) = in_class(Qos::UserInitiated, move || {
        let reply = KERNEL.special_reply_port();
        let mut request = message(service, Disposition::COPY_SEND, 8);
        let mut header = buffer::header(&request);
        header.msgh_bits |= u32::from(Disposition::MAKE_SEND_ONCE.0) << 8;
        header.msgh_local_port = reply;
        request[..Header::SIZE].copy_from_slice(header.as_bytes());
        let size = request.len();
        request.resize(128, 0);
        let received = KERNEL.send_and_receive(&mut request, size, MsgOption::empty(), reply, 0, 0);
        check::equal("the call", received.code, MACH_MSG_SUCCESS);
        (buffer::header(&request).msgh_size, reply != own)
    });
    check::equal("the reply, at a port of its own", (size, is_own), (Header::SIZE as u32 + 12, true));
    check::equal("the server's send", server.expect("a thread").join(), MACH_MSG_SUCCESS);
    KERNEL.mod_refs(service, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
    KERNEL.release_send(service);
    let after = counts_of_threads(before.threads);
    check::equal("ports that are left", after.ports, before.ports);
    check::equal("names that are left", after.names, before.names);
}

fn a_special_reply_port_is_replaced_when_its_right_is_gone() {
    let before = counts_with_threads();
    in_class(Qos::Legacy, || {
        let first = KERNEL.special_reply_port();
        let destroyer = spawn(move || {
            time::sleep(5);
            KERNEL.mod_refs(first, MACH_PORT_RIGHT_RECEIVE, -1)
        });
        let received = KERNEL.receive(first, &mut [0; 128], MsgOption::empty(), 0, MACH_PORT_NULL);
        check::that("the wait ends", !received.code.is_success() && received.code != MACH_RCV_TIMED_OUT);
        check::equal("destroying it", destroyer.expect("a thread").join(), Ok(()));
        let second = KERNEL.special_reply_port();
        check::that("another name", second != first);
        check::equal(
            "it can be used",
            KERNEL.receive(second, &mut [0; 128], MsgOption::RCV_TIMEOUT, 0, MACH_PORT_NULL).code,
            MACH_RCV_TIMED_OUT,
        );
    });
    check::equal("names that are left", counts_of_threads(before.threads).names, before.names);
}

fn threads_start_with_priorities_and_give_everything_back() {
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let before = counts_with_threads();
    for priority in [Priority::of(Qos::UserInteractive), Priority::new(Qos::Utility, -3).expect("a valid one")] {
        SEEN.store(0, Ordering::Relaxed);
        let body = Box::new(|| SEEN.store(info(own()).requested, Ordering::Release));
        KERNEL.start_thread("worker", priority, body).expect("the thread starts");
        while SEEN.load(Ordering::Acquire) == 0 || task::counts().threads > before.threads {
            time::sleep(1);
        }
        check::equal("the priority", SEEN.load(Ordering::Relaxed), priority.0);
    }
    check::equal("names and ports", (task::counts().names, task::counts().ports), (before.names, before.ports));
}

fn threads_wait_for_words_and_time() {
    static WORD: AtomicU32 = AtomicU32::new(3);
    let start = KERNEL.now();
    check::equal("a wait in vain", KERNEL.wait(&WORD, 3, Some(4000)), false);
    check::that("it takes that long", KERNEL.now() - start >= 4 * MILLISECOND);
    check::equal("another value", KERNEL.wait(&WORD, 4, Some(4000)), true);
    check::equal("no time", KERNEL.wait(&WORD, 3, Some(0)), false);
    let waiters = [(); 2].map(|()| spawn(|| KERNEL.wait(&WORD, 3, None)).expect("a thread"));
    time::sleep(5);
    KERNEL.wake(&WORD, true);
    check::equal("both are woken", waiters.map(thread::JoinHandle::join), [true; 2]);
    check::equal("processors", KERNEL.processors(), 1);
    let name = task::thread_self();
    check::equal("its own name", KERNEL.thread_self(), name);
    KERNEL.release_send(name);
    check::equal(
        "a name that is gone",
        crate::port::deallocate(PortName(0x7_7703)),
        Err::<(), KernReturn>(KERN_INVALID_NAME),
    );
}
