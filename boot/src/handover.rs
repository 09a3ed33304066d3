//! The last step: from boot's page tables to the kernel's, where boot is not mapped.
//!
//! The instruction that loads CR3 must lie at an address that both sets of tables map to the same frame. Boot's top
//! table shares the kernel's higher half, so a page there does; it also holds the GDT, which must outlive boot.

use core::arch::{asm, global_asm};
use core::slice;

use boot::gdt::{CODE_SELECTOR, GDT};
use x86_64::VirtAddr;
use x86_64::instructions::tables::lgdt;
use x86_64::structures::DescriptorTablePointer;

use boot::plan::Plan;

// In: rcx = kernel's top table, rdx = kernel's stack, rsi = kernel's entry point, rdi = its argument.
// The code is copied, so it must not refer to its own address.
global_asm!(
    ".section .rodata.jump, \"a\", @progbits",
    "jump:",
    "    mov cr3, rcx",
    "    mov rsp, rdx",
    "    xor ebp, ebp",
    // The place of a return address: the entry point is a function to the compiler.
    "    push 0",
    "    jmp rsi",
    "jump_end:",
    ".global jump, jump_end",
);

unsafe extern "C" {
    static jump: u8;
    static jump_end: u8;
}

/// The jump's place in the page, behind the GDT.
const JUMP_OFFSET: usize = size_of_val(&GDT);

/// Fills the hand-over page, which is `page` in memory.
pub fn fill(page: &mut [u8]) {
    page.fill(0);
    for (place, descriptor) in page.chunks_exact_mut(8).zip(GDT) {
        place.copy_from_slice(&descriptor.to_le_bytes());
    }
    // SAFETY: The two symbols enclose the code above, to which no code writes.
    let code =
        unsafe { slice::from_raw_parts(&raw const jump, (&raw const jump_end).offset_from_unsigned(&raw const jump)) };
    page[JUMP_OFFSET..JUMP_OFFSET + code.len()].copy_from_slice(code);
}

/// Starts the kernel.
///
/// # Safety
/// The higher half of the active page tables must be that of the kernel's tables, which lie in `plan.arena().tables`
/// and are complete; the image is loaded, the hand-over page [`fill`]ed and `BootInfo` written.
pub unsafe fn start_kernel(plan: &Plan<'_>) -> ! {
    let page = plan.layout().handover;
    let table = DescriptorTablePointer { limit: (size_of_val(&GDT) - 1) as u16, base: VirtAddr::new(page) };
    // SAFETY: The page holds the same descriptors as the table in use, and stays mapped.
    unsafe { lgdt(&table) };
    const { assert!(CODE_SELECTOR == 8, "cs stays valid: both tables have the code segment at 8") };
    // SAFETY: The caller vouches for tables, image, page and `BootInfo`. The code in the page uses no memory between
    // the change of tables and that of the stack. No other code or data of boot is used after them.
    unsafe {
        asm!(
            "jmp rax",
            in("rax") page + JUMP_OFFSET as u64,
            in("rcx") plan.arena().tables.start,
            in("rdx") plan.stack_top(),
            in("rsi") plan.entry(),
            in("rdi") plan.layout().boot_info,
            options(noreturn),
        )
    }
}
