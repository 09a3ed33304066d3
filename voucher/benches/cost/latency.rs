//! The latency of a memory access that misses all caches.

use std::time::Instant;

/// The number of cache lines in as much memory as a million vouchers take, which is more than caches hold.
const LINES: usize = 256 * 1024 * 1024 / size_of::<Line>();
const ACCESSES: usize = 200_000;
const RUNS: usize = 5;

/// A cache line with the number of the next line to access.
#[derive(Clone)]
#[repr(align(64))]
struct Line(usize);

/// Returns the nanoseconds of one access in a chain of dependent accesses, the minimum of several runs.
pub fn measure() -> f64 {
    // A cycle through all lines in an order that no prefetcher predicts (a linear congruential generator).
    let next = |line: usize| (line.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F)) % LINES;
    let lines: Vec<Line> = (0..LINES).map(|line| Line(next(line))).collect();
    let mut line = 0;
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..ACCESSES {
            line = lines[line].0;
        }
        least = least.min(start.elapsed().as_nanos() as f64 / ACCESSES as f64);
    }
    // Keeps the compiler from removing the accesses.
    assert!(line < LINES);
    least
}
