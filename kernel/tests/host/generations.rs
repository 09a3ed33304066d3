//! In which order a table hands out indexes, and how the names of one index follow each other (mach-ipc 1.3).

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

/// A table grows by so many indexes, and the first ones are not shuffled. Index 0 is no name's.
const GROWTH: u32 = 64;
const IN_ORDER: u32 = 8;
const SEEDS: u64 = 20;

/// The indexes of the first names of a task, from two growths of its table, in the order in which they come.
fn indexes(seed: u64) -> Vec<u32> {
    let mut w = World::with_seed(seed);
    let a = w.init;
    w.checked = false;
    // It has names already. They are the first ones.
    let had = w.names(a).len() as u32;
    let more = (had + 1..2 * GROWTH).map(|_| w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap().index());
    (1..=had).chain(more).collect()
}

#[test]
fn indexes_come_once_each_and_shuffled_but_for_the_first_ones() {
    let tables: Vec<_> = (1..=SEEDS).map(indexes).collect();
    let mut in_place = 0;
    for table in &tables {
        assert!(table[..IN_ORDER as usize].iter().copied().eq(1..=IN_ORDER), "{table:?}");
        let (first, second) = table.split_at(GROWTH as usize - 1);
        assert_eq!(BTreeSet::from_iter(first.iter().copied()), BTreeSet::from_iter(1..GROWTH));
        assert_eq!(BTreeSet::from_iter(second.iter().copied()), BTreeSet::from_iter(GROWTH..2 * GROWTH));
        in_place += second.iter().zip(GROWTH..).filter(|(index, place)| **index == *place).count() as u64;
    }
    for place in [IN_ORDER, GROWTH - 2, GROWTH, 2 * GROWTH - 2] {
        let there = BTreeSet::from_iter(tables.iter().map(|table| table[place as usize]));
        assert!(there.len() as u64 > SEEDS / 2, "any index may come at place {place}: {there:?}");
    }
    assert!((1..3 * SEEDS).contains(&in_place), "one of a growth's indexes stays in its place on average: {in_place}");
}
