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
fn a_space_without_names_gives_its_memory_back_in_pieces() {
    let mut space = Space::new(BudgetId::from_bits(1 << 32).expect("a valid id"), LIMIT, 0);
    (0..GROUPS_LEFT + GROUPS_PER_PIECE + 1).for_each(|_| space.grow().unwrap());
    let costs: Vec<usize> =
        core::iter::from_fn(|| space.take_apart().then(|| space.cost() / Space::GROWTH_COST)).collect();
    assert_eq!(costs, [GROUPS_LEFT + 1, GROUPS_LEFT + 1 - GROUPS_PER_PIECE]);
    assert!(!space.take_apart());
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

/// The index may take twice the entries that it has.
#[test]
fn growing_a_space_costs_its_slots_and_twice_the_entries_of_the_index() {
    let (slots, entries) = (GROWTH * size_of::<Slot>(), GROWTH * size_of::<(PortId, PortName)>());
    assert_eq!(Space::GROWTH_COST, slots + entries + entries);
    let mut space = space(0);
    assert_eq!(space.cost(), slots + entries + entries);
    space.grow().unwrap();
    assert_eq!(space.cost(), 2 * (slots + entries + entries));
}

/// Otherwise a name that a program still has could be given again soon after.
#[test]
fn the_generations_after_a_chosen_name_go_on_to_the_last_one_before_they_start_over() {
    const INDEX: u32 = 20;
    for first in [3, 7, 127, 251, 255] {
        let mut space = space(SEED);
        space.add_chosen(PortName::new(INDEX, first), EntryRight::DeadName { urefs: 1 });
        space.remove(PortName::new(INDEX, first));
        for generation in (first..=u8::MAX).step_by(4).skip(1).chain([FIRST_GENERATION]) {
            let name = space.add(EntryRight::DeadName { urefs: 1 }).unwrap();
            assert_eq!(name, PortName::new(INDEX, generation), "the name after {first}");
            space.remove(name);
        }
        space.check();
    }
}
