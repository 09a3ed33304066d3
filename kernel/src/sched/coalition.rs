//! Coalitions: tasks that share turns on the processor.
//!
//! The tasks of a coalition are a program and what it has started. Threads of the same level take turns by coalition
//! (`turn.rs`), so a program that has many threads or many children that never block takes no more from others than
//! one thread would. The first task begins the first coalition; user 0 begins others when it starts tasks.

use super::Scheduling;
use super::level_set::LEVELS;
use super::thread::AtLevel;
use crate::heap::footprint_of_single;
use crate::ids::{BudgetId, CoalitionId, tag};
use crate::machine::NoMemory;
use core::ops::{Index, IndexMut};
use store::{Link, List, Singles};

/// Some tasks, and those of their threads that wait for the next turn.
#[derive(Debug)]
pub(super) struct Coalition {
    /// The number of its tasks.
    tasks: u32,
    /// The budget that it is on.
    budget: BudgetId,
    places: [Place; LEVELS],
}

/// A coalition's place at one level.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Its ready threads of the level, unless it has the turn there.
    pub(super) threads: List<tag::Thread, AtLevel>,
    /// Its place among the coalitions that wait for their turns.
    link: Link<tag::Coalition>,
}

/// The list of the coalitions that wait for their turns at a level.
#[derive(Debug)]
pub(super) enum AwaitingTurn {}

store::linked!(Place as tag::Coalition, AwaitingTurn: link);

/// The cost of a coalition on the budget of the task that is its first, in bytes.
pub(crate) const COALITION_COST: usize = footprint_of_single::<Coalition>();

/// All coalitions.
#[derive(Debug, Default)]
pub(super) struct Coalitions(Singles<Coalition, tag::Coalition>);

impl Coalitions {
    /// Makes room for one more coalition.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub(super) fn reserve(&mut self) -> Result<(), NoMemory> {
        self.0.reserve()
    }

    /// Adds a coalition without tasks, for which there is room.
    pub(super) fn insert(&mut self, budget: BudgetId) -> CoalitionId {
        let places = core::array::from_fn(|_| Place::default());
        self.0.insert_reserved(|_| Coalition { tasks: 0, budget, places })
    }

    /// Adds a task to a coalition.
    pub(super) fn join(&mut self, coalition: CoalitionId) {
        self.0[coalition].tasks += 1;
    }

    /// Removes a task, which has no threads any more, from a coalition. If it was the last one, the coalition ends, and its
    /// budget is returned.
    pub(super) fn leave(&mut self, coalition: CoalitionId) -> Option<BudgetId> {
        let left = &mut self.0[coalition];
        left.tasks -= 1;
        if left.tasks > 0 {
            return None;
        }
        let budget = left.budget;
        self.0.remove(coalition);
        Some(budget)
    }

    /// Returns the places of all coalitions at a level.
    #[inline]
    pub(super) fn at(&mut self, level: usize) -> Places<'_> {
        Places { coalitions: &mut self.0, level }
    }

    /// Returns a coalition's place at a level.
    pub(super) fn place(&self, coalition: CoalitionId, level: usize) -> &Place {
        &self.0[coalition].places[level]
    }

    /// Returns a coalition's ready threads at a level at which it does not have the turn.
    pub(super) fn queue(&mut self, coalition: CoalitionId, level: usize) -> &mut List<tag::Thread, AtLevel> {
        &mut self.0[coalition].places[level].threads
    }

    /// Returns the ids of all coalitions, with their budgets and numbers of tasks. For checks.
    pub(super) fn iter(&self) -> impl Iterator<Item = (CoalitionId, BudgetId, u32)> {
        self.0.iter().map(|(id, coalition)| (id, coalition.budget, coalition.tasks))
    }

    /// Gives back memory that the table does not need any more, and returns true if there is more.
    pub(super) fn trim(&mut self) -> bool {
        self.0.trim()
    }
}

/// The places of all coalitions at one level.
pub(super) struct Places<'c> {
    coalitions: &'c mut Singles<Coalition, tag::Coalition>,
    level: usize,
}

impl Index<CoalitionId> for Places<'_> {
    type Output = Place;

    #[inline]
    fn index(&self, coalition: CoalitionId) -> &Place {
        &self.coalitions[coalition].places[self.level]
    }
}

impl IndexMut<CoalitionId> for Places<'_> {
    #[inline]
    fn index_mut(&mut self, coalition: CoalitionId) -> &mut Place {
        &mut self.coalitions[coalition].places[self.level]
    }
}

impl Scheduling {
    /// Makes room for one more coalition.
    ///
    /// # Errors
    /// [`NoMemory`]; nothing has changed.
    pub(crate) fn reserve_coalition(&mut self) -> Result<(), NoMemory> {
        self.ready.coalitions_mut().reserve()
    }

    /// Returns a new coalition without tasks, for which there is [room](Scheduling::reserve_coalition). It is on a budget.
    pub(crate) fn begin_coalition(&mut self, budget: BudgetId) -> CoalitionId {
        self.ready.coalitions_mut().insert(budget)
    }

    /// Returns a new coalition for tests.
    #[cfg(test)]
    pub(crate) fn test_coalition(&mut self) -> CoalitionId {
        self.reserve_coalition().expect("there is memory");
        self.begin_coalition(BudgetId::from_bits(1 << 32).expect("a valid id"))
    }

    /// Adds a task to a coalition.
    pub(crate) fn join_coalition(&mut self, coalition: CoalitionId) {
        self.ready.coalitions_mut().join(coalition);
    }

    /// Removes a task, which has no threads any more, from its coalition. If that ends, its budget is returned, to be
    /// refunded.
    pub(crate) fn leave_coalition(&mut self, coalition: CoalitionId) -> Option<BudgetId> {
        self.ready.coalitions_mut().leave(coalition)
    }

    /// Returns all coalitions with their budgets and numbers of tasks. For checks.
    pub(crate) fn coalitions(&self) -> impl Iterator<Item = (CoalitionId, BudgetId, u32)> {
        self.ready.coalitions().iter()
    }
}
