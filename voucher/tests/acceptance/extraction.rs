//! Reading vouchers (vouchers 10.4).

use crate::recipes::hello;
use crate::support::*;
use abi::voucher::RecipeHeader;
use voucher::*;
use zerocopy::FromBytes;

/// What is in a buffer before a call.
const POISON: u8 = 0xAA;

/// What came of an extraction. As in the reference the size goes in as the room there is, and changes with success alone:
/// an error comes without one.
struct Extracted {
    code: i32,
    size: usize,
    buffer: Vec<u8>,
}

impl Extracted {
    fn new(room: usize, extract: impl FnOnce(&mut [u8]) -> Result<usize, Error>) -> Self {
        let mut buffer = vec![POISON; room];
        let result = extract(&mut buffer);
        let code = result.err().map_or(0, |error| error.code().0);
        Extracted { code, size: result.unwrap_or(room), buffer }
    }

    /// Code and size.
    fn outcome(&self) -> (i32, usize) {
        (self.code, self.size)
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.size]
    }

    /// The headers and contents of what was extracted.
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

/// A world and the name of R-04's voucher.
fn hello_world() -> (World, u32) {
    let mut world = World::new();
    let (_, name) = world.mk_bytes(&hello());
    (world, name)
}

// covers vouchers E-01
#[test]
fn what_was_stored_is_extracted_as_it_was() {
    let (mut world, v) = hello_world();
    let extracted = extract(&mut world, v, 7, 5120);
    assert_eq!((extracted.outcome(), extracted.bytes()), ((0, 29), &hello()[..]));
    assert!(extracted.buffer[29..].iter().all(|&byte| byte == POISON));
    world.end();
}

#[test]
fn the_room_makes_no_difference_if_there_is_enough() {
    let (mut world, v) = hello_world();
    for room in [29, 255, 256, 257] {
        let extracted = extract(&mut world, v, 7, room);
        assert_eq!((extracted.outcome(), extracted.bytes()), ((0, 29), &hello()[..]));
    }
    world.end();
}

// covers vouchers E-05
#[test]
fn too_little_room_is_an_error_that_leaves_the_size_as_it_was() {
    let (mut world, v) = hello_world();
    assert_eq!(extract(&mut world, v, 7, 28).outcome(), (3, 28));
    assert_eq!(extract(&mut world, v, 7, 15).outcome(), (3, 15));
    world.end();
}

// covers vouchers E-04
#[test]
fn with_room_for_the_header_alone_there_is_a_header_without_content() {
    let (mut world, v) = hello_world();
    let extracted = extract(&mut world, v, 7, 16);
    assert_eq!((extracted.outcome(), extracted.bytes()), ((0, 16), &header(7, 211, 0, 0)[..]));
    world.end();
}

// covers vouchers E-06 E-07
#[test]
fn of_an_absent_attribute_and_of_no_key_nothing_is_extracted() {
    let (mut world, v) = hello_world();
    for key in [8, 0, 9, u32::MAX, 1, 5] {
        for room in [0, 5120] {
            let extracted = extract(&mut world, v, key, room);
            assert_eq!(extracted.outcome(), (0, 0), "key {key}, room {room}");
            assert!(extracted.buffer.iter().all(|&byte| byte == POISON));
            assert_eq!(extract_content(&mut world, v, key, room).outcome(), (0, 0));
        }
    }
    world.end();
}

#[test]
fn without_a_voucher_nothing_is_extracted_and_no_command_executed() {
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
fn of_the_bank_there_is_a_text_that_needs_500_bytes_of_room_or_none() {
    let mut world = World::of([42, 20, 30].map(identity));
    let v = world.make(&[it(3, 610, 0, "")]);
    let extracted = extract(&mut world, v, 3, 516);
    assert_eq!((extracted.outcome(), extracted.items()[0].0.command), ((0, 44), 601));
    assert_eq!(extracted.items()[0].1, b" Bank Context for a pid 42\n\0");
    assert_eq!(extract(&mut world, v, 3, 515).outcome(), (3, 515));
    let extracted = extract(&mut world, v, 3, 16);
    assert_eq!((extracted.outcome(), extracted.bytes()), ((0, 16), &header(3, 0, 0, 0)[..]));
    world.end();
}

// covers vouchers E-16
#[test]
fn a_priority_needs_its_4_bytes_and_says_so_by_one_code_or_another() {
    let mut world = World::new();
    let v = world.make(&[it(4, 710, 0, [0xFF, 0x10, 0, 0])]);
    let extracted = extract(&mut world, v, 4, 20);
    assert_eq!((extracted.outcome(), extracted.items()[0].0.command), ((0, 20), 701));
    assert_eq!(extracted.items()[0].1, [0xFF, 0x10, 0, 0]);
    assert_eq!((extract(&mut world, v, 4, 19).code, extract(&mut world, v, 4, 16).code), (3, 18));
    world.end();
}

#[test]
fn the_largest_content_a_program_can_store_is_extracted_whole_or_not() {
    let mut world = World::new();
    let content = vec![0x5A; 5104];
    let v = world.make(&[st(7, &content)]);
    assert_eq!(extract_content(&mut world, v, 7, 4096).code, 3);
    let extracted = extract(&mut world, v, 7, 5120);
    assert_eq!((extracted.outcome(), extracted.items()[0].1), ((0, 5120), &content[..]));
    world.end();
}

// covers vouchers E-18
#[test]
fn all_attributes_are_extracted_by_key_without_previous_vouchers() {
    let mut world = World::new();
    let v = world.make(&[st(8, "b"), it(3, 610, 0, ""), st(7, "a")]);
    let extracted = extract_all(&mut world, v, 5120);
    assert_eq!(extracted.code, 0);
    let keys: Vec<(u32, u32)> = extracted.items().iter().map(|(header, _)| (header.key, header.command)).collect();
    assert_eq!(keys, [(3, 601), (7, 211), (8, 211)]);
    assert!(extracted.items().iter().all(|(header, _)| header.previous_voucher == 0));
    assert_eq!((extracted.items()[1].1, extracted.items()[2].1), (&b"a"[..], &b"b"[..]));
    world.end();
}

// covers vouchers E-20
#[test]
fn extracted_user_data_gives_the_same_voucher_again() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a"), st(8, "b")]);
    let extracted = extract_all(&mut world, v, 5120);
    assert_eq!(world.mk_bytes(extracted.bytes()), (0, v));
    world.end();
}

#[test]
fn extracted_values_of_bank_and_priority_are_no_recipes() {
    let mut world = World::new();
    for item in [it(3, 610, 0, ""), it(4, 710, 0, [0xFF, 0x10, 0, 0])] {
        let v = world.make(&[item]);
        let extracted = extract_all(&mut world, v, 5120);
        assert_eq!((extracted.code, world.mk_bytes(extracted.bytes())), (0, (4, 0)));
    }
    world.end();
}

// covers vouchers E-22
#[test]
fn a_manager_that_claims_more_than_there_is_room_for_fails_the_call() {
    let fake = Fake::default();
    let mut world = World::with_fake(&fake);
    let v = world.make(&[it(FAKE, HAND_OUT, 0, [1; 8])]);
    for (room, claim) in [(16, 1), (20, 5), (5120, 5105), (5120, usize::MAX)] {
        fake.0.borrow_mut().claim = claim;
        // The error comes without a size, so there is nothing that could be copied out.
        assert_eq!(extract(&mut world, v, FAKE, room).outcome(), (5, room), "recipe");
        assert_eq!(extract_all(&mut world, v, room).outcome(), (5, room), "all");
        assert_eq!(extract_content(&mut world, v, FAKE, room - 16).outcome(), (5, room - 16), "content");
    }
    fake.0.borrow_mut().claim = 4;
    assert_eq!(extract(&mut world, v, FAKE, 20).outcome(), (0, 20));
    world.end();
}

// covers vouchers E-23
#[test]
fn there_is_no_debug_info() {
    // It takes no arguments, so none make a difference.
    assert_eq!(debug_info().map_err(|error| error.code().0), Err(46));
}
