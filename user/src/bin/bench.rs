//! The benchmarks: instructions per operation, kernel and user together.
//!
//! The time stamp counter must count instructions, as it does in `./run-qemu.sh bench`. Each figure is the least of
//! several runs, so that it does not include an interrupt of the timer. It is the same in every boot.
//!
//! ```text
//! bench [INSTRUCTIONS-TO-THE-FIRST-PROGRAM]
//! bench echo | vector-echo | keep | keep-one | give-up | donee-keep | donee-keep-one | donee-give-up | xpc
//! ```
//!
//! The arguments without a number are the kinds of the servers that the benchmark starts.

#![cfg_attr(target_os = "none", no_std, no_main)]

extern crate alloc;

use alloc::boxed::Box;
use core::cell::Cell;
use core::hint::black_box;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::group::Group;
use dispatch::queue::Queue;
use user::abi::PortName;
use user::abi::message::*;
use user::abi::port::*;
use user::abi::qos::{AppType, Qos, Role};
use user::abi::trap::mach::{SWTCH, THREAD_SELF};
use user::abi::trap::tally::CPU_COUNT;
use user::abi::voucher::{MACH_VOUCHER_ATTR_BANK_CREATE, MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_KEY_USER_DATA};
use user::demo::page::Grouped;
use user::longest;
use user::message::{Call, Message, mach_msg_at, port_with_send};
use user::policy;
use user::port::{self, Port};
use user::println;
use user::suite::EXIT_PROGRAM;
use user::sync::Mutex;
use user::sys::machine::time_stamp;
use user::sys::registers::use_vector_register;
use user::sys::{Arguments, trap};
use user::task::{self, Spawn};
use user::thread::{Builder, Thread, spawn};
use user::time::sleep;
use user::voucher::{self, Recipe};
use user::xpc_rounds::{self, Rounds};
use zerocopy::IntoBytes;

runtime::program!(start);

/// Runs per benchmark, of which the least counts.
const RUNS: u32 = 12;
/// Rounds in a run.
const ROUNDS: u64 = 16;

fn start(arguments: Arguments) -> i32 {
    let mut arguments = arguments.skip(1);
    match arguments.next() {
        Some("echo") => echo(PortName(0), || {}),
        Some("vector-echo") => echo(PortName(0), use_vector_register),
        Some("keep") => take_vouchers(false, u32::MAX),
        Some("keep-one") => take_vouchers(false, 1),
        Some("give-up") => take_vouchers(false, 0),
        Some("donee-keep") => take_vouchers(true, u32::MAX),
        Some("donee-keep-one") => take_vouchers(true, 1),
        Some("donee-give-up") => take_vouchers(true, 0),
        Some("xpc") => xpc_rounds::serve(),
        Some("longest") => arguments.next().map_or_else(longest::run_all, longest::run),
        started => run_all(started.and_then(|text| text.parse().ok())),
    }
    0
}

fn run_all(started: Option<u64>) {
    println!("{:<36} {:>12}   elsewhere", "instructions for", "Tally");
    report("null trap, the cheapest", null_trap(CPU_COUNT), "NOVA 59, Linux getppid 328");
    report("null trap, thread_self", null_trap(THREAD_SELF), "GNU Mach mach_thread_self 334");
    two_tasks();
    one_task();
    let (send, receive) = send_and_receive();
    report("send 64 bytes, nobody waits", send, "");
    report("receive 64 bytes that wait", receive, "");
    report("yield, two switches", yields(), "seL4 536, Linux 3,440");
    report("port allocate and destroy", allocate_and_destroy(), "");
    report("spawn, exit and reap", spawn_and_reap(), "Linux vfork 76 k, fork 361 k");
    vouchers();
    donation();
    // From here on this task uses vector registers.
    two_tasks_with_vectors();
    // From here on its threads have thread-local memory.
    report("XPC request and reply", xpc_round(AppType::DaemonStandard), "");
    boosted_xpc_round();
    in_the_program();
    if let Some(started) = started {
        report("boot to the first user instruction", started, "NOVA 30.6 M, GNU Mach 144 M, seL4 207 M, Linux 1,560 M");
    }
    longest::run_all();
}

fn report(name: &str, figure: u64, elsewhere: &str) {
    let gap = if elsewhere.is_empty() { "" } else { "   " };
    println!("{name:<36} {:>12}{gap}{elsewhere}", Grouped(figure));
}

/// Returns the instructions per call of `round` in the best run.
fn measure(mut round: impl FnMut()) -> u64 {
    let run = |_| {
        let start = time_stamp();
        (0..ROUNDS).for_each(|_| round());
        (time_stamp() - start) / ROUNDS
    };
    (0..RUNS).map(run).min().expect("there is a run")
}

fn null_trap(number: u32) -> u64 {
    measure(|| {
        trap(number, [0; 6]);
    })
}

/// A message of 64 bytes with room for the shortest trailer.
#[repr(C)]
struct Packet {
    header: Header,
    body: [u64; 8],
    trailer: [u32; 2],
}

impl Packet {
    const SENT: u32 = 24 + 64;

    fn new() -> Packet {
        Packet { header: Header::default(), body: [7; 8], trailer: [0; 2] }
    }

    /// Makes the packet a request.
    #[inline(always)]
    fn address(&mut self, to: PortName, reply: PortName) {
        self.header.msgh_bits =
            msgh_bits(Disposition::COPY_SEND, Disposition::MAKE_SEND_ONCE, Disposition::NONE, HeaderFlags::empty());
        self.header.msgh_remote_port = to;
        self.header.msgh_local_port = reply;
    }

    /// Makes a request the reply to itself.
    #[inline(always)]
    fn turn_round(&mut self) {
        self.header.msgh_bits =
            msgh_bits(Disposition::MOVE_SEND_ONCE, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
        self.header.msgh_local_port = MACH_PORT_NULL;
    }

    #[inline(always)]
    fn call(&mut self, options: MsgOption, receive_name: PortName) {
        let call = Call {
            options,
            send_size: Packet::SENT,
            receive_size: size_of::<Packet>() as u32,
            receive_name,
            ..Call::default()
        };
        let code = mach_msg_at((&raw mut *self) as u64, &call);
        assert!(code.is_success(), "a call fails: {code}");
    }
}

const BOTH: MsgOption = MsgOption::SEND_MSG.union(MsgOption::RCV_MSG);

/// Answers requests for ever: on `port`, or on one of its own, to which the bootstrap port gets a right. Calls `work` for
/// each request.
fn echo(port: PortName, work: impl Fn()) {
    let mut port = port;
    if port == MACH_PORT_NULL {
        port = introduce(Port::new());
    }
    let mut packet = Packet::new();
    packet.call(MsgOption::RCV_MSG, port);
    loop {
        if packet.header.flags().contains(HeaderFlags::COMPLEX) {
            give_up_carried(&packet);
        }
        work();
        packet.turn_round();
        packet.call(BOTH, port);
    }
}

/// Gives the bootstrap port a right to a server's port, and returns its name.
fn introduce(own: Port) -> PortName {
    let mut hello = Message::copy_send(task::bootstrap_port()).port(own.name(), Disposition::MAKE_SEND);
    hello.send().expect("the parent waits");
    own.into_name()
}

/// Answers requests for ever, and takes their vouchers. It keeps a number of references to them, all of which have one name.
/// All others it gives up before it answers, by one more trap. With `donee` its port accepts donation.
fn take_vouchers(donee: bool, mut kept: u32) {
    const TAKE: MsgOption = MsgOption::RCV_MSG.union(MsgOption::RCV_VOUCHER);
    let own = Port::new();
    if donee {
        port::accept_donation(own.name()).expect("the port is the server's");
    }
    let port = introduce(own);
    let mut packet = Packet::new();
    packet.call(TAKE, port);
    loop {
        match kept {
            0 => port::deallocate(packet.header.msgh_voucher_port).expect("a voucher has arrived"),
            _ => kept -= 1,
        }
        packet.turn_round();
        packet.call(TAKE.union(MsgOption::SEND_MSG), port);
    }
}

/// Gives up the right in a complex packet: its name is behind the number of descriptors.
fn give_up_carried(packet: &Packet) {
    let name = PortName((packet.body[0] >> 32) as u32);
    port::deallocate(name).expect("the right has arrived");
}

/// A child that answers requests.
struct Service {
    task: PortName,
    port: PortName,
    exit: Port,
}

impl Service {
    fn start(kind: &str) -> Service {
        Service::start_as(kind, AppType::None)
    }

    fn start_as(kind: &str, app_type: AppType) -> Service {
        let (meeting, exit) = (port_with_send(), Port::new());
        let child = Spawn::program("bench").argument(kind).bootstrap(meeting.name()).exit_port(exit.name());
        let child = child.policy(app_type, Role::Unspecified, Qos::Unspecified);
        let task = child.start().expect("a child");
        let port = Message::receive(meeting.name()).expect("the child's port").descriptor(0).name;
        Service { task, port, exit }
    }

    fn end(self) {
        task::terminate(self.task).expect("it has not ended");
        task::wait_for_exit(self.exit.name()).expect("it ends");
    }
}

fn two_tasks() {
    let service = Service::start("echo");
    let others = "NOVA 416, GNU Mach 1,496, seL4 1,770, Linux pipe 11,635";
    report("rpc_64 between two tasks", rpc(service.port, || {}), others);
    let others = "seL4 2,959, GNU Mach 4,856, Linux SCM_RIGHTS 24,984";
    report("rpc_64 that carries a send right", rpc_with_right(service.port), others);
    service.end();
}

fn two_tasks_with_vectors() {
    let service = Service::start("vector-echo");
    report("rpc_64, both tasks use SSE", rpc(service.port, use_vector_register), "");
    service.end();
}

fn one_task() {
    let port = port_with_send();
    let service = u64::from(port.name().0);
    Thread::bare(|port| echo(PortName(port as u32), || {}), service).expect("a thread");
    // The thread waits there until the program ends.
    report("rpc_64 in one address space", rpc(port.into_name(), || {}), "");
}

/// A round calls `work` before each request.
fn rpc(service: PortName, work: impl Fn()) -> u64 {
    let reply = Port::new();
    let mut packet = Packet::new();
    measure(|| {
        work();
        packet.address(service, reply.name());
        packet.call(BOTH, reply.name());
    })
}

/// A round sends a voucher with each request.
fn rpc_with_voucher(service: PortName, voucher: PortName) -> u64 {
    let reply = Port::new();
    let mut packet = Packet::new();
    measure(|| {
        packet.address(service, reply.name());
        packet.header.msgh_bits |= u32::from(Disposition::COPY_SEND.0) << 16;
        packet.header.msgh_voucher_port = voucher;
        packet.call(BOTH, reply.name());
    })
}

/// Measures vouchers by themselves and in messages to a port that accepts no donation. The voucher of the messages is
/// what the dispatch library sends: it says on whose behalf the server works.
fn vouchers() {
    let host = voucher::host();
    let (created, given_up) = create_and_give_up(host);
    report("voucher by trap, a new one", created, "");
    report("voucher given up, the last name", given_up, "");
    let recipe = Recipe::new(MACH_VOUCHER_ATTR_KEY_BANK, MACH_VOUCHER_ATTR_BANK_CREATE, PortName(0), []);
    let voucher = voucher::create(host, recipe.as_bytes()).expect("a voucher");
    for (kind, name) in [
        ("keep", "rpc_64 with a voucher, all kept"),
        ("keep-one", "rpc_64 with a voucher, one kept"),
        ("give-up", "rpc_64 with a voucher, none kept"),
    ] {
        let service = Service::start(kind);
        report(name, rpc_with_voucher(service.port, voucher), "");
        service.end();
    }
    [voucher, host].into_iter().for_each(|name| port::deallocate(name).expect("the name is there"));
}

/// Measures the creation of vouchers with different user data, and giving each of them up.
fn create_and_give_up(host: PortName) -> (u64, u64) {
    let mut least = (u64::MAX, u64::MAX);
    for run in 0..u64::from(RUNS) {
        let mut names = [MACH_PORT_NULL; ROUNDS as usize];
        let start = time_stamp();
        for (round, name) in (0..).zip(&mut names) {
            let content = (run * ROUNDS + round).to_le_bytes();
            let recipe = Recipe::store(MACH_VOUCHER_ATTR_KEY_USER_DATA, content);
            *name = voucher::create(host, recipe.as_bytes()).expect("a voucher");
        }
        let between = time_stamp();
        names.into_iter().for_each(|name| port::deallocate(name).expect("the voucher is there"));
        let end = time_stamp();
        least = (least.0.min((between - start) / ROUNDS), least.1.min((end - between) / ROUNDS));
    }
    least
}

/// Measures calls of a donor to an adaptive daemon, which gets the importance in a voucher. A server that
/// keeps no voucher is boosted anew by each request.
fn donation() {
    policy::mark_donor().expect("it has not been a donor");
    for (kind, name) in [
        ("donee-keep", "rpc_64 with donation, all kept"),
        ("donee-keep-one", "rpc_64 with donation, one kept"),
        ("donee-give-up", "rpc_64 with donation, none kept"),
    ] {
        let service = Service::start_as(kind, AppType::DaemonAdaptive);
        report(name, rpc(service.port, || {}), "");
        service.end();
    }
}

/// Measures a small request by XPC to a task of this type, and the reply.
fn xpc_round(app_type: AppType) -> u64 {
    let rounds = Rounds::start(Spawn::program("bench").argument("xpc"), app_type);
    let figure = measure(|| assert_eq!(rounds.ask(1), 2));
    rounds.end();
    figure
}

/// Measures the same with importance, class and activity: the task donates already.
fn boosted_xpc_round() {
    let activity = Activity::create("bench", Parent::None, ActivityFlags::empty());
    // The main thread has no class, and no message of it brings one.
    let client = Builder::new().class(Qos::UserInitiated);
    let client = client.spawn(move || activity.apply(|| xpc_round(AppType::DaemonAdaptive)));
    let figure = client.expect("a thread").join();
    report("the same, boosted, in an activity", figure, "");
}

/// Measures what the runtime does without the kernel, in a program with several threads.
fn in_the_program() {
    runtime::thread_local! {
        static LOCAL: Cell<u64> = const { Cell::new(0) };
    }
    static LOCK: Mutex<u64> = Mutex::new(0);
    spawn(|| {}).expect("a thread").join();
    report("heap: allocate and free 64 bytes", measure(|| drop(black_box(Box::new([7u64; 8])))), "");
    report("lock and unlock, nobody waits", measure(|| *LOCK.lock() += 1), "");
    report("thread-local variable", measure(|| LOCAL.with(|local| local.set(local.get() + 1))), "");
    report("submit to a busy queue, and run", submit_and_run(), "");
    report("submit, and wake a worker", wake_a_worker(), "");
    report("spawn a thread and join it", measure(|| spawn(|| {}).expect("a thread").join()), "");
}

/// Measures how long it takes to submit an item to a serial queue that runs already, and to run it. Nothing else happens
/// meanwhile: the thread that waits is woken by the last item, after its time.
fn submit_and_run() -> u64 {
    static NOW: AtomicU64 = AtomicU64::new(0);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let (queue, group) = (Queue::new("bench"), Group::new());
    let run = |_| {
        let (inner, done) = (queue.clone(), group.clone());
        group.enter();
        queue.run_async(move || {
            NOW.store(time_stamp(), Ordering::Relaxed);
            for _ in 1..ROUNDS {
                inner.run_async(|| {
                    COUNT.fetch_add(1, Ordering::Relaxed);
                });
            }
            inner.run_async(move || {
                NOW.store(time_stamp() - NOW.load(Ordering::Relaxed), Ordering::Relaxed);
                done.leave();
            });
        });
        group.wait(None);
        queue.sync(|| NOW.load(Ordering::Relaxed)) / ROUNDS
    };
    (0..RUNS).map(run).min().expect("there is a run")
}

/// Measures how long it takes from the submission of an item to its first instruction, on a worker that sleeps.
fn wake_a_worker() -> u64 {
    static BEGUN: AtomicU64 = AtomicU64::new(0);
    let queue = Queue::new("bench");
    let run = |_| {
        // The worker comes to rest.
        sleep(5);
        let start = time_stamp();
        queue.run_async(|| BEGUN.store(time_stamp(), Ordering::Relaxed));
        sleep(5);
        BEGUN.load(Ordering::Relaxed) - start
    };
    (0..RUNS).map(run).min().expect("there is a run")
}

fn rpc_with_right(service: PortName) -> u64 {
    let (reply, carried) = (Port::new(), Port::new());
    let mut packet = Packet::new();
    measure(|| {
        packet.address(service, reply.name());
        packet.header.msgh_bits |= HeaderFlags::COMPLEX.bits();
        // One descriptor: the count, the name, then the disposition among padding.
        packet.body[0] = 1 | u64::from(carried.name().0) << 32;
        packet.body[1] = u64::from(Disposition::MAKE_SEND.0) << 48;
        packet.call(BOTH, reply.name());
    })
}

/// Measures sending as many messages as fit the queue, and receiving them.
fn send_and_receive() -> (u64, u64) {
    const MESSAGES: u64 = MACH_PORT_QLIMIT_DEFAULT as u64;
    let port = port_with_send();
    let mut packet = Packet::new();
    let mut least = (u64::MAX, u64::MAX);
    for _ in 0..RUNS {
        let start = time_stamp();
        for _ in 0..MESSAGES {
            packet.header.msgh_bits =
                msgh_bits(Disposition::COPY_SEND, Disposition::NONE, Disposition::NONE, HeaderFlags::empty());
            packet.header.msgh_remote_port = port.name();
            packet.header.msgh_local_port = MACH_PORT_NULL;
            packet.call(MsgOption::SEND_MSG, MACH_PORT_NULL);
        }
        let between = time_stamp();
        (0..MESSAGES).for_each(|_| packet.call(MsgOption::RCV_MSG, port.name()));
        let end = time_stamp();
        least = (least.0.min((between - start) / MESSAGES), least.1.min((end - between) / MESSAGES));
    }
    least
}

/// Measures yields between two threads of one priority.
fn yields() -> u64 {
    static STOP: AtomicBool = AtomicBool::new(false);
    let yield_always = |_| {
        while !STOP.load(Ordering::Relaxed) {
            trap(SWTCH, [0; 6]);
        }
    };
    let other = Thread::bare(yield_always, 0).expect("a thread");
    let figure = null_trap(SWTCH);
    STOP.store(true, Ordering::Relaxed);
    other.join();
    figure
}

fn allocate_and_destroy() -> u64 {
    measure(|| {
        let name = port::allocate(MACH_PORT_RIGHT_RECEIVE).expect("there is room");
        port::mod_refs(name, MACH_PORT_RIGHT_RECEIVE, -1).expect("it is there");
    })
}

fn spawn_and_reap() -> u64 {
    let exit = Port::new();
    measure(|| {
        let task = Spawn::image(&EXIT_PROGRAM).exit_port(exit.name()).start().expect("a child");
        task::wait_for_exit(exit.name()).expect("it ends");
        port::deallocate(task).expect("its name is there");
    })
}
