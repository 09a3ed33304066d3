//! Tests of what goes back to the heap.

use super::*;
use crate::Id;
use std::collections::BTreeMap;

type Places<const N: usize> = Slots<u64, Id<()>, N>;

fn add<const N: usize>(slots: &mut Places<N>, value: u64) -> Id<()> {
    if !slots.has_room() {
        slots.grow().unwrap();
    }
    slots.insert(|_, _| value).1
}

/// Returns the number of chunks that are allocated.
fn chunks<const N: usize>(slots: &Places<N>) -> usize {
    slots.places.iter().filter(|place| place.chunk.is_some()).count()
}

/// Panics unless the lists and counts are those of the slots.
fn check<const N: usize>(slots: &Places<N>) {
    let (mut used, mut free) = (0, 0);
    let mut listed: Vec<u32> = Vec::new();
    for ends in [slots.room, slots.vacant] {
        let mut at = ends.first;
        while at != NONE {
            listed.push(at);
            at = slots.places[at as usize].next;
        }
    }
    for (at, place) in slots.places.iter().enumerate() {
        let listed = listed.iter().filter(|&&other| other as usize == at).count();
        let Some(chunk) = &place.chunk else {
            assert_eq!(listed, 1, "place {at} is vacant");
            continue;
        };
        let here = chunk.iter().filter(|slot| matches!(slot.content, Content::Used(_))).count();
        assert_eq!((place.used as usize, listed == 1), (here, here < N), "chunk {at}");
        used += here;
        free += N - here;
    }
    assert_eq!((slots.len, slots.capacity - slots.len), (used, free));
}

#[test]
fn random_changes_have_the_same_effect_as_on_a_map_and_ids_stay_unique() {
    for promised in [0, 5] {
        let mut slots = Places::<4>::new();
        let (mut model, mut given) = (BTreeMap::new(), std::collections::BTreeSet::new());
        let (mut seed, mut most) = (1u64, 0);
        for step in 0..30_000u64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = seed >> 33;
            let grows = step / 1000 % 2 == 0;
            if random % 8 < if grows { 5 } else { 2 } {
                while slots.unpromised() == 0 {
                    slots.grow().unwrap();
                }
                let id = add(&mut slots, step);
                assert!(given.insert(id.to_bits()), "an id is given once only");
                model.insert(id.to_bits(), (id, step));
            } else if let Some((&bits, &(id, value))) = model.iter().nth(random as usize % model.len().max(1)) {
                assert_eq!(slots.get(id.index(), id), Some(&value));
                assert_eq!(slots.remove(id.index(), id), Some(value));
                assert_eq!((slots.remove(id.index(), id), slots.get(id.index(), id)), (None, None));
                model.remove(&bits);
            }
            if step == 2000 {
                while slots.unpromised() < promised {
                    slots.grow().unwrap();
                }
                slots.promised = promised;
            }
            check(&slots);
            assert!(slots.unpromised() < usize::MAX / 2, "promised slots are free");
            assert_eq!(slots.iter().count(), model.len());
            most = most.max(chunks(&slots));
        }
        let ids: Vec<Id<()>> = model.values().map(|&(id, _)| id).collect();
        for id in ids {
            slots.remove(id.index(), id);
        }
        while slots.trim() {}
        check(&slots);
        let (kept, places) = (chunks(&slots), slots.places());
        assert_eq!(kept, usize::from(promised > 0) * 2, "only promised slots are kept");
        assert!(most > 20 && places <= most * 4);
    }
}

#[test]
fn a_chunk_goes_back_wherever_it_is_and_its_ids_never_come_again() {
    let mut slots = Places::<4>::new();
    let ids: Vec<Id<()>> = (0..40).map(|value| add(&mut slots, value)).collect();
    assert_eq!(chunks(&slots), 10);
    // Only the last object stays.
    for id in &ids[..39] {
        slots.remove(id.index(), *id);
    }
    while slots.trim() {}
    assert_eq!((chunks(&slots), slots.get(39, ids[39])), (1, Some(&39)));
    let again: Vec<Id<()>> = (0..39).map(|value| add(&mut slots, value)).collect();
    assert!(again.iter().all(|id| !ids.contains(id)));
    assert!(ids[..39].iter().all(|id| slots.get(id.index(), *id).is_none()));
    // When all have gone, so have the places.
    for id in again.iter().chain([&ids[39]]) {
        slots.remove(id.index(), *id);
    }
    while slots.trim() {}
    assert_eq!((chunks(&slots), slots.places()), (0, 0));
    let last = add(&mut slots, 7);
    assert!(!ids.contains(&last) && !again.contains(&last), "places that were given up go on with their ids");
}

#[test]
fn an_object_that_comes_and_goes_needs_no_allocation() {
    for others in [0, 4, 7] {
        let mut slots = Places::<4>::new();
        (0..others).for_each(|value| {
            add(&mut slots, value);
        });
        let id = add(&mut slots, 1);
        slots.remove(id.index(), id);
        let before = chunks(&slots);
        crate::failpoints::arm(Some(0));
        for _ in 0..100 {
            let id = add(&mut slots, 1);
            slots.remove(id.index(), id);
        }
        assert_eq!((crate::failpoints::disarm(), chunks(&slots)), (0, before));
    }
}

#[test]
fn a_chunk_with_a_slot_that_is_not_reused_stays() {
    let mut slots = Places::<2>::new();
    let ids = [add(&mut slots, 1), add(&mut slots, 2)];
    let last = Id::new(ids[0].index(), u32::MAX);
    slots.set_mark(ids[0].index(), last);
    slots.remove(last.index(), last);
    slots.remove(ids[1].index(), ids[1]);
    while slots.trim() {}
    assert_eq!(chunks(&slots), 1);
    assert_eq!(add(&mut slots, 3).index(), ids[1].index());
}

/// Adds objects and removes them until this many were added, and returns the most chunks that there were.
fn come_and_go<const N: usize>(slots: &mut Places<N>, objects: u64) -> usize {
    let mut most = 0;
    for value in 0..objects {
        let id = add(slots, value);
        assert_eq!(slots.remove(id.index(), id), Some(value));
        while slots.trim() {}
        most = most.max(slots.places.len());
    }
    most
}

#[test]
fn a_slot_that_is_used_to_its_end_takes_no_memory_from_others() {
    let mut slots = Places::<4>::new();
    let id = add(&mut slots, 1);
    let near = Id::new(id.index(), u32::MAX - 2);
    slots.set_mark(id.index(), near);
    slots.remove(near.index(), near);
    while slots.trim() {}
    assert_eq!(chunks(&slots), 1, "a chunk with so many uses stays");
    // The slot is used up soon, and the others have all their uses still: there is never another chunk.
    assert_eq!(come_and_go(&mut slots, 1000), 1);
    check_capacity(&slots, 3);
}

/// Checks how many slots are left in the only chunk.
fn check_capacity<const N: usize>(slots: &Places<N>, capacity: usize) {
    assert_eq!((slots.capacity, slots.places.len()), (capacity, 1));
}

#[test]
fn a_chunk_and_a_place_go_back_below_the_bounds_and_stay_above() {
    for (generation, kept, places) in [
        (GENERATION_OF_PLACES - 1, 0, 0),
        (GENERATION_OF_PLACES, 0, 1),
        (GENERATION_OF_CHUNKS - 1, 0, 1),
        (GENERATION_OF_CHUNKS, 1, 1),
        (u32::MAX - 1, 1, 1),
    ] {
        let mut slots = Places::<4>::new();
        let id = add(&mut slots, 1);
        // Removing it gives the slot the next generation.
        let last = Id::new(id.index(), generation);
        slots.set_mark(id.index(), last);
        slots.remove(last.index(), last);
        while slots.trim() {}
        assert_eq!((chunks(&slots), slots.places.len()), (kept, places), "{generation:#x}");
        check(&slots);
        assert!(slots.generation <= GENERATION_OF_PLACES);
        let next = add(&mut slots, 2);
        assert_ne!(next, last);
        assert_eq!(slots.get(next.index(), next), Some(&2));
    }
}
