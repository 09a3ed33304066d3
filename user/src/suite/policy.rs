//! Policies of tasks and threads: that a change takes effect at once, and who may make it (importance 2 and 8, errata
//! 6).

use super::scheduling::set_own_qos;
use super::tasks::child;
use super::tests;
use crate::message::{Call, Message, port_with_send};
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::thread::{Gate, Thread};
use crate::{check, names, policy, time};
use abi::PortName;
use abi::code::*;
use abi::message::MsgOption;
use abi::policy::*;
use abi::port::Disposition;
use abi::qos::{AppType, Priority, Qos, Role};
use abi::task::*;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

tests! { "policy":
    a_thread_that_lowers_its_class_gives_way_before_its_call_returns,
    a_thread_whose_class_is_raised_runs_before_the_call_returns,
    a_task_that_goes_into_the_background_gives_way_before_its_call_returns,
    an_ended_override_leaves_a_thread_its_own_class,
    a_nap_takes_priority_and_donor_mark_from_an_application,
    a_task_knows_its_numbers_and_marks_itself_as_a_donor,
    a_user_without_privilege_stays_below_its_parent,
    a_thread_that_a_higher_one_waits_for_runs_before_those_between_them,
}

/// Rounds of work that a thread does before it ends.
const ROUNDS: u64 = 10_000;
/// A resource for overrides.
const RESOURCE: u64 = 0x1000;
/// The persona and the user of a child.
const PERSONA: u32 = 501;
const USER: u32 = 1000;

static DONE: AtomicU64 = AtomicU64::new(0);
static GATE: Gate = Gate::new();

/// Does a piece of work behind the gate. The count shows how much of it is done, however long it takes.
fn work(_: u64) {
    GATE.pass();
    (0..ROUNDS).for_each(|_| {
        DONE.fetch_add(1, Ordering::Relaxed);
    });
}

/// Starts a thread of this class that is ready to work, and waits until it is.
fn worker(qos: Qos) -> Thread {
    let worker = Thread::start(work, 0).expect("the thread starts");
    worker.set_qos(qos);
    GATE.open();
    worker
}

fn set_class(qos: Qos) {
    check::equal("setting the own class", policy::set_own_class(Priority::of(qos)), Ok(()));
}

fn a_thread_that_lowers_its_class_gives_way_before_its_call_returns() {
    set_own_qos(Qos::UserInteractive);
    let worker = worker(Qos::Legacy);
    check::equal("rounds before the change", DONE.load(Ordering::Relaxed), 0);
    set_class(Qos::Utility);
    check::equal("rounds when the call has returned", DONE.load(Ordering::Relaxed), ROUNDS);
    worker.join();
}

fn a_thread_whose_class_is_raised_runs_before_the_call_returns() {
    set_own_qos(Qos::UserInteractive);
    let worker = worker(Qos::Utility);
    set_class(Qos::Legacy);
    check::equal("rounds before the change", DONE.load(Ordering::Relaxed), 0);
    let raised = policy::start_override(worker.name(), Priority::of(Qos::UserInitiated), RESOURCE);
    check::equal("starting an override", raised, Ok(()));
    check::equal("rounds when the call has returned", DONE.load(Ordering::Relaxed), ROUNDS);
    worker.join();
}

/// The child sleeps for ever, so its name stays registered.
pub(super) fn register_and_sleep() {
    let port = port_with_send();
    names::register("has run", port.name()).expect("the name is free");
    time::sleep(1_000_000);
}

/// The child registers a name as soon as it runs. It cannot run while this thread, which has a higher priority, does not
/// wait.
fn a_task_that_goes_into_the_background_gives_way_before_its_call_returns() {
    set_own_qos(Qos::UserInteractive);
    let exit = Port::new();
    let task = child("register-and-sleep").exit_port(exit.name()).start().expect("the child starts");
    check::equal("going into the background", policy::set_priority(PRIO_DARWIN_PROCESS, 0, PRIO_DARWIN_BG), Ok(()));
    let thread = task::thread_self();
    check::equal("the base priority", task::thread_info(thread).map(|info| info.base_priority), Ok(4));
    let service = names::look_up("has run").expect("the child has run");
    check::equal("leaving the background", policy::set_priority(PRIO_DARWIN_PROCESS, 0, 0), Ok(()));
    check::equal("the base priority", task::thread_info(thread).map(|info| info.base_priority), Ok(37));
    task::terminate(task).expect("the child sleeps");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    [service, task, thread].into_iter().for_each(|name| port::deallocate(name).expect("the name exists"));
}

fn an_ended_override_leaves_a_thread_its_own_class() {
    set_own_qos(Qos::Utility);
    let thread = task::thread_self();
    let seen = || {
        let info = task::thread_info(thread).expect("the thread is alive");
        (info.requested, info.effective, info.base_priority)
    };
    let [utility, legacy] = [Qos::Utility, Qos::Legacy].map(|qos| Priority::of(qos).to_pthread());
    check::equal("requested class, class in effect, base priority", seen(), (utility, utility, 20));
    for _ in 0..2 {
        check::equal("starting", policy::start_override(thread, Priority::of(Qos::Legacy), RESOURCE), Ok(()));
        check::equal("with an override", seen(), (utility, legacy, 31));
    }
    check::equal("ending", policy::end_override(thread, RESOURCE), Ok(()));
    check::equal("after one end", seen(), (utility, legacy, 31));
    check::equal("ending", policy::end_override(thread, RESOURCE), Ok(()));
    check::equal("after the last end", seen(), (utility, utility, 20));
    let no_thread = policy::start_override(port::task_self(), Priority::of(Qos::Legacy), RESOURCE);
    check::equal("an override of a task", no_thread, Err(u64::from(ESRCH.0)));
}

/// Returns the flags of a task's importance.
fn importance_flags(task: PortName) -> u32 {
    let reply = policy::task_policy(task, TASK_POLICY_STATE, 16).expect("the caller is user 0");
    const POLICY: usize = 4;
    const FLAGS: usize = 8;
    reply.word(POLICY + FLAGS)
}

fn a_nap_takes_priority_and_donor_mark_from_an_application() {
    let exit = Port::new();
    let spawn = child("sleep").policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified);
    let task = spawn.exit_port(exit.name()).start().expect("the child starts");
    check::equal("the marks of an application", importance_flags(task), 0xE);
    let mut nap = [0; 16];
    (nap[0], nap[1]) = (1, 1);
    check::equal("the nap", policy::set_task_policy(task, TASK_SUPPRESSION_POLICY, &nap), Ok(()));
    check::equal("the marks without the donor's", importance_flags(task), 0xC);
    check::equal("the end of the nap", policy::set_task_policy(task, TASK_SUPPRESSION_POLICY, &[0; 16]), Ok(()));
    check::equal("the marks again", importance_flags(task), 0xE);
    let wrong = policy::set_task_policy(task, TASK_CATEGORY_POLICY, &[Role::GraphicsServer as u32]);
    check::equal("a role for oneself alone", wrong, Err(KERN_INVALID_ARGUMENT));
    task::terminate(task).expect("the child sleeps");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::TERMINATED));
    port::deallocate(task).expect("the name exists");
}

fn a_task_knows_its_numbers_and_marks_itself_as_a_donor() {
    let info = policy::unique_numbers(task::pid()).expect("the task is alive");
    check::equal("the unique number", info.p_uniqueid, task::pid());
    check::that("the parent was started earlier", info.p_puniqueid < info.p_uniqueid);
    check::equal("the numbers of no task", policy::unique_numbers(0).map(|_| ()), Err(u64::from(ESRCH.0)));
    check::equal("the persona", policy::persona(), Err(u64::from(ESRCH.0)));
    let flags = importance_flags(port::task_self());
    check::equal("marking the task", policy::mark_donor(), Ok(()));
    check::equal("the marks", importance_flags(port::task_self()), flags | TASK_IMP_DONOR as u32);
}

fn a_user_without_privilege_stays_below_its_parent() {
    let exit = Port::new();
    let mut spawn = child("check-privileges").exit_port(exit.name());
    (spawn.args.uid, spawn.args.persona) = (USER, PERSONA);
    let task = spawn.start().expect("the child starts");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    port::deallocate(task).expect("the name exists");
}

/// Tries to get more than the parent has: the child of the test above.
pub(super) fn check_privileges() {
    check::equal("the persona", policy::persona(), Ok(PERSONA));
    let start = |spawn: Spawn| spawn.start().map(|_| ());
    for role in [Role::Control, Role::GraphicsServer] {
        let spawn = child("seven").policy(AppType::None, role, Qos::Unspecified);
        check::equal("a child with a privileged role", start(spawn), Err(KERN_NO_ACCESS));
        let own = policy::set_task_policy(port::task_self(), TASK_CATEGORY_POLICY, &[role as u32]);
        check::equal("a privileged role for oneself", own, Err(KERN_INVALID_ARGUMENT));
    }
    let app = child("seven").policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified);
    check::equal("a child with a higher priority", start(app), Err(KERN_NO_ACCESS));
    for (persona, properties) in [(PERSONA + 1, 0), (0, Properties::PLATFORM.bits())] {
        let mut spawn = child("seven");
        (spawn.args.persona, spawn.args.properties) = (persona, properties);
        check::equal("a child with more rights", start(spawn), Err(KERN_NO_ACCESS));
    }
    let init = 1;
    let others = policy::set_priority(PRIO_DARWIN_PROCESS, init, PRIO_DARWIN_BG);
    check::equal("the background for another user", others, Err(u64::from(EPERM.0)));
    let state = policy::task_policy(port::task_self(), TASK_POLICY_STATE, 16).map(|_| ());
    check::equal("the state of the importance", state, Err(KERN_PROTECTION_FAILURE));
}

/// The port that [`answer_one`] serves.
static SERVICE: AtomicU32 = AtomicU32::new(0);

/// Answers one request behind the gate.
fn answer_one(_: u64) {
    GATE.pass();
    let request = Message::receive(PortName(SERVICE.load(Ordering::Relaxed))).expect("there is a request");
    Message::reply(&request).send().expect("the client waits");
}

/// Calls a thread of a low class while one of a class in between has work to do. Returns the rounds of that work that are
/// done when the reply is here.
fn rounds_before_a_reply(reply: &Port) -> u64 {
    let service = port_with_send();
    SERVICE.store(service.name().0, Ordering::Relaxed);
    GATE.close();
    DONE.store(0, Ordering::Relaxed);
    let server = Thread::start(answer_one, 0).expect("the thread starts");
    server.set_qos(Qos::Utility);
    check::equal("binding", port::bind_servicer(service.name(), server.name()), Ok(()));
    let worker = worker(Qos::Legacy);
    let mut request = Message::copy_send(service.name()).reply_to(reply.name(), Disposition::MAKE_SEND_ONCE);
    let options = MsgOption::SEND_MSG | MsgOption::RCV_MSG;
    let code = request.call(&Call { options, receive_name: reply.name(), ..Call::default() });
    let rounds = DONE.load(Ordering::Relaxed);
    check::equal("the call", code, MACH_MSG_SUCCESS);
    server.join();
    worker.join();
    rounds
}

fn a_thread_that_a_higher_one_waits_for_runs_before_those_between_them() {
    set_own_qos(Qos::UserInteractive);
    let plain = Port::new();
    check::equal("rounds without a push", rounds_before_a_reply(&plain), ROUNDS);
    let special = port::special_reply().expect("there is room");
    check::equal("rounds with a push", rounds_before_a_reply(&special), 0);
}
