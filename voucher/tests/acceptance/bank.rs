//! BANK: the values of a voucher that is sent from task to task (vouchers 10.6).

use crate::support::*;
use abi::voucher::*;
use voucher::Error;
use voucher::managers::bank::*;

/// Returns the bank value of a voucher as text: `1` for "current task", `T(A)` for a task, or
/// `A(holder,merchant,originator,proximate;persona)` for an account, where A, B and C are the tasks with the pids 10, 20
/// and 30.
pub fn bank_value(world: &World, name: u32) -> String {
    let bank = &world.vouchers.bank;
    let letter = |task: BankElementId| match bank.element(task) {
        Some(BankElement::Task(task)) => char::from(b'A' - 1 + (task.identity().info.pid / 10) as u8),
        other => panic!("{other:?} is no task"),
    };
    let handle = world.handle(name, BANK).expect("the attribute is present");
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

pub fn auto_redeem(previous: u32) -> Item {
    it(BANK, AUTO_REDEEM, previous, "")
}

pub fn send_preprocess(previous: u32) -> Item {
    it(BANK, SEND_PREPROCESS, previous, "")
}

/// Creates two vouchers of task A: V with "current task", and W, which names A as its sender.
pub fn v_and_w(world: &mut World) -> (u32, u32) {
    let v = world.switch(A).make(&[current_task()]);
    (v, world.make(&[send_preprocess(v)]))
}

/// Creates the voucher X that task B gets when it receives A's W, and returns its name.
pub fn x(world: &mut World) -> u32 {
    let (_, w) = v_and_w(world);
    let w = world.give(w, B);
    world.switch(B).make(&[auto_redeem(w)])
}

fn platform_binary(identity: TaskIdentity) -> TaskIdentity {
    TaskIdentity { platform_binary: true, ..identity }
}

/// Returns the process id that a command reports.
pub fn pid(world: &mut World, name: u32) -> i32 {
    i32::from_le_bytes(world.command(name, BANK, BANK_ORIGINATOR_PID, 4).unwrap().try_into().unwrap())
}

/// Returns the persona that a command reports.
pub fn persona(world: &mut World, name: u32) -> u32 {
    u32::from_le_bytes(world.command(name, BANK, BANK_PERSONA_ID, 4).unwrap().try_into().unwrap())
}

// covers vouchers B-01 B-03
#[test]
fn current_task_stands_for_the_caller_and_auto_redeems_to_no_attribute() {
    let mut world = World::new();
    let v = world.make(&[current_task()]);
    assert_eq!((bank_value(&world, v), pid(&mut world, v)), ("1".to_owned(), 10));
    assert_eq!(world.mk(&[auto_redeem(v)]), NO_VOUCHER);
    world.end();
}

#[test]
fn an_unprocessed_current_task_stands_for_the_receiver() {
    let mut world = World::new();
    let v = world.make(&[current_task()]);
    let v = world.give(v, B);
    assert_eq!(pid(world.switch(B), v), 20);
    world.end();
}

// covers vouchers B-04 B-05
#[test]
fn a_preprocessed_value_names_the_sender_which_redeems_it_to_current_task() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!((bank_value(&world, w), pid(&mut world, w)), ("T(A)".to_owned(), 10));
    assert_eq!(world.command(w, BANK, BANK_PERSONA_TOKEN, 96), Err(Error::InvalidObject));
    assert_eq!((world.mk(&[rd(BANK, v)]), world.mk(&[rd(BANK, w)])), (Ok(v), Ok(v)));
    assert_eq!(bank_value(&world, v), "1");
    world.end();
}

// covers vouchers B-06 B-07
#[test]
fn another_tasks_value_can_be_redeemed_only_after_auto_redeem() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[rd(BANK, w)]), INVALID_CAPABILITY);
    let x = world.make(&[auto_redeem(w)]);
    assert_eq!(bank_value(&world, x), "A(A,B,A,A;-)");
    assert_eq!((pid(&mut world, x), persona(&mut world, x)), (10, PERSONA_ID_NONE));
    world.end();
}

// covers vouchers B-08
#[test]
fn a_value_sent_to_oneself_auto_redeems_to_current_task() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!((world.mk(&[auto_redeem(w)]), bank_value(&world, v)), (Ok(v), "1".to_owned()));
    world.end();
}

// covers vouchers B-09
#[test]
fn only_the_merchant_redeems_an_account() {
    let mut world = World::new();
    let x = x(&mut world);
    assert_eq!(world.mk(&[rd(BANK, x)]), Ok(x));
    let x = world.give(x, C);
    assert_eq!(world.switch(C).mk(&[rd(BANK, x)]), INVALID_CAPABILITY);
    world.end();
}

// covers vouchers B-10
#[test]
fn a_task_that_does_not_propagate_personas_becomes_the_originator() {
    let mut world = World::new();
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    assert_eq!(bank_value(&world, y), "A(A,B,B,B;-)");
    world.end();
}

// covers vouchers B-11 B-12
#[test]
fn a_platform_binary_propagates_the_originator() {
    let mut world = World::of([identity(10), platform_binary(identity(20)), identity(30)]);
    let x = x(&mut world);
    let y = world.make(&[send_preprocess(x)]);
    assert_eq!(bank_value(&world, y), "A(A,B,A,B;-)");

    let y = world.give(y, C);
    let z = world.switch(C).make(&[auto_redeem(y)]);
    assert_eq!(bank_value(&world, z), "A(A,C,A,B;-)");
    let token = world.command(z, BANK, BANK_PERSONA_TOKEN, 96).unwrap();
    let pid = |at: usize| i32::from_le_bytes(token[at..at + 4].try_into().unwrap());
    assert_eq!((token.len(), pid(8), pid(48 + 8)), (96, 10, 20));
    world.end();
}

// covers vouchers B-13
#[test]
fn receiving_a_value_twice_gives_one_account_that_is_released_once() {
    let mut world = World::new();
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let x = world.switch(B).make(&[auto_redeem(w)]);
    assert_eq!((world.mk(&[auto_redeem(w)]), world.refs(x)), (Ok(x), 2));
    let handle = world.handle(x, BANK).unwrap();
    let Some((_, BankElement::Account(account))) = world.vouchers.bank.element_of(handle) else {
        panic!("the value is not an account")
    };
    assert_eq!((account.made(), world.vouchers.bank.len()), (2, (3, 1)));
    world.deallocate(x);
    assert_eq!(world.take_releases(), []);
    world.deallocate(x);
    assert_eq!((world.take_releases(), world.vouchers.bank.len()), (vec![(BANK, 2)], (3, 0)));
    world.end();
}

/// Returns the persona of the voucher that C receives from A, which has the persona 501.
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
fn only_a_platform_binary_keeps_the_persona_of_a_received_voucher() {
    let tasks = [with_persona(10, 501), identity(20), identity(30)];
    assert_eq!(persona_at_c(World::of(tasks)), PERSONA_ID_NONE);
    assert_eq!(persona_at_c(World::of([tasks[0], tasks[1], platform_binary(tasks[2])])), 501);
}

// covers vouchers B-15
#[test]
fn personas_are_kept_until_both_personas_of_the_system_exist() {
    let tasks = [with_persona(10, 501), identity(20), identity(30)];
    for add in [World::add_system_persona, World::add_system_proxy_persona] {
        let mut world = World::without_system_personas(tasks);
        add(&mut world);
        assert_eq!(persona_at_c(world), 501);
    }
}
