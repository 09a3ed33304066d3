//! `task_for_pid`: user 0 gets the control port of a task by its pid, nobody else gets one.

use crate::program::spawn_args;
use crate::world::{Actor, World};
use abi::code::*;
use abi::port::{MACH_PORT_RIGHT_DEAD_NAME, MACH_PORT_RIGHT_SEND, PortType};
use abi::task::TaskSpawnArgs;
use abi::trap::mach;
use abi::{KernReturn, PortName};
use kernel::limits::Limits;

fn task_for_pid(w: &mut World, caller: Actor, pid: u64) -> Result<PortName, KernReturn> {
    let args = [caller.self_port.0.into(), pid, w.result(caller)];
    w.call_for_name(caller, mach::TASK_FOR_PID, &args)
}

#[test]
fn user_0_gets_the_control_port_of_a_live_task() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let pid = w.pid(b);
    let name = task_for_pid(&mut w, a, pid).unwrap();
    assert_eq!(w.port_type(a, name), Ok(PortType::SEND));
    assert_eq!(w.port_of(a, name), w.port_of(b, b.self_port), "it is the port that the task itself has");
    assert_eq!(task_for_pid(&mut w, a, pid), Ok(name));
    assert_eq!(w.get_refs(a, name, MACH_PORT_RIGHT_SEND), Ok(2), "each call gives a reference");
    let own = w.pid(a);
    assert_eq!(task_for_pid(&mut w, a, own), Ok(a.self_port));
}

#[test]
fn nobody_gets_the_port_of_a_task_that_is_not_there() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let pid = w.pid(b);
    w.end_task(b);
    for gone in [pid, 0, 9999, u32::MAX.into()] {
        assert_eq!(task_for_pid(&mut w, a, gone), Err(KERN_FAILURE), "{gone}");
    }
}

#[test]
fn another_user_gets_no_port_not_even_its_own() {
    let mut w = World::new();
    let user = w.task_with(TaskSpawnArgs { uid: 1000, ..spawn_args() });
    let other = w.task_with(TaskSpawnArgs { uid: 1000, ..spawn_args() });
    for pid in [w.pid(w.init), w.pid(user), w.pid(other)] {
        let before = w.names(user);
        assert_eq!(task_for_pid(&mut w, user, pid), Err(KERN_FAILURE));
        assert_eq!(w.names(user), before);
    }
}

#[test]
fn a_wrong_target_or_address_changes_nothing() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let (pid, port) = (w.pid(b), w.port(a));
    for target in [PortName(0), port] {
        let args = [target.0.into(), pid, w.result(a)];
        assert_eq!(w.call(a, mach::TASK_FOR_PID, &args), Err(KERN_INVALID_ARGUMENT));
    }
    let nowhere = [a.self_port.0.into(), pid, 16];
    let before = w.names(a);
    assert_eq!(w.call(a, mach::TASK_FOR_PID, &nowhere), Err(KERN_MEMORY_ERROR));
    assert_eq!(w.names(a), before);
    let name = task_for_pid(&mut w, a, pid).unwrap();
    assert_eq!(w.call(a, mach::TASK_FOR_PID, &nowhere), Err(KERN_MEMORY_ERROR));
    assert_eq!(w.get_refs(a, name, MACH_PORT_RIGHT_SEND), Ok(1), "a name that was there before stays");
}

#[test]
fn without_room_for_a_name_the_call_fails() {
    let mut w = World::with_limits(Limits { names_per_task: 64, ..Limits::default() });
    let (a, b) = (w.task(), w.task());
    let pid = w.pid(b);
    let names: Vec<_> = std::iter::from_fn(|| w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).ok()).collect();
    assert!(!names.is_empty());
    assert_eq!(task_for_pid(&mut w, a, pid), Err(KERN_FAILURE));
    w.deallocate(a, names[0]).unwrap();
    assert!(task_for_pid(&mut w, a, pid).is_ok());
}
