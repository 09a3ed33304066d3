//! Calls with vouchers and with importance, on the fast path and on the slow one: the second class of errata 5. The same
//! calls are made both ways; what programs can see must be the same, and so must all counts.

mod company;
use crate::importance::counts_of;
use crate::message::{MachMsg, Msg, Received};
use crate::vouchers::{USER_DATA, USER_INITIATED, current_task, it, priority, st};
use crate::world::{Actor, BUFFER, Ret, World};
use abi::PortName;
use abi::code::*;
use abi::message::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{AppType, Role};
use abi::voucher::*;
use kernel::inspect::invariants::check_all;
use kernel::ipc::entry::{Entry, EntryRight};
use kernel::limits::Limits;
use kernel::machine::UserAddr;
use kernel::shortcut::PlainCall;

const CALL: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);
const TAKE: MsgOption = MsgOption::RCV_VOUCHER;
const NONE: MsgOption = MsgOption::empty();
const ROOM: u32 = 4096;

/// The types of client and server, and whether the server's port accepts donation.
type Kind = (AppType, AppType, bool);

const STRANGERS: Kind = (AppType::None, AppType::None, false);
const NO_DONOR: Kind = (AppType::None, AppType::DaemonAdaptive, true);
const DONATION: Kind = (AppType::AppDefault, AppType::DaemonAdaptive, true);
const TO_STANDARD: Kind = (AppType::AppDefault, AppType::DaemonStandard, true);
const TO_APP: Kind = (AppType::AppDefault, AppType::AppDefault, true);
const CLOSED: Kind = (AppType::AppDefault, AppType::DaemonAdaptive, false);
const DAEMONS: Kind = (AppType::DaemonAdaptive, AppType::DaemonAdaptive, true);

/// A client and a server in a world without other threads of their priority.
struct Duo {
    w: World,
    client: Actor,
    server: Actor,
    /// The server's port, and the client's name of it.
    port: PortName,
    to_server: PortName,
    reply: PortName,
}

impl Duo {
    fn new(shortcuts: bool, (client, server, donation): Kind) -> Duo {
        let mut w = World::with_limits(Limits { shortcuts, ..Limits::default() });
        let [client, server] = [client, server].map(|kind| match kind {
            AppType::AppDefault => w.app(),
            other => w.task_of(other, Role::Unspecified),
        });
        let port = if donation { w.donation_port(server) } else { w.port(server) };
        let to_server = w.give_send(server, port, client);
        let reply = w.warm_port(client);
        Duo { w, client, server, port, to_server, reply }
    }

    fn voucher(&mut self, recipes: &[Vec<u8>]) -> PortName {
        self.w.make_voucher(self.client, recipes).unwrap()
    }

    fn request(&self) -> Msg {
        Msg::copy_send(self.to_server).reply_to(self.reply, D::MAKE_SEND_ONCE).id(1)
    }

    fn with(&self, voucher: PortName) -> Msg {
        self.request().voucher(voucher, D::COPY_SEND)
    }

    /// Makes the server wait for its first request.
    fn serve(&mut self, options: MsgOption) {
        let (server, port) = (self.server, self.port);
        assert_eq!(self.w.receive(server, port, options), Ret::Blocked);
    }

    fn both(&mut self, actor: Actor, message: &Msg, from: PortName, options: MsgOption) -> Ret {
        let bytes = message.encode();
        self.w.put(actor, BUFFER, &bytes);
        let (options, send_size) = (CALL | options, bytes.len() as u32);
        let args = MachMsg { options, send_size, receive_size: ROOM, receive_name: from, ..MachMsg::default() };
        self.w.mach_msg(actor, &args)
    }

    /// Makes the client call, and returns the request as the server gets it.
    fn call(&mut self, request: &Msg) -> Received {
        self.call_with(request, NONE)
    }

    fn call_with(&mut self, request: &Msg, options: MsgOption) -> Received {
        let (client, reply) = (self.client, self.reply);
        assert_eq!(self.both(client, request, reply, options), Ret::Blocked);
        assert_eq!(self.w.state(self.server).code(), MACH_MSG_SUCCESS);
        self.w.received(self.server)
    }

    /// Makes the server answer a request and wait for the next one.
    fn answer(&mut self, request: &Received, options: MsgOption) {
        let (server, port) = (self.server, self.port);
        let answer = Msg::to(request.header.msgh_remote_port, D::MOVE_SEND_ONCE).id(101);
        assert_eq!(self.both(server, &answer, port, options), Ret::Blocked);
        assert_eq!(self.w.state(self.client).code(), MACH_MSG_SUCCESS);
    }

    /// Makes a call with its answer, after which the server does something else; returns the server's name of the voucher.
    fn lone_round(&mut self, request: &Msg) -> PortName {
        let received = self.call(request);
        let answer = Msg::to(received.header.msgh_remote_port, D::MOVE_SEND_ONCE);
        self.w.send(self.server, &answer).unwrap();
        received.header.msgh_voucher_port
    }

    /// Makes a call with its answer; returns the request as the server got it.
    fn round(&mut self, request: &Msg, options: MsgOption) -> Received {
        let received = self.call(request);
        self.answer(&received, options);
        received
    }

    fn rounds(&mut self, request: &Msg, options: MsgOption) {
        self.serve(options);
        (0..4).for_each(|_| drop(self.round(request, options)));
        self.call(request);
    }

    /// As [`rounds`](Duo::rounds); the server gives up the voucher of each request before it answers.
    fn rounds_given_up(&mut self, request: &Msg) {
        self.serve(TAKE);
        for _ in 0..4 {
            let received = self.call(request);
            self.w.deallocate(self.server, received.header.msgh_voucher_port).unwrap();
            self.answer(&received, TAKE);
        }
        self.call(request);
    }

    /// Makes the client call by the fast path alone. Returns true if the server runs then.
    fn is_direct(&mut self, request: &Msg, options: MsgOption) -> bool {
        let bytes = request.encode();
        let (client, w) = (self.client, &mut self.w);
        w.put(client, BUFFER, &bytes);
        let before = w.run(client.thread);
        w.restore_schedule(client.thread, before);
        w.settle_choice(client.thread);
        let (size, bits) = (bytes.len() as u64, (CALL | options).bits());
        let frame = w.kernel.sched[client.thread].frame_mut();
        (frame.rdi, frame.rsi, frame.rdx) = (client.memory + BUFFER, bits.into(), size);
        (frame.r10, frame.r8) = (ROOM.into(), self.reply.0.into());
        let call = PlainCall::from_arguments(frame.arguments());
        assert_eq!(call.buffer, UserAddr(w.buffer(client)));
        let next = w.kernel.call_directly(&mut w.machine, 0, &call).map(|switch| switch.thread);
        check_all(&w.kernel);
        assert!(next.is_none_or(|next| next == self.server.thread));
        next.is_some()
    }

    /// Describes all that programs can see, and all counts.
    fn snapshot(&self) -> String {
        let mut seen = String::new();
        for actor in [self.client, self.server] {
            let thread = &self.w.kernel.sched[actor.thread];
            let rdx = thread.frame().rdx;
            seen += &format!("{:?} {:?} {rdx:x?}\n", self.w.state(actor), thread.state());
            seen += &format!("{:x?}\n", self.w.get(actor, BUFFER, 512));
            for (name, entry) in self.w.space_of(actor.task).iter() {
                seen += &format!("{name:?} {}, ", describe(entry));
            }
            let boosts = (self.w.boosts(actor), self.w.transitions(actor), self.w.element_refs(actor));
            seen += &format!("\n{boosts:?} {}\n", self.w.used(actor.task));
            for inherit in self.w.inherits(actor) {
                // How often an inherit was handed out, only the voucher system knows.
                let (total, dropped, _, refs, donating) = counts_of(inherit);
                seen += &format!("{total} {dropped} {refs} {donating} {:?}\n", inherit.depth());
            }
        }
        let port = self.w.port_of(self.server, self.port);
        let port = self.w.kernel.ipc.port(port);
        seen += &format!("{:?} {:?}\n", port.status(), port.boosts());
        seen + &format!("{:?} {}", self.w.counts(), self.w.kernel.vouchers.count())
    }
}

/// Describes an entry of a space without the ids of objects: the slow path makes more of them.
fn describe(entry: &Entry) -> String {
    let urefs = match entry.right {
        EntryRight::Send { urefs, .. } | EntryRight::DeadName { urefs } => urefs,
        EntryRight::Receive { send_urefs, .. } => send_urefs,
        EntryRight::SendOnce { .. } | EntryRight::PortSet { .. } => 1,
    };
    format!("{:?} {urefs} {}", entry.right.port_type(), entry.request.is_some())
}

/// A name, the kind of client and server, and calls between them.
type Scenario = (&'static str, Kind, fn(&mut Duo));

const VOUCHERS: [Scenario; 12] = [
    ("a voucher that says for whom the server works", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
    ("such a voucher, given up each time", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.rounds_given_up(&request);
    }),
    ("a voucher with a priority", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task(), priority(USER_INITIATED)]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
    ("a voucher that arrives as it is", STRANGERS, |d| {
        let voucher = d.voucher(&[st(USER_DATA, b"a"), priority(USER_INITIATED)]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
        let received = d.w.received(d.server);
        d.answer(&received, TAKE);
        d.w.deallocate(d.client, voucher).unwrap();
    }),
    ("a receiver that takes no vouchers", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task(), priority(USER_INITIATED)]);
        let request = d.with(voucher);
        d.rounds(&request, NONE);
    }),
    ("a receiver that takes a voucher now and then", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task(), st(USER_DATA, b"b")]);
        let request = d.with(voucher);
        d.serve(TAKE);
        [NONE, TAKE, TAKE, NONE, TAKE, TAKE].into_iter().for_each(|options| drop(d.round(&request, options)));
        d.call(&request);
    }),
    ("a moved voucher", STRANGERS, |d| {
        d.serve(TAKE);
        for _ in 0..4 {
            let voucher = d.voucher(&[current_task()]);
            let request = d.request().voucher(voucher, D::MOVE_SEND);
            d.round(&request, TAKE);
        }
    }),
    ("two vouchers and none, in turn", STRANGERS, |d| {
        let vouchers = [b"1", b"2"].map(|content| d.voucher(&[current_task(), st(USER_DATA, content)]));
        d.serve(TAKE);
        for _ in 0..3 {
            for voucher in vouchers {
                d.round(&d.with(voucher), TAKE);
            }
            d.round(&d.request(), TAKE);
            d.round(&d.request().voucher(MACH_PORT_NULL, D::COPY_SEND), TAKE);
        }
    }),
    ("a voucher that dies and is made again", STRANGERS, |d| {
        d.serve(TAKE);
        for _ in 0..3 {
            let voucher = d.voucher(&[current_task()]);
            let request = d.with(voucher);
            d.round(&request, TAKE);
            let mine = d.lone_round(&request);
            d.w.mod_refs(d.client, voucher, MACH_PORT_RIGHT_SEND, -1).unwrap();
            d.w.mod_refs(d.server, mine, MACH_PORT_RIGHT_SEND, -2).unwrap();
            d.serve(TAKE);
        }
    }),
    ("user references at their limit", STRANGERS, |d| {
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.serve(TAKE);
        let mine = d.lone_round(&request);
        d.w.mod_refs(d.server, mine, MACH_PORT_RIGHT_SEND, i32::from(MACH_PORT_UREFS_MAX) - 3).unwrap();
        d.serve(TAKE);
        (0..3).for_each(|_| drop(d.round(&request, TAKE)));
        d.lone_round(&request);
        assert_eq!(d.w.get_refs(d.server, mine, MACH_PORT_RIGHT_SEND), Ok(MACH_PORT_UREFS_MAX.into()));
    }),
    ("a name that is no voucher", STRANGERS, |d| {
        d.serve(TAKE);
        for name in [d.to_server, d.reply, MACH_PORT_DEAD, PortName(0x7777)] {
            let request = d.with(name);
            let _ = d.both(d.client, &request, d.reply, NONE);
        }
    }),
    ("a sender's importance in a voucher", CLOSED, |d| {
        let own = it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"");
        let voucher = d.voucher(&[own, current_task()]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
];

const BOOSTS: [Scenario; 14] = [
    ("a donor's calls", DONATION, |d| {
        let request = d.request();
        d.rounds(&request, TAKE);
    }),
    ("a donor's calls, the voucher given up each time", DONATION, |d| {
        let request = d.request();
        d.rounds_given_up(&request);
    }),
    ("a donor's calls with a voucher", DONATION, |d| {
        let voucher = d.voucher(&[current_task(), priority(USER_INITIATED)]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
    ("a donor's calls to a daemon that takes no vouchers", DONATION, |d| {
        let voucher = d.voucher(&[priority(USER_INITIATED)]);
        let request = d.with(voucher);
        d.rounds(&request, NONE);
    }),
    ("a daemon that keeps one boost and takes no more", DONATION, |d| {
        let (request, voucher) = (d.request(), d.voucher(&[current_task()]));
        d.serve(TAKE);
        [NONE, NONE, TAKE, NONE, TAKE].into_iter().for_each(|options| drop(d.round(&request, options)));
        d.round(&d.with(voucher), TAKE);
        d.call(&request);
    }),
    ("a donor that naps in between", DONATION, |d| {
        let request = d.request();
        d.serve(TAKE);
        for naps in [false, true, false] {
            d.w.set_nap(d.client, naps);
            d.round(&request, TAKE);
            d.round(&request, TAKE);
        }
    }),
    ("the end of all boosts", DONATION, |d| {
        let request = d.request();
        d.serve(TAKE);
        d.round(&request, TAKE);
        let mine = d.lone_round(&request);
        d.w.mod_refs(d.server, mine, MACH_PORT_RIGHT_SEND, -1).unwrap();
        assert_eq!(d.w.element(d.server).assertions(), 2);
        d.w.mod_refs(d.server, mine, MACH_PORT_RIGHT_SEND, -1).unwrap();
        assert_eq!(d.w.element(d.server).assertions(), 0);
        d.serve(TAKE);
        d.round(&request, TAKE);
    }),
    ("calls that want no donation", DONATION, |d| {
        let request = d.request();
        d.serve(TAKE);
        d.round(&request, TAKE);
        let received = d.call_with(&request, MsgOption::SEND_NOIMPORTANCE);
        d.answer(&received, TAKE);
    }),
    ("a sender that is no donor", NO_DONOR, |d| {
        let (request, voucher) = (d.request(), d.voucher(&[current_task()]));
        let with_voucher = d.with(voucher);
        d.rounds(&request, TAKE);
        let received = d.w.received(d.server);
        d.answer(&received, TAKE);
        (0..3).for_each(|_| drop(d.round(&with_voucher, TAKE)));
    }),
    ("a donor's calls to a standard daemon", TO_STANDARD, |d| {
        let (request, voucher) = (d.request(), d.voucher(&[current_task()]));
        let with_voucher = d.with(voucher);
        d.rounds(&request, TAKE);
        let received = d.w.received(d.server);
        d.answer(&received, TAKE);
        (0..3).for_each(|_| drop(d.round(&with_voucher, TAKE)));
    }),
    ("a donor's calls to an application", TO_APP, |d| {
        let request = d.request();
        d.rounds(&request, TAKE);
    }),
    ("a voucher to a port without donation from a donor", CLOSED, |d| {
        let voucher = d.voucher(&[current_task()]);
        let request = d.with(voucher);
        d.rounds(&request, TAKE);
    }),
    ("importance that is passed on", DAEMONS, |d| {
        let app = d.w.app();
        let (own, to_client) = d.w.donation_path(app, d.client);
        d.w.ping(app, to_client);
        let given = d.w.take(d.client, own).voucher;
        let request = d.with(given);
        d.rounds(&request, TAKE);
        let received = d.w.received(d.server);
        d.answer(&received, TAKE);
        d.w.deallocate(d.client, given).unwrap();
    }),
    ("a daemon's calls before and after it is boosted", DAEMONS, |d| {
        let app = d.w.app();
        let (own, to_client) = d.w.donation_path(app, d.client);
        let request = d.request();
        d.serve(TAKE);
        d.round(&request, TAKE);
        d.w.ping(app, to_client);
        (0..3).for_each(|_| drop(d.round(&request, TAKE)));
        d.w.take_plain(d.client, own);
        d.round(&request, TAKE);
    }),
];

fn compare(scenarios: &[Scenario]) {
    for (name, kind, calls) in scenarios {
        let [fast, slow] = [true, false].map(|shortcuts| {
            let mut duo = Duo::new(shortcuts, *kind);
            calls(&mut duo);
            duo.snapshot()
        });
        assert!(fast == slow, "{name}\n{fast}\n\n{slow}");
    }
}

/// Errata 5.
#[test]
fn calls_with_vouchers_and_importance_give_the_results_of_the_slow_path() {
    compare(&VOUCHERS);
    compare(&BOOSTS);
}

/// Returns which of four calls in a row are direct, with what the server does with each request.
fn direct_calls(kind: Kind, recipes: &[Vec<u8>], options: MsgOption, keeps: bool) -> [bool; 4] {
    let mut duo = Duo::new(true, kind);
    let request = if recipes.is_empty() {
        duo.request()
    } else {
        let voucher = duo.voucher(recipes);
        duo.with(voucher)
    };
    duo.serve(options);
    [(); 4].map(|()| {
        let direct = duo.is_direct(&request, NONE);
        if !direct {
            duo.call(&request);
        }
        let received = duo.w.received(duo.server);
        if !keeps {
            duo.w.deallocate(duo.server, received.header.msgh_voucher_port).unwrap();
        }
        duo.answer(&received, options);
        direct
    })
}

#[test]
fn a_voucher_and_a_boost_that_the_server_has_already_come_directly() {
    const FIRST_SLOWLY: [bool; 4] = [false, true, true, true];
    let (bank, urgent) = (current_task(), priority(USER_INITIATED));
    let both = [bank, urgent];
    for (kind, recipes, options, keeps, direct) in [
        (STRANGERS, &both[..], TAKE, true, FIRST_SLOWLY),
        (STRANGERS, &both[..], TAKE, false, [false; 4]),
        (STRANGERS, &both[..], NONE, true, [true; 4]),
        (DONATION, &[], TAKE, true, FIRST_SLOWLY),
        (DONATION, &[], TAKE, false, [false; 4]),
        (DONATION, &[], NONE, true, [false; 4]),
        (DONATION, &both[..], TAKE, true, FIRST_SLOWLY),
        // The first call also sets the timer to the shorter quantum of the background.
        (NO_DONOR, &[], TAKE, true, FIRST_SLOWLY),
        (NO_DONOR, &both[..], TAKE, true, FIRST_SLOWLY),
        (TO_STANDARD, &[], TAKE, true, [true; 4]),
        (TO_STANDARD, &both[..], TAKE, true, FIRST_SLOWLY),
        (CLOSED, &both[..], TAKE, true, FIRST_SLOWLY),
    ] {
        assert_eq!(direct_calls(kind, recipes, options, keeps), direct, "{kind:?} {recipes:?} {options:?} {keeps}");
    }
}

/// A voucher lives no longer because its delivery is remembered: its boost ends, and so does its bill.
#[test]
fn what_is_remembered_keeps_no_voucher_alive() {
    let mut duo = Duo::new(true, DONATION);
    let voucher = duo.voucher(&[current_task()]);
    let request = duo.with(voucher);
    duo.serve(TAKE);
    for _ in 0..2 {
        let mine = duo.lone_round(&request);
        assert_eq!((duo.w.kernel.vouchers.count(), duo.w.element(duo.server).assertions()), (2, 1));
        duo.w.deallocate(duo.server, mine).unwrap();
        assert_eq!((duo.w.kernel.vouchers.count(), duo.w.element(duo.server).assertions()), (1, 0));
        duo.serve(TAKE);
    }
}

/// A boost through ten tasks costs a fixed number of visits for each.
#[test]
fn a_boost_along_a_chain_costs_linear_work() {
    let visits = |hops: usize| {
        let mut w = World::new();
        let app = w.app();
        let daemons: Vec<Actor> = (0..hops).map(|_| w.adaptive()).collect();
        let first = w.donation_port(daemons[0]);
        let to_first = w.give_send(daemons[0], first, app);
        // Each daemon waits for the next one, before the first of them is boosted.
        for pair in daemons.windows(2) {
            let (_, to_next) = w.donation_path(pair[0], pair[1]);
            w.ping(pair[0], to_next);
        }
        let before = w.kernel.ipc.importance().visits();
        w.ping(app, to_first);
        assert!(daemons.iter().all(|&daemon| w.boosts(daemon) == crate::importance::WAITED_FOR));
        w.kernel.ipc.importance().visits() - before
    };
    let [one, ten, hundred] = [1, 10, 100].map(visits);
    let per_hop = (ten - one) / 9;
    assert_eq!((ten, hundred), (one + 9 * per_hop, one + 99 * per_hop));
    assert!(per_hop <= 3, "{per_hop} visits for each task");
}
