//! The hardware: a PC with one 64-bit processor.
//!
//! This is the only place of the kernel with `unsafe` code and global state. In the order in which a newcomer may want
//! to read:
//!
//! | file | contents |
//! |---|---|
//! | this one | from the boot loader to the first program |
//! | `entry` | between user code and the kernel: the assembly |
//! | `system`, `big_lock` | between entry and exit: the lock, the kernel, the switch to the next thread |
//! | `interrupts` | vectors, exceptions and their kinds |
//! | `machine` | the [`Machine`](kernel::machine::Machine) that the core is given |
//! | `frame_allocator`, `paging`, `user_memory`, `heap` | memory |
//! | `clock`, `pit`, `apic`, `hpet` | time |
//! | `io_apic` | the interrupts of devices |
//! | `processor`, `segments`, `fpu` | the modes and tables of the processor, FPU state |
//! | `serial`, `panic`, `symbols` | console, log and the report of a panic |
//! | `debug_console` | where events are streamed |

mod apic;
mod big_lock;
mod clock;
mod debug_console;
mod entry;
mod fpu;
mod frame_allocator;
mod heap;
mod hpet;
mod interrupts;
mod io_apic;
mod machine;
mod paging;
mod panic;
mod per_cpu;
mod pit;
mod processor;
mod segments;
mod serial;
mod symbols;
mod system;
mod user_memory;

use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use core::slice;
use kernel::bundle::Bundle;
use kernel::kernel::{Config, Kernel};
use kernel::limits::Limits;
use kernel::machine::Machine;

use frame_allocator::{FrameAllocator, PhysicalMap};
use machine::X86Machine;
use processor::Features;

/// Bytes of the kernel's only stack. No call in the kernel is recursive on anything a user chooses.
const STACK_SIZE: u64 = 128 << 10;

static BOOT: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = STACK_SIZE;
    config
};

entry_point!(start, config = &BOOT);

/// Takes the machine over from the boot loader and runs the first program.
fn start(info: &'static mut BootInfo) -> ! {
    let offset = info.physical_memory_offset.into_option().expect("the boot loader maps physical memory as asked");
    let physical_map = PhysicalMap::new(offset);
    // SAFETY: The boot loader put the kernel's file and the bundle there and marked the memory as in use.
    unsafe {
        symbols::set_kernel_file(slice::from_raw_parts(
            physical_map.address(info.kernel_addr),
            info.kernel_len as usize,
        ));
    }
    let features = Features::detect();
    processor::set_up(&features);
    segments::set_up(info.kernel_stack_bottom + info.kernel_stack_len);
    interrupts::set_up();

    let mut frames = FrameAllocator::new(physical_map, &info.memory_regions);
    heap::set_up(&mut frames);
    let mut machine = X86Machine::new(frames, &features);
    segments::guard_stacks(|page| machine.unmap_kernel_page(page));
    let bundle = match info.ramdisk_addr.into_option() {
        // SAFETY: The boot loader mapped the bundle there, and no code writes to it.
        Some(address) => unsafe { slice::from_raw_parts(address as *const u8, info.ramdisk_len as usize) },
        None => &[],
    };
    machine.log(format_args!(
        "{} MiB free, {} MHz, {features}",
        machine.free_frames() >> 8,
        machine.clock().rate().megahertz()
    ));

    let clock = machine.clock();
    let settings = Bundle::new(bundle).file("settings").unwrap_or(b"");
    let limits = match Limits::default().with_settings(settings) {
        Ok(limits) => limits,
        Err(unknown) => {
            machine.log(format_args!("unknown setting: {}", unknown.escape_ascii()));
            system::do_not_start(&mut machine)
        }
    };
    let config = Config { bundle, seed: features.random_number(), clock, limits };
    let kernel = Kernel::new(config).expect("an empty kernel fits into memory");
    system::run(kernel, machine)
}
