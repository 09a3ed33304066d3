//! A task's memory: which ranges it has and what it may do there.
//!
//! Memory is there as soon as it is allocated: there is no paging, so a user address is good or bad for good reasons
//! only. The region list is what the kernel believes; [`Machine::map`] makes it so.

use crate::kernel::Kernel;
use crate::limits::REGIONS_PER_TASK_MAX;
use crate::machine::{Machine, Protection, USER_END, USER_START, UserAddr};
use crate::task::{Task, TaskId};
use abi::KernReturn;
use abi::code::*;
use abi::task::PAGE_SIZE;
use alloc::vec::Vec;

/// Where addresses that the kernel chooses begin.
const ANYWHERE_START: u64 = 0x1_0000_0000;

/// Pages taken from a dead task in one piece.
const UNMAP_PIECE: u64 = 256;

/// Pages with the same protection, next to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
    /// What the task may do there.
    pub protection: Protection,
}

impl Region {
    fn pages(&self) -> u64 {
        (self.end - self.start) / PAGE_SIZE
    }
}

/// A task's regions, by address, never overlapping.
#[derive(Debug, Default)]
pub struct Regions {
    list: Vec<Region>,
    pages: u64,
}

impl Regions {
    /// Number of regions.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether the task has no memory.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All regions.
    pub fn iter(&self) -> impl Iterator<Item = &Region> {
        self.list.iter()
    }

    /// Pages of memory.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Index of the first region that ends behind `address`.
    fn first_behind(&self, address: u64) -> usize {
        self.list.partition_point(|region| region.end <= address)
    }

    /// Whether no region touches the range.
    fn is_free(&self, start: u64, end: u64) -> bool {
        self.list.get(self.first_behind(start)).is_none_or(|region| region.start >= end)
    }

    /// The first gap of `size` bytes where the kernel chooses addresses.
    fn find_gap(&self, size: u64) -> Option<u64> {
        let mut start = ANYWHERE_START;
        for region in &self.list[self.first_behind(start)..] {
            if region.start >= start && region.start - start >= size {
                break;
            }
            start = region.end;
        }
        (USER_END.checked_sub(size)? >= start).then_some(start)
    }

    /// Makes room for `more` entries.
    fn reserve(&mut self, more: usize) -> Result<(), KernReturn> {
        if self.list.len() + more > REGIONS_PER_TASK_MAX {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        store::failpoints::check().map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.list.try_reserve(more).map_err(|_| KERN_RESOURCE_SHORTAGE)
    }

    /// Splits the regions that contain `start` and `end` there, if any; there is room for two more.
    fn split_at(&mut self, address: u64) {
        let at = self.first_behind(address);
        if let Some(region) = self.list.get_mut(at)
            && region.start < address
        {
            let rest = Region { start: address, ..*region };
            region.end = address;
            self.list.insert(at + 1, rest);
        }
    }

    /// How many regions more there are after [`split_at`](Regions::split_at): one, or none.
    fn splits_at(&self, address: u64) -> usize {
        let at = self.first_behind(address);
        usize::from(self.list.get(at).is_some_and(|region| region.start < address))
    }

    /// The indexes of the regions inside a range at whose ends regions were split.
    fn inside(&self, start: u64, end: u64) -> core::ops::Range<usize> {
        self.first_behind(start)..self.list.partition_point(|region| region.start < end)
    }

    /// Joins a region with its neighbours where they do not differ.
    fn merge_around(&mut self, range: core::ops::Range<usize>) {
        let first = range.start.saturating_sub(1);
        let mut at = first;
        for _ in first..=range.end {
            let Some(&[a, b]) = self.list.get(at..at + 2).and_then(|pair| pair.first_chunk::<2>()) else { return };
            if a.end == b.start && a.protection == b.protection {
                self.list[at].end = b.end;
                self.list.remove(at + 1);
            } else {
                at += 1;
            }
        }
    }

    /// Panics unless the regions are what they should be.
    pub fn check(&self) {
        let mut end = USER_START;
        for region in &self.list {
            assert!(
                region.start >= end && region.end > region.start && region.end <= USER_END,
                "{region:x?} is astray"
            );
            end = region.end;
        }
        assert_eq!(self.list.iter().map(Region::pages).sum::<u64>(), self.pages, "pages are counted");
    }
}

/// A page-aligned range that covers `size` bytes from `address` on, inside the user part.
fn page_range(address: UserAddr, size: u64) -> Result<(u64, u64), KernReturn> {
    let start = address.0 & !(PAGE_SIZE - 1);
    let end = address.0.checked_add(size).and_then(|end| end.checked_next_multiple_of(PAGE_SIZE));
    match end {
        Some(end) if start >= USER_START && end <= USER_END => Ok((start, end)),
        _ => Err(KERN_INVALID_ADDRESS),
    }
}

/// What a user may ask for: no page is both writable and executable, and what can be written or run can be read.
fn user_protection(bits: u32) -> Result<Protection, KernReturn> {
    let protection = Protection::from_bits(bits).ok_or(KERN_INVALID_ARGUMENT)?;
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err(KERN_PROTECTION_FAILURE);
    }
    Ok(if protection.is_empty() { protection } else { protection | Protection::READ })
}

impl Kernel {
    /// Where memory of a task would go: from the first to behind the last page.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for size 0; `KERN_INVALID_ADDRESS` if the range leaves the user part; `KERN_NO_SPACE` if
    /// it is not free, or nothing of this size is; `KERN_RESOURCE_SHORTAGE` if the task has too much memory already.
    pub(crate) fn find_room(&self, task: TaskId, fixed: Option<UserAddr>, size: u64) -> Result<(u64, u64), KernReturn> {
        if size == 0 {
            return Err(KERN_INVALID_ARGUMENT);
        }
        let size_in_pages = size.div_ceil(PAGE_SIZE);
        let limit = self.limits.pages_per_task;
        let regions = &self.tasks[task].regions;
        let (start, end) = match fixed {
            Some(address) => page_range(address, size)?,
            None if size_in_pages > limit => return Err(KERN_RESOURCE_SHORTAGE),
            None => {
                let start = regions.find_gap(size_in_pages * PAGE_SIZE).ok_or(KERN_NO_SPACE)?;
                (start, start + size_in_pages * PAGE_SIZE)
            }
        };
        if !regions.is_free(start, end) {
            return Err(KERN_NO_SPACE);
        }
        if (end - start) / PAGE_SIZE > limit.saturating_sub(regions.pages) {
            return Err(KERN_RESOURCE_SHORTAGE);
        }
        Ok((start, end))
    }

    /// Gives a task zeroed memory, at an address of the kernel's choice or at `fixed`; returns where.
    ///
    /// # Errors
    /// Those of [`find_room`](Kernel::find_room), and `KERN_RESOURCE_SHORTAGE` if there is no memory. Nothing has changed
    /// then.
    pub(crate) fn vm_allocate(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        fixed: Option<UserAddr>,
        size: u64,
        protection: Protection,
    ) -> Result<UserAddr, KernReturn> {
        let (start, end) = self.find_room(task, fixed, size)?;
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        let region = Region { start, end, protection };
        regions.reserve(1)?;
        let address = UserAddr(start);
        m.map(*address_space, address, region.pages(), protection).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        let at = regions.first_behind(start);
        regions.list.insert(at, region);
        regions.pages += region.pages();
        regions.merge_around(at..at + 1);
        Ok(address)
    }

    /// Takes memory away from a task. What was not there stays not there.
    ///
    /// # Errors
    /// `KERN_INVALID_ADDRESS` if the range leaves the user part; `KERN_RESOURCE_SHORTAGE` if there is no memory to
    /// remember a split region. Nothing has changed then.
    pub(crate) fn vm_deallocate(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        address: UserAddr,
        size: u64,
    ) -> Result<(), KernReturn> {
        if size == 0 {
            return Ok(());
        }
        let (start, end) = page_range(address, size)?;
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        regions.reserve(regions.splits_at(start) + regions.splits_at(end))?;
        regions.split_at(start);
        regions.split_at(end);
        let doomed = regions.inside(start, end);
        for region in &regions.list[doomed.clone()] {
            m.unmap(*address_space, UserAddr(region.start), region.pages());
            regions.pages -= region.pages();
        }
        regions.list.drain(doomed);
        Ok(())
    }

    /// Changes what a task may do in a range of its memory.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for unknown bits; `KERN_PROTECTION_FAILURE` for memory that is writable and executable;
    /// `KERN_INVALID_ADDRESS` if the range leaves the user part or is not all allocated; `KERN_RESOURCE_SHORTAGE` if
    /// there is no memory to remember split regions. Nothing has changed then.
    pub(crate) fn vm_protect(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        address: UserAddr,
        size: u64,
        protection: u32,
    ) -> Result<(), KernReturn> {
        let protection = user_protection(protection)?;
        if size == 0 {
            return Ok(());
        }
        let (start, end) = page_range(address, size)?;
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        let mut covered = start;
        for region in &regions.list[regions.first_behind(start)..] {
            if region.start > covered || covered >= end {
                break;
            }
            covered = region.end;
        }
        if covered < end {
            return Err(KERN_INVALID_ADDRESS);
        }
        regions.reserve(regions.splits_at(start) + regions.splits_at(end))?;
        regions.split_at(start);
        regions.split_at(end);
        let changed = regions.inside(start, end);
        for region in &mut regions.list[changed.clone()] {
            m.protect(*address_space, UserAddr(region.start), region.pages(), protection);
            region.protection = protection;
        }
        regions.merge_around(changed);
        Ok(())
    }

    /// Takes some of an ended task's memory away; tells whether there was any.
    pub(crate) fn unmap_some(&mut self, m: &mut dyn Machine, task: TaskId) -> bool {
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        let Some(last) = regions.list.last_mut() else { return false };
        let pages = last.pages().min(UNMAP_PIECE);
        last.end -= pages * PAGE_SIZE;
        regions.pages -= pages;
        m.unmap(*address_space, UserAddr(last.end), pages);
        if last.start == last.end {
            regions.list.pop();
        }
        true
    }
}
