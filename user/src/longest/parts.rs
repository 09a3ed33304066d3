//! Long things that meet: what is due, or the trap of another thread, and then a long call that goes on. Each gets a part of
//! the step for itself.

use super::child::MEMORY;
use super::memory::WithArguments;
use super::sets::{member_with_replies, receive_rights, served_ports};
use super::threads::{self, Threads};
use super::walks::{fill_queue, packet, send_urgent, size_with};
use super::{Row, measured};
use crate::message::{Call, Message, mach_msg_at, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::{self, Thread};
use crate::time;
use abi::PortName;
use abi::debug::LongestStep;
use abi::message::MsgOption;
use abi::port::Disposition;
use abi::qos::Qos;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) const ROWS: &[Row] = &[
    ("126 threads whose time comes during a spawn", waits_during_spawn),
    ("the same during the end of many replies", waits_during_end),
    ("63 calls that push and end at the same time", calls_that_end),
    ("a message behind 4,000, sent during a spawn", || sent_during_spawn(4 * STEP, send_behind_many)),
    ("128 receive rights sent during a spawn", || sent_during_spawn(STEP, send_rights)),
];

/// The time from the preparation of a round to its moment, in nanoseconds.
const LEAD: u64 = 5_000_000;

/// About how many nanoseconds before the moment the spawn of a round begins at most, and by how much rounds differ. A spawn
/// hardly takes longer.
const EARLIEST: u64 = 600_000;
const STEP: usize = 12_000;

/// The number of the round, on which threads wait.
static ROUND: AtomicU32 = AtomicU32::new(0);

/// The moment of the round, in nanoseconds since boot.
static MOMENT: AtomicU64 = AtomicU64::new(0);

/// Begins a round, and returns its moment.
fn begin_round() -> u64 {
    let moment = time::now() + LEAD;
    MOMENT.store(moment, Ordering::Relaxed);
    ROUND.fetch_add(1, Ordering::Relaxed);
    let _ = thread::wake_word(&ROUND, true);
    moment
}

/// Waits for the next round and then for its moment.
fn wait_for_round() {
    let round = ROUND.load(Ordering::Relaxed);
    while ROUND.load(Ordering::Relaxed) == round {
        let _ = thread::wait_on_word(&ROUND, round, 0);
    }
    let _ = time::wait_until(MOMENT.load(Ordering::Relaxed));
}

/// Waits for the moment of each round.
fn wait_for_rounds(_: u64) {
    loop {
        wait_for_round();
    }
}

/// Starts a program with many arguments in each round, by `step` later each time, after `prepare`. Returns the longest step.
fn spawn_in_rounds(step: usize, mut prepare: impl FnMut()) -> LongestStep {
    let program = WithArguments::new();
    let mut longest = LongestStep::default();
    for before in (0..EARLIEST).step_by(step) {
        prepare();
        let moment = begin_round();
        let _ = time::wait_until(moment - before);
        let step = measured(|| program.start());
        if step.ticks > longest.ticks {
            longest = step;
        }
    }
    longest
}

fn waits_during_spawn() -> LongestStep {
    let mut kept = Threads::new();
    threads::fill(&mut kept, wait_for_rounds);
    spawn_in_rounds(STEP, || time::sleep(5))
}

fn waits_during_end() -> LongestStep {
    let port = member_with_replies();
    let mut kept = Threads::new();
    threads::fill(&mut kept, wait_for_rounds);
    time::sleep(5);
    let moment = begin_round();
    let _ = time::wait_until(moment - EARLIEST / 2);
    measured(|| drop(port))
}

/// Calls that end together.
const CALLS: u64 = 63;

/// The time between two of these, in milliseconds.
const APART: u64 = 1;

/// Calls a server that does not answer, and gives up at the same time as all others. The argument is the name of the port and
/// the number of the call.
fn call_in_vain(argument: u64) {
    let (to, number) = (PortName(argument as u32), argument >> 32);
    let reply = port::special_reply().expect("a port").into_name();
    wait_for_round();
    let _ = time::wait_until(MOMENT.load(Ordering::Relaxed) + number * APART * 1_000_000);
    let options = MsgOption::SEND_MSG | MsgOption::SEND_SYNC_OVERRIDE | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let timeout = ((CALLS - number) * APART) as u32;
    let call = Call { options, send_size: 24, receive_size: 64, receive_name: reply, timeout, ..Call::default() };
    let _ = Message::copy_send(to).reply_to(reply, Disposition::MAKE_SEND_ONCE).call(&call);
}

fn calls_that_end() -> LongestStep {
    let ports = served_ports(CALLS as usize);
    let threads: Vec<_> = (0..)
        .zip(&ports)
        .map(|(number, port)| {
            Thread::start(call_in_vain, number << 32 | u64::from(port.0)).expect("there is room for a thread")
        })
        .collect();
    time::sleep(20);
    threads.iter().for_each(|thread| thread.set_qos(Qos::UserInteractive));
    let moment = begin_round();
    let _ = time::wait_until(moment + CALLS * APART * 1_000_000 - 40_000);
    measured(|| {
        // Meanwhile the time of all of them comes.
        task::allocate(MEMORY / 2).expect("there is memory");
        time::sleep(10);
    })
}

/// Sends receive rights at the moment of the next round, and waits for a message.
fn send_rights(_: u64) {
    let (to, empty) = (port_with_send(), Port::new());
    let names = receive_rights(128);
    let words = packet(to.name(), &names, Disposition::MOVE_RECEIVE);
    let call = Call {
        options: MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT,
        send_size: size_with(names.len()),
        receive_size: 64,
        receive_name: empty.name(),
        timeout: 2,
        ..Call::default()
    };
    wait_for_round();
    let _ = mach_msg_at(words.as_ptr() as u64, &call);
}

/// Sends an urgent message behind many others at the moment of the next round, and waits for a message.
fn send_behind_many(_: u64) {
    let (to, empty) = (Port::new(), Port::new());
    fill_queue(to.name());
    wait_for_round();
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let call = Call { options, receive_size: 64, receive_name: empty.name(), timeout: 2, ..Call::default() };
    let _ = send_urgent(to.name(), call);
}

/// Lets an urgent thread send during a spawn.
fn sent_during_spawn(step: usize, send: fn(u64)) -> LongestStep {
    let mut sender: Option<Thread> = None;
    spawn_in_rounds(step, || {
        if let Some(sender) = sender.take() {
            sender.join();
        }
        let thread = threads::start(send, PortName(0));
        thread.set_qos(Qos::UserInteractive);
        sender = Some(thread);
    })
}
