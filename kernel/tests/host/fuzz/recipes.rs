//! Recipes of vouchers.

use super::bytes::change;
use super::{BATCH, Stage, run_batches};
use crate::vouchers::*;
use abi::port::MACH_PORT_NULL;
use abi::voucher::*;

/// Inputs of a run of the tests.
const INPUTS: u64 = 10_000;

#[test]
fn changed_recipes_make_a_voucher_or_are_refused() {
    let outcomes = run_batches(INPUTS, |random, outcomes| {
        let mut stage = Stage::new();
        let a = stage.actor;
        let w = &mut stage.world;
        let host = w.host(a);
        let mut vouchers = vec![MACH_PORT_NULL];
        for _ in 0..BATCH {
            let mut recipes = Vec::new();
            for _ in 0..=random.below(5) {
                let previous = random.pick(&vouchers);
                recipes.extend(match random.below(9) {
                    0 => st(USER_DATA, &vec![random.below(4) as u8; random.below(300) as usize]),
                    1 => st(TEST, b"a"),
                    2 => current_task(),
                    3 => priority(random.next() as u32),
                    4 => cp(ALL, previous),
                    5 => cp(random.below(10) as u32, previous),
                    6 => it(MACH_VOUCHER_ATTR_KEY_IMPORTANCE, MACH_VOUCHER_ATTR_IMPORTANCE_SELF, MACH_PORT_NULL, b""),
                    7 => it(BANK, MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA, previous, &[1; 16]),
                    _ => it(ALL, MACH_VOUCHER_ATTR_REMOVE, MACH_PORT_NULL, b""),
                });
            }
            change(&mut recipes, random);
            let made = match random.one_in(2) {
                true => w.create_by_trap(a, host, &recipes),
                false => w.create_by_message(a, host, &recipes),
            };
            let text = match made {
                Ok(name) => {
                    vouchers.push(name);
                    // What it says is read in all ways.
                    for key in 0..9 {
                        let _ = w.extract(a, name, key, random.pick(&[0, 16, 500, 5_120]));
                    }
                    "a voucher".to_owned()
                }
                Err(code) => code.to_string(),
            };
            *outcomes.entry(text).or_insert(0) += 1;
        }
        stage.finish();
    });
    if let Some(outcomes) = outcomes {
        assert!(outcomes.len() > 2 && outcomes["a voucher"] > 1_000, "the recipes are too similar: {outcomes:?}");
    }
}
