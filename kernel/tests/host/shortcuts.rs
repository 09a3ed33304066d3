//! Traps that have a shorter way through the kernel: what a program and the scheduler see is the same on the whole way.

use crate::simulation::Random;
use crate::world::{Actor, Ret, World};
use abi::code::KERN_INVALID_NAME;
use abi::message::MsgOption;
use abi::port::{Disposition, MACH_PORT_RIGHT_RECEIVE, MACH_PORT_RIGHT_SEND as SEND, MACH_PORT_UREFS_MAX, PortName};
use abi::trap::{mach, tally};
use kernel::kernel::Event;
use kernel::limits::Limits;
use kernel::machine::{Machine, Nanos};
use kernel::sched::schedule::{BACKGROUND_QUANTUM, QUANTUM};
use kernel::sched::thread::{Continuation, Rest};
use std::process::Command;

/// With the value `off` no world has shortcuts.
const SHORTCUTS: &str = "TALLY_SHORTCUTS";

fn are_off() -> bool {
    std::env::var(SHORTCUTS).is_ok_and(|value| value == "off")
}

/// Returns the limits without shortcuts if those are off.
pub fn as_asked(limits: Limits) -> Limits {
    Limits { shortcuts: limits.shortcuts && !are_off(), ..limits }
}

/// Each test has the same results on the whole way. Tests of random calls compare both ways themselves.
// covers mach-ipc G05
#[test]
fn all_tests_pass_without_shortcuts() {
    if are_off() {
        return;
    }
    let random = ["simulation::", "fuzz::", "shortcuts::", "fast_attachments::", "turns::"];
    let skipped = random.iter().flat_map(|name| ["--skip", name]);
    let mut tests = Command::new(std::env::current_exe().unwrap());
    let ended = tests.env(SHORTCUTS, "off").args(skipped).output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{printed}");
    let passed = printed.lines().filter(|line| line.starts_with("test ") && line.ends_with("... ok")).count();
    assert!(passed > 500, "{passed} tests have run");
}

const SEEDS: u64 = 40;
const STEPS: usize = 400;

fn world(shortcuts: bool) -> World {
    World::with_limits(Limits { shortcuts, ..Limits::default() })
}

/// A task whose threads are the only ones that can run.
struct Team {
    w: World,
    threads: Vec<Actor>,
}

impl Team {
    /// A team with threads of these base priorities.
    fn new(shortcuts: bool, bases: &[u8]) -> Team {
        let mut w = world(shortcuts);
        let leader = w.task();
        let mut threads = vec![leader];
        threads.extend(bases[1..].iter().map(|_| w.thread(leader)));
        let (init, inbox) = (w.init, w.init.inbox);
        assert_eq!(w.receive(init, inbox, MsgOption::empty()), Ret::Blocked);
        for (thread, &base) in threads.iter().zip(bases) {
            w.set_base(thread.thread, base, true);
        }
        let _ = w.event(Event::Timer);
        Team { w, threads }
    }

    /// Lets the thread that runs make a trap without arguments.
    fn trap(&mut self, number: u32) {
        let current = self.w.kernel.sched.current(0).expect("a thread runs");
        self.w.kernel.sched[current].frame_mut().rax = number.into();
        let _ = self.w.event(Event::Trap);
    }

    /// Lets time pass, with the timer's interrupt if that is due.
    fn advance(&mut self, by: Nanos) {
        self.w.machine.advance(by);
        let now = self.w.machine.now();
        if self.w.machine.timer.is_some_and(|timer| timer <= now) {
            let _ = self.w.event(Event::Timer);
        }
    }

    /// Who runs, the timer, and of each thread: result, level, rest of the quantum.
    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let number = |thread| self.threads.iter().position(|actor| actor.thread == thread);
        let threads: Vec<_> = self.threads.iter().map(|actor| &self.w.kernel.sched[actor.thread]).collect();
        let seen = |thread: &&kernel::sched::thread::Thread| {
            let schedule = thread.schedule();
            (thread.frame().rax, schedule.priority, schedule.yielding, schedule.yielded_at, schedule.quantum_left)
        };
        (self.w.kernel.sched.current(0).map(number), self.w.machine.timer, threads.iter().map(seen).collect::<Vec<_>>())
    }
}

/// Does the same random things with and without shortcuts.
fn yields_agree(seed: u64, bases: &[u8]) {
    let mut random = Random::new(seed);
    let mut teams = [true, false].map(|shortcuts| Team::new(shortcuts, bases));
    for step in 0..STEPS {
        let time = random.below(QUANTUM / 3);
        let number = [mach::SWTCH, mach::SWTCH_PRI, mach::SWTCH, tally::CPU_COUNT][random.below(4) as usize];
        for team in &mut teams {
            team.advance(time);
            team.trap(number);
        }
        let [short, long] = &teams;
        assert_eq!(short.state(), long.state(), "seed {seed}, step {step}");
    }
}

#[test]
fn yielding_directly_gives_exactly_the_results_of_the_whole_way() {
    for seed in 0..SEEDS {
        yields_agree(seed, &[31, 31]);
        yields_agree(seed, &[31, 31, 31, 4]);
        yields_agree(seed, &[47, 31, 31, 4, 4]);
        yields_agree(seed, &[31]);
    }
}

/// Lets the running thread of a team yield by the shortcut alone; returns the number of the thread that runs then.
fn yield_directly(team: &mut Team) -> Option<usize> {
    let Team { w, threads } = team;
    let next = w.kernel.yield_directly(&mut w.machine, 0)?.thread;
    threads.iter().position(|actor| actor.thread == next)
}

#[test]
fn a_yield_takes_the_shortcut_if_another_thread_is_ready_and_only_runs_programs() {
    let mut team = Team::new(true, &[31, 31, 31]);
    for next in [1, 2, 0, 1] {
        assert_eq!(yield_directly(&mut team), Some(next));
    }
    assert_eq!(yield_directly(&mut Team::new(true, &[31])), None, "no thread is ready");

    let mut team = Team::new(true, &[31, 31]);
    let next = team.threads[1].thread;
    let rest = Continuation { work: store::NodeList::new(), rest: Rest::Nothing };
    team.w.kernel.sched.set_continuation(next, Some(rest));
    assert_eq!(yield_directly(&mut team), None, "the next thread has something left to do in the kernel");
    assert!(team.w.kernel.sched.take_continuation(next).is_some());
    assert_eq!(yield_directly(&mut team), Some(1));

    let mut team = Team::new(true, &[31, 4]);
    assert_eq!(yield_directly(&mut team), None, "the timer must be set to the end of a shorter quantum");
    team.advance(QUANTUM - BACKGROUND_QUANTUM);
    assert_eq!(yield_directly(&mut team), Some(1), "the timer comes early enough");
}

/// Errors, the last reference, a name whose port has died and a count at its limit are for the whole way.
#[test]
fn one_of_several_references_is_dropped_directly_with_the_results_of_the_whole_way() {
    let [short, long] = [true, false].map(|shortcuts| {
        let mut w = world(shortcuts);
        let (a, b) = (w.task(), w.task());
        let (port, mortal) = (w.port(b), w.port(b));
        let names = [port, mortal].map(|port| w.give_send(b, port, a));
        names.into_iter().for_each(|name| w.mod_refs(a, name, SEND, 3).unwrap());
        w.mod_refs(b, mortal, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
        let full = w.port_with_send(a);
        let other = w.port(b);
        let saturated = w.give_send(b, other, a);
        w.mod_refs(a, saturated, SEND, i32::from(MACH_PORT_UREFS_MAX)).unwrap();
        let mut seen = Vec::new();
        for (target, name) in [
            (a.self_port, names[0]),
            (a.self_port, names[0]),
            (names[0], names[0]),
            (PortName(0x7777), names[0]),
            (a.self_port, PortName(0x7777)),
            (a.self_port, PortName(0)),
            (a.self_port, names[1]),
            (a.self_port, names[1]),
            (a.self_port, full),
            (a.self_port, full),
            (a.self_port, a.inbox),
            (a.self_port, saturated),
            (a.self_port, a.self_port),
        ] {
            let call = [target.0, name.0].map(u64::from);
            // The whole way does not ask for it.
            w.kernel.vouchers.note_given(name);
            let result = w.trap(a, mach::MACH_PORT_DEALLOCATE, &call);
            seen.push((result, format!("{:?}", w.space_of(a.task))));
        }
        (seen, format!("{:?}", w.counts()))
    });
    assert_eq!(short, long);
}

/// The thread's name for itself, and how many references its task has to it.
fn own_name(w: &mut World, thread: Actor) -> (PortName, u32) {
    let name = w.thread_self(thread);
    (name, w.get_refs(thread, name, SEND).expect("the name is there"))
}

#[test]
fn a_thread_that_asks_again_gets_the_same_name_and_one_more_reference() {
    for shortcuts in [true, false] {
        let mut w = world(shortcuts);
        let a = w.task();
        let b = w.thread(a);
        let (name, refs) = own_name(&mut w, a);
        assert_eq!(refs, 1);
        for more in 2..6 {
            assert_eq!(own_name(&mut w, a), (name, more), "with shortcuts: {shortcuts}");
            assert_ne!(w.thread_self(b), name);
        }
    }
}

#[test]
fn a_thread_whose_name_was_given_up_or_is_another_right_now_gets_a_new_one() {
    for shortcuts in [true, false] {
        let mut w = world(shortcuts);
        let a = w.task();
        let (name, _) = own_name(&mut w, a);
        w.mod_refs(a, name, SEND, -1).unwrap();
        assert_eq!(w.get_refs(a, name, SEND), Err(KERN_INVALID_NAME));
        let others: Vec<PortName> = (0..8).map(|_| w.port_with_send(a)).collect();
        let refs: Vec<_> = others.iter().map(|&other| w.get_refs(a, other, SEND)).collect();
        let (again, count) = own_name(&mut w, a);
        assert_eq!(count, 1, "with shortcuts: {shortcuts}");
        assert!(!others.contains(&again));
        let after: Vec<_> = others.iter().map(|&other| w.get_refs(a, other, SEND)).collect();
        assert_eq!(after, refs, "no other name has more references");
    }
}

/// The hint of the last name may by now lead to a send right to another port.
#[test]
fn a_name_that_was_given_to_another_send_right_is_not_mistaken_for_the_threads() {
    for shortcuts in [true, false] {
        let mut w = world(shortcuts);
        let (a, b) = (w.task(), w.task());
        let (name, _) = own_name(&mut w, a);
        w.mod_refs(a, name, SEND, -1).unwrap();
        let service = w.port(b);
        let send_right = w.give_send(b, service, a);
        w.insert_right(a, name, send_right, Disposition::MOVE_SEND).unwrap();
        let (again, count) = own_name(&mut w, a);
        assert_ne!(again, name, "with shortcuts: {shortcuts}");
        assert_eq!((count, w.get_refs(a, name, SEND)), (1, Ok(1)), "with shortcuts: {shortcuts}");
    }
}
