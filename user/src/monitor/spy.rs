//! `spy`: events as they happen, until a key is pressed.
//!
//! One thread shows events while another one waits for the key. What the monitor does itself is not shown.

use super::console::Console;
use super::event::{Filter, Known, Shown};
use super::snapshot::Snapshot;
use super::table::write_json_string;
use super::words::seconds;
use crate::thread::Thread;
use crate::time::sleep;
use crate::{events, print, println, task};
use abi::KernReturn;
use abi::event::EventRecord;
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

/// Events that are read at once.
const AT_ONCE: usize = 16;
/// Reads between two looks at the keys: what the monitor does adds events, too.
const READS: usize = 128;
/// Milliseconds between two looks at the events.
const PAUSE: u64 = 10;

/// True when a key was pressed.
static OVER: AtomicBool = AtomicBool::new(false);

/// Shows the events that the filter takes, in lines of text or JSON, until a byte is typed.
///
/// # Errors
/// Those of the traps, and of starting a thread.
pub fn run(console: &mut Console, filter: &Filter, json: bool) -> Result<(), KernReturn> {
    let mut known = Known::of(&Snapshot::take()?);
    let typed = console.take_typed();
    OVER.store(typed, Ordering::Release);
    events::start()?;
    // What this thread does is recorded, so that it is known whose it is.
    let waiter = if typed { Ok(None) } else { Thread::start(wait_for_key, 0).map(Some) };
    if waiter.is_ok() {
        if !json {
            println!("time in s    who, and what happens; any key ends it");
        }
        watch(&mut known, filter, json);
    }
    let waited = waiter.map(|waiter| waiter.into_iter().for_each(Thread::join));
    events::stop()?;
    waited
}

/// Shows events until a key was pressed, and those from before it.
fn watch(known: &mut Known, filter: &Filter, json: bool) {
    loop {
        let over = OVER.load(Ordering::Acquire);
        show_recorded(known, filter, json);
        if over {
            return;
        }
        sleep(PAUSE);
    }
}

fn wait_for_key(_: u64) {
    // Without a console there is no key, and spying ends at once.
    let _ = Console::read_one();
    OVER.store(true, Ordering::Release);
}

/// Shows the events that have been recorded so far.
fn show_recorded(known: &mut Known, filter: &Filter, json: bool) {
    let own = task::pid() as u32;
    let mut room = [EventRecord::default(); AT_ONCE];
    for _ in 0..READS {
        let events = events::read(&mut room);
        for event in events {
            let is_own = known.task_of(event.thread) == Some(own);
            // A thread of the monitor that ends is known until its last event.
            let shown = known.show(event, filter);
            let mut line = String::new();
            // Writing to a string returns no error.
            let _ = write_lost(event.lost, json, &mut line);
            if let Some(shown) = shown.filter(|_| !is_own) {
                let _ = if json { write_json(&shown, &mut line) } else { write_text(&shown, &mut line) };
            }
            print!("{line}");
        }
        if events.len() < AT_ONCE {
            return;
        }
    }
}

/// Writes how many events were lost, if there are any.
///
/// # Errors
/// Those of `out`.
pub fn write_lost(lost: u32, json: bool, out: &mut dyn Write) -> fmt::Result {
    match (lost, json) {
        (0, _) => Ok(()),
        (_, false) => writeln!(out, "({lost} events were lost here)"),
        (_, true) => writeln!(out, "{{\"lost\": {lost}}}"),
    }
}

/// Writes an event as a line of text.
///
/// # Errors
/// Those of `out`.
pub fn write_text(shown: &Shown, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "{:<12} {:<11} {}", seconds(shown.time), shown.who, shown.what)
}

/// Writes an event as a JSON object.
///
/// # Errors
/// Those of `out`.
pub fn write_json(shown: &Shown, out: &mut dyn Write) -> fmt::Result {
    write!(out, "{{\"ns\": {}, \"who\": ", shown.time)?;
    write_json_string(out, &shown.who)?;
    out.write_str(", \"what\": ")?;
    write_json_string(out, &shown.what)?;
    out.write_str("}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_text_or_of_json() {
        let shown = Shown { time: 1_002_003_000, who: "photos/3".into(), what: "p1.1 \"dies\"".into() };
        let (mut text, mut json) = (String::new(), String::new());
        write_text(&shown, &mut text).unwrap();
        write_json(&shown, &mut json).unwrap();
        assert_eq!(text, "1.002003     photos/3    p1.1 \"dies\"\n");
        assert_eq!(json, "{\"ns\": 1002003000, \"who\": \"photos/3\", \"what\": \"p1.1 \\\"dies\\\"\"}\n");
    }

    #[test]
    fn lost_events_are_said_and_counted() {
        let said = |lost, json| {
            let mut line = String::new();
            write_lost(lost, json, &mut line).unwrap();
            line
        };
        assert_eq!(said(7, false), "(7 events were lost here)\n");
        assert_eq!(said(7, true), "{\"lost\": 7}\n");
        assert_eq!(said(0, false) + &said(0, true), "");
    }
}
