//! Following a chain of frame pointers through a stack, for the report of a panic.

use core::iter;
use core::ops::Range;

/// Functions that a backtrace shows at most.
const DEPTH: usize = 32;

/// Returns the return addresses in the frames of a stack, from the one at `frame_pointer` outwards. `read` reads a word
/// of the stack.
///
/// A frame begins with the address of the next one, further up, and a return address. What is no frame of this stack
/// ends the chain: the first value may be a user's, and the stack may be broken.
pub fn return_addresses(
    stack: Range<u64>,
    frame_pointer: u64,
    mut read: impl FnMut(u64) -> u64,
) -> impl Iterator<Item = u64> {
    let mut bottom = stack.start;
    let mut frame = frame_pointer;
    let next = move || {
        if !frame.is_multiple_of(8) || frame < bottom || frame >= stack.end.saturating_sub(8) {
            return None;
        }
        let (outer, address) = (read(frame), read(frame + 8));
        bottom = frame + 16;
        frame = outer;
        Some(address)
    };
    iter::from_fn(next).take(DEPTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const BOTTOM: u64 = 0xFFFF_9000_0000_0000;
    const WORDS: u64 = 64;
    const TOP: u64 = BOTTOM + WORDS * 8;

    /// The backtrace from a frame in a stack with these words; each other word is its own address.
    fn trace(frame_pointer: u64, words: &[(u64, u64)]) -> Vec<u64> {
        let read = |address: u64| {
            assert!(
                (BOTTOM..TOP).contains(&address) && address.is_multiple_of(8),
                "{address:#x} is no word of the stack"
            );
            words.iter().find(|(at, _)| *at == address).map_or(address, |(_, word)| *word)
        };
        return_addresses(BOTTOM..TOP, frame_pointer, read).collect()
    }

    #[test]
    fn a_chain_is_followed_to_its_end() {
        let (inner, outer) = (BOTTOM + 16, BOTTOM + 64);
        assert_eq!(trace(inner, &[(inner, outer), (inner + 8, 111), (outer, 0), (outer + 8, 222)]), [111, 222]);
    }

    #[test]
    fn frames_of_no_use_end_the_chain() {
        for wrong in
            [0, 1, 8, 0x7FFF_0000_0000, BOTTOM - 8, BOTTOM + 4, TOP - 8, TOP - 4, TOP, 1 << 63, u64::MAX - 7, u64::MAX]
        {
            assert_eq!(trace(wrong, &[]), [], "from {wrong:#x}");
            let first = TOP - 16;
            assert_eq!(trace(first, &[(first, wrong), (first + 8, 111)]), [111], "on to {wrong:#x}");
        }
    }

    #[test]
    fn a_chain_that_leads_back_ends() {
        let frame = BOTTOM + 160;
        for back in [frame, frame - 8, frame + 8, BOTTOM] {
            assert_eq!(trace(frame, &[(frame, back), (frame + 8, 111)]), [111], "back to {back:#x}");
        }
    }

    #[test]
    fn a_chain_ends_at_a_depth() {
        let stack = 0..1 << 20;
        let endless = return_addresses(stack, 0, |address| address + 16);
        assert_eq!(endless.count(), DEPTH);
    }
}
