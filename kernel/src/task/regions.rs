//! A task's memory: which ranges it has and what it may do there.
//!
//! Memory is there as soon as it is allocated: there is no paging, so a user address is good or bad for good reasons
//! only. The region list is what the kernel believes; [`Machine::map`] makes it so.

use super::{Task, Tasks};
use crate::ids::TaskId;
use crate::limits::REGIONS_PER_TASK_MAX;
use crate::machine::{Machine, Protection, USER_END, USER_START, UserAddr};
use abi::KernReturn;
use abi::code::*;
use abi::task::PAGE_SIZE;
use alloc::vec::Vec;

/// Where addresses that the kernel chooses begin.
const ANYWHERE_START: u64 = 0x1_0000_0000;

/// Pages taken from a dead task in one piece.
const UNMAP_PIECE: u64 = 256;

/// The contents of a fresh page.
const ZEROES: [u8; PAGE_SIZE as usize] = [0; PAGE_SIZE as usize];

/// Where memory is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At an address of the kernel's choice.
    Anywhere,
    /// At an address where there is no memory.
    At(UserAddr),
    /// At an address whatever is there.
    Over(UserAddr),
}

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

    /// Returns the parts of a range that no region touches.
    fn gaps(&self, start: u64, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let regions = self.list[self.first_behind(start)..].iter().take_while(move |region| region.start < end);
        let starts = core::iter::once(start).chain(regions.clone().map(|region| region.end));
        let ends = regions.map(|region| region.start).chain(core::iter::once(end));
        starts.zip(ends).filter(|(start, end)| start < end)
    }

    /// Returns the number of pages that a task would have more with the whole of a range.
    fn missing_pages(&self, start: u64, end: u64) -> u64 {
        self.gaps(start, end).map(|(start, end)| (end - start) / PAGE_SIZE).sum()
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

/// Checks that a range does not end behind the last address that 64 bits can hold.
///
/// # Errors
/// `KERN_INVALID_ARGUMENT`.
fn check_wrap(address: UserAddr, size: u64) -> Result<(), KernReturn> {
    address.0.checked_add(size).map(|_| ()).ok_or(KERN_INVALID_ARGUMENT)
}

/// What a user may ask for: no page is both writable and executable, and what can be written or run can be read.
fn user_protection(bits: u32) -> Result<Protection, KernReturn> {
    let protection = Protection::from_bits(bits).ok_or(KERN_INVALID_ARGUMENT)?;
    if protection.contains(Protection::WRITE | Protection::EXECUTE) {
        return Err(KERN_PROTECTION_FAILURE);
    }
    Ok(if protection.is_empty() { protection } else { protection | Protection::READ })
}

impl Tasks {
    /// Returns where memory of a task would go: from the first to behind the last page. The size is more than 0.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for a size that is more than all pages there can be; `KERN_INVALID_ADDRESS` if the range
    /// leaves the user part; `KERN_NO_SPACE` if it is not free, or nothing of this size is; `KERN_RESOURCE_SHORTAGE` if
    /// the task has too much memory already.
    pub(crate) fn find_room(&self, task: TaskId, place: Place, size: u64) -> Result<(u64, u64), KernReturn> {
        assert!(size > 0, "a region has at least one page");
        let rounded = size.checked_next_multiple_of(PAGE_SIZE).ok_or(KERN_INVALID_ARGUMENT)?;
        let regions = &self.tasks[task].regions;
        let (start, end) = match place {
            Place::At(address) | Place::Over(address) => page_range(address, size)?,
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

    /// Gives a task zeroed memory, at an address of the kernel's choice or at `fixed`; returns where.
    ///
    /// # Errors
    /// Those of [`find_room`](Tasks::find_room), and `KERN_RESOURCE_SHORTAGE` if there is no memory. Nothing has changed
    /// then.
    pub(crate) fn vm_allocate(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        fixed: Option<UserAddr>,
        size: u64,
        protection: Protection,
    ) -> Result<UserAddr, KernReturn> {
        let place = fixed.map_or(Place::Anywhere, Place::At);
        let (start, end) = self.find_room(task, place, size)?;
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

    /// Gives a task zeroed, writable memory in a range that [`find_room`](Tasks::find_room) returned for
    /// [`Place::Over`]. Pages that the task has there stay, with new contents, so that only the others can be wanting.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if there is no memory. Nothing has changed then.
    pub(crate) fn vm_replace(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        start: u64,
        end: u64,
    ) -> Result<(), KernReturn> {
        let Task { regions, address_space: space, .. } = &mut self.tasks[task];
        let region = Region { start, end, protection: Protection::READ | Protection::WRITE };
        let pages = |(start, end): (u64, u64)| (end - start) / PAGE_SIZE;
        regions.reserve(1 + regions.splits_at(start) + regions.splits_at(end))?;
        for gap in regions.gaps(start, end) {
            if m.map(*space, UserAddr(gap.0), pages(gap), region.protection).is_err() {
                regions.gaps(start, gap.0).for_each(|done| m.unmap(*space, UserAddr(done.0), pages(done)));
                return Err(KERN_RESOURCE_SHORTAGE);
            }
        }
        regions.split_at(start);
        regions.split_at(end);
        let replaced = regions.inside(start, end);
        for old in &regions.list[replaced.clone()] {
            m.protect(*space, UserAddr(old.start), old.pages(), region.protection);
            for page in (old.start..old.end).step_by(PAGE_SIZE as usize) {
                m.load(*space, UserAddr(page), &ZEROES);
            }
            regions.pages -= old.pages();
        }
        let at = replaced.start;
        regions.list.drain(replaced);
        regions.list.insert(at, region);
        regions.pages += region.pages();
        regions.merge_around(at..at + 1);
        Ok(())
    }

    /// Takes memory away from a task. What was not there stays not there.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the range wraps; `KERN_INVALID_ADDRESS` if it leaves the user part;
    /// `KERN_RESOURCE_SHORTAGE` if there is no memory to remember a split region. Nothing has changed then.
    pub(crate) fn vm_deallocate(
        &mut self,
        m: &mut dyn Machine,
        task: TaskId,
        address: UserAddr,
        size: u64,
    ) -> Result<(), KernReturn> {
        check_wrap(address, size)?;
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
    /// `KERN_INVALID_ARGUMENT` for unknown bits or a range that wraps; `KERN_PROTECTION_FAILURE` for memory that is writable and executable;
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
        check_wrap(address, size)?;
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
