//! Personas of the library `dispatch` between tasks (dispatch 10.I).

use super::players::{Order, Player, order};
use super::tasks::child;
use super::tests;
use crate::port::Port;
use crate::{check, port, task};
use abi::PortName;
use abi::code::{KERN_FAILURE, KERN_INVALID_CAPABILITY};
use abi::message::MsgOption;
use abi::qos::{AppType, Role};
use abi::task::{ExitStatus, Properties};

tests! { "personas":
    a_daemon_works_in_the_name_of_its_client,
    only_an_entitled_daemon_passes_the_persona_on,
    an_application_keeps_its_own_persona,
    the_persona_follows_the_voucher_of_the_thread,
    a_persona_of_a_broker_is_for_one_program.large(),
}

/// The personas of the system, of the application, of another one, and one that only a broker gives.
const SYSTEM: u32 = 1;
const APP: u32 = 100;
const OTHER: u32 = 200;
const GIVEN: u32 = 101;

const X: u32 = 0;
const Y: u32 = 1;
const NONE: MsgOption = MsgOption::empty();

fn app_in(persona: u32) -> Player {
    Player::start(AppType::AppDefault, Role::Foreground, persona, Properties::empty())
}

/// Starts an adaptive daemon in the system's persona.
fn daemon(properties: Properties) -> Player {
    Player::start(AppType::DaemonAdaptive, Role::Unspecified, SYSTEM, properties)
}

/// Tells the kernel which persona is the system's. It takes that once, so another test may have done it.
pub(super) fn announce_system_persona() {
    let exit = Port::new();
    let mut spawn = child("seven").exit_port(exit.name());
    spawn.args.system_persona = SYSTEM;
    match spawn.start() {
        Ok(task) => {
            check::equal("the exit status", task::wait_for_exit(exit.name()), Ok(ExitStatus::exited(7)));
            port::deallocate(task).expect("the name exists");
        }
        Err(code) => check::equal("the code for the second time", code, KERN_FAILURE),
    }
}

// covers dispatch AE-125
fn a_daemon_works_in_the_name_of_its_client() {
    announce_system_persona();
    let (app, a) = (app_in(APP), daemon(Properties::PLATFORM));
    app.send(&a, NONE);
    let handler = a.take_and_adopt(X);
    let block = a.then(order::IN_BLOCK);
    for report in [handler, block] {
        check::equal("the personas", (report.kernel_persona, report.persona), (APP, APP));
        check::equal("the programs", (report.originator, report.proximate), (app.unique_pid, app.unique_pid));
    }
    let timer = a.then(order::IN_TIMER);
    check::equal("in a timer", (timer.kernel_persona, timer.persona), (SYSTEM, SYSTEM));
    [app, a].into_iter().for_each(Player::end);
}

// covers dispatch AE-126
fn only_an_entitled_daemon_passes_the_persona_on() {
    announce_system_persona();
    for entitled in [false, true] {
        let not = if entitled { Properties::empty() } else { Properties::NO_PROPAGATE };
        let (app, a, b) = (app_in(APP), daemon(Properties::PLATFORM | not), daemon(Properties::PLATFORM));
        app.send(&a, NONE);
        a.take_and_adopt(X);
        a.send(&b, NONE);
        let seen = b.take_and_adopt(X);
        let expected = if entitled { (APP, app.unique_pid) } else { (SYSTEM, a.unique_pid) };
        check::equal("persona and originator", (seen.persona, seen.originator), expected);
        check::equal("the proximate program", seen.proximate, a.unique_pid);
        [app, a, b].into_iter().for_each(Player::end);
    }
}

// covers dispatch AE-127
fn an_application_keeps_its_own_persona() {
    let (app, other) = (app_in(APP), app_in(OTHER));
    app.send(&other, NONE);
    let seen = other.take_and_adopt(X);
    check::equal("the personas", (seen.kernel_persona, seen.persona), (OTHER, OTHER));
    [app, other].into_iter().for_each(Player::end);
}

// covers dispatch AE-128
fn the_persona_follows_the_voucher_of_the_thread() {
    announce_system_persona();
    let (app, a) = (app_in(APP), daemon(Properties::PLATFORM));
    app.send(&a, NONE);
    a.take_and_adopt(X);
    check::equal("without a voucher", a.then(order::CLEAR).kernel_persona, SYSTEM);
    a.with(order::CREATE_TOP_ACTIVITY, Y);
    let alone = a.with(order::ADOPT, Y);
    check::that("there is an activity", alone.activity != 0);
    check::equal("with an activity alone", alone.kernel_persona, SYSTEM);
    check::equal("with the voucher again", a.with(order::ADOPT, X).kernel_persona, APP);
    [app, a].into_iter().for_each(Player::end);
}

// covers dispatch AE-129
fn a_persona_of_a_broker_is_for_one_program() {
    announce_system_persona();
    // A persona is given only to a program that would keep that of a message, too (vouchers 6.3.6), and only an entitled
    // one passes it on: one of the platform, without a persona of its own.
    let app = Player::start(AppType::AppDefault, Role::Foreground, 0, Properties::PLATFORM);
    let (other, a) = (app_in(OTHER), daemon(Properties::PLATFORM));
    let broker = daemon(Properties::PLATFORM | Properties::MODIFY);
    // The kernel knows a persona as soon as a task has lived in it.
    let resident = app_in(GIVEN);
    let (proof, code) = app.exchange(order::PROVE, Order::default(), None);
    check::equal("the proof", code, 0);
    let order = Order { place: X, other: GIVEN, value: app.unique_pid };
    let (given, code) = broker.exchange(order::ISSUE, order, Some(proof));
    check::equal("the code of the broker", code, 0);
    let to_x = Order { place: X, ..Order::default() };
    check::equal("in the application", app.give(order::KEEP_WITH_PERSONA, to_x, given).code, 0);
    check::equal("its persona", app.with(order::ADOPT, X).kernel_persona, GIVEN);
    app.send(&a, NONE);
    check::equal("in the daemon", a.take_and_adopt(X).persona, GIVEN);
    let stolen = other.give(order::KEEP_WITH_PERSONA, to_x, given).code;
    check::equal("in another application", stolen, KERN_INVALID_CAPABILITY.0);
    let names: [PortName; 2] = [proof, given];
    names.into_iter().for_each(|name| port::deallocate(name).expect("the name exists"));
    [app, other, a, broker, resident].into_iter().for_each(Player::end);
}
