//! The first program: it runs the tests, or one program, and serves the name service meanwhile.
//!
//! ```text
//! init harness [FILTER] [--colour] [--deliberate fail|slow|hang|panic]
//! init run PROGRAM [ARGUMENT…]
//! init bench
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::fmt::Write;
use user::abi::KernReturn;
use user::abi::code::*;
use user::harness::{self, Deliberate, Order};
use user::println;
use user::supervisor::{Failure, Supervisor};
use user::sys::Arguments;
use user::sys::machine::started as started_at;
use user::task::Spawn;

user::program!(start);

/// The exit status of a call that is not understood.
const USAGE: i32 = 64;

fn start(arguments: Arguments) -> i32 {
    let mut arguments = arguments.skip(1);
    match arguments.next() {
        None | Some("harness") => run_harness(arguments),
        Some("run") => run_program(arguments),
        Some("bench") => run_benchmarks(),
        Some(other) => usage(other),
    }
}

fn usage(wrong: &str) -> i32 {
    println!("init: {wrong:?} is not understood; it is one of");
    println!("  init harness [FILTER] [--colour] [--deliberate fail|slow|hang|panic]");
    println!("  init run PROGRAM [ARGUMENT…]");
    println!("  init bench");
    USAGE
}

fn run_harness(mut arguments: impl Iterator<Item = &'static str>) -> i32 {
    let mut order = Order::default();
    while let Some(argument) = arguments.next() {
        match argument {
            "--colour" => order.colour = true,
            "--deliberate" => match arguments.next().and_then(Deliberate::from_name) {
                Some(kind) => order.deliberate = Some(kind),
                None => return usage(argument),
            },
            text => order.filter = text,
        }
    }
    harness::run(&order)
}

fn run_program(mut arguments: impl Iterator<Item = &'static str>) -> i32 {
    match arguments.next() {
        Some(name) => run_and_wait(arguments.fold(Spawn::program(name), Spawn::argument)),
        None => usage("run"),
    }
}

/// What to do if a program does not start.
fn advice(code: KernReturn) -> &'static str {
    match code {
        KERN_FAILURE => "; it is no static ELF file such as docs/abi.md describes",
        KERN_INVALID_ARGUMENT => "; its arguments are too long",
        KERN_RESOURCE_SHORTAGE => "; it is too large, or the machine too small",
        _ => "",
    }
}

/// The benchmarks are told how many instructions it took until this program began.
fn run_benchmarks() -> i32 {
    let mut started = heapless::String::<20>::new();
    write!(started, "{}", started_at()).expect("a number fits");
    run_and_wait(Spawn::program("bench").argument(&started))
}

/// Runs a program; its exit status is ours, or 128 and the kind of its end.
fn run_and_wait(spawn: Spawn) -> i32 {
    let mut supervisor = Supervisor::new();
    match supervisor.run(spawn, 0) {
        Ok(end) => match end.status.code() {
            Some(code) => i32::from(code),
            None => {
                println!("init: the program ended: {:?}", end.status);
                128 + (end.status.0 >> 8) as i32
            }
        },
        Err(Failure::NoStart(code)) => {
            println!("init: the program does not start: {code}{}", advice(code));
            127
        }
        Err(Failure::NoPorts(code)) => panic!("the name service cannot receive: {code}"),
    }
}
