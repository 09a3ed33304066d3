//! The kernel's heap, for the core's tables and messages: the memory behind the bookkeeping of [`kernel::heap`].

use super::frame_allocator::FrameAllocator;
use core::alloc::{GlobalAlloc, Layout};
use core::{mem, ptr, slice};
use kernel::heap::{Group, Heap, PAGE, Page};
use spin::Mutex;

#[global_allocator]
static HEAP: Global = Global(Mutex::new(Memory { start: 0, heap: Heap::empty() }));

/// The part of memory that the heap gets.
const SHARE: u64 = 8;
const LEAST: u64 = 4 << 20;
/// A heap knows no longer run than 2^16 - 1 pages.
const MOST: u64 = 255 << 20;

/// The allocator of the whole kernel. The lock is never waited for: there is one processor, and interrupts are off.
struct Global(Mutex<Memory>);

struct Memory {
    /// The address of the first page.
    start: usize,
    heap: Heap<'static>,
}

/// Gives the heap its memory, which begins with the records of its pages.
pub fn set_up(frames: &mut FrameAllocator) {
    let size = (frames.free_frames() * 4096 / SHARE).clamp(LEAST, MOST);
    let piece = frames.take_piece(size);
    let start = frames.physical_map().address::<Page>(piece.start);
    let size = (piece.end - piece.start) as usize;
    let groups = Group::count(size / PAGE);
    let for_groups = groups * mem::size_of::<Group>();
    let for_records = (for_groups + size / PAGE * mem::size_of::<Page>()).next_multiple_of(PAGE);
    let pages = (size - for_records) / PAGE;
    // SAFETY: The piece has just been taken for good and is mapped; it begins with a page, and its first `for_records`
    // bytes are kept for the two slices alone, which do not overlap and are all written before they are made. The first
    // of them ends where a record of a page may be, because both types have words.
    let (groups, records) = unsafe {
        let of_groups = start.cast::<Group>();
        (0..groups).for_each(|at| of_groups.add(at).write(Group::EMPTY));
        let of_pages = start.byte_add(for_groups);
        (0..pages).for_each(|at| of_pages.add(at).write(Page::UNUSED));
        (slice::from_raw_parts_mut(of_groups, groups), slice::from_raw_parts_mut(of_pages, pages))
    };
    let mut memory = HEAP.0.lock();
    *memory = Memory { start: start.expose_provenance() + for_records, heap: Heap::new(records, groups) };
}

/// Returns the number of free bytes.
pub fn free() -> u64 {
    HEAP.0.lock().heap.free_bytes() as u64
}

/// Returns the size in bytes of the largest allocation that would succeed.
pub fn largest_free() -> u64 {
    HEAP.0.lock().heap.largest_free() as u64
}

// SAFETY: The heap returns offsets of memory that nobody else has, with the size and alignment of the layout, as its
// tests show; behind its start there is that much memory, which belongs to the heap alone. Nothing here panics but for
// memory that the caller does not own.
unsafe impl GlobalAlloc for Global {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut memory = self.0.lock();
        match memory.heap.allocate(layout.size(), layout.align()) {
            Some(offset) => ptr::with_exposed_provenance_mut(memory.start + offset),
            None => ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        let mut memory = self.0.lock();
        let offset = object.addr() - memory.start;
        memory.heap.release(offset, layout.size(), layout.align());
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if Heap::is_same_place(layout.size(), size, layout.align()) {
            return object;
        }
        // SAFETY: The caller's layout has this alignment, and `size` fits it. The two allocations are different ones.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(object, new, layout.size().min(size));
                self.dealloc(object, layout);
            }
            new
        }
    }
}
