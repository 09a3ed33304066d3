//! Events in words, one line each.

use super::snapshot::{Snapshot, name_of};
use super::words::{object, seconds, wait_for};
use abi::event::{EventRecord, kind, note};
use abi::inspect::boost;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// A group of kinds of events, which a word of `spy` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// The word.
    pub name: &'static str,
    first: u16,
    last: u16,
    /// True if `spy` shows the group when nothing is chosen.
    usual: bool,
}

const fn group(name: &'static str, first: u16, last: u16, usual: bool) -> Group {
    Group { name, first, last, usual }
}

/// The groups, by the numbers of their kinds.
pub const GROUPS: [Group; 10] = [
    group("tasks", kind::TASK_BEGUN, kind::THREAD_ENDED, true),
    // There are so many of these that they hide all others.
    group("traps", kind::TRAP_ENTERED, kind::TRAP_LEFT, false),
    group("threads", kind::THREAD_BLOCKED, kind::THREAD_PREEMPTED, false),
    group("policy", kind::PRIORITY_CHANGED, kind::POLICY_CHANGED, true),
    group("messages", kind::MESSAGE_SENT, kind::MESSAGE_DESTROYED, true),
    group("rights", kind::PORT_MADE, kind::RIGHT_DEAD, true),
    group("vouchers", kind::VOUCHER_CREATED, kind::VOUCHER_DIED, true),
    group("boosts", kind::BOOST_ADDED, kind::BOOST_DELAYED, true),
    group("time", kind::TIME_CHARGED, kind::TIME_CHARGED, true),
    group("work", kind::NOTE, kind::NOTE, true),
];

/// Which events are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Those that concern this task, or those of all tasks.
    pub pid: Option<u32>,
    /// Those of these groups, or the usual ones.
    pub groups: Vec<Group>,
}

impl Filter {
    fn takes_kind(&self, kind: u16) -> bool {
        let mut groups = GROUPS.iter().filter(|group| (group.first..=group.last).contains(&kind));
        groups.any(|group| if self.groups.is_empty() { group.usual } else { self.groups.contains(group) })
    }
}

/// The names of tasks and the tasks of threads, as far as they have been seen.
#[derive(Debug, Default)]
pub struct Known {
    tasks: Vec<(u32, String)>,
    threads: Vec<(u64, u32)>,
}

/// An event that passed the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Nanoseconds since boot.
    pub time: u64,
    /// Who acted.
    pub who: String,
    /// What happened.
    pub what: String,
}

impl Known {
    /// Returns what a snapshot knows.
    pub fn of(snapshot: &Snapshot) -> Known {
        let tasks = snapshot.tasks.iter().map(|task| (task.pid, name_of(task).to_string())).collect();
        Known { tasks, threads: snapshot.threads.iter().map(|thread| (thread.thread, thread.pid)).collect() }
    }

    /// Learns of new tasks and threads.
    fn learn(&mut self, event: &EventRecord) {
        let [first, second, ..] = event.arguments;
        match event.kind {
            kind::TASK_BEGUN => {
                let bytes: Vec<u8> = event.arguments[2..].iter().flat_map(|word| word.to_le_bytes()).collect();
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                self.tasks.push((first as u32, String::from_utf8_lossy(&bytes[..end]).into_owned()));
            }
            kind::THREAD_BEGUN => self.threads.push((first, second as u32)),
            _ => {}
        }
    }

    /// Forgets those that ended. They are known as long as their last event is shown.
    fn forget(&mut self, event: &EventRecord) {
        let first = event.arguments[0];
        match event.kind {
            kind::TASK_ENDED => self.tasks.retain(|(pid, _)| u64::from(*pid) != first),
            kind::THREAD_ENDED => self.threads.retain(|(thread, _)| *thread != first),
            _ => {}
        }
    }

    /// Returns the task of a thread.
    pub fn task_of(&self, thread: u64) -> Option<u32> {
        self.threads.iter().find(|(number, _)| *number == thread).map(|(_, pid)| *pid)
    }

    fn name(&self, pid: u64) -> String {
        let known = self.tasks.iter().find(|(number, _)| u64::from(*number) == pid);
        match (known, pid) {
            (Some((_, name)), _) => format!("{name}/{pid}"),
            (None, 0) => "kernel".to_string(),
            (None, _) => format!("pid {pid}"),
        }
    }

    fn thread(&self, number: u64) -> String {
        match (self.task_of(number), number) {
            (_, 0) => "nobody".to_string(),
            (Some(pid), _) => format!("t{number} of {}", self.name(pid.into())),
            (None, _) => format!("t{number}"),
        }
    }

    /// Returns an event in words, or `None` if the filter does not take it.
    pub fn show(&mut self, event: &EventRecord, filter: &Filter) -> Option<Shown> {
        self.learn(event);
        let concerned = filter.pid.is_none_or(|pid| self.concerns(event, pid));
        let shown = (concerned && filter.takes_kind(event.kind)).then(|| {
            let who = match event.thread {
                0 => "kernel".to_string(),
                thread => self.task_of(thread).map_or(format!("t{thread}"), |pid| self.name(pid.into())),
            };
            Shown { time: event.time, who, what: self.what(event) }
        });
        self.forget(event);
        shown
    }

    /// Returns true if a task or a thread of it acts in an event, or is what the event is about.
    fn concerns(&self, event: &EventRecord, pid: u32) -> bool {
        let [first, second, third, fourth, _] = event.arguments;
        let is_thread = |number: u64| number != 0 && self.task_of(number) == Some(pid);
        let is_task = |number: u64| number == u64::from(pid);
        is_thread(event.thread)
            || match event.kind {
                kind::TASK_BEGUN => is_task(first) || is_task(second),
                kind::TASK_ENDED | kind::POLICY_CHANGED | kind::BOOST_ADDED..=kind::BOOST_DELAYED => is_task(first),
                kind::THREAD_BEGUN..=kind::THREAD_ENDED => is_task(second),
                kind::THREAD_BLOCKED..=kind::THREAD_CHOSEN | kind::PRIORITY_CHANGED => is_thread(first),
                kind::THREAD_PREEMPTED => is_thread(first) || is_thread(second),
                kind::MESSAGE_RECEIVED | kind::MESSAGE_RETURNED => is_thread(third),
                kind::RIGHT_MADE..=kind::RIGHT_DEAD => is_task(second),
                kind::VOUCHER_ADOPTED => is_thread(second),
                kind::TIME_CHARGED => is_thread(first) || is_task(third) || is_task(fourth),
                _ => false,
            }
    }

    fn what(&self, event: &EventRecord) -> String {
        let [a, b, c, d, e] = event.arguments;
        match event.kind {
            kind::TASK_BEGUN => format!("task {} begins, of {}", self.name(a), self.name(b)),
            kind::TASK_ENDED => format!("task {} ends, status {b:#x}", self.name(a)),
            kind::THREAD_BEGUN => format!("thread {} begins", self.thread(a)),
            kind::THREAD_ENDED => format!("thread {} ends", self.thread(a)),
            kind::TRAP_ENTERED => format!("trap {:#x} begins", a as u32),
            kind::TRAP_LEFT => format!("trap {:#x} returns {b:#x}", a as u32),
            kind::THREAD_BLOCKED => format!("{} waits for {}", self.thread(a), wait_for(b as u32, c)),
            kind::THREAD_WOKEN => format!("{} waits no longer", self.thread(a)),
            kind::THREAD_CHOSEN if a == 0 => "the processor idles".to_string(),
            kind::THREAD_CHOSEN => format!("the processor runs {} at {b}", self.thread(a)),
            kind::THREAD_PREEMPTED => format!("{} loses the processor to {}", self.thread(a), self.thread(b)),
            kind::PRIORITY_CHANGED => format!("base priority of {}: {b} → {c}", self.thread(a)),
            kind::POLICY_CHANGED => {
                let (boosted, donor) =
                    (if b != 0 { "boosted" } else { "not boosted" }, if c != 0 { ", donor" } else { "" });
                format!("policy of {}: {boosted}{donor}", self.name(a))
            }
            kind::MESSAGE_SENT..=kind::MESSAGE_DESTROYED => self.message(event),
            kind::PORT_MADE => format!("{} made", object('p', a)),
            kind::PORT_DIED => format!("{} dies", object('p', a)),
            kind::RIGHT_MADE..=kind::RIGHT_DEAD => {
                let happens = match event.kind {
                    kind::RIGHT_MADE => "gets",
                    kind::RIGHT_MOVED => "gives away",
                    _ => "loses",
                };
                format!("{} {happens} {c:#x}: {} to {}", self.name(b), right(d), object('p', a))
            }
            kind::VOUCHER_CREATED => format!("{} created", object('v', a)),
            kind::VOUCHER_FOUND => format!("{} found again", object('v', a)),
            kind::VOUCHER_ADOPTED if a == 0 => format!("{} adopts no voucher any more", self.thread(b)),
            kind::VOUCHER_ADOPTED => format!("{} adopts {}", self.thread(b), object('v', a)),
            kind::VOUCHER_RELEASED => format!("{} has no names any more", object('v', a)),
            kind::VOUCHER_DIED => format!("{} dies", object('v', a)),
            kind::BOOST_ADDED..=kind::BOOST_DROPPED => {
                let happens = match event.kind {
                    kind::BOOST_ADDED => "rise",
                    kind::BOOST_MOVED => "move from a message to a voucher",
                    _ => "fall",
                };
                let cause = match d as u32 {
                    boost::PORT => format!(", because of {}", object('p', e)),
                    boost::INHERIT => ", because of a voucher".to_string(),
                    _ => String::new(),
                };
                format!("boosts of {} {happens}: {b} now, {c} of them by vouchers{cause}", self.name(a))
            }
            kind::BOOST_DELAYED => format!("{} stays boosted until {}", self.name(a), seconds(b)),
            kind::TIME_CHARGED => {
                let (holder, merchant) = (self.name(c), self.name(d));
                format!("{holder} pays {} µs to {merchant} for {}", b / 1000, self.thread(a))
            }
            kind::NOTE => note(event.arguments),
            other => format!("event {other}: {a:#x} {b:#x} {c:#x} {d:#x} {e:#x}"),
        }
    }

    fn message(&self, event: &EventRecord) -> String {
        let [a, b, c, d, e] = event.arguments;
        let (message, port) = (object('m', a), object('p', b));
        let with = if d != 0 { format!(" with {}", object('v', d)) } else { String::new() };
        let raised = if e & 2 != 0 { ", boosts" } else { "" };
        match event.kind {
            kind::MESSAGE_SENT => format!("{message} (id {}) sent to {port}{with}{raised}", c as i32),
            kind::MESSAGE_QUEUED => format!("{message} queued at {port}, place {c}"),
            kind::MESSAGE_RECEIVED => format!("{message} received by {} on {port}{with}{raised}", self.thread(c)),
            kind::MESSAGE_RETURNED => format!("{message} for {port} comes back to {}", self.thread(c)),
            _ => format!("{message} for {port} destroyed"),
        }
    }
}

/// Says what a program told of itself. It can tell anything.
fn note([note, a, b, c, voucher]: [u64; 5]) -> String {
    let with = if voucher == 0 { String::new() } else { format!(" with {}", object('v', voucher)) };
    match note {
        note::QUEUE_NAMED => {
            let bytes: Vec<u8> = [b, c].iter().flat_map(|word| word.to_le_bytes()).filter(|&byte| byte != 0).collect();
            format!("queue q{a} is {:?}", String::from_utf8_lossy(&bytes))
        }
        note::WORK_SUBMITTED => format!("work w{a} submitted to q{b}{with}"),
        note::WORK_BEGUN => format!("work w{a} of q{b} begins{with}"),
        note::WORK_DONE => format!("work w{a} of q{b} is done"),
        note::WORK_DROPPED => format!("work w{a} of q{b} is dropped"),
        other => format!("note {other}: {a:#x} {b:#x} {c:#x}{with}"),
    }
}

fn right(number: u64) -> &'static str {
    match number as u32 {
        abi::port::MACH_PORT_RIGHT_SEND => "send right",
        abi::port::MACH_PORT_RIGHT_RECEIVE => "receive right",
        abi::port::MACH_PORT_RIGHT_SEND_ONCE => "send-once right",
        _ => "right",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, thread: u64, arguments: [u64; 5]) -> EventRecord {
        EventRecord { time: 1_234_567_890, thread, kind, arguments, ..EventRecord::default() }
    }

    fn known() -> Known {
        Known { tasks: [(3, "photos".into()), (4, "imaged".into())].into(), threads: [(7, 3), (8, 4)].into() }
    }

    fn what(event: &EventRecord) -> Option<(String, String)> {
        known().show(event, &Filter::default()).map(|shown| (shown.who, shown.what))
    }

    #[track_caller]
    fn says(kind: u16, arguments: [u64; 5], expected: &str) {
        assert_eq!(what(&event(kind, 7, arguments)), Some(("photos/3".into(), expected.into())));
    }

    const PORT: u64 = 1 << 32 | 12;

    #[test]
    fn each_event_is_a_sentence_with_names() {
        says(kind::MESSAGE_SENT, [PORT, PORT, 7005, PORT, 3], "m12.1 (id 7005) sent to p12.1 with v12.1, boosts");
        says(kind::MESSAGE_QUEUED, [PORT, PORT, 2, 0, 0], "m12.1 queued at p12.1, place 2");
        says(kind::MESSAGE_RECEIVED, [PORT, PORT, 8, 0, 0], "m12.1 received by t8 of imaged/4 on p12.1");
        says(kind::RIGHT_MADE, [PORT, 4, 0x103, 0, 0], "imaged/4 gets 0x103: send right to p12.1");
        says(kind::VOUCHER_ADOPTED, [0, 8, 0, 0, 0], "t8 of imaged/4 adopts no voucher any more");
        says(
            kind::BOOST_ADDED,
            [4, 1, 0, 1, PORT],
            "boosts of imaged/4 rise: 1 now, 0 of them by vouchers, because of p12.1",
        );
        says(kind::BOOST_DELAYED, [4, 5_000_001_000, 0, 0, 0], "imaged/4 stays boosted until 5.000001");
        says(kind::PRIORITY_CHANGED, [8, 4, 31, 0, 0], "base priority of t8 of imaged/4: 4 → 31");
        says(kind::POLICY_CHANGED, [4, 1, 1, 0, 0], "policy of imaged/4: boosted, donor");
        says(kind::TIME_CHARGED, [8, 5000, 3, 4, 0], "photos/3 pays 5 µs to imaged/4 for t8 of imaged/4");
        says(kind::NOTE, [note::WORK_BEGUN, 3, 2, 0x10ff, 1 << 32 | 5], "work w3 of q2 begins with v5.1");
        says(kind::NOTE, [note::QUEUE_NAMED, 2, u64::from_le_bytes(*b"decode\0\0"), 0, 0], "queue q2 is \"decode\"");
        says(kind::TASK_ENDED, [4, 9, 0, 0, 0], "task imaged/4 ends, status 0x9");
    }

    #[test]
    fn what_happens_too_often_is_shown_on_request_only() {
        let chosen = event(kind::THREAD_CHOSEN, 7, [8, 31, 0, 0, 0]);
        assert_eq!(what(&chosen), None);
        let groups = GROUPS.iter().filter(|group| group.name == "threads").copied().collect();
        let filter = Filter { pid: None, groups };
        assert_eq!(known().show(&chosen, &filter).unwrap().what, "the processor runs t8 of imaged/4 at 31");
        assert_eq!(known().show(&event(kind::PORT_MADE, 7, [PORT, 0, 0, 0, 0]), &filter), None);
    }

    #[test]
    fn a_task_is_concerned_if_it_acts_or_is_acted_upon() {
        let mut known = known();
        let mut takes =
            |event: &EventRecord, pid| known.show(event, &Filter { pid: Some(pid), ..Filter::default() }).is_some();
        let boosted = event(kind::BOOST_ADDED, 7, [4, 1, 0, 1, PORT]);
        assert!(takes(&boosted, 3) && takes(&boosted, 4) && !takes(&boosted, 5));
        let made = event(kind::PORT_MADE, 7, [PORT, 0, 0, 0, 0]);
        assert!(takes(&made, 3) && !takes(&made, 4));
    }

    #[test]
    fn tasks_are_known_from_their_first_event_to_their_last() {
        let mut known = known();
        let name = u64::from_le_bytes(*b"codecd\0\0");
        let begun = event(kind::TASK_BEGUN, 7, [5, 3, name, 0, 0]);
        let show = |known: &mut Known, event: &EventRecord| known.show(event, &Filter::default()).map(|s| s.what);
        assert_eq!(show(&mut known, &begun).unwrap(), "task codecd/5 begins, of photos/3");
        show(&mut known, &event(kind::THREAD_BEGUN, 7, [9, 5, 0, 0, 0]));
        assert_eq!(known.task_of(9), Some(5));
        assert_eq!(
            show(&mut known, &event(kind::THREAD_ENDED, 7, [9, 5, 0, 0, 0])).unwrap(),
            "thread t9 of codecd/5 ends"
        );
        show(&mut known, &event(kind::TASK_ENDED, 7, [5, 0, 0, 0, 0]));
        assert_eq!((known.task_of(9), known.name(5)), (None, "pid 5".to_string()));
    }

    #[test]
    fn every_kind_belongs_to_one_group() {
        for kind in (1..=6).chain(10..=15).chain(20..=24).chain(30..=34).chain(40..=44).chain(50..=53).chain([60]) {
            let groups = GROUPS.iter().filter(|group| (group.first..=group.last).contains(&kind)).count();
            assert_eq!(groups, 1, "kind {kind}");
            let text = known().what(&event(kind, 7, [1, 1, 1, 1, 1]));
            assert!(!text.starts_with("event "), "{text}");
        }
    }
}
