//! The heap: free lists for small sizes, and in front of them memory for everything else, which grows when it is used up.
//!
//! A small allocation takes the first piece of the list of its size, and gives it back there. The lock lends the class of
//! a thread that waits for it.

use super::mutex::Mutex;
use crate::task;
use abi::task::PAGE_SIZE;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use linked_list_allocator::Heap as Piece;

/// Bytes with which each program begins.
const SIZE: usize = 64 << 10;
/// Bytes of the first piece that is added. Each further piece is twice as large as the one before.
const FIRST_ADDED: usize = 256 << 10;
/// The greatest number of pieces.
const PIECES: usize = 10;
/// Bytes that an allocation can cost beyond its size and its alignment.
const OVERHEAD: usize = 64;

/// The sizes of small allocations are multiples of this, and so are their addresses.
const STEP: usize = 16;
/// The bytes of the largest small allocation.
const SMALL_MAX: usize = 1024;
/// The number of sizes of small allocations.
const SIZES: usize = SMALL_MAX / STEP;
/// Bytes that are taken from a piece at a time and cut into small allocations.
const CHUNK: usize = 4096;

static mut MEMORY: [u8; SIZE] = [0; SIZE];

/// A small allocation that is free.
struct Free {
    next: Option<NonNull<Free>>,
}

/// Memory that is free or in use.
struct Heap {
    /// The small allocations that are free, by their sizes.
    small: [Option<NonNull<Free>>; SIZES],
    /// The memory that is not cut into small allocations yet: the bytes from here to there.
    uncut: (usize, usize),
    /// Pieces of memory, each with an allocator of its own: an allocator can only grow where its memory ends.
    pieces: [Piece; PIECES],
    /// The bytes that the program uses.
    used: usize,
}

// SAFETY: The heap refers to memory that it owns.
unsafe impl Send for Heap {}

/// The heap of the program.
struct Global(Mutex<Heap>);

#[global_allocator]
static HEAP: Global = Global(Mutex::new(Heap {
    small: [None; SIZES],
    uncut: (0, 0),
    pieces: [const { Piece::empty() }; PIECES],
    used: 0,
}));

/// Returns the bytes that the program has allocated and not given back.
pub(crate) fn used() -> usize {
    HEAP.0.lock().used
}

/// Returns the number of the list for small allocations like this one, or `None` if it is not small.
#[inline(always)]
fn list_of(layout: Layout) -> Option<usize> {
    let (size, align) = (layout.size(), layout.align());
    (size <= SMALL_MAX && align <= STEP).then_some(size.wrapping_sub(1) / STEP % SIZES)
}

impl Heap {
    /// Cuts off memory for a small allocation of list `number`, whose list is empty.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, number: usize) -> *mut u8 {
        let size = (number + 1) * STEP;
        if self.uncut.1 - self.uncut.0 < size {
            let chunk = self.allocate_large(Layout::from_size_align(CHUNK, STEP).expect("a valid layout"));
            if chunk.is_null() {
                return chunk;
            }
            self.keep_rest();
            self.uncut = (chunk.expose_provenance(), chunk.expose_provenance() + CHUNK);
        }
        let at = self.uncut.0;
        self.uncut.0 += size;
        ptr::with_exposed_provenance_mut(at)
    }

    /// Puts what is left of a chunk, which is less than is wanted, onto the list for its size.
    fn keep_rest(&mut self) {
        let (start, end) = self.uncut;
        if let Some(number) = ((end - start) / STEP).checked_sub(1) {
            // SAFETY: The memory is a part of a chunk that is in no list.
            unsafe { self.give_back(number, ptr::with_exposed_provenance_mut(start)) };
        }
    }

    /// Puts a small allocation onto its list.
    ///
    /// # Safety
    /// The memory is of the list's size, and nobody uses it.
    #[inline(always)]
    unsafe fn give_back(&mut self, number: usize, pointer: *mut u8) {
        let free = pointer.cast::<Free>();
        // SAFETY: As the caller says; it is aligned, because all sizes and chunks are multiples of `STEP`.
        unsafe { free.write(Free { next: self.small[number] }) };
        self.small[number] = NonNull::new(free);
    }

    /// Gives a piece its memory, if it has none yet and there is some. `needed` is what it must have room for.
    fn set_up(&mut self, number: usize, needed: usize) {
        let piece = &mut self.pieces[number];
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

    /// Allocates from the first piece that has room.
    #[cold]
    #[inline(never)]
    fn allocate_large(&mut self, layout: Layout) -> *mut u8 {
        let needed = layout.size().saturating_add(layout.align()).saturating_add(OVERHEAD);
        for number in 0..PIECES {
            self.set_up(number, needed);
            if let Ok(allocated) = self.pieces[number].allocate_first_fit(layout) {
                return allocated.as_ptr();
            }
            if self.pieces[number].size() == 0 {
                break;
            }
        }
        ptr::null_mut()
    }

    /// Gives memory back to its piece.
    ///
    /// # Safety
    /// As for [`GlobalAlloc::dealloc`]; the memory is from [`allocate_large`](Heap::allocate_large).
    #[cold]
    #[inline(never)]
    unsafe fn give_back_large(&mut self, pointer: *mut u8, layout: Layout) {
        let owner = self.pieces.iter_mut().find(|piece| (piece.bottom()..piece.top()).contains(&pointer));
        if let (Some(piece), Some(pointer)) = (owner, NonNull::new(pointer)) {
            // SAFETY: The memory is this piece's, so this piece has allocated it; the rest is as the caller says.
            unsafe { piece.deallocate(pointer, layout) };
        }
    }
}

// SAFETY: Each allocation is memory that is in no list and that no other allocation has: it was taken from its list, cut
// off a chunk, or allocated by a piece, whose allocator keeps the contract of `GlobalAlloc`. A small layout has the same
// list when it is given back, and other memory goes back to the piece that has allocated it.
unsafe impl GlobalAlloc for Global {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.lock();
        let pointer = match list_of(layout) {
            Some(number) => match heap.small[number] {
                Some(free) => {
                    // SAFETY: What is in a list is free, and holds what `give_back` has written.
                    heap.small[number] = unsafe { free.as_ref() }.next;
                    free.as_ptr().cast()
                }
                None => heap.cut(number),
            },
            None => heap.allocate_large(layout),
        };
        if !pointer.is_null() {
            heap.used = heap.used.wrapping_add(layout.size());
        }
        pointer
    }

    #[inline(always)]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let mut heap = self.0.lock();
        heap.used = heap.used.wrapping_sub(layout.size());
        match list_of(layout) {
            // SAFETY: The layout is that of the allocation, so the memory is of this size; nobody uses it any more.
            Some(number) => unsafe { heap.give_back(number, pointer) },
            // SAFETY: As the caller says; a layout that is not small has been allocated by a piece.
            None => unsafe { heap.give_back_large(pointer, layout) },
        }
    }
}
