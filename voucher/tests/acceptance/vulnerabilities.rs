//! The vulnerabilities of the reference (vouchers 8) that concern this crate. V5 is in `interleaving.rs`, V8 in
//! `threads.rs`, V12 in `src/registry.rs`, V15 in `../shortage.rs`.

use crate::support::*;
use abi::voucher::{MACH_VOUCHER_ATTR_BANK_NULL, MACH_VOUCHER_ATTR_PTHPRIORITY_NULL, RecipeHeader};
use voucher::*;
use zerocopy::FromBytes;

/// The bytes of a buffer before a call.
const POISON: u8 = 0xAA;

#[test]
fn v2_a_key_without_manager_calls_no_manager() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    let voucher = world.id(v);
    for key in [1, 5, 6] {
        assert_eq!(world.command(v, key, 1, 4), Err(Error::InvalidArgument), "command, key {key}");
        let mut buffer = [POISON; 64];
        assert_eq!(extract_attr_recipe(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut buffer), Ok(0));
        let mut out = OutBuffer::new(&mut buffer);
        assert_eq!(extract_attr_content(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut out), Ok(()));
        assert_eq!((out.size(), buffer), (0, [POISON; 64]));
        for command in [0, 4, 5, 10, 211, 999] {
            assert_eq!(world.mk(&[it(key, command, v, "")]), INVALID_ARGUMENT, "command {command}, key {key}");
        }
    }
    world.end();
}

#[test]
fn v4_a_failed_extraction_returns_its_own_code_and_no_size() {
    let mut world = World::new();
    let items = [
        (current_task(), 20, Error::NoSpace),
        (priority(0x10FF), 16, Error::InvalidValue),
        (st(DATA, "abc"), 18, Error::NoSpace),
    ];
    for (item, room, expected) in items {
        let key = item.key;
        let v = world.make(&[item]);
        let (voucher, mut buffer) = (world.id(v), vec![POISON; room]);
        let one = extract_attr_recipe(&mut world, &CallingTask::KERNEL, Some(voucher), key, &mut buffer);
        let all = extract_all_attr_recipes(&mut world, &CallingTask::KERNEL, Some(voucher), &mut buffer);
        assert_eq!((one, all), (Err(expected), Err(expected)), "key {key}");
    }
    world.end();
}

#[test]
fn v10_an_overstated_size_never_leads_to_a_write_beyond_the_buffer() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8]), st(DATA, [7; 5000])]);
    let voucher = world.id(v);
    let (failure, no_space) = (Error::Failure, Error::NoSpace);
    for (room, claim, expected) in [
        (16, 1, failure),
        (17, 1, no_space),
        (17, 2, failure),
        (41, 8, no_space),
        (40, 24, no_space),
        (40, usize::MAX, failure),
    ] {
        fake.0.borrow_mut().claim = claim;
        let mut buffer = [POISON; 64];
        let result = extract_all_attr_recipes(&mut world, &CallingTask::KERNEL, Some(voucher), &mut buffer[..room]);
        assert_eq!(result, Err(expected), "room {room}, claim {claim}");
        assert!(buffer[room..].iter().all(|&byte| byte == POISON), "room {room}, claim {claim}");
    }
    fake.0.borrow_mut().claim = 5;
    assert_eq!(world.command(v, FAKE, 1, 4), Err(Error::Failure), "a command");
    world.end();
}

#[test]
fn v11_every_word_of_an_extracted_header_is_defined() {
    let mut world = World::new();
    let v = world.make(&[current_task(), priority(0x10FF), st(DATA, "a"), st(TEST, "bc")]);
    let (voucher, caller) = (world.id(v), world.caller());
    let header = |key, command, content_size| RecipeHeader { key, command, previous_voucher: 0, content_size };
    let text = " Bank Context for a pid 10\n\0".len() as u32;
    let expected = [
        header(BANK, MACH_VOUCHER_ATTR_BANK_NULL, text),
        header(PRIORITY, MACH_VOUCHER_ATTR_PTHPRIORITY_NULL, 4),
        header(DATA, STORE, 1),
        header(TEST, STORE, 2),
    ];
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
fn v13_redeemed_and_copied_values_of_both_data_keys_are_all_released() {
    let mut world = World::new();
    let both = world.make(&[st(DATA, "x"), st(TEST, "x")]);
    let redeemed = world.make(&[rd(DATA, both), rd(TEST, both)]);
    let one = world.make(&[cp(TEST, both)]);
    [both, redeemed, one].into_iter().for_each(|name| world.deallocate(name));
    assert_eq!(world.take_releases(), [(DATA, 2), (TEST, 2)]);
    world.end();
}

#[test]
fn v14_only_an_existing_control_is_retained() {
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

/// The general class of these vulnerabilities: an error path that keeps a reference.
#[test]
fn a_creation_that_fails_at_any_recipe_releases_all_its_references() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let previous = world.make(&[st(DATA, "p"), it(FAKE, HAND_OUT, 0, [2; 8])]);
    let good = [cp(ALL, previous), rd(DATA, previous), st(TEST, "a"), current_task(), it(FAKE, HAND_OUT, 0, [1; 8])];
    let bad = [
        (it(DATA, UNKNOWN_COMMAND, previous, ""), Error::InvalidArgument),
        (it(99, STORE, 0, "x"), Error::InvalidArgument),
        (it(DATA, COPY, previous, "x"), Error::InvalidArgument),
        (it(FAKE, FAIL, previous, ""), FAILURE),
        (it(DATA, SET_VALUE_HANDLE, previous, [0; 8]), Error::InvalidCapability),
        (it(DATA, STORE, BAD_NAME, "x"), Error::InvalidCapability),
        (rd(ALL, previous), Error::InvalidArgument),
    ];
    let before = (world.values(DATA), world.values(FAKE));
    for (item, expected) in bad {
        for place in 0..=good.len() {
            let mut items = good.to_vec();
            items.insert(place, item.clone());
            assert_eq!(world.mk(&items), Err(expected), "{item:?} at {place}");
            let refs = |values: &[(u64, u32, u64)]| values.iter().map(|&(_, refs, _)| refs).collect::<Vec<_>>();
            assert_eq!((refs(&world.values(DATA)), refs(&world.values(FAKE))), (refs(&before.0), refs(&before.1)));
            assert_eq!((world.vouchers.registry.len(), world.refs(previous)), (1, 1));
            world.vouchers.registry.check(true);
        }
    }
    world.deallocate(previous);
    assert!(fake.0.borrow().made.is_empty());
    world.end();
}
