//! Very many messages with vouchers, of all kinds and with all ends (vouchers 7, importance 4 to 6).
//!
//! The test sends some thousands, the program `soak` as many as one likes.

use super::tasks::child;
use super::tests;
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::voucher::{self, Recipe};
use crate::{check, policy, task};
use abi::PortName;
use abi::code::*;
use abi::debug::Counts;
use abi::message::MsgOption;
use abi::port::*;
use abi::port::{Disposition as D, MACH_PORT_QLIMIT_DEFAULT};
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use abi::voucher::*;
use zerocopy::IntoBytes;

tests! { "soak":
    many_messages_with_vouchers_leave_every_count_as_it_was,
}

/// Messages of the test. The program sends a million.
const MESSAGES: u64 = 20_000;
/// Messages before the first look at the counts: tables of the kernel grow, and stay as large as they have been.
const WARM_UP: u64 = 2_000;

/// What there is: the counts of all objects and the free bytes of the kernel's heap.
pub type Stock = (Counts, u64);

const STORED: Recipe<4> = Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, *b"soak");
const CURRENT_TASK: Recipe<0> =
    Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, MACH_PORT_NULL, []);
const OWN_IMPORTANCE: Recipe<0> =
    Recipe::new(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, []);

/// The donor that sends, and the daemon that receives from it.
struct Soak {
    host: PortName,
    /// The donor's port with room, a full one, and the daemon's.
    own: Port,
    full: Port,
    daemon: PortName,
    /// A voucher with content alone, and one with everything that is treated on the way.
    plain: PortName,
    rich: PortName,
    /// Messages so far.
    sent: u64,
}

impl Soak {
    /// Sends a message that must end like this.
    #[track_caller]
    fn send(&mut self, message: &mut Message, result: Result<(), abi::KernReturn>) {
        self.sent += 1;
        check::equal("the code of a send", message.send_within(0), result);
    }

    /// Makes a voucher that nobody else has.
    fn fresh(&self) -> PortName {
        let recipe = Recipe::store(MACH_VOUCHER_ATTR_KEY_TEST, self.sent.to_le_bytes());
        voucher::create(self.host, recipe.as_bytes()).expect("a voucher is made")
    }

    /// Sends one message of each kind.
    fn round(&mut self) {
        let (own, full) = (self.own.name(), self.full.name());
        let to_own = |name, disposition| Message::copy_send(own).voucher(name, disposition);
        self.send(&mut to_own(self.plain, D::COPY_SEND), Ok(()));
        take(own, MsgOption::RCV_VOUCHER);
        self.send(&mut to_own(self.plain, D::COPY_SEND), Ok(()));
        take(own, MsgOption::empty());
        let fresh = self.fresh();
        self.send(&mut to_own(fresh, D::MOVE_SEND), Ok(()));
        take(own, MsgOption::RCV_VOUCHER);
        // Refused: another port, a wrong disposition.
        self.send(&mut to_own(own, D::COPY_SEND), Err(MACH_SEND_INVALID_VOUCHER));
        self.send(&mut to_own(self.plain, D::MAKE_SEND), Err(MACH_SEND_INVALID_VOUCHER));
        // Timed out: the rights come back, the voucher perhaps under another name.
        let mut message = Message::copy_send(full).voucher(self.rich, D::COPY_SEND);
        self.send(&mut message, Err(MACH_SEND_TIMED_OUT));
        port::deallocate(full).expect("the right came back as another one");
        let fresh = self.fresh();
        let mut message = Message::copy_send(full).voucher(fresh, D::MOVE_SEND);
        self.send(&mut message, Err(MACH_SEND_TIMED_OUT));
        message.destroy();
        self.die_in_a_queue();
        self.send_to_daemon();
    }

    /// Destroys a port in whose queue messages with vouchers wait.
    fn die_in_a_queue(&mut self) {
        let port = port_with_send();
        let name = port.name();
        let fresh = self.fresh();
        self.send(&mut Message::copy_send(name).port(fresh, D::MOVE_SEND).voucher(self.rich, D::COPY_SEND), Ok(()));
        let fresh = self.fresh();
        self.send(&mut Message::copy_send(name).voucher(fresh, D::MOVE_SEND), Ok(()));
        drop(port);
        port::deallocate(name).expect("it is a dead name");
    }

    /// Sends the daemon messages with and without importance and vouchers, and waits until it has them all.
    fn send_to_daemon(&mut self) {
        let to = self.daemon;
        self.send(&mut Message::copy_send(to), Ok(()));
        self.send(&mut Message::copy_send(to), Ok(()));
        self.send(&mut Message::copy_send(to).voucher(self.plain, D::COPY_SEND), Ok(()));
        self.send(&mut Message::copy_send(to).voucher(self.rich, D::COPY_SEND), Ok(()));
        self.sent += 1;
        let last = Message::copy_send(to).voucher(self.rich, D::COPY_SEND);
        last.rpc().expect("the daemon answers when it has given everything up");
    }
}

/// Receives a message and gives up what it brought.
fn take(name: PortName, options: MsgOption) {
    let mut message = Message::new();
    let options = options | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let code = message.call(&Call { options, receive_name: name, ..Call::default() });
    check::equal("a message waits", code, MACH_MSG_SUCCESS);
    message.destroy();
}

/// Receives messages, every other one without its voucher, and gives up what they brought: the daemon.
pub(super) fn receive_always() {
    let service = port_with_send();
    port::accept_donation(service.name()).expect("the port is the daemon's");
    let hello = task::bootstrap_port();
    Message::copy_send(hello).port(service.name(), D::COPY_SEND).send().expect("the donor waits");
    for with_voucher in [true, false].into_iter().cycle() {
        let mut message = Message::new();
        let options = if with_voucher { MsgOption::RCV_VOUCHER } else { MsgOption::empty() };
        let call = Call { options: options | MsgOption::RCV_MSG, receive_name: service.name(), ..Call::default() };
        check::equal("receiving", message.call(&call), MACH_MSG_SUCCESS);
        let answer = message.take_reply();
        message.destroy();
        answer.into_iter().for_each(Message::send_or_destroy);
    }
}

fn stock() -> Stock {
    (task::counts(), task::free_heap())
}

/// Sends at least so many messages, and returns how many, and what there was before and afterwards.
pub fn send_messages(count: u64) -> (u64, Stock, Stock) {
    check::equal("becoming a donor", policy::mark_donor(), Ok(()));
    let (hello, exit) = (port_with_send(), Port::new());
    let spawn = child("receive-always").policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    let task = spawn.bootstrap(hello.name()).exit_port(exit.name()).start().expect("the child starts");
    let daemon = Message::receive(hello.name()).expect("the child says hello").descriptor(0).name;
    let full = port_with_send();
    (0..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| Message::copy_send(full.name()).send().expect("there is room"));
    let host = voucher::host();
    let mut recipes = heapless::Vec::<u8, 64>::new();
    for recipe in [STORED.as_bytes(), CURRENT_TASK.as_bytes(), OWN_IMPORTANCE.as_bytes()] {
        recipes.extend_from_slice(recipe).expect("the recipes fit");
    }
    let make = |recipes: &[u8]| voucher::create(host, recipes).expect("a voucher is made");
    let (plain, rich) = (make(STORED.as_bytes()), make(&recipes));
    let mut soak = Soak { host, own: port_with_send(), full, daemon, plain, rich, sent: 0 };
    while soak.sent < WARM_UP {
        soak.round();
    }
    soak.sent = 0;
    let before = stock();
    while soak.sent < count {
        soak.round();
    }
    let after = stock();
    task::terminate(task).expect("the daemon waits");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    for name in [task, daemon, plain, rich] {
        port::deallocate(name).expect("the name exists");
    }
    (soak.sent, before, after)
}

fn many_messages_with_vouchers_leave_every_count_as_it_was() {
    let (_, before, after) = send_messages(MESSAGES);
    check::equal("counts and free bytes of the heap", after, before);
}
