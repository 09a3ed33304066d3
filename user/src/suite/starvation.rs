//! A program that spins at the highest level that programs without privilege reach keeps neither `init` from answering
//! nor a supervisor from ending it.

use super::scheduling::set_own_qos;
use super::tasks::child;
use super::tests;
use crate::message::is_empty;
use crate::port::{self, Port};
use crate::supervisor::{End, Supervisor, take_control};
use crate::task::{self, Spawn};
use crate::time::{MILLISECOND, now, sleep};
use crate::{check, names};
use abi::KernReturn;
use abi::code::*;
use abi::mig::bootstrap::UNKNOWN_SERVICE;
use abi::qos::{AppType, Qos, Role};
use abi::task::ExitStatus;

tests! { "starvation":
    init_answers_while_the_highest_class_spins,
    a_supervisor_ends_a_program_that_spins_in_the_highest_class,
    nobody_without_privilege_starts_a_program_above_it,
}

/// A user without privilege.
const USER: u32 = 1000;
/// How long a spinning program spins, in nanoseconds of the machine's clock.
const SPINNING: u64 = 400 * MILLISECOND;
/// The base priority of all threads in the background.
const BACKGROUND: u32 = 4;
/// The base priority of the most urgent class in an application in the foreground.
const HIGHEST: u32 = 47;

/// Returns an application of a user without privilege, in the foreground, that runs a child's function.
fn application(name: &str) -> Spawn {
    let mut spawn = child(name).policy(AppType::AppDefault, Role::Foreground, Qos::Unspecified);
    (spawn.args.uid, spawn.args.gid) = (USER, USER);
    spawn
}

/// Returns the base priority of the running thread.
fn own_base_priority() -> u32 {
    task::thread_info(task::thread_self()).expect("the thread is alive").base_priority
}

/// Spins for a while at the highest level that there is for it.
pub(super) fn spin_for_a_while() {
    check::equal("the base priority of the program", own_base_priority(), HIGHEST);
    let end = now() + SPINNING;
    while now() < end {}
}

/// Spins for ever.
pub(super) fn spin_for_ever() {
    check::equal("the base priority of the program", own_base_priority(), HIGHEST);
    loop {
        crate::spin();
    }
}

fn init_answers_while_the_highest_class_spins() {
    take_control().expect("the test is user 0's");
    let exit = Port::new();
    let task = application("spin-for-a-while").exit_port(exit.name()).start().expect("the program starts");
    // Another thread must wait for the spinning program now, unless it has a higher priority.
    sleep(20);
    for _ in 0..3 {
        check::equal("a look-up", names::look_up("nothing"), Err(KernReturn(UNKNOWN_SERVICE)));
    }
    check::that("the program spins still", is_empty(exit.name()));
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    port::deallocate(task).expect("the name exists");
}

fn a_supervisor_ends_a_program_that_spins_in_the_highest_class() {
    take_control().expect("the test is user 0's");
    let end = Supervisor::new().run(application("spin-for-ever"), 30);
    check::equal("the end", end, Ok(End { status: ExitStatus::TERMINATED, timed_out: true }));
}

fn nobody_without_privilege_starts_a_program_above_it() {
    let mut spawn = child("reach-above").policy(AppType::DaemonBackground, Role::Unspecified, Qos::Unspecified);
    (spawn.args.uid, spawn.args.gid) = (USER, USER);
    let exit = Port::new();
    let task = spawn.exit_port(exit.name()).start().expect("the program starts");
    check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
    port::deallocate(task).expect("the name exists");
}

/// Tries every type and role for a child: the child of the test above, a background daemon of a user without privilege.
pub(super) fn reach_above() {
    check::equal("the own base priority", own_base_priority(), BACKGROUND);
    let mut as_root = child("stay-low");
    as_root.args.uid = 0;
    check::equal("a child of user 0", as_root.start(), Err(KERN_NO_ACCESS));
    check::equal("a coalition of its own", child("stay-low").own_coalition().start(), Err(KERN_NO_ACCESS));
    let mut started = 0;
    for app_type in (0..).map_while(AppType::from_number) {
        for role in (0..).map_while(Role::from_number) {
            let exit = Port::new();
            match child("stay-low").policy(app_type, role, Qos::Unspecified).exit_port(exit.name()).start() {
                Err(code) => check::equal("a refusal", code, KERN_NO_ACCESS),
                Ok(task) => {
                    check::that("the role needs no privilege", !role.is_privileged());
                    check::equal("its exit", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(0)));
                    port::deallocate(task).expect("the name exists");
                    started += 1;
                }
            }
        }
    }
    check::that("some children are allowed", started > 0);
}

/// Looks at the levels of the own threads, with the highest class and without any: a child of the task above.
pub(super) fn stay_low() {
    for class in [Qos::UserInteractive, Qos::Unspecified] {
        set_own_qos(class);
        check::equal("the base priority", own_base_priority(), BACKGROUND);
    }
}
