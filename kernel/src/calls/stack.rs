//! What a program finds at the top of its first stack.

use crate::limits::STRINGS_MAX;
use crate::task::program::Loaded;
use crate::task::start::Strings;
use abi::KernReturn;
use abi::code::{KERN_INVALID_ARGUMENT, KERN_RESOURCE_SHORTAGE};
use abi::task::PAGE_SIZE;
use alloc::vec::Vec;

// Types of the entries behind a program's environment (System V ABI, "auxiliary vector").
const AT_NULL: u64 = 0;
const AT_PHDR: u64 = 3;
const AT_PHENT: u64 = 4;
const AT_PHNUM: u64 = 5;
const AT_PAGESZ: u64 = 6;
const AT_ENTRY: u64 = 9;
const AT_RANDOM: u64 = 25;

/// Returns the block at the top of a program's stack: argc, argv, envp, the auxiliary vector, then the strings. It ends
/// at `top` and begins at a multiple of 16.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` if there are too many strings; `KERN_RESOURCE_SHORTAGE` if memory runs out.
pub(super) fn stack_block(
    top: u64,
    strings: &Strings,
    loaded: &Loaded,
    random: [u64; 2],
) -> Result<Vec<u8>, KernReturn> {
    let Strings { arguments, environment, counts } = strings;
    if counts[0] + counts[1] > STRINGS_MAX {
        return Err(KERN_INVALID_ARGUMENT);
    }
    let random = random.map(u64::to_le_bytes);
    let strings_size = arguments.len() + environment.len() + size_of_val(&random);
    let strings_start = (top - strings_size as u64) & !15;
    let auxiliary = [
        (AT_PHDR, loaded.headers.unwrap_or(0)),
        (AT_PHENT, 56),
        (AT_PHNUM, if loaded.headers.is_some() { loaded.header_count } else { 0 }),
        (AT_PAGESZ, PAGE_SIZE),
        (AT_ENTRY, loaded.entry),
        (AT_RANDOM, strings_start + (arguments.len() + environment.len()) as u64),
        (AT_NULL, 0),
    ];
    let words = 1 + counts[0] + 1 + counts[1] + 1 + 2 * auxiliary.len();
    let start = (strings_start - 8 * words as u64) & !15;
    let mut block = store::try_vec(0, (top - start) as usize).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
    let mut at = 0;
    let mut put = |word: u64| {
        block[at..at + 8].copy_from_slice(&word.to_le_bytes());
        at += 8;
    };
    put(counts[0] as u64);
    for (list, first) in [(arguments, strings_start), (environment, strings_start + arguments.len() as u64)] {
        let mut string = first;
        Strings::each_end(list, |end| {
            put(string);
            string = first + end as u64;
        });
        put(0);
    }
    for (kind, value) in auxiliary {
        put(kind);
        put(value);
    }
    let offset = (strings_start - start) as usize;
    for (bytes, at) in [(arguments, offset), (environment, offset + arguments.len())] {
        block[at..at + bytes.len()].copy_from_slice(bytes);
    }
    let offset = offset + arguments.len() + environment.len();
    block[offset..offset + 16].copy_from_slice(random.as_flattened());
    Ok(block)
}
