//! The heap: a fixed piece of the program's own memory, which costs nothing until it is touched.

use core::alloc::{GlobalAlloc, Layout};
use linked_list_allocator::LockedHeap;

const SIZE: usize = 64 << 10;

static mut MEMORY: [u8; SIZE] = [0; SIZE];

/// The heap takes its memory when it is first asked for some.
struct Heap(LockedHeap);

#[global_allocator]
static HEAP: Heap = Heap(LockedHeap::empty());

// SAFETY: Both calls are passed on to an allocator that keeps the rules.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        {
            let mut heap = self.0.lock();
            if heap.size() == 0 {
                // SAFETY: Nothing else uses the memory, and this happens once.
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
