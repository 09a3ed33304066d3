//! The high precision event timer, where a PC has it: a clock that is independent of the time stamp counter and of the
//! interval timer. Nothing depends on it but tests of the clock.

use super::frame_allocator::PhysicalMap;
use kernel::machine::Nanos;

/// Where its registers are on a PC with one. Firmware can move it, but QEMU's does not.
const BASE: u64 = 0xFED0_0000;
/// Register: the period of the counter in femtoseconds, in the upper half; the revision in the lowest byte.
const CAPABILITIES: u64 = 0;
/// Register: bit 0 lets the counter run.
const CONFIGURATION: u64 = 0x10;
/// Register: the counter.
const COUNTER: u64 = 0xF0;

/// The longest period that the specification allows, 100 ns.
const PERIOD_MAX: u64 = 100_000_000;
const FEMTOSECONDS_PER_NANO: u128 = 1_000_000;

/// Returns the time by the counter, which begins with the first call, or `None` if there is no timer.
pub fn time(map: PhysicalMap) -> Option<Nanos> {
    let capabilities = read(map, CAPABILITIES);
    let period = capabilities >> 32;
    if capabilities & 0xFF == 0 || !(1..=PERIOD_MAX).contains(&period) {
        return None;
    }
    let configuration = read(map, CONFIGURATION);
    if configuration & 1 == 0 {
        // SAFETY: The register is that of the timer. No comparator is in use, so a running counter raises no interrupt.
        unsafe { map.address::<u64>(BASE + CONFIGURATION).write_volatile(configuration | 1) };
    }
    Some((u128::from(read(map, COUNTER)) * u128::from(period) / FEMTOSECONDS_PER_NANO) as Nanos)
}

fn read(map: PhysicalMap, register: u64) -> u64 {
    // SAFETY: The address is that of the timer, or of no device; the boot loader maps it as it maps all physical memory
    // below 4 GiB. Reading has no effect.
    unsafe { map.address::<u64>(BASE + register).read_volatile() }
}
