//! Which calls take the fast path. What it does is what the slow path does: `rpc.rs` compares the two.

use crate::message::{MachMsg, Msg};
use crate::rpc::Pair;
use crate::world::{Actor, BUFFER, Ret};
use abi::PortName;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::mach;
use kernel::ids::ThreadId;
use kernel::inspect::invariants::check_all;
use kernel::limits::SMALL_MESSAGE;
use kernel::machine::UserAddr;
use kernel::shortcut::PlainCall;

const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);
/// The bytes of the shortest trailer.
const TRAILER: u32 = 8;
const ROOM: u32 = 4096;
const MILLISECOND: u64 = 1_000_000;

/// Lets an actor send and receive by the fast path alone. Returns the thread that runs then, or `None` if the call is
/// not plain.
fn call_with(pair: &mut Pair, actor: Actor, message: &Msg, options: MsgOption, from: PortName) -> Option<ThreadId> {
    let call = prepare(pair, actor, message, options, from);
    let w = &mut pair.w;
    let next = w.kernel.call_directly(&mut w.machine, 0, &call).map(|switch| switch.thread);
    check_all(&w.kernel);
    assert_eq!(w.kernel.sched.current(0), Some(next.unwrap_or(actor.thread)));
    next
}

/// Lets an actor run with a message in its buffer, and returns the call that sends it and receives.
fn prepare(pair: &mut Pair, actor: Actor, message: &Msg, options: MsgOption, from: PortName) -> PlainCall {
    let w = &mut pair.w;
    let bytes = message.encode();
    w.put(actor, BUFFER, &bytes);
    let before = w.run(actor.thread);
    w.restore_schedule(actor.thread, before);
    w.settle_choice(actor.thread);
    let (send_size, buffer) = (bytes.len() as u32, UserAddr(w.buffer(actor)));
    PlainCall { buffer, options: options.bits(), send_size, receive_size: ROOM, receive_name: from.0 }
}

fn call(pair: &mut Pair, actor: Actor, message: &Msg, from: PortName) -> Option<ThreadId> {
    call_with(pair, actor, message, CALL, from)
}

/// Makes the server wait for a call with these options and this size of its buffer.
fn serve_with(pair: &mut Pair, options: MsgOption, receive_size: u32) {
    let (options, receive_name) = (options | MsgOption::RCV_MSG, pair.service);
    let args = MachMsg { options, receive_name, receive_size, timeout: 10, ..MachMsg::default() };
    assert_eq!(pair.w.mach_msg(pair.server, &args), Ret::Blocked);
}

#[test]
fn a_request_its_answer_and_a_message_without_a_reply_right_run_the_receiver_at_once() {
    let mut pair = Pair::new(true);
    let (client, server, reply, service) = (pair.client, pair.server, pair.reply, pair.service);
    pair.serve();
    for round in 0..3 {
        let request = pair.request(&[]);
        assert_eq!(call(&mut pair, client, &request, reply), Some(server.thread), "round {round}");
        let once = pair.w.received(server).header.msgh_remote_port;
        let answer = Msg::to(once, D::MOVE_SEND_ONCE);
        assert_eq!(call(&mut pair, server, &answer, service), Some(client.thread), "round {round}");
    }
    let notice = Msg::copy_send(pair.send_right);
    assert_eq!(call(&mut pair, client, &notice, reply), Some(server.thread));
}

/// Whether a message boosts depends on its sender. For requests `fast_attachments.rs` says what is direct.
#[test]
fn a_message_without_a_reply_right_to_a_port_that_accepts_donation_is_not_direct() {
    let mut pair = Pair::new(true);
    let (client, server, reply, service) = (pair.client, pair.server, pair.reply, pair.service);
    pair.w.set_attributes(server, service, MACH_PORT_IMPORTANCE_RECEIVER, &[]).unwrap();
    pair.serve();
    let notice = Msg::copy_send(pair.send_right);
    assert_eq!(call(&mut pair, client, &notice, reply), None);
}

/// The own port of a task, to which it has both rights under one name.
#[test]
fn a_name_with_both_rights_is_as_good_as_a_send_right() {
    let mut pair = Pair::new(true);
    let (client, reply) = (pair.client, pair.reply);
    let own = pair.w.port_with_send(client);
    let server = pair.helpers[0];
    pair.serve();
    pair.set_priority(server, 100);
    assert_eq!(pair.w.receive(server, own, MsgOption::empty()), Ret::Blocked);
    let request = Msg::copy_send(own).reply_to(reply, D::MAKE_SEND_ONCE);
    assert_eq!(call(&mut pair, client, &request, reply), Some(server.thread));
}

#[test]
fn a_message_is_plain_up_to_the_size_of_a_small_one() {
    for (body, direct) in [(0, true), (4, true), (SMALL_MESSAGE - Header::SIZE, true), (3, false)] {
        let mut pair = Pair::new(true);
        pair.serve();
        let (client, request, reply, server) = (pair.client, pair.request(&vec![1; body]), pair.reply, pair.server);
        let expected = direct.then_some(server.thread);
        assert_eq!(call(&mut pair, client, &request, reply), expected, "{body} bytes");
    }
    let mut pair = Pair::new(true);
    pair.serve();
    let (client, request, reply) = (pair.client, pair.request(&[1; SMALL_MESSAGE - Header::SIZE + 4]), pair.reply);
    assert_eq!(call(&mut pair, client, &request, reply), None);
}

#[test]
fn the_receivers_buffer_needs_room_for_the_message_and_the_shortest_trailer() {
    let body = [7; 40];
    let room = (Header::SIZE + body.len()) as u32 + TRAILER;
    for (receive_size, direct) in [(room, true), (room - 1, false)] {
        let mut pair = Pair::new(true);
        serve_with(&mut pair, MsgOption::empty(), receive_size);
        let (client, request, reply, server) = (pair.client, pair.request(&body), pair.reply, pair.server);
        assert_eq!(call(&mut pair, client, &request, reply), direct.then_some(server.thread), "{receive_size} bytes");
    }
}

#[test]
fn a_receiver_that_waits_for_a_limited_time_is_called_directly_and_its_time_limit_ends() {
    let mut pair = Pair::new(true);
    serve_with(&mut pair, MsgOption::RCV_TIMEOUT, ROOM);
    let deadline = pair.w.kernel.sched.earliest_deadline();
    assert!(deadline <= 10 * MILLISECOND + 1);
    let (client, request, reply) = (pair.client, pair.request(&[]), pair.reply);
    assert_eq!(call(&mut pair, client, &request, reply), Some(pair.server.thread));
    assert_eq!(pair.w.kernel.sched.earliest_deadline(), u64::MAX);
}

#[test]
fn a_receiver_that_asks_for_a_longer_trailer_is_not_called_directly() {
    let mut pair = Pair::new(true);
    serve_with(&mut pair, MsgOption::trailer_elements(1), ROOM);
    let (client, request, reply) = (pair.client, pair.request(&[]), pair.reply);
    assert_eq!(call(&mut pair, client, &request, reply), None);
}

#[test]
fn a_sender_that_waits_for_a_set_gets_the_messages_of_all_members() {
    let mut pair = Pair::new(true);
    let (client, helper) = (pair.client, pair.helpers[0]);
    let set = pair.w.allocate(client, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let other = pair.w.port_with_send(client);
    for member in [pair.reply, other] {
        pair.w.insert_member(client, member, set).unwrap();
    }
    pair.serve();
    // A request is plain only if its sender waits where the reply comes; a message without a reply right always is.
    let request = pair.request(&[]);
    assert_eq!(call(&mut pair, client, &request, set), None);
    let notice = Msg::copy_send(pair.send_right);
    assert_eq!(call(&mut pair, client, &notice, set), Some(pair.server.thread));
    pair.w.send(helper, &Msg::copy_send(other).id(5)).unwrap();
    assert_eq!(pair.w.state(client), Ret::Done(0));
    assert_eq!(pair.w.received(client).header.msgh_id, 5);
}

#[test]
fn a_receiver_that_waits_for_a_set_with_the_port_is_called_directly() {
    let mut pair = Pair::new(true);
    let (client, server, reply) = (pair.client, pair.server, pair.reply);
    let set = pair.w.allocate(server, MACH_PORT_RIGHT_PORT_SET).unwrap();
    pair.w.insert_member(server, pair.service, set).unwrap();
    assert_eq!(pair.w.receive(server, set, MsgOption::empty()), Ret::Blocked);
    let request = pair.request(&[]);
    assert_eq!(call(&mut pair, client, &request, reply), Some(server.thread));
    let once = pair.w.received(server).header.msgh_remote_port;
    assert_eq!(call(&mut pair, server, &Msg::to(once, D::MOVE_SEND_ONCE), set), Some(client.thread));
}

#[test]
fn other_receivers_of_the_port_go_on_waiting_and_are_called_next() {
    let mut pair = Pair::new(true);
    let (client, helper, reply) = (pair.client, pair.helpers[1], pair.reply);
    pair.set_priority(helper, 100);
    pair.serve();
    assert_eq!(pair.w.receive(helper, pair.service, MsgOption::empty()), Ret::Blocked);
    for next in [pair.server, helper] {
        let request = pair.request(&[]);
        assert_eq!(call(&mut pair, client, &request, reply), Some(next.thread));
        let once = pair.w.received(next).header.msgh_remote_port;
        let (answer, service) = (Msg::to(once, D::MOVE_SEND_ONCE), pair.service);
        assert_eq!(call(&mut pair, next, &answer, service), Some(client.thread));
    }
}

/// A condition of the fast path, and a way to miss it.
type Obstacle = (&'static str, fn(&mut Pair));

const OBSTACLES: [Obstacle; 6] = [
    ("a message waits for the caller", |pair| {
        pair.w.send(pair.helpers[0], &Msg::to(pair.reply, D::MAKE_SEND)).unwrap();
    }),
    ("the queue's limit is 0", |pair| pair.w.set_qlimit(pair.helpers[1], pair.service, 0).unwrap()),
    ("the receiver is suspended", |pair| {
        let Pair { w, server, .. } = pair;
        w.kernel.sched.suspend(&mut w.kernel.step, server.thread).unwrap();
        w.advance(0);
    }),
    ("another thread comes first", |pair| pair.set_priority(pair.helpers[1], 101)),
    ("another thread of the receiver's level is ready", |pair| pair.set_priority(pair.helpers[1], 100)),
    ("the service is dead", |pair| {
        pair.w.mod_refs(pair.helpers[1], pair.service, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    }),
];

#[test]
fn each_obstacle_closes_the_fast_path() {
    for (what, obstruct) in OBSTACLES {
        let mut pair = Pair::new(true);
        pair.serve();
        obstruct(&mut pair);
        let (client, request, reply) = (pair.client, pair.request(&[]), pair.reply);
        assert_eq!(call(&mut pair, client, &request, reply), None, "{what}");
    }
}

/// Errata 5: not for the request, nor for its reply, nor for a message whose sender waits there.
#[test]
fn special_reply_ports_stay_off_the_fast_path() {
    let mut pair = Pair::new(true);
    pair.serve();
    let (client, server, service, to) = (pair.client, pair.server, pair.service, pair.send_right);
    let special = pair.w.trap(client, mach::THREAD_GET_SPECIAL_REPLY_PORT, &[]).name();
    let request = Msg::copy_send(to).reply_to(special, D::MAKE_SEND_ONCE);
    assert_eq!(call(&mut pair, client, &request, special), None);
    assert_eq!(call(&mut pair, client, &Msg::copy_send(to), special), None);
    assert_eq!(pair.send_and_wait(client, &request, special, ROOM), Ret::Blocked);
    let once = pair.w.received(server).header.msgh_remote_port;
    assert_eq!(call(&mut pair, server, &Msg::to(once, D::MOVE_SEND_ONCE), service), None);
    // A change of its limit does not open it.
    let helper = pair.helpers[0];
    pair.w.set_qlimit(helper, special, 7).unwrap();
    assert_eq!(call(&mut pair, server, &Msg::to(once, D::MOVE_SEND_ONCE), service), None);
}

#[test]
fn a_step_with_something_left_to_do_closes_the_fast_path() {
    let mut pair = Pair::new(true);
    pair.serve();
    let (client, request, reply) = (pair.client, pair.request(&[]), pair.reply);
    let call = prepare(&mut pair, client, &request, CALL, reply);
    pair.w.kernel.step.choose_again();
    assert!(pair.w.kernel.call_directly(&mut pair.w.machine, 0, &call).is_none());
    assert_eq!(pair.w.kernel.sched.current(0), Some(client.thread));
}

#[test]
fn options_that_change_the_sending_or_the_waiting_close_the_fast_path() {
    let (large, identity) = (MsgOption::RCV_LARGE, MsgOption::RCV_LARGE_IDENTITY);
    let optional = [large, identity, MsgOption::RCV_VOUCHER, MsgOption::trailer_elements(3)];
    let others = [
        MsgOption::SEND_TIMEOUT,
        MsgOption::RCV_TIMEOUT,
        MsgOption::SEND_NOTIFY,
        MsgOption::SEND_OVERRIDE,
        MsgOption::SEND_PROPAGATE_QOS,
        MsgOption::SEND_SYNC_OVERRIDE,
        MsgOption::RCV_SYNC_WAIT,
    ];
    let options = optional.map(|option| (option, true)).into_iter().chain(others.map(|option| (option, false)));
    for (option, direct) in options {
        let mut pair = Pair::new(true);
        pair.serve();
        let (client, request, reply, server) = (pair.client, pair.request(&[]), pair.reply, pair.server);
        let next = call_with(&mut pair, client, &request, CALL | option, reply);
        assert_eq!(next, direct.then_some(server.thread), "{option:?}");
    }
}
