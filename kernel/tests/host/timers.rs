//! Deadlines: many at once, set and taken back in any order.

use crate::simulation::Random;
use crate::world::{Actor, Ret, World};
use abi::code::*;
use abi::message::MsgOption;
use abi::trap::{SWITCH_OPTION_DEPRESS, mach};
use kernel::kernel::Event;
use kernel::limits::EXPIRED_PER_TICK;
use kernel::machine::{Machine, Nanos};

/// Threads with deadlines: more than two chunks of the heap hold, with two deadlines each.
const THREADS: usize = 80;
/// Different deadlines that they have.
const TIMES: u64 = 24;
const STEP: Nanos = 1_000_000;
/// Milliseconds of depression that no test lasts.
const LONG: u64 = 100_000;

/// A task with threads that are about to wait. Its first thread waits for ever.
fn world() -> (World, Vec<Actor>) {
    let mut w = World::new();
    w.checked = false;
    let a = w.task();
    let threads = (0..THREADS).map(|_| w.thread(a)).collect();
    let never = w.port(a);
    assert_eq!(w.receive(a, never, MsgOption::empty()), Ret::Blocked);
    w.checked = true;
    (w, threads)
}

fn wait_until(w: &mut World, thread: Actor, deadline: Nanos) {
    w.start_trap(thread, mach::MACH_WAIT_UNTIL, &[deadline]);
}

/// The timer's interrupt, again and again: one lets only so many deadlines pass.
fn interrupt(w: &mut World) {
    for _ in 0..THREADS.div_ceil(EXPIRED_PER_TICK) {
        let _ = w.event(Event::Timer);
    }
}

#[test]
fn every_deadline_passes_at_its_time_unless_it_is_taken_back() {
    for seed in 0..8 {
        let (mut w, mut threads) = world();
        let aborter = threads.pop().unwrap();
        let mut random = Random::new(seed);
        let controls: Vec<_> = threads.iter().map(|&thread| w.thread_self(thread)).collect();
        let start = w.machine.now();
        let mut deadlines = Vec::new();
        for &thread in &threads {
            if random.one_in(3) {
                w.trap(thread, mach::THREAD_SWITCH, &[0, SWITCH_OPTION_DEPRESS.into(), LONG]);
            }
            deadlines.push(start + (1 + random.below(TIMES)) * STEP);
            wait_until(&mut w, thread, *deadlines.last().unwrap());
        }
        let aborted: Vec<bool> = threads.iter().map(|_| random.one_in(3)).collect();
        for (&control, _) in controls.iter().zip(&aborted).filter(|(_, aborted)| **aborted) {
            w.thread_abort(aborter, control);
        }
        for step in 0..=TIMES {
            let now = start + step * STEP;
            let missing = now - w.machine.now();
            w.machine.advance(missing);
            interrupt(&mut w);
            for ((&thread, &deadline), &aborted) in threads.iter().zip(&deadlines).zip(&aborted) {
                let expected = match deadline <= now {
                    _ if aborted => Ret::Done(KERN_ABORTED.0 as u64),
                    true => Ret::Done(KERN_SUCCESS.0 as u64),
                    false => Ret::Blocked,
                };
                assert_eq!(w.state(thread), expected, "seed {seed}, step {step}, deadline {deadline}");
            }
        }
    }
}

#[test]
fn equal_deadlines_pass_in_the_order_in_which_they_were_set() {
    let (mut w, threads) = world();
    let init = w.init;
    assert_eq!(w.receive(init, init.inbox, MsgOption::empty()), Ret::Blocked);
    let mut random = Random::new(1);
    let mut order: Vec<Actor> = threads.clone();
    (1..order.len()).rev().for_each(|at| order.swap(at, random.below(at as u64 + 1) as usize));
    let deadline = w.machine.now() + STEP;
    order.iter().for_each(|&thread| wait_until(&mut w, thread, deadline));
    w.machine.advance(STEP);
    interrupt(&mut w);
    let far = deadline + LONG * STEP;
    for &next in &order {
        let running = w.kernel.sched.current(0).expect("a thread is ready");
        assert_eq!(running, next.thread);
        wait_until(&mut w, next, far);
    }
    assert_eq!(w.kernel.sched.current(0), None);
}

/// Whatever runs when many deadlines pass is interrupted for a bounded number of them at a time.
#[test]
fn one_interrupt_ends_a_bounded_number_of_waits() {
    let (mut w, threads) = world();
    let deadline = w.machine.now() + STEP;
    threads.iter().for_each(|&thread| wait_until(&mut w, thread, deadline));
    w.machine.advance(STEP);
    for ended in [EXPIRED_PER_TICK, THREADS] {
        let _ = w.event(Event::Timer);
        let waiting = threads.iter().filter(|&&thread| w.state(thread) == Ret::Blocked).count();
        assert_eq!(THREADS - waiting, ended);
    }
}

#[test]
fn the_only_thread_has_room_for_both_of_its_deadlines() {
    let mut w = World::new();
    let init = w.init;
    w.start_trap(init, mach::THREAD_SWITCH, &[0, SWITCH_OPTION_DEPRESS.into(), 2]);
    let deadline = w.machine.now() + STEP;
    wait_until(&mut w, init, deadline);
    assert_eq!(w.state(init), Ret::Blocked);
    w.machine.advance(STEP);
    let _ = w.event(Event::Timer);
    assert_eq!(w.state(init), Ret::Done(KERN_SUCCESS.0 as u64));
}
