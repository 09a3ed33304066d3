//! Calls and replies on the fast path and on the slow path, and attacks by hostile tasks (mach-ipc 9.12).

use crate::message::{MachMsg, Msg};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use kernel::inspect::invariants::check_all;
use kernel::limits::Limits;
use kernel::machine::Machine;
use kernel::sched::schedule::{BACKGROUND_QUANTUM, QUANTUM};

const DEAD_NAME: u32 = MACH_PORT_RIGHT_DEAD_NAME;
/// The priority of client and server.
const PRIORITY: u8 = 100;
/// The bit of `MACH_SEND_FILTER_NONFATAL`. Inside XNU's kernel it means `MACH_SEND_ALWAYS`: ignore the queue limit.
const SEND_ALWAYS: u32 = 0x0001_0000;
/// The size of a header with the shortest trailer.
const SIZE_WITH_TRAILER: u32 = Header::SIZE as u32 + 8;
/// An address that is never mapped.
const UNMAPPED: u64 = 0x10;
/// The number of calls, and of those that are made with checks of all invariants.
const CHECKED_CALLS: u32 = 100;
const CALLS: u32 = 1_000_000;

/// A client and a server. Both have a higher priority than all other threads, so that a call may take the fast path.
pub struct Pair {
    pub w: World,
    pub client: Actor,
    /// The client's send right to the service.
    pub send_right: PortName,
    /// The port on which the client waits for replies.
    pub reply: PortName,
    pub server: Actor,
    /// The port on which the server waits for calls.
    pub service: PortName,
    /// A second thread of the client and one of the server, which make calls while the first ones wait.
    pub helpers: [Actor; 2],
}

/// A base priority at which threads have a short quantum.
const BACKGROUND_PRIORITY: u8 = 4;

impl Pair {
    pub fn new(direct_calls: bool) -> Pair {
        let mut w = World::with_limits(Limits { shortcuts: direct_calls, names_per_task: 64, ..Limits::default() });
        let (client, server) = (w.task(), w.task());
        let (service, send_right) = w.connect(client, server);
        let reply = w.warm_port(client);
        let helpers = [w.thread(client), w.thread(server)];
        let mut pair = Pair { w, client, send_right, reply, server, service, helpers };
        [client, server].into_iter().for_each(|actor| pair.set_priority(actor, PRIORITY));
        pair
    }

    pub fn set_priority(&mut self, actor: Actor, priority: u8) {
        self.w.set_base(actor.thread, priority, false);
    }

    /// Returns a request of the client with this body.
    pub fn request(&self, body: &[u8]) -> Msg {
        Msg::copy_send(self.send_right).reply_to(self.reply, D::MAKE_SEND_ONCE).id(1).body(body)
    }

    /// Sends and receives in one call, with a receive buffer of this size.
    pub fn send_and_wait(&mut self, actor: Actor, message: &Msg, receive_name: PortName, receive_size: u32) -> Ret {
        let bytes = message.encode();
        self.w.put(actor, BUFFER, &bytes);
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        let send_size = bytes.len() as u32;
        self.w.mach_msg(actor, &MachMsg { options, send_size, receive_size, receive_name, ..MachMsg::default() })
    }

    /// Makes the server wait for its first call.
    pub fn serve(&mut self) {
        assert_eq!(self.w.receive(self.server, self.service, MsgOption::empty()), Ret::Blocked);
    }

    /// Makes the client call and wait for the reply; returns the server's name for the reply right.
    pub fn call(&mut self) -> PortName {
        let (client, request, reply) = (self.client, self.request(&[]), self.reply);
        assert_eq!(self.send_and_wait(client, &request, reply, 4096), Ret::Blocked);
        assert_eq!(self.w.state(self.server).code(), MACH_MSG_SUCCESS);
        let header = self.w.received(self.server).header;
        assert_eq!((header.remote(), header.msgh_local_port), (D::PORT_SEND_ONCE, self.service));
        header.msgh_remote_port
    }

    /// Makes the server reply and wait for the next call.
    pub fn answer(&mut self, once: PortName) {
        let (server, service) = (self.server, self.service);
        let answer = Msg::to(once, D::MOVE_SEND_ONCE).id(101);
        assert_eq!(self.send_and_wait(server, &answer, service, 4096), Ret::Blocked);
    }
}

/// Makes a million calls with their replies. All invariants are checked during the first hundred.
fn many_calls(direct_calls: bool) {
    let mut pair = Pair::new(direct_calls);
    pair.serve();
    let names = [pair.client, pair.server].map(|actor| pair.w.names(actor));
    let counts = pair.w.counts();
    for round in 0..CALLS {
        pair.w.checked = round < CHECKED_CALLS;
        let once = pair.call();
        pair.answer(once);
        assert_eq!(pair.w.state(pair.client).code(), MACH_MSG_SUCCESS);
        assert_eq!(pair.w.received(pair.client).header.msgh_id, 101);
    }
    check_all(&pair.w.kernel);
    assert_eq!(pair.w.status(pair.client, pair.reply).mps_sorights, 0);
    assert_eq!([pair.client, pair.server].map(|actor| pair.w.names(actor)), names);
    assert_eq!(pair.w.counts(), counts);
}

// covers mach-ipc G01
#[test]
fn a_million_calls_leave_nothing_behind() {
    let slow_path = std::thread::spawn(|| many_calls(false));
    many_calls(true);
    slow_path.join().expect("the calls on the slow path succeed");
}

/// Describes the state of client and server: their threads, buffers, ports and names, and all counts.
fn snapshot(pair: &mut Pair) -> String {
    let mut seen = String::new();
    for actor in [pair.client, pair.server] {
        let thread = &pair.w.kernel.sched[actor.thread];
        let buffer = pair.w.get(actor, BUFFER, 512);
        seen += &format!("{:?} {:?} {:x?}\n{buffer:x?}\n", pair.w.state(actor), thread.state(), thread.frame().rdx);
    }
    for (helper, port) in pair.helpers.into_iter().zip([pair.reply, pair.service]) {
        let status = match pair.w.port_type(helper, port) {
            Ok(PortType::RECEIVE) => Some(pair.w.status(helper, port)),
            _ => None,
        };
        seen += &format!("{:x?} {status:?}\n", pair.w.names(helper));
    }
    seen + &format!("{:?}", pair.w.counts())
}

/// A name, and calls between client and server.
type Scenario = (&'static str, fn(&mut Pair));

/// Calls that may take the fast path, and calls that each miss one of its conditions.
const SCENARIOS: [Scenario; 20] = [
    ("a call", |pair| {
        pair.serve();
        pair.call();
    }),
    ("a call with its reply", |pair| {
        pair.serve();
        let once = pair.call();
        pair.answer(once);
    }),
    ("sizes", |pair| {
        for size in [0, 4, 64, 252, 256, 260, 1024] {
            pair.serve();
            let request = pair.request(&vec![0x5A; size]);
            assert_eq!(pair.send_and_wait(pair.client, &request, pair.reply, 4096), Ret::Blocked);
            let once = pair.w.received(pair.server).header.msgh_remote_port;
            pair.w.send(pair.server, &Msg::to(once, D::MOVE_SEND_ONCE)).unwrap();
        }
    }),
    ("a size that is not a multiple of four", |pair| {
        pair.serve();
        let request = pair.request(&[1, 2, 3]);
        let _ = pair.send_and_wait(pair.client, &request, pair.reply, 4096);
    }),
    ("no reply port", |pair| {
        pair.serve();
        let _ = pair.send_and_wait(pair.client, &Msg::copy_send(pair.send_right).id(4), pair.reply, 4096);
    }),
    ("a server that waits for a set", |pair| {
        let set = pair.w.allocate(pair.server, MACH_PORT_RIGHT_PORT_SET).unwrap();
        pair.w.insert_member(pair.server, pair.service, set).unwrap();
        assert_eq!(pair.w.receive(pair.server, set, MsgOption::empty()), Ret::Blocked);
        let once = pair.call();
        let answer = Msg::to(once, D::MOVE_SEND_ONCE);
        assert_eq!(pair.send_and_wait(pair.server, &answer, set, 4096), Ret::Blocked);
    }),
    ("a server that waits for a limited time", |pair| {
        let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
        let receive_name = pair.service;
        let args = MachMsg { options, receive_name, receive_size: 4096, timeout: 10, ..MachMsg::default() };
        assert_eq!(pair.w.mach_msg(pair.server, &args), Ret::Blocked);
        pair.call();
        pair.w.advance(20_000_000);
    }),
    ("a server with a small buffer", |pair| {
        let control = pair.w.thread_self(pair.client);
        let too_small = SIZE_WITH_TRAILER - 1;
        let rounds = [
            (MsgOption::empty(), too_small),
            (MsgOption::RCV_LARGE, too_small),
            (MsgOption::empty(), SIZE_WITH_TRAILER),
        ];
        for (options, size) in rounds {
            let options = MsgOption::RCV_MSG | options;
            let receive_name = pair.service;
            let args = MachMsg { options, receive_name, receive_size: size, ..MachMsg::default() };
            // The last round finds the message that the one before left in the queue.
            let _ = pair.w.mach_msg(pair.server, &args);
            let _ = pair.send_and_wait(pair.client, &pair.request(&[]), pair.reply, 4096);
            pair.w.thread_abort(pair.helpers[0], control);
        }
    }),
    ("a server whose buffer cannot be written", |pair| {
        let (options, receive_name, buffer) = (MsgOption::RCV_MSG, pair.service, Some(UNMAPPED));
        let args = MachMsg { options, receive_name, receive_size: 4096, buffer, ..MachMsg::default() };
        assert_eq!(pair.w.mach_msg(pair.server, &args), Ret::Blocked);
        let _ = pair.send_and_wait(pair.client, &pair.request(&[]), pair.reply, 4096);
        assert_eq!(pair.w.state(pair.server).code(), MACH_RCV_INVALID_DATA);
    }),
    ("a server whose table is full", |pair| {
        pair.w.fill_names(pair.server);
        pair.serve();
        let _ = pair.send_and_wait(pair.client, &pair.request(&[]), pair.reply, 4096);
        assert_eq!(pair.w.state(pair.server).code(), MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE));
        assert_eq!(pair.w.received(pair.client).header.msgh_id, MACH_NOTIFY_SEND_ONCE);
    }),
    ("a limit of zero", |pair| {
        pair.w.set_qlimit(pair.server, pair.service, 0).unwrap();
        pair.serve();
        assert_eq!(pair.send_and_wait(pair.client, &pair.request(&[]), pair.reply, 4096), Ret::Blocked);
        assert_eq!(pair.w.state(pair.server), Ret::Blocked);
    }),
    ("header bits reserved for the kernel", |pair| {
        pair.serve();
        let request = pair.request(&[]).bits(0x3000_0000).voucher(PortName(0xDEAD), D::NONE);
        assert_eq!(pair.send_and_wait(pair.client, &request, pair.reply, 4096), Ret::Blocked);
    }),
    ("a service that died", |pair| {
        pair.w.mod_refs(pair.server, pair.service, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        let _ = pair.send_and_wait(pair.client, &pair.request(&[]), pair.reply, 4096);
    }),
    ("client and server in one task", |pair| {
        let (server, own) = (pair.helpers[0], pair.w.port_with_send(pair.client));
        pair.helpers[0] = pair.w.thread(pair.client);
        pair.set_priority(server, 100);
        assert_eq!(pair.w.receive(server, own, MsgOption::empty()), Ret::Blocked);
        let request = Msg::copy_send(own).reply_to(pair.reply, D::MAKE_SEND_ONCE);
        assert_eq!(pair.send_and_wait(pair.client, &request, pair.reply, 4096), Ret::Blocked);
        let once = pair.w.received(server).header.msgh_remote_port;
        assert_eq!(pair.send_and_wait(server, &Msg::to(once, D::MOVE_SEND_ONCE).id(3), own, 4096), Ret::Blocked);
    }),
    ("a client that waits for a set", |pair| {
        let set = pair.w.allocate(pair.client, MACH_PORT_RIGHT_PORT_SET).unwrap();
        pair.w.insert_member(pair.client, pair.reply, set).unwrap();
        pair.serve();
        assert_eq!(pair.send_and_wait(pair.client, &pair.request(&[]), set, 4096), Ret::Blocked);
        let once = pair.w.received(pair.server).header.msgh_remote_port;
        pair.answer(once);
    }),
    ("a client that waits for another port than the reply comes to", |pair| {
        let other = pair.w.port(pair.client);
        pair.serve();
        assert_eq!(pair.send_and_wait(pair.client, &pair.request(&[]), other, 4096), Ret::Blocked);
        let once = pair.w.received(pair.server).header.msgh_remote_port;
        pair.answer(once);
        assert_eq!(pair.w.state(pair.client), Ret::Blocked);
    }),
    ("a message to the port that its sender waits for", |pair| {
        let (first, own) = (pair.helpers[0], pair.w.port_with_send(pair.client));
        pair.helpers[0] = pair.w.thread(pair.client);
        pair.set_priority(first, PRIORITY);
        assert_eq!(pair.w.receive(first, own, MsgOption::empty()), Ret::Blocked);
        assert_eq!(pair.send_and_wait(pair.client, &Msg::copy_send(own).id(4), own, 4096), Ret::Blocked);
        assert_eq!(pair.w.received(first).header.msgh_id, 4);
    }),
    ("a reply right with a dead-name request", |pair| {
        pair.serve();
        let once = pair.call();
        let notify = pair.w.port(pair.server);
        pair.w.request(pair.server, once, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
        pair.answer(once);
        pair.w.notification(pair.helpers[1], notify, MACH_NOTIFY_PORT_DELETED);
    }),
    ("a thread of higher priority than the server", |pair| {
        pair.serve();
        let other = pair.helpers[1];
        pair.set_priority(other, PRIORITY + 1);
        pair.call();
    }),
    ("a reply to a client that died", |pair| {
        pair.serve();
        let once = pair.call();
        pair.w.mod_refs(pair.helpers[0], pair.reply, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        pair.answer(once);
    }),
];

/// Errata 5, and a part of mach-ipc G05.
#[test]
fn the_fast_path_gives_exactly_the_results_of_the_slow_path() {
    for (name, calls) in SCENARIOS {
        let [fast, slow] = [true, false].map(|direct_calls| {
            let mut pair = Pair::new(direct_calls);
            calls(&mut pair);
            snapshot(&mut pair)
        });
        assert!(fast == slow, "{name}\n{fast}\n{slow}");
    }
}

// covers mach-ipc G02
#[test]
fn a_reply_right_works_once() {
    for direct_calls in [true, false] {
        let mut pair = Pair::new(direct_calls);
        pair.serve();
        let once = pair.call();
        let answer = Msg::to(once, D::MOVE_SEND_ONCE).id(101);
        assert_eq!(pair.w.send(pair.server, &answer), Ok(()));
        assert_eq!(pair.w.port_type(pair.server, once), Err(KERN_INVALID_NAME));
        assert_eq!(pair.w.send(pair.server, &answer), Err(MACH_SEND_INVALID_DEST));
        assert_eq!(pair.send_and_wait(pair.server, &answer, pair.service, 4096).code(), MACH_SEND_INVALID_DEST);
        assert_eq!(pair.w.state(pair.client).code(), MACH_MSG_SUCCESS);
        pair.w.expect_empty(pair.client, pair.reply);
    }
}

// covers mach-ipc G03
#[test]
fn a_reply_is_queued_behind_stale_messages_beyond_the_limit() {
    let mut pair = Pair::new(true);
    let once = pair.w.transfer(pair.client, pair.reply, D::MAKE_SEND_ONCE, pair.server);
    for id in 1..=3 {
        pair.w.send(pair.client, &Msg::to(pair.reply, D::MAKE_SEND).id(id)).unwrap();
    }
    pair.w.set_qlimit(pair.client, pair.reply, 1).unwrap();
    assert_eq!(pair.w.try_send(pair.server, &Msg::to(once, D::MOVE_SEND_ONCE).id(4)), Ok(()));
    for id in 1..=4 {
        assert_eq!(pair.w.poll(pair.client, pair.reply).unwrap().header.msgh_id, id);
    }
}

// covers mach-ipc G04
#[test]
fn dropping_the_reply_right_notifies_the_client() {
    for direct_calls in [true, false] {
        let mut pair = Pair::new(direct_calls);
        pair.serve();
        let once = pair.call();
        assert_eq!(pair.w.deallocate(pair.server, once), Ok(()));
        assert_eq!(pair.w.state(pair.client).code(), MACH_MSG_SUCCESS);
        assert_eq!(pair.w.received(pair.client).header.msgh_id, MACH_NOTIFY_SEND_ONCE);
    }
}

// covers mach-ipc G06
#[test]
fn a_full_name_table_refuses_names_and_recovers() {
    let mut w = World::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let a = w.task();
    let p = w.port_with_send(a);
    w.fill_names(a);
    assert_eq!(w.allocate(a, MACH_PORT_RIGHT_RECEIVE), Err(KERN_NO_SPACE));
    w.send(a, &Msg::copy_send(p).id(6)).unwrap();
    assert_eq!(w.poll(a, p).unwrap().header.msgh_id, 6);
    let (one, _) = w.names(a).into_iter().rfind(|&(_, kind)| kind == PortType::DEAD_NAME).unwrap();
    assert_eq!(w.deallocate(a, one), Ok(()));
    assert!(w.allocate(a, DEAD_NAME).is_ok());
    assert_eq!(w.allocate(a, DEAD_NAME), Err(KERN_NO_SPACE));
}

/// mach-ipc 8.4.
#[test]
fn a_table_that_cannot_grow_reports_shortage_unless_it_is_full() {
    let small = Limits { kernel_bytes_per_task: 32 * 1024, ..Limits::default() };
    for (limits, code) in [(small, KERN_RESOURCE_SHORTAGE), (Limits { names_per_task: 64, ..small }, KERN_NO_SPACE)] {
        let mut w = World::with_limits(limits);
        let a = w.task();
        let p = w.port_with_send(a);
        w.set_qlimit(a, p, MACH_PORT_QLIMIT_MAX).unwrap();
        while w.allocate(a, DEAD_NAME).is_ok() {}
        while w.send(a, &Msg::copy_send(p)).is_ok() {}
        assert_eq!(w.send(a, &Msg::copy_send(p)), Err(MACH_SEND_NO_BUFFER), "the budget is used up");
        assert_eq!(w.allocate(a, DEAD_NAME), Err(code));
        assert_eq!(w.trap(a, abi::trap::mach::MACH_REPLY_PORT, &[]).name(), MACH_PORT_NULL);
    }
}

// covers mach-ipc G08
#[test]
fn no_option_bypasses_the_queue_limit() {
    let mut w = World::new();
    let a = w.task();
    let p = w.port_with_send(a);
    (0..MACH_PORT_QLIMIT_DEFAULT).for_each(|_| w.send(a, &Msg::copy_send(p)).unwrap());
    let options = MsgOption::from_bits_retain(SEND_ALWAYS) | MsgOption::SEND_TIMEOUT;
    assert_eq!(w.send_with(a, &Msg::copy_send(p), options, 0).code(), MACH_SEND_TIMED_OUT);
    assert_eq!(w.status(a, p).mps_msgcount, MACH_PORT_QLIMIT_DEFAULT);
}

#[test]
fn a_call_to_a_server_with_a_short_quantum_ends_that_quantum() {
    for direct_calls in [true, false] {
        let mut pair = Pair::new(direct_calls);
        pair.w.set_base(pair.server.thread, BACKGROUND_PRIORITY, true);
        pair.helpers.into_iter().for_each(|helper| pair.w.set_base(helper.thread, 0, true));
        pair.serve();
        // The timer is set to the end of the client's quantum, which is longer.
        pair.w.advance(0);
        let start = pair.w.machine.now();
        assert_eq!(pair.w.machine.timer, Some(start + QUANTUM));
        pair.w.machine.advance(QUANTUM / 10);
        pair.call();
        assert_eq!(pair.w.machine.timer, Some(start + QUANTUM / 10 + BACKGROUND_QUANTUM), "direct: {direct_calls}");
    }
}

// covers mach-ipc G10
#[test]
fn a_reply_beyond_the_hard_queue_limit_is_returned() {
    let mut w = World::with_limits(Limits { kernel_bytes_per_task: 1 << 30, ..Limits::default() });
    let a = w.task();
    let p = w.port(a);
    let once = w.transfer(a, p, D::MAKE_SEND_ONCE, a);
    w.checked = false;
    for _ in 0..MACH_PORT_QLIMIT_KERNEL {
        w.send(a, &Msg::to(p, D::MAKE_SEND_ONCE)).unwrap();
    }
    w.checked = true;
    assert_eq!(w.send(a, &Msg::to(once, D::MOVE_SEND_ONCE)), Err(MACH_SEND_NO_BUFFER));
    let header = w.received(a).header;
    assert_eq!(header.remote(), D::PORT_SEND_ONCE);
    assert_eq!(w.port_type(a, header.msgh_remote_port), Ok(PortType::SEND_ONCE));
    assert_eq!(w.status(a, p).mps_msgcount, MACH_PORT_QLIMIT_KERNEL);
    w.poll(a, p).unwrap();
    assert_eq!(w.send(a, &Msg::to(header.msgh_remote_port, D::MOVE_SEND_ONCE)), Ok(()));
}
