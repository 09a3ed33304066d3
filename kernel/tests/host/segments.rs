//! The limits of a program's segments: their sizes, addresses and contents in the file.

use crate::program::*;
use crate::programs::spawn;
use crate::world::World;
use abi::code::*;
use abi::task::PAGE_SIZE;
use kernel::ids::TaskId;
use kernel::machine::{Protection, USER_END, USER_START, UserAddr};

/// The load address of position-independent programs.
const PIE_BASE: u64 = 0x1000_0000;

const FILE_SIZE: u64 = 5000;
const BASE: u64 = PROGRAM_BASE;
/// The address of the second segment, far from any other memory.
const DATA: u64 = 0x5000_0000;
/// An offset in the file behind all program headers.
const OFFSET: u64 = 512;

/// The code segment of all programs here. It contains the program headers.
const CODE: Segment = (PT_LOAD, READ | EXECUTE, 0, BASE, 256, 256);

/// Returns a data segment.
fn data(offset: u64, address: u64, in_file: u64, in_memory: u64) -> Segment {
    (PT_LOAD, READ | WRITE, offset, address, in_file, in_memory)
}

/// Spawns a program with a second segment.
fn spawn_with(second: Segment) -> (World, Result<TaskId, abi::KernReturn>) {
    let mut w = World::new();
    let a = w.task();
    let task = spawn(&mut w, a, &image(ET_EXEC, BASE, &[CODE, second], FILE_SIZE as usize));
    (w, task)
}

/// Returns the start and the end of the task's region that contains an address.
fn region_at(w: &World, task: TaskId, address: u64) -> Option<(u64, u64)> {
    let regions = w.kernel.tasks[task].regions();
    regions.iter().map(|region| (region.start, region.end)).find(|&(start, end)| (start..end).contains(&address))
}

#[test]
fn a_segment_maps_exactly_the_pages_it_touches() {
    const PAGES: u64 = DATA + 2 * PAGE_SIZE;
    let cases = [
        (DATA, 1, DATA + PAGE_SIZE),
        (DATA, PAGE_SIZE - 1, DATA + PAGE_SIZE),
        (DATA, PAGE_SIZE, DATA + PAGE_SIZE),
        (DATA, PAGE_SIZE + 1, PAGES),
        (DATA + 1, PAGE_SIZE - 1, DATA + PAGE_SIZE),
        (DATA + 1, PAGE_SIZE, PAGES),
        (DATA + PAGE_SIZE - 1, 1, DATA + PAGE_SIZE),
        (DATA + PAGE_SIZE - 1, 2, PAGES),
    ];
    for (address, size, end) in cases {
        let (w, task) = spawn_with(data(OFFSET, address, 1, size));
        let region = region_at(&w, task.unwrap(), address);
        assert_eq!(region, Some((DATA, end)), "{size:#x} bytes at {address:#x}");
    }
}

#[test]
fn a_segment_is_filled_from_the_file_and_then_with_zeros() {
    let contents = image(ET_EXEC, BASE, &[CODE, CODE], FILE_SIZE as usize);
    let cases = [
        (OFFSET, DATA, 0, 16),
        (OFFSET + 1, DATA + 3, 1, 16),
        (OFFSET, DATA + 5, 1023, 1024),
        (OFFSET, DATA + 5, 1024, 1024),
        (OFFSET, DATA + 5, 1025, 1025),
        (OFFSET, DATA + PAGE_SIZE - 1, 2049, PAGE_SIZE),
        (0, DATA, FILE_SIZE, FILE_SIZE),
        (FILE_SIZE - 1, DATA, 1, 16),
        (FILE_SIZE, DATA, 0, 16),
    ];
    for (offset, address, in_file, in_memory) in cases {
        let (w, task) = spawn_with(data(offset, address, in_file, in_memory));
        let case = format!("{in_file} of {in_memory} bytes from {offset} at {address:#x}");
        let task = task.unwrap();
        let (start, end) = region_at(&w, task, address).unwrap();
        let memory =
            w.machine.read(w.kernel.tasks[task].address_space, UserAddr(start), (end - start) as usize).unwrap();
        let (before, rest) = memory.split_at((address - start) as usize);
        let (filled, behind) = rest.split_at(in_file as usize);
        // The headers of the spawned file differ from those in `contents`.
        let skipped = if offset == 0 { OFFSET as usize } else { 0 };
        assert_eq!(filled[skipped..], contents[offset as usize..][..in_file as usize][skipped..], "{case}");
        assert!(before.iter().chain(behind).all(|&byte| byte == 0), "{case}: the rest is zero");
    }
}

#[test]
fn a_segment_lies_in_user_memory() {
    let last = USER_END - PAGE_SIZE;
    let inside = [data(OFFSET, USER_START, 1, 1), data(OFFSET, last, 1, PAGE_SIZE), data(OFFSET, USER_END - 1, 1, 1)];
    for segment in inside {
        let (w, task) = spawn_with(segment);
        assert!(region_at(&w, task.unwrap(), segment.3).is_some(), "{segment:x?}");
    }
    let outside = [
        data(OFFSET, USER_START - 1, 1, 1),
        data(OFFSET, USER_START - 1, 1, 2),
        data(OFFSET, last, 1, PAGE_SIZE + 1),
        data(OFFSET, USER_END - 1, 1, 2),
        data(OFFSET, USER_END, 1, 1),
        data(OFFSET, DATA, 1, USER_END - DATA + 1),
        data(OFFSET, DATA, 1, u64::MAX - DATA),
        data(OFFSET, DATA, 1, u64::MAX - DATA - PAGE_SIZE),
        data(OFFSET, DATA, 1, u64::MAX - DATA + 1),
        data(OFFSET, u64::MAX, 1, 1),
        data(OFFSET, u64::MAX - PAGE_SIZE + 1, 1, PAGE_SIZE - 1),
    ];
    for segment in outside {
        assert_eq!(spawn_with(segment).1, Err(KERN_FAILURE), "{segment:x?}");
    }
}

#[test]
fn a_position_independent_segment_lies_in_user_memory() {
    let start = |address: u64, size: u64| {
        let mut w = World::new();
        let a = w.task();
        let code = (PT_LOAD, READ | EXECUTE, 0, 0, 256, 256);
        // The segment is not writable, so its region does not merge with the stack's.
        let segments = [code, (PT_LOAD, READ, OFFSET, address, 1, size)];
        let file = image(ET_DYN, 0, &segments, FILE_SIZE as usize);
        let task = spawn(&mut w, a, &file)?;
        Ok(region_at(&w, task, PIE_BASE.wrapping_add(address)))
    };
    let last = USER_END - PIE_BASE - PAGE_SIZE;
    assert_eq!(start(last, PAGE_SIZE), Ok(Some((USER_END - PAGE_SIZE, USER_END))));
    for (address, size) in [(last, PAGE_SIZE + 1), (USER_END - PIE_BASE, 1), (0_u64.wrapping_sub(PIE_BASE), 1)] {
        assert_eq!(start(address, size), Err(KERN_FAILURE), "{size:#x} bytes at {address:#x}");
    }
}

#[test]
fn a_segment_beyond_the_file_or_larger_than_its_memory_is_refused() {
    let refused = [
        ("more than in memory", data(OFFSET, DATA, 17, 16)),
        ("one byte behind the end", data(FILE_SIZE - 1, DATA, 2, 16)),
        ("from behind the end", data(FILE_SIZE, DATA, 1, 16)),
        ("no byte, from far behind the end", data(FILE_SIZE + 1, DATA, 0, 16)),
        ("all, from the second byte", data(1, DATA, FILE_SIZE, FILE_SIZE)),
        ("up to where the sum wraps", data(u64::MAX, DATA, 1, 16)),
        ("up to behind where the sum wraps", data(u64::MAX - 7, DATA, 16, 16)),
    ];
    for (case, segment) in refused {
        assert_eq!(spawn_with(segment).1, Err(KERN_FAILURE), "{case}");
    }
}

#[test]
fn segments_may_touch_but_not_share_a_page() {
    let first = data(OFFSET, DATA + 2 * PAGE_SIZE, 8, 2 * PAGE_SIZE);
    let start = |second: Segment| {
        let mut w = World::new();
        let a = w.task();
        let segments = [CODE, first, second];
        spawn(&mut w, a, &image(ET_EXEC, BASE, &segments, FILE_SIZE as usize)).map(|_| ())
    };
    for (page, size) in [(0, 2 * PAGE_SIZE), (1, 1), (4, 1)] {
        assert_eq!(start(data(OFFSET, DATA + page * PAGE_SIZE, 0, size)), Ok(()), "{size:#x} bytes on page {page}");
    }
    let sharing = [
        (2, 1),
        (3, 1),
        (3, 2 * PAGE_SIZE),
        (0, 2 * PAGE_SIZE + 1),
        (1, PAGE_SIZE + 1),
        (0, 8 * PAGE_SIZE),
        (2, 2 * PAGE_SIZE),
    ];
    for (page, size) in sharing {
        let second = data(OFFSET, DATA + page * PAGE_SIZE, 0, size);
        assert_eq!(start(second), Err(KERN_FAILURE), "{size:#x} bytes on page {page}");
    }
}

#[test]
fn a_segment_of_size_zero_is_ignored() {
    let empty = [data(0, 0, 0, 0), data(u64::MAX, u64::MAX, u64::MAX, 0), data(OFFSET, DATA, 8, 0)];
    for segment in empty {
        let (w, task) = spawn_with(segment);
        assert_eq!(region_at(&w, task.unwrap(), DATA), None, "{segment:x?}");
    }
}

#[test]
fn the_flags_of_a_segment_set_its_protection() {
    let cases = [
        (0, Some(Protection::READ)),
        (READ, Some(Protection::READ)),
        (WRITE, Some(Protection::READ | Protection::WRITE)),
        (READ | WRITE, Some(Protection::READ | Protection::WRITE)),
        (EXECUTE, Some(Protection::READ | Protection::EXECUTE)),
        (READ | EXECUTE, Some(Protection::READ | Protection::EXECUTE)),
        (WRITE | EXECUTE, None),
        (READ | WRITE | EXECUTE, None),
    ];
    for (flags, allowed) in cases {
        let (w, task) = spawn_with((PT_LOAD, flags, OFFSET, DATA, 8, 8));
        let seen = task.map(|task| w.machine.protection(w.kernel.tasks[task].address_space, UserAddr(DATA)));
        assert_eq!(seen, allowed.map(Some).ok_or(KERN_FAILURE), "{flags:#b}");
    }
}

#[test]
fn a_program_starts_in_an_executable_segment() {
    let start = |entry: u64| {
        let mut w = World::new();
        let a = w.task();
        let segments = [CODE, data(OFFSET, BASE + PAGE_SIZE, 8, 8)];
        spawn(&mut w, a, &image(ET_EXEC, entry, &segments, FILE_SIZE as usize)).map(|_| ())
    };
    for entry in [BASE, BASE + 1, BASE + PAGE_SIZE - 1] {
        assert_eq!(start(entry), Ok(()), "{entry:#x}");
    }
    for entry in [0, BASE - 1, BASE + PAGE_SIZE, BASE + 2 * PAGE_SIZE, u64::MAX] {
        assert_eq!(start(entry), Err(KERN_FAILURE), "{entry:#x}");
    }
}

/// The keys of the auxiliary vector for the address and the number of the program headers.
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
/// The offset of the program headers in the file, and their size with two segments.
const HEADERS: u64 = ELF_HEADER_SIZE as u64;
const HEADERS_SIZE: u64 = 2 * PROGRAM_HEADER_SIZE as u64;

/// Spawns a program with these segments; returns the address and the number of the program headers on its first stack.
fn headers_found(segments: [Segment; 2]) -> (u64, u64) {
    let mut w = World::new();
    let a = w.task();
    let task = spawn(&mut w, a, &image(ET_EXEC, BASE, &segments, FILE_SIZE as usize)).unwrap();
    let thread = w.kernel.tasks[task].threads.front().unwrap();
    let (stack, space) = (w.kernel.sched[thread].frame().rsp, w.kernel.tasks[task].address_space);
    let word = |at| u64::from_le_bytes(w.machine.read(space, UserAddr(at), 8).unwrap().try_into().unwrap());
    // Number of arguments and the ends of two empty lists come before the auxiliary vector.
    let value = |key| (stack + 3 * 8..).step_by(16).find(|&at| word(at) == key).map(|at| word(at + 8)).unwrap();
    (value(AT_PHDR), value(AT_PHNUM))
}

#[test]
fn the_auxiliary_vector_names_program_headers_that_are_mapped_entirely() {
    let code = |offset: u64, in_file: u64| (PT_LOAD, READ | EXECUTE, offset, BASE, in_file, 512);
    let other = data(OFFSET, DATA, 8, 8);
    let end = HEADERS + HEADERS_SIZE;
    for (offset, in_file) in [(0, end), (0, end + 1), (HEADERS, HEADERS_SIZE), (HEADERS - 1, HEADERS_SIZE + 1)] {
        let found = headers_found([code(offset, in_file), other]);
        assert_eq!(found, (BASE + HEADERS - offset, 2), "{in_file} bytes from {offset}");
    }
    for (offset, in_file) in [(0, end - 1), (HEADERS + 1, HEADERS_SIZE), (HEADERS, HEADERS_SIZE - 1), (end, 8), (0, 0)]
    {
        let found = headers_found([code(offset, in_file), other]);
        assert_eq!(found, (0, 0), "{in_file} bytes from {offset}");
    }
    let in_data = data(HEADERS, DATA + 5, HEADERS_SIZE, HEADERS_SIZE);
    assert_eq!(headers_found([code(OFFSET, 8), in_data]), (DATA + 5, 2));
}
