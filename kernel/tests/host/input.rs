//! `read`: input from the console.

use crate::output::steps_until_served;
use crate::program::spawn_args;
use crate::unix::{call, result};
use crate::world::{Actor, RESULT, Ret, World};
use abi::code::*;
use abi::task::TaskSpawnArgs;
use abi::trap::{mach, unix};
use kernel::kernel::Event;
use kernel::limits::CONSOLE_THREADS_PER_TICK;

/// The most bytes that one call returns.
const READ_MAX: usize = 64;

fn read(w: &mut World, a: Actor, size: u64) -> Ret {
    w.trap(a, unix::READ, &[0, a.memory + RESULT, size])
}

fn type_in(w: &mut World, text: &[u8]) {
    w.machine.input.extend(text);
}

#[test]
fn input_that_has_come_is_returned_at_once_as_far_as_there_is_room() {
    let mut w = World::new();
    let a = w.task();
    type_in(&mut w, b"hello");
    assert_eq!(read(&mut w, a, 3), Ret::Done(3));
    assert_eq!(w.get(a, RESULT, 3), b"hel");
    assert_eq!(read(&mut w, a, 1000), Ret::Done(2));
    assert_eq!(w.get(a, RESULT, 2), b"lo");
    type_in(&mut w, &[b'x'; READ_MAX + 1]);
    assert_eq!(read(&mut w, a, 1000), Ret::Done(READ_MAX as u64));
    assert_eq!(read(&mut w, a, 0), Ret::Done(0));
    assert_eq!(read(&mut w, a, 1000), Ret::Done(1));
}

#[test]
fn a_reader_waits_for_input_and_the_most_important_one_gets_it() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    w.set_base(b.thread, 50, false);
    assert_eq!(read(&mut w, a, 8), Ret::Blocked);
    assert_eq!(read(&mut w, b, 8), Ret::Blocked);
    let bystander = w.task();
    w.run(bystander.thread);
    let _ = w.event(Event::Timer);
    assert_eq!((w.state(a), w.state(b)), (Ret::Blocked, Ret::Blocked), "nothing was typed");
    type_in(&mut w, b"1");
    let _ = w.event(Event::Timer);
    assert_eq!((w.state(a), w.state(b)), (Ret::Blocked, Ret::Done(1)));
    type_in(&mut w, b"23");
    let _ = w.event(Event::Timer);
    assert_eq!((w.state(a), w.get(a, RESULT, 2)), (Ret::Done(2), b"23".to_vec()));
}

#[test]
fn a_reader_that_ends_or_is_aborted_takes_no_input() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    assert_eq!(read(&mut w, a, 8), Ret::Blocked);
    w.end_task(a);
    let control = w.trap(b, mach::THREAD_SELF, &[]).name();
    let helper = w.thread(b);
    assert_eq!(read(&mut w, b, 8), Ret::Blocked);
    w.thread_abort(helper, control);
    assert_eq!(result(&w, b), Err(EINTR));
    type_in(&mut w, b"x");
    assert_eq!(w.machine.input.len(), 1);
}

#[test]
fn wrong_reads_are_refused() {
    let mut w = World::new();
    let a = w.task();
    assert_eq!(call(&mut w, a, unix::READ, &[1, a.memory + RESULT, 8]), Err(EBADF));
    type_in(&mut w, b"lost");
    assert_eq!(call(&mut w, a, unix::READ, &[0, 16, 8]), Err(EFAULT));
    let other = w.task_with(TaskSpawnArgs { uid: 1000, ..spawn_args() });
    assert_eq!(call(&mut w, other, unix::READ, &[0, other.memory + RESULT, 8]), Err(EPERM));
}

/// Many threads may wait, and a line of text ends as many waits as it has bytes.
#[test]
fn the_input_of_many_readers_is_given_in_several_steps() {
    let mut w = World::new();
    let (a, bystander) = (w.task(), w.task());
    let readers: Vec<Actor> = (0..3 * CONSOLE_THREADS_PER_TICK).map(|_| w.thread(a)).collect();
    for &reader in &readers {
        assert_eq!(read(&mut w, reader, 1), Ret::Blocked);
    }
    w.run(bystander.thread);
    // One more for those that come later.
    type_in(&mut w, &vec![b'x'; readers.len() + 1]);
    assert_eq!((steps_until_served(&mut w, &readers), w.machine.input.len()), (3, 1));
}

/// The threads of a task that has ended are taken apart in slices.
#[test]
fn a_thread_of_a_task_that_ends_takes_no_input_and_writes_nothing() {
    let mut w = World::new();
    let (a, b) = (w.task(), w.task());
    let threads: Vec<Actor> = (0..50).map(|_| w.thread(a)).collect();
    let (reader, writer) = (threads[48], threads[49]);
    w.machine.console_room = 0;
    w.put(writer, RESULT, b"late");
    assert_eq!(w.trap(writer, unix::WRITE, &[1, writer.memory + RESULT, 4]), Ret::Blocked);
    assert_eq!((read(&mut w, reader, 8), read(&mut w, b, 8)), (Ret::Blocked, Ret::Blocked));
    w.hold_background();
    w.start_trap(a, unix::EXIT, &[0]);
    assert!(
        w.kernel.sched.contains(reader.thread) && w.kernel.sched.contains(writer.thread),
        "it needs more than a slice"
    );
    type_in(&mut w, b"x");
    w.machine.console_room = 100;
    let _ = w.event(Event::Timer);
    assert_eq!((w.get(b, RESULT, 1), result(&w, b)), (b"x".to_vec(), Ok(1)));
    assert!(w.machine.console.is_empty());
    w.settle();
    assert!(!w.kernel.tasks.contains(a.task));
}
