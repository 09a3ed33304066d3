//! BANK: adoption and billing (vouchers 10.6).

use crate::bank::*;
use crate::support::*;
use voucher::VoucherId;
use voucher::managers::bank::*;

/// A thread. Its binding holds a reference to the voucher, and releases the old one after the bill was switched.
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
        let handle = name.and_then(|name| world.handle(name, BANK));
        let adoption = world.vouchers.bank.adopt(world.bank_id(self.task), handle);
        self.bill.switch(&mut world.vouchers.bank, self.used, adoption.bill);
        if let Some(old) = std::mem::replace(&mut self.bound, voucher) {
            world.release(old);
        }
        adoption
    }

    /// Runs for the time `cpu`, and leaves the processor.
    fn run(&mut self, world: &mut World, cpu: u64) {
        self.used += usage(cpu);
        self.bill.charge(&mut world.vouchers.bank, self.used);
    }
}

/// Returns the usage of a time, with an energy in proportion.
fn usage(cpu: u64) -> Usage {
    Usage { cpu, energy: cpu * 3 }
}

/// Creates the voucher X of task B and releases those that it was made from, except V.
fn x_alone(world: &mut World) -> u32 {
    let (_, w) = v_and_w(world);
    let in_b = world.give(w, B);
    world.deallocate(w);
    let x = world.switch(B).make(&[auto_redeem(in_b)]);
    world.deallocate(in_b);
    x
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

/// B-23 without the task's own time, which the kernel counts.
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
fn a_balance_includes_open_accounts_and_does_not_change_when_they_close() {
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
fn work_for_an_ended_holder_is_serviced_by_the_merchant() {
    let mut world = World::new();
    let x = x_alone(&mut world);
    let mut thread = Thread::of(B);
    thread.bind(&mut world, Some(x));
    thread.run(&mut world, 20);
    let a = world.bank_id(A);
    world.vouchers.bank.end_task(a);
    assert!(world.vouchers.bank.element(a).is_some(), "the account refers to the task");
    thread.run(&mut world, 14);
    thread.bind(&mut world, None);
    world.deallocate(x);
    assert!(world.vouchers.bank.element(a).is_none());
    assert_eq!((balance(&world, B), balance(&world, C)), (serviced(34), Balance::default()));
    world.end();
}

// covers vouchers B-26
#[test]
fn an_account_of_a_task_with_itself_charges_nothing() {
    let mut world =
        World::of([with_persona(10, 101), TaskIdentity { modify_persona: true, ..identity(20) }, identity(30)]);
    let (_, w) = v_and_w(&mut world);
    let wanted = [502u32.to_le_bytes(), [0; 4], 1010u32.to_le_bytes(), [0; 4]].concat();
    let in_b = world.give(w, B);
    let account = world.switch(B).make(&[it(BANK, MODIFY_PERSONA, in_b, wanted)]);
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
fn the_last_account_releases_its_tasks() {
    let mut world = World::new();
    let x = x_alone(&mut world);
    assert_eq!((world.bank_task(A).accounts(), world.bank_task(B).accounts()), ((1, 0), (0, 1)));
    assert_eq!((world.bank_task(A).refs(), world.bank_task(B).refs()), (4, 2));
    world.deallocate(x);
    assert_eq!((world.bank_task(A).accounts(), world.bank_task(B).accounts()), ((0, 0), (0, 0)));
    assert_eq!((world.bank_task(A).refs(), world.bank_task(B).refs()), (1, 1));
    world.end();
}

// covers vouchers B-28
#[test]
fn a_thread_binding_keeps_the_account_open_when_all_names_are_gone() {
    let mut world = World::new();
    let x = x(&mut world);
    let Adoption { bill, .. } = world.vouchers.bank.adopt(world.bank_id(B), world.handle(x, BANK));
    let mut thread = Thread::of(B);
    thread.bind(&mut world, Some(x));
    world.deallocate(x);
    thread.run(&mut world, 30);
    assert_eq!(balance(&world, A), billed(30));
    thread.used += usage(4);
    thread.bind(&mut world, None);
    assert_eq!(
        (world.vouchers.bank.len().1, balance(&world, A)),
        (0, billed(34)),
        "the account was charged, then closed"
    );
    thread.run(&mut world, 5000);
    world.vouchers.bank.charge(bill.unwrap(), usage(5000));
    assert_eq!(
        (balance(&world, A), balance(&world, B)),
        (billed(34), serviced(34)),
        "a charge to a closed account has no effect"
    );
    world.end();
}
