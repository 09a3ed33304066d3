//! Very many requests, in good order and with peers that are killed at random moments (dispatch R-7, AE-139).
//!
//! The tests send some hundreds, the program `xpc_soak` as many as one likes. Before and after, when all workers have
//! ended, everything that the two tasks and the kernel have is counted.

use super::actor::{answer, connect, daemon, join, rest, serve, stop};
use super::hostile::ask_properly;
use super::stage::{Player, Stage, eventually, names_of};
use crate::suite::{seed_of, tests};
use crate::time::{now, sleep};
use crate::{check, heap, task};
use abi::debug::Counts;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use dispatch::activity::{Activity, ActivityFlags, Parent};
use dispatch::process::{DebugCounts, process};
use dispatch::queue::Queue;
use xpc::{Connection, Dictionary, Event, Message, XpcError};

tests! { "xpc_soak":
    requests_connections_and_deaths_leave_every_count_as_it_was.limit(240_000),
}

pub(super) const CHILDREN: &[(&str, fn())] =
    &[("xpc-soak-service", service), ("xpc-soak-victim", victim), ("xpc-soak-client", client)];

/// Requests of the tests.
const REQUESTS: u64 = 1_000;
/// Connections of the test.
const CONNECTIONS: u64 = 1_000;
/// Peers that the test kills.
const KILLED: u64 = 10;
/// Requests to, and from, each peer that is killed.
const REQUESTS_EACH: u64 = 20;
/// How often the work is done if it changes something.
const ROUNDS: u32 = 4;
/// What is done before the first look at the counts: tables grow, and stay as large as they have been.
const WARM_UP: u64 = 200;
/// Requests without an answer at the same time.
const AT_ONCE: u64 = 16;

/// What there is when all is quiet. The threads of both tasks have ended but for those that stay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct XpcStock {
    /// Names, bytes of the heap and objects of the library: this task's, then the service's.
    tasks: [(u32, u64, u32); 2],
    /// The queues of this task.
    library: DebugCounts,
    /// The kernel's objects, without memory.
    kernel: [u64; 9],
}

/// Handlers that were called: for replies, and for errors.
static REPLIES: AtomicU64 = AtomicU64::new(0);
static ERRORS: AtomicU64 = AtomicU64::new(0);

/// A service and what is known of it.
struct Soak {
    stage: Stage,
    service: Player,
}

/// The service: it answers at once, or later, or drops the request, as the request says.
fn service() {
    join();
    let queue = Queue::new("work");
    let listener = serve("soak", move |request: Message| match request.get_uint64("number").unwrap_or(0) % 4 {
        _ if !request.wants_reply() => {}
        0 | 1 => answer(&request),
        2 => queue.run_async(move || answer(&request)),
        _ => drop(request),
    });
    stop("soak is ready");
    let _ = &listener;
    rest("soak rests");
}

impl Soak {
    fn new() -> Soak {
        // The records of activities would fill the heap slowly.
        process().activities.trace.enable(false);
        let stage = Stage::new();
        let service = stage.daemon("xpc-soak-service");
        stage.pass("soak is ready");
        Soak { stage, service }
    }

    /// Counts before and after some work. Tables that grow in the middle of it stay as large as they have been, so a change
    /// counts only if it comes again and again.
    fn around(&self, mut work: impl FnMut()) -> (XpcStock, XpcStock) {
        let (mut before, mut rounds) = (self.stock(), 0);
        loop {
            work();
            rounds += 1;
            let after = self.stock();
            if after == before || rounds == ROUNDS {
                return (before, after);
            }
            before = after;
        }
    }

    /// Waits until all is quiet, and counts.
    fn stock(&self) -> XpcStock {
        library_at_rest();
        let mut probe = self.stage.pass("soak rests");
        eventually("the workers of the service end", || {
            sleep(50);
            probe = self.stage.pass("soak rests");
            probe.workers == 0 && probe.is_empty()
        });
        // The thread that rests is at its stop again when it is counted.
        let rests = self.stage.at("soak rests");
        let own = names_of(task::pid());
        let tasks = [
            (own, heap::used() as u64, process().debug_counts().vouchers as u32),
            (names_of(rests.probe.own), rests.probe.heap, rests.probe.queues),
        ];
        let Counts {
            tasks: all,
            threads,
            ports,
            port_sets,
            names,
            send_rights,
            send_once_rights,
            messages,
            vouchers,
            ..
        } = task::counts();
        rests.go_on();
        let kernel = [all, threads, ports, port_sets, names, send_rights, send_once_rights, messages, vouchers];
        XpcStock { tasks, library: process().debug_counts(), kernel }
    }
}

/// Notes the outcome of a request.
fn note(reply: Result<Dictionary, XpcError>) {
    if reply.is_ok() { &REPLIES } else { &ERRORS }.fetch_add(1, Ordering::Relaxed);
}

fn handled() -> u64 {
    REPLIES.load(Ordering::Relaxed) + ERRORS.load(Ordering::Relaxed)
}

/// Sends requests of all kinds, and waits until each has had its outcome.
fn send_requests(service: &Connection, count: u64) {
    let before = handled();
    for number in 0..count {
        eventually("requests are answered", || number < AT_ONCE + (handled() - before));
        let request: Dictionary = [("number", xpc::Object::UInt64(number))].into_iter().collect();
        match number / 4 % 4 {
            0 => service.send_with_reply(&request, None, note),
            1 => note(service.send_with_reply_sync(&request)),
            2 => Activity::create("soak", Parent::Current, ActivityFlags::empty())
                .apply(|| service.send_with_reply(&request, None, note)),
            _ => {
                service.send(&request);
                service.send_with_reply(&request, None, note);
            }
        }
    }
    eventually("all requests have their outcome", || handled() - before == count);
}

/// Opens connections, uses each once, and cancels it.
fn open_connections(count: u64) {
    static ENDED: AtomicU64 = AtomicU64::new(0);
    for _ in 0..count {
        let connection = Connection::create("soak", None);
        connection.set_event_handler(|event| {
            assert!(matches!(event, Event::Error(XpcError::Invalid)), "{event:?}");
            ENDED.fetch_add(1, Ordering::Relaxed);
        });
        connection.activate();
        let reply = connection.send_with_reply_sync(&Dictionary::new());
        assert!(reply.is_ok(), "{reply:?}");
        let ended = ENDED.load(Ordering::Relaxed);
        connection.cancel();
        eventually("the connection ends", || ENDED.load(Ordering::Relaxed) > ended);
    }
}

/// A service that is killed. It works on its requests as long as it lives.
fn victim() {
    let queue = Queue::new("work");
    daemon("victim", move |request| {
        let late = request.get_uint64("number").is_some_and(|number| number % 2 == 0);
        if late { queue.run_async(move || answer(&request)) } else { answer(&request) }
    });
}

/// A client that is killed: it sends requests without end.
fn client() {
    let soak = connect("soak");
    let before = handled();
    for number in 0.. {
        eventually("requests are answered", || number < AT_ONCE + (handled() - before));
        let request: Dictionary = [("number", xpc::Object::UInt64(number))].into_iter().collect();
        soak.send_with_reply(&request, None, note);
    }
}

/// Kills one service and one client, each some microseconds after it has begun to work.
fn kill_peers(stage: &Stage, random: &mut impl FnMut(u64) -> u64) {
    let service = stage.daemon("xpc-soak-victim");
    stage.pass("victim is ready");
    let victim = Connection::create("victim", None);
    victim.set_event_handler(|_| {});
    victim.activate();
    let before = handled();
    for number in 0..REQUESTS_EACH {
        let request: Dictionary = [("number", xpc::Object::UInt64(number))].into_iter().collect();
        victim.send_with_reply(&request, None, note);
    }
    let client = stage.app("xpc-soak-client");
    let until = now() + random(3_000_000);
    while now() < until {
        crate::spin();
    }
    service.end();
    eventually("all requests have their outcome", || handled() - before == REQUESTS_EACH);
    victim.cancel();
    let until = now() + random(5_000_000);
    while now() < until {
        crate::spin();
    }
    client.end();
}

/// What there was before and after some work, without and with the service and the connection to it.
#[derive(Clone, Copy, Debug)]
pub struct Soaked {
    /// What there was when the service had been used for a while, and after the work.
    pub busy: [XpcStock; 2],
    /// What the library had in this task before the service began, and after its end.
    pub quiet: [DebugCounts; 2],
}

impl Soaked {
    /// Returns true if the work has left nothing.
    pub fn is_clean(&self) -> bool {
        self.busy[0] == self.busy[1] && self.quiet[0] == self.quiet[1]
    }
}

/// Returns what the library has in this task when its workers have ended.
fn library_at_rest() -> DebugCounts {
    eventually("the workers of this task end", || process().debug_counts().workers == 0);
    process().debug_counts()
}

/// Sends requests, opens connections, and kills services and as many clients. Returns what there was before and after.
pub fn soak_xpc(requests: u64, connections: u64, killed: u64) -> Soaked {
    let mut state = seed_of(0x5851_F42D_4C95_7F2D);
    let mut random = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let found = library_at_rest();
    let soak = Soak::new();
    let ended = Arc::new(AtomicBool::new(false));
    let tells = ended.clone();
    let service = Connection::create("soak", None);
    service.set_event_handler(move |event| {
        tells.fetch_or(matches!(event, Event::Error(XpcError::Invalid)), Ordering::Relaxed);
    });
    service.activate();
    // A connection that was never used has its check-in still.
    ask_properly(&service);
    let mut work = |requests: u64, connections: u64, killed: u64| {
        send_requests(&service, requests);
        open_connections(connections);
        (0..killed).for_each(|_| kill_peers(&soak.stage, &mut random));
    };
    work(requests.min(WARM_UP), connections.min(WARM_UP), killed.min(4));
    let (before, after) = soak.around(|| work(requests, connections, killed));
    service.cancel();
    eventually("the connection ends", || ended.load(Ordering::Relaxed));
    drop(service);
    soak.service.end();
    Soaked { busy: [before, after], quiet: [found, library_at_rest()] }
}

// covers dispatch AE-139
fn requests_connections_and_deaths_leave_every_count_as_it_was() {
    let Soaked { busy, quiet } = soak_xpc(REQUESTS, CONNECTIONS, KILLED);
    check::equal("what there is after the work", busy[1], busy[0]);
    check::equal("what the library has after the end of its service", quiet[1], quiet[0]);
    let [replies, errors] = [&REPLIES, &ERRORS].map(|count| count.load(Ordering::Relaxed));
    check::that("there were replies and errors", replies > 0 && errors > 0);
}
