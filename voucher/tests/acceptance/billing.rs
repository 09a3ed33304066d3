//! BANK: who pays (vouchers 10.6).

use crate::bank::*;
use crate::support::*;
use voucher::VoucherId;
use voucher::managers::bank::*;

/// A thread: its binding holds a reference to the voucher, and the old one goes after the bill was switched.
struct Thread {
    task: usize,
    bound: Option<VoucherId>,
    bill: ThreadBill,
    used: Usage,
}

impl Thread {
    fn of(task: usize) -> Self {
        Thread { task, bound: None, bill: ThreadBill::default(), used: Usage::NONE }
    }

    fn bind(&mut self, world: &mut World, name: Option<u32>) -> Adoption {
        let voucher = name.map(|name| world.id(name));
        if let Some(voucher) = voucher {
            world.vouchers.registry.retain(voucher).unwrap();
        }
        let handle = name.and_then(|name| world.handle(name, 3));
        let adoption = world.vouchers.bank.adopt(world.bank_id(self.task), handle);
        self.bill.switch(&mut world.vouchers.bank, self.used, adoption.bill);
        if let Some(old) = std::mem::replace(&mut self.bound, voucher) {
            world.release(old);
        }
        adoption
    }

    /// Runs for so long, and leaves the processor.
    fn run(&mut self, world: &mut World, cpu: u64) {
        self.used += usage(cpu);
        self.bill.charge(&mut world.vouchers.bank, self.used);
    }
}

/// Time, and energy beside it.
fn usage(cpu: u64) -> Usage {
    Usage { cpu, energy: cpu * 3 }
}

fn balance(world: &World, task: usize) -> Balance {
    world.vouchers.bank.balance(world.bank_id(task))
}

fn billed(cpu: u64) -> Balance {
    Balance { billed: usage(cpu), ..Balance::default() }
}

fn serviced(cpu: u64) -> Balance {
    Balance { serviced: usage(cpu), ..Balance::default() }
}

/// B-23 but for the task's own time, which the kernel counts.
#[test]
fn work_between_binding_and_unbinding_is_billed_to_the_holder_and_serviced_by_the_merchant() {
    let mut world = World::new();
    let x = x(&mut world);
    let mut thread = Thread::of(B);
    thread.run(&mut world, 1000);
    thread.bind(&mut world, Some(x));
    thread.run(&mut world, 30);
    thread.run(&mut world, 4);
    thread.bind(&mut world, None);
    thread.run(&mut world, 5000);
    world.deallocate(x);
    assert_eq!(world.vouchers.bank.len().1, 0, "the account is closed");
    assert_eq!((balance(&world, A), balance(&world, B)), (billed(34), serviced(34)));
    assert_eq!(balance(&world, C), Balance::default());
    world.end();
}

// covers vouchers B-24
#[test]
fn what_stands_on_an_open_bill_is_in_the_balances_and_stays_there_when_it_is_settled() {
    let mut world = World::new();
    let x = x(&mut world);
    let mut thread = Thread::of(B);
    thread.bind(&mut world, Some(x));
    thread.run(&mut world, 34);
    thread.bind(&mut world, None);
    assert_eq!(world.vouchers.bank.len().1, 1, "the account is open");
    assert_eq!((balance(&world, A), balance(&world, B)), (billed(34), serviced(34)));
    world.deallocate(x);
    assert_eq!((balance(&world, A), balance(&world, B)), (billed(34), serviced(34)));
    world.end();
}

// covers vouchers B-25
#[test]
fn if_the_holder_has_ended_only_the_merchant_is_told() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let in_b = world.give(w, B);
    world.deallocate(w);
    let x = world.switch(B).make(&[auto_redeem(in_b)]);
    world.deallocate(in_b);
    let mut thread = Thread::of(B);
    thread.bind(&mut world, Some(x));
    thread.run(&mut world, 20);
    let a = world.bank_id(A);
    world.vouchers.bank.end_task(a);
    assert!(world.vouchers.bank.element(a).is_some(), "the account refers to it");
    thread.run(&mut world, 14);
    thread.bind(&mut world, None);
    world.deallocate(x);
    assert!(world.vouchers.bank.element(a).is_none());
    assert_eq!((balance(&world, B), balance(&world, C)), (serviced(34), Balance::default()));
    world.end();
}

// covers vouchers B-26
#[test]
fn for_work_between_a_task_and_itself_there_is_no_bill() {
    let mut world =
        World::of([with_persona(10, 101), TaskIdentity { modify_persona: true, ..identity(20) }, identity(30)]);
    let (_, w) = v_and_w(&mut world);
    let wanted = [502u32.to_le_bytes(), [0; 4], 1010u32.to_le_bytes(), [0; 4]].concat();
    let in_b = world.give(w, B);
    let account = world.switch(B).make(&[it(3, 611, in_b, wanted)]);
    assert_eq!(bank_value(&world, account), "A(A,A,A,A;502)");
    let in_a = world.give(account, A);
    world.switch(A);
    let mut thread = Thread::of(A);
    let adoption = thread.bind(&mut world, Some(in_a));
    assert_eq!((adoption.bill, adoption.persona), (None, 502));
    thread.run(&mut world, 34);
    thread.bind(&mut world, None);
    assert_eq!(balance(&world, A), Balance::default());
    world.end();
}

// covers vouchers B-27
#[test]
fn when_the_last_account_goes_nothing_refers_to_its_tasks() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let in_b = world.give(w, B);
    world.deallocate(w);
    let x = world.switch(B).make(&[auto_redeem(in_b)]);
    world.deallocate(in_b);
    assert_eq!((world.bank_task(A).accounts(), world.bank_task(B).accounts()), ((1, 0), (0, 1)));
    assert_eq!((world.bank_task(A).refs(), world.bank_task(B).refs()), (4, 2));
    world.deallocate(x);
    assert_eq!((world.bank_task(A).accounts(), world.bank_task(B).accounts()), ((0, 0), (0, 0)));
    assert_eq!((world.bank_task(A).refs(), world.bank_task(B).refs()), (1, 1));
    world.end();
}

// covers vouchers B-28
#[test]
fn a_binding_keeps_its_bill_open_when_all_names_are_gone() {
    let mut world = World::new();
    let x = x(&mut world);
    let Adoption { bill, .. } = world.vouchers.bank.adopt(world.bank_id(B), world.handle(x, 3));
    let mut thread = Thread::of(B);
    thread.bind(&mut world, Some(x));
    world.deallocate(x);
    thread.run(&mut world, 30);
    assert_eq!(balance(&world, A), billed(30));
    thread.used += usage(4);
    thread.bind(&mut world, None);
    assert_eq!((world.vouchers.bank.len().1, balance(&world, A)), (0, billed(34)), "charged, then settled");
    thread.run(&mut world, 5000);
    world.vouchers.bank.charge(bill.unwrap(), usage(5000));
    assert_eq!((balance(&world, A), balance(&world, B)), (billed(34), serviced(34)), "a closed bill takes nothing");
    world.end();
}
