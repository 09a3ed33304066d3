//! BANK: commands, and values with a modified persona (vouchers 10.6).

use crate::bank::*;
use crate::support::*;
use abi::voucher::*;
use voucher::Error;
use voucher::managers::bank::*;
use zerocopy::IntoBytes;

// covers vouchers B-16
#[test]
fn a_bank_command_needs_room_for_its_result() {
    let mut world = World::new();
    let x = x(&mut world);
    for (command, room) in [(BANK_ORIGINATOR_PID, 3), (BANK_PERSONA_TOKEN, 95), (BANK_PERSONA_ID, 3)] {
        assert_eq!(world.command(x, BANK, command, room), Err(Error::NoSpace), "command {command}");
        assert!(world.command(x, BANK, command, room + 1).is_ok(), "command {command}");
    }
    world.end();
}

// covers vouchers B-17
#[test]
fn bank_commands_on_an_absent_attribute_have_no_value() {
    let mut world = World::new();
    let v = world.make(&[st(DATA, "a")]);
    for command in [BANK_ORIGINATOR_PID, BANK_PERSONA_TOKEN, BANK_PERSONA_ID] {
        assert_eq!(world.command(v, BANK, command, 96), Err(Error::InvalidValue), "command {command}");
    }
    assert_eq!(world.command(v, BANK, BANK_PERSONA_ADOPT_ANY, 4), Ok(vec![0; 4]));
    world.end();
}

#[test]
fn adopt_any_depends_on_the_caller_alone() {
    let may = TaskIdentity { adopt_any: true, ..identity(10) };
    let system = with_persona(20, 101);
    let mut world = World::of([may, system, identity(30)]);
    for (task, answer) in [(A, 1), (B, 1), (C, 0)] {
        let v = world.switch(task).make(&[current_task()]);
        assert_eq!(world.command(v, BANK, BANK_PERSONA_ADOPT_ANY, 4), Ok(vec![answer, 0, 0, 0]));
    }
    world.end();
}

// covers vouchers B-18
#[test]
fn the_bank_has_four_commands() {
    let mut world = World::new();
    let x = x(&mut world);
    for command in [0, 5] {
        assert_eq!(world.command(x, BANK, command, 96), Err(Error::InvalidArgument), "command {command}");
    }
    world.end();
}

/// Returns a recipe that modifies the persona of the task with this pid.
fn modify_persona(previous: u32, persona_id: u32, pid: u64) -> Item {
    let wanted = PersonaModifyInfo { persona_id, padding: 0, unique_pid: 1000 + pid };
    it(BANK, MODIFY_PERSONA, previous, wanted.as_bytes())
}

/// Returns a world in which B may modify personas.
fn entitled(a: TaskIdentity) -> World {
    World::of([a, TaskIdentity { modify_persona: true, ..identity(20) }, identity(30)])
}

// covers vouchers B-19
#[test]
fn modifying_a_persona_needs_a_task_value_and_an_entitlement() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!(world.mk(&[modify_persona(0, 501, 10)]), NO_VOUCHER);
    assert_eq!(world.mk(&[modify_persona(v, 501, 10)]), NO_VOUCHER);
    assert_eq!(world.mk(&[modify_persona(w, 501, 10)]), NO_ACCESS);
    world.end();
}

// covers vouchers B-20
#[test]
fn modifying_a_persona_needs_a_known_persona_and_the_matching_task() {
    let mut world = entitled(with_persona(10, 101));
    let x = x(&mut world);
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let good = modify_persona(w, 502, 10);
    let short = Item { content: good.content[..15].to_vec(), ..good.clone() };
    assert_eq!(world.switch(B).mk(&[short]), INVALID_ARGUMENT);
    assert_eq!(world.mk(&[modify_persona(w, 503, 10)]), INVALID_ARGUMENT);
    assert_eq!(world.mk(&[modify_persona(w, 502, 11)]), INVALID_CAPABILITY);
    assert_eq!(world.mk(&[Item { previous: x, ..good.clone() }]), INVALID_ARGUMENT);
    world.make(&[good]);
    world.end();
}

// covers vouchers B-21
#[test]
fn the_value_of_a_system_task_can_get_any_persona() {
    let mut world = entitled(with_persona(10, 101));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let modified = world.switch(B).make(&[modify_persona(w, 502, 10)]);
    assert_eq!(bank_value(&world, modified), "A(A,A,A,A;502)");
    world.end();
}

#[test]
fn the_value_of_a_user_task_keeps_its_persona() {
    let mut world = entitled(with_persona(10, 501));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[modify_persona(w, 502, 10)]), INVALID_ARGUMENT);
    world.end();
}

// covers vouchers B-22
#[test]
fn modifying_a_task_to_its_own_persona_gives_the_task() {
    let mut world = entitled(with_persona(10, 501));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.bank_task(A).made(), 1);
    assert_eq!(world.switch(B).mk(&[modify_persona(w, 501, 10)]), Ok(w));
    assert_eq!((bank_value(&world, w), world.bank_task(A).made()), ("T(A)".to_owned(), 2));
    world.end();
}
