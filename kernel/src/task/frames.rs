//! The page frames of tasks, for their memory and its page tables.
//!
//! As with kernel memory (`ipc/budget.rs`), a task's frames are taken out of its parent's: all of them count as used
//! there. A task that ends gives back what it does not use, and then each frame that is taken from it. Its children's
//! frames become parts of its parent's. Nothing outlives a task here, so the records are in the tasks.
//!
//! How many page tables a range needs only the machine knows: what an operation took or freed is the difference of the
//! numbers of free frames before and after.

use super::Tasks;
use crate::ids::TaskId;
use crate::ipc::budget::{Portion, Usual};
use crate::limits::PAGES_LEAST;
use crate::machine::{AddressSpace, Machine, NoMemory, Protection, UserAddr};

/// The frames of a task.
#[derive(Debug)]
pub struct Frames {
    /// Those that it has, and those that its children may have.
    used: u64,
    /// Those that may be used.
    limit: u64,
    /// The task whose frames these are a part of; none for the first task.
    parent: Option<TaskId>,
    /// The number of tasks whose frames are a part of these.
    children: usize,
    /// The task has ended: the limit is what is still in use.
    closed: bool,
}

/// The place where the frames of a new task come from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The machine: it is the first task, and has so many.
    Machine(u64),
    /// The frames of its parent.
    Parent(TaskId, Portion),
}

impl Frames {
    /// Returns the numbers of frames that are used, and that may be.
    pub fn used_and_limit(&self) -> (u64, u64) {
        (self.used, self.limit)
    }
}

/// A task's address space, with the frames that the task may use for it.
pub(super) struct Memory<'a> {
    pub machine: &'a mut dyn Machine,
    pub frames: &'a mut Frames,
    pub space: AddressSpace,
}

impl Memory<'_> {
    /// Maps zeroed memory at a range that is unmapped.
    ///
    /// # Errors
    /// [`NoMemory`] if that takes more frames than the task or the machine has left; nothing has changed.
    pub(super) fn map(&mut self, at: UserAddr, pages: u64, protection: Protection) -> Result<(), NoMemory> {
        let left = self.frames.limit - self.frames.used;
        if pages > left {
            return Err(NoMemory);
        }
        let before = self.machine.free_frames();
        self.machine.map(self.space, at, pages, protection)?;
        let taken = before - self.machine.free_frames();
        if taken > left {
            self.machine.unmap(self.space, at, pages);
            return Err(NoMemory);
        }
        self.frames.used += taken;
        Ok(())
    }

    /// Unmaps memory.
    pub(super) fn unmap(&mut self, at: UserAddr, pages: u64) {
        let before = self.machine.free_frames();
        self.machine.unmap(self.space, at, pages);
        self.frames.used -= self.machine.free_frames() - before;
    }

    /// Changes the protection of memory.
    pub(super) fn protect(&mut self, at: UserAddr, pages: u64, protection: Protection) {
        self.machine.protect(self.space, at, pages, protection);
    }

    /// Writes to memory.
    pub(super) fn load(&mut self, at: UserAddr, bytes: &[u8]) {
        self.machine.load(self.space, at, bytes);
    }
}

impl Tasks {
    /// Returns the frames of a new task, which starts with `start` of them. Changes nothing.
    ///
    /// # Errors
    /// [`NoMemory`] if its parent does not have what the task is to get.
    pub(crate) fn frames_for(&self, source: Source, start: u64) -> Result<Frames, NoMemory> {
        let (parent, limit) = match source {
            Source::Machine(frames) => (None, frames),
            Source::Parent(parent, portion) => {
                let Frames { used, limit, .. } = self[parent].frames;
                let most = start.saturating_add(self.limits.pages_per_task);
                (Some(parent), portion.of(limit - used, start, Usual { least: PAGES_LEAST, most })?)
            }
        };
        if limit < start { Err(NoMemory) } else { Ok(Frames { used: 0, limit, parent, children: 0, closed: false }) }
    }

    /// Takes the frames of a new task, which has used `used` of them so far, out of its parent's.
    pub(crate) fn take_frames(&mut self, mut frames: Frames, used: u64) -> Frames {
        if let Some(parent) = frames.parent {
            let above = &mut self[parent].frames;
            above.used += frames.limit;
            above.children += 1;
        }
        frames.used = used;
        assert!(used <= frames.limit, "an address space takes the frames that a task starts with");
        frames
    }

    /// Gives back the frames that a task that ends does not use, and makes those of its children parts of its parent's.
    pub(crate) fn close_frames(&mut self, task: TaskId) {
        let Frames { parent, children, .. } = self[task].frames;
        let (mut shares, mut place) = (0, 0);
        let mut left = children;
        while left > 0 {
            if let Some((child, state)) = self.tasks.at(place)
                && state.frames.parent == Some(task)
            {
                shares += state.frames.limit;
                self[child].frames.parent = parent;
                left -= 1;
            }
            place += 1;
        }
        let closing = &mut self[task].frames;
        let unused = closing.limit - closing.used;
        let used = closing.used - shares;
        *closing = Frames { used, limit: used, parent, children: 0, closed: true };
        if let Some(parent) = parent {
            let above = &mut self[parent].frames;
            above.used -= unused;
            above.children += children;
        }
    }

    /// Takes note that frames of a task that has ended have become free.
    pub(super) fn give_back_frames(&mut self, task: TaskId, freed: u64) {
        let closed = &mut self[task].frames;
        assert!(closed.closed, "only an ended task's frames go back");
        closed.limit -= freed;
        if let Some(parent) = closed.parent {
            self[parent].frames.used -= freed;
        }
    }

    /// Ends the frames of a task that has been removed, whose last `freed` ones have become free.
    pub(crate) fn end_frames(&mut self, ended: &Frames, freed: u64) {
        assert_eq!((ended.used, ended.limit, ended.children), (freed, freed, 0), "the frames of a task are counted");
        if let Some(parent) = ended.parent {
            let above = &mut self[parent].frames;
            above.used -= freed;
            above.children -= 1;
        }
    }

    /// Panics unless each task uses what it has and what its children may have, and no task exceeds its limit.
    pub(super) fn check_frames(&self) {
        for (id, task) in self.tasks.iter() {
            let Frames { used, limit, children, closed, .. } = task.frames;
            let of_this = || self.tasks.iter().filter(|(_, other)| other.frames.parent == Some(id));
            let shares: u64 = of_this().map(|(_, child)| child.frames.limit).sum();
            assert_eq!(children, of_this().count(), "the children of {id:?} are counted");
            assert!(used <= limit && (!closed || used == limit), "{id:?} uses {used} of {limit} frames");
            assert!(used > shares + task.regions().pages(), "{id:?} uses {used} frames, with {shares} of its children");
        }
    }
}
