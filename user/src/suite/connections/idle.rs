//! A program that has nothing to do does nothing: no thread of the libraries runs.

use super::actor::{connect, serve};
use crate::suite::tests;
use crate::time::sleep;
use crate::{check, inspect, task};
use abi::inspect::{ThreadRecord, kind};
use alloc::vec::Vec;
use dispatch::queue::Queue;
use runtime::thread;
use xpc::Dictionary;

tests! { "xpc_idle":
    idle_libraries_do_not_run,
    a_thread_that_polls_is_noticed,
}

/// Milliseconds in which the program is looked at. Workers end after seconds without work.
const IDLE: u64 = 300;

/// Returns the other threads of this task, each with the processor time that it has had. Events would tell of traps too,
/// but not while they go to the trace device.
fn others() -> Vec<(u64, u64)> {
    let (own, pid) = (thread::number(), task::pid());
    let mut threads = Vec::new();
    let note = |record: &ThreadRecord| {
        if u64::from(record.pid) == pid && record.thread != own {
            threads.push((record.thread, record.cpu_time));
        }
    };
    inspect::list(kind::THREADS, 0, note).expect("the caller is user 0");
    threads
}

fn idle_libraries_do_not_run() {
    let listener = serve("idle", |message| {
        if let Some(reply) = message.create_reply() {
            reply.send();
        }
    });
    let connection = connect("idle");
    connection.send_with_reply_sync(&Dictionary::new()).expect("there is a reply");
    Queue::new("idle").sync(|| {});
    // The workers have come to rest by then.
    sleep(100);
    let before = others();
    check::that("the libraries have threads", !before.is_empty());
    sleep(IDLE);
    check::equal("the threads and their times", others(), before);
    connection.cancel();
    listener.cancel();
}

/// The test above would notice even one thread that looks once whether there is something to do.
fn a_thread_that_polls_is_noticed() {
    let polls = thread::spawn(|| (0..2).for_each(|_| sleep(IDLE / 2))).expect("the thread starts");
    sleep(IDLE / 4);
    let before = others();
    check::equal("the threads", before.len(), 1);
    sleep(IDLE / 2);
    let after = others();
    check::that(
        "it has run",
        after.iter().all(|&(thread, time)| before.iter().all(|&was| was.0 != thread || time > was.1)),
    );
    polls.join();
}
