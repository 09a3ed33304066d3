//! Budgets: how much kernel memory a task's ports, names, threads and messages may take.
//!
//! An object remembers the budget that it is on and gives back what it cost when it goes. A budget that is gone takes
//! nothing and is given nothing back: what a task paid for may outlive it.

use super::Ipc;
use crate::ids::BudgetId;
use crate::machine::NoMemory;

/// The kernel memory that one task uses.
#[derive(Debug, Default)]
pub struct Budget {
    pub(super) used: usize,
}

impl Budget {
    /// Returns success if so much more stays within the limit.
    #[inline]
    fn check(&self, bytes: usize, limit: usize) -> Result<(), NoMemory> {
        if bytes > limit.saturating_sub(self.used) { Err(NoMemory) } else { Ok(()) }
    }
}

impl Ipc {
    /// Puts kernel memory on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up or gone; nothing has changed.
    #[inline]
    pub fn charge(&mut self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        let limit = self.limits.kernel_bytes_per_task;
        let budget = self.budgets.get_mut(budget).ok_or(NoMemory)?;
        budget.check(bytes, limit)?;
        budget.used += bytes;
        Ok(())
    }

    /// Returns success if so much kernel memory could be put on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be used up, or is gone.
    pub(super) fn check_budget(&self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        self.budgets.get(budget).ok_or(NoMemory)?.check(bytes, self.limits.kernel_bytes_per_task)
    }

    /// Takes kernel memory off a budget, if the budget still exists.
    #[inline]
    pub fn refund(&mut self, budget: BudgetId, bytes: usize) {
        if let Some(budget) = self.budgets.get_mut(budget) {
            budget.used -= bytes;
        }
    }

    /// Makes something on a budget: takes the cost back if it cannot be made.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up or gone; those of `make`. Nothing has changed then.
    #[inline]
    pub(crate) fn charged<T, E: From<NoMemory>>(
        &mut self,
        budget: BudgetId,
        bytes: usize,
        make: impl FnOnce(&mut Ipc) -> Result<T, E>,
    ) -> Result<T, E> {
        self.charge(budget, bytes)?;
        let made = make(self);
        if made.is_err() {
            self.refund(budget, bytes);
        }
        made
    }

    /// Returns how much of a budget is used, if it exists.
    pub fn used(&self, budget: BudgetId) -> Option<usize> {
        Some(self.budgets.get(budget)?.used)
    }
}
