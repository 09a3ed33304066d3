//! How long a look at memory takes that is in no cache.

use std::time::Instant;

/// More than caches hold: as much as a million vouchers take.
const LINES: usize = 256 * 1024 * 1024 / size_of::<Line>();
const LOOKS: usize = 200_000;
const RUNS: usize = 5;

/// A cache line that says where to look next.
#[derive(Clone)]
#[repr(align(64))]
struct Line(usize);

/// Nanoseconds for one look, where each has to wait for the one before: the least of several runs.
pub fn measure() -> f64 {
    // A full cycle through all lines in an order that nothing foresees (a linear congruential generator).
    let next = |line: usize| (line.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F)) % LINES;
    let lines: Vec<Line> = (0..LINES).map(|line| Line(next(line))).collect();
    let mut line = 0;
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let start = Instant::now();
        for _ in 0..LOOKS {
            line = lines[line].0;
        }
        least = least.min(start.elapsed().as_nanos() as f64 / LOOKS as f64);
    }
    // So that the looks are not left out.
    assert!(line < LINES);
    least
}
