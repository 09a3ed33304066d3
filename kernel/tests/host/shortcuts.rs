//! Traps that have a shorter way through the kernel: what a program and the scheduler see is the same on the whole way.

use crate::simulation::Random;
use crate::world::{Actor, Ret, World};
use abi::code::KERN_INVALID_NAME;
use abi::message::MsgOption;
use abi::port::{MACH_PORT_RIGHT_SEND as SEND, PortName};
use abi::trap::{mach, tally};
use kernel::kernel::Event;
use kernel::limits::Limits;
use kernel::machine::{Machine, Nanos};
use kernel::sched::run_queue::QUANTUM;

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
            (thread.frame().rax, schedule.priority, schedule.yielding, schedule.quantum_left)
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
