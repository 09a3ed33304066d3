//! BANK: commands on values, and values with another persona (vouchers 10.6).

use crate::bank::*;
use crate::support::*;
use abi::voucher::*;
use voucher::managers::bank::*;
use zerocopy::IntoBytes;

// covers vouchers B-16
#[test]
fn a_command_of_the_bank_needs_room_for_its_result() {
    let mut world = World::new();
    let x = x(&mut world);
    for (command, room) in [(BANK_ORIGINATOR_PID, 3), (BANK_PERSONA_TOKEN, 95), (BANK_PERSONA_ID, 3)] {
        assert_eq!(world.command(x, 3, command, room).0, 3, "command {command}");
        assert_eq!(world.command(x, 3, command, room + 1).0, 0, "command {command}");
    }
    world.end();
}

// covers vouchers B-17
#[test]
fn a_voucher_without_bank_value_says_nothing_of_tasks_and_personas() {
    let mut world = World::new();
    let v = world.make(&[st(7, "a")]);
    for command in [BANK_ORIGINATOR_PID, BANK_PERSONA_TOKEN, BANK_PERSONA_ID] {
        assert_eq!(world.command(v, 3, command, 96).0, 18, "command {command}");
    }
    assert_eq!(world.command(v, 3, BANK_PERSONA_ADOPT_ANY, 4), (0, vec![0; 4]));
    world.end();
}

#[test]
fn who_may_keep_any_persona_is_told_so_whatever_the_voucher() {
    let may = TaskIdentity { adopt_any: true, ..identity(10) };
    let system = with_persona(20, 101);
    let mut world = World::of([may, system, identity(30)]);
    for (task, answer) in [(A, 1), (B, 1), (C, 0)] {
        let v = world.switch(task).make(&[current_task()]);
        assert_eq!(world.command(v, 3, BANK_PERSONA_ADOPT_ANY, 4), (0, vec![answer, 0, 0, 0]));
    }
    world.end();
}

// covers vouchers B-18
#[test]
fn the_bank_has_four_commands() {
    let mut world = World::new();
    let x = x(&mut world);
    assert_eq!((world.command(x, 3, 5, 96).0, world.command(x, 3, 0, 96).0), (4, 4));
    world.end();
}

/// A recipe for the value of the task with this pid, with another persona.
fn modify_persona(previous: u32, persona_id: u32, pid: u64) -> Item {
    let wanted = PersonaModifyInfo { persona_id, padding: 0, unique_pid: 1000 + pid };
    it(3, MACH_VOUCHER_ATTR_BANK_MODIFY_PERSONA, previous, wanted.as_bytes())
}

/// The tasks with an entitled B.
fn entitled(a: TaskIdentity) -> World {
    World::of([a, TaskIdentity { modify_persona: true, ..identity(20) }, identity(30)])
}

// covers vouchers B-19
#[test]
fn a_persona_is_modified_with_an_entitlement_if_there_is_anything_to_modify() {
    let mut world = World::new();
    let (v, w) = v_and_w(&mut world);
    assert_eq!(world.mk(&[modify_persona(0, 501, 10)]), (0, 0));
    assert_eq!(world.mk(&[modify_persona(v, 501, 10)]), (0, 0));
    assert_eq!(world.mk(&[modify_persona(w, 501, 10)]), (8, 0));
    world.end();
}

// covers vouchers B-20
#[test]
fn a_persona_is_modified_for_a_known_persona_and_the_right_task_alone() {
    let mut world = entitled(with_persona(10, 101));
    let x = x(&mut world);
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let good = modify_persona(w, 502, 10);
    let short = Item { content: good.content[..15].to_vec(), ..good.clone() };
    assert_eq!(world.switch(B).mk(&[short]), (4, 0));
    assert_eq!(world.mk(&[modify_persona(w, 503, 10)]), (4, 0));
    assert_eq!(world.mk(&[modify_persona(w, 502, 11)]), (20, 0));
    assert_eq!(world.mk(&[Item { previous: x, ..good.clone() }]), (4, 0));
    world.make(&[good]);
    world.end();
}

// covers vouchers B-21
#[test]
fn a_task_of_the_system_gets_any_persona() {
    let mut world = entitled(with_persona(10, 101));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    let modified = world.switch(B).make(&[modify_persona(w, 502, 10)]);
    assert_eq!(bank_value(&world, modified), "A(A,A,A,A;502)");
    world.end();
}

#[test]
fn a_task_of_a_user_gets_no_persona_but_its_own() {
    let mut world = entitled(with_persona(10, 501));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.switch(B).mk(&[modify_persona(w, 502, 10)]), (4, 0));
    world.end();
}

// covers vouchers B-22
#[test]
fn a_tasks_own_persona_is_the_task_itself() {
    let mut world = entitled(with_persona(10, 501));
    let (_, w) = v_and_w(&mut world);
    let w = world.give(w, B);
    assert_eq!(world.bank_task(A).made(), 1);
    assert_eq!(world.switch(B).mk(&[modify_persona(w, 501, 10)]), (0, w));
    assert_eq!((bank_value(&world, w), world.bank_task(A).made()), ("T(A)".to_owned(), 2));
    world.end();
}
