//! Processor time and who pays for it (vouchers 6.3.9).
//!
//! The scheduler counts the time of each thread and knows nothing of accounts. The bank keeps accounts and knows nothing
//! of threads. This is where they meet: a thread's time is charged to the account of the voucher that it has adopted
//! whenever it leaves the processor, when its quantum ends, when it adopts another voucher, and when somebody asks.

use crate::ids::{TaskId, ThreadId, VoucherId};
use crate::ipc::Ipc;
use crate::kernel::Kernel;
use crate::machine::{Cpu, Machine, Stamp};
use crate::sched::Scheduling;
use crate::sched::run_time::Used;
use crate::sched::thread::State;
use crate::vouchers::Vouchers;
use voucher::managers::bank::Balance;

/// Charges the time of `cpu` to the thread that has it, or had it in this step, and to the thread's account.
#[inline]
pub(crate) fn charge(sched: &mut Scheduling, vouchers: &mut Vouchers, cpu: Cpu, thread: Option<ThreadId>, now: Stamp) {
    sched.charge(cpu, thread, now);
    if let Some(thread) = thread
        && sched.get(thread).is_some_and(|thread| thread.is_billed())
    {
        bill(sched, vouchers, thread);
    }
}

/// Charges what a thread has used since the last time to its account.
#[cold]
fn bill(sched: &mut Scheduling, vouchers: &mut Vouchers, thread: ThreadId) {
    let used = sched.used(thread);
    vouchers.charge(sched[thread].bill_mut(), used);
}

impl Kernel {
    /// Charges the thread that left the processor at the end of the last step by a direct switch, to its account. The
    /// account is charged no earlier, because nobody can ask for its balance before the next step.
    #[inline]
    pub(crate) fn bill_switched(&mut self) {
        if let Some(thread) = self.step.take_billed_switch() {
            bill(&mut self.sched, &mut self.vouchers, thread);
        }
    }

    /// Does the same, and returns true if nothing else is left to do.
    #[cold]
    pub(crate) fn bill_and_be_quiet(&mut self) -> bool {
        self.bill_switched();
        self.step.is_quiet()
    }

    /// Charges the time of `cpu` until now to the thread that has it, or had it in this step, and to the thread's
    /// account.
    #[inline]
    pub(crate) fn charge(&mut self, machine: &mut dyn Machine, cpu: Cpu, thread: Option<ThreadId>) -> Stamp {
        let now = machine.stamp();
        charge(&mut self.sched, &mut self.vouchers, cpu, thread, now);
        now
    }

    /// Charges a thread until now, if it is running. Otherwise it has been charged when it left the processor.
    pub(crate) fn charge_if_running(&mut self, machine: &mut dyn Machine, thread: ThreadId) {
        if let State::Running(cpu) = *self.sched[thread].state() {
            self.charge(machine, cpu, Some(thread));
        }
    }

    /// Lets a thread adopt a voucher, or none, with a reference of the caller's. Its time until now is charged to the
    /// account that it had, and the old voucher is released afterwards, because it holds that account.
    pub(crate) fn adopt_voucher(&mut self, machine: &mut dyn Machine, thread: ThreadId, voucher: Option<VoucherId>) {
        self.charge_if_running(machine, thread);
        let Kernel { sched, ipc, step, vouchers, tasks, .. } = self;
        let bank = tasks[sched[thread].task()].bank.expect("a task with threads is in the bank");
        let used = sched.used(thread);
        let adoption = vouchers.adoption(bank, voucher);
        vouchers.switch_bill(sched[thread].bill_mut(), used, adoption.bill);
        release(sched, ipc, step, vouchers, thread, voucher);
    }

    /// Settles the account of a thread that ends, lets it give up its voucher, and adds its time to its task's. If it
    /// was running it has been charged.
    pub(crate) fn settle_thread(&mut self, thread: ThreadId) {
        let Kernel { sched, ipc, step, vouchers, tasks, .. } = self;
        let used = sched.used(thread);
        vouchers.switch_bill(sched[thread].bill_mut(), used, None);
        release(sched, ipc, step, vouchers, thread, None);
        tasks[sched[thread].task()].ended_threads += used;
    }

    /// Returns what the threads of a live task have used, and the task's balance in the bank. A thread that is running
    /// counts until it was charged last.
    pub(crate) fn usage_of(&self, task: TaskId) -> (Used, Balance) {
        let Kernel { sched, vouchers, tasks, .. } = self;
        let task = &tasks[task];
        let mut used = task.ended_threads;
        let mut next = task.threads.front();
        while let Some(thread) = next {
            used += sched.used(thread);
            next = sched.next_sibling(&task.threads, thread);
        }
        (used, vouchers.balance(task.bank.expect("a live task is in the bank")))
    }
}

/// Replaces the voucher of a thread, and releases the old one.
fn release(
    sched: &mut Scheduling,
    ipc: &mut Ipc,
    step: &mut crate::step::Step,
    vouchers: &mut Vouchers,
    thread: ThreadId,
    voucher: Option<VoucherId>,
) {
    if let Some(old) = sched.adopt(thread, voucher) {
        vouchers.release(ipc, step, old);
    }
}
