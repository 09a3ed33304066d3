//! The scenarios of `failures.rs`. Each is one trap in a world prepared for it.

use crate::importance::scenarios as importance;
use crate::message::{MachMsg, Msg};
use crate::program::{PROGRAM_BASE, program, spawn_args};
use crate::vouchers::scenarios;
use crate::world::{ARGUMENTS, Actor, BUFFER, RESULT, World};
use abi::code::*;
use abi::message::*;
use abi::mig::{self, NDR};
use abi::policy::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::qos::{Priority, Qos};
use abi::task::*;
use abi::trap::{mach, tally, unix};
use abi::{KernReturn, PortName};
use kernel::ids::TaskId;
use zerocopy::IntoBytes;

/// One trap and the codes that it may return when something fails.
pub struct Scenario {
    pub name: &'static str,
    pub prepare: fn() -> Stage,
    /// The codes after a failed copy of user memory.
    pub copy: &'static [KernReturn],
    /// The codes after a failed allocation.
    pub memory: &'static [KernReturn],
    /// True if nothing has changed when the trap returns one of these codes ("check, then commit", errata 3).
    pub copy_changes_nothing: bool,
    pub memory_changes_nothing: bool,
    /// The least number of points that can fail. With fewer the scenario would test nothing.
    pub points_min: u64,
}

/// A world prepared for a scenario's trap.
pub struct Stage {
    pub world: World,
    pub actor: Actor,
    pub number: u32,
    pub args: Vec<u64>,
    /// The second actor, if the scenario has one.
    pub other: Option<Actor>,
    /// The codes that the trap returns when nothing fails.
    pub answers: Vec<KernReturn>,
    /// True if the trap may block, or end its thread, instead.
    pub may_not_return: bool,
    actors: Vec<Actor>,
}

impl Stage {
    pub fn new(world: World, actors: &[Actor], number: u32, args: &[u64]) -> Stage {
        let (actor, other) = (actors[0], actors.get(1).copied());
        let answers = vec![KERN_SUCCESS];
        let args = args.to_vec();
        Stage { world, actor, number, args, other, answers, may_not_return: false, actors: actors.to_vec() }
    }

    fn or_not_return(mut self) -> Stage {
        self.may_not_return = true;
        self
    }

    pub fn answering(mut self, code: KernReturn) -> Stage {
        self.answers = vec![code];
        self
    }

    /// Ends all tasks but init, and drops init's names for them.
    pub fn finish(&mut self) {
        for actor in self.actors.clone() {
            self.world.end_task(actor);
        }
        let init = self.world.init;
        // A spawned child is no actor, so no actor can terminate it: it exits.
        let known = |task: &TaskId| *task == init.task || self.actors.iter().any(|actor| actor.task == *task);
        let children: Vec<_> =
            self.world.kernel.tasks.iter().map(|(task, _)| task).filter(|task| !known(task)).collect();
        children.into_iter().for_each(|child| self.world.exit(child));
        while self.world.poll(init, init.inbox).is_ok() {}
        self.world.release_dead_names();
    }
}

const fn scenario(name: &'static str, prepare: fn() -> Stage) -> Scenario {
    Scenario {
        name,
        prepare,
        copy: &[KERN_MEMORY_ERROR],
        memory: &[KERN_RESOURCE_SHORTAGE],
        copy_changes_nothing: true,
        memory_changes_nothing: true,
        points_min: 1,
    }
}

impl Scenario {
    /// Marks a trap that keeps its effect if its result cannot be written (mach-ipc 2.0, P22).
    const fn with_result(mut self) -> Scenario {
        self.copy_changes_nothing = false;
        self
    }

    /// Marks a request for a notification: a stack argument that cannot be read is an invalid argument (mach-ipc 7.1),
    /// and a notify right that cannot be registered is destroyed (mach-ipc 2.8).
    const fn requesting(mut self) -> Scenario {
        self.copy = &[KERN_INVALID_ARGUMENT, KERN_MEMORY_ERROR];
        self.copy_changes_nothing = false;
        self.memory_changes_nothing = false;
        self
    }

    /// Marks a Unix trap.
    const fn unix(mut self) -> Scenario {
        self.copy = &[KernReturn(EFAULT.0 as i32)];
        self
    }

    /// Marks a send: a failed allocation may cost the rights taken before it.
    const fn message(mut self) -> Scenario {
        self.copy = &[MACH_SEND_INVALID_DATA];
        self.memory = &[MACH_SEND_NO_BUFFER];
        self.memory_changes_nothing = false;
        self
    }

    /// Marks a receive: a failure may cost the message or a right in it.
    const fn receiving(mut self) -> Scenario {
        self.copy = &[MACH_SEND_INVALID_DATA, MACH_RCV_INVALID_DATA];
        self.memory = &[
            MACH_SEND_NO_BUFFER,
            RCV_HEADER_ERROR_SPACE,
            RCV_BODY_ERROR_SPACE,
            RCV_BODY_ERROR_KERNEL,
            MACH_RCV_TIMED_OUT,
        ];
        self.copy_changes_nothing = false;
        self.memory_changes_nothing = false;
        self
    }

    const fn at_least(mut self, points: u64) -> Scenario {
        self.points_min = points;
        self
    }
}

const RCV_HEADER_ERROR_SPACE: KernReturn = MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE);
const RCV_BODY_ERROR_SPACE: KernReturn = MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_SPACE);
const RCV_BODY_ERROR_KERNEL: KernReturn = MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_KERNEL);

pub const SCENARIOS: &[Scenario] = &[
    scenario("allocate a port", || allocate(MACH_PORT_RIGHT_RECEIVE)).with_result(),
    scenario("allocate a set", || allocate(MACH_PORT_RIGHT_PORT_SET)).with_result(),
    scenario("allocate a dead name", || allocate(MACH_PORT_RIGHT_DEAD_NAME)).with_result(),
    scenario("construct", construct).with_result().at_least(3),
    scenario("deallocate", || port_call(mach::MACH_PORT_DEALLOCATE, |_, _, p| vec![p])).at_least(0),
    scenario("drop a receive right", || {
        port_call(mach::MACH_PORT_MOD_REFS, |_, _, p| vec![p, MACH_PORT_RIGHT_RECEIVE.into(), -1i64 as u64])
    })
    .at_least(1),
    scenario("insert a right", || port_call(mach::MACH_PORT_INSERT_RIGHT, |_, _, p| vec![p, p, D::MAKE_SEND.0.into()]))
        .at_least(0),
    scenario("type", || port_call(mach::MACH_PORT_TYPE, |w, a, p| vec![p, w.result(a)])),
    scenario("get attributes", get_attributes),
    scenario("insert a member", || set_call(mach::MACH_PORT_INSERT_MEMBER)),
    scenario("move a member", || set_call(mach::MACH_PORT_MOVE_MEMBER)),
    scenario("request a dead-name notification", || request(MACH_NOTIFY_DEAD_NAME)).requesting().at_least(2),
    scenario("request a no-senders notification", || request(MACH_NOTIFY_NO_SENDERS)).requesting(),
    scenario("request a port-destroyed notification", || request(MACH_NOTIFY_PORT_DESTROYED)).requesting(),
    scenario("send", || send(|m, _, _| m)).message().at_least(3),
    scenario("send with a reply right", || send(|m, p, _| m.reply_to(p, D::MAKE_SEND_ONCE))).message(),
    scenario("send rights", || {
        send(|m, p, q| m.port(p, D::COPY_SEND).port(q, D::MOVE_RECEIVE).port(p, D::MAKE_SEND_ONCE))
    })
    .message(),
    scenario("send to a waiting receiver", send_to_waiting).message(),
    scenario("send to a full queue", send_to_full).message().at_least(3),
    scenario("receive rights", || receive(false)).receiving().at_least(4),
    scenario("receive from a set", || receive(true)).receiving().at_least(4),
    scenario("receive with notification", receive_and_notify).receiving(),
    scenario("ask for a port", || ask(mig::mach_port::ALLOCATE, &[MACH_PORT_RIGHT_RECEIVE])).receiving(),
    scenario("ask for references", || ask_about_port(mig::mach_port::GET_REFS, MACH_PORT_RIGHT_SEND)).receiving(),
    scenario("extract a right", || ask_about_port(mig::mach_port::EXTRACT_RIGHT, D::MAKE_SEND.0.into())).receiving(),
    scenario("ask for a special port", || ask(mig::task::GET_SPECIAL_PORT, &[TASK_BOOTSTRAP_PORT])).receiving(),
    scenario("ask for the name port", || ask(mig::task::GET_SPECIAL_PORT, &[TASK_NAME_PORT])).receiving(),
    scenario("create a voucher", || scenarios::create(&[1; 10])).at_least(6),
    scenario("create a voucher from long recipes", || scenarios::create(&[1; 4000])).at_least(7),
    scenario("extract a recipe", scenarios::extract).with_result().at_least(4),
    scenario("ask for a voucher", scenarios::ask).receiving().at_least(8),
    scenario("adopt a voucher", scenarios::adopt).receiving(),
    scenario("ask for the adopted voucher", scenarios::ask_for_adopted).receiving(),
    scenario("donate", importance::donate).message().at_least(4),
    scenario("donate to a waiting daemon", importance::donate_to_waiting).message().at_least(6),
    scenario("inherit", importance::inherit).receiving().at_least(6),
    scenario("ask for a policy", || ask(mig::task::POLICY_GET, &[TASK_POLICY_STATE, 16, 0])).receiving(),
    scenario("set a policy", || ask(mig::task::POLICY_SET, &[TASK_CATEGORY_POLICY, 1, 1])).receiving(),
    scenario("ask for a task's numbers", ask_for_numbers).unix(),
    scenario("ask for the persona", ask_for_persona).unix(),
    scenario("override a thread that has a lock", override_with_lock).unix(),
    scenario("spawn", spawn).at_least(9),
    scenario("send a voucher", scenarios::send).message().at_least(6),
    scenario("send a voucher to a waiting receiver", scenarios::send_to_waiting).message().at_least(10),
    scenario("send a voucher to a full queue", scenarios::send_to_full).message().at_least(6),
    scenario("receive a voucher", scenarios::receive).receiving().at_least(6),
    scenario("create a thread", create_thread).at_least(3),
    scenario("allocate memory", allocate_memory).at_least(3),
    scenario("deallocate memory", || split_memory(mach::MACH_VM_DEALLOCATE, &[])),
    scenario("protect memory", || split_memory(mach::MACH_VM_PROTECT, &[0, 1])),
    scenario("exit with everything", exit_with_everything).at_least(0),
];

/// Prepares a call about a port with a send right and a queued message, in a task without a free table entry.
fn port_call(number: u32, args: fn(&World, Actor, u64) -> Vec<u64>) -> Stage {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    w.send(a, &Msg::copy_send(port)).unwrap();
    fill_table(&mut w, a);
    let mut all = vec![a.self_port.0.into()];
    all.extend(args(&w, a, port.0.into()));
    Stage::new(w, &[a], number, &all)
}

fn allocate(right: u32) -> Stage {
    let mut stage = port_call(mach::MACH_PORT_ALLOCATE, |w, a, _| vec![0, w.result(a)]);
    stage.args[1] = right.into();
    stage
}

/// Uses up all entries of a task's name table, so that it grows for the next name.
pub fn fill_table(w: &mut World, a: Actor) {
    while !w.space_of(a.task).must_grow() {
        w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
    }
}

fn construct() -> Stage {
    let mut stage = port_call(mach::MACH_PORT_CONSTRUCT, |w, a, _| vec![a.memory + ARGUMENTS, 7, w.result(a)]);
    let flags = ConstructFlags::INSERT_SEND_RIGHT | ConstructFlags::QLIMIT | ConstructFlags::CONTEXT_AS_GUARD;
    let options = PortOptions { flags: flags.bits(), mpl_qlimit: 9, reserved: [0; 2] };
    stage.world.put(stage.actor, ARGUMENTS, options.as_bytes());
    stage
}

fn get_attributes() -> Stage {
    let mut stage = port_call(mach::MACH_PORT_GET_ATTRIBUTES, |w, a, p| {
        vec![p, MACH_PORT_RECEIVE_STATUS.into(), w.result(a), a.memory + ARGUMENTS]
    });
    let status_words = size_of::<PortStatus>() as u32 / 4;
    stage.world.put(stage.actor, ARGUMENTS, &status_words.to_le_bytes());
    stage
}

fn set_call(number: u32) -> Stage {
    let mut w = World::new();
    let a = w.task();
    let (port, set) = (w.port_with_send(a), w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap());
    let old = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
    let me = a.self_port.0.into();
    w.call(a, mach::MACH_PORT_INSERT_MEMBER, &[me, port.0.into(), old.0.into()]).unwrap();
    w.send(a, &Msg::copy_send(port)).unwrap();
    Stage::new(w, &[a], number, &[me, port.0.into(), set.0.into()])
}

fn request(id: i32) -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let about = match id {
        MACH_NOTIFY_DEAD_NAME => w.connect(a, b).1,
        _ => w.port_with_send(a),
    };
    let notify = w.port(a);
    let args = [a.self_port.0, about.0, id as u32, 0, notify.0, D::MAKE_SEND_ONCE.0.into()].map(u64::from);
    let result = w.result(a);
    Stage::new(w, &[a, b], mach::MACH_PORT_REQUEST_NOTIFICATION, &[&args[..], &[result]].concat())
}

pub fn mach_msg(w: World, actors: &[Actor], args: MachMsg) -> Stage {
    let words = [
        w.buffer(actors[0]),
        args.options.bits().into(),
        args.send_size.into(),
        args.receive_size.into(),
        args.receive_name.0.into(),
        args.timeout.into(),
        0,
    ];
    Stage::new(w, actors, mach::MACH_MSG, &words)
}

pub fn sending(mut w: World, actors: &[Actor], message: &Msg, args: MachMsg) -> Stage {
    let bytes = message.encode();
    w.put(actors[0], BUFFER, &bytes);
    let options = args.options | MsgOption::SEND_MSG;
    mach_msg(w, actors, MachMsg { options, send_size: bytes.len() as u32, ..args })
}

/// Prepares a send to another task. `add` adds to the message rights of two ports of the sender.
fn send(add: fn(Msg, PortName, PortName) -> Msg) -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (_, send_right) = w.connect(a, b);
    let (p, q) = (w.port_with_send(a), w.port_with_send(a));
    let message = add(Msg::copy_send(send_right), p, q).body(&[7; 600]);
    sending(w, &[a, b], &message, MachMsg::default())
}

fn send_to_waiting() -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (mailbox, send_right) = w.connect(a, b);
    let (p, q) = (w.port_with_send(a), w.port_with_send(a));
    fill_table(&mut w, b);
    w.receive(b, mailbox, MsgOption::empty());
    let message =
        Msg::copy_send(send_right).reply_to(p, D::MAKE_SEND_ONCE).port(q, D::MOVE_RECEIVE).port(p, D::MOVE_SEND);
    sending(w, &[a, b], &message, MachMsg::default())
}

/// Prepares a send that times out, so that the message returns with all its rights.
fn send_to_full() -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (_, send_right) = w.connect(a, b);
    while w.try_send(a, &Msg::copy_send(send_right)).is_ok() {}
    let (p, q) = (w.port_with_send(a), w.port_with_send(a));
    let message =
        Msg::copy_send(send_right).reply_to(p, D::MAKE_SEND_ONCE).port(q, D::MOVE_RECEIVE).port(p, D::MOVE_SEND);
    let args = MachMsg { options: MsgOption::SEND_TIMEOUT, ..MachMsg::default() };
    let mut stage = sending(w, &[a, b], &message, args).answering(MACH_SEND_TIMED_OUT);
    let bits = [MACH_MSG_IPC_SPACE, MACH_MSG_IPC_KERNEL, MACH_MSG_IPC_SPACE | MACH_MSG_IPC_KERNEL];
    stage.answers.extend(bits.map(|bits| MACH_SEND_TIMED_OUT.with_bits(bits)));
    stage
}

fn receive(from_set: bool) -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (mailbox, send_right) = w.connect(b, a);
    let mut name = mailbox;
    if from_set {
        name = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
        let args = [a.self_port.0, mailbox.0, name.0].map(u64::from);
        w.call(a, mach::MACH_PORT_INSERT_MEMBER, &args).unwrap();
    }
    let (p, q) = (w.port_with_send(b), w.port_with_send(b));
    let message =
        Msg::copy_send(send_right).reply_to(p, D::MAKE_SEND_ONCE).port(q, D::MOVE_RECEIVE).port(p, D::MOVE_SEND);
    w.send(b, &message.body(&[3; 300])).unwrap();
    fill_table(&mut w, a);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT | MsgOption::trailer_elements(7);
    let args = MachMsg { options, receive_name: name, receive_size: 4096, ..MachMsg::default() };
    mach_msg(w, &[a, b], args)
}

/// Prepares a receive that makes room in a full queue and so fires an armed send-possible request.
fn receive_and_notify() -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (mailbox, send_right) = w.connect(b, a);
    let notify = w.port(b);
    w.request(b, send_right, MACH_NOTIFY_SEND_POSSIBLE, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    while w.try_send(b, &Msg::copy_send(send_right)).is_ok() {}
    let code = w.send_with(b, &Msg::copy_send(send_right), MsgOption::SEND_TIMEOUT | MsgOption::SEND_NOTIFY, 0).code();
    assert_eq!(code, MACH_SEND_TIMED_OUT);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    let args = MachMsg { options, receive_name: mailbox, receive_size: 4096, ..MachMsg::default() };
    mach_msg(w, &[a, b], args)
}

/// Prepares a call to a kernel object, as a combined send and receive.
pub fn ask_in(mut w: World, a: Actor, to: PortName, id: i32, words: &[u32]) -> Stage {
    let reply = w.port(a);
    fill_table(&mut w, a);
    let message = Msg::copy_send(to).id(id).reply_to(reply, D::MAKE_SEND_ONCE).body(&NDR).words(words);
    let options = MsgOption::RCV_MSG | MsgOption::RCV_TIMEOUT;
    sending(w, &[a], &message, MachMsg { options, receive_name: reply, receive_size: 4096, ..MachMsg::default() })
}

fn ask(id: i32, words: &[u32]) -> Stage {
    let mut w = World::new();
    let a = w.task();
    ask_in(w, a, a.self_port, id, words)
}

fn ask_about_port(id: i32, word: u32) -> Stage {
    let mut w = World::new();
    let a = w.task();
    let port = w.port_with_send(a);
    ask_in(w, a, a.self_port, id, &[port.0, word])
}

/// Where the argument and environment strings of the spawned program lie in the parent's memory.
const STRINGS: u64 = 3072;
/// Where the names of its watch ports lie.
const WATCH_PORTS: u64 = 3200;

fn ask_for_numbers() -> Stage {
    let mut w = World::new();
    let a = w.task();
    let (pid, size) = (w.kernel.tasks[a.task].credentials.pid.into(), size_of::<ProcUniqueIdentifierInfo>());
    let words = [PROC_INFO_CALL_PIDINFO.into(), pid, PROC_PIDUNIQIDENTIFIERINFO.into(), 0, w.result(a), size as u64];
    Stage::new(w, &[a], unix::PROC_INFO, &words).answering(KernReturn(size as i32))
}

fn ask_for_persona() -> Stage {
    let mut w = World::new();
    let init = w.init;
    let (mut a, task_port) = w.spawn(init, TaskSpawnArgs { persona: 501, ..spawn_args() }).unwrap();
    a.task_port = task_port;
    let words = [PERSONA_OP_GET.into(), 0, 0, w.result(a)];
    Stage::new(w, &[a], unix::PERSONA, &words)
}

fn override_with_lock() -> Stage {
    let mut w = World::new();
    let a = w.task();
    let name = w.trap(a, mach::THREAD_SELF, &[]).name();
    let class = Priority::of(Qos::UserInitiated).to_pthread();
    w.put(a, RESULT, name.as_bytes());
    let words = [BSDTHREAD_CTL_QOS_OVERRIDE_DISPATCH.into(), name.0.into(), class.into(), w.result(a)];
    Stage::new(w, &[a], unix::BSDTHREAD_CTL, &words)
}

fn spawn() -> Stage {
    let mut w = World::new();
    let a = w.task();
    let (bootstrap, exit) = (w.port_with_send(a), w.port(a));
    w.put(a, WATCH_PORTS, bootstrap.as_bytes());
    fill_table(&mut w, a);
    let image = program();
    w.put(a, BUFFER, &image);
    let (argument, variable) = (b"one\0", b"two\0");
    w.put(a, STRINGS, &[&argument[..], variable].concat());
    let args = TaskSpawnArgs {
        image: w.buffer(a),
        image_size: image.len() as u64,
        image_kind: SPAWN_IMAGE_BYTES,
        arguments: a.memory + STRINGS,
        arguments_size: argument.len() as u64,
        environment: a.memory + STRINGS + argument.len() as u64,
        environment_size: variable.len() as u64,
        bootstrap_port: bootstrap,
        exit_port: exit,
        exit_disposition: EXIT_PORT_MAKE,
        watch_ports: a.memory + WATCH_PORTS,
        watch_port_count: 1,
        system_persona: 101,
        ..spawn_args()
    };
    w.put(a, ARGUMENTS, args.as_bytes());
    let words = [a.memory + ARGUMENTS, size_of::<TaskSpawnArgs>() as u64, w.result(a)];
    Stage::new(w, &[a], tally::TASK_SPAWN, &words)
}

fn create_thread() -> Stage {
    let mut w = World::new();
    let a = w.task();
    fill_table(&mut w, a);
    let words = [a.self_port.0.into(), PROGRAM_BASE, a.memory + 4096, 5, 0, w.result(a)];
    Stage::new(w, &[a], tally::THREAD_CREATE, &words)
}

fn allocate_memory() -> Stage {
    let mut w = World::new();
    let a = w.task();
    let words = [a.self_port.0.into(), w.result(a), 3 * PAGE_SIZE, VM_FLAGS_ANYWHERE.into()];
    Stage::new(w, &[a], mach::MACH_VM_ALLOCATE, &words)
}

/// Prepares a call about the middle page of a region, which splits the region.
fn split_memory(number: u32, more: &[u64]) -> Stage {
    let mut w = World::new();
    let a = w.task();
    let words = [a.self_port.0.into(), a.memory + 8 * PAGE_SIZE, PAGE_SIZE];
    Stage::new(w, &[a], number, &[&words[..], more].concat())
}

/// Prepares the exit of a task whose port has queued messages with rights, a request and a blocked sender.
fn exit_with_everything() -> Stage {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (_, send_right) = w.connect(b, a);
    let notify = w.port(b);
    w.request(b, send_right, MACH_NOTIFY_DEAD_NAME, 0, (notify, D::MAKE_SEND_ONCE)).unwrap();
    for _ in 0..5 {
        let moved = w.port_with_send(b);
        w.send(b, &Msg::copy_send(send_right).reply_to(notify, D::MAKE_SEND_ONCE).port(moved, D::MOVE_RECEIVE))
            .unwrap();
    }
    w.send_with(b, &Msg::copy_send(send_right), MsgOption::empty(), 0);
    Stage::new(w, &[a, b], unix::EXIT, &[0]).or_not_return()
}
