//! The first program: it runs the tests, the demo, the benchmarks or another program, and serves the name service meanwhile.
//!
//! ```text
//! init harness [FILTER] [--colour] [--slowest] [--stay] [--seed N] [--deliberate fail|leave|slow|hang|panic]
//! init run PROGRAM [ARGUMENT…]
//! init demo [xpc] [--colour]
//! init bench
//! init monitor [PROGRAM [ARGUMENT…]]
//! ```
//!
//! Options before the command:
//!
//! ```text
//! --trace           write events to the trace device
//! --limit SECONDS   tell who waits for what if the program has not ended then, and end with status 124
//! --dump-on-panic   the kernel's own option: see the kernel's report of a panic
//! ```
//!
//! With `--stay` the monitor follows the tests, and its status is theirs.

#![cfg_attr(target_os = "none", no_std, no_main)]

use core::fmt::Write;
use user::abi::KernReturn;
use user::abi::code::*;
use user::harness::{self, Deliberate, Options};
use user::supervisor::{Failure, Supervisor};
use user::sys::Arguments;
use user::sys::machine::started as started_at;
use user::task::Spawn;
use user::{events, monitor, println, task};

runtime::program!(start);

/// The exit status for unknown arguments, and for arguments that are too long for the program.
const USAGE: i32 = 64;
/// The exit status for a program that has not ended in time.
const TIMED_OUT: i32 = 124;
/// The exit status for a program that does not start for another reason.
const NOT_STARTED: i32 = 127;

fn start(mut arguments: Arguments) -> i32 {
    arguments.next();
    let mut limit = 0;
    let (strings, command) = loop {
        let strings = arguments.strings();
        match arguments.next() {
            Some("--trace") => {
                if let Err(code) = events::stream() {
                    println!("init: events cannot be recorded: {code}");
                }
            }
            Some("--limit") => match arguments.next().and_then(|seconds| seconds.parse().ok()) {
                Some(seconds) => limit = seconds,
                None => return usage("--limit"),
            },
            Some("--dump-on-panic") => {}
            command => break (strings, command),
        }
    };
    match command {
        None | Some("harness") => run_harness(arguments),
        Some("run") => run_program(arguments, limit),
        Some("bench") => run_benchmarks(),
        // Their first argument is their name.
        Some("demo") => run_and_wait(Spawn::program("demo").arguments(strings).half(), limit),
        Some("monitor") => run_and_wait(Spawn::program("monitor").arguments(strings).half(), 0),
        Some(other) => usage(other),
    }
}

fn usage(wrong: &str) -> i32 {
    println!("init: {wrong:?} is not understood; the calls are");
    println!(
        "  init harness [FILTER] [--colour] [--slowest] [--stay] [--seed N] [--deliberate fail|leave|slow|hang|panic]"
    );
    println!("  init run PROGRAM [ARGUMENT…]");
    println!("  init demo [xpc] [--colour]");
    println!("  init bench");
    println!("  init monitor [PROGRAM [ARGUMENT…]]");
    USAGE
}

fn run_harness(mut arguments: impl Iterator<Item = &'static str>) -> i32 {
    let mut options = Options::default();
    let mut stays = false;
    while let Some(argument) = arguments.next() {
        match argument {
            "--colour" => options.colour = true,
            "--stay" => stays = true,
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
    let status = harness::run(&options);
    if !stays {
        return status;
    }
    println!();
    let shown = if status == 0 { "0" } else { "1" };
    run_and_wait(Spawn::program("monitor").argument("--status").argument(shown).half(), 0)
}

/// Runs a program with the remaining arguments; the first is its name.
fn run_program(mut arguments: Arguments, limit: u32) -> i32 {
    let strings = arguments.strings();
    match arguments.next() {
        Some(name) => run_and_wait(Spawn::program(name).arguments(strings).half().own_coalition(), limit),
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
    run_and_wait(Spawn::program("bench").argument(&started).most().own_coalition(), 0)
}

/// Runs a program and returns its exit status, or 128 plus the kind of the exception that ended it; or 124 if it has
/// not ended after `limit` seconds. 0 is no limit.
fn run_and_wait(spawn: Spawn, limit: u32) -> i32 {
    let mut supervisor = Supervisor::in_control();
    let waits = || {
        println!("\ninit: not finished after {limit} s; who waits for what:");
        monitor::print_waits(task::pid() as u32);
    };
    match supervisor.run_with(spawn, limit.saturating_mul(1000), waits) {
        Ok(end) if end.timed_out => TIMED_OUT,
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
