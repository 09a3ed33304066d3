//! Address ranges.

/// The size of a page and of a frame.
pub const PAGE: u64 = 4096;

/// The addresses `start..end`, physical or virtual. `end` does not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// The first address behind; equal to `start` for an empty span.
    pub end: u64,
}

impl Span {
    /// `length` bytes from `start`, or `None` if they wrap around the end of the address space.
    pub fn new(start: u64, length: u64) -> Option<Self> {
        Some(Self { start, end: start.checked_add(length)? })
    }

    /// The number of bytes.
    pub fn length(&self) -> u64 {
        self.end - self.start
    }

    /// Returns true if it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }

    /// Returns true if `address` is inside.
    pub fn contains(&self, address: u64) -> bool {
        self.start <= address && address < self.end
    }

    /// Returns true if the two have a byte in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The pages that it touches, or `None` if the last one is at the very end of the address space.
    pub fn pages_touched(&self) -> Option<Self> {
        Some(Self { start: align_down(self.start, PAGE), end: align_up(self.end, PAGE)? })
    }

    /// The pages that lie completely inside; may be empty.
    pub fn pages_inside(&self) -> Self {
        let start = align_up(self.start, PAGE).unwrap_or(u64::MAX);
        Self { start, end: align_down(self.end, PAGE).max(start) }
    }
}

/// The multiple of `align` (a power of two) at or below `address`.
pub fn align_down(address: u64, align: u64) -> u64 {
    address & !(align - 1)
}

/// The multiple of `align` (a power of two) at or above `address`, or `None` if there is none below 2^64.
pub fn align_up(address: u64, align: u64) -> Option<u64> {
    address.checked_next_multiple_of(align)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_would_wrap_does_not_exist() {
        assert_eq!(Span::new(u64::MAX - 10, 11), None);
        assert_eq!(Span::new(u64::MAX - 10, 10), Some(Span { start: u64::MAX - 10, end: u64::MAX }));
        assert_eq!(Span { start: u64::MAX - 10, end: u64::MAX }.pages_touched(), None);
    }

    #[test]
    fn spans_that_only_meet_do_not_overlap() {
        let low = Span { start: 0x1000, end: 0x2000 };
        assert!(!low.overlaps(&Span { start: 0x2000, end: 0x3000 }));
        assert!(low.overlaps(&Span { start: 0x1FFF, end: 0x3000 }));
        assert!(low.contains(0x1FFF) && !low.contains(0x2000));
    }

    #[test]
    fn rounding_inside_loses_partial_pages_and_rounding_outside_completes_them() {
        let span = Span { start: 0x1001, end: 0x3FFF };
        assert_eq!(span.pages_inside(), Span { start: 0x2000, end: 0x3000 });
        assert_eq!(span.pages_touched(), Some(Span { start: 0x1000, end: 0x4000 }));
        assert!(Span { start: 0x1001, end: 0x1FFF }.pages_inside().is_empty());
    }
}
