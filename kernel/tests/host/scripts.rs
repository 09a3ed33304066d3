//! Whole scenarios of vouchers, donation, QoS and special replies, in which one thing goes wrong at one step: a task
//! ends, an allocation or all further ones fail, a copy fails, or the receiver's budget is used up. The other steps go
//! on as well as they can. Nothing is left at the end, and all invariants hold all the time.
//!
//! `failures.rs` looks at single traps, and at what they answer.

use crate::machine::Failure;
use crate::message::{MachMsg, Msg};
use crate::program::spawn_args;
use crate::vouchers::{USER_DATA, current_task, it, priority, st};
use crate::world::{ARGUMENTS, Actor, BUFFER, BUFFER_SIZE, Ret, World};
use abi::PortName;
use abi::debug::Counts;
use abi::message::MsgOption;
use abi::mig;
use abi::policy::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{AppType, Role};
use abi::task::TaskSpawnArgs;
use abi::trap::{mach, tally, unix};
use abi::voucher::*;
use kernel::inspect::invariants::check_all;
use voucher::managers::importance::MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL;
use zerocopy::IntoBytes;

/// The cast of a scenario. A is an application; B and C are adaptive daemons.
struct Cast {
    w: World,
    a: Actor,
    b: Actor,
    c: Actor,
    /// Another thread of A.
    helper: Actor,
    host: PortName,
    /// B's and C's names for their own threads.
    threads: [PortName; 2],
    /// The ports of B and C, and their names at A and at B.
    b_port: PortName,
    a_to_b: PortName,
    c_port: PortName,
    b_to_c: PortName,
    /// The last voucher, reply right and other right that a step has got.
    voucher: PortName,
    reply: PortName,
    right: PortName,
}

type Step = fn(&mut Cast);

impl Cast {
    fn new() -> Cast {
        let mut w = World::new();
        w.checked = false;
        let (a, b, c) = (w.app(), w.adaptive(), w.adaptive());
        let helper = w.thread(a);
        let (b_port, a_to_b) = w.donation_path(a, b);
        let (c_port, b_to_c) = w.donation_path(b, c);
        let (host, threads) = (w.host(a), [w.thread_self(b), w.thread_self(c)]);
        let none = MACH_PORT_NULL;
        w.checked = true;
        let (voucher, reply, right) = (none, none, none);
        Cast { w, a, b, c, helper, host, threads, b_port, a_to_b, c_port, b_to_c, voucher, reply, right }
    }

    fn can_run(&self, actor: Actor) -> bool {
        matches!(self.w.state(actor), Ret::Done(_))
    }

    fn trap(&mut self, actor: Actor, number: u32, args: &[u64]) -> Option<u64> {
        if !self.can_run(actor) {
            return None;
        }
        match self.w.trap(actor, number, args) {
            Ret::Done(value) => Some(value),
            _ => None,
        }
    }

    fn send_with(&mut self, actor: Actor, message: &Msg, options: MsgOption, priority: u32) {
        if self.can_run(actor) {
            let bytes = message.encode();
            self.w.put(actor, BUFFER, &bytes);
            let (options, send_size) = (options | MsgOption::SEND_MSG, bytes.len() as u32);
            self.w.mach_msg(actor, &MachMsg { options, send_size, priority, ..MachMsg::default() });
        }
    }

    fn send(&mut self, actor: Actor, message: &Msg) {
        self.send_with(actor, message, MsgOption::empty(), 0);
    }

    /// Receives with the voucher, and keeps the names of what came.
    fn take(&mut self, actor: Actor, name: PortName) {
        self.receive(actor, name, MsgOption::RCV_TIMEOUT);
        self.keep(actor);
    }

    fn receive(&mut self, actor: Actor, receive_name: PortName, options: MsgOption) {
        (self.voucher, self.reply, self.right) = (MACH_PORT_NULL, MACH_PORT_NULL, MACH_PORT_NULL);
        if self.can_run(actor) {
            let options = options | MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
            self.w.put(actor, BUFFER, &[0; 64]);
            let receive_size = BUFFER_SIZE;
            self.w.mach_msg(actor, &MachMsg { options, receive_name, receive_size, ..MachMsg::default() });
        }
    }

    fn keep(&mut self, actor: Actor) {
        if self.w.state(actor) == Ret::Done(0) {
            let message = self.w.received(actor);
            let descriptors = message.descriptors();
            (self.voucher, self.reply) = (message.header.msgh_voucher_port, message.header.msgh_remote_port);
            self.right = descriptors.first().map_or(MACH_PORT_NULL, |descriptor| descriptor.name);
        }
    }

    fn create(&mut self, content: &[u8]) {
        let own = it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b"");
        let recipes = [st(USER_DATA, content), current_task(), priority(0x10FF), own].concat();
        let (a, result) = (self.a, self.w.result(self.a));
        if self.can_run(a) {
            self.w.put(a, BUFFER, &recipes);
            self.w.put(a, 1024, &[0; 4]);
            let args = [self.host.0.into(), self.w.buffer(a), recipes.len() as u64, result];
            self.trap(a, mach::HOST_CREATE_MACH_VOUCHER, &args);
            let name = self.w.get(a, 1024, 4);
            self.voucher = PortName(u32::from_le_bytes(name.try_into().unwrap()));
        }
    }

    fn release(&mut self, actor: Actor, name: PortName) {
        self.trap(actor, mach::MACH_PORT_DEALLOCATE, &[actor.self_port.0, name.0].map(u64::from));
    }

    fn adopt(&mut self, actor: Actor, name: PortName) {
        let args = [BSDTHREAD_CTL_SET_SELF, 0, name.0, SET_SELF_VOUCHER].map(u64::from);
        self.trap(actor, unix::BSDTHREAD_CTL, &args);
    }

    fn request_of_a(&self) -> Msg {
        Msg::copy_send(self.a_to_b).voucher(self.voucher, D::COPY_SEND)
    }

    fn move_to_c(&mut self) {
        self.send(self.b, &Msg::copy_send(self.b_to_c).port(self.b_port, D::MOVE_RECEIVE));
    }

    /// Calls a voucher or a thread.
    fn ask(&mut self, actor: Actor, to: PortName, id: i32, words: &[u32], port: Option<PortName>) {
        let message = Msg::copy_send(to).id(id);
        let message = match port {
            Some(port) => message.port(port, D::COPY_SEND),
            None => message.body(&mig::NDR).words(words),
        };
        self.send(actor, &message);
    }

    /// Ends the tasks and everything that they have left to init.
    fn finish(mut self, baseline: &Counts) {
        for actor in [self.a, self.b, self.c] {
            self.w.end_task(actor);
        }
        let init = self.w.init;
        let others: Vec<_> = self.w.kernel.tasks.iter().map(|(id, _)| id).filter(|id| *id != init.task).collect();
        others.into_iter().for_each(|task| self.w.exit(task));
        while self.w.poll(init, init.inbox).is_ok() {}
        self.w.release_dead_names();
        self.w.advance(voucher::importance::DELAY);
        assert_eq!(self.w.importance_objects(), (1, 0), "elements and inherits");
        assert_eq!(self.w.counts(), *baseline, "objects");
    }
}

/// A voucher of all managers goes from A to B, which adopts it and forwards it to C.
const FORWARD: &[Step] = &[
    |s| s.create(&[7; 100]),
    |s| s.send(s.a, &s.request_of_a()),
    |s| s.release(s.a, s.voucher),
    |s| s.take(s.b, s.b_port),
    |s| s.adopt(s.b, s.voucher),
    |s| s.send(s.b, &Msg::copy_send(s.b_to_c).voucher(s.voucher, D::MOVE_SEND)),
    |s| s.take(s.c, s.c_port),
    |s| s.ask(s.c, s.threads[1], mig::thread_act::SWAP_MACH_VOUCHER, &[], Some(s.voucher)),
    |s| {
        let command = MACH_VOUCHER_IMPORTANCE_ATTR_DROP_EXTERNAL;
        let words = [MACH_VOUCHER_ATTR_KEY_IMPORTANCE, command, 4, 1, 4];
        s.ask(s.c, s.voucher, mig::mach_voucher::ATTR_COMMAND, &words, None);
    },
    |s| s.adopt(s.b, MACH_PORT_NULL),
    |s| s.release(s.c, s.voucher),
];

/// B waits for the message, and answers with a voucher to a task that waits on its special reply port.
const ROUND_TRIP: &[Step] = &[
    |s| s.receive(s.b, s.b_port, MsgOption::empty()),
    |s| {
        let name = s.trap(s.a, mach::THREAD_GET_SPECIAL_REPLY_PORT, &[]).unwrap_or(0);
        s.right = PortName(name as u32);
    },
    |s| s.create(b"a"),
    |s| s.trap(s.b, tally::PORT_BIND_SERVICER, &[s.b_port.0.into(), s.threads[0].0.into()]).map_or((), drop),
    |s| {
        if s.can_run(s.a) {
            let bytes = s.request_of_a().reply_to(s.right, D::MAKE_SEND_ONCE).encode();
            s.w.put(s.a, BUFFER, &bytes);
            let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG | MsgOption::RCV_VOUCHER;
            let options = options | MsgOption::SEND_SYNC_OVERRIDE;
            let (send_size, receive_name, receive_size) = (bytes.len() as u32, s.right, BUFFER_SIZE);
            s.w.mach_msg(s.a, &MachMsg { options, send_size, receive_name, receive_size, ..MachMsg::default() });
        }
    },
    |s| s.keep(s.b),
    |s| s.adopt(s.b, s.voucher),
    |s| s.send(s.b, &Msg::to(s.reply, D::MOVE_SEND_ONCE).voucher(s.voucher, D::MOVE_SEND)),
    |s| s.keep(s.a),
    |s| s.release(s.a, s.voucher),
];

/// B's port travels to C while messages wait in it and one more comes.
const TRANSIT: &[Step] = &[
    |s| s.send(s.a, &Msg::copy_send(s.a_to_b)),
    |s| s.move_to_c(),
    |s| s.create(b"b"),
    |s| s.send(s.a, &s.request_of_a()),
    |s| s.take(s.c, s.c_port),
    |s| {
        let port = s.right;
        s.take(s.c, port);
        s.take(s.c, port);
    },
    |s| s.adopt(s.c, s.voucher),
    |s| s.release(s.c, s.voucher),
];

/// The queue of B is full: one sender is told of room later, another blocks with its voucher.
const BLOCKED: &[Step] = &[
    |s| s.ask(s.b, s.b.self_port, mig::mach_port::SET_ATTRIBUTES, &[s.b_port.0, MACH_PORT_LIMITS_INFO, 1, 1], None),
    |s| s.send(s.a, &Msg::copy_send(s.a_to_b)),
    |s| s.create(b"c"),
    |s| {
        let options = MsgOption::SEND_TIMEOUT | MsgOption::SEND_NOTIFY;
        s.send_with(s.a, &s.request_of_a().reply_to(s.a.inbox, D::MAKE_SEND_ONCE), options, 0);
    },
    |s| {
        let options = MsgOption::SEND_OVERRIDE | MsgOption::SEND_PROPAGATE_QOS;
        s.send_with(s.helper, &s.request_of_a(), options, 0x8FF);
    },
    |s| s.take(s.b, s.b_port),
    |s| s.release(s.b, s.voucher),
    |s| s.take(s.b, s.b_port),
    |s| s.release(s.b, s.voucher),
];

/// A service port waits with messages for a daemon that is started for it and gets it by a message.
const LAUNCH: &[Step] = &[
    |s| s.ask(s.b, s.b.self_port, mig::mach_port::SET_ATTRIBUTES, &[s.b_port.0, MACH_PORT_TEMPOWNER, 0], None),
    |s| s.create(b"d"),
    |s| s.send(s.a, &s.request_of_a()),
    |s| {
        let (daemon, role) = (AppType::DaemonAdaptive as u32, Role::Unspecified as u32);
        let watch_ports = s.a.memory + ARGUMENTS + 1024;
        if s.can_run(s.a) {
            s.w.put(s.a, ARGUMENTS + 1024, s.a_to_b.as_bytes());
            let args = TaskSpawnArgs { app_type: daemon, role, watch_ports, watch_port_count: 1, ..spawn_args() };
            let _ = s.w.start_spawn(s.a, args);
        }
    },
    |s| s.move_to_c(),
    |s| s.take(s.c, s.c_port),
    |s| s.take(s.c, s.right),
    |s| s.release(s.c, s.voucher),
];

const SCRIPTS: [(&str, &[Step]); 5] =
    [("forward", FORWARD), ("round trip", ROUND_TRIP), ("transit", TRANSIT), ("blocked", BLOCKED), ("launch", LAUNCH)];

/// Plays a script and does something around one of its steps.
fn play(name: &str, steps: &[Step], at: usize, what: &str, baseline: &Counts, around: impl Fn(&mut Cast, Step)) {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut cast = Cast::new();
        for (number, step) in steps.iter().enumerate() {
            if number == at { around(&mut cast, *step) } else { step(&mut cast) }
        }
        cast.finish(baseline);
    }));
    store::failpoints::disarm();
    if let Err(panic) = outcome {
        eprintln!("{name}: {what} at step {at}");
        std::panic::resume_unwind(panic);
    }
}

fn baseline() -> Counts {
    World::new().counts()
}

/// The scripts do what they say if nothing goes wrong.
#[test]
fn undisturbed_scripts_reach_their_ends() {
    for (name, steps) in SCRIPTS {
        let mut cast = Cast::new();
        for (number, step) in steps.iter().enumerate() {
            if number + 1 == steps.len() {
                assert!(cast.voucher.is_valid(), "{name}: a voucher has come");
            }
            step(&mut cast);
        }
        cast.finish(&baseline());
    }
}

#[test]
fn a_task_may_end_at_every_step() {
    let baseline = baseline();
    for (name, steps) in SCRIPTS {
        for at in 0..steps.len() {
            for dying in 0..3 {
                play(name, steps, at, &format!("end of task {dying}"), &baseline, |cast, step| {
                    step(cast);
                    cast.w.end_task([cast.a, cast.b, cast.c][dying]);
                });
            }
        }
    }
}

#[test]
fn every_allocation_and_copy_may_fail_at_every_step() {
    let (baseline, mut points) = (baseline(), 0);
    for (name, steps) in SCRIPTS {
        for at in 0..steps.len() {
            let uses = std::cell::Cell::new((0, 0));
            play(name, steps, at, "nothing", &baseline, |cast, step| {
                cast.w.machine.fail(None);
                store::failpoints::arm(None);
                step(cast);
                uses.set((store::failpoints::disarm(), cast.w.machine.uses().0));
            });
            points += uses.get().0 + uses.get().1;
            for n in 0..uses.get().0 {
                for from in [false, true] {
                    play(name, steps, at, &format!("allocation {n}, {from}"), &baseline, |cast, step| {
                        if from {
                            store::failpoints::arm_from(n)
                        } else {
                            store::failpoints::arm(Some(n))
                        }
                        step(cast);
                        store::failpoints::disarm();
                    });
                }
            }
            for n in 0..uses.get().1 {
                play(name, steps, at, &format!("copy {n}"), &baseline, |cast, step| {
                    cast.w.machine.fail(Some(Failure::Copy(n)));
                    step(cast);
                    cast.w.machine.fail(None);
                });
            }
        }
    }
    assert!(points > 250, "{points} allocations and copies");
}

/// Each task's budget has room for this many bytes during one step.
#[test]
fn every_budget_may_be_used_up_at_every_step() {
    /// More than any step of a script needs.
    const ROOM_MAX: usize = 1536;
    const GRANULE: usize = 48;
    let baseline = baseline();
    for (name, steps) in SCRIPTS {
        for at in 0..steps.len() {
            for (task, room) in (0..3).flat_map(|task| (0..ROOM_MAX).step_by(GRANULE).map(move |room| (task, room))) {
                play(name, steps, at, &format!("{room} bytes for task {task}"), &baseline, |cast, step| {
                    let actor = [cast.a, cast.b, cast.c][task];
                    let limit = kernel::limits::KERNEL_BYTES_PER_TASK_MAX;
                    let filled = limit - cast.w.used(actor.task) - room;
                    let budget = cast.w.space_of(actor.task).budget();
                    cast.w.checked = false;
                    cast.w.kernel.ipc.charge(budget, filled).unwrap();
                    step(cast);
                    cast.w.kernel.ipc.refund(budget, filled);
                    cast.w.checked = true;
                    check_all(&cast.w.kernel);
                });
            }
        }
    }
}
