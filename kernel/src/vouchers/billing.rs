//! The accounts of the bank that pay for the work of threads (vouchers 6.3.9).

use super::Vouchers;
use crate::ids::{ThreadBill, VoucherId};
use crate::sched::run_time::Used;
use voucher::Key;
use voucher::managers::bank::{Adoption, Balance, BankElementId, Bill, Usage};

/// Returns processor time as the bank counts it.
pub(crate) fn usage(Used { time, energy }: Used) -> Usage {
    Usage { cpu: time, energy }
}

impl Vouchers {
    /// Returns the effects of a voucher, or of none, on a thread of a live task that adopts it. The kernel has no thread
    /// groups, so that only account and persona follow the voucher.
    pub fn adoption(&self, task: BankElementId, voucher: Option<VoucherId>) -> Adoption {
        let handle = voucher.and_then(|voucher| self.system.registry.handle(voucher, Key::BANK));
        self.system.bank.adopt(task, handle)
    }

    /// Charges what a thread has used since it was charged last to its account, if it has one. Returns what was charged,
    /// and to which account.
    pub(crate) fn charge(&mut self, bill: &mut ThreadBill, used: Used) -> Option<(Bill, Usage)> {
        bill.charge(&mut self.system.bank, usage(used))
    }

    /// Charges a thread as [`charge`](Vouchers::charge) does, and gives it another account or none.
    pub(crate) fn switch_bill(
        &mut self,
        bill: &mut ThreadBill,
        used: Used,
        account: Option<Bill>,
    ) -> Option<(Bill, Usage)> {
        bill.switch(&mut self.system.bank, usage(used), account)
    }

    /// Returns the pids of the holder and the merchant of an account, or 0 for both if it is gone.
    pub(crate) fn parties(&self, bill: Bill) -> (u32, u32) {
        self.system.bank.parties(bill)
    }

    /// Returns the balance of a live task.
    pub fn balance(&self, task: BankElementId) -> Balance {
        self.system.bank.balance(task)
    }
}
