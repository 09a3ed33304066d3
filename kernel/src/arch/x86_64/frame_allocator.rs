//! The page-frame allocator.

use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
use core::arch::asm;
use core::ops::Range;
use heapless::Vec;
use kernel::machine::NoMemory;
use x86_64::PhysAddr;
use x86_64::structures::paging::PhysFrame;

const FRAME_SIZE: u64 = 4096;

/// More regions than any firmware reports for a small machine; further ones are not used.
const REGIONS_MAX: usize = 64;

/// Where the boot loader has mapped physical memory.
#[derive(Clone, Copy, Debug)]
pub struct PhysicalMap {
    offset: u64,
}

impl PhysicalMap {
    /// Returns the map that begins at `offset`.
    pub fn new(offset: u64) -> PhysicalMap {
        PhysicalMap { offset }
    }

    /// Returns the kernel's address of a physical address.
    pub fn address<T>(self, physical: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut((self.offset + physical) as usize)
    }
}

/// The free frames.
///
/// Frames that were never allocated are kept as ranges, so that the start takes no time for each frame. Freed frames
/// are linked through the frames themselves.
#[derive(Debug)]
pub struct FrameAllocator {
    physical_map: PhysicalMap,
    unused: Vec<Range<u64>, REGIONS_MAX>,
    /// The first frame of the list; each holds the address of the next. Address 0 ends it: that frame is never usable.
    freed: u64,
    free: u64,
}

impl FrameAllocator {
    /// Returns an allocator of all frames that the boot loader found usable.
    pub fn new(physical_map: PhysicalMap, regions: &[MemoryRegion]) -> FrameAllocator {
        let mut unused = Vec::new();
        for region in regions.iter().filter(|region| region.kind == MemoryRegionKind::Usable) {
            let start = region.start.max(FRAME_SIZE).next_multiple_of(FRAME_SIZE);
            let end = region.end / FRAME_SIZE * FRAME_SIZE;
            if start < end && unused.push(start..end).is_err() {
                break;
            }
        }
        let free = unused.iter().map(|range| (range.end - range.start) / FRAME_SIZE).sum();
        FrameAllocator { physical_map, unused, freed: 0, free }
    }

    /// Returns the map through which the kernel reaches the contents of frames.
    pub fn physical_map(&self) -> PhysicalMap {
        self.physical_map
    }

    /// Returns the number of free frames.
    pub fn free_frames(&self) -> u64 {
        self.free
    }

    /// Allocates a frame and fills it with zeros.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn allocate(&mut self) -> Result<PhysFrame, NoMemory> {
        let address = if self.freed != 0 {
            let address = self.freed;
            // SAFETY: FrameAllocator in the list belong to it, and `free` wrote the next one's address there.
            self.freed = unsafe { self.physical_map.address::<u64>(address).read() };
            address
        } else {
            let range = self.unused.iter_mut().find(|range| !range.is_empty()).ok_or(NoMemory)?;
            range.start += FRAME_SIZE;
            range.start - FRAME_SIZE
        };
        self.free -= 1;
        let frame = self.physical_map.address::<u64>(address);
        // SAFETY: The frame is not in use, and it is mapped as a whole. The instruction writes that many words of 8 bytes
        // from its beginning on, upwards, because the direction flag is clear in all code of the kernel. A call of the
        // general routine would take longer to find out what is known here: that no odd bytes are left at the ends.
        unsafe {
            asm!(
                "rep stosq",
                inout("rcx") FRAME_SIZE / 8 => _,
                inout("rdi") frame => _,
                in("rax") 0u64,
                options(nostack, preserves_flags),
            );
        }
        Ok(PhysFrame::containing_address(PhysAddr::new_truncate(address)))
    }

    /// Frees a frame that came from [`allocate`](FrameAllocator::allocate) and is not in use any more.
    pub fn free(&mut self, frame: PhysFrame) {
        let address = frame.start_address().as_u64();
        // SAFETY: As the caller says, the frame is not in use.
        unsafe { self.physical_map.address::<u64>(address).write(self.freed) };
        self.freed = address;
        self.free += 1;
    }

    /// Takes `size` contiguous bytes for good, from the end of the largest region; less if the region is smaller.
    pub fn take_piece(&mut self, size: u64) -> Range<u64> {
        let largest = self.unused.iter_mut().max_by_key(|range| range.end - range.start);
        let largest = largest.expect("there is memory behind the kernel");
        let start = largest.end.saturating_sub(size / FRAME_SIZE * FRAME_SIZE).max(largest.start);
        let piece = start..largest.end;
        largest.end = start;
        self.free -= (piece.end - piece.start) / FRAME_SIZE;
        piece
    }
}
