//! Memory and programs.

use super::child::{Child, MEMORY};
use super::{Row, measured};
use crate::message::port_with_send;
use crate::task::{self, Spawn};
use abi::debug::LongestStep;
use abi::task::{PAGE_SIZE, VM_FLAGS_OVERWRITE, VM_PROT_READ};
use alloc::vec;

pub(super) const ROWS: &[Row] = &[
    ("mach_vm_allocate, 60 MiB", allocate),
    ("mach_vm_allocate in place of 60 MiB", replace),
    ("mach_vm_protect, 60 MiB", protect),
    ("mach_vm_deallocate, 60 MiB", deallocate),
    ("mach_vm_deallocate, 1,000 regions", deallocate_regions),
    ("task_spawn from 28 MiB of memory", spawn_large),
    ("task_spawn of a program of 60 MiB", spawn_zeros),
    ("task_spawn with 32 KiB of arguments", spawn_with_arguments),
    ("end of a task with 60 MiB", || end_of("memory")),
    ("end of a task with 1,000 regions", || end_of("pages")),
];

pub(super) fn end_of(kind: &str) -> LongestStep {
    let child = Child::start(kind);
    measured(|| child.end())
}

/// An address at which nothing is.
const AT: u64 = 0x5000_0000_0000;

fn allocate() -> LongestStep {
    measured(|| {
        task::allocate(MEMORY).expect("there is memory");
    })
}

fn replace() -> LongestStep {
    task::allocate_at(AT, MEMORY, 0).expect("there is memory");
    measured(|| {
        task::allocate_at(AT, MEMORY, VM_FLAGS_OVERWRITE).expect("there is memory");
    })
}

fn protect() -> LongestStep {
    task::allocate_at(AT, MEMORY, 0).expect("there is memory");
    measured(|| task::protect(AT, MEMORY, VM_PROT_READ).expect("the memory is there"))
}

fn deallocate() -> LongestStep {
    task::allocate_at(AT, MEMORY, 0).expect("there is memory");
    measured(|| task::deallocate(AT, MEMORY).expect("the memory is there"))
}

fn deallocate_regions() -> LongestStep {
    for page in 0..1000 {
        task::allocate_at(AT + 0x20_0000 * page, PAGE_SIZE, 0).expect("there is memory");
    }
    measured(|| task::deallocate(AT, 0x20_0000 * 1000).expect("the memory is there"))
}

/// Returns a file with one segment, whose contents are the file. It need not run.
pub(crate) fn program(size: usize, memory: u64) -> &'static [u8] {
    let mut file = vec![0u8; size];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0x7F, b'E', b'L', b'F', 2, 1, 1]);
    put(16, &[2, 0, 62, 0, 1, 0, 0, 0, 0, 0, 0, 0x10]);
    put(32, &[64]);
    put(52, &[64, 0, 56, 0, 1]);
    put(64, &[1, 0, 0, 0, 5]);
    put(80, &[0, 0, 0, 0x10]);
    put(88, &[0, 0, 0, 0x10]);
    put(96, &(size as u64).to_le_bytes());
    put(104, &memory.to_le_bytes());
    put(112, &[0, 16]);
    file.leak()
}

fn spawn_large() -> LongestStep {
    const SIZE: usize = 28 << 20;
    let file = program(SIZE, SIZE as u64);
    measured(|| start(Spawn::image(file)))
}

fn spawn_zeros() -> LongestStep {
    let file = program(4096, MEMORY);
    measured(|| start(Spawn::image(file)))
}

/// A program with as many arguments as there may be.
pub(super) struct WithArguments {
    file: &'static [u8],
    strings: &'static [u8],
}

impl WithArguments {
    pub(super) fn new() -> WithArguments {
        let mut strings = vec![b'a'; 32 << 10];
        strings.iter_mut().skip(15).step_by(16).for_each(|byte| *byte = 0);
        WithArguments { file: program(4096, 4096), strings: strings.leak() }
    }

    /// Starts it and waits for its end.
    pub(super) fn start(&self) {
        start(Spawn::image(self.file).arguments(self.strings));
    }
}

fn spawn_with_arguments() -> LongestStep {
    let program = WithArguments::new();
    // One byte after the other is an argument: too many.
    let refused = vec![0; 32 << 10].leak();
    measured(|| {
        program.start();
        assert!(Spawn::image(program.file).arguments(refused).start().is_err());
    })
}

fn start(spawn: Spawn) {
    let exit = port_with_send();
    spawn.most().exit_port(exit.name()).start().expect("there is room for a task");
    task::wait_for_exit(exit.name()).expect("it ends");
}
