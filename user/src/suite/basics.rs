//! The basics of every program: the console, the Unix subset, memory, registers.

use super::tests;
use crate::sys::{self, machine, unix_trap};
use crate::thread::Thread;
use crate::{check, port, task, time};
use abi::code::*;
use abi::task::{PAGE_SIZE, VM_PROT_EXECUTE, VM_PROT_READ, VM_PROT_WRITE};
use abi::trap::mach::{MACH_TIMEBASE_INFO, TASK_SELF};
use abi::trap::machine::SET_THREAD_BASE;
use abi::trap::tally::CPU_COUNT;
use abi::trap::unix::*;

tests! { "basics":
    a_write_takes_a_kilobyte_at_a_time_and_says_so,
    a_write_to_another_descriptor_or_from_nowhere_is_refused,
    an_unknown_unix_call_is_not_implemented,
    an_exit_status_is_the_low_byte .ends(abi::task::ExitStatus::exited(7)),
    the_clock_counts_nanoseconds_and_never_goes_back,
    there_is_a_processor,
    thread_local_memory_is_at_the_base_that_was_set,
    loading_selectors_leaves_thread_local_memory_of_other_threads_alone,
    fresh_memory_is_zero_and_can_be_given_back_in_parts,
    memory_at_a_chosen_address_is_there_or_refused,
    no_memory_is_writable_and_executable,
    memory_can_be_made_read_only_and_writable_again,
    callee_saved_registers_survive_a_trap,
    flags_of_a_program_survive_a_trap,
    the_rounding_mode_survives_a_trap,
}

/// Bytes that one write takes at most.
const WRITE_MAX: usize = 1024;

/// The console shows nothing of the text: each blank is taken back by the byte behind it.
fn a_write_takes_a_kilobyte_at_a_time_and_says_so() {
    const BACKSPACE: u8 = 8;
    let text: [u8; 2 * WRITE_MAX] = core::array::from_fn(|at| if at % 2 == 0 { b' ' } else { BACKSPACE });
    let write = |address: u64, size: u64| unix_trap(WRITE, [1, address, size, 0]);
    for size in [0, 2, WRITE_MAX - 2, WRITE_MAX] {
        check::equal("bytes taken", write(text.as_ptr() as u64, size as u64), Ok(size as u64));
    }
    for size in [WRITE_MAX + 1, 2 * WRITE_MAX] {
        check::equal("bytes taken of a longer text", write(text.as_ptr() as u64, size as u64), Ok(WRITE_MAX as u64));
    }
    check::equal("bytes taken of an empty text at null", write(0, 0), Ok(0));

    let page = task::allocate(2 * PAGE_SIZE).expect("there is memory");
    let edge = page + PAGE_SIZE;
    task::deallocate(edge, PAGE_SIZE).expect("the second page");
    let last = edge - WRITE_MAX as u64;
    (last..edge).zip(text).for_each(|(at, byte)| machine::write(at, byte));
    check::equal(
        "bytes taken of a text that leaves the page behind the kilobyte",
        write(last, u64::MAX),
        Ok(WRITE_MAX as u64),
    );
    check::equal("a text that leaves the page in the kilobyte", write(last + 1, u64::MAX), Err(u64::from(EFAULT.0)));
    task::deallocate(page, PAGE_SIZE).expect("the first page");
}

fn a_write_to_another_descriptor_or_from_nowhere_is_refused() {
    let byte = [b' '];
    for descriptor in [0, 3, u64::MAX] {
        let written = unix_trap(WRITE, [descriptor, byte.as_ptr() as u64, 1, 0]);
        check::equal("a descriptor that is not open", written, Err(u64::from(EBADF.0)));
    }
    for address in [0, 0x1000, 0x7FFF_FFFF_F000, 0x8000_0000_0000_0000, u64::MAX] {
        check::equal("an address without memory", unix_trap(WRITE, [1, address, 8, 0]), Err(u64::from(EFAULT.0)));
    }
}

fn an_unknown_unix_call_is_not_implemented() {
    for number in [0, 2, 5, 6, 999, 0xFF_FFFF] {
        let result = unix_trap(abi::trap::CLASS_UNIX | number, [0; 4]);
        check::equal("the result", result, Err(u64::from(ENOSYS.0)));
    }
}

fn an_exit_status_is_the_low_byte() {
    sys::exit(0x107);
}

fn the_clock_counts_nanoseconds_and_never_goes_back() {
    let mut base = [0u32; 2];
    check::equal("mach_timebase_info", sys::trap(MACH_TIMEBASE_INFO, [base.as_mut_ptr() as u64, 0, 0, 0, 0, 0]), 0);
    check::equal("the timebase", base, [1, 1]);
    let mut before = time::now();
    for _ in 0..1000 {
        let now = time::now();
        check::that("the clock does not go back", now >= before);
        before = now;
    }
}

fn there_is_a_processor() {
    check::between("processors", sys::trap(CPU_COUNT, [0; 6]), 1, 64);
}

fn thread_local_memory_is_at_the_base_that_was_set() {
    let block = [0x1111u64, 0x2222];
    check::equal("set_thread_base", sys::trap(SET_THREAD_BASE, [block.as_ptr() as u64, 0, 0, 0, 0, 0]), 0);
    check::equal("through fs and gs", machine::thread_local(8), [0x2222; 2]);
    time::sleep(1);
    check::equal("through fs and gs after a sleep", machine::thread_local(0), [0x1111; 2]);
    for base in [0x7FFF_FFFF_F000, 0x8000_0000_0000_0000, u64::MAX] {
        let code = abi::KernReturn(sys::trap(SET_THREAD_BASE, [base, 0, 0, 0, 0, 0]) as i32);
        check::equal("a base outside user memory", code, KERN_INVALID_ADDRESS);
    }
    check::equal("through fs and gs after the refusals", machine::thread_local(8), [0x2222; 2]);
}

static BLOCK: [u64; 2] = [0x1111, 0x2222];

fn use_block() {
    check::equal("set_thread_base", sys::trap(SET_THREAD_BASE, [BLOCK.as_ptr() as u64, 0, 0, 0, 0, 0]), 0);
}

fn loading_selectors_leaves_thread_local_memory_of_other_threads_alone() {
    use_block();
    let load_selectors = |_| {
        use_block();
        machine::load_null_selectors();
    };
    Thread::bare(load_selectors, 0).expect("the thread starts").join();
    check::equal("through fs and gs", machine::thread_local(8), [0x2222; 2]);
}

fn fresh_memory_is_zero_and_can_be_given_back_in_parts() {
    let size = 8 * PAGE_SIZE;
    for _ in 0..3 {
        let at = task::allocate(size).expect("there is memory");
        for offset in (0..size).step_by(512) {
            check::equal("a byte of fresh memory", machine::read(at + offset), 0);
            machine::write(at + offset, 0xAA);
        }
        task::deallocate(at + 2 * PAGE_SIZE, PAGE_SIZE).expect("a page in the middle");
        check::equal("the byte before", machine::read(at + 2 * PAGE_SIZE - 512), 0xAA);
        check::equal("the byte behind", machine::read(at + 3 * PAGE_SIZE), 0xAA);
        task::deallocate(at, size).expect("the rest is deallocated, with the hole");
    }
}

fn memory_at_a_chosen_address_is_there_or_refused() {
    let at = 0x6000_0000_0000;
    check::equal("a free address", task::allocate_at(at, 2 * PAGE_SIZE, 0), Ok(at));
    machine::write(at + 2 * PAGE_SIZE - 1, 1);
    check::equal("an address that is in use", task::allocate_at(at + PAGE_SIZE, PAGE_SIZE, 0), Err(KERN_NO_SPACE));
    task::deallocate(at, 2 * PAGE_SIZE).expect("the memory is allocated");
    for wild in [0xFFFF_8000_0000_0000, 0x7FFF_FFFF_F000, 0x8000_0000_0000_0000] {
        check::that("addresses of the kernel are refused", task::allocate_at(wild, PAGE_SIZE, 0).is_err());
    }
    check::that("more memory than exists is refused", task::allocate(1 << 46).is_err());
}

fn no_memory_is_writable_and_executable() {
    let at = task::allocate(PAGE_SIZE).expect("there is memory");
    let all = VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE;
    check::equal("all rights", task::protect(at, PAGE_SIZE, all), Err(KERN_PROTECTION_FAILURE));
    machine::write(at, 1);
    task::deallocate(at, PAGE_SIZE).expect("the memory is allocated");
}

fn memory_can_be_made_read_only_and_writable_again() {
    let at = task::allocate(3 * PAGE_SIZE).expect("there is memory");
    machine::write(at + PAGE_SIZE, 5);
    task::protect(at + PAGE_SIZE, PAGE_SIZE, VM_PROT_READ).expect("the page in the middle");
    check::equal("the byte written before", machine::read(at + PAGE_SIZE), 5);
    let read_only = unix_trap(WRITE, [1, at + PAGE_SIZE, 0, 0]);
    check::equal("reading from the page", read_only, Ok(0));
    let info = sys::trap(MACH_TIMEBASE_INFO, [at + PAGE_SIZE, 0, 0, 0, 0, 0]);
    check::equal("a result in a read-only page", abi::KernReturn(info as i32), KERN_MEMORY_ERROR);
    task::protect(at, 3 * PAGE_SIZE, VM_PROT_READ | VM_PROT_WRITE).expect("all of it");
    machine::write(at + PAGE_SIZE, 6);
    check::equal("the byte written at last", machine::read(at + PAGE_SIZE), 6);
    task::deallocate(at, 3 * PAGE_SIZE).expect("the memory is allocated");
}

fn callee_saved_registers_survive_a_trap() {
    for seed in [0, 0x1234_5678_9ABC_DEF0, u64::MAX - 64] {
        check::that("registers survive a trap", machine::registers_survive_trap(CPU_COUNT, seed));
    }
    check::that(
        "registers survive a trap that switches threads",
        machine::registers_survive_trap(abi::trap::mach::SWTCH, 0x77),
    );
}

/// The flags for direction, alignment check and nested task: the kernel runs without them and restores them.
fn flags_of_a_program_survive_a_trap() {
    const DIRECTION: u64 = 1 << 10;
    const NESTED_TASK: u64 = 1 << 14;
    const ALIGNMENT_CHECK: u64 = 1 << 18;
    for flags in [DIRECTION, NESTED_TASK, ALIGNMENT_CHECK, DIRECTION | NESTED_TASK | ALIGNMENT_CHECK] {
        let after = machine::flags_after_trap(TASK_SELF, flags);
        check::equal("the flags after a trap", after & flags, flags);
        let after = machine::flags_after_trap(abi::trap::mach::SWTCH, flags);
        check::equal("the flags after a yield", after & flags, flags);
    }
    check::that("the task still has its port", port::task_self().is_valid());
}

fn the_rounding_mode_survives_a_trap() {
    const ROUND_DOWN: u32 = 0x3F80;
    check::equal("MXCSR", machine::mxcsr_after_trap(CPU_COUNT, ROUND_DOWN), ROUND_DOWN);
}
