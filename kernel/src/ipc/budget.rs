//! Budgets: limits of the kernel memory for a task's ports, names, threads and messages.
//!
//! An object records the budget that it is on and refunds its cost when it is removed. A port stays on the budget of the
//! task that made it while its receive right travels, and moves to that of the receiver when it is received (errata 4). Objects can outlive the task
//! that made them and its budget, so a refund to a removed budget has no effect.

use super::Ipc;
use super::port::PORT_COST;
use crate::ids::{BudgetId, PortId, SpaceId};
use crate::machine::NoMemory;

/// The kernel memory that one task uses, in bytes.
#[derive(Debug, Default)]
pub struct Budget {
    pub(super) used: usize,
}

impl Budget {
    /// Returns success if `bytes` more stay within the limit.
    #[inline]
    fn check(&self, bytes: usize, limit: usize) -> Result<(), NoMemory> {
        if bytes > limit.saturating_sub(self.used) { Err(NoMemory) } else { Ok(()) }
    }
}

impl Ipc {
    /// Charges a budget for kernel memory.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded or has been removed; nothing has changed.
    #[inline]
    pub fn charge(&mut self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        let limit = self.limits.kernel_bytes_per_task;
        let budget = self.budgets.get_mut(budget).ok_or(NoMemory)?;
        budget.check(bytes, limit)?;
        budget.used += bytes;
        Ok(())
    }

    /// Returns success if a budget can be charged with `bytes`.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded or has been removed.
    pub(super) fn check_budget(&self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        self.budgets.get(budget).ok_or(NoMemory)?.check(bytes, self.limits.kernel_bytes_per_task)
    }

    /// Refunds kernel memory to a budget, if the budget still exists.
    #[inline]
    pub fn refund(&mut self, budget: BudgetId, bytes: usize) {
        if let Some(budget) = self.budgets.get_mut(budget) {
            budget.used -= bytes;
        }
    }

    /// Charges a budget for an object and makes the object. If `make` fails, the cost is refunded.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded or has been removed, or if `make` fails. Nothing has changed then.
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

    /// Returns the budget that a port is on, which is that of the task that made the port or received its receive right
    /// last. Returns `None` if the port is the kernel's, or the task and its budget are gone.
    #[inline]
    pub fn budget_of(&self, port: PortId) -> Option<BudgetId> {
        self.ports.get(port)?.budget.filter(|&budget| self.budgets.contains(budget))
    }

    /// Puts a live port on the budget of the space that its receive right is about to enter. Messages that are queued
    /// stay on their budgets: whoever caused them pays for them, and receiving a right costs the same whatever was done
    /// with it before.
    ///
    /// # Errors
    /// [`NoMemory`] if that budget is used up; nothing has changed.
    pub(super) fn take_over(&mut self, port: PortId, space: SpaceId) -> Result<(), NoMemory> {
        let (old, new) = (self.ports[port].budget, self.spaces[space].budget());
        if old == Some(new) {
            return Ok(());
        }
        self.charge(new, PORT_COST)?;
        if let Some(old) = self.ports[port].budget.replace(new) {
            self.refund(old, PORT_COST);
        }
        Ok(())
    }

    /// Returns the bytes that a budget is charged with, if it exists.
    pub fn used(&self, budget: BudgetId) -> Option<usize> {
        Some(self.budgets.get(budget)?.used)
    }
}
