//! The benchmark's operations look at as many places in tables with a hundred thousand live vouchers as with ten.

#[path = "../benches/cost/workload.rs"]
mod workload;

use store::steps;
use workload::{Operation, Workload};

/// Places looked at on average, and by the worst of the operations.
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
            // Three tables, each with a bucket and at most one entry on average; a chain has a few entries at worst.

            assert!(average <= 6.0 && worst <= 24, "{operation:?} with {live}: {average} on average, {worst} at worst");
            let reads_tables = operation != Operation::Extract;
            assert_eq!(average > 0.0, reads_tables, "{operation:?}: an extraction goes by number alone");
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
        assert!(worst <= 24, "between {from} and {to} one creation looked at {worst} places");
    }
}
