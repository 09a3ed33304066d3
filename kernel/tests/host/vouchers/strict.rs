//! Strict replies: a reply must come from a thread that works for the persona of the request (vouchers 4.12, 7.7).

use super::*;
use crate::message::Received;
use crate::program::spawn_args;
use crate::world::{BUFFER_SIZE, Ret};
use abi::code::*;
use abi::message::*;
use abi::policy::{BSDTHREAD_CTL_SET_SELF, SET_SELF_VOUCHER};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::{PERSONA_ID_NONE, TaskSpawnArgs};
use abi::trap::unix::BSDTHREAD_CTL;
use kernel::inspect::invariants::check_all;
use kernel::limits::Limits;
use kernel::shortcut::PlainCall;
use voucher::Key;

const USER: u32 = 501;
const OTHER: u32 = 502;

const TAKE: MsgOption = MsgOption::RCV_VOUCHER;
const STRICT: MsgOption = MsgOption::RCV_VOUCHER.union(MsgOption::STRICT_REPLY);

const REFUSED: Result<(), KernReturn> = Err(MACH_SEND_INVALID_CONTEXT);

/// A client and a server. Their vouchers are the client's: `voucher` holds its task.
struct Duo {
    w: World,
    client: Actor,
    server: Actor,
    /// The server's port, and the client's name of it.
    port: PortName,
    to_server: PortName,
    /// The client's reply port.
    reply: PortName,
    voucher: PortName,
}

impl Duo {
    /// Strict replies are on, the client has a persona, and the server has none.
    fn new() -> Duo {
        Duo::with(true, [USER, PERSONA_ID_NONE])
    }

    fn with(strict_reply: bool, personas: [u32; 2]) -> Duo {
        let mut w = World::with_limits(Limits { strict_reply, ..Limits::default() });
        let [client, server] = personas.map(|persona| w.task_with(TaskSpawnArgs { persona, ..spawn_args() }));
        let (port, to_server) = w.connect(client, server);
        let reply = w.warm_port(client);
        let voucher = w.make_voucher(client, &[current_task()]).unwrap();
        Duo { w, client, server, port, to_server, reply, voucher }
    }

    /// Sends a request of the client's with a voucher, or with none, and lets the server receive it.
    fn request_by(&mut self, disposition: D, voucher: PortName, options: MsgOption) -> Received {
        let request = Msg::copy_send(self.to_server).reply_to(self.reply, disposition);
        let carries = if voucher == MACH_PORT_NULL { D::NONE } else { D::COPY_SEND };
        self.w.try_send(self.client, &request.voucher(voucher, carries)).unwrap();
        self.w.poll_with(self.server, self.port, options, BUFFER_SIZE).unwrap()
    }

    /// Does so with a send-once right for the reply and the client's voucher. Returns the server's names of both.
    fn request(&mut self, options: MsgOption) -> (PortName, PortName) {
        let header = self.request_by(D::MAKE_SEND_ONCE, self.voucher, options).header;
        (header.msgh_remote_port, header.msgh_voucher_port)
    }

    /// Does so with another voucher, or none.
    fn request_with(&mut self, voucher: PortName, options: MsgOption) -> (PortName, PortName) {
        let header = self.request_by(D::MAKE_SEND_ONCE, voucher, options).header;
        (header.msgh_remote_port, header.msgh_voucher_port)
    }

    /// Replies as a thread of the server's.
    fn reply_as(&mut self, thread: Actor, once: PortName) -> Result<(), KernReturn> {
        self.w.try_send(thread, &Msg::to(once, D::MOVE_SEND_ONCE))
    }

    /// Checks that a reply is refused, and that it is sent when it is sent again: the record is cleared, and the right is
    /// back under the name in the header.
    #[track_caller]
    fn refused_once(&mut self, thread: Actor, once: PortName) {
        assert_eq!(self.reply_as(thread, once), REFUSED);
        self.w.expect_empty(self.client, self.reply);
        let header = self.w.received(thread).header;
        assert_eq!((header.remote(), header.local()), (D::PORT_SEND_ONCE, D::NONE));
        self.replied(thread, header.msgh_remote_port);
    }

    /// Checks that a reply is sent and received.
    #[track_caller]
    fn replied(&mut self, thread: Actor, once: PortName) {
        assert_eq!(self.reply_as(thread, once), Ok(()));
        let header = self.w.poll(self.client, self.reply).unwrap().header;
        assert_eq!(header.local(), D::PORT_SEND_ONCE);
        self.w.expect_empty(self.client, self.reply);
    }
}

fn set_self(w: &mut World, thread: Actor, voucher: PortName) -> Ret {
    w.trap(thread, BSDTHREAD_CTL, &[BSDTHREAD_CTL_SET_SELF, 0, voucher.0, SET_SELF_VOUCHER].map(u64::from))
}

fn bound_name(w: &World, thread: Actor) -> PortName {
    w.kernel.sched[thread.thread].voucher_name()
}

// covers vouchers L-27
#[test]
fn only_a_thread_bound_by_name_to_a_voucher_of_the_requests_persona_replies() {
    let mut duo = Duo::new();
    let server = duo.server;
    let thread = duo.w.thread_self(server);
    let stranger = duo.w.task_with(TaskSpawnArgs { persona: OTHER, ..spawn_args() });
    let foreign = duo.w.send_account(stranger, server);
    let without_account = duo.w.make_voucher(server, &[st(USER_DATA, b"a")]).unwrap();

    // The personas differ.
    for other in [foreign, without_account] {
        let (once, _) = duo.request(STRICT);
        duo.w.adopt(server, other);
        duo.refused_once(server, once);
    }
    // No voucher.
    let (once, _) = duo.request(STRICT);
    duo.w.adopt(server, MACH_PORT_NULL);
    duo.refused_once(server, once);
    // The right voucher, but without a name.
    let (once, voucher) = duo.request(STRICT);
    duo.w.set_voucher(server, thread, voucher).unwrap();
    assert_eq!(duo.w.kernel.sched[server.thread].voucher(), duo.w.voucher_of(server, voucher));
    duo.refused_once(server, once);
    // The right voucher by its name, and then without one again.
    let (once, voucher) = duo.request(STRICT);
    duo.w.adopt(server, voucher);
    duo.replied(server, once);
    let (once, voucher) = duo.request(STRICT);
    duo.w.set_voucher(server, thread, voucher).unwrap();
    duo.refused_once(server, once);
}

#[test]
fn any_voucher_of_the_persona_will_do_for_the_thread_that_has_adopted_it() {
    let mut duo = Duo::new();
    let (client, server) = (duo.client, duo.server);
    let other = duo.w.thread(server);
    let more = duo.w.make_voucher(client, &[current_task(), st(USER_DATA, b"more")]).unwrap();
    let another = duo.w.pass_voucher(client, server, more);
    let (once, voucher) = duo.request(STRICT);
    assert_ne!(duo.w.voucher_of(server, voucher), duo.w.voucher_of(server, another));
    duo.w.adopt(server, another);
    duo.replied(server, once);
    let (once, _) = duo.request(STRICT);
    duo.refused_once(other, once);
    // The record is of the number: the name may go.
    let (once, _) = duo.request(STRICT);
    duo.w.deallocate(server, another).unwrap();
    assert_eq!(duo.w.voucher_of(server, another), None);
    duo.replied(server, once);
}

#[test]
fn a_voucher_without_an_account_has_the_persona_of_the_task() {
    let mut duo = Duo::with(true, [USER, OTHER]);
    let (client, server) = (duo.client, duo.server);
    let plain = duo.w.make_voucher(client, &[st(USER_DATA, b"a")]).unwrap();
    let (once, voucher) = duo.request_with(plain, STRICT);
    duo.refused_once(server, once);
    let (once, _) = duo.request_with(plain, STRICT);
    duo.w.adopt(server, voucher);
    duo.replied(server, once);
    // In the account the server's persona has replaced the client's (vouchers 6.3.5).
    let (once, _) = duo.request(STRICT);
    duo.replied(server, once);
}

/// A receiver that drops the voucher has not redeemed it, so that the voucher has no account.
#[test]
fn a_voucher_that_is_dropped_has_the_persona_of_the_task() {
    let mut duo = Duo::with(true, [USER, OTHER]);
    let server = duo.server;
    let (once, voucher) = duo.request(MsgOption::STRICT_REPLY);
    assert_eq!(voucher, MACH_PORT_NULL);
    duo.refused_once(server, once);
    let (once, _) = duo.request(MsgOption::STRICT_REPLY);
    let own = duo.w.make_voucher(server, &[st(USER_DATA, b"own")]).unwrap();
    duo.w.adopt(server, own);
    duo.replied(server, once);
}

#[test]
fn without_option_voucher_or_persona_nothing_is_recorded() {
    for (personas, carries, options) in [
        ([USER, PERSONA_ID_NONE], true, TAKE),
        ([USER, PERSONA_ID_NONE], true, MsgOption::empty()),
        ([USER, PERSONA_ID_NONE], false, STRICT),
        ([USER, PERSONA_ID_NONE], true, MsgOption::STRICT_REPLY),
        ([PERSONA_ID_NONE, PERSONA_ID_NONE], true, STRICT),
    ] {
        let mut duo = Duo::with(true, personas);
        let voucher = if carries { duo.voucher } else { MACH_PORT_NULL };
        let (once, _) = duo.request_with(voucher, options);
        let server = duo.server;
        duo.replied(server, once);
    }
}

#[test]
fn a_receive_without_the_option_clears_the_record_and_one_without_a_voucher_keeps_it() {
    let mut duo = Duo::new();
    let server = duo.server;
    for later in [TAKE, MsgOption::empty()] {
        let (first, _) = duo.request(STRICT);
        let (second, _) = duo.request(later);
        duo.replied(server, first);
        duo.replied(server, second);
    }
    let (first, _) = duo.request(STRICT);
    let (second, _) = duo.request_with(MACH_PORT_NULL, STRICT);
    duo.refused_once(server, second);
    duo.replied(server, first);
}

#[test]
fn only_a_programs_send_by_a_send_once_right_is_checked() {
    let mut duo = Duo::new();
    let (client, server) = (duo.client, duo.server);
    let right = duo.request_by(D::MAKE_SEND, duo.voucher, STRICT).header.msgh_remote_port;
    for disposition in [D::COPY_SEND, D::MOVE_SEND] {
        duo.w.try_send(server, &Msg::to(right, disposition)).unwrap();
        duo.w.poll(client, duo.reply).unwrap();
    }
    let (once, _) = duo.request_with(MACH_PORT_NULL, STRICT);
    duo.refused_once(server, once);
    // The notification that a right has ended is the kernel's own.
    let (once, _) = duo.request(STRICT);
    duo.w.deallocate(server, once).unwrap();
    assert_eq!(duo.w.poll(client, duo.reply).unwrap().header.msgh_id, MACH_NOTIFY_SEND_ONCE);
    // A send-once right that its sender makes for the message is one too.
    assert_eq!(duo.w.try_send(client, &Msg::to(duo.reply, D::MAKE_SEND_ONCE)), REFUSED);
    assert_eq!(duo.w.try_send(client, &Msg::to(duo.reply, D::MAKE_SEND_ONCE)), Ok(()));
}

/// The check comes after the rights of the body and the processing of the voucher (errata 2), and what has been taken
/// comes back (mach-ipc 3.11).
#[test]
fn a_refused_reply_returns_with_all_its_rights() {
    let mut duo = Duo::new();
    let server = duo.server;
    let bank = duo.w.kernel.tasks[server.task].bank.unwrap();
    let mine = duo.w.make_voucher(server, &[current_task()]).unwrap();
    let moved = duo.w.port(server);
    let (once, _) = duo.request(STRICT);
    let answer = Msg::to(once, D::MOVE_SEND_ONCE).voucher(mine, D::MOVE_SEND).port(moved, D::MOVE_RECEIVE).words(&[7]);
    assert_eq!(duo.w.try_send(server, &answer), REFUSED);
    let returned = duo.w.received(server);
    let (header, descriptor) = (returned.header, returned.descriptor(0));
    assert_eq!((header.remote(), header.voucher()), (D::PORT_SEND_ONCE, D::PORT_SEND));
    assert_eq!(duo.w.port_type(server, mine), Err(KERN_INVALID_NAME), "the voucher was processed");
    let id = duo.w.voucher_of(server, header.msgh_voucher_port).expect("the header names a voucher");
    let handle = duo.w.kernel.vouchers.system().registry.handle(id, Key::BANK).unwrap();
    assert_eq!(handle, bank.to_bits(), "it holds the sender's task");
    assert_eq!(descriptor.disposition, D::PORT_RECEIVE);
    duo.w.set_qlimit(server, descriptor.name, 3).expect("the receive right is back");
    assert!(duo.w.kernel.step.is_quiet(), "nothing is left to do");
}

/// A request that cannot be received leaves no record.
#[test]
fn a_receive_that_fails_records_nothing() {
    let mut duo = Duo::new();
    let (client, server) = (duo.client, duo.server);
    let (once, _) = duo.request(TAKE);
    let request = Msg::copy_send(duo.to_server).reply_to(duo.reply, D::MAKE_SEND_ONCE).body(&[1; 64]);
    duo.w.try_send(client, &request.voucher(duo.voucher, D::COPY_SEND)).unwrap();
    let received = duo.w.poll_with(server, duo.port, STRICT, 40);
    assert_eq!(received.unwrap_err(), MACH_RCV_TOO_LARGE);
    assert_eq!(duo.w.poll(client, duo.reply).unwrap().header.msgh_id, MACH_NOTIFY_SEND_ONCE);
    duo.replied(server, once);
}

/// A thread keeps the name by which it has adopted its voucher (vouchers 4.12), whatever the setting is.
#[test]
fn a_thread_keeps_the_name_by_which_it_has_adopted_its_voucher() {
    for strict_reply in [false, true] {
        let mut w = World::with_limits(Limits { strict_reply, ..Limits::default() });
        let a = w.task();
        let thread = w.thread_self(a);
        let [v, u] = [b"v", b"u"].map(|content| w.make_voucher(a, &[st(USER_DATA, content)]).unwrap());
        let port = w.port_with_send(a);
        assert_eq!(bound_name(&w, a), MACH_PORT_NULL);
        for (name, bound) in
            [(v, v), (u, u), (MACH_PORT_DEAD, u), (port, u), (a.self_port, u), (MACH_PORT_NULL, MACH_PORT_NULL)]
        {
            let _ = set_self(&mut w, a, name);
            assert_eq!(bound_name(&w, a), bound, "{name:?}");
            assert_eq!(w.kernel.sched[a.thread].voucher(), w.voucher_of(a, bound), "{name:?}");
        }
        for name in [u, MACH_PORT_NULL] {
            w.adopt(a, v);
            w.set_voucher(a, thread, name).unwrap();
            assert_eq!(bound_name(&w, a), MACH_PORT_NULL);
        }
        w.adopt(a, v);
        let other = w.thread(a);
        assert_eq!((bound_name(&w, a), bound_name(&w, other)), (v, MACH_PORT_NULL), "a new thread inherits neither");
    }
}

#[test]
fn without_the_setting_the_option_has_no_effect() {
    let mut duo = Duo::with(false, [USER, PERSONA_ID_NONE]);
    let (client, server) = (duo.client, duo.server);
    for _ in 0..2 {
        let (once, _) = duo.request(STRICT);
        duo.replied(server, once);
    }
    let port = duo.w.port_of(client, duo.reply);
    assert_eq!(duo.w.kernel.ipc.port(port).reply_persona(), None);
}

/// Whether a call of the client's takes the fast path to a server that waits for it.
fn is_direct(duo: &mut Duo, voucher: D) -> bool {
    let (client, server) = (duo.client, duo.server);
    assert_eq!(duo.w.receive(server, duo.port, TAKE), Ret::Blocked);
    let request = Msg::copy_send(duo.to_server).reply_to(duo.reply, D::MAKE_SEND_ONCE);
    let name = if voucher == D::NONE { MACH_PORT_NULL } else { duo.voucher };
    let bytes = request.voucher(name, voucher).encode();
    let w = &mut duo.w;
    w.put(client, BUFFER, &bytes);
    let before = w.run(client.thread);
    w.restore_schedule(client.thread, before);
    w.settle_choice(client.thread);
    let frame = w.kernel.sched[client.thread].frame_mut();
    (frame.rdi, frame.rdx) = (client.memory + BUFFER, bytes.len() as u64);
    frame.rsi = (MsgOption::SEND_MSG | MsgOption::RCV_MSG).bits().into();
    (frame.r10, frame.r8) = (BUFFER_SIZE.into(), duo.reply.0.into());
    let call = PlainCall::from_arguments(frame.arguments());
    let direct = w.kernel.call_directly(&mut w.machine, 0, &call).is_some();
    check_all(&w.kernel);
    direct
}

#[test]
fn strict_replies_close_the_fast_path_in_all_its_forms() {
    for strict_reply in [false, true] {
        let mut duo = Duo::with(strict_reply, [USER, PERSONA_ID_NONE]);
        assert_eq!(is_direct(&mut duo, D::NONE), !strict_reply, "a plain call");

        // The receiver has had the voucher before.
        let mut duo = Duo::with(strict_reply, [USER, PERSONA_ID_NONE]);
        let (once, _) = duo.request(TAKE);
        let server = duo.server;
        duo.replied(server, once);
        assert_eq!(is_direct(&mut duo, D::COPY_SEND), !strict_reply, "a call with a voucher");

        // A limit that is set again does not open the path.
        let mut duo = Duo::with(strict_reply, [USER, PERSONA_ID_NONE]);
        duo.w.set_qlimit(duo.server, duo.port, 7).unwrap();
        duo.w.set_qlimit(duo.client, duo.reply, 7).unwrap();
        assert_eq!(is_direct(&mut duo, D::NONE), !strict_reply, "after the queue limit is set");
    }
}
