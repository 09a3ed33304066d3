//! Names in a space by itself: its check, and the random numbers behind the order of names.

use super::*;
use std::array::from_fn;

const SEED: u64 = 0x0123_4567_89AB_CDEF;
const LIMIT: u32 = 4096;

fn port(number: u64) -> PortId {
    PortId::from_bits(1 << 32 | number).expect("a valid id")
}

/// Returns a space with two send rights and a receive right.
fn space(seed: u64) -> Space {
    let mut space = Space::new(BudgetId::from_bits(1 << 32).expect("a valid id"), LIMIT, seed);
    space.grow().unwrap();
    space.add(EntryRight::Send { port: port(1), urefs: 1 }).unwrap();
    space.add(EntryRight::Send { port: port(2), urefs: 3 }).unwrap();
    space.add(EntryRight::Receive { port: port(3), send_urefs: 1 }).unwrap();
    space.check();
    space
}

#[test]
#[should_panic(expected = "I4: ")]
fn the_check_finds_a_send_right_that_is_not_in_the_index() {
    let mut space = space(0);
    space.send_names.remove(&port(1));
    space.check();
}

#[test]
#[should_panic(expected = "I4: ")]
fn the_check_finds_two_names_for_the_send_right_of_one_port() {
    let mut space = space(0);
    space.get_mut(space.name_at(2).unwrap()).unwrap().right = EntryRight::Send { port: port(1), urefs: 1 };
    space.check();
}

#[test]
#[should_panic(expected = "the index of send rights has a stale entry")]
fn the_check_finds_a_stale_entry_in_the_index() {
    let mut space = space(0);
    space.send_names.insert(port(3), space.name_at(3).unwrap()).unwrap();
    space.check();
}

#[test]
#[should_panic(expected = "the number of names")]
fn the_check_finds_a_wrong_number_of_names() {
    let mut space = space(0);
    space.live += 1;
    space.check();
}

/// A linear function of 64 bits: its value for each single bit.
type Linear = [u64; 64];

fn apply(function: &Linear, bits: u64) -> u64 {
    (0..64).filter(|bit| bits >> bit & 1 == 1).fold(0, |sum, bit| sum ^ function[bit])
}

/// Returns the function that applies `function` so many times.
fn repeat(function: &Linear, times: u64) -> Linear {
    let (mut power, mut result) = (*function, from_fn(|bit| 1 << bit));
    for bit in 0..64 {
        if times >> bit & 1 == 1 {
            result = result.map(|bits| apply(&power, bits));
        }
        power = power.map(|bits| apply(&power, bits));
    }
    result
}

/// The factors of 2^64 - 1.
const FACTORS: [u64; 7] = [3, 5, 17, 257, 641, 65_537, 6_700_417];

/// A state that came back early would make the order of names foreseeable. The generator is linear, so its period
/// follows from its values for single bits: it is `u64::MAX` if that many steps lead back, and no proper divisor does.
#[test]
fn the_generator_visits_every_state_but_0_before_it_repeats() {
    let next = |mut state: u64| next_random(&mut state);
    let step: Linear = from_fn(|bit| next(1 << bit));
    let mut state = SEED;
    for _ in 0..1000 {
        let expected = apply(&step, state);
        assert_eq!((next_random(&mut state), state), (expected, expected), "the generator is linear");
    }
    let nothing: Linear = from_fn(|bit| 1 << bit);
    assert_eq!(FACTORS.iter().product::<u64>(), u64::MAX);
    assert_eq!(repeat(&step, u64::MAX), nothing);
    for factor in FACTORS {
        assert_ne!(repeat(&step, u64::MAX / factor), nothing, "the period divides u64::MAX / {factor}");
    }
}

/// Returns the indexes of the first names that a space with this seed gives, in their order.
fn order(seed: u64, count: usize) -> Vec<u32> {
    let mut space = Space::new(BudgetId::from_bits(1 << 32).expect("a valid id"), LIMIT, seed);
    let mut next = || {
        if space.must_grow() {
            space.grow().unwrap();
        }
        space.add(EntryRight::DeadName { urefs: 1 }).unwrap().index()
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn the_order_of_names_depends_on_the_seed_from_the_ninth_name_on() {
    let ascending: Vec<u32> = (1..2 * GROWTH as u32).collect();
    assert_eq!(order(0, ascending.len()), ascending);
    let orders: Vec<Vec<u32>> = (1..20).map(|n| order(SEED * n, ascending.len())).collect();
    for (at, order) in orders.iter().enumerate() {
        assert_eq!(order[..FIRST_SHUFFLED - 1], ascending[..FIRST_SHUFFLED - 1]);
        for growth in [FIRST_SHUFFLED - 1..GROWTH - 1, GROWTH - 1..2 * GROWTH - 1] {
            let mut sorted = order[growth.clone()].to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, ascending[growth.clone()], "each index is given once");
            assert!(orders[..at].iter().all(|other| other[growth.clone()] != order[growth.clone()]));
            assert_ne!(order[growth.clone()], ascending[growth]);
        }
    }
}

/// Each of the shuffled indexes comes first for about as many seeds.
#[test]
fn any_shuffled_index_may_come_next() {
    const SHUFFLED: usize = GROWTH - FIRST_SHUFFLED;
    const SEEDS: u64 = 100 * SHUFFLED as u64;
    let mut first = [0; GROWTH];
    let mut last = [0; GROWTH];
    for n in 1..=SEEDS {
        let order = order(n.wrapping_mul(0x9E37_79B9_7F4A_7C15), GROWTH - 1);
        first[order[FIRST_SHUFFLED - 1] as usize] += 1;
        last[order[GROWTH - 2] as usize] += 1;
    }
    for counts in [first, last] {
        let range = counts[FIRST_SHUFFLED..].iter().min().unwrap()..=counts[FIRST_SHUFFLED..].iter().max().unwrap();
        assert!((50..=150).contains(*range.start()) && (50..=150).contains(*range.end()), "{counts:?}");
    }
}

/// The generations of a slot start over after at least 16 uses, at a number of uses that differs.
#[test]
fn a_name_comes_again_after_16_to_64_uses_of_its_slot() {
    let mut seen = [false; 4];
    for n in 1..40 {
        let mut space = Space::new(BudgetId::from_bits(1 << 32).expect("a valid id"), LIMIT, SEED * n);
        space.grow().unwrap();
        let mut uses = Vec::new();
        for _ in 0..65 {
            let name = space.add(EntryRight::DeadName { urefs: 1 }).unwrap();
            space.remove(name);
            uses.push(name);
        }
        let again = (1..).find(|&use_| uses[use_] == uses[0]).unwrap();
        assert!(again % 16 == 0 && (16..=64).contains(&again), "after {again} uses");
        seen[again / 16 - 1] = true;
    }
    assert_eq!(seen, [true; 4]);
}
