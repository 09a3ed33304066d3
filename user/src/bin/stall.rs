//! Writes to the console for ever, beside a thread that has nothing to do with it and ends the machine after half a
//! second. Not in the bundle: a test of the project boots it as the first program, with a console that nobody reads.

#![cfg_attr(target_os = "none", no_std, no_main)]

use abi::trap::unix::EXIT;
use user::print;
use user::sys::{Arguments, unix_trap};
use user::thread::Thread;
use user::time::sleep;

runtime::program!(start);

/// How often the thread runs, and the status with which it ends the machine.
const TURNS: u32 = 50;
const STATUS: u64 = 7;

fn start(_: Arguments) -> i32 {
    let clock = Thread::start(
        |_| {
            (0..TURNS).for_each(|_| sleep(10));
            let _ = unix_trap(EXIT, [STATUS, 0, 0, 0]);
        },
        0,
    );
    if clock.is_err() {
        return 1;
    }
    loop {
        print!("{}\n", "0123456789abcde 0123456789abcde 0123456789abcde 0123456789abcde");
    }
}
