//! Channels between tasks of different kinds: boosts, the end of a channel, a program with one worker (dispatch 10.G,
//! 10.K).

use super::channel_ends::*;
use super::puppets::{Parcel, Puppet};
use super::tasks::child;
use super::tests;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::sync::Mutex;
use crate::thread::{Gate, spawn};
use crate::{check, policy, task, time};
use abi::PortName;
use abi::message::MsgOption;
use abi::mig::NDR;
use abi::policy::{PolicyState, TASK_POLICY_STATE};
use abi::port::{ConstructFlags, Disposition as D, PortOptions, PortType};
use abi::qos::{AppType, Priority, Role};
use abi::task::ExitStatus;
use alloc::sync::Arc;
use dispatch::mach::{Channel, MachMsg, SendResult};
use dispatch::process;
use dispatch::qos::Qos;
use zerocopy::FromBytes;

tests! { "channel_tasks":
    a_cancelled_channel_tells_of_everything_it_had,
    a_background_thread_of_an_application_boosts_nobody,
    a_message_that_is_not_destroyed_keeps_its_rights_and_not_its_boost,
    a_program_with_one_blocked_worker_still_receives,
}

const NONE: MsgOption = MsgOption::empty();
const BG: Qos = Qos::Background;
const IN: Qos = Qos::UserInitiated;

/// A task of a kind that runs the library and does one thing after the other, each when it is told to.
struct Player {
    task: PortName,
    exit: Port,
    orders: PortName,
    service: PortName,
}

impl Player {
    fn start(name: &str, app_type: AppType, role: Role) -> Player {
        let (hello, exit) = (port_with_send(), Port::new());
        let spawn = child(name).policy(app_type, role, Qos::Unspecified).bootstrap(hello.name());
        let task = spawn.exit_port(exit.name()).start().expect("the child starts");
        let message = Message::receive(hello.name()).expect("the child says hello");
        let [orders, service] = [0, 1].map(|number| message.descriptor(number).name);
        port::deallocate(hello.name()).expect("the send right is there");
        Player { task, exit, orders, service }
    }

    /// Lets the player do its next thing, with a right and a word.
    fn go_on(&self, right: PortName, word: u32) -> u32 {
        let order = Message::copy_send(self.orders).port(right, D::COPY_SEND).bytes(&NDR).words(&[word]);
        let reply = order.rpc().expect("the player goes on");
        reply.word(2)
    }

    fn is_boosted(&self) -> bool {
        const WORDS: u32 = (size_of::<PolicyState>() / 4) as u32;
        /// The NDR record, the code and the number of words.
        const BEFORE: usize = NDR.len() + 8;
        let reply = policy::task_policy(self.task, TASK_POLICY_STATE, WORDS).expect("the caller is user 0");
        let state = PolicyState::read_from_prefix(&reply.body()[BEFORE..]).expect("the reply is that long").0;
        state.imp_assertcnt > 0
    }

    /// Waits for the end of the player, which has done its last thing.
    fn end(self) {
        check::equal("the exit status", task::wait_for_exit(self.exit.name()), Ok(ExitStatus::exited(0)));
        for name in [self.task, self.orders, self.service] {
            port::deallocate(name).expect("the name exists");
        }
    }
}

/// What a player knows: the port for its orders.
struct Orders(Port);

impl Orders {
    /// Says hello to the test.
    fn new(service: PortName) -> Orders {
        let orders = port_with_send();
        let hello = Message::copy_send(task::bootstrap_port());
        let hello = hello.port(orders.name(), D::COPY_SEND).port(service, D::COPY_SEND);
        hello.clone().send().expect("the test waits");
        Orders(orders)
    }

    /// Waits for the next order, does it and replies.
    fn next(&self, act: impl FnOnce(PortName, u32) -> u32) {
        let order = Message::receive(self.0.name()).expect("the port is the player's");
        let result = act(order.descriptor(0).name, order.word(2));
        Message::reply(&order).bytes(&NDR).words(&[result]).send().expect("the test waits");
    }
}

/// Returns a port that accepts donation, with a send right.
fn service() -> PortName {
    let flags = (ConstructFlags::IMPORTANCE_RECEIVER | ConstructFlags::INSERT_SEND_RIGHT).bits();
    port::construct(PortOptions { flags, ..PortOptions::default() }, 0).expect("there is room")
}

// covers dispatch AE-94
fn a_cancelled_channel_tells_of_everything_it_had() {
    let daemon = Player::start("channel-daemon", AppType::DaemonAdaptive, Role::Unspecified);
    let app = Puppet::app();
    app.send_to_right(daemon.service, Parcel::default());
    check::that("the message boosts", daemon.is_boosted());
    check::equal("the message is received", daemon.go_on(daemon.service, 0), 0);
    check::that("it boosts as long as it is not handled", daemon.is_boosted());
    check::equal("the channel is cancelled", daemon.go_on(daemon.service, 0), 0);
    until(|| !daemon.is_boosted());
    check::equal("the end", daemon.go_on(daemon.service, 0), 0);
    daemon.end();
    app.end();
}

/// A daemon whose channel has two messages to send, a pending reply, a thread that waits for another one, and a message
/// that is not handled yet: the child.
pub(super) fn channel_daemon() {
    let (peer, work) = (port_with_send(), activity());
    port::set_queue_limit(peer.name(), 2).expect("the port is there");
    let end = End::at_port(service());
    let (gate, entered) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
    let (passed, enters) = (gate.clone(), entered.clone());
    end.channel.receive_barrier(move || {
        enters.open();
        passed.pass();
    });
    let end = end.connect(peer.name());
    entered.pass();
    let channel = end.channel.clone();
    let reply_port = under(IN, &work, move || {
        let reply_port = Port::new();
        let message = MachMsg::new(1).reply_to(reply_port.name(), D::MAKE_SEND_ONCE);
        let result = channel.send_with_async_reply(message, NONE, 77);
        check::that("the request leaves", matches!(result, SendResult::Sent));
        reply_port
    });
    let channel = end.channel.clone();
    let waiting = spawn(move || channel.send_and_wait_for_reply(MachMsg::new(2), NONE).is_some());
    let waiting = waiting.expect("the thread starts");
    let queued = || port::status(peer.name()).expect("the port is there").mps_msgcount;
    until(|| queued() == 2);
    for id in [3, 4] {
        check::that("it waits", matches!(end.channel.send_with_result(MachMsg::new(id), NONE), SendResult::Deferred));
    }
    let orders = Orders::new(end.port);
    orders.next(|_, _| {
        until(|| port::status(end.port).is_ok_and(|status| status.mps_msgcount == 0));
        time::sleep(5);
        0
    });
    orders.next(|_, _| {
        end.channel.cancel();
        gate.open();
        end.expect(&[What::Connected, What::Barrier, What::NotSent(3), What::NotSent(4), What::LostSend]);
        end.expect_in(Context::of(IN, &work), What::LostReply(Some(77)));
        end.expect(&[What::LostReceive, What::Canceled]);
        check::that("the waiting thread gets no reply", !waiting.join());
        check::that("no message was handled", end.has_no_event());
        0
    });
    orders.next(|_, _| 0);
    drop(reply_port);
}

// covers dispatch AE-98
fn a_background_thread_of_an_application_boosts_nobody() {
    let app = Player::start("channel-app", AppType::AppDefault, Role::Foreground);
    let daemon = Puppet::daemon();
    for (class, boosts) in [(BG, 0), (IN, 1)] {
        check::equal("the message is sent", app.go_on(daemon.service, class as u32), 0);
        check::equal("the boosts of the daemon", daemon.state().0, boosts);
        let taken = daemon.take();
        check::equal("the class of the message", Priority::from_pthread(taken.sent_class).qos, class);
        daemon.drop_name(taken.voucher);
        check::equal("the boosts after the message", daemon.state().0, 0);
    }
    check::equal("the end", app.go_on(daemon.service, 0), 0);
    app.end();
    daemon.end();
}

/// An application that sends two messages, each with the class of its order: the child.
pub(super) fn channel_app() {
    let orders = Orders::new(port_with_send().into_name());
    for _ in 0..2 {
        orders.next(|peer, class| {
            let end = End::new(None).connect(peer);
            let channel = end.channel.clone();
            let result = at(Qos::from_number(class), move || channel.send_with_result(MachMsg::new(1), NONE));
            end.end();
            u32::from(!matches!(result, SendResult::Sent))
        });
    }
    // The importance of an application ends with it.
    orders.next(|_, _| 0);
}

// covers dispatch AE-100
fn a_message_that_is_not_destroyed_keeps_its_rights_and_not_its_boost() {
    let daemon = Player::start("channel-leaker", AppType::DaemonAdaptive, Role::Unspecified);
    let app = Puppet::app();
    app.send_to_right(daemon.service, Parcel { reply: 1, ..Parcel::default() });
    let kind = daemon.go_on(daemon.service, 0);
    check::equal("the right that was not destroyed", PortType::from_bits_retain(kind), PortType::SEND_ONCE);
    until(|| !daemon.is_boosted());
    check::equal("the end", daemon.go_on(daemon.service, 0), 0);
    daemon.end();
    app.end();
}

/// A daemon that forgets the reply right of a message: the child.
pub(super) fn channel_leaker() {
    let leaked = Arc::new(Mutex::new(None));
    let kept = leaked.clone();
    let end = End::acting_at_port(service(), move |_, message| {
        *kept.lock() = Some(message.header().msgh_remote_port);
        check::that(
            "the handler is boosted",
            dispatch::voucher::copy().is_some_and(|voucher| voucher.has_importance()),
        );
    });
    let end = end.connect(NOBODY);
    let orders = Orders::new(end.port);
    orders.next(|_, _| {
        end.expect(&[What::Connected, What::Received(0)]);
        until(|| leaked.lock().is_some());
        let name = leaked.lock().expect("it is there");
        port::port_type(name).expect("the name exists").bits()
    });
    orders.next(|_, _| 0);
}

// covers dispatch AE-142
fn a_program_with_one_blocked_worker_still_receives() {
    process::process().set_worker_limit(1);
    let peer = Puppet::daemon();
    let to_peer = End::new(None).connect(peer.service);
    let (channel, entered) = (to_peer.channel.clone(), Arc::new(Gate::new()));
    let enters = entered.clone();
    let blocked = End::with(move |_: &Channel, message: MachMsg| {
        enters.open();
        let reply = channel.send_and_wait_for_reply(MachMsg::new(1), NONE);
        check::equal("the peer's reply", reply.map(|reply| reply.id()), Some(0));
        message.destroy();
    });
    let blocked = blocked.connect(NOBODY);
    let other = End::new(None).connect(NOBODY);
    // A request whose reply comes while the worker is blocked.
    let reply_port = Port::new();
    let request = MachMsg::new(2).reply_to(reply_port.name(), D::MAKE_SEND_ONCE);
    check::that("it leaves", matches!(to_peer.channel.send_with_async_reply(request, NONE, 5), SendResult::Sent));
    let asynchronous = peer.take();
    Message::copy_send(blocked.port).id(3).send().expect("there is room");
    entered.pass();
    let synchronous = peer.take();
    // The only worker waits in another task's hands. Both a message for another channel and the reply are received.
    Message::copy_send(other.port).id(4).send().expect("there is room");
    peer.reply(asynchronous.reply, NOBODY);
    for port in [other.port, reply_port.name()] {
        until(|| port::status(port).is_ok_and(|status| status.mps_msgcount == 0));
    }
    check::that("no handler can run", other.has_no_event());
    peer.reply(synchronous.reply, NOBODY);
    blocked.expect(&[What::Connected, What::Received(3)]);
    other.expect(&[What::Connected, What::Received(4)]);
    to_peer.expect(&[What::Connected, What::Reply(0, 5)]);
    for taken in [asynchronous, synchronous] {
        peer.drop_name(taken.voucher);
    }
    [blocked, other, to_peer].into_iter().for_each(End::end);
    drop(reply_port);
    peer.end();
    check_nothing_is_left();
}
