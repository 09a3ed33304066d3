//! Extraction (vouchers 10.4).

use crate::recipes::hello;
use crate::support::*;
use abi::voucher::{MACH_VOUCHER_ATTR_BANK_NULL as BANK_TEXT, MACH_VOUCHER_ATTR_PTHPRIORITY_NULL as PRIORITY_WORD};
use abi::voucher::{MACH_VOUCHER_ATTR_MAX_RAW_RECIPE_ARRAY_SIZE as ARRAY_MAX, RecipeHeader};
use voucher::*;
use zerocopy::FromBytes;

/// The bytes of a buffer before a call.
const POISON: u8 = 0xAA;

/// The result of an extraction. As in the reference, the size starts as the capacity of the buffer and changes only with
/// success.
struct Extracted {
    result: Result<(), Error>,
    size: usize,
    buffer: Vec<u8>,
}

impl Extracted {
    fn new(room: usize, extract: impl FnOnce(&mut [u8]) -> Result<usize, Error>) -> Self {
        let mut buffer = vec![POISON; room];
        let result = extract(&mut buffer);
        Extracted { result: result.map(drop), size: result.unwrap_or(room), buffer }
    }

    /// Returns the size of a success, or the error and the size that is left.
    fn outcome(&self) -> Result<usize, (Error, usize)> {
        self.result.map(|()| self.size).map_err(|error| (error, self.size))
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    /// Returns the headers and contents of the extracted recipes.
    fn items(&self) -> Vec<(RecipeHeader, &[u8])> {
        let mut items = Vec::new();
        let mut rest = self.bytes();
        while !rest.is_empty() {
            let (header, after) = RecipeHeader::read_from_prefix(rest).expect("a whole header");
            let (content, after) = after.split_at(header.content_size as usize);
            items.push((header, content));
            rest = after;
        }
        items
    }
}

fn extract(world: &mut World, name: u32, key: u32, room: usize) -> Extracted {
    let (caller, voucher) = (world.caller(), world.id(name));
    Extracted::new(room, |buffer| extract_attr_recipe(world, &caller, Some(voucher), key, buffer))
}

fn extract_all(world: &mut World, name: u32, room: usize) -> Extracted {
    let (caller, voucher) = (world.caller(), world.id(name));
    Extracted::new(room, |buffer| extract_all_attr_recipes(world, &caller, Some(voucher), buffer))
}

fn extract_content(world: &mut World, name: u32, key: u32, room: usize) -> Extracted {
    let (caller, voucher) = (world.caller(), world.id(name));
    Extracted::new(room, |buffer| {
        let mut out = OutBuffer::new(buffer);
        extract_attr_content(world, &caller, Some(voucher), key, &mut out)?;
        Ok(out.size())
    })
}

/// Returns a world and the name of the voucher of R-04.
fn hello_world() -> (World, u32) {
    let mut world = World::new();
    let name = world.mk_bytes(&hello()).unwrap();
    (world, name)
}

// covers vouchers E-01
#[test]
fn extraction_returns_the_stored_content() {
    let (mut world, v) = hello_world();
    let extracted = extract(&mut world, v, DATA, ARRAY_MAX);
    assert_eq!((extracted.outcome(), extracted.bytes()), (Ok(29), &hello()[..]));
    assert!(extracted.buffer[29..].iter().all(|&byte| byte == POISON));
    world.end();
}

#[test]
fn extraction_is_the_same_for_every_sufficient_buffer() {
    let (mut world, v) = hello_world();
    for room in [29, 255, 256, 257] {
        let extracted = extract(&mut world, v, DATA, room);
        assert_eq!((extracted.outcome(), extracted.bytes()), (Ok(29), &hello()[..]));
    }
    world.end();
}

// covers vouchers E-05
#[test]
fn a_short_buffer_is_an_error_that_leaves_the_size_unchanged() {
    let (mut world, v) = hello_world();
    assert_eq!(extract(&mut world, v, DATA, 28).outcome(), Err((Error::NoSpace, 28)));
    assert_eq!(extract(&mut world, v, DATA, 15).outcome(), Err((Error::NoSpace, 15)));
    world.end();
}

// covers vouchers E-04
#[test]
fn a_buffer_of_header_size_gets_a_header_without_content() {
    let (mut world, v) = hello_world();
    let extracted = extract(&mut world, v, DATA, 16);
    assert_eq!((extracted.outcome(), extracted.bytes()), (Ok(16), &header(DATA, STORE, 0, 0)[..]));
    world.end();
}

// covers vouchers E-06 E-07
#[test]
fn an_absent_attribute_and_an_invalid_key_extract_to_nothing() {
    let (mut world, v) = hello_world();
    for key in [TEST, 0, 9, ALL, 1, 5] {
        for room in [0, ARRAY_MAX] {
            let extracted = extract(&mut world, v, key, room);
            assert_eq!(extracted.outcome(), Ok(0), "key {key}, room {room}");
            assert!(extracted.buffer.iter().all(|&byte| byte == POISON));
            assert_eq!(extract_content(&mut world, v, key, room).outcome(), Ok(0));
        }
    }
    world.end();
}

#[test]
fn extraction_and_commands_need_a_voucher() {
    let mut world = World::new();
    let mut buffer = [POISON; 64];
    assert_eq!(
        extract_attr_recipe(&mut world, &CallingTask::KERNEL, None, 7, &mut buffer),
        Err(Error::InvalidArgument)
    );
    assert_eq!(
        extract_all_attr_recipes(&mut world, &CallingTask::KERNEL, None, &mut buffer),
        Err(Error::InvalidArgument)
    );
    let mut out = OutBuffer::new(&mut buffer);
    assert_eq!(extract_attr_content(&mut world, &CallingTask::KERNEL, None, 7, &mut out), Err(Error::InvalidArgument));
    assert_eq!(attr_command(&mut world, &CallingTask::KERNEL, None, 7, 1, &[], &mut out), Err(Error::InvalidArgument));
    assert_eq!(buffer, [POISON; 64]);
    world.end();
}

// covers vouchers E-15
#[test]
fn a_bank_text_needs_500_bytes_or_an_empty_buffer() {
    let mut world = World::of([42, 20, 30].map(identity));
    let v = world.make(&[current_task()]);
    let extracted = extract(&mut world, v, BANK, 516);
    assert_eq!((extracted.outcome(), extracted.items()[0].0.command), (Ok(44), BANK_TEXT));
    assert_eq!(extracted.items()[0].1, b" Bank Context for a pid 42\n\0");
    assert_eq!(extract(&mut world, v, BANK, 515).outcome(), Err((Error::NoSpace, 515)));
    let extracted = extract(&mut world, v, BANK, 16);
    assert_eq!((extracted.outcome(), extracted.bytes()), (Ok(16), &header(BANK, 0, 0, 0)[..]));
    world.end();
}

// covers vouchers E-16
#[test]
fn a_priority_needs_4_bytes_and_fails_with_two_different_codes() {
    let mut world = World::new();
    let v = world.make(&[priority(0x10FF)]);
    let extracted = extract(&mut world, v, PRIORITY, 20);
    assert_eq!((extracted.outcome(), extracted.items()[0].0.command), (Ok(20), PRIORITY_WORD));
    assert_eq!(extracted.items()[0].1, [0xFF, 0x10, 0, 0]);
    assert_eq!(
        (extract(&mut world, v, PRIORITY, 19).result, extract(&mut world, v, PRIORITY, 16).result),
        (Err(Error::NoSpace), Err(Error::InvalidValue))
    );
    world.end();
}

#[test]
fn the_largest_content_is_extracted_completely_or_refused() {
    let mut world = World::new();
    let content = vec![0x5A; 5104];
    let v = world.make(&[st(DATA, &content)]);
    assert_eq!(extract_content(&mut world, v, DATA, 4096).result, Err(Error::NoSpace));
    let extracted = extract(&mut world, v, DATA, ARRAY_MAX);
    assert_eq!((extracted.outcome(), extracted.items()[0].1), (Ok(ARRAY_MAX), &content[..]));
    world.end();
}

// covers vouchers E-18
#[test]
fn all_attributes_are_extracted_in_key_order_without_previous_vouchers() {
    let mut world = World::new();
    let v = world.make(&[st(TEST, "b"), current_task(), st(DATA, "a")]);
    let extracted = extract_all(&mut world, v, ARRAY_MAX);
    assert_eq!(extracted.result, Ok(()));
    let keys: Vec<(u32, u32)> = extracted.items().iter().map(|(header, _)| (header.key, header.command)).collect();
    assert_eq!(keys, [(BANK, BANK_TEXT), (DATA, STORE), (TEST, STORE)]);
    assert!(extracted.items().iter().all(|(header, _)| header.previous_voucher == 0));
    assert_eq!((extracted.items()[1].1, extracted.items()[2].1), (&b"a"[..], &b"b"[..]));
    world.end();
}

// covers vouchers E-20
#[test]
fn extracted_user_data_is_a_recipe_for_the_same_voucher() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a"), st(TEST, "b")]);
    let extracted = extract_all(&mut world, v, ARRAY_MAX);
    assert_eq!(world.mk_bytes(extracted.bytes()), Ok(v));
    world.end();
}

#[test]
fn extracted_bank_values_and_priorities_are_not_valid_recipes() {
    let mut world = World::new();
    for item in [current_task(), priority(0x10FF)] {
        let v = world.make(&[item]);
        let extracted = extract_all(&mut world, v, ARRAY_MAX);
        assert_eq!((extracted.result, world.mk_bytes(extracted.bytes())), (Ok(()), INVALID_ARGUMENT));
    }
    world.end();
}

// covers vouchers E-22
#[test]
fn a_manager_that_claims_a_size_beyond_the_buffer_fails_the_call() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8])]);
    for (room, claim) in [(16, 1), (20, 5), (ARRAY_MAX, 5105), (ARRAY_MAX, usize::MAX)] {
        fake.0.borrow_mut().claim = claim;
        // The error leaves the size unchanged, so the caller copies no byte out.
        assert_eq!(extract(&mut world, v, FAKE, room).outcome(), Err((Error::Failure, room)), "recipe");
        assert_eq!(extract_all(&mut world, v, room).outcome(), Err((Error::Failure, room)), "all");
        assert_eq!(
            extract_content(&mut world, v, FAKE, room - 16).outcome(),
            Err((Error::Failure, room - 16)),
            "content"
        );
    }
    fake.0.borrow_mut().claim = 4;
    assert_eq!(extract(&mut world, v, FAKE, 20).outcome(), Ok(20));
    world.end();
}

// covers vouchers E-23
#[test]
fn debug_info_is_not_supported() {
    // The function takes no arguments, so it covers all arguments of the call.
    assert_eq!(debug_info(), Err(Error::NotSupported));
}
