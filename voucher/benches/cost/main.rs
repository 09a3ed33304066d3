//! The cost of vouchers, with few and with very many live vouchers: `cargo bench -p voucher`.

mod latency;
mod memory;
mod workload;

use std::env;
use std::hint::black_box;
use std::process::{Command, exit};
use std::time::{Duration, Instant};
use store::steps;
use workload::{Operation, Workload};

/// The numbers of live vouchers and values.
const LIVE: [usize; 5] = [10, 1_000, 10_000, 100_000, 1_000_000];

/// The number of operations that are timed together. The result is the minimum of many batches, because disturbances
/// only add time. The batches run for so long that some of them are undisturbed.
const BATCH: usize = 10_000;
const TIME: Duration = Duration::from_millis(400);

/// The cost of the reference in nanoseconds, for create and release, with the numbers of live vouchers of [`LIVE`]:
/// XNU's voucher code (xnu-8020.140.41), compiled for the host with `-O2` and measured on one core of a similar
/// machine. The last number was measured with 500,000 instead of a million, because the reference panics at 524,288
/// values. Its extraction was not measured.
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

/// Returns the chain of dependent memory accesses of an operation. All other accesses go to the same cache lines, or to
/// memory that was freed last and is still in a cache.
const fn dependent_accesses(operation: Operation) -> &'static str {
    match operation {
        Operation::New => "content's bucket",
        Operation::Duplicate => "content's bucket, content, voucher's bucket, voucher",
        Operation::CopyAndChange => "voucher, value; content's bucket",
        Operation::Extract => "voucher, value, content (operations overlap)",
    }
}

/// The cost of one operation.
#[derive(Clone, Copy, Default)]
struct Cost {
    nanoseconds: f64,
    steps: f64,
}

fn measure(workload: &mut Workload, operation: Operation) -> Cost {
    let mut cost = Cost { nanoseconds: f64::INFINITY, steps: 0.0 };
    let begin = Instant::now();
    while begin.elapsed() < TIME {
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

/// Returns a number with separated thousands.
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

/// The environment variable by which the C library uses huge pages, as a kernel does for its memory. The variable must
/// be set before the program starts. If it has another value, even an empty one, the benchmark leaves it unchanged.
const HUGE_PAGES: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// Runs the program again with huge pages, unless the variable is set.
fn use_huge_pages() {
    let (variable, value) = HUGE_PAGES;
    if env::var_os(variable).is_some() {
        return;
    }
    let program = env::current_exe().expect("the program has a file");
    let status = Command::new(program).args(env::args_os().skip(1)).env(variable, value).status();
    exit(if status.is_ok_and(|status| status.success()) { 0 } else { 1 });
}

fn main() {
    use_huge_pages();
    let mut costs = [[Cost::default(); LIVE.len()]; Operation::ALL.len()];
    let mut workload = Workload::new(LIVE[LIVE.len() - 1]);
    for (at, live) in LIVE.into_iter().enumerate() {
        workload.grow_to(live);
        for (costs, operation) in costs.iter_mut().zip(Operation::ALL) {
            costs[at] = measure(&mut workload, operation);
        }
        assert_eq!(workload.sizes(), (live, live), "every operation releases its references");
    }
    drop(workload);

    println!(
        "ns: the minimum of many runs of {} operations. to 10: the ratio to the row with 10.",
        grouped(BATCH as u64)
    );
    println!(
        "steps: probes of buckets and entries of tables. With very many live vouchers the cost is that of cache misses,"
    );
    println!("of which one takes {:.0} ns here and now.", latency::measure());
    for (costs, operation) in costs.iter().zip(Operation::ALL) {
        println!("\n{}: misses {}", heading(operation), dependent_accesses(operation));
        println!("{:>12} {:>8} {:>8} {:>7} {:>13}", "live", "ns", "to 10", "steps", "reference ns");
        let reference = REFERENCE.iter().find(|(of, _)| *of == operation).map(|(_, reference)| reference);
        for (at, live) in LIVE.into_iter().enumerate() {
            print_row(live, costs[at], costs[0], reference.map(|reference| reference[at]));
        }
    }
    memory::print();
}
