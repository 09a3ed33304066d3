//! The way from the first 64-bit instruction to the jump.

use core::{ptr, slice};

use boot::bundle;
use boot::fault::Fault;
use boot::memory::{FirmwareRegion, MemoryMap};
use boot::plan::{Machine, Plan, REGIONS_OFFSET};
use boot::span::Span;
use bootloader_api::BootInfo;
use bootloader_api::info::MemoryRegion;
use pvh::start_info::reader::StartInfoReader;
use raw_cpuid::{CpuId, CpuIdReaderNative};
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags, Efer, EferFlags};
use x86_64::structures::paging::PageTable;

use crate::entry::TOP_TABLE;
use crate::handover;
use crate::report::give_up;

unsafe extern "C" {
    /// The first byte of boot's image, set by the linker.
    static __executable_start: u8;
    /// The first byte behind it.
    static _end: u8;
}

/// Runs once, on boot's stack, with the first 4 GiB mapped at their physical addresses and interrupts off.
pub extern "C" fn start(start_info: u32) -> ! {
    let machine = look_around(start_info).unwrap_or_else(|fault| give_up(fault));
    let plan = Plan::new(&machine).unwrap_or_else(|fault| give_up(fault));
    // SAFETY: This is the only call, and the plan was made for this machine.
    unsafe { carry_out(&plan) };
    // SAFETY: `carry_out` has done all that it asks for.
    unsafe { handover::start_kernel(&plan) }
}

/// Reads the loader's information about the machine and the bundle.
fn look_around(start_info: u32) -> Result<Machine<'static>, Fault> {
    // SAFETY: PVH passes the address of its start information, below 4 GiB, where physical addresses are mapped at
    // themselves; the reader checks the magic number. Boot writes to memory only after it has read all of it.
    let info = unsafe { StartInfoReader::from_paddr_identity(start_info) }.ok_or(Fault::NoStartInfo)?;
    let regions = info.memmap().iter().map(|entry| FirmwareRegion {
        span: Span { start: entry.addr, end: entry.addr.saturating_add(entry.size) },
        kind: entry.ty,
    });
    let memory = MemoryMap::new(regions)?;
    let module = info.modlist().next().ok_or(Fault::NoBundle)?;
    bundle::frames(module.raw().paddr, module.raw().size)?;
    let features = CpuId::new();
    check_processor(&features)?;
    Ok(Machine {
        memory,
        bundle: module.as_slice(),
        bundle_address: module.raw().paddr,
        boot: Span { start: (&raw const __executable_start).addr() as u64, end: (&raw const _end).addr() as u64 },
        rsdp: Some(info.raw().rsdp_paddr).filter(|address| *address != 0),
        global_pages: features.get_feature_info().is_some_and(|info| info.has_pge()),
    })
}

/// Checks that the processor has what the kernel and all programs use without asking.
fn check_processor(features: &CpuId<CpuIdReaderNative>) -> Result<(), Fault> {
    let basic = features.get_feature_info();
    let extended = features.get_extended_processor_and_feature_identifiers();
    if !extended.as_ref().is_some_and(|info| info.has_execute_disable()) {
        return Err(Fault::NoExecuteDisable);
    }
    let needed = [
        (basic.as_ref().is_some_and(|info| info.has_fpu()), "a floating-point unit (FPU)"),
        (basic.as_ref().is_some_and(|info| info.has_tsc()), "a time-stamp counter (TSC)"),
        (basic.as_ref().is_some_and(|info| info.has_msr()), "model-specific registers (MSR)"),
        (basic.as_ref().is_some_and(|info| info.has_apic()), "a local interrupt controller (APIC)"),
        (basic.as_ref().is_some_and(|info| info.has_fxsave_fxstor()), "the instructions FXSAVE and FXRSTOR (FXSR)"),
        (basic.as_ref().is_some_and(|info| info.has_sse2()), "vector instructions (SSE2)"),
        (extended.as_ref().is_some_and(|info| info.has_syscall_sysret()), "the instruction SYSCALL"),
    ];
    match needed.into_iter().find(|(is_there, _)| !is_there) {
        Some((_, name)) => Err(Fault::MissingFeature { name }),
        None => Ok(()),
    }
}

/// Fills the kernel's memory as planned, and maps it in the higher half of boot's own address space.
///
/// # Safety
/// To be called once, with a plan made for the machine as it is.
unsafe fn carry_out(plan: &Plan<'_>) {
    let arena = plan.arena();
    // SAFETY: The pieces of the arena are free memory of this machine below 4 GiB, which is mapped at its physical
    // addresses. They overlap neither each other nor boot, its stack or the bundle, and no other code uses them.
    let (image, stack, page, tables) =
        unsafe { (bytes(arena.image), bytes(arena.stack), bytes(arena.handover), page_tables(arena.tables)) };
    plan.load_image(image);
    stack.fill(0);
    handover::fill(page);
    plan.write_tables(tables);
    protect(plan);
    // SAFETY: Only the processor itself uses the top table, which `entry` made. Its higher half is empty so far, so no
    // translation of it can be cached; the entries taken over refer to complete tables.
    unsafe {
        for index in 256..512 {
            TOP_TABLE[index] = tables[0][index].clone();
        }
    }
    // SAFETY: The page of `BootInfo` is mapped at this address now, writable, and not in use elsewhere. The regions
    // start aligned behind `BootInfo` and fit, as `plan` asserts.
    unsafe {
        let info = ptr::with_exposed_provenance_mut::<BootInfo>(plan.layout().boot_info as usize);
        let regions = info.byte_add(REGIONS_OFFSET as usize).cast::<MemoryRegion>();
        ptr::copy_nonoverlapping(plan.regions.as_ptr(), regions, plan.regions.len());
        info.write(plan.boot_info(slice::from_raw_parts_mut(regions, plan.regions.len()).into()));
    }
}

/// Turns on the processor features that the rights in the page tables need.
fn protect(plan: &Plan<'_>) {
    // SAFETY: Boot's own mappings are all writable, executable and not global, so none of it changes them. The
    // processor has NX, and global pages if the plan uses them.
    unsafe {
        Efer::update(|flags| *flags |= EferFlags::NO_EXECUTE_ENABLE);
        Cr0::update(|flags| *flags |= Cr0Flags::WRITE_PROTECT);
        if plan.global_pages() {
            Cr4::update(|flags| *flags |= Cr4Flags::PAGE_GLOBAL);
        }
    }
}

/// The memory of `frames`.
///
/// # Safety
/// `frames` must be memory below 4 GiB that no other code uses.
unsafe fn bytes(frames: Span) -> &'static mut [u8] {
    let start = ptr::with_exposed_provenance_mut(frames.start as usize);
    // SAFETY: The caller vouches for the memory; it is mapped at its physical address.
    unsafe { slice::from_raw_parts_mut(start, frames.length() as usize) }
}

/// The memory of `frames` as page tables, all empty.
///
/// # Safety
/// As [`bytes`]; `frames` are whole frames.
unsafe fn page_tables(frames: Span) -> &'static mut [PageTable] {
    // SAFETY: Guaranteed by the caller.
    let bytes = unsafe { bytes(frames) };
    bytes.fill(0);
    // SAFETY: A page table is 4096 bytes, aligned to 4096, and valid when all are zero.
    let (_, tables, _) = unsafe { bytes.align_to_mut::<PageTable>() };
    tables
}
