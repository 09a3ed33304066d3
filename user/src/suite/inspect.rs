//! Looking into the kernel: for user 0 alone.

use super::tasks::child;
use super::tests;
use crate::monitor::snapshot::{Snapshot, name_of};
use crate::port::{self, Port};
use crate::sys::unix_trap;
use crate::{check, events, inspect, task, time};
use abi::code::*;
use abi::inspect::{TaskRecord, home, kind, wait};
use abi::port::Disposition;
use abi::task::ExitStatus;
use abi::trap::unix::READ;
use alloc::vec::Vec;

tests! { "inspect":
    the_records_show_this_task_as_it_is,
    the_kernel_checks_itself_on_request,
    a_task_is_reached_by_its_pid,
    another_user_sees_nothing_and_reaches_nobody,
    input_comes_from_descriptor_0_alone,
    the_heap_grows_when_it_is_used_up,
}

/// A user without privilege.
const USER: u32 = 1000;

fn the_records_show_this_task_as_it_is() {
    let port = Port::new();
    let own = task::pid() as u32;
    // A thread's time is counted when it leaves the processor.
    time::sleep(1);
    let snapshot = Snapshot::take().and_then(Snapshot::with_names).expect("user 0 runs the tests");
    let seen = snapshot.task(own).expect("this task is there");
    check::equal("the name", name_of(seen), "tests");
    check::equal("the parent", seen.parent, 1);
    check::equal("the threads", (seen.threads, snapshot.threads_of(own).count()), (1, 1));
    let thread = snapshot.threads_of(own).next().expect("it has a thread");
    check::equal("what its thread waits for", thread.wait, wait::NONE);
    // The snapshot is taken by several calls, and the thread may use more time between the record of the task and its own.
    check::that("both have used time", seen.cpu_time > 0 && thread.cpu_time > 0);
    let held = snapshot.names.iter().find(|(pid, name)| (*pid, name.name) == (own, port.name().0));
    let (_, held) = held.expect("the name is listed");
    let seen = snapshot.port(held.object).expect("the port is listed");
    check::equal("its home", (seen.home, seen.pid, seen.home_object), (home::TASK, own, port.name().0.into()));
}

fn the_kernel_checks_itself_on_request() {
    check::equal("the check", inspect::check(), Ok(()));
}

fn a_task_is_reached_by_its_pid() {
    let exit = Port::new();
    let started = child("sleep").exit_port(exit.name()).start().expect("the child starts");
    let own = task::pid() as u32;
    let mut pids = Vec::new();
    inspect::list(kind::TASKS, 0, |task: &TaskRecord| {
        if task.parent == own {
            pids.push(task.pid);
        }
    })
    .expect("user 0 runs the tests");
    check::equal("the number of children", pids.len(), 1);
    let found = task::for_pid(pids[0]).expect("the child is there");
    check::equal("the name of its port", found, started);
    check::equal("ending it", task::terminate(found), Ok(()));
    check::equal("its end", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    check::equal("the port of a task that has ended", task::for_pid(pids[0]), Err(KERN_FAILURE));
    check::equal("the port of no task", task::for_pid(0), Err(KERN_FAILURE));
    // Each of the two calls has given a reference.
    port::destroy_right(found, Disposition::PORT_SEND);
    port::destroy_right(started, Disposition::PORT_SEND);
}

fn another_user_sees_nothing_and_reaches_nobody() {
    let exit = Port::new();
    let mut spawn = child("check-inspection").exit_port(exit.name());
    spawn.args.uid = USER;
    let started = spawn.start().expect("the child starts");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    port::deallocate(started).expect("the name exists");
}

/// Tries to look into the kernel: the child of the test above.
pub(super) fn check_inspection() {
    let list = |kind| inspect::list(kind, 0, |_: &TaskRecord| ());
    for kind in kind::TASKS..=kind::CHECK {
        check::equal("a listing", list(kind), Err(KERN_NO_ACCESS));
    }
    check::equal("recording events", events::start(), Err(KERN_NO_ACCESS));
    check::equal("the events", events::read(&mut [Default::default()]).len(), 0);
    check::equal("the port of the first task", task::for_pid(1), Err(KERN_FAILURE));
    check::equal("its own port", task::for_pid(task::pid() as u32), Err(KERN_FAILURE));
    let mut byte = 0u8;
    let read = unix_trap(READ, [0, (&raw mut byte) as u64, 1, 0]);
    check::equal("reading from the console", read, Err(EPERM.0.into()));
}

fn input_comes_from_descriptor_0_alone() {
    let mut byte = 0u8;
    let mut read = |descriptor, size| unix_trap(READ, [descriptor, (&raw mut byte) as u64, size, 0]);
    check::equal("nothing", read(0, 0), Ok(0));
    check::equal("from another descriptor", read(1, 1), Err(EBADF.0.into()));
    check::equal("from none", read(u64::MAX, 1), Err(EBADF.0.into()));
}

fn the_heap_grows_when_it_is_used_up() {
    const PIECE: usize = 10_000;
    for _ in 0..2 {
        let pieces: Vec<Vec<u8>> = (0..100).map(|number| alloc::vec![number; PIECE]).collect();
        for (number, piece) in pieces.iter().enumerate() {
            check::that("a piece is as it was written", piece.iter().all(|&byte| usize::from(byte) == number));
        }
    }
    let large = alloc::vec![7u8; 600_000];
    check::equal("a large piece", large.iter().map(|&byte| u64::from(byte)).sum::<u64>(), 7 * 600_000);
}
