//! The commands that change something.

use super::details::parse_name;
use super::snapshot::Snapshot;
use crate::message::Message;
use crate::policy;
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use abi::PortName;
use abi::policy::*;
use abi::port::Disposition;
use abi::qos::Role;
use alloc::format;
use alloc::string::{String, ToString};

/// The most bytes of a program's name and arguments, with a byte for each.
const ARGUMENTS_MAX: usize = 500;

/// Starts a program of the bundle, which finds the name service at `bootstrap`, and returns a line about it.
///
/// # Errors
/// A line for the user.
pub fn start(bootstrap: Option<PortName>, program: &str, arguments: &[&str]) -> Result<String, String> {
    let size = arguments.iter().fold(program.len() + 1, |size, argument| size + argument.len() + 1);
    if size > ARGUMENTS_MAX {
        return Err(format!("the arguments take {size} bytes, the limit is {ARGUMENTS_MAX}"));
    }
    // The trap takes a name that lives as long as the program.
    let mut spawn = Spawn::program(String::from(program).leak()).own_coalition();
    for argument in arguments {
        spawn = spawn.argument(argument);
    }
    if let Some(bootstrap) = bootstrap {
        spawn = spawn.bootstrap(bootstrap);
    }
    let control = spawn.start().map_err(|code| format!("{program} does not start: {code}"))?;
    port::destroy_right(control, Disposition::PORT_SEND);
    let snapshot = Snapshot::take().map_err(|code| format!("the kernel does not answer: {code}"))?;
    let own = task::pid() as u32;
    let newest = snapshot.tasks.iter().filter(|task| task.parent == own).map(|task| task.pid).max();
    Ok(newest.map_or_else(|| format!("{program} has ended already"), |pid| format!("{program} is pid {pid}")))
}

/// Calls a function with the control port of a task.
fn with_task(snapshot: &Snapshot, word: &str, act: impl FnOnce(PortName) -> Result<(), String>) -> Result<(), String> {
    let pid = snapshot.task_named(word)?.pid;
    let control = task::for_pid(pid).map_err(|code| format!("{} cannot be reached: {code}", snapshot.who(pid)))?;
    let result = act(control);
    port::destroy_right(control, Disposition::PORT_SEND);
    result
}

/// Puts an app into App Nap, or wakes it.
///
/// # Errors
/// A line for the user, here and below.
pub fn set_nap(snapshot: &Snapshot, word: &str, naps: bool) -> Result<(), String> {
    let on = u32::from(naps);
    let nap = SuppressionPolicy { active: on, lowpri_cpu: on, ..SuppressionPolicy::default() };
    let words: [u32; 16] = zerocopy::transmute!(nap);
    with_task(snapshot, word, |control| {
        policy::set_task_policy(control, TASK_SUPPRESSION_POLICY, &words).map_err(|code| format!("{code}"))
    })
}

/// Sets the role of an app.
///
/// # Errors
/// A line for the user.
pub fn set_role(snapshot: &Snapshot, word: &str, role: &str) -> Result<(), String> {
    let role = match role {
        "front" => Role::Foreground,
        "back" => Role::Background,
        "default" => Role::Default,
        "darwinbg" => Role::DarwinBg,
        _ => return Err("a role is front, back, default or darwinbg".to_string()),
    };
    let pid = snapshot.task_named(word)?.pid;
    policy::set_role(pid.into(), role).map_err(|errno| format!("the kernel refuses it (error {errno})"))
}

/// Ends a task.
///
/// # Errors
/// A line for the user.
pub fn kill(snapshot: &Snapshot, word: &str) -> Result<(), String> {
    with_task(snapshot, word, |control| task::terminate(control).map_err(|code| format!("{code}")))
}

/// Sends an empty message to a port that a task receives from. The monitor gets a send right by the task's control port.
///
/// # Errors
/// A line for the user.
pub fn send(snapshot: &Snapshot, word: &str, name: &str, id: &str) -> Result<(), String> {
    let name = PortName(parse_name(name)?);
    let id: i32 = id.parse().map_err(|_| "an id is a number")?;
    with_task(snapshot, word, |control| {
        let right = port::extract_right(control, name, Disposition::MAKE_SEND).map_err(|code| format!("{code}"))?;
        let port = Port::of(right);
        let sent = Message::copy_send(port.name()).id(id).send_within(0);
        port::destroy_right(port.into_name(), Disposition::PORT_SEND);
        sent.map_err(|code| format!("{code}"))
    })
}
