//! A task's memory: a list of regions, and the operations on it.
//!
//! Page frames are allocated together with their region: there is no paging, so an access within a region that its
//! protection allows succeeds. Each piece of an [`operation`] changes the list and the machine's page tables together, or
//! neither.

pub(crate) mod operation;

use super::Tasks;
use crate::ids::{TaskId, ThreadId};
use crate::limits::{REGIONS_PER_TASK_MAX, SEGMENTS_MAX};
use crate::machine::{NoMemory, Protection, USER_END, USER_START, UserAddr};
use abi::KernReturn;
use abi::code::*;
use abi::task::PAGE_SIZE;
use alloc::vec::Vec;

/// The lowest address that the kernel chooses for a region.
const ANYWHERE_START: u64 = 0x1_0000_0000;

/// The place for new memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an address that the kernel chooses.
    Anywhere,
    /// At this address, where the task must not have memory.
    At(UserAddr),
    /// At this address, in place of memory that the task may have there.
    Over(UserAddr),
}

/// An operation on a task's memory that is not finished.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operation {
    /// The thread that made the call. It may have ended.
    pub thread: ThreadId,
    /// What is left to do.
    pub todo: Todo,
}

/// What an operation has left to do, in a range of pages up to `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Todo {
    /// Map new pages from `at` on. Those from `start` to `at` are mapped.
    Map { start: u64, at: u64, end: u64, protection: Protection },
    /// Remove the regions, and return the code.
    Remove { start: u64, end: u64, code: KernReturn },
    /// Change the protection from `at` on.
    Protect { at: u64, end: u64, protection: Protection },
    /// Map the gaps from `at` on. Those from `start` to `at` have *hidden pages*, which are mapped and in no region: the
    /// range is replaced only when all pages are there.
    Fill { start: u64, at: u64, end: u64 },
    /// Unmap the hidden pages of the gaps, from the end on, because there is no memory for all.
    Empty { start: u64, end: u64 },
    /// Clear the pages from `at` on and make them one writable region. The gaps there have hidden pages.
    Clear { at: u64, end: u64 },
}

/// A range of pages with the same protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// Address behind the last byte.
    pub end: u64,
    /// The accesses that the task may make.
    pub protection: Protection,
}

impl Region {
    fn pages(&self) -> u64 {
        (self.end - self.start) / PAGE_SIZE
    }
}

/// The cost of a region's record on a budget, in bytes. A list of records doubles when it grows.
pub(crate) const REGION_COST: usize = 2 * size_of::<Region>();
/// The number of regions whose records every task pays for: as many as the largest program needs.
pub(crate) const REGIONS_AT_FIRST: usize = SEGMENTS_MAX + 2;
/// The number of records that a task pays for together.
const PAID_TOGETHER: usize = 16;
/// Regions that one operation adds at most.
const ADDED_MAX: usize = 3;

/// A task's regions, sorted by address. They do not overlap.
#[derive(Debug)]
pub struct Regions {
    list: Vec<Region>,
    pages: u64,
    /// The number of records that are on the task's budget.
    paid: usize,
    /// The operation that is not finished.
    operation: Option<Operation>,
}

impl Default for Regions {
    fn default() -> Self {
        Regions { list: Vec::new(), pages: 0, paid: REGIONS_AT_FIRST, operation: None }
    }
}

impl Regions {
    /// Returns the number of regions.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns true if the task has no memory.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns all regions, by address.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.list.iter()
    }

    /// Returns the number of pages of all regions.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Returns the number of records that are on the task's budget.
    pub(crate) fn paid(&self) -> usize {
        self.paid
    }

    /// Makes sure that an operation can add regions, if the task's budget has room for more records. `charge` charges it.
    pub(crate) fn pay(&mut self, charge: impl FnOnce(usize) -> Result<(), NoMemory>) {
        if self.list.len() + ADDED_MAX > self.paid && charge(PAID_TOGETHER * REGION_COST).is_ok() {
            self.paid += PAID_TOGETHER;
        }
    }

    /// Returns the index of the first region that ends behind `address`: the one that contains it, or the next one.
    fn index_from(&self, address: u64) -> usize {
        self.list.partition_point(|region| region.end <= address)
    }

    /// Returns the parts of a range that are in no region.
    fn gaps(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let regions = self.list[self.index_from(start)..].iter().take_while(move |region| region.start < end);
        let starts = core::iter::once(start).chain(regions.clone().map(|region| region.end));
        let ends = regions.map(|region| region.start).chain(core::iter::once(end));
        starts.zip(ends).filter(|(start, end)| start < end)
    }

    /// Returns the number of pages of a range that are in no region.
    fn missing_pages(&self, start: u64, end: u64) -> u64 {
        self.gaps(start, end).map(|(start, end)| (end - start) / PAGE_SIZE).sum()
    }

    /// Returns true if no page of the range is in a region.
    fn is_free(&self, start: u64, end: u64) -> bool {
        self.list.get(self.index_from(start)).is_none_or(|region| region.start >= end)
    }

    /// Returns the address of the first gap of at least `size` bytes among the addresses that the kernel chooses.
    fn find_gap(&self, size: u64) -> Option<u64> {
        let mut start = ANYWHERE_START;
        for region in &self.list[self.index_from(start)..] {
            if region.start >= start && region.start - start >= size {
                break;
            }
            start = region.end;
        }
        (USER_END.checked_sub(size)? >= start).then_some(start)
    }

    /// Makes room in the list for `more` regions.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out, the records are not [paid](Regions::pay) or the task would have too
    /// many regions; nothing has changed.
    fn reserve(&mut self, more: usize) -> Result<(), KernReturn> {
        if self.list.len() + more > REGIONS_PER_TASK_MAX.min(self.paid) {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        store::failpoints::check().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.list.try_reserve(more).map_err(|_| KERN_RESOURCE_SHORTAGE)
    }

    /// Splits the region that contains `address` at `address`, unless it starts there. The caller has made room for one
    /// more region.
    fn split_at(&mut self, address: u64) {
        let at = self.index_from(address);
        if let Some(region) = self.list.get_mut(at)
            && region.start < address
        {
            let rest = Region { start: address, ..*region };
            region.end = address;
            self.list.insert(at + 1, rest);
        }
    }

    /// Returns the number of regions that [`split_at`](Regions::split_at) adds: 1 or 0.
    fn splits_at(&self, address: u64) -> usize {
        let at = self.index_from(address);
        usize::from(self.list.get(at).is_some_and(|region| region.start < address))
    }

    /// Returns the indexes of the regions within a range, at whose ends regions have been split.
    fn inside(&self, start: u64, end: u64) -> core::ops::Range<usize> {
        self.index_from(start)..self.list.partition_point(|region| region.start < end)
    }

    /// Joins the regions at these indexes, and their neighbours, where one ends at the next and the protection is
    /// equal.
    fn merge_around(&mut self, range: core::ops::Range<usize>) {
        let first = range.start.saturating_sub(1);
        let mut at = first;
        for _ in first..range.end {
            let Some(&[a, b]) = self.list.get(at..at + 2).and_then(|pair| pair.first_chunk::<2>()) else { return };
            if a.end == b.start && a.protection == b.protection {
                self.list[at].end = b.end;
                self.list.remove(at + 1);
            } else {
                at += 1;
            }
        }
    }

    /// Panics unless the regions are sorted, apart and within user space, none can be joined with the next one, their
    /// number is within the limit and their pages are counted.
    pub fn check(&self) {
        let mut end = USER_START;
        for region in &self.list {
            assert!(
                region.start >= end && region.end > region.start && region.end <= USER_END,
                "{region:x?} overlaps another one or is outside user space"
            );
            end = region.end;
        }
        for pair in self.list.windows(2) {
            let apart = pair[0].end < pair[1].start || pair[0].protection != pair[1].protection;
            assert!(apart, "{pair:x?} are not joined");
        }
        assert!(self.list.len() <= REGIONS_PER_TASK_MAX, "there are {} regions", self.list.len());
        assert_eq!(self.list.iter().map(Region::pages).sum::<u64>(), self.pages, "pages are counted");
    }
}

/// Returns start and end of the pages that cover `size` bytes from `address` on.
///
/// # Errors
/// `KERN_INVALID_ADDRESS` if they are not all within user space.
fn page_range(address: UserAddr, size: u64) -> Result<(u64, u64), KernReturn> {
    let start = address.0 & !(PAGE_SIZE - 1);
    let end = address.0.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    match end {
        Some(end) if start >= USER_START && end <= USER_END => Ok((start, end)),
        _ => Err(KERN_INVALID_ADDRESS),
    }
}

/// Checks that the end of a range fits 64 bits.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT`.
fn check_wrap(address: UserAddr, size: u64) -> Result<(), KernReturn> {
    address.0.checked_add(size).map(|_| ()).ok_or(KERN_INVALID_ARGUMENT)
}

/// Returns the protection that a user asks for. A page that is writable or executable is readable as well, because the
/// processor cannot express other combinations.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT` for unknown bits, `KERN_PROTECTION_FAILURE` for pages that are writable and executable.
fn user_protection(bits: u32) -> Result<Protection, KernReturn> {
    let protection = Protection::from_bits(bits).ok_or(KERN_INVALID_ARGUMENT)?;
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err(KERN_PROTECTION_FAILURE);
    }
    Ok(if protection.is_empty() { protection } else { protection | Protection::READ })
}

impl Tasks {
    /// Returns the range of pages for `size` bytes of new memory, which must be more than 0. Changes nothing.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the size in whole pages does not fit 64 bits; `KERN_INVALID_ADDRESS` if the range is
    /// not within user space; `KERN_NO_SPACE` if the task has memory in the range, or has no gap of this size;
    /// `KERN_RESOURCE_SHORTAGE` if the task would have too many pages.
    pub(crate) fn find_room(&self, task: TaskId, place: Place, size: u64) -> Result<(u64, u64), KernReturn> {
        assert!(size > 0, "a region has at least one page");
        let rounded = size.checked_next_multiple_of(PAGE_SIZE).ok_or(KERN_INVALID_ARGUMENT)?;
        let regions = &self.tasks[task].regions;
        let (start, end) = match place {
            // The size is rounded by itself, and not the end: an address within a page adds none at the end.
            Place::At(address) | Place::Over(address) => page_range(UserAddr(address.0 & !(PAGE_SIZE - 1)), rounded)?,
            Place::Anywhere => {
                let start = regions.find_gap(rounded).ok_or(KERN_NO_SPACE)?;
                (start, start + rounded)
            }
        };
        if !matches!(place, Place::Over(_)) && !regions.is_free(start, end) {
            return Err(KERN_NO_SPACE);
        }
        if regions.missing_pages(start, end) > self.limits.pages_per_task.saturating_sub(regions.pages) {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        Ok((start, end))
    }
}

#[cfg(test)]
mod tests;
