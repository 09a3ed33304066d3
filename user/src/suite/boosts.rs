//! Boosts as tasks see them that send to each other: along chains of daemons, with naps, and against a task that keeps
//! the processor busy (importance 3 to 8).

use super::puppets::{Parcel, Puppet, State};
use super::scheduling::set_own_qos;
use super::tasks::child;
use super::tests;
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::thread::Thread;
use crate::{check, policy, task};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::mig::NDR;
use abi::port::Disposition as D;
use abi::port::MACH_PORT_NULL;
use abi::qos::{AppType, MessagePriority, Priority, Qos, Role};
use abi::task::ExitStatus;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use heapless::Vec;

tests! { "boosts":
    a_daemon_answers_within_a_quantum_only_if_it_is_boosted,
    a_boosted_request_goes_through_two_daemons_past_a_spinning_thread,
    boosts_along_a_chain_end_one_by_one_from_its_end,
    a_daemon_that_gives_its_voucher_up_ends_the_boosts_behind_it,
    a_daemon_that_keeps_its_voucher_after_the_reply_stays_boosted,
    a_boost_ends_when_the_voucher_has_left_with_the_reply,
    the_end_of_a_daemon_ends_the_boosts_behind_it,
    a_nap_of_the_application_ends_the_boosts_of_its_chain_for_as_long_as_it_lasts,
    a_message_of_a_napping_application_boosts_when_the_nap_is_over,
    a_refused_message_leaves_no_boost_and_the_voucher_where_it_was,
    the_class_of_a_message_reaches_its_receiver,
}

/// The states of an adaptive daemon: without boosts, with a message that waits, with the voucher of a message.
const IDLE: State = (0, 0, 4);
const WAITED_FOR: State = (1, 0, 31);
const AT_WORK: State = (1, 1, 31);

/// Threads that spin: two, so that each sees when the turn of the other has ended.
const SPINNERS: usize = 2;
/// The spinning thread that ran last, and the turns of all since they were started. Turns measure how long something
/// takes by what the machine does, however busy the host is.
static LAST: AtomicU64 = AtomicU64::new(0);
static TURNS: AtomicU64 = AtomicU64::new(0);
static STOP: AtomicBool = AtomicBool::new(false);

/// Spins with the default priority until it is told to stop. It makes no trap, so only an interrupt ends its turn.
fn spin(number: u64) {
    while !STOP.load(Ordering::Relaxed) {
        if LAST.swap(number, Ordering::Relaxed) != number {
            TURNS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Threads that are ready to spin as soon as the test waits, each for a quantum at first. They stop when the value is
/// dropped.
struct Spinner([Option<Thread>; SPINNERS]);

impl Spinner {
    fn new() -> Spinner {
        STOP.store(false, Ordering::Relaxed);
        LAST.store(0, Ordering::Relaxed);
        TURNS.store(0, Ordering::Relaxed);
        Spinner([1, 2].map(|number| Some(Thread::start(spin, number).expect("the thread starts"))))
    }

    /// Returns how many turns the threads have begun.
    fn turns(&self) -> u64 {
        TURNS.load(Ordering::Relaxed)
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        STOP.store(true, Ordering::Relaxed);
        self.0.iter_mut().filter_map(Option::take).for_each(Thread::join);
    }
}

/// The most daemons in a chain.
const CHAIN_MAX: usize = 2;

/// A chain of adaptive daemons that each wait for requests. The first passes them on to the next one.
struct Servers {
    /// The port by which the daemons tell that they wait.
    hello: Port,
    exits: Vec<Port, CHAIN_MAX>,
    /// The daemons' ports and tasks, the last daemon first.
    services: Vec<PortName, CHAIN_MAX>,
    tasks: Vec<PortName, CHAIN_MAX>,
    reply: Port,
}

impl Servers {
    /// Starts daemons, and waits until all of them wait for a request.
    fn start(count: usize) -> Servers {
        let (hello, reply) = (port_with_send(), Port::new());
        let mut servers = Servers { hello, exits: Vec::new(), services: Vec::new(), tasks: Vec::new(), reply };
        for _ in 0..count {
            let exit = Port::new();
            let spawn = child("serve").policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
            let task = spawn.bootstrap(servers.hello.name()).exit_port(exit.name()).start().expect("the child starts");
            let hello = Message::receive(servers.hello.name()).expect("the child says hello");
            let next = servers.services.last().copied().unwrap_or(MACH_PORT_NULL);
            Message::reply(&hello).port(next, D::COPY_SEND).send().expect("the child waits");
            let fits = servers.exits.push(exit).is_ok()
                && servers.tasks.push(task).is_ok()
                && servers.services.push(hello.descriptor(0).name).is_ok();
            assert!(fits, "a chain has at most {CHAIN_MAX} daemons");
            servers.expect_waiting(1);
        }
        servers
    }

    /// Waits until this many daemons wait for a request again.
    fn expect_waiting(&self, count: usize) {
        for _ in 0..count {
            let message = Message::receive(self.hello.name()).expect("a daemon is ready");
            check::equal("the id", message.message_id(), READY);
        }
    }

    /// Sends a request to the first daemon, and waits for the reply for at most this many milliseconds.
    fn call(&self, options: MsgOption, milliseconds: u32) -> Result<Message, KernReturn> {
        let to = *self.services.last().expect("there is a daemon");
        let mut message = Message::copy_send(to).reply_to(self.reply.name(), D::MAKE_SEND_ONCE);
        let options = options | MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        let call = Call { options, receive_name: self.reply.name(), timeout: milliseconds, ..Call::default() };
        message.call(&call).ok().map(|()| message)
    }

    fn end(self) {
        for (task, exit) in self.tasks.iter().zip(&self.exits) {
            task::terminate(*task).expect("the daemon waits");
            check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
        }
        for name in self.tasks.into_iter().chain(self.services) {
            port::deallocate(name).expect("the name exists");
        }
    }
}

/// The id of the message by which a daemon tells that it waits.
const READY: i32 = 7;
/// Milliseconds after which a request that should be answered is given up.
const PATIENCE: u32 = 5_000;

/// Answers requests with the base priorities of all daemons that have worked on them: the child of the tests with
/// [`Servers`].
pub(super) fn serve() {
    let (service, thread) = (port_with_send(), task::thread_self());
    port::accept_donation(service.name()).expect("the port is the daemon's");
    let hello = task::bootstrap_port();
    let answer = Message::copy_send(hello).port(service.name(), D::COPY_SEND).rpc().expect("the test answers");
    let next = answer.descriptor(0).name;
    loop {
        // The test cannot see the message before this thread waits.
        let mut request = Message::copy_send(hello).id(READY);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
        let code = request.call(&Call { options, receive_name: service.name(), ..Call::default() });
        check::equal("receiving", code, MACH_MSG_SUCCESS);
        let base = task::thread_info(thread).expect("the thread runs").base_priority;
        let mut answer = Message::reply(&request).bytes(&NDR).words(&[base]);
        let voucher = request.header().msgh_voucher_port;
        if next != MACH_PORT_NULL {
            let onwards = Message::copy_send(next).voucher(voucher, D::COPY_SEND);
            answer = answer.bytes(&onwards.rpc().expect("the next daemon answers").body()[NDR.len()..]);
        }
        answer.send().expect("the test waits");
        if voucher != MACH_PORT_NULL {
            port::deallocate(voucher).expect("the request brought it");
        }
    }
}

/// Turns without an answer, after which a daemon that is not boosted is believed not to run.
const MANY_TURNS: u64 = 10;
/// Turns that come before that of a boosted daemon: one of each thread that was ready before it.
const TURNS_BEFORE: u64 = SPINNERS as u64;
/// The most times that the boosted request is repeated. A daemon whose turn ends early, because the host has stopped the
/// machine meanwhile, waits for its next one.
const ATTEMPTS: usize = 20;

fn a_daemon_answers_within_a_quantum_only_if_it_is_boosted() {
    set_own_qos(Qos::UserInteractive);
    check::equal("becoming a donor", policy::mark_donor(), Ok(()));
    let servers = Servers::start(1);
    let spinner = Spinner::new();
    let mut answer = servers.call(MsgOption::SEND_NOIMPORTANCE, 10);
    while spinner.turns() < MANY_TURNS {
        check::equal("an answer without a boost", answer.map(|_| ()), Err(MACH_RCV_TIMED_OUT));
        answer = Message::receive_within(servers.reply.name(), 10);
    }
    drop(spinner);
    Message::receive(servers.reply.name()).expect("the daemon answers as soon as nobody spins");
    servers.expect_waiting(1);
    let in_time = (0..ATTEMPTS).any(|_| {
        let spinner = Spinner::new();
        check::that("a boosted daemon answers", servers.call(MsgOption::empty(), PATIENCE).is_ok());
        let turns = spinner.turns();
        drop(spinner);
        servers.expect_waiting(1);
        turns <= TURNS_BEFORE
    });
    check::that("a boosted daemon runs when each other thread has had a turn", in_time);
    servers.end();
}

fn a_boosted_request_goes_through_two_daemons_past_a_spinning_thread() {
    set_own_qos(Qos::UserInteractive);
    check::equal("becoming a donor", policy::mark_donor(), Ok(()));
    let servers = Servers::start(2);
    let spinner = Spinner::new();
    let answer = servers.call(MsgOption::empty(), PATIENCE).expect("both daemons are boosted");
    check::equal("the priorities", [answer.word(2), answer.word(3)], [31, 31]);
    drop(spinner);
    servers.expect_waiting(2);
    let answer = servers.call(MsgOption::SEND_NOIMPORTANCE, PATIENCE).expect("nobody spins");
    check::equal("the priorities without a boost", [answer.word(2), answer.word(3)], [4, 4]);
    servers.expect_waiting(2);
    servers.end();
}

/// A chain of two daemons, each of which has the voucher of a message for which the application waits.
struct Chain {
    app: Puppet,
    daemon: Puppet,
    helper: Puppet,
    /// The vouchers of the daemon and of its helper.
    at_daemon: PortName,
    at_helper: PortName,
}

impl Chain {
    fn start() -> Chain {
        let (app, daemon, helper) = (Puppet::app(), Puppet::daemon(), Puppet::daemon());
        check::equal("the states at first", (daemon.state(), helper.state()), (IDLE, IDLE));
        app.send(&daemon, Parcel::default());
        check::equal("with a message", (daemon.state(), helper.state()), (WAITED_FOR, IDLE));
        let at_daemon = daemon.take().voucher;
        check::equal("with a voucher", (daemon.state(), helper.state()), (AT_WORK, IDLE));
        daemon.forward(&helper, at_daemon);
        check::equal("with a message for the helper", (daemon.state(), helper.state()), (AT_WORK, WAITED_FOR));
        let at_helper = helper.take().voucher;
        let chain = Chain { app, daemon, helper, at_daemon, at_helper };
        chain.expect("with both vouchers", AT_WORK, AT_WORK);
        chain
    }

    #[track_caller]
    fn expect(&self, when: &str, daemon: State, helper: State) {
        check::equal(when, (self.daemon.state(), self.helper.state()), (daemon, helper));
    }

    fn end(self) {
        [self.app, self.daemon, self.helper].into_iter().for_each(Puppet::end);
    }
}

fn boosts_along_a_chain_end_one_by_one_from_its_end() {
    let chain = Chain::start();
    chain.helper.drop_name(chain.at_helper);
    chain.expect("after the helper's work", AT_WORK, IDLE);
    chain.daemon.drop_name(chain.at_daemon);
    chain.expect("after the daemon's work", IDLE, IDLE);
    check::equal("the vouchers", task::counts().vouchers, 0);
    chain.end();
}

fn a_daemon_that_gives_its_voucher_up_ends_the_boosts_behind_it() {
    let chain = Chain::start();
    chain.daemon.drop_name(chain.at_daemon);
    chain.expect("without the daemon's voucher", IDLE, IDLE);
    chain.helper.drop_name(chain.at_helper);
    chain.expect("without both", IDLE, IDLE);
    check::equal("the vouchers", task::counts().vouchers, 0);
    chain.end();
}

/// Lets an application send a request to a daemon and the daemon take it. Returns the right to reply and the voucher.
fn request(app: &Puppet, daemon: &Puppet) -> (PortName, PortName) {
    app.send(daemon, Parcel { reply: 1, ..Parcel::default() });
    let taken = daemon.take();
    check::equal("with the request", (daemon.state(), taken.raised), (AT_WORK, 1));
    (taken.reply, taken.voucher)
}

fn a_daemon_that_keeps_its_voucher_after_the_reply_stays_boosted() {
    let (app, daemon) = (Puppet::app(), Puppet::daemon());
    let (reply, voucher) = request(&app, &daemon);
    daemon.reply(reply, MACH_PORT_NULL);
    app.take_reply();
    check::equal("after the reply", daemon.state(), AT_WORK);
    daemon.drop_name(voucher);
    check::equal("after the work", daemon.state(), IDLE);
    [app, daemon].into_iter().for_each(Puppet::end);
}

fn a_boost_ends_when_the_voucher_has_left_with_the_reply() {
    let (app, daemon) = (Puppet::app(), Puppet::daemon());
    let (reply, voucher) = request(&app, &daemon);
    daemon.reply(reply, voucher);
    check::equal("while the reply waits", daemon.state(), AT_WORK);
    app.take_reply();
    check::equal("when the reply is received", daemon.state(), IDLE);
    [app, daemon].into_iter().for_each(Puppet::end);
}

fn the_end_of_a_daemon_ends_the_boosts_behind_it() {
    let Chain { app, daemon, helper, at_helper, .. } = Chain::start();
    daemon.end();
    check::equal("the helper's state", helper.state(), IDLE);
    helper.drop_name(at_helper);
    check::equal("without the voucher", helper.state(), IDLE);
    app.send(&helper, Parcel::default());
    check::equal("with another message", helper.state(), WAITED_FOR);
    [app, helper].into_iter().for_each(Puppet::end);
}

fn a_nap_of_the_application_ends_the_boosts_of_its_chain_for_as_long_as_it_lasts() {
    let chain = Chain::start();
    for round in 1..4 {
        chain.app.set_nap(true);
        chain.expect("during the nap", IDLE, IDLE);
        check::equal("the application's priority", chain.app.state(), (0, 0, 4));
        chain.app.set_nap(false);
        chain.expect("after the nap", AT_WORK, AT_WORK);
        let transitions = [&chain.daemon, &chain.helper].map(Puppet::transitions);
        check::equal("how often they were boosted", transitions, [round + 1; 2]);
    }
    chain.end();
}

fn a_message_of_a_napping_application_boosts_when_the_nap_is_over() {
    let (app, daemon) = (Puppet::app(), Puppet::daemon());
    app.set_nap(true);
    app.send(&daemon, Parcel::default());
    check::equal("with a message", daemon.state(), IDLE);
    let taken = daemon.take();
    check::equal("with its voucher", (daemon.state(), taken.raised), (IDLE, 1));
    app.set_nap(false);
    check::equal("after the nap", daemon.state(), AT_WORK);
    daemon.drop_name(taken.voucher);
    check::equal("without the voucher", daemon.state(), IDLE);
    [app, daemon].into_iter().for_each(Puppet::end);
}

/// The limit of a queue that is not set.
const QUEUE_LIMIT: u32 = 5;

fn a_refused_message_leaves_no_boost_and_the_voucher_where_it_was() {
    let Chain { app, daemon, helper, at_daemon, at_helper } = Chain::start();
    helper.drop_name(at_helper);
    (0..QUEUE_LIMIT).for_each(|_| daemon.forward(&helper, at_daemon));
    let full = (QUEUE_LIMIT, 0, 31);
    check::equal("with a full queue", helper.state(), full);
    let copy = u32::from(D::COPY_SEND.0);
    let refused = daemon.try_send(&helper, Parcel { voucher: at_daemon, disposition: copy, ..Parcel::default() });
    check::equal("the code", refused.code, MACH_SEND_TIMED_OUT.0);
    check::equal("the voucher in the header", (refused.voucher, refused.disposition), (at_daemon, copy));
    check::equal("after the refusal", (daemon.state(), helper.state()), (AT_WORK, full));
    (0..QUEUE_LIMIT).for_each(|_| _ = helper.take_plain());
    check::equal("with an empty queue", (daemon.state(), helper.state()), (AT_WORK, IDLE));
    // It was the daemon's only reference.
    daemon.drop_name(at_daemon);
    check::equal("without the voucher", daemon.state(), IDLE);
    [app, daemon, helper].into_iter().for_each(Puppet::end);
}

fn the_class_of_a_message_reaches_its_receiver() {
    let (app, daemon) = (Puppet::app(), Puppet::daemon());
    let class = |options: MsgOption, priority| {
        app.send(&daemon, Parcel { options: options.bits(), priority, ..Parcel::default() });
        let taken = daemon.take_plain();
        (taken.sent_class, taken.queue_class)
    };
    let [interactive, utility] = [Qos::UserInteractive, Qos::Utility].map(|qos| Priority::of(qos).to_pthread());
    check::equal("no class", class(MsgOption::empty(), 0), (0, 0));
    check::equal("a word that is not used", class(MsgOption::empty(), utility), (0, 0));
    check::equal("the sender's class", class(MsgOption::SEND_PROPAGATE_QOS, 0), (interactive, interactive));
    check::equal("a class of the message", class(MsgOption::SEND_OVERRIDE, utility), (0, utility));
    let both = MessagePriority::encode(Qos::UserInteractive, Qos::Background, -5);
    let background = Priority { qos: Qos::Background, relative: -5 }.to_pthread();
    check::equal("both in one word", class(MsgOption::SEND_OVERRIDE, both), (background, interactive));
    // A message takes over the urgency of those behind it.
    let sent = [MessagePriority::encode(Qos::Unspecified, Qos::Utility, 0), both];
    for priority in sent {
        app.send(&daemon, Parcel { options: MsgOption::SEND_OVERRIDE.bits(), priority, ..Parcel::default() });
    }
    let taken = [(), ()].map(|()| daemon.take_plain()).map(|taken| (taken.sent_class, taken.queue_class));
    check::equal("two in a queue", taken, [(utility, interactive), (background, interactive)]);
    [app, daemon].into_iter().for_each(Puppet::end);
}
