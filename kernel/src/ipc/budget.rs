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

impl Ipc {
    /// Puts kernel memory on a budget.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget is used up or gone; nothing has changed.
    #[inline]
    pub fn charge(&mut self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        let budget = self.budgets.get_mut(budget).ok_or(NoMemory)?;
        if bytes > self.limits.kernel_bytes_per_task.saturating_sub(budget.used) {
            return Err(NoMemory);
        }
        budget.used += bytes;
        Ok(())
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
    pub(crate) fn charged<T>(
        &mut self,
        budget: BudgetId,
        bytes: usize,
        make: impl FnOnce(&mut Ipc) -> Result<T, NoMemory>,
    ) -> Result<T, NoMemory> {
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
