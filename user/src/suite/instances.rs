//! Instances of jobs that do what a test tells them, one order at a time. Each tells the test's *gate*, a registered port,
//! how the last order went, and gets the next one in the reply.

use crate::message::{Call, Message, is_empty, port_with_send};
use crate::names::{self, CheckedIn, Job};
use crate::port::{self, Port};
use crate::{check, policy, sys, task, time};
use abi::code::*;
use abi::message::{MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::mig::NDR;
use abi::mig::bootstrap::{CHECK_IN_SERVICE, NAME_SIZE};
use abi::policy::{PolicyState, TASK_POLICY_STATE};
use abi::port::Disposition as D;
use abi::port::MACH_PORT_NULL;
use abi::{KernReturn, PortName};
use zerocopy::FromBytes;

/// The name under which the gate is registered.
pub(super) const GATE: &str = "the gate";
/// The services that instances know, by number.
pub(super) const SERVICES: [&str; 2] = ["service 0", "service 1"];
/// The label of the job that an instance tries to declare.
const OTHER_LABEL: &str = "another job";

/// The message in which an instance tells that it is ready: pid, code and value of the last order.
const READY: i32 = 0x100;
/// The message with which an instance tells that it was asked to end.
pub(super) const ASKED_TO_END: i32 = 0x101;
/// The message that brings a receive right.
pub(super) const GIVEN_AWAY: i32 = 0x102;

/// Milliseconds that a test waits for an instance.
const PATIENCE: u32 = 15_000;

/// What an instance can be told. The argument is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Order {
    /// Checks in with the service of this number. The value is 1 if the control port came too.
    CheckIn = 1,
    /// Does the same by the classic request, without the control port.
    CheckInPlainly = 2,
    /// Sends the request of [`CheckIn`](Order::CheckIn) and exits without receiving the reply.
    CheckInAndVanish = 3,
    /// Receives a message for the service, with its voucher, and replies if it has a reply right. The value is its id.
    Take = 4,
    /// Destroys the receive right of the service.
    Drop = 5,
    /// Sends the receive right of the service to the gate.
    GiveAway = 6,
    /// Takes the control port.
    TakeControl = 7,
    /// Receives a message from the control port. The value is its id.
    Hear = 8,
    /// Waits until it is asked to end, tells the gate, and exits with status 0.
    EndWhenAsked = 9,
    /// Sleeps for ever.
    Sleep = 10,
    /// Declares a job.
    Declare = 11,
    /// Asks the job with the label of the service of this number to end.
    Terminate = 12,
    /// Exits with this status.
    Exit = 13,
    /// Causes an exception.
    Fault = 14,
}

impl Order {
    const ALL: [Order; 14] = [
        Order::CheckIn,
        Order::CheckInPlainly,
        Order::CheckInAndVanish,
        Order::Take,
        Order::Drop,
        Order::GiveAway,
        Order::TakeControl,
        Order::Hear,
        Order::EndWhenAsked,
        Order::Sleep,
        Order::Declare,
        Order::Terminate,
        Order::Exit,
        Order::Fault,
    ];
}

/// Returns a job whose instances are at the test's command, with these services.
pub(super) fn job(label: &str, services: &[usize]) -> Job {
    let job = Job::new(label, "tests").argument("child").argument("instance");
    services.iter().fold(job, |job, &number| job.service(SERVICES[number]))
}

/// The test's side: the port to which instances tell that they are ready.
pub(super) struct Gate(pub(super) Port);

impl Gate {
    /// Makes the gate and registers it.
    pub(super) fn new() -> Gate {
        let port = port_with_send();
        names::register(GATE, port.name()).expect("the name is free");
        Gate(port)
    }

    /// Waits for the next instance, or the next message of the same one.
    pub(super) fn next(&self) -> Instance {
        let hello = Message::receive_within(self.0.name(), PATIENCE).expect("an instance is ready");
        Instance::of(hello)
    }

    /// Returns true if nothing has come.
    pub(super) fn is_quiet(&self) -> bool {
        is_empty(self.0.name())
    }
}

/// An instance that waits for an order.
pub(super) struct Instance {
    pub(super) pid: u32,
    /// The result of the last order.
    pub(super) result: (KernReturn, u32),
    hello: Message,
}

impl Instance {
    pub(super) fn of(hello: Message) -> Instance {
        check::equal("the message of an instance", hello.message_id(), READY);
        let result = (KernReturn(hello.word(3) as i32), hello.word(4));
        Instance { pid: hello.word(2), result, hello }
    }

    /// Gives an order after which the instance does not come back.
    pub(super) fn give(self, order: Order, argument: u32) {
        Message::reply(&self.hello).bytes(&NDR).words(&[order as u32, argument]).send().expect("the instance waits");
    }

    /// Gives an order and waits for the same instance. No other one may come meanwhile.
    pub(super) fn order(&mut self, gate: &Gate, order: Order, argument: u32) -> (KernReturn, u32) {
        let reply = Message::reply(&self.hello).bytes(&NDR).words(&[order as u32, argument]).send();
        reply.expect("the instance waits");
        let next = gate.next();
        check::equal("the instance", next.pid, self.pid);
        *self = next;
        self.result
    }

    /// Gives an order that must succeed, and returns its value.
    pub(super) fn succeed(&mut self, gate: &Gate, order: Order, argument: u32) -> u32 {
        let (code, value) = self.order(gate, order, argument);
        check::equal("the code of an order", code, KERN_SUCCESS);
        value
    }

    /// Returns the boosts of the task, and those of them that its vouchers hold.
    pub(super) fn boosts(&self) -> (u32, u32) {
        const WORDS: u32 = (size_of::<PolicyState>() / 4) as u32;
        /// The NDR record, the code and the number of words.
        const BEFORE: usize = NDR.len() + 8;
        let task = task::for_pid(self.pid).expect("the instance is alive");
        let reply = policy::task_policy(task, TASK_POLICY_STATE, WORDS).expect("the caller is user 0");
        port::deallocate(task).expect("the name exists");
        let state = PolicyState::read_from_prefix(&reply.body()[BEFORE..]).expect("the reply is that long").0;
        (state.imp_assertcnt, state.imp_externcnt)
    }
}

/// Waits until no task has this pid, and until the name service has noticed it.
pub(super) fn wait_for_end(pid: u32, tasks: u64) {
    let deadline = time::now() + u64::from(PATIENCE) * time::MILLISECOND;
    while task::counts().tasks != tasks || task::for_pid(pid).is_ok() {
        check::that("the instance ends in time", time::now() < deadline);
        time::sleep(1);
    }
    // The exit message is sent with the end. The name service answers requests in turn with it, two of them at most before.
    for _ in 0..3 {
        let _ = names::look_up("a name that nobody has");
    }
}

/// What an instance has.
#[derive(Default)]
struct Held {
    service: Option<Port>,
    control: Option<Port>,
}

/// Is at a test's command: the child.
pub(super) fn instance() {
    let gate = names::look_up(GATE).expect("the test has a gate");
    let (mut held, mut result) = (Held::default(), Ok(0));
    loop {
        let (code, value) = result.map_or_else(|code: KernReturn| (code, 0), |value| (KERN_SUCCESS, value));
        let ready = Message::copy_send(gate).id(READY).bytes(&NDR);
        let order = ready.words(&[task::pid() as u32, code.0 as u32, value]).rpc().expect("the test answers");
        if order.message_id() == MACH_NOTIFY_SEND_ONCE {
            // The test has ended without another order.
            sys::exit(0);
        }
        let (number, argument) = (order.word(2), order.word(3));
        let order = Order::ALL.into_iter().find(|order| *order as u32 == number).expect("there is such an order");
        result = held.obey(gate, order, argument);
    }
}

impl Held {
    fn obey(&mut self, gate: PortName, order: Order, argument: u32) -> Result<u32, KernReturn> {
        let name = SERVICES[argument as usize % SERVICES.len()];
        match order {
            Order::CheckIn => {
                let CheckedIn { port, control } = names::check_in_service(name)?;
                let came = control.is_some();
                self.service = Some(port);
                self.control = control.or(self.control.take());
                return Ok(came.into());
            }
            Order::CheckInPlainly => self.service = Some(names::check_in(name)?),
            Order::CheckInAndVanish => check_in_and_vanish(name),
            Order::Take => return take(self.service.as_ref().map_or(MACH_PORT_NULL, Port::name)),
            Order::Drop => self.service = None,
            Order::GiveAway => {
                let name = self.service.take().ok_or(KERN_INVALID_RIGHT)?.into_name();
                Message::copy_send(gate).id(GIVEN_AWAY).port(name, D::MOVE_RECEIVE).send()?;
            }
            Order::TakeControl => self.control = Some(names::take_control()?),
            Order::Hear => {
                let control = self.control.as_ref().map_or(MACH_PORT_NULL, Port::name);
                return Ok(Message::receive_within(control, PATIENCE)?.message_id() as u32);
            }
            Order::EndWhenAsked => {
                let control = self.control.as_ref().map_or(MACH_PORT_NULL, Port::name);
                let request = Message::receive(control)?;
                check::that("it is a request to end", names::is_terminate_request(&request));
                Message::copy_send(gate).id(ASKED_TO_END).send()?;
                sys::exit(0);
            }
            Order::Sleep => time::sleep(1_000_000),
            Order::Declare => names::declare(&job(OTHER_LABEL, &[]))?,
            Order::Terminate => names::terminate_job(name)?,
            Order::Exit => sys::exit(argument as i32),
            Order::Fault => sys::machine::undefined(),
        }
        Ok(0)
    }
}

/// The reply with the receive right waits in a queue of this task when it ends.
fn check_in_and_vanish(name: &str) {
    let mut bytes = [0; NAME_SIZE];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let reply = Port::new();
    let request = Message::copy_send(task::bootstrap_port()).id(CHECK_IN_SERVICE).bytes(&NDR).bytes(&bytes);
    request.reply_to(reply.name(), D::MAKE_SEND_ONCE).send().expect("the name service receives");
    while port::status(reply.name()).is_ok_and(|status| status.mps_msgcount == 0) {
        time::sleep(1);
    }
    sys::exit(0);
}

/// Receives a message and replies to it. Its voucher stays.
fn take(service: PortName) -> Result<u32, KernReturn> {
    let mut message = Message::new();
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::RCV_VOUCHER;
    message.call(&Call { options, receive_name: service, ..Call::default() }).ok()?;
    if message.header().msgh_remote_port != MACH_PORT_NULL {
        Message::reply(&message).bytes(&NDR).words(&[0]).send()?;
    }
    Ok(message.message_id() as u32)
}
