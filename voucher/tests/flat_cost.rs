//! The operations of the benchmark probe tables no more often with a hundred thousand live vouchers than with ten.

#[path = "../benches/cost/workload.rs"]
mod workload;

use store::steps;
use workload::{Operation, Workload};

/// The largest number of steps that an operation may take.
const WORST: u64 = 24;

/// Returns the average and the largest number of steps of an operation.
fn steps_of(workload: &mut Workload, operation: Operation) -> (f64, u64) {
    const COUNT: usize = 5_000;
    let subjects = workload.subjects(operation, COUNT);
    let mut each = Vec::with_capacity(COUNT);
    for subject in subjects.chunks(1) {
        steps::take();
        workload.run(operation, subject);
        each.push(steps::take());
    }
    (each.iter().sum::<u64>() as f64 / COUNT as f64, each.into_iter().max().unwrap_or(0))
}

#[test]
fn the_steps_of_an_operation_do_not_grow_with_the_number_of_vouchers() {
    let mut workload = Workload::new(100_000);
    for live in [10, 1_000, 100_000] {
        workload.grow_to(live);
        for operation in Operation::ALL {
            let (average, worst) = steps_of(&mut workload, operation);
            // Three tables, each with a bucket and at most one entry on average. A chain has a few entries at worst.
            assert!(
                average <= 6.0 && worst <= WORST,
                "{operation:?} with {live}: {average} on average, {worst} at worst"
            );
            let reads_tables = operation != Operation::Extract;
            assert_eq!(average > 0.0, reads_tables, "{operation:?}: only an extraction needs no search");
        }
        assert_eq!(workload.sizes(), (live, live));
    }
}

#[test]
fn the_steps_of_an_insertion_do_not_grow_with_the_number_of_vouchers() {
    let mut workload = Workload::new(100_000);
    let mut grow = |from: usize, to: usize| {
        let mut worst = 0;
        for live in from + 1..=to {
            steps::take();
            workload.grow_to(live);
            worst = worst.max(steps::take());
        }
        worst
    };
    for (from, to) in [(0, 10), (10, 1_000), (1_000, 100_000)] {
        let worst = grow(from, to);
        assert!(worst <= WORST, "between {from} and {to} one creation took {worst} steps");
    }
}
