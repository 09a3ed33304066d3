//! The I/O APIC, which sends the interrupts of devices to processors (82093AA data sheet).

use super::frame_allocator::PhysicalMap;

/// Where its registers are on a PC with one. Firmware can move it, but QEMU's does not.
const BASE: u64 = 0xFEC0_0000;
/// In memory: the number of the register that [`WINDOW`] shows.
const SELECT: u64 = BASE;
/// In memory: the register.
const WINDOW: u64 = BASE + 0x10;

/// Register: the version in the lowest byte, and the number of the last line in the third.
const VERSION: u32 = 1;
/// Register: the lower half of the first line's entry. Each line has two registers.
const FIRST_ENTRY: u32 = 0x10;
/// What is read where there is no device.
const ABSENT: u32 = u32::MAX;

/// Sends the interrupts of a line to a processor with a vector, edge-triggered as those of the old devices are. Returns
/// false if there is no controller with such a line.
pub fn route(physical_map: PhysicalMap, line: u8, vector: u8, processor: u32) -> bool {
    let version = read(physical_map, VERSION);
    let lines = version >> 16 & 0xFF;
    // The entry has 8 bits for the processor.
    if version == ABSENT || version & 0xFF == 0 || u32::from(line) > lines || processor > 0xFF {
        return false;
    }
    let entry = FIRST_ENTRY + 2 * u32::from(line);
    write(physical_map, entry + 1, processor << 24);
    // All other bits 0: a fixed vector, a physical processor number, active high, edge-triggered, not masked.
    write(physical_map, entry, vector.into());
    true
}

fn read(map: PhysicalMap, register: u32) -> u32 {
    // SAFETY: The addresses are those of this controller, or of no device; the boot loader maps them as it maps all
    // physical memory below 4 GiB. Choosing and reading a register has no other effect.
    unsafe {
        map.address::<u32>(SELECT).write_volatile(register);
        map.address::<u32>(WINDOW).read_volatile()
    }
}

fn write(map: PhysicalMap, register: u32, value: u32) {
    // SAFETY: As for reading; and the controller can only raise interrupts, for whose vectors there are handlers.
    unsafe {
        map.address::<u32>(SELECT).write_volatile(register);
        map.address::<u32>(WINDOW).write_volatile(value);
    }
}
