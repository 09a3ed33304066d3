//! Names of the kernel's functions, from the kernel's own ELF file in the bundle: for backtraces.

use elf::ElfBytes;
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;
use spin::Once;

static FILE: Once<&'static [u8]> = Once::new();

/// Tells where the kernel's file is.
pub fn set_kernel_file(file: &'static [u8]) {
    FILE.call_once(|| file);
}

/// The function that `address` is in, and how far, if the file has symbols.
///
/// It searches the whole table: that is quick enough for the last thing that the kernel does.
pub fn function_at(address: u64) -> Option<(&'static str, u64)> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(FILE.get()?).ok()?;
    let (symbols, names) = elf.symbol_table().ok()??;
    let function = symbols
        .iter()
        .filter(|symbol| symbol.st_symtype() == STT_FUNC)
        .find(|symbol| (symbol.st_value..symbol.st_value + symbol.st_size).contains(&address))?;
    Some((names.get(function.st_name as usize).ok()?, address - function.st_value))
}
