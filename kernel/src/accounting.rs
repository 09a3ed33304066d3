//! Processor time and who pays for it (vouchers 6.3.9).
//!
//! The scheduler counts the time of each thread and knows nothing of accounts. The bank keeps accounts and knows nothing
//! of threads. This is where they meet: a thread's time is charged to the account of the voucher that it has adopted
//! when it leaves the processor, when its quantum ends, before it adopts another voucher, and when it asks.

use crate::ids::{TaskId, ThreadId, VoucherId};
use crate::kernel::Kernel;
use crate::machine::{Cpu, Machine, Stamp};
use crate::sched::run_time::Used;
use crate::sched::thread::State;
use crate::task::Task;
use crate::trace::Event;
use abi::event::kind;
use abi::port::{MACH_PORT_NULL, PortName};
use voucher::managers::bank::{Balance, BankElementId, Bill, Usage};

impl Kernel {
    /// Charges the time of `cpu` until now to the thread that has it, or had it in this step, and to the thread's
    /// account.
    #[inline(never)]
    pub(crate) fn charge(&mut self, machine: &mut dyn Machine, cpu: Cpu, thread: Option<ThreadId>) {
        self.sched.charge(cpu, thread, machine.stamp());
        self.bill_if_open(thread);
    }

    /// Charges the time of `cpu` until now to a thread that had it in this step and has it no longer.
    #[inline]
    pub(crate) fn charge_left(&mut self, cpu: Cpu, thread: Option<ThreadId>, now: Stamp) {
        if self.sched.current(cpu) != thread {
            self.sched.charge(cpu, thread, now);
        }
    }

    /// Charges what a thread has used since the last time to its account, if it has one.
    #[inline]
    pub(crate) fn bill_if_open(&mut self, thread: Option<ThreadId>) {
        if let Some(thread) = thread
            && self.sched.get(thread).is_some_and(|thread| thread.is_billed())
        {
            self.bill(thread);
        }
    }

    /// Charges a thread until now, if it is running. Otherwise it has been charged when it left the processor.
    #[inline(never)]
    pub(crate) fn charge_if_running(&mut self, machine: &mut dyn Machine, thread: ThreadId) {
        if let State::Running(cpu) = *self.sched[thread].state() {
            self.charge(machine, cpu, Some(thread));
        }
    }

    #[cold]
    fn bill(&mut self, thread: ThreadId) {
        let used = self.sched.used(thread);
        let charged = self.vouchers.charge(self.sched[thread].bill_mut(), used);
        self.record_charge(thread, charged);
    }

    /// Records a charge to an account, if there was one.
    fn record_charge(&mut self, thread: ThreadId, charged: Option<(Bill, Usage)>) {
        let Kernel { sched, step, vouchers, .. } = self;
        if let Some((bill, usage)) = charged.filter(|(_, usage)| usage.cpu > 0) {
            step.trace.record(|| {
                let (holder, merchant) = vouchers.parties(bill);
                Event::new(kind::TIME_CHARGED, [sched[thread].number(), usage.cpu, holder.into(), merchant.into()])
            });
        }
    }

    /// Charges the account of the thread that left the processor by a direct switch in the last step. It is charged no
    /// earlier, because nobody can ask for a balance before the next step.
    #[inline]
    pub(crate) fn bill_switched(&mut self) {
        if let Some(thread) = self.step.take_billed_switch() {
            self.bill(thread);
        }
    }

    /// Does the same, and returns true if nothing else is left to do.
    #[cold]
    pub(crate) fn bill_and_be_quiet(&mut self) -> bool {
        self.bill_switched();
        self.step.is_quiet()
    }

    /// Lets a thread adopt a voucher, or none, with a reference of the caller's. `name` is the name by which it does so,
    /// or null. Its time until now is charged to the account that it had. The old voucher, which keeps that account open,
    /// is released afterwards.
    pub(crate) fn adopt_voucher(
        &mut self,
        machine: &mut dyn Machine,
        thread: ThreadId,
        voucher: Option<VoucherId>,
        name: PortName,
    ) {
        self.charge_if_running(machine, thread);
        self.switch_voucher(thread, voucher, name);
    }

    /// Settles the account of a thread that ends, lets it give up its voucher, and adds its time to its task's. If it
    /// was running it has been charged.
    pub(crate) fn settle_thread(&mut self, thread: ThreadId) {
        self.switch_voucher(thread, None, MACH_PORT_NULL);
        let used = self.sched.used(thread);
        self.tasks[self.sched[thread].task()].ended_threads += used;
    }

    /// Replaces the voucher of a thread, and with it the account. The thread has been charged.
    #[inline(never)]
    fn switch_voucher(&mut self, thread: ThreadId, voucher: Option<VoucherId>, name: PortName) {
        let bank = self.bank_of(self.sched[thread].task());
        let used = self.sched.used(thread);
        let account = self.vouchers.adoption(bank, voucher).bill;
        let charged = self.vouchers.switch_bill(self.sched[thread].bill_mut(), used, account);
        self.record_charge(thread, charged);
        let Kernel { sched, ipc, step, vouchers, .. } = self;
        if sched[thread].voucher() != voucher {
            step.trace.record(|| Event::voucher(kind::VOUCHER_ADOPTED, voucher, sched[thread].number()));
        }
        if let Some(old) = sched.adopt(thread, voucher, name) {
            vouchers.release(ipc, step, old);
        }
    }

    /// Returns the persona for which a thread works: that of its voucher, or else that of its task.
    pub(crate) fn persona_of(&self, thread: ThreadId) -> u32 {
        let thread = &self.sched[thread];
        self.persona_with(thread.task(), thread.voucher())
    }

    /// Returns the persona of a voucher, or of none, in a task that has threads: that of the voucher's account, or else
    /// that of the task (vouchers 6.3.9).
    pub(crate) fn persona_with(&self, task: TaskId, voucher: Option<VoucherId>) -> u32 {
        self.vouchers.adoption(self.bank_of(task), voucher).persona
    }

    /// Returns what the threads of a live task have used, and the task's balance in the bank. A thread that is running
    /// counts until it was charged last.
    pub(crate) fn usage_of(&self, task: TaskId) -> (Used, Balance) {
        (self.used_by(&self.tasks[task]), self.vouchers.balance(self.bank_of(task)))
    }

    /// Returns what the threads of a task have used, as for [`usage_of`](Kernel::usage_of).
    pub(crate) fn used_by(&self, task: &Task) -> Used {
        let mut used = task.ended_threads;
        let mut next = task.threads.front();
        while let Some(thread) = next {
            used += self.sched.used(thread);
            next = self.sched.next_sibling(&task.threads, thread);
        }
        used
    }

    /// Returns the record in the bank of a task that has threads, or may still get some.
    fn bank_of(&self, task: TaskId) -> BankElementId {
        self.tasks[task].bank.expect("a task leaves the bank after its last thread has ended")
    }
}
