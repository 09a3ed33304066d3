//! The monitor: a program at the console that shows what the kernel's objects do, and why.
//!
//! | module | contents |
//! |---|---|
//! | [`snapshot`] | the records of all objects |
//! | [`listings`], [`why`] | what is shown of them |
//! | [`table`], [`words`] | columns, JSON, names of things |
//! | [`line`](mod@line) | the line editor |
//! | [`command`] | the commands |
//!
//! Everything but [`run`] and the actions in [`command`] is a function of records, so host tests cover it.

pub mod command;
pub mod line;
pub mod listings;
pub mod snapshot;
pub mod table;
pub mod why;
pub mod words;

use crate::{print, println, sys};
use abi::trap::unix::READ;
use alloc::string::String;
use command::{Control, Session};
use line::{LineEditor, Typed};

const PROMPT: &str = "tally> ";

/// Bytes of input that are taken at once.
const INPUT: usize = 64;

/// Reads input from the console; waits for it.
///
/// # Errors
/// The error number of `read`.
pub fn read_console(buffer: &mut [u8]) -> Result<usize, u64> {
    sys::unix_trap(READ, [0, buffer.as_mut_ptr() as u64, buffer.len() as u64, 0]).map(|count| count as usize)
}

/// Reads commands from the console and carries them out, until `quit` or ^D. Returns the status that `quit` was given.
pub fn run(session: &mut Session) -> i32 {
    println!("Tally's monitor: `help` lists the commands, `quit` stops the machine.");
    let mut editor = LineEditor::new(PROMPT);
    let mut out = String::new();
    editor.prompt(&mut out);
    print!("{out}");
    loop {
        let mut bytes = [0; INPUT];
        let count = match read_console(&mut bytes) {
            Ok(count) => count,
            Err(errno) => {
                println!("monitor: the console cannot be read (error {errno})");
                return 1;
            }
        };
        for &byte in &bytes[..count] {
            out.clear();
            let typed = editor.type_byte(byte, &mut out, |before| session.completions(before));
            print!("{out}");
            let control = match typed {
                Typed::More => continue,
                Typed::Cancelled => Control::GoOn,
                Typed::Line(line) => session.execute(&line),
                Typed::Processes => session.execute("queues"),
                Typed::End => Control::Quit(0),
            };
            if let Control::Quit(status) = control {
                return status;
            }
            out.clear();
            editor.prompt(&mut out);
            print!("{out}");
        }
    }
}
