//! Physical memory: the firmware's report, the room for boot's own ranges, and the regions that the kernel is given.

use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use heapless::Vec;

use crate::fault::Fault;
use crate::span::{PAGE, Span};

/// The most regions that the firmware's map may have.
pub const MAX_FIRMWARE_REGIONS: usize = 96;

/// The most regions that the kernel is told of: each of boot's few reservations may split one in two.
pub const MAX_REGIONS: usize = 128;

/// Boot itself reaches physical memory up to here.
pub const REACH: u64 = 1 << 32;

/// Below is memory that firmware may still use; boot takes none of it.
const LOW_MEMORY: Span = Span { start: 0, end: 0x10_0000 };

/// The page that the kernel does not get, so that the physical address 0 can mean "none".
const NULL_PAGE: Span = Span { start: 0, end: PAGE };

/// The types of region in the firmware's map (ACPI 15, "Address Range Types").
pub mod region_type {
    /// Free to use.
    pub const RAM: u32 = 1;
    /// RAM that holds ACPI tables.
    pub const ACPI: u32 = 3;
    /// RAM that the firmware keeps.
    pub const NVS: u32 = 4;
}

/// One region of the firmware's map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirmwareRegion {
    /// Where it is.
    pub span: Span,
    /// Its [`region_type`], or any other number.
    pub kind: u32,
}

/// The firmware's map, sorted by address.
#[derive(Debug)]
pub struct MemoryMap {
    regions: Vec<FirmwareRegion, MAX_FIRMWARE_REGIONS>,
}

impl MemoryMap {
    /// Takes over the firmware's `regions`, in any order. Where they overlap, RAM gives way to all other kinds.
    ///
    /// # Errors
    /// `NoMemoryMap` if there are none, `MemoryMapTooLong` if there are more than [`MAX_FIRMWARE_REGIONS`].
    pub fn new(regions: impl IntoIterator<Item = FirmwareRegion>) -> Result<Self, Fault> {
        let mut map = Self { regions: Vec::new() };
        for region in regions {
            map.regions.push(region).map_err(|_| Fault::MemoryMapTooLong { limit: MAX_FIRMWARE_REGIONS })?;
        }
        if map.regions.is_empty() {
            return Err(Fault::NoMemoryMap);
        }
        map.regions.sort_unstable_by_key(|region| (region.span.start, region.span.end));
        Ok(map)
    }

    /// The first address behind all memory; not counting reserved ranges, which may be anywhere.
    pub fn end(&self) -> u64 {
        self.memory().map(|span| span.end).max().unwrap_or(0)
    }

    /// Returns true if any of `span` is memory, as opposed to devices or unassigned addresses.
    pub fn has_memory_in(&self, span: &Span) -> bool {
        self.memory().any(|memory| memory.overlaps(span))
    }

    fn memory(&self) -> impl Iterator<Item = Span> {
        let is_memory = |kind| [region_type::RAM, region_type::ACPI, region_type::NVS].contains(&kind);
        self.regions.iter().filter(move |region| is_memory(region.kind)).map(|region| region.span)
    }

    /// The whole free pages outside `holes`, sorted.
    fn free(&self, holes: &[Span]) -> Result<Vec<Span, MAX_REGIONS>, Fault> {
        let too_long = Fault::MemoryMapTooLong { limit: MAX_REGIONS };
        let mut free: Vec<Span, MAX_REGIONS> = Vec::new();
        for region in self.regions.iter().filter(|region| region.kind == region_type::RAM) {
            free.push(region.span).map_err(|_| too_long)?;
        }
        let reserved = self.regions.iter().filter(|region| region.kind != region_type::RAM).map(|region| region.span);
        for hole in reserved.chain(holes.iter().copied()) {
            // The pieces behind a hole go to the end of the list; they cannot meet the same hole again.
            for index in 0..free.len() {
                let span = free[index];
                if span.overlaps(&hole) {
                    free[index] = Span { start: span.start, end: hole.start.max(span.start) };
                    let behind = Span { start: hole.end.min(span.end), end: span.end };
                    free.push(behind).map_err(|_| too_long)?;
                }
            }
            free.retain(|span| !span.is_empty());
        }
        free.iter_mut().for_each(|span| *span = span.pages_inside());
        free.retain(|span| !span.is_empty());
        free.sort_unstable_by_key(|span| span.start);
        Ok(free)
    }

    /// Takes the lowest `length` bytes in one piece above 1 MiB and below 4 GiB that touch none of `in_use`.
    ///
    /// # Errors
    /// `TooLittleMemory` if there is no such piece.
    pub fn take(&self, length: u64, in_use: &[Span]) -> Result<Span, Fault> {
        let mut holes: Vec<Span, 8> = Vec::from_slice(in_use).map_err(|_| Fault::Internal)?;
        holes.push(LOW_MEMORY).map_err(|_| Fault::Internal)?;
        let mut largest = 0;
        for piece in self.free(&holes)? {
            let reachable = piece.end.min(REACH).saturating_sub(piece.start);
            if reachable >= length {
                return Ok(Span { start: piece.start, end: piece.start + length });
            }
            largest = largest.max(reachable);
        }
        Err(Fault::TooLittleMemory { needed_kib: length.div_ceil(1024), largest_kib: largest / 1024 })
    }

    /// Returns the regions that the kernel is given: sorted, without overlaps, usable memory in whole pages. `kept` is
    /// what boot leaves behind for the kernel; it becomes `Bootloader`.
    ///
    /// # Errors
    /// `MemoryMapTooLong` if the result has more than [`MAX_REGIONS`] regions.
    pub fn for_kernel(&self, kept: &[Span]) -> Result<Vec<MemoryRegion, MAX_REGIONS>, Fault> {
        let mut kept: Vec<Span, 8> = Vec::from_slice(kept).map_err(|_| Fault::Internal)?;
        kept.push(NULL_PAGE).map_err(|_| Fault::Internal)?;
        let mut regions: Vec<MemoryRegion, MAX_REGIONS> = Vec::new();
        let mut add = |span: Span, kind| {
            let region = MemoryRegion { start: span.start, end: span.end, kind };
            regions.push(region).map_err(|_| Fault::MemoryMapTooLong { limit: MAX_REGIONS })
        };
        for span in self.free(&kept)? {
            add(span, MemoryRegionKind::Usable)?;
        }
        for region in self.regions.iter().filter(|region| region.kind != region_type::RAM) {
            add(region.span, MemoryRegionKind::UnknownBios(region.kind))?;
        }
        for span in kept {
            add(span, MemoryRegionKind::Bootloader)?;
        }
        regions.sort_unstable_by_key(|region| (region.start, region.end));
        let mut end = 0;
        for region in &mut regions {
            region.start = region.start.max(end);
            end = end.max(region.end);
        }
        regions.retain(|region| region.start < region.end);
        Ok(regions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64, kind: u32) -> FirmwareRegion {
        FirmwareRegion { span: Span { start, end }, kind }
    }

    /// QEMU with 16 MiB, unsorted.
    fn small_pc() -> MemoryMap {
        MemoryMap::new([
            region(0x10_0000, 0xFE_0000, 1),
            region(0, 0x9_FC00, 1),
            region(0x9_FC00, 0xA_0000, 2),
            region(0xF_0000, 0x10_0000, 2),
            region(0xFE_0000, 0x100_0000, 2),
            region(0xFFFC_0000, 0x1_0000_0000, 2),
        ])
        .unwrap()
    }

    fn kinds(map: &MemoryMap, kept: &[Span]) -> std::vec::Vec<(u64, u64, MemoryRegionKind)> {
        map.for_kernel(kept).unwrap().iter().map(|r| (r.start, r.end, r.kind)).collect()
    }

    #[test]
    fn the_kernel_sees_every_region_once_and_in_order() {
        use MemoryRegionKind::*;
        let kept = [Span { start: 0x20_0000, end: 0x30_0000 }, Span { start: 0xFD_0000, end: 0xFE_0000 }];
        assert_eq!(
            kinds(&small_pc(), &kept),
            [
                (0, 0x1000, Bootloader),
                (0x1000, 0x9_F000, Usable),
                (0x9_FC00, 0xA_0000, UnknownBios(2)),
                (0xF_0000, 0x10_0000, UnknownBios(2)),
                (0x10_0000, 0x20_0000, Usable),
                (0x20_0000, 0x30_0000, Bootloader),
                (0x30_0000, 0xFD_0000, Usable),
                (0xFD_0000, 0xFE_0000, Bootloader),
                (0xFE_0000, 0x100_0000, UnknownBios(2)),
                (0xFFFC_0000, 0x1_0000_0000, UnknownBios(2)),
            ]
        );
    }

    #[test]
    fn where_the_firmware_contradicts_itself_memory_is_not_usable() {
        use MemoryRegionKind::*;
        let map = MemoryMap::new([
            region(0x10_0000, 0x20_0000, 1),
            region(0x18_0000, 0x30_0000, 1),
            region(0x14_0000, 0x15_0800, 4),
            region(0x15_0000, 0x16_0000, 2),
        ])
        .unwrap();
        let regions = kinds(&map, &[]);
        for pair in regions.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{pair:x?} overlap");
        }
        let usable: u64 = regions.iter().filter(|r| r.2 == Usable).map(|r| r.1 - r.0).sum();
        assert_eq!(usable, 0x20_0000 - 0x2_0000);
        assert!(regions.contains(&(0x14_0000, 0x15_0800, UnknownBios(4))));
    }

    #[test]
    fn boot_takes_the_lowest_piece_that_is_large_enough_and_not_in_use() {
        let boot = Span { start: 0x10_0000, end: 0x12_0000 };
        let bundle = Span { start: 0x18_0000, end: 0xFE_0000 };
        let take = |length| small_pc().take(length, &[boot, bundle]);
        assert_eq!(take(0x6_0000), Ok(Span { start: 0x12_0000, end: 0x18_0000 }));
        assert_eq!(take(0x6_1000), Err(Fault::TooLittleMemory { needed_kib: 0x184, largest_kib: 0x180 }));
        assert_eq!(small_pc().take(0x10_0000, &[boot]), Ok(Span { start: 0x12_0000, end: 0x22_0000 }));
    }

    #[test]
    fn boot_takes_no_memory_that_it_does_not_reach() {
        let map = MemoryMap::new([region(0xFFFF_0000, 0x2_0000_0000, 1)]).unwrap();
        assert_eq!(map.take(0x1_0000, &[]), Ok(Span { start: 0xFFFF_0000, end: 0x1_0000_0000 }));
        assert_eq!(map.take(0x1_1000, &[]), Err(Fault::TooLittleMemory { needed_kib: 68, largest_kib: 64 }));
    }

    #[test]
    fn the_end_of_memory_does_not_count_reserved_ranges() {
        let map = MemoryMap::new([region(0, 0x1000_0000, 1), region(0xFD_0000_0000, 0x100_0000_0000, 2)]).unwrap();
        assert_eq!(map.end(), 0x1000_0000);
        assert!(map.has_memory_in(&Span { start: 0xFFF_F000, end: 0x2000_0000 }));
        assert!(!map.has_memory_in(&Span { start: 0xFE_0000_0000, end: 0xFF_0000_0000 }));
    }

    #[test]
    fn an_empty_map_and_an_endless_one_are_refused() {
        assert_eq!(MemoryMap::new([]).unwrap_err(), Fault::NoMemoryMap);
        let endless = (0..).map(|i| region(i * 0x2000, i * 0x2000 + 0x1000, 1));
        assert_eq!(MemoryMap::new(endless).unwrap_err(), Fault::MemoryMapTooLong { limit: MAX_FIRMWARE_REGIONS });
    }
}
