//! The monitor's commands.

use super::listings;
use super::snapshot::{Snapshot, name_of};
use super::table::{Table, write_json_string};
use super::why::explain;
use super::words::{object, parse_object};
use crate::message::Message;
use crate::port::{self, Port};
use crate::task::{self, Spawn};
use crate::{inspect, policy, print, println};
use abi::PortName;
use abi::policy::*;
use abi::port::Disposition;
use abi::qos::Role;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

/// A command: its name, its arguments, and what it does.
struct Command {
    name: &'static str,
    arguments: &'static str,
    help: &'static str,
}

const fn command(name: &'static str, arguments: &'static str, help: &'static str) -> Command {
    Command { name, arguments, help }
}

/// All commands, in the order of `help`.
const COMMANDS: [Command; 21] = [
    command("tasks", "", "all tasks: flags are R receives importance, D donates, B boosted, N naps, L boost ends soon"),
    command("threads", "[TASK]", "threads, what they ask for and get, and what they wait for"),
    command("ports", "TASK", "the names of a task and the ports behind them"),
    command("port", "TASK NAME", "one port with its queue"),
    command("queues", "", "ports with messages, and who waits for what (also ^P)"),
    command("vouchers", "", "all vouchers"),
    command("voucher", "VOUCHER", "one voucher: who has it, and what it holds"),
    command("boosts", "TASK", "where the boosts of a task come from"),
    command("donates", "", "which task boosts which"),
    command("why", "TASK", "why a task has its priority, step by step"),
    command("bill", "", "who worked how long for whom"),
    command("nap", "TASK on|off", "put an app into App Nap, or wake it"),
    command("role", "TASK ROLE", "set an app's role: front, back, default or darwinbg"),
    command("run", "PROGRAM [ARG...]", "start a program of the bundle"),
    command("kill", "TASK", "end a task"),
    command("send", "TASK NAME [ID]", "send an empty message to a port that a task receives from"),
    command("spy", "[TASK]", "show events as they happen; any key ends it"),
    command("check", "", "check all invariants of the kernel; it panics and says which if one is broken"),
    command("keys", "", "the keys for editing a line"),
    command("help", "[COMMAND]", "this list, or one command"),
    command("quit", "[STATUS]", "stop the machine"),
];

/// What the monitor does after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It asks for the next command.
    GoOn,
    /// It ends with this status.
    Quit(i32),
}

/// The state of a monitor between commands.
#[derive(Debug, Default)]
pub struct Session {
    /// Where programs that `run` starts find the name service.
    pub bootstrap: Option<PortName>,
}

/// What a command shows.
enum Output {
    Table(Table),
    Lines(Vec<String>),
    Nothing,
    Quit(i32),
}

impl Session {
    /// Carries out a line of input and prints the result, or an explanation why there is none.
    pub fn execute(&mut self, line: &str) -> Control {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        let json = words.last() == Some(&"--json");
        if json {
            words.pop();
        }
        let Some((&name, arguments)) = words.split_first() else { return Control::GoOn };
        let output = match self.carry_out(name, arguments) {
            Ok(output) => output,
            Err(message) => {
                println!("{name}: {message}");
                return Control::GoOn;
            }
        };
        let mut text = String::new();
        // Writing to a string returns no error.
        let _ = match output {
            Output::Table(table) if json => table.write_json(&mut text),
            Output::Table(table) => table.write_text(&mut text),
            Output::Lines(lines) if json => write_lines_as_json(&lines, &mut text),
            Output::Lines(lines) => lines.iter().try_for_each(|line| writeln!(text, "{line}")),
            Output::Nothing => Ok(()),
            Output::Quit(status) => return Control::Quit(status),
        };
        print!("{text}");
        Control::GoOn
    }

    fn carry_out(&mut self, name: &str, arguments: &[&str]) -> Result<Output, String> {
        let snapshot = || Snapshot::take().map_err(|code| format!("the kernel does not answer: {code}"));
        let with_names = || snapshot()?.with_names().map_err(|code| format!("the kernel does not answer: {code}"));
        Ok(match (name, arguments) {
            ("tasks", []) => Output::Table(listings::tasks(&snapshot()?)),
            ("threads", []) => Output::Table(listings::threads(&snapshot()?, None)),
            ("threads", [task]) => {
                let snapshot = snapshot()?;
                let pid = snapshot.task_named(task)?.pid;
                Output::Table(listings::threads(&snapshot, Some(pid)))
            }
            ("ports", [task]) => {
                let snapshot = with_names()?;
                let pid = snapshot.task_named(task)?.pid;
                Output::Table(listings::names(&snapshot, pid))
            }
            ("port", [task, name]) => Output::Lines(one_port(&with_names()?, task, name)?),
            ("queues", []) => Output::Table(listings::queues(&snapshot()?)),
            ("vouchers", []) => Output::Table(listings::vouchers(&snapshot()?)),
            ("voucher", [voucher]) => Output::Lines(one_voucher(&with_names()?, voucher)?),
            ("boosts", [task]) => {
                let snapshot = snapshot()?;
                Output::Table(listings::boosts(&snapshot, snapshot.task_named(task)?))
            }
            ("donates", []) => Output::Table(listings::donates(&snapshot()?)),
            ("why", [task]) => {
                let snapshot = with_names()?;
                Output::Lines(explain(&snapshot, snapshot.task_named(task)?))
            }
            ("bill", []) => Output::Table(listings::bill(&snapshot()?)),
            ("help", []) => Output::Lines(help()),
            ("help", [name]) => Output::Lines(help_for(name)?),
            ("keys", []) => Output::Lines(editing()),
            ("quit", []) => Output::Quit(0),
            ("quit", [status]) => {
                Output::Quit(status.parse::<u8>().map_err(|_| "a status is a number from 0 to 255")?.into())
            }
            _ => return self.act(name, arguments, &snapshot()?),
        })
    }

    /// Carries out a command that changes something.
    fn act(&mut self, name: &str, arguments: &[&str], snapshot: &Snapshot) -> Result<Output, String> {
        match (name, arguments) {
            ("nap", [task, "on"]) => set_nap(snapshot, task, true)?,
            ("nap", [task, "off"]) => set_nap(snapshot, task, false)?,
            ("role", [task, role]) => set_role(snapshot, task, role)?,
            ("run", [program, rest @ ..]) => return self.start(program, rest).map(|line| Output::Lines([line].into())),
            ("kill", [task]) => kill(snapshot, task)?,
            ("send", [task, name]) => send(snapshot, task, name, "0")?,
            ("send", [task, name, id]) => send(snapshot, task, name, id)?,
            ("check", []) => {
                inspect::check().map_err(|code| format!("the kernel does not check: {code}"))?;
                return Ok(Output::Lines(["all invariants hold".to_string()].into()));
            }
            _ => return Err(usage(name)),
        }
        Ok(Output::Nothing)
    }

    /// Starts a program of the bundle and returns a line about it.
    fn start(&self, program: &str, arguments: &[&str]) -> Result<String, String> {
        let mut spawn = Spawn::program(String::from(program).leak());
        for argument in arguments {
            spawn = spawn.argument(argument);
        }
        if let Some(bootstrap) = self.bootstrap {
            spawn = spawn.bootstrap(bootstrap);
        }
        let control = spawn.start().map_err(|code| format!("{program} does not start: {code}"))?;
        port::destroy_right(control, Disposition::PORT_SEND);
        let snapshot = Snapshot::take().map_err(|code| format!("the kernel does not answer: {code}"))?;
        let newest = snapshot.tasks.last().map_or(0, |task| task.pid);
        Ok(format!("{program} is pid {newest}"))
    }

    /// Returns the words that can stand behind `before` in a line: commands, or tasks.
    pub fn completions(&self, before: &str) -> Vec<String> {
        if before.trim().is_empty() {
            return COMMANDS.iter().map(|command| command.name.to_string()).collect();
        }
        let first = before.split_whitespace().next().unwrap_or("");
        let takes_task = COMMANDS.iter().any(|c| c.name == first && c.arguments.contains("TASK"));
        if !takes_task {
            return Vec::new();
        }
        let Ok(snapshot) = Snapshot::take() else { return Vec::new() };
        snapshot.tasks.iter().map(|task| name_of(task).to_string()).collect()
    }
}

/// Says how a command is used, or which command may be meant.
fn usage(name: &str) -> String {
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => format!("use it as `{name} {}`: {}", command.arguments, command.help),
        None => {
            match COMMANDS.iter().find(|command| command.name.starts_with(name) || name.starts_with(command.name)) {
                Some(command) => format!("there is no such command; `{}`?", command.name),
                None => "there is no such command; see `help`".to_string(),
            }
        }
    }
}

fn help() -> Vec<String> {
    let mut lines: Vec<String> = COMMANDS
        .iter()
        .map(|command| format!("{:<8} {:<17} {}", command.name, command.arguments, command.help))
        .collect();
    lines.push(
        "TASK is a pid or a program's name, VOUCHER as in `vouchers`. Listings end with --json on request.".into(),
    );
    lines
}

fn help_for(name: &str) -> Result<Vec<String>, String> {
    let found = COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| usage(name))?;
    Ok([format!("{} {}", found.name, found.arguments), format!("  {}", found.help)].into())
}

fn editing() -> Vec<String> {
    let keys = [
        "arrows up and down  earlier lines",
        "tabulator           completes commands and tasks",
        "^A ^E ^B ^F         begin, end, left, right",
        "^U ^K ^W            delete all before the cursor, all behind it, a word",
        "^C ^D               give the line up, end the monitor",
        "^P                  who waits for what",
    ];
    keys.iter().map(|line| line.to_string()).collect()
}

fn write_lines_as_json(lines: &[String], out: &mut String) -> core::fmt::Result {
    out.write_str("[")?;
    for (number, line) in lines.iter().enumerate() {
        out.write_str(if number == 0 { "" } else { ",\n " })?;
        write_json_string(out, line)?;
    }
    out.write_str("]\n")
}

/// Returns the port that a task has under a name.
fn one_port(snapshot: &Snapshot, task: &str, name: &str) -> Result<Vec<String>, String> {
    let pid = snapshot.task_named(task)?.pid;
    let wanted = parse_name(name)?;
    let held = snapshot.names.iter().find(|(owner, held)| *owner == pid && held.name == wanted);
    let (_, held) = held.ok_or_else(|| format!("{} has no name {name}; see `ports`", snapshot.who(pid)))?;
    let port = snapshot.port(held.object).ok_or("the name denotes no port")?;
    let mut lines = Vec::new();
    lines.push(format!("port {}: {}", object('p', port.port), super::words::home_of(snapshot, port)));
    let flags = [
        (abi::inspect::PORT_DONATION, "accepts importance"),
        (abi::inspect::PORT_TEMPOWNER, "boosts count for a temporary owner"),
        (abi::inspect::PORT_SPECIAL_REPLY, "special reply port"),
        (abi::inspect::PORT_GUARDED, "guarded"),
    ];
    let set: Vec<&str> = flags.iter().filter(|(flag, _)| port.flags & flag != 0).map(|(_, word)| *word).collect();
    lines.push(format!(
        "{} send rights, {} send-once rights, {} of {} messages, {} boosts{}{}",
        port.send_rights,
        port.send_once_rights,
        port.messages,
        port.limit,
        port.boosts,
        if set.is_empty() { "" } else { "; " },
        set.join(", ")
    ));
    if port.servicer != 0 {
        lines.push(format!("served by thread {}", port.servicer));
    }
    let mut queue = String::new();
    let _ = listings::messages(snapshot, port.port).write_text(&mut queue);
    lines.extend(queue.lines().map(String::from));
    Ok(lines)
}

/// Tells who has a voucher and what it holds.
fn one_voucher(snapshot: &Snapshot, word: &str) -> Result<Vec<String>, String> {
    let number = parse_object('v', word).ok_or("a voucher is written as in `vouchers`: v3.1")?;
    let voucher = snapshot.vouchers.iter().find(|voucher| voucher.voucher == number);
    let voucher = voucher.ok_or_else(|| format!("there is no voucher {word}; see `vouchers`"))?;
    let mut lines = Vec::new();
    lines.push(format!("voucher {}, {} references", object('v', number), voucher.references));
    if let Some(importance) = listings::importance_in(snapshot, voucher) {
        lines.push(format!("importance: {importance}"));
    }
    for (pid, name) in snapshot.names.iter().filter(|(_, name)| voucher.port != 0 && name.object == voucher.port) {
        lines.push(format!("held by {} as {:#x}, {} references", snapshot.who(*pid), name.name, name.references));
    }
    for thread in snapshot.threads.iter().filter(|thread| thread.voucher == number) {
        lines.push(format!("adopted by thread {} of {}", thread.thread, snapshot.who(thread.pid)));
    }
    for message in snapshot.messages.iter().filter(|message| message.voucher == number) {
        lines.push(format!("in message {} on port {}", object('m', message.message), object('p', message.port)));
    }
    Ok(lines)
}

fn parse_name(name: &str) -> Result<u32, String> {
    let digits = name.strip_prefix("0x");
    let number = digits.map_or_else(|| name.parse(), |hex| u32::from_str_radix(hex, 16));
    number.map_err(|_| "a name is a number such as 0x103".to_string())
}

/// Calls a function with the control port of a task.
fn with_task(snapshot: &Snapshot, word: &str, act: impl FnOnce(PortName) -> Result<(), String>) -> Result<(), String> {
    let pid = snapshot.task_named(word)?.pid;
    let control = task::for_pid(pid).map_err(|code| format!("{} cannot be reached: {code}", snapshot.who(pid)))?;
    let result = act(control);
    port::destroy_right(control, Disposition::PORT_SEND);
    result
}

fn set_nap(snapshot: &Snapshot, word: &str, naps: bool) -> Result<(), String> {
    let on = u32::from(naps);
    let nap = SuppressionPolicy { active: on, lowpri_cpu: on, ..SuppressionPolicy::default() };
    let words: [u32; 16] = zerocopy::transmute!(nap);
    with_task(snapshot, word, |control| {
        policy::set_task_policy(control, TASK_SUPPRESSION_POLICY, &words).map_err(|code| format!("{code}"))
    })
}

fn set_role(snapshot: &Snapshot, word: &str, role: &str) -> Result<(), String> {
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

fn kill(snapshot: &Snapshot, word: &str) -> Result<(), String> {
    with_task(snapshot, word, |control| task::terminate(control).map_err(|code| format!("{code}")))
}

/// Sends an empty message to a port that a task receives from. The monitor gets a send right by the task's control port.
fn send(snapshot: &Snapshot, word: &str, name: &str, id: &str) -> Result<(), String> {
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
