//! Relocating a position-independent program: one that is linked at 0 and loaded elsewhere.
//!
//! The programs of the bundle are linked at fixed addresses. Programs of others are position-independent, unless their
//! authors choose otherwise: the target says so.

use crate::write_console;

/// The exit status of a program that cannot be relocated: it does not start.
const NOT_STARTED: i32 = 127;

// Entries of the auxiliary vector.
const AT_PHDR: u64 = 3;
const AT_PHNUM: u64 = 5;
// The type of a program header, entries of the dynamic section, and a type of relocation.
const PT_DYNAMIC: u32 = 2;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const R_X86_64_RELATIVE: u64 = 8;

#[repr(C)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    _rest: [u64; 4],
}

#[repr(C)]
struct Relocation {
    offset: u64,
    info: u64,
    addend: u64,
}

/// Adds the load address to all pointers in the program's data. Until then no such pointer may be used: this function
/// uses none.
///
/// # Safety
/// `block` is the address of the block on top of the first stack, `dynamic` that of the program's dynamic section. Both
/// are as kernel and linker made them, and this is the first code of the program.
pub(super) unsafe fn relocate(block: *const u64, dynamic: *const u64) {
    // SAFETY: As the caller says.
    let Some(base) = (unsafe { load_address(block, dynamic) }) else { return };
    // SAFETY: As the caller says.
    let (table, size) = unsafe { (value_of(dynamic, DT_RELA), value_of(dynamic, DT_RELASZ)) };
    let mut at = core::ptr::with_exposed_provenance::<Relocation>((base + table.unwrap_or(0)) as usize);
    for _ in 0..size.unwrap_or(0) / size_of::<Relocation>() as u64 {
        // SAFETY: The linker made a table of this size, and each of its entries is about a word of the program's data
        // that is writable until it starts.
        unsafe {
            let Relocation { offset, info, addend } = at.read();
            if info != R_X86_64_RELATIVE {
                write_console(b"this program has relocations that its runtime does not know\n");
                super::exit(NOT_STARTED);
            }
            core::ptr::with_exposed_provenance_mut::<u64>((base + offset) as usize).write(base.wrapping_add(addend));
            at = at.add(1);
        }
    }
}

/// Returns the difference between the addresses at which the program is loaded and linked. None if it has no dynamic
/// section.
///
/// # Safety
/// That of [`relocate`].
unsafe fn load_address(block: *const u64, dynamic: *const u64) -> Option<u64> {
    // SAFETY: The block has the number of arguments, their addresses, a zero, the addresses of the environment, a zero,
    // and then the auxiliary vector, in which the addresses and number of the program headers are.
    unsafe {
        let mut at = block.add(*block as usize + 2);
        while *at != 0 {
            at = at.add(1);
        }
        let auxiliary = at.add(1);
        let headers = value_of(auxiliary, AT_PHDR)?;
        let mut header = core::ptr::with_exposed_provenance::<ProgramHeader>(headers as usize);
        for _ in 0..value_of(auxiliary, AT_PHNUM)? {
            if (*header).kind == PT_DYNAMIC {
                return Some(dynamic as u64 - (*header).address);
            }
            header = header.add(1);
        }
        None
    }
}

/// Returns the value behind a key in a list of pairs that ends with the key 0.
///
/// # Safety
/// `pairs` is the address of such a list.
unsafe fn value_of(mut pairs: *const u64, key: u64) -> Option<u64> {
    // SAFETY: The list has this pair, because no pair before it had the key 0.
    unsafe {
        while *pairs != 0 {
            if *pairs == key {
                return Some(*pairs.add(1));
            }
            pairs = pairs.add(2);
        }
        None
    }
}
