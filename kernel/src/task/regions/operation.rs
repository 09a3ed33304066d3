//! Operations on memory, in pieces.
//!
//! A call may concern thousands of pages. It is cut into pieces of bounded cost, between which other threads run, also
//! those of the same task. What is left to do is the task's [`Operation`], of which there is one at a time: another call
//! of the task goes on with it first. The regions are at all times those of the page tables, but for
//! [hidden pages](Todo::Fill).
//!
//! A piece that cannot get memory turns the operation into one that undoes what the pieces before it did.

use super::{Operation, PAGE_SIZE, Place, Region, Regions, Todo, check_wrap, page_range, user_protection};
use crate::ids::TaskId;
use crate::machine::{AddressSpace, Machine, Protection, UserAddr};
use crate::task::{Task, Tasks};
use abi::KernReturn;
use abi::code::{KERN_INVALID_ADDRESS, KERN_RESOURCE_SHORTAGE, KERN_SUCCESS};

/// Pages that one piece maps or clears. Each takes some 600 instructions, because it is filled with zeros.
const FILLED: u64 = 96;

/// Pages that one piece unmaps or protects. Each takes some 30 to 50 instructions.
const TOUCHED: u64 = 1024;

/// Regions that one piece unmaps or protects. Each takes some 1,500 instructions for the page tables.
const REGIONS: usize = 32;

/// The contents of a new page.
const ZEROES: [u8; PAGE_SIZE as usize] = [0; PAGE_SIZE as usize];

/// Whether an operation is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Advance {
    /// It is not: there is more to do.
    More(Todo),
    /// It is, with this code.
    Done(KernReturn),
}

use Advance::{Done, More};

impl Todo {
    /// Returns what is left to do if the task ends: only hidden pages must be unmapped before the regions.
    fn abandoned(self) -> Option<Todo> {
        match self {
            Todo::Map { .. } | Todo::Remove { .. } | Todo::Protect { .. } => None,
            Todo::Fill { start, at, .. } => Some(Todo::Empty { start, end: at }),
            Todo::Clear { at, end } => Some(Todo::Empty { start: at, end }),
            Todo::Empty { .. } => Some(self),
        }
    }
}

/// Returns the number of pages of a range.
fn pages((start, end): (u64, u64)) -> u64 {
    (end - start) / PAGE_SIZE
}

/// Returns the end of a piece of at most `count` pages.
fn piece_end(at: u64, end: u64, count: u64) -> u64 {
    end.min(at.saturating_add(count * PAGE_SIZE))
}

/// Returns the number of regions that an operation on a range may add to the list for a while: `whole` in one piece of
/// `count` pages, and one more for each border of a region that a border between pieces makes.
fn more_regions(start: u64, end: u64, count: u64, whole: usize) -> usize {
    if pages((start, end)) > count { 3 } else { whole }
}

impl Regions {
    /// Does a piece of an operation.
    pub(super) fn advance(&mut self, machine: &mut dyn Machine, space: AddressSpace, todo: Todo) -> Advance {
        match todo {
            Todo::Map { start, at, end, protection } => {
                let next = piece_end(at, end, FILLED);
                if machine.map(space, UserAddr(at), pages((at, next)), protection).is_err() {
                    return self.remove_all(start, at, KERN_RESOURCE_SHORTAGE);
                }
                self.add(Region { start: at, end: next, protection });
                if next == end { Done(KERN_SUCCESS) } else { More(Todo::Map { start, at: next, end, protection }) }
            }
            Todo::Remove { start, end, code } => {
                if self.remove_piece(machine, space, start, end) {
                    Done(code)
                } else {
                    More(todo)
                }
            }
            Todo::Protect { at, end, protection } => self.protect_piece(machine, space, (at, end), protection),
            Todo::Fill { start, at, end } => self.fill_piece(machine, space, start, (at, end)),
            Todo::Empty { start, end } => {
                let from = start.max(end.saturating_sub(FILLED * PAGE_SIZE));
                self.unmap_gaps(machine, space, from, end);
                if from == start { Done(KERN_RESOURCE_SHORTAGE) } else { More(Todo::Empty { start, end: from }) }
            }
            Todo::Clear { at, end } => {
                let next = piece_end(at, end, FILLED);
                self.replace(machine, space, at, next);
                if next == end { Done(KERN_SUCCESS) } else { More(Todo::Clear { at: next, end }) }
            }
        }
    }

    /// Adds a region, joined with its neighbours. The list has room for it, unless it continues the one before it.
    fn add(&mut self, region: Region) {
        let at = self.index_from(region.start);
        self.pages += region.pages();
        match at.checked_sub(1).map(|before| &mut self.list[before]) {
            Some(before) if before.end == region.start && before.protection == region.protection => {
                before.end = region.end;
                self.merge_around(at..at);
            }
            _ => {
                self.list.insert(at, region);
                self.merge_around(at..at + 1);
            }
        }
    }

    /// Returns what removes a range that one operation has mapped, which may have been joined with its neighbour.
    fn remove_all(&mut self, start: u64, end: u64, code: KernReturn) -> Advance {
        if start == end {
            return Done(code);
        }
        self.split_at(start);
        self.split_at(end);
        More(Todo::Remove { start, end, code })
    }

    /// Unmaps some regions of a range, at whose ends regions have been split. Returns true if none is left.
    fn remove_piece(&mut self, machine: &mut dyn Machine, space: AddressSpace, start: u64, end: u64) -> bool {
        let first = self.index_from(start);
        let (mut left, mut gone) = (TOUCHED, 0);
        while let Some(region) = self.list.get_mut(first + gone).filter(|region| region.start < end) {
            if left == 0 || gone == REGIONS {
                break;
            }
            let count = region.pages().min(left);
            machine.unmap(space, UserAddr(region.start), count);
            region.start += count * PAGE_SIZE;
            self.pages -= count;
            left -= count;
            gone += usize::from(region.start == region.end);
        }
        self.list.drain(first..first + gone);
        self.list.get(first).is_none_or(|region| region.start >= end)
    }

    fn protect_piece(
        &mut self,
        machine: &mut dyn Machine,
        space: AddressSpace,
        (mut at, end): (u64, u64),
        protection: Protection,
    ) -> Advance {
        let (mut left, mut seen) = (TOUCHED, 0);
        while at < end && left > 0 && seen < REGIONS {
            let Region { start, end: region_end, protection: before } = self.list[self.index_from(at)];
            assert!(start <= at, "memory is protected where there is none, at {at:#x}");
            let mut next = region_end.min(end);
            if before != protection {
                next = piece_end(at, next, left);
                self.split_at(at);
                self.split_at(next);
                let changed = self.index_from(at);
                let count = pages((at, next));
                machine.protect(space, UserAddr(at), count, protection);
                self.list[changed].protection = protection;
                self.merge_around(changed..changed + 1);
                left -= count;
            }
            at = next;
            seen += 1;
        }
        if at == end { Done(KERN_SUCCESS) } else { More(Todo::Protect { at, end, protection }) }
    }

    fn fill_piece(
        &mut self,
        machine: &mut dyn Machine,
        space: AddressSpace,
        start: u64,
        (at, end): (u64, u64),
    ) -> Advance {
        let next = piece_end(at, end, FILLED);
        let protection = Protection::READ | Protection::WRITE;
        for gap in self.gaps(at, next) {
            if machine.map(space, UserAddr(gap.0), pages(gap), protection).is_err() {
                self.unmap_gaps(machine, space, at, gap.0);
                return if start == at { Done(KERN_RESOURCE_SHORTAGE) } else { More(Todo::Empty { start, end: at }) };
            }
        }
        let clear = Todo::Clear { at: start, end };
        match (next == end, start == at) {
            // Each page is either filled or cleared, so that both together are one piece.
            (true, true) => self.advance(machine, space, clear),
            (true, false) => More(clear),
            (false, _) => More(Todo::Fill { start, at: next, end }),
        }
    }

    /// Unmaps the hidden pages in the gaps of a range.
    fn unmap_gaps(&self, machine: &mut dyn Machine, space: AddressSpace, start: u64, end: u64) {
        self.gaps(start, end).for_each(|gap| machine.unmap(space, UserAddr(gap.0), pages(gap)));
    }

    /// Clears the pages of a range, which are all there though some may be hidden, and makes them a writable region.
    fn replace(&mut self, machine: &mut dyn Machine, space: AddressSpace, start: u64, end: u64) {
        let region = Region { start, end, protection: Protection::READ | Protection::WRITE };
        self.split_at(start);
        self.split_at(end);
        let replaced = self.inside(start, end);
        for old in &self.list[replaced.clone()] {
            machine.protect(space, UserAddr(old.start), old.pages(), region.protection);
            for page in (old.start..old.end).step_by(PAGE_SIZE as usize) {
                machine.load(space, UserAddr(page), &ZEROES);
            }
            self.pages -= old.pages();
        }
        self.list.drain(replaced);
        self.add(region);
    }
}

/// What begins with an operation, or is done at once.
pub(crate) type Begun = Result<Option<Todo>, KernReturn>;

impl Tasks {
    /// Begins to give a task zeroed, writable memory in a range that [`find_room`](Tasks::find_room) returned.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out or the task has too many regions. Nothing has changed then, also at the
    /// end of the operation.
    pub(crate) fn begin_allocate(&mut self, task: TaskId, place: Place, (start, end): (u64, u64)) -> Begun {
        let regions = &mut self.tasks[task].regions;
        if !matches!(place, Place::Over(_)) {
            regions.reserve(1)?;
            let protection = Protection::READ | Protection::WRITE;
            return Ok(Some(Todo::Map { start, at: start, end, protection }));
        }
        // If a region is split, the new one takes the place of a part of it.
        let splits = (regions.splits_at(start) + regions.splits_at(end)).max(1);
        regions.reserve(more_regions(start, end, FILLED, splits))?;
        Ok(Some(Todo::Fill { start, at: start, end }))
    }

    /// Begins to remove a task's memory in a range, which may have gaps.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` if the range wraps; `KERN_INVALID_ADDRESS` if it is not within user space;
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out or the task has too many regions, because a region must be split.
    /// Nothing has changed then.
    pub(crate) fn begin_deallocate(&mut self, task: TaskId, address: UserAddr, size: u64) -> Begun {
        check_wrap(address, size)?;
        if size == 0 {
            return Ok(None);
        }
        let (start, end) = page_range(address, size)?;
        let regions = &mut self.tasks[task].regions;
        regions.reserve(regions.splits_at(start) + regions.splits_at(end))?;
        regions.split_at(start);
        regions.split_at(end);
        Ok(Some(Todo::Remove { start, end, code: KERN_SUCCESS }))
    }

    /// Begins to change the protection of a range of a task's memory.
    ///
    /// # Errors
    /// `KERN_INVALID_ARGUMENT` for unknown bits or a range that wraps; `KERN_PROTECTION_FAILURE` for memory that is
    /// writable and executable; `KERN_INVALID_ADDRESS` if the range is not within user space or has gaps;
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out or the task has too many regions, because regions must be split.
    /// Nothing has changed then.
    pub(crate) fn begin_protect(&mut self, task: TaskId, address: UserAddr, size: u64, protection: u32) -> Begun {
        check_wrap(address, size)?;
        let protection = user_protection(protection)?;
        if size == 0 {
            return Ok(None);
        }
        let (start, end) = page_range(address, size)?;
        let regions = &mut self.tasks[task].regions;
        let mut covered = start;
        for region in &regions.list[regions.index_from(start)..] {
            if region.start > covered || covered >= end {
                break;
            }
            covered = region.end;
        }
        if covered < end {
            return Err(KERN_INVALID_ADDRESS);
        }
        let splits = regions.splits_at(start) + regions.splits_at(end);
        regions.reserve(more_regions(start, end, TOUCHED, splits))?;
        Ok(Some(Todo::Protect { at: start, end, protection }))
    }

    /// Returns the operation on a task's memory that is not finished.
    pub(crate) fn memory_operation(&self, task: TaskId) -> Option<Operation> {
        self.tasks[task].regions.operation
    }

    /// Does a piece of an operation of a task that has no other one, and keeps what is left of it.
    pub(crate) fn advance_memory(
        &mut self,
        machine: &mut dyn Machine,
        task: TaskId,
        operation: Operation,
    ) -> Option<KernReturn> {
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        let (left, code) = match regions.advance(machine, *address_space, operation.todo) {
            More(todo) => (Some(Operation { todo, ..operation }), None),
            Done(code) => (None, Some(code)),
        };
        regions.operation = left;
        code
    }

    /// Gives a new task zeroed memory in a free range, of as many pages as fit a piece.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if memory runs out or the task has too many regions. Nothing has changed then.
    pub(crate) fn map_new(
        &mut self,
        machine: &mut dyn Machine,
        task: TaskId,
        (start, end): (u64, u64),
        protection: Protection,
    ) -> Result<(), KernReturn> {
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        regions.reserve(1)?;
        let mapped = machine.map(*address_space, UserAddr(start), pages((start, end)), protection);
        mapped.map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        regions.add(Region { start, end, protection });
        Ok(())
    }

    /// Removes some of an ended task's memory, and first the hidden pages of an operation that was not finished. Returns
    /// true if there was any.
    pub(crate) fn unmap_some(&mut self, machine: &mut dyn Machine, task: TaskId) -> bool {
        let Task { regions, address_space, .. } = &mut self.tasks[task];
        if let Some(operation) = regions.operation.take()
            && let Some(todo) = operation.todo.abandoned()
        {
            if let More(todo) = regions.advance(machine, *address_space, todo) {
                regions.operation = Some(Operation { todo, ..operation });
            }
            return true;
        }
        let some = !regions.is_empty();
        regions.remove_piece(machine, *address_space, 0, u64::MAX);
        some
    }
}
