//! Traps with a target task, which must be the caller's own (mach-ipc 2.0).
//!
//! The tables here list all traps, with a target or without. A test compares them with the kernel, so that no new trap
//! is forgotten.

use crate::failures::visible_state;
use crate::message::Msg;
use crate::program::PROGRAM_BASE;
use crate::world::{Actor, World};
use abi::code::*;
use abi::message::MACH_NOTIFY_DEAD_NAME;
use abi::mig::{NDR, task};
use abi::port::Disposition as D;
use abi::port::*;
use abi::task::*;
use abi::trap::{CLASS_MACH, CLASS_MACHINE, CLASS_TALLY, mach, machine, tally};
use abi::{KernReturn, PortName};
use std::collections::BTreeSet;
use zerocopy::IntoBytes;

/// Traps without a target, or that do not look at it. The traps of class 2, which have none either, are left out.
/// `task_for_pid` looks at it in its own way, which `task_for_pid.rs` tests.
const UNTARGETED: [u32; 27] = [
    mach::MACH_REPLY_PORT,
    mach::THREAD_SELF,
    mach::TASK_SELF,
    mach::HOST_SELF,
    mach::MACH_MSG,
    mach::MACH_MSG_OVERWRITE,
    mach::SWTCH_PRI,
    mach::THREAD_GET_SPECIAL_REPLY_PORT,
    mach::SWTCH,
    mach::THREAD_SWITCH,
    mach::MACH_TIMEBASE_INFO,
    mach::MACH_WAIT_UNTIL,
    mach::MACH_GENERATE_ACTIVITY_ID,
    mach::HOST_CREATE_MACH_VOUCHER,
    mach::MACH_VOUCHER_EXTRACT_ATTR_RECIPE,
    machine::SET_THREAD_BASE,
    tally::TASK_SPAWN,
    tally::THREAD_EXIT,
    tally::THREAD_SET_QOS,
    tally::PORT_BIND_SERVICER,
    tally::TIME,
    tally::CPU_COUNT,
    tally::DEBUG_STATE,
    tally::INSPECT,
    tally::TRACE_CONTROL,
    tally::TRACE_NOTE,
    mach::TASK_FOR_PID,
];

/// The end of the trap numbers that a class may have.
const NUMBERS_END: u32 = 128;

/// An address at which a task has no memory at first.
const HERE: u64 = 0x5000_0000;
const GUARD: u64 = 0x77;

/// Offsets in an actor's memory that the helpers in `calls.rs` do not use.
const RESULT: u64 = 3072;
const INFO: u64 = 3200;
const COUNT: u64 = 3400;
const ADDRESS: u64 = 3500;
const OPTIONS: u64 = 3600;

/// A task with an object for each call.
struct Stage {
    w: World,
    a: Actor,
    /// Another task.
    other: Actor,
    /// A port with a send right.
    port: PortName,
    /// A guarded port.
    guarded: PortName,
    /// A port that is in the set, and one that is not.
    member: PortName,
    set: PortName,
}

impl Stage {
    fn new() -> Stage {
        let mut w = World::new();
        let (a, other) = (w.task(), w.task());
        let (port, guarded, member) = (w.port_with_send(a), w.port(a), w.port(a));
        let set = w.allocate(a, MACH_PORT_RIGHT_PORT_SET).unwrap();
        w.insert_member(a, member, set).unwrap();
        w.guard(a, guarded, GUARD, false).unwrap();
        w.put(a, ADDRESS, &HERE.to_le_bytes());
        let own = u64::from(a.self_port.0);
        w.call(a, mach::MACH_VM_ALLOCATE, &[own, a.memory + ADDRESS, PAGE_SIZE, 0]).unwrap();
        w.put(a, ADDRESS, &(HERE + 2 * PAGE_SIZE).to_le_bytes());
        w.put(a, COUNT, 1u32.as_bytes());
        w.put(a, OPTIONS, PortOptions::default().as_bytes());
        Stage { w, a, other, port, guarded, member, set }
    }

    /// Returns the traps with a target, each with the arguments behind the target. With these arguments the trap
    /// succeeds and changes the state or writes a result.
    fn targeted(&self) -> Vec<(u32, Vec<u64>)> {
        let [port, guarded, member, set] = [self.port, self.guarded, self.member, self.set].map(|name| name.0.into());
        let at = |offset| self.a.memory + offset;
        let result = at(RESULT);
        let [receive, take_one] = [MACH_PORT_RIGHT_RECEIVE.into(), u64::from(u32::MAX)];
        let dead_name = MACH_NOTIFY_DEAD_NAME as u64;
        let once = D::MAKE_SEND_ONCE.0.into();
        vec![
            (mach::MACH_VM_ALLOCATE, vec![at(ADDRESS), PAGE_SIZE, 0]),
            (mach::MACH_VM_DEALLOCATE, vec![HERE, PAGE_SIZE]),
            (mach::MACH_VM_PROTECT, vec![HERE, PAGE_SIZE, 0, VM_PROT_READ.into()]),
            (mach::MACH_PORT_ALLOCATE, vec![receive, result]),
            (mach::MACH_PORT_DEALLOCATE, vec![port]),
            (mach::MACH_PORT_MOD_REFS, vec![port, receive, take_one]),
            (mach::MACH_PORT_MOVE_MEMBER, vec![port, set]),
            (mach::MACH_PORT_INSERT_RIGHT, vec![port, port, D::MAKE_SEND.0.into()]),
            (mach::MACH_PORT_INSERT_MEMBER, vec![port, set]),
            (mach::MACH_PORT_EXTRACT_MEMBER, vec![member, set]),
            (mach::MACH_PORT_CONSTRUCT, vec![at(OPTIONS), 0, result]),
            (mach::MACH_PORT_DESTRUCT, vec![port, 0, 0]),
            (mach::MACH_PORT_GET_ATTRIBUTES, vec![port, MACH_PORT_LIMITS_INFO.into(), at(INFO), at(COUNT)]),
            (mach::MACH_PORT_GUARD, vec![port, GUARD, 0]),
            (mach::MACH_PORT_UNGUARD, vec![guarded, GUARD]),
            (mach::MACH_PORT_TYPE, vec![port, result]),
            (mach::MACH_PORT_REQUEST_NOTIFICATION, vec![port, dead_name, 0, member, once, result]),
            (tally::THREAD_CREATE, vec![PROGRAM_BASE, HERE, 0, 0, result]),
        ]
    }

    /// Returns names that do not denote the caller's own task.
    fn wrong_targets(&mut self) -> Vec<(&'static str, PortName)> {
        let (w, a) = (&mut self.w, self.a);
        let request = Msg::copy_send(a.self_port).id(task::GET_SPECIAL_PORT).body(&NDR).words(&[TASK_NAME_PORT]);
        let task_name = w.rpc(a, request).unwrap().descriptor(0).name;
        let dead = w.allocate(a, MACH_PORT_RIGHT_DEAD_NAME).unwrap();
        let free = w.port(a);
        w.destroy(a, free).unwrap();
        vec![
            ("another task", w.task_port(a, self.other)),
            ("the task's name port", task_name),
            ("a thread", w.thread_self(a)),
            ("the host", w.trap(a, mach::HOST_SELF, &[]).name()),
            ("a port with a send right", self.port),
            ("a receive right", self.member),
            ("a port set", self.set),
            ("a dead name", dead),
            ("a free name", free),
            ("null", MACH_PORT_NULL),
            ("dead", MACH_PORT_DEAD),
        ]
    }

    fn call(&mut self, trap: u32, target: PortName, args: &[u64]) -> Result<(), KernReturn> {
        self.w.call(self.a, trap, &[&[target.0.into()], args].concat())
    }

    /// Describes everything that a call could change or write.
    fn state(&self) -> (String, Vec<u8>) {
        (visible_state(&self.w), self.w.get(self.a, RESULT, OPTIONS as usize - RESULT as usize))
    }
}

#[test]
fn a_trap_works_for_the_callers_own_task() {
    for (trap, args) in Stage::new().targeted() {
        let mut stage = Stage::new();
        let before = stage.state();
        let own = stage.a.self_port;
        assert_eq!(stage.call(trap, own, &args), Ok(()), "{trap:#x}");
        assert!(stage.state() != before, "{trap:#x} changes the state or writes a result");
    }
}

#[test]
fn a_trap_on_any_other_target_is_refused_and_changes_nothing() {
    for (trap, args) in Stage::new().targeted() {
        let mut stage = Stage::new();
        let refusal = if trap == tally::THREAD_CREATE { KERN_INVALID_ARGUMENT } else { MACH_SEND_INVALID_DEST };
        for (kind, target) in stage.wrong_targets() {
            let before = stage.state();
            assert_eq!(stage.call(trap, target, &args), Err(refusal), "{trap:#x} for {kind}");
            assert!(stage.state() == before, "{trap:#x} for {kind} changes the state");
        }
    }
}

#[test]
fn the_tables_of_this_file_name_every_trap() {
    let targeted = Stage::new().targeted();
    let named: BTreeSet<u32> = targeted.iter().map(|&(trap, _)| trap).chain(UNTARGETED).collect();
    let mut found = BTreeSet::new();
    for trap in [CLASS_MACH, CLASS_MACHINE, CLASS_TALLY].into_iter().flat_map(|class| class..class + NUMBERS_END) {
        let mut stage = Stage::new();
        stage.w.start_trap(stage.a, trap, &[]);
        let unknown = stage.w.machine.log.last().is_some_and(|line| line.contains("there is no trap"));
        let missing = mach::MISSING.iter().any(|missing| missing.number == trap);
        if !unknown && !missing {
            found.insert(trap);
        }
    }
    assert_eq!(found, named);
}
