//! How the names of one index follow each other (mach-ipc 1.3).

use crate::world::World;
use abi::port::*;
use std::collections::{BTreeMap, BTreeSet};

/// Low byte of the first name of an index, and how much each further one adds.
const FIRST: u8 = 3;
const STEP: u8 = 4;

/// After so many uses the names of an index may start over.
const PERIODS: [usize; 4] = [16, 32, 48, 64];

#[test]
fn the_names_of_an_index_start_over_after_one_of_four_periods() {
    let mut w = World::new();
    let a = w.task();
    w.checked = false;
    let mut generations: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for _ in 0..4000 {
        let name = w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
        generations.entry(name.index()).or_default().push(name.generation());
        w.deallocate(a, name).unwrap();
    }
    assert_eq!(generations.len(), 1, "a freed index is the next to be used");
    let generations = generations.into_values().next().unwrap();
    let starts: Vec<usize> = (0..generations.len()).filter(|&at| generations[at] == FIRST).collect();
    let mut seen = BTreeSet::new();
    for pair in starts.windows(2) {
        let period = &generations[pair[0]..pair[1]];
        let expected: Vec<u8> =
            (0..period.len()).map(|count| FIRST.wrapping_add(STEP.wrapping_mul(count as u8))).collect();
        assert_eq!(period, expected);
        seen.insert(period.len());
    }
    assert_eq!(seen, BTreeSet::from(PERIODS));
}
