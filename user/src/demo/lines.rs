//! What the narrator says about a report.

use super::cast::Part;
use super::page::{Grouped, Text};
use super::story::{IMAGED, MAIL, PARTS, PHOTOS};
use super::talk::{Event, Report};
use crate::text;

/// The acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The app in front asks.
    Front,
    /// The app in App Nap asks.
    Nap,
    /// The app in App Nap is asked.
    Lift,
    /// The daemon in the middle dies.
    Death,
}

/// A line, and whether its effect must be awaited.
pub enum Line {
    /// What has happened.
    Done(Text),
    /// What is about to happen.
    Ahead(Text),
    /// Nothing that is worth a row.
    None,
}

/// Returns the line for a report in an act.
pub fn line(act: Act, report: &Report) -> Line {
    let who = report.who as usize;
    let (took, voucher) = (Grouped(report.took / 1000), report.voucher);
    let text = match (act, who, report.event()) {
        (Act::Nap, IMAGED, Event::Asked | Event::GotPart | Event::GivesUp) => return Line::None,
        (_, _, Event::GoesOn) => return Line::None,
        (Act::Lift, _, Event::Asked) => text!("sends mail a picture: a boost for mail, too"),
        (_, PHOTOS, Event::Asked) => text!("asks imaged, with voucher {voucher:#x}: photos pays"),
        (_, MAIL, Event::Asked) => text!("gets its turn and asks imaged: no boost"),
        (_, _, Event::Asked) => text!("asks codecd, with its copy of the voucher: the boost is passed on"),
        (Act::Front, IMAGED, Event::Tidied) => {
            text!("is chosen to run, not indexd, and first does what it had to do for itself")
        }
        (_, _, Event::Tidied) => return Line::None,
        (Act::Front, _, Event::Received) => {
            let asker = if who == IMAGED { "receives the request" } else { "is chosen; receives the request" };
            text!("{asker} and voucher {voucher:#x}, which says: “{}”", report.text())
        }
        (Act::Death, _, Event::Received) => text!("receives the request and voucher {voucher:#x}"),
        (Act::Lift, _, Event::Received) => text!("receives it; the voucher now holds the boost"),
        (_, _, Event::Received) => text!("is chosen to run, not indexd; receives it"),
        (_, _, Event::GotPart) => text!("is chosen to run and has the answer of codecd"),
        (Act::Front, IMAGED, Event::Answered) => {
            text!("has answered, but keeps its voucher for more work, and with it the boost")
        }
        (Act::Death, IMAGED, Event::Answered) => return Line::None,
        (Act::Death, _, Event::Answered) => {
            text!("is done at last; nobody takes the answer; its voucher says now: “{}”", report.text())
        }
        (_, _, Event::Answered) => text!("answers after {took} µs of work; that ends no boost"),
        (_, _, Event::GotAnswer) => text!("has its answer, {took} µs after it asked"),
        (_, _, Event::NoAnswer) => text!("learns that no answer will come"),
        (_, _, Event::GivesUp) => {
            let which = if report.references == 1 { "the last reference to" } else { "one of its references to" };
            return Line::Ahead(text!("gives up {which} voucher {voucher:#x}: its boost ends"));
        }
    };
    Line::Done(text)
}

/// Returns the name of the actor that reports.
pub fn name(report: &Report) -> &'static str {
    let Part { name, .. } = PARTS[report.who as usize];
    name
}
