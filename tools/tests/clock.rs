//! The clock of a machine that was started on a busy host.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tools::qemu::command_line;

/// Boots, each of which measures the rate of the time stamp counter anew.
const BOOTS: usize = 3;
/// Threads that keep the host busy.
const BUSY: usize = 6;

#[test]
fn a_clock_that_is_measured_on_a_busy_host_agrees_with_another_one() {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..BUSY {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let outcomes: Vec<_> = (0..BOOTS).map(|_| command_line(&["--real-time", "clock::three_seconds"])).collect();
        done.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            assert_eq!(outcome.status, 0, "{}", outcome.output);
            assert!(outcome.output.contains("1 passed, 0 failed"), "{}", outcome.output);
        }
    });
}
