//! What the narrator says about a report.

use super::cast::Part;
use super::page::{Grouped, Text};
use super::story::{CODECD, IMAGED, MAIL, PARTS, PHOTOS};
use super::talk::{Event, Report};
use crate::text;

/// What stands above the cast.
pub const PREFACE: &str = "Five programs share one processor. The thread with the highest priority runs; equal ones \
     take turns. Every number is read from the kernel. The clock leaves out the time that this narrator takes.";

/// What stands below the cast.
pub const LEGEND: &str = "A boost lifts a program's priority as long as it lasts. Below, prio is the priority, sent \
     counts the boosts by messages that the program has not received yet, and held those that its vouchers hold.";

/// What stands above the bill.
pub const BILL: &str = "The voucher also names who pays: photos. imaged adopted it for its work and passed it on to \
     codecd, which adopted it, too. The energy is computed: a thread of a higher class uses more. Since the beginning \
     of act 1:";

/// What stands above the comparison.
pub const COMPARISON: &str = "imaged is started again. photos asks three times as in act 1, then three times with the \
     option MACH_SEND_NOIMPORTANCE: such a message boosts nobody. indexd computes all the time, and nothing is \
     narrated.";

/// The acts that are narrated.
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

impl Act {
    /// Returns the heading.
    pub const fn heading(self) -> &'static str {
        match self {
            Act::Front => "1  The app in front asks",
            Act::Nap => "2  The app in App Nap asks",
            Act::Lift => "3  The app in App Nap is asked",
            Act::Death => "4  The one in the middle dies",
        }
    }

    /// Returns what stands below the heading.
    pub const fn explanation(self) -> &'static str {
        match self {
            Act::Front => {
                "photos asks imaged for a thumbnail, and imaged asks codecd to decode the picture. photos is an app, so \
                 it donates: its message is a boost of imaged from the moment it is sent. With the message comes a \
                 voucher, an object of the kernel that says for whom the work is done. When imaged receives them, the \
                 voucher takes over the boost. When the last reference to the voucher goes, the boost ends."
            }
            Act::Nap => {
                "mail is hidden and naps. While it naps it does not donate. But the kernel remembers who sent each \
                 message: when the nap ends, a message that still waits becomes a boost at once."
            }
            Act::Lift => {
                "An app can be boosted as well, but that only lifts its nap. When the boost ends through another \
                 program, the app stays awake for up to 1.1 s more, because the next message may be near."
            }
            Act::Death => {
                "codecd works for photos in the end, but it has its boost through imaged, and loses it with imaged."
            }
        }
    }

    /// Returns the two actors whose columns are shown.
    pub const fn about(self) -> [usize; 2] {
        match self {
            Act::Front | Act::Death => [IMAGED, CODECD],
            Act::Nap => [MAIL, IMAGED],
            Act::Lift => [PHOTOS, MAIL],
        }
    }
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

/// Returns true if a report is not worth a row: the act is about something else.
fn is_unimportant(act: Act, who: usize, event: Event) -> bool {
    match (act, event) {
        (Act::Nap, Event::Asked | Event::GotPart | Event::Answered) => who == IMAGED,
        (Act::Front, Event::Tidied) => false,
        (_, event) => matches!(event, Event::GoesOn | Event::Tidied),
    }
}

/// Returns the line for a report in an act. What ends with the event took so many microseconds.
pub fn line(act: Act, report: &Report, took: u64) -> Line {
    let (who, event) = (report.who as usize, report.event());
    if is_unimportant(act, who, event) {
        return Line::None;
    }
    let (took, voucher) = (Grouped(took), report.voucher);
    let text = match (act, who, event) {
        (Act::Lift, _, Event::Asked) => text!("sends mail a picture: a boost for mail, too"),
        (Act::Death, PHOTOS, Event::Asked) => text!("asks imaged, which waits, and has the message at once"),
        (_, PHOTOS, Event::Asked) => text!("asks imaged, with voucher {voucher:#x}: photos pays"),
        (_, MAIL, Event::Asked) => text!("gets its turn and asks imaged: no boost"),
        (_, _, Event::Asked) => {
            text!("asks codecd, with a copy of its voucher; codecd waits, and has the message at once")
        }
        (_, _, Event::Tidied) => text!("was chosen to run, not indexd, and has tidied up"),
        (Act::Front, IMAGED, Event::Received) => {
            text!("receives the request and voucher {voucher:#x}, which says: “{}”", report.text())
        }
        (Act::Front, _, Event::Received) => {
            text!("is chosen; receives the request and voucher {voucher:#x}, which says: “{}”", report.text())
        }
        (Act::Death, _, Event::Received) => text!("receives the request and voucher {voucher:#x}"),
        (Act::Lift, _, Event::Received) => text!("receives it; the voucher now holds the boost"),
        (_, _, Event::Received) => text!("was chosen to run, not indexd; it has tidied up and receives the request"),
        (_, _, Event::GotPart) => text!("is chosen to run and has the answer of codecd"),
        (Act::Front, IMAGED, Event::Answered) => {
            text!("has answered, but keeps its voucher for more work, and with it the boost")
        }
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
        (_, _, Event::GoesOn) => return Line::None,
    };
    Line::Done(text)
}

/// Returns the name of the actor that reports.
pub fn name(report: &Report) -> &'static str {
    let Part { name, .. } = PARTS[report.who as usize];
    name
}
