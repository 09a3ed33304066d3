//! Vouchers in the headers of messages (vouchers 7).

use super::*;
use crate::calls::UNUSED_NAME;
use crate::message::Received;
use crate::world::{BUFFER_SIZE, UNWRITTEN};
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{Priority, Qos};
use kernel::limits::Limits;
use voucher::Key;
use voucher::managers::bank::{BankElement, Roles};

const TAKE: MsgOption = MsgOption::RCV_VOUCHER;
const LEAVE: MsgOption = MsgOption::empty();

/// A world with a task that can send to another.
struct Pair {
    w: World,
    a: Actor,
    b: Actor,
    /// The name of the port in task B, and of the send right in task A.
    port: PortName,
    to: PortName,
}

impl Pair {
    fn new() -> Pair {
        Pair::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Pair {
        let mut w = World::with_limits(limits);
        let (a, b) = (w.task(), w.task());
        let (port, to) = w.connect(a, b);
        w.host(a);
        w.host(b);
        Pair { w, a, b, port, to }
    }

    fn make(&mut self, recipes: &[Vec<u8>]) -> PortName {
        self.w.make_voucher(self.a, recipes).unwrap()
    }

    /// Sends a message with a voucher from A to B.
    fn send(&mut self, voucher: PortName, disposition: D) -> Result<(), KernReturn> {
        self.w.send(self.a, &Msg::copy_send(self.to).voucher(voucher, disposition))
    }

    fn receive(&mut self, options: MsgOption) -> Received {
        self.w.poll_with(self.b, self.port, options, BUFFER_SIZE).unwrap()
    }

    /// Receives and returns the disposition and the name of the voucher.
    fn take(&mut self, options: MsgOption) -> (u8, PortName) {
        let header = self.receive(options).header;
        (header.voucher().0, header.msgh_voucher_port)
    }

    /// Returns the number of send rights to the port of a voucher.
    fn send_rights(&self, actor: Actor, voucher: PortName) -> u32 {
        let id = self.w.voucher_of(actor, voucher).unwrap();
        let port = self.w.kernel.vouchers.port(id).unwrap();
        self.w.kernel.ipc.port(port).send_rights()
    }

    /// Returns the roles of the account that a task's voucher holds, or `None` if it holds none.
    fn account(&self, actor: Actor, voucher: PortName) -> Option<Roles> {
        let system = self.w.kernel.vouchers.system();
        let handle = system.registry.handle(self.w.voucher_of(actor, voucher)?, Key::BANK)?;
        match system.bank.element_of(handle)?.1 {
            BankElement::Account(account) => Some(*account.roles()),
            BankElement::Task(_) => None,
        }
    }

    /// Fills the queue of the port.
    fn fill_queue(&mut self) {
        while self.w.try_send(self.a, &Msg::copy_send(self.to)).is_ok() {}
    }
}

// covers vouchers L-01 L-02 L-03
// covers mach-ipc V01
#[test]
fn a_header_that_names_no_voucher_is_refused() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, b"a")]);
    let (plain, receive) = (pair.w.port_with_send(pair.a), pair.w.port(pair.a));
    let before = (pair.w.names(pair.a), pair.w.counts());
    for disposition in [D::MOVE_RECEIVE, D::MOVE_SEND_ONCE, D::MAKE_SEND, D::MAKE_SEND_ONCE, D(31)] {
        for name in [voucher, MACH_PORT_NULL] {
            assert_eq!(pair.send(name, disposition), Err(MACH_SEND_INVALID_VOUCHER), "{disposition:?} {name:?}");
        }
    }
    for disposition in [D::MOVE_SEND, D::COPY_SEND] {
        for name in [MACH_PORT_DEAD, plain, receive, UNUSED_NAME, pair.a.self_port] {
            assert_eq!(pair.send(name, disposition), Err(MACH_SEND_INVALID_VOUCHER), "{disposition:?} {name:?}");
        }
    }
    assert_eq!((pair.w.names(pair.a), pair.w.counts()), before);
    assert_eq!((pair.w.refs(pair.a, voucher), pair.w.refs(pair.a, plain)), (1, 1));
}

// covers vouchers L-04 L-05
#[test]
fn a_header_without_a_voucher_shows_what_the_sender_declared() {
    let mut pair = Pair::new();
    for options in [TAKE, LEAVE] {
        pair.send(PortName(0xDEAD), D::NONE).unwrap();
        assert_eq!(pair.take(options), (0, PortName(0xDEAD)));
    }
    for (options, shown) in [(TAKE, 17), (LEAVE, 0)] {
        pair.send(MACH_PORT_NULL, D::COPY_SEND).unwrap();
        assert_eq!(pair.take(options), (shown, MACH_PORT_NULL));
    }
}

// covers vouchers L-06
#[test]
fn a_moved_voucher_leaves_its_sender() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, HELLO)]);
    let id = pair.w.voucher_of(pair.a, voucher);
    pair.send(voucher, D::MOVE_SEND).unwrap();
    assert_eq!(pair.w.port_type(pair.a, voucher), Err(KERN_INVALID_NAME));
    let (shown, name) = pair.take(TAKE);
    assert_eq!((shown, pair.w.voucher_of(pair.b, name), pair.w.refs(pair.b, name)), (17, id, 1));
    assert_eq!(pair.w.extract(pair.b, name, USER_DATA, 5120), Ok(st(USER_DATA, HELLO)));
}

// covers vouchers L-07
// covers mach-ipc V04
#[test]
fn a_receiver_without_the_option_gets_no_voucher() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, b"a")]);
    pair.send(voucher, D::COPY_SEND).unwrap();
    assert_eq!((pair.w.refs(pair.a, voucher), pair.send_rights(pair.a, voucher)), (1, 2));
    assert_eq!(pair.take(LEAVE), (0, MACH_PORT_NULL));
    assert_eq!((pair.w.refs(pair.a, voucher), pair.send_rights(pair.a, voucher)), (1, 1));
    // The last right ends in the receiver's hands.
    pair.send(voucher, D::MOVE_SEND).unwrap();
    assert_eq!((pair.take(LEAVE), pair.w.values().0), ((0, MACH_PORT_NULL), 0));
}

// covers vouchers L-08
// covers mach-ipc V05
#[test]
fn a_voucher_joins_the_name_that_its_receiver_has() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, b"a")]);
    let known = pair.w.make_voucher(pair.b, &[st(USER_DATA, b"a")]).unwrap();
    pair.send(voucher, D::MOVE_SEND).unwrap();
    assert_eq!(pair.take(TAKE), (17, known));
    assert_eq!((pair.w.refs(pair.b, known), pair.w.port_type(pair.a, voucher)), (2, Err(KERN_INVALID_NAME)));
}

// covers vouchers L-09 L-10
// covers mach-ipc V07 V08
#[test]
fn a_voucher_can_be_sent_to_itself() {
    const NO_CALL: i32 = 0xDEAD;
    let mut pair = Pair::new();
    let (w, a) = (&mut pair.w, pair.a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    let to_itself = |remote, disposition| Msg::to(voucher, remote).voucher(voucher, disposition).id(NO_CALL);
    assert_eq!(w.send(a, &to_itself(D::MOVE_SEND, D::MOVE_SEND)), Err(MACH_SEND_INVALID_DEST));
    assert_eq!(w.refs(a, voucher), 1);
    for remote in [D::MAKE_SEND, D::MAKE_SEND_ONCE, D::MOVE_SEND_ONCE] {
        assert_eq!(w.send(a, &to_itself(remote, D::COPY_SEND)), Err(MACH_SEND_INVALID_DEST), "{remote:?}");
    }
    assert_eq!(w.send(a, &to_itself(D::COPY_SEND, D::COPY_SEND)), Ok(()));
    assert_eq!(w.refs(a, voucher), 1);
    assert_eq!(w.send(a, &to_itself(D::MOVE_SEND, D::COPY_SEND)), Ok(()));
    assert_eq!((w.get_refs(a, voucher, MACH_PORT_RIGHT_SEND), w.values().0), (Err(KERN_INVALID_NAME), 0));
    // The other way round, and with enough references for both.
    for (remote, disposition, refs) in [(D::COPY_SEND, D::MOVE_SEND, 1), (D::MOVE_SEND, D::MOVE_SEND, 2)] {
        let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
        w.mod_refs(a, voucher, MACH_PORT_RIGHT_SEND, refs - 1).unwrap();
        assert_eq!(w.send(a, &Msg::to(voucher, remote).voucher(voucher, disposition).id(NO_CALL)), Ok(()));
        assert_eq!((w.port_type(a, voucher), w.values().0), (Err(KERN_INVALID_NAME), 0));
    }
}

// covers vouchers L-11
// covers mach-ipc V09
#[test]
fn a_voucher_is_no_reply_port() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, b"a")]);
    for to in [pair.to, voucher] {
        for reply in [D::COPY_SEND, D::MOVE_SEND, D::MAKE_SEND_ONCE] {
            let message = Msg::copy_send(to).reply_to(voucher, reply).voucher(voucher, D::COPY_SEND);
            assert_eq!(pair.w.send(pair.a, &message), Err(MACH_SEND_INVALID_REPLY), "{to:?} {reply:?}");
        }
    }
    let unknown = Msg::copy_send(UNUSED_NAME).reply_to(voucher, D::COPY_SEND).voucher(voucher, D::COPY_SEND);
    assert_eq!(pair.w.send(pair.a, &unknown), Err(MACH_SEND_INVALID_DEST), "the destination comes first");
    // Another voucher is a port like any other.
    let other = pair.make(&[st(USER_DATA, b"b")]);
    let message = Msg::copy_send(pair.to).reply_to(other, D::COPY_SEND).voucher(voucher, D::COPY_SEND);
    assert_eq!(pair.w.send(pair.a, &message), Ok(()));
    let header = pair.receive(TAKE).header;
    let [reply, taken] =
        [header.msgh_remote_port, header.msgh_voucher_port].map(|name| pair.w.voucher_of(pair.b, name));
    assert_eq!((reply, taken), (pair.w.voucher_of(pair.a, other), pair.w.voucher_of(pair.a, voucher)));
}

// covers vouchers L-12 L-13
#[test]
fn a_receiver_that_takes_the_voucher_works_for_the_sender() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task()]);
    let [a, b] = [pair.a, pair.b].map(|actor| pair.w.kernel.tasks[actor.task].bank.unwrap());
    let accounts = |pair: &Pair| pair.w.values().3.1;
    pair.send(voucher, D::COPY_SEND).unwrap();
    assert_eq!((pair.take(LEAVE), accounts(&pair)), ((0, MACH_PORT_NULL), 0));
    pair.send(voucher, D::COPY_SEND).unwrap();
    let (shown, name) = pair.take(TAKE);
    let roles = pair.account(pair.b, name).unwrap();
    let Roles { holder, merchant, originator, proximate, .. } = roles;
    assert_eq!((shown, [holder, merchant, originator, proximate]), (17, [a, b, a, a]));
    // Another message gives the same voucher, and its end closes the account.
    pair.send(voucher, D::COPY_SEND).unwrap();
    assert_eq!((pair.take(TAKE), pair.w.refs(pair.b, name), accounts(&pair)), ((17, name), 2, 1));
    pair.w.mod_refs(pair.b, name, MACH_PORT_RIGHT_SEND, -2).unwrap();
    assert_eq!((accounts(&pair), pair.w.values().0), (0, 1));
}

// covers vouchers L-14
#[test]
fn a_task_that_sends_to_itself_gets_its_own_voucher_back() {
    let mut pair = Pair::new();
    let (w, a) = (&mut pair.w, pair.a);
    let port = w.port_with_send(a);
    let voucher = w.make_voucher(a, &[current_task()]).unwrap();
    for disposition in [D::COPY_SEND, D::MOVE_SEND] {
        w.send(a, &Msg::copy_send(port).voucher(voucher, disposition)).unwrap();
        let header = w.poll_with(a, port, TAKE, BUFFER_SIZE).unwrap().header;
        assert_eq!((header.voucher(), header.msgh_voucher_port), (D::PORT_SEND, voucher));
    }
    assert_eq!((w.refs(a, voucher), w.values().3.1), (2, 0));
}

// covers vouchers L-15
#[test]
fn a_voucher_in_a_descriptor_is_not_processed() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task()]);
    pair.w.send(pair.a, &Msg::copy_send(pair.to).port(voucher, D::COPY_SEND)).unwrap();
    let name = pair.receive(TAKE).descriptor(0).name;
    assert_eq!(pair.w.voucher_of(pair.b, name), pair.w.voucher_of(pair.a, voucher));
    assert_eq!((pair.w.values().0, pair.w.values().3.1), (1, 0));
}

// covers vouchers L-16
// covers mach-ipc V12
#[test]
fn a_kernel_object_drops_the_voucher() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task(), st(USER_DATA, b"a")]);
    let (w, a) = (&mut pair.w, pair.a);
    let host = w.host(a);
    let recipe = st(TEST, b"made");
    for (to, id, words) in [(host, 222, vec![recipe.len() as u32]), (a.self_port, 3207, vec![voucher.0, 0])] {
        let tail = if to == host { recipe.clone() } else { Vec::new() };
        let request = Msg::copy_send(to).id(id).body(&NDR).words(&words).body(&tail);
        let request = request.voucher(voucher, D::COPY_SEND);
        let padding = vec![0; tail.len().next_multiple_of(4) - tail.len()];
        let reply = w.rpc(a, request.body(&padding)).unwrap();
        assert_eq!((reply.header.voucher(), reply.header.msgh_voucher_port), (D::NONE, MACH_PORT_NULL));
    }
    assert_eq!((w.refs(a, voucher), pair.send_rights(a, voucher)), (1, 1));
    assert_eq!(pair.w.values().0, 2, "the voucher that was sent and the one that was made");
}

// covers vouchers L-20 L-21
#[test]
fn a_message_that_is_not_sent_returns_with_its_voucher() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task()]);
    let me = pair.w.kernel.tasks[pair.a.task].bank.unwrap();
    pair.fill_queue();
    let (w, a) = (&mut pair.w, pair.a);
    let copy = Msg::copy_send(pair.to).voucher(voucher, D::COPY_SEND);
    assert_eq!(w.try_send(a, &copy), Err(MACH_SEND_TIMED_OUT));
    let header = w.received(a).header;
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::COPY_SEND, voucher));
    assert_eq!((w.refs(a, voucher), w.values().0), (1, 1));
    let moved = Msg::copy_send(pair.to).voucher(voucher, D::MOVE_SEND);
    assert_eq!(w.try_send(a, &moved), Err(MACH_SEND_TIMED_OUT));
    let header = w.received(a).header;
    assert_eq!(header.voucher(), D::MOVE_SEND);
    assert_eq!(w.port_type(a, voucher), Err(KERN_INVALID_NAME), "the sender's voucher is gone");
    let id = w.voucher_of(a, header.msgh_voucher_port).expect("the header names a voucher");
    let handle = w.kernel.vouchers.system().registry.handle(id, Key::BANK).unwrap();
    assert_eq!(handle, me.to_bits(), "it holds the sender's task");
    assert_eq!(w.refs(a, header.msgh_voucher_port), 1);
}

// covers vouchers L-22
#[test]
fn a_message_that_is_too_large_loses_its_voucher() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[st(USER_DATA, b"a")]);
    let large = Msg::copy_send(pair.to).body(&[1; 400]);
    pair.w.send(pair.a, &large.clone().voucher(voucher, D::COPY_SEND)).unwrap();
    pair.w.send(pair.a, &large.voucher(PortName(0xDEAD), D::NONE)).unwrap();
    let small = |pair: &mut Pair, options| {
        let code = pair.w.poll_with(pair.b, pair.port, options, 64).unwrap_err();
        assert_eq!(code, MACH_RCV_TOO_LARGE);
        pair.w.received(pair.b).header
    };
    small(&mut pair, TAKE | MsgOption::RCV_LARGE);
    assert_eq!(pair.send_rights(pair.a, voucher), 2, "the message is still queued");
    let header = small(&mut pair, TAKE);
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::PORT_SEND, MACH_PORT_NULL));
    assert_eq!((pair.send_rights(pair.a, voucher), pair.w.refs(pair.a, voucher)), (1, 1));
    let header = small(&mut pair, TAKE);
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::NONE, PortName(0xDEAD)));
}

// covers vouchers L-23
#[test]
fn without_a_free_name_reply_and_voucher_are_both_lost() {
    let full = MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE);
    for free in [0, 1] {
        let mut pair = Pair::with_limits(Limits { names_per_task: 64, ..Limits::default() });
        let voucher = pair.make(&[st(USER_DATA, b"a")]);
        let reply = pair.w.port(pair.a);
        let message = Msg::copy_send(pair.to).voucher(voucher, D::MOVE_SEND);
        let message = if free == 1 { message.reply_to(reply, D::MAKE_SEND_ONCE) } else { message };
        pair.w.send(pair.a, &message).unwrap();
        pair.w.fill_names(pair.b);
        let dead = pair.w.names(pair.b).iter().find(|(_, kind)| *kind == PortType::DEAD_NAME).unwrap().0;
        (0..free).for_each(|_| pair.w.deallocate(pair.b, dead).unwrap());
        let before = pair.w.names(pair.b);
        assert_eq!(pair.w.poll_with(pair.b, pair.port, TAKE, BUFFER_SIZE).unwrap_err(), full, "{free}");
        let header = pair.w.received(pair.b).header;
        assert_eq!((header.voucher(), header.msgh_voucher_port), (D::PORT_SEND, MACH_PORT_NULL));
        assert_eq!((pair.w.names(pair.b), pair.w.values().0), (before, 0), "{free}");
        if free == 1 {
            pair.w.notification(pair.a, reply, MACH_NOTIFY_SEND_ONCE);
        }
    }
}

// covers vouchers L-24
#[test]
fn the_priority_of_the_voucher_is_that_of_the_message() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[priority(USER_INITIATED)]);
    let utility = Priority::of(Qos::Utility);
    pair.w.kernel.sched.policy_mut(pair.a.thread).requested = utility;
    let words = |pair: &Pair| {
        let word = pair.w.kernel.sched[pair.b.thread].frame().rdx;
        ((word >> 32) as u32, word as u32)
    };
    let with = Msg::copy_send(pair.to).voucher(voucher, D::COPY_SEND);
    let without = Msg::copy_send(pair.to);
    for (message, options, expected) in [
        (&with, MsgOption::empty(), USER_INITIATED),
        (&with, MsgOption::SEND_PROPAGATE_QOS, USER_INITIATED),
        (&without, MsgOption::SEND_PROPAGATE_QOS, 0x04FF),
        (&without, MsgOption::empty(), 0),
    ] {
        assert_eq!(pair.w.send_with(pair.a, message, options, 0).code(), MACH_MSG_SUCCESS);
        pair.receive(TAKE);
        assert_eq!(words(&pair), (expected, expected), "{options:?}");
    }
}

// covers vouchers L-25
#[test]
fn without_memory_for_its_processing_a_message_arrives_without_its_voucher() {
    let mut lost = 0;
    for n in 0..40 {
        let mut pair = Pair::new();
        let voucher = pair.make(&[current_task(), st(USER_DATA, &n.to_string().into_bytes())]);
        let message = Msg::copy_send(pair.to).voucher(voucher, D::COPY_SEND).encode();
        pair.w.put(pair.a, BUFFER, &message);
        store::failpoints::arm(Some(n));
        let size = message.len() as u32;
        let args = crate::message::MachMsg { options: MsgOption::SEND_MSG, send_size: size, ..Default::default() };
        let code = pair.w.mach_msg(pair.a, &args).code();
        store::failpoints::disarm();
        if code == MACH_SEND_NO_BUFFER {
            continue;
        }
        assert_eq!(code, MACH_MSG_SUCCESS);
        pair.w.put(pair.b, BUFFER, &UNWRITTEN);
        let (shown, name) = pair.take(TAKE);
        lost += usize::from(name == MACH_PORT_NULL);
        assert!(shown == 17 && (name == MACH_PORT_NULL || pair.account(pair.b, name).is_some()), "{n}");
        assert_eq!(pair.w.refs(pair.a, voucher), 1);
    }
    assert!(lost > 2, "{lost}");
}

/// Errata 3: the receive never fails for want of memory for its voucher.
#[test]
fn without_budget_a_receiver_gets_its_message_without_the_voucher() {
    let mut pair = Pair::with_limits(Limits { kernel_bytes_per_task: 48 * 1024, ..Limits::default() });
    let voucher = pair.make(&[current_task()]);
    pair.send(voucher, D::COPY_SEND).unwrap();
    let (b, port) = (pair.b, pair.port);
    let spare = pair.w.allocate(b, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    let full = pair.w.port_with_send(b);
    pair.w.set_qlimit(b, full, MACH_PORT_QLIMIT_MAX).unwrap();
    while pair.w.allocate(b, MACH_PORT_RIGHT_RECEIVE).is_ok() {}
    while pair.w.try_send(b, &Msg::copy_send(full)).is_ok() {}
    // There is a name for the voucher, but nothing for the voucher itself.
    pair.w.deallocate(b, spare).unwrap();
    let header = pair.w.poll_with(b, port, TAKE, BUFFER_SIZE).unwrap().header;
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::PORT_SEND, MACH_PORT_NULL));
    assert_eq!(pair.w.values().3.1, 0);
}

/// Neither the voucher with the importance nor the rest of it finds room for its port. Nothing holds either then.
#[test]
fn without_budget_importance_and_the_rest_of_its_voucher_are_released() {
    let mut pair = Pair::with_limits(Limits { kernel_bytes_per_task: 48 * 1024, ..Limits::default() });
    let own = it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"");
    let voucher = pair.make(&[own, st(USER_DATA, b"a")]);
    pair.send(voucher, D::COPY_SEND).unwrap();
    let (b, port) = (pair.b, pair.port);
    let full = pair.w.port_with_send(b);
    let spare = pair.w.allocate(b, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    pair.w.set_qlimit(b, full, MACH_PORT_QLIMIT_MAX).unwrap();
    while pair.w.allocate(b, MACH_PORT_RIGHT_RECEIVE).is_ok() {}
    while pair.w.try_send(b, &Msg::copy_send(full)).is_ok() {}
    pair.w.deallocate(b, spare).unwrap();
    let header = pair.w.poll_with(b, port, TAKE, BUFFER_SIZE).unwrap().header;
    assert_eq!((header.voucher(), header.msgh_voucher_port), (D::PORT_SEND, MACH_PORT_NULL));
    assert_eq!(pair.w.values().0, 1, "the sender's voucher is left");
}

#[test]
fn a_waiting_receiver_gets_the_voucher_within_the_senders_step() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task()]);
    assert_eq!(pair.w.receive(pair.b, pair.port, TAKE), crate::world::Ret::Blocked);
    pair.send(voucher, D::MOVE_SEND).unwrap();
    let header = pair.w.received(pair.b).header;
    let roles = pair.account(pair.b, header.msgh_voucher_port).expect("the receiver redeems it");
    assert_eq!(Some(roles.merchant), pair.w.kernel.tasks[pair.b.task].bank);
    assert_eq!(pair.w.values().0, 1);
}

/// A message with a voucher is destroyed with its port, its sender or its blocked thread.
#[test]
fn a_destroyed_message_releases_its_voucher() {
    let mut pair = Pair::new();
    let voucher = pair.make(&[current_task(), st(USER_DATA, b"a")]);
    pair.send(voucher, D::COPY_SEND).unwrap();
    let sender = pair.w.thread(pair.a);
    pair.fill_queue();
    let message = Msg::copy_send(pair.to).voucher(voucher, D::MOVE_SEND);
    assert_eq!(pair.w.send_with(sender, &message, MsgOption::empty(), 0), crate::world::Ret::Blocked);
    assert_eq!(pair.w.values().0, 1);
    pair.w.mod_refs(pair.b, pair.port, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(pair.w.values().0, 0);
}

/// Vouchers 8: a name's count saturates, and each message's right is dropped all the same.
#[test]
fn seventy_thousand_vouchers_are_received_under_one_name() {
    const MANY: u32 = 70_000;
    let mut pair = Pair::new();
    let (w, a) = (&mut pair.w, pair.a);
    let port = w.port_with_send(a);
    let voucher = w.make_voucher(a, &[st(USER_DATA, b"a")]).unwrap();
    w.checked = false;
    let message = Msg::copy_send(port).voucher(voucher, D::COPY_SEND);
    for _ in 0..MANY {
        w.send(a, &message).unwrap();
        assert_eq!(w.poll_with(a, port, TAKE, 64).unwrap().header.msgh_voucher_port, voucher);
    }
    w.checked = true;
    assert_eq!((w.refs(a, voucher), pair.send_rights(a, voucher)), (u32::from(MACH_PORT_UREFS_MAX), 1));
    pair.w.destroy(a, voucher).unwrap();
    assert_eq!(pair.w.values().0, 0);
}
