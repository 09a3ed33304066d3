//! Free runs of pages, by length: taking and releasing one takes constant time.
//!
//! A free run is in the list of its bin. Runs of up to [`EXACT`] pages have a bin for each length; above that each
//! doubling has [`PARTS`] bins. A run comes from the lowest bin all of whose runs are long enough, so no list is
//! searched. Only if there is none, the first few runs of the bin below are looked at.
//!
//! The first and the last page of a free run know its length, so that a released run finds its neighbours.

use super::page::{Kind, NONE, Page};

/// Runs of up to this number of pages have a bin for each length.
const EXACT: u32 = 16;

/// Bins for each doubling of the length above.
const PARTS: u32 = 4;

/// All bins, as many as bits in the mask of those that are not empty.
const BINS: usize = 64;

/// Runs of a bin that are looked at if it is not certain that all of them are long enough.
const LOOKS: usize = 8;

/// The heads of the lists of free runs.
#[derive(Debug)]
pub(super) struct Runs {
    heads: [u32; BINS],
    /// A bit for each bin that is not empty.
    mask: u64,
    /// The number of free pages.
    free: u32,
}

/// Returns the bin of runs of this length.
const fn bin_of(length: u32) -> usize {
    if length <= EXACT {
        return length as usize - 1;
    }
    let doubling = length.ilog2();
    let part = length >> (doubling - PARTS.ilog2()) & (PARTS - 1);
    let bin = EXACT + (doubling - EXACT.ilog2()) * PARTS + part;
    if bin < BINS as u32 { bin as usize } else { BINS - 1 }
}

/// Returns the lowest bin all of whose runs have at least this length. There may be none: then it is [`BINS`].
const fn bin_that_fits(length: u32) -> usize {
    let bin = bin_of(length);
    let shortest_is_enough = length <= EXACT || bin_of(length - 1) != bin;
    if shortest_is_enough { bin } else { bin + 1 }
}

impl Runs {
    /// Returns an empty list.
    pub(super) const fn new() -> Runs {
        Runs { heads: [NONE; BINS], mask: 0, free: 0 }
    }

    /// Returns the number of free pages.
    #[cfg(test)]
    pub(super) const fn free(&self) -> u32 {
        self.free
    }

    /// Takes a run of `length` pages, and returns its first page. Single pages come from the front of a free run and
    /// others from its end, so that small objects and large ones stay apart.
    pub(super) fn take(&mut self, pages: &mut [Page], length: u32) -> Option<u32> {
        let found = self.find(pages, length)?;
        let whole = pages[found as usize].length;
        self.unlink(pages, found);
        let (first, rest) = match whole - length {
            0 => (found, found),
            _ if length == 1 => (found, found + 1),
            left => (found + left, found),
        };
        if whole > length {
            self.link(pages, rest, whole - length);
        }
        for end in [first, first + length - 1] {
            pages[end as usize] = Page { kind: Kind::Run, length, ..Page::UNUSED };
        }
        self.free -= length;
        Some(first)
    }

    /// Returns the first page of a free run of at least this length.
    fn find(&self, pages: &[Page], length: u32) -> Option<u32> {
        let bin = bin_that_fits(length);
        let fitting = if bin < BINS { self.mask >> bin } else { 0 };
        if fitting != 0 {
            return Some(self.heads[bin + fitting.trailing_zeros() as usize]);
        }
        self.list(pages, bin_of(length)).take(LOOKS).find(|&run| pages[run as usize].length >= length)
    }

    /// Returns the runs of a bin.
    fn list<'a>(&self, pages: &'a [Page], bin: usize) -> impl Iterator<Item = u32> + use<'a> {
        let some = |run: u32| (run != NONE).then_some(run);
        core::iter::successors(some(self.heads[bin]), move |&run| some(pages[run as usize].next))
    }

    /// Returns the length of the longest run that [`take`](Runs::take) finds.
    pub(super) fn longest(&self, pages: &[Page]) -> u32 {
        if self.mask == 0 {
            return 0;
        }
        let runs = self.list(pages, self.mask.ilog2() as usize).take(LOOKS);
        runs.map(|run| pages[run as usize].length).max().unwrap_or(0)
    }

    /// Releases a run and joins it with the free ones before and behind it.
    pub(super) fn release(&mut self, pages: &mut [Page], first: u32, length: u32) {
        self.free += length;
        let (mut start, mut end) = (first, first + length);
        if start > 0
            && let Page { kind: Kind::Free, length, .. } = pages[start as usize - 1]
        {
            start -= length;
            self.unlink(pages, start);
        }
        if let Some(&Page { kind: Kind::Free, length, .. }) = pages.get(end as usize) {
            self.unlink(pages, end);
            end += length;
        }
        self.link(pages, start, end - start);
    }

    fn link(&mut self, pages: &mut [Page], first: u32, length: u32) {
        let bin = bin_of(length);
        let next = core::mem::replace(&mut self.heads[bin], first);
        let free = Page { kind: Kind::Free, length, next, ..Page::UNUSED };
        pages[(first + length - 1) as usize] = free;
        pages[first as usize] = free;
        if next == NONE {
            self.mask |= 1 << bin;
        } else {
            pages[next as usize].previous = first;
        }
    }

    fn unlink(&mut self, pages: &mut [Page], first: u32) {
        let Page { kind, length, previous, next, .. } = pages[first as usize];
        assert!(kind == Kind::Free, "page {first} is on a list of free runs but in use");
        let bin = bin_of(length);
        if previous == NONE {
            self.heads[bin] = next;
            if next == NONE {
                self.mask &= !(1 << bin);
            }
        } else {
            pages[previous as usize].next = next;
        }
        if next != NONE {
            pages[next as usize].previous = previous;
        }
    }

    /// Panics unless the lists have exactly the free runs that the pages tell of.
    #[cfg(test)]
    pub(super) fn check(&self, pages: &[Page]) {
        let mut listed = 0;
        for bin in 0..BINS {
            assert_eq!(self.mask >> bin & 1 == 1, self.heads[bin] != NONE, "the bit of bin {bin}");
            for run in self.list(pages, bin) {
                let Page { kind, length, .. } = pages[run as usize];
                assert_eq!((kind, bin_of(length)), (Kind::Free, bin), "the run at {run}");
                let last = pages[(run + length - 1) as usize];
                assert_eq!((last.kind, last.length), (Kind::Free, length), "the end of the run at {run}");
                let behind = pages.get((run + length) as usize);
                assert!(behind.is_none_or(|page| page.kind != Kind::Free), "two free runs touch at {}", run + length);
                listed += length;
            }
        }
        assert_eq!(listed, self.free, "the number of free pages");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_in_order_and_each_length_has_one() {
        for length in 1..65_536 {
            let bin = bin_of(length);
            assert!(bin < BINS && (length == 1 || bin >= bin_of(length - 1)), "{length}");
            let fits = bin_that_fits(length);
            assert!(fits == bin || fits == bin + 1, "{length}");
            assert!(fits == bin || bin_of(length - 1) == bin, "a bin whose runs are long enough is used: {length}");
        }
        assert_eq!([1, 16, 17, 20, 65_535].map(bin_of), [0, 15, 16, 17, 63]);
        assert_eq!([16, 17, 18, 20, 21].map(bin_that_fits), [15, 16, 17, 17, 18]);
    }
}
