//! Spaces: the name tables of all tasks, each on a budget.

use super::Ipc;
use super::budget::Budget;
use super::space::{NoName, Space};
use crate::ids::SpaceId;
use abi::KernReturn;
use abi::code::KERN_RESOURCE_SHORTAGE;
use abi::port::PortName;

impl Ipc {
    /// Makes a space without names, and the budget that it is on. There is [room](Ipc::make_room_for_task).
    pub(crate) fn insert_space(&mut self, seed: u64) -> SpaceId {
        let budget = self.budgets.insert_reserved(|_| Budget::default());
        let limit = self.limits.names_per_task;
        self.spaces.insert_reserved(|_| Space::new(budget, limit, seed))
    }

    /// Forgets a space whose names are all gone, and its budget.
    pub fn remove_space(&mut self, space: SpaceId) {
        let removed = self.spaces.remove(space).expect("a space is removed once");
        assert!(removed.live() == 0, "{space:?} is removed with {} names", removed.live());
        self.budgets.remove(removed.budget());
    }

    /// Returns the name in use at the lowest index from `from` to before `end`, and the index behind it, or `end`.
    /// Returns `None` at the end of the table.
    pub fn next_name(&self, space: SpaceId, from: u32, end: u32) -> Option<(Option<PortName>, u32)> {
        let space = &self.spaces[space];
        let end = space.capacity().min(end);
        let found = (from..end).find_map(|index| space.name_at(index));
        (from < end).then_some((found, found.map_or(end, |name| name.index() + 1)))
    }

    /// Grows a table once.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    #[cold]
    pub(super) fn grow_space(&mut self, space: SpaceId) -> Result<(), NoName> {
        let budget = self.spaces[space].budget();
        // A full table is full whatever the budget.
        if self.charge(budget, Space::GROWTH_COST).is_err() {
            let full = self.spaces[space].capacity() >= self.limits.names_per_task;
            return Err(if full { NoName::Full } else { NoName::Memory });
        }
        let grown = self.spaces[space].grow();
        if grown.is_err() {
            self.refund(budget, Space::GROWTH_COST);
        }
        grown
    }

    /// Grows a table until a chosen name has a place in it, unless that is more than the budget allows.
    ///
    /// # Errors
    /// `KERN_RESOURCE_SHORTAGE`, `KERN_NO_SPACE`.
    pub(super) fn grow_space_to(&mut self, space: SpaceId, name: PortName) -> Result<(), KernReturn> {
        let budget = self.spaces[space].budget();
        let cost = self.spaces[space].cost_of_reaching(name.index());
        self.charge(budget, cost).map_err(|_| KERN_RESOURCE_SHORTAGE)?;
        self.refund(budget, cost);
        while name.index() >= self.spaces[space].capacity() {
            self.grow_space(space)?;
        }
        Ok(())
    }

    /// Makes sure that the next name of a space does not fail for want of a table entry.
    ///
    /// # Errors
    /// [`NoName`]; nothing has changed.
    #[inline]
    pub(crate) fn make_room_for_name(&mut self, space: SpaceId) -> Result<(), NoName> {
        if self.spaces[space].must_grow() { self.grow_space(space) } else { Ok(()) }
    }
}
