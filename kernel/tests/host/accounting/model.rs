//! Random work beside a model: the clock stands still during traps, so every nanosecond has one owner, and the model
//! knows it. The sums of all threads, bills and balances must be those of the model.

use super::*;
use crate::message::Msg;
use crate::simulation::Random;
use crate::world::Ret;
use abi::port::MACH_PORT_NULL;
use abi::trap::{mach, tally};
use kernel::ids::{TaskId, ThreadId};
use kernel::limits::Limits;
use std::collections::HashMap;

const SEEDS: u64 = 60;
const STEPS: usize = 400;
const TASKS: usize = 3;
const THREADS: usize = 3;

#[derive(Default)]
struct Model {
    time: HashMap<TaskId, Nanos>,
    billed: HashMap<TaskId, Nanos>,
    serviced: HashMap<TaskId, Nanos>,
}

struct Run {
    w: World,
    random: Random,
    threads: Vec<Actor>,
    /// For each task, its vouchers and the tasks that pay for them.
    vouchers: HashMap<TaskId, Vec<(PortName, TaskId)>>,
    /// Who pays for a thread.
    payer: HashMap<ThreadId, TaskId>,
    model: Model,
}

impl Run {
    fn new(seed: u64) -> Run {
        let limits = Limits { shortcuts: !seed.is_multiple_of(3), ..Limits::default() };
        let mut w = World::with_limits(limits);
        let tasks = [(); TASKS].map(|()| w.task());
        let mut vouchers: HashMap<_, Vec<_>> = HashMap::new();
        for to in tasks {
            for from in tasks.into_iter().filter(|from| from.task != to.task) {
                let voucher = w.send_account(from, to);
                vouchers.entry(to.task).or_default().push((voucher, from.task));
            }
        }
        let mut threads = Vec::new();
        for task in tasks {
            threads.push(task);
            threads.extend((1..THREADS).map(|_| w.thread(task)));
        }
        let (payer, model) = (HashMap::new(), Model::default());
        Run { w, random: Random::new(seed), threads, vouchers, payer, model }
    }

    /// Lets time pass. It belongs to the thread that has the processor.
    fn pass(&mut self, time: Nanos) {
        if let Some(thread) = self.w.kernel.sched.current(0) {
            let task = self.w.kernel.sched[thread].task();
            *self.model.time.entry(task).or_default() += time;
            if let Some(&payer) = self.payer.get(&thread) {
                *self.model.billed.entry(payer).or_default() += time;
                *self.model.serviced.entry(task).or_default() += time;
            }
        }
        self.w.machine.advance(time);
    }

    fn step(&mut self) {
        let time = self.random.below(4_000_000);
        self.pass(time);
        if self.random.one_in(3) {
            let _ = self.w.event(Event::Timer);
            return;
        }
        let ready: Vec<Actor> =
            self.threads.iter().copied().filter(|&actor| matches!(self.w.state(actor), Ret::Done(_))).collect();
        if ready.is_empty() {
            let _ = self.w.event(Event::Timer);
            return;
        }
        let actor = self.random.pick(&ready);
        if self.w.kernel.sched.current(0) != Some(actor.thread) {
            // The test takes the processor from its thread, which must not lose time by that.
            let _ = self.w.event(Event::Timer);
        }
        match self.random.below(9) {
            0..3 => {
                let (voucher, payer) = self.random.pick(&self.vouchers[&actor.task]);
                self.w.adopt(actor, voucher);
                self.payer.insert(actor.thread, payer);
            }
            3 => {
                self.w.adopt(actor, MACH_PORT_NULL);
                self.payer.remove(&actor.thread);
            }
            4..6 => {
                self.w.trap(actor, mach::SWTCH, &[]);
            }
            6 => {
                let wait = [0, self.random.pick(&[1, 2]), self.random.below(3)];
                self.w.trap(actor, mach::THREAD_SWITCH, &wait);
            }
            7 if self.threads.iter().filter(|other| other.task == actor.task).count() > 1 => {
                assert_eq!(self.w.trap(actor, tally::THREAD_EXIT, &[]), Ret::Ended);
                self.threads.retain(|other| other.thread != actor.thread);
                self.payer.remove(&actor.thread);
            }
            _ => {
                let inbox = actor.inbox;
                self.w.send(actor, &Msg::to(inbox, D::MAKE_SEND)).unwrap();
                self.w.poll(actor, inbox).unwrap();
            }
        }
    }

    /// Compares what each task reads about itself with the model.
    fn compare(&mut self) {
        let _ = self.w.event(Event::Timer);
        let actors: Vec<Actor> =
            self.threads.iter().copied().filter(|&actor| matches!(self.w.state(actor), Ret::Done(_))).collect();
        for actor in actors {
            let of = |map: &HashMap<TaskId, Nanos>| map.get(&actor.task).copied().unwrap_or(0);
            let expected = (of(&self.model.time), of(&self.model.billed), of(&self.model.serviced));
            assert_eq!(self.w.times(actor), expected);
        }
    }
}

#[test]
fn every_nanosecond_is_one_threads_and_on_one_bill_at_most() {
    for seed in 0..SEEDS {
        let mut run = Run::new(seed);
        for step in 0..STEPS {
            run.step();
            if step % 50 == 49 {
                run.compare();
            }
        }
        let sum = |map: &HashMap<TaskId, Nanos>| map.values().sum::<Nanos>();
        assert!(sum(&run.model.billed) > 0, "seed {seed}");
        assert_eq!(sum(&run.model.billed), sum(&run.model.serviced), "seed {seed}");
    }
}
