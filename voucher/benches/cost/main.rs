//! What vouchers cost, with few of them and with very many: `cargo bench -p voucher`.

mod memory;
mod workload;

use std::hint::black_box;
use std::time::Instant;
use store::steps;
use workload::{Operation, Workload};

/// How many vouchers and values are live.
const LIVE: [usize; 5] = [10, 1_000, 10_000, 100_000, 1_000_000];

/// Operations in a row that are timed together, and how often; the least counts, because all that disturbs only adds.
const BATCH: usize = 10_000;
const RUNS: usize = 15;

/// What the reference takes, in nanoseconds for create and release, with as many live vouchers as in [`LIVE`]: XNU's
/// voucher code (xnu-8020.140.41), compiled for the host with `-O2` and measured on one core of a machine like the one
/// at hand. It was measured with 500,000 instead of a million, because it panics at 524,288 values; its extraction was
/// not measured.
const REFERENCE: [(Operation, [u64; LIVE.len()]); 3] = [
    (Operation::New, [127, 161, 1_293, 48_980, 1_186_219]),
    (Operation::Duplicate, [139, 211, 986, 57_502, 898_553]),
    (Operation::CopyAndChange, [193, 238, 1_510, 86_972, 3_050_993]),
];

const fn heading(operation: Operation) -> &'static str {
    match operation {
        Operation::New => "create + release, new 64-byte content",
        Operation::Duplicate => "create + release, a duplicate",
        Operation::CopyAndChange => "create + release, COPY ALL + one change",
        Operation::Extract => "extract 64 bytes",
    }
}

/// What one operation costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: f64,
    steps: f64,
}

fn measure(workload: &mut Workload, operation: Operation) -> Cost {
    let mut cost = Cost { nanoseconds: f64::INFINITY, steps: 0.0 };
    for _ in 0..RUNS {
        let subjects = workload.subjects(operation, BATCH);
        steps::take();
        let start = Instant::now();
        workload.run(operation, black_box(&subjects));
        let nanoseconds = start.elapsed().as_nanos() as f64 / BATCH as f64;
        cost.nanoseconds = cost.nanoseconds.min(nanoseconds);
        cost.steps = cost.steps.max(steps::take() as f64 / BATCH as f64);
    }
    cost
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", grouped(number / 1_000), number % 1_000) }
}

fn print_row(live: usize, cost: Cost, few: Cost, reference: Option<u64>) {
    let nanoseconds = grouped(cost.nanoseconds.round() as u64);
    let ratio = cost.nanoseconds / few.nanoseconds;
    let reference = reference.map_or("-".into(), grouped);
    let note = if live == 1_000_000 && reference != "-" { "  (with 500,000)" } else { "" };
    println!("{:>12} {nanoseconds:>8} {ratio:>8.1} {:>7.1} {reference:>13}{note}", grouped(live as u64), cost.steps);
}

fn main() {
    let mut costs = [[Cost::default(); LIVE.len()]; Operation::ALL.len()];
    let mut workload = Workload::new(LIVE[LIVE.len() - 1]);
    for (at, live) in LIVE.into_iter().enumerate() {
        workload.grow_to(live);
        for (costs, operation) in costs.iter_mut().zip(Operation::ALL) {
            costs[at] = measure(&mut workload, operation);
        }
        assert_eq!(workload.sizes(), (live, live), "every operation gives back what it takes");
    }
    drop(workload);

    println!(
        "ns: the least of {RUNS} runs of {} operations; to 10: how many times the figure with 10 live vouchers;",
        BATCH
    );
    println!("steps: places in tables that were looked at, for each operation.");
    for (costs, operation) in costs.iter().zip(Operation::ALL) {
        println!("\n{}", heading(operation));
        println!("{:>12} {:>8} {:>8} {:>7} {:>13}", "live", "ns", "to 10", "steps", "reference ns");
        let reference = REFERENCE.iter().find(|(of, _)| *of == operation).map(|(_, reference)| reference);
        for (at, live) in LIVE.into_iter().enumerate() {
            print_row(live, costs[at], costs[0], reference.map(|reference| reference[at]));
        }
    }
    memory::print();
}
