//! The rate of calls between two well-behaved tasks while a hostile task of the same priority runs.

use super::child::{Child, MEMORY};
use super::memory;
use crate::demo::page::Grouped;
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::println;
use crate::sys::machine::time_stamp;
use crate::task::{self, Spawn};
use abi::PortName;
use abi::task::{VM_FLAGS_OVERWRITE, VM_PROT_READ};

/// Instructions for which calls are counted: several quanta of three threads.
const SPAN: u64 = 200_000_000;

/// What a hostile task does for ever, by the name of its row.
const KINDS: [(&str, fn()); 2] = [("much memory", use_memory), ("large programs", start_programs)];

/// Prints how many calls there are in a span of time, alone and beside each kind of hostile task.
pub(super) fn report() {
    println!();
    println!("{:<44} {:>12}", "calls in 200 M instructions", "");
    let server = Child::start("serve");
    let service = server.port();
    let alone = calls(service);
    println!("{:<44} {:>12}", "alone", Grouped(alone));
    for (name, _) in KINDS {
        let hostile = Child::start(name);
        let beside = calls(service);
        hostile.end();
        let few = if beside * 3 < alone { "   too few" } else { "" };
        println!("beside a task with {name:<25} {:>12}{few}", Grouped(beside));
    }
    server.end();
}

/// Does what a hostile task does. Returns false if no kind has this name.
pub(super) fn run(name: &str) -> bool {
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
