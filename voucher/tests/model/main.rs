//! Random operations on vouchers and on a simple model of their rules. After every operation the visible state of both
//! is the same, and at the end nothing is left.
//!
//! A failure prints the shortest sequence of operations that leads to it, and its seed. `TALLY_SEED=… cargo test -p
//! voucher --test model` runs that seed again. `TALLY_CASES` sets the number of sequences for each seed.

mod bank;
mod call;
mod compare;
mod numbers;
mod operation;
mod perform;
mod rules;
mod world;

use operation::{Identity, NUMBER_KEYS, Operation, identity, operation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use voucher::managers::bank::BankSettings;
use world::World;

const SEEDS: std::ops::Range<u64> = 0..4;
const CASES: u32 = 1000;
const OPERATIONS: usize = 120;

impl World {
    /// Releases everything and asserts that nothing is left.
    fn finish(mut self) {
        loop {
            while !self.waiting.is_empty() {
                self.prepare_answer(0, false);
                self.deliver_answer(0);
            }
            let Some(voucher) = self.rules.live_vouchers().first().copied() else { break };
            let nth = Operation::NoSenders(0);
            let release = Operation::Release(0);
            self.perform(if self.rules.vouchers[voucher].port_holds_reference { nth } else { release });
            self.compare();
        }
        while self.pick_task(0).is_some() {
            self.perform(Operation::EndTask(0));
        }
        for key in [1, 2, 5, 6] {
            while self.rules.registered(key) {
                self.perform(Operation::ReleaseControl(key));
            }
        }
        self.compare();
        let real = &self.real;
        assert!(real.registry.is_empty() && real.bank.is_empty());
        assert!(real.user_data.is_empty() && real.test.is_empty());
        assert!(self.rules.made.is_empty(), "every manager is empty");
        assert!(self.numbers.values().all(|numbers| numbers.borrow().released));
        for key in voucher::Key::all() {
            let values = real.registry.control(key).into_iter().flat_map(|control| control.values());
            assert!(values.into_iter().all(|(_, value)| value.is_persistent()), "{key:?}: no value is in use");
        }
    }
}

fn settings() -> impl Strategy<Value = BankSettings> {
    (prop::bool::weighted(0.8), prop::bool::weighted(0.3), any::<bool>()).prop_map(
        |(unique_persona, propagate_for_all, thread_groups)| BankSettings {
            unique_persona,
            propagate_for_all,
            thread_groups,
        },
    )
}

fn run(seed: u64, settings: BankSettings, tasks: Vec<Identity>, operations: Vec<Operation>) {
    let mut world = World::new(seed, settings);
    NUMBER_KEYS.into_iter().for_each(|key| world.register(key));
    for operation in tasks.into_iter().map(Operation::BeginTask).chain(operations) {
        world.perform(operation);
        world.compare();
    }
    world.finish();
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_operations_have_the_effects_that_the_model_predicts() {
    let cases = number("TALLY_CASES").map_or(CASES, |cases| cases as u32);
    let seeds = number("TALLY_SEED").map_or(SEEDS, |seed| seed..seed + 1);
    for seed in seeds {
        let config = Config { cases, failure_persistence: None, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let sequences = (settings(), vec(identity(), 0..4), vec(operation(), 1..OPERATIONS));
        let result = TestRunner::new_with_rng(config, random).run(&sequences, |(settings, tasks, operations)| {
            run(seed, settings, tasks, operations);
            Ok(())
        });
        if let Err(error) = result {
            panic!("TALLY_SEED={seed}: {error}");
        }
    }
}
