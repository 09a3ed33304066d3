//! The supervisor: its tasks cannot stop it or deceive it.

use super::scheduling::set_own_qos;
use super::tasks::child;
use super::tests;
use crate::message::Message;
use crate::supervisor::{End, Failure, Supervisor};
use crate::thread::Thread;
use crate::{check, names, port, sys, task};
use abi::PortName;
use abi::code::*;
use abi::mig::NDR;
use abi::mig::bootstrap::LOOK_UP;
use abi::port::*;
use abi::qos::Qos;
use abi::task::{EXIT_MESSAGE_ID, ExitStatus};
use abi::trap::mach::HOST_SELF;

tests! { "supervision":
    task_that_sends_without_a_pause_is_terminated_in_the_end,
    exit_message_of_a_task_to_its_bootstrap_port_is_no_end,
    services_are_forgotten_when_their_task_has_ended,
    supervisor_without_ports_reports_it,
    program_that_is_missing_is_reported,
}

/// Milliseconds that a task may run which does not end by itself.
const SHORT: u32 = 30;

fn ended(status: ExitStatus) -> Result<End, Failure> {
    Ok(End { status, timed_out: false })
}

/// Keeps the queue of the bootstrap port full: with a priority above the supervisor's this task sends the next message
/// as soon as the supervisor receives one.
pub(super) fn flood() {
    set_own_qos(Qos::UserInteractive);
    loop {
        Message::copy_send(task::bootstrap_port()).id(LOOK_UP).send().expect("the queue has room in the end");
    }
}

fn task_that_sends_without_a_pause_is_terminated_in_the_end() {
    let end = Supervisor::new().run(child("flood"), SHORT);
    check::equal("the exit status", end, Ok(End { status: ExitStatus::TERMINATED, timed_out: true }));
}

/// Sends exit messages with another status than that of this task.
pub(super) fn forge_exit() {
    let forged = Message::copy_send(task::bootstrap_port()).id(EXIT_MESSAGE_ID).bytes(&NDR).words(&[1]);
    forged.clone().send().expect("there is room");
    let answer = forged.rpc().map(|reply| reply.word(2) as i32);
    check::equal("the answer", answer, Ok(MIG_BAD_ID.0));
    sys::exit(7);
}

fn exit_message_of_a_task_to_its_bootstrap_port_is_no_end() {
    check::equal("the exit status", Supervisor::new().run(child("forge-exit"), 0), ended(ExitStatus::exited(7)));
}

/// Registers a port that does not die with its task.
pub(super) fn register_host() {
    let host = PortName(sys::trap(HOST_SELF, [0; 6]) as u32);
    names::register("host", host).expect("the name is free");
}

fn services_are_forgotten_when_their_task_has_ended() {
    let mut supervisor = Supervisor::new();
    for _ in 0..3 {
        check::equal("the exit status", supervisor.run(child("register-host"), 0), ended(ExitStatus::exited(0)));
    }
}

/// Returns the name of the port set that this task has.
fn own_set() -> PortName {
    const INDICES: u32 = 64;
    let names = (1..INDICES).flat_map(|index| (0..64).map(move |turn| PortName::new(index, turn << 2 | 3)));
    let is_set = |name: &PortName| port::port_type(*name) == Ok(PortType::PORT_SET);
    names.into_iter().find(is_set).expect("the supervisor has a set")
}

fn supervisor_without_ports_reports_it() {
    let mut supervisor = Supervisor::new();
    let destroy = |set| port::destroy(PortName(set as u32)).expect("the name exists");
    let thread = Thread::start(destroy, u64::from(own_set().0)).expect("the thread starts");
    let end = supervisor.run(child("sleep"), 0);
    let expected = [MACH_RCV_PORT_CHANGED, MACH_RCV_INVALID_NAME].map(|code| Err(Failure::NoPorts(code)));
    check::that("the supervisor reports that it cannot receive", expected.contains(&end));
    thread.join();
}

fn program_that_is_missing_is_reported() {
    let end = Supervisor::new().run(task::Spawn::program("no such program"), 0);
    check::equal("the exit status", end, Err(Failure::NoStart(KERN_INVALID_NAME)));
}
