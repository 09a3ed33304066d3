//! Reading a voucher by trap (vouchers 4.3).

use super::*;
use crate::calls::UNUSED_NAME;
use abi::code::*;
use abi::port::*;
use abi::task::{PAGE_SIZE, VM_FLAGS_ANYWHERE};
use kernel::machine::{Machine, Protection, UserAddr};

const UNMAPPED: u64 = 0x1000;

fn hello() -> (World, Actor, PortName) {
    let mut w = World::new();
    let a = w.task();
    let voucher = w.make_voucher(a, &[st(USER_DATA, HELLO)]).unwrap();
    (w, a, voucher)
}

/// Calls trap 72 with these addresses of recipe and size.
fn extract_at(w: &mut World, a: Actor, name: PortName, key: u32, recipe: u64, size: u64) -> Result<(), KernReturn> {
    w.call(a, mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE, &[name.0.into(), key.into(), recipe, size])
}

// covers vouchers E-02
// covers mach-ipc V22
#[test]
fn a_recipe_is_extracted_into_buffers_on_and_off_the_stack() {
    let (mut w, a, voucher) = hello();
    for size in [255, 256, 257, HELLO_SIZE as u32, 5120] {
        assert_eq!(w.extract(a, voucher, USER_DATA, size), Ok(st(USER_DATA, HELLO)), "{size}");
    }
}

// covers vouchers E-03
#[test]
fn a_buffer_that_is_too_small_leaves_the_size() {
    let (mut w, a, voucher) = hello();
    // `extract` checks the word for the size.
    assert_eq!(w.extract(a, voucher, USER_DATA, HELLO_SIZE as u32 - 1), Err(KERN_NO_SPACE));
    assert_eq!(w.extract(a, voucher, USER_DATA, HEADER as u32 - 1), Err(KERN_NO_SPACE));
    assert_eq!(w.extract(a, voucher, TEST, 0), Ok(vec![]), "an absent attribute needs no room");
}

// covers vouchers E-08 E-09
#[test]
fn only_a_voucher_can_be_read() {
    let (mut w, a, _) = hello();
    let host = w.host(a);
    for name in [MACH_PORT_NULL, MACH_PORT_DEAD, UNUSED_NAME, a.self_port, host, a.to_init] {
        assert_eq!(w.extract(a, name, USER_DATA, 5120), Err(MACH_SEND_INVALID_DEST), "{name:?}");
        assert_eq!(w.extract(a, name, USER_DATA, 5121), Err(MIG_ARRAY_TOO_LARGE), "{name:?}");
    }
}

// covers vouchers E-10
#[test]
fn size_and_buffer_must_be_readable_even_for_an_absent_attribute() {
    let (mut w, a, voucher) = hello();
    w.put(a, ARGUMENTS, &64u32.to_le_bytes());
    let (size, buffer) = (a.memory + ARGUMENTS, w.buffer(a));
    for key in [USER_DATA, TEST] {
        assert_eq!(extract_at(&mut w, a, voucher, key, buffer, UNMAPPED), Err(KERN_MEMORY_ERROR));
        assert_eq!(extract_at(&mut w, a, voucher, key, UNMAPPED, size), Err(KERN_MEMORY_ERROR));
    }
}

// covers vouchers E-11
#[test]
fn a_buffer_that_is_only_readable_leaves_the_size() {
    let (mut w, a, voucher) = hello();
    let page = w.buffer(a) + PAGE_SIZE;
    w.machine.protect(a.space, UserAddr(page), 1, Protection::READ);
    w.put(a, ARGUMENTS, &64u32.to_le_bytes());
    let size = a.memory + ARGUMENTS;
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, page, size), Err(KERN_MEMORY_ERROR));
    assert_eq!(w.get(a, ARGUMENTS, 4), 64u32.to_le_bytes());
    assert_eq!(extract_at(&mut w, a, voucher, TEST, page, size), Ok(()), "nothing is written for an absent attribute");
    assert_eq!(w.get(a, ARGUMENTS, 4), [0; 4]);
    w.machine.protect(a.space, UserAddr(page), 1, Protection::READ | Protection::WRITE);
}

/// Vouchers 8, V3: the length is the value of the size word, never its address, and the word is read once.
#[test]
fn lengths_come_from_the_kernels_copy_of_the_size() {
    let (mut w, a, voucher) = hello();
    let (size, buffer) = (a.memory + ARGUMENTS, w.buffer(a));
    assert!(size > ARRAY_MAX as u64, "the address is larger than any length");
    for room in [0u32, 15, 28, 29, 255, 256, 257, 4096, 5120] {
        w.put(a, BUFFER, &[0xEE; 6000]);
        w.put(a, ARGUMENTS, &room.to_le_bytes());
        let result = extract_at(&mut w, a, voucher, USER_DATA, buffer, size);
        let fits = room >= HELLO_SIZE as u32;
        assert_eq!(result, if fits { Ok(()) } else { Err(KERN_NO_SPACE) }, "{room}");
        let written = if fits { HELLO_SIZE } else { 0 };
        assert!(w.get(a, BUFFER, 6000)[written..].iter().all(|&byte| byte == 0xEE), "{room}");
    }
    // Another thread changes the word between the two copies.
    w.put(a, ARGUMENTS, &29u32.to_le_bytes());
    w.machine.write_after_copy(0, a.space, UserAddr(size), &5120u32.to_le_bytes());
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, buffer, size), Ok(()));
    assert_eq!(w.get(a, ARGUMENTS, 4), 29u32.to_le_bytes());
}

#[test]
fn the_size_word_may_lie_in_the_buffer() {
    let (mut w, a, voucher) = hello();
    let at = w.buffer(a);
    w.put(a, BUFFER, &64u32.to_le_bytes());
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, at, at), Ok(()));
    assert_eq!(w.get(a, BUFFER, 4), (HELLO_SIZE as u32).to_le_bytes(), "the size is written last");
    assert_eq!(w.get(a, BUFFER + 4, 25), st(USER_DATA, HELLO)[4..]);
}

#[test]
fn a_size_word_that_cannot_be_written_is_an_error() {
    let (mut w, a, voucher) = hello();
    let page = w.buffer(a) + PAGE_SIZE;
    w.put(a, BUFFER + PAGE_SIZE, &64u32.to_le_bytes());
    w.machine.protect(a.space, UserAddr(page), 1, Protection::READ);
    let buffer = w.buffer(a);
    for key in [USER_DATA, TEST] {
        assert_eq!(extract_at(&mut w, a, voucher, key, buffer, page), Err(KERN_MEMORY_ERROR));
    }
    w.machine.protect(a.space, UserAddr(page), 1, Protection::READ | Protection::WRITE);
}

#[test]
fn a_buffer_may_end_at_the_edge_of_memory() {
    let (mut w, a, voucher) = hello();
    w.put(a, crate::world::RESULT, &0u64.to_le_bytes());
    let args = [a.self_port.0.into(), w.result(a), PAGE_SIZE, u64::from(VM_FLAGS_ANYWHERE)];
    w.call(a, mach::MACH_VM_ALLOCATE, &args).unwrap();
    let page = u64::from_le_bytes(w.get(a, crate::world::RESULT, 8).try_into().unwrap());
    let end = page + PAGE_SIZE;
    w.put(a, ARGUMENTS, &(HELLO_SIZE as u32).to_le_bytes());
    let size = a.memory + ARGUMENTS;
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, end - HELLO_SIZE as u64, size), Ok(()));
    w.put(a, ARGUMENTS, &(HELLO_SIZE as u32 + 1).to_le_bytes());
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, end - HELLO_SIZE as u64, size), Err(KERN_MEMORY_ERROR));
    // The word itself is cut by the edge.
    let buffer = w.buffer(a);
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, buffer, end - 3), Err(KERN_MEMORY_ERROR));
    assert_eq!(extract_at(&mut w, a, voucher, USER_DATA, buffer, u64::MAX - 1), Err(KERN_MEMORY_ERROR));
}
