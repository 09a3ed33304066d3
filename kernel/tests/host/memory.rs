//! A task's memory: allocating, deallocating and protecting it.

use crate::machine::Failure;
use crate::simulation::Random;
use crate::world::{Actor, RESULT, World};
use abi::KernReturn;
use abi::code::*;
use abi::task::*;
use abi::trap::mach;
use kernel::limits::{Limits, PAGES_PER_TASK_MAX, REGIONS_PER_TASK_MAX};
use kernel::machine::{Protection, USER_END, USER_START, UserAddr};
use std::collections::BTreeMap;

const PAGE: u64 = PAGE_SIZE;
const READ: u32 = VM_PROT_READ;
const WRITE: u32 = VM_PROT_WRITE;
const EXECUTE: u32 = VM_PROT_EXECUTE;

/// The address of the memory under test. No other memory lies behind it up to twice this address.
const HERE: u64 = 0x5000_0000;

/// A limit of pages that a test can reach.
const FEW_PAGES: u64 = 200;

/// Allocates memory at an address or, without one, anywhere.
fn allocate(w: &mut World, a: Actor, at: Option<u64>, size: u64) -> Result<u64, KernReturn> {
    allocate_as(w, a, at.unwrap_or(0), size, if at.is_none() { VM_FLAGS_ANYWHERE } else { 0 })
}

/// Calls `mach_vm_allocate` with an address and flags.
fn allocate_as(w: &mut World, a: Actor, at: u64, size: u64, flags: u32) -> Result<u64, KernReturn> {
    w.put(a, RESULT, &at.to_le_bytes());
    w.call(a, mach::MACH_VM_ALLOCATE, &[a.self_port.0.into(), w.result(a), size, flags.into()])?;
    Ok(u64::from_le_bytes(w.get(a, RESULT, 8).try_into().unwrap()))
}

fn deallocate(w: &mut World, a: Actor, at: u64, size: u64) -> Result<(), KernReturn> {
    w.call(a, mach::MACH_VM_DEALLOCATE, &[a.self_port.0.into(), at, size])
}

fn protect(w: &mut World, a: Actor, at: u64, size: u64, bits: u32) -> Result<(), KernReturn> {
    w.call(a, mach::MACH_VM_PROTECT, &[a.self_port.0.into(), at, size, 0, bits.into()])
}

fn world() -> (World, Actor) {
    let mut w = World::new();
    let a = w.task();
    (w, a)
}

/// Returns the pages of a task from [`HERE`] on with their protections.
fn pages(w: &World, a: Actor) -> BTreeMap<u64, Protection> {
    let mut pages = BTreeMap::new();
    for region in w.kernel.tasks[a.task].regions().iter().filter(|region| (HERE..2 * HERE).contains(&region.start)) {
        pages.extend((region.start..region.end).step_by(PAGE as usize).map(|page| (page, region.protection)));
    }
    pages
}

#[test]
fn allocated_memory_is_zeroed_writable_and_separate() {
    let (mut w, a) = world();
    let before = w.counts();
    let first = allocate(&mut w, a, None, 1).unwrap();
    let second = allocate(&mut w, a, None, 2 * PAGE + 1).unwrap();
    assert!(first.is_multiple_of(PAGE) && second.is_multiple_of(PAGE));
    assert!(second >= first + PAGE || second + 3 * PAGE <= first, "the allocations do not overlap");
    assert_eq!(before.free_frames - w.counts().free_frames, 4);
    assert_eq!(w.machine.read(a.space, UserAddr(second), 3 * PAGE as usize), Some(vec![0; 3 * PAGE as usize]));
    assert_eq!(w.machine.protection(a.space, UserAddr(first)), Some(Protection::READ | Protection::WRITE));
    deallocate(&mut w, a, first, 1).unwrap();
    deallocate(&mut w, a, second, 2 * PAGE + 1).unwrap();
    assert_eq!(w.counts(), before);
    assert_eq!(w.machine.read(a.space, UserAddr(first), 1), None);
}

/// As in XNU: the address is rounded down and the size up, each by itself. A range to deallocate is rounded at its ends.
#[test]
fn an_address_within_a_page_adds_no_page_to_an_allocation() {
    for flags in [0, VM_FLAGS_OVERWRITE] {
        let (mut w, a) = world();
        assert_eq!(allocate_as(&mut w, a, HERE + PAGE - 1, PAGE, flags), Ok(HERE));
        assert_eq!(pages(&w, a).len(), 1);
        assert_eq!(allocate_as(&mut w, a, HERE + 2 * PAGE - 1, PAGE + 1, flags), Ok(HERE + PAGE));
        assert_eq!(pages(&w, a).len(), 3);
        deallocate(&mut w, a, HERE + PAGE - 1, 2).unwrap();
        assert_eq!(pages(&w, a).len(), 1);
    }
    let (mut w, a) = world();
    assert_eq!(allocate(&mut w, a, Some(USER_END - 1), PAGE), Ok(USER_END - PAGE));
    assert_eq!(allocate(&mut w, a, Some(USER_END - PAGE - 1), 2 * PAGE + 1), Err(KERN_INVALID_ADDRESS));
}

#[test]
fn reallocated_memory_is_zeroed() {
    let (mut w, a) = world();
    allocate(&mut w, a, Some(HERE), PAGE).unwrap();
    w.machine.write(a.space, UserAddr(HERE), b"secret");
    deallocate(&mut w, a, HERE, PAGE).unwrap();
    allocate(&mut w, a, Some(HERE), PAGE).unwrap();
    assert_eq!(w.machine.read(a.space, UserAddr(HERE), 6), Some(vec![0; 6]));
}

#[test]
fn memory_traps_refuse_another_task() {
    let (mut w, a) = world();
    let b = w.task();
    let other = w.task_port(a, b);
    for call in [mach::MACH_VM_ALLOCATE, mach::MACH_VM_DEALLOCATE, mach::MACH_VM_PROTECT] {
        let args = [other.0.into(), w.result(a), PAGE, 1, READ.into()];
        assert_eq!(w.call(a, call, &args), Err(MACH_SEND_INVALID_DEST));
        assert_eq!(w.call(a, call, &[&[0], &args[1..]].concat()), Err(MACH_SEND_INVALID_DEST));
    }
}

#[test]
fn ranges_outside_user_memory_are_refused() {
    let (mut w, a) = world();
    let before = (pages(&w, a), w.counts());
    let outside = [
        (0, PAGE),
        (USER_START - PAGE, PAGE),
        (USER_START - 1, 2),
        (USER_END, 1),
        (USER_END - PAGE, 2 * PAGE),
        (USER_END - 1, PAGE + 1),
        (HERE, u64::MAX - HERE),
        (u64::MAX - PAGE, 1),
        (u64::MAX - PAGE + 1, 1),
        (0x8000_0000_0000_0000, PAGE),
        (0xFFFF_8000_0000_0000, PAGE),
    ];
    for (at, size) in outside {
        let (allocated, replaced) =
            (allocate(&mut w, a, Some(at), size), allocate_as(&mut w, a, at, size, VM_FLAGS_OVERWRITE));
        assert_eq!(allocated, Err(KERN_INVALID_ADDRESS), "{at:#x} {size:#x}");
        assert_eq!(replaced, Err(KERN_INVALID_ADDRESS), "{at:#x} {size:#x}");
        assert_eq!(deallocate(&mut w, a, at, size), Err(KERN_INVALID_ADDRESS), "{at:#x} {size:#x}");
        assert_eq!(protect(&mut w, a, at, size, READ), Err(KERN_INVALID_ADDRESS), "{at:#x} {size:#x}");
    }
    assert_eq!((pages(&w, a), w.counts()), before);
}

#[test]
fn ranges_that_wrap_are_invalid_arguments() {
    let (mut w, a) = world();
    allocate(&mut w, a, Some(HERE), PAGE).unwrap();
    let before = (pages(&w, a), w.counts());
    for (at, size) in
        [(1, u64::MAX), (PAGE, u64::MAX - PAGE + 1), (HERE, u64::MAX), (u64::MAX, 1), (HERE, u64::MAX - HERE + 1)]
    {
        assert_eq!(deallocate(&mut w, a, at, size), Err(KERN_INVALID_ARGUMENT), "{at:#x} {size:#x}");
        for bits in [READ, WRITE | EXECUTE] {
            assert_eq!(protect(&mut w, a, at, size, bits), Err(KERN_INVALID_ARGUMENT), "{at:#x} {size:#x}");
        }
    }
    assert_eq!((pages(&w, a), w.counts()), before);
}

#[test]
fn allocating_zero_bytes_succeeds_at_address_zero() {
    let (mut w, a) = world();
    let before = (pages(&w, a), w.counts());
    for flags in [VM_FLAGS_ANYWHERE, 0, VM_FLAGS_OVERWRITE] {
        assert_eq!(allocate_as(&mut w, a, HERE, 0, flags), Ok(0), "{flags:#x}");
    }
    assert_eq!((pages(&w, a), w.counts()), before);
}

#[test]
fn impossible_sizes_are_refused() {
    let (mut w, a) = world();
    let before = w.counts();
    for size in [u64::MAX, u64::MAX - PAGE + 2] {
        assert_eq!(allocate(&mut w, a, None, size), Err(KERN_INVALID_ARGUMENT), "rounds to 0: {size:#x}");
        assert_eq!(allocate(&mut w, a, Some(HERE), size), Err(KERN_INVALID_ARGUMENT), "rounds to 0: {size:#x}");
    }
    for size in [u64::MAX - PAGE + 1, 1 << 47, 1 << 63] {
        assert_eq!(allocate(&mut w, a, None, size), Err(KERN_NO_SPACE), "more than all addresses: {size:#x}");
    }
    assert_eq!(allocate(&mut w, a, None, 1 << 46), Err(KERN_RESOURCE_SHORTAGE), "above the limit of a task");
    assert_eq!(w.counts(), before);
}

#[test]
fn unknown_and_unsupported_allocation_flags_are_refused() {
    let (mut w, a) = world();
    let before = w.counts();
    let known = VM_FLAGS_ANYWHERE | VM_FLAGS_OVERWRITE | VM_FLAGS_ALIAS_MASK;
    for flag in (0..u32::BITS).map(|bit| 1 << bit).filter(|flag| known & flag == 0) {
        let code = if flag & VM_FLAGS_NOT_SUPPORTED != 0 { KERN_NOT_SUPPORTED } else { KERN_INVALID_ARGUMENT };
        for (flags, size) in [(flag, PAGE), (flag | VM_FLAGS_ANYWHERE, PAGE), (flag, 0)] {
            assert_eq!(allocate_as(&mut w, a, HERE, size, flags), Err(code), "{flags:#x}, {size} bytes");
        }
    }
    assert_eq!(w.counts(), before);
    let tagged = VM_FLAGS_ALIAS_MASK | VM_FLAGS_OVERWRITE | VM_FLAGS_ANYWHERE;
    assert_ne!(allocate_as(&mut w, a, HERE, PAGE, tagged), Ok(HERE), "the kernel chooses a free address");
}

#[test]
fn overwritten_memory_is_zeroed_and_writable() {
    let (mut w, a) = world();
    for (at, pages) in [(HERE, 3), (HERE + 4 * PAGE, 1), (HERE + 6 * PAGE, 2)] {
        allocate(&mut w, a, Some(at), pages * PAGE).unwrap();
        w.machine.write(a.space, UserAddr(at), &vec![7; (pages * PAGE) as usize]);
    }
    protect(&mut w, a, HERE + 4 * PAGE, PAGE, READ | EXECUTE).unwrap();
    let before = w.counts();
    let (start, size) = (HERE + PAGE, 6 * PAGE);
    assert_eq!(allocate_as(&mut w, a, start, size, VM_FLAGS_OVERWRITE), Ok(start));
    assert_eq!(w.machine.read(a.space, UserAddr(start), size as usize), Some(vec![0; size as usize]));
    assert_eq!(w.machine.read(a.space, UserAddr(HERE), PAGE as usize), Some(vec![7; PAGE as usize]));
    assert_eq!(w.machine.read(a.space, UserAddr(start + size), PAGE as usize), Some(vec![7; PAGE as usize]));
    let all: Vec<_> = (0..8).map(|page| (HERE + page * PAGE, Protection::READ | Protection::WRITE)).collect();
    assert_eq!(pages(&w, a).into_iter().collect::<Vec<_>>(), all);
    for (page, protection) in all {
        assert_eq!(w.machine.protection(a.space, UserAddr(page)), Some(protection));
    }
    assert_eq!(before.free_frames - w.counts().free_frames, 2, "only the two missing pages need frames");
    deallocate(&mut w, a, HERE, 8 * PAGE).unwrap();
    assert_eq!(w.counts().free_frames - before.free_frames, 6);
}

#[test]
fn an_overwrite_beyond_the_page_limit_changes_nothing() {
    let mut w = World::with_limits(Limits { pages_per_task: FEW_PAGES, ..Limits::default() });
    let a = w.task();
    let left = FEW_PAGES - w.kernel.tasks[a.task].regions().pages();
    allocate(&mut w, a, Some(HERE), PAGE).unwrap();
    allocate(&mut w, a, Some(HERE + 2 * PAGE), PAGE).unwrap();
    w.machine.write(a.space, UserAddr(HERE), &[7]);
    let before = (pages(&w, a), w.counts());
    let refused = allocate_as(&mut w, a, HERE, (left + 1) * PAGE, VM_FLAGS_OVERWRITE);
    assert_eq!(refused, Err(KERN_RESOURCE_SHORTAGE));
    for request in 0..2 {
        w.machine.fail(Some(Failure::Memory(request)));
        let refused = allocate_as(&mut w, a, HERE, 4 * PAGE, VM_FLAGS_OVERWRITE);
        assert_eq!(refused, Err(KERN_RESOURCE_SHORTAGE), "there are no frames for gap {request}");
    }
    assert_eq!((pages(&w, a), w.counts()), before);
    assert_eq!(w.machine.read(a.space, UserAddr(HERE), 1), Some(vec![7]));
    assert_eq!(allocate_as(&mut w, a, HERE, left * PAGE, VM_FLAGS_OVERWRITE), Ok(HERE));
}

#[test]
fn a_partly_taken_or_partly_missing_range_is_refused_as_a_whole() {
    let (mut w, a) = world();
    allocate(&mut w, a, Some(HERE + 2 * PAGE), PAGE).unwrap();
    assert_eq!(allocate(&mut w, a, Some(HERE), 3 * PAGE), Err(KERN_NO_SPACE));
    assert_eq!(allocate(&mut w, a, Some(HERE + 3 * PAGE - 1), 2), Err(KERN_NO_SPACE));
    assert_eq!(protect(&mut w, a, HERE, 3 * PAGE, READ), Err(KERN_INVALID_ADDRESS));
    assert_eq!(protect(&mut w, a, HERE + 2 * PAGE, PAGE + 1, READ), Err(KERN_INVALID_ADDRESS));
    assert_eq!(pages(&w, a).into_iter().collect::<Vec<_>>(), [(HERE + 2 * PAGE, Protection::READ | Protection::WRITE)]);
    deallocate(&mut w, a, HERE, 16 * PAGE).unwrap();
    assert!(pages(&w, a).is_empty(), "the mapped pages of the range are deallocated, its gaps are ignored");
    assert_eq!(deallocate(&mut w, a, HERE, PAGE), Ok(()));
    assert_eq!(deallocate(&mut w, a, HERE, 0), Ok(()));
}

#[test]
fn no_page_is_ever_writable_and_executable() {
    let (mut w, a) = world();
    allocate(&mut w, a, Some(HERE), 2 * PAGE).unwrap();
    for bits in [WRITE | EXECUTE, READ | WRITE | EXECUTE] {
        assert_eq!(protect(&mut w, a, HERE, PAGE, bits), Err(KERN_PROTECTION_FAILURE));
    }
    for bits in [8, 0x10, 0x8000_0000, u32::MAX] {
        assert_eq!(protect(&mut w, a, HERE, PAGE, bits), Err(KERN_INVALID_ARGUMENT), "{bits:#x}");
    }
    for bits in [0, READ, WRITE, READ | WRITE, EXECUTE, READ | EXECUTE] {
        protect(&mut w, a, HERE, PAGE, bits).unwrap();
        let seen = w.machine.protection(a.space, UserAddr(HERE)).unwrap().bits();
        assert_eq!(seen, if bits == 0 { 0 } else { bits | READ }, "a page that can be accessed can be read");
    }
    let args = [a.self_port.0.into(), HERE, PAGE, 1, READ.into()];
    assert_eq!(w.call(a, mach::MACH_VM_PROTECT, &args), Err(KERN_NOT_SUPPORTED), "set_maximum is not supported");
}

#[test]
fn the_kernel_respects_page_protection() {
    let (mut w, a) = world();
    allocate(&mut w, a, Some(HERE), PAGE).unwrap();
    let ask = |w: &mut World| w.call(a, mach::MACH_PORT_ALLOCATE, &[a.self_port.0.into(), 1, HERE]);
    protect(&mut w, a, HERE, PAGE, READ).unwrap();
    assert_eq!(ask(&mut w), Err(KERN_MEMORY_ERROR), "a result cannot be written to read-only memory");
    protect(&mut w, a, HERE, PAGE, READ | WRITE).unwrap();
    assert_eq!(ask(&mut w), Ok(()));
    protect(&mut w, a, HERE, PAGE, 0).unwrap();
    assert_eq!(ask(&mut w), Err(KERN_MEMORY_ERROR));
}

#[test]
fn pages_and_regions_of_a_task_are_limited() {
    let mut w = World::with_limits(Limits { pages_per_task: FEW_PAGES, ..Limits::default() });
    let a = w.task();
    let left = FEW_PAGES - w.kernel.tasks[a.task].regions().pages();
    assert_eq!(allocate(&mut w, a, Some(HERE), (left + 1) * PAGE), Err(KERN_RESOURCE_SHORTAGE));
    assert_eq!(allocate(&mut w, a, None, (left + 1) * PAGE), Err(KERN_RESOURCE_SHORTAGE));
    allocate(&mut w, a, Some(HERE), left * PAGE).unwrap();
    assert_eq!(allocate(&mut w, a, None, 1), Err(KERN_RESOURCE_SHORTAGE));
    deallocate(&mut w, a, HERE, PAGE).unwrap();
    allocate(&mut w, a, None, 1).unwrap();

    let (mut w, a) = world();
    w.checked = false;
    let pages = 2 * REGIONS_PER_TASK_MAX as u64;
    assert!(pages < PAGES_PER_TASK_MAX);
    allocate(&mut w, a, Some(HERE), pages * PAGE).unwrap();
    let refused = (0..pages).step_by(2).find_map(|page| protect(&mut w, a, HERE + page * PAGE, PAGE, READ).err());
    assert_eq!(refused, Some(KERN_RESOURCE_SHORTAGE), "the number of regions is limited");
    let regions = w.kernel.tasks[a.task].regions().len();
    assert!(regions <= REGIONS_PER_TASK_MAX && regions > REGIONS_PER_TASK_MAX - 4, "{regions}");
    kernel::inspect::invariants::check_all(&w.kernel);
}

/// A region that is split in two places becomes three.
#[test]
fn a_call_that_splits_regions_keeps_to_their_limit() {
    let (mut w, a) = world();
    w.checked = false;
    let middle = HERE + PAGE;
    allocate(&mut w, a, Some(HERE), 3 * PAGE).unwrap();
    protect(&mut w, a, HERE, 3 * PAGE, READ).unwrap();
    let apart = |n: u64| HERE + (4 + 2 * n) * PAGE;
    let count = |w: &World| w.kernel.tasks[a.task].regions().len();
    let last = (0..).find(|&n| allocate(&mut w, a, Some(apart(n)), PAGE).is_err()).unwrap() - 1;
    assert_eq!(count(&w), REGIONS_PER_TASK_MAX);
    for regions in [REGIONS_PER_TASK_MAX, REGIONS_PER_TASK_MAX - 1] {
        let before = pages(&w, a);
        assert_eq!(deallocate(&mut w, a, middle, PAGE), Err(KERN_RESOURCE_SHORTAGE));
        assert_eq!(protect(&mut w, a, middle, PAGE, 0), Err(KERN_RESOURCE_SHORTAGE));
        assert_eq!(allocate_as(&mut w, a, middle, PAGE, VM_FLAGS_OVERWRITE), Err(KERN_RESOURCE_SHORTAGE));
        assert_eq!((count(&w), pages(&w, a)), (regions, before));
        deallocate(&mut w, a, apart(last + regions as u64 - REGIONS_PER_TASK_MAX as u64), PAGE).unwrap();
    }
    assert_eq!(count(&w), REGIONS_PER_TASK_MAX - 2);
    assert_eq!(allocate_as(&mut w, a, middle, PAGE, VM_FLAGS_OVERWRITE), Ok(middle));
    assert_eq!(count(&w), REGIONS_PER_TASK_MAX);
    kernel::inspect::invariants::check_all(&w.kernel);
}

/// The calls of the model test, in the order of its random numbers.
const ALLOCATE: u64 = 0;
const DEALLOCATE: u64 = 1;
const PROTECT: u64 = 2;
const OVERWRITE: u64 = 3;
const CALLS: u64 = 4;

/// Makes a call on the model, a table of single pages; returns the expected result.
fn expected(table: &mut BTreeMap<u64, Protection>, call: u64, at: u64, size: u64, bits: u32) -> Result<(), KernReturn> {
    let start = at & !(PAGE - 1);
    let end = match call {
        ALLOCATE | OVERWRITE => start + size.next_multiple_of(PAGE),
        _ => (at + size).next_multiple_of(PAGE),
    };
    let range = (start..end).step_by(PAGE as usize);
    match call {
        ALLOCATE if size == 0 => {}
        ALLOCATE if range.clone().any(|page| table.contains_key(&page)) => return Err(KERN_NO_SPACE),
        ALLOCATE | OVERWRITE if size > 0 => {
            table.extend(range.map(|page| (page, Protection::READ | Protection::WRITE)));
        }
        DEALLOCATE if size > 0 => table.retain(|page, _| !range.clone().any(|other| other == *page)),
        PROTECT if bits & WRITE != 0 && bits & EXECUTE != 0 => return Err(KERN_PROTECTION_FAILURE),
        PROTECT if size > 0 && range.clone().any(|page| !table.contains_key(&page)) => {
            return Err(KERN_INVALID_ADDRESS);
        }
        PROTECT if size > 0 => {
            let readable = if bits == 0 { 0 } else { READ };
            table.extend(range.map(|page| (page, Protection::from_bits_truncate(bits | readable))));
        }
        _ => {}
    }
    Ok(())
}

#[test]
fn regions_behave_like_a_table_of_single_pages() {
    for seed in 0..20 {
        let (mut w, a) = world();
        let (mut table, mut random) = (BTreeMap::new(), Random::new(seed));
        for _ in 0..400 {
            let at = HERE + random.below(16) * PAGE + random.pick(&[0, 0, 0, 1, PAGE - 1]);
            let size = random.below(5) * PAGE + random.pick(&[0, 0, 1]);
            let (call, bits) = (random.below(CALLS), random.below(8) as u32);
            let start = if size == 0 { 0 } else { at & !(PAGE - 1) };
            let seen = match call {
                ALLOCATE => allocate(&mut w, a, Some(at), size).map(|got| assert_eq!(got, start)),
                DEALLOCATE => deallocate(&mut w, a, at, size),
                OVERWRITE => allocate_as(&mut w, a, at, size, VM_FLAGS_OVERWRITE).map(|got| assert_eq!(got, start)),
                _ => protect(&mut w, a, at, size, bits),
            };
            let wanted = expected(&mut table, call, at, size, bits);
            assert_eq!(seen, wanted, "seed {seed}: call {call} at {at:#x}, {size:#x} bytes, {bits}");
            assert_eq!(pages(&w, a), table, "seed {seed}: after call {call} at {at:#x}, {size:#x} bytes, {bits}");
            for page in (HERE..HERE + 24 * PAGE).step_by(PAGE as usize) {
                assert_eq!(w.machine.protection(a.space, UserAddr(page)), table.get(&page).copied());
            }
        }
    }
}
