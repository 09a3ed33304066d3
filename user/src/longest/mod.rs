//! The longest steps: how long a program can make the kernel keep everybody else out.
//!
//! Each row of the table is a call with the worst arguments that the kernel allows. It runs in a task of its own, while
//! other tasks hold ten thousand ports, requests and messages, as far as there is memory. The kernel measures its own
//! steps meanwhile (`debug_state`, kind 7). A row's figure is the longest part of any step: from an entry of the kernel,
//! or a point where others can have their turn, to the next such point. The time stamp counter must count instructions,
//! as it does in `./run-qemu.sh bench`.

mod boosts;
mod child;
mod holes;
pub(crate) mod memory;
mod messages;
mod parts;
mod ports;
mod rate;
mod rights;
mod sets;
mod starts;
mod tables;
mod threads;
mod vouchers;
pub(crate) mod walks;

use crate::check;
use crate::demo::page::Grouped;
use crate::port::{self, Port};
use crate::println;
use crate::task::{self, Spawn};
use abi::debug::LongestStep;
use abi::task::ExitStatus;
use child::Child;

/// The most instructions that a part of a step may take.
pub const BOUND: u64 = 200_000;

/// A row of the table: its name, and the function that measures it.
type Row = (&'static str, fn() -> LongestStep);

/// All rows.
const ROWS: &[&[Row]] = &[
    memory::ROWS,
    messages::ROWS,
    ports::ROWS,
    tables::ROWS,
    threads::ROWS,
    walks::ROWS,
    sets::ROWS,
    rights::ROWS,
    boosts::ROWS,
    vouchers::ROWS,
    parts::ROWS,
    starts::ROWS,
];

fn rows() -> impl Iterator<Item = &'static Row> {
    ROWS.iter().flat_map(|rows| rows.iter())
}

/// Returns the program for a task that calls [`run`] with this argument.
fn program(argument: &str) -> Spawn {
    Spawn::program("bench").argument("longest").argument(argument)
}

/// Measures all rows, and prints the table.
pub fn run_all() {
    println!();
    println!("{:<44} {:>12}", "longest step", "instructions");
    let holders = ["hold ports", "hold messages"].map(Child::start);
    for number in 0..rows().count() {
        let mut text = heapless::String::<8>::new();
        core::fmt::write(&mut text, format_args!("{number}")).expect("a number is short");
        let exit = Port::new();
        let task = program(&text).most().exit_port(exit.name()).start().expect("there is room for a task");
        let ended = task::wait_for_exit(exit.name()).expect("it ends");
        check::equal("the end of a row", ended, ExitStatus::exited(0));
        port::deallocate(task).expect("its name is there");
    }
    let held = task::counts();
    let [ports, requests, messages] = [held.ports, held.send_once_rights, held.messages].map(Grouped);
    println!("others have held {ports} ports, {requests} requests and {messages} messages");
    holders.into_iter().for_each(Child::end);
    holes::report();
    rate::report();
}

/// Does what a task of the benchmark has been started for.
pub fn run(argument: &str) {
    let Ok(number) = argument.parse::<usize>() else {
        if !boosts::run(argument) {
            child::run(argument);
        }
        return;
    };
    let (name, measure) = rows().nth(number).expect("there is such a row");
    let longest = measure();
    let over = if longest.ticks > BOUND { "   too long" } else { "" };
    println!("{name:<44} {:>12}{over}", Grouped(longest.ticks));
}

/// Returns the longest step while `action` runs.
fn measured(action: impl FnOnce()) -> LongestStep {
    task::longest_step(true);
    action();
    task::longest_step(false)
}
