//! What went wrong in the reference (vouchers 8), as far as it concerns the core; V5 is in `interleaving.rs`, V8 in
//! `threads.rs`, V12 in `src/registry.rs`, V15 in `../shortage.rs`.

use crate::support::*;
use abi::voucher::RecipeHeader;
use voucher::*;
use zerocopy::FromBytes;

/// What is in a buffer before a call.
const POISON: u8 = 0xAA;

fn code<T>(result: Result<T, Error>) -> i32 {
    result.err().map_or(0, |error| error.code().0)
}

#[test]
fn v2_of_a_key_without_manager_none_is_called() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    let voucher = world.id(v);
    for key in [1, 5, 6] {
        assert_eq!(world.command(v, key, 1, 4).0, 4, "command, key {key}");
        let mut buffer = [POISON; 64];
        assert_eq!(extract_attr_recipe(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut buffer), Ok(0));
        let mut out = OutBuffer::new(&mut buffer);
        assert_eq!(extract_attr_content(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut out), Ok(()));
        assert_eq!((out.size(), buffer), (0, [POISON; 64]));
        for command in [0, 4, 5, 10, 211, 999] {
            assert_eq!(world.mk(&[it(key, command, v, "")]), (4, 0), "command {command}, key {key}");
        }
    }
    world.end();
}

#[test]
fn v4_an_extraction_that_fails_returns_its_own_code_and_no_size() {
    let mut world = World::new();
    let items = [(it(3, 610, 0, ""), 20, 3), (it(4, 710, 0, [0xFF, 0x10, 0, 0]), 16, 18), (st(7, "abc"), 18, 3)];
    for (item, room, expected) in items {
        let key = item.key;
        let v = world.make(&[item]);
        let (voucher, mut buffer) = (world.id(v), vec![POISON; room]);
        let one = extract_attr_recipe(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut buffer);
        let all = extract_all_attr_recipes(&mut world, &CallingTask::KERNEL, Some(voucher), &mut buffer);
        assert_eq!((code(one), code(all)), (expected, expected), "key {key}");
    }
    world.end();
}

#[test]
fn v10_a_manager_that_overstates_its_size_neither_writes_beyond_the_buffer_nor_moves_the_next_item_there() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8]), st(7, [7; 5000])]);
    let voucher = world.id(v);
    for (room, claim, expected) in [(16, 1, 5), (17, 1, 3), (17, 2, 5), (41, 8, 3), (40, 24, 3), (40, usize::MAX, 5)] {
        fake.0.borrow_mut().claim = claim;
        let mut buffer = [POISON; 64];
        let result = extract_all_attr_recipes(&mut world, &CallingTask::KERNEL, Some(voucher), &mut buffer[..room]);
        assert_eq!(code(result), expected, "room {room}, claim {claim}");
        assert!(buffer[room..].iter().all(|&byte| byte == POISON), "room {room}, claim {claim}");
    }
    fake.0.borrow_mut().claim = 5;
    assert_eq!(world.command(v, FAKE, 1, 4).0, 5, "a command");
    world.end();
}

#[test]
fn v11_every_word_of_an_extracted_header_is_defined() {
    let mut world = World::new();
    let v = world.make(&[it(3, 610, 0, ""), it(4, 710, 0, [0xFF, 0x10, 0, 0]), st(7, "a"), st(8, "bc")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let header = |key, command, content_size| RecipeHeader { key, command, previous_voucher: 0, content_size };
    let text = " Bank Context for a pid 10\n\0".len() as u32;
    let expected = [header(3, 601, text), header(4, 701, 4), header(7, 211, 1), header(8, 211, 2)];
    let mut at = 0;
    let mut all = [POISON; 1024];
    let size = extract_all_attr_recipes(&mut world, &caller, Some(voucher), &mut all).unwrap();
    for expected in expected {
        let mut one = [POISON; 1024];
        let end = extract_attr_recipe(&mut world, &caller, Some(voucher), expected.key, &mut one).unwrap();
        assert_eq!(RecipeHeader::read_from_prefix(&one).unwrap().0, expected);
        assert_eq!(RecipeHeader::read_from_prefix(&all[at..]).unwrap().0, expected);
        assert_eq!(one[..end], all[at..at + end]);
        at += end;
    }
    assert_eq!(at, size);
    world.end();
}

#[test]
fn v13_values_of_user_data_and_test_that_were_redeemed_and_copied_under_both_keys_all_go() {
    let mut world = World::new();
    let both = world.make(&[st(7, "x"), st(8, "x")]);
    let redeemed = world.make(&[rd(7, both), rd(8, both)]);
    let one = world.make(&[cp(8, both)]);
    [both, redeemed, one].into_iter().for_each(|name| world.deallocate(name));
    assert_eq!(world.take_releases(), [(7, 2), (8, 2)]);
    world.end();
}

#[test]
fn v14_only_a_control_that_is_there_is_retained_and_once() {
    let mut world = World::with_fake(&Fake::default());
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8])]);
    let voucher = world.id(v);
    let registry = &mut world.vouchers.registry;
    let (key, empty) = (Key::new(FAKE).unwrap(), Key::new(6).unwrap());
    let refs = |registry: &Registry| registry.control(key).unwrap().refs();
    assert_eq!((refs(registry), registry.retain_control(empty)), (2, None));
    for _ in 0..100 {
        for (control, voucher) in [(Some(key), Some(voucher)), (Some(key), None), (Some(empty), None), (None, None)] {
            assert_eq!(registry.control_get_values(control, voucher, 1).is_ok(), voucher.is_some());
        }
        assert_eq!(Creation::with_control(registry, Some(empty)).err(), Some(Error::InvalidCapability));
        assert_eq!(Creation::with_control(registry, None).err(), Some(Error::InvalidCapability));
    }
    assert_eq!((refs(registry), registry.retain_control(key), refs(registry)), (2, Some(3), 3));
    assert_eq!(release_control(&mut world, key), 2);
    world.end();
}

/// The general class: an error returns every reference that was taken on the way to it.
#[test]
fn wherever_a_creation_fails_it_gives_back_what_it_had() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let previous = world.make(&[st(7, "p"), it(FAKE, HAND_OUT, 0, [2; 8])]);
    let good = [cp(ALL, previous), rd(7, previous), st(8, "a"), it(3, 610, 0, ""), it(FAKE, HAND_OUT, 0, [1; 8])];
    let bad = [
        (it(7, 999, previous, ""), 4),
        (it(99, 211, 0, "x"), 4),
        (it(7, 1, previous, "x"), 4),
        (it(FAKE, FAIL, previous, ""), 53),
        (it(7, 3, previous, [0; 8]), 20),
        (it(7, 211, BAD_NAME, "x"), 20),
        (rd(ALL, previous), 4),
    ];
    let before = (world.values(7), world.values(FAKE));
    for (item, expected) in bad {
        for place in 0..=good.len() {
            let mut items = good.to_vec();
            items.insert(place, item.clone());
            assert_eq!(world.mk(&items), (expected, 0), "{item:?} at {place}");
            let refs = |values: &[(u64, u32, u64)]| values.iter().map(|&(_, refs, _)| refs).collect::<Vec<_>>();
            assert_eq!((refs(&world.values(7)), refs(&world.values(FAKE))), (refs(&before.0), refs(&before.1)));
            assert_eq!((world.vouchers.registry.len(), world.refs(previous)), (1, 1));
            world.vouchers.registry.check(true);
        }
    }
    world.deallocate(previous);
    assert!(fake.0.borrow().made.is_empty());
    world.end();
}
