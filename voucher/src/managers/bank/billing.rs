//! Adoption, bills and balances (vouchers 6.3.9).

use super::Bank;
use super::element::{BankElement, BankElementId, Roles};
use core::ops::AddAssign;

/// What work costs. Sums stay at the largest number rather than begin anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Time on a processor, in ns.
    pub cpu: u64,
    /// Energy, in nJ.
    pub energy: u64,
}

impl Usage {
    /// Nothing.
    pub const NONE: Usage = Usage { cpu: 0, energy: 0 };

    /// What has been added since `before`.
    pub const fn since(self, before: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_sub(before.cpu), energy: self.energy.saturating_sub(before.energy) }
    }

    /// Both together.
    pub const fn plus(self, other: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_add(other.cpu), energy: self.energy.saturating_add(other.energy) }
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Usage) {
        *self = self.plus(other);
    }
}

/// What stands to a task's name. It is added up as it is charged: whether an account is still open makes no difference
/// to anybody who can ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// What others did for it: `ri_billed_…`.
    pub billed: Usage,
    /// What it did for others: `ri_serviced_…`.
    pub serviced: Usage,
}

/// The bill of an account, to which a thread's work is charged. It may outlive the account: then nothing is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill(BankElementId);

/// What a thread gets that adopts a voucher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Where its work is charged, beside its own task; `None` if nobody else pays.
    pub bill: Option<Bill>,
    /// The thread group it works in; `None` if it stays in its own.
    pub group: Option<u64>,
    /// The persona it works for.
    pub persona: u32,
}

impl Bank {
    /// What a thread of a living task `me` gets that adopts a voucher with this handle, or with none.
    pub fn adopt(&self, me: BankElementId, handle: Option<u64>) -> Adoption {
        let task = self.task(me);
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

    /// The thread group of a voucher with this handle, for a thread of a living task `me` that is about to adopt it;
    /// `None` if there is no handle.
    pub fn group(&self, me: BankElementId, handle: Option<u64>) -> Option<u64> {
        match handle.map(|handle| self.element_of(handle))? {
            Some((_, BankElement::Account(account))) => Some(account.roles().group),
            Some((_, BankElement::Task(task))) => Some(task.identity().group),
            None => Some(self.task(me).identity().group),
        }
    }

    /// Charges work to a bill.
    pub fn charge(&mut self, Bill(id): Bill, usage: Usage) {
        let Some(BankElement::Account(account)) = self.elements.get(id) else { return };
        let Roles { holder, merchant, .. } = *account.roles();
        self.task_mut(holder).balance.billed += usage;
        self.task_mut(merchant).balance.serviced += usage;
    }

    /// What stands to the name of a living task.
    pub fn balance(&self, id: BankElementId) -> Balance {
        self.task(id).balance
    }
}

/// To whose bill a thread's work goes, and how much of it has been charged. The kernel has one in each thread.
///
/// All amounts given are what the thread has used in its whole life.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadBill {
    bill: Option<Bill>,
    /// What the thread had used when it was last charged.
    deducted: Usage,
}

impl ThreadBill {
    /// Charges what the thread has used since it was last charged: when it leaves the processor, and when its quantum
    /// ends.
    pub fn charge(&mut self, bank: &mut Bank, used: Usage) {
        let usage = used.since(self.deducted);
        self.deducted = used;
        if let Some(bill) = self.bill {
            bank.charge(bill, usage);
        }
    }

    /// The thread has adopted another voucher, or none: what it did so far goes to the old bill. The old voucher is
    /// released only after this.
    pub fn switch(&mut self, bank: &mut Bank, used: Usage, bill: Option<Bill>) {
        self.charge(bank, used);
        self.bill = bill;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::managers::bank::{Settings, TaskIdentity};

    const fn cpu(cpu: u64) -> Usage {
        Usage { cpu, energy: 0 }
    }

    /// A bank with two tasks and an account of the second's work for the first.
    fn bank() -> (Bank, BankElementId, BankElementId, u64) {
        let mut bank = Bank::new(1, Settings::default());
        let (holder, merchant) = (bank.begin_task(TaskIdentity::default()), bank.begin_task(TaskIdentity::default()));
        let (holder, merchant) = (holder.unwrap(), merchant.unwrap());
        let roles = Roles { holder, merchant, originator: holder, proximate: holder, persona: 7, group: 0 };
        let account = bank.account(roles).unwrap();
        (bank, holder, merchant, account)
    }

    #[test]
    fn a_thread_is_charged_for_what_it_does_between_two_switches() {
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
        bank.give_up(account, 1).unwrap();
        assert_eq!((bank.balance(holder), bank.balance(merchant)), held, "what was charged stays");
    }

    #[test]
    fn a_bill_that_outlives_its_account_charges_nobody() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.give_up(account, 1).unwrap();
        bank.charge(bill, cpu(5));
        assert_eq!((bank.balance(holder), bank.balance(merchant)), Default::default());
    }

    #[test]
    fn a_side_that_has_ended_is_skipped_and_goes_with_its_last_account() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.charge(bill, cpu(5));
        bank.end_task(holder);
        bank.give_up(account, 1).unwrap();
        assert!(bank.element(holder).is_none());
        assert_eq!((bank.balance(merchant).serviced, bank.len()), (cpu(5), (1, 0)));
    }

    #[test]
    fn sums_stay_at_the_largest_number() {
        let (mut bank, holder, merchant, account) = bank();
        let bill = bank.adopt(merchant, Some(account)).bill.unwrap();
        bank.charge(bill, cpu(u64::MAX));
        bank.charge(bill, cpu(1));
        assert_eq!(bank.balance(holder).billed, cpu(u64::MAX));
    }
}
