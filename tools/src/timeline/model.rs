//! [`Timeline`]: what happened, put together from events.

use super::builder::Builder;
use abi::event::{EventRecord, ObjectNumber};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// A time in ns since boot.
pub type Time = u64;

/// A task.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its process id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The name of its program.
    pub name: String,
    /// When it began, or the first event.
    pub begun: Time,
    /// When it ended, if it did.
    pub ended: Option<Time>,
}

/// A thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Thread {
    /// Its number.
    pub number: u64,
    /// Its task; 0 if it began before the recording.
    pub pid: u32,
    /// When it had a processor.
    pub runs: Vec<Run>,
    /// When it waited for a processor: from and until when.
    pub ready: Vec<(Time, Time)>,
    /// Its base priority from each time on.
    pub bases: Vec<(Time, u64)>,
}

/// A time on a processor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Run {
    /// From when.
    pub from: Time,
    /// Until when.
    pub to: Time,
    /// The priority with which it was chosen.
    pub priority: u64,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its number.
    #[serde(serialize_with = "as_text")]
    pub number: ObjectNumber,
    /// The port.
    #[serde(serialize_with = "as_text")]
    pub port: ObjectNumber,
    /// `msgh_id`.
    pub id: i32,
    /// The thread that sent it, 0 for the kernel.
    pub sender: u64,
    /// When.
    pub sent: Time,
    /// The thread that received it.
    pub receiver: Option<u64>,
    /// When it was received, returned or destroyed.
    pub ended: Option<Time>,
    /// Its end: `received`, `returned`, `destroyed`, or nothing yet.
    pub fate: &'static str,
    /// The voucher that it was sent with, or 0.
    #[serde(serialize_with = "as_text")]
    pub voucher_sent: ObjectNumber,
    /// The voucher that it was received with, or 0.
    #[serde(serialize_with = "as_text")]
    pub voucher_received: ObjectNumber,
    /// It carried importance.
    pub linked: bool,
    /// It was a boost when it was sent, or became one while it waited.
    pub raised: bool,
}

/// A voucher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voucher {
    /// Its number.
    #[serde(serialize_with = "as_text")]
    pub number: ObjectNumber,
    /// The thread in whose step it was made, 0 for none.
    pub maker: u64,
    /// The task whose boost it holds or held, or 0.
    pub boosts: u32,
    /// From when.
    pub from: Time,
    /// Until when; none if it outlived the recording.
    pub to: Option<Time>,
    /// The threads that adopted it, and when.
    pub adopted: Vec<(u64, Time, Option<Time>)>,
}

/// A change of a task's boosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Boost {
    /// The task.
    pub pid: u32,
    /// When.
    pub time: Time,
    /// All boosts from then on.
    pub boosts: u64,
    /// Those that vouchers hold.
    pub external: u64,
    /// `added`, `moved`, `dropped` or `delayed`.
    pub change: &'static str,
    /// Why, see [`why`].
    pub why: &'static str,
    /// The message that the boost came with, by its place in [`Timeline::messages`].
    pub message: Option<usize>,
    /// The voucher that holds it or held it, by its place in [`Timeline::vouchers`].
    pub voucher: Option<usize>,
    /// The earlier change of the same boost, by its place in [`Timeline::boosts`].
    pub origin: Option<usize>,
    /// The change of the sender's boosts that this one follows from, likewise; none if the sender donates by itself.
    pub source: Option<usize>,
}

/// Why boosts change.
pub mod why {
    /// A donor sent a message.
    pub const SENT: &str = "sent";
    /// The sender of a message that was there already became a donor.
    pub const DONOR: &str = "donor";
    /// The message was received, and a voucher holds its boost now.
    pub const RECEIVED: &str = "received";
    /// The last reference to the voucher is gone.
    pub const VOUCHER: &str = "voucher";
    /// The sender has ceased to be a donor.
    pub const NO_DONOR: &str = "no donor";
    /// The message is gone: it was destroyed or returned, or received without a voucher.
    pub const MESSAGE: &str = "message";
    /// The task keeps the policy of a boosted one for a while.
    pub const DELAYED: &str = "delayed";
    /// Something else: a receive right came or went with its boosts, or the recording does not tell.
    pub const OTHER: &str = "other";
}

/// Work that was charged to an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Charge {
    /// When.
    pub time: Time,
    /// The thread that worked.
    pub thread: u64,
    /// How long, in ns.
    pub nanos: u64,
    /// Who pays.
    pub holder: u32,
    /// Who worked.
    pub merchant: u32,
}

/// A queue of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// The task.
    pub pid: u32,
    /// The number that the task gave it.
    pub number: u64,
    /// Its label, cut to 16 bytes.
    pub label: String,
}

/// A piece of work on a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Work {
    /// The task.
    pub pid: u32,
    /// The number that the task gave it.
    pub number: u64,
    /// The number of its queue.
    pub queue: u64,
    /// The thread that submitted it.
    pub submitter: u64,
    /// When.
    pub submitted: Time,
    /// The thread that worked.
    pub worker: Option<u64>,
    /// When it began, if it did.
    pub begun: Option<Time>,
    /// When it was done or dropped.
    pub ended: Option<Time>,
    /// It was dropped.
    pub dropped: bool,
    /// Its class, or nothing.
    pub class: &'static str,
    /// The voucher that it holds, by its place in [`Timeline::vouchers`].
    pub voucher: Option<usize>,
}

/// A change of a task's policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// When.
    pub time: Time,
    /// The task.
    pub pid: u32,
    /// It has the policy of a boosted task now.
    pub boosted: bool,
    /// Its policy makes it a donor now.
    pub donor: bool,
}

/// What happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// The time of the first event.
    pub from: Time,
    /// The time of the last one.
    pub to: Time,
    /// Events that were lost.
    pub lost: u64,
    /// All tasks, by pid.
    pub tasks: BTreeMap<u32, Task>,
    /// All threads, by number.
    pub threads: BTreeMap<u64, Thread>,
    /// All messages, in the order in which they were sent.
    pub messages: Vec<Message>,
    /// All vouchers, in the order in which they were made.
    pub vouchers: Vec<Voucher>,
    /// All changes of boosts.
    pub boosts: Vec<Boost>,
    /// All changes of policies.
    pub policies: Vec<Policy>,
    /// All charges.
    pub charges: Vec<Charge>,
    /// The queues of programs that told of them.
    pub queues: Vec<Queue>,
    /// The work on them, in the order of submission.
    pub work: Vec<Work>,
    /// The number of events of each kind.
    pub counts: BTreeMap<&'static str, usize>,
}

/// Writes the number of an object as text: the place, a point, and how often the place has been used; nothing for no
/// object. As a number it could be greater than what JavaScript counts exactly.
fn as_text<S: Serializer>(number: &ObjectNumber, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&object(*number))
}

/// Returns the number of an object for people, or an empty text for no object.
pub fn object(number: ObjectNumber) -> String {
    if number == 0 { String::new() } else { format!("{}.{}", number as u32, number >> 32) }
}

impl Timeline {
    /// Puts a story together from events, in their order.
    pub fn of(events: &[EventRecord]) -> Timeline {
        let mut builder = Builder::default();
        builder.timeline.from = events.first().map_or(0, |event| event.time);
        for event in events {
            builder.add(event);
        }
        builder.finish()
    }

    /// Returns the label of a task's queue, or its number.
    pub fn label(&self, pid: u32, number: u64) -> String {
        let queue = self.queues.iter().find(|queue| (queue.pid, queue.number) == (pid, number));
        queue.map_or_else(|| number.to_string(), |queue| queue.label.clone())
    }

    /// Returns how people call a task.
    pub fn who(&self, pid: u32) -> String {
        match self.tasks.get(&pid) {
            Some(task) if !task.name.is_empty() => format!("{} (pid {pid})", task.name),
            _ if pid == 0 => "the kernel".to_owned(),
            _ if pid == 1 => "init (pid 1)".to_owned(),
            _ => format!("pid {pid}"),
        }
    }
}
