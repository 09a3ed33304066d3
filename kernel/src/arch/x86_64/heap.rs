//! The kernel's heap, for the core's tables and messages.
//!
//! The core asks it fallibly, and most of its tables grow by doubling, so that the time of this simple allocator does
//! not matter; small messages do not come here at all (`ipc/message.rs`).

use super::frame_allocator::FrameAllocator;
use linked_list_allocator::LockedHeap;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// The part of memory that the heap gets.
const SHARE: u64 = 8;
const LEAST: u64 = 4 << 20;
const MOST: u64 = 256 << 20;

/// Gives the heap its memory.
pub fn set_up(frames: &mut FrameAllocator) {
    let size = (frames.free_frames() * 4096 / SHARE).clamp(LEAST, MOST);
    let piece = frames.take_piece(size);
    let start = frames.physical_map().address::<u8>(piece.start);
    // SAFETY: The piece has just been taken for good, it is mapped, and this is the only call.
    unsafe { HEAP.lock().init(start, (piece.end - piece.start) as usize) };
}

/// Returns the number of free bytes.
pub fn free() -> u64 {
    HEAP.lock().free() as u64
}
