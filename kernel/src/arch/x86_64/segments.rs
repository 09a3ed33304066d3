//! Segments, as far as a 64-bit processor still has them, and the stacks of exceptions that must not use the ordinary
//! one.

use super::entry::trap_entry;
use super::per_cpu;
use core::arch::asm;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::registers::model_specific::{KernelGsBase, LStar, SFMask, Star};
use x86_64::registers::rflags::RFlags;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};

/// Index in the interrupt stack table of the stack for double faults: the ordinary stack may be the cause.
pub const DOUBLE_FAULT_STACK: u16 = 0;
/// The same for non-maskable interrupts, which may come before the entry code has left the user's stack.
pub const NMI_STACK: u16 = 1;
/// The same for machine checks.
pub const MACHINE_CHECK_STACK: u16 = 2;

const SPECIAL_STACK_SIZE: usize = 16 << 10;
const PAGE_SIZE: usize = 4096;

/// A stack with a page below it that will be taken out of the mapping.
#[repr(C, align(4096))]
struct GuardedStack {
    guard: [u8; PAGE_SIZE],
    stack: [u8; SPECIAL_STACK_SIZE],
}

static mut SPECIAL_STACKS: [GuardedStack; 3] =
    [const { GuardedStack { guard: [0; PAGE_SIZE], stack: [0; SPECIAL_STACK_SIZE] } }; 3];

static GDT: Once<GlobalDescriptorTable> = Once::new();

/// Loads the segments, and tells the processor where the kernel is entered. `stack` is the top of the kernel's stack.
pub fn set_up(stack: u64) {
    let first = VirtAddr::from_ptr(&raw const SPECIAL_STACKS);
    let tops = [1, 2, 3].map(|number| first + number * size_of::<GuardedStack>() as u64);
    let tss = per_cpu::set_up(stack, &tops);

    let mut gdt = GlobalDescriptorTable::new();
    let kernel_code = gdt.append(Descriptor::kernel_code_segment());
    let kernel_data = gdt.append(Descriptor::kernel_data_segment());
    let user_data = gdt.append(Descriptor::user_data_segment());
    let user_code = gdt.append(Descriptor::user_code_segment());
    // SAFETY: The segment is in the per-processor block, which is there for ever.
    let tss = gdt.append(unsafe { Descriptor::tss_segment_unchecked(tss) });
    GDT.call_once(|| gdt).load();
    // SAFETY: The table has just been loaded and is never changed; the base of `gs` is not touched.
    unsafe {
        CS::set_reg(kernel_code);
        SS::set_reg(kernel_data);
        [DS::set_reg, ES::set_reg, FS::set_reg].into_iter().for_each(|set| set(SegmentSelector::NULL));
        load_tss(tss);
        // After a reset there is a local descriptor table: at address 0, where users might be.
        asm!("lldt {:x}", in(reg) 0u16, options(nostack, preserves_flags));
    }
    Star::write(user_code, user_data, kernel_code, kernel_data).expect("the selectors have the order that it wants");
    LStar::write(VirtAddr::from_ptr(trap_entry as *const ()));
    KernelGsBase::write(VirtAddr::zero());
    // Flags that a user may have set and with which the kernel must not run: a trap at each instruction, string
    // instructions that run backwards, access to user memory, a nested task for `iretq`.
    SFMask::write(
        RFlags::INTERRUPT_FLAG
            | RFlags::TRAP_FLAG
            | RFlags::DIRECTION_FLAG
            | RFlags::ALIGNMENT_CHECK
            | RFlags::NESTED_TASK,
    );
}

/// Loads the null selector wherever user code has loaded another one, lest the next task sees the selectors of the
/// last one. User code can load its own code and data segment into four registers. Only the bases of `fs` and `gs`
/// depend on them, and the caller loads those afterwards.
#[inline(always)]
pub fn forget_user_selectors() {
    let selectors: u32;
    // SAFETY: Reads registers.
    unsafe {
        asm!(
            "mov {all:e}, ds",
            "mov {one:e}, es",
            "or {all:e}, {one:e}",
            "mov {one:e}, fs",
            "or {all:e}, {one:e}",
            "mov {one:e}, gs",
            "or {all:e}, {one:e}",
            all = out(reg) selectors, one = out(reg) _,
            options(nomem, nostack),
        );
    }
    if selectors != 0 {
        load_null_selectors();
    }
}

#[cold]
fn load_null_selectors() {
    // SAFETY: The kernel does without these segments but for the base of `gs`, which a selector resets: so the user's
    // base is swapped in for that, with interrupts off; non-maskable interrupts do not use `gs` (`entry`).
    unsafe {
        asm!(
            "mov ds, {null:x}",
            "mov es, {null:x}",
            "mov fs, {null:x}",
            "swapgs",
            "mov gs, {null:x}",
            "swapgs",
            null = in(reg) 0,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Hands the page below each special stack to `unmap`.
pub fn guard_stacks(unmap: impl FnMut(VirtAddr)) {
    let first = VirtAddr::from_ptr(&raw const SPECIAL_STACKS);
    [0, 1, 2].map(|number| first + number * size_of::<GuardedStack>() as u64).into_iter().for_each(unmap);
}
