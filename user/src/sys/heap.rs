//! The heap: a fixed part of the program's own memory.

use core::alloc::{GlobalAlloc, Layout};
use linked_list_allocator::LockedHeap;

const SIZE: usize = 64 << 10;

static mut MEMORY: [u8; SIZE] = [0; SIZE];

/// An allocator that is set up by the first allocation.
struct Heap(LockedHeap);

#[global_allocator]
static HEAP: Heap = Heap(LockedHeap::empty());

// SAFETY: Both calls go to an allocator that keeps the contract of `GlobalAlloc`.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        {
            let mut heap = self.0.lock();
            if heap.size() == 0 {
                // SAFETY: Only the heap uses the memory, and it is set up once.
                unsafe { heap.init((&raw mut MEMORY).cast(), SIZE) };
            }
        }
        // SAFETY: As the caller says.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: As the caller says.
        unsafe { self.0.dealloc(pointer, layout) };
    }
}
