//! Threads.

use super::memory::end_of;
use super::{Row, measured};
use crate::message::{Call, Message, port_with_send};
use crate::thread::{self, Thread};
use crate::time::{self, sleep};
use crate::voucher::Recipe;
use crate::{policy, port, voucher};
use abi::PortName;
use abi::debug::LongestStep;
use abi::message::MsgOption;
use abi::policy::{PRIO_DARWIN_BG, PRIO_DARWIN_PROCESS};
use abi::port::Disposition;
use abi::voucher::MACH_VOUCHER_ATTR_KEY_USER_DATA;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use zerocopy::IntoBytes;

pub(super) const ROWS: &[Row] = &[
    ("end of a task with 127 threads", || end_of("threads")),
    ("end of 126 threads with vouchers and replies", || end_of("busy threads")),
    ("ulock_wake of 126 threads", wake_all),
    ("126 threads whose time has come", wake_by_time),
    ("end of a port from which 126 threads receive", end_with_receivers),
    ("a new policy of a task with 126 threads", change_policy),
];

/// Threads that are kept.
pub(super) type Threads = Vec<Thread>;

/// Starts a thread with a name as its argument.
pub(super) fn start(function: fn(u64), name: PortName) -> Thread {
    Thread::start(function, u64::from(name.0)).expect("there is room for a thread")
}

/// Starts as many threads as a task may have, with a name as their argument.
pub(super) fn fill_with(kept: &mut Threads, function: fn(u64), name: PortName) {
    while let Ok(thread) = Thread::start(function, u64::from(name.0)) {
        kept.push(thread);
    }
}

/// Starts as many threads as a task may have.
pub(super) fn fill(kept: &mut Threads, function: fn(u64)) {
    fill_with(kept, function, PortName(0));
}

/// Adopts a voucher that nobody else has, and waits at a special reply port for the answer to a request that nobody reads.
pub(super) fn hold_and_wait(name: u64) {
    let content = thread::number().to_le_bytes();
    let recipe = Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, content);
    let voucher = voucher::create(voucher::host(), recipe.as_bytes()).expect("a voucher");
    voucher::adopt(voucher).expect("it is a voucher");
    port::deallocate(voucher).expect("its name is there");
    let reply = port::special_reply().expect("a port").into_name();
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let call = Call { options, send_size: 24, receive_size: 64, receive_name: reply, ..Call::default() };
    let mut request = Message::copy_send(PortName(name as u32)).reply_to(reply, Disposition::MAKE_SEND_ONCE);
    let _ = request.call(&call);
}

static WORD: AtomicU32 = AtomicU32::new(0);

/// Waits for a word that does not change.
pub(super) fn wait_for_ever(_: u64) {
    let _ = thread::wait_on_word(&WORD, 0, 0);
}

fn wake_all() -> LongestStep {
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_ever);
    sleep(10);
    measured(|| {
        let _ = thread::wake_word(&WORD, true);
    })
}

/// Waits for a moment that is the same for all.
fn wait_for_moment(_: u64) {
    let _ = time::wait_until(MOMENT.load(Ordering::Relaxed));
}

/// That moment, in nanoseconds since boot.
static MOMENT: AtomicU64 = AtomicU64::new(0);

fn wake_by_time() -> LongestStep {
    let moment = time::now() + 1_000_000_000;
    MOMENT.store(moment, Ordering::Relaxed);
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_moment);
    sleep(10);
    measured(|| {
        let _ = time::wait_until(moment + 10_000_000);
    })
}

fn receiver(name: u64) {
    let _ = Message::receive(PortName(name as u32));
}

fn end_with_receivers() -> LongestStep {
    let mut kept = Threads::new();
    let port = port_with_send();
    fill_with(&mut kept, receiver, port.name());
    sleep(10);
    measured(|| drop(port))
}

fn change_policy() -> LongestStep {
    let mut kept = Threads::new();
    fill(&mut kept, wait_for_ever);
    sleep(10);
    measured(|| policy::set_priority(PRIO_DARWIN_PROCESS, 0, PRIO_DARWIN_BG).expect("the task is its own"))
}
