//! Page frames: the memory behind everything.

use bootloader_api::info::{MemoryRegion, MemoryRegionKind};
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
    /// The map that begins at `offset`.
    pub fn new(offset: u64) -> PhysicalMap {
        PhysicalMap { offset }
    }

    /// The kernel's address of a physical address.
    pub fn address<T>(self, physical: u64) -> *mut T {
        core::ptr::with_exposed_provenance_mut((self.offset + physical) as usize)
    }
}

/// The free frames.
///
/// Two kinds: what has never been used, as ranges, so that nothing has to be done for each frame at the start; and what
/// was used and given back, linked through the frames themselves.
#[derive(Debug)]
pub struct FrameAllocator {
    physical_map: PhysicalMap,
    unused: Vec<Range<u64>, REGIONS_MAX>,
    /// The first frame of the list; each holds the address of the next. Address 0 ends it: that frame is never usable.
    given_back: u64,
    free: u64,
}

impl FrameAllocator {
    /// All frames that the boot loader found usable.
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
        FrameAllocator { physical_map, unused, given_back: 0, free }
    }

    /// Where frames can be looked into.
    pub fn physical_map(&self) -> PhysicalMap {
        self.physical_map
    }

    /// How many frames are free.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// A frame full of zeros.
    ///
    /// # Errors
    /// [`NoMemory`].
    pub fn take(&mut self) -> Result<PhysFrame, NoMemory> {
        let address = if self.given_back != 0 {
            let address = self.given_back;
            // SAFETY: FrameAllocator in the list belong to it, and `give_back` wrote the next one's address there.
            self.given_back = unsafe { self.physical_map.address::<u64>(address).read() };
            address
        } else {
            let range = self.unused.iter_mut().find(|range| !range.is_empty()).ok_or(NoMemory)?;
            range.start += FRAME_SIZE;
            range.start - FRAME_SIZE
        };
        self.free -= 1;
        // SAFETY: The frame is in nobody's use any more and mapped as a whole.
        unsafe { self.physical_map.address::<u64>(address).write_bytes(0, FRAME_SIZE as usize / 8) };
        Ok(PhysFrame::containing_address(PhysAddr::new(address)))
    }

    /// Takes back a frame that came from [`take`](FrameAllocator::take) and that nothing refers to any more.
    pub fn give_back(&mut self, frame: PhysFrame) {
        let address = frame.start_address().as_u64();
        // SAFETY: As the caller says, nobody uses the frame.
        unsafe { self.physical_map.address::<u64>(address).write(self.given_back) };
        self.given_back = address;
        self.free += 1;
    }

    /// Takes `size` bytes in one piece, for good, from the largest region; as much as is there, at most.
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
