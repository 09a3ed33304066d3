//! The first program: it runs the tests, the demo, the benchmarks or another program, and serves the name service meanwhile.
//!
//! ```text
//! init harness [FILTER] [--colour] [--slowest] [--seed N] [--deliberate fail|slow|hang|panic]
//! init run PROGRAM [ARGUMENT…]
//! init demo [--colour]
//! init bench
//! init --trace …   the same as without, with events written to the trace device
//! init monitor [PROGRAM [ARGUMENT…]]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::fmt::Write;
use user::abi::KernReturn;
use user::abi::code::*;
use user::abi::qos::{AppType, Qos, Role};
use user::events;
use user::harness::{self, Deliberate, Options};
use user::println;
use user::supervisor::{Failure, Supervisor};
use user::sys::Arguments;
use user::sys::machine::started as started_at;
use user::task::Spawn;

user::program!(start);

/// The exit status for unknown arguments, and for arguments that are too long for the program.
const USAGE: i32 = 64;
/// The exit status for a program that does not start for another reason.
const NOT_STARTED: i32 = 127;

fn start(mut arguments: Arguments) -> i32 {
    arguments.next();
    let mut strings = arguments.strings();
    let mut command = arguments.next();
    if command == Some("--trace") {
        if let Err(code) = events::stream() {
            println!("init: events cannot be recorded: {code}");
        }
        strings = arguments.strings();
        command = arguments.next();
    }
    match command {
        None | Some("harness") => run_harness(arguments),
        Some("run") => run_program(arguments),
        Some("demo") => run_and_wait(Spawn::program("demo").argument(arguments.next().unwrap_or(""))),
        Some("bench") => run_benchmarks(),
        // Its first argument is its name.
        Some("monitor") => {
            let monitor = Spawn::program("monitor").arguments(strings);
            // So that its threads may have the highest class.
            run_and_wait(monitor.policy(AppType::DaemonInteractive, Role::Unspecified, Qos::Unspecified))
        }
        Some(other) => usage(other),
    }
}

fn usage(wrong: &str) -> i32 {
    println!("init: {wrong:?} is not understood; the calls are");
    println!("  init harness [FILTER] [--colour] [--slowest] [--seed N] [--deliberate fail|slow|hang|panic]");
    println!("  init run PROGRAM [ARGUMENT…]");
    println!("  init demo [--colour]");
    println!("  init bench");
    println!("  init monitor [PROGRAM [ARGUMENT…]]");
    USAGE
}

fn run_harness(mut arguments: impl Iterator<Item = &'static str>) -> i32 {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        match argument {
            "--colour" => options.colour = true,
            "--slowest" => options.slowest = true,
            "--seed" => match arguments.next().and_then(|number| number.parse().ok()) {
                Some(seed) => options.seed = Some(seed),
                None => return usage(argument),
            },
            "--deliberate" => match arguments.next().and_then(Deliberate::from_name) {
                Some(kind) => options.deliberate = Some(kind),
                None => return usage(argument),
            },
            text => options.filter = text,
        }
    }
    harness::run(&options)
}

/// Runs a program with the remaining arguments; the first is its name.
fn run_program(mut arguments: Arguments) -> i32 {
    let strings = arguments.strings();
    match arguments.next() {
        Some(name) => run_and_wait(Spawn::program(name).arguments(strings)),
        None => usage("run"),
    }
}

/// Returns an explanation why a program does not start.
fn advice(code: KernReturn) -> &'static str {
    match code {
        KERN_FAILURE => "; it is no static ELF file such as docs/abi.md describes",
        KERN_INVALID_ARGUMENT => "; its arguments are too long: see the limits in docs/abi.md",
        KERN_RESOURCE_SHORTAGE => "; it is too large, or the machine too small",
        _ => "",
    }
}

/// Runs the benchmarks. Their argument is the number of instructions before the first one of this program.
fn run_benchmarks() -> i32 {
    let mut started = heapless::String::<20>::new();
    write!(started, "{}", started_at()).expect("a number fits");
    run_and_wait(Spawn::program("bench").argument(&started))
}

/// Runs a program and returns its exit status, or 128 plus the kind of the exception that ended it.
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
            if code == KERN_INVALID_ARGUMENT { USAGE } else { NOT_STARTED }
        }
        Err(Failure::NoPorts(code)) => panic!("the name service cannot receive: {code}"),
    }
}
