//! `write`: output to the console, whose buffer may be full.

use crate::message::Msg;
use crate::unix::{call, result};
use crate::world::{Actor, RESULT, Ret, World};
use abi::code::*;
use abi::port::Disposition as D;
use abi::port::*;
use abi::trap::{mach, unix};
use kernel::kernel::Event;
use kernel::limits::{CONSOLE_THREADS_PER_TICK, CONSOLE_WRITE_MAX, REAP_SLICE};
use kernel::machine::Machine;

fn write(w: &mut World, a: Actor, text: &[u8]) -> Ret {
    w.put(a, RESULT, text);
    w.trap(a, unix::WRITE, &[1, a.memory + RESULT, text.len() as u64])
}

/// Makes room at the console, and lets the machine say so.
fn make_room(w: &mut World, bytes: usize) {
    w.machine.console_room += bytes;
    let _ = w.event(Event::Timer);
}

/// Returns a world with two tasks and a running bystander, whose console is full.
fn full() -> (World, Actor, Actor) {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    w.machine.console_room = 0;
    (w, a, b)
}

#[test]
fn a_writer_that_finds_no_room_waits_and_only_it() {
    let (mut w, a, b) = full();
    assert_eq!(write(&mut w, a, b"hello"), Ret::Blocked);
    // Others go on.
    assert!(w.port(b).0 != 0);
    make_room(&mut w, 4);
    assert_eq!((w.state(a), w.machine.console.len()), (Ret::Blocked, 0), "all of it or nothing");
    make_room(&mut w, 1);
    assert_eq!((w.state(a), &w.machine.console[..]), (Ret::Done(5), &b"hello"[..]));
}

#[test]
fn the_most_important_writer_comes_first_and_nobody_overtakes_those_that_wait() {
    let (mut w, a, b) = full();
    w.set_base(b.thread, 50, false);
    assert_eq!(write(&mut w, a, b"low "), Ret::Blocked);
    assert_eq!(write(&mut w, b, b"high "), Ret::Blocked);
    let c = w.task();
    w.machine.console_room = 3;
    assert_eq!(write(&mut w, c, b"new"), Ret::Blocked, "there is room for it, but others wait");
    make_room(&mut w, 2);
    assert_eq!((w.state(a), w.state(b), w.state(c)), (Ret::Blocked, Ret::Done(5), Ret::Blocked));
    make_room(&mut w, 100);
    assert_eq!((w.state(a), w.state(c)), (Ret::Done(4), Ret::Done(3)));
    assert_eq!(w.machine.console, b"high low new");
}

#[test]
fn a_writer_that_ends_or_is_aborted_writes_nothing() {
    let (mut w, a, b) = full();
    assert_eq!(write(&mut w, a, b"one"), Ret::Blocked);
    w.end_task(a);
    let control = w.trap(b, mach::THREAD_SELF, &[]).name();
    let helper = w.thread(b);
    assert_eq!(write(&mut w, b, b"two"), Ret::Blocked);
    w.thread_abort(helper, control);
    assert_eq!(result(&w, b), Err(EINTR));
    w.machine.console_room = 100;
    assert_eq!(write(&mut w, b, b"three"), Ret::Done(5));
    assert_eq!(w.machine.console, b"three");
}

#[test]
fn output_whose_memory_has_gone_meanwhile_is_refused() {
    let (mut w, a, b) = full();
    let helper = w.thread(a);
    assert_eq!(write(&mut w, a, b"lost"), Ret::Blocked);
    assert_eq!(write(&mut w, b, b"next"), Ret::Blocked);
    let page = (a.memory + RESULT) / 4096 * 4096;
    assert_eq!(w.call(helper, mach::MACH_VM_DEALLOCATE, &[a.self_port.0.into(), page, 4096]), Ok(()));
    make_room(&mut w, 100);
    assert_eq!((result(&w, a), result(&w, b)), (Err(EFAULT), Ok(4)));
    assert_eq!(w.machine.console, b"next");
}

#[test]
fn one_write_takes_at_most_a_fixed_number_of_bytes() {
    let mut w = World::new();
    let a = w.task();
    let written = call(&mut w, a, unix::WRITE, &[1, a.memory, 2 * CONSOLE_WRITE_MAX as u64]);
    assert_eq!((written, w.machine.console.len()), (Ok(CONSOLE_WRITE_MAX as u64), CONSOLE_WRITE_MAX));
    assert_eq!(call(&mut w, a, unix::WRITE, &[2, a.memory, 0]), Ok(0));
    assert_eq!(call(&mut w, a, unix::WRITE, &[0, a.memory, 1]), Err(EBADF));
    assert_eq!(call(&mut w, a, unix::WRITE, &[1, 16, 1]), Err(EFAULT));
}

/// Returns the number of steps in which all threads that wait for the console are served, so many at a time.
pub fn steps_until_served(w: &mut World, threads: &[Actor]) -> usize {
    let (mut before, mut steps) = (threads.len(), 0);
    while before > 0 {
        let _ = w.event(Event::Timer);
        let now = threads.iter().filter(|&&thread| w.state(thread) == Ret::Blocked).count();
        assert!(before - now <= CONSOLE_THREADS_PER_TICK && now < before);
        assert_eq!(w.kernel.sched.earliest_deadline() <= w.machine.now(), now > 0, "the next step comes at once");
        (before, steps) = (now, steps + 1);
    }
    steps
}

/// Many threads may wait, and what they write is copied with interrupts off.
#[test]
fn the_output_of_many_writers_is_written_in_several_steps() {
    let (mut w, a, _) = full();
    let writers: Vec<Actor> = (0..3 * CONSOLE_THREADS_PER_TICK).map(|_| w.thread(a)).collect();
    for &writer in &writers {
        assert_eq!(write(&mut w, writer, b"x"), Ret::Blocked);
    }
    w.machine.console_room = usize::MAX;
    assert_eq!(steps_until_served(&mut w, &writers), 3);
    assert_eq!(w.machine.console.len(), writers.len());
}

/// What is left of a call waits for a part of a step that has not done much. Looking for room is not much.
#[test]
fn a_long_call_goes_on_while_the_console_has_no_room() {
    let (mut w, a, b) = full();
    assert_eq!(write(&mut w, a, b"late"), Ret::Blocked);
    let port = w.port_with_send(b);
    for _ in 0..3 * REAP_SLICE {
        w.send(b, &Msg::to(port, D::MAKE_SEND_ONCE)).unwrap();
    }
    w.mod_refs(b, port, MACH_PORT_RIGHT_RECEIVE, -1).unwrap();
    assert_eq!(w.state(a), Ret::Blocked);
}
