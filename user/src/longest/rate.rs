//! The rate of calls between two well-behaved tasks while a hostile task of the same priority runs.

use super::child::{Child, MEMORY, SERVE, SERVE_ELSEWHERE};
use super::{memory, program, threads};
use crate::demo::page::Grouped;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::println;
use crate::sys::machine::time_stamp;
use crate::task::{self, Spawn};
use crate::thread;
use crate::time;
use abi::PortName;
use abi::port::PortType;
use abi::task::{VM_FLAGS_OVERWRITE, VM_PROT_READ};
use core::sync::atomic::AtomicU32;

/// Instructions for which calls are counted: several quanta of three threads.
const SPAN: u64 = 60_000_000;

/// What a hostile task does for ever, by the name of its row.
const KINDS: [(&str, fn()); 10] = [
    ("one thread that spins", || spin(0)),
    ("127 threads that spin", || with_threads(spin)),
    ("127 threads that yield", || with_threads(yield_for_ever)),
    ("127 threads that sleep", || with_threads(sleep_for_ever)),
    ("127 threads that send", || with_threads(call_itself)),
    ("threads that take turns", take_turns),
    ("16 children that spin", start_family),
    ("much memory", use_memory),
    ("large programs", start_programs),
    ("children that end", start_children),
];

/// The kind of a child that spins.
const SPINNING_CHILD: &str = "spin with the parent";

/// Prints how many calls there are in a span of time, alone and beside each kind of hostile task: to a server of the
/// caller's coalition, and to one of another.
pub(super) fn report() {
    println!();
    println!("{:<44} {:>12} {:>12}", "calls in 60 M instructions", "one program", "two programs");
    let servers = [SERVE, SERVE_ELSEWHERE].map(Child::start);
    let calls = || servers.each_ref().map(|server| calls(server.port()));
    let alone = calls();
    println!("{:<44} {:>12} {:>12}", "alone", Grouped(alone[0]), Grouped(alone[1]));
    for (name, _) in KINDS {
        let hostile = Child::start(name);
        let beside = calls();
        hostile.end();
        let few = beside.iter().zip(alone).any(|(beside, alone)| beside * 3 < alone);
        let verdict = if few { "   too few" } else { "" };
        println!("beside a task with {name:<25} {:>12} {:>12}{verdict}", Grouped(beside[0]), Grouped(beside[1]));
    }
    servers.into_iter().for_each(Child::end);
}

/// Returns true if a hostile task has this name.
pub(super) fn is_hostile(name: &str) -> bool {
    KINDS.iter().any(|(kind, _)| *kind == name)
}

/// Does what a hostile task does. Returns false if no kind has this name.
pub(super) fn run(name: &str) -> bool {
    if name == SPINNING_CHILD {
        spin_with_parent();
        return true;
    }
    let Some((_, act)) = KINDS.iter().find(|(kind, _)| *kind == name) else { return false };
    loop {
        act();
    }
}

/// Returns the number of calls that the server answers in the span.
fn calls(service: PortName) -> u64 {
    let end = time_stamp() + SPAN;
    let mut count = 0;
    while time_stamp() < end {
        Message::copy_send(service).rpc().expect("the server answers");
        count += 1;
    }
    count
}

/// Answers calls for ever, at a port that the parent has got.
pub(super) fn serve(port: &Port) {
    loop {
        let mut request = Message::receive(port.name()).expect("a request comes");
        if let Some(mut reply) = request.take_reply() {
            reply.send().expect("the client waits");
        }
    }
}

fn spin(_: u64) {
    loop {
        crate::spin();
    }
}

fn yield_for_ever(_: u64) {
    loop {
        time::yield_now();
    }
}

/// Waits for moments that have nearly come.
fn sleep_for_ever(_: u64) {
    loop {
        let _ = time::wait_until(time::now() + 1_000);
    }
}

/// Sends messages to itself.
fn call_itself(_: u64) {
    let port = port_with_send();
    loop {
        Message::copy_send(port.name()).send().expect("there is room");
        Message::receive(port.name()).expect("a message");
    }
}

/// Lets as many threads as there can be do the same, and does it as well.
fn with_threads(function: fn(u64)) {
    let mut kept = threads::Threads::new();
    threads::fill(&mut kept, function);
    function(0);
}

/// The place of the threads that take turns, and the next in turn.
static TURN: AtomicU32 = AtomicU32::new(0);

/// Threads of which each spins for nearly a quantum and then wakes another one and waits, so that no quantum of any ends.
fn take_turns() {
    const NEARLY: u64 = 9_000_000;
    fn one(_: u64) {
        loop {
            let end = time::now() + NEARLY;
            while time::now() < end {
                crate::spin();
            }
            let _ = thread::wake_word(&TURN, false);
            let _ = thread::wait_on_word(&TURN, 0, 0);
        }
    }
    with_threads(one);
}

/// Spins until the parent ends, whose port becomes a dead name then.
fn spin_with_parent() {
    let parent = task::bootstrap_port();
    while port::port_type(parent).is_ok_and(|rights| !rights.contains(PortType::DEAD_NAME)) {
        (0..10_000).for_each(|_| crate::spin());
    }
}

/// Children that spin.
fn start_family() {
    let meeting = port_with_send();
    for _ in 0..16 {
        let child = program(SPINNING_CHILD).bootstrap(meeting.name()).kernel_bytes(32 << 10).pages(32);
        child.start().expect("there is room for a task");
    }
    spin(0);
}

/// Children that end, one after the other, so that there is always something to take apart.
fn start_children() {
    let meeting = port_with_send();
    loop {
        let child = program("hold ports").bootstrap(meeting.name()).start().expect("there is room for a task");
        Message::receive(meeting.name()).expect("the child is ready").destroy();
        task::terminate(child).expect("it has not ended");
        port::deallocate(child).expect("its name is there");
    }
}

fn use_memory() {
    let at = task::allocate(MEMORY).expect("there is memory");
    task::allocate_at(at, MEMORY, VM_FLAGS_OVERWRITE).expect("the memory is there");
    task::protect(at, MEMORY, VM_PROT_READ).expect("the memory is there");
    task::deallocate(at, MEMORY).expect("the memory is there");
}

fn start_programs() {
    const SIZE: usize = 28 << 20;
    let file = memory::program(SIZE, SIZE as u64);
    loop {
        let exit = port_with_send();
        let task = Spawn::image(file).most().exit_port(exit.name()).start().expect("there is room for a task");
        task::terminate(task).expect("it has not ended");
        task::wait_for_exit(exit.name()).expect("it ends");
        port::deallocate(task).expect("its name is there");
    }
}
