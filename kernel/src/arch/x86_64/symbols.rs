//! Names of the kernel's functions, from the kernel's own ELF file in the bundle: for backtraces.

use elf::ElfBytes;
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;
use spin::Once;

static FILE: Once<&'static [u8]> = Once::new();

/// Sets the kernel's file.
pub fn set_kernel_file(file: &'static [u8]) {
    FILE.call_once(|| file);
}

/// Returns the function that contains `address` and the offset in it, if the file has symbols.
///
/// It searches the whole table, which is quick enough for a panic.
pub fn function_at(address: u64) -> Option<(&'static str, u64)> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(FILE.get()?).ok()?;
    let (symbols, names) = elf.symbol_table().ok()??;
    let function = symbols
        .iter()
        .filter(|symbol| symbol.st_symtype() == STT_FUNC)
        .find(|symbol| (symbol.st_value..symbol.st_value + symbol.st_size).contains(&address))?;
    Some((names.get(function.st_name as usize).ok()?, address - function.st_value))
}
