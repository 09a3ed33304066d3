//! Sends very many messages with vouchers, and compares all counts and the kernel's heap with those before. Not in the
//! bundle: `./run-qemu.sh --timeout 900 run target/x86_64-unknown-none/release/soak`
//!
//! ```text
//! soak [MESSAGES]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use user::println;
use user::suite::send_messages;
use user::sys::Arguments;
use user::time::{MILLISECOND, now};

runtime::program!(start);

/// Messages if there is no argument.
const MILLION: u64 = 1_000_000;
/// The exit status for unknown arguments.
const USAGE: i32 = 64;

fn start(mut arguments: Arguments) -> i32 {
    let count = match arguments.nth(1).map(str::parse) {
        None => MILLION,
        Some(Ok(count)) => count,
        Some(Err(_)) => {
            println!("soak: the argument is a number of messages");
            return USAGE;
        }
    };
    let start = now();
    let (sent, before, after) = send_messages(count);
    println!("{sent} messages in {} ms", (now() - start) / MILLISECOND);
    println!("before: {} bytes of the heap free, {:?}", before.1, before.0);
    println!("after:  {} bytes of the heap free, {:?}", after.1, after.0);
    i32::from(before != after)
}
