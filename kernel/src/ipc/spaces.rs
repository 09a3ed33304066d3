//! The spaces of all tasks, each on its task's budget.

use super::Ipc;
use super::entry::{Entry, EntryRight};
use super::space::Space;
use crate::ids::{BudgetId, SpaceId};
use crate::machine::NoMemory;
use abi::KernReturn;
use abi::code::{KERN_NO_SPACE, KERN_RESOURCE_SHORTAGE};
use abi::port::{MACH_PORT_UREFS_MAX, PortName};

/// The reason why a space has no room for another name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoName {
    /// The space has its maximal size.
    Full,
    /// There is no memory to grow it, or its budget is used up.
    Memory,
}

impl From<NoMemory> for NoName {
    fn from(_: NoMemory) -> NoName {
        NoName::Memory
    }
}

impl From<NoName> for KernReturn {
    fn from(error: NoName) -> KernReturn {
        match error {
            NoName::Full => KERN_NO_SPACE,
            NoName::Memory => KERN_RESOURCE_SHORTAGE,
        }
    }
}

impl Ipc {
    /// Makes a task's space on its budget. The caller has [made room](Ipc::make_room_for_task).
    pub(crate) fn insert_space(&mut self, budget: BudgetId, seed: u64) -> SpaceId {
        let limit = self.limits.names_per_task;
        self.spaces.insert_reserved(|_| Space::new(budget, limit, seed))
    }

    /// Makes a space on a budget as large as that of most tasks. The caller has
    /// [made room](Ipc::make_room_for_task).
    #[cfg(test)]
    pub(crate) fn insert_first_space(&mut self) -> SpaceId {
        let bytes = self.limits.kernel_bytes_per_task;
        let budget = self.open_budget(super::budget::Source::Machine(bytes), 0).expect("it is large enough");
        self.insert_space(budget, 0)
    }

    /// Removes a space without names.
    pub fn remove_space(&mut self, space: SpaceId) {
        let removed = self.spaces.remove(space).expect("the space has not been removed before");
        assert!(removed.live() == 0, "{space:?} is removed but has {} names", removed.live());
        self.refund(removed.budget(), removed.cost());
    }

    /// Gives back a part of the memory of a space without names, which gets none any more. Returns false if little is left.
    pub(crate) fn take_apart_space(&mut self, space: SpaceId) -> bool {
        let dying = &mut self.spaces[space];
        let (budget, before) = (dying.budget(), dying.cost());
        if !dying.take_apart() {
            return false;
        }
        let given_back = before - dying.cost();
        self.refund(budget, given_back);
        true
    }

    /// Looks for a name at the indexes `from..end`. Returns the one with the lowest index, and the index from which to
    /// look next. Returns `None` if the space ends at or before `from`.
    pub fn next_name(&self, space: SpaceId, from: u32, end: u32) -> Option<(Option<PortName>, u32)> {
        let space = &self.spaces[space];
        let end = space.capacity().min(end);
        let found = (from..end).find_map(|index| space.name_at(index));
        (from < end).then_some((found, found.map_or(end, |name| name.index() + 1)))
    }

    /// Grows a space by one unit.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    #[cold]
    pub(super) fn grow_space(&mut self, space: SpaceId) -> Result<(), NoName> {
        let growing = &self.spaces[space];
        // The answer for a space of maximal size does not depend on its budget.
        if growing.is_full() {
            return Err(NoName::Full);
        }
        self.charged(growing.budget(), Space::GROWTH_COST, |ipc| ipc.spaces[space].grow().map_err(NoName::from))
    }

    /// Grows a space until it has the index of a name. It does not begin unless the budget allows all of it, because
    /// each unit stays.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE` if the budget or memory is used up; `KERN_NO_SPACE` if the space has its maximal size.
    pub(super) fn grow_space_to(&mut self, space: SpaceId, name: PortName) -> Result<(), KernReturn> {
        let budget = self.spaces[space].budget();
        let cost = self.spaces[space].cost_of_reaching(name.index());
        self.check_budget(budget, cost).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        while name.index() >= self.spaces[space].capacity() {
            self.grow_space(space)?;
        }
        Ok(())
    }

    /// Makes sure that the space has a free slot for the next name.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    #[inline]
    pub(crate) fn make_room_for_name(&mut self, space: SpaceId) -> Result<(), NoName> {
        if self.spaces[space].must_grow() { self.grow_space(space) } else { Ok(()) }
    }

    /// Makes room for the control port, the space and the budget of one more task. The caller reserves the places on
    /// the work list.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub(crate) fn make_room_for_task(&mut self) -> Result<(), NoMemory> {
        self.spaces.reserve()?;
        self.budgets.reserve()?;
        self.importance.reserve_element().map_err(|_| NoMemory)?;
        self.ports.reserve()
    }

    /// Returns the entry of a name, if the name exists. A name whose port has died is turned into a dead name first
    /// (mach-ipc 1.7).
    #[inline(always)]
    pub(crate) fn lookup(&mut self, space: SpaceId, name: PortName) -> Option<Entry> {
        let entry = *self.spaces[space].get(name)?;
        match entry.right.port() {
            Some(port) if self.live_port(port).is_none() => self.lookup_dead(space, name),
            _ => Some(entry),
        }
    }

    /// Turns a name whose port has died into a dead name, and returns its entry.
    #[cold]
    fn lookup_dead(&mut self, space: SpaceId, name: PortName) -> Option<Entry> {
        self.spaces[space].make_dead_name(name);
        self.spaces[space].get(name).copied()
    }

    /// Takes `count` user references off a dead name. Frees the name if none is left.
    pub(super) fn release_dead_name(&mut self, space: SpaceId, name: PortName, count: u32) {
        let entry = self.spaces[space].get_mut(name).expect("the name exists");
        let EntryRight::DeadName { urefs } = &mut entry.right else { panic!("{name:?} is not a dead name") };
        match u32::from(*urefs).checked_sub(count) {
            // A count that has reached its maximum stays there, unless all references go.
            Some(1..) if *urefs == MACH_PORT_UREFS_MAX => {}
            Some(left @ 1..) => *urefs = left as u16,
            _ => self.spaces[space].remove(name),
        }
    }
}
