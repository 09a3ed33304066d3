//! The plan: all physical and virtual addresses, decided before any memory is written.

use bootloader_api::BootInfo;
use bootloader_api::info::{MemoryRegion, MemoryRegions};
use heapless::Vec;
use x86_64::structures::paging::PageTable;

use crate::arena::{Arena, physical_end};
use crate::bundle;
use crate::fault::Fault;
use crate::image::{KernelImage, MAX_SEGMENTS, Segment};
use crate::layout::{LARGE_PAGE, Layout};
use crate::memory::{MAX_REGIONS, MemoryMap};
use crate::paging::{Access, PageTables};
use crate::span::{PAGE, Span};

/// Where the memory regions begin in the page of `BootInfo`.
pub const REGIONS_OFFSET: u64 = (size_of::<BootInfo>().next_multiple_of(align_of::<MemoryRegion>())) as u64;

const _: () = assert!(
    REGIONS_OFFSET + (MAX_REGIONS * size_of::<MemoryRegion>()) as u64 <= PAGE,
    "BootInfo and the memory regions must fit in one page"
);

/// The machine that boot finds when it starts.
#[derive(Debug)]
pub struct Machine<'a> {
    /// The firmware's memory map.
    pub memory: MemoryMap,
    /// The contents of the bundle.
    pub bundle: &'a [u8],
    /// The physical address of the bundle.
    pub bundle_address: u64,
    /// Boot's own image. Free again once the kernel runs.
    pub boot: Span,
    /// The physical address of the ACPI root table, if the loader found one.
    pub rsdp: Option<u64>,
    /// True if the processor has global pages.
    pub global_pages: bool,
}

/// The decisions.
#[derive(Debug)]
pub struct Plan<'a> {
    machine: &'a Machine<'a>,
    image: KernelImage<'a>,
    kernel_file: Span,
    bundle_frames: Span,
    layout: Layout,
    arena: Arena,
    /// For each segment the frame of its first page, relative to the image's first frame.
    offsets: Vec<u64, MAX_SEGMENTS>,
    /// The memory regions for the kernel.
    pub regions: Vec<MemoryRegion, MAX_REGIONS>,
}

impl<'a> Plan<'a> {
    /// Checks the machine and the bundle, and decides all addresses.
    ///
    /// # Errors
    /// Any fault of the bundle, the kernel or its requests, and `TooLittleMemory`.
    pub fn new(machine: &'a Machine<'a>) -> Result<Self, Fault> {
        let bundle_frames = bundle::frames(machine.bundle_address, machine.bundle.len() as u64)?;
        let file = bundle::kernel(machine.bundle)?;
        let image = KernelImage::parse(file)?;
        let file_offset = file.as_ptr() as u64 - machine.bundle.as_ptr() as u64;
        let kernel_file = Span::new(machine.bundle_address + file_offset, file.len() as u64).ok_or(Fault::Internal)?;
        let layout = Layout::new(&image, physical_end(machine), bundle_frames)?;
        let (offsets, image_length) = place_segments(&image);
        let arena = Arena::take(machine, &layout, bundle_frames, &image, image_length)?;
        let regions = machine.memory.for_kernel(&[bundle_frames, arena.whole()])?;
        Ok(Self { machine, image, kernel_file, bundle_frames, layout, arena, offsets, regions })
    }

    /// The ranges in physical memory.
    pub fn arena(&self) -> &Arena {
        &self.arena
    }

    /// The ranges in the kernel's address space.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// True if the mappings are global.
    pub fn global_pages(&self) -> bool {
        self.machine.global_pages
    }

    /// The kernel's first instruction.
    pub fn entry(&self) -> u64 {
        self.image.entry
    }

    /// The first value of the kernel's stack pointer: 16-byte aligned, so that the entry point finds the stack that a
    /// called function finds once a return address has been pushed.
    pub fn stack_top(&self) -> u64 {
        (self.layout.stack.start + self.image.config.kernel_stack_size) & !15
    }

    /// Loads the segments into `frames`, the frames of `arena().image`, and zeroes the rest.
    ///
    /// # Panics
    /// If `frames` is not as long as `arena().image`.
    pub fn load_image(&self, frames: &mut [u8]) {
        assert_eq!(frames.len() as u64, self.arena.image.length());
        frames.fill(0);
        for (segment, offset) in self.image.segments.iter().zip(&self.offsets) {
            let start = (offset + segment.memory.start % PAGE) as usize;
            frames[start..start + segment.bytes.len()].copy_from_slice(segment.bytes);
        }
    }

    /// Writes the kernel's page tables into `tables`, the frames of `arena().tables`.
    pub fn write_tables(&self, tables: &mut [PageTable]) {
        let mut tables = PageTables::new(self.arena.tables.start, tables, self.machine.global_pages);
        for (segment, frames) in self.segments() {
            tables.map(segment.pages(), frames.start, access(segment));
        }
        tables.map(self.layout.stack, self.arena.stack.start, Access::Write);
        let page = |start| Span { start, end: start + PAGE };
        tables.map(page(self.layout.boot_info), self.arena.boot_info.start, Access::Write);
        tables.map(page(self.layout.handover), self.arena.handover.start, Access::Execute);
        if let Some(pages) = self.layout.bundle {
            tables.map(pages, self.bundle_frames.start, Access::Read);
        }
        if let Some(start) = self.layout.physical {
            self.map_physical(&mut tables, start);
        }
        if let Some(index) = self.layout.recursive {
            tables.map_recursively(index);
        }
    }

    /// `BootInfo` for the kernel. `regions` are [`Plan::regions`] at an address that the kernel can read.
    pub fn boot_info(&self, regions: MemoryRegions) -> BootInfo {
        let physical = self.layout.physical;
        let bundle_offset = self.machine.bundle_address - self.bundle_frames.start;
        let mut info = BootInfo::new(regions);
        info.physical_memory_offset = physical.into();
        info.recursive_index = self.layout.recursive.into();
        info.rsdp_addr = self.machine.rsdp.into();
        info.tls_template = self.image.tls.into();
        info.ramdisk_addr = match self.layout.bundle {
            Some(pages) => Some(pages.start + bundle_offset),
            None => physical.map(|start| start + self.machine.bundle_address),
        }
        .into();
        info.ramdisk_len = self.machine.bundle.len() as u64;
        info.kernel_addr = self.kernel_file.start;
        info.kernel_len = self.kernel_file.length();
        // The distance between the addresses in the file and those in memory: the kernel is not relocated.
        info.kernel_image_offset = 0;
        info.kernel_stack_bottom = self.layout.stack.start;
        info.kernel_stack_len = self.image.config.kernel_stack_size;
        info
    }

    /// Each segment with its frames.
    fn segments(&self) -> impl Iterator<Item = (&Segment<'a>, Span)> {
        self.image.segments.iter().zip(&self.offsets).map(|(segment, offset)| {
            let start = self.arena.image.start + offset;
            (segment, Span { start, end: start + segment.pages().length() })
        })
    }

    /// Maps all physical memory and the devices below 4 GiB, by large pages except where some frames are read-only.
    fn map_physical(&self, tables: &mut PageTables<'_>, start: u64) {
        let arena = self.arena.whole();
        for large in (0..physical_end(self.machine)).step_by(LARGE_PAGE as usize) {
            let span = Span { start: large, end: large + LARGE_PAGE };
            // Read-only frames are in the arena: most large pages need no look at each of them.
            if !arena.overlaps(&span) || !self.read_only_frames().any(|frames| frames.overlaps(&span)) {
                let cached = self.machine.memory.has_memory_in(&span);
                tables.map_large(start + large, large, Access::Write, cached);
                continue;
            }
            let mut frame = span.start;
            while frame < span.end {
                let (end, access) = self.run_of_frames(frame);
                let run = Span { start: frame, end: end.min(span.end) };
                tables.map(Span { start: start + run.start, end: start + run.end }, run.start, access);
                frame = run.end;
            }
        }
    }

    /// Returns how far the frames from this one on have the same rights in the mapping of physical memory, and these
    /// rights.
    fn run_of_frames(&self, frame: u64) -> (u64, Access) {
        if let Some(frames) = self.read_only_frames().find(|frames| frames.contains(frame)) {
            return (frames.end, Access::Read);
        }
        let next = self.read_only_frames().map(|frames| frames.start).filter(|start| *start > frame).min();
        (next.unwrap_or(u64::MAX), Access::Write)
    }

    /// The frames that must not be writable through the mapping of physical memory either.
    fn read_only_frames(&self) -> impl Iterator<Item = Span> {
        let segments = self.segments().filter(|(segment, _)| !segment.writable).map(|(_, frames)| frames);
        segments.chain([self.arena.handover])
    }
}

fn access(segment: &Segment<'_>) -> Access {
    match (segment.writable, segment.executable) {
        (true, _) => Access::Write,
        (false, true) => Access::Execute,
        (false, false) => Access::Read,
    }
}

/// Places the segments' pages one after the other: the offset of each, and the length of all.
fn place_segments(image: &KernelImage<'_>) -> (Vec<u64, MAX_SEGMENTS>, u64) {
    let mut offsets = Vec::new();
    let (mut length, mut mapped) = (0, 0);
    for segment in &image.segments {
        let pages = segment.pages();
        if pages.start < mapped {
            // The first page of this segment is the last one of the segment before.
            length -= PAGE;
        }
        // One offset for each of at most `MAX_SEGMENTS` segments.
        let _ = offsets.push(length);
        length += pages.length();
        mapped = pages.end;
    }
    (offsets, length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::HIGHER_HALF;
    use crate::memory::FirmwareRegion;
    use crate::testing::{BASE, Elf, FLAGS_RX, Load, Walk, tar, walk};
    use bootloader_api::config::Mapping;
    use bootloader_api::info::MemoryRegionKind;

    const BUNDLE_ADDRESS: u64 = 0x700_0000;

    fn machine(bundle: &[u8], memory_end: u64) -> Machine<'_> {
        let ram = |start, end| FirmwareRegion { span: Span { start, end }, kind: 1 };
        Machine {
            memory: MemoryMap::new([ram(0, 0x9_F000), ram(0x10_0000, memory_end)]).unwrap(),
            bundle,
            bundle_address: BUNDLE_ADDRESS,
            boot: Span { start: 0x10_0000, end: 0x13_0123 },
            rsdp: Some(0xF_5000),
            global_pages: true,
        }
    }

    fn bundle(elf: &Elf) -> std::vec::Vec<u8> {
        tar(&[("init", &[7; 700]), ("kernel", &elf.build())])
    }

    fn with_physical_memory() -> Elf {
        Elf::asking(|config| config.mappings.physical_memory = Some(Mapping::Dynamic))
    }

    fn mappings(plan: &Plan<'_>) -> std::vec::Vec<Walk> {
        let length = plan.arena().tables.length() / PAGE;
        let mut tables: std::vec::Vec<_> = (0..length).map(|_| PageTable::new()).collect();
        plan.write_tables(&mut tables);
        walk(plan.arena().tables.start, &tables)
    }

    fn boot_info(plan: &Plan<'_>) -> BootInfo {
        let regions: &'static mut [MemoryRegion] = plan.regions.to_vec().leak();
        plan.boot_info(regions.into())
    }

    fn at(mappings: &[Walk], address: u64) -> Option<(u64, Access)> {
        let found = mappings.iter().find(|m| (m.start..m.start + m.size).contains(&address))?;
        Some((found.frame + address - found.start, found.access))
    }

    #[test]
    fn the_image_is_loaded_and_mapped_with_the_rights_of_each_segment() {
        let bundle = bundle(&Elf::good());
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let mut frames = vec![0xEE; plan.arena().image.length() as usize];
        plan.load_image(&mut frames);
        let mappings = mappings(&plan);
        let expected = [
            (0, 0x55, Access::Read),
            (0x7FF, 0x55, Access::Read),
            (0x800, 0, Access::Read),
            (0x1000, 0xC3, Access::Execute),
            (0x27FF, 0xC3, Access::Execute),
            (0x3FFF, 0xDA, Access::Write),
            (0x4000, 0, Access::Write),
            (0x7FFF, 0, Access::Write),
        ];
        for (offset, byte, access) in expected {
            let (frame, found) = at(&mappings, BASE + offset).unwrap();
            assert_eq!(found, access, "at {offset:#x}");
            assert_eq!(frames[(frame - plan.arena().image.start) as usize], byte, "at {offset:#x}");
        }
        assert_eq!(at(&mappings, BASE + 0x8000), None);
        assert_eq!(plan.entry(), BASE + 0x1010);
    }

    #[test]
    fn segments_that_share_a_page_share_the_frame() {
        let mut elf = Elf::good();
        elf.loads.push(Load::new(BASE + 0x2900, FLAGS_RX, vec![0x90; 0x10]));
        let bundle = bundle(&elf);
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        assert_eq!(plan.arena().image.length(), 8 * PAGE);
        let mut frames = vec![0; 8 * PAGE as usize];
        plan.load_image(&mut frames);
        let byte = |address| frames[(at(&mappings(&plan), address).unwrap().0 - plan.arena().image.start) as usize];
        assert_eq!([byte(BASE + 0x27FF), byte(BASE + 0x2900), byte(BASE + 0x3000)], [0xC3, 0x90, 0xDA]);
    }

    #[test]
    fn the_stack_has_a_guard_page_and_a_top_that_the_calling_convention_wants() {
        let elf = Elf::asking(|config| config.kernel_stack_size = 0x5008);
        let bundle = bundle(&elf);
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let mappings = mappings(&plan);
        let info = boot_info(&plan);
        assert_eq!(at(&mappings, info.kernel_stack_bottom - 1), None, "guard page");
        assert_eq!(at(&mappings, info.kernel_stack_bottom).unwrap().1, Access::Write);
        assert_eq!(plan.stack_top(), info.kernel_stack_bottom + 0x5000);
        assert_eq!(at(&mappings, plan.stack_top() - 1).unwrap().1, Access::Write);
    }

    #[test]
    fn all_mappings_are_global_and_in_the_higher_half() {
        let bundle = bundle(&with_physical_memory());
        let machine = machine(&bundle, 0x800_0000);
        for mapping in mappings(&Plan::new(&machine).unwrap()) {
            assert!(mapping.start >= HIGHER_HALF && mapping.global, "{mapping:x?}");
        }
    }

    #[test]
    fn physical_memory_and_devices_are_mapped_and_devices_uncached() {
        let bundle = bundle(&with_physical_memory());
        for (memory_end, end) in [(0x800_0000, 1 << 32), (0x1_8010_0000, 0x1_8020_0000)] {
            let machine = machine(&bundle, memory_end);
            let plan = Plan::new(&machine).unwrap();
            let start = plan.layout().physical.unwrap();
            let mappings = mappings(&plan);
            for address in [0, 0xF_5000, 0x10_0000, 0x7FF_FFFF, 0xFEE0_0000, end - 1] {
                assert_eq!(at(&mappings, start + address).unwrap().0, address);
            }
            assert_eq!(at(&mappings, start + end), None);
            let cached = |address: u64| mappings.iter().find(|m| m.start == start + address).unwrap().cached;
            assert!(cached((memory_end - 0x20_0000) & !0x1F_FFFF));
            assert_eq!(cached(0xFEE0_0000), memory_end > 1 << 32);
        }
    }

    #[test]
    fn no_frame_is_writable_by_one_mapping_and_read_only_by_another() {
        let bundle = bundle(&with_physical_memory());
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let mappings = mappings(&plan);
        let mut read_only = 0;
        for mapping in mappings.iter().filter(|m| m.access != Access::Write) {
            read_only += 1;
            let writable = mappings.iter().find(|m| {
                m.access == Access::Write && m.frame < mapping.frame + mapping.size && mapping.frame < m.frame + m.size
            });
            assert_eq!(writable, None, "{mapping:x?}");
        }
        assert_eq!(read_only, 2 * (1 + 2 + 1), "constants, code and hand-over page, each mapped twice");
    }

    #[test]
    fn the_kernel_learns_where_everything_is() {
        let elf = with_physical_memory();
        let bundle = bundle(&elf);
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let info = boot_info(&plan);
        let physical = info.physical_memory_offset.into_option().unwrap();
        assert_eq!(info.rsdp_addr.into_option(), Some(0xF_5000));
        assert_eq!(info.ramdisk_addr.into_option(), Some(physical + BUNDLE_ADDRESS));
        assert_eq!(info.ramdisk_len, bundle.len() as u64);
        // A header and two blocks for `init`, a header for `kernel`.
        assert_eq!((info.kernel_addr, info.kernel_len), (BUNDLE_ADDRESS + 4 * 512, elf.build().len() as u64));
        assert_eq!((info.kernel_image_offset, info.kernel_stack_len), (0, 80 * 1024));
        assert_eq!(info.tls_template.into_option(), None);
    }

    #[test]
    fn without_physical_memory_the_kernel_finds_the_bundle_in_a_read_only_mapping() {
        let bundle = bundle(&Elf::good());
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let address = boot_info(&plan).ramdisk_addr.into_option().unwrap();
        let mappings = mappings(&plan);
        assert_eq!(at(&mappings, address), Some((BUNDLE_ADDRESS, Access::Read)));
        let last = bundle.len() as u64 - 1;
        assert_eq!(at(&mappings, address + last), Some((BUNDLE_ADDRESS + last, Access::Read)));
    }

    #[test]
    fn memory_in_use_is_not_usable_and_boot_itself_is() {
        let bundle = bundle(&Elf::good());
        let machine = machine(&bundle, 0x800_0000);
        let plan = Plan::new(&machine).unwrap();
        let kind = |address| plan.regions.iter().find(|r| r.start <= address && address < r.end).map(|r| r.kind);
        let arena = plan.arena();
        for piece in [arena.image, arena.stack, arena.boot_info, arena.handover, arena.tables] {
            assert_eq!(kind(piece.start), Some(MemoryRegionKind::Bootloader));
            assert_eq!(kind(piece.end - 1), Some(MemoryRegionKind::Bootloader));
        }
        assert_eq!(kind(BUNDLE_ADDRESS), Some(MemoryRegionKind::Bootloader));
        assert_eq!(kind(BUNDLE_ADDRESS + bundle.len() as u64 - 1), Some(MemoryRegionKind::Bootloader));
        assert_eq!(kind(machine.boot.start), Some(MemoryRegionKind::Usable));
        assert_eq!(arena.image.start, 0x13_1000, "behind boot, which is still running");
    }

    #[test]
    fn a_kernel_that_needs_more_memory_than_there_is_is_refused() {
        let mut elf = Elf::good();
        elf.loads[2].memory_size = 0x800_0000;
        let bundle = bundle(&elf);
        let machine = machine(&bundle, 0x780_0000);
        assert!(matches!(Plan::new(&machine), Err(Fault::TooLittleMemory { needed_kib: 0x2_0000.., .. })));
    }

    #[test]
    fn a_segment_of_any_size_is_refused_without_overflow() {
        for size in [1 << 38, 1 << 46, (1 << 47) - (1 << 31)] {
            let mut elf = with_physical_memory();
            elf.loads[2].address = HIGHER_HALF;
            elf.loads[2].memory_size = size;
            let bundle = bundle(&elf);
            let machine = machine(&bundle, 0x800_0000);
            let fault = Plan::new(&machine).unwrap_err();
            assert!(matches!(fault, Fault::TooLittleMemory { .. } | Fault::CannotServe { .. }), "{fault}");
        }
    }

    #[test]
    fn a_bundle_above_4_gib_is_refused() {
        let bundle = bundle(&Elf::good());
        let machine = Machine { bundle_address: (1 << 32) - 512, ..machine(&bundle, 0x800_0000) };
        let end = (1 << 32) - 512 + bundle.len() as u64;
        assert_eq!(Plan::new(&machine).unwrap_err(), Fault::BundleOutOfReach { end });
    }
}
