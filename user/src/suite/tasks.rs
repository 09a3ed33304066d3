//! Tasks: their start, their end, messages between them, the name service (errata 6).

use super::{
    accounting, boosts, channel_tasks, exhaustion, importance, launch_hostile, players, policy, processor, puppets,
    scheduling, soak, starvation, supervision, tests, voucher_rights,
};
use crate::message::{Call, Message, is_empty, port_with_send};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::{check, names, sys, time};
use abi::code::*;
use abi::message::{MACH_NOTIFY_DEAD_NAME, MACH_NOTIFY_SEND_ONCE, MsgOption};
use abi::mig::bootstrap::{NAME_IN_USE, UNKNOWN_SERVICE};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::*;
use abi::{KernReturn, PortName};

tests! { "tasks":
    an_exit_message_carries_the_status,
    a_child_is_terminated,
    a_fault_in_a_child_ends_the_child_alone,
    a_missing_program_is_refused,
    a_program_in_memory_runs,
    files_that_are_no_programs_are_refused,
    bad_arguments_of_task_spawn_are_refused,
    a_child_finds_its_arguments,
    messages_go_from_task_to_task,
    a_right_of_a_dead_task_is_a_dead_name,
    a_message_in_the_queue_of_a_dead_task_is_destroyed,
    a_service_is_registered_and_found,
    an_unknown_service_is_not_found,
    a_service_of_a_dead_task_is_forgotten,
    many_children_come_and_go.large(),
}

/// The functions of children, by name.
pub(super) const CHILDREN: &[(&str, fn())] = &[
    ("seven", || sys::exit(7)),
    ("check-inspection", super::inspect::check_inspection),
    ("sleep", || time::sleep(1_000_000)),
    ("fault", sys::machine::undefined),
    ("arguments", check_arguments),
    ("echo", echo),
    ("register", register_and_end),
    ("flood", supervision::flood),
    ("forge-exit", supervision::forge_exit),
    ("register-host", supervision::register_host),
    ("check-clamp", scheduling::check_clamp),
    ("check-privileges", policy::check_privileges),
    ("register-and-sleep", policy::register_and_sleep),
    ("serve-a-donor", importance::serve_a_donor),
    ("work-for-a-client", accounting::work_for_a_client),
    ("serve", boosts::serve),
    ("channel-daemon", channel_tasks::channel_daemon),
    ("channel-app", channel_tasks::channel_app),
    ("channel-leaker", channel_tasks::channel_leaker),
    ("obey", puppets::obey),
    ("instance", super::instances::instance),
    ("play", players::play),
    ("receive-always", soak::receive_always),
    ("adopt-and-sleep", voucher_rights::adopt_and_sleep),
    ("use-up-budget", exhaustion::use_up_budget),
    ("pin-pages", exhaustion::pin_pages),
    ("use-share", exhaustion::use_share),
    ("hold-right", exhaustion::hold_right),
    ("hold-messages", super::hostile_steps::hold_messages),
    ("be-a-stranger", exhaustion::be_a_stranger),
    ("check-processor", processor::check_fresh_processor),
    ("spin-for-a-while", starvation::spin_for_a_while),
    ("spin-for-ever", starvation::spin_for_ever),
    ("reach-above", starvation::reach_above),
    ("stay-low", starvation::stay_low),
    ("take-names", launch_hostile::take_names),
    ("answer-with-vectors", processor::answer_with_vectors),
];

/// Returns the arguments of a task that runs the function of [`CHILDREN`] with this name.
pub(super) fn child(name: &str) -> Spawn {
    Spawn::program("tests").argument("child").argument(name)
}

/// Runs a child and returns its exit status.
fn run(spawn: Spawn) -> ExitStatus {
    let exit = Port::new();
    let task = spawn.exit_port(exit.name()).start().expect("the child starts");
    let status = task::wait_for_exit(exit.name()).expect("the child ends");
    check::equal("the type of its port", port::port_type(task), Ok(PortType::DEAD_NAME));
    port::deallocate(task).expect("the name exists");
    status
}

fn an_exit_message_carries_the_status() {
    port::task_self();
    let before = task::counts();
    check::equal("the exit status", run(child("seven")), ExitStatus::exited(7));
    check::equal("the counts", task::counts(), before);
}

fn a_child_is_terminated() {
    let exit = Port::new();
    let task = child("sleep").exit_port(exit.name()).start().expect("the child starts");
    time::sleep(2);
    check::that("no exit message comes before the end", is_empty(exit.name()));
    check::equal("terminating the child", task::terminate(task), Ok(()));
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    check::that("a dead child is not terminated again", task::terminate(task).is_err());
    port::deallocate(task).expect("the name exists");
}

fn a_fault_in_a_child_ends_the_child_alone() {
    check::equal("the exit status", run(child("fault")), ExitStatus::exception(Exception::BadInstruction, 6));
}

fn a_missing_program_is_refused() {
    check::equal("starting the program", Spawn::program("no such program").start(), Err(KERN_INVALID_NAME));
}

/// A small program: `mov edi, 42; mov eax, 0x2000001; syscall`.
pub static EXIT_PROGRAM: [u8; 132] = {
    let mut file = [0; 132];
    let parts: [(usize, &[u8]); 9] = [
        (0, &[0x7F, b'E', b'L', b'F', 2, 1, 1]),
        (16, &[2, 0, 62, 0, 1, 0, 0, 0, 0x78, 0, 0x40]),
        (32, &[64]),
        (52, &[64, 0, 56, 0, 1]),
        (64, &[1, 0, 0, 0, 5]),
        (80, &[0, 0, 0x40]),
        (96, &[132]),
        (104, &[132]),
        (120, &[0xBF, 42, 0, 0, 0, 0xB8, 1, 0, 0, 2, 0x0F, 0x05]),
    ];
    let mut part = 0;
    while part < parts.len() {
        let (at, bytes) = parts[part];
        let mut byte = 0;
        while byte < bytes.len() {
            file[at + byte] = bytes[byte];
            byte += 1;
        }
        part += 1;
    }
    file
};

fn a_program_in_memory_runs() {
    check::equal("the exit status", run(Spawn::image(&EXIT_PROGRAM)), ExitStatus::exited(42));
}

fn files_that_are_no_programs_are_refused() {
    let before = task::counts();
    for size in [0, 1, 63, 64, 119] {
        check::equal("a part of a program", Spawn::image(&EXIT_PROGRAM[..size]).start(), Err(KERN_FAILURE));
    }
    check::equal(
        "text",
        Spawn::image(b"#!/bin/sh\necho hello, this is no program at all; it is text\n").start(),
        Err(KERN_FAILURE),
    );
    check::equal("the counts", task::counts(), before);
}

fn bad_arguments_of_task_spawn_are_refused() {
    let good = TaskSpawnArgs { uid: SPAWN_INHERIT, gid: SPAWN_INHERIT, ..TaskSpawnArgs::default() };
    let bad = [
        TaskSpawnArgs { image_kind: 2, ..good },
        TaskSpawnArgs { app_type: 99, ..good },
        TaskSpawnArgs { role: 99, ..good },
        TaskSpawnArgs { qos_clamp: 99, ..good },
        TaskSpawnArgs { properties: 0x10, ..good },
        TaskSpawnArgs { watch_port_count: WATCH_PORTS_MAX + 1, ..good },
        TaskSpawnArgs { arguments_size: u64::MAX, ..good },
        TaskSpawnArgs { exit_port: port::task_self(), exit_disposition: 17, ..good },
    ];
    for args in bad {
        check::equal("spawning", task::spawn_raw(&args), Err(KERN_INVALID_ARGUMENT));
    }
    let image = EXIT_PROGRAM.as_ptr() as u64;
    let good = TaskSpawnArgs { image, image_size: EXIT_PROGRAM.len() as u64, image_kind: SPAWN_IMAGE_BYTES, ..good };
    let no_port = TaskSpawnArgs { bootstrap_port: PortName(0x7777_7703), ..good };
    check::equal("a bootstrap port without a right", task::spawn_raw(&no_port), Err(KERN_INVALID_CAPABILITY));
    let no_memory = TaskSpawnArgs { image: 0x10, ..good };
    check::equal("an image at an address without memory", task::spawn_raw(&no_memory), Err(KERN_MEMORY_ERROR));
}

fn a_child_finds_its_arguments() {
    let spawn = child("arguments").argument("one").argument("").argument("three words long");
    check::equal("the exit status", run(spawn), ExitStatus::exited(0));
}

/// `bin/tests.rs` has found this function by the arguments, so they have arrived.
fn check_arguments() {
    check::that("the child has its own number", task::pid() > 1);
}

/// Registers a port with the name service and answers requests.
fn echo() {
    let port = port_with_send();
    names::register("echo", port.name()).expect("the name is free");
    let mut request = Message::receive(port.name()).expect("a request comes");
    loop {
        if request.message_id() == 0 {
            return;
        }
        let mut reply = Message::reply(&request).words(&[request.word(0) ^ u32::MAX]);
        let call =
            Call { options: MsgOption::SEND_MSG | MsgOption::RCV_MSG, receive_name: port.name(), ..Call::default() };
        reply.call(&call).ok().expect("the next request comes");
        request = reply;
    }
}

/// Looks a service up until it is registered. Only the limit of the test ends the search.
pub(super) fn find(name: &str) -> PortName {
    loop {
        match names::look_up(name) {
            Ok(port) => return port,
            Err(_) => time::sleep(1),
        }
    }
}

fn messages_go_from_task_to_task() {
    let exit = Port::new();
    let task = child("echo").exit_port(exit.name()).start().expect("the child starts");
    let service = find("echo");
    for number in 0..200 {
        let reply = Message::copy_send(service).id(1).words(&[number]).rpc().expect("an answer");
        check::equal("the answer", reply.word(0), number ^ u32::MAX);
    }
    Message::copy_send(service).id(0).send().expect("there is room");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    check::equal("the type of the service", port::port_type(service), Ok(PortType::DEAD_NAME));
    [service, task].into_iter().for_each(|name| port::deallocate(name).expect("the name exists"));
}

fn a_right_of_a_dead_task_is_a_dead_name() {
    let (exit, notify) = (Port::new(), Port::new());
    let task = child("echo").exit_port(exit.name()).start().expect("the child starts");
    let service = find("echo");
    port::request_notification(service, MACH_NOTIFY_DEAD_NAME, 0, notify.name(), D::MAKE_SEND_ONCE)
        .expect("the request is accepted");
    task::terminate(task).expect("the child has not ended");
    let notification = Message::receive(notify.name()).expect("a notification comes");
    check::equal("the name of the dead port", notification.word(2), service.0);
    check::equal("sending to the dead port", Message::copy_send(service).send(), Err(MACH_SEND_INVALID_DEST));
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    port::mod_refs(service, MACH_PORT_RIGHT_DEAD_NAME, -2)
        .expect("one reference is the service's, one the notification's");
    port::deallocate(task).expect("the name exists");
}

fn a_message_in_the_queue_of_a_dead_task_is_destroyed() {
    let (exit, carried) = (Port::new(), Port::new());
    let task = child("echo").exit_port(exit.name()).start().expect("the child starts");
    let service = find("echo");
    // The first message ends the child, so the second one stays in the queue.
    Message::copy_send(service).id(0).send().expect("there is room");
    Message::copy_send(service).port(carried.name(), D::MAKE_SEND_ONCE).send_within(0).ok();
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    let notification = Message::receive(carried.name()).map(|message| message.message_id());
    check::equal("the notification for the right in the message", notification, Ok(MACH_NOTIFY_SEND_ONCE));
    [service, task].into_iter().for_each(|name| port::deallocate(name).expect("the name exists"));
}

fn a_service_is_registered_and_found() {
    let port = port_with_send();
    check::equal("registering", names::register("a service", port.name()), Ok(()));
    check::equal("registering again", names::register("a service", port.name()), Err(KernReturn(NAME_IN_USE)));
    check::equal("the port that is found", names::look_up("a service"), Ok(port.name()));
    Message::copy_send(port.name()).id(12).send().expect("there is room");
    check::equal("the message", Message::receive(port.name()).map(|m| m.message_id()), Ok(12));
}

fn an_unknown_service_is_not_found() {
    check::equal("looking up", names::look_up("unknown"), Err(KernReturn(UNKNOWN_SERVICE)));
}

fn register_and_end() {
    let port = port_with_send();
    names::register("short-lived", port.name()).expect("the name is free");
}

fn a_service_of_a_dead_task_is_forgotten() {
    for _ in 0..3 {
        check::equal("the exit status", run(child("register")), ExitStatus::exited(0));
        check::equal("looking up", names::look_up("short-lived"), Err(KernReturn(UNKNOWN_SERVICE)));
    }
}

fn many_children_come_and_go() {
    port::task_self();
    let before = task::counts();
    let exit = Port::new();
    const CHILDREN: usize = 12;
    // They are there at the same time, so that each gets a small share.
    let start = || child("seven").kernel_bytes(64 << 10).pages(256).exit_port(exit.name()).start();
    let tasks = [0; CHILDREN].map(|_| start().expect("the child starts"));
    for _ in tasks {
        check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(7)));
    }
    tasks.into_iter().for_each(|task| port::deallocate(task).expect("the name exists"));
    drop(exit);
    check::equal("the counts", task::counts(), before);
}
