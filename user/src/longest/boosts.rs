//! Boosts that spread: an application with many messages or many clients becomes a donor, and ceases to be one.

use super::child::Child;
use super::sets;
use super::threads::{self, Threads};
use super::{Row, measured, program, rights};
use crate::message::{Message, port_with_send};
use crate::port::{self, Port};
use crate::task;
use crate::time::sleep;
use crate::{check, policy};
use abi::PortName;
use abi::debug::LongestStep;
use abi::port::MACH_PORT_QLIMIT_MAX;
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;
use alloc::vec::Vec;

pub(super) const ROWS: &[Row] = &[
    ("a donor's change with 6,000 messages", || in_application("donor of messages")),
    ("a donor's change that boosts 504 threads", || in_application("donor of boosts")),
    ("the same of a donor with 120 threads itself", || in_application("donor of threads")),
    ("send 92 receive rights, which boosts a task", || in_application("donor of rights")),
    ("end of a donor with members of 64 sets each", end_of_donor),
];

/// The daemons of the second row.
const DAEMONS: usize = 4;
/// The kernel memory and the pages of each, which has as many threads as a task may have.
const DAEMON_BYTES: u64 = 640 << 10;
const DAEMON_PAGES: u64 = 2_600;

/// Lets an application measure, because the bench is none, and returns what that sends.
pub(super) fn in_application(kind: &str) -> LongestStep {
    let (meeting, exit) = (port_with_send(), Port::new());
    let child = program(kind).policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified).most();
    let task = child.bootstrap(meeting.name()).exit_port(exit.name()).start().expect("an application");
    let answer = Message::receive(meeting.name()).expect("it measures");
    check::equal("its end", task::wait_for_exit(exit.name()).expect("it ends"), ExitStatus::exited(0));
    port::deallocate(task).expect("its name is there");
    LongestStep { ticks: u64::from(answer.word(0)), cause: answer.word(1), part: 0 }
}

/// Measures what an application is started for and tells the parent. Returns false if that is something else.
pub(super) fn run(kind: &str) -> bool {
    let parent = task::bootstrap_port();
    let longest = match kind {
        "donor of messages" => change_with_messages(),
        "donor of boosts" => change_with_boosts(DAEMONS, 0),
        "donor of threads" => change_with_boosts(1, 120),
        "donor of rights" => send_rights(),
        rights::BOOSTED => rights::boosted(),
        rights::TO_DAEMON => rights::to_daemon(),
        _ => return false,
    };
    let ticks = u32::try_from(longest.ticks).expect("a step takes less than seconds");
    Message::copy_send(parent).words(&[ticks, longest.cause]).send().expect("the parent listens");
    true
}

/// Returns a port whose boosts do not count for this task.
pub(super) fn foreign_port() -> PortName {
    let port = port_with_send().into_name();
    port::accept_donation(port).expect("the port is the task's");
    port::set_queue_limit(port, MACH_PORT_QLIMIT_MAX).expect("the limit is allowed");
    port
}

/// Ceases to be a donor and becomes one again, and returns the longest step.
fn change() -> LongestStep {
    measured(|| {
        for role in [Role::DarwinBg, Role::Foreground] {
            policy::set_role(0, role).expect("the task is an application");
            // What is left is done meanwhile.
            sleep(100);
        }
    })
}

/// Changes with as many messages as there is memory for. Each goes to another port than the one before.
fn change_with_messages() -> LongestStep {
    let spare = [0; 16].map(|_| Port::new());
    let ports = [0; 16].map(|_| foreign_port());
    let sent = ports.iter().cycle().take_while(|&&port| Message::copy_send(port).send_within(0).is_ok()).count();
    assert!(sent > 6_000, "{sent} messages are too few");
    drop(spare);
    change()
}

/// Returns a daemon with as many threads as a task may have, and a port of this task whose messages boost it.
fn daemon() -> (Child, PortName) {
    let port = foreign_port();
    port::disown_boosts(port).expect("the port is the task's");
    let mut child = program("threads").policy(AppType::DaemonAdaptive, Role::Unspecified, Qos::Unspecified);
    child.watch(port).expect("there is room");
    (Child::start_as(child.kernel_bytes(DAEMON_BYTES).pages(DAEMON_PAGES)), port)
}

/// Returns a daemon with a message that boosts it.
fn boosted_daemon() -> Child {
    let (child, port) = daemon();
    Message::copy_send(port).send().expect("there is room");
    child
}

/// Changes with a message to each of some daemons with many threads, and with threads of the application itself.
fn change_with_boosts(daemons: usize, own: usize) -> LongestStep {
    let daemons: Vec<Child> = (0..daemons).map(|_| boosted_daemon()).collect();
    let start = |_| threads::start(threads::wait_for_ever, PortName(0));
    let kept: Threads = (0..own).map(start).collect();
    sleep(10);
    let longest = change();
    daemons.into_iter().for_each(Child::end);
    drop(kept);
    longest
}

/// Sends rights with requests in a message that boosts a daemon.
fn send_rights() -> LongestStep {
    let (daemon, port) = daemon();
    sets::send_to_daemon(daemon, port)
}

/// Ends a donor whose message boosts a daemon, while its ports leave many sets.
fn end_of_donor() -> LongestStep {
    let donor = program(MEMBERS_AND_BOOST).policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified);
    let donor = Child::start_as(donor.most());
    let longest = measured(|| donor.end());
    // The daemon has outlived it.
    task::terminate_younger().expect("the bench is user 0's");
    sleep(100);
    longest
}

/// The kind of a task with members of many sets and with a daemon that it boosts.
const MEMBERS_AND_BOOST: &str = "members of 64 and a boost";

/// Holds what `kind` says. Returns false if that is something else.
pub(super) fn hold(kind: &str) -> bool {
    if kind != MEMBERS_AND_BOOST {
        return false;
    }
    boosted_daemon();
    sets::hold("members of 64")
}
