//! The programs that the narrator watches: apps, daemons and the competitor.

use super::talk::{self, ASK, Event, FORGET, MEET, Manner, RELEASE, REQUEST, Report, SHARE, TEXT_SIZE, TIDY};
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::thread::{Gate, Thread};
use crate::time::now;
use crate::voucher::{self, PAID_BY_SENDER};
use abi::PortName;
use abi::code::MACH_MSG_SUCCESS;
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::port::{Disposition, MACH_PORT_NULL, MACH_PORT_RIGHT_SEND};
use abi::voucher::*;
use core::hint::black_box;
use zerocopy::IntoBytes;

/// Rounds that the speed of the machine is measured with.
const TRIAL: u64 = 20_000;
/// The number of threads of the competitor that compute.
pub const COMPETITORS: usize = 3;

/// Computes for so many rounds.
fn rounds(count: u64) {
    (0..count).for_each(|round| {
        black_box(round);
    });
}

/// The speed of the machine.
#[derive(Clone, Copy)]
pub(super) struct Work {
    rounds_per_millisecond: u64,
}

impl Work {
    /// Measures how fast this machine is. The best of three trials was not interrupted.
    pub(super) fn measured() -> Work {
        let trial = |_| {
            let start = now();
            rounds(TRIAL);
            now() - start
        };
        let time = (0..3).map(trial).min().unwrap_or(1).max(1);
        Work { rounds_per_millisecond: TRIAL * 1_000_000 / time }
    }

    /// Works for about so many microseconds of processor time.
    pub(super) fn for_microseconds(&self, microseconds: u64) {
        rounds(self.rounds_per_millisecond * microseconds / 1000);
    }
}

const fn options(manner: Manner) -> MsgOption {
    if manner.contains(Manner::PLAIN) { MsgOption::SEND_NOIMPORTANCE } else { MsgOption::empty() }
}

/// A port for answers, and whom to ask.
struct Caller {
    who: u32,
    daemon: PortName,
    answers: Port,
}

impl Caller {
    /// Sends a request with a copy of a voucher and waits. Returns false if no answer will come.
    fn ask(&self, manner: Manner, voucher: PortName) -> bool {
        let request = Message::copy_send(self.daemon).id(REQUEST).voucher(voucher, Disposition::COPY_SEND);
        let request = request.reply_to(self.answers.name(), Disposition::MAKE_SEND_ONCE).words(&[manner.bits()]);
        talk::send(request, options(manner));
        let loud = !manner.contains(Manner::SILENT);
        if loud {
            Report::new(self.who, Event::Asked).voucher(voucher, 0, &[]).send();
        }
        let answer = Message::receive(self.answers.name()).expect("an answer or a notification comes");
        answer.message_id() != MACH_NOTIFY_SEND_ONCE
    }
}

/// An app: asks the daemon, or sends something to another app, when the narrator says so. It has one port for orders and
/// for what other apps send.
pub fn app(who: u32) {
    let orders = port_with_send();
    port::accept_donation(orders.name()).expect("the port is the app's");
    let account = voucher::create(voucher::host(), PAID_BY_SENDER.as_bytes()).expect("a task has an account");
    talk::hello(orders.name(), &[task::thread_self()]);
    let mut caller = Caller { who, daemon: MACH_PORT_NULL, answers: Port::new() };
    let mut kept = MACH_PORT_NULL;
    loop {
        let order = receive_with_voucher(orders.name());
        match order.message_id() {
            MEET => caller.daemon = order.descriptor(0).name,
            ASK => {
                let start = now();
                let answered = caller.ask(Manner::from_bits_retain(order.word(0)), account);
                let event = if answered { Event::GotAnswer } else { Event::NoAnswer };
                Report::new(who, event).since(start).send();
            }
            SHARE => {
                let other = order.descriptor(0).name;
                talk::send(Message::copy_send(other).id(REQUEST), MsgOption::empty());
                Report::new(who, Event::Asked).send();
            }
            REQUEST => {
                kept = order.header().msgh_voucher_port;
                report_with(who, Event::Received, kept, now());
            }
            FORGET => {
                report_with(who, Event::GivesUp, kept, now());
                port::destroy_right(kept, Disposition::PORT_SEND);
                Report::new(who, Event::GoesOn).send();
            }
            _ => {}
        }
    }
}

/// Receives a message with its voucher.
fn receive_with_voucher(name: PortName) -> Message {
    let mut message = Message::new();
    let options = MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
    let code = message.call(&Call { options, receive_name: name, ..Call::default() });
    assert_eq!(code, MACH_MSG_SUCCESS, "a message comes");
    message
}

/// How long a daemon works for a request, in microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Before it asks the next one.
    pub before: u64,
    /// Before it answers.
    pub after: u64,
    /// After its answer, if the request allows that.
    pub kept: u64,
}

/// The daemon in the middle.
pub const MIDDLE: Workload = Workload { before: 400, after: 600, kept: 1000 };
/// The helper behind it.
pub const HELPER: Workload = Workload { before: 0, after: 2000, kept: 0 };

/// A daemon: serves requests, and asks the next one for its part if there is a next one.
pub fn daemon(who: u32, workload: Workload) {
    let service = port_with_send();
    port::accept_donation(service.name()).expect("the port is the daemon's");
    let work = Work::measured();
    talk::hello(service.name(), &[task::thread_self()]);
    let mut next = Caller { who, daemon: MACH_PORT_NULL, answers: Port::new() };
    loop {
        let request = receive_with_voucher(service.name());
        match request.message_id() {
            MEET => next.daemon = request.descriptor(0).name,
            REQUEST => serve(who, &work, workload, (&service, &next), request),
            TIDY => {
                work.for_microseconds(request.word(0).into());
                Report::new(who, Event::Tidied).send();
            }
            _ => {}
        }
    }
}

/// Reports an event with what the kernel says about a voucher.
fn report_with(who: u32, event: Event, voucher: PortName, start: u64) {
    let mut recipe = [0; size_of::<RecipeHeader>() + TEXT_SIZE];
    let size = voucher::extract(voucher, MACH_VOUCHER_ATTR_KEY_IMPORTANCE, &mut recipe).unwrap_or(0);
    let text = recipe[..size].get(size_of::<RecipeHeader>()..).unwrap_or(&[]);
    let references = port::get_refs(voucher, MACH_PORT_RIGHT_SEND).unwrap_or(0);
    Report::new(who, event).since(start).voucher(voucher, references, text).send();
}

/// Waits until a message says that the daemon goes on. Others are lost.
fn hold(service: &Port) {
    while Message::receive(service.name()).expect("a message comes").message_id() != RELEASE {}
}

/// Serves a request that came on the port `service`.
fn serve(who: u32, work: &Work, workload: Workload, (service, next): (&Port, &Caller), mut request: Message) {
    let voucher = request.header().msgh_voucher_port;
    let manner = Manner::from_bits_retain(request.word(0));
    let loud = !manner.contains(Manner::SILENT);
    let report = |event, start| {
        if loud {
            report_with(who, event, voucher, start);
        }
    };
    report(Event::Received, now());
    // From here on this thread works on the account in the voucher.
    voucher::adopt(voucher).expect("a voucher that came can be adopted");
    work.for_microseconds(workload.before);
    if next.daemon != MACH_PORT_NULL {
        next.ask(manner, voucher);
        report(Event::GotPart, now());
    } else if manner.contains(Manner::HOLD) {
        hold(service);
    }
    let start = now();
    work.for_microseconds(workload.after);
    let mut answer = request.take_reply().expect("a client waits");
    // If the client is gone the kernel drops the answer.
    answer.send().expect("a send-once right can always be used");
    report(Event::Answered, start);
    let start = now();
    if manner.contains(Manner::KEEP) {
        work.for_microseconds(workload.kept);
    }
    // The thread's reference goes first, so that the name's is the last.
    voucher::adopt(MACH_PORT_NULL).expect("a thread need not have a voucher");
    report(Event::GivesUp, start);
    let start = now();
    port::deallocate(voucher).expect("the daemon has the voucher");
    if loud && workload.kept != 0 {
        Report::new(who, Event::GoesOn).since(start).send();
    }
}

/// The competitor: its threads compute for ever. The narrator suspends and resumes them.
pub fn competitor() {
    static GATE: Gate = Gate::new();
    let port = port_with_send();
    let compute = |_| {
        GATE.pass();
        loop {
            rounds(TRIAL);
        }
    };
    let threads = [0; COMPETITORS].map(|_| Thread::start(compute, 0).expect("there is room for a thread"));
    GATE.open();
    talk::hello(port.name(), &threads.map(|thread| thread.name()));
    // Nobody writes to this port.
    let _ = Message::receive(port.name());
}
