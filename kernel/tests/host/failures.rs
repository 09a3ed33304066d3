//! Every copy, frame request and allocation of every scenario fails once. The trap then returns the specified code,
//! changes nothing else, keeps all invariants, and leaves no object behind.
//!
//! A scenario is one trap in a prepared world. It first runs without a failure, which counts its copies of user memory,
//! its requests for page frames and its allocations. Then it runs once for each of them, with that one failing.

use crate::failure_scenarios::{SCENARIOS, Scenario, Stage};
use crate::machine::Failure;
use crate::world::{Ret, World};
use abi::KernReturn;
use abi::code::*;
use abi::debug::Counts;
use std::fmt::Write;

/// A point at which a scenario can fail: the n-th use of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Copy(u64),
    Frames(u64),
    Allocation(u64),
    /// The n-th allocation, and all after it.
    AllocationsFrom(u64),
    /// The first and the second one, if both are made.
    CopyAndAllocationsFrom(u64, u64),
}

/// Describes all ports, names, threads and memory that users can see.
pub fn visible_state(w: &World) -> String {
    let mut text = String::new();
    let k = &w.kernel;
    let known = [101, 102].map(|persona| k.vouchers.system().bank.personas().exists(persona));
    writeln!(text, "{:?} {known:?}", k.tasks.system_personas).unwrap();
    for (id, task) in k.tasks.iter() {
        writeln!(text, "{id:?} {:?} {:?}", task.credentials, task.bootstrap).unwrap();
        writeln!(text, "  {:?} {:?}", task.identity, task.policy).unwrap();
        if let Some(element) = k.ipc.element_of(task.space).and_then(|id| k.ipc.importance().element(id)) {
            let boosts = (element.marks(), element.assertions(), element.external(), element.refs());
            writeln!(text, "  {boosts:?}").unwrap();
        }
        for (name, entry) in k.ipc.space(task.space).iter() {
            writeln!(text, "  {name:?} {:?} {}", entry.right, entry.request.is_some()).unwrap();
        }
        task.regions().iter().for_each(|region| writeln!(text, "  {region:x?}").unwrap());
    }
    for (id, port) in k.ipc.ports() {
        let state = (port.home(), port.send_rights(), port.set_count(), port.context(), port.guard());
        writeln!(text, "{id:?} {state:?} {:?} {:?}", port.status(), port.boosts()).unwrap();
    }
    for (id, thread) in k.sched.iter() {
        writeln!(text, "{id:?} {:?} {}", std::mem::discriminant(thread.state()), thread.suspend_count()).unwrap();
        writeln!(text, "  {:?} {}", thread.policy(), thread.set_self_calls()).unwrap();
    }
    text
}

/// Runs a scenario's trap with one failure or none; returns the outcome and the number of points of each kind.
fn run(stage: &mut Stage, point: Option<Point>) -> (Ret, [u64; 3]) {
    let w = &mut stage.world;
    w.machine.fail(match point {
        Some(Point::Copy(n) | Point::CopyAndAllocationsFrom(n, _)) => Some(Failure::Copy(n)),
        Some(Point::Frames(n)) => Some(Failure::Memory(n)),
        _ => None,
    });
    match point {
        Some(Point::Allocation(n)) => store::failpoints::arm(Some(n)),
        Some(Point::AllocationsFrom(n) | Point::CopyAndAllocationsFrom(_, n)) => store::failpoints::arm_from(n),
        _ => store::failpoints::arm(None),
    }
    let ret = w.trap(stage.actor, stage.number, &stage.args);
    let allocations = store::failpoints::disarm();
    let (copies, frames) = w.machine.uses();
    w.machine.fail(None);
    (ret, [copies, frames, allocations])
}

/// Returns true if a failure at this point may give this code. If memory stays full, rights on their way back may be
/// lost, which the code then shows.
fn may_give(scenario: &Scenario, point: Point, code: KernReturn) -> bool {
    let copy = scenario.copy.contains(&code);
    let memory = |code| scenario.memory.contains(&code);
    let stays_full = memory(code) || memory(KernReturn(code.0 & !MACH_MSG_IPC_KERNEL));
    match point {
        Point::Copy(_) => copy,
        Point::Frames(_) | Point::Allocation(_) => memory(code),
        Point::AllocationsFrom(_) => stays_full,
        Point::CopyAndAllocationsFrom(..) => copy || stays_full,
    }
}

/// Runs a scenario with a failure at `point` and checks its code, its effects and that nothing is left at the end.
fn check_failure(scenario: &Scenario, point: Point, counts: &Counts) {
    let mut stage = (scenario.prepare)();
    let before = visible_state(&stage.world);
    let counts_before = stage.world.counts();
    let (ret, _) = run(&mut stage, Some(point));
    let context = || format!("{} with {point:?} failing", scenario.name);
    let changes_nothing = match point {
        Point::Copy(_) => scenario.copy_changes_nothing,
        Point::CopyAndAllocationsFrom(..) => scenario.copy_changes_nothing && scenario.memory_changes_nothing,
        _ => scenario.memory_changes_nothing,
    };
    if let Ret::Done(value) = ret {
        let code = KernReturn(value as u32 as i32);
        let fits = stage.answers.contains(&code) || may_give(scenario, point, code);
        assert!(fits, "{} returns {code:?} {value:#x}", context());
        let keeps_rights = scenario.copy.contains(&code) || scenario.memory.contains(&code);
        if !stage.answers.contains(&code) && changes_nothing && keeps_rights {
            let after = visible_state(&stage.world);
            let change = before.lines().zip(after.lines()).find(|(before, after)| before != after);
            assert_eq!(change, None, "{} changes something", context());
            assert_eq!(before.len(), after.len(), "{} changes something", context());
            assert_eq!(stage.world.counts(), counts_before, "{} leaves something behind", context());
        }
    } else {
        assert!(stage.may_not_return, "{} is {ret:?}", context());
    }
    stage.finish();
    assert_eq!(stage.world.counts(), *counts, "{}: something is left", context());
}

/// Runs a scenario without a failure and then with a failure at each of its points.
fn check_scenario(scenario: &Scenario) {
    let baseline = World::new().counts();
    let mut stage = (scenario.prepare)();
    let (ret, points) = run(&mut stage, None);
    match ret {
        Ret::Done(value) => {
            let code = KernReturn(value as u32 as i32);
            assert!(stage.answers.contains(&code), "{} undisturbed returns {code:?} {value:#x}", scenario.name);
        }
        other => assert!(stage.may_not_return, "{} undisturbed is {other:?}", scenario.name),
    }
    stage.finish();
    assert_eq!(stage.world.counts(), baseline, "{} undisturbed: something is left", scenario.name);
    let [copies, frames, allocations] = points;
    assert!(copies + frames + allocations >= scenario.points_min, "{} has only {points:?} points", scenario.name);
    (0..copies).for_each(|n| check_failure(scenario, Point::Copy(n), &baseline));
    (0..frames).for_each(|n| check_failure(scenario, Point::Frames(n), &baseline));
    (0..allocations).for_each(|n| check_failure(scenario, Point::Allocation(n), &baseline));
}

#[test]
fn a_failure_at_any_point_is_reported_and_keeps_all_invariants() {
    SCENARIOS.iter().for_each(check_scenario);
}

/// What is done because an allocation has failed must not need another one, and what is undone because a copy has failed
/// needs none.
#[test]
fn a_heap_that_stays_full_is_reported_and_keeps_all_invariants() {
    let baseline = World::new().counts();
    for scenario in SCENARIOS {
        let (_, [copies, _, allocations]) = run(&mut (scenario.prepare)(), None);
        for from in 0..allocations {
            check_failure(scenario, Point::AllocationsFrom(from), &baseline);
            for copy in 0..copies {
                check_failure(scenario, Point::CopyAndAllocationsFrom(copy, from), &baseline);
            }
        }
    }
}

/// A failure while a message is delivered to a waiting thread ends that thread's receive; the send succeeds.
#[test]
fn a_failed_delivery_is_reported_to_the_receiver_alone() {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "send to a waiting receiver").unwrap();
    let (_, [copies, _, allocations]) = run(&mut (scenario.prepare)(), None);
    let mut codes = Vec::new();
    let points = (0..copies).map(Point::Copy).chain((0..allocations).map(Point::Allocation));
    for point in points {
        let mut stage = (scenario.prepare)();
        let (ret, _) = run(&mut stage, Some(point));
        let receiver = stage.other.expect("the scenario has a waiting receiver");
        match stage.world.state(receiver) {
            Ret::Done(value) => {
                assert_eq!(ret, Ret::Done(0), "{point:?}: the send succeeds");
                codes.push(KernReturn(value as u32 as i32));
            }
            state => assert_eq!(state, Ret::Blocked, "{point:?}"),
        }
    }
    let header = MACH_RCV_HEADER_ERROR.with_bits(MACH_MSG_IPC_SPACE);
    let body = MACH_RCV_BODY_ERROR.with_bits(MACH_MSG_IPC_KERNEL);
    codes.dedup();
    assert_eq!(codes, [MACH_RCV_INVALID_DATA, header, body]);
}
