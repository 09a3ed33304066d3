//! Spaces: a space is a task's table of port names and the rights that they denote (mach-ipc 1.3 to 1.8).
//!
//! A space cannot see ports: the caller finds out that the port behind a name is dead and calls
//! [`Space::make_dead_name`].
//!
//! A name is the index of a slot and a generation. The generation changes with each use of the slot, so that a program
//! that still uses a name after freeing it gets an error and not the right that the index denotes by then. For example,
//! slot 5 may live like this:
//!
//! | operation | name | generation | uses left | effect |
//! |---|---|---|---|---|
//! | the table grows | | 0 | 0 | the slot is on the free list |
//! | [`add`](Space::add) | 0x503 | 0x03 | 31 | no uses are left, so the generations start over, for 32 uses |
//! | [`remove`](Space::remove) | | 0x03 | 31 | the slot is first on the free list |
//! | [`add`](Space::add) | 0x507 | 0x07 | 30 | the stale name 0x503 is refused: its generation differs |
//! | … 30 more times | 0x57f | 0x7f | 0 | |
//! | [`add`](Space::add) | 0x503 | 0x03 | 15 | no uses are left, so the generations start over, for 16 uses |
//!
//! The number of uses before the generations start over is random. It is at least 16, so that a name is not given again
//! within the next 15 uses of its slot, and a program cannot foresee when a stale name will be given again.

use super::entry::{Entry, EntryRight, add_urefs};
use crate::heap::footprint;
use crate::ids::{BudgetId, PortId, TaskId, tag};
use crate::limits::{GROUPS_LEFT, GROUPS_PER_PIECE};
use abi::KernReturn;
use abi::code::{KERN_FAILURE, KERN_INVALID_VALUE, KERN_NO_SPACE};
use abi::port::PortName;
use foldhash::fast::FixedState;
use store::{Chunks, LinearMap, NoMemory, Singles};
use voucher::importance::ElementId;

/// The first generation of every slot. The two low bits of a name that the kernel chooses are set.
const FIRST_GENERATION: u8 = 0x03;
const GENERATION_STEP: u8 = 4;

/// The number of slots by which a space grows.
const GROWTH: usize = 64;

/// The indexes below this one are given in order: the unusable index 0 and the first eight names (mach-ipc 1.3).
const FIRST_SHUFFLED: usize = 9;

/// The place of one index in a space.
#[derive(Debug)]
struct Slot {
    /// The low byte of the name: of the present one, or of the last one if the slot is free.
    generation: u8,
    /// The number of uses before the generations start over.
    uses_left: u8,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The slot is on the list of free slots. `previous` is stale in the first slot of the list: removing the slot
    /// before it does not update it, which saves an access to memory for each new name.
    Free {
        previous: Option<u32>,
        next: Option<u32>,
    },
    Used(Entry),
}

impl Slot {
    /// Lets the generations start over with the next use, for 16, 32, 48 or 64 uses.
    #[cold]
    fn start_over(&mut self, random: &mut u64) {
        self.uses_left = 16 * (1 + (next_random(random) >> 32 & 3) as u8);
        self.generation = FIRST_GENERATION.wrapping_sub(GENERATION_STEP);
    }

    /// Puts an entry into a slot that has been taken off the free list.
    #[inline(always)]
    fn occupy(&mut self, name: PortName, right: EntryRight) {
        self.uses_left = self.uses_left.saturating_sub(1);
        self.generation = name.generation();
        self.content = Content::Used(Entry { right, request: None });
    }
}

impl Default for Slot {
    fn default() -> Self {
        Slot { generation: 0, uses_left: 0, content: Content::Free { previous: None, next: None } }
    }
}

/// All spaces.
pub(super) type Spaces = Singles<Space, tag::Space>;

/// A space.
#[derive(Debug)]
pub struct Space {
    /// The budget of the space's task, which the space itself is on.
    budget: BudgetId,
    slots: Chunks<Slot, GROWTH>,
    /// The first free index. The list goes on in the slots.
    free: Option<u32>,
    /// The number of names.
    live: u32,
    /// Indexes are below this one.
    limit: u32,
    /// The names that denote a send right and not the receive right, by port.
    send_names: LinearMap<PortId, PortName, FixedState>,
    random: u64,
    /// Indexes are given in random order from [`FIRST_SHUFFLED`] on.
    shuffled: bool,
    /// The importance of the space's task, from its beginning to the end of its names.
    pub(super) importance: Option<TaskImportance>,
}

/// A task as a giver and receiver of importance.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskImportance {
    /// The element that counts for it.
    pub element: ElementId,
    /// The task.
    pub task: TaskId,
    /// The task's pid.
    pub pid: u32,
}

impl Space {
    /// Returns a space without names, for at most `limit` slots, the unusable index 0 included. With a `seed` of 0,
    /// which tests use, names are given in a fixed order.
    pub fn new(budget: BudgetId, limit: u32, seed: u64) -> Space {
        Space {
            budget,
            slots: Chunks::new(),
            free: None,
            live: 0,
            limit,
            send_names: LinearMap::new(FixedState::with_seed(seed)),
            random: seed | 1,
            shuffled: seed != 0,
            importance: None,
        }
    }

    /// Returns the budget of the space's task.
    pub fn budget(&self) -> BudgetId {
        self.budget
    }

    /// Gives back what the table of send rights does not need any more, up to a bound, and returns true if there is more.
    /// The slots of names stay, because each goes on with its generations.
    pub(super) fn trim(&mut self) -> bool {
        self.send_names.trim()
    }

    /// Gives back memory of a space that has no names any more and gets none, up to a bound. Returns false if that is so little
    /// that it can go with the space.
    pub(super) fn take_apart(&mut self) -> bool {
        if self.slots.len() <= GROUPS_LEFT * GROWTH {
            return false;
        }
        self.free = None;
        if !self.send_names.trim() {
            (0..GROUPS_PER_PIECE).for_each(|_| self.slots.shrink());
        }
        true
    }

    /// Returns the number of names.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Bytes that growing the space once costs a budget, with the growth of the index of send rights.
    pub const GROWTH_COST: usize = footprint(GROWTH * size_of::<Slot>()) + 2 * GROWTH * size_of::<(PortId, PortName)>();

    /// Returns the bytes that the space costs its budget.
    pub fn cost(&self) -> usize {
        self.slots.len() / GROWTH * Space::GROWTH_COST
    }

    /// Returns the bytes that it costs to grow the space until it has this index.
    pub fn cost_of_reaching(&self, index: u32) -> usize {
        let missing = (index as usize + 1).saturating_sub(self.slots.len());
        missing.div_ceil(GROWTH) * Space::GROWTH_COST
    }

    /// Returns the number of slots.
    pub fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Returns the entry of a name, if the name exists.
    #[inline(always)]
    pub fn get(&self, name: PortName) -> Option<&Entry> {
        let slot = self.slots.get(name.index() as usize)?;
        // In this order: the kind of right, which the caller mostly tests next, then says that the slot is in use.
        if slot.generation != name.generation() {
            return None;
        }
        match &slot.content {
            Content::Used(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// Returns the entry of a name, if the name exists.
    #[inline(always)]
    pub fn get_mut(&mut self, name: PortName) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(name.index() as usize)?;
        // In this order: the kind of right, which the caller mostly tests next, then says that the slot is in use.
        if slot.generation != name.generation() {
            return None;
        }
        match &mut slot.content {
            Content::Used(entry) => Some(entry),
            Content::Free { .. } => None,
        }
    }

    /// Returns the name at an index, if the index is in use.
    pub fn name_at(&self, index: u32) -> Option<PortName> {
        match self.slots.get(index as usize) {
            Some(Slot { generation, content: Content::Used(_), .. }) => Some(PortName::new(index, *generation)),
            _ => None,
        }
    }

    /// Returns the name that denotes a send right and not the receive right of a port, if there is one.
    pub fn send_name(&self, port: PortId) -> Option<PortName> {
        self.send_names.get(&port).copied()
    }

    /// Returns true if no slot is free: the space must grow before the next name is added.
    #[inline]
    pub fn must_grow(&self) -> bool {
        self.free.is_none()
    }

    /// Returns true if the table cannot grow any more.
    pub(super) fn is_full(&self) -> bool {
        self.capacity() >= self.limit
    }

    /// Adds a fixed number of slots, or as many as the limit allows. The space is not full.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn grow(&mut self) -> Result<(), NoMemory> {
        let first = self.capacity();
        self.slots.grow()?;
        let last = (self.slots.len() as u32).min(self.limit);
        let mut indexes: [u32; GROWTH] = core::array::from_fn(|at| first + at as u32);
        let count = (last - first) as usize;
        let fixed = if first == 0 { FIRST_SHUFFLED } else { 0 };
        if self.shuffled {
            for at in (fixed..count).rev() {
                let other = fixed + (next_random(&mut self.random) % (at - fixed + 1) as u64) as usize;
                indexes.swap(at, other);
            }
        }
        for &index in indexes[..count].iter().rev().filter(|&&index| index != 0) {
            self.put_on_free_list(index);
        }
        Ok(())
    }

    /// Puts a slot first on the free list.
    fn put_on_free_list(&mut self, index: u32) {
        self.slots[index as usize].content = Content::Free { previous: None, next: self.free };
        self.link_first_free(index);
    }

    /// Makes `index`, whose slot has `next` set, the first of the free list.
    #[inline(always)]
    fn link_first_free(&mut self, index: u32) {
        if let Some(first) = self.free.replace(index)
            && let Content::Free { previous, .. } = &mut self.slots[first as usize].content
        {
            *previous = Some(index);
        }
    }

    /// Takes a slot off the free list, at any place of it.
    fn take_off_free_list(&mut self, index: u32) {
        let Content::Free { previous, next } = self.slots[index as usize].content else {
            panic!("name index {index} is on the free list but in use")
        };
        if self.free == Some(index) {
            self.free = next;
            return;
        }
        if let Some(Content::Free { next: link, .. }) = previous.map(|index| &mut self.slots[index as usize].content) {
            *link = next;
        }
        if let Some(Content::Free { previous: link, .. }) = next.map(|index| &mut self.slots[index as usize].content) {
            *link = previous;
        }
    }

    /// Gives `right` a new name. The caller has [made room](Space::must_grow) for it.
    ///
    /// # Errors
    /// [`NoMemory`] if a send right finds no place in the index of send rights; nothing has changed. Other rights need
    /// none.
    #[inline(always)]
    pub fn add(&mut self, right: EntryRight) -> Result<PortName, NoMemory> {
        let port = indexed_port(right);
        if port.is_some() {
            self.reserve_send_name()?;
        }
        let index = self.free.expect("the caller has made room");
        let slot = &mut self.slots[index as usize];
        let Content::Free { next, .. } = slot.content else {
            panic!("name index {index} is on the free list but in use")
        };
        self.free = next;
        if slot.uses_left == 0 {
            slot.start_over(&mut self.random);
        }
        let name = PortName::new(index, slot.generation.wrapping_add(GENERATION_STEP));
        slot.occupy(name, right);
        self.live += 1;
        if let Some(port) = port {
            self.send_names.insert_reserved(port, name);
        }
        Ok(name)
    }

    /// Gives `right` a name that a user has chosen. The caller has [checked](Space::check_chosen) the name, the space
    /// has its index, and for a send right a place is [reserved](Space::reserve_send_name).
    #[inline]
    pub fn add_chosen(&mut self, name: PortName, right: EntryRight) {
        self.take_off_free_list(name.index());
        let slot = &mut self.slots[name.index() as usize];
        if slot.uses_left == 0 {
            // The generations go on from the chosen one and start over where they would wrap.
            slot.uses_left = (u8::MAX - name.generation()) / GENERATION_STEP + 1;
        }
        slot.occupy(name, right);
        self.live += 1;
        if let Some(port) = indexed_port(right) {
            self.send_names.insert_reserved(port, name);
        }
    }

    /// Checks a name that a user has chosen, in the order of mach-ipc 2.6. Returns its entry, if it is in use already.
    ///
    /// # Errors
    /// `KERN_NO_SPACE` if its index is too high; `KERN_INVALID_VALUE` if its two low bits are not set; `KERN_FAILURE`
    /// if its index is 0 or in use under another generation.
    pub fn check_chosen(&self, name: PortName) -> Result<Option<&Entry>, KernReturn> {
        if name.index() >= self.limit {
            return Err(KERN_NO_SPACE);
        }
        if !name.is_well_formed() {
            return Err(KERN_INVALID_VALUE);
        }
        match self.name_at(name.index()) {
            _ if name.index() == 0 => Err(KERN_FAILURE),
            Some(used) if used != name => Err(KERN_FAILURE),
            _ => Ok(self.get(name)),
        }
    }

    /// Reserves a place in the index of send rights for one use of [`change`](Space::change) or
    /// [`add_chosen`](Space::add_chosen).
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub fn reserve_send_name(&mut self) -> Result<(), NoMemory> {
        self.send_names.reserve()
    }

    /// Changes the right that a name denotes, and the index of send rights with it. If the name becomes a send right
    /// without the receive right, the caller has [reserved](Space::reserve_send_name) a place.
    pub fn change(&mut self, name: PortName, right: EntryRight) {
        let entry = self.get_mut(name).expect("the name exists");
        let old = indexed_port(core::mem::replace(&mut entry.right, right));
        let new = indexed_port(right);
        if old == new {
            return;
        }
        if let Some(port) = old {
            self.send_names.remove(&port);
        }
        if let Some(port) = new {
            self.send_names.insert_reserved(port, name);
        }
    }

    /// Turns a name whose port died into a dead name. It keeps its user references, and gets one more if it had a
    /// request for a notification: the dead-name notification carries that reference (mach-ipc 1.7).
    pub fn make_dead_name(&mut self, name: PortName) {
        let entry = self.get_mut(name).expect("the name exists");
        let urefs = match entry.right {
            EntryRight::Send { urefs, .. } => urefs,
            EntryRight::SendOnce { .. } => 1,
            EntryRight::Receive { send_urefs, .. } => send_urefs,
            EntryRight::PortSet { .. } | EntryRight::DeadName { .. } => panic!("{name:?} is not a right to a port"),
        };
        let extra = u32::from(entry.request.take().is_some());
        let old = indexed_port(entry.right);
        entry.right = EntryRight::DeadName { urefs: add_urefs(urefs, extra) };
        if let Some(port) = old {
            self.send_names.remove(&port);
        }
    }

    /// Frees a name. The caller has taken its request.
    #[inline(always)]
    pub fn remove(&mut self, name: PortName) {
        let slot = &mut self.slots[name.index() as usize];
        let freed = Content::Free { previous: None, next: self.free };
        let Content::Used(entry) = core::mem::replace(&mut slot.content, freed) else {
            panic!("{name:?} is freed twice")
        };
        assert!(slot.generation == name.generation(), "{name:?} is freed but its index has another name");
        debug_assert!(entry.request.is_none(), "the request of {name:?} is lost");
        self.link_first_free(name.index());
        self.live -= 1;
        if let Some(port) = indexed_port(entry.right) {
            self.send_names.remove(&port);
        }
    }

    /// Returns all names and their entries, by index.
    pub fn iter(&self) -> impl Iterator<Item = (PortName, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match &slot.content {
            Content::Used(entry) => Some((PortName::new(index as u32, slot.generation), entry)),
            Content::Free { .. } => None,
        })
    }

    /// Panics unless the index of send rights and the number of names agree with the slots.
    pub fn check(&self) {
        let sends = self.iter().filter_map(|(name, entry)| indexed_port(entry.right).map(|port| (port, name)));
        let mut count = 0;
        for (port, name) in sends {
            assert_eq!(self.send_name(port), Some(name), "I4: {port:?} has one name per task");
            count += 1;
        }
        assert_eq!(count, self.send_names.len(), "the index of send rights has a stale entry");
        assert_eq!(self.iter().count(), self.live as usize, "the number of names");
    }
}

/// Returns the next number of a xorshift generator, which is enough to make names hard to foresee.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Returns the port under which a name with this right is in the index of send rights.
fn indexed_port(right: EntryRight) -> Option<PortId> {
    match right {
        EntryRight::Send { port, .. } => Some(port),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
