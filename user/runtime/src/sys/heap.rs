//! The heap: a fixed part of the program's own memory, and more of it when that is used up.

use crate::task;
use abi::task::PAGE_SIZE;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use linked_list_allocator::LockedHeap;

/// Bytes with which each program begins.
const SIZE: usize = 64 << 10;
/// Bytes of the first piece that is added. Each further piece is twice as large as the one before.
const FIRST_ADDED: usize = 256 << 10;
/// The greatest number of pieces.
const PIECES: usize = 10;
/// Bytes that an allocation can cost beyond its size and its alignment.
const OVERHEAD: usize = 64;

static mut MEMORY: [u8; SIZE] = [0; SIZE];

/// Pieces of memory, each with an allocator of its own: an allocator can only grow where its memory ends.
struct Heap([LockedHeap; PIECES]);

#[global_allocator]
static HEAP: Heap = Heap([const { LockedHeap::empty() }; PIECES]);

/// Gives a piece its memory, if it has none yet and there is some. `needed` is what it must have room for.
fn set_up(number: usize, piece: &LockedHeap, needed: usize) {
    let mut piece = piece.lock();
    if piece.size() > 0 {
        return;
    }
    if number == 0 {
        // SAFETY: Only the heap uses the memory, and it is set up once.
        unsafe { piece.init((&raw mut MEMORY).cast(), SIZE) };
        return;
    }
    let wished = needed.max(FIRST_ADDED << (number - 1)).next_multiple_of(PAGE_SIZE as usize);
    let least = needed.next_multiple_of(PAGE_SIZE as usize);
    let sizes = [wished, least];
    let allocated = sizes.iter().find_map(|&size| Some((task::allocate(size as u64).ok()?, size)));
    if let Some((address, size)) = allocated {
        // SAFETY: The memory has just been allocated, is nobody else's, and is never deallocated.
        unsafe { piece.init(ptr::with_exposed_provenance_mut(address as usize), size) };
    }
}

// SAFETY: All calls go to allocators that keep the contract of `GlobalAlloc`, each with memory of its own. What one of
// them has allocated goes back to the same one.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let needed = layout.size().saturating_add(layout.align()).saturating_add(OVERHEAD);
        for (number, piece) in self.0.iter().enumerate() {
            set_up(number, piece, needed);
            // SAFETY: As the caller says.
            let allocated = unsafe { piece.alloc(layout) };
            if !allocated.is_null() {
                return allocated;
            }
            if piece.lock().size() == 0 {
                break;
            }
        }
        ptr::null_mut()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let owner = self.0.iter().find(|piece| {
            let piece = piece.lock();
            (piece.bottom()..piece.top()).contains(&pointer)
        });
        if let Some(piece) = owner {
            // SAFETY: The memory is this piece's, so this piece has allocated it; the rest is as the caller says.
            unsafe { piece.dealloc(pointer, layout) };
        }
    }
}
