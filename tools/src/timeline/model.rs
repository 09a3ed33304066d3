//! [`Timeline`]: what happened, put together from events.

use abi::event::{EventRecord, kind};
use abi::inspect::{MESSAGE_LINKED, MESSAGE_RAISED};
use serde::Serialize;
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
    pub number: u64,
    /// The port.
    pub port: u64,
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
    pub voucher_sent: u64,
    /// The voucher that it was received with, or 0.
    pub voucher_received: u64,
    /// It carried importance.
    pub linked: bool,
    /// It was a boost when it was sent.
    pub raised: bool,
}

/// A voucher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Voucher {
    /// Its number.
    pub number: u64,
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
    /// The message that caused it, by its place in [`Timeline::messages`].
    pub message: Option<usize>,
    /// The voucher that holds it or held it, by its place in [`Timeline::vouchers`].
    pub voucher: Option<usize>,
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
    /// All charges.
    pub charges: Vec<Charge>,
    /// The number of events of each kind.
    pub counts: BTreeMap<&'static str, usize>,
}

/// The state while events are put together.
#[derive(Debug, Default)]
struct Builder {
    timeline: Timeline,
    /// The thread that has each processor, since when and with which priority.
    running: BTreeMap<u16, (u64, Time, u64)>,
    /// The messages that have not ended, by number.
    open_messages: BTreeMap<u64, usize>,
    /// The vouchers that exist, by number.
    open_vouchers: BTreeMap<u64, usize>,
    /// The message that was sent, received, returned or destroyed last in this step: boosts follow from it.
    last_message: Option<usize>,
    /// The voucher that was made, found or released last in this step.
    last_voucher: Option<usize>,
    /// The step: its time and thread.
    step: (Time, u64),
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

    /// Returns how people call a task.
    pub fn who(&self, pid: u32) -> String {
        match self.tasks.get(&pid) {
            Some(task) if !task.name.is_empty() => format!("{} (pid {pid})", task.name),
            _ if pid == 0 => "the kernel".to_owned(),
            _ => format!("pid {pid}"),
        }
    }
}

impl Builder {
    fn add(&mut self, event: &EventRecord) {
        if self.step != (event.time, event.thread) {
            self.step = (event.time, event.thread);
            (self.last_message, self.last_voucher) = (None, None);
        }
        self.timeline.to = self.timeline.to.max(event.time);
        self.timeline.lost += u64::from(event.lost);
        *self.timeline.counts.entry(super::record::name_of(event.kind)).or_default() += 1;
        match event.kind {
            kind::TASK_BEGUN | kind::TASK_ENDED | kind::THREAD_BEGUN | kind::THREAD_ENDED => self.life(event),
            kind::THREAD_BLOCKED..=kind::PRIORITY_CHANGED => self.scheduling(event),
            kind::MESSAGE_SENT..=kind::MESSAGE_DESTROYED => self.message(event),
            kind::VOUCHER_CREATED..=kind::VOUCHER_DIED => self.voucher(event),
            kind::BOOST_ADDED..=kind::BOOST_DELAYED => self.boost(event),
            kind::TIME_CHARGED => {
                let [thread, nanos, holder, merchant, _] = event.arguments;
                let (holder, merchant) = (holder as u32, merchant as u32);
                self.timeline.charges.push(Charge { time: event.time, thread, nanos, holder, merchant });
            }
            _ => {}
        }
    }

    fn thread(&mut self, number: u64) -> &mut Thread {
        self.timeline.threads.entry(number).or_insert_with(|| Thread { number, ..Thread::default() })
    }

    fn life(&mut self, event: &EventRecord) {
        let [first, second, name @ ..] = event.arguments;
        let pid = first as u32;
        match event.kind {
            kind::TASK_BEGUN => {
                let bytes: Vec<u8> =
                    name.iter().flat_map(|word| word.to_le_bytes()).filter(|&byte| byte != 0).collect();
                let name = String::from_utf8_lossy(&bytes).into_owned();
                let task = Task { pid, parent: second as u32, name, begun: event.time, ended: None };
                self.timeline.tasks.insert(pid, task);
            }
            kind::TASK_ENDED => {
                let task = self.timeline.tasks.entry(pid).or_insert_with(|| Task { pid, ..Task::default() });
                task.ended = Some(event.time);
            }
            kind::THREAD_BEGUN => self.thread(first).pid = second as u32,
            _ => {
                self.thread(first).pid = second as u32;
                self.leave_processor(first, event.time);
            }
        }
    }

    /// Ends the run of a thread, if it has a processor.
    fn leave_processor(&mut self, thread: u64, to: Time) {
        let cpu = self.running.iter().find(|(_, (running, ..))| *running == thread).map(|(cpu, _)| *cpu);
        if let Some((_, from, priority)) = cpu.and_then(|cpu| self.running.remove(&cpu)) {
            self.thread(thread).runs.push(Run { from, to, priority });
        }
    }

    fn scheduling(&mut self, event: &EventRecord) {
        let [thread, first, second, ..] = event.arguments;
        match event.kind {
            kind::THREAD_BLOCKED | kind::THREAD_PREEMPTED => self.leave_processor(thread, event.time),
            kind::THREAD_CHOSEN => {
                if let Some((before, ..)) = self.running.get(&event.cpu) {
                    self.leave_processor(*before, event.time);
                }
                if thread != 0 {
                    self.thread(thread);
                    self.running.insert(event.cpu, (thread, event.time, first));
                }
            }
            kind::PRIORITY_CHANGED => {
                let bases = &mut self.thread(thread).bases;
                if bases.is_empty() {
                    bases.push((0, first));
                }
                bases.push((event.time, second));
            }
            _ => {}
        }
    }

    fn message(&mut self, event: &EventRecord) {
        let [number, port, third, fourth, fifth] = event.arguments;
        if event.kind == kind::MESSAGE_SENT {
            let flags = fifth as u32;
            let message = Message {
                number,
                port,
                id: third as u32 as i32,
                sender: event.thread,
                sent: event.time,
                receiver: None,
                ended: None,
                fate: "",
                voucher_sent: fourth,
                voucher_received: 0,
                linked: flags & MESSAGE_LINKED != 0,
                raised: flags & MESSAGE_RAISED != 0,
            };
            let place = self.timeline.messages.len();
            self.timeline.messages.push(message);
            self.open_messages.insert(number, place);
            self.last_message = Some(place);
            return;
        }
        let Some(&place) = self.open_messages.get(&number) else { return };
        self.last_message = Some(place);
        if event.kind == kind::MESSAGE_QUEUED {
            return;
        }
        let message = &mut self.timeline.messages[place];
        message.ended = Some(event.time);
        message.fate = match event.kind {
            kind::MESSAGE_RECEIVED => "received",
            kind::MESSAGE_RETURNED => "returned",
            _ => "destroyed",
        };
        if event.kind == kind::MESSAGE_RECEIVED {
            message.receiver = Some(third);
            message.voucher_received = fourth;
        }
        self.open_messages.remove(&number);
    }

    fn voucher(&mut self, event: &EventRecord) {
        let [number, thread, ..] = event.arguments;
        match event.kind {
            kind::VOUCHER_CREATED => {
                let place = self.timeline.vouchers.len();
                let voucher = Voucher { number, from: event.time, to: None, adopted: Vec::new() };
                self.timeline.vouchers.push(voucher);
                self.open_vouchers.insert(number, place);
                self.last_voucher = Some(place);
            }
            kind::VOUCHER_DIED => {
                if let Some(place) = self.open_vouchers.remove(&number) {
                    self.timeline.vouchers[place].to = Some(event.time);
                    self.last_voucher = Some(place);
                }
            }
            kind::VOUCHER_ADOPTED => {
                for voucher in &mut self.timeline.vouchers {
                    let open = voucher.adopted.iter_mut().filter(|(by, _, to)| *by == thread && to.is_none());
                    open.for_each(|(_, _, to)| *to = Some(event.time));
                }
                if let Some(&place) = self.open_vouchers.get(&number) {
                    self.timeline.vouchers[place].adopted.push((thread, event.time, None));
                }
            }
            _ => self.last_voucher = self.open_vouchers.get(&number).copied().or(self.last_voucher),
        }
    }

    fn boost(&mut self, event: &EventRecord) {
        let [pid, boosts, external, ..] = event.arguments;
        let change = match event.kind {
            kind::BOOST_ADDED => "added",
            kind::BOOST_MOVED => "moved",
            kind::BOOST_DROPPED => "dropped",
            _ => "delayed",
        };
        let (boosts, external) = if event.kind == kind::BOOST_DELAYED { (0, 0) } else { (boosts, external) };
        self.timeline.boosts.push(Boost {
            pid: pid as u32,
            time: event.time,
            boosts,
            external,
            change,
            message: self.last_message,
            voucher: self.last_voucher,
        });
    }

    fn finish(mut self) -> Timeline {
        let end = self.timeline.to;
        let running: Vec<u64> = self.running.values().map(|(thread, ..)| *thread).collect();
        running.into_iter().for_each(|thread| self.leave_processor(thread, end));
        self.timeline
    }
}
