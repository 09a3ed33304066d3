//! Tests of tables whose objects have memory of their own.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

#[test]
fn random_changes_have_the_same_effect_as_on_a_map_and_ids_stay_unique() {
    let mut table = Singles::<u64>::new();
    let mut compaction = Compaction::default();
    let (mut model, mut given) = (BTreeMap::new(), BTreeSet::new());
    let mut seed = 1u64;
    for step in 0..20_000u64 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let chosen = model.iter().nth(random as usize / 8 % model.len().max(1)).map(|(_, &entry): (&u64, _)| entry);
        match (random % 8, chosen) {
            (0..5, _) if step / 1000 % 2 == 0 || random % 8 < 2 => {
                let id = table.insert(step).unwrap();
                assert!(given.insert(id.to_bits()), "an id is given once only");
                model.insert(id.to_bits(), (id, step));
            }
            (5, _) if random >> 8 & 1 == 0 => drop(table.trim()),
            (5, _) => {
                compaction.begin(random as usize >> 9 & 0x3FF);
                table.compact(&mut compaction, |_, object| *object = object.wrapping_add(0));
                compaction.end();
            }
            (6, Some((id, value))) => {
                assert_eq!((table.get(id), table.at(id.index())), (Some(&value), Some((id, &value))));
                *table.get_mut(id).unwrap() = step;
                model.insert(id.to_bits(), (id, step));
            }
            (_, Some((id, value))) => {
                assert_eq!((table.remove(id), table.remove(id), table.get(id)), (Some(value), None, None));
                assert!(!table.discard(id) && !table.contains(id));
                model.remove(&id.to_bits());
            }
            _ => {}
        }
        assert_eq!((table.len(), table.is_empty()), (model.len(), model.is_empty()));
    }
    assert!(table.iter().all(|(id, value)| model[&id.to_bits()] == (id, *value)));
    assert_eq!(table.iter().count(), model.len());
    for (id, _) in model.into_values() {
        assert!(table.discard(id));
    }
    while table.trim() {}
    assert_eq!((table.places(), table.spare.capacity(), table.vacancies.capacity()), (0, 0, 0));
    assert!(given.insert(table.insert(0).unwrap().to_bits()), "places that were given up go on with their ids");
}

#[test]
fn an_object_is_dropped_and_its_memory_is_used_again() {
    let mut table = Singles::<Rc<()>>::new();
    let object = Rc::new(());
    let [a, b] = [0; 2].map(|_| table.insert(Rc::clone(&object)).unwrap());
    assert!(table.discard(a));
    assert_eq!((Rc::strong_count(&object), table.spare.len()), (2, 1));
    failpoints::arm(Some(1));
    let c = table.insert(Rc::clone(&object)).unwrap();
    assert_eq!((failpoints::disarm(), c.index()), (1, a.index()), "only the room is checked");
    assert_ne!(c, a);
    assert_eq!(table.remove_after(b, |object| Rc::strong_count(object)), Some(3));
    drop(table.remove(c));
    assert_eq!(Rc::strong_count(&object), 1);
}

#[test]
fn a_failed_allocation_changes_nothing() {
    for at in 0..3 {
        let mut table = Singles::<u8>::new();
        failpoints::arm(Some(at));
        assert_eq!(table.insert(1), Err(NoMemory));
        failpoints::disarm();
        assert_eq!((table.len(), table.iter().count()), (0, 0));
        assert!(table.insert(1).is_ok());
    }
}

#[test]
fn a_place_whose_generations_are_used_up_is_not_used_again() {
    let mut table = Singles::<u8>::new();
    let id = table.insert(1).unwrap();
    let last = Id::new(id.index(), u32::MAX);
    table.objects[0].as_mut().unwrap()[0].id = last;
    assert_eq!((table.remove(last), table.get(last)), (Some(1), None));
    while table.trim() {}
    for value in 0..4 {
        assert_ne!(table.insert(value).unwrap().index(), id.index());
    }
}

#[test]
fn a_place_that_was_used_very_often_does_not_age_new_ones() {
    let mut table = Singles::<u8>::new();
    let id = table.insert(1).unwrap();
    let near = Id::new(id.index(), u32::MAX - 1);
    table.objects[0].as_mut().unwrap()[0].id = near;
    table.remove(near);
    while table.trim() {}
    assert_eq!((table.places(), table.vacancies.generation()), (1, 1), "the place stays");
    for _ in 0..1000 {
        let id = table.insert(2).unwrap();
        assert!(table.discard(id));
        while table.trim() {}
    }
    assert!(table.places() <= 2, "one place is used up, and one takes its part");
}

/// The records of vacant places beyond the first are in chunks. Objects come and go on both sides of that border.
#[test]
fn a_long_table_keeps_its_objects_and_gives_back_the_rest() {
    const LEN: u32 = 3 * 4096 / 2;
    let mut table = Singles::<u32>::new();
    let mut ids: Vec<_> = (0..LEN).map(|value| table.insert(value).unwrap()).collect();
    let records = table.vacancies.capacity();
    for round in 1..4 {
        // Every place is vacant once, in an order that is neither that of the places nor its reverse.
        for step in 0..LEN {
            let at = (step * 7 + round) % LEN;
            assert_eq!(table.remove(ids[at as usize]), Some(at));
            if step % 2 == 0 {
                ids[at as usize] = table.insert(at).unwrap();
            } else {
                ids[at as usize] = table.insert(0).unwrap();
                assert!(table.discard(ids[at as usize]));
                ids[at as usize] = table.insert(at).unwrap();
            }
        }
        assert_eq!((table.len(), table.places(), table.vacancies.capacity()), (LEN as usize, LEN, records));
    }
    assert!(ids.iter().enumerate().all(|(at, &id)| table[id] == at as u32));
    let (kept, rest) = ids.split_at(10);
    for at in 0..rest.len() {
        assert!(table.discard(rest[at * 5 % rest.len()]));
    }
    while table.trim() {}
    assert_eq!((table.len(), table.places()), (10, 10));
    assert!(table.vacancies.capacity() < records / 100, "records go back");
    assert!(kept.iter().all(|&id| table.contains(id)));
}

#[test]
fn a_table_with_its_final_size_moves_nothing_when_it_grows_and_keeps_its_room() {
    const LEN: usize = 10_000;
    let mut table = Singles::<usize>::new();
    let first = table.insert(0).unwrap();
    table.set_places(LEN).unwrap();
    let at = table.objects.as_ptr();
    let ids: Vec<_> = (1..LEN).map(|value| table.insert(value).unwrap()).collect();
    assert_eq!((table.objects.as_ptr(), table.objects.capacity()), (at, LEN));
    ids.iter().for_each(|&id| assert!(table.discard(id)));
    while table.trim() {}
    assert_eq!((table.places(), table.objects.as_ptr(), table.objects.capacity()), (1, at, LEN));
    assert_eq!(table[first], 0);
}

#[test]
fn two_different_objects_can_be_changed_at_once() {
    let mut table = Singles::<u32>::new();
    let ids = [0, 1, 2].map(|value| table.insert(value).unwrap());
    let (a, b) = table.pair_mut(ids[2], ids[0]).unwrap();
    assert_eq!((*a, *b), (2, 0));
    assert_eq!(table.pair_mut(ids[1], ids[1]), None);
    table.remove(ids[1]);
    assert_eq!(table.pair_mut(ids[0], ids[1]), None);
    assert_eq!(table.pair_mut(ids[1], ids[0]), None);
    let reused = table.insert(7).unwrap();
    assert_eq!((reused.index(), table.pair_mut(ids[0], ids[1])), (ids[1].index(), None));
}

#[test]
#[should_panic(expected = "u8#0.1 is used after its object was removed")]
fn indexing_with_a_dead_id_panics_and_names_the_id() {
    let mut table = Singles::<u8>::new();
    let id = table.insert(1).unwrap();
    table.remove(id);
    let _ = table[id];
}

#[test]
fn a_round_of_compaction_looks_at_all_objects_after_enough_were_given_back() {
    let mut table = Singles::<Vec<u8>>::new();
    let ids: Vec<_> = (0..1000).map(|number: u32| table.insert(number.to_le_bytes().to_vec()).unwrap()).collect();
    let mut compaction = Compaction::default();
    let mut round = |table: &mut Singles<Vec<u8>>| {
        let (mut looked_at, mut pieces) = (Vec::new(), 0);
        loop {
            compaction.begin(300);
            table.compact(&mut compaction, |compaction, bytes| {
                compaction.move_down(bytes);
                looked_at.push(u32::from_le_bytes(bytes[..].try_into().unwrap()));
            });
            pieces += 1;
            assert!(pieces < 10_000, "a round ends");
            if !compaction.end() {
                return looked_at;
            }
        }
    };
    assert_eq!(round(&mut table), [], "nothing was given back");
    for id in &ids[..SPARE_MAX + 10] {
        table.discard(*id);
    }
    assert_eq!((table.given_back(), round(&mut table)), (10, vec![]), "few were given back");
    for id in &ids[SPARE_MAX + 10..500] {
        table.discard(*id);
    }
    let mut seen = round(&mut table);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((table.given_back(), seen), (0, (500..1000).collect()));
    for (number, &id) in ids.iter().enumerate().skip(500) {
        assert_eq!(table[id], (number as u32).to_le_bytes());
    }
}
