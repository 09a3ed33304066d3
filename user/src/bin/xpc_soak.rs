//! Sends very many requests by XPC, in good order, over connections that come and go, and with peers that are killed at
//! random moments, and compares what there is with what there was before. Not in the bundle:
//! `./run-qemu.sh --timeout 3000 run target/x86_64-unknown-none/release/xpc_soak`
//!
//! ```text
//! xpc_soak [REQUESTS [CONNECTIONS [KILLED]]]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use user::println;
use user::suite::{XpcStock, soak_connections, soak_kills, soak_requests};
use user::sys::Arguments;
use user::time::{MILLISECOND, now};

runtime::program!(start);

/// Requests, connections and killed peers if there are no arguments. Each killed peer has 20 requests.
const COUNTS: [u64; 3] = [100_000, 1_000, 500];
/// Does something this many times, and returns what there was before and after.
type Soak = fn(u64) -> (XpcStock, XpcStock);

/// The exit status for unknown arguments.
const USAGE: i32 = 64;

fn start(arguments: Arguments) -> i32 {
    let mut counts = COUNTS;
    for (count, text) in counts.iter_mut().zip(arguments.skip(1)) {
        match text.parse() {
            Ok(number) => *count = number,
            Err(_) => {
                println!("xpc_soak: the arguments are numbers");
                return USAGE;
            }
        }
    }
    let [requests, connections, killed] = counts;
    let parts: [(&str, u64, Soak); 3] = [
        ("requests", requests, soak_requests),
        ("connections", connections, soak_connections),
        ("killed services, and as many clients", killed, soak_kills),
    ];
    let mut status = 0;
    for (what, count, soak) in parts {
        let start = now();
        let (before, after) = soak(count);
        println!("{count} {what} in {} ms", (now() - start) / MILLISECOND);
        println!("  before: {before:?}");
        println!("  after:  {after:?}");
        status |= i32::from(before != after);
    }
    status
}
