//! Tasks that do what a test tells them, one order at a time, so that the test can look at all of them in between.

use super::tasks::child;
use crate::message::{CAPACITY, Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::{check, policy, sys, task};
use abi::message::{HeaderFlags, MsgOption};
use abi::mig::NDR;
use abi::policy::{PolicyState, TASK_POLICY_STATE, TASK_SUPPRESSION_POLICY};
use abi::port::Disposition as D;
use abi::port::MACH_PORT_NULL;
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use abi::trap::mach::MACH_MSG;
use abi::{KernReturn, PortName};
use zerocopy::{FromBytes, IntoBytes};

/// What a task has: its boosts, those of them that its vouchers hold, and the base priority of its thread.
pub(super) type State = (u32, u32, u32);

/// Sends a message to a right that comes with the order.
const SEND: i32 = 1;
/// Receives a message, without waiting.
const TAKE: i32 = 2;
/// Replies to a message.
const REPLY: i32 = 3;
/// Gives a reference to a name up.
const DROP: i32 = 4;

/// What a puppet sends, besides the destination. The names are its own.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, zerocopy::Immutable)]
#[repr(C)]
pub(super) struct Parcel {
    pub(super) voucher: PortName,
    /// How the voucher is sent; 0 for none.
    pub(super) disposition: u32,
    pub(super) options: u32,
    /// The message's QoS, for `MACH_SEND_OVERRIDE`.
    pub(super) priority: u32,
    /// 1 if the puppet wants a reply.
    pub(super) reply: u32,
}

/// What a puppet has sent or received. The names are its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, zerocopy::Immutable)]
#[repr(C)]
pub(super) struct Parcelled {
    pub(super) code: i32,
    pub(super) voucher: PortName,
    /// The disposition of the voucher.
    pub(super) disposition: u32,
    /// 1 if the header says that importance came with the message.
    pub(super) raised: u32,
    /// The right to reply.
    pub(super) reply: PortName,
    /// The result in `rdx`: the class that the message was sent with, and that of the most urgent one behind it.
    pub(super) sent_class: u32,
    pub(super) queue_class: u32,
}

/// A task that does what the test tells it.
pub(super) struct Puppet {
    task: PortName,
    thread: PortName,
    exit: Port,
    /// Its port for orders, which accepts no donation.
    orders: PortName,
    /// Its port for messages with importance.
    pub(super) service: PortName,
}

impl Puppet {
    pub(super) fn start(app_type: AppType, role: Role) -> Puppet {
        let (hello, exit) = (port_with_send(), Port::new());
        let spawn = child("obey").policy(app_type, role, Qos::Unspecified).bootstrap(hello.name());
        let task = spawn.exit_port(exit.name()).start().expect("the child starts");
        let message = Message::receive(hello.name()).expect("the child says hello");
        let [orders, service, thread] = [0, 1, 2].map(|number| message.descriptor(number).name);
        Puppet { task, thread, exit, orders, service }
    }

    /// Starts an application in the foreground.
    pub(super) fn app() -> Puppet {
        Puppet::start(AppType::AppDefault, Role::Foreground)
    }

    /// Starts an adaptive daemon.
    pub(super) fn daemon() -> Puppet {
        Puppet::start(AppType::DaemonAdaptive, Role::Unspecified)
    }

    fn order(&self, order: Message) -> Message {
        order.rpc().expect("the puppet obeys")
    }

    fn parcelled(&self, order: Message) -> Parcelled {
        let reply = self.order(order);
        Parcelled::read_from_prefix(&reply.body()[NDR.len()..]).expect("the puppet tells everything").0
    }

    /// Lets the puppet send to another one. Returns what is in its buffer afterwards.
    pub(super) fn try_send(&self, to: &Puppet, parcel: Parcel) -> Parcelled {
        self.try_send_to_right(to.service, parcel)
    }

    fn try_send_to_right(&self, right: PortName, parcel: Parcel) -> Parcelled {
        let order = Message::copy_send(self.orders).id(SEND).port(right, D::COPY_SEND);
        self.parcelled(order.bytes(&NDR).bytes(parcel.as_bytes()))
    }

    /// Lets the puppet send to any port, by a send right of the test.
    pub(super) fn send_to_right(&self, right: PortName, parcel: Parcel) {
        check::equal("the code of the send", self.try_send_to_right(right, parcel).code, 0);
    }

    pub(super) fn send(&self, to: &Puppet, parcel: Parcel) {
        check::equal("the code of the send", self.try_send(to, parcel).code, 0);
    }

    /// Lets the puppet send with a copy of a voucher.
    pub(super) fn forward(&self, to: &Puppet, voucher: PortName) {
        self.send(to, Parcel { voucher, disposition: u32::from(D::COPY_SEND.0), ..Parcel::default() });
    }

    fn take_from(&self, replies: u32, options: MsgOption) -> Parcelled {
        let order = Message::copy_send(self.orders).id(TAKE).bytes(&NDR).words(&[replies, options.bits()]);
        let taken = self.parcelled(order);
        check::equal("the code of the receive", taken.code, 0);
        taken
    }

    /// Lets the puppet receive a message with its voucher.
    pub(super) fn take(&self) -> Parcelled {
        self.take_from(0, MsgOption::RCV_VOUCHER)
    }

    /// Lets the puppet receive a message without its voucher.
    pub(super) fn take_plain(&self) -> Parcelled {
        self.take_from(0, MsgOption::empty())
    }

    /// Lets the puppet receive a reply without its voucher.
    pub(super) fn take_reply(&self) -> Parcelled {
        self.take_from(1, MsgOption::empty())
    }

    /// Lets the puppet reply, with a voucher that it moves.
    pub(super) fn reply(&self, to: PortName, voucher: PortName) {
        let order = Message::copy_send(self.orders).id(REPLY).bytes(&NDR).words(&[to.0, voucher.0]);
        check::equal("the code of the reply", self.parcelled(order).code, 0);
    }

    /// Lets the puppet give up a reference to a name.
    pub(super) fn drop_name(&self, name: PortName) {
        let order = Message::copy_send(self.orders).id(DROP).bytes(&NDR).words(&[name.0]);
        check::equal("giving up a name", self.parcelled(order).code, 0);
    }

    pub(super) fn state(&self) -> State {
        let state = self.policy();
        let base = task::thread_info(self.thread).expect("the puppet is alive").base_priority;
        (state.imp_assertcnt, state.imp_externcnt, base)
    }

    pub(super) fn transitions(&self) -> u64 {
        self.policy().imp_transitions
    }

    fn policy(&self) -> PolicyState {
        const WORDS: u32 = (size_of::<PolicyState>() / 4) as u32;
        /// The NDR record, the code and the number of words.
        const BEFORE: usize = NDR.len() + 8;
        let reply = policy::task_policy(self.task, TASK_POLICY_STATE, WORDS).expect("the caller is user 0");
        PolicyState::read_from_prefix(&reply.body()[BEFORE..]).expect("the reply is that long").0
    }

    /// Puts the application into App Nap, or takes it out.
    pub(super) fn set_nap(&self, naps: bool) {
        let mut nap = [0; 16];
        (nap[0], nap[1]) = (naps.into(), naps.into());
        check::equal("the nap", policy::set_task_policy(self.task, TASK_SUPPRESSION_POLICY, &nap), Ok(()));
    }

    /// Ends the puppet.
    pub(super) fn end(self) {
        task::terminate(self.task).expect("the puppet is alive");
        check::equal("the exit status", task::wait_for_exit(self.exit.name()), Ok(ExitStatus::TERMINATED));
        for name in [self.task, self.thread, self.orders, self.service] {
            port::deallocate(name).expect("the name exists");
        }
    }
}

/// Says hello to the test and obeys: the child.
pub(super) fn obey() {
    let (orders, service, replies) = (port_with_send(), port_with_send(), Port::new());
    port::accept_donation(service.name()).expect("the port is the puppet's");
    let mut hello = Message::copy_send(task::bootstrap_port());
    for name in [orders.name(), service.name(), task::thread_self()] {
        hello = hello.port(name, D::COPY_SEND);
    }
    hello.send().expect("the test waits");
    loop {
        let order = Message::receive(orders.name()).expect("the port is the puppet's");
        let done = match order.message_id() {
            SEND => send(&order, &replies),
            TAKE if order.word(2) == 1 => take(replies.name(), order.word(3)),
            TAKE => take(service.name(), order.word(3)),
            REPLY => reply(PortName(order.word(2)), PortName(order.word(3))),
            DROP => done(port::deallocate(PortName(order.word(2))), &Message::new()),
            other => panic!("there is no order {other}"),
        };
        Message::reply(&order).bytes(&NDR).bytes(done.as_bytes()).send().expect("the test waits");
    }
}

/// Returns what a message in a buffer tells.
fn done(result: Result<(), KernReturn>, message: &Message) -> Parcelled {
    let header = message.header();
    Parcelled {
        code: result.map_or_else(|code| code.0, |()| 0),
        voucher: header.msgh_voucher_port,
        disposition: u32::from(header.voucher().0),
        raised: header.flags().contains(HeaderFlags::RAISEIMP).into(),
        reply: header.msgh_remote_port,
        sent_class: 0,
        queue_class: 0,
    }
}

fn send(order: &Message, replies: &Port) -> Parcelled {
    let to = order.descriptor(0).name;
    let parcel = Parcel::read_from_prefix(&order.body()[NDR.len()..]).expect("the order is complete").0;
    let mut message = Message::copy_send(to).voucher(parcel.voucher, D(parcel.disposition as u8));
    if parcel.reply == 1 {
        message = message.reply_to(replies.name(), D::MAKE_SEND_ONCE);
    }
    let options = MsgOption::SEND_MSG | MsgOption::SEND_TIMEOUT | MsgOption::from_bits_retain(parcel.options);
    let code = message.call(&Call { options, priority: parcel.priority, ..Call::default() });
    port::deallocate(to).expect("the order brought the right");
    done(code.ok(), &message)
}

/// Receives with both results of the trap.
fn take(name: PortName, options: u32) -> Parcelled {
    let mut message = Message::new();
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::from_bits_retain(options);
    let at = message.buffer().as_mut_ptr() as u64;
    let arguments = [at, options.bits().into(), 0, CAPACITY as u64, name.0.into(), 0];
    let [code, qos] = sys::trap_for_two(MACH_MSG, arguments, [0; 2]);
    let done = done(KernReturn(code as i32).ok(), &message);
    Parcelled { sent_class: (qos >> 32) as u32, queue_class: qos as u32, ..done }
}

fn reply(to: PortName, voucher: PortName) -> Parcelled {
    let mut message = Message::to(to, D::MOVE_SEND_ONCE);
    if voucher != MACH_PORT_NULL {
        message = message.voucher(voucher, D::MOVE_SEND);
    }
    done(message.send(), &message)
}
