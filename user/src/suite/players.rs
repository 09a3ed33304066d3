//! Tasks that use the library `dispatch` and do what a test tells them, one order at a time.
//!
//! A player keeps voucher objects in numbered places.

use super::tasks::child;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::thread::{Gate, JoinHandle, spawn};
use crate::{check, policy, task};
use abi::message::{Header, MsgOption};
use abi::mig::NDR;
use abi::policy::{PolicyState, TASK_POLICY_STATE};
use abi::port::Disposition as D;
use abi::port::MACH_PORT_NULL;
use abi::qos::{AppType, Qos, Role};
use abi::task::{ExitStatus, Properties};
use abi::voucher::{BANK_PERSONA_ID, MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_KEY_IMPORTANCE};
use abi::{KernReturn, PortName};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use dispatch::activity::{ActivityMode, Identity, Parent, create_voucher};
use dispatch::persona;
use dispatch::process::process;
use dispatch::queue::Queue;
use dispatch::semaphore::Semaphore;
use dispatch::timer_source::TimerSource;
use dispatch::voucher::{self, Voucher};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What a player does. The words of an order are an [`Order`]; ports come as descriptors.
pub(super) mod order {
    /// Sends an empty message, to the right that comes with the order, with the voucher of the thread. `value` is the
    /// options.
    pub(in super::super) const SEND: i32 = 1;
    /// Receives a message that is there and keeps its voucher.
    pub(in super::super) const TAKE: i32 = 2;
    /// Adopts a voucher.
    pub(in super::super) const ADOPT: i32 = 3;
    /// Gives the voucher of the thread up.
    pub(in super::super) const CLEAR: i32 = 4;
    /// Gives a voucher up that it keeps.
    pub(in super::super) const DROP: i32 = 5;
    /// Keeps the voucher of the thread without its importance.
    pub(in super::super) const KEEP_WITHOUT_IMPORTANCE: i32 = 6;
    /// Keeps a new activity of the thread's voucher.
    pub(in super::super) const CREATE_ACTIVITY: i32 = 7;
    /// Keeps a new activity without a parent.
    pub(in super::super) const CREATE_TOP_ACTIVITY: i32 = 8;
    /// Makes the thread's voucher the source of the default one.
    pub(in super::super) const REPLACE_DEFAULT: i32 = 9;
    /// Ends one boost of a voucher.
    pub(in super::super) const DECREMENT: i32 = 10;
    /// Says whether two vouchers are the same object: `code` is 1 or 0.
    pub(in super::super) const COMPARE: i32 = 11;
    /// Moves a voucher to a thread of its own.
    pub(in super::super) const HOLD: i32 = 12;
    /// Ends that thread.
    pub(in super::super) const LET_GO: i32 = 13;
    /// Reports from a block that the thread submits.
    pub(in super::super) const IN_BLOCK: i32 = 14;
    /// Reports from the handler of a timer.
    pub(in super::super) const IN_TIMER: i32 = 15;
    /// Sends a voucher that proves who it is.
    pub(in super::super) const PROVE: i32 = 16;
    /// Sends a voucher with the persona `other` for the process with the unique number `value`, whose proof comes with
    /// the order.
    pub(in super::super) const ISSUE: i32 = 17;
    /// Keeps the thread's voucher with the persona of the voucher of the order.
    pub(in super::super) const KEEP_WITH_PERSONA: i32 = 18;
    /// Says whether the voucher that goes with messages of threads without one has importance.
    pub(in super::super) const DEFAULT_HAS_IMPORTANCE: i32 = 19;
    /// Replies to the message that was received last.
    pub(in super::super) const REPLY: i32 = 21;
    /// Answers `value` requests.
    pub(in super::super) const SERVE: i32 = 20;
}

/// The words of an order.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Order {
    /// The place of a voucher.
    pub(super) place: u32,
    /// The place of another one, or a persona.
    pub(super) other: u32,
    pub(super) value: u64,
}

/// What a player sees after an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(super) struct Report {
    /// The code of the call.
    pub(super) code: i32,
    /// 1 if the voucher of the order has importance.
    pub(super) importance: u32,
    /// The activity of the thread, who created it, and its parent.
    pub(super) activity: u64,
    pub(super) creator: u64,
    pub(super) parent: u64,
    /// The processes that the thread's voucher names, 0 if none.
    pub(super) originator: u64,
    pub(super) proximate: u64,
    /// The persona of the thread as the kernel sees it, and as the library does.
    pub(super) kernel_persona: u32,
    pub(super) persona: u32,
    /// The number of voucher objects.
    pub(super) objects: u32,
    /// 1 if the thread has a voucher in the kernel.
    pub(super) adopted: u32,
}

/// A task that does what the test tells it.
pub(super) struct Player {
    task: PortName,
    exit: Port,
    orders: PortName,
    /// Its port for messages with importance.
    pub(super) service: PortName,
    /// The number that no other task has.
    pub(super) unique_pid: u64,
}

impl Player {
    pub(super) fn start(app_type: AppType, role: Role, persona: u32, properties: Properties) -> Player {
        let mut spawn = child("play").policy(app_type, role, Qos::Unspecified);
        let (hello, exit) = (port_with_send(), Port::new());
        (spawn.args.persona, spawn.args.properties) = (persona, properties.bits());
        let task = spawn.bootstrap(hello.name()).exit_port(exit.name()).start().expect("the child starts");
        let message = Message::receive(hello.name()).expect("the child says hello");
        let [orders, service] = [0, 1].map(|number| message.descriptor(number).name);
        let unique_pid = u64::read_from_prefix(message.body()).expect("the child tells its number").0;
        Player { task, exit, orders, service, unique_pid }
    }

    /// Starts an application in the foreground.
    pub(super) fn app() -> Player {
        Player::start(AppType::AppDefault, Role::Foreground, 0, Properties::empty())
    }

    /// Starts a daemon.
    pub(super) fn daemon(app_type: AppType) -> Player {
        Player::start(app_type, Role::Unspecified, 0, Properties::PLATFORM)
    }

    fn ask(&self, id: i32, order: Order, with: Option<PortName>) -> Message {
        let mut message = Message::copy_send(self.orders).id(id);
        if let Some(name) = with {
            message = message.port(name, D::COPY_SEND);
        }
        message.bytes(&NDR).bytes(order.as_bytes()).rpc().expect("the player obeys")
    }

    fn report(&self, id: i32, order: Order, with: Option<PortName>) -> Report {
        let reply = self.ask(id, order, with);
        Report::read_from_prefix(&reply.body()[NDR.len()..]).expect("the player reports").0
    }

    /// Gives an order and returns the report.
    pub(super) fn obey(&self, id: i32, order: Order) -> Report {
        self.report(id, order, None)
    }

    /// Gives an order about the voucher in a place.
    pub(super) fn with(&self, id: i32, place: u32) -> Report {
        self.obey(id, Order { place, ..Order::default() })
    }

    /// Gives an order that needs nothing.
    pub(super) fn then(&self, id: i32) -> Report {
        self.obey(id, Order::default())
    }

    /// Lets the player send to another one.
    pub(super) fn send(&self, to: &Player, options: MsgOption) -> Report {
        let order = Order { value: options.bits().into(), ..Order::default() };
        let report = self.report(order::SEND, order, Some(to.service));
        check::equal("the code of the send", report.code, 0);
        report
    }

    /// Lets the player send to a port.
    pub(super) fn send_to_port(&self, to: PortName) {
        check::equal("the code of the send", self.report(order::SEND, Order::default(), Some(to)).code, 0);
    }

    /// Lets the player receive, and keep the voucher in a place.
    pub(super) fn take(&self, place: u32) -> Report {
        let report = self.with(order::TAKE, place);
        check::equal("the code of the receive", report.code, 0);
        report
    }

    /// Lets the player receive, and adopt the voucher.
    pub(super) fn take_and_adopt(&self, place: u32) -> Report {
        self.take(place);
        self.with(order::ADOPT, place)
    }

    /// Gives an order with a voucher. Returns the report.
    pub(super) fn give(&self, id: i32, order: Order, voucher: PortName) -> Report {
        self.report(id, order, Some(voucher))
    }

    /// Gives an order, perhaps with a voucher, and returns the voucher that comes back and the code.
    pub(super) fn exchange(&self, id: i32, order: Order, voucher: Option<PortName>) -> (PortName, i32) {
        let reply = self.ask(id, order, voucher);
        let report = Report::read_from_prefix(&reply.body()[NDR.len()..]).expect("the player reports").0;
        (reply.descriptor(0).name, report.code)
    }

    /// Lets the player answer this many requests, and does not wait for it.
    pub(super) fn serve_in_background(&self, requests: u64) -> JoinHandle<()> {
        let orders = self.orders;
        let give = move || {
            let order = Order { value: requests, ..Order::default() };
            let message = Message::copy_send(orders).id(order::SERVE).bytes(&NDR).bytes(order.as_bytes());
            message.rpc().expect("the player obeys");
        };
        spawn(give).expect("the thread starts")
    }

    /// Returns true if the task is boosted.
    pub(super) fn is_boosted(&self) -> bool {
        const WORDS: u32 = (size_of::<PolicyState>() / 4) as u32;
        /// The NDR record, the code and the number of words.
        const BEFORE: usize = NDR.len() + 8;
        let reply = policy::task_policy(self.task, TASK_POLICY_STATE, WORDS).expect("the caller is user 0");
        let state = PolicyState::read_from_prefix(&reply.body()[BEFORE..]).expect("the reply is that long").0;
        state.imp_assertcnt > 0
    }

    /// Ends the player.
    pub(super) fn end(self) {
        task::terminate(self.task).expect("the player is alive");
        check::equal("the exit status", task::wait_for_exit(self.exit.name()), Ok(ExitStatus::TERMINATED));
        for name in [self.task, self.orders, self.service] {
            port::deallocate(name).expect("the name exists");
        }
    }
}

/// What the child keeps.
struct Hand {
    service: Port,
    /// The right to reply to the message that was received last.
    reply: PortName,
    places: Vec<Option<Arc<Voucher>>>,
    holder: Option<JoinHandle<()>>,
    /// A voucher that the answer takes along.
    answer: Option<voucher::OwnedSend>,
}

/// The number of places.
const PLACES: usize = 8;
/// Opens when the holder is to give its voucher up, and when it has taken it.
static RELEASE: Gate = Gate::new();
static HELD: Gate = Gate::new();

/// Says hello to the test and obeys: the child.
pub(super) fn play() {
    let (orders, service) = (port_with_send(), port_with_send());
    port::accept_donation(service.name()).expect("the port is the player's");
    port::set_queue_limit(service.name(), 64).expect("the port is the player's");
    let mut hello = Message::copy_send(task::bootstrap_port());
    for name in [orders.name(), service.name()] {
        hello = hello.port(name, D::COPY_SEND);
    }
    let unique_pid = process().kernel.unique_pid();
    hello.bytes(unique_pid.as_bytes()).send().expect("the test waits");
    let mut hand =
        Hand { service, reply: MACH_PORT_NULL, places: alloc::vec![None; PLACES], holder: None, answer: None };
    loop {
        let message = Message::receive(orders.name()).expect("the port is the player's");
        let order = Order::read_from_prefix(&message.body()[NDR.len()..]).expect("the order is complete").0;
        let report = hand.obey(&message, order);
        let mut reply = Message::reply(&message);
        if let Some(voucher) = &hand.answer {
            reply = reply.port(voucher.name(), D::COPY_SEND);
        } else if [order::PROVE, order::ISSUE].contains(&message.message_id()) {
            reply = reply.port(MACH_PORT_NULL, D::COPY_SEND);
        }
        reply.bytes(&NDR).bytes(report.as_bytes()).send().expect("the test waits");
        hand.answer = None;
    }
}

impl Hand {
    fn obey(&mut self, message: &Message, order: Order) -> Report {
        let place = order.place as usize;
        let code = match message.message_id() {
            order::IN_BLOCK => return in_block(),
            order::IN_TIMER => return in_timer(),
            order::SEND => send(message.descriptor(0).name, order.value as u32),
            order::TAKE => self.take(place),
            order::REPLY => reply(self.reply),
            order::SERVE => self.serve(order.value),
            order::COMPARE => {
                let [one, other] = [place, order.other as usize].map(|place| self.places[place].as_ref());
                one.zip(other).is_some_and(|(one, other)| Arc::ptr_eq(one, other)).into()
            }
            order::PROVE | order::ISSUE | order::KEEP_WITH_PERSONA => self.work_on_persona(message, order),
            order::DEFAULT_HAS_IMPORTANCE => default_has_importance().into(),
            id => self.change_voucher(id, place),
        };
        let importance = self.places[place].as_ref().is_some_and(|voucher| voucher.has_importance());
        Report { code, importance: importance.into(), ..Report::of_thread() }
    }

    fn change_voucher(&mut self, id: i32, place: usize) -> i32 {
        match id {
            order::ADOPT => voucher::replace(self.places[place].clone()),
            order::CLEAR => voucher::replace(None),
            order::DROP => self.places[place] = None,
            order::KEEP_WITHOUT_IMPORTANCE => self.places[place] = voucher::copy_without_importance(),
            order::CREATE_ACTIVITY => {
                self.places[place] = Some(create_voucher(Parent::Current, ActivityMode::empty(), b""));
            }
            order::CREATE_TOP_ACTIVITY => {
                self.places[place] = Some(create_voucher(Parent::None, ActivityMode::empty(), b""));
            }
            order::REPLACE_DEFAULT => voucher::replace_default(),
            order::DECREMENT => {
                voucher::decrement_importance_count(self.places[place].as_ref().expect("there is one"));
            }
            order::HOLD => {
                let held = self.places[place].take();
                RELEASE.close();
                HELD.close();
                let hold = move || {
                    voucher::replace(held);
                    HELD.open();
                    RELEASE.pass();
                };
                self.holder = Some(spawn(hold).expect("the thread starts"));
                HELD.pass();
            }
            order::LET_GO => {
                RELEASE.open();
                self.holder.take().expect("there is one").join();
            }
            other => panic!("there is no order {other}"),
        }
        0
    }

    fn take(&mut self, place: usize) -> i32 {
        let mut buffer = [0; 256];
        let options = MsgOption::RCV_VOUCHER | MsgOption::RCV_TIMEOUT;
        let received = process().kernel.receive(self.service.name(), &mut buffer, options, 0, MACH_PORT_NULL);
        if received.code.is_success() {
            self.places[place] = voucher::from_message(&mut buffer);
            self.reply = Header::read_from_prefix(&buffer).expect("it has a header").0.msgh_remote_port;
        }
        received.code.0
    }

    fn work_on_persona(&mut self, message: &Message, order: Order) -> i32 {
        let made = match message.message_id() {
            order::PROVE => persona::of_self(),
            order::ISSUE => {
                let given = message.descriptor(0).name;
                let made = persona::for_originator(order.other, given, order.value);
                port::deallocate(given).expect("the order brought the right");
                made
            }
            _ => {
                let given = message.descriptor(0).name;
                let made = voucher::with_persona(given);
                port::deallocate(given).expect("the order brought the right");
                return match made {
                    Ok(voucher) => {
                        self.places[order.place as usize] = voucher;
                        0
                    }
                    Err(refused) => refused.0.0,
                };
            }
        };
        match made {
            Ok(voucher) => {
                self.answer = Some(voucher);
                0
            }
            Err(KernReturn(code)) => code,
        }
    }

    /// Answers requests, each in the context of its message, under an activity of its own.
    fn serve(&mut self, requests: u64) -> i32 {
        let kernel = process().kernel;
        let mut buffer = [0; 256];
        for _ in 0..requests {
            let received = kernel.receive(self.service.name(), &mut buffer, MsgOption::RCV_VOUCHER, 0, MACH_PORT_NULL);
            assert!(received.code.is_success());
            voucher::replace(voucher::from_message(&mut buffer));
            let activity = create_voucher(Parent::Current, ActivityMode::empty(), b"");
            voucher::replace(Some(activity));
            let header = Header::read_from_prefix(&buffer).expect("there is room").0;
            assert_eq!(reply(header.msgh_remote_port), 0);
        }
        voucher::replace(None);
        0
    }
}

impl Report {
    /// Returns what the calling thread sees.
    fn of_thread() -> Report {
        let Identity { activity, creator, parent } = dispatch::activity::current();
        let unique = |info: Option<abi::voucher::ProcPersonaInfo>| info.map_or(0, |info| info.unique_pid);
        Report {
            activity: activity.0,
            creator,
            parent: parent.0,
            originator: unique(persona::originator()),
            proximate: unique(persona::proximate()),
            kernel_persona: persona::kernel_current(),
            persona: persona::current(),
            objects: process().debug_counts().vouchers as u32,
            adopted: voucher::copy().is_some_and(|voucher| voucher.kernel_name() != MACH_PORT_NULL).into(),
            ..Report::default()
        }
    }
}

fn send(to: PortName, options: u32) -> i32 {
    send_by(to, D::MOVE_SEND, MsgOption::from_bits_retain(options))
}

fn reply(to: PortName) -> i32 {
    send_by(to, D::MOVE_SEND_ONCE, MsgOption::empty())
}

/// Sends an empty message with the thread's voucher, by a right that moves.
fn send_by(to: PortName, disposition: D, options: MsgOption) -> i32 {
    let header = Header { msgh_bits: disposition.0.into(), msgh_remote_port: to, ..Header::default() };
    let mut message = header.as_bytes().to_vec();
    let attachment = voucher::mach_msg_set(&mut message);
    let code = process().kernel.send(&mut message, options, 0, 0);
    voucher::mach_msg_clear(&mut message, attachment);
    code.0
}

/// Runs a function on a queue, by whoever takes it there, and returns what it reports.
fn reported(submit: impl FnOnce(alloc::boxed::Box<dyn FnOnce() + Send>)) -> Report {
    static REPORT: [AtomicU64; size_of::<Report>() / 8] = [const { AtomicU64::new(0) }; size_of::<Report>() / 8];
    let done = Arc::new(Semaphore::new(0));
    let signal = done.clone();
    submit(alloc::boxed::Box::new(move || {
        let report = Report::of_thread();
        for (word, bytes) in REPORT.iter().zip(report.as_bytes().chunks(8)) {
            word.store(u64::read_from_bytes(bytes).expect("eight bytes"), Ordering::Relaxed);
        }
        signal.signal();
    }));
    done.wait(None);
    let words: Vec<u64> = REPORT.iter().map(|word| word.load(Ordering::Relaxed)).collect();
    Report::read_from_bytes(words.as_bytes()).expect("all words")
}

fn in_block() -> Report {
    let queue = Queue::new("block");
    reported(|report| queue.run_async(report))
}

fn in_timer() -> Report {
    let queue = Queue::new("timer");
    let mut source = None;
    let report = reported(|report| {
        let mut report = Some(report);
        let timer = TimerSource::new(&queue, move |_| report.take().into_iter().for_each(|report| report()));
        timer.set(Duration::from_millis(1), None);
        timer.activate();
        source = Some(timer);
    });
    source.into_iter().for_each(|timer| timer.cancel());
    report
}

/// Returns true if the voucher that goes with messages of threads without one has importance.
fn default_has_importance() -> bool {
    let header = Header { msgh_bits: D::COPY_SEND.0.into(), ..Header::default() };
    let mut message = header.as_bytes().to_vec();
    let attachment = voucher::attach(&mut message, None);
    let name = Header::read_from_prefix(&message).expect("it is a header").0.msgh_voucher_port;
    let kernel = process().kernel;
    let bank = kernel.voucher_command(name, MACH_VOUCHER_ATTR_KEY_BANK, BANK_PERSONA_ID, &[], &mut [0; 4]);
    check::that("it has a bank value", bank.is_ok());
    let importance = kernel.extract(name, MACH_VOUCHER_ATTR_KEY_IMPORTANCE, &mut [0; 256]);
    voucher::detach(&mut message, attachment);
    importance != Ok(0)
}
