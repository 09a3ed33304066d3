//! BANK: values on their way from task to task (vouchers 10.6).

use crate::support::*;
use abi::voucher::*;
use voucher::managers::bank::*;

/// What a voucher says of the bank: `1`, `T(A)` or `A(holder,merchant,originator,proximate;persona)`, where A, B and C are
/// the tasks with the pids 10, 20 and 30.
pub fn bank_value(world: &World, name: u32) -> String {
    let bank = &world.vouchers.bank;
    let letter = |task: BankElementId| match bank.element(task) {
        Some(BankElement::Task(task)) => char::from(b'A' - 1 + (task.identity().info.pid / 10) as u8),
        other => panic!("{other:?} is no task"),
    };
    let handle = world.handle(name, MACH_VOUCHER_ATTR_KEY_BANK).expect("the attribute is present");
    match bank.element_of(handle) {
        None => handle.to_string(),
        Some((task, BankElement::Task(_))) => format!("T({})", letter(task)),
        Some((_, BankElement::Account(account))) => {
            let Roles { holder, merchant, originator, proximate, persona, .. } = *account.roles();
            let [holder, merchant, originator, proximate] = [holder, merchant, originator, proximate].map(letter);
            let persona = if persona == PERSONA_ID_NONE { "-".to_owned() } else { persona.to_string() };
            format!("A({holder},{merchant},{originator},{proximate};{persona})")
        }
    }
}

pub fn current_task() -> Item {
    it(3, MACH_VOUCHER_ATTR_BANK_CREATE, 0, "")
}

pub fn auto_redeem(previous: u32) -> Item {
    it(3, MACH_VOUCHER_ATTR_AUTO_REDEEM, previous, "")
}

pub fn send_preprocess(previous: u32) -> Item {
    it(3, MACH_VOUCHER_ATTR_SEND_PREPROCESS, previous, "")
}

/// Task A's vouchers V, "current task", and W, which says that it comes from A.
pub fn v_and_w(world: &mut World) -> (u32, u32) {
    let v = world.switch(A).make(&[current_task()]);
    (v, world.make(&[send_preprocess(v)]))
}

/// What task B makes of A's W: its name there.
pub fn x(world: &mut World) -> u32 {
    let (_, w) = v_and_w(world);
    let w = world.give(w, B);
    world.switch(B).make(&[auto_redeem(w)])
}

fn platform_binary(identity: TaskIdentity) -> TaskIdentity {
    TaskIdentity { platform_binary: true, ..identity }
}

/// A process id, as a command reports it.
pub fn pid(world: &mut World, name: u32) -> i32 {
    let (code, bytes) = world.command(name, 3, BANK_ORIGINATOR_PID, 4);
    assert_eq!(code, 0);
    i32::from_le_bytes(bytes.try_into().unwrap())
}

/// A persona, as a command reports it.
pub fn persona(world: &mut World, name: u32) -> u32 {
    let (code, bytes) = world.command(name, 3, BANK_PERSONA_ID, 4);
    assert_eq!(code, 0);
    u32::from_le_bytes(bytes.try_into().unwrap())
}

// covers vouchers B-01 B-03
#[test]
fn the_current_task_is_whoever_asks_and_received_from_oneself_it_is_nothing() {
    let mut world = World::new();
    let v = world.make(&[current_task()]);
    assert_eq!((bank_value(&world, v), pid(&mut world, v)), ("1".to_owned(), 10));
    assert_eq!(world.mk(&[auto_redeem(v)]), (0, 0));
    world.end();
}

#[test]
fn the_current_task_that_was_passed_on_as_it_is_means_the_receiver() {
    let mut world = World::new();
    let v = world.make(&[current_task()]);
    let v = world.give(v, B);
    assert_eq!(pid(world.switch(B), v), 20);
    world.end();
}

// covers vouchers B-04 B-05
#[test]
fn what_a_task_sends_says_that_it_comes_from_it_and_redeemed_by_itself_means_itself() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!((bank_value(&world, w), pid(&mut world, w)), ("T(A)".to_owned(), 10));
    assert_eq!(world.command(w, 3, BANK_PERSONA_TOKEN, 96).0, 29);
    assert_eq!((world.mk(&[rd(3, v)]), world.mk(&[rd(3, w)])), ((0, v), (0, v)));
    assert_eq!(bank_value(&world, v), "1");
    world.end();
}

// covers vouchers B-06 B-07
#[test]
fn what_another_task_sent_is_no_capability_until_it_is_received() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[rd(3, w)]), (20, 0));
    let x = world.make(&[auto_redeem(w)]);
    assert_eq!(bank_value(&world, x), "A(A,B,A,A;-)");
    assert_eq!((pid(&mut world, x), persona(&mut world, x)), (10, 0xFFFF_FFFF));
    world.end();
}

// covers vouchers B-08
#[test]
fn what_a_task_sent_to_itself_means_itself() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!((world.mk(&[auto_redeem(w)]), bank_value(&world, v)), ((0, v), "1".to_owned()));
    world.end();
}

// covers vouchers B-09
#[test]
fn an_account_is_redeemed_by_its_merchant_and_by_nobody_else() {
    let mut world = World::new();
    let x = x(&mut world);
    assert_eq!(world.mk(&[rd(3, x)]), (0, x));
    let x = world.give(x, C);
    assert_eq!(world.switch(C).mk(&[rd(3, x)]), (20, 0));
    world.end();
}

// covers vouchers B-10
#[test]
fn a_task_that_may_not_pass_personas_on_vouches_for_itself() {
    let mut world = World::new();
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    assert_eq!(bank_value(&world, y), "A(A,B,B,B;-)");
    world.end();
}

// covers vouchers B-11 B-12
#[test]
fn a_part_of_the_system_passes_the_originator_on() {
    let mut world = World::of([identity(10), platform_binary(identity(20)), identity(30)]);
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    assert_eq!(bank_value(&world, y), "A(A,B,A,B;-)");

    let y = world.give(y, C);
    let z = world.switch(C).make(&[auto_redeem(y)]);
    assert_eq!(bank_value(&world, z), "A(A,C,A,B;-)");
    let (code, token) = world.command(z, 3, BANK_PERSONA_TOKEN, 96);
    let pid = |at: usize| i32::from_le_bytes(token[at..at + 4].try_into().unwrap());
    assert_eq!((code, token.len(), pid(8), pid(48 + 8)), (0, 96, 10, 20));
    world.end();
}

// covers vouchers B-13
#[test]
fn what_is_received_twice_is_one_account_that_is_given_back_once() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let x = world.switch(B).make(&[auto_redeem(w)]);
    assert_eq!((world.mk(&[auto_redeem(w)]), world.refs(x)), ((0, x), 2));
    let handle = world.handle(x, 3).unwrap();
    let Some((_, BankElement::Account(account))) = world.vouchers.bank.element_of(handle) else {
        panic!("it is an account")
    };
    assert_eq!((account.made(), world.vouchers.bank.len()), (2, (3, 1)));
    world.deallocate(x);
    assert_eq!(world.take_releases(), []);
    world.deallocate(x);
    assert_eq!((world.take_releases(), world.vouchers.bank.len()), (vec![(3, 2)], (3, 0)));
    world.end();
}

/// The persona of what C gets from A, which has the persona 501.
fn persona_at_c(mut world: World) -> u32 {
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, C);
    let x = world.switch(C).make(&[auto_redeem(w)]);
    let persona = persona(&mut world, x);
    world.end();
    persona
}

// covers vouchers B-14
#[test]
fn only_a_part_of_the_system_keeps_the_persona_of_what_it_receives() {
    let tasks = [with_persona(10, 501), identity(20), identity(30)];
    assert_eq!(persona_at_c(World::of(tasks)), 0xFFFF_FFFF);
    assert_eq!(persona_at_c(World::of([tasks[0], tasks[1], platform_binary(tasks[2])])), 501);
}

// covers vouchers B-15
#[test]
fn no_persona_is_replaced_as_long_as_one_of_the_systems_does_not_exist() {
    let tasks = [with_persona(10, 501), identity(20), identity(30)];
    for add in [World::add_system_persona, World::add_system_proxy_persona] {
        let mut world = World::without_system_personas(tasks);
        add(&mut world);
        assert_eq!(persona_at_c(world), 501);
    }
}
