//! The monitor: a program at the console that shows what the kernel's objects do, and why.
//!
//! | module | contents |
//! |---|---|
//! | [`snapshot`] | the records of all objects |
//! | [`listings`], [`why`] | what is shown of them |
//! | [`work`] | what tasks tell of their queues, by messages |
//! | [`table`], [`words`] | columns, JSON, names of things |
//! | [`console`], [`line`](mod@line) | what is typed, and the line editor |
//! | [`command`] | the commands, [`details`] those about one object, [`action`] those that change something |
//! | [`event`], [`spy`] | events in words, as they happen |
//!
//! Everything but [`run`], [`spy`], [`work::ask`] and the actions is a function of records, so host tests cover it.

pub mod action;
pub mod command;
pub mod console;
pub mod details;
pub mod event;
pub mod line;
pub mod listings;
pub mod snapshot;
pub mod spy;
pub mod table;
pub mod why;
pub mod words;
pub mod work;

use crate::{print, println};
use abi::inspect::home;
use alloc::string::String;
use command::{Control, Session};
use line::{LineEditor, Typed};
use snapshot::Snapshot;

const PROMPT: &str = "tally> ";

/// Prints who waits for what: for a program that has not finished in time. Tasks up to `pid` are left out.
pub fn print_waits(pid: u32) {
    let mut snapshot = match Snapshot::take() {
        Ok(snapshot) => snapshot,
        Err(code) => return println!("who waits for what is not known: {code}"),
    };
    snapshot.threads.retain(|thread| thread.pid > pid);
    snapshot.ports.retain(|port| port.home != home::TASK || port.pid > pid);
    for table in [listings::threads(&snapshot, None), listings::queues(&snapshot)] {
        let mut text = String::new();
        // Writing to a string returns no error.
        let _ = table.write_text(&mut text);
        text.lines().for_each(|line| println!("      {line}"));
    }
}

/// Reads commands from the console and carries them out, until `quit` or ^D. Returns the status to end with.
pub fn run(session: &mut Session) -> i32 {
    println!("Tally's monitor: `help` lists the commands, `quit` stops the machine.");
    let mut editor = LineEditor::new(PROMPT);
    let mut out = String::new();
    editor.prompt(&mut out);
    print!("{out}");
    loop {
        let byte = match session.console.next_byte() {
            Ok(byte) => byte,
            Err(errno) => {
                println!("monitor: the console cannot be read (error {errno})");
                return 1;
            }
        };
        out.clear();
        let typed = editor.type_byte(byte, &mut out, |before| session.completions(before));
        print!("{out}");
        let control = match typed {
            Typed::More => continue,
            Typed::Cancelled => Control::GoOn,
            Typed::Line(line) => session.execute(&line),
            Typed::Processes => {
                session.execute("threads");
                session.execute("queues")
            }
            Typed::End => Control::Quit(session.status),
        };
        if let Control::Quit(status) = control {
            return status;
        }
        out.clear();
        editor.prompt(&mut out);
        print!("{out}");
    }
}

#[cfg(test)]
mod tests;
