//! Hostile requests for declarations and check-ins: each is refused or destroyed, and nothing is left.

use super::hostile::Random;
use super::instances::{Gate, Order, SERVICES, job, wait_for_end};
use super::tasks::child;
use super::tests;
use crate::message::{Message, port_with_send};
use crate::names::{self, JOBS_MAX, Job, SERVICES_PER_JOB, SERVICES_PER_USER_MAX};
use crate::port::{self, Port};
use crate::thread::Thread;
use crate::{check, task};
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::*;
use abi::port::Disposition as D;
use abi::task::SPAWN_INHERIT;
use abi::{KernReturn, PortName};
use core::sync::atomic::{AtomicBool, Ordering};
use zerocopy::IntoBytes;

tests! { "launch_hostile":
    requests_of_another_shape_are_refused,
    declarations_that_are_cut_or_changed_are_refused,
    random_declarations_leave_nothing_behind,
    full_table_refuses_another_job,
    a_user_leaves_names_for_the_others,
    names_and_labels_are_declared_once,
    flood_of_look_ups_starts_no_second_instance,
    clients_that_die_leave_the_service_alone,
    instances_that_die_again_and_again_leave_nothing_behind,
}

fn request(id: i32) -> Message {
    Message::copy_send(task::bootstrap_port()).id(id)
}

/// Sends a request that must be answered by a code, and returns it.
fn answer(request: Message) -> KernReturn {
    let reply = request.rpc().expect("a reply comes");
    check::that("the reply has no rights", !reply.is_complex());
    KernReturn(reply.word(2) as i32)
}

/// The body of a declaration behind its NDR record.
type Body = heapless::Vec<u8, 256>;

fn body(settings: &JobSettings, strings: &[u8]) -> Body {
    let mut body = Body::new();
    body.extend_from_slice(settings.as_bytes()).expect("there is room");
    body.extend_from_slice(strings).expect("there is room");
    body
}

const SETTINGS: JobSettings = JobSettings {
    app_type: 0,
    role: 0,
    qos_clamp: 0,
    uid: SPAWN_INHERIT,
    gid: SPAWN_INHERIT,
    persona: 0,
    properties: 0,
    flags: 0,
    starts_max: 5,
    starts_window: 10_000,
    service_count: 1,
    argument_count: 1,
};
/// There is no such program, so that no job starts.
const STRINGS: &[u8; 20] = b"label\0nocmd\0seven\0a\0";

fn counts_with_known_ports() -> abi::debug::Counts {
    let _ = names::look_up(SERVICES[0]);
    task::counts()
}

fn requests_of_another_shape_are_refused() {
    const SIZE_MAX: usize = 200;
    let before = counts_with_known_ports();
    let port = port_with_send();
    let bytes = [b'x'; SIZE_MAX];
    for id in [DECLARE, CHECK_IN_SERVICE, TERMINATE_JOB] {
        for size in (0..=SIZE_MAX).step_by(4).filter(|&size| size != NDR.len() + NAME_SIZE) {
            let code = answer(request(id).bytes(&bytes[..size]));
            // A declaration of a whole size has numbers that are out of range.
            let is_job = id == DECLARE && size >= NDR.len() + size_of::<JobSettings>();
            check::equal("another size", code, if is_job { KERN_INVALID_ARGUMENT } else { MIG_BAD_ARGUMENTS });
        }
        for disposition in [D::COPY_SEND, D::MAKE_SEND_ONCE] {
            let complex = request(id).port(port.name(), disposition).bytes(&NDR).bytes(&[b'y'; NAME_SIZE]);
            check::equal("with a right", answer(complex), MIG_BAD_ARGUMENTS);
        }
        // A request without a reply right has no effect.
        request(id).bytes(&NDR).bytes(&body(&SETTINGS, STRINGS)).send().expect("the queue has room in the end");
    }
    for id in [DECLARE - 1, TERMINATE_JOB + 1, TERMINATE] {
        check::equal("another id", answer(request(id).bytes(&NDR)), MIG_BAD_ID);
    }
    check::equal("the service", names::look_up("seven"), Err(KernReturn(UNKNOWN_SERVICE)));
    port::destroy(port.name()).expect("the name exists");
    check::equal("the counts", task::counts(), before);
}

fn declarations_that_are_cut_or_changed_are_refused() {
    let before = counts_with_known_ports();
    let declare = |body: &[u8]| answer(request(DECLARE).bytes(&NDR).bytes(body));
    let whole = body(&SETTINGS, STRINGS);
    for size in (0..whole.len()).step_by(4) {
        check::equal("a part", declare(&whole[..size]), MIG_BAD_ARGUMENTS);
    }
    check::equal("more behind it", declare(&[&whole[..], &[0; 4]].concat()), MIG_BAD_ARGUMENTS);
    check::equal("no zero byte", declare(&body(&SETTINGS, &[b'x'; 64])), MIG_BAD_ARGUMENTS);
    for word in 0..size_of::<JobSettings>() / 4 {
        // User, group and persona are checked when the job starts.
        if (3..6).contains(&word) {
            continue;
        }
        for value in [0x10_0000, 0x7FFF_FFFF, u32::MAX] {
            let mut changed = whole.clone();
            changed[word * 4..][..4].copy_from_slice(&u32::to_le_bytes(value));
            let code = declare(&changed);
            check::that("a number out of range", [KERN_INVALID_ARGUMENT, MIG_BAD_ARGUMENTS].contains(&code));
        }
    }
    check::equal("the service", names::look_up("seven"), Err(KernReturn(UNKNOWN_SERVICE)));
    check::equal("the counts", task::counts(), before);
    check::equal("as it was", declare(&whole), KERN_SUCCESS);
    check::equal("again", declare(&whole), KernReturn(NAME_IN_USE));
}

/// Most are refused; those that are accepted are forgotten with the session.
fn random_declarations_leave_nothing_behind() {
    const STEPS: u32 = 1000;
    let mut random = Random::new(super::seed_of(0x5EED_0F2B_17A1_1EAD));
    let mut refused = 0;
    for _ in 0..STEPS {
        let mut bytes = body(&SETTINGS, STRINGS);
        for _ in 0..random.one_of(&[1, 2, 5, 40]) {
            let at = random.next() as usize % bytes.len();
            bytes[at] = random.one_of(&[0, 1, 8, 0xFF, 0x41]) as u8;
        }
        bytes.truncate(random.one_of(&[68, 68, 68, 64, 32, 0]) as usize);
        refused += u32::from(answer(request(DECLARE).bytes(&NDR).bytes(&bytes)) != KERN_SUCCESS);
        let _ = names::look_up("seven").map(port::deallocate);
    }
    check::that("many are refused", refused > STEPS / 2);
    check::equal("registering", names::register("honest", port_with_send().into_name()), Ok(()));
}

fn full_table_refuses_another_job() {
    let label = |number: usize| {
        let mut label = heapless::String::<16>::new();
        core::fmt::write(&mut label, format_args!("job {number}")).expect("the label fits");
        label
    };
    for number in 0..JOBS_MAX {
        let mut job = Job::new(&label(number), "tests");
        for service in 0..SERVICES_PER_JOB {
            let mut name = label(number);
            core::fmt::write(&mut name, format_args!(" {service}")).expect("the name fits");
            job = job.service(&name);
        }
        check::equal("a job", names::declare(&job), Ok(()));
    }
    check::equal("one more", names::declare(&job("one more", &[])), Err(KERN_RESOURCE_SHORTAGE));
    check::equal("its service", names::look_up(SERVICES[0]), Err(KernReturn(UNKNOWN_SERVICE)));
}

/// The service of the test at which a child tells that it has all names that it can get.
const MEETING: &str = "meeting";
/// A user without privilege.
const USER: u32 = 1000;

/// Takes as many names as the name service gives, tells the test, and waits to be ended.
pub(super) fn take_names() {
    let port = port_with_send();
    let mut taken = 0;
    let refusal = loop {
        let mut name = heapless::String::<16>::new();
        core::fmt::write(&mut name, format_args!("name {taken}")).expect("the name fits");
        // Both ways to get a name count.
        let answer = match taken % 2 {
            0 => names::register(&name, port.name()),
            _ => names::check_in(&name).map(|port| {
                port.into_name();
            }),
        };
        match answer {
            Ok(()) => taken += 1,
            Err(code) => break code,
        }
    };
    check::equal("the refusal", refusal, KERN_RESOURCE_SHORTAGE);
    check::equal("the names of one user", taken, SERVICES_PER_USER_MAX);
    let meeting = names::look_up(MEETING).expect("the test waits");
    Message::copy_send(meeting).send().expect("there is room");
    let _ = Message::receive(port.name());
}

fn a_user_leaves_names_for_the_others() {
    let meeting = names::check_in(MEETING).expect("the name is free");
    let exit = Port::new();
    let mut spawn = child("take-names").exit_port(exit.name());
    (spawn.args.uid, spawn.args.gid) = (USER, USER);
    let task = spawn.start().expect("the child starts");
    Message::receive(meeting.name()).expect("the child has its names");
    let port = names::check_in(SERVICES[0]).expect("there is a name left");
    task::terminate(task).expect("it waits");
    task::wait_for_exit(exit.name()).expect("it ends");
    port::deallocate(task).expect("its name is there");
    drop(port);
}

fn names_and_labels_are_declared_once() {
    let taken = Err(KernReturn(NAME_IN_USE));
    let port = names::check_in(SERVICES[1]).expect("the name is free");
    check::equal("a name that is checked in", names::declare(&job("one", &[1])), taken);
    check::equal("one of two such names", names::declare(&job("one", &[0, 1])), taken);
    check::equal("a free name", names::declare(&job("one", &[0])), Ok(()));
    check::equal("a name that is declared", names::declare(&job("two", &[0])), taken);
    check::equal("a label that is declared", names::declare(&job("one", &[])), taken);
    drop(port);
    check::equal("a name whose port has died", names::declare(&job("two", &[1])), Ok(()));
    check::equal("a service twice", names::declare(&job("three", &[0, 0])), Err(KERN_INVALID_ARGUMENT));
}

static STOP: AtomicBool = AtomicBool::new(false);

fn look_up_always(_: u64) {
    while !STOP.load(Ordering::Relaxed) {
        let _ = names::look_up(SERVICES[0]);
    }
}

fn flood_of_look_ups_starts_no_second_instance() {
    const THREADS: usize = 4;
    let gate = Gate::new();
    check::equal("the declaration", names::declare(&job("flooded", &[0])), Ok(()));
    let tasks = task::counts().tasks;
    let threads = [0; THREADS].map(|_| Thread::start(look_up_always, 0).expect("the thread starts"));
    let mut instance = gate.next();
    for _ in 0..20 {
        check::equal("checking in", instance.order(&gate, Order::CheckIn, 0).0, KERN_SUCCESS);
        check::equal("dropping the service", instance.order(&gate, Order::Drop, 0).0, KERN_SUCCESS);
        check::equal("the tasks", task::counts().tasks, tasks + 1);
    }
    STOP.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(Thread::join);
    check::that("there is one instance", gate.is_quiet());
}

/// The reply port of each look-up dies before the reply comes, or with it.
fn clients_that_die_leave_the_service_alone() {
    let gate = Gate::new();
    check::equal("the declaration", names::declare(&job("left alone", &[0])), Ok(()));
    let mut name = [0; NAME_SIZE];
    name[..SERVICES[0].len()].copy_from_slice(SERVICES[0].as_bytes());
    for id in [LOOK_UP, CHECK_IN, CHECK_IN_SERVICE] {
        for _ in 0..10 {
            let reply = Port::new();
            let request = request(id).bytes(&NDR).bytes(&name).reply_to(reply.name(), D::MAKE_SEND_ONCE);
            request.clone().send().expect("the queue has room in the end");
        }
    }
    let mut instance = gate.next();
    check::equal("checking in", instance.order(&gate, Order::CheckIn, 0).0, KERN_SUCCESS);
    check::that("there is one instance", gate.is_quiet());
}

fn instances_that_die_again_and_again_leave_nothing_behind() {
    const ROUNDS: usize = 40;
    const WINDOW: u32 = 600_000;
    let gate = Gate::new();
    // An instance that ends with status 0 and leaves no message does not count as a start too many.
    check::equal("the declaration", names::declare(&job("short-lived", &[0]).starts(1, WINDOW)), Ok(()));
    let port = names::look_up(SERVICES[0]).expect("the service is declared");
    let tasks = task::counts().tasks - 1;
    let round = |number: usize| {
        if number > 0 {
            Message::copy_send(port).id(number as i32).send().expect("the queue has room");
        }
        let mut instance = gate.next();
        let pid = instance.pid;
        check::equal("checking in", instance.order(&gate, Order::CheckIn, 0).0, KERN_SUCCESS);
        if number > 0 {
            check::equal("the message", instance.order(&gate, Order::Take, 0), (KERN_SUCCESS, number as u32));
        }
        instance.give(Order::Exit, 0);
        wait_for_end(pid, tasks);
    };
    round(0);
    let before = task::counts();
    (1..=ROUNDS).for_each(round);
    check::equal("the counts", task::counts(), before);
    let found: Result<PortName, KernReturn> = names::look_up(SERVICES[0]);
    check::equal("the port that is found", found, Ok(port));
    gate.next().give(Order::Exit, 0);
}
