//! What the narrator says.

use super::report::{Event, Report};
use crate::demo::page::{Grouped, Text};
use crate::monitor::work::Work;
use crate::text;
use abi::debugger::{HolderRecord, holder};
use dispatch::qos::Qos;

/// What stands above the cast.
pub(super) const PREFACE: &str = "The second act. In the first one the programs send messages and handle vouchers \
     themselves. Here they are written with the libraries dispatch and xpc, and no line of theirs is about a voucher or \
     a boost. Nobody has started imaged and codecd: they are declared as services, and start for their first client.";

/// What stands below the cast.
pub(super) const LEGEND: &str = "As before, prio is the priority of the program's main thread, sent counts the boosts \
     by messages that the program has not received yet, and held those that its vouchers hold.";

/// The heading of the story.
pub(super) const HEADING: &str = "The work goes on";

/// What stands below it.
pub(super) const EXPLANATION: &str = "photos asks imaged for a thumbnail. The handler of imaged returns at once: the \
     work goes on in a block on its queue scale, then in one on its queue store, which asks codecd and does not wait, \
     either. The reply of codecd is handled on store, and when photos has its answer one more block keeps the thumbnail \
     for the next time. The boost is to last from the request to the end of that block. Both connections are new: before \
     the request each sends a message that introduces the client, so there are two boosts.";

/// What stands above the table.
pub(super) const HOPS: &str = "Each piece of work took over what the one before it had: the class, which is at most \
     IN (user-initiated), and the voucher, with the activity of photos and the persona in whose name photos asked. The \
     last column is the program for which the voucher says that the work is done.";

/// The end of codecd's boost.
pub(super) const HELPER_ENDS: &str = "its worker has nothing more to do, and gives up the voucher: the boost ends";
/// The end of imaged's boost.
pub(super) const SERVICE_ENDS: &str =
    "its worker is idle, and nothing holds the voucher any more: the boost ends now, and not before";

/// Returns the line for a report, so many microseconds after the app's request.
pub(super) fn line(report: &Report, since: u64) -> Text {
    let (voucher, says) = (report.voucher, report.text());
    match report.event() {
        Event::Ready | Event::Over => Text::new(),
        Event::Asked => text!("asks imaged: one call, send_with_reply"),
        Event::Handles | Event::Decodes => {
            text!("runs the handler of the connection with voucher {voucher:#x}, which says: “{says}”")
        }
        Event::Scales => text!("begins the block on queue scale that the handler has submitted"),
        Event::Passed => text!("the block on queue store has asked codecd, and ends"),
        Event::Works => text!("begins the block on queue decode that the handler has submitted"),
        Event::Replied => text!("has replied; that ends no boost"),
        Event::HasPart => text!("runs the handler of the reply on queue store, with voucher {voucher:#x} again"),
        Event::Answered => text!("has replied to photos, and submitted one more block to queue scale"),
        Event::HasAnswer => text!("has its answer, {} µs after it asked", Grouped(since)),
        Event::Kept => text!("has done all of the last block, on queue scale: the boost is still there"),
    }
}

/// Returns the line that says what holds the voucher of imaged, after what else is so.
pub(super) fn holder(what: &str, work: &Work, held: &HolderRecord) -> Text {
    let queue = work.queues.iter().find(|queue| queue.queue == held.queue);
    let label = queue.map_or("", |queue| label(&queue.label));
    match held.kind {
        holder::REPLY => text!("{what}; its library says what holds the voucher: the reply that it waits for"),
        _ => text!("{what}; its library says what holds the voucher: the block on queue {label}"),
    }
}

/// Returns the text of a label, which is padded with zeros.
fn label(label: &[u8]) -> &str {
    let end = label.iter().position(|&byte| byte == 0).unwrap_or(label.len());
    core::str::from_utf8(&label[..end]).unwrap_or("?")
}

/// Returns where the work of a report was done. None if it is no hop of its own.
pub(super) const fn place(event: Event) -> Option<&'static str> {
    match event {
        Event::Asked => Some("main thread"),
        Event::Handles | Event::Decodes => Some("handler of the connection"),
        Event::Scales | Event::Kept => Some("block on queue scale"),
        Event::Passed => Some("block on queue store"),
        Event::Works => Some("block on queue decode"),
        Event::HasPart => Some("handler of the reply, on queue store"),
        Event::HasAnswer => Some("handler of the reply"),
        Event::Ready | Event::Replied | Event::Answered | Event::Over => None,
    }
}

/// Returns the short name of a class.
pub(super) const fn class(class: Qos) -> &'static str {
    match class {
        Qos::UserInteractive => "UI",
        Qos::UserInitiated => "IN",
        Qos::Legacy => "DEF",
        Qos::Utility => "UT",
        Qos::Background => "BG",
        Qos::Maintenance => "MT",
        Qos::Unspecified => "–",
    }
}
