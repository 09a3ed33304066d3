//! Sends very many requests by XPC, in good order, over connections that come and go, and with peers that are killed at
//! random moments, and compares what there is with what there was before. Not in the bundle:
//! `./run-qemu.sh --timeout 3000 run target/x86_64-unknown-none/release/xpc_soak`
//!
//! ```text
//! xpc_soak [REQUESTS [CONNECTIONS [KILLED]]]
//! ```

#![cfg_attr(target_os = "none", no_std, no_main)]

use user::println;
use user::suite::soak_xpc;
use user::sys::Arguments;
use user::task::free_heap;
use user::time::{MILLISECOND, now};

runtime::program!(start);

/// Requests, connections and killed peers if there are no arguments. Each killed peer has 20 requests.
const COUNTS: [u64; 3] = [100_000, 1_000, 500];
/// Bytes by which the kernel's tables may grow when a part is done again. They stay as large as they have ever been, so
/// they grow if by chance a few more ports (280 bytes each) or threads (1,472) than before exist at one moment: those of
/// peers that die while others begin. The smallest block of the heap, lost with each killed peer, would be 8,000 bytes.
const GROWTH: u64 = 4_096;
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
    let parts = [
        ("requests", [requests, 0, 0]),
        ("connections", [0, connections, 0]),
        ("killed services, and as many clients", [0, 0, killed]),
    ];
    let mut status = 0;
    // The kernel's tables grow the first time.
    for ((what, [requests, connections, killed]), most) in
        parts.iter().flat_map(|&part| [(part, u64::MAX), (part, GROWTH)])
    {
        let (start, heap) = (now(), free_heap());
        let soaked = soak_xpc(requests, connections, killed);
        println!("{} {what} in {} ms", requests + connections + killed, (now() - start) / MILLISECOND);
        let [before, after] = soaked.busy;
        println!("  before: {before:?}");
        println!("  after:  {after:?}");
        let [before, after] = soaked.quiet;
        println!("  library before the service began: {before:?}");
        println!("  library after its end:            {after:?}");
        let lost = heap.saturating_sub(free_heap());
        println!("  free bytes of the kernel's heap: {heap} before the tasks began, {lost} less now");
        status |= i32::from(!soaked.is_clean() || lost > most);
    }
    status
}
