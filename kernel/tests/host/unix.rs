//! The Unix subset, threads, and `debug_state`.

use crate::calls::UNUSED_NAME;
use crate::machine::HEAP_FREE;
use crate::message::Msg;
use crate::program::{PROGRAM_BASE, spawn_args};
use crate::simulation::Random;
use crate::world::{ARGUMENTS, Actor, BUFFER, Ret, World};
use abi::code::*;
use abi::debug::{
    Clocks, Counts, DEBUG_CLOCKS, DEBUG_COUNTS, DEBUG_HEAP, DEBUG_LONGEST, DEBUG_MEMORY, DEBUG_PANIC, DEBUG_THREAD,
    LongestStep, Memory, ThreadInfo,
};
use abi::port::PortType;
use abi::qos::{Priority, Qos};
use abi::task::{PAGE_SIZE, TaskSpawnArgs};
use abi::trap::tally::{THREAD_CREATE_CLASS, THREAD_CREATE_SUSPENDED};
use abi::trap::unix::{UL_COMPARE_AND_WAIT, ULF_WAKE_ALL};
use abi::trap::{CLASS_UNIX, mach, tally, unix};
use abi::{PortName, mig};
use kernel::ids::ThreadId;
use kernel::limits::THREADS_PER_TASK_MAX;
use kernel::machine::USER_END;
use kernel::sched::thread::State;
use zerocopy::{FromBytes, IntoBytes};

/// The error numbers that Unix calls return.
const ERRNOS: [Errno; 13] =
    [EPERM, ENOENT, ESRCH, EINTR, EBADF, ENOMEM, EFAULT, EINVAL, ENOTSUP, ETIMEDOUT, ENOSYS, EOVERFLOW, EBADMSG];

/// A number of class 2 without a call.
const UNKNOWN_CALL: u32 = CLASS_UNIX | 5;

const WAIT: u64 = UL_COMPARE_AND_WAIT as u64;
const WAKE_ALL: u64 = WAIT | ULF_WAKE_ALL as u64;

/// The offset in an actor's memory of the words on which threads wait.
const WORD: u64 = 3072;

fn world() -> (World, Actor) {
    let mut w = World::new();
    let a = w.task();
    (w, a)
}

/// Returns the result of a Unix call that has returned: the value, or the error if the carry flag is set.
#[track_caller]
pub fn result(w: &World, a: Actor) -> Result<u64, Errno> {
    let Ret::Done(value) = w.state(a) else { panic!("the call has not returned") };
    let carry = w.kernel.sched[a.thread].frame().rflags & 1;
    if carry == 0 {
        Ok(value)
    } else {
        Err(ERRNOS.into_iter().find(|errno| u64::from(errno.0) == value).expect("a known error number"))
    }
}

/// Makes a Unix call.
#[track_caller]
pub fn call(w: &mut World, a: Actor, number: u32, args: &[u64]) -> Result<u64, Errno> {
    w.trap(a, number, args);
    result(w, a)
}

/// Makes a thread wait on a word in `owner`'s memory, which is 0.
fn wait(w: &mut World, owner: Actor, a: Actor, microseconds: u64) {
    assert_eq!(w.trap(a, unix::ULOCK_WAIT, &[WAIT, owner.memory + WORD, 0, microseconds]), Ret::Blocked);
}

#[test]
fn write_takes_at_most_1024_bytes_of_readable_memory() {
    let (mut w, a) = world();
    w.put(a, BUFFER, &[b'x'; 3000]);
    w.put(a, BUFFER, b"hello");
    let from = w.buffer(a);
    assert_eq!(call(&mut w, a, unix::WRITE, &[1, from, 5]), Ok(5));
    assert_eq!(call(&mut w, a, unix::WRITE, &[2, from, 1]), Ok(1));
    assert_eq!(w.machine.console, b"helloh");
    assert_eq!(call(&mut w, a, unix::WRITE, &[1, from, 3000]), Ok(1024), "one call takes at most 1024 bytes");
    assert_eq!(call(&mut w, a, unix::WRITE, &[1, from, u64::MAX]), Ok(1024));
    assert_eq!(call(&mut w, a, unix::WRITE, &[1, 0, 0]), Ok(0));
    w.machine.console.clear();
    for descriptor in [0, 3, u64::from(u32::MAX)] {
        assert_eq!(call(&mut w, a, unix::WRITE, &[descriptor, from, 5]), Err(EBADF));
    }
    for bad in [8, u64::MAX - 2, USER_END - 2, 0xFFFF_8000_0000_0000] {
        assert_eq!(call(&mut w, a, unix::WRITE, &[1, bad, 5]), Err(EFAULT));
    }
    assert_eq!(w.machine.console, b"");
}

#[test]
fn an_unknown_unix_call_returns_enosys_and_later_calls_clear_carry() {
    let (mut w, a) = world();
    assert_eq!(call(&mut w, a, UNKNOWN_CALL, &[]), Err(ENOSYS));
    let pid = w.kernel.tasks[a.task].credentials.pid;
    assert_eq!(call(&mut w, a, unix::GETPID, &[]), Ok(pid.into()), "the carry flag is clear again");
    let number = w.kernel.sched[a.thread].number();
    assert_eq!(call(&mut w, a, unix::THREAD_SELFID, &[]), Ok(number));
}

#[test]
fn ulock_wait_does_not_block_on_a_changed_or_invalid_word() {
    let (mut w, a) = world();
    let word = a.memory + WORD;
    w.put(a, WORD, &7u32.to_le_bytes());
    assert_eq!(call(&mut w, a, unix::ULOCK_WAIT, &[WAIT, word, 0, 0]), Ok(0));
    for operation in [0, 2, 3, WAKE_ALL] {
        assert_eq!(call(&mut w, a, unix::ULOCK_WAIT, &[operation, word, 7, 0]), Err(EINVAL));
    }
    assert_eq!(call(&mut w, a, unix::ULOCK_WAIT, &[WAIT, word + 2, 7, 0]), Err(EINVAL));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAIT, &[WAIT, 8, 7, 0]), Err(EFAULT));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, word]), Err(ENOENT));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAKE_ALL, word]), Err(ENOENT));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[2, word]), Err(EINVAL));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, word + 1]), Err(EINVAL));
}

#[test]
fn ulock_wake_prefers_priority_and_then_order_of_arrival() {
    let (mut w, a) = world();
    let bases = [31u8, 47, 31, 4, 47, 20, 4];
    let threads: Vec<Actor> = bases.iter().map(|_| w.thread(a)).collect();
    for (thread, base) in threads.iter().zip(bases) {
        w.set_base(thread.thread, base, true);
        wait(&mut w, a, *thread, 0);
    }
    let mut woken = Vec::new();
    for _ in &bases {
        assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, a.memory + WORD]), Ok(0));
        let free = |n: &usize| !woken.contains(n) && w.state(threads[*n]) != Ret::Blocked;
        let new: Vec<usize> = (0..bases.len()).filter(free).collect();
        assert_eq!(new.len(), 1, "each call wakes one thread");
        assert_eq!(result(&w, threads[new[0]]), Ok(0));
        woken.push(new[0]);
    }
    assert_eq!(woken, [1, 4, 0, 2, 5, 3, 6]);
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, a.memory + WORD]), Err(ENOENT));
}

#[test]
fn wake_all_wakes_only_waiters_of_the_same_task_and_word() {
    let (mut w, a) = world();
    let b = w.task();
    let threads: Vec<Actor> = (0..4).map(|_| w.thread(a)).collect();
    threads[..3].iter().for_each(|&thread| wait(&mut w, a, thread, 0));
    assert_eq!(w.trap(threads[3], unix::ULOCK_WAIT, &[WAIT, a.memory + WORD + 4, 0, 0]), Ret::Blocked);
    assert_eq!(a.memory, b.memory, "the same address in another task");
    wait(&mut w, b, b, 0);
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAKE_ALL, a.memory + WORD]), Ok(0));
    assert!(threads[..3].iter().all(|&thread| result(&w, thread) == Ok(0)));
    assert_eq!((w.state(threads[3]), w.state(b)), (Ret::Blocked, Ret::Blocked));
}

#[test]
fn ulock_wait_times_out_exactly_at_its_deadline() {
    let (mut w, a) = world();
    let b = w.thread(a);
    wait(&mut w, a, b, 1500);
    w.advance(1_499_999);
    assert_eq!(w.state(b), Ret::Blocked);
    w.advance(1);
    assert_eq!(result(&w, b), Err(ETIMEDOUT));
    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, a.memory + WORD]), Err(ENOENT), "no thread waits any more");
    wait(&mut w, a, b, 0);
    w.advance(u64::from(u32::MAX) * 1000);
    assert_eq!(w.state(b), Ret::Blocked, "0 means no timeout");
}

#[test]
fn an_aborted_wait_is_interrupted() {
    let (mut w, a) = world();
    let b = w.thread(a);
    let name = w.trap(b, mach::THREAD_SELF, &[]).name();
    wait(&mut w, a, b, 0);
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::ABORT)).unwrap();
    assert_eq!(result(&w, b), Err(EINTR));
    let until = 1 << 40;
    assert_eq!(w.trap(b, mach::MACH_WAIT_UNTIL, &[until]), Ret::Blocked);
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::ABORT)).unwrap();
    assert_eq!(w.state(b), Ret::Done(KERN_ABORTED.0 as u64));
    assert_eq!(w.trap(b, mach::MACH_WAIT_UNTIL, &[1]).code(), KERN_SUCCESS, "the deadline has passed");
}

/// Threads wait, are woken, are aborted and change their priority at random. A sorted list is the model of their order.
#[test]
fn waiters_stay_sorted_when_they_come_go_and_change_priority() {
    for seed in 0..20 {
        let (mut w, a) = world();
        let mut random = Random::new(seed);
        let threads: Vec<Actor> = (0..12).map(|_| w.thread(a)).collect();
        let names: Vec<PortName> = threads.iter().map(|&t| w.trap(t, mach::THREAD_SELF, &[]).name()).collect();
        let base = |w: &World, thread: ThreadId| w.kernel.sched[thread].schedule().base;
        let mut queue: Vec<(u8, usize)> = Vec::new();
        let insert = |queue: &mut Vec<(u8, usize)>, base: u8, n: usize| {
            let at = queue.iter().position(|other| other.0 < base).unwrap_or(queue.len());
            queue.insert(at, (base, n));
        };
        for _ in 0..150 {
            let n = random.below(12) as usize;
            let place = queue.iter().position(|entry| entry.1 == n);
            match (random.below(4), place) {
                (0 | 1, None) => {
                    wait(&mut w, a, threads[n], 0);
                    insert(&mut queue, base(&w, threads[n].thread), n);
                }
                (0 | 1, Some(place)) => {
                    let class = Priority::of(random.pick(&Qos::CLASSES)).to_pthread();
                    w.call(a, tally::THREAD_SET_QOS, &[names[n].0.into(), class.into()]).unwrap();
                    let new = base(&w, threads[n].thread);
                    if new != queue[place].0 {
                        queue.remove(place);
                        insert(&mut queue, new, n);
                    }
                }
                (2, Some(place)) => {
                    queue.remove(place);
                    w.send(a, &Msg::copy_send(names[n]).id(mig::thread_act::ABORT)).unwrap();
                    assert_eq!(result(&w, threads[n]), Err(EINTR));
                }
                _ if queue.is_empty() => {}
                _ => {
                    let (_, first) = queue.remove(0);
                    assert_eq!(call(&mut w, a, unix::ULOCK_WAKE, &[WAIT, a.memory + WORD]), Ok(0));
                    assert_eq!(w.state(threads[first]), Ret::Done(0), "seed {seed}: {first} is next");
                }
            }
            for (n, &thread) in threads.iter().enumerate() {
                let waits = queue.iter().any(|entry| entry.1 == n);
                assert_eq!(w.state(thread) == Ret::Blocked, waits, "seed {seed}: thread {n}");
            }
        }
    }
}

#[test]
fn a_new_thread_starts_with_the_registers_it_is_given() {
    let (mut w, a) = world();
    let me = u64::from(a.self_port.0);
    let stack = a.memory + 8 * PAGE_SIZE;
    let result = w.result(a);
    let name = w.call_for_name(a, tally::THREAD_CREATE, &[me, 0x40_0040, stack, 99, 0, result]).unwrap();
    let thread = w.kernel.tasks[a.task].threads.back().unwrap();
    let frame = &w.kernel.sched[thread].frame();
    assert_eq!((frame.rip, frame.rsp, frame.rdi), (0x40_0040, stack, 99));
    assert!(matches!(w.kernel.sched[thread].state(), State::Ready));
    assert_eq!(w.port_type(a, name), Ok(PortType::SEND), "a send right to the thread's control port");

    let args = [me, PROGRAM_BASE, 0, 0, THREAD_CREATE_SUSPENDED.into(), result];
    let name = w.call_for_name(a, tally::THREAD_CREATE, &args).unwrap();
    let thread = w.kernel.tasks[a.task].threads.back().unwrap();
    assert!(matches!(w.kernel.sched[thread].state(), State::Suspended));
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::RESUME)).unwrap();
    assert!(matches!(w.kernel.sched[thread].state(), State::Ready));
}

#[test]
fn a_new_thread_requests_the_class_that_its_creator_names() {
    let (mut w, a) = world();
    let (me, result) = (u64::from(a.self_port.0), w.result(a));
    let classes = Qos::CLASSES.map(Priority::of).map(Priority::to_pthread).map(|word| word & THREAD_CREATE_CLASS);
    for (qos, flags) in Qos::CLASSES.into_iter().zip(classes).chain([(Qos::Unspecified, 0)]) {
        for suspended in [0, THREAD_CREATE_SUSPENDED] {
            let args = [me, PROGRAM_BASE, 0, 0, u64::from(flags | suspended), result];
            w.call_for_name(a, tally::THREAD_CREATE, &args).unwrap();
            let thread = w.kernel.tasks[a.task].threads.back().unwrap();
            assert_eq!(w.kernel.sched[thread].policy().requested, Priority::of(qos));
        }
    }
}

#[test]
fn thread_create_refuses_bad_arguments_and_too_many_threads() {
    let (mut w, a) = world();
    let b = w.task();
    let (me, other) = (u64::from(a.self_port.0), u64::from(w.task_port(a, b).0));
    let result = w.result(a);
    let before = (w.counts(), w.names(a));
    for args in [
        [other, PROGRAM_BASE, 0, 0, 0, result],
        [0, PROGRAM_BASE, 0, 0, 0, result],
        [me, PROGRAM_BASE, 0, 0, 2, result],
        [me, PROGRAM_BASE, 0, 0, 0x4000, result],
        [me, PROGRAM_BASE, 0, 0, 0x300, result],
        [me, USER_END, 0, 0, 0, result],
        [me, u64::MAX, 0, 0, 0, result],
        [me, 0x8000_0000_0000, 0, 0, 0, result],
        [me, PROGRAM_BASE, USER_END + 1, 0, 0, result],
        [me, PROGRAM_BASE, 0xFFFF_8000_0000_0000, 0, 0, result],
    ] {
        assert_eq!(w.call(a, tally::THREAD_CREATE, &args), Err(KERN_INVALID_ARGUMENT), "{args:x?}");
    }
    assert_eq!((w.counts(), w.names(a)), before);
    w.checked = false;
    let args = [me, PROGRAM_BASE, 0, 0, 1, result];
    let made = (0..).take_while(|_| w.call(a, tally::THREAD_CREATE, &args).is_ok()).count();
    assert_eq!(made, THREADS_PER_TASK_MAX - 1);
    assert_eq!(w.call(a, tally::THREAD_CREATE, &args), Err(KERN_RESOURCE_SHORTAGE));
    assert!(w.call(b, tally::THREAD_CREATE, &[b.self_port.0.into(), PROGRAM_BASE, 0, 0, 1, w.result(b)]).is_ok());
    kernel::inspect::invariants::check_all(&w.kernel);
}

#[test]
fn a_task_lives_as_long_as_its_last_thread() {
    let (mut w, a) = world();
    let b = w.thread(a);
    assert_eq!(w.trap(a, tally::THREAD_EXIT, &[]), Ret::Ended);
    assert!(w.kernel.tasks.contains(a.task) && w.state(b) != Ret::Ended);
    assert_eq!(w.trap(b, tally::THREAD_EXIT, &[]), Ret::Ended);
    assert!(!w.kernel.tasks.contains(a.task));
}

/// Creates two threads of a task, the second of which has begun to destroy a port with 200 messages. That takes several
/// slices. Returns the threads, the name of the second and the counts before the messages.
fn destruction_begun() -> (World, Actor, Actor, PortName, Counts) {
    let (mut w, a) = world();
    let b = w.thread(a);
    let name = w.trap(b, mach::THREAD_SELF, &[]).name();
    let port = w.port_with_send(a);
    w.set_qlimit(a, port, 200).unwrap();
    let before = w.counts();
    (0..200).for_each(|_| w.send(a, &Msg::copy_send(port)).unwrap());
    w.set_base(a.thread, 97, true);
    w.start_trap(b, mach::MACH_PORT_MOD_REFS, &[a.self_port.0.into(), port.0.into(), 1, u64::from(u32::MAX)]);
    assert!(w.kernel.sched[b.thread].has_continuation() && w.counts().messages > 100, "the work is not done");
    (w, a, b, name, before)
}

#[test]
fn destruction_continues_after_its_thread_is_terminated() {
    let (mut w, a, b, name, before) = destruction_begun();
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::TERMINATE)).unwrap();
    assert_eq!(w.state(b), Ret::Ended);
    w.settle();
    assert_eq!(
        (w.counts().messages, w.counts().ports),
        (before.messages, before.ports - 2),
        "the destroyed port and the thread's port are gone"
    );
}

/// A suspended thread does not run, but other tasks depend on the destruction that it has begun.
#[test]
fn destruction_continues_while_its_thread_is_suspended() {
    let (mut w, a, b, name, before) = destruction_begun();
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::SUSPEND)).unwrap();
    assert_eq!(w.state(b), Ret::Blocked);
    w.settle();
    assert_eq!((w.counts().messages, w.counts().ports), (before.messages, before.ports - 1));
    w.send(a, &Msg::copy_send(name).id(mig::thread_act::RESUME)).unwrap();
    assert_eq!(w.state(b).code(), KERN_SUCCESS);
}

#[test]
fn debug_state_returns_counts_and_thread_schedules() {
    let (mut w, a) = world();
    let name = w.trap(a, mach::THREAD_SELF, &[]).name();
    let at = a.memory + ARGUMENTS;
    let ask = |w: &mut World, kind: u32, name: PortName, at: u64, size: usize| {
        w.call(a, tally::DEBUG_STATE, &[kind.into(), name.0.into(), at, size as u64])
    };
    let size = size_of::<Counts>();
    ask(&mut w, DEBUG_COUNTS, PortName(0), at, size).unwrap();
    assert_eq!(w.get(a, ARGUMENTS, size), w.counts().as_bytes());
    // A program that knows fewer fields gets those.
    w.put(a, ARGUMENTS, &vec![0xEE; size]);
    ask(&mut w, DEBUG_COUNTS, PortName(0), at, size - 8).unwrap();
    assert_eq!(w.get(a, ARGUMENTS, size - 8), w.counts().as_bytes()[..size - 8]);
    assert_eq!(w.get(a, ARGUMENTS + size as u64 - 8, 8), [0xEE; 8]);
    assert_eq!(ask(&mut w, DEBUG_COUNTS, PortName(0), at, 7), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(ask(&mut w, DEBUG_COUNTS, PortName(0), 8, size), Err(KERN_MEMORY_ERROR));
    let size = size_of::<ThreadInfo>();
    ask(&mut w, DEBUG_THREAD, name, at, size).unwrap();
    let info = ThreadInfo::read_from_bytes(&w.get(a, ARGUMENTS, size)).unwrap();
    let schedule = w.kernel.sched[a.thread].schedule();
    assert_eq!((info.base_priority, info.scheduled_priority), (schedule.base.into(), schedule.priority.into()));
    assert_eq!(info.requested, w.kernel.sched[a.thread].policy().requested.to_pthread());
    for wrong in [PortName(0), a.self_port, a.inbox, UNUSED_NAME] {
        assert_eq!(ask(&mut w, DEBUG_THREAD, wrong, at, size), Err(KERN_INVALID_ARGUMENT));
    }
    assert_eq!(ask(&mut w, DEBUG_PANIC, name, at, 4096), Err(KERN_NO_ACCESS), "only the first task may do that");
    ask(&mut w, DEBUG_HEAP, PortName(0), at, 8).unwrap();
    assert_eq!(w.get(a, ARGUMENTS, 8), HEAP_FREE.to_le_bytes());
    assert_eq!(ask(&mut w, DEBUG_HEAP, PortName(0), at, 7), Err(KERN_INVALID_ARGUMENT));
    ask(&mut w, DEBUG_MEMORY, PortName(0), at, size_of::<Memory>()).unwrap();
    let memory = Memory::read_from_bytes(&w.get(a, ARGUMENTS, size_of::<Memory>())).unwrap();
    assert_eq!(memory, Memory { free: HEAP_FREE, largest: HEAP_FREE / 2, unsettled: 0 });
    ask(&mut w, DEBUG_MEMORY, PortName(1), at, size_of::<Memory>()).unwrap();
    let memory = Memory::read_from_bytes(&w.get(a, ARGUMENTS, size_of::<Memory>())).unwrap();
    assert_eq!(memory.unsettled, 0, "what the call itself asks for does not count");
    ask(&mut w, DEBUG_CLOCKS, PortName(0), at, size_of::<Clocks>()).unwrap();
    let clocks = Clocks::read_from_bytes(&w.get(a, ARGUMENTS, size_of::<Clocks>())).unwrap();
    assert_eq!((clocks.other, clocks.before), (clocks.before / 2, clocks.after));
    assert_eq!(ask(&mut w, DEBUG_CLOCKS, PortName(0), at, 7), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(ask(&mut w, 99, name, at, 4096), Err(KERN_INVALID_ARGUMENT));
    assert_eq!(ask(&mut w, 0, name, at, 4096), Err(KERN_INVALID_ARGUMENT));
}

#[test]
fn user_0_measures_the_longest_step() {
    let (mut w, a) = world();
    let at = a.memory + ARGUMENTS;
    let size = size_of::<LongestStep>() as u64;
    let ask = |w: &mut World, a: Actor, on: u64, size: u64| {
        w.call(a, tally::DEBUG_STATE, &[DEBUG_LONGEST.into(), on, at, size])
    };
    let longest = |w: &World| LongestStep::read_from_bytes(&w.get(a, ARGUMENTS, size as usize)).unwrap();
    ask(&mut w, a, 1, size).unwrap();
    assert_eq!(longest(&w), LongestStep::default());
    // While steps are measured, no way past the measurement is taken.
    assert!(!w.kernel.step.is_quiet());
    w.trap(a, tally::CPU_COUNT, &[]);
    assert!(!w.kernel.step.is_quiet());
    assert_eq!(ask(&mut w, a, 0, 7), Err(KERN_INVALID_ARGUMENT));
    w.trap(a, tally::CPU_COUNT, &[]);
    assert!(w.kernel.step.is_quiet(), "nothing is measured any more");
    let other = w.task_with(TaskSpawnArgs { uid: 501, ..spawn_args() });
    assert_eq!(ask(&mut w, other, 1, size), Err(KERN_NO_ACCESS));
    let give_back = [DEBUG_MEMORY.into(), 1, other.memory + ARGUMENTS, size_of::<Memory>() as u64];
    assert_eq!(w.call(other, tally::DEBUG_STATE, &give_back), Err(KERN_NO_ACCESS));
}
