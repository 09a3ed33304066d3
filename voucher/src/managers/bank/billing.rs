//! Adoption, bills and balances (vouchers 6.3.9).

use super::Bank;
use super::element::{BankElement, BankElementId, Roles};
use core::ops::AddAssign;

/// The cost of work. Sums saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The processor time in ns.
    pub cpu: u64,
    /// The energy in nJ.
    pub energy: u64,
}

impl Usage {
    /// No cost.
    pub const NONE: Usage = Usage { cpu: 0, energy: 0 };

    /// Returns the difference to an earlier sum, `before`.
    pub const fn since(self, before: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_sub(before.cpu), energy: self.energy.saturating_sub(before.energy) }
    }

    /// Returns the sum.
    pub const fn plus(self, other: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_add(other.cpu), energy: self.energy.saturating_add(other.energy) }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        *self = self.plus(other);
    }
}

/// The sums of a task's accounts, open and closed. Charges are added at once, so that closing an account changes no
/// balance that a program can read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// The work of other tasks for this one: `ri_billed_…`.
    pub billed: Usage,
    /// The work of this task for others: `ri_serviced_…`.
    pub serviced: Usage,
}

/// The right to charge an account. It may outlive the account; charges have no effect then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill(BankElementId);

/// The effects of a voucher on a thread that adopts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The account that the work of the thread is charged to, or `None` if no other task pays.
    pub bill: Option<Bill>,
    /// The thread group that the thread joins, or `None` if it stays in its own.
    pub group: Option<u64>,
    /// The persona for which the thread works.
    pub persona: u32,
}

impl Bank {
    /// Returns the effects on a thread of the live task `task_id` that adopts a voucher with this handle, or without
    /// one.
    pub fn adopt(&self, task_id: BankElementId, handle: Option<u64>) -> Adoption {
        let task = self.task(task_id);
        match handle.and_then(|handle| self.element_of(handle)) {
            Some((id, BankElement::Account(account))) => {
                let Roles { holder, merchant, persona, group, .. } = *account.roles();
                let for_others = holder != merchant;
                let elsewhere = for_others || group != self.task(merchant).identity().group;
                let group = (elsewhere && group != task.identity().group).then_some(group);
                Adoption { bill: for_others.then_some(Bill(id)), group, persona }
            }
            _ => Adoption { bill: None, group: None, persona: task.persona() },
        }
    }

    /// Returns the thread group of a voucher with this handle, for a thread of the live task `task_id` that is about to
    /// adopt the voucher, or `None` without a handle.
    pub fn group(&self, task_id: BankElementId, handle: Option<u64>) -> Option<u64> {
        match handle.map(|handle| self.element_of(handle))? {
            Some((_, BankElement::Account(account))) => Some(account.roles().group),
            Some((_, BankElement::Task(task))) => Some(task.identity().group),
            None => Some(self.task(task_id).identity().group),
        }
    }

    /// Charges work to an account.
    pub fn charge(&mut self, Bill(id): Bill, usage: Usage) {
        let Some(BankElement::Account(account)) = self.elements.get(id) else { return };
        let Roles { holder, merchant, .. } = *account.roles();
        self.task_mut(holder).balance.billed += usage;
        self.task_mut(merchant).balance.serviced += usage;
    }

    /// Returns the pids of the holder and the merchant of an account, or 0 for both if it is gone.
    pub fn parties(&self, Bill(id): Bill) -> (u32, u32) {
        let Some(BankElement::Account(account)) = self.elements.get(id) else { return (0, 0) };
        let pid = |task| self.task(task).identity().info.pid as u32;
        (pid(account.roles().holder), pid(account.roles().merchant))
    }

    /// Returns the balance of a live task.
    pub fn balance(&self, id: BankElementId) -> Balance {
        self.task(id).balance
    }
}

/// The account that a thread's work is charged to, and the part of its work that has been charged. The kernel keeps one
/// for each thread.
///
/// The methods take the usage of the thread since its creation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadBill {
    bill: Option<Bill>,
    /// The usage of the thread when it was last charged.
    deducted: Usage,
}

impl ThreadBill {
    /// Returns true if an account pays for the thread.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        self.bill.is_some()
    }

    /// Returns the usage of the thread when it was last charged.
    pub const fn charged(&self) -> Usage {
        self.deducted
    }

    /// Returns the account that pays for the thread.
    pub const fn bill(&self) -> Option<Bill> {
        self.bill
    }

    /// Charges the usage since the last charge. The kernel calls this when the thread leaves the processor and when its
    /// quantum ends.
    /// Returns what was charged, and to which account.
    pub fn charge(&mut self, bank: &mut Bank, used: Usage) -> Option<(Bill, Usage)> {
        let usage = used.since(self.deducted);
        self.deducted = used;
        let bill = self.bill?;
        bank.charge(bill, usage);
        Some((bill, usage))
    }

    /// Charges the usage so far to the old account, and replaces the account: the thread has adopted another voucher,
    /// or none. The caller must hold the old voucher until then.
    /// Returns what was charged to the old account.
    pub fn switch(&mut self, bank: &mut Bank, used: Usage, bill: Option<Bill>) -> Option<(Bill, Usage)> {
        let charged = self.charge(bank, used);
        self.bill = bill;
        charged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::bank::{BankSettings, TaskIdentity};

    const fn cpu(cpu: u64) -> Usage {
        Usage { cpu, energy: 0 }
    }

    /// Returns a bank with two tasks, and an account of the second task's work for the first.
    fn bank() -> (Bank, BankElementId, BankElementId, u64) {
        let mut bank = Bank::new(1, BankSettings::default());
        let (holder, merchant) = (bank.begin_task(TaskIdentity::default()), bank.begin_task(TaskIdentity::default()));
        let (holder, merchant) = (holder.unwrap(), merchant.unwrap());
        let roles = Roles { holder, merchant, originator: holder, proximate: holder, persona: 7, group: 0 };
        let account = bank.account_for(roles).unwrap();
        (bank, holder, merchant, account)
    }

    #[test]
    fn work_between_two_switches_is_charged_to_the_account() {
        let (mut bank, holder, merchant, account) = bank();
        let Adoption { bill, group, persona } = bank.adopt(merchant, Some(account));
        assert_eq!((bill.is_some(), group, persona), (true, None, 7));
        let mut thread = ThreadBill::default();
        thread.charge(&mut bank, cpu(10));
        thread.switch(&mut bank, cpu(30), bill);
        thread.charge(&mut bank, cpu(70));
        thread.switch(&mut bank, cpu(100), None);
        thread.charge(&mut bank, cpu(1000));
        let held =
            (Balance { billed: cpu(70), ..Balance::default() }, Balance { serviced: cpu(70), ..Balance::default() });
        assert_eq!((bank.balance(holder), bank.balance(merchant)), held);
        bank.release_handle(account, 1).unwrap();
        assert_eq!((bank.balance(holder), bank.balance(merchant)), held, "a charge outlives its account");
    }

    #[test]
    fn a_bill_that_outlives_its_account_charges_no_task() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.release_handle(account, 1).unwrap();
        bank.charge(bill, cpu(5));
        assert_eq!((bank.balance(holder), bank.balance(merchant)), Default::default());
    }

    #[test]
    fn an_ended_task_exists_until_its_last_account_closes() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.charge(bill, cpu(5));
        bank.end_task(holder);
        bank.release_handle(account, 1).unwrap();
        assert!(bank.element(holder).is_none());
        assert_eq!((bank.balance(merchant).serviced, bank.len()), (cpu(5), (1, 0)));
    }

    #[test]
    fn sums_saturate() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.charge(bill, cpu(u64::MAX));
        bank.charge(bill, cpu(1));
        assert_eq!(bank.balance(holder).billed, cpu(u64::MAX));
    }
}
