//! Inputs that are changed at random, for each parser of the kernel: messages, requests to kernel objects, recipes of
//! vouchers, programs, bundles, and the arguments of `task_spawn`.
//!
//! `FUZZ_INPUTS` is the number of inputs of each test, `TALLY_SEED` the first seed. A batch of inputs has a kernel and a
//! seed of its own. The seed is printed if the batch fails: `TALLY_SEED=… FUZZ_INPUTS=1` runs it again.

mod archives;
mod arguments;
mod bytes;
mod messages;
mod programs;
mod recipes;
mod requests;

use crate::simulation::Random;
use crate::world::{Actor, World};
use abi::debug::Counts;
use kernel::inspect::invariants::check_all;
use kernel::limits::Limits;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Inputs with one kernel.
const BATCH: u64 = 100;

/// Returns the number in an environment variable.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How often each outcome was seen, by its text.
type Outcomes = BTreeMap<String, u64>;

/// Runs `inputs` inputs, or as many as `FUZZ_INPUTS` says, in batches, each with its own generator. Prints the seed of
/// a batch that fails. Returns the outcomes, or none if there were too few inputs to expect all of them.
fn run_batches(inputs: u64, mut batch: impl FnMut(&mut Random, &mut Outcomes)) -> Option<Outcomes> {
    let asked = number("FUZZ_INPUTS").unwrap_or(inputs);
    let first = number("TALLY_SEED").unwrap_or(1);
    let mut outcomes = Outcomes::new();
    for seed in first..first + asked.div_ceil(BATCH) {
        let mut random = Random::new(seed);
        let result = catch_unwind(AssertUnwindSafe(|| batch(&mut random, &mut outcomes)));
        if let Err(panic) = result {
            eprintln!("seed {seed} fails; TALLY_SEED={seed} FUZZ_INPUTS=1 runs it again");
            resume_unwind(panic);
        }
    }
    println!("{asked} inputs: {outcomes:?}");
    (asked >= inputs).then_some(outcomes)
}

/// A kernel with two tasks for one batch, and what there was before them.
struct Stage {
    world: World,
    actor: Actor,
    other: Actor,
    before: Counts,
}

impl Stage {
    fn new() -> Stage {
        let limits = Limits { pages_per_task: 2_000, names_per_task: 512, ..Limits::default() };
        let before = World::with_limits(limits).counts();
        let mut world = World::with_limits(limits);
        let (actor, other) = (world.task(), world.task());
        world.introduce(actor, other);
        // Rights that arrive at init would stay there.
        for task in [actor, other] {
            world.deallocate(task, task.to_init).expect("it is there");
        }
        // The invariants are checked at the end of a batch.
        world.checked = false;
        Stage { world, actor, other, before }
    }

    /// Checks the invariants, ends both tasks and checks that nothing of theirs is left.
    fn finish(mut self) {
        let Stage { world, actor, other, before } = &mut self;
        world.settle();
        check_all(&world.kernel);
        world.end_task(*actor);
        world.end_task(*other);
        world.settle();
        let init = world.init;
        while world.poll(init, init.inbox).is_ok() {}
        world.release_dead_names();
        check_all(&world.kernel);
        assert_eq!(world.counts(), *before, "all objects of the tasks are gone");
    }
}
