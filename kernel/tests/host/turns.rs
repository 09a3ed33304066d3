//! Calls beside threads of another program that never wait: call and reply are made in the turns of the caller
//! (docs/deviations.md, "Coalitions take turns at each level").

use crate::message::Msg;
use crate::program::spawn_args;
use crate::simulation::Random;
use crate::world::{Actor, BUFFER, Ret, World};
use abi::PortName;
use abi::code::MACH_MSG_SUCCESS;
use abi::message::MsgOption;
use abi::port::Disposition as D;
use abi::task::{SPAWN_COALITION_OWN, SPAWN_COALITION_PARENT, TaskSpawnArgs};
use abi::trap::mach::MACH_MSG;
use kernel::inspect::invariants::check_all;
use kernel::kernel::Event;
use kernel::limits::Limits;
use kernel::machine::{Machine, Nanos};
use kernel::sched::schedule::QUANTUM;
use kernel::sched::thread::State;

/// The priority of all threads but init's.
const PRIORITY: u8 = 40;
/// The longest time between two traps.
const TIME: Nanos = QUANTUM / 200;
const STEPS: usize = 20_000;

/// A client, a server, and a program with threads that spin.
struct Scene {
    w: World,
    client: Actor,
    server: Actor,
    spinners: Vec<Actor>,
    /// The client's send right to the service, and the port for its replies.
    to: PortName,
    reply: PortName,
    service: PortName,
}

impl Scene {
    /// `coalition` is that of client and server.
    fn new(shortcuts: bool, coalition: u64, spinners: usize) -> Scene {
        let mut w = World::with_limits(Limits { shortcuts, ..Limits::default() });
        let task = |w: &mut World, coalition| w.task_with(TaskSpawnArgs { coalition, ..spawn_args() });
        let (client, server) = (task(&mut w, coalition), task(&mut w, coalition));
        let (service, to) = w.connect(client, server);
        let reply = w.warm_port(client);
        let mut hostile = Vec::new();
        if spinners > 0 {
            let leader = task(&mut w, SPAWN_COALITION_OWN);
            hostile.push(leader);
            hostile.extend((1..spinners).map(|_| w.thread(leader)));
        }
        let (init, inbox) = (w.init, w.init.inbox);
        assert_eq!(w.receive(init, inbox, MsgOption::empty()), Ret::Blocked);
        assert_eq!(w.receive(server, service, MsgOption::empty()), Ret::Blocked);
        for actor in [client, server].iter().chain(&hostile) {
            w.set_base(actor.thread, PRIORITY, true);
        }
        let _ = w.event(Event::Timer);
        w.checked = false;
        Scene { w, client, server, spinners: hostile, to, reply, service }
    }

    /// Lets the current thread send a message and wait for one, without choosing the thread.
    fn exchange(&mut self, actor: Actor, message: &Msg, receive_name: PortName) {
        let bytes = message.encode();
        self.w.put(actor, BUFFER, &bytes);
        let buffer = self.w.buffer(actor);
        let frame = self.w.kernel.sched[actor.thread].frame_mut();
        let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
        (frame.rax, frame.rdi, frame.rsi) = (MACH_MSG.into(), buffer, options.bits().into());
        (frame.rdx, frame.r10, frame.r8, frame.r9) = (bytes.len() as u64, 4096, receive_name.0.into(), 0);
        let _ = self.w.event(Event::Trap);
    }

    /// Lets some time pass and the current thread do what it does. Returns true if that was a call.
    fn act(&mut self, time: Nanos) -> bool {
        self.w.machine.advance(time);
        let now = self.w.machine.now();
        if self.w.machine.timer.is_some_and(|timer| timer <= now) {
            let _ = self.w.event(Event::Timer);
        }
        let current = self.w.kernel.sched.current(0).expect("a thread runs");
        if current == self.client.thread {
            let request = Msg::copy_send(self.to).reply_to(self.reply, D::MAKE_SEND_ONCE);
            self.exchange(self.client, &request, self.reply);
        } else if current == self.server.thread {
            assert_eq!(self.w.state(self.server).code(), MACH_MSG_SUCCESS);
            let once = self.w.received(self.server).header.msgh_remote_port;
            self.exchange(self.server, &Msg::to(once, D::MOVE_SEND_ONCE), self.service);
        }
        current == self.client.thread
    }

    /// Who runs, the timer, and of each thread that can run: result, level, rest of the quantum.
    fn state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let actors: Vec<&Actor> = [&self.client, &self.server].into_iter().chain(&self.spinners).collect();
        let current = self.w.kernel.sched.current(0);
        let seen = |actor: &&Actor| {
            let thread = &self.w.kernel.sched[actor.thread];
            let waits = matches!(thread.state(), State::Waiting(_));
            let schedule = thread.schedule();
            (!waits).then_some((thread.frame().rax, schedule.priority, schedule.quantum_left))
        };
        let running = actors.iter().position(|actor| Some(actor.thread) == current);
        (running, self.w.machine.timer, actors.iter().map(seen).collect::<Vec<_>>())
    }
}

/// Returns the number of calls in some steps, which must come out the same with and without shortcuts.
fn calls(seed: u64, coalition: u64, spinners: usize) -> usize {
    let mut random = Random::new(seed);
    let mut scenes = [true, false].map(|shortcuts| Scene::new(shortcuts, coalition, spinners));
    let mut calls = 0;
    for step in 0..STEPS {
        let time = random.below(TIME);
        let made = scenes.each_mut().map(|scene| scene.act(time));
        assert_eq!(made[0], made[1], "step {step}");
        let [short, long] = &scenes;
        assert_eq!(short.state(), long.state(), "step {step}");
        calls += usize::from(made[0]);
        if step % 1000 == 0 {
            scenes.iter().for_each(|scene| check_all(&scene.w.kernel));
        }
    }
    calls
}

#[test]
fn calls_are_made_in_the_turns_of_the_caller_on_both_ways() {
    for coalition in [SPAWN_COALITION_PARENT, SPAWN_COALITION_OWN] {
        assert_eq!(calls(1, coalition, 0), STEPS / 2, "each second step is a call");
        for spinners in [1, 3, 40] {
            let beside = calls(spinners as u64, coalition, spinners);
            assert!((STEPS / 5..=STEPS * 3 / 10).contains(&beside), "{beside} calls beside {spinners} threads");
        }
    }
}
