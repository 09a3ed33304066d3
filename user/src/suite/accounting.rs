//! Processor time and who pays for it (vouchers 6.3.9). The times are the machine's, so they are compared with each
//! other only.

use super::tasks::{child, find};
use super::tests;
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::thread::Thread;
use crate::usage::{self, Usage};
use crate::voucher::{self, PAID_BY_SENDER};
use crate::{check, names, task, time};
use abi::PortName;
use abi::message::MsgOption;
use abi::port::{Disposition as D, MACH_PORT_NULL};
use abi::task::ExitStatus;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use zerocopy::IntoBytes;

tests! { "accounting":
    a_task_reads_its_own_time,
    work_for_a_client_is_on_its_bill,
    a_thread_that_ends_leaves_no_work_unpaid,
    the_time_of_a_preempted_thread_is_its_own,
}

/// Rounds of a loop that take some time on any machine.
const WORK: u32 = 200_000;
/// Calls that the server answers while it has adopted the voucher.
const CALLS: u32 = 200;
/// The time that two threads share, in ns: some quanta.
const SHARED: u64 = 45_000_000;

/// Requests to the worker.
const WORK_AND_KEEP: i32 = 1;
const ANSWER: i32 = 2;
const GIVE_UP: i32 = 3;
const WORK_IN_A_THREAD: i32 = 4;
const WORK_PREEMPTED: i32 = 5;
const END: i32 = 6;

/// Uses processor time.
fn work(rounds: u32) {
    for round in 0..rounds {
        black_box(round);
    }
}

fn a_task_reads_its_own_time() {
    let before = usage::own();
    work(WORK);
    let after = usage::own();
    check::that("work takes time", after.time > before.time);
    check::that("and energy", after.energy > before.energy);
    // A busy host can stop the machine while a thread has the processor, so that once is not enough.
    let waited = (0..5).map(|_| {
        let before = usage::own().time;
        time::sleep(20);
        usage::own().time - before
    });
    check::that("waiting takes less", waited.min() < Some(20_000_000));
    let none = Usage { time: after.time, energy: after.energy, ..Usage::default() };
    check::equal("nobody works for anybody", after, none);
    check::equal("a task that does not exist", usage::of_task(999_999), Err(abi::code::ESRCH.0.into()));
}

/// The worker: a child of the tests. It adopts the voucher that comes with a request, and answers each request with its
/// pid and what it has serviced.
pub(super) fn work_for_a_client() {
    let port = port_with_send();
    names::register("worker", port.name()).expect("the name is free");
    let mut held = MACH_PORT_NULL;
    let mut message = Message::new();
    let mut options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
    loop {
        let call = Call { options, receive_name: port.name(), ..Call::default() };
        message.call(&call).ok().expect("a request comes");
        match message.message_id() {
            WORK_AND_KEEP => {
                held = message.header().msgh_voucher_port;
                adopt_and_work(held);
            }
            ANSWER => {}
            GIVE_UP => give_up(),
            WORK_IN_A_THREAD => work_in_a_thread(message.header().msgh_voucher_port),
            WORK_PREEMPTED => work_preempted(message.header().msgh_voucher_port),
            _ => return,
        }
        if message.message_id() != ANSWER && message.message_id() != WORK_AND_KEEP && held != MACH_PORT_NULL {
            port::deallocate(core::mem::replace(&mut held, MACH_PORT_NULL)).expect("the voucher has a name");
        }
        let serviced = usage::own();
        let words = [task::pid() as u32].into_iter().chain(halves(serviced.serviced_time));
        let mut all = heapless::Vec::<u32, 5>::from_iter(words);
        all.extend(halves(serviced.serviced_energy));
        message = Message::reply(&message).words(&all);
        options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
    }
}

/// Returns the lower and the upper half of a number.
fn halves(number: u64) -> [u32; 2] {
    [number as u32, (number >> 32) as u32]
}

/// Adopts a voucher and works. All of that time is serviced, and the task's own time includes it.
fn adopt_and_work(voucher: PortName) {
    voucher::adopt(voucher).expect("it is a voucher");
    let before = usage::own();
    work(WORK);
    let after = usage::own();
    check::that("work takes time", after.time > before.time);
    let time = (after.serviced_time - before.serviced_time, after.serviced_energy - before.serviced_energy);
    check::equal("all of it is serviced", time, (after.time - before.time, after.energy - before.energy));
}

/// Gives up the voucher. From then on nothing is serviced.
fn give_up() {
    voucher::adopt(MACH_PORT_NULL).expect("a thread may give up its voucher");
    let before = usage::own();
    work(WORK);
    let after = usage::own();
    check::that("the time goes on", after.time > before.time);
    check::equal("the bill does not", after.serviced_time, before.serviced_time);
}

/// A thread adopts the voucher, works and ends.
fn work_in_a_thread(voucher: PortName) {
    let before = usage::own();
    let worker = Thread::start(
        |voucher| {
            voucher::adopt(PortName(voucher as u32)).expect("it is a voucher");
            work(WORK);
        },
        voucher.0.into(),
    );
    worker.expect("a thread starts").join();
    let after = usage::own();
    let serviced = after.serviced_time - before.serviced_time;
    check::that("its work is serviced", serviced > 0 && serviced <= after.time - before.time);
    port::deallocate(voucher).expect("the voucher has a name");
}

/// The other thread of the next function is to work, and has ended.
static BUSY: AtomicBool = AtomicBool::new(true);
/// The name of the thread that works for itself.
static TURNS: AtomicU32 = AtomicU32::new(0);

/// Two threads of the same priority share the processor, and one of them has adopted the voucher.
fn work_preempted(voucher: PortName) {
    let own = task::thread_self();
    let run_time = || task::thread_info(own).expect("the thread is there").run_time;
    let other = Thread::start(
        |_| {
            while BUSY.load(Ordering::Relaxed) {
                work(1000);
                TURNS.fetch_add(1, Ordering::Relaxed);
            }
        },
        0,
    );
    let other = other.expect("a thread starts");
    let (before, outside) = (usage::own(), run_time());
    voucher::adopt(voucher).expect("it is a voucher");
    let inside = run_time();
    while run_time() - inside < SHARED {
        work(1000);
    }
    let least = run_time() - inside;
    voucher::adopt(MACH_PORT_NULL).expect("a thread may give up its voucher");
    let (most, after) = (run_time() - outside, usage::own());
    BUSY.store(false, Ordering::Relaxed);
    other.join();
    check::that("the other thread ran meanwhile", TURNS.load(Ordering::Relaxed) > 0);
    let serviced = after.serviced_time - before.serviced_time;
    check::that("the bill has the thread's time", serviced >= least && serviced <= most);
    check::that("and not that of the other", after.time - before.time > most);
    port::deallocate(voucher).expect("the voucher has a name");
}

/// The client's side: the worker, and what it said last.
struct Worker {
    task: PortName,
    service: PortName,
    exit: Port,
    voucher: PortName,
}

impl Worker {
    fn start() -> Worker {
        let exit = Port::new();
        let task = child("work-for-a-client").exit_port(exit.name()).start().expect("the child starts");
        let voucher = voucher::create(voucher::host(), PAID_BY_SENDER.as_bytes()).expect("a voucher is made");
        Worker { task, service: find("worker"), exit, voucher }
    }

    /// Makes a request and compares what the worker and this task read. Returns this task's usage.
    fn request(&self, id: i32, with_voucher: bool) -> Usage {
        let mut request = Message::copy_send(self.service).id(id);
        if with_voucher {
            request = request.voucher(self.voucher, D::COPY_SEND);
        }
        let reply = request.rpc().expect("the worker answers");
        let number = |at| u64::from(reply.word(at)) | u64::from(reply.word(at + 1)) << 32;
        let (own, pid) = (usage::own(), reply.word(0).into());
        let other = usage::of_task(pid).expect("it is the same user's");
        check::equal("billed here", (own.billed_time, own.billed_energy), (other.serviced_time, other.serviced_energy));
        let said = (number(1), number(3));
        check::that("and what the worker has seen", said.0 <= own.billed_time && said.1 <= own.billed_energy);
        check::that("which is part of its own", other.serviced_time <= other.time);
        check::equal("nothing the other way", (own.serviced_time, other.billed_time), (0, 0));
        own
    }

    fn end(self) {
        Message::copy_send(self.service).id(END).send().expect("the worker waits");
        check::equal("the exit status", task::wait_for_exit(self.exit.name()), Ok(ExitStatus::exited(0)));
        for name in [self.task, self.service, self.voucher] {
            port::deallocate(name).expect("the name exists");
        }
    }
}

fn work_for_a_client_is_on_its_bill() {
    let worker = Worker::start();
    let mut billed = worker.request(WORK_AND_KEEP, true).billed_time;
    check::that("the work is billed", billed > 0);
    for _ in 0..CALLS {
        // The worker answers while it has the voucher, by direct switches.
        let now = worker.request(ANSWER, false).billed_time;
        check::that("each answer is billed", now > billed);
        billed = now;
    }
    let last = worker.request(GIVE_UP, false).billed_time;
    check::that("until it gives up the voucher", last > billed);
    check::equal("and no longer", worker.request(ANSWER, false).billed_time, last);
    let before = usage::own();
    worker.end();
    check::equal("the end of the worker changes nothing", usage::own().billed_time, before.billed_time);
}

fn a_thread_that_ends_leaves_no_work_unpaid() {
    let worker = Worker::start();
    let billed = worker.request(WORK_IN_A_THREAD, true).billed_time;
    check::that("the work is billed", billed > 0);
    worker.end();
    check::equal("the bill stays", usage::own().billed_time, billed);
}

fn the_time_of_a_preempted_thread_is_its_own() {
    let worker = Worker::start();
    let billed = worker.request(WORK_PREEMPTED, true).billed_time;
    check::that("the work is billed", billed >= SHARED);
    worker.end();
}
