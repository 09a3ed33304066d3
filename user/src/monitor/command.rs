//! The monitor's commands.

use super::console::Console;
use super::details::{one_port, one_voucher};
use super::event::{Filter, GROUPS};
use super::snapshot::{Snapshot, name_of};
use super::table::{Table, write_json_string};
use super::why::{explain, explain_thread};
use super::work::{self, Answer};
use super::{action, listings, spy};
use crate::{inspect, print, println};
use abi::PortName;
use abi::code::KERN_FAILURE;
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
const COMMANDS: [Command; 22] = [
    command("tasks", "", "tasks: R may be boosted, D donates, B boosted, N naps, L boost ends soon"),
    command("threads", "[TASK]", "threads, what they ask for and get, and what they wait for"),
    command("ports", "TASK", "the names of a task and the ports behind them"),
    command("port", "TASK NAME", "one port with its queue"),
    command("queues", "", "ports with messages or waiting threads; ^P shows threads and queues"),
    command("vouchers", "", "all vouchers"),
    command("voucher", "VOUCHER", "one voucher: who has it, and what it holds"),
    command("boosts", "TASK", "where the boosts of a task come from"),
    command("donates", "", "which task boosts which"),
    command("why", "TASK|THREAD", "why a task or a thread has its priority, step by step"),
    command("work", "[TASK]", "queues of tasks with channels, and what of them holds which voucher"),
    command("bill", "", "who worked how long for whom"),
    command("nap", "TASK on|off", "put an app into App Nap, or wake it"),
    command("role", "TASK ROLE", "set an app's role: front, back, default or darwinbg"),
    command("run", "PROGRAM [ARG...]", "start a program of the bundle"),
    command("kill", "TASK", "end a task"),
    command("send", "TASK NAME [ID]", "send an empty message to a port that a task receives from"),
    command("spy", "[TASK] [KIND...]", "show events as they happen; any key ends it; see `help spy`"),
    command("check", "", "check all invariants; the kernel panics and names the one that is broken"),
    command("keys", "", "the keys for editing a line"),
    command("help", "[COMMAND]", "this list, or one command"),
    command("quit", "[STATUS]", "stop the machine, with an exit status"),
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
    /// The status with which the monitor ends if `quit` names no other.
    pub status: i32,
    /// What is typed.
    pub console: Console,
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
        let output = match self.carry_out(name, arguments, json) {
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

    fn carry_out(&mut self, name: &str, arguments: &[&str], json: bool) -> Result<Output, String> {
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
            ("work", []) => Output::Table(work::listing(&with_work(work::ask_all(&snapshot()?))?)),
            ("work", [task]) => {
                let snapshot = snapshot()?;
                let pid = snapshot.task_named(task)?.pid;
                let answer = work::ask(pid).ok_or_else(|| format!("{} has no channels to ask", snapshot.who(pid)))?;
                Output::Table(work::listing(&with_work([(pid, answer)].into())?))
            }
            ("why", [word]) => {
                let snapshot = with_work(work::ask_all(&snapshot()?))?;
                let thread = word.strip_prefix('t').and_then(|number| number.parse().ok());
                match thread.and_then(|number| snapshot.thread(number)) {
                    Some(thread) => Output::Lines(explain_thread(&snapshot, thread)),
                    None => Output::Lines(explain(&snapshot, snapshot.task_named(word)?)),
                }
            }
            ("bill", []) => Output::Table(listings::bill(&snapshot()?)),
            ("help", []) => Output::Lines(help()),
            ("help", [name]) => Output::Lines(help_for(name)?),
            ("keys", []) => Output::Lines(editing()),
            ("quit", []) => Output::Quit(self.status),
            ("quit", [status]) => {
                Output::Quit(status.parse::<u8>().map_err(|_| "a status is a number from 0 to 255")?.into())
            }
            ("spy", words) => {
                let filter = filter_of(words)?;
                let result = spy::run(&mut self.console, &filter, json);
                result.map_err(|code| match code {
                    KERN_FAILURE => "the kernel writes its events to a file, and has one recorder only".into(),
                    code => format!("events cannot be recorded: {code}"),
                })?;
                Output::Nothing
            }
            _ => return self.act(name, arguments),
        })
    }

    /// Carries out a command that changes something, or that does not exist.
    fn act(&mut self, name: &str, arguments: &[&str]) -> Result<Output, String> {
        match (name, arguments) {
            ("nap", [task, "on"]) => action::set_nap(&snapshot()?, task, true)?,
            ("nap", [task, "off"]) => action::set_nap(&snapshot()?, task, false)?,
            ("role", [task, role]) => action::set_role(&snapshot()?, task, role)?,
            ("run", [program, rest @ ..]) => {
                return Ok(Output::Lines([action::start(self.bootstrap, program, rest)?].into()));
            }
            ("kill", [task]) => action::kill(&snapshot()?, task)?,
            ("send", [task, name]) => action::send(&snapshot()?, task, name, "0")?,
            ("send", [task, name, id]) => action::send(&snapshot()?, task, name, id)?,
            ("check", []) => {
                inspect::check().map_err(|code| format!("the kernel does not check: {code}"))?;
                return Ok(Output::Lines(["all invariants hold".to_string()].into()));
            }
            _ => return Err(usage(name)),
        }
        Ok(Output::Nothing)
    }

    /// Returns the words that can stand behind `before` in a line: commands, or tasks.
    pub fn completions(&self, before: &str) -> Vec<String> {
        if before.trim().is_empty() {
            return COMMANDS.iter().map(|command| command.name.to_string()).collect();
        }
        let first = before.split_whitespace().next().unwrap_or("");
        if first == "help" {
            return COMMANDS.iter().map(|command| command.name.to_string()).collect();
        }
        let takes_task = COMMANDS.iter().any(|c| c.name == first && c.arguments.contains("TASK"));
        if !takes_task {
            return Vec::new();
        }
        let Ok(snapshot) = Snapshot::take() else { return Vec::new() };
        snapshot.tasks.iter().map(|task| name_of(task).to_string()).collect()
    }
}

fn snapshot() -> Result<Snapshot, String> {
    Snapshot::take().map_err(|code| format!("the kernel does not answer: {code}"))
}

fn with_names() -> Result<Snapshot, String> {
    snapshot()?.with_names().map_err(|code| format!("the kernel does not answer: {code}"))
}

/// Returns all records, and what tasks have answered just before.
fn with_work(work: Vec<(u32, Answer)>) -> Result<Snapshot, String> {
    Ok(Snapshot { work, ..with_names()? })
}

/// Returns the filter that the arguments of `spy` describe: kinds, and at most one task.
fn filter_of(words: &[&str]) -> Result<Filter, String> {
    let mut filter = Filter::default();
    for word in words {
        match GROUPS.iter().find(|group| group.name == *word) {
            Some(group) => filter.groups.push(*group),
            None if *word == "all" => filter.groups.extend(GROUPS),
            None if filter.pid.is_none() => filter.pid = Some(snapshot()?.task_named(word)?.pid),
            None => return Err("events are shown of one task, or of all".to_string()),
        }
    }
    Ok(filter)
}

/// Says how a command is used, or which command may be meant.
pub(super) fn usage(name: &str) -> String {
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
        .map(|command| format!("{:<8} {:<16} {}", command.name, command.arguments, command.help))
        .collect();
    lines.push(
        "TASK is a pid or a program's name, VOUCHER as in `vouchers`. Listings end with --json on request.".into(),
    );
    lines
}

fn help_for(name: &str) -> Result<Vec<String>, String> {
    let found = COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| usage(name))?;
    let mut lines = Vec::from([format!("{} {}", found.name, found.arguments), format!("  {}", found.help)]);
    if name == "spy" {
        let kinds: Vec<&str> = GROUPS.iter().map(|group| group.name).collect();
        lines
            .push(format!("  KIND is one of {}, or all; all but traps and threads if none is given", kinds.join(", ")));
    }
    Ok(lines)
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
