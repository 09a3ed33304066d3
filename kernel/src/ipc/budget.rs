//! Budgets: limits of what tasks use, in a tree.
//!
//! An object records the budget that it is on and refunds its cost when it is removed. A port stays on the budget of the
//! task that made it while its receive right travels, and moves to that of the receiver when it is received (errata 4).
//!
//! A task's budget is taken out of its parent's: the whole of it counts as used there. So all that tasks are promised
//! together never exceeds what the first task has, which is what the machine has. When a task ends, its budget closes.
//! What is not in use goes back to the parent at once, the rest with each refund, and what the task left behind is on
//! its parent's account until then. Before that its children's budgets move to the parent one by one, so a closed budget
//! has no children, and the budget above it is open: a refund concerns two budgets at most, however many ancestors died.

use super::Ipc;
use crate::ids::{BudgetId, PortId, SpaceId, tag};
use crate::limits::{SHARE_LEAST, SHARE_PARTS};
use crate::machine::NoMemory;
use store::{Link, List};

/// What one task may use.
#[derive(Debug)]
pub struct Budget {
    /// The bytes that objects and the budgets of children take.
    pub(super) used: usize,
    /// The bytes that may be used.
    pub(super) limit: usize,
    /// The budget that this one is taken out of; none for that of the first task.
    pub(super) parent: Option<BudgetId>,
    /// The task has ended: the limit is what is still in use.
    pub(super) closed: bool,
    /// The budgets that are taken out of this one.
    pub(super) children: List<tag::Budget, OfParent>,
    link: Link<tag::Budget>,
}

/// The list of the budgets that are taken out of another.
#[derive(Debug)]
pub enum OfParent {}

store::linked!(Budget as tag::Budget, OfParent: link);

/// The cost of a budget on itself, in bytes. It is the last charge that ends.
pub(crate) const BUDGET_COST: usize = size_of::<Budget>();

/// How much of what its parent has left a task gets, besides what it starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Portion {
    /// A quarter, but not less than a program of modest size needs nor more than a limit.
    #[default]
    Usual,
    /// So many bytes.
    Amount(u64),
    /// So many parts of [`SHARE_PARTS`].
    Parts(u64),
}

/// The bounds of [`Portion::Usual`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usual {
    /// The least besides what the task starts with.
    pub least: u64,
    /// The most in all.
    pub most: u64,
}

impl Portion {
    /// Returns the amount for a task that starts with `start` of the `left` that its parent has.
    ///
    /// # Errors
    /// [`NoMemory`] if the parent does not have it.
    pub(crate) fn of(self, left: u64, start: u64, Usual { least, most }: Usual) -> Result<u64, NoMemory> {
        let rest = left.checked_sub(start).ok_or(NoMemory)?;
        let amount = match self {
            Portion::Usual => return Ok((start + (rest / 4).max(least.min(rest))).min(most)),
            Portion::Amount(amount) => amount,
            Portion::Parts(parts) => rest / SHARE_PARTS * parts,
        };
        if amount <= rest { Ok(start + amount) } else { Err(NoMemory) }
    }
}

/// The place where a new task's budget comes from.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The machine: it is the first task, and has so many bytes.
    Machine(usize),
    /// The budget of its parent.
    Parent(BudgetId, Portion),
}

impl Budget {
    /// Returns success if `bytes` more stay within the limit.
    #[inline]
    fn check(&self, bytes: usize) -> Result<(), NoMemory> {
        if bytes > self.limit - self.used { Err(NoMemory) } else { Ok(()) }
    }
}

impl Ipc {
    /// Makes the budget of a new task, which will be charged with `start` bytes besides its own record. The caller has
    /// [made room](Ipc::make_room_for_task).
    ///
    /// # Errors
    /// [`NoMemory`] if its parent does not have what the task is to get; nothing has changed.
    pub(crate) fn open_budget(&mut self, source: Source, start: usize) -> Result<BudgetId, NoMemory> {
        let start = start + BUDGET_COST;
        let (parent, limit) = match source {
            Source::Machine(bytes) => (None, bytes),
            Source::Parent(parent, portion) => {
                let Budget { used, limit, .. } = self.budgets[parent];
                let usual = Usual { least: SHARE_LEAST as u64, most: self.limits.kernel_bytes_per_task as u64 };
                let share = portion.of((limit - used) as u64, start as u64, usual)?;
                (Some(parent), share as usize)
            }
        };
        if limit < start {
            return Err(NoMemory);
        }
        if let Some(parent) = parent {
            self.charge(parent, limit)?;
        }
        let (children, link) = (List::new(), Link::default());
        let made = self.budgets.insert_reserved(|_| Budget {
            used: BUDGET_COST,
            limit,
            parent,
            closed: false,
            children,
            link,
        });
        self.link_budget(made);
        Ok(made)
    }

    /// Puts a budget on the list of its parent.
    fn link_budget(&mut self, budget: BudgetId) {
        let Some(parent) = self.budgets[budget].parent else { return };
        let mut children = core::mem::take(&mut self.budgets[parent].children);
        children.push_back(&mut self.budgets, budget);
        self.budgets[parent].children = children;
    }

    /// Takes a budget off the list of its parent.
    fn unlink_budget(&mut self, budget: BudgetId) {
        let Some(parent) = self.budgets[budget].parent else { return };
        let mut children = core::mem::take(&mut self.budgets[parent].children);
        children.remove(&mut self.budgets, budget);
        self.budgets[parent].children = children;
    }

    /// Moves one budget that is taken out of this one to the budget above. Returns false if there is none left.
    pub(crate) fn move_child_budget(&mut self, budget: BudgetId) -> bool {
        let Some(child) = self.budgets[budget].children.front() else { return false };
        let Budget { parent, .. } = self.budgets[budget];
        let share = self.budgets[child].limit;
        self.unlink_budget(child);
        // Above, the share counts as used already, as a part of this budget.
        let above = &mut self.budgets[budget];
        (above.used, above.limit) = (above.used - share, above.limit - share);
        self.budgets[child].parent = parent;
        self.link_budget(child);
        true
    }

    /// Closes the budget of a task that ends: what is not in use goes back to the parent. Its children have been moved.
    pub(crate) fn close_budget(&mut self, budget: BudgetId) {
        let closing = &mut self.budgets[budget];
        assert!(!closing.closed && closing.children.is_empty(), "{budget:?} is closed twice, or with children");
        closing.closed = true;
        self.give_back(budget);
    }

    /// Gives back to the parent what a closed budget does not use, and removes the budget if nothing is left on it.
    fn give_back(&mut self, budget: BudgetId) {
        let closed = &mut self.budgets[budget];
        let mut unused = core::mem::replace(&mut closed.limit, closed.used) - closed.used;
        let (parent, over) = (closed.parent, closed.used == BUDGET_COST);
        if over {
            self.unlink_budget(budget);
            self.budgets.remove(budget);
            unused += BUDGET_COST;
        }
        if let Some(parent) = parent {
            self.budgets[parent].used -= unused;
        }
    }

    /// Charges a budget for kernel memory.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded; nothing has changed.
    #[inline]
    pub fn charge(&mut self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        store::failpoints::check()?;
        let charged = &mut self.budgets[budget];
        if charged.closed {
            return self.charge_closed(budget, bytes);
        }
        charged.check(bytes)?;
        charged.used += bytes;
        Ok(())
    }

    /// Charges the budget of a task that has ended: its parent has to have the room.
    #[cold]
    fn charge_closed(&mut self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        let parent = self.budgets[budget].parent.ok_or(NoMemory)?;
        let above = &mut self.budgets[parent];
        above.check(bytes)?;
        above.used += bytes;
        let budget = &mut self.budgets[budget];
        (budget.used, budget.limit) = (budget.used + bytes, budget.limit + bytes);
        Ok(())
    }

    /// Returns success if an open budget can be charged with `bytes`.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded.
    pub(super) fn check_budget(&self, budget: BudgetId, bytes: usize) -> Result<(), NoMemory> {
        self.budgets[budget].check(bytes)
    }

    /// Refunds kernel memory to a budget.
    #[inline]
    pub fn refund(&mut self, budget: BudgetId, bytes: usize) {
        let refunded = &mut self.budgets[budget];
        refunded.used -= bytes;
        if refunded.closed {
            self.give_back(budget);
        }
    }

    /// Charges a budget for an object and makes the object. If `make` fails, the cost is refunded.
    ///
    /// # Errors
    /// [`NoMemory`] if the budget would be exceeded, or if `make` fails. Nothing has changed then.
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

    /// Puts a live port, with what its send-once rights are promised, on the budget of the space that its receive right
    /// is about to enter. Messages that are queued stay on their budgets: whoever caused them pays for them.
    ///
    /// # Errors
    /// [`NoMemory`] if that budget is used up; nothing has changed.
    pub(super) fn take_over(&mut self, port: PortId, space: SpaceId) -> Result<(), NoMemory> {
        let (old, new) = (self.ports[port].budget, self.spaces[space].budget());
        if old == Some(new) {
            return Ok(());
        }
        let cost = self.ports[port].cost();
        self.charge(new, cost)?;
        if let Some(old) = self.ports[port].budget.replace(new) {
            self.refund(old, cost);
        }
        Ok(())
    }

    /// Returns the bytes that a budget is charged with, and its limit, if it exists.
    pub fn use_of(&self, budget: BudgetId) -> Option<(usize, usize)> {
        let Budget { used, limit, .. } = self.budgets.get(budget)?;
        Some((*used, *limit))
    }

    /// Returns the bytes that a budget is charged with, if it exists.
    pub fn used(&self, budget: BudgetId) -> Option<usize> {
        Some(self.use_of(budget)?.0)
    }
}
