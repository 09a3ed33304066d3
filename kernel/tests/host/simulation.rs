//! Several tasks make random calls; after every step all invariants hold, and in the end nothing is left.
//!
//! A failure prints its seed; `TALLY_SEED=… cargo test -p kernel --test host simulation` runs it again.
//! `TALLY_STEPS` sets the number of steps per seed.

use crate::machine::Failure;
use crate::message::Msg;
use crate::world::{Actor, MachMsg, Ret, World};
use abi::message::MsgOption;
use abi::mig;
use abi::port::*;
use abi::trap::{CLASS_SHIFT, mach, tally, unix};
use abi::{KernReturn, PortName};
use kernel::limits::Limits;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

const TASKS: usize = 3;
const STEPS_PER_SEED: u64 = 2_500;
const SEEDS: u64 = 200;

/// Random numbers that a seed determines.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

struct Simulation {
    world: World,
    random: Random,
    actors: Vec<Actor>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let limits = Limits {
            names_per_task: 64,
            kernel_bytes_per_task: 64 * 1024,
            pages_per_task: 200,
            direct_calls: seed % 2 == 0,
        };
        let world = World::with_limits(limits);
        let mut simulation = Simulation { world, random: Random::new(seed), actors: Vec::new() };
        (0..TASKS).for_each(|_| simulation.add_task());
        simulation
    }

    fn step(&mut self) {
        let at = self.random.below(self.actors.len() as u64) as usize;
        let actor = self.actors[at];
        match self.world.state(actor) {
            Ret::Ended => {
                self.actors.swap_remove(at);
                if !self.actors.iter().any(|other| other.task == actor.task) && self.actors.len() < 2 * TASKS {
                    self.add_task();
                }
            }
            Ret::Blocked => self.disturb(actor),
            Ret::Done(_) => self.act(actor),
        }
    }

    /// Another task. It cannot reach init, whose port must not fill up.
    fn add_task(&mut self) {
        self.world.bury_children();
        let actor = self.world.task();
        // Everybody can send to everybody else.
        for other in self.actors.clone() {
            if matches!(self.world.state(other), Ret::Done(_)) && other.task != actor.task {
                self.world.introduce(actor, other);
            }
        }
        self.world.deallocate(actor, actor.post_office).unwrap();
        self.actors.push(actor);
    }

    /// Somebody waits: time passes, or the thread is aborted by another one of its task.
    fn disturb(&mut self, actor: Actor) {
        if self.random.one_in(4) {
            let time = self.random.below(20_000_000);
            return self.world.advance(time);
        }
        if self.actors.iter().all(|&other| matches!(self.world.state(other), Ret::Blocked)) {
            self.world.end_task(actor);
        }
    }

    /// A name: usually one that the task has, but never the one without which it can do nothing.
    fn name(&mut self, actor: Actor) -> PortName {
        match self.random.below(32) {
            0 => MACH_PORT_NULL,
            1 => MACH_PORT_DEAD,
            2 => PortName(self.random.below(64) as u32 * 0x100 + 3 + 4 * self.random.below(4) as u32),
            _ => self.name_of(actor, PortType::all()),
        }
    }

    /// A name of the task that denotes one of certain types.
    fn name_of(&mut self, actor: Actor, types: PortType) -> PortName {
        let fits = |&(name, kind): &(PortName, u32)| name != actor.self_port && kind & types.bits() != 0;
        let names: Vec<_> = self.world.names(actor).into_iter().filter(fits).collect();
        if names.is_empty() { PortName(0x3F03) } else { self.random.pick(&names).0 }
    }

    fn disposition(&mut self) -> Disposition {
        Disposition(self.random.pick(&[17, 18, 19, 20, 21, 16, 0, 22]))
    }

    /// A name with a disposition, usually one that it has the right for.
    fn right(&mut self, actor: Actor, may_move_receive: bool) -> (PortName, Disposition) {
        if self.random.one_in(12) {
            return (self.name(actor), self.disposition());
        }
        let types = PortType::SEND | PortType::RECEIVE | PortType::SEND_ONCE | PortType::DEAD_NAME;
        let name = self.name_of(actor, types);
        let kind = self.world.names(actor).iter().find(|entry| entry.0 == name).map_or(0, |entry| entry.1);
        let mut fitting = Vec::new();
        for (right, dispositions) in [
            (PortType::SEND, &[Disposition::COPY_SEND, Disposition::COPY_SEND, Disposition::MOVE_SEND][..]),
            (PortType::RECEIVE, &[Disposition::MAKE_SEND, Disposition::MAKE_SEND_ONCE]),
            (PortType::SEND_ONCE, &[Disposition::MOVE_SEND_ONCE]),
            (PortType::DEAD_NAME, &[Disposition::MOVE_SEND, Disposition::COPY_SEND]),
        ] {
            if kind & right.bits() != 0 {
                fitting.extend(dispositions);
            }
        }
        if may_move_receive && kind & PortType::RECEIVE.bits() != 0 {
            fitting.push(Disposition::MOVE_RECEIVE);
        }
        if fitting.is_empty() { (name, self.disposition()) } else { (name, self.random.pick(&fitting)) }
    }

    fn act(&mut self, actor: Actor) {
        let failure = match self.random.below(40) {
            0 => Some(Failure::Copy(self.random.below(3))),
            1 => Some(Failure::Memory(0)),
            _ => None,
        };
        self.world.machine.fail(failure);
        if self.random.one_in(40) {
            store::failpoints::arm(Some(self.random.below(4)));
        }
        let me = u64::from(actor.self_port.0);
        let [a, b] = [self.name(actor), self.name(actor)].map(|name| u64::from(name.0));
        let port = u64::from(self.name_of(actor, PortType::RECEIVE).0);
        let set = u64::from(self.name_of(actor, PortType::PORT_SET).0);
        let result = self.world.result(actor);
        let small = self.random.below(8);
        let delta = self.delta();
        let (number, args) = match self.random.below(24) {
            0..8 => return self.message(actor),
            8 | 9 => (mach::MACH_PORT_ALLOCATE, vec![me, self.random.pick(&[1, 1, 1, 3, 4, small]), result]),
            10 => (mach::MACH_PORT_DEALLOCATE, vec![me, a]),
            11 => (mach::MACH_PORT_MOD_REFS, vec![me, a, small, delta]),
            12 => (mach::MACH_PORT_INSERT_RIGHT, vec![me, a, b, u64::from(self.disposition().0)]),
            13 => (mach::MACH_PORT_INSERT_RIGHT, vec![me, port, port, 20]),
            14 => (mach::MACH_PORT_INSERT_MEMBER, vec![me, port, set]),
            15 => {
                let call = self.random.pick(&[mach::MACH_PORT_EXTRACT_MEMBER, mach::MACH_PORT_MOVE_MEMBER]);
                (call, vec![me, port, if small == 0 { 0 } else { set }])
            }
            16 | 17 => {
                let id = self.random.pick(&[66, 69, 70, 72]);
                let (notify, disposition) = self.random.pick(&[(port, 21), (port, 21), (b, 18), (0, 0)]);
                (mach::MACH_PORT_REQUEST_NOTIFICATION, vec![me, a, id, small & 1, notify, disposition, result])
            }
            18 => (mach::MACH_PORT_DESTRUCT, vec![me, port, delta, small & 1]),
            19 => (mach::MACH_PORT_GUARD, vec![me, port, small & 1, small & 2]),
            20 => return self.memory(actor),
            21 => return self.threads(actor),
            22 => return self.kernel_call(actor),
            _ => (self.any_number(), vec![a, b, small]),
        };
        self.trap(actor, number, &args);
    }

    /// Any trap number. One that does not exist ends the task, so that is rare.
    fn any_number(&mut self) -> u32 {
        match self.random.below(200) {
            0 => self.random.next() as u32,
            1..100 => 2 << CLASS_SHIFT | self.random.pick(&[20, 33, 372, 515, 516, 1000]),
            _ => 1 << CLASS_SHIFT | self.random.pick(&[18, 19, 20, 22, 23, 25, 40, 42, 59, 60, 76, 89]),
        }
    }

    fn delta(&mut self) -> u64 {
        let delta: i32 = self.random.pick(&[-1, -1, -1, -2, 1, 2, 65534, 65535, -65535, -65536, i32::MIN]);
        delta as u32 as u64
    }

    fn trap(&mut self, actor: Actor, number: u32, args: &[u64]) {
        let ret = self.world.trap(actor, number, args);
        store::failpoints::disarm();
        self.world.machine.fail(None);
        let is_code = number >> 24 == 1 && !matches!(number, mach::SWTCH | mach::SWTCH_PRI);
        if let (Ret::Done(value), true) = (ret, is_code) {
            let code = KernReturn(value as u32 as i32);
            let is_name = (26..=29).contains(&(number & 0xFF));
            assert!(is_name || code.name().is_some(), "trap {number:#x} returns {code:?}");
        }
    }

    /// A call of `mach_msg` with a random message and random options.
    fn message(&mut self, actor: Actor) {
        let (to, disposition) = self.right(actor, false);
        let mut message = Msg::to(to, disposition);
        if self.random.one_in(2) {
            let (reply, disposition) = self.right(actor, false);
            message = message.reply_to(reply, disposition);
        }
        for _ in 0..self.random.below(5).saturating_sub(1) {
            let (name, disposition) = self.right(actor, true);
            message = message.port(name, disposition);
        }
        let size = self.random.pick(&[0usize, 4, 40, 300]);
        let mut bytes = message.id(self.random.pick(&[1, 3204, 3206, 3207, 3600])).body(&vec![7; size]).encode();
        if self.random.one_in(20) {
            let at = self.random.below(bytes.len() as u64) as usize;
            bytes[at] = self.random.next() as u8;
        }
        self.world.put(actor, 4096, &bytes);
        let (send, receive) = (MsgOption::SEND_MSG, MsgOption::RCV_MSG);
        let mut options = self.random.pick(&[send, receive, send | receive]);
        options |= MsgOption::trailer_elements(self.random.below(8) as u32);
        for option in [
            MsgOption::RCV_LARGE,
            MsgOption::SEND_TIMEOUT,
            MsgOption::RCV_TIMEOUT,
            MsgOption::SEND_NOTIFY,
            MsgOption::SEND_OVERRIDE,
            MsgOption::RCV_LARGE_IDENTITY,
        ] {
            options.set(option, self.random.one_in(2));
        }
        let from = self.name_of(actor, PortType::RECEIVE | PortType::PORT_SET);
        let args = MachMsg {
            buffer: None,
            options,
            send_size: bytes.len() as u32,
            receive_size: self.random.pick(&[0, 20, 40, 100, 4096, 4096]),
            receive_name: if self.random.one_in(10) { self.name(actor) } else { from },
            timeout: self.random.pick(&[0, 0, 1, 10]),
            priority: self.random.next() as u32,
        };
        let _ = self.world.mach_msg(actor, &args);
        store::failpoints::disarm();
        self.world.machine.fail(None);
    }

    fn memory(&mut self, actor: Actor) {
        let me = u64::from(actor.self_port.0);
        let at = self.random.pick(&[0x5000_0000u64, 0x5000_1000, 0x5000_3000, 0xFFFF_FFFF_FFFF_F000, 0]);
        let size = self.random.pick(&[0u64, 1, 4096, 3 * 4096, 60 * 4096, u64::MAX]);
        let result = self.world.result(actor);
        self.world.put(actor, 1024, &at.to_le_bytes());
        let protection = self.random.below(9);
        let (number, args) = match self.random.below(4) {
            0 | 1 => (mach::MACH_VM_ALLOCATE, vec![me, result, size, 0]),
            2 => (mach::MACH_VM_DEALLOCATE, vec![me, at, size]),
            _ => (mach::MACH_VM_PROTECT, vec![me, at, size, 0, protection]),
        };
        self.trap(actor, number, &args);
    }

    fn threads(&mut self, actor: Actor) {
        let word = self.world.result(actor);
        match self.random.below(12) {
            0 if self.actors.len() < 2 * TASKS => {
                self.world.machine.fail(None);
                store::failpoints::disarm();
                if let Ok(thread) = self.world.try_thread(actor) {
                    self.actors.push(thread);
                }
            }
            1 => self.trap(actor, tally::THREAD_EXIT, &[]),
            2 if self.random.one_in(3) => self.trap(actor, unix::EXIT, &[3]),
            3 | 4 => {
                self.world.put(actor, 1024, &[0; 4]);
                let microseconds = self.random.below(3) * 1000;
                self.trap(actor, unix::ULOCK_WAIT, &[1, word, 0, microseconds]);
            }
            5 => self.trap(actor, unix::ULOCK_WAKE, &[0x101, word]),
            6 => self.trap(actor, mach::SWTCH, &[]),
            7 => {
                let option = self.random.below(4);
                self.trap(actor, mach::THREAD_SWITCH, &[0, option, 2]);
            }
            _ => self.trap(actor, mach::THREAD_SELF, &[]),
        }
    }

    /// A message to a kernel object, with a fitting shape.
    fn kernel_call(&mut self, actor: Actor) {
        let (a, b) = (self.name(actor), self.name(actor));
        let words = [a.0, self.random.below(8) as u32, b.0, self.random.below(8) as u32];
        let (id, count) = self.random.pick(&[
            (mig::mach_port::DESTROY, 1),
            (mig::mach_port::GET_REFS, 2),
            (mig::mach_port::SET_ATTRIBUTES, 4),
            (mig::mach_port::EXTRACT_RIGHT, 2),
            (mig::mach_port::SET_CONTEXT, 3),
            (mig::thread_act::ABORT, 0),
            (mig::thread_act::SUSPEND, 0),
            (mig::thread_act::RESUME, 0),
            (mig::thread_act::TERMINATE, 0),
        ]);
        let to = if self.random.one_in(2) { self.name(actor) } else { actor.self_port };
        let mut message = Msg::copy_send(to).id(id);
        if count > 0 {
            message = message.body(&mig::NDR).words(&words[..count]);
        }
        let _ = self.world.send_with(actor, &message, MsgOption::SEND_TIMEOUT, 0);
        store::failpoints::disarm();
        self.world.machine.fail(None);
    }

    /// Ends all tasks but the first: nothing of them may be left.
    fn finish(mut self, baseline: abi::debug::Counts) {
        for actor in self.actors.clone() {
            self.world.end_task(actor);
        }
        let init = self.world.init;
        while self.world.poll(init, init.inbox).is_ok() {}
        self.world.bury_children();
        assert_eq!(self.world.counts(), baseline, "what the tasks made is gone with them");
    }
}

fn simulate(seed: u64, steps: u64) {
    let baseline = World::with_limits(Limits { names_per_task: 64, ..Limits::default() }).counts();
    let mut simulation = Simulation::new(seed);
    let mut done = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        while done < steps {
            simulation.step();
            done += 1;
        }
    }));
    store::failpoints::disarm();
    if let Err(panic) = outcome {
        eprintln!("seed {seed} fails after {done} steps; TALLY_SEED={seed} runs it again");
        resume_unwind(panic);
    }
    simulation.finish(baseline);
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Runs its share of the seeds, so that both processors of a small machine have something to do.
fn simulate_share(share: u64) {
    let steps = setting("TALLY_STEPS").unwrap_or(STEPS_PER_SEED);
    match setting("TALLY_SEED") {
        Some(seed) if seed % 2 == share => simulate(seed, steps),
        Some(_) => {}
        None => (0..SEEDS).map(|n| 2 * n + share).for_each(|seed| simulate(seed, steps)),
    }
}

#[test]
fn no_invariant_breaks_under_random_calls_of_even_seeds() {
    simulate_share(0);
}

#[test]
fn no_invariant_breaks_under_random_calls_of_odd_seeds() {
    simulate_share(1);
}

#[test]
fn a_seed_determines_everything() {
    let run = |seed| {
        let mut simulation = Simulation::new(seed);
        (0..300).for_each(|_| simulation.step());
        (simulation.world.counts(), simulation.random.next())
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
